"""`scenarios/*.yaml`: a question to a model, checked whole; units are converted to the model's when it is resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from twinwright import units
from twinwright.clock import SECOND, from_iso
from twinwright.documents import Document, Location, Problems, Spec, byte_count
from twinwright.errors import ExpressionError, UnitError, UsageError
from twinwright.expressions import Expression, Type, parse
from twinwright.simulation.declaration import DurationText, duration_seconds
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.distributions import DESIGNS, Design, Distribution, DistributionSpec
from twinwright.simulation.disturbances import MAX_EVENTS, Disturbance, DisturbanceSpec, check_disturbances, read_disturbances
from twinwright.simulation.fleets import check_fleet, fleet_of
from twinwright.simulation.given_series import GivenSeries, read_csv
from twinwright.simulation.outcomes import Limits
from twinwright.simulation.sweeps import read_design

MAX_RUNS = 100_000
MAX_SAMPLES = 10_000_000
CHANGES = ("scale", "add", "constant")


class InputChangeSpec(Spec):
    """Where an input comes from (replayed history, unless `constant` or `series`), then `value * scale + add`.

    `unit` is of `constant`, `add` and the series; without it they are in the model's unit.
    """

    constant: float | DistributionSpec | None = Field(default=None, description="this value throughout, in place of history")
    series: str | None = Field(default=None, description="a CSV file beside the scenario, in place of history")
    scale: float | DistributionSpec = Field(default=1.0, description="times this")
    add: float | DistributionSpec = Field(default=0.0, description="and plus this")
    unit: str | None = Field(default=None, description="of `constant`, `add` and the series; the model's unless given")
    bridge: DurationText | None = Field(default=None, description="the longest gap in history that is bridged; a longer one is an error")

    @model_validator(mode="after")
    def _one_origin(self) -> InputChangeSpec:
        if self.constant is not None and self.series is not None:
            raise ValueError("`constant` and `series` exclude each other; keep one of them")
        return self


class QuantitySpec(Spec):
    """A parameter value with its unit; without a unit, in the parameter's own."""

    value: float = Field(description="a number")
    unit: str | None = Field(default=None, description="the parameter's own unless given")


class EnsembleSpec(Spec):
    """How many members, and the seed from which each member's own is derived by its index."""

    size: Annotated[int, Field(ge=1, le=MAX_RUNS, description="how many members")]
    seed: Annotated[int, Field(ge=0, lt=2**63, description="from which each member's own is derived")] = 0


class LimitsSpec(Spec):
    """What one run may use."""

    wall: DurationText = Field(default="PT5M", description="the longest time a run may take")
    memory: str | int = Field(default="1GiB", description="the most memory it may have: bytes, or 512MiB, 1GiB")

    @field_validator("memory")
    @classmethod
    def _memory_is_a_size(cls, value: str | int) -> str | int:
        byte_count(value)
        return value


class ScenarioSpec(Spec):
    """A scenario file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128, description="by which `simulate` calls it")]
    model: str = Field(description="the model's name")
    twin: Any = Field(
        description="the id of the twin, a list of ids, `{interface: DTMI}` for all twins of an interface, or a query that selects twins"
    )
    from_: str = Field(alias="from", description="initial state and inputs as of then: a time, or `now`")
    horizon: DurationText = Field(description="how long, such as PT1H; the last sample is at its end")
    inputs: dict[str, Literal["replay"] | InputChangeSpec] = Field(default_factory=dict, description="by the model's names")
    parameters: str | dict[str, float | QuantitySpec | DistributionSpec] = Field(
        default="promoted", description="`promoted`, the id of a parameter set, or values or distributions by name"
    )
    sweep: dict[str, Any] = Field(
        default_factory=dict,
        description="lists of values by parameter or input change: a run for each combination; "
        "or `lhs: 64` or `sobol: 128` points over ranges or distributions (without any: over the bounds of the parameters)",
    )
    events: list[DisturbanceSpec] = Field(default_factory=list, max_length=MAX_EVENTS, description="what happens to inputs, and faults")
    publish: bool = Field(default=False, description="put the outputs that name a property on the twin's `simulated` lane")
    ensemble: EnsembleSpec | None = Field(default=None, description="members with parameters drawn from the calibrated distribution")
    seed: Annotated[int, Field(ge=0, lt=2**63, description="of a model that draws random numbers")] = 0
    constraints: list[str] = Field(default_factory=list, description="such as `y < 9.5 V`; each is reported as kept or violated")
    limits: LimitsSpec = Field(default=LimitsSpec(), description="what a run may use")

    @field_validator("from_")
    @classmethod
    def _from_is_a_time(cls, value: str) -> str:
        if value != "now":
            try:
                from_iso(value)
            except UsageError as error:
                raise ValueError(str(error)) from None
        return value


@dataclass(frozen=True, slots=True)
class InputChange:
    """See InputChangeSpec."""

    constant: float | None = None
    series: GivenSeries | None = None
    scale: float = 1.0
    add: float = 0.0
    unit: str | None = None
    bridge: int | None = None  # microseconds


@dataclass(frozen=True, slots=True)
class Constraint:
    """What must hold at every sample: an expression over inputs and outputs."""

    expression: Expression

    @property
    def text(self) -> str:
        return self.expression.text


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value in a unit; None: the unit of what it is given for."""

    value: float
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A question: which model of which twin, from when and how long, with what changed, and what must hold."""

    name: str
    model: str
    twin: str  # of a fleet: the first of its list, or nothing
    start: int | None  # microseconds; None: now
    horizon: int  # microseconds
    inputs: Mapping[str, InputChange]
    parameters: str | Mapping[str, Quantity]  # `promoted`, the id of a parameter set, or values
    sweep: Mapping[str, tuple[float, ...]]
    ensemble_size: int | None
    seed: int
    constraints: tuple[Constraint, ...]
    limits: Limits
    file: str
    twins: tuple[str, ...] = ()  # a fleet: in place of `twin`
    of_interface: str | None = None  # a fleet: all twins of it
    of_query: str | None = None  # a fleet: the twins that it selects when it is asked
    uncertain: Mapping[str, Distribution] = field(default_factory=dict)  # parameters, and `input.change`
    design: tuple[Design, int] | None = None
    ranges: Mapping[str, Distribution] = field(default_factory=dict)  # what the design covers
    events: tuple[Disturbance, ...] = ()
    publish: bool = False

    @property
    def selects(self) -> bool:
        """Whether its twins are selected, and not named."""
        return self.of_interface is not None or self.of_query is not None


def parse_scenario(document: Document, problems: Problems, folder: Path | None = None) -> Scenario | None:
    """The scenario that a document describes; series are read from `folder` (default: the document's own).

    What is wrong goes into `problems`, and None comes back.
    """
    before = len(problems)
    spec = document.parse(ScenarioSpec, problems)
    if spec is None:
        return None
    check_fleet(spec.twin, document, problems)
    if spec.publish and (spec.sweep or spec.ensemble):
        message = "which of several runs should the lane show?"
        problems.add(document.problem(("publish",), message, "Publish a scenario of one run", "many_runs"))
    inputs = _inputs(spec, document, problems, folder or Path(document.file).parent)
    sweep = _sweep(spec, document, problems)
    constraints = _constraints(spec, document, problems)
    given = spec.parameters if isinstance(spec.parameters, str) else dict(spec.parameters)
    parameters = given if isinstance(given, str) else {n: _quantity(v) for n, v in given.items() if not isinstance(v, DistributionSpec)}
    design, ranges = read_design(spec.sweep, document, problems)
    events = read_disturbances(spec.events, document, problems)
    if len(problems) > before:
        return None
    fleet = fleet_of(spec.twin)
    return Scenario(
        name=spec.name,
        model=spec.model,
        twin=fleet.twins[0] if fleet.twins else "",
        start=None if spec.from_ == "now" else from_iso(spec.from_),
        horizon=round(duration_seconds(spec.horizon) * SECOND),
        inputs=inputs,
        parameters=parameters,
        sweep=sweep,
        ensemble_size=spec.ensemble.size if spec.ensemble else None,
        seed=spec.ensemble.seed if spec.ensemble else spec.seed,
        constraints=constraints,
        limits=Limits(wall_seconds=duration_seconds(spec.limits.wall), memory_bytes=byte_count(spec.limits.memory)),
        file=document.file,
        twins=fleet.twins if len(fleet.twins) > 1 else (),
        of_interface=fleet.interface,
        of_query=fleet.query,
        uncertain=_uncertain(spec),
        design=design,
        ranges=ranges,
        events=events,
        publish=spec.publish,
    )


def check_scenario(scenario: Scenario, definition: ModelDefinition, problems: Problems, document: Document) -> None:
    """Check names and units against the model that the scenario asks."""
    ports = {port.name: port.unit for port in definition.inputs}
    for name, change in scenario.inputs.items():
        if name not in ports:
            _unknown(("inputs", name), name, "input", list(ports), problems, document)
        elif change.unit is not None:
            _same_dimension(("inputs", name, "unit"), change.unit, ports[name], problems, document)
    own = {one.name: one.unit for one in definition.parameters}
    if not isinstance(scenario.parameters, str):
        for name, quantity in scenario.parameters.items():
            if name not in own:
                _unknown(("parameters", name), name, "parameter", list(own), problems, document)
            elif quantity.unit is not None:
                _same_dimension(("parameters", name, "unit"), quantity.unit, own[name], problems, document)
    sweepable = [*own, *(f"{name}.{change}" for name in ports for change in CHANGES)]
    for name in scenario.sweep:
        if name not in sweepable:
            _unknown(("sweep", name), name, "parameter or input change", sweepable, problems, document)
    for name, one in {**scenario.uncertain, **scenario.ranges}.items():
        section: Location = ("sweep", name) if name in scenario.ranges else ("parameters", name)
        if name not in sweepable:
            _unknown(section, name, "parameter or input change", sweepable, problems, document)
        elif one.unit is not None:
            _same_dimension((*section, "unit"), one.unit, own.get(name, ports.get(name.partition(".")[0])), problems, document)
    check_disturbances(scenario.events, definition, scope_of(definition), document, problems)
    for index, constraint in enumerate(scenario.constraints):
        _check_constraint(constraint, scope_of(definition), ("constraints", index), problems, document)
    if scenario.horizon / SECOND / definition.step > MAX_SAMPLES:
        message = f"more than {MAX_SAMPLES} samples of {definition.step:g} s"
        problems.add(document.problem(("horizon",), message, "Shorten the horizon or lengthen the model's step", "too_large"))


def scope_of(definition: ModelDefinition) -> dict[str, Type]:
    """What the names in a constraint stand for: the model's inputs and outputs."""
    ports = {port.name: port.unit for port in definition.inputs} | {port.name: port.unit for port in definition.outputs}
    return {name: Type("number", units.canonical(unit)) for name, unit in ports.items()}


def _check_constraint(constraint: Constraint, scope: Mapping[str, Type], place: Location, problems: Problems, document: Document) -> None:
    for name in constraint.expression.names:
        if name not in scope:
            _unknown(place, name, "input or output", list(scope), problems, document)
            return
    try:
        kind = constraint.expression.check(scope).type.kind
    except ExpressionError as error:
        problems.add(document.problem(place, f"{error.where}: {error.what}", error.remedy or "", "bad_constraint"))
        return
    if kind != "boolean":
        remedy = "Compare it with a limit: `y < 9.5 V`"
        problems.add(
            document.problem(place, f"'{constraint.text}' is not a constraint: it neither holds nor fails", remedy, "bad_constraint")
        )


def _quantity(value: float | QuantitySpec) -> Quantity:
    return Quantity(value.value, value.unit) if isinstance(value, QuantitySpec) else Quantity(float(value))


def _inputs(spec: ScenarioSpec, document: Document, problems: Problems, folder: Path) -> dict[str, InputChange]:
    changes: dict[str, InputChange] = {}
    for name, given in spec.inputs.items():
        if isinstance(given, str):
            changes[name] = InputChange()
            continue
        place: Location = ("inputs", name, "series")
        series = read_csv(folder, given.series, place, document, problems) if given.series is not None else None
        _known_unit(("inputs", name, "unit"), given.unit, problems, document)
        constant, scale, add = (None if isinstance(one, DistributionSpec) else one for one in (given.constant, given.scale, given.add))
        bridge = None if given.bridge is None else round(duration_seconds(given.bridge) * SECOND)
        if isinstance(given.constant, DistributionSpec):
            constant = 0.0  # drawn for each member
        changes[name] = InputChange(constant, series, 1.0 if scale is None else scale, add or 0.0, given.unit, bridge)
    return changes


def _sweep(spec: ScenarioSpec, document: Document, problems: Problems) -> dict[str, tuple[float, ...]]:
    grid: dict[str, tuple[float, ...]] = {}
    runs = spec.ensemble.size if spec.ensemble else 1
    if any(name in spec.sweep for name in DESIGNS):
        return grid
    for name, values in spec.sweep.items():
        place = ("sweep", name)
        if isinstance(values, dict):
            remedy = "Say how many points: `{lhs: 64, " + name + ": ...}`"
            problems.add(document.problem(place, f"'{name}' has a distribution, and no design draws from it", remedy, "bad_sweep"))
        elif not isinstance(values, list) or not values or not all(_is_finite_number(value) for value in values):
            problems.add(document.problem(place, f"'{name}' has no list of numbers", "Write `[0.8, 1.0, 1.2]`", "bad_sweep"))
        else:
            grid[name] = tuple(float(value) for value in values)
            runs *= len(values)
    if runs > MAX_RUNS:
        problems.add(document.problem(("sweep",), f"{runs} runs", f"At most {MAX_RUNS}: use fewer values", "too_large"))
    return grid


def _uncertain(spec: ScenarioSpec) -> dict[str, Distribution]:
    """Distributions by the name of a parameter, or by `input.change`."""
    given = {} if isinstance(spec.parameters, str) else spec.parameters
    found = {name: one.made() for name, one in given.items() if isinstance(one, DistributionSpec)}
    for name, change in spec.inputs.items():
        for what in CHANGES:
            one = getattr(change, what, None)
            if isinstance(one, DistributionSpec):
                found[f"{name}.{what}"] = one.made()
    return found


def _is_finite_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _constraints(spec: ScenarioSpec, document: Document, problems: Problems) -> tuple[Constraint, ...]:
    found = []
    for index, text in enumerate(spec.constraints):
        try:
            found.append(Constraint(parse(text)))
        except ExpressionError as error:
            remedy = f"{error.remedy}. A constraint compares with a limit: `y < 9.5 V`"
            problems.add(document.problem(("constraints", index), f"'{text}' is not a constraint: {error.what}", remedy, "bad_constraint"))
    return tuple(found)


def _known_unit(place: Location, unit: str | None, problems: Problems, document: Document) -> None:
    try:
        units.canonical(unit)
    except UnitError as error:
        problems.add(document.problem(place, error.what, error.remedy or "Correct the unit", "unknown_unit"))


def _same_dimension(place: Location, given: str, own: str | None, problems: Problems, document: Document) -> None:
    if not units.compatible(given, own):
        message = f"'{given}' can't be converted to the model's {own or 'plain number'}"
        problems.add(document.problem(place, message, "Use a unit of the same dimension", "unit_dimension"))


def _unknown(place: Location, name: str, what: str, known: list[str], problems: Problems, document: Document) -> None:
    remedy = f"It has: {', '.join(known)}" if known else "It has none"
    problems.add(document.problem(place, f"the model has no {what} '{name}'", remedy, "unknown_name"))
