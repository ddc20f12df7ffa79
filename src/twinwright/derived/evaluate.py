"""The outputs of a derived value from the records of its inputs: columns in, columns out, and nothing of how they came to be known.

Windows take what lies in them. An input without a window is what state shows as of the time of the output. What is bad makes what
is derived from it bad; what is missing makes it missing, unless the expression says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from twinwright import units
from twinwright.derived.binding import Binding
from twinwright.derived.definition import Definition, Input
from twinwright.storage.layout import ColumnType
from twinwright.storage.protocol import BAD, GOOD, REMOVED

EXACT = float(2**53)  # whole numbers beyond this are no longer all of them floats
_OPERAND: Mapping[str, type[pl.DataType]] = {"number": pl.Float64, "boolean": pl.Boolean, "text": pl.String}
OUTPUT: Mapping[str, type[pl.DataType]] = {
    **{"twin": pl.Int32, "time": pl.Int64, "commit": pl.Int64, "kind": pl.Int8},
    **{"num": pl.Float64, "int": pl.Int64, "txt": pl.String},
}


def values_of(records: pl.DataFrame, one: Input) -> pl.DataFrame:
    """member, time, value, bad, removed of the records of an input (columns of RECORD_SCHEMA, in their order), in its unit."""
    mine = records.filter(pl.col("path") == one.path)
    if one.kind == "number":
        value = _converted(pl.coalesce("num", pl.col("int").cast(pl.Float64)), mine["unit"].unique().to_list(), one.unit)
    else:
        value = pl.col("int").cast(pl.Boolean) if one.kind == "boolean" else pl.col("txt")
    usable = (pl.col("kind") == GOOD) & value.is_not_null()
    return mine.select(
        pl.col("twin").alias("member"),
        "time",
        pl.when(usable).then(value).alias("value"),
        ((pl.col("kind") != REMOVED) & ~usable).alias("bad"),
        (pl.col("kind") == REMOVED).alias("removed"),
    )


def _converted(value: pl.Expr, given: list[str | None], unit: str | None) -> pl.Expr:
    """Each record by the unit that it was given in."""
    result = value
    for name in given:
        affine = units.converter(name, unit)
        if not affine.is_identity:
            result = pl.when(pl.col("unit").eq_missing(pl.lit(name))).then(value * affine.factor + affine.offset).otherwise(result)
    return result


def windows(values: pl.DataFrame, pairs: pl.DataFrame, one: Input) -> pl.DataFrame:
    """owner, time (of the beginning), value, bad: one row for each window of each owner in which there is anything."""
    grouped = (
        values.filter(~pl.col("removed"))
        .join(pairs, on="member", how="inner", maintain_order="left")
        .group_by("owner", "member", (pl.col("time") // one.every * one.every).alias("time"))
        .agg(_aggregate(one.agg))
    )
    return _across(grouped, one)


def held(values: pl.DataFrame, pairs: pl.DataFrame, times: pl.DataFrame, one: Input) -> pl.DataFrame:
    """owner, time, value, bad: what holds at each of some (owner, time). Of equal times the last record counts: the greatest source."""
    newest = values.unique(["member", "time"], keep="last", maintain_order=True).sort("time")
    wanted = times.select("owner", "time").join(pairs, on="owner", how="inner").sort("time")
    found = wanted.join_asof(newest, on="time", by="member", strategy="backward", check_sortedness=False)
    return _across(found.filter(pl.col("removed").is_not_null() & ~pl.col("removed")), one)


def _across(found: pl.DataFrame, one: Input) -> pl.DataFrame:
    if one.across is None:
        return found.select("owner", "time", "value", "bad")
    ordered = found.sort("owner", "time", "member")
    return ordered.group_by("owner", "time", maintain_order=True).agg(_aggregate(one.across))


def _aggregate(agg: str) -> list[pl.Expr]:
    """One value of the good ones, and whether there is none while there are bad ones. A count is never bad."""
    good = pl.col("value").filter(~pl.col("bad"))
    if agg == "count":
        return [good.len().cast(pl.Float64).alias("value"), pl.lit(False).alias("bad")]
    return [getattr(good, agg)().alias("value"), pl.col("bad").all()]


def outputs(binding: Binding, times: pl.DataFrame, operands: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """OUTPUT: what is derived at `times` (owner, time, commit) from an operand (owner, time, value, bad) for each input."""
    definition = binding.definition
    columns: dict[str, pl.Series] = {}
    tainted = pl.repeat(False, len(times), dtype=pl.Boolean, eager=True)
    for one in definition.inputs:
        joined = times.select("owner", "time").join(operands[one.name], on=["owner", "time"], how="left", maintain_order="left")
        bad = joined["bad"].fill_null(False)
        tainted = tainted | bad
        value = joined["value"].cast(_OPERAND[one.type.kind])
        if one.type.kind == "number":
            value = pl.select(pl.when(bad).then(float("nan")).otherwise(value)).to_series()
        columns[one.name] = value
    result = definition.expression.columns(columns, len(times))
    unusable = _unusable(result, definition)
    kept = times.select(pl.col("owner").alias("twin"), "time", "commit").with_columns(
        result.alias("value"), (unusable | (result.is_null() & tainted)).alias("bad")
    )
    return _as_records(kept.filter(pl.col("bad") | pl.col("value").is_not_null()), definition)


def _unusable(result: pl.Series, definition: Definition) -> pl.Series:
    if result.dtype != pl.Float64:
        return pl.repeat(False, len(result), dtype=pl.Boolean, eager=True)
    wrong = ~result.is_finite()
    if definition.type == "BIGINT":
        wrong = wrong | (result != result.round(0)) | (result.abs() > EXACT)
    return wrong.fill_null(False)


def _as_records(rows: pl.DataFrame, definition: Definition) -> pl.DataFrame:
    field = field_of(definition.type)
    good = pl.when(~pl.col("bad")).then(pl.col("value"))
    empty: dict[str, Any] = {name: pl.lit(None, OUTPUT[name]) for name in ("num", "int", "txt")}
    empty[field] = good.cast(OUTPUT[field])
    kind = pl.when("bad").then(BAD).otherwise(GOOD).cast(pl.Int8)
    return rows.select("twin", "time", "commit", kind.alias("kind"), **empty)


def field_of(type_: ColumnType) -> str:
    """Which column of a record holds values of a type."""
    return {"DOUBLE": "num", "VARCHAR": "txt"}.get(type_, "int")
