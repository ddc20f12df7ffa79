"""One element at a time: from JSON to a tree of nodes, each checked against its row of the metamodel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from twinwright.documents import Location
from twinwright.schema import choices, dtmi, identity, layers, literals
from twinwright.schema import context as contexts
from twinwright.schema.brought import read_brought, unit_names
from twinwright.schema.classify import Classifier, Types
from twinwright.schema.context import Context, Options
from twinwright.schema.literals import Place
from twinwright.schema.metamodel import Member, StandardSchema
from twinwright.schema.node import Node, Reference, generated, term_of, written_name
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
        self._names: set[str | None] = set()
        self._unjudged = False  # the element that was read last can't be judged, so that nothing follows from its absence

    def top_level(self, data: dict[str, Any], source: Source, location: Location) -> None:
        """Read one top-level object, which has to be an Interface with a context."""
        if "@context" not in data:
            remedy = 'Add "@context": "dtmi:dtdl:context;3"'
            if not data.keys() & {"@id", "@type", "contents"}:
                remedy += ", or leave it out: it does not look like DTDL"
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
                    source,
                    (*location, "@context"),
                    "disallowedVersionDefinition",
                    message,
                    remedy,
                    primary=parent.name,
                    member=member.name,
                    value=str(context.version),
                )
        assert context is not None
        placed = self._in_layer(data, member, context, source, location, parent)
        if placed is None:
            return None
        data, name, layer = placed
        types = self._types.classify(data, member, context, source, location, parent, name)
        if types.material is None:
            identity.read_id(data, None, member, context, source, location, parent, self.report)
            identity.check_unread_name(data, member, context, source, location, parent, self.report)
            return None
        node = Node(context.table[types.material], context, source, location, None, name, parent)
        node.partition = node if parent is None or node.cls.name == "Interface" else parent.partition
        node.cotypes, node.undefined_types, node.wrong, node.unknown = types.cotypes, types.undefined, types.wrong, types.unknown
        node.refused, node.layer = types.refused, layer
        node.id = identity.read_id(data, node.cls, member, context, source, location, parent, self.report)
        node.wrong = node.wrong or (node.id is None and "@id" in data)
        self._names.add(name)
        if node.cls.name == "Interface" and node.limits.interface_bytes is not None:
            self._check_size(data, node, node.limits.interface_bytes)
        self._read_members(data, node, types)
        return node

    def _in_layer(
        self, data: dict[str, Any], member: Member, context: Context, source: Source, location: Location, parent: Node | None
    ) -> tuple[dict[str, Any], str | None, str] | None:
        """An element without what says that it is in a layer, what it is called, and the layer; None (told) where it can't be judged."""
        name = data["@id"] if isinstance(data.get("@id"), str) else generated(parent.name if parent else None, member, data)
        fragment = layers.split(data)
        if not context.layering:
            return data if fragment is None else layers.without_layer(data), name, ""
        layer = parent.layer if parent is not None else ""
        if fragment is not None:
            name, layer = fragment
            if not self._is_part(data, name, layer, source, location, parent):
                return None
        elif isinstance(data.get("@id"), str):
            layer = ""
        if parent is not None and (layer != parent.layer or "#" in (parent.name or "")):
            message = f"an element of the layer '{layer}' stands in one of the layer '{parent.layer}'"
            self.report.add(
                source,
                location,
                "mismatchedLayers",
                message,
                "Put both into one layer",
                primary=parent.name,
                secondary=data["@id"] if isinstance(data.get("@id"), str) else None,
                member=member.name,
            )
            self._unjudged = True
            return None
        if layer and layers.is_bare(data) and name in self._names:
            message, remedy = f"the layer of {name} does not say of which class it is", "Add the class of the other parts"
            self.report.add(source, location, "layerMissingMaterialType", message, remedy, primary=name)
            return None
        return layers.without_layer(data) | ({} if fragment is None else {"@id": name}), name, layer

    def _is_part(self, data: dict[str, Any], path: str, layer: str, source: Source, location: Location, parent: Node | None) -> bool:
        """Whether an element in a layer, which no version of the language has, can be judged as a part of the element all the same."""
        if parent is None or not parent.layer:
            message = f"'{data['@id'][:120]}' has a fragment, which an identifier has not"
            self.report.add(source, (*location, "@id"), "invalidId", message, f"Write {path[:120]}", value=data["@id"])
        if not layer or layers.is_declared(data):
            return True
        message, remedy = f"{path[:120]} is in a layer and not of the type Layer", "Add the type Layer, or remove the fragment"
        self.report.add(source, (*location, "@id"), "disallowedIdFragment", message, remedy, primary=path)
        self._unjudged = True
        return False

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
        self,
        node: Node,
        inside: Location,
        code: str,
        message: str,
        remedy: str,
        member: str | None = None,
        value: object = None,
        secondary: str | None = None,
    ) -> None:
        node.wrong = True
        self.report.add(
            node.source,
            (*node.location, *inside),
            code,
            message,
            remedy,
            primary=node.name,
            secondary=secondary,
            member=member or None,
            value=value,
        )

    def _read_members(self, data: dict[str, Any], node: Node, types: Types) -> None:
        brought = {key: member for item in node.claimed for member in item.members for key in (member.name, member.id)}
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
        if "name" in found and node.id is None and written_name(data) is None and self._is_named(node):
            assert node.parent is not None
            message, remedy = "the name is neither text nor a number", "Write text: it becomes part of an identifier"
            self.report.add(
                node.source,
                (*node.location, found["name"]),
                "dtmiSegPropertyNotStringOrNumber",
                message,
                remedy,
                primary=node.parent.name,
                member=_step(node),
                value="name",
            )
        self._required(node, found)

    @staticmethod
    def _is_named(node: Node) -> bool:
        """Whether the identifier of an element without one would be made of its name."""
        return node.member is not None and node.member.named

    def _required(self, node: Node, found: Mapping[str, str]) -> None:
        for member in node.cls.members.values():
            if member.required and member.name not in found and (not node.layer or member.name == "name"):
                self._missing(node, member)  # what a layer lacks another part of the element may have
        for item in node.cotypes.values():
            for extra in item.members:
                if extra.required and extra.id not in found:
                    code = "missingSupplementalObjectProperty" if extra.kind == "unit" else "missingSupplementalLiteralProperty"
                    remedy = f"Add '{extra.name}'"
                    if extra.kind == "unit":
                        names = unit_names(node.context, extra)
                        remedy = f"Add one of: {', '.join(names)}"
                    code, member_name = ("missingObjectProperty", extra.id) if node.layer and extra.kind == "unit" else (code, extra.name)
                    self._fail(node, (), code, f"a {item.name} has no '{extra.name}'", remedy, member=member_name)

    def _missing(self, node: Node, member: Member) -> None:
        message, remedy = f"the {node.cls.name} has no '{member.name}'", f"Add '{member.name}'"
        if member.kind in ("element", "schema", "choice"):
            self._fail(node, (), "missingObjectProperty", message, remedy, member.name)
            return
        if node.parent is not None and member.name == "name" and node.id is None and self._is_named(node):
            node.wrong = True
            self.report.add(
                node.source,
                node.location,
                "missingDtmiSegPropertyValue",
                message,
                remedy,
                primary=node.parent.name,
                member=_step(node),
                value=member.name,
            )
        else:
            self._fail(node, (), "missingLiteralProperty", message, remedy, member.name)

    def _unknown_member(self, name: str, value: Any, node: Node, types: Types) -> None:
        context, informal = node.context, bool(node.undefined_types)
        if name.startswith("@"):
            if (node.version >= 3 and node.parent is not None) or name == "@graph":
                code = "graphDisallowed" if name == "@graph" else "keywordDisallowed"
                node.wrong = True
                parent, member = (None, None) if node.parent is None else (node.parent.name, _step(node))
                self.report.add(
                    node.source,
                    (*node.location, name),
                    code,
                    f"'{name[:60]}' is not a keyword here",
                    "Remove it",
                    primary=parent,
                    member=member,
                    value=name,
                )
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
        if refused is None and not (node.layer and context.incomplete):  # another part may have the type that brings it
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
            node.values[member.name] = choices.read_choice(value, node.context, member, place)
        else:
            self._elements(value, location, node, member)
            return
        node.wrong = node.wrong or len(self.report.problems) > before

    def _elements(self, value: Any, location: Location, node: Node, member: Member) -> None:
        found = node.elements.setdefault(member.name, [])
        items = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        before = len(self.report.problems)
        self._unjudged = unjudged = False
        for index, item in items:
            element = self._one_element(item, location if index is None else (*location, index), node, member)
            unjudged, self._unjudged = unjudged or self._unjudged, False
            if element is not None:
                found.append(element)
        if not member.many and len(items) > 1:
            message = f"'{member.name}' has {len(items)} values"
            self._fail(node, location[len(node.location) :], "objectMultipleValues", message, "Keep one of them", member.name)
        least = max(member.min_count, 1 if member.required and not member.many else 0)
        fit = sum(not (isinstance(item, Node) and item.unknown) for item in found)
        if fit < least and not unjudged:
            message = f"'{member.name}' has {fit or 'no'} element that fits"
            remedy = "Correct what it has" if items else "Give it at least one"
            self._fail(node, location[len(node.location) :], "objectCountBelowMin", message, remedy, member.name)
        if len(found) < least and len(self.report.problems) > before:
            node.wrong = True

    def _one_element(self, item: Any, place: Location, node: Node, member: Member) -> Node | Reference | StandardSchema | None:
        inside = place[len(node.location) :]
        if isinstance(item, dict):
            if item.keys() == {"@id"} and isinstance(item["@id"], str):
                remedy = f'Write "{item["@id"][:80]}" in place of the object, or give it a @type'
                self._fail(node, inside, "idReference", "an object with nothing but '@id'", remedy, member.name, item["@id"])
                return None
            return self._element(item, member, node.context, node.source, place, node)
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
        known = contexts.standard_element(item, node.context)
        if known is not None or (":" not in item and item in contexts.terms(node.context)):
            self._unjudged = True  # there is a value, if not the right one
            of, id = known or (None, None)
            message = f"'{item[:60]}' is no value of '{member.name}'"
            self._fail(node, inside, "badType", message, remedy, member.name, of, id)
            return None
        reserved = contexts.is_reserved(item)
        self._unjudged = reserved
        if reserved or not node.context.incomplete or ":" in item:
            code = "undefinedReservedId" if reserved else "badDtmiOrTerm"
            message = f"'{item[:120]}' is not {'a schema' if names else 'a DTMI'}"
            self.report.add(
                node.source,
                place,
                code,
                message,
                remedy,
                primary=node.name,
                secondary=item if reserved else None,
                member=member.name,
                value=None if reserved else item,
            )
        else:
            self._fail(node, inside, "badDtmiOrTerm", f"'{item[:120]}' is not known here", remedy, member.name, item)
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
