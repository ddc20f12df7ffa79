"""Expiry and roll-ups in PostgreSQL. VACUUM makes the room of what is gone free for what is written next; the server does it by itself."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from twinwright.clock import HOUR
from twinwright.storage.expiry import ROLLUP_SCHEMA, Expiry
from twinwright.storage.layout import ReadingTable
from twinwright.storage.postgres_connections import Connection
from twinwright.storage.postgres_copy import packed
from twinwright.storage.postgres_sql import HOUR_OF_TIME
from twinwright.storage.query import Query

COLUMNS = ", ".join(f'"{name}"' for name in ROLLUP_SCHEMA.names)
_KEY = "width, twin, path, source, time"


def let_go(connection: Connection, expiry: Expiry, tables: Sequence[ReadingTable]) -> int:
    """In an open transaction; of how many readings something went. `tables` are all there are."""
    gone = [_let_go(connection, expiry, f"{prefix}_{expiry.table.number}") for prefix in ("readings", "sightings")]
    _count_hours(connection, expiry, tables)
    return gone[0]


def _let_go(connection: Connection, expiry: Expiry, name: str) -> int:
    where = chosen(expiry, Query())
    if expiry.whole:
        return connection.execute(f"DELETE FROM {name}{where.text}", where.values).rowcount
    changed = connection.execute(f"UPDATE {name} SET {expiry.emptied}{where.text} AND ({expiry.said})", where.values).rowcount
    connection.execute(f"DELETE FROM {name}{where.text} AND {expiry.empty}", where.values)
    return changed


def _count_hours(connection: Connection, expiry: Expiry, tables: Sequence[ReadingTable]) -> None:
    contract, bounds = expiry.table.contract, [expiry.start // HOUR, (expiry.before - 1) // HOUR]
    connection.execute("DELETE FROM reading_hours WHERE contract = %s AND hour BETWEEN %s AND %s", [contract, *bounds])
    for table in tables:
        if table.contract == contract:
            connection.execute(
                f"INSERT INTO reading_hours SELECT %s, {HOUR_OF_TIME} AS hour, count(*) FROM readings_{table.number} "
                "WHERE time >= %s AND time < %s GROUP BY hour "
                "ON CONFLICT (contract, hour) DO UPDATE SET readings = reading_hours.readings + excluded.readings",
                [contract, bounds[0] * HOUR, (bounds[1] + 1) * HOUR],
            )


def chosen(expiry: Expiry, query: Query) -> Query:
    query.add(" WHERE time >= %s AND time < %s AND twin = ANY(%s::integer[])", expiry.start, expiry.before, list(expiry.twins))
    kept = "(SELECT * FROM unnest(%s::integer[], %s::bigint[]))"
    return query.add(f" AND (twin, time) NOT IN {kept}", *(column.tolist() for column in expiry.kept))


def put_rollups(connection: Connection, commit: int, rows: pa.Table) -> None:
    """In an open transaction: in the place of those with the same width, twin, path, source and time."""
    rows = rows.select(ROLLUP_SCHEMA.names).cast(ROLLUP_SCHEMA)
    if not len(rows):
        return
    connection.execute("CREATE TEMPORARY TABLE fresh_rollups (LIKE rollups) ON COMMIT DROP")
    rows = rows.append_column("commit", pa.array([commit] * len(rows), pa.int64()))
    with connection.cursor() as cursor, cursor.copy(f"COPY fresh_rollups ({COLUMNS}, commit) FROM STDIN (FORMAT BINARY)".encode()) as copy:
        copy.write(packed(rows).data)
    connection.execute(f"DELETE FROM rollups WHERE ({_KEY}) IN (SELECT {_KEY} FROM fresh_rollups)")
    connection.execute("INSERT INTO rollups SELECT * FROM fresh_rollups")
    connection.execute("DROP TABLE fresh_rollups")


def let_go_rollups(connection: Connection, width: int, twins: Sequence[int], path: str, before: int) -> int:
    """In an open transaction: those of a width that end by a time; how many."""
    where = "width = %s AND path = %s AND time + width <= %s AND twin = ANY(%s::integer[])"
    return connection.execute(f"DELETE FROM rollups WHERE {where}", [width, path, before, list(twins)]).rowcount
