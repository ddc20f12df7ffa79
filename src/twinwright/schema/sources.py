"""The documents that are loaded: JSON text or parsed data, and their top-level objects."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from twinwright.documents import Location
from twinwright.schema.report import Report, Source

MAX_DEPTH = 128
MAX_BYTES = 64 * 1024 * 1024
MAX_CONTAINERS = 5_000_000
MAX_BITS = 10_000


# Text, which is skipped, or what a parser refuses without saying where: a constant that JSON lacks, a number too long, a bracket.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|(?P<constant>NaN|-?Infinity)|(?P<number>[0-9]{4301,})|(?P<bracket>[\[{\]}])')


class _Repeating(dict[str, Any]):
    """An object in whose text the names `repeated` stand more than once; the last value counts."""

    repeated: Iterable[str] = ()


def read(documents: Any, report: Report) -> list[Source]:
    """The sources of JSON text, parsed data, `(name, text or data)` pairs, or an iterable of these."""
    return [source for name, document in _named(documents) if (source := _source(name, document, report)) is not None]


def top_level(source: Source, report: Report) -> list[tuple[Location, dict[str, Any]]]:
    """The top-level objects of a document with their places."""
    data = source.data
    if isinstance(data, dict):
        return [((), data)]
    if not isinstance(data, list):
        message = f"a document is an object or an array of objects, not {kind(data)}"
        report.add(source, (), "notJsonObject", message, "Write an Interface object")
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


def shown(value: Any) -> str:
    """A value as it is written, cut, for a message."""
    try:
        return f"{value!r:.60}"
    except (ValueError, RecursionError):  # an integer of thousands of digits
        return kind(value)


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
            wide = document.startswith((b"\xff\xfe", b"\xfe\xff"))
            line = None if wide else document.count(b"\n", 0, error.start) + 1
            remedy = "It is UTF-16: save it as UTF-8" if wide else "Save the document as UTF-8"
            report.syntax(name, f"not UTF-8 (byte {error.start})", line, remedy)
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
        data = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        what, remedy = _syntax(text, error.pos)
        report.syntax(name, f"not valid JSON: {what or error.msg}", error.lineno, remedy)
        return None
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        report.syntax(name, f"not valid JSON: {reason[:200]}", _line_refused(text))
        return None
    source = Source(name, data, text)
    return source if _plain(source, report) else None


def _syntax(text: str, at: int) -> tuple[str, str]:
    """What is wrong at a place where JSON ends ("" where nothing is known of it), and what to do: what files of other people have."""
    rest, before = text[at : at + 2], text[:at].rstrip()
    if not text.strip():
        return "the document is empty", "Write an Interface object, or an array of them"
    if rest in ("//", "/*") or rest[:1] == "#":
        return "a comment", "Remove it: JSON has none, and DTDL has `comment`"
    if rest[:1] == ",":  # some versions of Python point at the comma
        rest, before = text[at + 1 :].lstrip()[:1], f"{before},"
    if rest[:1] in ("}", "]") and before.endswith(","):
        return "a comma behind the last value", "Remove the comma"
    if rest[:1] in ("{", "[") and before.endswith(("}", "]")):
        return "a second value", "Write one array around all of them, with commas between"
    if rest[:1] == "'":
        return "a single quote", 'Write double quotes: "..."'
    return "", "Mend the syntax at this line"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        found = _Repeating(found)
        found.repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    return found


def _line_refused(text: str) -> int | None:
    """The line of the first thing that is refused in text that is JSON but for that."""
    depth = 0
    for token in _TOKEN.finditer(text):
        if token["bracket"]:
            depth += 1 if token["bracket"] in "[{" else -1
        if token["constant"] or token["number"] or depth > MAX_DEPTH:
            return text.count("\n", 0, token.start()) + 1
    return None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _plain(source: Source, report: Report) -> bool:
    """Whether the data are JSON values of bounded depth with text for keys; walked without recursion, because depth is the question."""
    pending: list[tuple[Any, Location]] = [(source.data, ())]
    left = MAX_CONTAINERS  # data that did not come as text may hold one list in many places
    while pending:
        value, location = pending.pop()
        left -= 1
        if left < 0:
            report.add(source, (), "tooLarge", f"more than {MAX_CONTAINERS} objects and arrays", "Split it")
            return False
        if len(location) >= MAX_DEPTH:
            report.add(source, location[:8], "excessiveDepthWide", f"nested deeper than {MAX_DEPTH}", "Make the document flatter")
            return False
        named = isinstance(value, dict)
        items: Iterable[tuple[Any, Any]] = value.items() if named else enumerate(value if isinstance(value, list) else ())
        for key, child in items:
            if isinstance(child, dict | list):
                pending.append((child, (*location, key)))
            reason = None if source.text is not None else _not_json(child)
            if named and not isinstance(key, str):
                reason = f"the key {shown(key)} is not text"
            if reason is not None:
                report.add(source, location, "invalidJson", reason, "Hand in what json.loads gives")
                return False
        for name in value.repeated if isinstance(value, _Repeating) else ():
            message = f"'{name[:80]}' is given twice in one object"
            report.add(source, (*location, name), "duplicatePropertyName", message, "Keep one of them", member=name)
    return True


def _not_json(value: Any) -> str | None:
    """Why a value is none of JSON, in data that did not come as text."""
    if isinstance(value, bool) or value is None or isinstance(value, str | dict | list):
        return None
    if isinstance(value, int):
        return "a whole number of thousands of digits" if value.bit_length() > MAX_BITS else None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is not a JSON number"
    return f"{shown(value)} is not a JSON value"
