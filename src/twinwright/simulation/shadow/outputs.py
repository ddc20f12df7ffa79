"""What a shadow publishes: predictions and forecasts on the lane `simulated`, residuals on `derived`, and only what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.simulation.protocol import Floats
from twinwright.simulation.shadow.reading import Readings, Times
from twinwright.storage.layout import Lane, Selection
from twinwright.storage.protocol import GOOD, REMOVED, VALUE_SCHEMA
from twinwright.storage.united import frame

_SAID = {"twin": pl.Int32, "path": pl.String, "time": pl.Int64, "num": pl.Float64, "unit": pl.String, "correction": pl.Int64}
_SPAN = {"twin": pl.Int32, "after": pl.Int64, "until": pl.Int64, "cause": pl.Int64}
EVER = 1 << 61
Twins = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Said:
    """Values of one source in one lane. `spans` are of twins the times after < time <= until in which others than these are no more,
    because of a commit: those of one twin don't overlap. Elsewhere nothing was there before."""

    lane: Lane
    source: str
    rows: pl.DataFrame
    spans: pl.DataFrame


def rows_of(parts: Sequence[tuple[str, str | None, Twins, Times, Floats, Times]]) -> pl.DataFrame:
    """Values of some paths: (path, unit, and by value twin, time, number and the commit that caused it)."""
    frames = [pl.DataFrame(schema=_SAID)]
    for path, unit, twins, times, numbers, causes in parts:
        columns = {"twin": twins, "time": times, "num": np.ascontiguousarray(numbers, np.float64), "correction": causes}
        said = pl.DataFrame(columns, schema={name: _SAID[name] for name in columns})
        frames.append(said.with_columns(path=pl.lit(path), unit=pl.lit(unit, pl.String)).select(*_SAID))
    return pl.concat(frames)


def spans_of(spans: Sequence[tuple[int, int, int, int]]) -> pl.DataFrame:
    """Spans from (twin, after, until, the commit that caused it); those without a time in them are left out."""
    return pl.DataFrame([one for one in spans if one[2] > one[1]], schema=_SPAN, orient="row")


def differing(readings: Readings, said: Said) -> list[pa.Table]:
    """What has to be written so that the source says this in its spans, and nothing else there. Outside of spans all of it is new."""
    rows, spans = said.rows, said.spans
    if spans.is_empty():
        return [] if rows.is_empty() else [records_of(rows.with_columns(kind=pl.lit(GOOD, pl.Int8)), said)]
    start = int(spans["after"].to_numpy().min())
    selection = Selection(tuple(spans["twin"].unique().sort()), None, said.lane, None if start <= -EVER else start + 1, source=said.source)
    found = frame(readings.store.history(readings.principal, selection))
    there = found.filter(pl.col("kind") != REMOVED).select(
        "twin", "path", "time", pl.col("num").alias("now"), pl.col("unit").alias("unit_now")
    )
    beside = rows.join(there, on=["twin", "path", "time"], how="left", maintain_order="left")
    same = pl.col("num").eq_missing(pl.col("now")) & pl.col("unit").eq_missing(pl.col("unit_now"))
    fresh = beside.filter(~same).select(*_SAID).with_columns(kind=pl.lit(GOOD, pl.Int8))
    gone = there.join(rows, on=["twin", "path", "time"], how="anti").with_columns(within=pl.col("time") - 1).sort("within")
    gone = gone.join_asof(spans.sort("after"), left_on="within", right_on="after", by="twin", strategy="backward", check_sortedness=False)
    gone = gone.filter(pl.col("time") <= pl.col("until")).sort("twin", "path", "time")
    lost = gone.with_columns(num=pl.lit(None, pl.Float64), unit=pl.col("unit_now"), correction=pl.col("cause")).select(*_SAID)
    written = pl.concat([fresh, lost.with_columns(kind=pl.lit(REMOVED, pl.Int8))])
    return [] if written.is_empty() else [records_of(written, said)]


def withdrawn(readings: Readings, shadow: str) -> list[pa.Table]:
    """`removed` for all that a shadow published that is no more."""
    tables = []
    lanes: tuple[Lane, ...] = ("simulated", "derived")
    for lane in lanes:
        rows = frame(readings.store.history(readings.principal, Selection(lane=lane)))
        mine = (pl.col("source") == f"shadow:{shadow}") | pl.col("source").str.starts_with(f"shadow:{shadow}+")
        rows = rows.filter((pl.col("kind") != REMOVED) & mine)
        for source, part in rows.partition_by("source", as_dict=True).items():
            nothing = {"num": pl.lit(None, pl.Float64), "correction": pl.lit(readings.known_at, pl.Int64), "kind": pl.lit(REMOVED, pl.Int8)}
            tables.append(records_of(part.with_columns(**nothing), Said(lane, str(source[0]), part, spans_of([]))))
    return tables


def records_of(rows: pl.DataFrame, said: Said) -> pa.Table:
    """Rows with their `kind` as what a transaction takes in."""
    named = {
        "source": pl.lit(said.source),
        "lane": pl.lit(said.lane),
        "revision": pl.lit(0, pl.Int32),
        "type": pl.lit("DOUBLE"),
        "int": pl.lit(None, pl.Int64),
        "txt": pl.lit(None, pl.String),
    }
    return rows.with_columns(**named).select(VALUE_SCHEMA.names).to_arrow().cast(VALUE_SCHEMA)
