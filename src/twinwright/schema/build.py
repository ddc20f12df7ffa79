"""From checked nodes to the frozen elements of an ontology."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

from twinwright import units
from twinwright.schema import elements as e
from twinwright.schema import semantic_types
from twinwright.schema.metamodel import StandardSchema
from twinwright.schema.node import Node, Reference
from twinwright.schema.resolve import Model


def _object_of(schema: str, *names: str) -> e.Object:
    return e.Object(tuple(e.Field(name, e.Primitive(schema)) for name in names))


# Standard schemas that are Objects: of DTDL v4, and of the IoT Central extension.
_STANDARD_OBJECTS = {
    "scaledDecimal": e.Object((e.Field("scale", e.Primitive("integer")), e.Field("value", e.Primitive("decimal")))),
    "geopoint": _object_of("double", "lat", "lon", "alt"),
    "vector": _object_of("double", "x", "y", "z"),
}


class Builder:
    """Builds every element once; a schema inside itself becomes a SchemaReference."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._schemas: dict[Node, e.Schema] = {}
        self._depth = 0
        self._contents: dict[Node, e.Content] = {}

    def interfaces(self) -> dict[str, e.Interface]:
        """Every interface by its identifier."""
        found = [node for node in self._model.nodes if node.cls.name == "Interface" and node.id is not None]
        return {interface.id: interface for node in found for interface in [self._interface(node)]}

    def shared_schemas(self) -> dict[str, e.Schema]:
        """Every schema that has an identifier."""
        return {node.id: self._complex(node) for node in self._model.nodes if node.cls.name in _COMPLEX and node.id is not None}

    def schema_of(self, id: str) -> e.Schema | None:
        """The schema that an element is, or has; None for an element without values."""
        standard = next((item for node in self._model.nodes for item in _standard_schemas(node) if item.id == id), None)
        if standard is not None:
            return _standard(standard)
        node = next((node for node in self._model.nodes if node.name == id), None)
        if node is None:
            return None
        if node.cls.name in _COMPLEX:
            return self._complex(node)
        return self._schema(node, "schema") if node.elements.get("schema") and node.cls.name != "Component" else None

    def _interface(self, node: Node) -> e.Interface:
        contents = [self._content(content) for content in self._model.contents(node)]
        own = frozenset(content.values["name"] for content in self._model.linked(node, "contents"))
        extends = tuple(base.id or "" for base in self._model.linked(node, "extends"))
        by_name = MappingProxyType({content.name: content for content in contents})
        return e.Interface(
            id=node.id or "",
            version=node.version,
            extends=extends,
            contents=by_name,
            own=own,
            comment=node.values.get("comment"),
            **_texts(node),
        )

    def _content(self, node: Node) -> e.Content:
        if node not in self._contents:
            self._contents[node] = _CONTENTS[node.cls.name](self, node)
        return self._contents[node]

    def _property(self, node: Node) -> e.Property:
        writable = bool(node.values.get("writable"))
        return e.Property(**_named(node), schema=self._schema(node, "schema"), writable=writable, **_quantity(node))

    def _telemetry(self, node: Node) -> e.Telemetry:
        return e.Telemetry(**_named(node), schema=self._schema(node, "schema"), **_quantity(node))

    def _command(self, node: Node) -> e.Command:
        return e.Command(**_named(node), request=self._payload(node, "request"), response=self._payload(node, "response"))

    def _payload(self, node: Node, member: str) -> e.CommandPayload | None:
        for payload in self._model.linked(node, member):
            nullable = bool(payload.values.get("nullable"))
            return e.CommandPayload(payload.values["name"], self._schema(payload, "schema"), nullable, _unit(payload))
        return None

    def _relationship(self, node: Node) -> e.Relationship:
        properties = tuple(self._property(item) for item in self._model.linked(node, "properties"))
        values = node.values
        return e.Relationship(
            **_named(node),
            target=values.get("target"),
            properties=properties,
            min_multiplicity=values.get("minMultiplicity"),
            max_multiplicity=values.get("maxMultiplicity"),
            writable=bool(values.get("writable")),
        )

    def _component(self, node: Node) -> e.Component:
        return e.Component(**_named(node), schema=self._model.linked(node, "schema")[0].id or "")

    def _schema(self, node: Node, member: str) -> e.Schema:
        item = node.elements[member][0]
        if isinstance(item, StandardSchema):
            return _standard(item)
        return self._complex(self._model.by_id[item.dtmi] if isinstance(item, Reference) else item)

    def _complex(self, node: Node) -> e.Schema:
        if self._depth and node in self._model.recursive:
            return e.SchemaReference(node.id or "")
        if node not in self._schemas:
            self._depth += 1
            self._schemas[node] = _COMPLEX[node.cls.name](self, node)
            self._depth -= 1
        return self._schemas[node]

    def _array(self, node: Node) -> e.Array:
        return e.Array(self._schema(node, "elementSchema"), node.id)

    def _enum(self, node: Node) -> e.Enum:
        values = tuple(e.EnumValue(item.values["name"], item.values["enumValue"]) for item in self._model.linked(node, "enumValues"))
        return e.Enum(node.values["valueSchema"], values, node.id)

    def _map(self, node: Node) -> e.Map:
        key, value = self._model.linked(node, "mapKey")[0], self._model.linked(node, "mapValue")[0]
        return e.Map(key.values["name"], value.values["name"], self._schema(value, "schema"), node.id)

    def _object(self, node: Node) -> e.Object:
        fields = self._model.linked(node, "fields")
        return e.Object(tuple(self._field(item) for item in fields), node.id)

    def _field(self, node: Node) -> e.Field:
        required = any(item.name == "Required" for item in node.cotypes.values())
        return e.Field(node.values["name"], self._schema(node, "schema"), **_quantity(node), required=required)


def _texts(node: Node) -> dict[str, Any]:
    return {"display_name": node.values.get("displayName") or {}, "description": node.values.get("description") or {}}


def _named(node: Node) -> dict[str, Any]:
    return {"name": node.values["name"], "id": node.id, **_texts(node)}


def _unit(node: Node) -> str | None:
    return None if node.unit is None else units.dtdl_unit(node.unit)


def _quantity(node: Node) -> dict[str, Any]:
    return {"unit": _unit(node), "semantic_type": node.semantic_type}


def _standard_schemas(node: Node) -> Iterable[StandardSchema]:
    return (item for items in node.elements.values() for item in items if isinstance(item, StandardSchema))


def _standard(item: StandardSchema) -> e.Schema:
    if item.kind == "object":
        return _STANDARD_OBJECTS[item.name]
    if item.kind == "enum":
        return _units_of(item)
    return e.Primitive(item.name) if item.kind == "primitive" else e.Geospatial(item.name)


def _units_of(item: StandardSchema) -> e.Enum:
    """The Enum of the units of a unit type (`TemperatureUnit`), which QuantitativeTypes defines."""
    edition = int(item.id.partition(":v")[2][0])
    names = sorted(semantic_types.units_of(item.name, edition))
    return e.Enum("string", tuple(e.EnumValue(name, name) for name in names), item.id)


_CONTENTS: dict[str, Any] = {
    "Property": Builder._property,
    "Telemetry": Builder._telemetry,
    "Command": Builder._command,
    "Relationship": Builder._relationship,
    "Component": Builder._component,
}
_COMPLEX: dict[str, Any] = {"Array": Builder._array, "Enum": Builder._enum, "Map": Builder._map, "Object": Builder._object}
