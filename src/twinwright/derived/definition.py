"""A derived value as it is written in `derived/*.yaml`, and checked against the interfaces of the twins that it is of and from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, cast

from pydantic import Field, StringConstraints, field_validator, model_validator

from twinwright import expressions, units
from twinwright.clock import SECOND, parse_duration
from twinwright.documents import Document, Location, Problems, Spec
from twinwright.errors import ExpressionError, UnitError, UsageError
from twinwright.expressions import Checked, Kind, Type
from twinwright.schema import Enum, Ontology, PathInfo, Primitive
from twinwright.storage.layout import ColumnType, Relationship
from twinwright.telemetry.contract_spec import Name
from twinwright.telemetry.held import column_type
from twinwright.twins.evolution import NO_LINEAGES, Lineages

Aggregate = Literal["mean", "min", "max", "sum", "count", "first", "last"]
Across = Literal["mean", "min", "max", "sum", "count"]
Path = Annotated[str, StringConstraints(min_length=1, max_length=512)]
MAX_INPUTS = 50
LONGEST_WINDOW = 366 * 86_400 * SECOND
_KINDS: Mapping[ColumnType, Kind] = {"DOUBLE": "number", "BIGINT": "number", "BOOLEAN": "boolean", "VARCHAR": "text"}
_OF_ANY_KIND = ("count", "first", "last")


class WindowSpec(Spec):
    """Windows of event time, one beside the other and aligned to the epoch."""

    every: str = Field(description="how long each is (ISO 8601): PT1M")
    agg: Aggregate = Field("mean", description="what one value is made of those in it")

    @field_validator("every")
    @classmethod
    def _is_a_length(cls, text: str) -> str:
        try:
            length = parse_duration(text)
        except UsageError as error:
            raise ValueError(str(error)) from None
        if not SECOND // 1_000 <= length <= LONGEST_WINDOW:
            raise ValueError("a window lasts from a millisecond to 366 days")
        return text


class InputSpec(Spec):
    """What one name in the expression stands for. Without a window it is what state shows as of the time of the output."""

    path: Path = Field(description="a property or telemetry: pressure, motor/speed")
    lane: Literal["observed", "derived"] = Field("observed", description="`derived`: what another file of this folder derives")
    unit: str | None = Field(None, description="in which the expression has it; the property's unless given")
    window: WindowSpec | None = Field(None, description="one value of all in a window, instead of each")
    relationship: Name | None = Field(None, description="of the twins that this relationship leads to, not of the twin itself")
    direction: Literal["out", "in"] = Field("out", description="`in`: of the twins from which the relationship leads to this one")
    across: Across | None = Field(None, description="what one value is made of those of the related twins")

    @model_validator(mode="after")
    def _many_become_one(self) -> InputSpec:
        if (self.relationship is None) != (self.across is None):
            raise ValueError("`relationship` and `across` belong together: related twins are many, and one value is made of theirs")
        return self


class OutputSpec(Spec):
    """Where the value is kept, in the lane `derived`."""

    path: Path = Field(description="a property or telemetry of the interface")
    unit: str | None = Field(None, description="in which it is kept; the property's unless given")


class DerivedSpec(Spec):
    """One derived value of all twins of an interface, or of some twins."""

    name: Name = Field(description="who says so: the source of what is derived")
    revision: int = Field(1, ge=1, le=2**31 - 1, description="raise it with every change")
    interface: str | None = Field(None, description="of all twins with this interface, or one that extends it")
    twins: list[str] | None = Field(None, min_length=1, description="of these twins instead")
    output: OutputSpec = Field(description="where it is kept")
    inputs: dict[str, InputSpec] = Field(min_length=1, max_length=MAX_INPUTS, description="by the name they have in the expression")
    expression: str = Field(description="in the expression language")

    @model_validator(mode="after")
    def _is_of_something(self) -> DerivedSpec:
        if (self.interface is None) == (self.twins is None):
            raise ValueError("either `interface` or `twins` says what it is of")
        lengths = {parse_duration(one.window.every) for one in self.inputs.values() if one.window is not None}
        if len(lengths) > 1:
            raise ValueError("the windows of one derived value are of one length: derive the other in a file of its own")
        return self


@dataclass(frozen=True, slots=True)
class Input:
    """A name of the expression. `every` is in microseconds, None without a window; `unit` is that of the values, `type` of the operand."""

    name: str
    path: str
    lane: Literal["observed", "derived"]
    unit: str | None
    kind: Kind
    every: int | None
    agg: Aggregate
    relationship: str | None
    direction: Literal["out", "in"]
    across: Across | None
    type: Type


@dataclass(frozen=True, slots=True)
class Definition:
    """A derived value that is in order. `every` (microseconds) is the length of its windows, None where it has none."""

    spec: DerivedSpec
    inputs: tuple[Input, ...]
    expression: Checked
    type: ColumnType
    unit: str | None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def path(self) -> str:
        return self.spec.output.path

    @property
    def every(self) -> int | None:
        return next((one.every for one in self.inputs if one.every is not None), None)


@dataclass(frozen=True, slots=True)
class Plant:
    """The twins (id -> interface) and relationships that derived values are checked against."""

    ontology: Ontology
    twins: Mapping[str, str]
    relationships: Sequence[Relationship]
    lineages: Lineages = NO_LINEAGES

    def owners(self, spec: DerivedSpec) -> list[str]:
        """The twins that have the value."""
        if spec.twins is not None:
            return [twin for twin in spec.twins if twin in self.twins]
        base = spec.interface or ""
        return [twin for twin, dtmi in self.twins.items() if self.lineages.is_of(dtmi, base, self.ontology)]

    def interface_of(self, twin: str, spec: DerivedSpec) -> str:
        """Its interface, as the version of it that a definition speaks of."""
        dtmi, named = self.twins[twin], spec.interface
        return named if named is not None and self.lineages.related(dtmi, named) else dtmi

    def paths(self, dtmi: str) -> Mapping[str, PathInfo]:
        """What may be observed of a twin of an interface."""
        return self.lineages.paths(dtmi) if self.lineages.active else self.ontology.paths(dtmi)

    def edges(self, relationship: str, direction: str) -> list[tuple[str, str]]:
        """(owner, member) of everyone related."""
        named = [edge for edge in self.relationships if edge.name == relationship]
        return [(edge.source, edge.target) if direction == "out" else (edge.target, edge.source) for edge in named]


def parse_derived(document: Document, problems: Problems) -> DerivedSpec | None:
    """What is written, or None with its problems added."""
    return document.parse(DerivedSpec, problems)


def compile_derived(spec: DerivedSpec, plant: Plant, document: Document, problems: Problems) -> Definition | None:
    """The checked form, or None with every problem added."""
    before = len(problems)
    interfaces = _interfaces(spec, plant, document, problems)
    if len(problems) > before:
        return None
    output = _output(spec, interfaces, plant, document, problems)
    inputs = [_input(name, one, spec, interfaces, plant, document, problems) for name, one in spec.inputs.items()]
    checked = _expression(spec, {one.name: one.type for one in inputs if one is not None}, output, document, problems)
    if len(problems) > before or output is None or checked is None:
        return None
    type_, unit = output
    return Definition(spec, tuple(one for one in inputs if one is not None), checked, type_, unit)


def _interfaces(spec: DerivedSpec, plant: Plant, document: Document, problems: Problems) -> list[str]:
    """Those of the twins that it is of; the one that is named where there are no twins yet."""
    if spec.interface is not None and spec.interface not in plant.ontology.interfaces:
        remedy = "Name one of schema/*.json"
        problems.add(document.problem(("interface",), f"there is no interface {spec.interface}", remedy, "unknown_interface"))
        return []
    for index, twin in enumerate(spec.twins or ()):
        if twin not in plant.twins:
            problems.add(document.problem(("twins", index), f"there is no twin '{twin}'", "Declare it in twins.yaml", "unknown_twin"))
    found = sorted({plant.interface_of(twin, spec) for twin in plant.owners(spec)})
    return found or [spec.interface or ""]


def _output(
    spec: DerivedSpec, interfaces: Sequence[str], plant: Plant, document: Document, problems: Problems
) -> tuple[ColumnType, str | None] | None:
    place, before = ("output", "path"), len(problems)
    infos = _infos(spec.output.path, interfaces, plant, document, place, problems)
    type_ = _one_type(spec.output.path, infos, document, place, problems)
    unit = _unit(spec.output.unit, infos, document, ("output", "unit" if spec.output.unit else "path"), problems)
    return None if type_ is None or len(problems) > before else (type_, unit)


def _input(
    name: str, one: InputSpec, spec: DerivedSpec, interfaces: Sequence[str], plant: Plant, document: Document, problems: Problems
) -> Input | None:
    place: Location = ("inputs", name)
    before = len(problems)
    if one.relationship is not None:
        interfaces = _related(one, spec, interfaces, plant, document, place, problems)
    infos = _infos(one.path, interfaces, plant, document, (*place, "path"), problems) if interfaces else []
    type_ = _one_type(one.path, infos, document, (*place, "path"), problems)
    unit = _unit(one.unit, infos, document, (*place, "unit" if one.unit else "path"), problems)
    if type_ is None or len(problems) > before:
        return None
    kind = _KINDS[type_]
    operand = Type(kind, unit if kind == "number" else None)
    if one.window is not None:
        operand = _aggregated(one.window.agg, operand, document, (*place, "window"), "Use count, first or last", problems)
    if one.across is not None:
        operand = _aggregated(one.across, operand, document, (*place, "across"), "Use count", problems)
    every = parse_duration(one.window.every) if one.window else None
    agg: Aggregate = one.window.agg if one.window else "last"
    return Input(name, one.path, one.lane, unit, kind, every, agg, one.relationship, one.direction, one.across, operand)


def _aggregated(agg: str, operand: Type, document: Document, place: Location, remedy: str, problems: Problems) -> Type:
    """What an aggregate makes of a kind and unit."""
    if agg == "count":
        return Type("number")
    if operand.kind != "number" and agg not in _OF_ANY_KIND:
        problems.add(document.problem(place, f"'{agg}' of what is no number", remedy, "bad_aggregate"))
    if agg == "sum" and units.is_offset(operand.unit):
        problems.add(document.problem(place, f"points of a scale ('{operand.unit}') have no sum", "Use mean", "bad_aggregate"))
    return operand


def _related(
    one: InputSpec, spec: DerivedSpec, interfaces: Sequence[str], plant: Plant, document: Document, place: Location, problems: Problems
) -> list[str]:
    """The interfaces of those that a relationship leads to."""
    name, ontology = one.relationship or "", plant.ontology
    pool: Iterable[str] = interfaces if one.direction == "out" else ontology.interfaces
    declared = [found[name] for dtmi in pool if name in (found := ontology.relationships(dtmi))]
    if not declared:
        known = sorted({known for dtmi in pool for known in ontology.relationships(dtmi)})
        message = f"there is no relationship '{name}' {'from' if one.direction == 'out' else 'to'} what this is of"
        remedy = f"There are: {', '.join(known) or 'none'}"
        problems.add(document.problem((*place, "relationship"), message, remedy, "unknown_relationship"))
        return []
    owners = set(plant.owners(spec))
    members = {plant.twins[member] for owner, member in plant.edges(name, one.direction) if owner in owners and member in plant.twins}
    if members:
        return sorted(members)
    targets = {item.target for item in declared if item.target is not None} if one.direction == "out" else set()
    return sorted(targets & set(ontology.interfaces)) or [d for d in sorted(ontology.interfaces) if one.path in ontology.paths(d)] or [""]


def _infos(path: str, interfaces: Sequence[str], plant: Plant, document: Document, place: Location, problems: Problems) -> list[PathInfo]:
    infos = []
    for dtmi in interfaces:
        paths = plant.paths(dtmi) if dtmi else {}
        if path in paths:
            infos.append(paths[path])
            continue
        from difflib import get_close_matches

        near = get_close_matches(path, list(paths), 1)
        remedy = f"Did you mean '{near[0]}'?" if near else f"It has: {', '.join(sorted(paths)[:20]) or 'none'}"
        problems.add(document.problem(place, f"{dtmi or 'no interface'} has no path '{path}'", remedy, "unknown_path"))
    return infos


def _one_type(path: str, infos: Sequence[PathInfo], document: Document, place: Location, problems: Problems) -> ColumnType | None:
    types = {column_type(info.schema) if isinstance(info.schema, Primitive | Enum) else None for info in infos}
    if len(types) == 1 and None not in types:
        return cast(ColumnType, types.pop())
    if infos:
        message = f"'{path}' is no number, text or true or false, or not the same in all of the interfaces"
        problems.add(document.problem(place, message, "Name a path of one simple type", "bad_type"))
    return None


def _unit(given: str | None, infos: Sequence[PathInfo], document: Document, place: Location, problems: Problems) -> str | None:
    """The unit asked for, else that of the first; all others have its dimension."""
    try:
        unit = units.canonical(given if given is not None or not infos else infos[0].unit)
        for info in infos:
            units.check_dimension(unit, info.unit)
    except UnitError as error:
        problems.add(document.problem(place, error.what, error.remedy or "Use a unit of the property's dimension", "bad_unit"))
        return None
    return unit


def _expression(
    spec: DerivedSpec, scope: Mapping[str, Type], output: tuple[ColumnType, str | None] | None, document: Document, problems: Problems
) -> Checked | None:
    place = ("expression",)
    try:
        parsed = expressions.parse(spec.expression)
        if set(scope) != set(spec.inputs):
            return None  # an input is wrong: what is made of it says nothing
        unused = sorted(set(spec.inputs) - set(parsed.names))
        if unused:
            message = f"{', '.join(unused)} is not used in the expression"
            problems.add(document.problem(("inputs", unused[0]), message, "Use it or remove it", "unused_input"))
        checked = parsed.check(scope)
        if output is None:
            return None
        type_, unit = output
        if checked.type.kind != _KINDS[type_]:
            message = f"the expression gives {checked.type.kind}, and '{spec.output.path}' holds {_KINDS[type_]}"
            problems.add(document.problem(place, message, "Correct the expression or the output", "bad_type"))
            return None
        return checked.converted(unit) if checked.type.kind == "number" else checked
    except ExpressionError as error:
        where = f"{error.where}: " if error.where else ""
        problems.add(document.problem(place, f"{where}{error.what}", error.remedy or "Correct the expression", "bad_expression"))
        return None
