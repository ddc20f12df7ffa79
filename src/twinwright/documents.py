"""YAML and JSON files as plain data that remembers the line of every node, read with limits on size, depth and aliases.

Every room parses its own kind of document from a `Document` and reports what is wrong into one `Problems` list, so that
a workspace can be checked whole before anything starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from twinwright.clock import parse_duration
from twinwright.errors import Problem, UsageError
from twinwright.yaml_events import YamlReader

MAX_BYTES = 16 * 1024 * 1024

_BYTES = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)\s*$")
_POWERS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}

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


def byte_count(size: Any) -> int:
    """Bytes of `1GiB`, `500MB` or a plain number. Raises ValueError."""
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size
    match = _BYTES.match(str(size))
    if not match or not (count := int(float(match[1]) * _POWERS[match[2]])):
        raise ValueError(f"'{size}' is not a size of memory; write it as 512MiB or 1GiB")
    return count


ByteCount = Annotated[int, BeforeValidator(byte_count)]
"""A size of memory in the document (`1GiB`, or bytes), bytes in the program."""


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
    """Plain data (dict, list, str, int, float, bool, None) and the line of each place in it. `root`: where in the file it stands."""

    file: str
    data: Any
    lines: Mapping[Location, int]
    root: Location = ()

    def line(self, location: Sequence[str | int] = ()) -> int | None:
        """The line of a place, or of the nearest one that encloses it."""
        place = tuple(location)
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place)

    def problem(self, location: Sequence[str | int], message: str, remedy: str, code: str = "invalid") -> Problem:
        """A problem at a place of this document."""
        return Problem(message, remedy, self.file, self.line(location), json_path((*self.root, *location)), code)

    def parse(self, spec: type[SpecT], problems: Problems) -> SpecT | None:
        """The document as a `Spec`; every violation goes into `problems` with its line, and None comes back."""
        if not isinstance(self.data, dict):
            problems.add(self.problem((), f"a mapping is expected, not {type(self.data).__name__}", "Write `key: value` lines"))
            return None
        try:
            return spec.model_validate(self.data)
        except ValidationError as error:
            found = []
            for detail in _nearest(error.errors(include_url=False), self.data):
                location = _real_location(detail["loc"], self.data)
                found.append(self.problem(location, _message(detail, location), _remedy(detail, spec), detail["type"]))
            problems.items += dict.fromkeys(found)
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
    reader = YamlReader(text)
    try:
        data = reader.read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        problems.add(
            Problem(f"not valid YAML: {error.problem or error.context}", "Mend the syntax at this line", file, line, code="syntax")
        )
        return None
    except (yaml.YAMLError, ValueError) as error:
        problems.add(Problem(f"not valid YAML: {' '.join(str(error).split())}", "Mend the syntax", file, code="syntax"))
        return None
    for fault in reader.faults:
        problems.add(Problem(fault.message, fault.remedy, file, fault.line, json_path(fault.location), fault.code))
    return None if reader.faults else Document(file, data, _Lines(text))


class _Lines(Mapping[Location, int]):
    """The line of each place of a text that can be read: looked for when first asked, as of what is in order nobody asks."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[Location, int] = {}

    def _all(self) -> dict[Location, int]:
        if not self._found:
            YamlReader(self._text, self._found).read()
            self._found.setdefault((), 1)  # an empty document
        return self._found

    def __getitem__(self, place: Location) -> int:
        return self._all()[place]

    def __iter__(self) -> Iterator[Location]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def _nearest(details: Sequence[Any], data: Any, level: int = 0) -> list[Any]:
    """Without what pydantic says of alternatives that were not meant: where fields are given, those that can't be fields, and all but the
    one with the fewest errors."""
    kept = [one for one in details if len(_choices(one, data)) <= level]
    groups: dict[Location, dict[str | int, list[Any]]] = {}
    for one in details:
        for place, alternative in _choices(one, data)[level : level + 1]:
            groups.setdefault(place, {}).setdefault(alternative, []).append(one)
    for place, alternatives in groups.items():
        meant = list(alternatives.values())
        if isinstance(_at(data, place), dict):
            fields = [all_of for all_of in meant if len(all_of) > 1 or not _is_of_kind(all_of[0], data, level)]
            meant = [min(fields, key=len)] if fields else meant
        for all_of in meant:
            kept += _nearest(all_of, data, level + 1)
    told = {id(one) for one in kept}
    return [one for one in details if id(one) in told]


def _is_of_kind(detail: Any, data: Any, level: int) -> bool:
    """Whether it says no more than that fields are something else."""
    return len(_choices(detail, data)) == level + 1 and (detail["type"].endswith("_type") or detail["type"] == "literal_error")


def _choices(detail: Any, data: Any) -> list[tuple[Location, str | int]]:
    """The places of the data at which pydantic tried one of several alternatives, with which."""
    found: list[tuple[Location, str | int]] = []
    real: list[str | int] = []
    for index, part in enumerate(detail["loc"]):
        if _is_in(part, data):
            data = data[part]
            real.append(part)
        elif detail["type"] != "missing" or index + 1 < len(detail["loc"]):
            found.append((tuple(real), part))
    return found


def _at(data: Any, place: Location) -> Any:
    for part in place:
        data = data[part]
    return data


def _is_in(part: str | int, data: Any) -> bool:
    return part in data if isinstance(data, dict) else isinstance(data, list) and isinstance(part, int) and part < len(data)


def _real_location(location: Sequence[str | int], data: Any) -> Location:
    """Pydantic's location less the union tags it puts between: only steps that exist in the data, and a missing last key."""
    real: list[str | int] = []
    for part in location:
        if _is_in(part, data):
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
    if detail["type"] in ("model_type", "dict_type"):
        return f"{_called(location)}input should be fields with their names, as `name: value`"
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
    if detail["type"] == "too_short":
        return "Add one"
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
