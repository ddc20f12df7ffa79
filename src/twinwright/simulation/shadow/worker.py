"""What runs inside a child: states go in, and outputs, states at chosen steps and forecasts come out."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from twinwright.simulation.fork_server import failure_of
from twinwright.simulation.protocol import ModelError, SimulationModel, State
from twinwright.simulation.worker import model

_PATIENCE = 30.0  # seconds after which what is left of a batch is left to the next


def advance(payload: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Members of one model, each on its own grid. Answers the first of them, as many as one child may run: `members`, in order."""
    one, began = model(payload["model"], folder), time.monotonic()
    answers: list[dict[str, Any]] = []
    for member in payload["members"]:
        if answers and (not one.capabilities.thread_safe or time.monotonic() - began > _PATIENCE):
            break
        try:
            answers.append(_advance(one, member))
        except Exception as error:  # noqa: BLE001 -- whatever a model raises is its own answer, and no neighbour's
            kind, message = failure_of(error)
            answers.append({"failure": kind, "message": message})
    return {"members": answers}


def _advance(one: SimulationModel, member: dict[str, Any]) -> dict[str, Any]:
    """`state` (None: the beginning), `times` and `inputs`, `cuts` (indices at which the state is wanted, the last is the end), `issues`
    (pairs of the index of a forecast and how many steps it has)."""
    if not one.capabilities.save_state and not member["replay"]:
        raise ModelError("refused", "its state can't be saved", remedy="Say `replay: true` in the shadow")
    times, inputs, step = member["times"], member["inputs"], member["step"]
    if member["state"] is None:
        state = replace(one.initial(member["parameters"], member["states"]), seed=member["seed"])
    else:
        state = State(**member["state"])
    outputs = np.empty((times.size, len(member["outputs"])))
    issues, states, forecasts, at = dict(member["issues"]), [], [], 0
    for cut in member["cuts"]:
        if cut > at:
            made = one.advance(state, times[at : cut + 1].copy(), inputs[at : cut + 1].copy())
            outputs[at : cut + 1] = made.outputs
            state, at = made.state, cut
        states.append([cut, _plain(state)] if one.capabilities.save_state else [cut, None])
        if cut in issues:
            ahead = times[cut] + np.arange(issues[cut] + 1) * step
            forecasts.append(one.advance(state, ahead, np.repeat(inputs[cut : cut + 1], ahead.size, axis=0)).outputs[1:])
    return {"outputs": outputs, "states": states, "forecasts": forecasts}


def _plain(state: State) -> dict[str, Any]:
    return {name: getattr(state, name) for name in ("time", "values", "parameters", "opaque", "seed")}
