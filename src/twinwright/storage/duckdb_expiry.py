"""Expiry and roll-ups in one DuckDB file. Blocks of what is gone serve what is written next, or go at a start (`duckdb_smaller`)."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from twinwright.storage.expiry import ROLLUP_SCHEMA, Expiry
from twinwright.storage.query import Query

COLUMNS = ", ".join(ROLLUP_SCHEMA.names)


def let_go(con: duckdb.DuckDBPyConnection, expiry: Expiry) -> int:
    """In an open transaction; of how many readings something went."""
    gone = [_let_go(con, expiry, f"{prefix}_{expiry.table.number}") for prefix in ("readings", "sightings")]
    return gone[0]


def _let_go(con: duckdb.DuckDBPyConnection, expiry: Expiry, name: str) -> int:
    where = chosen(expiry, Query())
    if expiry.whole:
        return int(con.execute(f"DELETE FROM {name}{where.text}", where.values).fetchall()[0][0])
    changed = con.execute(f"UPDATE {name} SET {expiry.emptied}{where.text} AND ({expiry.said})", where.values).fetchall()
    con.execute(f"DELETE FROM {name}{where.text} AND {expiry.empty}", where.values)
    return int(changed[0][0])


def chosen(expiry: Expiry, query: Query) -> Query:
    query.add(" WHERE time >= ? AND time < ? AND twin IN (SELECT unnest(?::INTEGER[]))", expiry.start, expiry.before, list(expiry.twins))
    kept = "(SELECT unnest(?::INTEGER[]), unnest(?::BIGINT[]))"
    return query.add(f" AND (twin, time) NOT IN {kept}", *(column.tolist() for column in expiry.kept))


def put_rollups(con: duckdb.DuckDBPyConnection, commit: int, rows: pa.Table) -> None:
    """In an open transaction: in the place of those with the same width, twin, path, source and time."""
    rows = rows.select(ROLLUP_SCHEMA.names).cast(ROLLUP_SCHEMA)
    con.register("fresh_rollups", rows)
    try:
        con.execute(
            "DELETE FROM rollups WHERE (width, twin, path, source, time) IN (SELECT width, twin, path, source, time FROM fresh_rollups)"
        )
        con.execute(f"INSERT INTO rollups ({COLUMNS}, commit) SELECT *, ? FROM fresh_rollups", [commit])
    finally:
        con.unregister("fresh_rollups")


def let_go_rollups(con: duckdb.DuckDBPyConnection, width: int, twins: Sequence[int], path: str, before: int) -> int:
    """In an open transaction: those of a width that end by a time; how many."""
    where = "width = ? AND path = ? AND time + width <= ? AND twin IN (SELECT unnest(?::INTEGER[]))"
    return int(con.execute(f"DELETE FROM rollups WHERE {where}", [width, path, before, list(twins)]).fetchall()[0][0])
