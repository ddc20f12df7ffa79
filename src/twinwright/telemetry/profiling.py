"""What is in a sample of payloads: every field with its kind, its range and how often it is there; and where readings lie in JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from twinwright.errors import NotFoundError, UsageError
from twinwright.telemetry import compressed

MAX_BYTES = 16 * 1024 * 1024
MAX_READINGS = 10_000
MAX_FIELDS = 500
_MAX_DEPTH = 8
_MAX_DISTINCT = 1_000
FORMATS: Mapping[str, str] = {
    ".json": "json",
    ".ndjson": "json",
    ".jsonl": "json",
    ".csv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
_TABLES = ("parquet", "arrow")  # compressed within


@dataclass(slots=True)
class FieldProfile:
    """One field over all readings of the sample."""

    name: str
    kinds: Counter[str] = field(default_factory=Counter)  # number, integer, boolean, text, object
    values: Counter[str | int | float | bool] = field(default_factory=Counter)  # of the first distinct ones
    low: float | None = None
    high: float | None = None

    @property
    def present(self) -> int:
        return sum(self.kinds.values())

    @property
    def kind(self) -> str:
        """What it is read as: `integer` only where every number is whole; `empty` where nothing is ever in it."""
        kinds = set(self.kinds) or {"empty"}
        return "number" if kinds == {"number", "integer"} else kinds.pop() if len(kinds) == 1 else "mixed"

    def add(self, value: Any) -> None:
        """One more reading's value. None, and a float that is no number, are none."""
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return
        kind = _kind(value)
        self.kinds[kind] += 1
        if kind in ("number", "integer"):
            self.low = value if self.low is None else min(self.low, value)
            self.high = value if self.high is None else max(self.high, value)
        if kind != "object" and (len(self.values) < _MAX_DISTINCT or value in self.values):
            self.values[value] += 1

    def as_json(self, readings: int) -> dict[str, Any]:
        """`name kind present missing distinct low high examples[]`."""
        examples = [value for value, _ in self.values.most_common(3)]
        distinct = len(self.values)
        shown = {"name": self.name, "kind": self.kind, "present": self.present, "missing": readings - self.present, "distinct": distinct}
        return {**shown, "low": self.low, "high": self.high, "examples": examples}


@dataclass(frozen=True, slots=True)
class Profile:
    """A sample: `each` is where its readings lie (empty: each document is one); `unread` lines are no JSON."""

    format: str
    each: tuple[str, ...]
    delimiter: str
    readings: int
    fields: tuple[FieldProfile, ...]
    unread: int = 0


def profile(path: Path) -> Profile:
    """The profile of a file's first readings, within 16 MiB; text may be compressed. Raises NotFoundError, and UsageError for what can't be
    read."""
    format = FORMATS.get(compressed.plain_name(path).suffix.lower())
    if format is None or (format in _TABLES and compressed.codec(path)):
        raise UsageError(
            f"'{''.join(path.suffixes[-2:])}' is no ending of a sample",
            where=str(path),
            remedy=f"Name a file that ends in {', '.join(FORMATS)}; text may be compressed ({', '.join(compressed.ENDINGS)})",
        )
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}", remedy="Check the path")
    delimiter, unread = ",", 0
    try:
        if format == "json":
            each, readings, unread = _json(path)
        elif format == "csv":
            delimiter, rows = _csv(path)
            each, readings = (), rows
        else:
            each, readings = (), _table(path, format)
    except (*compressed.UNREADABLE, ValueError, RecursionError, csv.Error) as error:
        raise UsageError(
            f"can't be read as {format}: {str(error).rstrip('.')}"[:500], where=str(path), remedy="Give a sample as the source sends it"
        ) from error
    fields: dict[str, FieldProfile] = {}
    for reading in readings:
        for name, value in reading:
            if name not in fields and len(fields) < MAX_FIELDS:
                fields[name] = FieldProfile(name)
            if name in fields:
                fields[name].add(value)
    if not any(one.present for one in fields.values()):
        raise UsageError("there is no reading in it", where=str(path), remedy="Give a sample that has some")
    return Profile(format, each, delimiter, len(readings), tuple(fields.values()), unread)


Reading = Sequence[tuple[str, Any]]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    return "number" if isinstance(value, float) else "text" if isinstance(value, str) else "object"


def _text(path: Path) -> tuple[str, bool]:
    """The beginning of a file of text, and whether that is all of it."""
    with compressed.opened(path) as file:
        data = file.read(MAX_BYTES + 1)
    whole = len(data) <= MAX_BYTES
    return data[:MAX_BYTES].decode("utf-8-sig", errors="strict" if whole else "ignore"), whole


# --- JSON ------------------------------------------------------------------------------------------------------------


def _json(path: Path) -> tuple[tuple[str, ...], list[Reading], int]:
    documents, unread = _documents(path)
    each = _elements(documents)
    readings: list[Reading] = []
    for document in documents[:MAX_READINGS]:
        readings += list(_readings([document], each))[: MAX_READINGS - len(readings)]
    return each, readings, unread


def _documents(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The objects of a document, of an array, or of lines, and how many lines are no JSON."""
    text, whole_file = _text(path)
    unread, broken = 0, ValueError("no JSON object is in it")
    try:
        whole = json.loads(text)
    except ValueError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        whole = []
        for line in lines if whole_file else lines[:-1]:
            try:
                whole.append(json.loads(line))
            except ValueError:
                unread += 1
        broken = error if unread else broken
    found = [one for one in (whole if isinstance(whole, list) else [whole]) if isinstance(one, dict)]
    if not found:
        raise broken
    return found, unread


def _elements(documents: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Arrays of objects within the documents, level by level: the longest where there are several."""
    levels: list[str] = []
    current: Sequence[Any] = documents
    while len(levels) < 4:
        sizes: Counter[str] = Counter()
        for one in current[:MAX_READINGS]:
            for name, value in _leaves(one, "", 0):
                if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
                    sizes[name] += len(value)
        if not sizes:
            break
        (name, _), *_ = sizes.most_common(1)
        levels.append(name)
        current = [item for one in current[:MAX_READINGS] for key, value in _leaves(one, "", 0) if key == name for item in value]
    return tuple(levels)


def _readings(chain: list[Any], each: Sequence[str]) -> Iterator[Reading]:
    if not each:
        last = len(chain) - 1
        yield [
            ("^" * (last - depth) + name, value)
            for depth in range(last, -1, -1)
            for name, value in _leaves(chain[depth], "", 0)
            if not (depth < last and isinstance(value, list))
        ]
        return
    for name, value in _leaves(chain[-1], "", 0):
        if name == each[0] and isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    yield from _readings([*chain, item], each[1:])


def _leaves(value: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Every value by its path; what is empty or nested too deep as it is."""
    for key, inner in value.items():
        name = prefix + key.replace("\\", "\\\\").replace(".", "\\.")
        if isinstance(inner, dict) and inner and depth < _MAX_DEPTH:
            yield from _leaves(inner, f"{name}.", depth + 1)
        elif key:
            yield name, inner


# --- tables ----------------------------------------------------------------------------------------------------------


def _csv(path: Path) -> tuple[str, list[Reading]]:
    text, whole_file = _text(path)
    text = text if whole_file else text[: text.rfind("\n") + 1]
    head = text.partition("\n")[0]
    delimiter = max(",;\t|", key=head.count)
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    twice = [name for name, count in Counter(table.fieldnames or ()).items() if count > 1]
    if twice:  # a payload of this is refused whole
        raise ValueError(f"the header names the column '{twice[0]}' twice")
    readings: list[Reading] = [[(name, _cell(cell)) for name, cell in row.items() if name] for row in islice(table, MAX_READINGS)]
    return delimiter, readings


def _cell(text: Any) -> Any:
    """A cell as what it looks like; None for an empty one."""
    if not isinstance(text, str) or not text:
        return None
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def _table(path: Path, format: str) -> list[Reading]:
    if format == "parquet":
        batch = next(pa.parquet.ParquetFile(path).iter_batches(MAX_READINGS), None)
    else:
        with pa.OSFile(str(path)) as file:
            reader = pa.ipc.open_file(file) if file.read(6) == b"ARROW1" else _stream(file)
            batch = reader.get_batch(0) if hasattr(reader, "get_batch") else next(iter(reader), None)
    rows = [] if batch is None else batch.slice(0, MAX_READINGS).to_pylist()
    return [[(name, _plain(value)) for name, value in row.items()] for row in rows]


def _stream(file: Any) -> Any:
    file.seek(0)
    return pa.ipc.open_stream(file)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if hasattr(value, "isoformat") else value
