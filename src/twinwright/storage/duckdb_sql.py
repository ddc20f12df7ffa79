"""The SQL of the DuckDB engine: its tables, and the reads that are generated from the catalogue.

Values are always bound. Identifiers are never taken from outside: reading tables are numbered by the store and their columns
are `v0, v1, ...`; paths, sources and units appear in SQL only as bound parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from twinwright.clock import HOUR
from twinwright.storage.duckdb_totals import totals_sql
from twinwright.storage.graph_sql import GraphSql
from twinwright.storage.layout import MASK_BITS, ReadingTable, Retraction, Selection
from twinwright.storage.protocol import GOOD, REMOVED
from twinwright.storage.query import Query, sightings_matter
from twinwright.storage.record_text import DIGEST
from twinwright.storage.totals import What

HOUR_OF_TIME = f"CASE WHEN time >= 0 THEN time // {HOUR} ELSE -((-time + {HOUR - 1}) // {HOUR}) END"  # `//` rounds towards zero
WANTED = "wanted_readings"  # a table (twin, time) that a connection is given

FORMAT_VERSION = 3

DDL = """
CREATE TABLE meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);
CREATE TABLE commits (
    number BIGINT NOT NULL, made_at BIGINT NOT NULL, kind VARCHAR NOT NULL, source VARCHAR NOT NULL, principal VARCHAR NOT NULL,
    received BIGINT NOT NULL, accepted BIGINT NOT NULL, duplicate BIGINT NOT NULL, dead_lettered BIGINT NOT NULL,
    late BIGINT NOT NULL, conflict BIGINT NOT NULL, detail VARCHAR NOT NULL);
CREATE TABLE positions (contract VARCHAR NOT NULL, stream VARCHAR NOT NULL, next BIGINT NOT NULL, PRIMARY KEY (contract, stream));
CREATE TABLE journal (
    commit BIGINT NOT NULL, contract VARCHAR NOT NULL, source VARCHAR NOT NULL, revision INTEGER NOT NULL, made_at BIGINT NOT NULL,
    segment INTEGER NOT NULL, "offset" BIGINT NOT NULL, length BIGINT NOT NULL);
CREATE TABLE journal_counts (
    commit BIGINT PRIMARY KEY, received BIGINT NOT NULL, accepted BIGINT NOT NULL, duplicate BIGINT NOT NULL,
    dead_lettered BIGINT NOT NULL, late BIGINT NOT NULL, conflict BIGINT NOT NULL);
CREATE TABLE dead_letters (
    id BIGINT NOT NULL, origin BIGINT NOT NULL, contract VARCHAR NOT NULL, source VARCHAR NOT NULL, revision INTEGER NOT NULL,
    reason VARCHAR NOT NULL, detail VARCHAR NOT NULL, payload BLOB NOT NULL, captures VARCHAR NOT NULL, position VARCHAR NOT NULL,
    made_at BIGINT NOT NULL, status VARCHAR NOT NULL, closed BIGINT);
CREATE TABLE retractions (
    commit BIGINT NOT NULL, contract VARCHAR NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, below INTEGER NOT NULL);
CREATE TABLE reading_tables (
    number INTEGER NOT NULL, contract VARCHAR NOT NULL, source VARCHAR NOT NULL, revision INTEGER NOT NULL, columns VARCHAR NOT NULL,
    UNIQUE (contract, revision));
CREATE TABLE lifetimes (
    number INTEGER NOT NULL, twin VARCHAR NOT NULL, interface VARCHAR NOT NULL, since BIGINT, until BIGINT, commit BIGINT NOT NULL);
CREATE TABLE relationships (
    source VARCHAR NOT NULL, id VARCHAR NOT NULL, name VARCHAR NOT NULL, target VARCHAR NOT NULL, properties VARCHAR NOT NULL,
    commit BIGINT NOT NULL);
CREATE TABLE observed_values (
    commit BIGINT NOT NULL, twin INTEGER NOT NULL, path VARCHAR NOT NULL, time BIGINT NOT NULL, source VARCHAR NOT NULL,
    correction BIGINT NOT NULL, revision INTEGER NOT NULL, kind TINYINT NOT NULL, type VARCHAR NOT NULL,
    num DOUBLE, int BIGINT, txt VARCHAR, unit VARCHAR, lane VARCHAR NOT NULL);
CREATE TABLE records (
    kind VARCHAR NOT NULL, id VARCHAR NOT NULL, body VARCHAR NOT NULL, commit BIGINT NOT NULL, made_at BIGINT NOT NULL,
    principal VARCHAR NOT NULL);
CREATE TABLE cells (
    contract VARCHAR NOT NULL, twin INTEGER NOT NULL, path VARCHAR NOT NULL, time BIGINT NOT NULL, correction BIGINT NOT NULL,
    revision INTEGER NOT NULL, commit BIGINT NOT NULL, kind TINYINT NOT NULL, num DOUBLE, int BIGINT, txt VARCHAR);
CREATE TABLE cells_through (contract VARCHAR PRIMARY KEY, through BIGINT NOT NULL);
"""

UPGRADES = {
    2: """
ALTER TABLE lifetimes ADD COLUMN changed_at BIGINT;
ALTER TABLE relationships ADD COLUMN removed BOOLEAN DEFAULT false;
ALTER TABLE relationships ADD COLUMN changed_at BIGINT;
"""
}  # from a format to the next; `DDL` is the oldest, so that a new store is made as an old one is brought up

RECORD_DIGESTS = f"""
SELECT kind, ('0x' || digest[:16])::UBIGINT AS head, id, commit
FROM (SELECT kind, id, commit, regexp_extract(body, '{DIGEST}', 1) AS digest FROM records) WHERE digest <> ''
"""  # where records are by the digests that they are looked up by: narrow enough to be scanned, which is how this engine looks up

ADDED = f"""
CREATE TABLE IF NOT EXISTS receipts (
    contract VARCHAR NOT NULL, key VARCHAR NOT NULL, digest VARCHAR NOT NULL, receipt VARCHAR NOT NULL, made_at BIGINT NOT NULL,
    PRIMARY KEY (contract, key));
CREATE TABLE IF NOT EXISTS sealed (
    number INTEGER NOT NULL, day BIGINT NOT NULL, through BIGINT NOT NULL, readings BIGINT NOT NULL, PRIMARY KEY (number, day));
CREATE TABLE IF NOT EXISTS rollups (
    width BIGINT NOT NULL, twin INTEGER NOT NULL, path VARCHAR NOT NULL, source VARCHAR NOT NULL, time BIGINT NOT NULL,
    count BIGINT NOT NULL, bad BIGINT NOT NULL, sum DOUBLE, min DOUBLE, max DOUBLE, first DOUBLE, first_at BIGINT, last DOUBLE,
    last_at BIGINT, unit VARCHAR, commit BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS kept_hours (
    contract VARCHAR NOT NULL, hour BIGINT NOT NULL, readings BIGINT NOT NULL, PRIMARY KEY (contract, hour));
CREATE TABLE IF NOT EXISTS checkpoints (consumer VARCHAR NOT NULL, twin INTEGER NOT NULL, time BIGINT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS kept_hours_through (contract VARCHAR PRIMARY KEY, through BIGINT NOT NULL);
ALTER TABLE sealed ADD COLUMN IF NOT EXISTS days BIGINT DEFAULT 1;
ALTER TABLE sealed ADD COLUMN IF NOT EXISTS twins BIGINT DEFAULT 0;
CREATE TABLE IF NOT EXISTS record_digests AS {RECORD_DIGESTS};
"""  # since the format was fixed: a store that is older has none of it, and needs none to be read


GRAPH = GraphSql(
    select="SELECT",
    newest=" QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {order}) = 1",
    pairs="SELECT unnest(?::text[]), unnest(?::text[])",
)


def create_reading_tables(table: ReadingTable) -> Iterable[str]:
    """A table for readings and its twin for further sightings."""
    masks = "".join(f", bad{m} BIGINT NOT NULL" for m in range(table.masks))
    values = "".join(f", v{j} {column.type}" for j, column in enumerate(table.columns))
    for name in ("readings", "sightings"):
        yield (
            f"CREATE TABLE {name}_{table.number} (commit BIGINT NOT NULL, origin BIGINT NOT NULL, twin INTEGER NOT NULL, "
            f"time BIGINT NOT NULL, correction BIGINT NOT NULL, marks TINYINT NOT NULL{masks}{values})"
        )


def visible(table: ReadingTable, retractions: Sequence[Retraction], known_at: int | None, query: Query) -> None:
    """`WHERE` of the rows that count: known by then and not retracted. Few retractions, so plain ranges."""
    query.add(" WHERE true")
    if known_at is not None:
        query.add(" AND commit <= ?", known_at)
    for r in retractions:
        known = known_at is None or r.commit <= known_at
        if known and r.contract == table.contract and table.revision < r.below:
            query.add(" AND NOT (origin BETWEEN ? AND ? AND commit < ?)", r.first, r.last, r.commit)


def _value_columns(table: ReadingTable, j: int) -> str:
    column = table.columns[j]
    num = f"v{j}" if column.type == "DOUBLE" else "NULL"
    whole = f"v{j}" if column.type == "BIGINT" else f"v{j}::BIGINT" if column.type == "BOOLEAN" else "NULL"
    text = f"v{j}" if column.type == "VARCHAR" else "NULL"
    return f"{num}::DOUBLE AS num, {whole}::BIGINT AS int, {text}::VARCHAR AS txt"


def _wide_source(table: ReadingTable, j: int, prefix: str, selection: Selection, retractions: Sequence[Retraction], query: Query) -> None:
    column = table.columns[j]
    bad = f"(bad{j // MASK_BITS} & {1 << (j % MASK_BITS)}) != 0"
    query.add(
        f"SELECT twin, ?::VARCHAR AS path, time, ?::VARCHAR AS source, correction, {table.revision}::INTEGER AS revision, commit, "
        f"CASE WHEN {bad} THEN 0 ELSE 1 END::TINYINT AS kind, ?::VARCHAR AS type, {_value_columns(table, j)}, ?::VARCHAR AS unit "
        f"FROM {prefix}_{table.number}",
        column.path,
        table.source,
        column.type,
        column.unit,
    )
    visible(table, retractions, selection.known_at, query)
    query.add(f" AND (v{j} IS NOT NULL OR {bad})")
    narrow(selection, query)


def narrow(selection: Selection, query: Query) -> None:
    """`AND` of the twins and times that are wanted."""
    if selection.lifetimes is not None:
        if len(selection.lifetimes) == 1:
            query.add(" AND twin = ?", selection.lifetimes[0])
        else:
            query.add(" AND twin IN (SELECT unnest(?::INTEGER[]))", list(selection.lifetimes))
    if selection.start is not None:
        query.add(" AND time >= ?", selection.start)
    if selection.end is not None:
        query.add(" AND time < ?", selection.end)


def single_values(selection: Selection) -> Query:
    """Those of the selection that no contract brought."""
    query = Query(f"SELECT {_COLUMNS} FROM observed_values WHERE lane = ?", [selection.lane])
    if selection.known_at is not None:
        query.add(" AND commit <= ?", selection.known_at)
    if selection.source is not None:
        query.add(" AND source = ?", selection.source)
    if selection.paths is not None:
        query.add(" AND path IN (SELECT unnest(?::VARCHAR[]))", list(selection.paths))
    narrow(selection, query)
    return query


def _all_records(selection: Selection, tables: Sequence[ReadingTable], retractions: Sequence[Retraction], query: Query) -> None:
    """Every visible record of the selection, in long form, sightings included where they matter."""
    single = single_values(selection)
    query.add(single.text, *single.values)
    if selection.lane != "observed":
        return
    for table in tables:
        if selection.source not in (None, table.source):
            continue
        prefixes = ["readings"] + (["sightings"] if sightings_matter(table, tables, retractions) else [])
        for j, column in enumerate(table.columns):
            if selection.paths is None or column.path in selection.paths:
                for prefix in prefixes:
                    query.add(" UNION ALL ")
                    _wide_source(table, j, prefix, selection, retractions, query)


_COLUMNS = "twin, path, time, source, correction, revision, commit, kind, type, num, int, txt, unit"
_VERSION = "correction DESC, revision DESC, kind DESC, num DESC, int DESC, txt DESC, commit"


def history(selection: Selection, tables: Sequence[ReadingTable], retractions: Sequence[Retraction]) -> Query:
    """Law 1: of each key the greatest version; value bytes decide only a true conflict."""
    query = Query().add("WITH every AS (")
    _all_records(selection, tables, retractions, query)
    query.add(
        f"), current AS (SELECT {_COLUMNS} FROM every QUALIFY row_number() OVER "
        f"(PARTITION BY twin, path, time, source ORDER BY {_VERSION}) = 1) SELECT {_COLUMNS} FROM current"
    )
    if selection.good_only:
        query.add(f" WHERE kind = {GOOD}")
    return query.add(" ORDER BY twin, path, time, source")


def window_totals(selection: Selection, tables: Sequence[ReadingTable], retractions: Sequence[Retraction], what: What) -> Query:
    """Of each time of a lifetime the record of the greatest source, and of its versions the greatest; most times have one record alone."""
    query = Query().add("WITH every AS MATERIALIZED (")
    _all_records(selection, tables, retractions, query)
    query.add(
        "), several AS (SELECT twin, time FROM every GROUP BY twin, time HAVING count(*) > 1), "
        "heard AS (SELECT * FROM every ANTI JOIN several USING (twin, time) UNION ALL "
        "SELECT * FROM (SELECT * FROM every SEMI JOIN several USING (twin, time)) "
        f"QUALIFY row_number() OVER (PARTITION BY twin, time ORDER BY source DESC, {_VERSION}) = 1) "
    )
    return query.add(totals_sql("heard", what))


def latest(selection: Selection, tables: Sequence[ReadingTable], retractions: Sequence[Retraction]) -> Query:
    """Law 2: of each (twin, path) the live key greatest in (time, source). With `good_only`, the last good one since a removal."""
    query = Query().add("WITH every AS (")
    _all_records(selection, tables, retractions, query)
    if selection.good_only:
        query.add(
            f"), current AS (SELECT {_COLUMNS} FROM every QUALIFY row_number() OVER "
            f"(PARTITION BY twin, path, time, source ORDER BY {_VERSION}) = 1), "
            f"kept AS (SELECT *, max(CASE WHEN kind = {REMOVED} THEN time END) OVER (PARTITION BY twin, path) AS removed FROM current) "
            f"SELECT {_COLUMNS} FROM kept WHERE kind = {GOOD} AND (removed IS NULL OR time > removed)"
        )
    else:
        query.add(f") SELECT {_COLUMNS} FROM every")
    return query.add(
        f" QUALIFY row_number() OVER (PARTITION BY twin, path ORDER BY time DESC, source DESC, {_VERSION}) = 1 ORDER BY twin, path"
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
    """Visible wide rows of one table, in commit order; sightings too where a retraction may have hidden the first one. What is asked for
    by twin and time stands in WANTED."""
    query = Query()
    prefixes = ["readings"] + (["sightings"] if sightings_matter(table, tables, retractions) else [])
    for index, prefix in enumerate(prefixes):
        query.add(" UNION ALL " if index else "")
        query.add(f"SELECT {', '.join(table.names)} FROM {prefix}_{table.number}")
        if at is not None:
            query.add(f" SEMI JOIN {WANTED} USING (twin, time)")
        visible(table, retractions, known_at, query)
        if at is not None and len(at[1]):
            twins, times = at
            for name, low, high in (("twin", twins.min(), twins.max()), ("time", times.min(), times.max())):
                query.add(f" AND {name} BETWEEN ? AND ?", int(low), int(high))  # lets the engine skip row groups
        after, through = commits
        if after is not None:
            query.add(" AND commit > ?", after)
        if through is not None:
            query.add(" AND commit <= ?", through)
        if hours is not None:
            _in_hours(sorted(hours), query)
    return query.add(" ORDER BY commit")


def _in_hours(hours: Sequence[int], query: Query) -> None:
    """Ranges let the engine skip row groups; many scattered hours become one range and a set."""
    if not hours:
        query.add(" AND false")
        return
    query.add(" AND time >= ? AND time < ?", hours[0] * HOUR, (hours[-1] + 1) * HOUR)
    if hours[-1] - hours[0] + 1 != len(hours):
        query.add(f" AND {HOUR_OF_TIME} IN (SELECT unnest(?::BIGINT[]))", list(hours))


def touched(after: int, through: int, tables: Sequence[ReadingTable], retractions: Sequence[Retraction]) -> Query:
    """TOUCHED_SCHEMA: keys of the rows that a range of commits wrote, and of those that it hid."""
    query = Query().add(
        'SELECT 0::INTEGER AS "table", lane, path, twin, time, max(commit) AS commit FROM observed_values '
        "WHERE commit > ? AND commit <= ? GROUP BY lane, path, twin, time",
        after,
        through,
    )
    for table in tables:
        head = f" SELECT {table.number}::INTEGER, 'observed', NULL::VARCHAR, twin, time, max(commit) FROM ("
        prefixes = ["readings"] + (["sightings"] if sightings_matter(table, tables, retractions) else [])
        query.add(" UNION ALL" + head)
        for prefix in prefixes:
            query.add(f"SELECT twin, time, commit FROM {prefix}_{table.number} WHERE commit > ? AND commit <= ? UNION ALL ", after, through)
        for r in retractions:
            if after < r.commit <= through and r.contract == table.contract and table.revision < r.below:
                for prefix in prefixes:
                    query.add(f"SELECT twin, time, {r.commit}::BIGINT AS commit FROM {prefix}_{table.number} ")
                    query.add("WHERE origin BETWEEN ? AND ? AND commit < ? UNION ALL ", r.first, r.last, r.commit)
        query.add("SELECT 0 AS twin, 0 AS time, 0 AS commit WHERE false) GROUP BY twin, time")
    return query


def hidden_by(retraction: Retraction, tables: Sequence[ReadingTable], retractions: Sequence[Retraction]) -> Query:
    """(superseded, retracted): hidden (twin, time) at which the replay's commit says something, and says nothing."""
    earlier = [one for one in retractions if one.commit < retraction.commit]
    mine = [table for table in tables if table.contract == retraction.contract]
    query = Query().add("WITH hidden AS (SELECT 0 AS twin, 0 AS time WHERE false")
    for table in (table for table in mine if table.revision < retraction.below):
        _add_keys(query, table, earlier)
        query.add(" AND origin BETWEEN ? AND ? AND commit < ?", retraction.first, retraction.last, retraction.commit)
    query.add("), said AS (SELECT 0 AS twin, 0 AS time WHERE false")
    for table in mine:
        _add_keys(query, table, ())
        query.add(" AND commit = ?", retraction.commit)
    return query.add(
        ") SELECT count(*) FILTER (WHERE s.twin IS NOT NULL), count(*) FILTER (WHERE s.twin IS NULL) "
        "FROM hidden h LEFT JOIN said s ON h.twin = s.twin AND h.time = s.time"
    )


def _add_keys(query: Query, table: ReadingTable, retractions: Sequence[Retraction]) -> None:
    """UNION of the (twin, time) of a table; the caller goes on with the condition. Sightings share these with readings, or are
    the only trace of a reading whose first sighting another replay hid."""
    query.add(f" UNION SELECT twin, time FROM (SELECT * FROM readings_{table.number} UNION ALL SELECT * FROM sightings_{table.number})")
    visible(table, retractions, None, query)
