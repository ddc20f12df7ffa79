"""The twins and relationships that a store knows, as of an event time and as known at a commit."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import pyarrow as pa

from twinwright.governance.principals import Principal
from twinwright.storage.layout import ALL_RELATIONSHIPS, EdgeKey, Lifetime, Relationship, RelationshipPart


class GraphStore(Protocol):
    """Versions of twins' lifetimes and of the edges between them; what is written of them is in `Transaction`."""

    def lifetimes(
        self, principal: Principal, *, twin: str | None = None, as_of: int | None = None, known_at: int | None = None
    ) -> list[Lifetime]:
        """Every incarnation of all twins or one, by number, in its newest version (alive: `until` None); of what was known at a commit,
        in the version that held at an event time (one that had ended by then included)."""
        ...

    def relationships(
        self,
        principal: Principal,
        part: RelationshipPart = ALL_RELATIONSHIPS,
        *,
        as_of: int | None = None,
        known_at: int | None = None,
    ) -> list[Relationship]:
        """The edges that are there, all or a part, by source and id, in their newest version; those that were at an event time, as known
        at a commit."""
        ...

    def relationship_rows(self, principal: Principal, *, as_of: int | None = None, known_at: int | None = None) -> pa.Table:
        """The same of all in columns, in no order: RELATIONSHIP_SCHEMA."""
        ...

    def changed_twins(self, principal: Principal, commit: int) -> dict[str, int]:
        """The twins of which a commit made versions known, or of relationships that begin at them: how many versions these are."""
        ...

    def lifetime_versions(self, principal: Principal, after: int, through: int, *, twins: Collection[str] | None = None) -> list[Lifetime]:
        """Every version that the commits after one, through another, made known, and of each of these lifetimes the newest that was known
        before; by (number, commit, changed_at). `twins`: of these alone."""
        ...

    def relationship_versions(
        self,
        principal: Principal,
        after: int,
        through: int,
        *,
        sources: Collection[str] | None = None,
        keys: Collection[EdgeKey] | None = None,
    ) -> list[Relationship]:
        """The same of edges, those that were removed included; by (source, id, commit, changed_at). `sources`: of those that begin at these
        twins alone; `keys`: of these alone."""
        ...

    def commit_relationships(
        self, principal: Principal, commit: int, source: str, behind: tuple[int | None, str] | None, most: int
    ) -> list[Relationship]:
        """The versions that one commit made known of edges that begin at a twin, removed ones included, by `changed_at` (None comes first)
        and id: at most so many, from `behind` one on."""
        ...

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
        """The edges of which the commits after one, through another, made a version known; and those of which one that was known by then
        holds from an event time `between` two (the second is not included, None: without end). In order: at most so many, from `behind`
        one on."""
        ...
