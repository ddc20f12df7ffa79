"""The column of an observation from the columns of fields. What can't be had is wrong where something was said, else missing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from twinwright.expressions import Checked
from twinwright.schema import Schema, check_value
from twinwright.storage.layout import ColumnType
from twinwright.telemetry.decode import Column, Decoded
from twinwright.telemetry.derivation import Derivation, Turn

Mask = NDArray[np.bool_]


def derived(derivation: Derivation, field: str | None, kind: ColumnType, decoded: Decoded) -> Column:
    """The values of one observation in the type and unit that its contract stores."""
    if derivation.compute is not None:
        column = computed(derivation.compute, decoded)
    elif derivation.turn is not None:
        column = _turned(derivation.turn, decoded)
    else:
        column = decoded.columns[derivation.source or field or ""]
        if derivation.factor != 1.0 or derivation.offset != 0.0:
            column = Column(column.values * derivation.factor + derivation.offset, column.wrong)
        if derivation.unit_field is not None:
            column = _converted(column, derivation, decoded.columns[derivation.unit_field])
    if kind == "BIGINT" and column.values.dtype == pl.Float64:
        column = _whole(column)
    if derivation.schema is not None:
        column = _only(column, _conforming(column.values, derivation.schema))
    return column


def computed(expression: Checked, decoded: Decoded) -> Column:
    """An expression in every row. Without a result it is missing if a field that it uses is; else what was said is wrong."""
    used = [decoded.columns[name] for name in expression.names]
    values = expression.columns({name: decoded.columns[name].values for name in expression.names}, decoded.count)
    return _of_used(values, used, decoded.count)


def _turned(turn: Turn, decoded: Decoded) -> Column:
    """One component of what three fields say together; without one of them it is missing."""
    used = [decoded.columns[name] for name in turn.fields]
    given = np.stack([column.values.cast(pl.Float64).to_numpy() * factor for column, factor in zip(used, turn.factors, strict=True)])
    with np.errstate(invalid="ignore", over="ignore"):
        made = turn.conversion(given)[turn.axis] * turn.made.factor + turn.made.offset
    there = np.isfinite(made)
    return _of_used(pl.select(pl.when(pl.Series(there)).then(pl.Series(made))).to_series(), used, decoded.count)


def _of_used(values: pl.Series, used: Sequence[Column], count: int) -> Column:
    """What was made of several columns: where it is nothing, it is missing if one of them is, else what was said is wrong."""
    nothing = values.is_null().to_numpy()
    if not nothing.any():
        return Column(values)
    wrong = [column.wrong if column.wrong is not None else np.zeros(count, np.bool_) for column in used]
    missing = [column.values.is_null().to_numpy() & ~bad for column, bad in zip(used, wrong, strict=True)]
    said_wrong, said_nothing = _any(wrong, count), _any(missing, count)
    bad = nothing & (said_wrong | ~said_nothing)
    return Column(values, bad if bad.any() else None)


def _any(masks: Sequence[Mask], count: int) -> Mask:
    return reduce(np.logical_or, masks, np.zeros(count, np.bool_))


def _converted(column: Column, derivation: Derivation, names: Column) -> Column:
    """From the unit that each row names. A value whose unit is missing or not known is wrong: nobody can say how much it is."""
    known = list(derivation.unit_names)
    places = names.values.replace_strict({name: at for at, name in enumerate(known)}, default=None, return_dtype=pl.Int32)
    there = places.is_not_null().to_numpy()
    at = places.fill_null(0).to_numpy()
    affines = [derivation.unit_names[name] for name in known]
    factors, offsets = np.array([one.factor for one in affines]), np.array([one.offset for one in affines])
    values = column.values.to_numpy() * factors[at] + offsets[at]
    there_too = column.values.is_not_null()
    return _only(Column(pl.select(pl.when(there_too).then(pl.Series(values))).to_series(), column.wrong), there | ~there_too.to_numpy())


def _only(column: Column, good: Mask) -> Column:
    """Without the values of rows that are not good: they are wrong."""
    bad = column.values.is_not_null().to_numpy() & ~good
    if not bad.any():
        return column
    values = pl.select(pl.when(pl.Series(~bad)).then(column.values)).to_series()
    return Column(values, bad if column.wrong is None else column.wrong | bad)


def _whole(column: Column) -> Column:
    """Numbers as whole ones; what has a fraction, or is beyond 64 bits, is wrong."""
    numbers = column.values.to_numpy()
    with np.errstate(invalid="ignore"):
        good = np.isfinite(numbers) & (np.abs(numbers) < 2.0**63) & (numbers == np.trunc(numbers))
    kept = _only(column, good)
    return Column(kept.values.cast(pl.Int64, strict=False), kept.wrong)


def _conforming(texts: pl.Series, schema: Schema) -> Mask:
    return np.array([text is None or not check_value(msgspec.json.decode(text), schema) for text in texts], np.bool_)
