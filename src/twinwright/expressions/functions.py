"""The functions of the language: what they take, what they give, and how the units of their arguments have to fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twinwright.expressions.syntax import Kind


@dataclass(frozen=True, slots=True)
class Function:
    """What a function takes and gives. `takes` is a kind for each argument; `units` how those of numbers have to fit and what comes out.

    `same`: all convert to the first one's, which comes out; `plain`: dimensionless in and out; `none`: any in, dimensionless out.
    """

    takes: tuple[Kind, ...]
    gives: Kind
    units: str
    about: str
    more: int = 0  # how many further arguments like the last there may be
    optional: int = 0  # how many of `takes`, from the end, may be left out


_MORE = 20
FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(("number",), "number", "amount", "the amount without its sign"),
    "min": Function(("number", "number"), "number", "same", "the smallest", _MORE),
    "max": Function(("number", "number"), "number", "same", "the greatest", _MORE),
    "clip": Function(("number", "number", "number"), "number", "same", "clip(x, low, high): x, but not below low or above high"),
    "round": Function(("number", "number"), "number", "round", "to so many decimals (none given: 0), a half to the even one", 0, 1),
    "floor": Function(("number",), "number", "same", "down to a whole number of its unit"),
    "ceil": Function(("number",), "number", "same", "up to a whole number of its unit"),
    "mod": Function(("number", "number"), "number", "same", "the remainder of a division, with the sign of the divisor"),
    "sign": Function(("number",), "number", "none", "-1, 0 or 1"),
    "sqrt": Function(("number",), "number", "sqrt", "the square root, also of the unit"),
    "exp": Function(("number",), "number", "plain", "e to the power of a plain number"),
    "log": Function(("number",), "number", "plain", "the natural logarithm of a plain number"),
    "log10": Function(("number",), "number", "plain", "the decimal logarithm of a plain number"),
    "sin": Function(("number",), "number", "plain", "of an angle"),
    "cos": Function(("number",), "number", "plain", "of an angle"),
    "tan": Function(("number",), "number", "plain", "of an angle"),
    "atan2": Function(("number", "number"), "number", "angle", "the angle of the point (second, first)"),
    "to": Function(("number", "text"), "number", "to", 'to(t, "K"): the same quantity in another unit'),
    "number": Function(("text",), "number", "none", "the number that a text holds; NaN where it holds none"),
    "lower": Function(("text",), "text", "none", "in small letters"),
    "upper": Function(("text",), "text", "none", "in capitals"),
    "trim": Function(("text",), "text", "none", "without the white space around it"),
    "length": Function(("text",), "number", "none", "its characters"),
    "contains": Function(("text", "text"), "boolean", "none", "whether the second is in the first"),
    "starts_with": Function(("text", "text"), "boolean", "none", "whether the first begins with the second"),
    "ends_with": Function(("text", "text"), "boolean", "none", "whether the first ends with the second"),
}
OF_ANY_KIND: Mapping[str, tuple[int, int]] = {"missing": (1, 1), "coalesce": (2, _MORE)}
"""Functions whose arguments may be of any kind: the fewest and the most of them."""
_ANY_ABOUT = {"missing": "whether it is missing", "coalesce": "the first that is not missing"}


def function_table() -> list[tuple[str, str]]:
    """Every function with what it does, for people."""
    return [(name, function.about) for name, function in FUNCTIONS.items()] + list(_ANY_ABOUT.items())
