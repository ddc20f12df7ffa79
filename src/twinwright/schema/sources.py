"""The documents that are loaded: JSON text or parsed data, their top-level objects, and the line of a place in them.

Lines are looked up only when there is a problem to report: most documents have none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from twinwright.documents import Location, json_path
from twinwright.errors import Problem

MAX_DEPTH = 128
MAX_LINES = 1000
MAX_BYTES = 64 * 1024 * 1024
_SPACE = re.compile(r"[ \t\r\n]*")
_CODE = "dtmi:dtdl:parsingError:"


@dataclass(frozen=True, slots=True)
class Source:
    """One document: what messages call it, its data, and its text where it came as text."""

    name: str | None
    data: Any
    text: str | None = None

    def line(self, location: Location) -> int | None:
        """The line of a place, or of the nearest one that encloses it; None for data that came without text."""
        return None if self.text is None else _line(self.text, location)


@dataclass(slots=True)
class Report:
    """Every problem found so far, each once."""

    problems: list[Problem] = field(default_factory=list)
    _seen: set[tuple[Any, ...]] = field(default_factory=set)

    def add(self, source: Source, location: Location, code: str, message: str, remedy: str) -> None:
        """A problem at a place of a document. `code` is the last part of the ValidationID that DTDL parsers share."""
        key = (id(source), location, code, message)
        if key not in self._seen:
            self._seen.add(key)
            # Looking up a line reads the text up to it, so a document wrong in thousands of places names the first ones only.
            line = source.line(location) if len(self.problems) < MAX_LINES else None
            self.problems.append(Problem(message, remedy, source.name, line, json_path(location), _CODE + code))


class _DuplicateKeyError(ValueError):
    pass


def read(documents: Any, report: Report) -> list[Source]:
    """The sources of JSON text, parsed data, `(name, text or data)` pairs, or an iterable of these."""
    return [source for name, document in _named(documents) if (source := _source(name, document, report)) is not None]


def top_level(source: Source, report: Report) -> list[tuple[Location, dict[str, Any]]]:
    """The top-level objects of a document with their places."""
    data = source.data
    if isinstance(data, dict):
        return [((), data)]
    if not isinstance(data, list):
        report.add(
            source, (), "notJsonObject", f"a document is an object or an array of objects, not {kind(data)}", "Write an Interface object"
        )
        return []
    for index, item in enumerate(data):
        if not isinstance(item, dict):
            report.add(source, (index,), "notJsonObject", f"an object is expected, not {kind(item)}", "Write an Interface object")
    return [((index,), item) for index, item in enumerate(data) if isinstance(item, dict)]


def kind(value: Any) -> str:
    """What JSON calls a value."""
    names = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)


def _named(documents: Any) -> Iterable[tuple[str | None, Any]]:
    if isinstance(documents, str | bytes | Mapping) or documents is None:
        yield None, documents
    elif isinstance(documents, tuple) and len(documents) == 2 and isinstance(documents[0], str):
        yield documents[0], documents[1]
    elif isinstance(documents, Iterable):
        for document in documents:
            if isinstance(document, tuple) and len(document) == 2 and isinstance(document[0], str):
                yield document[0], document[1]
            else:
                yield None, document
    else:
        yield None, documents


def _source(name: str | None, document: Any, report: Report) -> Source | None:
    if isinstance(document, bytes):
        try:
            document = document.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            report.add(Source(name, None), (), "invalidJson", f"not UTF-8 (byte {error.start})", "Save the document as UTF-8")
            return None
    if isinstance(document, str):
        return _from_text(name, document.removeprefix("\ufeff"), report)
    source = Source(name, dict(document) if isinstance(document, Mapping) else document)
    return source if _plain(source, report) else None


def _from_text(name: str | None, text: str, report: Report) -> Source | None:
    if len(text) > MAX_BYTES:
        report.add(Source(name, None), (), "tooLarge", f"a document of {len(text)} characters", f"Split it: at most {MAX_BYTES}")
        return None
    try:
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        problem = Problem(f"not valid JSON: {error.msg}", "Mend the syntax at this line", name, error.lineno, "$", _CODE + "invalidJson")
        report.problems.append(problem)
        return None
    except _DuplicateKeyError as error:
        report.add(Source(name, None), (), "duplicatePropertyName", f"'{error}' is given twice in one object", "Keep one of them")
        return None
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        report.add(Source(name, None), (), "invalidJson", f"not valid JSON: {reason[:200]}", "Mend the document")
        return None
    source = Source(name, data, text)
    return source if _plain(source, report) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise _DuplicateKeyError(next(name for name in names if names.count(name) > 1))
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _plain(source: Source, report: Report) -> bool:
    """Whether the data are JSON values of bounded depth with text for keys; walked without recursion, because depth is the question."""
    pending: list[tuple[Any, Location]] = [(source.data, ())]
    while pending:
        value, location = pending.pop()
        if isinstance(value, dict | list) and len(location) >= MAX_DEPTH:
            report.add(source, location[:8], "excessiveDepthWide", f"nested deeper than {MAX_DEPTH}", "Make the document flatter")
            return False
        if isinstance(value, dict):
            for key, child in value.items():
                if not isinstance(key, str):
                    report.add(source, location, "invalidJson", f"the key {key!r:.40} is not text", "Write keys as text")
                    return False
                if isinstance(child, dict | list):
                    pending.append((child, (*location, key)))
        elif isinstance(value, list):
            pending.extend((child, (*location, index)) for index, child in enumerate(value) if isinstance(child, dict | list))
    return True


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
