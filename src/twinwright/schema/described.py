"""What was read, element by element: each with its identifier, class, members, co-types and what nobody here defines.

The elements of `elements` are what the platform works with; these are the documents' own, for tools that look into a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from twinwright.schema import metamodel
from twinwright.schema.metamodel import Member, StandardSchema
from twinwright.schema.node import Node
from twinwright.schema.resolve import Model

_GROUPS = {
    "commands": "Command",
    "components": "Component",
    "properties": "Property",
    "relationships": "Relationship",
    "telemetries": "Telemetry",
}


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a model, or a standard schema that one refers to.

    `properties` are its members by their DTDL names, elements as identifiers (those that names tell apart as name -> identifier
    for an Interface); `supplemental_properties` the members that co-types bring, by the DTMIs of these.
    """

    id: str
    type: str
    version: int
    defined_in: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    supplemental_types: tuple[str, ...] = ()
    supplemental_properties: Mapping[str, Any] = field(default_factory=dict)
    undefined_types: tuple[str, ...] = ()
    undefined_properties: Mapping[str, Any] = field(default_factory=dict)


def describe(model: Model) -> Mapping[str, Element]:
    """Every element by its identifier: its own, or the one that it gets where it has none."""
    found: dict[str, Element] = {}
    extended: dict[str, list[str]] = {}
    for node in model.nodes:
        for base in model.linked(node, "extends"):
            extended.setdefault(base.name or "", []).append(node.name or "")
    for node in model.nodes:
        if node.name is not None:
            found[node.name] = _element(node, model, extended)
        for value in node.brought.values():
            if isinstance(value, tuple):  # a unit
                found.setdefault(value[1], Element(value[1], "Unit" if node.version == 2 else "EnumValue", node.version))
        for item in _standard_schemas(node):
            if item.id not in found:
                found[item.id] = _standard(item)
    return MappingProxyType(found)


def _standard_schemas(node: Node) -> Iterable[StandardSchema]:
    for items in node.elements.values():
        yield from (item for item in items if isinstance(item, StandardSchema))
    table = metamodel.standard_schemas(node.version)
    chosen = (node.values.get(member.name) for member in node.cls.members.values() if member.kind == "choice")
    yield from (table[name] for name in chosen if name is not None and name in table)


def _standard(item: StandardSchema) -> Element:
    kind = {"enum": "Enum", "object": "Object", "geospatial": "Object"}.get(item.kind) or item.name[0].upper() + item.name[1:]
    version = item.id.rpartition(";")[2]
    return Element(item.id, kind, int(version) if version.isdigit() else 3)


def _element(node: Node, model: Model, extended: Mapping[str, list[str]]) -> Element:
    owner = node.parent.partition if node.parent is not None else None
    members = {member.name: _value(node, member, model) for member in node.cls.members.values()}
    members["languageMajorVersion"] = node.version
    members["definedIn"] = owner.name if owner is not None else None
    if node.cls.name == "Interface":
        contents = model.contents(node)
        members["contents"] = _by_name(contents)
        members |= {name: _by_name(item for item in contents if item.cls.name == group) for name, group in _GROUPS.items()}
        members["extendedBy"] = extended.get(node.name or "", [])
    elif node.cls.name in ("CommandRequest", "CommandResponse"):
        members.setdefault("nullable", False)
    brought = {key: value[1] if isinstance(value, tuple) else value for key, value in node.brought.items()}
    return Element(
        node.name or "",
        node.cls.name,
        node.version,
        members["definedIn"],
        MappingProxyType(members),
        tuple(node.cotypes),
        MappingProxyType(brought),
        tuple(node.undefined_types),
        MappingProxyType(node.undefined),
    )


def _by_name(nodes: Iterable[Node]) -> dict[str, str | None]:
    return {item.values["name"]: item.name for item in nodes}


def _value(node: Node, member: Member, model: Model) -> Any:
    """A member as a plain value; identifiers for elements; None, an empty list or False where it is not given."""
    if member.kind in ("element", "schema"):
        ids = [item.id if isinstance(item, StandardSchema) else _identifier(item, model) for item in node.elements.get(member.name, ())]
        return ids if member.many else ids[0] if ids else None
    value = node.values.get(member.name)
    if member.kind == "text":
        return dict(value or {})
    if member.kind == "boolean":
        return bool(value)
    if member.kind == "choice" and value is not None:
        schema = metamodel.standard_schemas(node.version).get(value)
        return schema.id if schema is not None else f"dtmi:dtdl:instance:CommandType:{value};{node.version}"
    return value


def _identifier(item: Any, model: Model) -> str | None:
    if isinstance(item, Node):
        return item.name
    target = model.by_id.get(item.dtmi)
    return target.name if target is not None else item.dtmi
