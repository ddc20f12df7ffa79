"""YAML and JSON files as plain data that remembers the line of every node, read with limits on size, depth and aliases.

Every room parses its own kind of document from a `Document` and reports what is wrong into one `Problems` list, so that
a workspace can be checked whole before anything starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from twinwright.clock import parse_duration
from twinwright.errors import Problem, UsageError

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 2_000_000

Location = tuple[str | int, ...]
SpecT = TypeVar("SpecT", bound="Spec")


class Spec(BaseModel):
    """Base of everything written by hand in a workspace: unknown fields are refused, values are not coerced across types."""

    # `defer_build`: a command that reads no such document does not wait for its validator
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False, defer_build=True)


def _micros(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("a duration is text such as PT5S")  # pydantic turns a ValueError into its own report
    try:
        return parse_duration(value)
    except UsageError as error:
        raise ValueError(str(error)) from None


Duration = Annotated[int, BeforeValidator(_micros)]
"""An ISO 8601 duration in the document (`PT5S`), microseconds in the program."""


def json_path(location: Sequence[str | int]) -> str:
    """`$.observations[0].unit` for ("observations", 0, "unit")."""
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


@dataclass(slots=True)
class Problems:
    """All that was found wrong so far."""

    items: list[Problem] = field(default_factory=list)

    def add(self, problem: Problem) -> None:
        self.items.append(problem)

    def __bool__(self) -> bool:
        return bool(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data (dict, list, str, int, float, bool, None) and the line of each place in it."""

    file: str
    data: Any
    lines: dict[Location, int]

    def line(self, location: Sequence[str | int] = ()) -> int | None:
        """The line of a place, or of the nearest one that encloses it."""
        place = tuple(location)
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place)

    def problem(self, location: Sequence[str | int], message: str, remedy: str, code: str = "invalid") -> Problem:
        """A problem at a place of this document."""
        return Problem(message, remedy, self.file, self.line(location), json_path(location), code)

    def parse(self, spec: type[SpecT], problems: Problems) -> SpecT | None:
        """The document as a `Spec`; every violation goes into `problems` with its line, and None comes back."""
        if not isinstance(self.data, dict):
            problems.add(self.problem((), f"a mapping is expected, not {type(self.data).__name__}", "Write `key: value` lines"))
            return None
        try:
            return spec.model_validate(self.data)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                location = _real_location(detail["loc"], self.data)
                problems.add(self.problem(location, _message(detail, location), _remedy(detail, spec), detail["type"]))
            return None


def load(path: Path, problems: Problems, *, name: str | None = None) -> Document | None:
    """Read a YAML or JSON file. What is wrong goes into `problems`, and None comes back. `name` is how messages call it."""
    file = name or str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            problems.add(Problem(f"larger than {MAX_BYTES} bytes", "Split it into several files", file, code="too_large"))
            return None
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        problems.add(Problem(f"not UTF-8 (byte {error.start})", "Save the file as UTF-8", file, code="encoding"))
        return None
    except OSError as error:
        problems.add(Problem(f"can't be read: {error.strerror}", "Check that it exists and may be read", file, code="unreadable"))
        return None
    return parse_text(text, file, problems)


def parse_text(text: str, file: str, problems: Problems) -> Document | None:
    """YAML (and so JSON) text as a Document. Refuses duplicate keys, aliases that blow up, and too deep nesting."""
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        problems.add(
            Problem(f"not valid YAML: {error.problem or error.context}", "Mend the syntax at this line", file, line, code="syntax")
        )
        return None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problems.add(Problem(f"not valid YAML: {' '.join(str(error).split())}", "Mend the syntax", file, code="syntax"))
        return None
    builder = _Builder(file, problems)
    data = builder.build(node, (), 0) if node is not None else {}
    builder.lines.setdefault((), 1)  # an empty document
    return None if builder.failed else Document(file, data, builder.lines)


class _Builder:
    def __init__(self, file: str, problems: Problems) -> None:
        self.file, self.problems = file, problems
        self.lines: dict[Location, int] = {}
        self.failed = False
        self.nodes = 0
        self.constructor = yaml.constructor.SafeConstructor()

    def fail(self, node: yaml.Node, location: Location, message: str, remedy: str, code: str) -> None:
        if not self.failed or code == "duplicate_key":
            self.problems.add(Problem(message, remedy, self.file, node.start_mark.line + 1, json_path(location), code))
        self.failed = True

    def build(self, node: yaml.Node, location: Location, depth: int) -> Any:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            what = (
                f"nested deeper than {MAX_DEPTH}"
                if depth > MAX_DEPTH
                else f"more than {MAX_NODES} values (aliases count where they are used)"
            )
            self.fail(node, location, what, "Make the document flatter or split it", "too_large")
            return None
        self.lines[location] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, location, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*location, index), depth + 1) for index, child in enumerate(node.value)]
        return self.scalar(node, location)

    def mapping(self, node: yaml.MappingNode, location: Location, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str) or key_node.tag == "tag:yaml.org,2002:merge":
                self.fail(key_node, location, "a key must be plain text", "Write the key as text; merge keys are not read", "bad_key")
                continue
            if key in result:
                self.fail(key_node, (*location, key), f"'{key}' is given twice", "Keep one of them", "duplicate_key")
                continue
            result[key] = self.build(value_node, (*location, key), depth + 1)
            self.lines[(*location, key)] = key_node.start_mark.line + 1
        return result

    def scalar(self, node: yaml.Node, location: Location) -> Any:
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value  # times stay text: one parser (clock.from_iso) reads them all
        if node.tag not in _SCALARS:
            self.fail(node, location, f"the tag {node.tag} is not read here", "Remove the tag", "bad_tag")
            return None
        try:
            return self.constructor.construct_object(node)
        except (ValueError, yaml.YAMLError):
            self.fail(
                node, location, f"'{node.value}' can't be read as {node.tag.rsplit(':', 1)[-1]}", "Quote it to make it text", "bad_scalar"
            )
            return None


_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "value")}


def _real_location(location: Sequence[str | int], data: Any) -> Location:
    """Pydantic's location less the union tags it puts between: only steps that exist in the data, and a missing last key."""
    real: list[str | int] = []
    for part in location:
        inside = part in data if isinstance(data, dict) else isinstance(data, list) and isinstance(part, int) and part < len(data)
        if inside:
            data = data[part]
            real.append(part)
    return tuple(real)


def _message(detail: Any, location: Location) -> str:
    field_name = detail["loc"][-1] if detail["loc"] else ""
    if detail["type"] == "extra_forbidden":
        return f"'{field_name}' is not a field here"
    if detail["type"] == "missing" and isinstance(field_name, int):
        return f"{_called(location)}value {field_name + 1} of the list is missing"
    if detail["type"] == "missing":
        return f"'{field_name}' is missing"
    text = str(detail["msg"]).removeprefix("Value error, ")
    text = text[0].lower() + text[1:]
    return f"{_called(location)}{text}"


def _called(location: Location) -> str:
    """The nearest name as it is written: pydantic's own names alternatives too, and a place in a list is told by the path."""
    name = next((part for part in reversed(location) if isinstance(part, str)), None)
    return "" if name is None else f"'{name}': "


def _remedy(detail: Any, spec: type[BaseModel]) -> str:
    if detail["type"] == "extra_forbidden":
        from difflib import get_close_matches

        near = get_close_matches(str(detail["loc"][-1]), _field_names(spec), 1)
        return f"Did you mean '{near[0]}'?" if near else "Remove it or correct its name"
    if detail["type"] == "missing" and isinstance(detail["loc"][-1], int):
        return f"It is {detail['input']!r} now"[:200]
    if detail["type"] == "missing":
        return f"Add `{detail['loc'][-1]}: ...`"
    if isinstance(detail["input"], dict):
        return "Correct one of the fields that it speaks of"
    if detail["type"] == "string_type" and isinstance(detail["input"], bool):
        return f'Put it in quotes ("on"): in YAML on, off, yes and no mean true and false, so it is {str(detail["input"]).lower()} now'
    return f"It is {detail['input']!r} now"[:200]


def _field_names(spec: type[BaseModel], seen: set[type] | None = None) -> list[str]:
    seen = seen or set()
    seen.add(spec)
    names = [info.alias or name for name, info in spec.model_fields.items()]
    for info in spec.model_fields.values():
        for kind in _specs_in(info.annotation):
            if kind not in seen:
                names += _field_names(kind, seen)
    return names


def _specs_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [kind for argument in getattr(annotation, "__args__", ()) for kind in _specs_in(argument)]
