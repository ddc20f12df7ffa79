"""What the applied interfaces say that a query may name: where a name leads on each of them, of what kind and in what unit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal

from twinwright import units
from twinwright.errors import UnitError
from twinwright.schema import (
    Array,
    Component,
    Enum,
    Map,
    Object,
    Ontology,
    Primitive,
    Property,
    Relationship,
    Schema,
    Telemetry,
)
from twinwright.twins.evolution.lineage import NO_LINEAGES, Lineages

Kind = Literal["number", "boolean", "text", "object", "array", "component"]
_NUMBERS = frozenset(
    [
        "double",
        "float",
        "decimal",
        "integer",
        "long",
        "byte",
        "short",
        "unsignedByte",
        "unsignedShort",
        "unsignedInteger",
        "unsignedLong",
        "scaledDecimal",
    ]
)
_WHOLE = frozenset(["integer", "long", "byte", "short", "unsignedByte", "unsignedShort", "unsignedInteger"])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name leads on the interface numbered `model`: a path, and a way (`inside`) into the object that it holds.

    `text`: it is kept as text, JSON where it is no string. `whole`: it is a whole number that fits 64 bits. `own`: the interface itself has
    the name, and not another version of it.
    """

    model: int
    path: str
    inside: tuple[str, ...]
    kind: Kind
    unit: str | None
    text: bool
    whole: bool = False
    own: bool = True


class Catalogue:
    """Interfaces by number, and the names on them, those of other versions too. Immutable; made anew with the ontology.

    Where all twins are shown as of one `version`, no twin is of another one of it, whose names and units mean nothing then.
    """

    def __init__(self, ontology: Ontology, lineages: Lineages = NO_LINEAGES, version: str | None = None) -> None:
        self.ontology, self._lineages = ontology, lineages
        self._hidden = frozenset(lineages.versions(version)) - {version} if version is not None else frozenset()
        self.models: tuple[str, ...] = tuple(sorted(ontology.interfaces))
        self.numbers: Mapping[str, int] = {dtmi: number for number, dtmi in enumerate(self.models)}
        self._relationships: dict[str, list[tuple[int, Relationship]]] = {}
        for number, dtmi in enumerate(self.models):
            for name, one in ontology.relationships(dtmi).items():
                self._relationships.setdefault(name, []).append((number, one))
        self._places: dict[tuple[str, ...], tuple[Place, ...]] = {}

    # --- models ------------------------------------------------------------------------------------------------------

    def subtypes(self, dtmi: str, *, exact: bool) -> frozenset[int]:
        """The numbers of an interface and, unless `exact`, of all that extend it, or that twins of it were moved to. Raises KeyError."""
        own = self.numbers[dtmi]
        if exact:
            return frozenset({own})
        return frozenset(number for number, other in enumerate(self.models) if self._lineages.is_of(other, dtmi, self.ontology))

    # --- properties --------------------------------------------------------------------------------------------------

    def places(self, steps: tuple[str, ...]) -> tuple[Place, ...]:
        """Where a name leads on each interface that has it."""
        found = self._places.get(steps)
        if found is None:
            shown = [(number, dtmi) for number, dtmi in enumerate(self.models) if dtmi not in self._hidden]
            found = tuple(place for number, dtmi in shown for place in self._called(number, dtmi, steps))
            if len(self._places) < 10_000:  # keys of maps come from outside
                self._places[steps] = found
        return found

    def _called(self, number: int, dtmi: str, steps: tuple[str, ...]) -> Iterator[Place]:
        """By its own names, else by those that a version which is served has for the same quantity."""
        places = list(self._on(number, dtmi, "", steps))
        for count in range(len(steps), 0, -1) if not places and self._lineages.active else ():
            path = "/".join(steps[:count])
            version = self._lineages.speaker(dtmi, path)
            if version is None or version == dtmi:
                continue
            unit, mine = self.ontology.paths(version)[path].unit, self.ontology.paths(dtmi)
            becomes = self._lineages.becomes(dtmi, path).items()
            same = [new for new, route in becomes if all(way.by is None for way in route) and units.compatible(mine[new].unit, unit)]
            if len(same) == 1:
                places = [replace(one, own=False) for one in self._on(number, dtmi, "", (*same[0].split("/"), *steps[count:]))]
        yield from places

    def told_in(self, steps: tuple[str, ...], places: Iterable[Place], named: int | None) -> dict[int, str | None]:
        """In which unit the numbers of each interface at some places of a name are told (law 7): of versions of one interface all in that
        of the version which the query names (`named`), or else of the newest one that has the name itself."""
        found = {place.model: place.unit for place in places}
        if not self._lineages.active:
            return found
        own = {place.model: place.unit for place in self.places(steps) if place.own}
        for model, unit in found.items():
            served = [self.numbers[dtmi] for dtmi in self._lineages.served(self.models[model]) if dtmi in self.numbers]
            speaking = [one for one in served if one in own and units.compatible(unit, own[one])]
            if speaking:
                found[model] = own[named if named in speaking else speaking[0]]
        return found

    def _on(self, number: int, dtmi: str, prefix: str, steps: Sequence[str]) -> Iterator[Place]:
        content = self.ontology.interface(dtmi).contents.get(steps[0])
        path, rest = prefix + steps[0], tuple(steps[1:])
        if isinstance(content, Component):
            if rest:
                yield from self._on(number, content.schema, f"{path}/", rest)
            else:
                yield Place(number, path, (), "component", None, False)
        elif isinstance(content, Property | Telemetry):
            place = self._within(content.schema, rest, content.unit)
            if place is not None:
                kind, unit, schema = place
                root = self.ontology.plain(content.schema)
                kept_as_text = _kind(root) in ("text", "object", "array") or root == Primitive("unsignedLong")
                yield Place(number, path, rest, kind, unit, kept_as_text, isinstance(schema, Primitive) and schema.name in _WHOLE)

    def _within(self, schema: Schema, steps: tuple[str, ...], unit: str | None) -> tuple[Kind, str | None, Schema] | None:
        schema = self.ontology.plain(schema)
        if not steps:
            return _kind(schema), unit, schema
        if isinstance(schema, Map):
            return self._within(schema.value_schema, steps[1:], None)
        if isinstance(schema, Object):
            field = next((one for one in schema.fields if one.name == steps[0]), None)
            return self._within(field.schema, steps[1:], field.unit) if field is not None else None
        return None

    def names(self, steps: Sequence[str], models: Iterable[int]) -> list[str]:
        """What could stand behind `steps` on some interfaces, for whoever misspelt it."""
        found: dict[str, None] = {}
        for number in models:
            for name in self._below(self.models[number], steps) if self.models[number] not in self._hidden else ():
                found[name] = None
        return list(found)

    def _below(self, dtmi: str, steps: Sequence[str]) -> list[str]:
        contents = self.ontology.interface(dtmi).contents
        if not steps:
            return [name for name, one in contents.items() if isinstance(one, Component | Property | Telemetry)]
        content = contents.get(steps[0])
        if isinstance(content, Component):
            return self._below(content.schema, steps[1:])
        plain = self.ontology.plain
        schema = plain(content.schema) if isinstance(content, Property | Telemetry) else None
        for step in steps[1:]:
            if isinstance(schema, Object):
                schema = plain(next((field.schema for field in schema.fields if field.name == step), schema))
        return [one.name for one in schema.fields] if isinstance(schema, Object) else []

    # --- relationships -----------------------------------------------------------------------------------------------

    @property
    def relationship_names(self) -> list[str]:
        return list(self._relationships)

    def relationship(self, name: str, models: frozenset[int] | None = None) -> list[Relationship]:
        """Every declaration of a relationship, on some interfaces or all; none: nobody has one of that name."""
        return [one for number, one in self._relationships.get(name, ()) if models is None or number in models]

    def targets(self, declared: Sequence[Relationship]) -> frozenset[int] | None:
        """The interfaces that relationships may lead to; None: any."""
        found: set[int] = set()
        for one in declared:
            if one.target is None or one.target not in self.numbers:
                return None
            found |= self.subtypes(one.target, exact=False)
        return frozenset(found)

    def sources(self, name: str) -> frozenset[int]:
        """The interfaces that have a relationship."""
        return frozenset(number for number, _ in self._relationships.get(name, ()))

    def relationship_places(self, names: Iterable[str], steps: tuple[str, ...]) -> list[Place]:
        """Where a name leads in the properties of relationships, by their own name (`path`) and the interface that they begin at; `inside`
        is the whole way into their JSON."""
        found = []
        for name in names:
            for number, one in self._relationships.get(name, ()):
                for declared in one.properties:
                    place = self._within(declared.schema, steps[1:], declared.unit) if declared.name == steps[0] else None
                    if place is not None:
                        whole = isinstance(place[2], Primitive) and place[2].name in _WHOLE
                        found.append(Place(number, name, steps, place[0], place[1], True, whole))
        return found

    def relationship_properties(self, names: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(p.name for name in names for _, one in self._relationships.get(name, ()) for p in one.properties))


def _kind(schema: Schema) -> Kind:
    name = schema.name if isinstance(schema, Primitive) else schema.value_schema if isinstance(schema, Enum) else None
    if name is None:
        return "array" if isinstance(schema, Array) else "object"
    return "number" if name in _NUMBERS else "boolean" if name == "boolean" else "text"


def nearest(name: str, known: Iterable[str], *, otherwise: str = "there are") -> str:
    """What to write instead of a name that is not there."""
    names = list(dict.fromkeys(known))
    folded = next((one for one in names if one.casefold() == name.casefold()), None)
    near = [folded] if folded is not None else get_close_matches(name, names[:20_000], 1, 0.5)
    if near:
        return f"Did you mean '{near[0]}'?"
    listed = ", ".join(sorted(names)[:20])
    return f"{otherwise[0].upper()}{otherwise[1:]}: {listed}" if listed else "There is none"


def common_unit(found: Iterable[str | None]) -> tuple[bool, str | None]:
    """(whether all can be converted to it, the first of some units)."""
    all_units = list(dict.fromkeys(found))
    try:
        return all(units.compatible(one, all_units[0]) for one in all_units), all_units[0]
    except (UnitError, IndexError):
        return False, None
