"""What the parser makes of one JSON object: its class, co-types and members, not yet linked to what it refers to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from twinwright.documents import Location
from twinwright.schema.context import Context
from twinwright.schema.extensions import CoType
from twinwright.schema.metamodel import LIMITS, ElementClass, Limits, Member, StandardSchema
from twinwright.schema.report import Source


@dataclass(frozen=True, slots=True)
class Reference:
    """A dependent reference: the DTMI of an element that stands elsewhere."""

    dtmi: str
    location: Location


@dataclass(slots=True, eq=False)
class Node:
    """An element that was read: its class, and its members by name (elements as lists of Node, Reference or StandardSchema)."""

    cls: ElementClass
    context: Context
    source: Source
    location: Location
    id: str | None = None
    name: str | None = None  # the identifier that it goes by: its own, or one made of its parent's and the member
    parent: Node | None = None
    partition: Node | None = None
    layer: str = ""  # the layer that it is written in; empty: none
    cotypes: dict[str, CoType] = field(default_factory=dict)  # by their DTMIs
    refused: list[CoType] = field(default_factory=list)  # co-types that it has and must not have
    undefined_types: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    elements: dict[str, list[Node | Reference | StandardSchema]] = field(default_factory=dict)
    brought: dict[str, Any] = field(default_factory=dict)  # values of members that co-types bring, by the DTMI of the member
    undefined: dict[str, Any] = field(default_factory=dict)  # members that nobody here defines, as they were written
    wrong: bool = False  # a problem of the element itself is in the report
    unknown: bool = False  # one of its types is none, so that it does not count as one of those that its parent needs

    @property
    def version(self) -> int:
        """The version of the language it is written in."""
        return self.context.version

    @property
    def limits(self) -> Limits:
        """The limits that it is under."""
        return LIMITS[self.context.version, self.context.limits]

    @property
    def member(self) -> Member | None:
        """The member of its parent that it stands in."""
        if self.parent is None:
            return None
        step = str(self.location[len(self.parent.location)])
        return self.parent.cls.members.get(term_of(step, "dtmi:dtdl:property:", self.parent.version))

    @property
    def semantic_type(self) -> str | None:
        """The name of its semantic type, if that is one with units."""
        return next((item.name for item in self.cotypes.values() if item.semantic and item.members), None)

    @property
    def unit(self) -> str | None:
        """The name of its unit."""
        units = (self.brought.get(member.id) for item in self.cotypes.values() for member in item.members if member.kind == "unit")
        return next((unit[0] for unit in units if unit is not None), None)

    def children(self) -> Iterable[tuple[Member, Node]]:
        """The elements written inside this one."""
        for name, items in self.elements.items():
            for item in items:
                if isinstance(item, Node):
                    yield self.cls.members[name], item

    @property
    def claimed(self) -> list[CoType]:
        """The co-types whose members are read: its own, and adjunct ones that are for other classes."""
        return [*self.cotypes.values(), *(item for item in self.refused if not item.semantic and self.version in item.versions)]

    def value_of(self, member: str) -> Any:
        """The value of a member that some co-type of it brings, by its name."""
        for item in self.claimed:
            for brought in item.members:
                if brought.name == member:
                    return self.brought.get(brought.id)
        return None


def generated(parent: str | None, member: Member, data: Mapping[str, Any]) -> str | None:
    """The identifier of an element without one (language description, "Automatic Identifier Assignment")."""
    if parent is None:
        return None
    path, _, version = parent.partition(";")
    name = written_name(data)
    segment = f":__{name}" if member.named and name is not None else ""
    return f"{path}:_{member.name}{segment}{';' if version else ''}{version}"


def written_name(data: Mapping[str, Any]) -> str | int | None:
    """The `name` of an element, bare, in an array of one or a value object; None where it is neither text nor a number."""
    value = next((data[key] for key in data if key == "name" or key.startswith("dtmi:dtdl:property:name;")), None)
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    value = value.get("@value") if isinstance(value, dict) else value
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def term_of(name: str, prefix: str, version: int) -> str:
    """`Property` for `dtmi:dtdl:class:Property;3` in version 3; other names as they are."""
    suffix = f";{version}"
    return name[len(prefix) : -len(suffix)] if name.startswith(prefix) and name.endswith(suffix) else name
