"""Events of differential equations: the instants at which a function crosses zero, found by SciPy's solvers, and what then happens.

Integration stops at the crossing; a reset puts other states in place, a terminal event keeps them as they are for the rest of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field

from twinwright.documents import Spec
from twinwright.simulation.declaration import Name
from twinwright.simulation.protocol import Floats, Happening, ModelError

MAX_EVENTS_PER_SAMPLE = 1000
ENDED = b"ended"  # the mark of a state in which a terminal event has happened
_JUST_AFTER = 1e-9  # of the interval
_DIRECTIONS = {"either": 0.0, "rising": 1.0, "falling": -1.0}


class EventSpec(Spec):
    """What happens when `when(t, x, u, p)` crosses zero: the states become `reset(t, x, u, p)`, or stay for ever, or it is only told."""

    name: Name = Field(description="by which the run tells that it happened")
    when: str = Field(description="when(t, x, u, p) -> a number whose zero crossing it is: ball.py:height")
    direction: Literal["either", "rising", "falling"] = Field(default="either", description="which crossings count")
    reset: str | None = Field(default=None, description="reset(t, x, u, p) -> the states after it: ball.py:bounce")
    terminal: bool = Field(default=False, description="the states stay as they are for the rest of the run")


@dataclass(frozen=True, slots=True)
class Crossing:
    """A declared event with its functions loaded."""

    name: str
    when: Callable[..., Any]
    direction: float
    reset: Callable[..., Any] | None
    terminal: bool

    @property
    def stops(self) -> bool:
        """Whether the states are others afterwards, or the same for ever."""
        return self.terminal or self.reset is not None

    @classmethod
    def of(cls, spec: EventSpec, load: Callable[[str], Callable[..., Any]]) -> Crossing:
        return cls(spec.name, load(spec.when), _DIRECTIONS[spec.direction], load(spec.reset) if spec.reset else None, spec.terminal)


@dataclass(frozen=True, slots=True)
class Solver:
    """How SciPy integrates."""

    method: str
    rtol: float
    atol: float
    max_step: float


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval between samples: the inputs at a time within it, and the right-hand side."""

    start: float
    end: float
    inputs_at: Callable[[float], Floats]
    rhs: Callable[[float, Floats], Floats]


def integrate(
    interval: Interval, x: Floats, parameters: Floats, crossings: Sequence[Crossing], solver: Solver
) -> tuple[Floats | None, list[Happening], bool]:
    """(the states at the end or None where the solver gave up, what happened, whether it ended for good). Raises ModelError."""
    from scipy import integrate as scipy_integrate

    solve_ivp: Any = scipy_integrate.solve_ivp  # its types ask for the method as a literal
    happened: list[Happening] = []
    time = interval.start
    while True:
        found = solve_ivp(
            interval.rhs,
            (time, interval.end),
            x,
            method=solver.method,
            t_eval=[interval.end],
            events=[_Watched(one, interval, parameters, time, x) for one in crossings] or None,
            rtol=solver.rtol,
            atol=solver.atol,
            max_step=solver.max_step,
        )
        happened += sorted(_told(found, crossings), key=lambda one: one.time)
        if found.status == 0 and found.y.size:
            return found.y[:, -1], happened, False
        if found.status != 1:
            return None, happened, False
        time, one, x = _stopped(found, crossings)
        if one.terminal:
            return x, happened, True
        x = _reset(one, time, x, interval.inputs_at(time), parameters)
        if len(happened) > MAX_EVENTS_PER_SAMPLE:
            message = f"event '{one.name}' happens more than {MAX_EVENTS_PER_SAMPLE} times between two samples, last at t = {time:g} s"
            raise ModelError("refused", message, remedy="Let what repeats ever faster come to rest: add a terminal event or a dead zone")
        if time >= interval.end:
            return x, happened, False


class _Watched:
    """The function whose sign is watched, with what SciPy asks of it. At the beginning it has the sign of just after: what began at zero
    has not crossed it."""

    def __init__(self, one: Crossing, interval: Interval, parameters: Floats, start: float, x0: Floats) -> None:
        self.terminal, self.direction = one.stops, one.direction
        self._when, self._inputs_at, self._parameters, self._start = one.when, interval.inputs_at, parameters, start
        shift = _JUST_AFTER * (interval.end - interval.start)
        self._after = self._value(start + shift, x0 + shift * interval.rhs(start, x0))

    def __call__(self, t: float, x: Floats) -> float:
        return self._after if t == self._start else self._value(t, x)

    def _value(self, t: float, x: Floats) -> float:
        return float(self._when(t, x.copy(), self._inputs_at(t), self._parameters.copy()))


def _told(found: Any, crossings: Sequence[Crossing]) -> list[Happening]:
    """What happened up to where the solver came. Of several that stop it, the first to be declared is the one that did."""
    stop = _stopped(found, crossings) if found.status == 1 else None
    told = [Happening(stop[0], stop[1].name)] if stop else []
    for one, times in zip(crossings, found.t_events or (), strict=False):
        if not one.stops:
            told += [Happening(float(time), one.name) for time in times if stop is None or time <= stop[0]]
    return told


def _stopped(found: Any, crossings: Sequence[Crossing]) -> tuple[float, Crossing, Floats]:
    """The time, the event and the states at which the solver was stopped."""
    stops = [index for index, times in enumerate(found.t_events) if crossings[index].stops and times.size]
    index = min(stops, key=lambda one: (float(found.t_events[one][-1]), one))
    return float(found.t_events[index][-1]), crossings[index], np.asarray(found.y_events[index][-1], np.float64)


def _reset(one: Crossing, time: float, x: Floats, u: Floats, parameters: Floats) -> Floats:
    after = np.atleast_1d(np.asarray(one.reset(time, x.copy(), u, parameters.copy()), np.float64)) if one.reset else x
    if after.shape != x.shape:
        raise ModelError("raised", f"the reset of event '{one.name}' returned {after.size} numbers, {x.size} states are declared")
    return after
