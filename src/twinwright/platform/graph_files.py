"""Files that hold parts of a graph, read to items: Azure Digital Twins' NDJSON, the graphs of its Explorer, DTDL, and CSV tables.

Nothing is checked here but the form of a file; every problem of it is told with its line or JSON path.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from twinwright import units
from twinwright.documents import json_path
from twinwright.errors import Problem, UnitError, UsageError
from twinwright.schema import Enum, Ontology, PathInfo, Primitive, Schema, integer_range

Kind = Literal["model", "twin", "relationship"]
MOST_BYTES: Final = 1 << 30
MAX_LINE: Final = 1 << 20
_SECTIONS: Final[Mapping[str, Kind | None]] = {"Header": None, "Models": "model", "Twins": "twin", "Relationships": "relationship"}
_UNIT: Final = re.compile(r"(.*\S)\s*\[([^\]]+)\]")
_REAL: Final = frozenset(["double", "float"])
_TRUTH: Final[Mapping[str, bool]] = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


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


def read_adt(files: Sequence[str], problems: list[Problem]) -> Iterator[Item]:
    """NDJSON in sections, graphs of the Explorer, and DTDL; of folders all their JSON files. Raises UsageError for no such file."""
    for name in files:
        path = Path(name)
        if not path.exists():
            raise UsageError("there is no such file", where=name, remedy="Name files or folders that are there")
        for file in sorted(path.rglob("*.json")) if path.is_dir() else [path]:
            if file.stat().st_size > MOST_BYTES:
                raise UsageError(f"more than {MOST_BYTES} bytes", where=str(file), remedy="Split it")
            yield from _read_file(file, problems)


def _read_file(file: Path, problems: list[Problem]) -> Iterator[Item]:
    with file.open("rb") as opened:
        first = opened.readline(MAX_LINE + 1).removeprefix(b"\xef\xbb\xbf").strip()
    if _parsed_section(first) is not None:
        yield from _sections(file, problems)
        return
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


def _sections(file: Path, problems: list[Problem]) -> Iterator[Item]:
    kind: Kind | None = None
    with file.open("rb") as opened:
        for line, raw in enumerate(iter(lambda: opened.readline(MAX_LINE + 1), b""), 1):
            text = raw.removeprefix(b"\xef\xbb\xbf").strip()
            section = _parsed_section(text)
            if section is not None:
                if section not in _SECTIONS:
                    remedy = f"Use {', '.join(_SECTIONS)}"
                    problems.append(Problem(f"there is no section {str(section)[:40]!r}", remedy, file=str(file), line=line))
                    return
                kind = _SECTIONS[section]
            elif len(raw) > MAX_LINE:
                problems.append(Problem(f"a line longer than {MAX_LINE} bytes", "One document a line", file=str(file), line=line))
                return
            elif text and kind is not None:
                try:
                    yield Item(kind, json.loads(text), str(file), line)
                except (ValueError, RecursionError) as error:
                    problems.append(Problem(f"not JSON: {error}", "One whole document a line", file=str(file), line=line))


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


# --- CSV -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Table:
    """How a CSV file is read: each row a twin of `interface`, its id in column `id`, `map` the path of columns that are called otherwise
    (empty: left out)."""

    interface: str
    id: str
    map: Mapping[str, str]
    delimiter: str = ","


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: a property in a unit, or a relationship (`info` None)."""

    name: str
    path: str
    info: PathInfo | None
    unit: str | None


def read_csv(files: Sequence[str], table: Table, ontology: Ontology, problems: list[Problem]) -> Iterator[Item]:
    """Twins, and relationships to the ids that a cell has, separated by `;`. Raises UsageError for what is no file or interface."""
    if table.interface not in ontology.interfaces:
        from difflib import get_close_matches

        near = get_close_matches(table.interface, list(ontology.interfaces), 1)
        remedy = f"Did you mean '{near[0]}'?" if near else "Add it to schema/, or with: twinwright import adt"
        raise UsageError(f"there is no interface '{table.interface[:200]}'", where="interface", remedy=remedy)
    if len(table.delimiter) != 1:
        raise UsageError(f"'{table.delimiter[:10]}' is no delimiter", where="delimiter", remedy="Give one character")
    for name in files:
        if not Path(name).is_file():
            raise UsageError("there is no such file", where=name, remedy="Name a file that is there")
        with Path(name).open(encoding="utf-8-sig", newline="") as opened:
            try:
                yield from _rows(name, csv.reader(opened, delimiter=table.delimiter, strict=True), table, ontology, problems)
            except (csv.Error, UnicodeDecodeError) as error:
                problems.append(Problem(f"not a table in UTF-8: {error}", "Save it as CSV in UTF-8", file=name))


def _rows(file: str, reader: Any, table: Table, ontology: Ontology, problems: list[Problem]) -> Iterator[Item]:
    header = next(reader, None) or []
    columns = _columns(file, header, table, ontology, problems)
    if columns is None:
        return
    seen: dict[str, int] = {}
    for row in reader:
        line = reader.line_num
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            problems.append(Problem(f"{len(row)} cells under {len(header)} columns", "Quote cells with commas", file=file, line=line))
            continue
        id = row[header.index(table.id)].strip()
        if not id or id in seen:
            what = f"'{id[:60]}' stands in line {seen[id]} already" if id else "a row without an id"
            problems.append(Problem(what, "Give each twin one row, with its id", file=file, line=line, path=table.id))
            continue
        seen[id] = line
        yield from _items(file, line, id, dict(zip(header, row, strict=True)), columns, table, ontology, problems)


def _columns(file: str, header: Sequence[str], table: Table, ontology: Ontology, problems: list[Problem]) -> list[_Column] | None:
    """None where they can't be used."""
    before = len(problems)
    twice = sorted({name for name in header if list(header).count(name) > 1})
    if table.id not in header:
        problems.append(
            Problem(f"there is no column '{table.id}'", f"Say which has the ids: --id {header[0] if header else 'NAME'}", file, 1)
        )
    if twice:
        problems.append(Problem(f"two columns are called '{twice[0]}'", "Rename one of them", file, 1))
    there = f"There are: {', '.join(header)[:200]}"
    problems += [Problem(f"there is no column '{name}' to map", there, file, 1) for name in sorted(set(table.map) - set(header))]
    paths, relationships = ontology.paths(table.interface), ontology.relationships(table.interface)
    found = []
    for name in dict.fromkeys(header):
        said = table.map.get(name, name)
        if name == table.id or not said:
            continue
        measured = _UNIT.fullmatch(said)
        path, unit = (measured[1], measured[2]) if measured else (said, None)
        info = paths.get(path)
        if (info is None or info.kind != "property") and path not in relationships:
            near = _near(path, [*(one.path for one in paths.values() if one.kind == "property"), *relationships])
            remedy = f"Did you mean '{near}'? Then --map '{name}={near}'" if near else f"Leave it out: --map '{name}='"
            problems.append(Problem(f"{table.interface} has no property or relationship '{path[:60]}'", remedy, file, 1, name))
        elif info is not None and unit is not None and (fault := _unit_fault(unit, info)) is not None:
            problems.append(Problem(fault, f"Give it in {info.unit or 'no unit'}, or in a unit of that dimension", file, 1, name))
        else:
            found.append(_Column(name, path, info, unit))
    return found if len(problems) == before else None


def _near(name: str, known: Sequence[str]) -> str | None:
    from difflib import get_close_matches

    folded = next((one for one in known if one.casefold() == name.casefold()), None)
    return folded or next(iter(get_close_matches(name, known, 1)), None)


def _unit_fault(unit: str, info: PathInfo) -> str | None:
    try:
        units.converter(unit, info.unit)
    except UnitError as error:
        return error.what
    return None


def _items(
    file: str,
    line: int,
    id: str,
    row: Mapping[str, str],
    columns: Sequence[_Column],
    table: Table,
    ontology: Ontology,
    problems: list[Problem],
) -> Iterator[Item]:
    document: dict[str, Any] = {"$dtId": id, "$metadata": {"$model": table.interface}}
    for component in ontology.component_paths(table.interface):
        _owner(document, component.split("/"))
    edges = []
    for column in columns:
        text = row[column.name].strip()
        if not text:
            continue
        if column.info is None:
            for target in dict.fromkeys(part.strip() for part in text.split(";") if part.strip()):
                named = {"$relationshipId": f"{column.path}-{target}"[:128], "$sourceId": id, "$targetId": target}
                edges.append(Item("relationship", {**named, "$relationshipName": column.path}, file, line))
            continue
        try:
            value = _value(text, column.info.schema, column)
        except ValueError:
            wanted = getattr(column.info.schema, "name", "JSON")
            problems.append(Problem(f"'{text[:40]}' is no {wanted}", "Mend the cell, or leave it empty", file, line, column.name))
            continue
        *parents, last = column.path.split("/")
        _owner(document, parents)[last] = value
    yield Item("twin", document, file, line)
    yield from edges


def _owner(document: dict[str, Any], parents: Sequence[str]) -> dict[str, Any]:
    for name in parents:
        document = document.setdefault(name, {"$metadata": {}})
    return document


def _value(text: str, schema: Schema, column: _Column) -> Any:
    """Raises ValueError."""
    name = schema.name if isinstance(schema, Primitive) else schema.value_schema if isinstance(schema, Enum) else None
    whole = name is not None and integer_range(Primitive(name)) is not None
    if whole or name in _REAL:
        assert column.info is not None
        number = float(text)
        if column.unit is not None:
            number = units.converter(column.unit, column.info.unit).apply(number)
        elif whole:
            return int(text)
        return int(number) if whole and number.is_integer() else number
    if name == "boolean":
        if text.lower() not in _TRUTH:
            raise ValueError(text)
        return _TRUTH[text.lower()]
    return text if name is not None else json.loads(text)
