"""JSON Patch (RFC 6902). Azure Digital Twins itself takes add, replace and remove alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

from twinwright.errors import JsonPatchError

Op = Literal["add", "remove", "replace", "move", "copy", "test"]
OPERATIONS: Final = ("add", "remove", "replace", "move", "copy", "test")
MAX_OPERATIONS: Final = 1_000
MAX_COPIED: Final = 100_000  # values that one patch copies: each copy could double a document
_MAX_DEPTH: Final = 64  # of what is copied
_POINTER = re.compile(r"(?:/(?:[^~]|~[01])*)+", re.DOTALL)  # RFC 6901, but for the whole document


@dataclass(frozen=True, slots=True)
class Operation:
    """One step: `path` are the unescaped tokens of its JSON pointer, `index` its place in the patch, `source` what `from` points to."""

    op: Op
    path: tuple[str, ...]
    value: Any
    index: int
    source: tuple[str, ...] | None = None

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
    op = given.get("op")
    if op not in OPERATIONS:
        raise JsonPatchError(f"unsupported operation type {str(op)[:40]!r}", where=where, remedy=f"Use one of {', '.join(OPERATIONS)}")
    path = _tokens(given.get("path"), f"{where}.path")
    if op in ("move", "copy"):
        source = _tokens(given.get("from"), f"{where}.from")
        if op == "move" and path[: len(source)] == source and path != source:
            raise JsonPatchError("a value can't be moved into itself", where=f"{where}.path", remedy="Name a path outside of `from`")
        return Operation(cast(Op, op), path, None, index, source)
    if op != "remove" and "value" not in given:
        raise JsonPatchError(f"{op} needs a value", where=where, remedy="Give `value`")
    return Operation(cast(Op, op), path, given.get("value"), index)


def _tokens(pointer: Any, where: str) -> tuple[str, ...]:
    if not isinstance(pointer, str) or len(pointer) > 2_048 or not _POINTER.fullmatch(pointer):
        remedy = "Write a JSON pointer such as /name; ~ and / within a name are ~0 and ~1"
        raise JsonPatchError(f"{str(pointer)[:60]!r} is not a path", where=where, remedy=remedy)
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/"))


def apply_patch(document: dict[str, Any], operations: Sequence[Operation]) -> None:
    """Carry the steps out on a document of one's own. Raises JsonPatchError, with the document in any state."""
    copied = 0
    for given in operations:
        operation = given
        if operation.source is not None:
            value = _taken(document, operation, operation.source)
            copied += _count(value, operation) if operation.op == "copy" else 0
            if copied > MAX_COPIED:
                raise operation.refuse(f"more than {MAX_COPIED} values are copied", "Send several patches")
            operation = replace(operation, op="add", value=deepcopy(value) if operation.op == "copy" else value)
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


def _taken(document: dict[str, Any], operation: Operation, source: tuple[str, ...]) -> Any:
    """What `from` points to; a move takes it away from there."""
    at = replace(operation, path=source)
    owner: Any = document
    for token in source[:-1]:
        owner = _child(owner, token, at)
    found = _child(owner, source[-1], at)
    if operation.op == "move":
        del owner[source[-1] if isinstance(owner, dict) else int(source[-1])]
    return found


def _count(value: Any, operation: Operation) -> int:
    """How many values are in one, itself included."""
    count, level = 0, [value]
    for _ in range(_MAX_DEPTH):
        count += len(level)
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [one for values in inner for one in values]
        if not level or count > MAX_COPIED:
            return count
    raise operation.refuse(f"it is nested deeper than {_MAX_DEPTH}", "Copy a smaller part")


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
        remedy = "Leave it out" if operation.op == "remove" else "Use add for what is not there yet"
        raise operation.refuse(f"'{name[:60]}' does not exist", remedy)
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
