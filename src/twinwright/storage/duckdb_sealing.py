"""Sealing in one DuckDB file: rows are read and sorted beside ingestion, and take its turn only to be put in the place of what they were.

The engine keeps the least and the greatest of each column for every 122,880 rows. In the order of arrival all of them have all twins; in
the order of (twin, time) a read of one twin's day looks into one or two. The blocks of what was deleted serve the next that is written.
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
from twinwright.storage.sealing import DAY, STEP_ROWS, Piece, Unsealed, pieces

DAY_OF_TIME: Final = f"CASE WHEN time >= 0 THEN time // {DAY} ELSE -((-time + {DAY - 1}) // {DAY}) END"  # `//` rounds towards zero


class DuckDBSealing(DuckDBReads):
    """`unsealed` and `seal`; see `Store`."""

    _writer: threading.RLock

    def unsealed(self, principal: Principal, table: ReadingTable) -> list[Unsealed]:
        rows = self._rows(
            principal,
            f"WITH fresh AS (SELECT {DAY_OF_TIME} AS day, commit FROM readings_{table.number}) "
            "SELECT r.day, count(*), coalesce(any_value(s.readings), 0), max(commit) FROM fresh r "
            "LEFT JOIN sealed s ON s.number = ? AND s.day = r.day WHERE s.through IS NULL OR commit > s.through "
            "GROUP BY r.day ORDER BY r.day",
            [table.number],
        )
        return [Unsealed(*row) for row in rows]

    def seal(self, principal: Principal, table: ReadingTable, day: int, most: int = STEP_ROWS) -> Iterator[int]:
        principal.require_write()
        through, moved = self._last, 0
        counts = self._rows(
            principal,
            f"SELECT twin, count(*) FROM readings_{table.number} WHERE time >= ? AND time < ? AND commit <= ? GROUP BY twin ORDER BY twin",
            [day * DAY, (day + 1) * DAY, through],
        )
        for piece in pieces(day, counts, most):
            done = self._rewrite(principal, table, piece, through)
            moved += done
            yield done
        with self._sealing():
            self._con.execute("INSERT OR REPLACE INTO sealed VALUES (?, ?, ?, ?)", [table.number, day, through, moved])

    def _rewrite(self, principal: Principal, table: ReadingTable, piece: Piece, through: int) -> int:
        name, where = f"readings_{table.number}", "WHERE time >= ? AND time < ? AND twin BETWEEN ? AND ? AND commit <= ?"
        values = [piece.start, piece.end, piece.first, piece.last, through]
        rows = self._arrow(principal, Query(f"SELECT * FROM {name} {where} ORDER BY twin, time, commit", values))
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
