"""Observed less predicted, at the steps within which something was observed: of what is run now, and of what was observed only later."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
import pyarrow as pa

from twinwright.simulation.shadow.definition import Shadow
from twinwright.simulation.shadow.follower import Follower
from twinwright.simulation.shadow.outputs import Said, differing, rows_of
from twinwright.simulation.shadow.reading import Readings, Taken


def residuals(shadow: Shadow, readings: Readings, predicted: pl.DataFrame) -> pl.DataFrame:
    """Of predictions (as `rows_of` has them, times those of steps): where something was observed within the step that ends there."""
    chosen = _chosen(shadow)
    said = predicted.filter(pl.col("path").is_in(list(chosen)))
    if said.is_empty():
        return rows_of([])
    start, end = int(said["time"].to_numpy().min()) - shadow.step + 1, int(said["time"].to_numpy().max()) + 1
    seen = _frame(readings.take(said["twin"].unique().to_list(), {path: unit for path, (_, unit) in chosen.items()}, start, end))
    said = said.sort("time").join_asof(
        seen.sort("time"), on="time", by=["twin", "path"], strategy="backward", tolerance=shadow.step - 1, check_sortedness=False
    )
    said = said.filter(pl.col("seen").is_not_null()).with_columns(num=pl.col("seen") - pl.col("num"))
    parts = [rows_of([])]
    for path, (targets, unit) in chosen.items():
        mine = said.filter(pl.col("path") == path)
        for target in targets:
            parts.append(mine.with_columns(path=pl.lit(target), unit=pl.lit(unit, pl.String)).select(parts[0].columns))
    return pl.concat(parts)


def again(
    shadow: Shadow, readings: Readings, late: pl.DataFrame, followers: Mapping[int, Follower], run_now: Mapping[int, int]
) -> list[pa.Table]:
    """What has to be written because of what was predicted before, and is observed, or observed otherwise, only now: `late` has (twin,
    time, commit). What is run now (by twin from a time on) is left out."""
    if late.is_empty():
        return []
    reached = []
    for twin in late["twin"].unique().to_list():
        one = followers[twin]
        if one.start is not None and (one.head is not None or shadow.spec.replay):
            reached.append((twin, one.start, run_now.get(twin, one.start + one.ended * shadow.step + 1)))
    schema = {"twin": pl.Int32, "start": pl.Int64, "before": pl.Int64}
    steps = late.join(pl.DataFrame(reached, schema=schema, orient="row"), on="twin")
    step = -((pl.col("start") - pl.col("time")) // shadow.step)
    steps = steps.with_columns(time=pl.col("start") + step * shadow.step)
    steps = steps.filter((pl.col("time") >= pl.col("start")) & (pl.col("time") < pl.col("before")))
    if steps.is_empty():
        return []
    twins = steps["twin"].unique().to_list()
    start, end = int(steps["time"].to_numpy().min()), int(steps["time"].to_numpy().max()) + 1
    ports = {path: unit for _, path, unit in shadow.outputs}
    predicted = _frame(readings.latest_said(twins, ports, start, end, shadow.source)).rename({"seen": "num"})
    causes = late.group_by("twin").agg(pl.max("commit").alias("correction"))
    wanted = steps.select("twin", "time").unique().join(causes, on="twin")
    said = predicted.join(wanted, on=["twin", "time"]).with_columns(unit=pl.lit(None, pl.String)).select(rows_of([]).columns)
    spans = wanted.select("twin", after=pl.col("time") - 1, until="time", cause="correction")
    return differing(readings, Said("derived", shadow.source, residuals(shadow, readings, said), spans))


def _chosen(shadow: Shadow) -> dict[str, tuple[list[str], str | None]]:
    """By path of an output the paths of its residuals, and the unit of both."""
    outputs = {one.name: one for one in shadow.model.outputs}
    chosen: dict[str, tuple[list[str], str | None]] = {}
    for name, target in shadow.spec.residuals.items():
        chosen.setdefault(str(outputs[name].property), ([], outputs[name].unit))[0].append(target)
    return chosen


def _frame(taken: Taken) -> pl.DataFrame:
    """(twin, path, time, seen)."""
    if not taken:
        return pl.DataFrame(schema={"twin": pl.Int32, "path": pl.String, "time": pl.Int64, "seen": pl.Float64})
    counts = [times.size for times, _ in taken.values()]
    columns = {
        "twin": np.repeat(np.array([twin for twin, _ in taken], np.int32), counts),
        "path": pl.Series([path for _, path in taken]).gather(np.repeat(np.arange(len(counts)), counts)),
        "time": np.concatenate([times for times, _ in taken.values()]),
        "seen": np.concatenate([values for _, values in taken.values()]),
    }
    return pl.DataFrame(columns)
