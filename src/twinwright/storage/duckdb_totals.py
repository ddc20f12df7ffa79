"""What the numbers of a window come to, in SQL of DuckDB: over its tables, or over records that were read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from twinwright.storage.protocol import GOOD
from twinwright.storage.totals import TOTAL_SCHEMA, What

_VALUES: Final[Mapping[What, tuple[str, str]]] = {
    "first": ("arg_min(v, time)", "min(time)"),
    "last": ("arg_max(v, time)", "max(time)"),
}


def totals_of(rows: pa.Table, what: What) -> pa.Table:
    """TOTAL_SCHEMA of records of one path (RECORD_SCHEMA), by lifetime and unit: of the good numbers. Where several sources speak of one
    time, the greatest name is heard (law 2)."""
    import duckdb  # not for who has another engine, and nothing to add up

    columns = {name: rows[name] for name in ("twin", "time", "source", "kind", "type", "num", "int", "unit")}
    with duckdb.connect(":memory:", config={"enable_external_access": "false"}) as connection:
        connection.register("given", pa.table(columns))
        heard = "(SELECT * FROM given QUALIFY row_number() OVER (PARTITION BY twin, time ORDER BY source DESC) = 1)"
        return connection.sql(totals_sql(heard, what)).to_arrow_table().cast(TOTAL_SCHEMA)


def totals_sql(heard: str, what: What) -> str:
    """Over the record that is heard of each lifetime and time."""
    value, at = _VALUES.get(what, (f"{what}(v)", "NULL::BIGINT"))
    numbers = f"SELECT twin, time, unit, coalesce(num, int::DOUBLE) AS v FROM {heard} WHERE kind = {GOOD} AND type IN ('DOUBLE', 'BIGINT')"
    return f"SELECT twin, unit, count(*) AS count, {value} AS value, {at} AS at FROM ({numbers}) GROUP BY twin, unit"
