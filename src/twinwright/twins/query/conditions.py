"""Conditions and values of a query to SQL: kinds and units are checked, and every conversion is put in.

What is missing makes a comparison unknown, and a row is taken only where its condition is true: SQL's own logic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, cast

from twinwright import units
from twinwright.clock import parse_duration
from twinwright.errors import UnitError, UsageError
from twinwright.storage.layout import Lane
from twinwright.twins.query.catalogue import Kind, nearest
from twinwright.twins.query.forms import Forms, literal
from twinwright.twins.query.scope import Scope, Twins
from twinwright.twins.query.tree import Node

AGGREGATES: Mapping[str, str] = {"AVG": "avg", "SUM": "sum", "MIN": "min", "MAX": "max", "COUNT": "count"}
WINDOW_AGGREGATES = ("avg", "min", "max", "sum", "count", "first", "last")
MOST_IN = 1_000
_TESTS: Mapping[str, tuple[Kind, ...]] = {
    "IS_BOOL": ("boolean",),
    "IS_NUMBER": ("number",),
    "IS_STRING": ("text",),
    "IS_OBJECT": ("object",),
    "IS_PRIMITIVE": ("boolean", "number", "text"),
    "IS_DEFINED": ("boolean", "number", "text", "object", "array"),
}
_TEXT_TESTS = {"STARTSWITH": "starts_with", "ENDSWITH": "ends_with", "CONTAINS": "contains"}
_CALLED: Mapping[Kind, str] = {
    "number": "a number",
    "boolean": "true or false",
    "text": "text",
    "object": "an object",
    "array": "an array",
    "component": "a component",
}
_JSON_TYPES: Mapping[Kind, str] = {
    "number": "'UBIGINT', 'BIGINT', 'DOUBLE', 'HUGEINT', 'UHUGEINT'",
    "text": "'VARCHAR'",
    "boolean": "'BOOLEAN'",
}


@dataclass(frozen=True, slots=True)
class Window:
    """`HISTORY(T.path, duration, aggregate)`: `sql` is the relation it becomes, `duration` in microseconds."""

    sql: str
    twins: Twins
    lane: Lane
    path: str
    duration: int
    aggregate: str
    unit: str | None


class Compiler:
    """The expressions of one query. `windows` are what of history they need."""

    def __init__(self, scope: Scope) -> None:
        self.scope, self._parameters = scope, scope.parameters
        self.windows: dict[tuple[str, Lane, str, int, str], Window] = {}
        self._in_aggregate = False

    def fail(self, node: Node, what: str, remedy: str) -> NoReturn:
        self.scope.query.fail(node.at, what, remedy)

    def condition(self, node: Node) -> str:
        """The SQL of what is true or false. Raises QueryError."""
        return self._as(node, self.forms(node), "boolean")

    def forms(self, node: Node) -> Forms:
        """The SQL of any part. Raises QueryError."""
        try:
            return _RULES[node.op](self, node)
        except UnitError as error:
            self.fail(node, error.what, error.remedy or "Use units of one dimension")

    def _as(self, node: Node, forms: Forms, kind: Kind) -> str:
        if kind not in forms.sql:
            given = " or ".join(_CALLED[one] for one in forms.sql) or "null"
            remedies = {"boolean": "Compare it with something", "number": "Give a number", "text": "Give text in quotes"}
            self.fail(node, f"{given} stands where {_CALLED[kind]} is expected", remedies.get(kind, "Name another property"))
        return forms.sql[kind]

    # --- parts -------------------------------------------------------------------------------------------------------

    def literal(self, node: Node) -> Forms:
        return literal(node.value, node.unit, self._parameters)

    def reference(self, node: Node) -> Forms:
        return self.scope.forms(node)

    def in_unit(self, node: Node) -> Forms:
        forms = self.forms(node.args[0])
        self._as(node.args[0], forms, "number")
        unit = units.canonical(node.value)
        sql = forms.number(unit) if forms.units else forms.sql["number"]
        return Forms({"number": sql}, ((unit, None),), aggregated=forms.aggregated, names=forms.names)

    def logic(self, node: Node) -> Forms:
        parts = [self.forms(arg) for arg in node.args]
        texts = [self._as(arg, part, "boolean") for arg, part in zip(node.args, parts, strict=True)]
        sql = f"(NOT {texts[0]})" if node.op == "not" else "(" + f" {node.op.upper()} ".join(texts) + ")"
        return self._made("boolean", sql, parts)

    def _made(self, kind: Kind, sql: str, parts: Sequence[Forms], measured: str | None = None, *, plain: bool = True) -> Forms:
        names = tuple(dict.fromkeys(name for part in parts for name in part.names))
        found = () if plain else ((measured, None),)
        return Forms({kind: sql}, found, aggregated=any(part.aggregated for part in parts), names=names)

    def compare(self, node: Node) -> Forms:
        left, right = (self.forms(arg) for arg in node.args)
        if node.value in ("=", "!="):
            self._check_named(node.args, left, right)
        sql = self._compared(node, left, right, node.value, node.args)
        return self._made("boolean", sql, (left, right))

    def _compared(self, node: Node, left: Forms, right: Forms, sign: str, args: Sequence[Node]) -> str:
        kinds: list[Kind] = [kind for kind in ("number", "text", "boolean") if kind in left.sql and kind in right.sql]
        for arg, forms in zip(args, (left, right), strict=False):
            if forms.is_literal and forms.literal is None:
                self.fail(arg, "nothing compares with null", "Write IS_NULL(...), or NOT IS_NULL(...)")
        if not kinds:
            given = [" or ".join(_CALLED[kind] for kind in forms.sql) for forms in (left, right)]
            self.fail(node, f"{given[0]} is compared with {given[1]}", "Give both the same kind; text stands in quotes")
        if kinds == ["boolean"] and sign not in ("=", "!="):
            self.fail(node, "true and false have no order", "Use = or !=")
        written = []
        for kind in kinds:
            texts = self._alike(left, right) if kind == "number" else (left.sql[kind], right.sql[kind])
            written.append(f"({texts[0]} {'<>' if sign == '!=' else sign} {texts[1]})")
        return written[0] if len(written) == 1 else f"coalesce({', '.join(written)})"

    def _alike(self, left: Forms, right: Forms) -> tuple[str, str]:
        """Numbers in one unit: that of the one which is no literal. A number without a unit is taken in the other's own."""
        if not left.units or not right.units:
            return left.sql["number"], right.sql["number"]
        unit = right.unit if left.is_literal else left.unit
        return left.number(unit), right.number(unit)

    def _check_named(self, args: Sequence[Node], *forms: Forms) -> None:
        """A model or relationship that is compared with has to be there: else the answer would be empty for a slip of the pen."""
        query = self.scope.query
        now = query.as_of is None and query.known_at is None  # another name may have been there
        if now and any(arg.op == "ref" and arg.value[-1] == "$relationshipName" for arg in args):
            known = {*self.scope.catalogue.relationship_names, *self.scope.shape.names}
            for arg, one in zip(args, forms, strict=True):
                if one.is_literal and isinstance(one.literal, str) and one.literal not in known:
                    self.fail(arg, f"there is no relationship '{one.literal[:200]}'", nearest(one.literal, known))
        if any(arg.op == "ref" and tuple(arg.value[-2:]) == ("$metadata", "$model") for arg in args):
            for arg, one in zip(args, forms, strict=True):
                if one.is_literal and isinstance(one.literal, str):
                    self._model(arg, one.literal)

    def _model(self, node: Node, dtmi: str) -> str:
        if dtmi not in self.scope.catalogue.numbers:
            self.fail(node, f"there is no model '{dtmi[:200]}'", nearest(dtmi, self.scope.catalogue.models))
        return dtmi

    def member(self, node: Node) -> Forms:
        if len(node.args) > MOST_IN + 1:
            self.fail(node, f"a list of {len(node.args) - 1} values", f"At most {MOST_IN} are read")
        found = self.forms(node.args[0])
        parts = [self.forms(arg) for arg in node.args[1:]]
        for arg, part in zip(node.args[1:], parts, strict=True):
            if not part.is_literal:
                self.fail(arg, "a list holds literals only", "Write numbers, true, false, or text in quotes")
        self._check_named(node.args, found, *parts)
        tests = [self._compared(node, found, part, "=", node.args[:1]) for part in parts]
        sql = "(" + " OR ".join(tests) + ")"
        return self._made("boolean", sql if node.op == "in" else f"(NOT {sql})", [found, *parts])

    def arithmetic(self, node: Node) -> Forms:
        left, right = (self.forms(arg) for arg in node.args)
        for arg, part in zip(node.args, (left, right), strict=True):
            self._as(arg, part, "number")
        if node.op in ("+", "-"):
            texts = self._alike(left, right)
            unit, plain = left.unit if left.units else right.unit, not (left.units or right.units)
            plain = plain or units.is_offset(unit)  # the difference of two temperatures is no temperature
        else:
            texts = left.number(left.unit), right.number(right.unit)
            unit, plain = self._product(node.op, left, right)
        sql = f"({texts[0]}::DOUBLE {node.op} {texts[1]}::DOUBLE)"
        return self._made("number", sql, (left, right), unit, plain=plain)

    def _product(self, sign: str, left: Forms, right: Forms) -> tuple[str | None, bool]:
        if not left.units and not right.units:
            return None, True
        if not left.units or not right.units:
            unit = left.unit if left.units else right.unit
            inverse = sign == "/" and not left.units
            return (units.quotient(None, unit) if inverse else unit), units.is_offset(unit)
        return (units.product if sign == "*" else units.quotient)(left.unit, right.unit), False

    def negative(self, node: Node) -> Forms:
        forms = self.forms(node.args[0])
        self._as(node.args[0], forms, "number")
        return self._made("number", f"(-({forms.number(forms.unit)})::DOUBLE)", (forms,), forms.unit, plain=not forms.units)

    # --- functions ---------------------------------------------------------------------------------------------------

    def call(self, node: Node) -> Forms:
        name = node.value
        if name in AGGREGATES:
            return self._aggregate(node)
        if name == "IS_OF_MODEL":
            return self._is_of_model(node)
        if name == "HISTORY":
            return self._history(node)
        if name in _TEXT_TESTS:
            first, second = self._arguments(node, 2)
            texts = [self._as(arg, part, "text") for arg, part in zip(node.args, (first, second), strict=True)]
            return self._made("boolean", f"{_TEXT_TESTS[name]}({texts[0]}, {texts[1]})", (first, second))
        if name == "ARRAY_CONTAINS":
            return self._array_contains(node)
        (forms,) = self._arguments(node, 1)
        if name == "IS_NULL":
            return self._made("boolean", f"(NOT {self._there(forms, _TESTS['IS_DEFINED'])})", (forms,))
        return self._made("boolean", self._there(forms, _TESTS[name]), (forms,))

    def _there(self, forms: Forms, kinds: Sequence[Kind]) -> str:
        tests = [f"{forms.sql[kind]} IS NOT NULL" for kind in kinds if kind in forms.sql]
        if forms.always and "object" in kinds:
            tests.append(forms.always)
        return f"({' OR '.join(tests)})" if tests else "FALSE"

    def _arguments(self, node: Node, count: int) -> list[Forms]:
        if len(node.args) != count:
            self.fail(node, f"{node.value} takes {count} argument{'s' if count > 1 else ''}, not {len(node.args)}", "See the reference")
        return [self.forms(arg) for arg in node.args]

    def _is_of_model(self, node: Node) -> Forms:
        twins, dtmi, exact = self.of_model(node)
        models = self.scope.catalogue.subtypes(dtmi, exact=exact)
        listed = ", ".join(str(number) for number in sorted(models))
        return Forms({"boolean": f"({twins.sql}.m IN ({listed}))"}, names=(twins.sql,))

    def of_model(self, node: Node) -> tuple[Twins, str, bool]:
        """(twins, model, exact) of IS_OF_MODEL. Raises QueryError."""
        args = list(node.args)
        exact = bool(args) and args[-1].op == "ref" and len(args[-1].value) == 1 and args[-1].value[0].upper() == "EXACT"
        if exact:
            args.pop()
        named = args.pop(0) if len(args) == 2 and args[0].op == "ref" else None
        if len(args) == 2 and named is None and args[1].op == "ref":
            self.fail(args[1], f"'{args[1].value[-1]}' stands where exact is expected", "Write exact, or leave it out")
        if len(args) != 1 or args[0].op != "literal" or not isinstance(args[0].value, str):
            self.fail(node, "IS_OF_MODEL can't be read", "Write IS_OF_MODEL('dtmi:...'), IS_OF_MODEL(T, 'dtmi:...') or with , exact")
        if named is None:
            known = [one for one in self.scope.twins.values() if one.alias[0] != "("]
            if len(known) != 1:
                self.fail(node, "IS_OF_MODEL of which twins", "Name them first: IS_OF_MODEL(T, 'dtmi:...')")
            owner = known[0]
        else:
            found = self.scope.find(named)
            if found.steps or not isinstance(found.owner, Twins):
                self.fail(named, "only twins have a model", "Name the alias of twins")
            owner = found.owner
        return owner, self._model(args[0], args[0].value.strip()), exact

    def _array_contains(self, node: Node) -> Forms:
        array, wanted = self._arguments(node, 2)
        text = self._as(node.args[0], array, "array")
        if not wanted.is_literal or wanted.literal is None:
            self.fail(node.args[1], "what is looked for is no literal", "Write a number, true, false, or text in quotes")
        ((kind, bound),) = wanted.sql.items()
        value = {"number": "TRY_CAST(x AS DOUBLE)", "boolean": "TRY_CAST(x AS BOOLEAN)"}.get(kind, "x->>'$'")
        test = f"json_type(x) IN ({_JSON_TYPES[kind]}) AND {value} = {bound}"
        sql = f"(len(list_filter(TRY_CAST({text} AS JSON[]), lambda x: {test})) > 0)"
        return self._made("boolean", sql, (array, wanted))

    def _aggregate(self, node: Node) -> Forms:
        name = node.value
        if self._in_aggregate:
            self.fail(node, f"{name} inside another aggregate", "Aggregate once")
        if name == "COUNT" and not node.args:
            return Forms({"number": "count(*)"}, aggregated=True)
        self._in_aggregate = True
        (forms,) = self._arguments(node, 1)
        self._in_aggregate = False
        if name == "COUNT":
            sql = f"count(*) FILTER ({self._there(forms, _TESTS['IS_DEFINED'])})"
            return Forms({"number": sql}, aggregated=True, names=forms.names)
        if name in ("MIN", "MAX") and "number" not in forms.sql and "text" in forms.sql:
            return Forms({"text": f"{AGGREGATES[name]}({forms.sql['text']})"}, aggregated=True, names=forms.names)
        self._as(node.args[0], forms, "number")
        number = forms.number(forms.unit)
        sql = f"{AGGREGATES[name]}({number})" if name in ("MIN", "MAX") else f"{AGGREGATES[name]}(({number})::DOUBLE)"
        return Forms({"number": sql}, ((forms.unit, None),) if forms.units else (), aggregated=True, names=forms.names)

    def _history(self, node: Node) -> Forms:
        args = node.args
        if not 2 <= len(args) <= 3 or args[0].op != "ref" or any(a.op != "literal" or not isinstance(a.value, str) for a in args[1:]):
            self.fail(node, "HISTORY can't be read", "Write HISTORY(T.temperature, 'PT1H', 'avg')")
        forms = self.scope.forms(args[0])
        found = self.scope.find(args[0])
        if not isinstance(found.owner, Twins) or found.steps == ("$dtId",) or "number" not in forms.sql:
            self.fail(args[0], "it has no history of numbers", "Name a numeric property of twins")
        named = found.steps[0] == "$lanes"
        lane = cast(Lane, found.steps[1]) if named else "observed"
        steps = found.steps[2:] if named else found.steps
        aggregate = args[2].value.lower() if len(args) == 3 else "avg"
        aggregate = "avg" if aggregate == "mean" else aggregate
        if aggregate not in WINDOW_AGGREGATES:
            self.fail(args[2], f"there is no aggregate '{args[2].value[:40]}'", f"Use one of {', '.join(WINDOW_AGGREGATES)}")
        try:
            duration = parse_duration(args[1].value)
        except UsageError as error:
            self.fail(args[1], error.what, error.remedy or "Write it as PT1H")
        if duration <= 0:
            self.fail(args[1], "an empty window", "Write it as PT1H")
        places = [p for p in self.scope.catalogue.places(steps) if p.kind == "number" and p.model in set(self.scope.models_of(found.owner))]
        paths = {place.path for place in places if not place.inside}
        if "/".join(steps) in paths:  # other versions call it otherwise: history knows them by any of the names
            paths = {"/".join(steps)}
        if len(paths) != 1:
            self.fail(args[0], "it has no history of its own", "Name a whole property, not a part of one")
        path = paths.pop()
        key = (found.owner.sql, lane, path, duration, aggregate)
        unit = forms.unit
        window = self.windows.setdefault(key, Window(f"h{len(self.windows)}", found.owner, lane, path, duration, aggregate, unit))
        measured = () if aggregate == "count" else ((unit, None),)
        sql = f"{window.sql}.v" if aggregate != "count" else f"coalesce({window.sql}.v, 0)"
        return Forms({"number": sql}, measured, names=(found.owner.sql, window.sql))


_RULES: Mapping[str, Callable[[Compiler, Node], Forms]] = {
    "literal": Compiler.literal,
    "ref": Compiler.reference,
    "unit": Compiler.in_unit,
    "and": Compiler.logic,
    "or": Compiler.logic,
    "not": Compiler.logic,
    "compare": Compiler.compare,
    "in": Compiler.member,
    "nin": Compiler.member,
    **dict.fromkeys(("+", "-", "*", "/"), Compiler.arithmetic),
    "neg": Compiler.negative,
    "call": Compiler.call,
}
