"""The relationships there are now, in memory, by the twins they begin at and lead to.

Most are as they were when the store was read, or when an import brought them: those lie in columns. What has changed since lies beside
them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from itertools import chain, islice
from operator import attrgetter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.governance.principals import Principal
from twinwright.storage.layout import EdgeKey, Relationship
from twinwright.storage.protocol import Store
from twinwright.twins.graph.edge_columns import EdgeColumns, Hashes

_REMEMBERED = 100_000
_KEY = attrgetter("key")


class Edges:
    """Read from the store when first asked, and kept in step by whoever writes. Call with the lock of who writes held."""

    def __init__(self, store: Store, principal: Principal) -> None:
        self._store, self._principal = store, principal
        self._columns: EdgeColumns | None = None
        self._beside: dict[EdgeKey, Relationship] = {}
        self._outgoing: dict[str, list[EdgeKey]] = {}  # of these, by the twin they begin at, in order
        self._incoming: dict[str, list[EdgeKey]] = {}  # and by the one they lead to
        self._changed: set[str] = set()  # twins at which something begins that has changed
        self._removed: dict[EdgeKey, int] = {}  # when, of late: what takes such an edge's place comes after

    def forget(self) -> None:
        """The store was written by others."""
        self._columns = None

    def _load(self) -> EdgeColumns:
        if self._columns is None:
            self._columns = EdgeColumns()
            self._columns.add(self._store.relationship_rows(self._principal))
            self._beside, self._outgoing, self._incoming, self._changed = {}, {}, {}, set()
        return self._columns

    def some(self, most: int) -> list[Relationship]:
        """So many of them, or all there are where these are fewer."""
        return list(islice(chain(self._load().some(), self._beside.values()), most))

    def outgoing(self, twin: str, behind: str | None = None, name: str | None = None) -> Iterator[Relationship]:
        """Those that begin at a twin, of one name or any, by id, from behind one on. Nothing may be written until they are taken."""
        after = None if behind is None else (twin, behind)
        columns = self._load().outgoing(twin, after, name)
        return merge(columns, (edge for edge in self._kept(self._outgoing, twin, after) if name in (None, edge.name)), key=_KEY)

    def incoming(self, twin: str, behind: EdgeKey | None = None) -> Iterator[Relationship]:
        """Those that lead to it, by source and id, from behind one on; the same goes for them."""
        return merge(self._load().incoming(twin, behind), self._kept(self._incoming, twin, behind), key=_KEY)

    def _kept(self, index: Mapping[str, list[EdgeKey]], twin: str, behind: EdgeKey | None) -> Iterator[Relationship]:
        keys = index.get(twin, [])
        first = 0 if behind is None else bisect_right(keys, behind)
        return (self._beside[keys[at]] for at in range(first, len(keys)))

    def get(self, source: str, id: str) -> Relationship | None:
        columns, key = self._load(), (source, id)
        return self._beside.get(key) or columns.get(key)

    def fresh(self, sources: Iterable[str], keys: Hashes) -> list[bool]:
        """Whether there is nothing and never was of late under each key (source, id), of which the hash is given; it may say no in vain."""
        known = self._load().known(keys)
        return [not there and source not in self._changed for source, there in zip(sources, known.tolist(), strict=True)]

    def named(self, sources: Hashes, name: str) -> NDArray[np.int64]:
        """How many of a name begin at each twin of which none has changed of late, by its hash; it may say too many."""
        return self._load().named(sources, name)

    def changed_at(self, key: EdgeKey) -> int | None:
        """When the newest version began, of one that was removed too."""
        edge = self.get(*key)
        return self._removed.get(key) if edge is None else edge.changed_at

    def take(self, edges: Iterable[Relationship]) -> None:
        """New versions, committed."""
        columns = self._load()
        for edge in edges:
            key = edge.key
            self._changed.add(edge.source)
            old = self._beside.pop(key, None)
            if old is None:
                columns.hide(key)
            else:
                _drop(self._outgoing, old.source, key)
                _drop(self._incoming, old.target, key)
            if edge.removed:
                if len(self._removed) >= _REMEMBERED:
                    self._removed.clear()  # time has passed
                self._removed[key] = edge.changed_at or 0
            else:
                self._beside[key] = edge
                insort(self._outgoing.setdefault(edge.source, []), key)
                insort(self._incoming.setdefault(edge.target, []), key)

    def take_rows(self, rows: pa.Table) -> None:
        """Very many that are fresh, committed: RELATIONSHIP_SCHEMA."""
        self._load().add(rows)


def _drop(index: dict[str, list[EdgeKey]], twin: str, key: EdgeKey) -> None:
    keys = index[twin]
    del keys[bisect_left(keys, key)]
    if not keys:
        del index[twin]
