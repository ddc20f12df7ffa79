"""What is no expression is told with its place; what is one is read as it says, and never takes long."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twinwright.errors import ExpressionError
from twinwright.expressions import parse


@pytest.mark.parametrize(
    ("text", "position", "said", "remedy"),
    [
        ("", 0, "a name or a number is expected, not the end", "value"),
        ("p *", 3, "a name or a number is expected, not the end", "value"),
        ("(p", 2, "')' is expected to close '('", "')'"),
        ("p p", 2, "an operator is expected, not 'p'", "operator"),
        ("p = 3", 2, "'=' is not part", "=="),
        ("p & q", 2, "'&' is not part", "and"),
        ("p ^ 2", 2, "'^' is not part", "**"),
        ("p % 2", 2, "'%' is not part", "mod"),
        ("  p !", 2, "'!' is not part", "not"),
        ('m == "on', 5, "a quote is opened and not closed", "Close"),
        ("`a", 0, "a quote is opened and not closed", "Close"),
        ("if a then b", 11, "'else' is expected", "'else'"),
        ("if a else b", 5, "'then' is expected", "'then'"),
        ("a in 5", 5, "'(' is expected after `in`", "'('"),
        ("max(a, b", 8, "')' is expected after the arguments of max", "')'"),
        ("1e999", 0, "too large a number", "1.8e308"),
        ("a + " * 3_000 + "a", 0, "characters", "2000"),
        ("a+" * 900 + "a", 300, "more than 300 parts", "Split"),
        ("(" * 60 + "a" + ")" * 60, 41, "nested deeper than 40", "Split"),
        ("-" * 60 + "a", 40, "nested deeper than 40", "Split"),
        ("not " * 60 + "a", 160, "nested deeper than 40", "Split"),
    ],
)
def test_what_is_no_expression_is_told_with_its_place(text, position, said, remedy):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert said in caught.value.what and remedy in (caught.value.remedy or "")
    assert said.startswith("more than") or caught.value.position == position
    assert f"column {caught.value.position + 1} of" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("p_abs - 101.325 kPa", ("p_abs",)),
        ("data.pressure / ^factor + ^^offset", ("data.pressure", "^factor", "^^offset")),
        ("`Motor Speed` / `Motor Speed` + @index", ("Motor Speed", "@index")),
        (r"`a\.b` == 'x'", (r"a\.b",)),
        ("3 m/s * s", ("s",)),
        ("max(maximum, `max`)", ("maximum", "max")),
        ("values.0 + values.1", ("values.0", "values.1")),
    ],
)
def test_the_names_of_an_expression(text, names):
    assert parse(text).names == names


def test_the_kind_of_a_name_is_how_it_is_used():
    text = 'type == "pump" and on and (not off or x in (1, 2)) and starts_with(a, b) and v > w and (if c then d else true)'
    kinds = parse(text).kinds()
    assert kinds == {
        **dict.fromkeys(("type", "a", "b"), "text"),
        **dict.fromkeys(("on", "off", "c", "d"), "boolean"),
        **dict.fromkeys(("x", "v", "w"), "number"),
    }


@settings(deadline=None)
@given(st.text(st.sampled_from("ab1.5 kPa()+-*/<>=!,\"'`^@%&notifhels\\"), max_size=40) | st.text(max_size=20))
@example("1" * 400)
@example("`" + "a" * 100)
def test_any_text_is_read_or_refused(text):
    try:
        expression = parse(text)
    except ExpressionError as error:
        assert 0 <= error.position <= len(text) and error.remedy
    else:
        assert parse(expression.text) == expression
        expression.kinds()
