"""Units and kinds of every part: what fits gets the unit it should have, what does not is refused at its place."""

import pytest

from twinwright.errors import ExpressionError
from twinwright.expressions import FUNCTIONS, Type, parse
from twinwright.expressions.functions import function_table

SCOPE = {
    "p": Type("number", "kPa"),
    "q": Type("number", "bar"),
    "t": Type("number", "degC"),
    "tf": Type("number", "degF"),
    "on": Type("boolean"),
    "m": Type("text"),
    "x": Type("number"),
    "rh": Type("number", "percent"),
}
ROW = {"p": 200.0, "q": 3.0, "t": 25.0, "tf": 212.0, "on": True, "m": " On", "x": 2.0, "rh": 60.0}


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("p - 101.325 kPa", "kPa", 98.675),
        ("q + p", "bar", 5.0),
        ("0.5 bar - 0", "bar", 0.5),
        ("if on then p else q", "kPa", 200.0),
        ("if not on then p else q", "kPa", 300.0),
        ("t - 20 degC", "delta_degC", 5.0),
        ("t - tf", "delta_degC", -75.0),
        ("t + 5 delta_degC", "degC", 30.0),
        ("9 delta_degF + t", "degC", 30.0),
        ("t - 9 delta_degF", "degC", 20.0),
        ('to(t, "K") * 2', "K", 596.3),
        ("max(t, 20 degC, tf)", "degC", 100.0),
        ("-20 degC", "degC", -20.0),
        ("-p", "kPa", -200.0),
        ("+p", "kPa", 200.0),
        ("-2 ** 2", None, -4.0),
        ("2 ** 3 ** 2", None, 512.0),
        ("sqrt(p * p)", "kPa", 200.0),
        ("p ** 2", "kPa**2", 40000.0),
        ("p / q", "kPa/bar", 200 / 3),
        ("to(p / q, '')", None, 2 / 3),
        ("x ** x", None, 4.0),
        ("min(p, q, 3 bar)", "kPa", 200.0),
        ("clip(p, 0, 1 bar)", "kPa", 100.0),
        ("sin(90 deg)", None, 1.0),
        ("atan2(x, x)", "rad", 0.7853981633974483),
        ("exp(rh) - exp(0.6)", None, 0.0),
        ("log(p / 200 kPa)", None, 0.0),
        ("coalesce(p, q)", "kPa", 200.0),
        ("abs(1 kPa - p)", "kPa", 199.0),
        ("round(1.25 kPa * x, 1)", "kPa", 2.5),
        ("round(2.5)", None, 2.0),
        ("floor(-1.5) + ceil(-1.5) + sign(-3)", None, -4.0),
        ("mod(-1, 3)", None, 2.0),
        ("number('12.5') + length('abc')", None, 15.5),
        ("log10(100) + tan(0) + cos(0)", None, 3.0),
        ("5 m**3/h / 1 m**2", "m/h", 5.0),
        ("6 W/(m**2*K)", "W/K/m**2", 6.0),
        ("3 1/s", "1/s", 3.0),
    ],
)
def test_the_unit_and_value_of_a_number(text, unit, value):
    checked = parse(text).check(SCOPE)
    assert checked.type == Type("number", unit)
    assert checked.value(ROW) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0 kPa <= p < 3 bar", True),
        ("1 bar < p < 1.5 bar", False),
        ("p > 0", True),
        ("0 < p", True),
        ("t > 293 K", True),
        ("rh > 50 %", True),
        ("lower(trim(m)) in ('on', 'auto')", True),
        ("upper(m) == ' ON' and contains(m, 'n') and ends_with(m, 'n') and not starts_with(m, 'O')", True),
        ("on != false", True),
        ("x in (1, 3) or x != x", False),
        ("missing(m) or not on", False),
        ("p == 2 bar", True),
    ],
)
def test_a_condition_holds_or_not(text, value):
    checked = parse(text).check(SCOPE)
    assert checked.type == Type("boolean") and checked.value(ROW) is value


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("p - 5", 4, "a dimensionless value [dimensionless] can't be converted to 'kPa'"),
        ("p < 5 V", 4, "can't be converted"),
        ("p + 5 zz", 4, "'zz' is not a known unit"),
        ("t + t", 2, "two temperatures can't be added"),
        ("t + 5 K", 4, "ambiguous"),
        ("t - 5 K", 4, "ambiguous"),
        ("5 delta_degC - t", 0, "ambiguous"),
        ("t < 5 delta_degC", 4, "a difference"),
        ("2 * t", 2, "zero of its own"),
        ("-t", 1, "zero of its own"),
        ("abs(t)", 4, "zero of its own"),
        ("sqrt(t)", 0, "zero of its own"),
        ("p ** x", 5, "raised to what is not a plain number"),
        ("p ** (2 kPa)", 6, "can't be converted"),
        ("p ** 17", 2, "too large"),
        ("exp(p)", 4, "can't be converted"),
        ("m == 5", 5, "a number beside text"),
        ('m < "a"', 2, "text has no order"),
        ("if x then p else q", 3, "the condition of `if` is a number"),
        ("if on then p else m", 18, "text beside a number"),
        ("on + 1", 0, "true or false, not a number"),
        ("not x", 4, "is a number, not true or false"),
        ("lower(x)", 6, "an argument of lower is a number, not text"),
        ("pp + 1", 0, "there is no 'pp' here"),
        ("mn(p)", 0, "there is no function 'mn'"),
        ("max(p)", 0, "max takes 2 to 22 arguments, not 1"),
        ("sqrt(p, p)", 0, "sqrt takes 1 arguments, not 2"),
        ("missing()", 0, "missing takes 1 arguments, not 0"),
        ("round(p, x)", 9, "the decimals of round"),
        ("round(p, 1.5)", 9, "the decimals of round"),
        ("to(p, m)", 6, "no text in quotes"),
        ("to(p, 'zz')", 6, "'zz' is not a known unit"),
        ("to(p, 'K')", 3, "can't be converted"),
    ],
)
def test_what_does_not_fit_is_refused_at_its_place(text, position, said):
    with pytest.raises(ExpressionError) as caught:
        parse(text).check(SCOPE)
    assert said in caught.value.what and caught.value.remedy
    assert caught.value.position == position


def test_a_near_name_and_the_unit_that_is_missing_are_proposed():
    assert "Did you mean 'min'?" in _remedy("mn(p)")
    assert "Did you mean 'rh'?" in _remedy("rhh > 5")
    assert "with its unit" in _remedy("p - 5")


def _remedy(text):
    with pytest.raises(ExpressionError) as caught:
        parse(text).check(SCOPE)
    return caught.value.remedy


def test_every_function_has_its_line():
    assert {name for name, _ in function_table()} == {*FUNCTIONS, "missing", "coalesce"}
    assert all(about for _, about in function_table())
