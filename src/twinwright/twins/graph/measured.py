"""Values as people and tables give them: numbers as text, with a unit or without, in the unit of what they are for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from twinwright import units
from twinwright.errors import JsonPatchError, UnitError
from twinwright.schema import Component, Object, Ontology, Primitive, Property, Relationship, Schema, integer_range

_MEASURED: Final = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S.*?)?\s*")
_REAL: Final = ("double", "float")
_TRUTH: Final[Mapping[str, bool]] = {"true": True, "false": False}


def is_plain_number(value: Any) -> bool:
    """Whether it is a number, or the text of one, and says no unit."""
    if isinstance(value, str):
        measured = _MEASURED.fullmatch(value)
        return measured is not None and measured[2] is None
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_quantity(value: Any) -> bool:
    """Whether it is a number with its unit: `{"value": 3, "unit": "bar"}`."""
    return isinstance(value, Mapping) and value.keys() == {"value", "unit"} and type(value["value"]) in (int, float)


def measured(document: Mapping[str, Any], ontology: Ontology) -> dict[str, Any]:
    """The document of a twin with every number that has a unit as a quantity, those of components and of fields of objects too."""
    interface = document["$metadata"]["$model"]
    return _measured(document, interface, ontology) if interface in ontology.interfaces else dict(document)


def _measured(values: Mapping[str, Any], interface: str, ontology: Ontology) -> dict[str, Any]:
    contents, found = ontology.interface(interface).contents, dict(values)
    for name, content in contents.items():
        if isinstance(content, Component) and isinstance(values.get(name), Mapping):
            found[name] = _measured(values[name], content.schema, ontology)
        elif isinstance(content, Property) and name in values:
            found[name] = _marked(values[name], content.schema, content.unit, ontology)
    return found


def measured_relationship(document: Mapping[str, Any], declared: Relationship, ontology: Ontology) -> dict[str, Any]:
    """The same of a relationship's."""
    known = {one.name: one for one in declared.properties}
    return {name: _marked(v, known[name].schema, known[name].unit, ontology) if name in known else v for name, v in document.items()}


def _marked(value: Any, schema: Schema, unit: str | None, ontology: Ontology) -> Any:
    schema = ontology.plain(schema)
    if isinstance(schema, Object) and isinstance(value, Mapping):
        fields = {one.name: one for one in schema.fields}
        return {n: _marked(v, fields[n].schema, fields[n].unit, ontology) if n in fields else v for n, v in value.items()}
    return {"value": value, "unit": unit} if unit is not None and type(value) in (int, float) else value


def converted(value: Any, schema: Schema | None, unit: str | None, path: str) -> Any:
    """A number that was given as text, or with a unit, in `unit`; `true` and `false` as what they say; all else as it is, for its schema
    to refuse. Raises JsonPatchError for a unit of another dimension."""
    if not isinstance(schema, Primitive):
        return value
    if schema.name == "boolean" and isinstance(value, str):
        return _TRUTH.get(value.strip().lower(), value)
    whole = integer_range(schema) is not None
    if not whole and schema.name not in _REAL:
        return value
    if isinstance(value, str):
        measured = _MEASURED.fullmatch(value)
        if measured is None:
            return value
        if whole and measured[2] is None and value.strip().lstrip("+-").isdecimal():
            return int(value)  # a float would lose digits of a long one
        number, given = float(measured[1]), measured[2]
    elif is_quantity(value):
        number, given = float(value["value"]), value["unit"]
    else:
        return value
    try:
        number = number if given is None else units.converter(str(given), unit).apply(number)
    except UnitError as error:
        raise JsonPatchError(error.what, where=path, remedy=error.remedy or f"Give it in {unit or 'no unit'}") from error
    return int(number) if whole and number.is_integer() else number
