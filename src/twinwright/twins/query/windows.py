"""`HISTORY(T.path, 'PT1H', 'avg')`: one number per twin of what was observed in the window that ends now, or at AS OF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import polars as pl
import pyarrow as pa

from twinwright import units
from twinwright.governance.principals import Principal
from twinwright.storage.layout import Selection
from twinwright.storage.totals import What
from twinwright.storage.united import frame
from twinwright.twins.query.conditions import Window

_TOTALS: Final[Mapping[str, What]] = {"min": "min", "max": "max", "first": "first", "last": "last"}  # others by sum and count
_TOGETHER: Final[Mapping[str, pl.Expr]] = {
    "avg": pl.col("v").sum() / pl.col("count").sum(),
    "count": pl.col("count").sum().cast(pl.Float64),
    "sum": pl.col("v").sum(),
    "min": pl.col("v").min(),
    "max": pl.col("v").max(),
    "first": pl.col("v").sort_by("at").first(),
    "last": pl.col("v").sort_by("at").last(),
}


class Totals(Protocol):
    """A store, or one under the present versions of interfaces."""

    def window_totals(self, principal: Principal, selection: Selection, what: What) -> pa.Table:
        """As the store's."""
        ...


def window_table(
    store: Totals, principal: Principal, window: Window, end: int, twins: Sequence[int] | None, known_at: int | None
) -> pa.Table:
    """`n`, `v`: of each lifetime (some or all) that has good values at `end - duration` < event time <= `end` (microseconds) their
    aggregate, in the unit of the window. Where several sources speak of one time, the greatest name is heard (law 2)."""
    lifetimes = None if twins is None else tuple(twins)
    selection = Selection(lifetimes, (window.path,), window.lane, end - window.duration + 1, end + 1, known_at)
    what = _TOTALS.get(window.aggregate, "sum")
    found = frame(store.window_totals(principal, selection, what))
    parts = [_in_unit(part, window.unit, what) for part in found.partition_by("unit")] or [_in_unit(found, None, what)]
    rows = pl.concat(parts)
    if len(parts) == 1:  # each twin once
        value = {"avg": pl.col("v") / pl.col("count"), "count": pl.col("count").cast(pl.Float64)}.get(window.aggregate, pl.col("v"))
        return rows.select(pl.col("twin").alias("n"), value.alias("v")).to_arrow()
    return rows.group_by("twin").agg(_TOGETHER[window.aggregate].alias("v")).rename({"twin": "n"}).to_arrow()


def _in_unit(part: pl.DataFrame, unit: str | None, what: What) -> pl.DataFrame:
    """Totals that were in one unit, `v` in another."""
    given = part["unit"][0] if len(part) else unit
    affine = units.converter(given, unit)
    values = part["value"].to_numpy()
    if not affine.is_identity:
        counts = part["count"].to_numpy() if what == "sum" else 1
        values = affine.apply(values / counts) * counts
    return part.select("twin", "count", "at", pl.Series("v", values, pl.Float64))
