"""The SQL of the PostgreSQL engine: its migrations, and the reads that are generated from the catalogue.

Values are always parameters. Identifiers are never taken from outside: reading tables are numbered by the store and their columns are
`v0, v1, ...`; paths, sources and units appear in SQL only as parameters. Text is compared by its bytes, whatever the database's language.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinwright.clock import HOUR
from twinwright.storage import postgres_bulk
from twinwright.storage.layout import (
    ALL_RELATIONSHIPS,
    MASK_BITS,
    ColumnType,
    EdgeKey,
    ReadingTable,
    RelationshipPart,
    Retraction,
    Selection,
)
from twinwright.storage.protocol import BAD, GOOD, REMOVED
from twinwright.storage.query import Query, sightings_matter
from twinwright.storage.record_text import DIGEST
from twinwright.storage.rows import LIFETIME, RELATIONSHIP, RELATIONSHIP_ROW
from twinwright.storage.totals import What

HOUR_OF_TIME = f"CASE WHEN time >= 0 THEN time / {HOUR} ELSE -((-time + {HOUR - 1}) / {HOUR}) END"  # `/` rounds towards zero

_FEW = 16  # twins
_TEXT = 'text COLLATE "C"'
_COUNTS = "received bigint NOT NULL, accepted bigint NOT NULL, duplicate bigint NOT NULL, dead_lettered bigint NOT NULL, " + (
    "late bigint NOT NULL, conflict bigint NOT NULL"
)
RECORD_DIGEST = f"substring(body from '{DIGEST}')"
# Each is applied once, in order, and never changed afterwards: what a later version needs is one more at the end.
MIGRATIONS: tuple[str, ...] = (
    f"""
CREATE TABLE commits (
    number bigint PRIMARY KEY, made_at bigint NOT NULL, kind {_TEXT} NOT NULL, source {_TEXT} NOT NULL, principal {_TEXT} NOT NULL,
    {_COUNTS}, detail {_TEXT} NOT NULL, batch uuid NOT NULL);
CREATE INDEX ON commits (made_at);
CREATE TABLE reading_hours (contract {_TEXT} NOT NULL, hour bigint NOT NULL, readings bigint NOT NULL, PRIMARY KEY (contract, hour));
CREATE TABLE positions (contract {_TEXT} NOT NULL, stream {_TEXT} NOT NULL, next bigint NOT NULL, PRIMARY KEY (contract, stream));
CREATE TABLE journal (
    commit bigint NOT NULL, contract {_TEXT} NOT NULL, source {_TEXT} NOT NULL, revision integer NOT NULL, made_at bigint NOT NULL,
    day integer NOT NULL, {_COUNTS}, PRIMARY KEY (contract, commit));
CREATE INDEX ON journal (commit);
CREATE TABLE dead_letters (
    id bigint PRIMARY KEY, origin bigint NOT NULL, contract {_TEXT} NOT NULL, source {_TEXT} NOT NULL, revision integer NOT NULL,
    reason {_TEXT} NOT NULL, detail {_TEXT} NOT NULL, payload bytea NOT NULL, captures {_TEXT} NOT NULL, position {_TEXT} NOT NULL,
    made_at bigint NOT NULL, status {_TEXT} NOT NULL, closed bigint);
CREATE INDEX ON dead_letters (status, contract, origin);
CREATE TABLE retractions (
    commit bigint NOT NULL, contract {_TEXT} NOT NULL, first bigint NOT NULL, last bigint NOT NULL, below integer NOT NULL);
CREATE TABLE reading_tables (
    number integer PRIMARY KEY, contract {_TEXT} NOT NULL, source {_TEXT} NOT NULL, revision integer NOT NULL, columns {_TEXT} NOT NULL,
    UNIQUE (contract, revision));
CREATE TABLE lifetimes (
    number integer NOT NULL, twin {_TEXT} NOT NULL, interface {_TEXT} NOT NULL, since bigint, until bigint, commit bigint NOT NULL);
CREATE TABLE relationships (
    source {_TEXT} NOT NULL, id {_TEXT} NOT NULL, name {_TEXT} NOT NULL, target {_TEXT} NOT NULL, properties {_TEXT} NOT NULL,
    commit bigint NOT NULL);
CREATE TABLE observed_values (
    commit bigint NOT NULL, twin integer NOT NULL, path {_TEXT} NOT NULL, time bigint NOT NULL, source {_TEXT} NOT NULL,
    correction bigint NOT NULL, revision integer NOT NULL, kind smallint NOT NULL, type {_TEXT} NOT NULL,
    num double precision, whole bigint, txt {_TEXT}, unit {_TEXT}, lane {_TEXT} NOT NULL);
CREATE INDEX ON observed_values (twin, time);
CREATE TABLE records (
    kind {_TEXT} NOT NULL, id {_TEXT} NOT NULL, body {_TEXT} NOT NULL, commit bigint NOT NULL, made_at bigint NOT NULL,
    principal {_TEXT} NOT NULL);
CREATE INDEX ON records (kind, id, commit);
CREATE TABLE cells (
    contract {_TEXT} NOT NULL, twin integer NOT NULL, path {_TEXT} NOT NULL, time bigint NOT NULL, correction bigint NOT NULL,
    revision integer NOT NULL, commit bigint NOT NULL, kind smallint NOT NULL, num double precision, whole bigint, txt {_TEXT});
CREATE INDEX ON cells (contract, twin);
CREATE TABLE cells_through (contract {_TEXT} PRIMARY KEY, through bigint NOT NULL);
CREATE TABLE receipts (
    contract {_TEXT} NOT NULL, key {_TEXT} NOT NULL, digest {_TEXT} NOT NULL, receipt {_TEXT} NOT NULL, made_at bigint NOT NULL,
    PRIMARY KEY (contract, key));
CREATE INDEX ON receipts (made_at);
""",
    "CREATE TABLE sealed (number integer NOT NULL, day bigint NOT NULL, through bigint NOT NULL, readings bigint NOT NULL, "
    "PRIMARY KEY (number, day));",
    f"""
CREATE TABLE rollups (
    width bigint NOT NULL, twin integer NOT NULL, path {_TEXT} NOT NULL, source {_TEXT} NOT NULL, time bigint NOT NULL,
    count bigint NOT NULL, bad bigint NOT NULL, sum double precision, min double precision, max double precision,
    first double precision, first_at bigint, last double precision, last_at bigint, unit {_TEXT}, commit bigint NOT NULL);
CREATE INDEX ON rollups (twin, path, time);
""",
    """
ALTER TABLE lifetimes ADD COLUMN changed_at bigint;
ALTER TABLE relationships ADD COLUMN removed boolean NOT NULL DEFAULT false, ADD COLUMN changed_at bigint;
CREATE INDEX ON lifetimes (twin);
""",
    """
CREATE INDEX ON lifetimes (commit);
CREATE INDEX ON lifetimes (number);
CREATE INDEX ON relationships (commit);
CREATE INDEX ON relationships (source, id);
CREATE INDEX ON records (commit);
""",
    f"CREATE TABLE checkpoints (consumer {_TEXT} NOT NULL, twin integer NOT NULL, time bigint NOT NULL, body bytea NOT NULL, "
    "PRIMARY KEY (consumer, twin, time));",
    postgres_bulk.MIGRATION,
    "ALTER TABLE sealed ADD COLUMN days bigint NOT NULL DEFAULT 1, ADD COLUMN twins bigint NOT NULL DEFAULT 0;",
    f"CREATE INDEX ON records (kind, {RECORD_DIGEST});",
)
_TYPES: dict[ColumnType, str] = {"DOUBLE": "double precision", "BIGINT": "bigint", "BOOLEAN": "boolean", "VARCHAR": _TEXT}


def lifetimes(twin: str | None, as_of: int | None, known_at: int | None) -> Query:
    """The newest version of each, of those that held by an event time and were known at a commit."""
    query = Query(f"SELECT DISTINCT ON (number) {LIFETIME} FROM lifetimes WHERE true")
    if twin is not None:
        query.add(" AND twin = %s", twin)
    _versions(as_of, known_at, query)
    return query.add(f" ORDER BY number, {_NEWEST_VERSION}")


def relationships(part: RelationshipPart, as_of: int | None, known_at: int | None) -> Query:
    """The same of edges, without those that were removed; however many there are."""
    return _edges(RELATIONSHIP, part, as_of, known_at).add(" ORDER BY source, id")


def relationship_keys(part: RelationshipPart, as_of: int | None, known_at: int | None) -> Query:
    """The keys of those, and of others that were removed or are called otherwise: as many as are asked for."""
    query = _of_part(Query("SELECT DISTINCT source, id FROM relationships WHERE true"), part)
    _versions(as_of, known_at, query)
    return query.add(" ORDER BY source, id LIMIT %s", part.most)


def relationship_rows(as_of: int | None, known_at: int | None) -> Query:
    """As RELATIONSHIP_SCHEMA has them, in no order."""
    return _edges(RELATIONSHIP_ROW, ALL_RELATIONSHIPS, as_of, known_at)


def _edges(columns: str, part: RelationshipPart, as_of: int | None, known_at: int | None) -> Query:
    query = Query(f"SELECT {columns} FROM (SELECT DISTINCT ON (source, id) * FROM relationships WHERE true")
    _of_part(query, part)
    _versions(as_of, known_at, query)
    query.add(f" ORDER BY source, id, {_NEWEST_VERSION}) AS newest WHERE NOT removed")
    return query if part.name is None else query.add(" AND name = %s", part.name)


def _of_part(query: Query, part: RelationshipPart) -> Query:
    if part.source is not None:
        query.add(" AND source = %s", part.source)
    if part.keys is not None:
        query.add(_IN_KEYS, *_columns_of(part.keys))
    if part.behind is not None:
        query.add(" AND (source, id) > (%s, %s)", *part.behind)
    return query


def changed_twins(commit: int) -> Query:
    """How many versions a commit has of each twin and of what begins at it."""
    query = Query("SELECT twin, count(*) FROM (SELECT twin FROM lifetimes WHERE commit = %s", [commit])
    return query.add(" UNION ALL SELECT source FROM relationships WHERE commit = %s) AS changed GROUP BY twin", commit)


def lifetime_versions(after: int, through: int, twins: Collection[str] | None = None) -> Query:
    """Those of a range of commits, and the one before them."""
    return _changed_versions("lifetimes", LIFETIME, "number", after, through, "twin", twins)


def relationship_versions(
    after: int, through: int, sources: Collection[str] | None = None, keys: Collection[EdgeKey] | None = None
) -> Query:
    """The same of edges, removed ones included."""
    of, asked = ("", []) if keys is None else (_IN_KEYS, _columns_of(keys))
    return _changed_versions("relationships", RELATIONSHIP, "source, id", after, through, "source", sources, of, asked)


_IN_KEYS = " AND (source, id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"


def _columns_of(keys: Collection[EdgeKey]) -> list[list[str]]:
    return [[source for source, _ in keys], [id for _, id in keys]]


def commit_relationships(commit: int, source: str, behind: tuple[int | None, str] | None, most: int) -> Query:
    """The versions of one commit of the edges of one twin."""
    query = Query(f"SELECT {RELATIONSHIP} FROM relationships WHERE commit = %s AND source = %s", [commit, source])
    if behind is not None:
        at, id = behind
        query.add(f" AND (coalesce(changed_at, {_ALWAYS}), id) > (%s, %s)", _ALWAYS if at is None else at, id)
    return query.add(f" ORDER BY coalesce(changed_at, {_ALWAYS}), id LIMIT %s", most)


_ALWAYS = -(2**62)  # before every event time


def changed_relationships(after: int, through: int, between: tuple[int, int | None] | None, behind: EdgeKey | None, most: int) -> Query:
    """The keys of those of which something is said by commits, or from an event time on."""
    query = Query("SELECT DISTINCT source, id FROM relationships WHERE ((commit > %s AND commit <= %s)", [after, through])
    if between is not None:
        query.add(" OR (commit <= %s AND changed_at >= %s", through, between[0])
        query.add(")" if between[1] is None else " AND changed_at < %s)", *([] if between[1] is None else [between[1]]))
    query.add(")")
    if behind is not None:
        query.add(" AND (source, id) > (%s, %s)", *behind)
    return query.add(" ORDER BY source, id LIMIT %s", most)


def _changed_versions(
    table: str,
    columns: str,
    key: str,
    after: int,
    through: int,
    owner: str,
    owners: Collection[str] | None,
    of: str = "",
    asked: Sequence[Any] = (),
) -> Query:
    """`of` is a further condition, with the values `asked`."""
    if owners is not None:
        of, asked = f"{of} AND {owner} IN (SELECT unnest(%s::text[]))", [*asked, list(owners)]
    query = Query().add(f"SELECT * FROM (SELECT {columns} FROM {table} WHERE commit > %s AND commit <= %s{of}", after, through, *asked)
    query.add(f" UNION ALL SELECT {columns} FROM (SELECT DISTINCT ON ({key}) * FROM {table} WHERE commit <= %s{of}", after, *asked)
    query.add(f" AND ({key}) IN (SELECT {key} FROM {table} WHERE commit > %s AND commit <= %s{of})", after, through, *asked)
    query.add(f" ORDER BY {key}, {_NEWEST_VERSION}) AS before) AS versions")
    return query.add(f" ORDER BY {key}, commit, changed_at NULLS FIRST")


_NEWEST_VERSION = "changed_at DESC NULLS LAST, commit DESC"


def _versions(as_of: int | None, known_at: int | None, query: Query) -> None:
    if as_of is not None:
        query.add(" AND (changed_at IS NULL OR changed_at <= %s)", as_of)
    if known_at is not None:
        query.add(" AND commit <= %s", known_at)


def create_reading_tables(table: ReadingTable) -> Iterable[str]:
    """A table for readings with that for large batches of them, and its twin for further sightings."""
    masks = "".join(f", bad{m} bigint NOT NULL DEFAULT 0" for m in range(table.masks))
    values = "".join(f", v{j} {_TYPES[column.type]}" for j, column in enumerate(table.columns))
    for name in ("readings", "sightings"):
        yield (
            f"CREATE TABLE {name}_{table.number} (commit bigint NOT NULL, origin bigint NOT NULL, twin integer NOT NULL, "
            f"time bigint NOT NULL, correction bigint NOT NULL DEFAULT 0, marks smallint NOT NULL DEFAULT 0{masks}{values})"
        )
        # Hardly two rows have the same key, so that looking for them at each split is work for nothing.
        yield f"CREATE INDEX ON {name}_{table.number} (twin, time) WITH (deduplicate_items = off)"
        yield f"CREATE INDEX ON {name}_{table.number} USING brin (time, commit) WITH (pages_per_range = 32, autosummarize = on)"
    yield postgres_bulk.create(table.number)


def create_journal_day(day: int) -> str:
    """Frames of one day of receive time, in a table that is dropped whole. They are compressed already."""
    return (
        f"CREATE TABLE IF NOT EXISTS journal_{day} (contract {_TEXT} NOT NULL, commit bigint NOT NULL, frames bytea NOT NULL);"
        f"ALTER TABLE journal_{day} ALTER COLUMN frames SET STORAGE EXTERNAL;"
        f"CREATE INDEX IF NOT EXISTS journal_{day}_at ON journal_{day} (commit)"
    )


def visible(table: ReadingTable, retractions: Sequence[Retraction], known_at: int | None, query: Query) -> None:
    """`WHERE` of the rows that count: known by then and not retracted. Few retractions, so plain ranges."""
    query.add(" WHERE true")
    if known_at is not None:
        query.add(" AND commit <= %s", known_at)
    for r in retractions:
        known = known_at is None or r.commit <= known_at
        if known and r.contract == table.contract and table.revision < r.below:
            query.add(" AND NOT (origin BETWEEN %s AND %s AND commit < %s)", r.first, r.last, r.commit)


def is_few(selection: Selection) -> bool:
    """Whether it is of so few twins that a read goes to the pages where they are."""
    return selection.lifetimes is not None and len(selection.lifetimes) <= _FEW


def _value(table: ReadingTable, j: int, query: Query) -> None:
    """One path of a row as a record has it: what is the same for all rows are parameters."""
    column = table.columns[j]
    num, whole, text = (f"v{j}" if column.type in types else "NULL" for types in (("DOUBLE",), ("BIGINT", "BOOLEAN"), ("VARCHAR",)))
    query.add(
        f'(%s::text COLLATE "C", (CASE WHEN {_is_bad(j)} THEN {BAD} ELSE {GOOD} END)::smallint, %s::text, {num}::double precision, '
        f'{whole}::{"integer::" if column.type == "BOOLEAN" else ""}bigint, {text}::text COLLATE "C", %s::text, '
        f"v{j} IS NOT NULL OR {_is_bad(j)})",
        column.path,
        column.type,
        column.unit,
    )


def _is_bad(j: int) -> str:
    return f"(bad{j // MASK_BITS} & {1 << (j % MASK_BITS)}) <> 0"


def _wide_source(
    table: ReadingTable, columns: Sequence[int], prefix: str, selection: Selection, retractions: Sequence[Retraction], query: Query
) -> None:
    """The records of some columns of a table, by one scan of it. For few twins that is a quarter of the server's time that a scan for each
    of six columns takes; for all of them it is half as much again."""
    query.add(
        f'SELECT twin, path, time, %s::text COLLATE "C" AS source, correction, {table.revision} AS revision, commit, kind, type, num, '
        f"whole, txt, unit FROM {prefix}_{table.number} CROSS JOIN LATERAL (VALUES ",
        table.source,
    )
    for index, j in enumerate(columns):
        query.add(", " if index else "")
        _value(table, j, query)
    query.add(") AS told (path, kind, type, num, whole, txt, unit, said)")
    visible(table, retractions, selection.known_at, query)
    query.add(" AND said")
    _narrow(selection, query)


def _narrow(selection: Selection, query: Query) -> None:
    if selection.lifetimes is not None:
        query.add(" AND twin = ANY(%s::integer[])", list(selection.lifetimes))
    if selection.start is not None:
        query.add(" AND time >= %s", selection.start)
    if selection.end is not None:
        query.add(" AND time < %s", selection.end)


_COLUMNS = "twin, path, time, source, correction, revision, commit, kind, type, num, whole, txt, unit"
CELL_COLUMNS = "twin, path, time, correction, revision, commit, kind, num, whole, txt"
_VERSION = "correction DESC, revision DESC, kind DESC, num DESC NULLS LAST, whole DESC NULLS LAST, txt DESC NULLS LAST, commit"
_CURRENT = f"SELECT DISTINCT ON (twin, path, time, source) {_COLUMNS} FROM every ORDER BY twin, path, time, source, {_VERSION}"
_NEWEST = f"SELECT DISTINCT ON (twin, path) {_COLUMNS} FROM {{}} ORDER BY twin, path, time DESC, source DESC, {_VERSION}"


def _every(selection: Selection, tables: Sequence[ReadingTable], retractions: Sequence[Retraction]) -> Query:
    """`WITH every AS` each visible record of the selection, in long form, sightings included where they matter."""
    query = Query().add(f"WITH every AS (SELECT {_COLUMNS} FROM observed_values WHERE lane = %s", selection.lane)
    if selection.known_at is not None:
        query.add(" AND commit <= %s", selection.known_at)
    if selection.source is not None:
        query.add(" AND source = %s", selection.source)
    if selection.paths is not None:
        query.add(" AND path = ANY(%s::text[])", list(selection.paths))
    _narrow(selection, query)
    for table in tables if selection.lane == "observed" else ():
        if selection.source not in (None, table.source):
            continue
        prefixes = ["readings"] + (["sightings"] if sightings_matter(table, tables, retractions) else [])
        columns = [j for j, column in enumerate(table.columns) if selection.paths is None or column.path in selection.paths]
        scans = [columns] if columns and is_few(selection) else [[j] for j in columns]
        for prefix, scanned in product(prefixes, scans):
            query.add(" UNION ALL ")
            _wide_source(table, scanned, prefix, selection, retractions, query)
    return query.add(")")


def history(selection: Selection, tables: Sequence[ReadingTable], retractions: Sequence[Retraction]) -> Query:
    """Law 1: of each key the greatest version; value bytes decide only a true conflict."""
    query = _every(selection, tables, retractions)
    query.add(f", current AS ({_CURRENT}) SELECT {_COLUMNS} FROM current")
    if selection.good_only:
        query.add(f" WHERE kind = {GOOD}")
    return query.add(" ORDER BY twin, path, time, source")


def window_totals(selection: Selection, tables: Sequence[ReadingTable], retractions: Sequence[Retraction], what: What) -> Query:
    """Of each time of a lifetime the record of the greatest source, and of its versions the greatest."""
    query = _every(selection, tables, retractions)
    query.add(f", heard AS (SELECT DISTINCT ON (twin, time) * FROM every ORDER BY twin, time, source DESC, {_VERSION})")
    value, at = {
        "first": ("(array_agg(v ORDER BY time))[1]", "min(time)"),
        "last": ("(array_agg(v ORDER BY time DESC))[1]", "max(time)"),
    }.get(what, (f"{what}(v)", "NULL::bigint"))
    numbers = "SELECT twin, time, unit, coalesce(num, whole::double precision) AS v FROM heard"
    numbers += f" WHERE kind = {GOOD} AND type IN ('DOUBLE', 'BIGINT')"
    return query.add(f" SELECT twin, unit, count(*), {value}, {at} FROM ({numbers}) AS numbers GROUP BY twin, unit")


def latest(selection: Selection, tables: Sequence[ReadingTable], retractions: Sequence[Retraction]) -> Query:
    """Law 2: of each (twin, path) the live key greatest in (time, source). With `good_only`, the last good one since a removal."""
    query = _every(selection, tables, retractions)
    if not selection.good_only:
        return query.add(f" {_NEWEST.format('every')}")
    return query.add(
        f", current AS ({_CURRENT}), known AS (SELECT *, max(CASE WHEN kind = {REMOVED} THEN time END) OVER (PARTITION BY twin, path) "
        f"AS removed FROM current), good AS (SELECT * FROM known WHERE kind = {GOOD} AND (removed IS NULL OR time > removed)) "
        f"{_NEWEST.format('good')}"
    )


def readings(
    table: ReadingTable,
    tables: Sequence[ReadingTable],
    retractions: Sequence[Retraction],
    hours: Sequence[int] | None,
    at: tuple[NDArray[np.int32], NDArray[np.int64]] | None,
    commits: tuple[int | None, int | None],
    known_at: int | None = None,
) -> Query:
    """Visible wide rows of one table, in commit order; sightings too where a retraction may have hidden the first one."""
    query = Query()
    prefixes = ["readings"] + (["sightings"] if sightings_matter(table, tables, retractions) else [])
    for index, prefix in enumerate(prefixes):
        query.add(" UNION ALL " if index else "")
        query.add(f"SELECT {', '.join(table.names)} FROM {prefix}_{table.number}")
        visible(table, retractions, known_at, query)
        if at is not None:
            query.add(" AND (twin, time) IN (SELECT * FROM unnest(%s::integer[], %s::bigint[]))", at[0].tolist(), at[1].tolist())
        after, through = commits
        if after is not None:
            query.add(" AND commit > %s", after)
        if through is not None:
            query.add(" AND commit <= %s", through)
        if hours is not None:
            _in_hours(sorted(hours), query)
    return query.add(" ORDER BY commit")


def _in_hours(hours: Sequence[int], query: Query) -> None:
    """A range, which an index of ranges narrows; many scattered hours are a set within it."""
    if not hours:
        query.add(" AND false")
        return
    query.add(" AND time >= %s AND time < %s", hours[0] * HOUR, (hours[-1] + 1) * HOUR)
    if hours[-1] - hours[0] + 1 != len(hours):
        query.add(f" AND {HOUR_OF_TIME} = ANY(%s::bigint[])", list(hours))


def touched(after: int, through: int, tables: Sequence[ReadingTable], retractions: Sequence[Retraction]) -> Query:
    """TOUCHED_SCHEMA: keys of the rows that a range of commits wrote, and of those that it hid."""
    query = Query().add(
        'SELECT 0::integer AS "table", lane, path, twin, time, max(commit) AS commit FROM observed_values '
        "WHERE commit > %s AND commit <= %s GROUP BY lane, path, twin, time",
        after,
        through,
    )
    for table in tables:
        head = f" SELECT {table.number}::integer, 'observed'::text, NULL::text, twin, time, max(commit) FROM ("
        prefixes = ["readings"] + (["sightings"] if sightings_matter(table, tables, retractions) else [])
        query.add(" UNION ALL" + head)
        for prefix in prefixes:
            query.add(
                f"SELECT twin, time, commit FROM {prefix}_{table.number} WHERE commit > %s AND commit <= %s UNION ALL ", after, through
            )
        for r in retractions:
            if after < r.commit <= through and r.contract == table.contract and table.revision < r.below:
                for prefix in prefixes:
                    query.add(f"SELECT twin, time, {r.commit}::bigint AS commit FROM {prefix}_{table.number} ")
                    query.add("WHERE origin BETWEEN %s AND %s AND commit < %s UNION ALL ", r.first, r.last, r.commit)
        query.add("SELECT 0, 0::bigint, 0::bigint WHERE false) AS rows GROUP BY twin, time")
    return query


def hidden_by(retraction: Retraction, tables: Sequence[ReadingTable], retractions: Sequence[Retraction]) -> Query:
    """(superseded, retracted): hidden (twin, time) at which the replay's commit says something, and says nothing."""
    earlier = [one for one in retractions if one.commit < retraction.commit]
    mine = [table for table in tables if table.contract == retraction.contract]
    query = Query().add("WITH hidden AS (SELECT 0 AS twin, 0::bigint AS time WHERE false")
    for table in (table for table in mine if table.revision < retraction.below):
        _add_keys(query, table, earlier)
        query.add(" AND origin BETWEEN %s AND %s AND commit < %s", retraction.first, retraction.last, retraction.commit)
    query.add("), said AS (SELECT 0 AS twin, 0::bigint AS time WHERE false")
    for table in mine:
        _add_keys(query, table, ())
        query.add(" AND commit = %s", retraction.commit)
    return query.add(
        ") SELECT count(*) FILTER (WHERE s.twin IS NOT NULL), count(*) FILTER (WHERE s.twin IS NULL) "
        "FROM hidden h LEFT JOIN said s ON h.twin = s.twin AND h.time = s.time"
    )


def _add_keys(query: Query, table: ReadingTable, retractions: Sequence[Retraction]) -> None:
    """UNION of the (twin, time) of a table; the caller goes on with the condition. Sightings share these with readings, or are
    the only trace of a reading whose first sighting another replay hid."""
    both = f"SELECT * FROM readings_{table.number} UNION ALL SELECT * FROM sightings_{table.number}"
    query.add(f" UNION SELECT twin, time FROM ({both}) AS both_{table.number}")
    visible(table, retractions, None, query)
