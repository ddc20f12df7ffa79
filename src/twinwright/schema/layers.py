"""Layers: parts of one element that stand in several documents, each under the identifier of the element with a `#name` behind it.

No version of DTDL has them, so that every such identifier is told to be none. A document that names the layering extension says what it
means by them all the same, and is judged by it, so that everything is told at once: the parts of an element are of one class and version,
have one parent, repeat nothing and contradict each other in nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from twinwright.schema import dtmi
from twinwright.schema.extensions import Brought, CoType
from twinwright.schema.metamodel import Member, StandardSchema
from twinwright.schema.node import Node, Reference
from twinwright.schema.report import Report

_TYPE = "Layer"
_VALUES = {"string": "String", "integer": "Integer", "boolean": "Boolean", "dtmi": "Identifier", "choice": "Object"}
_BROUGHT = {"string": "String", "integer": "Integer", "property": "Identifier", "unit": "Object"}


def split(data: Mapping[str, Any]) -> tuple[str, str] | None:
    """The identifier of the element and the name of the layer; None where `@id` has no fragment."""
    value = data.get("@id")
    path, mark, layer = value.partition("#") if isinstance(value, str) else ("", "", "")
    return (path, layer) if mark and dtmi.is_dtmi(path, 3) else None


def is_declared(data: Mapping[str, Any]) -> bool:
    """Whether `@type` says that this is a layer."""
    return _TYPE in _types(data)


def is_bare(data: Mapping[str, Any]) -> bool:
    """Whether `@type` says nothing else."""
    return _types(data) == [_TYPE]


def without_layer(data: dict[str, Any]) -> dict[str, Any]:
    """The element without the type that says that it is a layer."""
    return data if not is_declared(data) else data | {"@type": [item for item in _types(data) if item != _TYPE]}


def _types(data: Mapping[str, Any]) -> list[Any]:
    written = data.get("@type", [])
    return written if isinstance(written, list) else [written]


def check(roots: Iterable[Node], report: Report) -> None:
    """Put what is wrong between the parts of elements into the report."""
    found = [*roots]
    if not any(root.layer for root in found):
        return
    parts = _Parts(report)
    for root in found:
        parts.take(root)


@dataclass(slots=True)
class _Element:
    """What is known of an element from the parts that were read: the first of them, and of each member the first that has it."""

    first: Node
    layers: set[str] = field(default_factory=set)
    holders: dict[str, Node] = field(default_factory=dict)  # by member, or by DTMI of a member that a co-type brings
    named: dict[tuple[str, object], str | None] = field(default_factory=dict)  # by member and name: which element it is
    counted: dict[str, set[str | None]] = field(default_factory=dict)  # the elements of members that are limited


class _Parts:
    """Compares each part with those before it."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.seen: dict[str | None, _Element] = {}

    def take(self, root: Node) -> None:
        pending = [root]
        while pending:
            node = pending.pop()
            known = self.seen.setdefault(node.name, _Element(node))
            if known.first is not node and not (self._is_same(node, known) and self._is_in_place(node, known.first)):
                continue
            known.layers.add(node.layer)
            self._compare(node, known)
            pending.extend(child for _, child in node.children())

    def fail(
        self,
        node: Node,
        code: str,
        message: str,
        remedy: str,
        *,
        member: str | None = None,
        secondary: str | None = None,
        value: str | None = None,
        primary: str | None = None,
    ) -> None:
        self.report.add(
            node.source,
            node.location,
            code,
            message,
            remedy,
            primary=primary or node.name,
            secondary=secondary,
            member=member,
            value=value,
        )

    def _is_same(self, node: Node, known: _Element) -> bool:
        """Whether a part is a further one, in the same version of the language."""
        if node.layer in known.layers:
            if node.layer:  # what is in no layer is told for every document
                self.fail(node, "duplicateDefinition", f"the layer '{node.layer}' of {node.name} is given twice", "Remove one")
            return False
        if known.first.version != node.version:
            message = f"the layer is of DTDL {node.version}, another part of DTDL {known.first.version}"
            self.fail(node, "inconsistentContext", message, "Write all parts in one version")
            return False
        return True

    def _is_in_place(self, node: Node, first: Node) -> bool:
        """Whether a part is of the class that the element is of, and stands where it stands."""
        parent, member = node.parent, node.member
        if parent is not None and member is not None and first.cls.name not in member.classes:
            message = f"{node.name} is {first.cls.name} in another part"
            remedy = f"It must be one of: {', '.join(member.classes)}"
            self.fail(node, "incompatibleType", message, remedy, primary=parent.name, secondary=node.name, member=member.name)
            if member.required and not member.many:
                message = f"'{member.name}' has no element that fits"
                self.fail(parent, "objectCountBelowMin", message, "Correct what it has", member=member.name)
            return False
        if first.cls.name != node.cls.name:
            message = f"it can't be {first.cls.name} and {node.cls.name}"
            self.fail(node, "multipleMaterialTypes", message, "Keep one of them")
            return False
        if parent is not None and first.parent is not None and first.parent.name != parent.name:
            message = f"{node.name} is part of {first.parent.name} as well"
            self.fail(node, "inconsistentParent", message, "Keep it in one of them", secondary=parent.name)
        return True

    def _compare(self, node: Node, known: _Element) -> None:
        for name, value in node.values.items():
            other = known.holders.setdefault(name, node)
            kind = node.cls.members[name].kind
            if other is not node and kind == "text":
                texts = other.values[name] or {}
                if any(texts.get(language, text) != text for language, text in (value or {}).items()):
                    self._differ(node, name, "LangString", value, texts)
            elif other is not node:
                self._differ(node, name, _VALUES.get(kind), value, other.values[name])
        for name, items in node.elements.items():
            self._compare_elements(node, known, node.cls.members[name], items)
        for item in node.cotypes.values():
            for brought in item.members:
                self._compare_brought(node, known.holders.setdefault(brought.id, node), item, brought)

    def _differ(self, node: Node, member: str, kind: str | None, mine: Any, theirs: Any) -> None:
        if kind is not None and None not in (mine, theirs) and mine != theirs:
            message = f"another part of {node.name} has another value"
            self.fail(node, f"inconsistent{kind}Values", message, "Write the same in both", member=member)

    def _compare_brought(self, node: Node, other: Node, item: CoType, brought: Brought) -> None:
        if other is not node and item.id not in other.cotypes:
            message = f"{item.name} and a type of another part bring '{brought.name}'"
            self.fail(node, "conflictingSupplementalTypes", message, "Keep one of them", member=brought.name)
        elif other is not node:
            self._differ(node, brought.id, _BROUGHT.get(brought.kind), node.brought.get(brought.id), other.brought.get(brought.id))

    def _compare_elements(self, node: Node, known: _Element, member: Member, items: list[Node | Reference | StandardSchema]) -> None:
        names = [_named(item) for item in items]
        if not member.many:
            other = known.holders.setdefault(member.name, node)
            if other is not node:
                self._differ(node, member.name, "Object", names or None, [_named(item) for item in other.elements[member.name]] or None)
            return
        if member.max_count is not None:
            counted = known.counted.setdefault(member.name, set())
            counted.update(names)
            if node is not known.first and len(counted) > member.max_count:
                message = f"'{member.name}' has {len(counted)} elements in all parts"
                self.fail(node, "objectCountAboveMax", message, f"At most {member.max_count} are allowed", member=member.name)
        for item in (item for item in items if member.named and isinstance(item, Node)):
            name = item.values.get("name")
            same = item.name if name is None else known.named.setdefault((member.name, name), item.name)
            if same != item.name and (item.layer or known.first.layer):
                message, remedy = f"another part has another element with the name '{name}'", "Give both the same '@id', or rename one"
                self.fail(item, "nonUniquePropertyValue", message, remedy, primary=node.name, member=member.name, value="name")


def _named(item: Node | Reference | StandardSchema) -> str | None:
    return item.dtmi if isinstance(item, Reference) else item.id if isinstance(item, StandardSchema) else item.name
