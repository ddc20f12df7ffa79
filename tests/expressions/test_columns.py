"""Columns, single rows and a plain evaluation in Python agree, whatever is missing; a row's result is its own."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinwright.expressions import Type, columns, parse

SCOPE = {"a": Type("number", "V"), "b": Type("number", "V"), "on": Type("boolean"), "s": Type("text")}
NAN = float("nan")


def _pure(function):
    """A plain function that gives nothing where it is not given everything."""
    return lambda *args: None if any(arg is None for arg in args) else function(*args)


def _extreme(pick):
    return _pure(lambda x, y: NAN if math.isnan(x) or math.isnan(y) else pick(x, y))


def _compared(function):
    return _pure(lambda x, y: None if isinstance(x, float) and (math.isnan(x) or math.isnan(y)) else function(x, y))


def _and(x, y):
    return False if x is False or y is False else None if x is None or y is None else True


def _or(x, y):
    return True if x is True or y is True else None if x is None or y is None else False


def _join(text, function, *parts):
    """An expression of parts, as (text, what it is of a row)."""
    return text.format(*(part[0] for part in parts)), lambda row: function(*(part[1](row) for part in parts))


BINARY = {
    "({} + {})": _pure(lambda x, y: x + y),
    "({} - {})": _pure(lambda x, y: x - y),
    "min({}, {})": _extreme(min),
    "max({}, {})": _extreme(max),
}
COMPARED = {
    "({} < {})": _compared(lambda x, y: x < y),
    "({} >= {})": _compared(lambda x, y: x >= y),
    "({} == {})": _compared(lambda x, y: x == y),
    "({} != {})": _compared(lambda x, y: x != y),
    "({0} in ({1}, 2 V))": lambda x, y: _or(_compared(lambda p, q: p == q)(x, y), _compared(lambda p, q: p == q)(x, 2.0)),
}
numbers = st.sampled_from(
    [("a", lambda r: r["a"]), ("b", lambda r: r["b"]), ("2 V", lambda r: 2.0), ("to(-1500 mV, 'V')", lambda r: -1500 * 0.001)]
)
conditions = st.sampled_from(
    [("on", lambda r: r["on"]), ("missing(a)", lambda r: r["a"] is None), ('(s == "x")', lambda r: _pure(lambda s: s == "x")(r["s"]))]
)


def _grow(inner):
    number, condition = inner.map(lambda pair: pair[0]), inner.map(lambda pair: pair[1])
    grown = st.one_of(
        st.builds(lambda kind, x, y: _join(kind, BINARY[kind], x, y), st.sampled_from(sorted(BINARY)), number, number),
        st.builds(lambda x: _join("abs({})", _pure(abs), x), number),
        st.builds(lambda x: _join("(-({}))", _pure(lambda v: -v), x), number),
        st.builds(
            lambda c, x, y: _join("(if {} then {} else {})", lambda c, x, y: None if c is None else x if c else y, c, x, y),
            condition,
            number,
            number,
        ),
        st.builds(lambda x, y: _join("coalesce({}, {})", lambda x, y: y if x is None else x, x, y), number, number),
    )
    decided = st.one_of(
        st.builds(lambda kind, x, y: _join(kind, COMPARED[kind], x, y), st.sampled_from(sorted(COMPARED)), number, number),
        st.builds(lambda c, d: _join("({} and {})", _and, c, d), condition, condition),
        st.builds(lambda c, d: _join("({} or {})", _or, c, d), condition, condition),
        st.builds(lambda c: _join("(not {})", _pure(lambda v: not v), c), condition),
    )
    return st.tuples(grown, decided)


expressions = st.recursive(st.tuples(numbers, conditions), _grow, max_leaves=6)
values = st.none() | st.sampled_from([0.0, -0.0, 1.0, 2.0, -1.5, 1e300, float("inf"), NAN]) | st.floats(-100, 100)
rows = st.lists(
    st.fixed_dictionaries({"a": values, "b": values, "on": st.none() | st.booleans(), "s": st.sampled_from([None, "x", "y"])}),
    min_size=1,
    max_size=8,
)
TYPES = {"a": pl.Float64, "b": pl.Float64, "on": pl.Boolean, "s": pl.String}


def _columns(given_rows):
    return {name: pl.Series([row[name] for row in given_rows], dtype=kind) for name, kind in TYPES.items()}


def _same(one, other):
    return one == other or (isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other))


@settings(deadline=None)
@given(expressions, rows)
def test_columns_rows_and_plain_python_agree(pair, given_rows):
    for text, plainly in pair:
        checked = parse(text).check(SCOPE)
        together = checked.columns(_columns(given_rows), len(given_rows)).to_list()
        alone = [checked.value(row) for row in given_rows]
        expected = [plainly(row) for row in given_rows]
        assert all(map(_same, together, alone)), (text, together, alone)
        assert all(map(_same, together, expected)), (text, together, expected)


@pytest.mark.parametrize("function", ["exp", "log", "log10", "sqrt", "sin", "cos", "tan"])
@settings(deadline=None)
@given(st.lists(st.floats(-700, 700) | st.none(), min_size=1, max_size=70))
def test_a_function_gives_a_row_the_same_in_any_company(function, numbers):
    checked = parse(f"{function}(x)").check({"x": Type("number")})
    together = checked.columns({"x": pl.Series(numbers, dtype=pl.Float64)}, len(numbers)).to_list()
    for number, found in zip(numbers, together, strict=True):
        assert _same(found, checked.value({"x": number}))
        assert (found is None) == (number is None)
        if number is not None and not math.isnan(found) and math.isfinite(found):
            assert found == pytest.approx(getattr(math, function)(number), rel=1e-13, abs=1e-13)


OF_TWO = ["x / 3", "3 / x", "x / y", "x ** 2", "x ** 0.7", "2 ** y", "x ** 2 / 7 - y / 3", "mod(x, 0.3)", "atan2(x, 3)", "round(x / 7, 2)"]


def _in_company(text, pairs):
    """Each row alone, in twos and with all."""
    checked = parse(text).check({"x": Type("number"), "y": Type("number")})

    def told(some):
        columns = {name: pl.Series([pair[at] for pair in some], dtype=pl.Float64) for at, name in enumerate("xy")}
        return checked.columns(columns, len(some)).to_list()

    twos = [pairs[at : at + 2] for at in range(0, len(pairs), 2)]
    return [[checked.value(dict(zip("xy", pair, strict=True))) for pair in pairs], [one for two in twos for one in told(two)], told(pairs)]


def _agree(text, pairs):
    alone, twos, together = _in_company(text, pairs)
    return all(map(_same, alone, together)) and all(map(_same, twos, together))


@settings(deadline=None)
@given(st.sampled_from(OF_TWO), st.lists(st.tuples(values, values), min_size=1, max_size=9))
def test_an_operator_gives_a_row_the_same_in_any_company(text, pairs):
    assert _agree(text, pairs), (text, _in_company(text, pairs))


@pytest.mark.parametrize(
    ("text", "operator", "broken"),
    [("x / 3", "/", lambda a, b: a / b), ("x ** 2", "**", lambda a, b: pl.Series(np.power(a.to_numpy(), b.to_numpy())))],
)
def test_an_operator_that_looks_at_how_many_rows_there_are_is_caught(monkeypatch, text, operator, broken):
    pairs = [(0.1 + at / 7, 1.0) for at in range(200)]
    assert _agree(text, pairs)
    monkeypatch.setitem(columns._OPERATIONS, operator, broken)
    assert not _agree(text, pairs)


def test_a_constant_has_a_value_in_every_row_and_none_without_rows():
    checked = parse("2 kPa + 1 bar").check({})
    assert checked.columns({}, 3).to_list() == [102.0] * 3
    assert checked.columns({}, 0).to_list() == []
    assert parse("a + 1 V").check(SCOPE).columns({"a": pl.Series([], dtype=pl.Float64)}, 0).to_list() == []


@pytest.mark.parametrize(
    ("text", "row", "value"),
    [
        ("1 / x", {"x": 0.0}, float("inf")),
        ("x / x", {"x": 0.0}, NAN),
        ("log(x)", {"x": -1.0}, NAN),
        ("number(s)", {"s": "12 bar"}, NAN),
        ("number(s)", {}, None),
        ("round(x, 2)", {"x": -0.001}, 0.0),
        ("mod(x, 3)", {"x": -1.0}, 2.0),
        ("clip(x, 0, 1)", {"x": None}, None),
        ("x ** 0.5", {"x": None}, None),
        ("atan2(x, 1)", {"x": None}, None),
        ("length(s)", {"s": "äöü"}, 3.0),
        ("contains(s, '.')", {"s": "abc"}, False),
    ],
)
def test_what_can_not_be_computed_is_no_number_and_what_is_missing_stays_missing(text, row, value):
    checked = parse(text).check({"x": Type("number"), "s": Type("text")})
    assert _same(checked.value(row), value)
