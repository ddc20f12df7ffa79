"""Sealing in one DuckDB file: rows are read and sorted beside ingestion, and take its turn only to be put in the place of what they were.

The engine keeps the least and the greatest of each column for every 122,880 rows. In the order of arrival all of them have all twins; in
the order of (twin, time) a read of one twin's day looks into one or two. The blocks of what was deleted serve the next that is written.

Of 2,048 neighbouring rows it packs the times and commits together, in as many bits as they span. So the rows of every second twin go back
in time: where one twin ends and the next begins, time does not jump.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

import duckdb

from twinwright.governance.principals import Principal
from twinwright.storage.duckdb_errors import translated
from twinwright.storage.duckdb_reads import DuckDBReads
from twinwright.storage.layout import ReadingTable
from twinwright.storage.query import Query
from twinwright.storage.sealing import DAY, STEP_ROWS, Piece, Sealed, Unsealed, pieces

DAY_OF_TIME: Final = f"CASE WHEN time >= 0 THEN time // {DAY} ELSE -((-time + {DAY - 1}) // {DAY}) END"  # `//` rounds towards zero
_ORDER: Final = "twin, CASE WHEN twin % 2 = 0 THEN -time ELSE time END, CASE WHEN twin % 2 = 0 THEN -commit ELSE commit END"


class DuckDBSealing(DuckDBReads):
    """`unsealed`, `sealed` and `seal`; see `Store`."""

    days_together = 32
    _writer: threading.RLock

    def unsealed(self, principal: Principal, table: ReadingTable) -> list[Unsealed]:
        rows = self._rows(
            principal,
            "WITH known AS (SELECT unnest(range(day, day + days)) AS day, day AS first, days, through, readings FROM sealed "
            f"WHERE number = ?), fresh AS (SELECT {DAY_OF_TIME} AS day, commit FROM readings_{table.number}) "
            "SELECT coalesce(first, day) AS first_day, coalesce(any_value(days), 1), count(*), coalesce(any_value(readings), 0), "
            "max(commit) FROM fresh LEFT JOIN known USING (day) WHERE through IS NULL OR commit > through "
            "GROUP BY first_day ORDER BY first_day",
            [table.number],
        )
        return [Unsealed(*row) for row in rows]

    def sealed(self, principal: Principal, table: ReadingTable) -> list[Sealed]:
        found = self._rows(principal, "SELECT day, days, readings, twins FROM sealed WHERE number = ? ORDER BY day", [table.number])
        return [Sealed(*row) for row in found]

    def seal(self, principal: Principal, table: ReadingTable, day: int, most: int = STEP_ROWS, days: int = 1) -> Iterator[int]:
        principal.require_write()
        through, moved, start, end = self._last, 0, day * DAY, (day + days) * DAY
        counts = self._rows(
            principal,
            f"SELECT twin, count(*) FROM readings_{table.number} WHERE time >= ? AND time < ? AND commit <= ? GROUP BY twin ORDER BY twin",
            [start, end, through],
        )
        for piece in pieces(start, end, counts, most):
            done = self._rewrite(principal, table, piece, through)
            moved += done
            yield done
        with self._sealing():
            self._con.execute("DELETE FROM sealed WHERE number = ? AND day < ? AND day + days > ?", [table.number, day + days, day])
            row = [table.number, day, through, moved, days, len(counts)]
            self._con.execute("INSERT INTO sealed (number, day, through, readings, days, twins) VALUES (?, ?, ?, ?, ?, ?)", row)

    def _rewrite(self, principal: Principal, table: ReadingTable, piece: Piece, through: int) -> int:
        name, where = f"readings_{table.number}", "WHERE time >= ? AND time < ? AND twin BETWEEN ? AND ? AND commit <= ?"
        values = [piece.start, piece.end, piece.first, piece.last, through]
        rows = self._arrow(principal, Query(f"SELECT * FROM {name} {where} ORDER BY {_ORDER}", values))
        with self._sealing():
            deleted = self._con.execute(f"DELETE FROM {name} {where}", values).fetchall()[0][0]
            if deleted != len(rows):  # something expired meanwhile: what was read would bring it back
                raise _Changed
            self._con.register("sealed_rows", rows)
            try:
                self._con.execute(f"INSERT INTO {name} SELECT * FROM sealed_rows")
            finally:
                self._con.unregister("sealed_rows")
        return len(rows)

    @contextlib.contextmanager
    def _sealing(self) -> Iterator[None]:
        """One transaction that changes nothing that is read; all of it or, after `_Changed` too, nothing."""
        with self._writer, translated(self._path), contextlib.suppress(_Changed):
            self._con.execute("BEGIN")
            try:
                yield
                self._con.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    self._con.execute("ROLLBACK")
                raise


class _Changed(Exception):  # noqa: N818 - no error: the next pass does it
    """Not what was read a moment ago."""
