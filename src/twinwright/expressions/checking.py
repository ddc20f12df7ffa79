"""A tree and what its names stand for, to a typed tree: every part with its kind and unit, every conversion put in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import NoReturn

from twinwright import units
from twinwright.errors import ExpressionError, UnitError
from twinwright.expressions.functions import FUNCTIONS, OF_ANY_KIND
from twinwright.expressions.syntax import Kind, Node
from twinwright.expressions.typed import Type, Typed


def typed_tree(text: str, root: Node, scope: Mapping[str, Type]) -> Typed:
    """See `Expression.check`."""
    return _Checker(text, scope).typed(root)


def converted(text: str, root: Node, typed: Typed, unit: str | None) -> Typed:
    """See `Checked.converted`."""
    return _Checker(text, {}).convert(typed, unit, root)


def kinds_of(root: Node) -> dict[str, Kind]:
    """See `Expression.kinds`."""
    found: dict[str, Kind] = {}
    _infer(root, None, found)
    return found


def _infer(node: Node, wanted: Kind | None, found: dict[str, Kind]) -> None:
    if node.op == "name":
        found.setdefault(str(node.value), wanted or "number")
        return
    for child, kind in zip(node.args, _wanted(node, wanted), strict=True):
        _infer(child, kind, found)


def _wanted(node: Node, wanted: Kind | None) -> Sequence[Kind | None]:
    """What each argument of a node is to be, as far as the node says it."""
    if node.op in ("and", "or", "not"):
        return ["boolean"] * len(node.args)
    if node.op == "if":
        return ["boolean", wanted, wanted]
    if node.op in ("compare", "in"):
        sure: Kind = next((kind for kind in map(_evident, node.args) if kind is not None), "number")
        return [sure] * len(node.args)
    name = node.op.removesuffix("()")
    if name in FUNCTIONS:
        takes = FUNCTIONS[name].takes
        return [takes[min(index, len(takes) - 1)] for index in range(len(node.args))]
    return [wanted if name == "coalesce" else None if name == "missing" else "number"] * len(node.args)


def _evident(node: Node) -> Kind | None:
    """The kind of what is no name and needs none to be told."""
    if node.op == "literal":
        return "boolean" if isinstance(node.value, bool) else "text" if isinstance(node.value, str) else "number"
    function = FUNCTIONS.get(node.op.removesuffix("()"))
    return function.gives if function else None


# --- types -----------------------------------------------------------------------------------------------------------


class _Checker:
    def __init__(self, text: str, scope: Mapping[str, Type]) -> None:
        self._text, self._scope = text, scope

    def typed(self, node: Node) -> Typed:
        if node.op.endswith("()"):
            return self._call(node, node.op.removesuffix("()"))
        return _RULES[node.op](self, node)

    def convert(self, typed: Typed, unit: str | None, node: Node) -> Typed:
        """A number in another unit. Raises ExpressionError at `node`."""
        if typed.type.unit == unit:
            return typed
        if typed.op == "literal" and typed.value == 0 and typed.type.unit is None and not units.is_offset(unit):
            return Typed("literal", Type("number", unit), (), 0.0)  # nothing is nothing in any unit
        try:
            affine = units.converter(typed.type.unit, unit)
            a_point = units.is_offset(typed.type.unit) or units.is_offset(unit)
            if a_point and any(name and "delta_" in name for name in (typed.type.unit, unit)):
                raise UnitError(f"a difference ('{typed.type.unit}') is no point of a scale ('{unit}')", remedy="Compare like with like")
        except UnitError as error:
            remedy = "Write the number with its unit" if typed.op == "literal" and typed.type.unit is None else error.remedy
            self._fail(node, error.what, remedy or "Use units of one dimension")
        return Typed("convert", Type("number", unit), (typed,), affine)

    def _fail(self, node: Node, what: str, remedy: str) -> NoReturn:
        raise ExpressionError(what, text=self._text, position=node.at, remedy=remedy)

    def _fail_unit(self, node: Node, error: UnitError) -> ExpressionError:
        return ExpressionError(error.what, text=self._text, position=node.at, remedy=error.remedy)

    def _of(self, node: Node, kind: Kind, what: str) -> Typed:
        typed = self.typed(node)
        if typed.type.kind != kind:
            remedy = {"number": "Write a number here", "boolean": "Compare it with something", "text": 'Write text in quotes: "on"'}[kind]
            self._fail(node, f"{what} is {_CALLED[typed.type.kind]}, not {_CALLED[kind]}", remedy)
        return typed

    def literal(self, node: Node) -> Typed:
        if isinstance(node.value, float):
            try:
                return Typed("literal", Type("number", units.canonical(node.unit)), (), node.value)
            except UnitError as error:
                raise self._fail_unit(node, error) from None
        return Typed("literal", Type("boolean" if isinstance(node.value, bool) else "text"), (), node.value)

    def name(self, node: Node) -> Typed:
        found = self._scope.get(str(node.value))
        if found is None:
            near = get_close_matches(str(node.value), list(self._scope), 1)
            known = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(sorted(self._scope)[:20]) or 'none'}"
            self._fail(node, f"there is no '{node.value}' here", known)
        return Typed("name", found, (), node.value)

    def logic(self, node: Node) -> Typed:
        return Typed(node.op, Type("boolean"), tuple(self._of(arg, "boolean", f"a part of `{node.op}`") for arg in node.args))

    def either(self, node: Node) -> Typed:
        condition = self._of(node.args[0], "boolean", "the condition of `if`")
        then, otherwise = self._alike(node.args[1:])
        return Typed("if", then.type, (condition, then, otherwise))

    def compare(self, node: Node) -> Typed:
        parts = self._alike(node.args)
        if parts[0].type.kind != "number" and any(sign not in ("==", "!=") for sign in str(node.value).split()):
            self._fail(node, f"{_CALLED[parts[0].type.kind]} has no order", "Use == or !=")
        return Typed("compare", Type("boolean"), tuple(parts), tuple(str(node.value).split()))

    def member(self, node: Node) -> Typed:
        return Typed("in", Type("boolean"), tuple(self._alike(node.args)))

    def _alike(self, nodes: Sequence[Node]) -> list[Typed]:
        """Parts of one kind and unit: that of the first which has one."""
        parts = [self.typed(node) for node in nodes]
        for part, node in zip(parts, nodes, strict=True):
            if part.type.kind != parts[0].type.kind:
                what = f"{_CALLED[part.type.kind]} beside {_CALLED[parts[0].type.kind]}"
                self._fail(node, what, "Give both the same kind; text stands in quotes")
        if parts[0].type.kind != "number":
            return parts
        unit = next((part.type.unit for part in parts if not _is_zero(part)), parts[0].type.unit)
        return [self.convert(part, unit, node) for part, node in zip(parts, nodes, strict=True)]

    def sum(self, node: Node) -> Typed:
        left, right = (self._of(arg, "number", f"a part of `{node.op}`") for arg in node.args)
        offsets = units.is_offset(left.type.unit), units.is_offset(right.type.unit)
        if not any(offsets):
            left, right = self._alike(node.args)
            return Typed(node.op, left.type, (left, right))
        return self._sum_of_points(node, left, right, offsets)

    def _sum_of_points(self, node: Node, left: Typed, right: Typed, offsets: tuple[bool, bool]) -> Typed:
        """Points on a scale (20 degC): their difference is an amount, and an amount can be added to one."""
        if all(offsets):
            if node.op == "+":
                self._fail(node, "two temperatures can't be added", "Write a difference as 5 delta_degC")
            difference = f"delta_{left.type.unit}"
            right = self.convert(right, left.type.unit, node.args[1])
            return Typed("-", Type("number", difference), (left, right))
        point, amount, at = (left, right, node.args[1]) if offsets[0] else (right, left, node.args[0])
        if (node.op == "-" and not offsets[0]) or "delta_" not in (amount.type.unit or ""):
            remedy = f"Write a difference as 5 delta_{point.type.unit}, or a point in the same unit with to(...)"
            self._fail(at, f"'{amount.type.unit or 'a plain number'}' beside the scale '{point.type.unit}' is ambiguous", remedy)
        amount = self.convert(amount, f"delta_{point.type.unit}", at)
        return Typed(node.op, point.type, (point, amount) if offsets[0] else (amount, point))

    def product(self, node: Node) -> Typed:
        left, right = (self._of(arg, "number", f"a part of `{node.op}`") for arg in node.args)
        combine = units.product if node.op == "*" else units.quotient
        try:
            return Typed(node.op, Type("number", combine(left.type.unit, right.type.unit)), (left, right))
        except UnitError as error:
            raise self._fail_unit(node, error) from None

    def power(self, node: Node) -> Typed:
        base, exponent = (self._of(arg, "number", "a part of `**`") for arg in node.args)
        exponent = self.convert(exponent, None, node.args[1])
        if base.type.unit is None:
            return Typed("**", base.type, (base, exponent))
        if exponent.op != "literal":
            remedy = "Write the exponent as a number, or divide the unit away first"
            self._fail(node.args[1], f"'{base.type.unit}' raised to what is not a plain number", remedy)
        return self._raised(node, base, exponent.value, Typed("literal", Type("number"), (), exponent.value))

    def _raised(self, node: Node, base: Typed, exponent: float, by: Typed | None) -> Typed:
        try:
            unit = units.power(base.type.unit, exponent)
        except UnitError as error:
            raise self._fail_unit(node, error) from None
        return Typed("sqrt", Type("number", unit), (base,)) if by is None else Typed("**", Type("number", unit), (base, by))

    def negative(self, node: Node) -> Typed:
        inner = self._amount(node.args[0], "-")
        return Typed("neg", inner.type, (inner,))

    def _amount(self, node: Node, what: str) -> Typed:
        typed = self._of(node, "number", f"what `{what}` is of")
        if units.is_offset(typed.type.unit):
            self._fail(node, f"'{typed.type.unit}' has a zero of its own: no `{what}` of it", 'Convert it first: to(t, "K")')
        return typed

    # --- functions ---------------------------------------------------------------------------------------------------

    def _call(self, node: Node, name: str) -> Typed:
        function = FUNCTIONS.get(name)
        if function is None and name not in OF_ANY_KIND:
            near = get_close_matches(name, [*FUNCTIONS, *OF_ANY_KIND], 1)
            remedy = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join([*FUNCTIONS, *OF_ANY_KIND])}"
            self._fail(node, f"there is no function '{name}'", remedy)
        low, high = OF_ANY_KIND.get(name, (0, 0))
        if function is not None:
            low, high = len(function.takes) - function.optional, len(function.takes) + function.more
        if not low <= len(node.args) <= high:
            wanted = str(low) if low == high else f"{low} to {high}"
            self._fail(node, f"{name} takes {wanted} arguments, not {len(node.args)}", "Correct the arguments")
        if function is None:
            return self._of_any_kind(node, name)
        takes = [*function.takes, *[function.takes[-1]] * function.more]
        args = [self._of(arg, kind, f"an argument of {name}") for arg, kind in zip(node.args, takes, strict=False)]
        return _UNIT_RULES[function.units](self, node, name, Type(function.gives), args)

    def _of_any_kind(self, node: Node, name: str) -> Typed:
        if name == "missing":
            return Typed(name, Type("boolean"), (self.typed(node.args[0]),))
        parts = self._alike(node.args)
        return Typed(name, parts[0].type, tuple(parts))

    def _same(self, node: Node, name: str, _gives: Type, args: list[Typed]) -> Typed:
        alike = self._alike(node.args) if len(args) > 1 else args
        return Typed(name, alike[0].type, tuple(alike))

    def _amount_of(self, node: Node, name: str, _gives: Type, _args: list[Typed]) -> Typed:
        inner = self._amount(node.args[0], name)
        return Typed(name, inner.type, (inner,))

    def _plain(self, node: Node, name: str, gives: Type, args: list[Typed]) -> Typed:
        return Typed(name, gives, tuple(self.convert(arg, None, at) for arg, at in zip(args, node.args, strict=True)))

    def _angle(self, node: Node, name: str, _gives: Type, _args: list[Typed]) -> Typed:
        return Typed(name, Type("number", units.canonical("rad")), tuple(self._alike(node.args)))

    def _any_unit(self, _node: Node, name: str, gives: Type, args: list[Typed]) -> Typed:
        return Typed(name, gives, tuple(args))

    def _root(self, node: Node, _name: str, _gives: Type, args: list[Typed]) -> Typed:
        return self._raised(node, args[0], 0.5, None)

    def _rounded(self, node: Node, name: str, _gives: Type, args: list[Typed]) -> Typed:
        digits = node.args[1].value if len(args) > 1 else 0.0
        if not isinstance(digits, float) or node.args[-1].unit is not None or digits not in range(16):
            self._fail(node.args[1], "the decimals of round are no whole number from 0 to 15", "Write round(x, 2)")
        return Typed(name, args[0].type, (args[0],), int(digits))

    def _into(self, node: Node, _name: str, _gives: Type, args: list[Typed]) -> Typed:
        if args[1].op != "literal":
            self._fail(node.args[1], "the unit of `to` is no text in quotes", 'Write to(t, "K")')
        try:
            unit = units.canonical(args[1].value)
        except UnitError as error:
            raise self._fail_unit(node.args[1], error) from None
        return self.convert(args[0], unit, node.args[0])


def _is_zero(part: Typed) -> bool:
    return part.op == "literal" and part.value == 0 and part.type.unit is None


_CALLED: Mapping[Kind, str] = {"number": "a number", "boolean": "true or false", "text": "text"}
_RULES: Mapping[str, Callable[[_Checker, Node], Typed]] = {
    "literal": _Checker.literal,
    "name": _Checker.name,
    **dict.fromkeys(("and", "or", "not"), _Checker.logic),
    "if": _Checker.either,
    "compare": _Checker.compare,
    "in": _Checker.member,
    **dict.fromkeys("+-", _Checker.sum),
    **dict.fromkeys("*/", _Checker.product),
    "**": _Checker.power,
    "neg": _Checker.negative,
}
_UNIT_RULES: Mapping[str, Callable[[_Checker, Node, str, Type, list[Typed]], Typed]] = {
    "same": _Checker._same,
    "amount": _Checker._amount_of,
    "plain": _Checker._plain,
    "angle": _Checker._angle,
    "none": _Checker._any_unit,
    "sqrt": _Checker._root,
    "round": _Checker._rounded,
    "to": _Checker._into,
}
