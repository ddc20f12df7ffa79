"""What a shadow publishes: predictions and forecasts on the lane `simulated`, residuals on `derived`, and only what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from twinwright.simulation.protocol import Floats
from twinwright.simulation.shadow.definition import Shadow
from twinwright.simulation.shadow.reading import NOTHING, Readings, Taken, Times
from twinwright.storage.layout import Lane, Selection
from twinwright.storage.protocol import GOOD, REMOVED, VALUE_SCHEMA

_SAID = {"twin": pl.Int32, "path": pl.String, "time": pl.Int64, "num": pl.Float64, "unit": pl.String, "correction": pl.Int64}
EVER = 1 << 61


@dataclass(frozen=True, slots=True)
class Span:
    """Of a twin the times after < time <= until in which what is said replaces what was; because of a commit."""

    twin: int
    after: int
    until: int
    cause: int


@dataclass(frozen=True, slots=True)
class Said:
    """Values of one source in one lane; `spans` are where others than these are no more. `fresh`: nothing was there before."""

    lane: Lane
    source: str
    rows: pl.DataFrame
    spans: Sequence[Span]


def rows_of(twin: int, path: str, unit: str | None, times: Times, values: Floats, cause: int) -> pl.DataFrame:
    """Values of one path of one twin."""
    columns = {"time": times, "num": np.asarray(values, np.float64)}
    said = pl.DataFrame(columns, schema={"time": pl.Int64, "num": pl.Float64})
    named = {"twin": pl.lit(twin, pl.Int32), "path": pl.lit(path), "unit": pl.lit(unit, pl.String), "correction": pl.lit(cause, pl.Int64)}
    return said.with_columns(**named).select(*_SAID)


def joined(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(parts) if parts else pl.DataFrame(schema=_SAID)


def differing(readings: Readings, said: Said) -> list[pa.Table]:
    """What has to be written so that the source says this in its spans, and nothing else there. Outside of spans all of it is new."""
    rows, spans = said.rows, [one for one in said.spans if one.until > one.after]
    if not spans:
        return [] if rows.is_empty() else [_records(rows.with_columns(kind=pl.lit(GOOD, pl.Int8)), said)]
    start = min(one.after for one in spans)
    selection = Selection(
        tuple(sorted({one.twin for one in spans})), None, said.lane, None if start <= -EVER else start + 1, source=said.source
    )
    found = pl.from_arrow(readings.store.history(readings.principal, selection))
    assert isinstance(found, pl.DataFrame)
    table = pl.DataFrame(
        [(one.twin, one.after, one.until, one.cause) for one in spans],
        schema={"twin": pl.Int32, "after": pl.Int64, "until": pl.Int64, "cause": pl.Int64},
        orient="row",
    )
    there = found.filter(pl.col("kind") != REMOVED).select(
        "twin", "path", "time", pl.col("num").alias("now"), pl.col("unit").alias("unit_now")
    )
    beside = rows.join(there, on=["twin", "path", "time"], how="left", maintain_order="left")
    same = pl.col("num").eq_missing(pl.col("now")) & pl.col("unit").eq_missing(pl.col("unit_now"))
    fresh = beside.filter(~same).select(*_SAID).with_columns(kind=pl.lit(GOOD, pl.Int8))
    gone = there.join(table, on="twin", how="inner").filter((pl.col("time") > pl.col("after")) & (pl.col("time") <= pl.col("until")))
    gone = gone.join(rows, on=["twin", "path", "time"], how="anti").sort("twin", "path", "time")
    lost = gone.with_columns(num=pl.lit(None, pl.Float64), unit=pl.col("unit_now"), correction=pl.col("cause")).select(*_SAID)
    written = pl.concat([fresh, lost.with_columns(kind=pl.lit(REMOVED, pl.Int8))])
    return [] if written.is_empty() else [_records(written, said)]


def withdrawn(readings: Readings, shadow: str) -> list[pa.Table]:
    """`removed` for all that a shadow published that is no more."""
    tables = []
    lanes: tuple[Lane, ...] = ("simulated", "derived")
    for lane in lanes:
        rows = pl.from_arrow(readings.store.history(readings.principal, Selection(lane=lane)))
        assert isinstance(rows, pl.DataFrame)
        mine = (pl.col("source") == f"shadow:{shadow}") | pl.col("source").str.starts_with(f"shadow:{shadow}+")
        rows = rows.filter((pl.col("kind") != REMOVED) & mine)
        for source, part in rows.partition_by("source", as_dict=True).items():
            nothing = {"num": pl.lit(None, pl.Float64), "correction": pl.lit(readings.known_at, pl.Int64), "kind": pl.lit(REMOVED, pl.Int8)}
            tables.append(_records(part.with_columns(**nothing), Said(lane, str(source[0]), part, ())))
    return tables


def residuals(
    shadow: Shadow, readings: Readings, wanted: Mapping[int, tuple[int, Times]], predicted: Taken, causes: Mapping[int, int]
) -> pl.DataFrame:
    """Observed less predicted at some times of each twin's grid (`wanted`: by lifetime the start of its grid and the times): where
    something was observed within the step that ends there."""
    outputs = {one.name: one for one in shadow.model.outputs}
    chosen = {name: (str(outputs[name].property), outputs[name].unit) for name in shadow.spec.residuals}
    times = [times for _, times in wanted.values() if times.size]
    if not chosen or not times:
        return joined([])
    start, end = min(int(one[0]) for one in times) - shadow.step + 1, max(int(one[-1]) for one in times) + 1
    seen = readings.take(list(wanted), dict(chosen.values()), start, end)
    parts = []
    for twin, (_, grid) in wanted.items():
        for name, (path, unit) in chosen.items():
            observed, values = seen.get((twin, path), NOTHING)
            at, said = predicted.get((twin, path), NOTHING)
            if not observed.size or not at.size or not grid.size:
                continue
            last = np.searchsorted(observed, grid, side="right") - 1
            place = np.minimum(np.searchsorted(at, grid), at.size - 1)
            there = (last >= 0) & (grid - observed[np.maximum(last, 0)] < shadow.step) & (at[place] == grid)
            difference = values[last[there]] - said[place[there]]
            parts.append(rows_of(twin, shadow.spec.residuals[name], unit, grid[there], difference, causes[twin]))
    return joined(parts)


def _records(rows: pl.DataFrame, said: Said) -> pa.Table:
    named = {
        "source": pl.lit(said.source),
        "lane": pl.lit(said.lane),
        "revision": pl.lit(0, pl.Int32),
        "type": pl.lit("DOUBLE"),
        "int": pl.lit(None, pl.Int64),
        "txt": pl.lit(None, pl.String),
    }
    return rows.with_columns(**named).select(VALUE_SCHEMA.names).to_arrow().cast(VALUE_SCHEMA)
