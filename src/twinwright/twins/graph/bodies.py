"""What clients send of twins and relationships, checked against the interface: every problem of a body at once, with its JSON path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from twinwright.clock import SECOND, from_iso
from twinwright.documents import json_path
from twinwright.errors import InvalidTwinError, Problem, UsageError
from twinwright.schema import Component, Ontology, Property, Schema, Telemetry, check_value

Place = tuple[str | int, ...]
CODE: Final = "ValidationFailed"
SKEW: Final = 30 * SECOND  # how far ahead of the platform a `sourceTime` may be: what is further ahead would win for ever
_ID: Final = re.compile(r"^[^\x00-\x1f\x7f]{1,128}$")


@dataclass(slots=True)
class Body:
    """A document, read: values by path, and the event times that came with them."""

    values: dict[str, Any] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, place: Place, message: str, remedy: str) -> None:
        self.problems.append(Problem(message, remedy, path=json_path(place), code=CODE))

    def require_valid(self) -> None:
        """Raises InvalidTwinError with every problem."""
        if self.problems:
            raise InvalidTwinError(self.problems)


def check_id(id: str, where: str) -> None:
    """Raises UsageError for what no twin or relationship can be called."""
    if not _ID.match(id):
        raise UsageError(f"{id[:40]!r} is not an id", where=where, remedy="Use 1 to 128 characters, none of them a control character")


def require_object(document: Any) -> dict[str, Any]:
    """Raises UsageError."""
    if not isinstance(document, dict):
        raise UsageError("the body is not an object", where="$", remedy="Send a JSON object")
    return document


def read_twin(document: Mapping[str, Any], interface: str, ontology: Ontology, now: int) -> Body:
    """A whole twin. Telemetry in it is what a reader was shown, and is left alone."""
    body = Body()
    _part(document, interface, ontology, (), "", now, body, required=True)
    return body


def read_component(value: Any, interface: str, ontology: Ontology, place: Place, path: str, now: int, body: Body) -> None:
    """A whole component into `body`; `path` is the component's."""
    if not isinstance(value, dict):
        body.refuse(place, "a component is an object", 'Write {"$metadata": {}} and its properties')
    elif not isinstance(value.get("$metadata"), dict):
        body.refuse(place, "the component has no `$metadata`", 'Write "$metadata": {}, even if it is empty')
    else:
        _part(value, interface, ontology, place, path + "/", now, body, required=True)


def _part(
    document: Mapping[str, Any], interface: str, ontology: Ontology, place: Place, prefix: str, now: int, body: Body, *, required: bool
) -> None:
    contents = ontology.interface(interface).contents
    for name, value in document.items():
        content, here = contents.get(name), (*place, name)
        if name == "$metadata":
            _metadata(value, contents, here, prefix, now, body)
        elif name.startswith("$"):
            if prefix or name not in ("$dtId", "$etag"):
                body.refuse(here, f"'{name[:60]}' means nothing here", "Leave it out")
        elif isinstance(content, Component):
            read_component(value, content.schema, ontology, here, prefix + name, now, body)
        elif isinstance(content, Property):
            check(value, content.schema, ontology, here, body)
            body.values[prefix + name] = value
        elif not isinstance(content, Telemetry):
            refuse_unknown(name, interface, contents, here, body)
    missing = [name for name, content in contents.items() if isinstance(content, Component) and name not in document]
    for name in missing if required else ():
        body.refuse((*place, name), f"the component '{prefix}{name}' is missing", 'Write "$metadata": {} in it, even if it is empty')


def check(value: Any, schema: Schema, ontology: Ontology, place: Place, body: Body) -> None:
    """Whether a value is one of its schema."""
    for problem in check_value(value, schema, ontology.schemas):
        inner = (problem.path or "$").removeprefix("$")
        body.problems.append(Problem(problem.message, problem.remedy, path=json_path(place) + inner, code=CODE))


def refuse_unknown(name: str, interface: str, contents: Mapping[str, object], place: Place, body: Body) -> None:
    """A name that the interface has not."""
    near = get_close_matches(name, [one for one, content in contents.items() if isinstance(content, Property | Component)], 1)
    body.refuse(place, f"{interface} has no property '{name[:60]}'", f"Did you mean '{near[0]}'?" if near else "Leave it out")


def _metadata(value: Any, contents: Mapping[str, object], place: Place, prefix: str, now: int, body: Body) -> None:
    if not isinstance(value, dict):
        body.refuse(place, "`$metadata` is not an object", "Write {...}")
        return
    for name, notes in value.items():
        if name.startswith("$") or not isinstance(contents.get(name), Property):
            continue
        if not isinstance(notes, dict):
            body.refuse((*place, name), "the metadata of a property is an object", 'Write {"sourceTime": "..."}')
        elif notes.get("sourceTime") is not None:
            read_time(notes["sourceTime"], (*place, name, "sourceTime"), prefix + name, now, body)


def read_time(value: Any, place: Place, path: str, now: int, body: Body) -> None:
    """The event time of a value into `body`."""
    try:
        at = from_iso(value if isinstance(value, str) else str(value)[:60])
    except UsageError as error:
        body.refuse(place, error.what, error.remedy or "")
        return
    if at > now + SKEW:
        body.refuse(place, f"{value} is in the future", "It would hide all that comes before it: check the clock")
    else:
        body.times[path] = at


def component_of(interface: str, path: str, ontology: Ontology) -> str | None:
    """The interface of a component by its path; None where there is none."""
    for name in path.split("/"):
        component = ontology.components(interface).get(name)
        if component is None:
            return None
        interface = component.schema
    return interface


def nested(values: Iterable[tuple[str, Any]], components: Iterable[str]) -> dict[str, Any]:
    """Values by path as a document, with every component in it."""
    document: dict[str, Any] = {}
    for path in components:
        _owner(document, path.split("/")[:-1])[path.rpartition("/")[2]] = {}
    for path, value in values:
        *parents, name = path.split("/")
        _owner(document, parents)[name] = value
    return document


def _owner(document: dict[str, Any], parents: Iterable[str]) -> dict[str, Any]:
    for name in parents:
        document = document.setdefault(name, {})
    return document


def flat(document: Mapping[str, Any], components: frozenset[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The reverse."""
    for name, value in document.items():
        path = prefix + name
        if path in components:
            yield from flat(value, components, path + "/")
        else:
            yield path, value
