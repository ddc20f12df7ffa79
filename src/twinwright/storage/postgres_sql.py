"""The SQL of the PostgreSQL engine: its migrations, and the reads that are generated from the catalogue.

Values are always parameters. Identifiers are never taken from outside: reading tables are numbered by the store and their columns are
`v0, v1, ...`; paths, sources and units appear in SQL only as parameters. Text is compared by its bytes, whatever the database's language.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from twinwright.clock import HOUR
from twinwright.storage import postgres_blocks, postgres_bulk
from twinwright.storage.graph_sql import GraphSql
from twinwright.storage.layout import MASK_BITS, ColumnType, ReadingTable, Retraction, Selection
from twinwright.storage.protocol import BAD, GOOD, REMOVED
from twinwright.storage.query import Query, sightings_matter
from twinwright.storage.record_text import DIGEST
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
    postgres_blocks.MIGRATION,
)
_TYPES: dict[ColumnType, str] = {"DOUBLE": "double precision", "BIGINT": "bigint", "BOOLEAN": "boolean", "VARCHAR": _TEXT}


GRAPH = GraphSql(
    select="SELECT DISTINCT ON ({key})",
    newest=" ORDER BY {key}, {order}",
    pairs="SELECT * FROM unnest(?::text[], ?::text[])",
)


def spelled(query: Query) -> Query:
    """One of `GRAPH` as the driver takes it."""
    return Query(query.text.replace("?", "%s"), query.values)


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
        if at is not None and len(at[1]):
            query.add(" AND time BETWEEN %s AND %s", int(at[1].min()), int(at[1].max()))  # which an index of ranges narrows
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
