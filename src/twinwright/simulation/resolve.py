"""A request becomes runs: `now`, `promoted`, replayed inputs, sweep points and ensemble members turn into plain numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from twinwright import units
from twinwright.clock import SECOND, format_duration, to_iso
from twinwright.errors import UsageError
from twinwright.simulation.definition import InputPort, ModelDefinition, Parameter
from twinwright.simulation.distributions import Distribution, drawn
from twinwright.simulation.disturbances import Fired, disturbed, timed
from twinwright.simulation.findings import limited
from twinwright.simulation.observed_inputs import InputSource, Observed, base_input, changed_input, initial_value
from twinwright.simulation.parameters import ParameterLookup, ParameterSet, declared_parameter, draw, in_own_units, member_seed
from twinwright.simulation.protocol import Floats
from twinwright.simulation.registry import draws_numbers
from twinwright.simulation.run_digest import RunDigests
from twinwright.simulation.scenario import InputChange, Scenario
from twinwright.simulation.sweeps import design_points, design_warning


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What the runs that a scenario asks for of one twin have in common. `times` are seconds from `start` (microseconds)."""

    definition: ModelDefinition
    scenario: Scenario
    start: int
    times: Floats
    states: Mapping[str, float]  # initial values that the definition does not give
    parameter_set: str | None
    warnings: tuple[str, ...]
    grid: NDArray[np.int64]  # the times of the samples in microseconds
    sources: tuple[InputSource, ...]
    digests: RunDigests
    looks: bool  # whether there is anything that trajectories are looked at for


class ResolvedRun(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One run with everything decided; running it needs nothing else."""

    asked: Asked
    inputs: Floats  # (n, n_inputs), in the units of the ports
    parameters: Mapping[str, float]
    seed: int
    sweep: Mapping[str, float]
    member: int | None
    changes: Mapping[str, InputChange]  # of its inputs, by name
    fired: tuple[Fired, ...]  # the events that are in the inputs already
    digest: str  # see `run_digest`

    def with_event(self, found: Fired) -> ResolvedRun:
        """The run with one more event in its inputs."""
        asked = self.asked
        inputs = disturbed(self.inputs, [found], asked.definition, asked.grid)
        digest = asked.digests.of(self.parameters, asked.states, asked.times, inputs, self.seed)
        return msgspec.structs.replace(self, inputs=inputs, fired=(*self.fired, found), digest=digest)

    def payload(self, model: dict[str, Any]) -> dict[str, Any]:
        """What `worker.run` takes; `model` is the definition as data, which is the same for all runs of a request."""
        return {
            "model": model,
            "parameters": self.parameters,
            "states": self.asked.states,
            "times": self.asked.times,
            "inputs": self.inputs,
            "seed": self.seed,
        }


def resolve(
    scenario: Scenario, definition: ModelDefinition, observed: Observed, parameters_for: ParameterLookup, now: int
) -> list[ResolvedRun]:
    """The runs that a scenario asks for: every point of its sweep, for every member of its ensemble.

    Raises UsageError, NotFoundError, UnitError where inputs, initial states or parameters can't be had.
    """
    start = now if scenario.start is None else scenario.start
    grid = _grid(scenario, definition, start)
    warnings: list[str] = []
    base, parameter_set = _parameters(scenario, definition, observed, parameters_for, warnings)
    states = {one.name: initial_value(one, observed, start) for one in definition.states if one.start is None}
    plain = _Inputs(definition, observed, start, grid, warnings, scenario.inputs)
    uncertain = {name: bounded(one, definition.parameter(name)) for name, one in scenario.uncertain.items()}
    fired, times = tuple(timed(scenario.events, grid)), (grid - start) / SECOND
    digests, found = RunDigests(definition), list[dict[str, Any]]()
    setters: dict[tuple[str, str | None], _Setter] = {}
    for point, distributions in _points(scenario, definition):
        for member in range(scenario.ensemble_size) if scenario.ensemble_size else (None,):
            seed = scenario.seed if member is None else member_seed(scenario.seed, member)
            parameters, changes = dict(base), dict[str, InputChange]()
            if member is not None:
                parameters.update(_calibrated(scenario, definition, parameter_set, seed))
            given = [(drawn(uncertain, seed), uncertain)] if uncertain else []
            for values, shapes in (*given, (point, distributions)):
                for name, value in values.items():
                    what = name, shapes[name].unit if name in shapes else None
                    if what not in setters:
                        setters[what] = _setter(definition, scenario.inputs, *what)
                    setters[what](value, parameters, changes)
            inputs = plain.sample(changes)
            inputs = disturbed(inputs, fired, definition, grid) if fired else inputs
            told = {**scenario.inputs, **changes} if changes else scenario.inputs
            found.append({"inputs": inputs, "parameters": parameters, "seed": seed, "sweep": point, "member": member, "changes": told})
    if (unbalanced := design_warning(scenario.design)) is not None:
        warnings.append(unbalanced)
    if uncertain and not scenario.ensemble_size:
        names = ", ".join(f"'{name}'" for name in uncertain)
        warnings.append(f"one draw of the distribution of {names} is run: give `ensemble: {{size: ...}}` for more")
    warnings += _without_effect(scenario, grid, fired)
    # Warnings of the inputs are of the whole request: what was replayed is the same for every run of it.
    origin = parameter_set.id if parameter_set else None
    told_once, sources = tuple(dict.fromkeys(warnings)), tuple(plain.sources.values())
    looks = bool(scenario.constraints) or limited(definition)
    asked = Asked(definition, scenario, start, times, states, origin, told_once, grid, sources, digests, looks)
    of = digests.of
    return [
        ResolvedRun(asked, **one, fired=fired, digest=of(one["parameters"], states, times, one["inputs"], one["seed"])) for one in found
    ]


def _points(scenario: Scenario, definition: ModelDefinition) -> Iterator[tuple[dict[str, float], Mapping[str, Distribution]]]:
    """The points of a sweep, and for those of a design the distributions that say in which units they are."""
    if scenario.design is None:
        for values in itertools.product(*scenario.sweep.values()):
            yield dict(zip(scenario.sweep, values, strict=True)), {}
        return
    ranges = {name: bounded(one, definition.parameter(name)) for name, one in scenario.ranges.items()}
    for point in design_points(scenario.design, ranges, definition, scenario.seed, scenario.file):
        yield point, ranges


def _calibrated(scenario: Scenario, definition: ModelDefinition, found: ParameterSet | None, seed: int) -> dict[str, float]:
    """What a member draws from the calibration. Where something else differs between members, there need not be one."""
    otherwise = bool(scenario.uncertain) or not isinstance(scenario.parameters, str) or draws_numbers(definition)
    if otherwise and (found is None or found.covariance is None or not found.order):
        return {}
    return draw(definition, found, seed)


class _Inputs:
    """Samples each input once: the points of a sweep scale and shift what was sampled."""

    def __init__(
        self,
        definition: ModelDefinition,
        observed: Observed,
        start: int,
        grid: NDArray[np.int64],
        warnings: list[str],
        common: Mapping[str, InputChange],
    ) -> None:
        self.common = common
        self.all_the_same: Floats | None = None
        self.definition, self.observed, self.start, self.grid, self.warnings = definition, observed, start, grid, warnings
        self.bases: dict[tuple[str, float | None, str | None], Floats] = {}
        self.sources: dict[str, InputSource] = {}

    def sample(self, changes: Mapping[str, InputChange]) -> Floats:
        """`changes` are a run's own. One array for all runs that have none: it is sent, kept and hashed once."""
        if changes:
            return self._sampled({**self.common, **changes})
        if self.all_the_same is None:
            self.all_the_same = self._sampled(self.common)
        return self.all_the_same

    def _sampled(self, changes: Mapping[str, InputChange]) -> Floats:
        columns = [self._column(port, changes.get(port.name, InputChange())) for port in self.definition.inputs]
        return np.ascontiguousarray(np.column_stack(columns)) if columns else np.empty((self.grid.size, 0))

    def _tell(self, source: InputSource) -> None:
        self.sources[source.name] = source

    def _column(self, port: InputPort, change: InputChange) -> Floats:
        origin = replace(change, scale=1.0, add=0.0)
        key = (port.name, change.constant, change.unit)
        if key not in self.bases:
            self.bases[key] = base_input(port, origin, self.observed, self.start, self.grid, self.warnings.append, self._tell)
        return changed_input(port, change, self.bases[key])


def _grid(scenario: Scenario, definition: ModelDefinition, start: int) -> NDArray[np.int64]:
    step = round(definition.step * SECOND)
    if scenario.horizon < step:
        raise UsageError(
            f"the horizon of {scenario.horizon / SECOND:g} s is shorter than one step of {definition.name} ({definition.step:g} s)",
            where=scenario.file,
            remedy="Lengthen `horizon`",
        )
    return start + step * np.arange(scenario.horizon // step + 1, dtype=np.int64)


def _without_effect(scenario: Scenario, grid: NDArray[np.int64], fired: Sequence[Fired]) -> Iterator[str]:
    """What is asked and does not come to pass: the end of a horizon between two samples, and events after the last one."""
    if (left := scenario.horizon - int(grid[-1] - grid[0])) > 0:
        last = f"the last sample is at {to_iso(int(grid[-1]))}, {format_duration(left)} before the end"
        yield f"{last}: the horizon is no whole number of steps"
    happened = [one.disturbance for one in fired]
    for one in scenario.events:
        if one.at is not None and one not in happened:
            yield f"the event '{one.text}' is after the last sample, and changes nothing"


def _parameters(
    scenario: Scenario, definition: ModelDefinition, observed: Observed, parameters_for: ParameterLookup, warnings: list[str]
) -> tuple[dict[str, float], ParameterSet | None]:
    declared = definition.defaults()
    if not isinstance(scenario.parameters, str):
        return {**declared, **in_own_units(definition, scenario.parameters)}, None
    found = parameters_for(observed.principal, definition.name, scenario.parameters)
    if found is None:
        warnings.append(f"no parameters are promoted for {definition.name}: the values declared in {definition.file} are used")
        return declared, None
    if found.model_version != definition.version:
        warnings.append(f"parameter set {found.id} is of version {found.model_version} of {definition.name}, this is {definition.version}")
    known = {name: quantity for name, quantity in found.values.items() if definition.parameter(name)}
    gone = sorted(set(found.values) - set(known))
    warnings += [f"parameter set {found.id} has '{name}', which {definition.name} does not declare any more" for name in gone]
    return {**declared, **in_own_units(definition, known)}, found


_Setter = Callable[[float, dict[str, float], dict[str, InputChange]], None]
"""Puts a value into the parameters or input changes of a run."""


def _setter(definition: ModelDefinition, common: Mapping[str, InputChange], name: str, unit: str | None) -> _Setter:
    """For values of a name in a unit (None: that of what it is given for), where all runs have the `common` changes of their inputs.
    Raises UsageError, UnitError."""
    port, dot, what = name.partition(".")
    if not dot or definition.parameter(name):  # a parameter of a component has a dot in its name, too
        own = declared_parameter(definition, name).unit
        convert = units.converter(own if unit is None else unit, own).apply

        def set_parameter(value: float, parameters: dict[str, float], _changes: dict[str, InputChange]) -> None:
            parameters[name] = convert(value)

        return set_parameter
    own = next(one.unit for one in definition.inputs if one.name == port)

    def change_input(value: float, _parameters: dict[str, float], changes: dict[str, InputChange]) -> None:
        change = changes.get(port) or common.get(port) or InputChange()
        if what == "constant":
            target = change.unit if change.unit is not None else own
            number = value if unit is None else float(units.convert(value, unit, target))
            changes[port] = replace(change, constant=number, series=None)
        elif what == "scale":
            changes[port] = replace(change, scale=value)
        else:
            changes[port] = replace(change, add=value if unit is None else value * units.converter(unit, own).factor)

    return change_input


def bounded(one: Distribution, parameter: Parameter | None) -> Distribution:
    """A distribution cut off at the bounds of the parameter that it is given for, too. Raises UsageError where nothing is left of it."""
    if parameter is None or parameter.bounds is None:
        return one
    unit = one.unit if one.unit is not None else parameter.unit
    low, high = (None if edge is None else float(units.convert(edge, parameter.unit, unit)) for edge in parameter.bounds)
    lows, highs = [each for each in (low, one.low) if each is not None], [each for each in (high, one.high) if each is not None]
    cut = replace(one, low=max(lows) if lows else None, high=min(highs) if highs else None)
    below, above = cut.share_within()
    if not below < above:
        message = f"nothing of the distribution of '{parameter.name}' lies within its bounds"
        raise UsageError(message, where=parameter.name, remedy="Change the distribution, or the bounds in the model")
    return cut
