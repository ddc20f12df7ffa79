"""The one expression language: computed fields, match rules, constraints.

    p_abs - 101.325 kPa                       a number is followed by its unit, which is written without spaces: 3 m**3/h
    if mode == "auto" and rpm > 0 rpm then flow else 0 l/min
    0 kPa <= p < 1600 kPa                     comparisons chain
    state in ("on", "standby")                and, or, not; == != < <= > >=
    sqrt(dp / 1 kPa) * 12 m**3/h              + - * / **, and the functions of `FUNCTIONS`
    `Motor Speed` / 2, data.pressure          a name with anything else in it than letters, digits and _ stands in backquotes

Text is parsed (`parse`) to a tree that remembers positions, checked against the types and units of its names (`Expression.check`)
to a typed tree, and evaluated over columns or for one row, with the same result for a row in either way. There is no `eval`, no
loop and no assignment; length, depth and number of nodes are bounded.

A missing operand makes the result missing, except where `and`, `or`, `if` and `coalesce` don't need it. What can't be computed
(0/0, the logarithm of a negative number) is NaN or infinite in a number, and missing where it is compared.
"""

from twinwright.expressions.expression import Checked, Expression, parse
from twinwright.expressions.functions import FUNCTIONS, function_table
from twinwright.expressions.syntax import Kind
from twinwright.expressions.typed import Type, Typed

__all__ = ["FUNCTIONS", "Checked", "Expression", "Kind", "Type", "Typed", "function_table", "parse"]
