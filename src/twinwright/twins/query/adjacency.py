"""The relationships of every twin in compressed rows: how a query walks from few twins without looking at all relationships.

Edges are numbered from 1 in the order of their sources; `s`, `t`, `name` and `key` are arrays over them. How one is numbered, the next
reading of the graph may change; its key stays.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from twinwright.errors import TooLargeError

MOST_PATHS = 5_000_000
FEW_CHANGES = 20_000  # relationships that are kept beside the rows
Ints = NDArray[np.int32]
Direction = Literal["out", "in", "any"]


class Adjacency:
    """Immutable. `s` is sorted."""

    def __init__(self, s: Ints, t: Ints, name: Ints, key: NDArray[np.int64]) -> None:
        self.s, self.t, self.name, self.key = s, t, name, key
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

    def keys_of(self, edges: NDArray[np.int64]) -> NDArray[np.int64]:
        """The key of each of some edges."""
        return self.key[edges]

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


class Changed(Adjacency):
    """One of before with some relationships gone and some more; those that stay keep their numbers. `gone` is a mask over those of before,
    `numbers` are those of the further ones, in the order of `s`, `t` and `name`."""

    def __init__(
        self,
        before: Adjacency,
        gone: NDArray[np.bool_],
        numbers: NDArray[np.int64],
        s: Ints,
        t: Ints,
        name: Ints,
        key: NDArray[np.int64],
    ) -> None:
        order = np.argsort(s, kind="stable")
        self.before, self.gone, self.numbers = before, gone, numbers[order]
        self.further = Adjacency(s[order], t[order], name[order], key[order])

    def edges(self, twins: Ints, direction: Direction, names: Collection[int] | None) -> tuple[NDArray[np.int64], NDArray[np.int64], Ints]:
        """See `Adjacency.edges`."""
        which, edges, ends = self.before.edges(twins, direction, names)
        stays = ~self.gone[edges]
        more = self.further.edges(twins, direction, names)
        return (
            np.concatenate([which[stays], more[0]]),
            np.concatenate([edges[stays], self.numbers[more[1]]]),
            np.concatenate([ends[stays], more[2]]),
        )

    def keys_of(self, edges: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `Adjacency.keys_of`."""
        held = edges < len(self.before.key)
        found = np.empty(len(edges), np.int64)
        found[held] = self.before.key[edges[held]]
        by_number = np.argsort(self.numbers)
        found[~held] = self.further.key[by_number[np.searchsorted(self.numbers, edges[~held], sorter=by_number)]]
        return found


def changed(
    adjacency: Adjacency, gone: NDArray[np.int64], numbers: NDArray[np.int64], s: Ints, t: Ints, name: Ints, key: NDArray[np.int64]
) -> Changed | None:
    """One with the relationships numbered `gone` away and others added; None once so much has changed that it is better made anew."""
    if isinstance(adjacency, Changed):
        base, mask, further = adjacency.before, adjacency.gone, adjacency.further
        stays = ~np.isin(adjacency.numbers, gone)
        numbers = np.concatenate([adjacency.numbers[stays], numbers])
        s, t, name = (np.concatenate([held[stays], one]) for held, one in ((further.s, s), (further.t, t), (further.name, name)))
        key = np.concatenate([further.key[stays], key])
    else:
        base, mask = adjacency, np.zeros(len(adjacency.s), np.bool_)
    mask = mask.copy()
    mask[gone[gone < len(mask)]] = True
    if len(numbers) + int(mask.sum()) > max(FEW_CHANGES, len(mask) // 10):
        return None
    return Changed(base, mask, numbers, s, t, name, key)


def _coded(begin: Ints, end: Ints) -> NDArray[np.int64]:
    return np.unique((begin.astype(np.int64) << 32) | end.astype(np.int64))


def _decoded(codes: NDArray[np.int64]) -> tuple[Ints, Ints]:
    return (codes >> 32).astype(np.int32), (codes & 0xFFFFFFFF).astype(np.int32)
