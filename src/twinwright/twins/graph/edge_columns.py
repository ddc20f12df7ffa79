"""Relationships in columns, found by what they begin at, lead to and are called: a fraction of the memory that an object each would take.

Keys are found by hashes of this process, sorted; what a hash finds is compared with what was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twinwright.storage.layout import Relationship
from twinwright.storage.protocol import RELATIONSHIP_SCHEMA

Key = tuple[str, str]  # source, id
Hashes = NDArray[np.int64]
_MOST_PARTS = 8  # of about one size: then they become one


def hashes(texts: Iterable[object]) -> Hashes:
    """Of texts or pairs of them."""
    return np.fromiter(map(hash, texts), np.int64)


class _Part:
    """Some of them, with their rows in the order of each of the three hashes."""

    def __init__(self, rows: pa.Table, keys: Hashes, sources: Hashes, targets: Hashes) -> None:
        self.rows = rows
        self.hashed = keys, sources, targets
        self.keys, self.sources, self.targets = (_Sorted(one) for one in self.hashed)

    def named(self, name: str) -> NDArray[np.bool_]:
        """Of each row, whether it is of a name."""
        return np.asarray(pc.equal(self.rows["name"], name).to_numpy(), np.bool_)


class _Sorted:
    """Hashes in order, and the row of each."""

    def __init__(self, hashed: Hashes) -> None:
        self.order = np.argsort(hashed, kind="stable").astype(np.int32)
        self.hashes = hashed[self.order]

    def rows(self, wanted: int) -> list[int]:
        first, last = (int(np.searchsorted(self.hashes, np.int64(wanted), side)) for side in ("left", "right"))
        return self.order[first:last].tolist() if last > first else []

    def has(self, wanted: Hashes) -> NDArray[np.bool_]:
        if not len(self.hashes):
            return np.zeros(len(wanted), np.bool_)
        at = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        return np.asarray(self.hashes[at] == wanted, np.bool_)


class EdgeColumns:
    """Grows by whole tables of RELATIONSHIP_SCHEMA; each (source, id) may come once."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    def __len__(self) -> int:
        return sum(len(part.rows) for part in self._parts)

    def add(self, rows: pa.Table) -> None:
        """Rows whose keys are not there yet."""
        if not len(rows):
            return
        sources, ids, targets = (rows[name].to_pylist() for name in ("source", "id", "target"))
        self._parts.append(_Part(rows, hashes(zip(sources, ids, strict=True)), hashes(sources), hashes(targets)))
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

    def get(self, key: Key) -> Relationship | None:
        for part in self._parts:
            for edge in _edges(part, part.keys.rows(hash(key))):
                if (edge.source, edge.id) == key:
                    return edge
        return None

    def outgoing(self, twin: str) -> Iterator[Relationship]:
        """In no order."""
        for part in self._parts:
            yield from (edge for edge in _edges(part, part.sources.rows(hash(twin))) if edge.source == twin)

    def incoming(self, twin: str) -> Iterator[Relationship]:
        """The same."""
        for part in self._parts:
            yield from (edge for edge in _edges(part, part.targets.rows(hash(twin))) if edge.target == twin)

    def sources(self, first: int = 0) -> Iterator[str]:
        """The twin that each begins at, from one on: what comes in later comes after."""
        for part in self._parts:
            for chunk in part.rows["source"].slice(min(first, len(part.rows))).chunks:
                yield from (one.as_py() for one in chunk)
            first = max(first - len(part.rows), 0)


def _joined(parts: Sequence[_Part]) -> _Part:
    rows = pa.concat_tables([part.rows for part in parts]).combine_chunks()
    keys, sources, targets = (np.concatenate([part.hashed[which] for part in parts]) for which in range(3))
    return _Part(rows, keys, sources, targets)


def _edges(part: _Part, rows: Sequence[int]) -> list[Relationship]:
    if not rows:
        return []
    taken = part.rows.take(pa.array(rows, pa.int32())) if len(rows) > 1 else part.rows.slice(rows[0], 1)
    columns = [taken[name].to_pylist() for name in RELATIONSHIP_SCHEMA.names]
    return [
        Relationship(source, id, name, target, {} if properties == "{}" else json.loads(properties), changed_at=at, commit=commit)
        for source, id, name, target, properties, at, commit in zip(*columns, strict=True)
    ]
