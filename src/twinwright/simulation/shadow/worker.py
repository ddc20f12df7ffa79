"""What runs inside a child: states go in, and outputs, states at chosen steps and forecasts come out."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from twinwright.simulation import plain_data
from twinwright.simulation.fork_server import failure_of
from twinwright.simulation.protocol import Floats, ModelError, SimulationModel, State
from twinwright.simulation.worker import model

_PATIENCE = 30.0  # seconds after which what is left of a batch is left to the next


def advance(payload: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Members of one model, each on its own grid, the first of them, as many as one child may run.

    `members` has for each its first step, how many steps it has, its state as it was kept (None: the beginning), where states begin,
    `cuts` (indices at which the state is wanted, the last is the end) and `issues` (pairs of the index of a forecast and how many steps it
    has); `inputs` are those of all, one after another. Gives how many were `done`, their `outputs` and `forecasts` one after another,
    `states` at the cuts of each, encoded, and `failures` by number: of those the outputs mean nothing.
    """
    one, began = model(payload["model"], folder), time.monotonic()
    if not one.capabilities.save_state and not payload["replay"]:
        raise ModelError("refused", "its state can't be saved", remedy="Say `replay: true` in the shadow")
    width, states, failures = payload["outputs"], [], {}
    outputs, forecasts, at = [], [], 0
    for number, member in enumerate(payload["members"]):
        if number and (not one.capabilities.thread_safe or time.monotonic() - began > _PATIENCE):
            break
        first, count, state, starts, cuts, issues = member
        inputs, at = payload["inputs"][at : at + count], at + count
        own = np.zeros((count, width))
        try:
            begin = replace(one.initial(payload["parameters"], starts), seed=payload["seed"]) if state is None else _state(state)
            times = np.arange(first, first + count) * payload["step"]
            kept, ahead = _advance(one, begin, times, inputs, cuts, dict(issues), payload["step"], own)
        except Exception as error:  # noqa: BLE001 -- whatever a model raises is its own answer, and no neighbour's
            failures[str(number)] = list(failure_of(error))
            kept, ahead = [], [np.zeros((steps, width)) for _, steps in issues]
        outputs.append(own)
        forecasts += ahead
        states.append(kept)
    nothing = [np.zeros((0, width))]
    answers = {"outputs": np.concatenate(nothing + outputs), "forecasts": np.concatenate(nothing + forecasts)}
    return {**answers, "done": len(states), "states": states, "failures": failures}


def _advance(
    one: SimulationModel, state: State, times: Floats, inputs: Floats, cuts: list[int], issues: dict[int, int], step: float, outputs: Floats
) -> tuple[list[bytes], list[Floats]]:
    """Fill outputs; the states at the cuts, and forecasts."""
    states, forecasts, at = [], [], 0
    for cut in cuts:
        if cut > at:
            made = one.advance(state, times[at : cut + 1].copy(), inputs[at : cut + 1].copy())
            outputs[at : cut + 1] = made.outputs
            state, at = made.state, cut
        states.append(_encoded(state) if one.capabilities.save_state else b"")
        if cut in issues:
            ahead = times[cut] + np.arange(issues[cut] + 1) * step
            forecasts.append(one.advance(state, ahead, np.repeat(inputs[cut : cut + 1], ahead.size, axis=0)).outputs[1:])
    return states, forecasts


def _state(kept: bytes) -> State:
    return State(**plain_data.decode(kept)["state"])


def _encoded(state: State) -> bytes:
    return plain_data.encode({name: getattr(state, name) for name in ("time", "values", "parameters", "opaque", "seed")})
