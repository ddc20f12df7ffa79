"""One element at a time: from JSON to a tree of nodes, each checked against its row of the metamodel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from twinwright.documents import Location
from twinwright.schema import context as contexts
from twinwright.schema import dtmi, literals, metamodel
from twinwright.schema.context import QUANTITATIVE_TYPES, Context, Options
from twinwright.schema.literals import Place
from twinwright.schema.metamodel import ElementClass, Member, StandardSchema
from twinwright.schema.semantic_types import semantic_types, unit_type, units_of
from twinwright.schema.sources import Report, Source, kind
from twinwright.units import DTDL_UNITS

_UNIT_TERMS = frozenset(DTDL_UNITS)
_QUANTITATIVE_DTMI = "dtmi:dtdl:extension:quantitativeTypes:v"


@dataclass(frozen=True, slots=True)
class Reference:
    """A dependent reference: the DTMI of an element that stands elsewhere."""

    dtmi: str
    location: Location


@dataclass(slots=True, eq=False)
class Node:
    """An element that was read: its class, and its members by name (elements as lists of Node, Reference or StandardSchema)."""

    cls: ElementClass
    version: int
    limited: bool
    source: Source
    location: Location
    id: str | None
    semantic_type: str | None = None
    unit: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    elements: dict[str, list[Node | Reference | StandardSchema]] = field(default_factory=dict)
    partition: Node | None = None

    def children(self) -> Iterable[tuple[Member, Node]]:
        """The elements written inside this one."""
        for name, items in self.elements.items():
            for item in items:
                if isinstance(item, Node):
                    yield self.cls.members[name], item


@dataclass(slots=True)
class _Types:
    material: str | None = None
    semantic: str | None = None
    cotypes: list[str] = field(default_factory=list)
    informal: bool = False
    written: bool = True


class Parser:
    """Reads the top-level objects of documents into `nodes`."""

    def __init__(self, options: Options, report: Report) -> None:
        self.options, self.report = options, report
        self.nodes: list[Node] = []

    def top_level(self, data: dict[str, Any], source: Source, location: Location) -> None:
        """Read one top-level object, which has to be an Interface with a context."""
        fail = self.report.add
        if "@context" not in data:
            fail(source, location, "missingContext", "'@context' is missing", 'Add "@context": "dtmi:dtdl:context;3"')
            return
        if "@graph" in data:
            fail(source, (*location, "@graph"), "topLevelGraphDisallowed", "'@graph' is not read here", "Write an array of Interfaces")
            return
        outer = contexts.active(data["@context"], Context(), self.options, source, location, self.report)
        if not outer.version:
            fail(
                source,
                (*location, "@context"),
                "missingDtdlContext",
                "the context names no version of DTDL",
                "Begin it with dtmi:dtdl:context;3",
            )
            return
        inner = {key: value for key, value in data.items() if key != "@context"}
        for keyword in (key for key in inner if key.startswith("@") and key not in ("@id", "@type") and outer.version >= 3):
            fail(source, (*location, keyword), "topLevelKeywordDisallowed", f"'{keyword[:60]}' is not a keyword here", "Remove it")
        node = self.element(inner, ("Interface",), outer, source, location, None)
        if node is not None:
            self.nodes.append(node)

    def element(
        self, data: dict[str, Any], classes: tuple[str, ...], outer: Context, source: Source, location: Location, partition: Node | None
    ) -> Node | None:
        """The node of an object that has to be of one of these classes, or None where it can't be told which."""
        context = outer
        if "@context" in data:
            context = contexts.active(data["@context"], outer, self.options, source, location, self.report)
            if context.version > outer.version:
                message = f"DTDL {context.version} inside DTDL {outer.version}"
                remedy = "Raise the version of the enclosing element"
                self.report.add(source, (*location, "@context"), "disallowedVersionDefinition", message, remedy)
        table = metamodel.classes(context.version, context.limited)
        top = partition is None
        types = self._types(data, classes, context, source, location, top)
        if types.material is None or types.material not in table:
            if types.material is not None:
                message = f"there is no {types.material} in DTDL {context.version}"
                self.report.add(source, location, "badType", message, f"Use one of: {', '.join(c for c in classes if c in table)}")
            return None
        cls = table[types.material]
        node = Node(cls, context.version, context.limited, source, location, None, types.semantic)
        node.partition = node if partition is None or cls.name == "Interface" else partition
        node.id = self._id(data, node, top)
        for name, member in self._members(data, node, types, context):
            self._member(data[name], (*location, name), node, member, context)
        self._required(node)
        if types.semantic is not None:
            self._unit(data, node)
        return node

    def _types(
        self, data: dict[str, Any], classes: tuple[str, ...], context: Context, source: Source, location: Location, top: bool
    ) -> _Types:
        types, place = _Types(), (*location, "@type")
        table = metamodel.classes(context.version, context.limited)
        if "@type" not in data:
            types.written = False
            optional = [name for name in classes if name in table and not table[name].type_required]
            if len(optional) == 1:
                types.material = optional[0]
            else:
                self.report.add(source, location, "badType", "'@type' is missing", f"Add one of: {', '.join(classes)}")
            return types
        written = data["@type"]
        items = written if isinstance(written, list) else [written]
        if not items or not all(isinstance(item, str) for item in items):
            found = next((item for item in items if not isinstance(item, str)), None)
            self.report.add(source, place, "badType", f"a type is text, not {kind(found)}", f"Write one of: {', '.join(classes)}")
            return types
        for item in dict.fromkeys(items):
            self._type(item, types, context, source, place)
        if types.material is None:
            self.report.add(
                source,
                place,
                "layerMissingMaterialType",
                f"none of {', '.join(items)[:80]} is allowed here",
                f"Add one of: {', '.join(classes)}",
            )
        elif types.material not in classes:
            remedy = f"It must be one of: {', '.join(classes)}"
            code = "typeNotRootable" if top else "badType"
            self.report.add(source, place, code, f"{types.material} is not allowed here", remedy)
            types.material = None
        return types

    def _type(self, item: str, types: _Types, context: Context, source: Source, place: Location) -> None:
        term = _term(item, "dtmi:dtdl:class:", context.version)
        quantitative = context.version == 2 or QUANTITATIVE_TYPES in context.extensions
        semantic = _semantic_term(item, context.version)
        if term in metamodel.class_names():
            if types.material not in (None, term):
                self.report.add(source, place, "multipleMaterialTypes", f"both {types.material} and {term}", "Keep one of them")
            types.material = term
        elif quantitative and semantic in semantic_types(context.version):
            if types.semantic not in (None, semantic):
                self.report.add(
                    source, place, "conflictingSupplementalTypes", f"both {types.semantic} and {semantic}", "Keep one semantic type"
                )
            types.semantic = semantic
        elif item in contexts.cotypes(context):
            types.cotypes.append(item)
        else:
            types.informal = True
            self._undefined_type(item, context, source, place)

    def _undefined_type(self, item: str, context: Context, source: Source, place: Location) -> None:
        if item.startswith("dtmi:"):
            if not dtmi.is_system_dtmi(item) or not dtmi.is_dtmi(item):
                self.report.add(source, place, "typeInvalidDtmi", f"'{item[:80]}' is not a DTMI", "Correct or remove it")
            elif not context.incomplete:
                self.report.add(source, place, "typeIrrelevantDtmiOrTerm", f"'{item[:80]}' is not defined", "Remove it, or add its context")
        elif context.version == 2 and not context.incomplete and (item in metamodel.reserved_terms(2) or item in _UNIT_TERMS):
            self.report.add(source, place, "typeIrrelevantDtmiOrTerm", f"'{item}' is a word of the language, not a type", "Remove it")
        elif context.version >= 3 and ":" in item:
            self.report.add(source, place, "typeNotDtmiNorTerm", f"'{item[:80]}' is neither a term nor a DTMI", "Remove it")
        elif context.version >= 3 and not context.incomplete:
            near = get_close_matches(item, [*metamodel.class_names(), *semantic_types(context.version)], 1)
            hint = "Add the context dtmi:dtdl:extension:quantitativeTypes;1 (v2 for DTDL 4)" if item in semantic_types(4) else "Remove it"
            self.report.add(
                source,
                place,
                "typeUndefinedTerm",
                f"'{item[:80]}' is not a type",
                f"Did you mean {near[0]}?" if near and near[0] != item else hint,
            )

    def _id(self, data: dict[str, Any], node: Node, top: bool) -> str | None:
        place = (*node.location, "@id")
        if "@id" not in data:
            if node.cls.id_required:
                code = "missingTopLevelId" if top else "missingRequiredId"
                self.report.add(node.source, node.location, code, f"the {node.cls.name} has no '@id'", "Add a DTMI")
            return None
        value = data["@id"]
        limits = metamodel.LIMITS[node.version] if node.limited else metamodel.NO_LIMITS
        if not isinstance(value, str):
            self.report.add(node.source, place, "idNotString", f"'@id' is {kind(value)}", "Write a DTMI")
        elif not dtmi.is_dtmi(value, node.version):
            self.report.add(node.source, place, "invalidId", f"'{value[:120]}' is not a DTMI", "Write it as dtmi:example:Thing;1")
        elif dtmi.is_reserved(value):
            self.report.add(node.source, place, "reservedId", f"'{value[:120]}' is reserved for the language", "Use a path of your own")
        elif node.cls.name == "Interface" and limits.interface_id is not None and len(value) > limits.interface_id:
            self.report.add(node.source, place, "idTooLongForType", f"'@id' has {len(value)} characters", f"At most {limits.interface_id}")
        else:
            return value
        return None

    def _members(self, data: dict[str, Any], node: Node, types: _Types, context: Context) -> list[tuple[str, Member]]:
        """The members as written that the class has; the others are judged here."""
        found: dict[str, str] = {}
        brought = {name for cotype in types.cotypes for name in contexts.cotypes(context)[cotype]}
        for name in data:
            term = _term(name, "dtmi:dtdl:property:", node.version)
            if term in node.cls.members or (term == "unit" and types.semantic is not None):
                if term in found:
                    message = f"both '{found[term]}' and '{name}'"
                    self.report.add(node.source, (*node.location, name), "duplicatePropertyName", message, "Keep one of them")
                found[term] = name
            elif name not in ("@context", "@id", "@type") and name not in brought:
                self._unknown_member(name, node, types, context)
        return [(name, node.cls.members[term]) for term, name in found.items() if term in node.cls.members]

    def _unknown_member(self, name: str, node: Node, types: _Types, context: Context) -> None:
        place = (*node.location, name)
        if name.startswith("@"):
            if node.version >= 3 or name == "@graph":
                code = "graphDisallowed" if name == "@graph" else "keywordDisallowed"
                self.report.add(node.source, place, code, f"'{name[:60]}' is not a keyword here", "Remove it")
            return
        if types.informal and (node.version == 2 or context.incomplete) and ":" not in name:
            return
        if types.informal and (node.version == 2 or (context.incomplete and dtmi.is_dtmi(name))):
            return
        near = get_close_matches(name, [*node.cls.members, "unit"], 1)
        remedy = f"Did you mean '{near[0]}'?" if near and near[0] != name else "Remove it"
        if name == "unit":
            remedy = "Add a semantic type such as Temperature beside the class in @type"
        code = _unknown_code(name, node.version, types)
        self.report.add(node.source, place, code, f"'{name[:60]}' is not a member of {node.cls.name}", remedy)

    def _member(self, value: Any, location: Location, node: Node, member: Member, context: Context) -> None:
        place = Place(node.source, location, node.version, self.report)
        if member.kind in ("string", "integer", "boolean"):
            node.values[member.name] = literals.scalar(value, member, place)
        elif member.kind == "text":
            node.values[member.name] = literals.localizable(value, member, place)
        elif member.kind == "choice":
            node.values[member.name] = literals.choice(value, member, place)
        elif member.kind == "dtmi":
            node.values[member.name] = literals.identifier(value, member, place)
        elif member.kind == "literal":
            node.values[member.name] = value
        else:
            self._elements(value, location, node, member, context)

    def _elements(self, value: Any, location: Location, node: Node, member: Member, context: Context) -> None:
        found = node.elements.setdefault(member.name, [])
        items = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for index, item in items:
            place = location if index is None else (*location, index)
            element = self._one_element(item, place, node, member, context)
            if element is not None:
                found.append(element)
        if not member.many and len(items) > 1:
            self.report.add(node.source, location, "objectMultipleValues", f"'{member.name}' has {len(items)} values", "Keep one of them")
        if len(items) < max(member.min_count, 1 if member.required and not member.many else 0):
            self.report.add(node.source, location, "objectCountBelowMin", f"'{member.name}' has no element", "Give it at least one")

    def _one_element(
        self, item: Any, place: Location, node: Node, member: Member, context: Context
    ) -> Node | Reference | StandardSchema | None:
        if isinstance(item, dict):
            child = self.element(item, member.classes, context, node.source, place, node.partition)
            if child is not None and node.cls.name == "Interface" and member.name == "schemas" and child.id is None and "@id" not in item:
                self.report.add(node.source, place, "missingRequiredId", "a schema to be shared has no '@id'", "Add a DTMI")
            return child
        if not isinstance(item, str):
            remedy = f"Write {' or '.join(member.classes)} or a DTMI"
            self.report.add(node.source, place, "refNotStringOrObject", f"'{member.name}' is {kind(item)}", remedy)
            return None
        standard = self._standard(item, node.version, context) if member.kind == "schema" else None
        if standard is not None:
            return standard
        if not dtmi.is_dtmi(item, node.version) or dtmi.is_reserved(item):
            names = [name for name in metamodel.standard_schemas(node.version) if ":" not in name] if member.kind == "schema" else []
            near = get_close_matches(item, names, 1)
            remedy = f"Did you mean '{near[0]}'?" if near else "Write a DTMI" + (f" or one of: {', '.join(names)}" if names else "")
            code = "undefinedReservedId" if dtmi.is_reserved(item) else "badDtmiOrTerm"
            self.report.add(node.source, place, code, f"'{item[:120]}' is not {'a schema' if names else 'a DTMI'}", remedy)
            return None
        return Reference(item, place)

    def _standard(self, item: str, version: int, context: Context) -> StandardSchema | None:
        return metamodel.standard_schemas(version).get(item) or contexts.extension_schemas(context).get(item)

    def _required(self, node: Node) -> None:
        for member in node.cls.members.values():
            if member.required and member.name not in node.values and member.name not in node.elements:
                code = "missingObjectProperty" if member.kind in ("element", "schema") else "missingLiteralProperty"
                self.report.add(node.source, node.location, code, f"the {node.cls.name} has no '{member.name}'", f"Add '{member.name}'")

    def _unit(self, data: Mapping[str, Any], node: Node) -> None:
        """A semantic type asks for a numeric schema and a unit of its unit type, and goes with some classes only."""
        semantic = node.semantic_type or ""
        fail = self.report.add
        if not node.cls.semantic:
            fail(
                node.source,
                (*node.location, "@type"),
                "invalidCotype",
                f"a {node.cls.name} can't be a {semantic}",
                "Remove the semantic type",
            )
            return
        numeric = metamodel.NUMERIC_V4 if node.version == 4 else metamodel.NUMERIC_V2
        schemas = node.elements.get("schema", [])
        if schemas and not all(isinstance(schema, StandardSchema) and schema.name in numeric for schema in schemas):
            remedy = f"Use one of: {', '.join(numeric)}"
            fail(node.source, (*node.location, "schema"), "notRequiredType", f"the schema of a {semantic} is a number", remedy)
        key = next((name for name in data if _term(name, "dtmi:dtdl:property:", node.version) == "unit"), None)
        key = key or next((name for name in data if name.startswith(_QUANTITATIVE_DTMI) and name.endswith(":property:unit")), None)
        wanted = unit_type(semantic, node.version) or ""
        allowed = units_of(wanted, node.version)
        if key is None:
            message = f"a {semantic} has no 'unit'"
            fail(node.source, node.location, "missingSupplementalObjectProperty", message, f"Add one of: {', '.join(sorted(allowed))}")
            return
        written = data[key]
        inner = written[0] if isinstance(written, list) and len(written) == 1 else written
        unit = _unit_term(inner) if isinstance(inner, str) else None
        if unit is None or unit not in allowed:
            near = get_close_matches(unit or "", allowed, 1)
            remedy = f"Did you mean '{near[0]}'?" if near else f"Use one of: {', '.join(sorted(allowed))}"
            code = "notRequiredType" if unit in _UNIT_TERMS else "badDtmiOrTerm"
            fail(node.source, (*node.location, key), code, f"{inner!r:.60} is not a {wanted}", remedy)
            return
        node.unit = unit


def _unknown_code(name: str, version: int, types: _Types) -> str:
    """Which rule a member breaks that its class does not have (specification, "All members other than those listed")."""
    if version >= 3 and ":" in name and not dtmi.is_dtmi(name):
        return "propertyInvalidDtmi" if name.startswith("dtmi:") else "propertyNotDtmiNorTerm"
    if not types.informal:
        return "noTypeThatAllows" if types.written else "inferredTypeDoesNotAllow"
    return "propertyIrrelevantDtmiOrTerm" if ":" in name or name in metamodel.reserved_terms(version) else "propertyUndefinedTerm"


def _term(name: str, prefix: str, version: int) -> str:
    """`Property` for `dtmi:dtdl:class:Property;3` in version 3; other names as they are."""
    suffix = f";{version}"
    return name[len(prefix) : -len(suffix)] if name.startswith(prefix) and name.endswith(suffix) else name


def _semantic_term(item: str, version: int) -> str:
    if item.startswith(_QUANTITATIVE_DTMI) and ":class:" in item:
        return item.rpartition(":")[2]
    return _term(item, "dtmi:standard:class:", version)


def _unit_term(item: str) -> str:
    if item.startswith(("dtmi:standard:unit:", _QUANTITATIVE_DTMI)):
        return item.rpartition(":")[2].partition(";")[0]
    return item
