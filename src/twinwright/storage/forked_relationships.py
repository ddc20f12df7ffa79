"""The relationships of a fork: those of the base as it was when it was forked, and over them what the fork says.

A page of them is found by the keys that come next in each half, so that it costs what it shows, whatever else begins at a twin.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from twinwright.governance.principals import Principal
from twinwright.storage import united
from twinwright.storage.graph_rows import relationship_rows
from twinwright.storage.layout import ALL_RELATIONSHIPS, EdgeKey, Relationship, RelationshipPart
from twinwright.storage.protocol import Store
from twinwright.storage.relationship_parts import some_relationships


class ForkedRelationships:
    """Part of what a fork reads: see `Store`."""

    _base: Store
    _own: Store
    _at: int

    def _known(self, known_at: int | None) -> int:
        raise NotImplementedError

    def last_commit(self, principal: Principal) -> int:
        """See `Store.last_commit`."""
        raise NotImplementedError

    def relationships(
        self,
        principal: Principal,
        part: RelationshipPart = ALL_RELATIONSHIPS,
        *,
        as_of: int | None = None,
        known_at: int | None = None,
    ) -> list[Relationship]:
        last = self.last_commit(principal) if known_at is None else known_at
        if last <= self._at:
            return self._base.relationships(principal, part, as_of=as_of, known_at=self._known(known_at))

        def edges(part: RelationshipPart) -> list[Relationship]:
            theirs = self._base.relationships(principal, replace(part, most=None), as_of=as_of, known_at=self._at)
            sources = None if part.source is None else [part.source]
            own = self._own.relationship_versions(principal, self._at, last, sources=sources, keys=part.keys)
            return united.edge_part(self._over(principal, theirs, own, as_of), part)

        def keys(part: RelationshipPart) -> list[EdgeKey]:
            """Of each half the next ones; those of the base alone may be there, of the name, and of the fork any may not."""
            assert part.most is not None
            theirs = [edge.key for edge in self._base.relationships(principal, part, as_of=as_of, known_at=self._at)]
            behind = part.behind if part.source is None else max(part.behind or ("", ""), (part.source, ""))
            own = self._own.changed_relationships(principal, self._at, last, behind=behind, most=part.most)
            return sorted({*theirs, *(key for key in own if part.source in (None, key[0]))})[: part.most]

        return edges(part) if part.most is None or part.keys is not None else some_relationships(part, keys, edges)

    def _over(
        self, principal: Principal, theirs: list[Relationship], said: Sequence[Relationship], as_of: int | None
    ) -> list[Relationship]:
        """Those of the base that are there, and over them the versions of the fork."""
        own = [edge for edge in said if as_of is None or edge.changed_at is None or edge.changed_at <= as_of]
        if not own:
            return theirs
        keys = {edge.key for edge in own} - {edge.key for edge in theirs}
        others = self._edges_of(principal, keys, self._at, as_of) if keys else []
        return [edge for edge in united.edges([*theirs, *others], own) if not edge.removed]

    def _edges_of(self, principal: Principal, keys: Collection[EdgeKey], through: int, as_of: int | None) -> list[Relationship]:
        """The versions that the base knew of some edges, removed ones included."""
        found = self._base.relationship_versions(principal, 0, through, keys=keys)
        return [edge for edge in found if as_of is None or edge.changed_at is None or edge.changed_at <= as_of]

    def relationship_rows(self, principal: Principal, *, as_of: int | None = None, known_at: int | None = None) -> pa.Table:
        if self.last_commit(principal) <= self._at:
            return self._base.relationship_rows(principal, as_of=as_of, known_at=self._known(known_at))
        return relationship_rows(self.relationships(principal, as_of=as_of, known_at=known_at))

    def relationship_versions(
        self,
        principal: Principal,
        after: int,
        through: int,
        *,
        sources: Collection[str] | None = None,
        keys: Collection[EdgeKey] | None = None,
    ) -> list[Relationship]:
        of: dict[str, Any] = {"sources": sources, "keys": keys}
        theirs = self._base.relationship_versions(principal, after, min(through, self._at), **of) if after < self._at else []
        own = self._own.relationship_versions(principal, max(after, self._at), through, **of)
        mine = {edge.key for edge in own}
        if not mine:
            return theirs
        return united.edge_versions([*theirs, *self._edges_of(principal, mine, min(after, self._at), None)], own, after)

    def commit_relationships(
        self, principal: Principal, commit: int, source: str, behind: tuple[int | None, str] | None, most: int
    ) -> list[Relationship]:
        return (self._base if commit <= self._at else self._own).commit_relationships(principal, commit, source, behind, most)

    def changed_relationships(
        self,
        principal: Principal,
        after: int,
        through: int,
        *,
        between: tuple[int, int | None] | None = None,
        behind: EdgeKey | None = None,
        most: int,
    ) -> list[EdgeKey]:
        of: dict[str, Any] = {"between": between, "behind": behind, "most": most}
        theirs = self._base.changed_relationships(principal, min(after, self._at), min(through, self._at), **of)
        own = self._own.changed_relationships(principal, max(after, self._at), through, **of) if through > self._at else []
        return sorted({*theirs, *own})[:most]
