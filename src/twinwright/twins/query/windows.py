"""`HISTORY(T.path, 'PT1H', 'avg')`: one number per twin of what was observed in the window that ends now, or at AS OF."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twinwright import units
from twinwright.governance.principals import Principal
from twinwright.storage.layout import Selection
from twinwright.storage.protocol import GOOD, Store
from twinwright.twins.query.conditions import Window

_AGGREGATES = {
    "avg": "avg(v)",
    "min": "min(v)",
    "max": "max(v)",
    "sum": "sum(v)",
    "count": "count(*)",
    "first": "arg_min(v, time)",
    "last": "arg_max(v, time)",
}


def window_table(
    store: Store, principal: Principal, window: Window, end: int, twins: Sequence[int] | None, known_at: int | None
) -> pa.Table:
    """`n`, `v`: of each lifetime (some or all) that has good values at `end - duration` < event time <= `end` (microseconds) their
    aggregate, in the unit of the window. Where several sources speak of one time, the greatest name is heard (law 2)."""
    lifetimes = None if twins is None else tuple(twins)
    selection = Selection(lifetimes, (window.path,), window.lane, end - window.duration + 1, end + 1, known_at)
    rows = store.history(principal, selection)
    numeric = pc.and_(pc.equal(rows["kind"], GOOD), pc.is_in(rows["type"], pa.array(["DOUBLE", "BIGINT"])))
    several = len(pc.unique(rows["source"])) > 1
    if not several:
        rows = rows.filter(numeric)
    values = pc.coalesce(rows["num"], rows["int"].cast(pa.float64(), safe=False)).to_numpy(zero_copy_only=False)
    for unit in pc.unique(rows["unit"]).to_pylist():
        affine = units.converter(unit, window.unit)
        if not affine.is_identity:
            mine = (pc.is_null(rows["unit"]) if unit is None else pc.equal(rows["unit"], unit)).to_numpy(zero_copy_only=False)
            values = np.where(mine.astype(np.bool_), affine.apply(values), values)
    given = pa.table({"n": rows["twin"], "time": rows["time"], "source": rows["source"], "kind": rows["kind"], "v": pa.array(values)})
    with duckdb.connect(":memory:", config={"enable_external_access": "false"}) as connection:
        connection.register("given", given)
        heard = "given"
        if several:
            heard = (
                f"(SELECT * FROM (SELECT * FROM given QUALIFY row_number() OVER (PARTITION BY n, time ORDER BY source DESC) = 1)"
                f" WHERE kind = {GOOD} AND v IS NOT NULL)"
            )
        sql = f"SELECT n, {_AGGREGATES[window.aggregate]} AS v FROM {heard} GROUP BY n"
        return connection.sql(sql).to_arrow_table()
