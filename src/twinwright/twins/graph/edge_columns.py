"""Relationships in columns, found by what they begin at, lead to and are called: a fraction of the memory that an object each would take.

Keys are found by hashes of this process, sorted; what a hash finds is compared with what was asked for.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from operator import attrgetter

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twinwright.storage.layout import EdgeKey, Relationship
from twinwright.storage.protocol import RELATIONSHIP_SCHEMA
from twinwright.storage.united import frame

Hashes = NDArray[np.int64]
_MOST_PARTS = 8  # of about one size: then they become one
_MANY = 256  # relationships of one twin: their order is kept
_READ = 256  # rows at a time
_LOOKED_AT = 65_536  # the same of rows that may be gone
_KEY = attrgetter("key")


def hashes(texts: Iterable[object]) -> Hashes:
    """Of texts or pairs of them."""
    return np.fromiter(map(hash, texts), np.int64)


class _Part:
    """Some of them, with their rows in the order of each of the three hashes."""

    def __init__(self, rows: pa.Table, keys: Hashes, sources: Hashes, targets: Hashes, gone: NDArray[np.bool_]) -> None:
        self.rows, self.gone = rows, gone  # rows that are gone are held elsewhere, or nowhere any more
        self.hashed = keys, sources, targets
        self.keys, self.sources, self.targets = (_Sorted(one) for one in self.hashed)
        self._passed = 0  # the first rows of which all are gone
        self._in_order: dict[tuple[bool, int], NDArray[np.int32]] = {}  # of twins that have many, once somebody reads on

    def named(self, name: str) -> NDArray[np.bool_]:
        """Of each row, whether it is of a name."""
        return np.asarray(pc.equal(self.rows["name"], name).to_numpy(), np.bool_)

    def key(self, row: int) -> EdgeKey:
        return self.rows["source"][row].as_py(), self.rows["id"][row].as_py()

    def of(self, twin: str, *, incoming: bool) -> NDArray[np.int32]:
        """The rows that may begin at a twin, or lead to it: many of them by source and id, few in no order."""
        held = self._in_order.get((incoming, hash(twin)))
        if held is None:
            held = (self.targets if incoming else self.sources).rows(hash(twin))
            if len(held) >= _MANY:
                keys = frame(self.rows.select(["source", "id"]).take(pa.array(held)))
                held = held[keys.select(pl.arg_sort_by("source", "id")).to_series().to_numpy()]
                self._in_order[incoming, hash(twin)] = held
        return held

    def live(self) -> Iterator[int]:
        """The rows that are not gone."""
        for start in range(self._passed, len(self.gone), _LOOKED_AT):
            found = np.flatnonzero(~self.gone[start : start + _LOOKED_AT]) + start
            yield from found.tolist()
            if not len(found) and start == self._passed:
                self._passed = start + _LOOKED_AT


class _Sorted:
    """Hashes in order, and the row of each."""

    def __init__(self, hashed: Hashes) -> None:
        self.order = np.argsort(hashed, kind="stable").astype(np.int32)
        self.hashes = hashed[self.order]

    def rows(self, wanted: int) -> NDArray[np.int32]:
        first, last = (int(np.searchsorted(self.hashes, np.int64(wanted), side)) for side in ("left", "right"))
        return self.order[first:last]

    def has(self, wanted: Hashes) -> NDArray[np.bool_]:
        if not len(self.hashes):
            return np.zeros(len(wanted), np.bool_)
        at = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        return np.asarray(self.hashes[at] == wanted, np.bool_)


class EdgeColumns:
    """Grows by whole tables of RELATIONSHIP_SCHEMA; each (source, id) that is not hidden may come once."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    def __len__(self) -> int:
        return sum(len(part.rows) for part in self._parts)

    def add(self, rows: pa.Table) -> None:
        """Rows whose keys are not there yet."""
        if not len(rows):
            return
        rows = rows.combine_chunks()
        sources, ids, targets = (rows[name].to_pylist() for name in ("source", "id", "target"))
        keys, none = hashes(zip(sources, ids, strict=True)), np.zeros(len(rows), np.bool_)
        self._parts.append(_Part(rows, keys, hashes(sources), hashes(targets), none))
        while len(self._parts) >= _MOST_PARTS and len(self._parts[-_MOST_PARTS].rows) < _MOST_PARTS * len(rows):
            self._parts[-_MOST_PARTS:] = [_joined(self._parts[-_MOST_PARTS:])]
            rows = self._parts[-1].rows

    def known(self, keys: Hashes) -> NDArray[np.bool_]:
        """Of hashes of (source, id): whether there may be such a relationship; where it says no there is none."""
        found = np.zeros(len(keys), np.bool_)
        for part in self._parts:
            found |= part.keys.has(keys)
        return found

    def named(self, sources: Hashes, name: str) -> NDArray[np.int64]:
        """How many of a name begin at each twin, by its hash; never too few."""
        found = np.zeros(len(sources), np.int64)
        for part in self._parts:
            first, last = (np.searchsorted(part.sources.hashes, sources, side) for side in ("left", "right"))
            of = np.concatenate([[0], np.cumsum(part.named(name)[part.sources.order])])
            found += of[last] - of[first]
        return found

    def get(self, key: EdgeKey) -> Relationship | None:
        found = self._find(key)
        return None if found is None else _edges(found[0], [found[1]])[0]

    def hide(self, key: EdgeKey) -> None:
        """There is no such relationship here from now on."""
        found = self._find(key)
        if found is not None:
            found[0].gone[found[1]] = True

    def _find(self, key: EdgeKey) -> tuple[_Part, int] | None:
        for part in self._parts:
            for row in part.keys.rows(hash(key)).tolist():
                if not part.gone[row] and part.key(row) == key:
                    return part, row
        return None

    def outgoing(self, twin: str, behind: EdgeKey | None = None, name: str | None = None) -> Iterator[Relationship]:
        """Those that begin at a twin, of one name or any, by id, from behind one on."""
        walks = (_walked(part, part.of(twin, incoming=False), behind, name) for part in self._parts)
        return (edge for edge in merge(*walks, key=_KEY) if edge.source == twin)

    def incoming(self, twin: str, behind: EdgeKey | None = None) -> Iterator[Relationship]:
        """Those that lead to it, by source and id."""
        walks = (_walked(part, part.of(twin, incoming=True), behind, None) for part in self._parts)
        return (edge for edge in merge(*walks, key=_KEY) if edge.target == twin)

    def some(self) -> Iterator[Relationship]:
        """All, in no order."""
        for part in self._parts:
            live = part.live()
            while rows := list(islice(live, _READ)):
                yield from _edges(part, rows)


def _walked(part: _Part, found: NDArray[np.int32], behind: EdgeKey | None, name: str | None) -> Iterator[Relationship]:
    """Edges of the rows of a twin, in the order of their keys, from behind one on; of many few more are made than are taken."""
    if len(found) < _MANY:
        edges = sorted(_edges(part, found[~part.gone[found]].tolist()), key=_KEY)
        yield from (edge for edge in edges if (behind is None or edge.key > behind) and name in (None, edge.name))
        return
    first = 0 if behind is None else bisect_right(range(len(found)), behind, key=lambda at: part.key(int(found[at])))
    for start in range(first, len(found), _READ):
        rows = found[start : start + _READ]
        rows = rows[~part.gone[rows]]
        if name is not None:
            names = part.rows["name"].take(pa.array(rows))
            rows = rows[np.asarray(pc.equal(names, name).to_numpy(), np.bool_)]
        yield from _edges(part, rows.tolist())


def _joined(parts: Sequence[_Part]) -> _Part:
    """One of what is left of some."""
    left = [~part.gone for part in parts]
    rows = pa.concat_tables([part.rows.filter(pa.array(mask)) for part, mask in zip(parts, left, strict=True)]).combine_chunks()
    keys, sources, targets = (
        np.concatenate([part.hashed[which][mask] for part, mask in zip(parts, left, strict=True)]) for which in range(3)
    )
    return _Part(rows, keys, sources, targets, np.zeros(len(rows), np.bool_))


def _edges(part: _Part, rows: Sequence[int]) -> list[Relationship]:
    if not rows:
        return []
    taken = part.rows.take(pa.array(rows, pa.int32())) if len(rows) > 1 else part.rows.slice(rows[0], 1)
    columns = [taken[name].to_pylist() for name in RELATIONSHIP_SCHEMA.names]
    return [
        Relationship(source, id, name, target, {} if properties == "{}" else json.loads(properties), changed_at=at, commit=commit)
        for source, id, name, target, properties, at, commit in zip(*columns, strict=True)
    ]
