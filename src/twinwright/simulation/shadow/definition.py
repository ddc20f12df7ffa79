"""`shadows/*.yaml`: which model follows which twins, and where what it says is put; checked whole without running any of it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from twinwright import units
from twinwright.clock import SECOND, from_iso
from twinwright.documents import Document, Location, Problems, Spec, parse_text
from twinwright.errors import UnitError, UsageError
from twinwright.schema import Ontology
from twinwright.simulation import registry
from twinwright.simulation.declaration import DurationText, duration_seconds
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.scenario import QuantitySpec

MAX_HORIZON_SAMPLES = 100_000


class GivenInputSpec(Spec):
    """An input that is not observed: this value throughout."""

    constant: float = Field(description="this value throughout, in place of history")
    unit: str | None = Field(default=None, description="the model's unless given")


class ForecastSpec(Spec):
    """Runs ahead of what is observed, with every input kept as it is. The value at a time is that of the newest forecast before it."""

    horizon: DurationText = Field(description="how far ahead, such as PT1H")
    every: DurationText | None = Field(default=None, description="how often, in event time; `horizon` unless given, and no longer")

    @model_validator(mode="after")
    def _without_holes(self) -> ForecastSpec:
        if self.every is not None and duration_seconds(self.every) > duration_seconds(self.horizon):
            raise ValueError("`every` is longer than `horizon`: there would be times of which nothing is forecast")
        return self


class ShadowSpec(Spec):
    """A shadow file: one model that follows a twin, or all twins of an interface, for ever."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128, description="`shadow:NAME` is the source")]
    model: str = Field(description="the model's name")
    twin: str | None = Field(default=None, description="the twin that it follows")
    interface: str | None = Field(default=None, description="all twins of this interface instead, or of one that extends it")
    from_: str | None = Field(default=None, alias="from", description="not before this time; else from where all inputs are observed")
    parameters: str | dict[str, float | QuantitySpec] = Field(
        default="promoted", description="`promoted`, the id of a parameter set, or values by name"
    )
    inputs: dict[str, GivenInputSpec] = Field(default_factory=dict, description="those that are not observed, by the model's names")
    lateness: DurationText = Field(default="PT1H", description="states are kept densely for twice as long, then thinned")
    residuals: dict[str, str] = Field(
        default_factory=dict, description="by output the path on which observed less predicted is put, in the lane `derived`"
    )
    forecast: ForecastSpec | None = Field(default=None, description="whether, and how far, it looks ahead")
    seed: Annotated[int, Field(ge=0, lt=2**63, description="of a model that draws random numbers")] = 0
    replay: bool = Field(default=False, description="a model whose state can't be saved runs from its start each time")

    @field_validator("from_")
    @classmethod
    def _from_is_a_time(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                from_iso(value)
            except UsageError as error:
                raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _looks_ahead_of_a_state(self) -> ShadowSpec:
        if self.replay and self.forecast is not None:
            raise ValueError("a model that is replayed from its start has no state from which to look ahead: leave out `forecast`")
        return self

    @model_validator(mode="after")
    def _follows_something(self) -> ShadowSpec:
        if (self.twin is None) == (self.interface is None):
            raise ValueError("either `twin` or `interface` says what it follows")
        return self


@dataclass(frozen=True)
class Shadow:
    """A shadow file and the model that it names. Times are microseconds, counts are of the model's steps."""

    spec: ShadowSpec
    model: ModelDefinition
    start: int | None
    step: int
    horizon: int  # steps that a forecast looks ahead; 0: there is none
    every: int  # steps between two forecasts; 1 without
    spacing: int  # steps between two states that are kept
    lateness: int

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def source(self) -> str:
        """Who says what is predicted, and by how much it was wrong."""
        return f"shadow:{self.spec.name}"

    @property
    def forecast_source(self) -> str:
        """Who says what is forecast; names the horizon."""
        return f"shadow:{self.spec.name}+{self.spec.forecast.horizon if self.spec.forecast else ''}"

    @cached_property
    def observed(self) -> dict[str, tuple[str, str | None]]:
        """By input that is read from history, its path and the model's unit."""
        given = self.spec.inputs
        return {one.name: (one.property or one.name, one.unit) for one in self.model.inputs if one.name not in given}

    @cached_property
    def given(self) -> dict[str, float]:
        """By input that is not observed its value, in the model's unit."""
        ports, given = {one.name: one.unit for one in self.model.inputs}, self.spec.inputs
        return {name: float(units.convert(one.constant, one.unit or ports[name], ports[name])) for name, one in given.items()}

    @cached_property
    def outputs(self) -> list[tuple[int, str, str | None]]:
        """(index, path, unit) of the outputs that name a property."""
        return [(index, one.property, one.unit) for index, one in enumerate(self.model.outputs) if one.property is not None]

    def fingerprint(self, parameters: Mapping[str, float]) -> str:
        """Of all that decides what it says of a history that stays."""
        said = [self.spec.model_dump_json(exclude={"lateness"}), self.model.artefact_digest, sorted(parameters.items())]
        ports = [[(one.name, one.property) for one in self.model.inputs], [(one.name, one.property) for one in self.model.states]]
        ports.append([(one.name, one.property) for one in self.model.outputs])
        return hashlib.sha256(repr([said, ports]).encode()).hexdigest()

    def kept(self, index: int, head: int) -> bool:
        """Whether the state at a step is kept once the newest is at `head`: densely for twice the lateness, then each age half as often."""
        if index == head:
            return True
        if index % self.spacing:
            return False
        age = (head // self.spacing - index // self.spacing) * self.spacing * self.step
        thinned = 1 << (age // (2 * self.lateness)).bit_length()
        return index // self.spacing % thinned == 0


def compile_shadows(
    texts: Mapping[str, str],
    models: Mapping[str, ModelDefinition],
    ontology: Ontology,
    twins: Mapping[str, str],
    problems: Problems,
    migrated: Collection[str] = (),
) -> dict[str, Shadow]:
    """Shadows by name, from their documents by file name, against the models and the twins (id -> interface) there are."""
    found: dict[str, Shadow] = {}
    for file, text in texts.items():
        document = parse_text(text, file, problems)
        spec = document.parse(ShadowSpec, problems) if document else None
        if document is None or spec is None:
            continue
        if spec.name in found:
            problems.add(document.problem(("name",), f"there is another shadow '{spec.name}'", "Rename one", "duplicate_shadow"))
        model = models.get(spec.model)
        if model is None:
            known = ", ".join(sorted(models)) or "none is in order"
            problems.add(document.problem(("model",), f"there is no model '{spec.model}'", f"There are: {known}", "unknown_model"))
            continue
        before = len(problems)
        _check(spec, model, ontology, twins, document, problems)
        _refuse_migrated(spec, ontology, twins, migrated, document, problems)
        if len(problems) == before:
            found[spec.name] = _shadow(spec, model)
    return found


def _refuse_migrated(
    spec: ShadowSpec, ontology: Ontology, twins: Mapping[str, str], migrated: Collection[str], document: Document, problems: Problems
) -> None:
    """A shadow reads and writes under stored names, which are of one version only."""
    place = "twin" if spec.interface is None else "interface"
    mine = {twins.get(str(spec.twin), "")}
    if spec.interface is not None:
        mine = {one for one in migrated if ontology.is_subtype(one, spec.interface)}
    for dtmi in sorted(one for one in mine if one in migrated):
        remedy = "Leave the shadow out until the other version is retired and the migration is gone"
        problems.add(document.problem((place,), f"{dtmi} has a migration, and a shadow follows one version only", remedy, "migrated"))


def _shadow(spec: ShadowSpec, model: ModelDefinition) -> Shadow:
    step = round(model.step * SECOND)
    horizon = every = 0
    if spec.forecast is not None:
        horizon = round(duration_seconds(spec.forecast.horizon) * SECOND) // step
        every = round(duration_seconds(spec.forecast.every or spec.forecast.horizon) * SECOND) // step
    lateness = round(duration_seconds(spec.lateness) * SECOND)
    every = max(every, 1)
    spacing = -(-max(lateness // 8 // step, 1) // every) * every
    return Shadow(spec, model, None if spec.from_ is None else from_iso(spec.from_), step, horizon, every, spacing, lateness)


def _check(
    spec: ShadowSpec, model: ModelDefinition, ontology: Ontology, twins: Mapping[str, str], document: Document, problems: Problems
) -> None:
    def wrong(place: Location, message: str, remedy: str, code: str) -> None:
        problems.add(document.problem(place, message, remedy, code))

    interface = spec.interface
    if spec.twin is not None:
        interface = twins.get(spec.twin)
        if interface is None:
            wrong(("twin",), f"there is no twin '{spec.twin}'", "Declare it in twins.yaml", "unknown_twin")
    elif interface not in ontology.interfaces:
        wrong(("interface",), f"there is no interface {interface}", "Name one of schema/*.json", "unknown_interface")
        interface = None
    if interface is not None and model.interface is not None and not ontology.is_subtype(interface, model.interface):
        wrong(
            ("model",),
            f"'{model.name}' is a model of {model.interface}, not of {interface}",
            "Name another model or twin",
            "other_interface",
        )
        interface = None
    saves = registry.saves_state(model)
    if saves is False and not spec.replay:
        message = f"the state of '{model.name}' can't be saved, and a shadow has to be resumed"
        wrong(("model",), message, "`replay: true` runs it from its start each time, which takes longer and longer", "no_state")
    if not any(one.property for one in model.outputs):
        wrong(("model",), f"no output of '{model.name}' names a property", "Give one a `property:` in the model", "no_output")
    ports = {one.name: one.unit for one in model.inputs}
    for name, given in spec.inputs.items():
        if name not in ports:
            wrong(("inputs", name), f"'{name}' is no input of '{model.name}'", f"It has: {', '.join(ports) or 'none'}", "unknown_input")
        elif given.unit is not None:
            _same(given.unit, ports[name], ("inputs", name, "unit"), document, problems)
    if not set(ports) - set(spec.inputs):
        wrong(("inputs",), "it follows nothing: no input is observed", "Leave one to history", "nothing_observed")
    if not isinstance(spec.parameters, str):
        own = {one.name: one.unit for one in model.parameters}
        for name, value in spec.parameters.items():
            if name not in own:
                known = ", ".join(own) or "none"
                wrong(("parameters", name), f"'{name}' is no parameter of '{model.name}'", f"It has: {known}", "unknown_parameter")
            elif isinstance(value, QuantitySpec) and value.unit is not None:
                _same(value.unit, own[name], ("parameters", name, "unit"), document, problems)
    if spec.forecast is not None:
        for key, text in spec.forecast.model_dump(exclude_none=True).items():
            steps = duration_seconds(text) / model.step
            if abs(steps - round(steps)) > 1e-9 or not 1 <= round(steps) <= MAX_HORIZON_SAMPLES:
                message = f"{text} is not a whole number of the model's steps of {model.step:g} s, from 1 to {MAX_HORIZON_SAMPLES}"
                wrong(("forecast", key), message, "Choose a multiple of the step", "bad_horizon")
    if interface is None:
        return
    paths = ontology.paths(interface)
    outputs = {one.name: one for one in model.outputs}
    for name, path in spec.residuals.items():
        if name not in outputs or outputs[name].property is None:
            remedy = f"Those are: {', '.join(sorted(one.name for one in model.outputs if one.property)) or 'none'}"
            wrong(("residuals", name), f"'{name}' is no output of '{model.name}' that names a property", remedy, "unknown_output")
        elif path not in paths:
            wrong(("residuals", name), f"{interface} has no property '{path}'", "Declare it there, or name another", "unknown_path")
        else:
            _same(outputs[name].unit, paths[path].unit, ("residuals", name), document, problems)
    for port in model.inputs:
        if port.name not in spec.inputs and (port.property or port.name) not in paths:
            message = f"input '{port.name}' is read from '{port.property or port.name}', which {interface} does not have"
            wrong(("inputs",), message, f"Give it a constant: `inputs: {{{port.name}: {{constant: ...}}}}`", "unknown_path")


def _same(one: str | None, other: str | None, place: Location, document: Document, problems: Problems) -> None:
    try:
        same = units.compatible(one, other)
    except UnitError as error:
        problems.add(document.problem(place, error.what, error.remedy or "Correct the unit", "unknown_unit"))
        return
    if not same:
        message = f"{one or 'no unit'} and {other or 'no unit'} are not of one dimension"
        problems.add(document.problem(place, message, "Use a unit of the same dimension", "unit_dimension"))
