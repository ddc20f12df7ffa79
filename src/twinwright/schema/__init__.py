"""DTDL v2, v3 and v4: parse, validate and resolve interfaces; check values; compare versions."""

from twinwright.errors import SchemaError
from twinwright.schema.described import Element
from twinwright.schema.diff import Change, diff
from twinwright.schema.elements import (
    Array,
    Command,
    Component,
    Enum,
    Geospatial,
    Interface,
    Map,
    Object,
    PathInfo,
    Primitive,
    Property,
    Relationship,
    Schema,
    SchemaReference,
    Telemetry,
)
from twinwright.schema.ontology import Ontology, load, validate_files
from twinwright.schema.report import SchemaProblem
from twinwright.schema.values import check_value, integer_range

__all__ = [
    "Array",
    "Change",
    "Command",
    "Component",
    "Element",
    "Enum",
    "Geospatial",
    "Interface",
    "Map",
    "Object",
    "Ontology",
    "PathInfo",
    "Primitive",
    "Property",
    "Relationship",
    "Schema",
    "SchemaError",
    "SchemaProblem",
    "SchemaReference",
    "Telemetry",
    "check_value",
    "diff",
    "integer_range",
    "load",
    "validate_files",
]
