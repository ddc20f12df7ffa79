"""An expression as the platform uses it: parsed, then checked against what its names stand for, then evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from twinwright.errors import ExpressionError
from twinwright.expressions.checking import converted, kinds_of, typed_tree
from twinwright.expressions.syntax import Kind, Node, nodes_of, tree_of
from twinwright.expressions.typed import Type, Typed

if TYPE_CHECKING:
    import polars as pl


def parse(text: str) -> Expression:
    """Raises ExpressionError with the position of what can't be read."""
    return Expression(text.strip(), tree_of(text))


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed text. Nothing is known yet of what its names stand for."""

    text: str
    root: Node

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that it uses, once, in order of appearance."""
        return tuple(dict.fromkeys(str(node.value) for node in nodes_of(self.root) if node.op == "name"))

    def check(self, scope: Mapping[str, Type]) -> Checked:
        """The typed form, given what each name stands for. Raises ExpressionError where types, units or names don't fit."""
        return Checked(self, typed_tree(self.text, self.root, scope), self.names)

    def kinds(self) -> dict[str, Kind]:
        """What each name is by how it is used: compared with text it is text, alone as a condition true or false, else a number."""
        return kinds_of(self.root)

    def fail(self, node: Node, what: str, remedy: str) -> NoReturn:
        """Raises ExpressionError at a part of this expression."""
        raise ExpressionError(what, text=self.text, position=node.at, remedy=remedy)


@dataclass(frozen=True, slots=True)
class Checked:
    """An expression that can be evaluated. Numbers come and go in the units of their types."""

    expression: Expression
    root: Typed
    names: tuple[str, ...]

    @property
    def type(self) -> Type:
        return self.root.type

    @property
    def kinds(self) -> dict[str, Kind]:
        """What each of its names is."""
        return self.root.kinds

    def columns(self, values: Mapping[str, pl.Series], count: int) -> pl.Series:
        """The value of each of `count` rows (Float64, Boolean or String), null where it is missing. `values` has a column for each name."""
        from twinwright.expressions.columns import evaluate

        return evaluate(self.root, values, count)

    def value(self, values: Mapping[str, Any]) -> float | bool | str | None:
        """The same for one row; a name that has no value, or None, is missing."""
        from twinwright.expressions.columns import column_of

        columns = {name: column_of(kind, values.get(name)) for name, kind in self.kinds.items()}
        value: float | bool | str | None = self.columns(columns, 1).item()
        return value

    def converted(self, unit: str | None) -> Checked:
        """The same number in another unit. Raises ExpressionError where that has no meaning."""
        root = converted(self.expression.text, self.expression.root, self.root, unit)
        return Checked(self.expression, root, self.names)
