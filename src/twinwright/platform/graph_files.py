"""Files that hold parts of a graph, read to pieces: Azure Digital Twins' NDJSON, the graphs of its Explorer, DTDL.

Nothing is checked here but the form of a file; every problem of it is told with its line or JSON path.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np

from twinwright.documents import json_path
from twinwright.errors import Problem, UsageError
from twinwright.schema import Ontology
from twinwright.twins.graph.blocks import EdgeBlock, TwinBlock
from twinwright.twins.graph.forms import Forms

Kind = Literal["model", "twin", "relationship"]
MOST_BYTES: Final = 1 << 30
MAX_LINE: Final = 1 << 20
_MOST_HELD: Final = 32 << 20  # bytes of lines that are read together
_SECTIONS: Final[Mapping[str, Kind | None]] = {"Header": None, "Models": "model", "Twins": "twin", "Relationships": "relationship"}
_GRAPH: Final[tuple[Kind, ...]] = ("twin", "relationship")


@dataclass(frozen=True, slots=True)
class Item:
    """A document of a file, and where it stands there."""

    kind: Kind
    document: Any
    file: str
    line: int | None = None
    path: str | None = None

    def problem(self, message: str, remedy: str, path: str | None = None, code: str = "invalid") -> Problem:
        """Of this item; `path` is inside its document."""
        inner = f"{self.path or '$'}{(path or '$').removeprefix('$')}" if path or self.path else None
        return Problem(message, remedy, file=self.file, line=self.line, path=inner, code=code)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some twins, or some relationships, of a file: those that could be read in columns, and the others one by one."""

    kind: Kind
    file: str
    blocks: Sequence[TwinBlock] | Sequence[EdgeBlock] = ()
    items: Sequence[Item] = ()

    def __len__(self) -> int:
        return sum(map(len, self.blocks)) + len(self.items)


class Incoming(Protocol):
    """Files to take in."""

    def models(self) -> list[Item]:
        """The interfaces in them. Raises UsageError for what is no file."""
        ...

    def pieces(self, ontology: Ontology, size: int, problems: list[Problem]) -> Iterator[Piece]:
        """The twins and relationships, in pieces of a size, and what is wrong with the files."""
        ...


class AdtFiles:
    """NDJSON in sections, graphs of the Explorer, and DTDL; of folders all their JSON files. NDJSON is read twice, and never held whole."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._lines: list[Path] = []
        self._items: list[Item] = []
        self._problems: list[Problem] = []

    def models(self) -> list[Item]:
        models = []
        for file in self._files():
            with file.open("rb") as opened:
                first = opened.readline(MAX_LINE + 1).removeprefix(b"\xef\xbb\xbf").strip()
            if _parsed_section(first) is None:
                self._items += _documents(file, self._problems)
            else:
                self._lines.append(file)
                for lines in _sections(file, 1, [], frozenset({"model"})):
                    models += [item for item in (_item(lines, row, self._problems) for row in range(len(lines.raws))) if item is not None]
        return [*models, *(item for item in self._items if item.kind == "model")]

    def _files(self) -> Iterator[Path]:
        for name in self._names:
            path = Path(name)
            if not path.exists():
                raise UsageError("there is no such file", where=name, remedy="Name files or folders that are there")
            for file in sorted(path.rglob("*.json")) if path.is_dir() else [path]:
                if file.stat().st_size > MOST_BYTES:
                    raise UsageError(f"more than {MOST_BYTES} bytes", where=str(file), remedy="Split it")
                yield file

    def pieces(self, ontology: Ontology, size: int, problems: list[Problem]) -> Iterator[Piece]:
        problems += self._problems
        for kind in _GRAPH:
            mine = [item for item in self._items if item.kind == kind]
            for first in range(0, len(mine), size):
                yield Piece(kind, mine[first].file, items=mine[first : first + size])
        forms = Forms(ontology)
        for file in self._lines:
            for lines in _sections(file, size, problems, frozenset(_GRAPH)):
                numbers = np.array(lines.numbers, np.int64)
                blocks, left = forms.twins(lines.raws, numbers) if lines.kind == "twin" else forms.edges(lines.raws, numbers)
                items = [item for item in (_item(lines, row, problems) for row in left) if item is not None]
                yield Piece(lines.kind, str(file), blocks, items)


@dataclass(slots=True)
class _Lines:
    """Some of one section of a file, with their numbers."""

    kind: Kind
    file: str
    numbers: list[int] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)


def _item(lines: _Lines, row: int, problems: list[Problem]) -> Item | None:
    try:
        return Item(lines.kind, json.loads(lines.raws[row]), lines.file, lines.numbers[row])
    except (ValueError, RecursionError) as error:
        problems.append(Problem(f"not JSON: {error}", "One whole document a line", file=lines.file, line=lines.numbers[row]))
        return None


def _documents(file: Path, problems: list[Problem]) -> Iterator[Item]:
    try:
        document = json.loads(file.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        problems.append(Problem(f"not JSON: {error}", "See whether it was cut", file=str(file), line=getattr(error, "lineno", None)))
        return
    if isinstance(document, dict) and ("digitalTwinsGraph" in document or "digitalTwinsModels" in document):
        yield from _explorer(file, document)
        return
    models = document if isinstance(document, list) else [document]
    for index, model in enumerate(models):
        if not isinstance(model, dict) or "@id" not in model:
            told = "It is neither NDJSON that begins with a Section, nor a graph of the Explorer, nor DTDL"
            problems.append(Problem("nothing that can be imported", told, file=str(file), path=json_path((index,))))
            return
        yield Item("model", model, str(file), path=json_path((index,)) if isinstance(document, list) else None)


def _parsed_section(raw: bytes) -> Any:
    """The section that a line begins; None where it is another line."""
    if b'"Section"' not in raw:
        return None
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return document.get("Section") if isinstance(document, dict) else None


def _sections(file: Path, size: int, problems: list[Problem], wanted: Collection[Kind]) -> Iterator[_Lines]:
    """So many lines of one kind at a time."""
    kind: Kind | None = None
    held: _Lines | None = None
    held_bytes = 0
    with file.open("rb") as opened:
        for line, raw in enumerate(iter(lambda: opened.readline(MAX_LINE + 1), b""), 1):
            section = _parsed_section(raw.removeprefix(b"\xef\xbb\xbf").strip()) if b'"Section"' in raw else None
            if held is not None and (section is not None or len(held.raws) >= size or held_bytes >= _MOST_HELD):
                yield held
                held, held_bytes = None, 0
            if section is not None:
                if section not in _SECTIONS:
                    remedy = f"Use {', '.join(_SECTIONS)}"
                    problems.append(Problem(f"there is no section {str(section)[:40]!r}", remedy, file=str(file), line=line))
                    return
                kind = _SECTIONS[section]
            elif len(raw) > MAX_LINE:
                problems.append(Problem(f"a line longer than {MAX_LINE} bytes", "One document a line", file=str(file), line=line))
                break
            elif kind is not None and kind in wanted and (text := raw.strip()):
                held = held or _Lines(kind, str(file))
                held.numbers.append(line)
                held.raws.append(text)
                held_bytes += len(text)
    if held is not None:
        yield held


def _explorer(file: Path, document: Mapping[str, Any]) -> Iterator[Item]:
    graph = document.get("digitalTwinsGraph")
    graph = graph if isinstance(graph, dict) else {}
    parts: list[tuple[Kind, Any, tuple[str, ...]]] = [
        ("model", document.get("digitalTwinsModels"), ("digitalTwinsModels",)),
        ("twin", graph.get("digitalTwins"), ("digitalTwinsGraph", "digitalTwins")),
        ("relationship", graph.get("relationships"), ("digitalTwinsGraph", "relationships")),
    ]
    for kind, items, place in parts:
        for index, one in enumerate(items if isinstance(items, list) else []):
            yield Item(kind, one, str(file), path=json_path((*place, index)))
