"""The relationships there are now, in memory, by the twins they begin at and lead to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from twinwright.governance.principals import Principal
from twinwright.storage.layout import Relationship
from twinwright.storage.protocol import Store

Key = tuple[str, str]  # source, id
_REMEMBERED = 100_000


class Edges:
    """Read from the store when first asked, and kept in step by whoever writes. Readers get copies."""

    def __init__(self, store: Store, principal: Principal) -> None:
        self._store, self._principal = store, principal
        self._outgoing: dict[str, dict[str, Relationship]] | None = None
        self._incoming: dict[str, set[Key]] = {}
        self._removed: dict[Key, int] = {}  # when, of late: what takes such an edge's place comes after

    def forget(self) -> None:
        """The store was written by others."""
        self._outgoing = None

    def load(self) -> dict[str, dict[str, Relationship]]:
        """By source and id; call with the lock of who writes held."""
        if self._outgoing is None:
            outgoing: dict[str, dict[str, Relationship]] = {}
            incoming: dict[str, set[Key]] = {}
            for edge in self._store.relationships(self._principal):
                outgoing.setdefault(edge.source, {})[edge.id] = edge
                incoming.setdefault(edge.target, set()).add((edge.source, edge.id))
            self._incoming, self._outgoing = incoming, outgoing
        return self._outgoing

    def outgoing(self, twin: str) -> Mapping[str, Relationship]:
        """By id."""
        return dict(self.load().get(twin, {}))

    def incoming(self, twin: str) -> list[Relationship]:
        """By source and id."""
        outgoing = self.load()
        return [outgoing[source][id] for source, id in sorted(self._incoming.get(twin, ()))]

    def get(self, source: str, id: str) -> Relationship | None:
        return self.load().get(source, {}).get(id)

    def changed_at(self, key: Key) -> int | None:
        """When the newest version began, of one that was removed too."""
        edge = self.get(*key)
        return self._removed.get(key) if edge is None else edge.changed_at

    def take(self, edges: Iterable[Relationship]) -> None:
        """New versions, committed."""
        outgoing = self.load()
        for edge in edges:
            key = (edge.source, edge.id)
            old = outgoing.get(edge.source, {}).pop(edge.id, None)
            if old is not None:
                self._incoming.get(old.target, set()).discard(key)
            if edge.removed:
                if len(self._removed) >= _REMEMBERED:
                    self._removed.clear()  # time has passed
                self._removed[key] = edge.changed_at or 0
            else:
                outgoing.setdefault(edge.source, {})[edge.id] = edge
                self._incoming.setdefault(edge.target, set()).add(key)
