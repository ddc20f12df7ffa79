"""Records of one path taken along the ways to another: in columns, and single ones.

A patch of a twin looks at some tens of cells, of which most take another name alone: a table made of them for that would take several times
what all else of it does. What an expression says of a single value is remembered for the next time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl
import pyarrow as pa

from twinwright import units
from twinwright.storage.protocol import BAD, GOOD, RECORD_SCHEMA
from twinwright.storage.united import frame
from twinwright.twins.evolution.migration import KINDS, Way

Route = tuple[Way, ...]  # from what is stored to what is read; empty: as it is
_WHOLE: Final = 1e-9  # how far, relatively, a computed whole number may be from one
_REMEMBERED: Final = 1_000  # values of each route
_VALUE: Final = ("kind", "type", "num", "int", "txt", "unit")


class SingleCells:
    """A route for cells that come one by one: rows of RECORD_SCHEMA, and what beside."""

    def __init__(self, route: Route) -> None:
        self._route, self._computed = route, any(way.by is not None for way in route)
        self._known: dict[tuple[Any, ...], Mapping[str, Any]] = {}

    def along(self, cells: Sequence[Mapping[str, Any]], path: str) -> list[Mapping[str, Any]]:
        """As records of a path."""
        if not self._computed:
            return [cell if cell["path"] == path else {**cell, "path": path} for cell in cells]
        given, known = [_value(cell) for cell in cells], self._known
        fresh = {value: cell for value, cell in zip(given, cells, strict=True) if value not in known}
        if fresh:
            rows = frame(pa.Table.from_pylist(list(fresh.values()), schema=RECORD_SCHEMA))
            made = along(rows, path, self._route).select(_VALUE).to_dicts()
            known = {**known, **dict(zip(fresh, made, strict=True))}  # another one: others may be reading that of before
            self._known = known if len(known) <= _REMEMBERED else {}
        return [{**cell, **known[value], "path": path} for value, cell in zip(given, cells, strict=True)]


def _value(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    """All that decides what becomes of a cell."""
    return tuple(cell[name] for name in _VALUE)


def along(rows: pl.DataFrame, path: str, route: Route) -> pl.DataFrame:
    """Records of one path as those of another."""
    for way in route:
        if way.by is not None:
            rows = _computed(rows, way)
    return rows.with_columns(pl.lit(path).alias("path"))


def _computed(rows: pl.DataFrame, way: Way) -> pl.DataFrame:
    """Values by the expression of a way; one that can't be computed is bad. What was bad or removed stays it."""
    assert way.by is not None
    kind = way.by.kinds[way.path]
    made = way.by.columns({way.path: _operand(rows, kind, _unit_of_operand(way))}, len(rows))
    told: dict[str, Any] = {"num": pl.lit(None, pl.Float64), "int": pl.lit(None, pl.Int64), "txt": pl.lit(None, pl.String)}
    if KINDS[way.held] == "number":
        made = pl.select(pl.when(made.is_finite()).then(made)).to_series()
    if way.held == "BIGINT":
        near = made.round()
        made = pl.select(pl.when((made - near).abs() <= _WHOLE * near.abs().clip(1.0)).then(near)).to_series().cast(pl.Int64, strict=False)
    good = (rows["kind"] == GOOD) & made.is_not_null()
    failed = (rows["kind"] == GOOD) & made.is_null()
    column = {"DOUBLE": "num", "VARCHAR": "txt"}.get(way.held, "int")
    dtype = {"num": pl.Float64, "int": pl.Int64, "txt": pl.String}[column]
    kept = pl.select(pl.when(good).then(made.cast(dtype))).to_series()
    kinds = pl.select(pl.when(failed).then(pl.lit(BAD, pl.Int8)).otherwise(rows["kind"])).to_series()
    told |= {column: kept, "type": pl.lit(way.held), "unit": pl.lit(way.by.type.unit, pl.String), "kind": kinds.cast(pl.Int8)}
    return rows.with_columns(**told)


def _unit_of_operand(way: Way) -> str | None:
    """The unit in which the expression has its one name."""
    assert way.by is not None
    waiting = [way.by.root]
    while waiting:
        part = waiting.pop()
        if part.op == "name":
            return part.type.unit
        waiting += part.args
    return None


def _operand(rows: pl.DataFrame, kind: str, unit: str | None) -> pl.Series:
    """The values of records as an expression takes them: missing where they are not good."""
    if kind == "text":
        return rows["txt"]
    if kind == "boolean":
        return rows["int"].cast(pl.Boolean)
    values = rows.select(pl.coalesce("num", pl.col("int").cast(pl.Float64))).to_series()
    for given in rows["unit"].unique().to_list():
        affine = units.converter(given, unit)
        if not affine.is_identity:
            mine = rows["unit"].eq_missing(pl.Series([given], dtype=pl.String))
            values = pl.select(pl.when(mine).then(values * affine.factor + affine.offset).otherwise(values)).to_series()
    return values
