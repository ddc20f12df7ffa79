"""Of which class an element is, and which co-types it has (specification, "DTDL element", and the documents of the extensions)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from twinwright.documents import Location
from twinwright.schema import context as contexts
from twinwright.schema import dtmi, metamodel, semantic_types
from twinwright.schema.context import Context
from twinwright.schema.extensions import QUANTITATIVE, CoType
from twinwright.schema.metamodel import Member
from twinwright.schema.node import Node, term_of
from twinwright.schema.report import Report, Source
from twinwright.schema.sources import kind

_ABSTRACT_COTYPES = {2: ("SemanticType", "SemanticUnit"), 3: ("AdjunctType", "SemanticType", "SemanticUnit")}
_CLASS = "dtmi:dtdl:class:"


@dataclass(slots=True)
class Types:
    """What `@type` says: `material` is None where the element can't be read; `refused` are co-types it must not have."""

    material: str | None = None
    cotypes: dict[str, CoType] = field(default_factory=dict)
    undefined: list[str] = field(default_factory=list)
    refused: list[CoType] = field(default_factory=list)
    written: bool = True
    wrong: bool = False
    unknown: bool = False  # one of them is no type at all, so that the element counts for none


class Classifier:
    """Reads `@type`."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def classify(
        self,
        data: Mapping[str, Any],
        member: Member,
        context: Context,
        source: Source,
        location: Location,
        parent: Node | None,
        name: str | None,
    ) -> Types:
        """The class and co-types of an object that is a value of `member` of `parent` (None: it is at the top level)."""
        return _Reader(self.report, member, context, source, location, parent, name).read(data)


class _Reader:
    """Reads the `@type` of one element."""

    def __init__(
        self, report: Report, member: Member, context: Context, source: Source, location: Location, parent: Node | None, name: str | None
    ) -> None:
        self.report, self.member, self.context, self.parent, self.name = report, member, context, parent, name
        self.source, self.location = source, location
        self.types = Types()
        self.misplaced: list[str] = []  # classes of the language that no element can be of

    def fail(self, code: str, message: str, remedy: str, value: object = None) -> None:
        self.types.wrong = True
        place = (*self.location, "@type")
        self.report.add(self.source, place, code, message, remedy, primary=self.name, value=value)

    def unknown(self, code: str, message: str, remedy: str, item: str) -> None:
        """A type that is none: the element is read on, but does not count as one of those that its parent needs."""
        self.types.unknown = True
        self.fail(code, message, remedy, item)

    def read(self, data: Mapping[str, Any]) -> Types:
        types, table, allowed = self.types, self.context.table, self.member.classes
        if "@type" not in data:
            types.written = False
            optional = [name for name in allowed if name in table and not table[name].type_required]
            if len(optional) == 1:
                types.material = optional[0]
            else:
                self._bad_type("'@type' is missing", f"Add one of: {', '.join(allowed)}", None)
            return types
        written = data["@type"]
        items = written if isinstance(written, list) else [written]
        if not items or not all(isinstance(item, str) for item in items):
            found = next((item for item in items if not isinstance(item, str)), None)
            self._bad_type(f"a type is text, not {kind(found)}", f"Write one of: {', '.join(allowed)}", None)
            return types
        candidates = [item for name in dict.fromkeys(items) if (item := self._read_one(name)) is not None]
        self._check_material(items)
        if types.material is not None:
            self._check_cotypes(candidates)
        return types

    def _read_one(self, item: str) -> CoType | None:
        """The co-type that a type names; a class or an undefined type is put into `types`."""
        version, term = self.context.version, term_of(item, _CLASS, self.context.version)
        found = contexts.cotypes(self.context).get(item)
        if term in metamodel.class_names():
            if self.types.material not in (None, term):
                both = f"{self.types.material} and {term}"
                self.fail("multipleMaterialTypes", f"it can't be {both}", "Keep one of them", both)
            self.types.material = term
        elif found is not None and not found.abstract:
            return found
        elif found is not None or term in _ABSTRACT_COTYPES.get(version, _ABSTRACT_COTYPES[3]):
            self.unknown("abstractSupplementalType", f"{term[:80]} is abstract", "Use one of its subtypes", item)
        elif term in metamodel.abstract_classes(version) or (version == 2 and term in semantic_types.unit_types(0)):
            self.misplaced.append(item)
        else:
            self._undefined(item)
        return None

    def _undefined(self, item: str) -> None:
        context = self.context
        self.types.undefined.append(item)
        if item.startswith("dtmi:"):
            if not dtmi.is_system_dtmi(item):
                self.unknown("typeInvalidDtmi", f"'{item[:80]}' is not a DTMI", "Correct or remove it", item)
            elif not context.incomplete:
                self.unknown("typeIrrelevantDtmiOrTerm", f"'{item[:80]}' is not defined", "Remove it, or add its context", item)
        elif ":" in item:
            if context.version >= 3:
                self.unknown("typeNotDtmiNorTerm", f"'{item[:80]}' is neither a term nor a DTMI", "Remove it", item)
        elif context.incomplete:
            return
        elif item in contexts.terms(context):
            self.unknown("typeIrrelevantDtmiOrTerm", f"'{item}' is a word of the language, not a type", "Remove it", item)
            if item in semantic_types.unit_types(max(semantic_types.EDITIONS)):
                self._bad_type(f"{item} is a schema", "Remove it, or name it as the schema", item)
        elif context.version >= 3:
            self._undefined_term(item)

    def _undefined_term(self, item: str) -> None:
        known = {*metamodel.class_names(), *(name for name in contexts.cotypes(self.context) if ":" not in name)}
        near = get_close_matches(item, sorted(known), 1)
        quantity = item in semantic_types.names(2)
        edition = max(1, self.context.version - 2)
        remedy = f"Add the context {QUANTITATIVE};{edition}" if quantity else f"Did you mean {near[0]}?" if near else "Remove it"
        self.unknown("typeUndefinedTerm", f"'{item[:80]}' is not a type", remedy, item)

    def _check_material(self, items: list[str]) -> None:
        types, allowed, table = self.types, self.member.classes, self.context.table
        remedy = f"It must be one of: {', '.join(name for name in allowed if name in table)}"
        if types.material is not None and self.misplaced:
            both = f"{types.material} and {self.misplaced[0]}"
            self.fail("multipleMaterialTypes", f"it can't be {both}", "Keep one of them", both)
            self._bad_type(f"{self.misplaced[0]} is not allowed here", remedy, self.misplaced[0])
        if types.material is None:
            if self.context.version == 2:
                for item in types.undefined:
                    if ":" not in item:
                        self._undefined_term(item)
            shown = self.misplaced[0] if self.misplaced else None
            self._bad_type(f"none of {', '.join(items)[:80]} is a class that is allowed here", remedy, shown)
        elif types.material not in allowed or types.material not in table:
            where = "" if types.material in table else f": DTDL {self.context.version} has none"
            message = f"{types.material} is not allowed here{where}"
            if self.parent is None:
                self._not_rootable(message, remedy)
            else:
                self._bad_type(message, remedy, types.material)
            types.material = None

    def _bad_type(self, message: str, remedy: str, value: str | None) -> None:
        parent = self.parent
        if parent is None:
            self._not_rootable(message, remedy)
        place = (*self.location, "@type") if self.types.written else self.location
        self.report.add(
            self.source,
            place,
            "badType",
            message,
            remedy,
            primary=parent.name if parent else None,
            secondary=self.name,
            member=self.member.name or None,
            value=value,
        )

    def _not_rootable(self, message: str, remedy: str) -> None:
        place = (*self.location, "@type") if self.types.written else self.location
        self.report.add(self.source, place, "typeNotRootable", message, remedy, value=self.name)

    def _check_cotypes(self, candidates: list[CoType]) -> None:
        types, members = self.types, dict[str, CoType]()
        for item in candidates:
            clash = next((members[member.id] for member in item.members if member.id in members), None)
            if not self._fits(item, candidates):
                types.refused.append(item)
            elif clash is not None and clash is not item:
                message = f"both {clash.name} and {item.name} bring '{item.members[0].name}'"
                place = (*self.location, "@type")
                types.wrong = True
                self.report.add(
                    self.source,
                    place,
                    "conflictingSupplementalTypes",
                    message,
                    "Keep one of them",
                    primary=self.name,
                    member=item.members[0].name,
                    value=item.name,
                )
            else:
                types.cotypes[item.id] = item
                members.update({member.id: item for member in item.members})
        names = {item.name for item in (*types.cotypes.values(), *types.refused)}
        for item in (*types.cotypes.values(), *types.refused):
            if item.needs is not None and item.needs not in names:
                self.fail("missingCocotype", f"{item.name} goes with {item.needs} only", f"Add {item.needs}, or remove it", item.name)
        for item in types.cotypes.values():
            for other in names.intersection(item.excludes):
                self.fail("disallowedCocotype", f"{item.name} can't be {other} as well", "Remove one of them", item.name)

    def _fits(self, item: CoType, candidates: list[CoType]) -> bool:
        if self.types.material not in item.on and not any(other.name in item.on_cotypes for other in candidates):
            remedy = f"It is for {', '.join(item.on)}"
            self.fail("invalidCotype", f"a {self.types.material} can't be {item.name}", remedy, item.name)
            return False
        if self.context.version not in item.versions:
            versions = " and ".join(str(version) for version in item.versions)
            self.fail("invalidCotypeVersion", f"{item.name} is for elements of DTDL {versions}", "Remove it, or use its context", item.name)
            return False
        return True
