"""The filter of an event route, which webhooks and streams share: a condition on the attributes of an event and on its body.

    type = 'Microsoft.DigitalTwins.Twin.Update' AND STARTS_WITH(subject, 'pump-')
    $body.modelId IN ['dtmi:example:Pump;1'] OR type = 'microsoft.iot.telemetry'

It is read by the expressions of the query language. What is not there makes a comparison unknown, and an event is taken only where its
filter is true: SQL's own logic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

from twinwright.errors import EventRouteFilterError, QueryError
from twinwright.events.cloudevents import ATTRIBUTES
from twinwright.twins.query.expressions import Expressions
from twinwright.twins.query.tree import Node, walk

MOST_CHARACTERS: Final = 4_096
_BODY: Final = "$body"
_ROOTS: Final = ATTRIBUTES | {_BODY}
_CALLED: Final = {"STARTS_WITH": "STARTSWITH", "ENDS_WITH": "ENDSWITH"}
_OPS: Final = frozenset({"literal", "ref", "call", "compare", "and", "or", "not", "in", "nin"})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TEXT: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "STARTSWITH": str.startswith,
    "ENDSWITH": str.endswith,
    "CONTAINS": str.__contains__,
}
_TESTS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "IS_DEFINED": lambda value: value is not None,
    "IS_NULL": lambda value: value is None,
    "IS_BOOL": lambda value: isinstance(value, bool),
    "IS_NUMBER": _is_number,
    "IS_STRING": lambda value: isinstance(value, str),
    "IS_OBJECT": lambda value: isinstance(value, Mapping),
    "IS_PRIMITIVE": lambda value: isinstance(value, bool | int | float | str),
}


class EventFilter:
    """A filter, read and checked."""

    def __init__(self, text: str) -> None:
        """Raises EventRouteFilterError."""
        self.text = text
        if not text.strip():
            raise EventRouteFilterError("the filter is empty", where="$.filter", remedy="Write true for all events")
        if len(text) > MOST_CHARACTERS:
            what = f"a filter of {len(text)} characters"
            raise EventRouteFilterError(what, where="$.filter", remedy=f"Use at most {MOST_CHARACTERS}")
        try:
            self._node = _Reader(text).read()
        except QueryError as error:
            where = (error.where or "").replace("query", "$.filter", 1)
            raise EventRouteFilterError(error.what, where=where, remedy=error.remedy) from None

    def admits(self, event: Mapping[str, Any]) -> bool:
        """Whether it is true of a CloudEvent."""
        return _value(self._node, event) is True


@lru_cache(maxsize=1_000)
def filter_of(text: str) -> EventFilter:
    """The same text is read once. Raises EventRouteFilterError."""
    return EventFilter(text)


class _Reader(Expressions):
    """The whole text as one condition, of what means something here."""

    def read(self) -> Node:
        node = self._condition()
        if self._token.kind != "end":
            self._fail(f"{self._found()} where the filter could end", "Join conditions with AND or OR")
        for part in walk(node):
            self._check(part)
        return node

    def _call(self) -> Node:
        token = self._token
        self._tokens[self._next] = type(token)(token.kind, _CALLED.get(token.text.upper(), token.text), token.at)
        return super()._call()

    def _check(self, node: Node) -> None:
        if node.op not in _OPS or node.unit is not None:
            self._fail("only comparisons have a meaning in a filter", "Compare an attribute with a value", node.at)
        if node.op == "ref" and node.value[0] not in _ROOTS:
            near = get_close_matches(str(node.value[0]), sorted(_ROOTS), 1)
            remedy = f"Did you mean '{near[0]}'?" if near else f"There are {', '.join(sorted(_ROOTS))}"
            self._fail(f"an event has no attribute '{str(node.value[0])[:60]}'", remedy, node.at)
        if node.op == "call":
            wanted = 2 if node.value in _TEXT else 1 if node.value in _TESTS else 0
            if not wanted:
                self._fail(f"{node.value} has no meaning in a filter", f"There are {', '.join(sorted([*_TEXT, *_TESTS]))}", node.at)
            if len(node.args) != wanted:
                self._fail(f"{node.value} takes {wanted} argument(s)", "Write it as STARTS_WITH(subject, 'a')", node.at)


def _value(node: Node, event: Mapping[str, Any]) -> Any:
    """None: unknown."""
    if node.op == "literal":
        return node.value
    if node.op == "ref":
        return _looked_up(node.value, event)
    if node.op in ("and", "or"):
        return _joined(node, event)
    if node.op == "not":
        inner = _value(node.args[0], event)
        return not inner if isinstance(inner, bool) else None
    values = [_value(arg, event) for arg in node.args]
    if node.op == "call":
        return _called(node.value, values)
    if node.op == "compare":
        return _compared(node.value, *values)
    if values[0] is None:
        return None
    found = any(_compared("=", values[0], one) for one in values[1:])
    return found if node.op == "in" else not found


def _looked_up(names: tuple[str, ...], event: Mapping[str, Any]) -> Any:
    value: Any = event
    for name in (("data" if names[0] == _BODY else names[0]), *names[1:]):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _joined(node: Node, event: Mapping[str, Any]) -> bool | None:
    """Decided by the first that is false (of OR: true); unknown where one is."""
    decides, unknown = node.op == "or", False
    for arg in node.args:
        value = _value(arg, event)
        if isinstance(value, bool) and value == decides:
            return decides
        unknown = unknown or not isinstance(value, bool)
    return None if unknown else not decides


def _called(name: str, values: list[Any]) -> bool | None:
    if name in _TESTS:
        return bool(_TESTS[name](values[0]))
    return _TEXT[name](values[0], values[1]) if all(isinstance(value, str) for value in values) else None


def _compared(sign: str, left: Any, right: Any) -> bool | None:
    if left is None or right is None:
        return None
    alike = type(left) is type(right) or (_is_number(left) and _is_number(right))
    if sign in ("=", "!="):
        return (alike and left == right) is (sign == "=")
    if not alike or not isinstance(left, int | float | str) or isinstance(left, bool):
        return None
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign])
