"""Many twins of one interface, or many relationships, in columns: as files bring them, before they are in the graph."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.schema import Ontology, PathInfo
from twinwright.storage.layout import ColumnType
from twinwright.storage.protocol import RELATIONSHIP_SCHEMA, VALUE_SCHEMA
from twinwright.twins.documents import value_of
from twinwright.twins.values import Row, alike, by_lifetime, columns_of, held

Rows = NDArray[np.int32]
Fits = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Values:
    """What some rows of a block have under a path, as its schema is stored: `held` are those of `rows`, which ascend."""

    path: str
    type: ColumnType
    column: Literal["num", "int", "txt"]
    rows: Rows
    held: pa.Array

    def chosen(self, fits: Fits) -> Values:
        """Of the rows that fit, by their new numbers."""
        kept = fits[self.rows]
        numbers = (np.cumsum(fits) - 1).astype(np.int32)
        return Values(self.path, self.type, self.column, numbers[self.rows[kept]], self.held.filter(pa.array(kept)))


def values_of(info: PathInfo, rows: Rows, values: Sequence[Any]) -> Values:
    """Values that conform to the schema of their path: at least one."""
    type_, column, _ = held(info.schema, values[0])
    if column == "num":
        return Values(info.path, type_, "num", rows, pa.array(np.array(values, np.float64)))
    if column == "int":
        return Values(info.path, type_, "int", rows, pa.array(np.array(values, np.int64)))
    return Values(info.path, type_, "txt", rows, pa.array([held(info.schema, value)[2] for value in values], pa.string()))


@dataclass(frozen=True, slots=True)
class TwinBlock:
    """`lines` are where they stand in their file."""

    interface: str
    ids: list[str]
    values: tuple[Values, ...]
    lines: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def chosen(self, fits: Fits) -> TwinBlock:
        """The rows that fit."""
        ids = [id for id, fit in zip(self.ids, fits.tolist(), strict=True) if fit]
        return TwinBlock(self.interface, ids, tuple(one.chosen(fits) for one in self.values), self.lines[fits])

    def rows(self, first: int, ontology: Ontology, now: int, commit: int) -> pa.Table:
        """As records of lifetimes numbered from `first`, by their number: VALUE_SCHEMA."""
        return by_lifetime(
            columns_of(
                _common(one, ontology.paths(self.interface)[one.path], now, commit),
                {"twin": one.rows + np.int32(first), one.column: one.held},
            )
            for one in self.values
        )

    def cells(self, row: int, number: int, ontology: Ontology, now: int, commit: int) -> Iterator[Row]:
        """The same of one row."""
        for one in self.values:
            at = int(np.searchsorted(one.rows, np.int32(row)))
            if at < len(one.rows) and one.rows[at] == row:
                empty: Row = dict.fromkeys(VALUE_SCHEMA.names)
                common = _common(one, ontology.paths(self.interface)[one.path], now, commit)
                yield {**empty, **common, "twin": number, one.column: one.held[at].as_py()}

    def document(self, row: int, ontology: Ontology) -> dict[str, Any]:
        """What the file said of a twin, less what means nothing here. Of an interface that is gone meanwhile no more than its name."""
        found: dict[str, Any] = {"$dtId": self.ids[row], "$metadata": {"$model": self.interface}}
        if self.interface not in ontology.interfaces:
            return found
        for path in ontology.component_paths(self.interface):
            _owner(found, path.split("/"))
        paths = ontology.paths(self.interface)
        for cell in self.cells(row, 0, ontology, 0, 0):
            *parents, name = cell["path"].split("/")
            _owner(found, parents)[name] = value_of(cell, paths[cell["path"]])
        return found


def _common(values: Values, info: PathInfo, now: int, commit: int) -> Row:
    """What all of them have in common."""
    return {"time": now, **alike(values.path, info.unit, values.type, commit)}


def _owner(document: dict[str, Any], parents: Sequence[str]) -> dict[str, Any]:
    for name in parents:
        document = document.setdefault(name, {"$metadata": {}})
    return document


@dataclass(frozen=True, slots=True)
class EdgeBlock:
    """`rows` are of RELATIONSHIP_SCHEMA, `lines` where they stand in their file."""

    rows: pa.Table
    lines: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def chosen(self, fits: Fits) -> EdgeBlock:
        """The rows that fit."""
        return EdgeBlock(self.rows.filter(pa.array(fits)), self.lines[fits])

    def document(self, row: int) -> dict[str, Any]:
        """What the file said of one, less what means nothing here."""
        one = self.rows.slice(row, 1).to_pylist()[0]
        named = {"$relationshipId": one["id"], "$sourceId": one["source"], "$targetId": one["target"], "$relationshipName": one["name"]}
        return {**named, **json.loads(one["properties"])}


def edge_block(columns: Sequence[Sequence[str]], lines: Sequence[int]) -> EdgeBlock:
    """Of source, id, name, target and properties."""
    nothing = pa.nulls(len(lines), pa.int64())
    arrays = [*(pa.array(column, pa.string()) for column in columns), nothing, nothing]
    return EdgeBlock(pa.table(arrays, schema=RELATIONSHIP_SCHEMA), np.array(lines, np.int64))
