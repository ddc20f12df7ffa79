"""JSON Patch (RFC 6902) as Azure Digital Twins takes it: add, remove, replace and test; no move, no copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from twinwright.errors import JsonPatchError

Op = Literal["add", "remove", "replace", "test"]
OPERATIONS: Final = ("add", "remove", "replace", "test")
MAX_OPERATIONS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Operation:
    """One step: `path` are the unescaped tokens of its JSON pointer, `index` its place in the patch."""

    op: Op
    path: tuple[str, ...]
    value: Any
    index: int

    @property
    def pointer(self) -> str:
        """RFC 6901."""
        return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in self.path)

    def refuse(self, what: str, remedy: str) -> JsonPatchError:
        return JsonPatchError(f"{self.op} {self.pointer}: {what}", where=f"$[{self.index}]", remedy=remedy)


def parse_patch(document: Any) -> list[Operation]:
    """The steps of a patch. Raises JsonPatchError."""
    if not isinstance(document, list):
        remedy = 'Send [{"op": "replace", "path": "/name", "value": 1}]'
        raise JsonPatchError("the body is not a list of operations", where="$", remedy=remedy)
    if len(document) > MAX_OPERATIONS:
        raise JsonPatchError(f"{len(document)} operations", where="$", remedy=f"Send at most {MAX_OPERATIONS}")
    return [_operation(one, index) for index, one in enumerate(document)]


def _operation(given: Any, index: int) -> Operation:
    where = f"$[{index}]"
    if not isinstance(given, dict):
        raise JsonPatchError("an operation is an object", where=where, remedy="Give `op`, `path` and, but for remove, `value`")
    op, pointer = given.get("op"), given.get("path")
    if op not in OPERATIONS:
        raise JsonPatchError(f"unsupported operation type {str(op)[:40]!r}", where=where, remedy=f"Use one of {', '.join(OPERATIONS)}")
    if not isinstance(pointer, str) or not pointer.startswith("/") or len(pointer) > 2_048:
        raise JsonPatchError(f"{str(pointer)[:60]!r} is not a path", where=f"{where}.path", remedy="Write a JSON pointer such as /name")
    if op != "remove" and "value" not in given:
        raise JsonPatchError(f"{op} needs a value", where=where, remedy="Give `value`")
    tokens = tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/"))
    return Operation(cast(Op, op), tokens, given.get("value"), index)


def apply_patch(document: dict[str, Any], operations: Sequence[Operation]) -> None:
    """Carry the steps out on a document of one's own. Raises JsonPatchError, with the document in any state."""
    for operation in operations:
        *parents, last = operation.path
        owner: Any = document
        for token in parents:
            owner = _child(owner, token, operation)
        if isinstance(owner, dict):
            _in_object(owner, last, operation)
        elif isinstance(owner, list):
            _in_array(owner, last, operation)
        else:
            raise _unresolved(operation)


def _child(owner: Any, token: str, operation: Operation) -> Any:
    if isinstance(owner, dict) and token in owner:
        return owner[token]
    if isinstance(owner, list) and (place := _index(token, len(owner) - 1)) is not None:
        return owner[place]
    raise _unresolved(operation)


def _in_object(owner: dict[str, Any], name: str, operation: Operation) -> None:
    if operation.op == "add":
        owner[name] = operation.value
        return
    if name not in owner:
        raise operation.refuse(f"'{name[:60]}' does not exist", "Use add for what is not there yet")
    if operation.op == "replace":
        owner[name] = operation.value
    elif operation.op == "remove":
        del owner[name]
    else:
        _test(owner[name], operation)


def _in_array(owner: list[Any], name: str, operation: Operation) -> None:
    if operation.op == "add":
        place = len(owner) if name == "-" else _index(name, len(owner))
        if place is None:
            raise _unresolved(operation)
        owner.insert(place, operation.value)
        return
    place = _index(name, len(owner) - 1)
    if place is None:
        raise _unresolved(operation)
    if operation.op == "replace":
        owner[place] = operation.value
    elif operation.op == "remove":
        del owner[place]
    else:
        _test(owner[place], operation)


def _index(token: str, most: int) -> int | None:
    if not token.isascii() or not token.isdigit() or (len(token) > 1 and token[0] == "0") or len(token) > 9:
        return None
    return int(token) if int(token) <= most else None


def _test(found: Any, operation: Operation) -> None:
    if not same(found, operation.value):
        raise operation.refuse("the test failed: the value is another", "Read the twin again")


def same(a: Any, b: Any) -> bool:
    """Equal as JSON: numbers by value, true and false apart from them."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(one, other) for one, other in zip(a, b, strict=True))
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _unresolved(operation: Operation) -> JsonPatchError:
    return operation.refuse("could not resolve the path", "See the document for what is there")
