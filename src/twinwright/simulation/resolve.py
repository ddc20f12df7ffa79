"""A request becomes runs: `now`, `promoted`, replayed inputs, sweep points and ensemble members turn into plain numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinwright import units
from twinwright.clock import SECOND
from twinwright.errors import UsageError
from twinwright.simulation.definition import InputPort, ModelDefinition, Parameter
from twinwright.simulation.distributions import Distribution, drawn
from twinwright.simulation.disturbances import Fired, disturbed, timed
from twinwright.simulation.observed_inputs import InputSource, Observed, base_input, changed_input, initial_value
from twinwright.simulation.parameters import ParameterLookup, ParameterSet, draw, in_own_units, member_seed
from twinwright.simulation.protocol import Floats
from twinwright.simulation.registry import draws_numbers
from twinwright.simulation.run_digest import RunDigests
from twinwright.simulation.scenario import InputChange, Quantity, Scenario
from twinwright.simulation.sweeps import design_points, design_warning


@dataclass(frozen=True)
class ResolvedRun:
    """One run with everything decided; running it needs nothing else. `times` are seconds from `start` (microseconds)."""

    definition: ModelDefinition
    scenario: Scenario
    start: int
    times: Floats
    inputs: Floats  # (n, n_inputs), in the units of the ports
    parameters: Mapping[str, float]
    states: Mapping[str, float]  # initial values that the definition does not give
    seed: int
    parameter_set: str | None
    sweep: Mapping[str, float]
    member: int | None
    warnings: tuple[str, ...]
    grid: NDArray[np.int64]  # the times of the samples in microseconds
    digests: RunDigests
    fired: tuple[Fired, ...] = ()  # the events that are in the inputs already
    sources: tuple[InputSource, ...] = ()

    @cached_property
    def digest(self) -> str:
        """See `run_digest`."""
        return self.digests.of(self.parameters, self.states, self.times, self.inputs, self.seed)

    def payload(self, model: dict[str, Any]) -> dict[str, Any]:
        """What `worker.run` takes; `model` is the definition as data, which is the same for all runs of a request."""
        return {
            "model": model,
            "parameters": dict(self.parameters),
            "states": dict(self.states),
            "times": self.times,
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
    for point, distributions in _points(scenario, definition):
        for member in range(scenario.ensemble_size) if scenario.ensemble_size else (None,):
            seed = scenario.seed if member is None else member_seed(scenario.seed, member)
            calibrated = {} if member is None else _calibrated(scenario, definition, parameter_set, seed)
            changes, given = dict(scenario.inputs), dict[str, float]()
            for values, shapes in ((drawn(uncertain, seed), uncertain), (point, distributions)):
                _apply(definition, values, shapes, changes, given)
            inputs = disturbed(plain.sample(changes), fired, definition, grid) if fired else plain.sample(changes)
            found.append({"inputs": inputs, "parameters": {**base, **calibrated, **given}, "seed": seed, "sweep": point, "member": member})
    if (told := design_warning(scenario.design)) is not None:
        warnings.append(told)
    # Warnings of the inputs are of the whole request: what was replayed is the same for every run of it.
    common: dict[str, Any] = {
        "definition": definition,
        "scenario": scenario,
        "start": start,
        "times": times,
        "states": states,
        "parameter_set": parameter_set.id if parameter_set else None,
        "warnings": tuple(dict.fromkeys(warnings)),
        "grid": grid,
        "digests": digests,
        "fired": fired,
        "sources": tuple(plain.sources.values()),
    }
    return [ResolvedRun(**common, **one) for one in found]


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
        """One array for all runs whose inputs nothing changes: it is sent, kept and hashed once."""
        if any(one is not self.common.get(name) for name, one in changes.items()):
            return self._sampled(changes)
        if self.all_the_same is None:
            self.all_the_same = self._sampled(changes)
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


def _apply(
    definition: ModelDefinition,
    values: Mapping[str, float],
    shapes: Mapping[str, Distribution],
    changes: dict[str, InputChange],
    given: dict[str, float],
) -> None:
    """Put values by name into the input changes and parameters; each in the unit of its distribution, where it has one."""
    ports = {port.name: port.unit for port in definition.inputs}
    for name, value in values.items():
        unit = shapes[name].unit if name in shapes else None
        port, dot, what = name.partition(".")
        if not dot or definition.parameter(name):  # a parameter of a component has a dot in its name, too
            given |= in_own_units(definition, {name: Quantity(value, unit)})
            continue
        change = changes.get(port, InputChange())
        own = change.unit if change.unit is not None else ports[port]
        if what == "constant":
            number = value if unit is None else float(units.convert(value, unit, own))
            changes[port] = replace(change, constant=number, series=None)
        elif what == "scale":
            changes[port] = replace(change, scale=value)
        else:
            changes[port] = replace(change, add=value if unit is None else value * units.converter(unit, own).factor)


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
