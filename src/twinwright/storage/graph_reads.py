"""The reads of twins and relationships that both engines make alike."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from twinwright.governance.principals import Principal
from twinwright.storage.graph_sql import GraphSql
from twinwright.storage.layout import ALL_RELATIONSHIPS, EdgeKey, Lifetime, Relationship, RelationshipPart
from twinwright.storage.query import Query
from twinwright.storage.relationship_parts import some_relationships
from twinwright.storage.rows import relationship


class GraphReads:
    """Part of what an engine reads: see `Store`. An engine says how it is spelled, and finds rows."""

    _graph: ClassVar[GraphSql]

    def _found(self, principal: Principal, query: Query) -> list[tuple[Any, ...]]:
        raise NotImplementedError

    def lifetimes(
        self, principal: Principal, *, twin: str | None = None, as_of: int | None = None, known_at: int | None = None
    ) -> list[Lifetime]:
        return [Lifetime(*row) for row in self._found(principal, self._graph.lifetimes(twin, as_of, known_at))]

    def relationships(
        self,
        principal: Principal,
        part: RelationshipPart = ALL_RELATIONSHIPS,
        *,
        as_of: int | None = None,
        known_at: int | None = None,
    ) -> list[Relationship]:
        def edges(part: RelationshipPart) -> list[Relationship]:
            return self._edges(principal, self._graph.relationships(part, as_of, known_at))

        def keys(part: RelationshipPart) -> list[EdgeKey]:
            return self._keys(principal, self._graph.relationship_keys(part, as_of, known_at))

        return edges(part) if part.most is None else some_relationships(part, keys, edges)

    def changed_twins(self, principal: Principal, commit: int) -> dict[str, int]:
        return dict(self._found(principal, self._graph.changed_twins(commit)))

    def lifetime_versions(self, principal: Principal, after: int, through: int, *, twins: Collection[str] | None = None) -> list[Lifetime]:
        return [Lifetime(*row) for row in self._found(principal, self._graph.lifetime_versions(after, through, twins))]

    def relationship_versions(
        self,
        principal: Principal,
        after: int,
        through: int,
        *,
        sources: Collection[str] | None = None,
        keys: Collection[EdgeKey] | None = None,
    ) -> list[Relationship]:
        return self._edges(principal, self._graph.relationship_versions(after, through, sources, keys))

    def commit_relationships(
        self, principal: Principal, commit: int, source: str, behind: tuple[int | None, str] | None, most: int
    ) -> list[Relationship]:
        return self._edges(principal, self._graph.commit_relationships(commit, source, behind, most))

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
        return self._keys(principal, self._graph.changed_relationships(after, through, between, behind, most))

    def _edges(self, principal: Principal, query: Query) -> list[Relationship]:
        return [relationship(row) for row in self._found(principal, query)]

    def _keys(self, principal: Principal, query: Query) -> list[EdgeKey]:
        return [(source, id) for source, id in self._found(principal, query)]
