"""CSV tables as parts of a graph: each row a twin, read by column; a cell that does not fit is told with its line and column."""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from twinwright import units
from twinwright.errors import Problem, UnitError, UsageError
from twinwright.platform.graph_files import Item, Piece
from twinwright.schema import Enum, Ontology, PathInfo, Primitive, Schema, integer_range
from twinwright.twins.graph.blocks import EdgeBlock, TwinBlock, Values, edge_block
from twinwright.twins.graph.forms import sound_values

_UNIT: Final = re.compile(r"(.*\S)\s*\[([^\]]+)\]")
_REAL: Final = frozenset(["double", "float"])
_TRUTH: Final[Mapping[str, bool]] = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


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


class CsvFiles:
    """Twins, and relationships to the ids that a cell has, separated by `;`."""

    def __init__(self, names: Sequence[str], table: Table) -> None:
        self._names, self._table = names, table

    def models(self) -> list[Item]:
        """None."""
        return []

    def pieces(self, ontology: Ontology, size: int, problems: list[Problem]) -> Iterator[Piece]:
        """Raises UsageError for what is no file or interface."""
        table = self._table
        if table.interface not in ontology.interfaces:
            from difflib import get_close_matches

            near = get_close_matches(table.interface, list(ontology.interfaces), 1)
            remedy = f"Did you mean '{near[0]}'?" if near else "Add it to schema/, or with: twinwright import adt"
            raise UsageError(f"there is no interface '{table.interface[:200]}'", where="interface", remedy=remedy)
        if len(table.delimiter) != 1:
            raise UsageError(f"'{table.delimiter[:10]}' is no delimiter", where="delimiter", remedy="Give one character")
        for name in self._names:
            if not Path(name).is_file():
                raise UsageError("there is no such file", where=name, remedy="Name a file that is there")
            with Path(name).open(encoding="utf-8-sig", newline="") as opened:
                try:
                    yield from _pieces(name, csv.reader(opened, delimiter=table.delimiter, strict=True), table, ontology, size, problems)
                except (csv.Error, UnicodeDecodeError) as error:
                    problems.append(Problem(f"not a table in UTF-8: {error}", "Save it as CSV in UTF-8", file=name))


def _pieces(file: str, reader: Any, table: Table, ontology: Ontology, size: int, problems: list[Problem]) -> Iterator[Piece]:
    header = next(reader, None) or []
    columns = _columns(file, header, table, ontology, problems)
    if columns is None:
        return
    place = {name: at for at, name in enumerate(header)}
    rows = _rows(file, reader, len(header), place[table.id], table, problems)
    while some := list(islice(rows, size)):
        lines, cells = [line for line, _ in some], list(zip(*(row for _, row in some), strict=True))
        ids = [id.strip() for id in cells[place[table.id]]]
        values: list[Values] = []
        wrong: set[int] = set()
        edges: tuple[list[str], ...] = ([], [], [], [], [])
        led_from: list[int] = []
        for column in columns:
            texts = [text.strip() for text in cells[place[column.name]]]
            if column.info is None:
                _lead(column.path, ids, texts, lines, edges, led_from)
            else:
                found, odd = _values(file, column, column.info, texts, lines, ontology, problems)
                values += found
                wrong |= odd
        block = TwinBlock(table.interface, ids, tuple(values), np.array(lines, np.int64))
        yield from _made(file, block, edge_block(edges, led_from), wrong, some, header, columns, table, ontology)


def _made(
    file: str,
    block: TwinBlock,
    edges: EdgeBlock,
    wrong: set[int],
    rows: Sequence[tuple[int, Sequence[str]]],
    header: Sequence[str],
    columns: Sequence[_Column],
    table: Table,
    ontology: Ontology,
) -> Iterator[Piece]:
    """Rows with a value that its schema does not admit go as documents, whose check says why."""
    fits = np.ones(len(block), np.bool_)
    fits[sorted(wrong)] = False
    documents = [
        Item("twin", _document(dict(zip(header, row, strict=True)), columns, table, ontology), file, line)
        for (line, row), fit in zip(rows, fits.tolist(), strict=True)
        if not fit
    ]
    yield Piece("twin", file, [block.chosen(fits) if wrong else block], documents)
    if len(edges):
        yield Piece("relationship", file, [edges])


def _rows(file: str, reader: Any, width: int, id_at: int, table: Table, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    seen: dict[str, int] = {}
    for row in reader:
        line = reader.line_num
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != width:
            problems.append(Problem(f"{len(row)} cells under {width} columns", "Quote cells with commas", file=file, line=line))
            continue
        id = row[id_at].strip()
        if not id or id in seen:
            what = f"'{id[:60]}' stands in line {seen[id]} already" if id else "a row without an id"
            problems.append(Problem(what, "Give each twin one row, with its id", file=file, line=line, path=table.id))
            continue
        seen[id] = line
        yield line, row


def _lead(
    name: str, ids: Sequence[str], texts: Sequence[str], lines: Sequence[int], edges: tuple[list[str], ...], led_from: list[int]
) -> None:
    """The relationships of a column, each beside the line that it is of."""
    for id, text, line in zip(ids, texts, lines, strict=True):
        for target in dict.fromkeys(part.strip() for part in text.split(";") if part.strip()) if text else ():
            for column, value in zip(edges, (id, f"{name}-{target}"[:128], name, target, "{}"), strict=True):
                column.append(value)
            led_from.append(line)


def _values(
    file: str, column: _Column, info: PathInfo, texts: Sequence[str], lines: Sequence[int], ontology: Ontology, problems: list[Problem]
) -> tuple[list[Values], set[int]]:
    """The values of a column, and the rows with one that does not conform. A cell that is none is told, and left out."""
    given = [(row, text) for row, text in enumerate(texts) if text]
    rows: list[int] = []
    values: list[Any] = []
    for row, text in given:
        try:
            values.append(_value(text, info.schema, column))
            rows.append(row)
        except ValueError:
            wanted = getattr(info.schema, "name", "JSON")
            problems.append(Problem(f"'{text[:40]}' is no {wanted}", "Mend the cell, or leave it empty", file, lines[row], column.name))
    if not values:
        return [], set()
    found, wrong = sound_values(info, np.array(rows, np.int32), values, ontology)
    return found, set(wrong.tolist())


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


def _document(row: Mapping[str, str], columns: Sequence[_Column], table: Table, ontology: Ontology) -> dict[str, Any]:
    """A row as a client would send it; what is no value is left out, since it is told already."""
    document: dict[str, Any] = {"$dtId": row[table.id].strip(), "$metadata": {"$model": table.interface}}
    for component in ontology.component_paths(table.interface):
        _owner(document, component.split("/"))
    for column in columns:
        text = row[column.name].strip()
        if text and column.info is not None:
            *parents, last = column.path.split("/")
            with contextlib.suppress(ValueError):
                _owner(document, parents)[last] = _value(text, column.info.schema, column)
    return document


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
