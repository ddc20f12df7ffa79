"""Values as records: how each is stored by the schema of its property, for what no contract brings (declared values, API writes)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from twinwright.schema import Enum, PathInfo, Primitive, Schema
from twinwright.storage.layout import ColumnType
from twinwright.storage.protocol import GOOD, REMOVED, VALUE_SCHEMA

API_SOURCE = "api"
Row = dict[str, Any]  # of VALUE_SCHEMA

_COLUMN_TYPES: Mapping[str, ColumnType] = {
    **dict.fromkeys(("double", "float", "decimal"), "DOUBLE"),
    **dict.fromkeys(("integer", "long", "byte", "short", "unsignedByte", "unsignedShort", "unsignedInteger"), "BIGINT"),
    **dict.fromkeys(("string", "date", "dateTime", "time", "duration", "uuid"), "VARCHAR"),
    "boolean": "BOOLEAN",
}


def scalar_type(schema: Primitive | Enum) -> ColumnType | None:
    """How values of a primitive type or Enum are stored; None for what fits no column."""
    return _COLUMN_TYPES.get(schema.name if isinstance(schema, Primitive) else schema.value_schema)


def value_row(number: int, info: PathInfo, value: Any, *, time: int, correction: int) -> Row:
    """An observation by `api` of a value that conforms to its schema, at an event time in microseconds."""
    type_, column, value = held(info.schema, value)
    row = _row(number, info, time, correction, type_)
    row |= {"kind": GOOD, column: value}
    return row


def value_rows(given: Iterable[tuple[int, PathInfo, int, Any]], correction: int) -> pa.Table:
    """The same of very many, in columns: of each its lifetime, property, event time and value. By lifetime: VALUE_SCHEMA."""
    groups: dict[tuple[str, str | None, ColumnType, str], tuple[list[int], list[int], list[Any]]] = {}
    for number, info, time, value in given:
        type_, column, stored = held(info.schema, value)
        numbers, times, values = groups.setdefault((info.path, info.unit, type_, column), ([], [], []))
        numbers.append(number)
        times.append(time)
        values.append(stored)
    return by_lifetime(
        columns_of(alike(path, unit, type_, correction), {"twin": numbers, "time": times, column: values})
        for (path, unit, type_, column), (numbers, times, values) in groups.items()
    )


def alike(path: str, unit: str | None, type_: ColumnType, correction: int) -> Row:
    """What observations of one path by `api` have in common."""
    return {
        "path": path, "source": API_SOURCE, "correction": correction, "revision": 0, "kind": GOOD, "type": type_, "unit": unit,
        "lane": "observed",
    }  # fmt: skip


def columns_of(common: Row, own: Mapping[str, Any]) -> pa.Table:
    """Rows of VALUE_SCHEMA: the columns that are their own, of one length, and what they have in common."""
    count = len(own["twin"])
    columns = [
        pa.array(own[field.name], field.type) if field.name in own else pa.repeat(pa.scalar(common.get(field.name), field.type), count)
        for field in VALUE_SCHEMA
    ]
    return pa.table(columns, schema=VALUE_SCHEMA)


def by_lifetime(parts: Iterable[pa.Table]) -> pa.Table:
    """All of them in the order of lifetimes: VALUE_SCHEMA."""
    whole = pa.concat_tables([VALUE_SCHEMA.empty_table(), *parts]).combine_chunks()
    return whole.take(pa.array(np.argsort(whole["twin"].to_numpy(), kind="stable")))


def removed_row(number: int, info: PathInfo, *, time: int, correction: int) -> Row:
    """That there is no value from an event time on."""
    type_, _, _ = held(info.schema, None)
    return _row(number, info, time, correction, type_) | {"kind": REMOVED}


def _row(number: int, info: PathInfo, time: int, correction: int, type_: ColumnType) -> Row:
    empty = {"num": None, "int": None, "txt": None}
    return {"twin": number, "time": time, **empty, **alike(info.path, info.unit, type_, correction)}


def held(schema: Schema, value: Any) -> tuple[ColumnType, str, Any]:
    """How a value that conforms is stored: (type, column, value in it). A decimal stays text; what fits no column is canonical JSON."""
    type_ = scalar_type(schema) if isinstance(schema, Primitive | Enum) else None
    if isinstance(value, str) or type_ is None or type_ == "VARCHAR":
        return "VARCHAR", "txt", value if isinstance(value, str) or value is None else canonical_json(value)
    if type_ == "DOUBLE":
        return "DOUBLE", "num", None if value is None else float(value)
    return type_, "int", None if value is None else int(value)


def canonical_json(value: Any) -> str:
    """An object, array or map as JSON with sorted keys and no spaces."""
    return msgspec.json.encode(value, order="sorted").decode()
