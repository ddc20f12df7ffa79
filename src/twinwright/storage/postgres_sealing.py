"""Sealing in PostgreSQL: the server rewrites a piece of a day by itself, on a connection that has no lock of the writers'.

A twin's day then lies on neighbouring pages, and what an index of (twin, time) finds is read in one go. VACUUM makes the room of the old
rows free for new ones; the server does that by itself. Rows are not compressed: several days together would take as much room as they do
one by one, and an index finds a twin's day in either.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from twinwright.governance.principals import Principal
from twinwright.storage.layout import ReadingTable
from twinwright.storage.postgres_connections import Connection
from twinwright.storage.postgres_reads import PostgresReads
from twinwright.storage.sealing import DAY, STEP_ROWS, Piece, Sealed, Unsealed, pieces

DAY_OF_TIME: Final = f"CASE WHEN time >= 0 THEN time / {DAY} ELSE -((-time + {DAY - 1}) / {DAY}) END"  # `/` rounds towards zero


class PostgresSealing(PostgresReads):
    """`unsealed`, `sealed` and `seal`; see `Store`."""

    days_together = 1

    def unsealed(self, principal: Principal, table: ReadingTable) -> list[Unsealed]:
        rows = self._rows(
            principal,
            "WITH known AS (SELECT generate_series(day, day + days - 1) AS day, day AS first, days, through, readings FROM sealed "
            f"WHERE number = %s), fresh AS (SELECT {DAY_OF_TIME} AS day, commit FROM readings_{table.number}) "
            "SELECT coalesce(first, day) AS first_day, coalesce(max(days), 1)::bigint, count(*), coalesce(max(readings), 0)::bigint, "
            "max(commit) FROM fresh LEFT JOIN known USING (day) WHERE through IS NULL OR commit > through "
            "GROUP BY first_day ORDER BY first_day",
            table.number,
        )
        return [Unsealed(*row) for row in rows]

    def sealed(self, principal: Principal, table: ReadingTable) -> list[Sealed]:
        rows = self._rows(principal, "SELECT day, days, readings, twins FROM sealed WHERE number = %s ORDER BY day", table.number)
        return [Sealed(*row) for row in rows]

    def seal(self, principal: Principal, table: ReadingTable, day: int, most: int = STEP_ROWS, days: int = 1) -> Iterator[int]:
        principal.require_write()
        through, moved, start, end = self.last_commit(principal), 0, day * DAY, (day + days) * DAY
        counts = self._rows(
            principal,
            f"SELECT twin, count(*) FROM readings_{table.number} WHERE time >= %s AND time < %s AND commit <= %s "
            "GROUP BY twin ORDER BY twin",
            *(start, end, through),
        )
        with self._connections.translated(), contextlib.closing(self._connections.connect()) as connection:
            for piece in pieces(start, end, counts, most):
                done = _rewrite(connection, table, piece, through)
                moved += done
                yield done
            connection.execute(
                "WITH gone AS (DELETE FROM sealed WHERE number = %s AND day < %s AND day + days > %s AND day <> %s) "
                "INSERT INTO sealed (number, day, through, readings, days, twins) VALUES (%s, %s, %s, %s, %s, %s) "
                "ON CONFLICT (number, day) DO UPDATE SET through = excluded.through, readings = excluded.readings, "
                "days = excluded.days, twins = excluded.twins",
                [table.number, day + days, day, day, table.number, day, through, moved, days, len(counts)],
            )


def _rewrite(connection: Connection, table: ReadingTable, piece: Piece, through: int) -> int:
    """One statement, and so one transaction. Two that seal the same: the second finds the rows gone and leaves those of the first."""
    name = f"readings_{table.number}"
    return connection.execute(
        f"WITH moved AS (DELETE FROM {name} WHERE time >= %s AND time < %s AND twin BETWEEN %s AND %s AND commit <= %s RETURNING *) "
        f"INSERT INTO {name} SELECT * FROM moved ORDER BY twin, time, commit",
        [piece.start, piece.end, piece.first, piece.last, through],
    ).rowcount
