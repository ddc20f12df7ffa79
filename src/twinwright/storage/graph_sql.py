"""The SQL of twins and relationships, whose versions are rows of two tables: what both engines say alike, and how the newest is chosen.

Values are bound where there is a `?`; nothing else in these texts is one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from twinwright.storage.layout import ALL_RELATIONSHIPS, EdgeKey, RelationshipPart
from twinwright.storage.query import Query
from twinwright.storage.rows import LIFETIME, RELATIONSHIP, RELATIONSHIP_ROW

_NEWEST: Final = "changed_at DESC NULLS LAST, commit DESC"
_ALWAYS: Final = -(2**62)  # before every event time
_EDGE: Final = "source, id"


@dataclass(frozen=True, slots=True)
class GraphSql:
    """`select` begins a read of the newest version by a key, `newest` ends it, `{key}` and `{order}` in both; `pairs` gives two bound
    lists of text as rows."""

    select: str
    newest: str
    pairs: str

    def lifetimes(self, twin: str | None, as_of: int | None, known_at: int | None) -> Query:
        """The newest version of each, of those that held by an event time and were known at a commit."""
        query = Query(f"SELECT {LIFETIME} FROM ({self._select('number')} * FROM lifetimes WHERE true")
        if twin is not None:
            query.add(" AND twin = ?", twin)
        _versions(as_of, known_at, query)
        return query.add(f"{self._newest('number')}) AS newest ORDER BY number")

    def relationships(self, part: RelationshipPart, as_of: int | None, known_at: int | None) -> Query:
        """The same of edges, without those that were removed; however many there are."""
        return self._edges(RELATIONSHIP, part, as_of, known_at).add(f" ORDER BY {_EDGE}")

    def relationship_keys(self, part: RelationshipPart, as_of: int | None, known_at: int | None) -> Query:
        """The keys of those, and of others that were removed or are called otherwise: as many as are asked for."""
        query = self._of_part(Query(f"SELECT DISTINCT {_EDGE} FROM relationships WHERE true"), part)
        _versions(as_of, known_at, query)
        return query.add(f" ORDER BY {_EDGE} LIMIT ?", part.most)

    def relationship_rows(self, as_of: int | None, known_at: int | None) -> Query:
        """As RELATIONSHIP_SCHEMA has them, in no order."""
        return self._edges(RELATIONSHIP_ROW, ALL_RELATIONSHIPS, as_of, known_at)

    def changed_twins(self, commit: int) -> Query:
        """How many versions a commit has of each twin and of what begins at it."""
        query = Query("SELECT twin, count(*) FROM (SELECT twin FROM lifetimes WHERE commit = ?", [commit])
        return query.add(" UNION ALL SELECT source FROM relationships WHERE commit = ?) AS changed GROUP BY twin", commit)

    def lifetime_versions(self, after: int, through: int, twins: Collection[str] | None) -> Query:
        """Those of a range of commits, and the one before them."""
        return self._changed("lifetimes", LIFETIME, "number", after, through, *_among("twin", twins))

    def relationship_versions(self, after: int, through: int, sources: Collection[str] | None, keys: Collection[EdgeKey] | None) -> Query:
        """The same of edges, removed ones included."""
        of, asked = _among("source", sources)
        if keys is not None:
            of, asked = of + self._in_keys, [*asked, *_columns_of(keys)]
        return self._changed("relationships", RELATIONSHIP, _EDGE, after, through, of, asked)

    def commit_relationships(self, commit: int, source: str, behind: tuple[int | None, str] | None, most: int) -> Query:
        """The versions of one commit of the edges of one twin."""
        query = Query(f"SELECT {RELATIONSHIP} FROM relationships WHERE commit = ? AND source = ?", [commit, source])
        if behind is not None:
            at, id = behind
            query.add(f" AND (coalesce(changed_at, {_ALWAYS}), id) > (?, ?)", _ALWAYS if at is None else at, id)
        return query.add(f" ORDER BY coalesce(changed_at, {_ALWAYS}), id LIMIT ?", most)

    def changed_relationships(
        self, after: int, through: int, between: tuple[int, int | None] | None, behind: EdgeKey | None, most: int
    ) -> Query:
        """The keys of those of which something is said by commits, or from an event time on."""
        query = Query(f"SELECT DISTINCT {_EDGE} FROM relationships WHERE ((commit > ? AND commit <= ?)", [after, through])
        if between is not None:
            first, last = between
            query.add(" OR (commit <= ? AND changed_at >= ?", through, first)
            query.add(")") if last is None else query.add(" AND changed_at < ?)", last)
        query.add(")")
        if behind is not None:
            query.add(f" AND ({_EDGE}) > (?, ?)", *behind)
        return query.add(f" ORDER BY {_EDGE} LIMIT ?", most)

    def _select(self, key: str) -> str:
        return self.select.format(key=key)

    def _newest(self, key: str) -> str:
        return self.newest.format(key=key, order=_NEWEST)

    @property
    def _in_keys(self) -> str:
        return f" AND ({_EDGE}) IN ({self.pairs})"

    def _edges(self, columns: str, part: RelationshipPart, as_of: int | None, known_at: int | None) -> Query:
        query = self._of_part(Query(f"SELECT {columns} FROM ({self._select(_EDGE)} * FROM relationships WHERE true"), part)
        _versions(as_of, known_at, query)
        query.add(f"{self._newest(_EDGE)}) AS newest WHERE NOT removed")
        return query if part.name is None else query.add(" AND name = ?", part.name)

    def _of_part(self, query: Query, part: RelationshipPart) -> Query:
        if part.source is not None:
            query.add(" AND source = ?", part.source)
        if part.keys is not None:
            query.add(self._in_keys, *_columns_of(part.keys))
        if part.behind is not None:
            query.add(f" AND ({_EDGE}) > (?, ?)", *part.behind)
        return query

    def _changed(self, table: str, columns: str, key: str, after: int, through: int, of: str, asked: Sequence[Any]) -> Query:
        """`of` is a further condition, with the values `asked`."""
        fresh = f"FROM {table} WHERE commit > ? AND commit <= ?{of}"
        query = Query().add(f"SELECT * FROM (SELECT {columns} {fresh}", after, through, *asked)
        query.add(f" UNION ALL SELECT {columns} FROM ({self._select(key)} * FROM {table} WHERE commit <= ?{of}", after, *asked)
        query.add(f" AND ({key}) IN (SELECT {key} {fresh})", after, through, *asked)
        return query.add(f"{self._newest(key)}) AS earlier) AS versions ORDER BY {key}, commit, changed_at NULLS FIRST")


def _versions(as_of: int | None, known_at: int | None, query: Query) -> None:
    if as_of is not None:
        query.add(" AND (changed_at IS NULL OR changed_at <= ?)", as_of)
    if known_at is not None:
        query.add(" AND commit <= ?", known_at)


def _among(column: str, values: Collection[str] | None) -> tuple[str, list[list[str]]]:
    return ("", []) if values is None else (f" AND {column} IN (SELECT unnest(?::text[]))", [list(values)])


def _columns_of(keys: Collection[EdgeKey]) -> list[list[str]]:
    return [[source for source, _ in keys], [id for _, id in keys]]
