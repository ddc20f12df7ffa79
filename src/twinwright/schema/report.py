"""What is wrong with documents: where, by which rule of the specification, of which element, and what to do.

Lines are looked up only when there is a problem to report: most documents have none.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from twinwright.documents import Location, json_path
from twinwright.errors import Problem
from twinwright.schema.clauses import clause

PREFIX = "dtmi:dtdl:parsingError:"
MAX_LINES = 1000
_SPACE = re.compile(r"[ \t\r\n]*")
_LONGEST = 8192  # characters of a value that a problem repeats


@dataclass(frozen=True, slots=True)
class Source:
    """One document: what messages call it, its data, and its text where it came as text."""

    name: str | None
    data: Any
    text: str | None = None

    def line(self, location: Location) -> int | None:
        """The line of a place, or of the nearest one that encloses it; None for data that came without text."""
        return None if self.text is None else _line(self.text, location)


@dataclass(frozen=True, slots=True)
class SchemaProblem(Problem):
    """A problem of a DTDL document.

    `code` is the ValidationID that DTDL parsers share (`dtmi:dtdl:parsingError:...`). `primary_id` is the element it is
    about (its `@id`, or the identifier that it gets where it has none), `secondary_id` another one involved, `property`
    the member, `value` what was written, `clause` the part of the specification that says so.
    """

    clause: str | None = None
    primary_id: str | None = None
    secondary_id: str | None = None
    property: str | None = None
    value: str | None = None


@dataclass(slots=True)
class Report:
    """Every problem found so far, each once."""

    problems: list[Problem] = field(default_factory=list)
    _seen: set[tuple[Any, ...]] = field(default_factory=set)

    def add(
        self,
        source: Source,
        location: Location,
        code: str,
        message: str,
        remedy: str,
        *,
        primary: str | None = None,
        secondary: str | None = None,
        member: str | None = None,
        value: object = None,
    ) -> None:
        """A problem at a place of a document. `code` is the last part of the ValidationID; the rest is as in `SchemaProblem`."""
        key = (id(source), location, code, message)
        if key in self._seen:
            return
        self._seen.add(key)
        # Looking up a line reads the text up to it, so a document wrong in thousands of places names the first ones only.
        line = source.line(location) if len(self.problems) < MAX_LINES else None
        texts = (_clean(text) for text in (primary, secondary, member, value if isinstance(value, str) else _json(value)))
        self.problems.append(
            SchemaProblem(
                _clean(message) or "", remedy, source.name, line, _clean(json_path(location)), PREFIX + code, clause(code), *texts
            )
        )

    def syntax(self, name: str | None, message: str, line: int | None, remedy: str = "Mend the syntax at this line") -> None:
        """A document that is not JSON at all."""
        self.problems.append(SchemaProblem(message, remedy, name, line, "$", PREFIX + "invalidJson", clause("invalidJson")))


def _clean(text: str | None) -> str | None:
    """Text that can be written anywhere: JSON may hold halves of surrogate pairs."""
    return None if text is None else text[:_LONGEST].encode("utf-8", "backslashreplace").decode()


def _json(value: object) -> str | None:
    try:
        return None if value is None else json.dumps(value, default=str)
    except (ValueError, RecursionError):  # an integer of thousands of digits
        return None


def _line(text: str, location: Location) -> int:
    """Walk along the path only, skipping every other value whole."""
    decoder = json.JSONDecoder()
    position = _skip_space(text, 0)
    for step in location:
        found = _member(text, position, step, decoder) if isinstance(step, str) else _element(text, position, step, decoder)
        if found is None:
            break
        position = found
    return text.count("\n", 0, position) + 1


def _member(text: str, position: int, name: str, decoder: json.JSONDecoder) -> int | None:
    if text[position] != "{":
        return None
    position = _skip_space(text, position + 1)
    while text[position] == '"':
        key, end = decoder.raw_decode(text, position)
        position = _skip_space(text, _skip_space(text, end) + 1)
        if key == name:
            return position
        position = _skip_space(text, decoder.raw_decode(text, position)[1])
        position = _skip_space(text, position + 1) if text[position] == "," else position
    return None


def _element(text: str, position: int, index: int, decoder: json.JSONDecoder) -> int | None:
    if text[position] != "[":
        return None
    position = _skip_space(text, position + 1)
    for _ in range(index):
        position = _skip_space(text, _skip_space(text, decoder.raw_decode(text, position)[1]) + 1)
    return position


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position
