"""The elements of a model, as the rest of the platform sees them: frozen, resolved, in the words of DTDL.

A unit is in the platform's canonical spelling (`degC` for `degreeCelsius`); None is dimensionless or not given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Text: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Primitive:
    """A primitive schema: `double`, `string`, `dateTime` ..."""

    name: str


@dataclass(frozen=True, slots=True)
class Geospatial:
    """A GeoJSON schema: `point`, `polygon` ..."""

    name: str


@dataclass(frozen=True, slots=True)
class Array:
    """Any number of values of one schema."""

    element_schema: Schema
    id: str | None = None


@dataclass(frozen=True, slots=True)
class EnumValue:
    """One of the values of an Enum under its name."""

    name: str
    value: str | int


@dataclass(frozen=True, slots=True)
class Enum:
    """One of a few named values, all strings or all integers."""

    value_schema: str
    values: tuple[EnumValue, ...]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Map:
    """Text to values of one schema."""

    key_name: str
    value_name: str
    value_schema: Schema
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """A named part of an Object; a value may leave it out unless it is `required` (extension Requirement)."""

    name: str
    schema: Schema
    unit: str | None = None
    semantic_type: str | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Object:
    """Named values, each of a schema of its own."""

    fields: tuple[Field, ...]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class SchemaReference:
    """A schema that contains itself (DTDL v4): look it up in `Ontology.schemas`."""

    id: str


Schema: TypeAlias = Primitive | Geospatial | Array | Enum | Map | Object | SchemaReference


@dataclass(frozen=True, slots=True)
class Property:
    """A value that a twin keeps."""

    name: str
    schema: Schema
    writable: bool = False
    unit: str | None = None
    semantic_type: str | None = None
    id: str | None = None
    display_name: Text = field(default_factory=dict)
    description: Text = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """A value that a twin emits."""

    name: str
    schema: Schema
    unit: str | None = None
    semantic_type: str | None = None
    id: str | None = None
    display_name: Text = field(default_factory=dict)
    description: Text = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommandPayload:
    """What goes into a Command or comes out of it."""

    name: str
    schema: Schema
    nullable: bool = False
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """Something that a twin can be told to do."""

    name: str
    request: CommandPayload | None = None
    response: CommandPayload | None = None
    id: str | None = None
    display_name: Text = field(default_factory=dict)
    description: Text = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Relationship:
    """A directed edge to twins of `target` (None: of any interface)."""

    name: str
    target: str | None = None
    properties: tuple[Property, ...] = ()
    min_multiplicity: int | None = None
    max_multiplicity: int | None = None
    writable: bool = False
    id: str | None = None
    display_name: Text = field(default_factory=dict)
    description: Text = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a twin described by an interface of its own; `schema` is its DTMI."""

    name: str
    schema: str
    id: str | None = None
    display_name: Text = field(default_factory=dict)
    description: Text = field(default_factory=dict)


Content: TypeAlias = Property | Telemetry | Command | Relationship | Component


@dataclass(frozen=True, slots=True)
class Interface:
    """A model. `contents` by name are all it has, inherited ones included; `own` names those it declares itself."""

    id: str
    version: int
    extends: tuple[str, ...]
    contents: Mapping[str, Content]
    own: frozenset[str]
    display_name: Text = field(default_factory=dict)
    description: Text = field(default_factory=dict)
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class PathInfo:
    """A place on a twin that holds a value."""

    path: str
    kind: Literal["property", "telemetry"]
    schema: Schema
    unit: str | None
    semantic_type: str | None
    writable: bool
