"""DTDL v2, v3 and v4: parse, validate and resolve interfaces; check values; compare versions."""

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

__all__ = [
    "Array",
    "Command",
    "Component",
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
    "SchemaReference",
    "Telemetry",
    "load",
    "validate_files",
]
