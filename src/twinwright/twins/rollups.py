"""Roll-ups: what is kept of values whose raw form is let go of, and windows that are made of them and of raw values together.

Of each source, twin and path: how many good and bad values there are, their sum, the least and greatest, the first and last. These add up:
a window that is a multiple of their width has from them what it would have from the values (a mean as sum over count, in doubles).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from twinwright import units
from twinwright.clock import to_iso
from twinwright.errors import RefusedError
from twinwright.storage.expiry import ROLLUP_SCHEMA
from twinwright.storage.protocol import REMOVED
from twinwright.twins.series import numbers

_PARTS: Final = ("count", "bad", "sum", "min", "max", "first", "first_at", "last", "last_at")


def roll_up(rows: pa.Table, width: int, unit: str | None, path: str) -> pa.Table:
    """Current records of one path (RECORD_SCHEMA, any twins and sources) as ROLLUP_SCHEMA, in `unit`; of texts only counts."""
    rows = rows.filter(pa.compute.not_equal(rows["kind"], REMOVED))
    if "VARCHAR" in rows["type"].unique().to_pylist():
        unit, good = None, np.asarray(rows["kind"].to_numpy()) == 1
        values = np.full(len(rows), np.nan)
    else:
        values, good = numbers(rows, unit, path)
    frame = pl.DataFrame(
        {
            "twin": rows["twin"].to_numpy(),
            "source": pl.Series(rows["source"].to_pylist(), dtype=pl.String),
            "time": rows["time"].to_numpy(),
            "value": pl.Series(values).fill_nan(None),
            "good": good,
        }
    ).with_columns(window=pl.col("time") // width * width)
    grouped = _partials(frame, ["twin", "source", "window"]).rename({"window": "time"})
    whole = grouped.with_columns(width=pl.lit(width), path=pl.lit(path), unit=pl.lit(unit, pl.String)).select(ROLLUP_SCHEMA.names)
    return whole.to_arrow().cast(ROLLUP_SCHEMA)


def _partials(frame: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Of `time value good` the parts of each group, in the order of time."""
    value, at = pl.col("value").filter("good"), pl.col("time").filter("good")
    return (
        frame.sort("time", maintain_order=True)
        .group_by(keys, maintain_order=True)
        .agg(
            count=pl.col("good").sum().cast(pl.Int64),
            bad=(~pl.col("good")).sum().cast(pl.Int64),
            sum=value.sum(),
            min=value.min(),
            max=value.max(),
            first=value.first(),
            first_at=at.first(),
            last=value.last(),
            last_at=at.last(),
        )
    )


def of_values(times: Any, values: Any, good: Any) -> pl.DataFrame:
    """Raw values, each as a roll-up of one."""
    frame = pl.DataFrame({"time": times, "value": pl.Series(values).fill_nan(None), "good": good})
    parts = _partials(frame.with_columns(at=pl.col("time")).with_row_index("row"), ["row", "at"])
    return parts.select(pl.col("at").cast(pl.Int64).alias("time"), *_PARTS)


def of_rollups(rolled: pa.Table, unit: str | None) -> pl.DataFrame:
    """Roll-ups, in another unit of the same dimension."""
    frame = pl.DataFrame(rolled).with_columns(
        sum=pl.col("sum").cast(pl.Float64), **{name: pl.col(name).cast(pl.Float64) for name in ("min", "max", "first", "last")}
    )
    parts = [frame.head(0)]
    for (name,), part in frame.group_by("unit"):
        affine = units.converter(None if name is None else str(name), unit)
        if not affine.is_identity:
            zero = float(affine.apply(0.0))
            scale = float(affine.apply(1.0)) - zero
            low, high = ("min", "max") if scale >= 0 else ("max", "min")
            converted = {one: pl.col(one) * scale + zero for one in ("first", "last")}
            converted |= {"min": pl.col(low) * scale + zero, "max": pl.col(high) * scale + zero}
            part = part.with_columns(sum=pl.col("sum") * scale + pl.col("count") * zero, **converted)
        parts.append(part)
    return pl.concat(parts).select("time", *_PARTS)


def windows(parts: pl.DataFrame, every: int, agg: str) -> pl.DataFrame:
    """`window value bad` of windows of `every` microseconds, from parts of any width that divides it."""
    value = {
        "mean": pl.col("sum").sum() / pl.col("count").sum(),
        "count": pl.col("count").sum(),
        "sum": pl.col("sum").sum(),
        "min": pl.col("min").min(),
        "max": pl.col("max").max(),
        "first": pl.col("first").sort_by("first_at", nulls_last=True).first(),
        "last": pl.col("last").drop_nulls().sort_by(pl.col("last_at").filter(pl.col("last").is_not_null())).last(),
    }[agg]
    grouped = parts.with_columns(window=pl.col("time") // every * every).group_by("window").agg(value=value, bad=pl.col("bad").sum())
    return grouped.with_columns(value=pl.col("value").fill_nan(None)).sort("window")


def cover(rolled: pa.Table, start: int | None, end: int | None, before: int, every: int, where: str) -> pa.Table:
    """The roll-ups that stand for what is gone before a time, the narrowest where there are several.

    Raises RefusedError where `every`, `start` or `end` cut one: what lies inside it can't be told apart any more.
    """
    chosen = []
    reach = before if end is None else min(before, end)
    for width in sorted(pa.compute.unique(rolled["width"]).to_pylist()):
        mine = rolled.filter(pa.compute.equal(rolled["width"], width))
        low = pa.compute.min(mine["time"]).as_py()
        mine = mine.filter(pa.compute.less(mine["time"], reach // width * width))  # what a narrower one covers begins with its first value
        if not len(mine):
            continue
        if every % width:
            remedy = f"Use windows of a multiple of {width // 1_000_000} s"
            _refuse(f"before {to_iso(reach)} only roll-ups of {width // 1_000_000} s are kept", where, remedy)
        if (start is not None and start % width) or (end is not None and end < before and end % width):
            _refuse(f"a roll-up of {width // 1_000_000} s is cut by the time asked for", where, "Begin and end at a whole minute or hour")
        chosen.append(mine)
        reach = min(reach, low)
    return pa.concat_tables(chosen) if chosen else rolled.slice(0, 0)


def _refuse(what: str, where: str, remedy: str) -> None:
    raise RefusedError(what, where=where, remedy=remedy)
