"""A series in windows: one value made of those in each."""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa

from twinwright.clock import to_iso
from twinwright.errors import UsageError
from twinwright.twins.quality import Bits, gravest
from twinwright.twins.series import numbers, whole_numbers

AGGREGATES = ("mean", "min", "max", "sum", "count", "first", "last")
_SELECTING = ("min", "max", "first", "last")  # aggregates that give one of the values as it is


def resampled(rows: pa.Table, times: Any, every: int, agg: str, unit: str | None, path: str, bits: Bits) -> dict[str, Any]:
    """`times values unit quality source` of records of one path: an aggregate of the good ones of each window."""
    check_windows(every, agg)
    values, good = numbers(rows, unit, path)
    whole = whole_numbers(rows, unit) if agg in _SELECTING else None
    chosen_from = values if whole is None else pl.Series(whole.to_pylist(), dtype=pl.Int64)
    frame = pl.DataFrame({"window": times // every * every, "value": chosen_from, "good": good, "marks": bits})
    chosen = pl.col("value").filter("good")
    windows = frame.group_by("window", maintain_order=True)
    grouped = windows.agg(value=getattr(chosen, agg)(), marks=pl.col("marks").max()).sort("window")
    return {
        "times": [to_iso(time) for time in grouped["window"].to_list()],
        "values": grouped["value"].to_list(),
        "unit": None if agg == "count" else unit,
        "quality": gravest(grouped["marks"].to_numpy()),
        "source": [None] * len(grouped),
    }


def check_windows(every: int, agg: str) -> None:
    """Raises UsageError for a window that is empty, or an aggregate that there is not."""
    if every <= 0:
        raise UsageError("the window is empty", where="every", remedy="Write it as PT1M, PT1H ...")
    if agg not in AGGREGATES:
        raise UsageError(f"there is no aggregate '{agg}'", where="agg", remedy=f"Use one of {', '.join(AGGREGATES)}")
