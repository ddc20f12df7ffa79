"""What is read of expiry and roll-ups in one DuckDB file."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from twinwright.governance.principals import Principal
from twinwright.storage.duckdb_expiry import COLUMNS, chosen
from twinwright.storage.duckdb_reads import DuckDBReads
from twinwright.storage.expiry import ROLLUP_SCHEMA, Expiry
from twinwright.storage.query import Query


class DuckDBRollUps(DuckDBReads):
    """`expirable` and `rollups`; see `Store`."""

    def expirable(self, principal: Principal, expiry: Expiry) -> int:
        query = chosen(expiry, Query(f"SELECT count(*) FROM readings_{expiry.table.number}"))
        return int(self._rows(principal, f"{query.text} AND ({expiry.said})", query.values)[0][0])

    def rollups(self, principal: Principal, twins: Sequence[int], path: str, start: int | None, end: int | None) -> pa.Table:
        query = Query(f"SELECT {COLUMNS} FROM rollups WHERE path = ? AND twin IN (SELECT unnest(?::INTEGER[]))", [path, list(twins)])
        query.add(" AND (? IS NULL OR time + width > ?) AND (? IS NULL OR time < ?) ", start, start, end, end)
        return self._arrow(principal, query.add("ORDER BY width, twin, source, time")).cast(ROLLUP_SCHEMA)
