"""Checked expressions over columns. Each part is computed once, bottom up; a row's result depends on that row alone.

A null stays a null (see the package for where it does not). Comparisons with NaN are null: Polars would have NaN equal itself and
exceed every number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import polars as pl

from twinwright.expressions.syntax import Kind
from twinwright.expressions.typed import Typed

_POLARS: Mapping[Kind, type[pl.DataType]] = {"number": pl.Float64, "boolean": pl.Boolean, "text": pl.String}


def column_of(kind: Kind, value: Any) -> pl.Series:
    """One value as a column of one row."""
    return pl.Series([None if value is None else float(value) if kind == "number" else value], dtype=_POLARS[kind])


def evaluate(root: Typed, values: Mapping[str, pl.Series], count: int) -> pl.Series:
    """See `Checked.columns`."""
    result = _of(root, values)
    return result if len(result) == count else result.new_from_index(0, count)  # it uses no name


def _of(typed: Typed, values: Mapping[str, pl.Series]) -> pl.Series:
    if typed.op == "literal":
        return column_of(typed.type.kind, typed.value)
    if typed.op == "name":
        return values[typed.value].cast(_POLARS[typed.type.kind])
    args = [_of(part, values) for part in typed.args]
    if typed.op == "compare":
        return _compare(args, typed.value)
    if typed.op == "convert":
        return _affine(args[0], typed.value.factor, typed.value.offset)
    if typed.op == "round":
        return args[0].round(typed.value)
    return _OPERATIONS[typed.op](*args)


def _affine(values: pl.Series, factor: float, offset: float) -> pl.Series:
    scaled = values if factor == 1.0 else values * factor
    return scaled if offset == 0.0 else scaled + offset


def _compare(args: list[pl.Series], signs: tuple[str, ...]) -> pl.Series:
    comparable = [_comparable(one) for one in args]
    pairs = zip(comparable, comparable[1:], signs, strict=False)
    return reduce(lambda a, b: a & b, (_COMPARISONS[sign](left, right) for left, right, sign in pairs))


def _comparable(values: pl.Series) -> pl.Series:
    return values.fill_nan(None) if values.dtype == pl.Float64 else values


def _among(value: pl.Series, *others: pl.Series) -> pl.Series:
    found = _comparable(value)
    return reduce(lambda a, b: a | b, (found == _comparable(other) for other in others))


def _choose(condition: pl.Series, then: pl.Series, otherwise: pl.Series) -> pl.Series:
    return pl.select(pl.when(condition).then(then).when(~condition).then(otherwise)).to_series()


def _extreme(pick: Callable[[pl.Series, pl.Series], pl.Series]) -> Callable[..., pl.Series]:
    """The smallest or greatest; missing or NaN where one of them is."""

    def two(a: pl.Series, b: pl.Series) -> pl.Series:
        chosen = _choose(pick(a, b), a, b)
        return _choose(a.is_nan() | b.is_nan(), a + b, chosen)

    return lambda *args: reduce(two, args)


_LEAST = _extreme(lambda a, b: a <= b)
_GREATEST = _extreme(lambda a, b: a >= b)


def _coalesce(*args: pl.Series) -> pl.Series:
    return pl.select(pl.coalesce(list(args))).to_series()


def _as_long(*args: pl.Series) -> list[pl.Series]:
    """Columns of one length. Where one value stands for a column, Polars divides by multiplying with its reciprocal and NumPy squares
    instead of raising to 2: the last bit of a row would depend on how many rows there are."""
    length = max(len(one) for one in args) if all(len(one) for one in args) else 0
    return [one if len(one) == length else one.new_from_index(0, length) if length else one.clear() for one in args]


def _divide(a: pl.Series, b: pl.Series) -> pl.Series:
    dividend, divisor = _as_long(a, b)
    return dividend / divisor


def _numpy(function: Callable[..., Any]) -> Callable[..., pl.Series]:
    """A ufunc over columns that may have nulls: null where an argument is."""

    def call(*args: pl.Series) -> pl.Series:
        columns = _as_long(*args)
        arrays = [np.ascontiguousarray(one.fill_null(0.0).to_numpy()) for one in columns]
        with np.errstate(all="ignore"):
            numbers = pl.Series(np.asarray(function(*arrays), np.float64))
        there = reduce(lambda a, b: a & b, (one.is_not_null() for one in columns))
        return pl.select(pl.when(there).then(numbers)).to_series()

    return call


def _text(build: Callable[..., pl.Expr]) -> Callable[..., pl.Series]:
    return lambda *args: pl.select(build(*(pl.lit(one) for one in args))).to_series()


_COMPARISONS: Mapping[str, Callable[[pl.Series, pl.Series], pl.Series]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
_OPERATIONS: Mapping[str, Callable[..., pl.Series]] = {
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "not": lambda a: ~a,
    "if": _choose,
    "in": _among,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "**": _numpy(np.power),
    "neg": lambda a: -a,
    "abs": lambda a: a.abs(),
    "min": _LEAST,
    "max": _GREATEST,
    "clip": lambda x, low, high: _LEAST(_GREATEST(x, low), high),
    "floor": lambda a: a.floor(),
    "ceil": lambda a: a.ceil(),
    "mod": _numpy(np.mod),
    "sign": lambda a: a.sign(),
    "sqrt": _numpy(np.sqrt),
    "exp": _numpy(np.exp),
    "log": _numpy(np.log),
    "log10": _numpy(np.log10),
    "sin": _numpy(np.sin),
    "cos": _numpy(np.cos),
    "tan": _numpy(np.tan),
    "atan2": _numpy(np.arctan2),
    "number": lambda a: _choose(a.is_null(), pl.Series([None], dtype=pl.Float64), a.cast(pl.Float64, strict=False).fill_null(float("nan"))),
    "lower": lambda a: a.str.to_lowercase(),
    "upper": lambda a: a.str.to_uppercase(),
    "trim": lambda a: a.str.strip_chars(),
    "length": lambda a: a.str.len_chars().cast(pl.Float64),
    "contains": _text(lambda a, b: a.str.contains(b, literal=True)),
    "starts_with": _text(lambda a, b: a.str.starts_with(b)),
    "ends_with": _text(lambda a, b: a.str.ends_with(b)),
    "missing": lambda a: a.is_null(),
    "coalesce": _coalesce,
}
