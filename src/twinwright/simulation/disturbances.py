"""What happens to inputs during a run: at a time, or when a condition first holds. Injected faults are among them.

    events:
      - {at: PT10M, input: u, stuck: true}                  a sensor that stays where it is
      - {at: PT10M, for: PT5M, input: u, add: 0.5}           a bias, for five minutes
      - {when: "y > 9 V", input: valve, constant: 0}         a valve that closes once the level is high

A condition is looked at in the samples of a finished run; where it first holds, the input is changed from the next sample on and the run
is repeated. Models are causal, so what was before stays as it was, and each kind of model can be asked, also one that can't be stopped.
The run that is kept is a plain run over the inputs that came of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from twinwright import units
from twinwright.clock import SECOND, format_duration, from_iso, to_iso
from twinwright.documents import Document, Problems, Spec
from twinwright.errors import ExpressionError, UsageError
from twinwright.expressions import Expression, Type, parse
from twinwright.simulation.declaration import DurationText, duration_seconds
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import Floats

MAX_EVENTS = 100


class DisturbanceSpec(Spec):
    """When it begins (`at` or `when`), how long it lasts, and what it does to one input."""

    at: str | None = Field(default=None, description="a duration since the run's beginning, or a time")
    when: str | None = Field(default=None, description="a condition over inputs and outputs; from the sample after it first holds")
    for_: DurationText | None = Field(default=None, alias="for", description="how long it lasts; to the end unless given")
    input: Annotated[str, Field(description="the model's input that is changed")]
    constant: float | None = Field(default=None, description="this value in place of the input's own: a closed valve")
    stuck: bool = Field(default=False, description="the value that it has when it begins: a stuck sensor")
    scale: float = Field(default=1.0, description="times this")
    add: float = Field(default=0.0, description="and plus this: a bias")
    unit: str | None = Field(default=None, description="of `constant` and `add`; the model's unless given")

    @field_validator("at")
    @classmethod
    def _is_a_time(cls, value: str | None) -> str | None:
        if value is not None:
            _moment(value)
        return value

    @model_validator(mode="after")
    def _makes_sense(self) -> DisturbanceSpec:
        if (self.at is None) == (self.when is None):
            raise ValueError("an event has either `at` or `when`")
        if self.stuck and self.constant is not None:
            raise ValueError("`stuck` and `constant` exclude each other; keep one of them")
        if not self.stuck and self.constant is None and self.scale == 1.0 and self.add == 0.0:
            raise ValueError("an event changes its input: add `constant`, `stuck`, `scale` or `add`")
        return self


@dataclass(frozen=True, slots=True)
class Disturbance:
    """See DisturbanceSpec. `at`: microseconds, since the beginning where `relative`; None where `when` decides."""

    input: str
    at: int | None
    relative: bool
    when: Expression | None
    lasting: int | None
    constant: float | None
    stuck: bool
    scale: float
    add: float
    unit: str | None

    @property
    def text(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        did = (
            "stuck" if self.stuck else f"{self.constant:g}{unit}" if self.constant is not None else f"x {self.scale:g} + {self.add:g}{unit}"
        )
        return f"{self.input} {did}"


@dataclass(frozen=True, slots=True)
class Fired:
    """An event that happened, from a sample of the grid on."""

    disturbance: Disturbance
    sample: int

    def told(self, grid: NDArray[np.int64]) -> dict[str, Any]:
        when = self.disturbance.when.text if self.disturbance.when else None
        lasting = None if self.disturbance.lasting is None else format_duration(self.disturbance.lasting)
        return {"time": to_iso(int(grid[self.sample])), "what": self.disturbance.text, "when": when, "for": lasting}


def read_disturbances(specs: Sequence[DisturbanceSpec], document: Document, problems: Problems) -> tuple[Disturbance, ...]:
    """The events of a scenario; conditions that can't be read go into `problems`."""
    found = []
    for index, one in enumerate(specs):
        try:
            when = parse(one.when) if one.when is not None else None
        except ExpressionError as error:
            told = f"'{one.when}' is not a condition: {error.what}"
            problems.add(document.problem(("events", index, "when"), told, error.remedy or "", "bad_condition"))
            continue
        at, relative = _moment(one.at) if one.at is not None else (None, True)
        lasting = round(duration_seconds(one.for_) * SECOND) if one.for_ else None
        found.append(Disturbance(one.input, at, relative, when, lasting, one.constant, one.stuck, one.scale, one.add, one.unit))
    return tuple(found)


def check_disturbances(
    disturbances: Sequence[Disturbance], definition: ModelDefinition, scope: Mapping[str, Type], document: Document, problems: Problems
) -> None:
    """Names, units and conditions against the model."""
    ports = {port.name: port.unit for port in definition.inputs}
    for index, one in enumerate(disturbances):
        place = ("events", index)
        if one.input not in ports:
            known = f"It has: {', '.join(ports)}" if ports else "It has none"
            problems.add(document.problem((*place, "input"), f"the model has no input '{one.input}'", known, "unknown_name"))
        elif one.unit is not None and not units.compatible(one.unit, ports[one.input]):
            message = f"'{one.unit}' can't be converted to the model's {ports[one.input] or 'plain number'}"
            problems.add(document.problem((*place, "unit"), message, "Use a unit of the same dimension", "unit_dimension"))
        if one.when is None:
            continue
        try:
            kind = one.when.check(scope).type.kind
        except ExpressionError as error:
            problems.add(document.problem((*place, "when"), f"{error.where}: {error.what}", error.remedy or "", "bad_condition"))
            continue
        if kind != "boolean":
            message = f"'{one.when.text}' is not a condition: it neither holds nor fails"
            problems.add(document.problem((*place, "when"), message, "Compare it with a limit: `y > 9 V`", "bad_condition"))


def timed(disturbances: Sequence[Disturbance], grid: NDArray[np.int64]) -> list[Fired]:
    """Those that begin at a time, from the first sample at or after it; none for a time past the end."""
    found = []
    for one in disturbances:
        if one.at is not None:
            sample = int(np.searchsorted(grid, one.at + (int(grid[0]) if one.relative else 0)))
            if sample < grid.size:
                found.append(Fired(one, sample))
    return found


def triggered(disturbances: Sequence[Disturbance], columns: Mapping[str, Floats], scope: Mapping[str, Type], count: int) -> Fired | None:
    """The condition that holds first, and the sample from which its change counts; None where none holds before the last sample."""
    earliest: Fired | None = None
    for one in disturbances:
        if one.when is None:
            continue
        values = {name: pl.Series(np.asarray(columns[name], np.float64)) for name in one.when.names}
        holds = one.when.check(scope).columns(values, count).fill_null(False).to_numpy()
        first = int(np.argmax(holds)) + 1
        if holds.any() and first < count and (earliest is None or first < earliest.sample):
            earliest = Fired(one, first)
    return earliest


def disturbed(inputs: Floats, fired: Sequence[Fired], definition: ModelDefinition, grid: NDArray[np.int64]) -> Floats:
    """Inputs (n, n_inputs) with every event in the order in which they begin."""
    changed = inputs.copy()
    ports = {port.name: (index, port.unit) for index, port in enumerate(definition.inputs)}
    for one in sorted(fired, key=lambda each: each.sample):
        what = one.disturbance
        column, unit = ports[what.input]
        end = None if what.lasting is None else int(np.searchsorted(grid, int(grid[one.sample]) + what.lasting))
        span = slice(one.sample, end)
        own = what.unit if what.unit is not None else unit
        base: Any = changed[span, column]
        if what.stuck:
            base = changed[one.sample, column]
        elif what.constant is not None:
            base = float(units.convert(what.constant, own, unit))
        changed[span, column] = base * what.scale + what.add * units.converter(own, unit).factor
    return changed


def _moment(text: str) -> tuple[int, bool]:
    """A duration since the beginning, or a time. Raises ValueError."""
    if text.strip().upper().startswith("P"):
        return (0, True) if text.strip().upper() in ("PT0S", "P0D") else (round(duration_seconds(text) * SECOND), True)
    try:
        return from_iso(text), False
    except UsageError as error:
        raise ValueError(str(error)) from None
