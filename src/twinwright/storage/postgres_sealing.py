"""Sealing in PostgreSQL: the server rewrites a piece of a day by itself, on a connection that has no lock of the writers'.

A twin's day then lies on neighbouring pages, and what an index of (twin, time) finds is read in one go. VACUUM makes the room of the old
rows free for new ones; the server does that by itself. Rows are not compressed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from twinwright.governance.principals import Principal
from twinwright.storage.layout import ReadingTable
from twinwright.storage.postgres_connections import Connection
from twinwright.storage.postgres_reads import PostgresReads
from twinwright.storage.sealing import DAY, STEP_ROWS, Piece, Unsealed, pieces

DAY_OF_TIME: Final = f"CASE WHEN time >= 0 THEN time / {DAY} ELSE -((-time + {DAY - 1}) / {DAY}) END"  # `/` rounds towards zero


class PostgresSealing(PostgresReads):
    """`unsealed` and `seal`; see `Store`."""

    def unsealed(self, principal: Principal, table: ReadingTable) -> list[Unsealed]:
        rows = self._rows(
            principal,
            f"WITH fresh AS (SELECT {DAY_OF_TIME} AS day, commit FROM readings_{table.number}) "
            "SELECT r.day, count(*), coalesce(max(s.readings), 0)::bigint, max(commit) FROM fresh r "
            "LEFT JOIN sealed s ON s.number = %s AND s.day = r.day WHERE s.through IS NULL OR commit > s.through "
            "GROUP BY r.day ORDER BY r.day",
            table.number,
        )
        return [Unsealed(*row) for row in rows]

    def seal(self, principal: Principal, table: ReadingTable, day: int, most: int = STEP_ROWS) -> Iterator[int]:
        principal.require_write()
        through, moved = self.last_commit(principal), 0
        counts = self._rows(
            principal,
            f"SELECT twin, count(*) FROM readings_{table.number} WHERE time >= %s AND time < %s AND commit <= %s "
            "GROUP BY twin ORDER BY twin",
            *(day * DAY, (day + 1) * DAY, through),
        )
        with self._connections.translated(), contextlib.closing(self._connections.connect()) as connection:
            for piece in pieces(day, counts, most):
                done = _rewrite(connection, table, piece, through)
                moved += done
                yield done
            connection.execute(
                "INSERT INTO sealed VALUES (%s, %s, %s, %s) "
                "ON CONFLICT (number, day) DO UPDATE SET through = excluded.through, readings = excluded.readings",
                [table.number, day, through, moved],
            )


def _rewrite(connection: Connection, table: ReadingTable, piece: Piece, through: int) -> int:
    """One statement, and so one transaction. Two that seal the same: the second finds the rows gone and leaves those of the first."""
    name = f"readings_{table.number}"
    return connection.execute(
        f"WITH moved AS (DELETE FROM {name} WHERE time >= %s AND time < %s AND twin BETWEEN %s AND %s AND commit <= %s RETURNING *) "
        f"INSERT INTO {name} SELECT * FROM moved ORDER BY twin, time, commit",
        [piece.start, piece.end, piece.first, piece.last, through],
    ).rowcount
