"""Whether a JSON value is an instance of a schema (DTDL language description, "Schemas")."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from twinwright.documents import json_path
from twinwright.errors import Problem
from twinwright.schema import elements as e
from twinwright.schema.sources import kind

MAX_DEPTH = 64

_INTEGERS = {
    "byte": (-(2**7), 2**7 - 1),
    "short": (-(2**15), 2**15 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
    "unsignedByte": (0, 2**8 - 1),
    "unsignedShort": (0, 2**16 - 1),
    "unsignedInteger": (0, 2**32 - 1),
    "unsignedLong": (0, 2**64 - 1),
}
_FLOAT_MAX = 3.4028234663852886e38
# Only the last part has a fraction, and weeks go with neither years nor months (ISO 8601).
DURATION = re.compile(
    r"P(?!$)(?:(?:\d+(?:\.\d+(?=Y$))?Y)?(?:\d+(?:\.\d+(?=M$))?M)?|(?:\d+(?:\.\d+(?=W$))?W)?)(?:\d+(?:\.\d+(?=D$))?D)?"
    r"(?:T(?!$)(?:\d+(?:\.\d+(?=H$))?H)?(?:\d+(?:\.\d+(?=M$))?M)?(?:\d+(?:\.\d+)?S)?)?"
)
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:[0-5]\d)")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")  # RFC 4648, section 4
_TIME = re.compile(r"\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:[0-5]\d)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")

# GeoJSON (RFC 7946, section 3.1): how many arrays stand around a position, and the least number of positions in the inner ones.
_GEOMETRY = {"point": 0, "multiPoint": 1, "lineString": 1, "multiLineString": 2, "polygon": 2, "multiPolygon": 3}


def check_value(value: Any, schema: e.Schema, schemas: Mapping[str, e.Schema] | None = None) -> list[Problem]:
    """What keeps a JSON value from being an instance of the schema; empty where it is one.

    `schemas` (`Ontology.schemas`) resolves schemas that contain themselves. Every problem has the JSON path within the value.
    """
    return list(_check(value, schema, schemas or {}, ()))


def integer_range(schema: e.Schema) -> tuple[int, int] | None:
    """The least and the greatest value of an integer type; None for every other schema."""
    return _INTEGERS.get(schema.name) if isinstance(schema, e.Primitive) else None


Location = tuple[str | int, ...]


def _check(value: Any, schema: e.Schema, schemas: Mapping[str, e.Schema], at: Location) -> Iterator[Problem]:
    if len(at) > MAX_DEPTH:
        yield _problem(at[:8], f"nested deeper than {MAX_DEPTH}", "Make the value flatter")
        return
    if isinstance(schema, e.SchemaReference):
        yield from _check(value, schemas[schema.id], schemas, at)
    elif isinstance(schema, e.Primitive):
        if not _PRIMITIVES[schema.name](value):
            yield _problem(at, f"{_shown(value)} is not {_article(schema.name)}", _HINTS.get(schema.name, "Write a value of that type"))
    elif isinstance(schema, e.Geospatial):
        yield from _check_geometry(value, schema.name, at)
    elif isinstance(schema, e.Enum):
        if not any(type(value) is type(item.value) and value == item.value for item in schema.values):
            allowed = ", ".join(repr(item.value) for item in schema.values[:20])
            yield _problem(at, f"{_shown(value)} is none of the values of the Enum", f"It must be one of: {allowed}")
    elif isinstance(schema, e.Array):
        yield from _check_array(value, schema, schemas, at)
    elif isinstance(schema, e.Map):
        yield from _check_map(value, schema, schemas, at)
    else:
        yield from _check_object(value, schema, schemas, at)


def _check_array(value: Any, schema: e.Array, schemas: Mapping[str, e.Schema], at: Location) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield _problem(at, f"an array is expected, not {kind(value)}", "Write [...]")
        return
    for index, item in enumerate(value):
        yield from _check(item, schema.element_schema, schemas, (*at, index))


def _check_map(value: Any, schema: e.Map, schemas: Mapping[str, e.Schema], at: Location) -> Iterator[Problem]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        yield _problem(at, f"an object is expected, not {kind(value)}", "Write {...}")
        return
    for key, item in value.items():
        yield from _check(item, schema.value_schema, schemas, (*at, key))


def _check_object(value: Any, schema: e.Object, schemas: Mapping[str, e.Schema], at: Location) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield _problem(at, f"an object is expected, not {kind(value)}", "Write {...}")
        return
    fields = {field.name: field.schema for field in schema.fields}
    for key, item in value.items():
        if key in fields:
            yield from _check(item, fields[key], schemas, (*at, key))
        else:
            yield _problem((*at, str(key)), f"'{str(key)[:60]}' is not a field", f"Fields: {', '.join(fields)}")
    for field in schema.fields:
        if field.required and field.name not in value:
            yield _problem(at, f"the field '{field.name}' is missing", "Give it a value")


def _check_geometry(value: Any, name: str, at: Location) -> Iterator[Problem]:
    wanted = name[0].upper() + name[1:]
    if not isinstance(value, dict) or value.get("type") != wanted:
        yield _problem(at, f"{_shown(value)} is not a GeoJSON {wanted}", f'Write {{"type": "{wanted}", "coordinates": [...]}}')
    elif not _is_geometry(value.get("coordinates"), name):
        yield _problem(
            (*at, "coordinates"), f"these are not the coordinates of a {wanted}", "Positions are [longitude, latitude] (RFC 7946)"
        )


def _is_geometry(coordinates: Any, name: str) -> bool:
    if name == "polygon":
        return isinstance(coordinates, list) and all(_is_ring(ring) for ring in coordinates)
    if name == "multiPolygon":
        return isinstance(coordinates, list) and all(_is_geometry(polygon, "polygon") for polygon in coordinates)
    if name == "lineString":
        return isinstance(coordinates, list) and len(coordinates) >= 2 and _is_nested(coordinates, 1)
    if name == "multiLineString":
        return isinstance(coordinates, list) and all(_is_geometry(line, "lineString") for line in coordinates)
    return _is_nested(coordinates, _GEOMETRY[name])


def _is_ring(ring: Any) -> bool:
    return isinstance(ring, list) and len(ring) >= 4 and _is_nested(ring, 1) and ring[0] == ring[-1]


def _is_nested(coordinates: Any, depth: int) -> bool:
    if not isinstance(coordinates, list):
        return False
    if depth == 0:
        return len(coordinates) >= 2 and all(_is_finite(number) for number in coordinates)
    return all(_is_nested(item, depth - 1) for item in coordinates)


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _is_float(value: Any) -> bool:
    return _is_finite(value) and abs(value) <= _FLOAT_MAX


def _is_integer(name: str) -> Callable[[Any], bool]:
    low, high = _INTEGERS[name]
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_decimal(value: Any) -> bool:
    """xsd:decimal: written as text, so that no digit is lost."""
    if not isinstance(value, str) or not re.fullmatch(r"[+-]?(?:[1-9]\d*|0)(?:\.\d*)?", value):
        return False
    try:
        return Decimal(value).is_finite()
    except InvalidOperation:
        return False


def _is_text(pattern: re.Pattern[str], parse: Callable[[str], object]) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            return False
        try:
            parse(value)
        except ValueError:
            return False
        return True

    return check


def _is_base64(value: Any) -> bool:
    return isinstance(value, str) and bool(_BASE64.fullmatch(value))


_PRIMITIVES: Mapping[str, Callable[[Any], bool]] = {
    **{name: _is_integer(name) for name in _INTEGERS},
    "boolean": lambda value: isinstance(value, bool),
    "bytes": _is_base64,
    "date": _is_text(_DATE, date.fromisoformat),
    "dateTime": _is_text(_DATE_TIME, lambda text: datetime.fromisoformat(text.upper())),
    "decimal": _is_decimal,
    "double": _is_finite,
    "duration": _is_text(DURATION, str),
    "float": _is_float,
    "string": lambda value: isinstance(value, str),
    "time": _is_text(_TIME, lambda text: time.fromisoformat(text.upper())),
    "uuid": _is_text(re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"), uuid.UUID),
}
_HINTS = {
    "bytes": "Write base64 text",
    "date": "Write it as 2026-03-01",
    "dateTime": "Write it as 2026-03-01T08:00:00Z",
    "decimal": 'Write it as text, as in "12.50"',
    "duration": "Write it as PT10M",
    "time": "Write it as 08:00:00",
    **{name: f"Write a whole number from {low} to {high}" for name, (low, high) in _INTEGERS.items()},
}


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def _shown(value: Any) -> str:
    return kind(value) if isinstance(value, dict | list) else f"{value!r:.60}"


def _problem(at: Location, message: str, remedy: str) -> Problem:
    return Problem(message, remedy, path=json_path(at), code="nonConformantValue")
