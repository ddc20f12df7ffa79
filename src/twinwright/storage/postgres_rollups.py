"""What is read of expiry and roll-ups in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from twinwright.governance.principals import Principal
from twinwright.storage.expiry import ROLLUP_SCHEMA, Expiry
from twinwright.storage.postgres_expiry import COLUMNS, chosen
from twinwright.storage.postgres_reads import PostgresReads
from twinwright.storage.query import Query


class PostgresRollUps(PostgresReads):
    """`expirable` and `rollups`; see `Store`."""

    def expirable(self, principal: Principal, expiry: Expiry) -> int:
        query = chosen(expiry, Query(f"SELECT count(*) FROM readings_{expiry.table.number}"))
        return int(self._rows(principal, f"{query.text} AND ({expiry.said})", *query.values)[0][0])

    def rollups(self, principal: Principal, twins: Sequence[int], path: str, start: int | None, end: int | None) -> pa.Table:
        query = Query(f"SELECT {COLUMNS} FROM rollups WHERE path = %s AND twin = ANY(%s::integer[])", [path, list(twins)])
        if start is not None:
            query.add(" AND time + width > %s", start)
        if end is not None:
            query.add(" AND time < %s", end)
        query.add(" ORDER BY width, twin, source, time")
        return self._arrow(principal, ROLLUP_SCHEMA, lambda _: query)
