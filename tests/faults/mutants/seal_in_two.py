"""A piece of a day is taken away in one transaction, and put back in order in another."""

import time

from twinwright.storage.duckdb_sealing import DuckDBSealing
from twinwright.storage.query import Query


def apply():
    def rewrite(self, principal, table, piece, through):
        name, where = f"readings_{table.number}", "WHERE time >= ? AND time < ? AND twin BETWEEN ? AND ? AND commit <= ?"
        values = [piece.start, piece.end, piece.first, piece.last, through]
        rows = self._arrow(principal, Query(f"SELECT * FROM {name} {where} ORDER BY twin, time, commit", values))
        self._con.execute(f"DELETE FROM {name} {where}", values)
        time.sleep(0.02)
        self._con.register("sealed_rows", rows)
        self._con.execute(f"INSERT INTO {name} SELECT * FROM sealed_rows")
        self._con.unregister("sealed_rows")
        return len(rows)

    DuckDBSealing._rewrite = rewrite
