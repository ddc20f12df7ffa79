"""Nested JSON in columns: Arrow reads whole chunks of documents with the types that a contract wants.

It takes what the plain reader takes in the same sense, or nothing: a chunk with anything odd in it (another type, a missing array, an
element that is no object) is left to the plain one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from numpy.typing import NDArray

from twinwright.telemetry.contract_spec import FieldKind
from twinwright.telemetry.decode import POLARS_TYPE, Column
from twinwright.telemetry.fields import FieldPath, Level

_ODD = re.compile(rb"NaN|Infinity|\d[eE]\+?\d{3,}|\d{300}")  # numbers that Arrow reads in a sense of its own, or not at all
_TYPES: Mapping[FieldKind, pa.DataType] = {"number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_(), "string": pa.string()}
Tree: TypeAlias = "dict[str, Tree | FieldKind]"


@dataclass(frozen=True, slots=True)
class Chunk:
    """The fields of every element of some documents, and to which of them each belongs."""

    columns: Mapping[str, Column]
    document: NDArray[np.int64]


class NestedColumns:
    """Reads documents of one contract; see `can_read`."""

    def __init__(self, fields: Mapping[str, FieldKind], paths: Mapping[str, FieldPath], levels: Sequence[Level]) -> None:
        self._fields, self._paths, self._levels = fields, paths, levels
        trees = [self._tree(depth) for depth in range(len(levels) + 1)]
        self._schemas = [self._schema(trees, scalar) for scalar in (pa.string(), pa.int64())]

    @staticmethod
    def can_read(fields: Mapping[str, FieldKind], paths: Mapping[str, FieldPath], levels: Sequence[Level]) -> bool:
        """Whether all that a contract reads lies in objects, and in arrays of objects: no place in an array, no member of an object."""
        if "json" in fields.values() or any(level.members for level in levels):
            return False
        steps = [path.steps for path in (*paths.values(), *(level.path for level in levels))]
        if any(path.place or not path.steps for path in paths.values()) or any(step.isdigit() for path in steps for step in path):
            return False
        try:
            NestedColumns(fields, paths, levels)
        except _ClashError:
            return False
        return True

    def read(self, documents: Sequence[bytes], most_repeated: NDArray[np.int64]) -> Chunk | None:
        """Columns of what the documents hold; None where the plain reader has to look. Each is one JSON object on one line.

        `most_repeated` is for each document how many bytes of text around its elements they may repeat.
        """
        buffer = b"\n".join(documents)
        if _ODD.search(buffer):
            return None
        for schema in self._schemas:
            options = pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
            try:
                table = pa.json.read_json(
                    pa.BufferReader(buffer), pa.json.ReadOptions(use_threads=False, block_size=len(buffer) + 1), options
                )
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                continue
            if table.num_rows != len(documents):
                return None
            return self._elements(table.combine_chunks().to_struct_array(), most_repeated)
        return None

    def _elements(self, documents: pa.ChunkedArray, most_repeated: NDArray[np.int64]) -> Chunk | None:
        around = [documents.combine_chunks() if isinstance(documents, pa.ChunkedArray) else documents]
        places = [np.arange(len(around[0]))]  # at each depth, the enclosing element of each innermost one
        for level in self._levels:
            lists = _inside(around[-1], level.path.steps)
            elements = pc.list_flatten(lists)
            if lists.null_count or elements.null_count:
                return None
            parents = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False).astype(np.int64)
            places = [*(place[parents] for place in places), np.arange(len(elements))]
            around.append(elements)
        columns = {}
        repeated = np.zeros(len(around[0]))
        for name, kind in self._fields.items():
            depth = len(self._levels) - self._paths[name].up
            values = _inside(around[depth], self._paths[name].steps)
            if self._paths[name].up:
                index = pa.array(places[depth])
                if pa.types.is_string(values.type):
                    lengths = pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False)
                    repeated += np.bincount(places[0], lengths[places[depth]], len(repeated))
                    if (repeated > most_repeated).any():
                        return None
                values = values.take(index)
            series = pl.from_arrow(values)
            assert isinstance(series, pl.Series)
            columns[name] = Column(series.cast(POLARS_TYPE[kind]).alias(name))
        return Chunk(columns, places[0])

    def _tree(self, depth: int) -> Tree:
        """What is read of the elements at a depth (0: the document), by step."""
        tree: Tree = {}
        for name, path in self._paths.items():
            if len(self._levels) - path.up == depth:
                _put(tree, path.steps, self._fields[name])
        return tree

    def _schema(self, trees: Sequence[Tree], scalar: pa.DataType) -> pa.Schema:
        inner: pa.DataType | None = None
        for depth in range(len(trees) - 1, -1, -1):
            leaf = None if inner is None else (self._levels[depth].path.steps, pa.list_(inner))
            inner = _struct(trees[depth], (), leaf, scalar)
        return pa.schema(list(inner or pa.struct([])))


class _ClashError(Exception):
    """A field that is read as a value, and into which another leads."""


def _put(tree: Tree, steps: Sequence[str], kind: FieldKind) -> None:
    for step in steps[:-1]:
        inner = tree.setdefault(step, {})
        if not isinstance(inner, dict):
            raise _ClashError
        tree = inner
    if tree.setdefault(steps[-1], kind) != kind:
        raise _ClashError


def _struct(tree: Tree, at: tuple[str, ...], elements: tuple[tuple[str, ...], pa.DataType] | None, scalar: pa.DataType) -> pa.DataType:
    """The type of an object; `elements` are where in it the next level lies, and what that is."""
    fields: dict[str, Any] = {}
    for step, inner in tree.items():
        fields[step] = _struct(inner, (*at, step), elements, scalar) if isinstance(inner, dict) else _TYPES.get(inner, scalar)
    if elements is not None and elements[0][: len(at)] == at:
        if len(elements[0]) == len(at):
            raise _ClashError
        step = elements[0][len(at)]
        if len(elements[0]) == len(at) + 1:
            if step in fields:
                raise _ClashError
            fields[step] = elements[1]
        elif step not in fields:
            fields[step] = _struct({}, (*at, step), elements, scalar)
        elif not pa.types.is_struct(fields[step]):
            raise _ClashError
    return pa.struct(list(fields.items()))


def _inside(array: pa.Array, steps: Sequence[str]) -> pa.Array:
    for step in steps:
        array = pc.struct_field(array, [step])
    return array
