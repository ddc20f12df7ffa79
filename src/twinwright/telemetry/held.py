"""What a column of a contract can hold: its type by the schema of the property, and values that a map gives."""

from __future__ import annotations

from collections.abc import Mapping

from twinwright.documents import Document, Location, Problems
from twinwright.schema import Enum, Primitive, Schema
from twinwright.storage.layout import ColumnType, ReadingColumn
from twinwright.telemetry.admitted import admitted
from twinwright.telemetry.derivation import is_storable, is_structured
from twinwright.twins.values import scalar_type

_HELD: Mapping[ColumnType, str] = {"DOUBLE": "numbers", "BIGINT": "whole numbers", "BOOLEAN": "true or false", "VARCHAR": "text"}


def column_type(schema: Schema) -> ColumnType | None:
    """How values of a DTDL schema are stored; None for what a contract can't fill."""
    if isinstance(schema, Primitive | Enum):
        return scalar_type(schema)
    return "VARCHAR" if is_storable(schema) else None


def check_map(
    mapping: Mapping[str, str | int | float | bool],
    column: ReadingColumn,
    schema: Schema,
    place: Location,
    document: Document,
    problems: Problems,
) -> None:
    """Every value that a map gives is one that the property can have."""
    place = (*place, "map")
    if mapping and is_structured(schema):
        problems.add(document.problem(place, f"'{column.path}' is an object: it has no map", "Remove it", "bad_map"))
        return
    domain = admitted(schema)
    for key, value in mapping.items():
        held = _HELD[column.type]
        if not _fits(value, column.type):
            message = f"the map gives {value!r} for '{key}', but '{column.path}' holds {held}"
            problems.add(document.problem(place, message, f"Write {held}, and text in quotes", "bad_map"))
        elif domain is not None and value not in domain:
            message = f"the map gives {value!r} for '{key}', which is not {domain}"
            problems.add(document.problem(place, message, f"Write a value that '{column.path}' admits", "bad_map"))


def _fits(value: str | int | float | bool, kind: ColumnType) -> bool:
    if kind == "BOOLEAN" or isinstance(value, bool):
        return kind == "BOOLEAN" and isinstance(value, bool)
    if kind == "VARCHAR":
        return isinstance(value, str)
    if kind == "BIGINT":
        return isinstance(value, int) and -(2**63) <= value < 2**63
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= 2**1023)
