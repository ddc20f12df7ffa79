"""Simulation as the rest of the platform uses it: scenarios in, stored runs out; verified, compared, shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from twinwright.clock import SECOND, Clock, from_iso, to_iso
from twinwright.governance.principals import Principal
from twinwright.simulation.child import Failure, Limits, Outcome, Success, run_in_child
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.digest import engine_versions, platform_tag
from twinwright.simulation.findings import check_constraint, columns, extrapolations
from twinwright.simulation.observed_inputs import Observed
from twinwright.simulation.parameters import ParameterLookup, stored_parameters
from twinwright.simulation.protocol import Floats
from twinwright.simulation.resolve import ResolvedRun, resolve, run_digest
from twinwright.simulation.runs import RunStore, StoredRun
from twinwright.simulation.scenario import Scenario
from twinwright.storage.records import RecordStore
from twinwright.twins.series import SeriesReader

_ENTRY, _PREPARE = "twinwright.simulation.worker:run", "twinwright.simulation.worker:prepare"


def execute(run: ResolvedRun) -> Outcome:
    """Run it in a child process. Whatever the model does, that is an outcome."""
    return _in_child(run.definition, run.payload(), run.scenario.limits)


def _in_child(definition: ModelDefinition, payload: dict[str, Any], limits: Limits) -> Outcome:
    model = {"model": payload["model"]}
    outcome = run_in_child(_ENTRY, payload, limits=limits, files=definition.artefacts, prepare=_PREPARE, prepare_payload=model)
    if isinstance(outcome, Success) and not _has_shape(outcome.result, definition, len(payload["times"])):
        return Failure("refused", "the answer has not the shape of the model's outputs", outcome.log, outcome.cost)
    return outcome


def _has_shape(result: Any, definition: ModelDefinition, samples: int) -> bool:
    """A child may answer anything: what is not an array of the declared size goes no further."""
    if not isinstance(result, dict) or not isinstance(result.get("warnings"), list):
        return False
    sizes = {"outputs": len(definition.outputs), "states": len(definition.states)}
    return all(isinstance(result.get(name), np.ndarray) and result[name].shape == (samples, size) for name, size in sizes.items())


class SimulationService:
    """What `simulate` and `runs ...` do, with everything they need given from outside."""

    def __init__(
        self,
        reader: SeriesReader,
        records: RecordStore,
        directory: Path,
        clock: Clock,
        parameters_for: ParameterLookup | None = None,
        workers: int | None = None,
    ) -> None:
        self.reader = reader
        self.runs = RunStore(directory, records)
        self.clock = clock
        self.parameters_for = parameters_for or stored_parameters(records)
        self.workers = workers or len(os.sched_getaffinity(0))

    def simulate(
        self,
        principal: Principal,
        scenario: Scenario,
        definition: ModelDefinition,
        *,
        known_at: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, Any]:
        """Run a scenario and keep every run: `runs[]` with id, status, failure, digest, seconds, outputs, constraints, warnings.

        `progress(done, total)` is called as runs end. Raises UsageError, NotFoundError, UnitError where the request can't be
        resolved, ForbiddenError, StoreError. A failed run is not an error.
        """
        principal.require_write()
        observed = Observed(self.reader, principal, scenario.twin, known_at)
        resolved = resolve(scenario, definition, observed, self.parameters_for, self.clock.now())
        answers = []
        with ThreadPoolExecutor(min(self.workers, len(resolved))) as pool:
            for answer in pool.map(lambda run: self._run(principal, run), resolved):
                answers.append(answer)
                if progress:
                    progress(len(answers), len(resolved))
        return {"runs": answers}

    def list(self, principal: Principal) -> dict[str, Any]:
        """The summaries of all runs, oldest first."""
        return {"runs": self.runs.list(principal)}

    def show(self, principal: Principal, id: str) -> dict[str, Any]:
        """The whole record of a run, with its outputs and log. Raises NotFoundError, StoreError."""
        stored = self.runs.load(principal, id)
        grid = _grid(stored)
        return {**stored.record, "outputs": _outputs(stored.definition, grid, stored.outputs), "log": stored.log}

    def verify(self, principal: Principal, id: str) -> dict[str, Any]:
        """Repeat a run from its stored artefact, inputs and parameters in another process, and compare the bytes of its outputs.

        Raises NotFoundError, StoreError. `reason` says why it is not verified.
        """
        stored = self.runs.load(principal, id)
        record = stored.record
        values = {name: one["value"] for name, one in record["parameters"].items()}
        recorded = record["digest"]
        answer: dict[str, Any] = {"id": stored.id, "digest": recorded, "verified": False, "reason": None}
        if run_digest(stored.definition, values, record["states"], stored.times, stored.inputs, record["seed"]) != recorded:
            changed = record["versions"] != dict(engine_versions()) or record["platform"] != platform_tag()
            where = "the engines or the platform are others" if changed else "what is stored was changed"
            return {**answer, "reason": f"the digest is not that of the run: {where} since"}
        payload = {"model": stored.definition.as_data(), "parameters": values, "states": record["states"], "seed": record["seed"]}
        payload |= {"times": stored.times, "inputs": stored.inputs}
        limits = Limits(wall_seconds=record["limits"]["wall"], memory_bytes=record["limits"]["memory"])
        outcome = _in_child(stored.definition, payload, limits)
        return {**answer, **_same_outcome(stored, outcome)}

    def compare(self, principal: Principal, a: str, b: str) -> dict[str, Any]:
        """Whether two runs are one and the same, the first thing that differs between them, and how far outputs are apart."""
        one, other = self.runs.load(principal, a), self.runs.load(principal, b)
        distances = {}
        if one.outputs is not None and other.outputs is not None and one.outputs.shape == other.outputs.shape:
            names = [port.name for port in one.definition.outputs]
            distances = {name: float(np.abs(one.outputs[:, i] - other.outputs[:, i]).max()) for i, name in enumerate(names)}
        same = one.record["digest"] == other.record["digest"]
        return {"a": one.id, "b": other.id, "same": same, "first_difference": _difference(one, other), "largest_distance": distances}

    def _run(self, principal: Principal, run: ResolvedRun) -> dict[str, Any]:
        started = self.clock.now()
        before = self.clock.monotonic()
        outcome = execute(run)
        seconds = (self.clock.monotonic() - before) / 1e6
        record = _record(principal, run, outcome, self.runs.new_id(), started, seconds)
        outputs = outcome.result["outputs"] if isinstance(outcome, Success) else None
        self.runs.save(principal, record, run.definition, run.times, run.inputs, outputs, outcome.log)
        answer = ("id", "status", "failure", "digest", "seconds", "constraints", "warnings", "sweep", "member", "seed", "parameters")
        return {**{name: record[name] for name in answer}, "outputs": _outputs(run.definition, run.grid, outputs)}


def _record(principal: Principal, run: ResolvedRun, outcome: Outcome, id: str, started: int, seconds: float) -> dict[str, Any]:
    definition, scenario, cost = run.definition, run.scenario, outcome.cost
    failure = {"kind": outcome.kind, "message": outcome.message} if isinstance(outcome, Failure) else None
    constraints: list[dict[str, Any]] = []
    warnings = list(run.warnings)
    if isinstance(outcome, Success):
        named = columns(definition, run.inputs, outcome.result["outputs"], outcome.result["states"])
        constraints = [check_constraint(one, definition, named, run.grid) for one in scenario.constraints]
        warnings += [str(one) for one in outcome.result["warnings"]]
        warnings += extrapolations(definition, run.parameters, named, run.grid)
    return {
        "id": id,
        "digest": run.digest,
        "status": "failed" if failure else "ok",
        "failure": failure,
        "model": definition.name,
        "model_version": definition.version,
        "definition": definition.as_data(),
        "artefact_digest": definition.artefact_digest,
        "twin": scenario.twin,
        "scenario": scenario.name,
        "from": to_iso(run.start),
        "samples": int(run.times.size),
        "sweep": dict(run.sweep),
        "member": run.member,
        "parameters": {one.name: {"value": run.parameters[one.name], "unit": one.unit} for one in definition.parameters},
        "parameter_set": run.parameter_set,
        "states": dict(run.states),
        "seed": run.seed,
        "versions": dict(engine_versions()),
        "platform": platform_tag(),
        "started": to_iso(started),
        "seconds": seconds,
        "cost": {"cpu_seconds": cost.cpu_seconds, "peak_memory": cost.peak_memory, "network_cut": cost.network_cut},
        "limits": {"wall": scenario.limits.wall_seconds, "memory": scenario.limits.memory_bytes},
        "assumptions": list(definition.assumptions),
        "warnings": warnings,
        "constraints": constraints,
        "principal": principal.name,
    }


def _same_outcome(stored: StoredRun, outcome: Outcome) -> dict[str, Any]:
    failed = stored.record["failure"]
    if isinstance(outcome, Failure):
        same = failed is not None and (failed["kind"], failed["message"]) == (outcome.kind, outcome.message)
        return {"verified": same, "reason": None if same else f"the repetition failed ({outcome.kind}): {outcome.message}"}
    if stored.outputs is None:
        return {"verified": False, "reason": f"the run had failed ({failed['kind']}), its repetition did not"}
    again: Floats = outcome.result["outputs"]
    if again.tobytes() == stored.outputs.tobytes():
        return {"verified": True, "reason": None}
    row, column = (int(one) for one in np.argwhere(again != stored.outputs)[0])
    name, time = stored.definition.outputs[column].name, to_iso(int(_grid(stored)[row]))
    return {
        "verified": False,
        "reason": f"output '{name}' differs first at {time}: {again[row, column]!r} != {stored.outputs[row, column]!r}",
    }


def _difference(one: StoredRun, other: StoredRun) -> dict[str, Any] | None:
    """The first of what decides a run in which two runs differ, in the order from code to numbers."""
    for name in ("artefact_digest", "versions", "platform", "seed", "states", "parameters"):
        if one.record[name] != other.record[name]:
            return {"what": name, "a": one.record[name], "b": other.record[name]}
    if one.times.tobytes() != other.times.tobytes():
        return {"what": "times", "a": one.times.size, "b": other.times.size}
    if one.inputs.tobytes() != other.inputs.tobytes():
        row, column = (int(index) for index in np.argwhere(one.inputs != other.inputs)[0])
        name = one.definition.inputs[column].name
        at = float(one.times[row])
        return {"what": f"input {name}", "t": at, "a": float(one.inputs[row, column]), "b": float(other.inputs[row, column])}
    return None


def _grid(stored: StoredRun) -> Any:
    return from_iso(stored.record["from"]) + np.rint(stored.times * SECOND).astype(np.int64)


def _outputs(definition: ModelDefinition, grid: Any, outputs: Floats | None) -> dict[str, Any]:
    if outputs is None:
        return {}
    times = [to_iso(int(one)) for one in grid]
    return {port.name: {"times": times, "values": outputs[:, i].tolist(), "unit": port.unit} for i, port in enumerate(definition.outputs)}
