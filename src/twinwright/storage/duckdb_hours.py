"""How many readings a contract has of each hour, kept beside the cells so that a restart need not look through history.

`kept_hours` is right through a commit; what came since is counted when it is asked for, and the engine passes over what is older.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import duckdb

from twinwright.clock import HOUR
from twinwright.storage.duckdb_sql import HOUR_OF_TIME
from twinwright.storage.expiry import Expiry
from twinwright.storage.layout import ReadingTable

_THROUGH = "SELECT coalesce(max(through), 0) FROM kept_hours_through WHERE contract = ?"
Rows = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]


def read(rows: Rows, tables: Iterable[ReadingTable], contract: str) -> dict[int, int]:
    """Hours (since the epoch) and how many readings; `rows` answers a query from one snapshot."""
    mine = [table.number for table in tables if table.contract == contract]
    while True:
        through = rows(_THROUGH, [contract])[0][0]
        query, values = f"SELECT hour, sum(n)::BIGINT, ({_THROUGH}) FROM (SELECT hour, readings AS n FROM kept_hours WHERE contract = ?", []
        for number in mine:
            query += f" UNION ALL SELECT {HOUR_OF_TIME} AS hour, count(*) FROM readings_{number} WHERE commit > ? GROUP BY hour"
            values.append(through)
        found = rows(query + ") GROUP BY hour", [contract, contract, *values])
        if all(still == through for *_, still in found):  # else it was kept anew in between
            return {hour: count for hour, count, _ in found}


def keep(con: duckdb.DuckDBPyConnection, tables: Iterable[ReadingTable], contract: str, through: int) -> None:
    """In an open transaction: bring what is kept to a commit."""
    before = _fetch(con, _THROUGH, [contract])[0][0]
    for table in tables:
        if table.contract == contract:
            con.execute(
                f"INSERT INTO kept_hours SELECT ?, {HOUR_OF_TIME} AS hour, count(*) FROM readings_{table.number} "
                "WHERE commit > ? AND commit <= ? GROUP BY hour "
                "ON CONFLICT DO UPDATE SET readings = kept_hours.readings + excluded.readings",
                [contract, before, through],
            )
    con.execute("INSERT OR REPLACE INTO kept_hours_through VALUES (?, ?)", [contract, max(before, through)])


def count_again(con: duckdb.DuckDBPyConnection, tables: Iterable[ReadingTable], expiry: Expiry) -> None:
    """In an open transaction in which something of these hours went."""
    contract, first, last = expiry.table.contract, expiry.start // HOUR, (expiry.before - 1) // HOUR
    through = _fetch(con, _THROUGH, [contract])[0][0]
    con.execute("UPDATE kept_hours SET readings = 0 WHERE contract = ? AND hour BETWEEN ? AND ?", [contract, first, last])
    for table in tables:
        if table.contract == contract:
            con.execute(
                f"INSERT INTO kept_hours SELECT ?, {HOUR_OF_TIME} AS hour, count(*) FROM readings_{table.number} "
                "WHERE commit <= ? AND time >= ? AND time < ? GROUP BY hour "
                "ON CONFLICT DO UPDATE SET readings = kept_hours.readings + excluded.readings",
                [contract, through, first * HOUR, (last + 1) * HOUR],
            )
    con.execute("DELETE FROM kept_hours WHERE contract = ? AND readings = 0", [contract])


def _fetch(con: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    return con.execute(query, list(values)).fetchall()
