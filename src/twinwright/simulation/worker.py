"""What runs inside a child: load the model that the artefacts are, and run it over a grid."""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from twinwright.simulation.bench import Bench
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.feeding import Fed
from twinwright.simulation.fork_server import failure_of
from twinwright.simulation.protocol import Advance, EndsRuns, Floats, Refreshable, RunsAgain, SimulationModel, State, Trajectory
from twinwright.simulation.registry import load_model

_Advancing = Callable[[State, Floats, Floats], Advance]
_Again = Callable[[Mapping[str, float], Mapping[str, float], Floats, Floats], Trajectory | None]
_loaded: dict[str, SimulationModel] = {}
_LEAD = 0.08  # seconds of work that are left when more is asked for: who is asked is busy with what it is told, and may be slow to answer
_SHORT = 0.1  # seconds of a run, up to which the next ones are asked for ahead; longer ones would be kept from children that are idle


def warm_up() -> None:
    """Import and start what models of every kind need, so that forked processes need not."""
    import_module("scipy.linalg")  # as numba does, for its BLAS
    from twinwright.simulation.kernels import seed_compiled
    from twinwright.simulation.registry import kinds

    for kind in kinds().values():
        getattr(kind, "warm_up", _nothing)()  # what a kind loads once for all of its models
    seed_compiled(0)  # which loads the compiler


def _nothing() -> None:
    pass


def prepare(payload: dict[str, Any], folder: Path) -> None:
    """Load and compile the model of `payload["model"]` in the template, so that every run forked from it has it."""
    model(payload["model"], folder)


def model(definition: dict[str, Any], folder: Path) -> SimulationModel:
    """The loaded model; the one that the template has loaded already where there is one."""
    key = str(folder)
    if key not in _loaded:
        _loaded[key] = load_model(ModelDefinition.from_data(definition), folder)
    return _loaded[key]


def run(payload: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One run: `model`, `parameters`, `states` (starts), `times` (n), `inputs` (n, n_inputs), `seed`.

    Gives `outputs` (n, n_outputs), `states` (n, n_states), `events` (pairs of time and name), `warnings`.
    """
    one = model(payload["model"], folder)
    return _run(payload, one, _to_end(one))


def _to_end(one: SimulationModel) -> _Advancing:
    return one.advance_to_end if isinstance(one, EndsRuns) else one.advance


def _run(payload: dict[str, Any], one: SimulationModel, advance: _Advancing) -> dict[str, Any]:
    if one.capabilities.draws:
        _seed(payload["seed"])
    state = replace(one.initial(payload["parameters"], payload["states"]), seed=payload["seed"])
    result = advance(state, payload["times"], payload["inputs"])
    events = [[event.time, event.name] for event in result.events]
    return {"outputs": result.outputs, "states": result.states, "events": events, "warnings": list(one.warnings)}


def run_batch(payload: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Several runs of one model, one after another in this one process; each is told in `parts.bin` before the next begins.

    `members` are as the payload of `run` has them, `times` and `inputs` being indices into `arrays`; more of both are asked for before they
    run out, unless the model is one of which only a trial can tell and it is not `trusted` yet. The first has the time of a run in
    a process of its own (`wall`, seconds). What could not be told apart from a neighbour's doing ends the process: then who asked runs
    that member again, alone, and those behind it elsewhere. `batching` says whether more than the first may be run; the rest is left
    where something of a run may have stayed behind, or enough time has passed.
    """
    one = model(payload["model"], folder)
    kept_apart = one.capabilities.thread_safe
    batching = kept_apart or one.capabilities.shares_process
    advance = _to_end(one)
    refresh = one.refresh if isinstance(one, Refreshable) else _nothing
    again = one.run_again if isinstance(one, RunsAgain) and not kept_apart else None  # what fails in a process that others had is run alone
    bench = Bench(payload["wall"], payload["memory_bytes"], payload["output_bytes"])
    feed = Fed() if batching and (kept_apart or payload["trusted"]) else None
    for position, member in enumerate(islice(_members(payload, feed, bench), None if batching else 1)):
        bench.begin()
        answer = _member(member, one, advance, again if position else None)
        if not bench.end(answer) or not (kept_apart or (refresh() and bench.tidy())):
            break
    return {"batching": batching, "suspect": not kept_apart}


def _members(payload: dict[str, Any] | None, feed: Fed | None, bench: Bench) -> Iterator[dict[str, Any]]:
    """One after another, and then those that are handed on."""
    arrays: list[Floats] = []
    while payload is not None:
        arrays += payload["arrays"]
        members = payload["members"]
        for position, member in enumerate(members):
            if feed is not None and not feed.asked and 0 < bench.longest < _SHORT:
                pace = bench.pace()
                if (len(members) - position) * pace <= _LEAD:
                    feed.ask(pace)
            member["times"], member["inputs"] = arrays[member["times"]], arrays[member["inputs"]]
            yield member
        payload = feed.take(bench.pace()) if feed is not None else None


def _member(payload: dict[str, Any], one: SimulationModel, advance: _Advancing, again: _Again | None) -> dict[str, Any]:
    began, cpu = time.perf_counter(), time.process_time()
    try:
        found = again(payload["parameters"], payload["states"], payload["times"], payload["inputs"]) if again is not None else None
        if found is None:
            answer = _run(payload, one, advance)
        else:
            answer = {"outputs": found[0], "states": found[1], "events": [], "warnings": list(one.warnings)}
    except Exception as error:  # noqa: BLE001 -- whatever a model raises is its own answer, and no neighbour's
        kind, message = failure_of(error)
        answer = {"failure": kind, "message": message, "log": "".join(traceback.format_exception(error)) if kind == "raised" else ""}
    answer["cpu_seconds"], answer["seconds"] = time.process_time() - cpu, time.perf_counter() - began
    return answer


def _seed(seed: int) -> None:
    """Seed every global generator, for models that draw from them: the interpreter's, NumPy's and those of compiled code."""
    from twinwright.simulation.kernels import seed_compiled

    random.seed(seed)
    np.random.seed(seed % 2**32)
    seed_compiled(seed % 2**32)
