"""The extensions of DTDL as tables: the co-types that each version of one defines, their members and their rules.

Source: the documents of the extensions (Annotation 1-2, Historization 1-2, MQTT 1-4, Overriding 1-2, QuantitativeTypes 1-3,
Requirement 1-2, IoT Central 2, IoT Operations 4) beside the DTDL language descriptions. Semantic types and their units have
tables of their own in `semantic_types`. A further extension is a row here, not a condition elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from twinwright.schema import semantic_types

MemberKind = Literal["string", "integer", "duration", "numeric", "unit", "property"]

QUANTITATIVE = "dtmi:dtdl:extension:quantitativeTypes"
ANNOTATION = "dtmi:dtdl:extension:annotation"
OVERRIDING = "dtmi:dtdl:extension:overriding"
IOT_CENTRAL = "dtmi:iotcentral:context"
IOT_OPERATIONS = "dtmi:iotoperations:context"
LAYERING = "dtmi:dtdl:extension:layering"  # no version of it is known here, but what it means: see `layers`
NUMERIC = ("NumericSchema",)

_PLACEHOLDER = r"\{(?:[A-Za-z]+:)?[A-Za-z]+\}"
_LEVEL = r"[!$-*,\-.0-z|~]"
_TOPIC = re.compile(rf"(?:[!%-*,\-.0-z|~]{_LEVEL}*|{_PLACEHOLDER})(?:/(?:{_LEVEL}+|{_PLACEHOLDER}))*")
_SHARE = re.compile(rf"{_LEVEL}+")
_IDENTIFIER = re.compile(r"[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Brought:
    """A member that a co-type brings to its element."""

    name: str
    id: str
    kind: MemberKind
    required: bool = True
    pattern: re.Pattern[str] | None = None
    max_length: int | None = None
    minimum: int | None = None
    unique: bool = False  # its values differ among the siblings
    conforms: bool = False  # its value is one of the element's schema
    unit_type: str | None = None


@dataclass(frozen=True, slots=True)
class CoType:
    """A type that an element has beside its class, and what it asks for. Names are those of co-types of the same extension."""

    name: str
    id: str
    extension: str  # the context that defines it
    on: tuple[str, ...]  # classes
    versions: tuple[int, ...]  # of the language
    members: tuple[Brought, ...] = ()
    semantic: bool = False
    abstract: bool = False
    needs: str | None = None  # a further co-type of the element
    on_cotypes: tuple[str, ...] = ()  # ... or elements of any class with one of these co-types
    excludes: tuple[str, ...] = ()  # co-types that the element has not
    schema: tuple[str, ...] = ()  # classes or co-types of its `schema`
    schema_values: tuple[str, ...] = ()  # the only values of its `schema`
    fields: tuple[str, ...] = ()  # each of its fields has one of these co-types
    parent: tuple[str, ...] = ()  # the Object that it is a field of has one of these; and no other field of it is the same
    beside: str | None = None  # a co-type that another field of that Object has
    annotates: bool = False  # `annotates` is the name of another content
    overrides: bool = False  # ... of which `overrides` is a member that a co-type brings


def cotypes(extension: str, version: str) -> Mapping[str, CoType]:
    """The co-types by name that a version of an extension defines."""
    if extension == QUANTITATIVE:
        return _quantitative(version)
    return _tables().get((extension, version), {})


@lru_cache(maxsize=1)
def versions() -> Mapping[str, tuple[str, ...]]:
    """The versions of each extension that are known here."""
    found: dict[str, list[str]] = {QUANTITATIVE: ["1", "2", "3"]}
    for name, version in _tables():
        found.setdefault(name, []).append(version)
    return {name: tuple(values) for name, values in found.items()}


@lru_cache(maxsize=1)
def standard() -> Mapping[str, CoType]:
    """The semantic types of DTDL 2, by name."""
    prefix, unit = "dtmi:standard:class:", "dtmi:dtdl:property:unit;2"
    return {name: _semantic(name, f"{prefix}{name};2", "dtmi:dtdl:context;2", unit, 0) for name in semantic_types.names(0)}


@lru_cache(maxsize=8)
def _quantitative(version: str) -> Mapping[str, CoType]:
    prefix, context, edition = f"{QUANTITATIVE}:v{version}", f"{QUANTITATIVE};{version}", int(version)
    names = [*semantic_types.names(edition), "QuantitativeType"]
    return {name: _semantic(name, f"{prefix}:class:{name}", context, f"{prefix}:property:unit", edition) for name in names}


def _semantic(name: str, id: str, context: str, unit: str, edition: int) -> CoType:
    classes = (
        ("Property", "Telemetry") if edition == 0 else ("CommandRequest", "CommandResponse", "Field", "MapValue", "Property", "Telemetry")
    )
    member = Brought("unit", unit, "unit", unit_type=semantic_types.unit_type(name, edition))
    of = {0: (2,), 1: (3,)}.get(edition, (4,))
    return CoType(name, id, context, classes, of, (member,), semantic=True, schema=NUMERIC, abstract=name == "QuantitativeType")


@lru_cache(maxsize=1)
def _tables() -> Mapping[tuple[str, str], Mapping[str, CoType]]:
    found: dict[tuple[str, str], Mapping[str, CoType]] = {}
    for version, language in (("1", (3,)), ("2", (3, 4))):
        found[ANNOTATION, version] = _annotation(version, language)
        found[OVERRIDING, version] = _overriding(version, language)
        found["dtmi:dtdl:extension:historization", version] = _plain_type(
            "dtmi:dtdl:extension:historization", version, "Historized", ("Property", "Telemetry"), language
        )
    for version, classes in (("1", ("Field",)), ("2", ("Field", "Property"))):
        name = "dtmi:dtdl:extension:requirement"
        found[name, version] = _plain_type(name, version, "Required", classes, (3, 4))
    for number in (1, 2, 3, 4):
        found["dtmi:dtdl:extension:mqtt", str(number)] = _mqtt(number)
    found[IOT_CENTRAL, "2"] = _iot_central()
    found[IOT_OPERATIONS, "4"] = _iot_operations()
    return found


def _by_name(items: Iterable[CoType]) -> Mapping[str, CoType]:
    return {item.name: item for item in items}


def _plain_type(extension: str, version: str, name: str, on: tuple[str, ...], language: tuple[int, ...]) -> Mapping[str, CoType]:
    return _by_name([CoType(name, f"{extension}:v{version}:{name}", f"{extension};{version}", on, language)])


def _annotation(version: str, language: tuple[int, ...]) -> Mapping[str, CoType]:
    id = f"{ANNOTATION}:v{version}:ValueAnnotation"
    members = (Brought("annotates", f"{id}:annotates", "string"),)
    return _by_name(
        [CoType("ValueAnnotation", id, f"{ANNOTATION};{version}", ("Property", "Telemetry"), language, members, annotates=True)]
    )


def _overriding(version: str, language: tuple[int, ...]) -> Mapping[str, CoType]:
    id = f"{OVERRIDING}:v{version}:Override"
    members = (Brought("overrides", f"{id}:overrides", "property"),)
    context = f"{OVERRIDING};{version}"
    return _by_name([CoType("Override", id, context, ("Property",), language, members, needs="ValueAnnotation", overrides=True)])


def _mqtt(number: int) -> Mapping[str, CoType]:
    prefix, context = f"dtmi:dtdl:extension:mqtt:v{number}:", f"dtmi:dtdl:extension:mqtt;{number}"
    language = (3,) if number == 1 else (3, 4)
    topics = ["commandTopic", "telemetryTopic", *(["propertyTopic"] if number >= 4 else [])]
    shares = ["cmdServiceGroupId", "telemServiceGroupId"] if number >= 2 else []
    broker = (
        Brought("payloadFormat", f"{prefix}Mqtt:payloadFormat", "string"),
        *(Brought(name, f"{prefix}Mqtt:{name}", "string", False, _TOPIC) for name in topics),
        *(Brought(name, f"{prefix}Mqtt:{name}", "string", False, _SHARE) for name in shares),
    )
    indexed = ("EnumValue", "Field", "Telemetry", *(("Property",) if number >= 4 else ()))
    ttl = Brought("ttl", f"{prefix}Cacheable:ttl", "duration")
    index = Brought("index", f"{prefix}Indexed:index", "integer", minimum=1, unique=True)

    def new(name: str, *on: str, members: tuple[Brought, ...] = (), **rules: Any) -> CoType:
        return CoType(name, prefix + name, context, on, language, members, **rules)

    found = [
        new("Mqtt", "Interface", members=broker),
        new("Idempotent", "Command"),
        new("Cacheable", "Command", members=(ttl,), needs="Idempotent"),
        new("Indexed", *indexed, members=(index,)),
    ]
    if number >= 2:
        found.append(new("Transparent", "CommandRequest", "CommandResponse", schema=("Object",)))
    if number >= 3:
        results = ("NormalResult", "ErrorResult", *(("ErrorCode", "ErrorInfo") if number >= 4 else ()))
        found += [
            new("Result", "Object", fields=results),
            new("NormalResult", "Field", parent=("Result",), excludes=("Required",)),
            new("ErrorResult", "Field", parent=("Result",), schema=("Error",), excludes=("Required",)),
            new("Error", "Object"),
            new("ErrorMessage", "Field", parent=("Error",), schema=("String",)),
        ]
    if number >= 4:
        found += [
            new("ErrorCode", "Field", parent=("Result", "Error"), schema=("Enum",)),
            new("ErrorInfo", "Field", parent=("Result", "Error"), schema=("Object",), beside="ErrorCode"),
            new("Fragmented", "Property", schema=("Map",), on_cotypes=("PropertyValue",)),
            new("Indirect", "Field", excludes=("Required",)),
            new("PropertyResult", "Object", fields=("PropertyValue", "ReadError", "WriteError")),
            new("PropertyValue", "Field", parent=("PropertyResult",), excludes=("Required",)),
            new("ReadError", "Field", parent=("PropertyResult",), schema=("Error",), excludes=("Required",)),
            new("WriteError", "Field", parent=("PropertyResult",), schema=("Error",), excludes=("Required",)),
        ]
    return _by_name(found)


def _iot_central() -> Mapping[str, CoType]:
    places = ("point", "multiPoint", "lineString", "multiLineString", "polygon", "multiPolygon", "geopoint")

    def new(name: str, schema: tuple[str, ...] = (), values: tuple[str, ...] = (), unit_type: str | None = None) -> CoType:
        unit = Brought("unit", "dtmi:dtdl:property:unit;2", "unit", required=False, unit_type=unit_type)
        return CoType(
            name,
            f"dtmi:iotcentral:class:{name};2",
            f"{IOT_CENTRAL};2",
            ("Property", "Telemetry"),
            (2,),
            (unit,) if unit_type else (),
            semantic=True,
            schema=schema,
            schema_values=values,
        )

    return _by_name(
        [
            new("AccelerationVector", values=("vector",), unit_type="AccelerationUnit"),
            new("Event", schema=(*NUMERIC, "String")),
            new("Location", values=places),
            new("State", schema=("Enum",)),
            new("VelocityVector", values=("vector",), unit_type="VelocityUnit"),
        ]
    )


def _iot_operations() -> Mapping[str, CoType]:
    values = ("CommandRequest", "CommandResponse", "Field", "MapValue", "Property", "Telemetry")

    def member(name: str, kind: MemberKind, required: bool = True, **rules: Any) -> Brought:
        return Brought(name, f"dtmi:iotoperations:property:{name};4", kind, required, **rules)

    def new(name: str, *on: str, members: tuple[Brought, ...] = (), **rules: Any) -> CoType:
        return CoType(name, f"dtmi:iotoperations:class:{name};4", f"{IOT_OPERATIONS};4", on, (4,), members, **rules)

    def text(name: str, pattern: re.Pattern[str] | None = None) -> tuple[Brought, ...]:
        return (member(name, "string", pattern=pattern, max_length=128),)

    bounds = tuple(member(name, "numeric", False, conforms=True) for name in ("maximum", "minimum"))
    return _by_name(
        [
            new("Composite", "Interface", members=text("ontology"), excludes=("Event",)),
            new("Congruence", "Array", "Enum", "Interface", "Map", "Object", members=text("typeRef")),
            new("Detail", "Object"),
            new("Event", "Interface"),
            new("GroupMember", "Command", members=text("group", _IDENTIFIER)),
            new("HasCapability", "Relationship", excludes=("HasComponent",)),
            new("HasComponent", "Relationship"),
            new("Limited", *values, members=bounds, schema=NUMERIC),
            new("Precise", *values, members=(member("decimalPlaces", "integer"),), schema=NUMERIC),
            new("Qualified", "Command", "Component", "Field", "Property", "Relationship", "Telemetry", members=text("namespace")),
            new("ScaledStatically", *values, members=(member("scaleFactor", "numeric", conforms=True),), schema=NUMERIC),
            new("Subject", "Field", parent=("Detail",)),
        ]
    )
