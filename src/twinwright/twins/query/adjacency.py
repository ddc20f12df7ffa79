"""The relationships of every twin in compressed rows: how a query walks from few twins without looking at all relationships.

Edges are numbered from 1 in the order of their sources; `s`, `t` and `name` are arrays over them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from twinwright.errors import TooLargeError

MOST_PATHS = 5_000_000
Ints = NDArray[np.int32]
Direction = Literal["out", "in", "any"]


class Adjacency:
    """Immutable. `s` is sorted."""

    def __init__(self, s: Ints, t: Ints, name: Ints) -> None:
        self.s, self.t, self.name = s, t, name
        highest = int(max(s.max(initial=0), t.max(initial=0)))
        numbers = np.arange(highest + 2)
        self._highest = highest
        self._out = np.searchsorted(s, numbers).astype(np.int64)
        self._by_target = np.argsort(t, kind="stable").astype(np.int32)
        self._in = np.searchsorted(t[self._by_target], numbers).astype(np.int64)

    def edges(self, twins: Ints, direction: Direction, names: Collection[int] | None) -> tuple[NDArray[np.int64], NDArray[np.int64], Ints]:
        """(index into `twins`, edge from 0, the twin it leads to) of every relationship of some twins, in a direction."""
        if direction == "any":
            out, back = self.edges(twins, "out", names), self.edges(twins, "in", names)
            other = self.s[back[1]] != self.t[back[1]]  # one that leads back to its twin is met once
            return (
                np.concatenate([out[0], back[0][other]]),
                np.concatenate([out[1], back[1][other]]),
                np.concatenate([out[2], back[2][other]]),
            )
        pointers, ends = (self._out, self.t) if direction == "out" else (self._in, self.s)
        known = np.clip(twins, 0, self._highest).astype(np.int64)
        first = pointers[known]
        counts = np.where(twins <= self._highest, pointers[known + 1] - first, 0)
        which = np.repeat(np.arange(len(twins), dtype=np.int64), counts)
        offsets = np.arange(len(which), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        edges = np.repeat(first, counts) + offsets
        if direction == "in":
            edges = self._by_target[edges].astype(np.int64)
        if names is not None:
            chosen = np.isin(self.name[edges], np.array(sorted(names), np.int32))
            which, edges = which[chosen], edges[chosen]
        return which, edges, ends[edges]

    def pairs(self, starts: Ints, direction: Direction, names: Collection[int] | None, fewest: int, most: int) -> tuple[Ints, Ints]:
        """Each (start, end) once between which there is a path of `fewest` to `most` relationships, none of them taken twice.

        Raises TooLargeError past MOST_PATHS paths.
        """
        begin, end = starts, starts
        trails: list[NDArray[np.int64]] = []
        shortest = direction != "any" and fewest == 1  # the shortest way takes nothing twice: it is enough to know who was reached
        found: list[NDArray[np.int64]] = []
        for hop in range(1, most + 1):
            which, edges, end = self.edges(end, direction, names)
            begin = begin[which]
            if len(begin) > MOST_PATHS:
                raise TooLargeError(
                    f"more than {MOST_PATHS} paths", remedy="Begin at fewer twins, name the relationships, or take fewer hops"
                )
            if shortest:
                codes = np.setdiff1d(_coded(begin, end), found[-1] if found else np.zeros(0, np.int64))
                found.append(codes if not found else np.union1d(found[-1], codes))
                begin, end = _decoded(codes)
                continue
            trails = [trail[which] for trail in trails]
            fresh = np.ones(len(edges), np.bool_)
            for trail in trails:
                fresh &= trail != edges
            begin, end = begin[fresh], end[fresh]
            trails = [*(trail[fresh] for trail in trails), edges[fresh]]
            if hop >= fewest:
                found.append(_coded(begin, end))
        if shortest:
            return _decoded(found[-1])
        return _decoded(np.unique(np.concatenate(found)))


def _coded(begin: Ints, end: Ints) -> NDArray[np.int64]:
    return np.unique((begin.astype(np.int64) << 32) | end.astype(np.int64))


def _decoded(codes: NDArray[np.int64]) -> tuple[Ints, Ints]:
    return (codes >> 32).astype(np.int32), (codes & 0xFFFFFFFF).astype(np.int32)
