"""One element at a time: from JSON to a tree of nodes, each checked against its row of the metamodel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from twinwright.documents import Location
from twinwright.schema import context as contexts
from twinwright.schema import dtmi, literals, metamodel
from twinwright.schema.brought import read_brought, unit_names
from twinwright.schema.classify import Classifier, Types
from twinwright.schema.context import Context, Options
from twinwright.schema.literals import Place
from twinwright.schema.metamodel import Member, StandardSchema
from twinwright.schema.node import Node, Reference, generated, term_of
from twinwright.schema.report import Report, Source
from twinwright.schema.sources import kind

_ROOT = Member("", "element", classes=("Interface",))
_KEYWORDS = ("@context", "@id", "@type")
_LITERALS = ("string", "integer", "boolean")


class Parser:
    """Reads the top-level objects of documents into `nodes`."""

    def __init__(self, options: Options, report: Report) -> None:
        self.options, self.report = options, report
        self.nodes: list[Node] = []
        self._types = Classifier(report)
        self._unjudged = False  # the element that was read last can't be judged, so that nothing follows from its absence

    def top_level(self, data: dict[str, Any], source: Source, location: Location) -> None:
        """Read one top-level object, which has to be an Interface with a context."""
        if "@context" not in data:
            remedy = 'Add "@context": "dtmi:dtdl:context;3"'
            self.report.add(source, location, "missingContext", "'@context' is missing", remedy)
            return
        if "@graph" in data:
            place = (*location, "@graph")
            self.report.add(source, place, "topLevelGraphDisallowed", "'@graph' is not read here", "Write an array of Interfaces")
            return
        outer = contexts.active(data["@context"], Context(), self.options, source, location, self.report)
        if outer is None:
            return
        for keyword in (key for key in data if key.startswith("@") and key not in _KEYWORDS and outer.version >= 3):
            message = f"'{keyword[:60]}' is not a keyword here"
            self.report.add(source, (*location, keyword), "topLevelKeywordDisallowed", message, "Remove it", value=keyword)
        node = self._element(data, _ROOT, outer, source, location, None)
        if node is not None:
            self.nodes.append(node)

    def _element(
        self, data: dict[str, Any], member: Member, outer: Context, source: Source, location: Location, parent: Node | None
    ) -> Node | None:
        """The node of an object that is a value of this member, or None where it can't be told of which class it is."""
        context: Context | None = outer
        if "@context" in data and parent is not None:
            context = contexts.active(data["@context"], outer, self.options, source, location, self.report)
            if context is None:
                self._unjudged = True
                return None
            if context.version > outer.version:
                message = f"DTDL {context.version} inside DTDL {outer.version}"
                remedy = "Raise the version of the enclosing element"
                self.report.add(
                    source, (*location, "@context"), "disallowedVersionDefinition", message, remedy, primary=parent.name,
                    member=member.name, value=str(context.version),
                )  # fmt: skip
        assert context is not None
        if self._is_layer(data, source, location):
            self._unjudged = True
            return None
        name = data["@id"] if isinstance(data.get("@id"), str) else generated(parent.name if parent else None, member, data)
        types = self._types.classify(data, member, context, source, location, parent, name)
        if types.material is None:
            return None
        node = Node(context.table[types.material], context, source, location, None, name, parent)
        node.partition = node if parent is None or node.cls.name == "Interface" else parent.partition
        node.cotypes, node.undefined_types, node.wrong = types.cotypes, types.undefined, types.wrong
        node.id = self._id(data, node, member)
        if node.cls.name == "Interface" and node.limits.interface_bytes is not None:
            self._check_size(data, node, node.limits.interface_bytes)
        self._read_members(data, node, types)
        return node

    def _is_layer(self, data: dict[str, Any], source: Source, location: Location) -> bool:
        """Whether this is part of an element in a layer, which no version of the language has: what is inside can't be judged."""
        value = data.get("@id")
        path, mark, _ = value.partition("#") if isinstance(value, str) else ("", "", "")
        if not mark or not dtmi.is_dtmi(path, 3):
            return False
        message = f"'{str(value)[:120]}' has a fragment, which an identifier has not"
        self.report.add(source, (*location, "@id"), "invalidId", message, f"Write {path[:120]}", value=value)
        return True

    def _check_size(self, data: dict[str, Any], node: Node, most: int) -> None:
        """The text of an Interface, without what stands inside it in Interfaces of their own."""
        text = node.source.text
        if text is not None and len(text) * 4 <= most:  # quicker to see than to measure
            return
        size = len(json.dumps(data, separators=(",", ":"), ensure_ascii=False, default=str).encode("utf-8", "surrogatepass"))
        inner = _interfaces_inside(data) if size > most else []
        size -= sum(len(json.dumps(item, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")) for item in inner)
        if size > most:
            message = f"the text of the Interface has {size} bytes"
            self._fail(node, (), "partitionTooLarge", message, f"At most {most}: split it into several that it extends")

    def _fail(
        self, node: Node, inside: Location, code: str, message: str, remedy: str, member: str | None = None, value: object = None
    ) -> None:
        node.wrong = True
        self.report.add(
            node.source, (*node.location, *inside), code, message, remedy, primary=node.name, member=member or None, value=value
        )

    def _id(self, data: dict[str, Any], node: Node, member: Member) -> str | None:
        if "@id" not in data:
            if node.cls.id_required or (node.parent is not None and node.parent.cls.name == "Interface" and member.name == "schemas"):
                code = "missingRequiredId" if node.parent is not None else "missingTopLevelId"
                self.report.add(
                    node.source, node.location, code, f"the {node.cls.name} has no '@id'", "Add a DTMI",
                    primary=node.parent.name if node.parent is not None else None, member=member.name or None,
                )  # fmt: skip
            return None
        value, limits = data["@id"], node.limits

        def fail(code: str, message: str, remedy: str, primary: str | None = None, shown: object = None) -> None:
            node.wrong = True
            self.report.add(node.source, (*node.location, "@id"), code, message, remedy, primary=primary, value=shown)

        if not isinstance(value, str) or not value:
            fail("idNotString", f"'@id' is {kind(value) if value != '' else 'empty'}", "Write a DTMI")
        elif limits.id is not None and len(value) > limits.id:
            fail("idTooLong", f"'@id' has {len(value)} characters", f"At most {limits.id}", shown=value)
        elif not dtmi.is_dtmi(value, node.version):
            fail("invalidId", f"'{value[:120]}' is not a DTMI", "Write it as dtmi:example:Thing;1", shown=value)
        elif contexts.is_reserved(value, node.context):
            fail("reservedId", f"'{value[:120]}' is reserved for the language", "Use a path of your own", shown=value)
        elif node.cls.name == "Interface" and limits.interface_id is not None and len(value) > limits.interface_id:
            fail("idTooLongForType", f"'@id' has {len(value)} characters", f"At most {limits.interface_id}", value, value)
        else:
            return value
        return None

    def _read_members(self, data: dict[str, Any], node: Node, types: Types) -> None:
        brought = {key: member for item in node.cotypes.values() for member in item.members for key in (member.name, member.id)}
        found: dict[str, str] = {}
        for written in data:
            if written in _KEYWORDS:
                continue
            term = term_of(written, "dtmi:dtdl:property:", node.version)
            member = node.cls.members.get(term)
            extra = None if member is not None else brought.get(written)
            key = term if member is not None else extra.id if extra is not None else ""
            if not key:
                self._unknown_member(written, data[written], node, types)
            elif key in found:
                message = f"both '{found[key]}' and '{written}'"
                self._fail(
                    node, (written,), "duplicatePropertyName", message, "Keep one of them", member=term if extra is None else extra.name
                )
            else:
                found[key] = written
                if member is not None:
                    self._member(data[written], (*node.location, written), node, member)
                elif extra is not None:
                    read_brought(data[written], (*node.location, written), node, extra, self.report)
        self._required(node, found)

    def _required(self, node: Node, found: Mapping[str, str]) -> None:
        for member in node.cls.members.values():
            if member.required and member.name not in found:
                self._missing(node, member)
        for item in node.cotypes.values():
            for extra in item.members:
                if extra.required and extra.id not in found:
                    code = "missingSupplementalObjectProperty" if extra.kind == "unit" else "missingSupplementalLiteralProperty"
                    remedy = f"Add '{extra.name}'"
                    if extra.kind == "unit":
                        names = unit_names(node.context, extra)
                        remedy = f"Add one of: {', '.join(names)}"
                    self._fail(node, (), code, f"a {item.name} has no '{extra.name}'", remedy, member=extra.id)

    def _missing(self, node: Node, member: Member) -> None:
        message, remedy = f"the {node.cls.name} has no '{member.name}'", f"Add '{member.name}'"
        if member.kind in ("element", "schema", "choice"):
            self._fail(node, (), "missingObjectProperty", message, remedy, member.name)
            return
        parent = node.parent
        inside = parent.cls.members.get(_step(node)) if parent is not None and member.name == "name" else None
        if parent is not None and inside is not None and inside.named and node.id is None:
            node.wrong = True
            self.report.add(
                node.source, node.location, "missingDtmiSegPropertyValue", message, remedy, primary=parent.name, member=inside.name,
                value=member.name,
            )  # fmt: skip
        else:
            self._fail(node, (), "missingLiteralProperty", message, remedy, member.name)

    def _unknown_member(self, name: str, value: Any, node: Node, types: Types) -> None:
        context, informal = node.context, bool(node.undefined_types)
        if name.startswith("@"):
            if (node.version >= 3 and node.parent is not None) or name == "@graph":
                code = "graphDisallowed" if name == "@graph" else "keywordDisallowed"
                self._fail(node, (name,), code, f"'{name[:60]}' is not a keyword here", "Remove it", value=name)
            return
        colon, proper = ":" in name, dtmi.is_system_dtmi(name)
        if colon and not proper:
            code = "propertyInvalidDtmi" if name.startswith("dtmi:") else "propertyNotDtmiNorTerm"
            tolerated = node.version == 2
        else:
            known = colon or name in contexts.terms(context)
            code = "propertyIrrelevantDtmiOrTerm" if known else "propertyUndefinedTerm"
            tolerated = node.version == 2 or context.incomplete
        if informal and tolerated:
            node.undefined[name] = value
            return
        near = get_close_matches(name, [*node.cls.members, "unit"], 1)
        remedy = f"Did you mean '{near[0]}'?" if near and near[0] != name else "Remove it"
        if name == "unit":
            remedy = "Add a semantic type such as Temperature beside the class in @type"
        message = f"'{name[:60]}' is not a member of {node.cls.name}"
        refused = next((item for item in types.refused if name in {key for m in item.members for key in (m.name, m.id)}), None)
        if refused is not None and not refused.semantic:
            return  # that the co-type can't be here is told, and covers what it brings
        if not informal and (not node.cotypes or refused is not None):
            allows = "noTypeThatAllows" if types.written else "inferredTypeDoesNotAllow"
            self._fail(node, (name,), allows, message, remedy, name)
        if types.written and refused is None and (informal or not tolerated or not context.incomplete):
            what = "means something else here" if code == "propertyIrrelevantDtmiOrTerm" else "means nothing here"
            self._fail(node, (name,), code, f"'{name[:60]}' {what}", remedy, name)

    def _place(self, node: Node, location: Location, member: str) -> Place:
        return Place(node.source, location, node.version, self.report, node.name, member)

    def _member(self, value: Any, location: Location, node: Node, member: Member) -> None:
        place, before = self._place(node, location, member.name), len(self.report.problems)
        if member.kind in _LITERALS:
            node.values[member.name] = literals.scalar(value, member, place)
        elif member.kind == "text":
            node.values[member.name] = literals.localizable(value, member, place)
        elif member.kind == "dtmi":
            node.values[member.name] = literals.identifier(value, member, place)
        elif member.kind == "literal":
            node.values[member.name] = literals.untyped(value, place, member.required)
        elif member.kind == "choice":
            node.values[member.name] = self._choice(value, node, member, place)
        else:
            self._elements(value, location, node, member)
            return
        node.wrong = node.wrong or len(self.report.problems) > before

    def _elements(self, value: Any, location: Location, node: Node, member: Member) -> None:
        found = node.elements.setdefault(member.name, [])
        items = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        before = len(self.report.problems)
        failed: set[str] = set()
        for index, item in items:
            place = location if index is None else (*location, index)
            element = self._one_element(item, place, node, member, failed)
            if element is not None:
                found.append(element)
        if not member.many and len(items) > 1:
            message = f"'{member.name}' has {len(items)} values"
            self._fail(node, location[len(node.location) :], "objectMultipleValues", message, "Keep one of them", member.name)
        least = max(member.min_count, 1 if member.required and not member.many else 0)
        if len(items) < least or (len(found) < least and "type" in failed):
            message = f"'{member.name}' has {'no' if not found else len(found)} element that fits"
            self._fail(node, location[len(node.location) :], "objectCountBelowMin", message, "Give it at least one", member.name)
        if len(found) < least and len(self.report.problems) > before:
            node.wrong = True

    def _one_element(
        self, item: Any, place: Location, node: Node, member: Member, failed: set[str]
    ) -> Node | Reference | StandardSchema | None:
        inside = place[len(node.location) :]
        if isinstance(item, dict):
            if item.keys() == {"@id"} and isinstance(item["@id"], str):
                remedy = f'Write "{item["@id"][:80]}" in place of the object, or give it a @type'
                self._fail(node, inside, "idReference", "an object with nothing but '@id'", remedy, member.name, item["@id"])
                return None
            self._unjudged = False
            child = self._element(item, member, node.context, node.source, place, node)
            if child is None and not self._unjudged:
                failed.add("type")
            return child
        if not isinstance(item, str):
            remedy = f"Write {' or '.join(member.classes)} or a DTMI"
            self._fail(node, inside, "refNotStringOrObject", f"'{member.name}' is {kind(item)}", remedy, member.name)
            return None
        standard = contexts.schemas(node.context).get(item) if member.kind == "schema" else None
        if standard is not None:
            return standard
        if dtmi.is_dtmi(item, node.version) and not contexts.is_reserved(item):
            return Reference(item, place)
        names = [name for name in contexts.schemas(node.context) if ":" not in name] if member.kind == "schema" else []
        near = get_close_matches(item, names, 1)
        remedy = f"Did you mean '{near[0]}'?" if near else "Write a DTMI" + (f" or one of: {', '.join(names[:30])}" if names else "")
        if ":" not in item and item in contexts.terms(node.context):
            message = f"'{item[:60]}' is no value of '{member.name}'"
            self._fail(node, inside, "badType", message, remedy, member.name)
            return None
        reserved = contexts.is_reserved(item)
        if reserved or not node.context.incomplete or ":" in item:
            code = "undefinedReservedId" if reserved else "badDtmiOrTerm"
            message = f"'{item[:120]}' is not {'a schema' if names else 'a DTMI'}"
            self.report.add(
                node.source, place, code, message, remedy, primary=node.name, secondary=item if reserved else None, member=member.name,
                value=None if reserved else item,
            )  # fmt: skip
        else:
            self._fail(node, inside, "badDtmiOrTerm", f"'{item[:120]}' is not known here", remedy, member.name, item)
        return None

    def _choice(self, value: Any, node: Node, member: Member, place: Place) -> str | None:
        """One of the few strings that a member admits, as its term."""
        if isinstance(value, list) and len(value) != 1:
            if value:
                place.fail("objectMultipleValues", f"'{member.name}' has {len(value)} values", "Keep one of them")
            elif member.required:
                place.fail("objectCountBelowMin", f"'{member.name}' has no value", "Give it one")
            return None
        inner = value[0] if isinstance(value, list) else value
        terms = ", ".join(name for name in member.choices if ":" not in name)
        if isinstance(inner, str) and inner in member.choices:
            return inner.rpartition(":")[2].partition(";")[0]
        remedy = f"It must be one of: {terms}"
        if isinstance(inner, dict):
            place.fail("badType", f"'{member.name}' is one of a few words, not an object", remedy)
        elif not isinstance(inner, str):
            place.fail("refNotStringOrObject", f"'{member.name}' is {kind(inner)}", remedy)
        elif inner in contexts.schemas(node.context) or inner in metamodel.reserved_terms(node.version):
            code = "incorrectPropertyValue" if member.name == "valueSchema" else "badType"
            place.fail(code, f"'{member.name}' is {inner:.60}", remedy, value=inner)
        else:
            code = "undefinedReservedId" if dtmi.is_reserved(inner) else "badDtmiOrTerm"
            place.fail(code, f"'{member.name}' is {inner:.60}", remedy, value=inner)
        return None


def _interfaces_inside(data: Any) -> list[Any]:
    """The outermost Interfaces inside an Interface."""
    found: list[Any] = []
    pending = list(data.values())
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            written = item.get("@type")
            if written == "Interface" or (isinstance(written, list) and "Interface" in written):
                found.append(item)
            else:
                pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return found


def _step(node: Node) -> str:
    """The member of its parent that an element stands in."""
    assert node.parent is not None
    return term_of(str(node.location[len(node.parent.location)]), "dtmi:dtdl:property:", node.parent.version)
