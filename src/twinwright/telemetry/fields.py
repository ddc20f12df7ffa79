"""How a contract names a field of a JSON payload: by its key, or by a path into objects and arrays.

pressure            a key
data.pressure       of the object under `data`; `position.0` is the first of an array
data\\.pressure      the key `data.pressure` itself
^site               with `each`: of the document around the element; `^^site` of the one around that
.                   with `each`: the element itself, where it is a number or a text
@key, @index        with `each`: the element's key in its object, or its place in its array, from 0
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from twinwright.documents import Document, Location, Problems
from twinwright.errors import UsageError
from twinwright.telemetry.contract_spec import ContractSpec, FieldKind

MAX_STEPS = 32
_PARTS = re.compile(r"((?:\\.|[^.\\])*)(\.|$)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ELEMENT_NAMES = ("@key", "@index")


@dataclass(frozen=True, slots=True)
class FieldPath:
    """`up` documents outwards, then step by step in; `place` is `@key` or `@index` instead of steps."""

    steps: tuple[str, ...]
    up: int = 0
    place: str = ""

    def of(self, value: Any) -> Any:
        """What lies there in a document (steps only); None where there is nothing."""
        for step in self.steps:
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and step.isascii() and step.isdigit() and len(step) < 10:
                value = value[int(step)] if int(step) < len(value) else None
            else:
                return None
        return value


@dataclass(frozen=True, slots=True)
class Level:
    """One step of `each`: where the elements lie in what encloses them; `members` of an object, or elements of an array."""

    path: FieldPath
    members: bool
    text: str


@lru_cache(maxsize=8192)
def field_path(text: str, *, within: int) -> FieldPath:
    """The path that a text names, in an element `within` so many documents. Raises UsageError."""
    if not within:
        return FieldPath(_steps(text))
    if text in _ELEMENT_NAMES:
        return FieldPath((), 0, text)
    inner = text.lstrip("^")
    up = len(text) - len(inner)
    if up > within:
        raise UsageError(f"'{text}' leads {up} documents outwards, and there are {within}", remedy="Write one ^ for each level of `each`")
    return FieldPath(() if inner == "." else _steps(inner), up)


def is_flat(text: str) -> bool:
    """Whether a text names a key of the document and nothing else (without `each`)."""
    return "." not in text and "\\" not in text


def level(text: str) -> Level:
    """One step of `each`. Raises UsageError."""
    members = text == "*" or text.endswith(".*")
    path = text.removesuffix(".*") if members else text
    return Level(FieldPath(() if text == "*" else _steps(path)), members, text)


def levels_of(each: str | list[str] | None, document: Document, problems: Problems) -> tuple[Level, ...]:
    """The levels of a contract's `each`; what is wrong with one goes into `problems`."""
    texts = [each] if isinstance(each, str) else each or []
    levels: list[Level] = []
    for index, text in enumerate(texts):
        place: Location = ("each",) if isinstance(each, str) else ("each", index)
        try:
            levels.append(level(text))
        except UsageError as error:
            problems.add(document.problem(place, error.what, error.remedy or "", "bad_field"))
    return tuple(levels)


def check_form(spec: ContractSpec, fields: Mapping[str, FieldKind], levels: int, document: Document, problems: Problems) -> None:
    """Whether a contract says what its format has: paths, elements and objects are of JSON alone, other things of other formats."""
    for setting, only in (("delimiter", "csv"), ("precision", "line-protocol")):
        if setting in spec.model_fields_set and spec.format != only:
            message = f"{spec.format} has no {setting}"
            problems.add(document.problem((setting,), message, f"Leave it out: `{setting}` is of `format: {only}`", "bad_field"))
    if spec.format in ("json", "cloudevents"):
        for name in fields:
            try:
                field_path(name, within=levels if spec.format == "json" else 0)
            except UsageError as error:
                problems.add(document.problem(_place_of(spec, name), error.what, error.remedy or "", "bad_field"))
    if spec.format == "json":
        return
    if spec.each is not None:
        problems.add(document.problem(("each",), f"{spec.format} has no elements", "`each` is for JSON", "bad_field"))
    for name in (name for name, kind in fields.items() if kind == "json"):
        message = f"'{name}' would be an object, and {spec.format} holds none"
        problems.add(document.problem(_place_of(spec, name), message, "Observe objects and arrays from JSON", "bad_schema"))


def _place_of(spec: ContractSpec, name: str) -> tuple[str | int, ...]:
    """Where a contract names a field first."""
    for index, observation in enumerate(spec.observations):
        if observation.field == name:
            return "observations", index, "field"
    return ("time", "field") if spec.time.field == name else ()


def _steps(text: str) -> tuple[str, ...]:
    steps: list[str] = []
    at = 0
    while True:
        match = _PARTS.match(text, at)
        if match is None or not match[1]:
            raise UsageError(
                f"'{text}' is not the path of a field", remedy=r"Write keys with points between, as data.pressure; a point in a key is \."
            )
        steps.append(_ESCAPED.sub(r"\1", match[1]))
        at = match.end()
        if not match[2]:
            break
    if len(steps) > MAX_STEPS:
        raise UsageError(f"a path of {len(steps)} steps", remedy=f"At most {MAX_STEPS}")
    return tuple(steps)
