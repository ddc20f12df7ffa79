"""The relationships there are now, in memory, by the twins they begin at and lead to.

Most are as they were when the store was read, or when an import brought them: those lie in columns. Where a relationship of a twin has
changed since, all that begin at that twin lie beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.governance.principals import Principal
from twinwright.storage.layout import Relationship
from twinwright.storage.protocol import Store
from twinwright.twins.graph.edge_columns import EdgeColumns, Hashes, Key

_REMEMBERED = 100_000


class Edges:
    """Read from the store when first asked, and kept in step by whoever writes. Readers get copies; call with the lock of who writes
    held."""

    def __init__(self, store: Store, principal: Principal) -> None:
        self._store, self._principal = store, principal
        self._columns: EdgeColumns | None = None
        self._changed: dict[str, dict[str, Relationship]] = {}  # by source, of those in which one has changed: all, by id
        self._incoming: dict[str, set[Key]] = {}  # of these
        self._passed = 0  # the columns' first rows of which all begin at one of these
        self._removed: dict[Key, int] = {}  # when, of late: what takes such an edge's place comes after

    def forget(self) -> None:
        """The store was written by others."""
        self._columns = None

    def _load(self) -> EdgeColumns:
        if self._columns is None:
            self._columns = EdgeColumns()
            self._columns.add(self._store.relationship_rows(self._principal).combine_chunks())
            self._changed, self._incoming, self._passed = {}, {}, 0
        return self._columns

    def some(self, most: int) -> list[Relationship]:
        """So many of them, or all there are where these are fewer."""
        columns, found = self._load(), dict[str, list[Relationship]]()
        count = 0
        for source in columns.sources(self._passed):
            if source not in found:
                if count >= most:
                    break
                found[source] = [] if source in self._changed else list(columns.outgoing(source))
                count += len(found[source])
            self._passed += source in self._changed and not count  # those are beside the columns for good
        kept = [edge for edges in found.values() for edge in edges]
        if len(kept) < most:
            kept += islice((edge for edges in self._changed.values() for edge in edges.values()), most - len(kept))
        return kept[:most]

    def outgoing(self, twin: str) -> Mapping[str, Relationship]:
        """By id."""
        columns = self._load()
        held = self._changed.get(twin)
        return dict(held) if held is not None else {edge.id: edge for edge in sorted(columns.outgoing(twin), key=lambda one: one.id)}

    def incoming(self, twin: str) -> list[Relationship]:
        """By source and id."""
        found = [edge for edge in self._load().incoming(twin) if edge.source not in self._changed]
        found += [self._changed[source][id] for source, id in self._incoming.get(twin, ())]
        return sorted(found, key=lambda edge: (edge.source, edge.id))

    def get(self, source: str, id: str) -> Relationship | None:
        columns = self._load()
        held = self._changed.get(source)
        return columns.get((source, id)) if held is None else held.get(id)

    def fresh(self, sources: Iterable[str], keys: Hashes) -> list[bool]:
        """Whether there is nothing and never was of late under each key (source, id), of which the hash is given; it may say no in vain."""
        known = self._load().known(keys)
        return [not there and source not in self._changed for source, there in zip(sources, known.tolist(), strict=True)]

    def named(self, sources: Hashes, name: str) -> NDArray[np.int64]:
        """How many of a name begin at each twin of which none has changed of late, by its hash; it may say too many."""
        return self._load().named(sources, name)

    def changed_at(self, key: Key) -> int | None:
        """When the newest version began, of one that was removed too."""
        edge = self.get(*key)
        return self._removed.get(key) if edge is None else edge.changed_at

    def take(self, edges: Iterable[Relationship]) -> None:
        """New versions, committed."""
        columns = self._load()
        for edge in edges:
            if edge.source not in self._changed:
                self._changed[edge.source] = {one.id: one for one in columns.outgoing(edge.source)}
                for one in self._changed[edge.source].values():
                    self._incoming.setdefault(one.target, set()).add((one.source, one.id))
            held, key = self._changed[edge.source], (edge.source, edge.id)
            old = held.pop(edge.id, None)
            if old is not None:
                self._incoming.get(old.target, set()).discard(key)
            if edge.removed:
                if len(self._removed) >= _REMEMBERED:
                    self._removed.clear()  # time has passed
                self._removed[key] = edge.changed_at or 0
            else:
                held[edge.id] = edge
                self._incoming.setdefault(edge.target, set()).add(key)

    def take_rows(self, rows: pa.Table) -> None:
        """Very many that are fresh, committed: RELATIONSHIP_SCHEMA."""
        self._load().add(rows)
