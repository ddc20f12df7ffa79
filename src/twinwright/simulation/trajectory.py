"""What kinds of model have in common: where a run starts, and that every number of it is finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import Floats, ModelError, State

_SPENT = b"spent"  # the mark of a state that was reached and can't be gone on from


def initial_state(definition: ModelDefinition, parameters: Mapping[str, float], states: Mapping[str, float], time: float) -> State:
    """The declared starts, less what `states` overrides. Raises ModelError (`refused`) for a state that starts nowhere."""
    defaults = definition.defaults()
    values = defaults | dict(parameters)
    unknown = parameters.keys() - defaults.keys() | states.keys() - {one.name for one in definition.states}
    if unknown:
        raise ModelError("refused", f"'{sorted(unknown)[0]}' is no parameter or state of {definition.name}")
    start: list[float] = []
    for state in definition.states:
        if state.name in states:
            start.append(float(states[state.name]))
        elif isinstance(state.start, str):
            start.append(values[state.start] * state.scale + state.offset)
        elif state.start is not None:
            start.append(float(state.start))
        else:
            raise ModelError("refused", f"state '{state.name}' has no start", remedy="Give it in `states`")
    arguments = np.array([values[one.name] for one in definition.arguments], np.float64)
    return State(float(time), np.array(start, np.float64), arguments)


def in_one_piece(state: State, times: Floats, what: str) -> State:
    """The state at the end of a run whose state can't be saved. Raises ModelError (`refused`) for a state that such a run ended with."""
    if state.opaque == _SPENT:
        remedy = "Run it from its beginning"
        raise ModelError("refused", f"{what} can't be saved, so a run can't go on from {state.time:g} s", remedy=remedy)
    return replace(state, time=float(times[-1]), opaque=_SPENT)


def numbers(result: Any, count: int, what: str) -> Floats:
    """What a user's code returned, as `count` numbers. Raises ModelError (`raised`) for another count."""
    values = np.atleast_1d(np.asarray(result, np.float64))
    if values.shape != (count,):
        raise ModelError("raised", f"the model returned {values.size} numbers, {count} {what} are declared")
    return values


def check_finite(what: str, names: Sequence[str], times: Floats, values: Floats) -> None:
    """Raises ModelError (`nan`) naming the first variable of `values` (n, len(names)) that is not finite, and the time."""
    if not values.size:
        return
    finite = np.isfinite(values)
    if finite.all():
        return
    row = int(np.argmin(finite.all(axis=1)))
    column = int(np.argmin(finite[row]))
    message = f"{what} '{names[column]}' is {values[row, column]} at t = {times[row]:g} s"
    raise ModelError("nan", message, remedy="Look for a division by zero, a root of a negative number or a step that is too long")
