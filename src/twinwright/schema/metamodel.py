"""The metamodel of DTDL as tables: which members each class has, and the limits of each language version.

Source: DTDL language specification v2, v3, v4, "DTDL element" and "Limits and exclusions". A conformance question is
answered here by a row, not in the parser by a condition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

Kind = Literal["string", "text", "integer", "boolean", "element", "schema", "choice", "dtmi", "literal"]
NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?")
VERSIONS = (2, 3, 4)

COMPLEX_SCHEMAS = ("Array", "Enum", "Map", "Object")
CONTENTS = ("Command", "Component", "Property", "Relationship", "Telemetry")
NUMERIC_V2 = ("double", "float", "integer", "long")
NUMERIC_V4 = (*NUMERIC_V2, "byte", "decimal", "short", "unsignedByte", "unsignedInteger", "unsignedLong", "unsignedShort")
PRIMITIVES_V2 = ("boolean", "date", "dateTime", "double", "duration", "float", "integer", "long", "string", "time")
PRIMITIVES_V4 = (
    *PRIMITIVES_V2,
    "byte",
    "bytes",
    "decimal",
    "short",
    "unsignedByte",
    "unsignedInteger",
    "unsignedLong",
    "unsignedShort",
    "uuid",
)
COMMAND_TYPES = ("asynchronous", "synchronous")
GEOSPATIAL = ("lineString", "multiLineString", "multiPoint", "multiPolygon", "point", "polygon")


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of a language version; None where it sets no limit."""

    name: int | None
    display_name: int | None
    description: int | None
    comment: int | None
    id: int | None
    interface_id: int | None
    interface_bytes: int | None
    contents: int | None
    extends: int | None
    extends_total: int | None
    extends_depth: int | None
    schema_depth: int | None
    enum_values: int | None
    fields: int | None
    properties: int | None
    multiplicity: int | None
    elements: int | None


_V2 = Limits(64, 64, 512, 512, 2048, 128, None, 300, 2, None, 10, 5, 100, 30, 300, 500, None)
_V3 = Limits(512, 512, 512, 512, 2048, 128, 1 << 20, None, None, 1024, 10, 5, None, None, None, None, 100_000)
_V4 = replace(_V3, extends_depth=12, schema_depth=8)

# By version and limits context: "" the language's own, "none" under `#limitless` alone, else a limit extension of DTDL 4.
LIMITS: Mapping[tuple[int, str], Limits] = {
    (2, ""): _V2,
    (3, ""): _V3,
    (4, ""): _V4,
    (4, "none"): Limits(*[None] * 17),
    (4, "onvif"): replace(_V4, description=4096, id=512, interface_id=256, schema_depth=24),
    (4, "aio"): replace(_V4, description=2048, id=512, interface_id=256, schema_depth=12),
}


@dataclass(frozen=True, slots=True)
class Member:
    """One member that a class may have: the kind of its value, how many, and of which classes its elements are."""

    name: str
    kind: Kind
    required: bool = False
    many: bool = False
    classes: tuple[str, ...] = ()
    min_count: int = 0
    max_count: int | None = None
    max_length: int | None = None
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    unique: tuple[str, ...] = ()  # members of its elements whose values differ from one to the next
    same_version: bool = False  # its elements are of the version of the element that has them

    @property
    def named(self) -> bool:
        """Whether the names of its elements tell them apart, in identifiers too."""
        return self.many and (self.name == "contents" or "name" in self.unique)


@dataclass(frozen=True, slots=True)
class ElementClass:
    """A class of DTDL elements."""

    name: str
    members: Mapping[str, Member]
    type_required: bool
    id_required: bool


@dataclass(frozen=True, slots=True)
class StandardSchema:
    """A schema that the language or an extension names: `double`, `point`, `TemperatureUnit` ..."""

    name: str
    kind: Literal["primitive", "geospatial", "object", "enum"]
    id: str

    @property
    def of(self) -> str:
        """The class that it is an instance of."""
        if self.kind == "primitive":
            return self.name[0].upper() + self.name[1:]
        return "Enum" if self.kind == "enum" else "Object"


@lru_cache(maxsize=16)
def classes(version: int, limits: str = "") -> Mapping[str, ElementClass]:
    """Every class of a DTDL version by its name; `limits` as in LIMITS."""
    numbers = LIMITS[version, limits]
    return {name: _element_class(name, members, numbers) for name, members in _members(version, numbers).items()}


@lru_cache(maxsize=8)
def standard_schemas(version: int) -> Mapping[str, StandardSchema]:
    """The standard schemas that a document of this version may name, by term and by DTMI (its version's and earlier ones)."""
    found: dict[str, StandardSchema] = {}

    def define(name: str, kind: Literal["primitive", "geospatial", "object"], prefix: str, older: int) -> None:
        known = found.get(name)  # primitive schemas go by their first identifier, geospatial ones by that of the document's version
        item = known if known is not None and kind == "primitive" else StandardSchema(name, kind, f"{prefix}{name};{older}")
        found[f"{prefix}{name};{older}"] = found[name] = item

    for older in range(2, version + 1):
        for name in PRIMITIVES_V4 if older == 4 else PRIMITIVES_V2:
            define(name, "primitive", "dtmi:dtdl:instance:Schema:", older)
        for name in GEOSPATIAL:
            define(name, "geospatial", "dtmi:standard:schema:geospatial:", older)
    if version >= 4:
        define("scaledDecimal", "object", "dtmi:standard:schema:", 4)
    return found


@lru_cache(maxsize=4)
def command_types(version: int) -> Mapping[str, str]:
    """The identifiers of the two values of `commandType`, by term and by DTMI."""
    names = _choices("CommandType", COMMAND_TYPES, version, only=True)
    return {name: f"dtmi:dtdl:instance:CommandType:{name};{version}" if ":" not in name else name for name in names}


@lru_cache(maxsize=1)
def class_names() -> frozenset[str]:
    """The names of the element classes of all versions."""
    return frozenset(name for version in VERSIONS for name in classes(version))


@lru_cache(maxsize=4)
def abstract_classes(version: int) -> frozenset[str]:
    """Classes that no element of a document can be of: abstract ones, and those of standard elements."""
    primitives = PRIMITIVES_V4 if version == 4 else PRIMITIVES_V2
    names = {"ComplexSchema", "Content", "Entity", "NamedEntity", "NumericSchema", "PrimitiveSchema", "Schema", "SchemaField"}
    return frozenset({*names, "TemporalSchema", "CommandType", *(name[0].upper() + name[1:] for name in primitives)})


@lru_cache(maxsize=4)
def reserved_terms(version: int) -> frozenset[str]:
    """Names that mean something in the language and so can't be co-types (specification, "Reserved strings")."""
    terms = {name for table in classes(version).values() for name in table.members} | set(GEOSPATIAL) | set(_WORDS)
    terms |= set(PRIMITIVES_V4 if version == 4 else PRIMITIVES_V2) | abstract_classes(version)
    return frozenset(terms | set(_WORDS_OF_VERSION[min(version, 3)]))


_WORDS = (
    "asynchronous",
    "exponent",
    "languageMajorVersion",
    "SemanticType",
    "SemanticUnit",
    "symbol",
    "synchronous",
    "Unit",
    "UnitAttribute",
)
_WORDS_OF_VERSION = {
    2: ("unit",),
    3: (
        "AdjunctType", "Alias", "aliasFor", "CommandPayload", "DtdlExtension", "LatentType", "metamodel", "model", "NamedLatentType",
    ),
}  # fmt: skip
_TYPE_OPTIONAL = frozenset({"CommandPayload", "CommandRequest", "CommandResponse", "EnumValue", "Field", "MapKey", "MapValue"})


def _element_class(name: str, members: tuple[Member, ...], limits: Limits) -> ElementClass:
    common = (
        Member("comment", "string", max_length=limits.comment),
        Member("description", "text", max_length=limits.description),
        Member("displayName", "text", max_length=limits.display_name),
    )
    table = {member.name: member for member in (*common, *members)}
    return ElementClass(name, table, name not in _TYPE_OPTIONAL, name == "Interface")


def _members(version: int, limits: Limits) -> dict[str, tuple[Member, ...]]:
    name = Member("name", "string", required=True, max_length=limits.name)
    schema = Member("schema", "schema", required=True, classes=COMPLEX_SCHEMAS)
    writable = Member("writable", "boolean")
    least = 1 if version == 2 else 0
    request, response = ("CommandPayload", "CommandPayload") if version == 2 else ("CommandRequest", "CommandResponse")
    payload = (name, schema) if version < 4 else (name, schema, Member("nullable", "boolean"))
    return {
        "Array": (Member("elementSchema", "schema", required=True, classes=COMPLEX_SCHEMAS),),
        "Command": (
            name,
            Member("commandType", "choice", choices=_choices("CommandType", COMMAND_TYPES, version, only=True)),
            Member("request", "element", classes=(request,), same_version=True),
            Member("response", "element", classes=(response,), same_version=True),
        ),
        request: payload,
        response: payload,
        "Component": (name, Member("schema", "element", required=True, classes=("Interface",))),
        "Enum": (
            Member("valueSchema", "choice", required=True, choices=_choices("Schema", ("integer", "string"), version)),
            Member(
                "enumValues", "element", required=version == 2, many=True, classes=("EnumValue",), min_count=least,
                max_count=limits.enum_values, unique=("name", "enumValue"), same_version=True,
            ),
        ),
        "EnumValue": (name, Member("enumValue", "literal", required=True)),
        "Field": (name, schema),
        "Interface": (
            Member("contents", "element", many=True, classes=CONTENTS, max_count=limits.contents, unique=("name",)),
            Member("extends", "element", many=True, classes=("Interface",), max_count=limits.extends),
            Member("schemas", "element", many=True, classes=COMPLEX_SCHEMAS, same_version=True),
        ),
        "Map": (
            Member("mapKey", "element", required=True, classes=("MapKey",), same_version=True),
            Member("mapValue", "element", required=True, classes=("MapValue",), same_version=True),
        ),
        "MapKey": (name, Member("schema", "choice", required=True, choices=_choices("Schema", ("string",), version))),
        "MapValue": (name, schema),
        "Object": (
            Member(
                "fields", "element", required=version == 2, many=True, classes=("Field",), min_count=least,
                max_count=limits.fields, unique=("name",), same_version=True,
            ),
        ),
        "Property": (name, schema, writable),
        "Relationship": (
            name,
            Member("maxMultiplicity", "integer", minimum=1, maximum=limits.multiplicity),
            Member("minMultiplicity", "integer", minimum=0, maximum=0),
            Member("properties", "element", many=True, classes=("Property",), max_count=limits.properties, unique=("name",)),
            Member("target", "dtmi"),
            writable,
        ),
        "Telemetry": (name, schema),
    }  # fmt: skip


def _choices(group: str, names: tuple[str, ...], version: int, only: bool = False) -> tuple[str, ...]:
    versions = (version,) if only else range(2, version + 1)
    return (*names, *(f"dtmi:dtdl:instance:{group}:{name};{older}" for name in names for older in versions))
