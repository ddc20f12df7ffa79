"""Simulation as the rest of the platform uses it: scenarios in, stored runs out; verified, compared, shown."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from twinwright.clock import Clock, to_iso
from twinwright.errors import NotFoundError, StoreError, TwinwrightError, UsageError
from twinwright.governance.principals import Principal
from twinwright.simulation.collecting import only_what_is_new
from twinwright.simulation.comparison import difference, same_outcome
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.digest import engine_versions, platform_tag
from twinwright.simulation.disturbances import triggered
from twinwright.simulation.executor import Executor, Work, run_all, run_one
from twinwright.simulation.export import export_run
from twinwright.simulation.findings import columns
from twinwright.simulation.observed_inputs import Observed
from twinwright.simulation.outcomes import Limits, Outcome, Success
from twinwright.simulation.parameters import ParameterLookup, stored_parameters
from twinwright.simulation.protocol import Floats
from twinwright.simulation.provenance import common_of, explanation, findings, record_of
from twinwright.simulation.resolve import Asked, ResolvedRun, resolve
from twinwright.simulation.run_digest import run_digest
from twinwright.simulation.run_files import RunReader, StoredRun, grid_of
from twinwright.simulation.run_requests import Pinned, count_of
from twinwright.simulation.runs import Question, RunStore, RunWriter
from twinwright.simulation.scenario import Scenario, scope_of
from twinwright.storage.records import RecordStore
from twinwright.twins.series import SeriesReader

_ANSWERED: tuple[str, ...] = ("id", "status", "failure", "digest", "seconds", "constraints", "warnings", "events", "happened")
_ANSWERED += ("sweep", "member", "seed", "parameters")
_NEVER = -1
Shown = Callable[[ModelDefinition, list[str], Floats], Mapping[str, Any]]
"""How a run's outputs are answered, by name: (definition, the times of the samples, which most runs share, outputs)."""

Form = Literal["lists", "none"] | Shown
_MOST_LEFT_OUT = 5  # twins that the warnings of each run name
_MOST_REPEATS = 20  # a run is repeated for each condition that comes to hold

Publisher = Callable[[Principal, dict[str, Any], ModelDefinition, Any, Floats], None]
"""Puts a run's outputs on its twin's `simulated` lane: (principal, record, definition, grid, outputs)."""


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
        twins_of: Callable[[str], Sequence[str]] | None = None,
        twins_selected: Callable[[Principal, str], Sequence[str]] | None = None,
        publisher: Publisher | None = None,
    ) -> None:
        self.reader = reader
        self.runs = RunStore(directory, records)
        self.clock = clock
        self.parameters_for = parameters_for or stored_parameters(records)
        self.workers = workers or len(os.sched_getaffinity(0))
        self.twins_of, self.twins_selected = twins_of, twins_selected
        self.publisher = publisher

    def simulate(
        self,
        principal: Principal,
        scenario: Scenario,
        definition: ModelDefinition,
        *,
        known_at: int | None = None,
        fresh: bool = False,
        pinned: Pinned | None = None,
        outputs: Form = "lists",
        executor: Executor | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> dict[str, Any]:
        """Run a scenario and keep every run: `runs[]` with id, status, failure, digest, seconds, outputs, constraints, warnings.

        A run that is stored already is answered from there, `reused`, unless `fresh`. `outputs` are the numbers as lists, as plain data
        are, or what a function makes of them as runs are kept; or they are left to be fetched later. `progress(done, total)` is called as
        runs are kept; `cancel` ends the request at once: what had ended is kept. What a waiting request has fixed is `pinned`; `executor`
        runs elsewhere than in children of this process. Raises UsageError, NotFoundError, UnitError, TooLargeError where the request can't
        be resolved, ForbiddenError, StoreError, Cancelled. A failed run is not an error. Of the twins of an interface or a query, those of
        which no run can be made are left out, as `left_out` and the warnings of the runs tell, unless none is left.
        """
        principal.require_write()
        resolved: list[ResolvedRun] = []
        now, parameters_for = self.clock.now(), self.parameters_for
        if pinned is not None:
            now, known_at, parameters_for = pinned.now, pinned.known_at, pinned.parameters(parameters_for)
        twins = pinned.twins if pinned else self.twins(principal, scenario)
        count, since = count_of(scenario, len(twins)), self._fresh_since(fresh, pinned)
        told: dict[str, Any] = {"progress": progress, "cancel": cancel}
        with only_what_is_new(count):
            left_out: dict[str, TwinwrightError] = {}
            for twin in twins:
                observed = Observed(self.reader, principal, twin, known_at)
                try:
                    resolved += resolve(replace(scenario, twin=twin), definition, observed, parameters_for, now)
                except (NotFoundError, UsageError) as error:
                    if not scenario.selects:
                        raise
                    left_out[twin] = error
            if left_out and not resolved:
                raise next(iter(left_out.values()))
            with only_what_is_new(count):  # what was resolved stays until the end, too
                runs = Request(self, principal, resolved, since=since, outputs=outputs, executor=executor, **told).answers()
        if not left_out:
            return {"runs": runs}
        warnings = [f"twin '{twin}' is left out: {error.what}" for twin, error in left_out.items()]
        shown = [*warnings[:_MOST_LEFT_OUT], *([f"and {more} more twins"] if (more := len(warnings) - _MOST_LEFT_OUT) > 0 else [])]
        return {"runs": [{**run, "warnings": [*run["warnings"], *shown]} for run in runs], "left_out": warnings}

    @staticmethod
    def _fresh_since(fresh: bool, pinned: Pinned | None) -> int | None:
        """From when on (microseconds) a stored run may be the answer; None: whenever it was made."""
        if pinned is not None:
            return pinned.fresh_since
        return _NEVER if fresh else None

    def twins(self, principal: Principal, scenario: Scenario) -> Sequence[str]:
        """The twins that a scenario asks about now. Raises NotFoundError where there are none, QueryError, TooLargeError."""
        if scenario.of_query is not None:
            selected = self.twins_selected(principal, scenario.of_query) if self.twins_selected else ()
            if not selected:
                raise NotFoundError("the query of `twin` selects no twins", where=scenario.file, remedy='Try it: twinwright query "..."')
            return selected
        if scenario.of_interface is None:
            return scenario.twins or (scenario.twin,)
        found = self.twins_of(scenario.of_interface) if self.twins_of else ()
        if not found:
            remedy = "Declare twins of it in twins.yaml, and apply"
            raise NotFoundError(f"there are no twins of {scenario.of_interface}", where=scenario.file, remedy=remedy)
        return found

    def explain(self, principal: Principal, id: str) -> dict[str, Any]:
        """A run in words: `id`, `sentences[]`. Raises NotFoundError, StoreError."""
        record = self.runs.load(principal, id).record
        return {"id": record["id"], "sentences": explanation(record)}

    def export(self, principal: Principal, id: str, target: Path) -> dict[str, Any]:
        """A run as an RO-Crate in a folder of its own: `id`, `folder`, `files[]`. Raises UsageError where the folder is not empty."""
        return export_run(self.runs.load(principal, id), target)

    def prune(self, principal: Principal, *, before: int, dry_run: bool = False) -> dict[str, Any]:
        """Remove runs that began before a time: `removed`, `bytes`. Raises ForbiddenError."""
        principal.require_write()
        return self.runs.prune(principal, before, dry_run=dry_run)

    def list(self, principal: Principal) -> dict[str, Any]:
        """The summaries of all runs, oldest first."""
        return {"runs": [{name: value for name, value in one.items() if name != "batch"} for one in self.runs.list(principal)]}

    def show(self, principal: Principal, id: str) -> dict[str, Any]:
        """The whole record of a run, with its outputs and log. Raises NotFoundError, StoreError."""
        stored = self.runs.load(principal, id)
        told = {} if stored.outputs is None else _outputs(stored.definition, _times(grid_of(stored)), stored.outputs)
        return {**stored.record, "outputs": told, "log": stored.log}

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
        outcome = run_one(Work(stored.definition, payload, limits))
        return {**answer, **same_outcome(stored, outcome)}

    def compare(self, principal: Principal, a: str, b: str) -> dict[str, Any]:
        """Whether two runs are one and the same, the first thing that differs between them, and how far outputs are apart."""
        one, other = self.runs.load(principal, a), self.runs.load(principal, b)
        distances = {}
        if one.outputs is not None and other.outputs is not None and one.outputs.shape == other.outputs.shape:
            names = [port.name for port in one.definition.outputs]
            distances = {name: float(np.abs(one.outputs[:, i] - other.outputs[:, i]).max()) for i, name in enumerate(names)}
        same = one.record["digest"] == other.record["digest"]
        return {"a": one.id, "b": other.id, "same": same, "first_difference": difference(one, other), "largest_distance": distances}


class Request:
    """One `simulate`: its runs, some answered from the store, the others executed, repeated where conditions come to hold, and kept."""

    def __init__(
        self,
        service: SimulationService,
        principal: Principal,
        runs: Sequence[ResolvedRun],
        *,
        since: int | None,
        outputs: Form,
        executor: Executor | None,
        progress: Callable[[int, int], None] | None,
        cancel: threading.Event | None,
    ) -> None:
        self.service, self.principal, self.runs = service, principal, list(runs)
        self.executor, self.progress, self.cancel = executor, progress, cancel
        self._shown: Shown = outputs if callable(outputs) else {"lists": _outputs, "none": _nothing}[outputs]
        self.since = since
        self.stored: dict[Question, list[dict[str, Any]]] = {}
        self.reader = RunReader(service.runs.directory)
        self.answered: dict[int, dict[str, Any]] = {}
        self.ending: dict[str, int] = {}  # which run an id is of, until it is kept
        self._models: dict[int, dict[str, Any]] = {}
        self._common: tuple[Any, int, dict[str, Any]] = (None, 0, {})
        self._times: tuple[Any, list[str]] = (np.empty(0), [])

    def answers(self) -> list[dict[str, Any]]:
        """In the order of the runs."""
        waiting = list(range(len(self.runs)))
        for _ in range(_MOST_REPEATS + 1):
            waiting = self._execute(self._not_stored(waiting))
            if not waiting:
                break
        return [self.answered[index] for index in range(len(self.runs))]

    def _data(self, definition: ModelDefinition) -> dict[str, Any]:
        """A definition as data, made once for all of its runs."""
        if id(definition) not in self._models:
            self._models[id(definition)] = definition.as_data()
        return self._models[id(definition)]

    def _common_of(self, asked: Asked, started: int) -> dict[str, Any]:
        """What the records of the runs that were resolved together have in common."""
        if self._common[0] is not asked or self._common[1] != started:
            self._common = asked, started, common_of(self.principal, asked, started, self._data(asked.definition))
        return self._common[2]

    def _shown_times(self, grid: Any) -> list[str]:
        """The times of a grid as text, which most runs of a request have in common."""
        if grid is not self._times[0] and not np.array_equal(grid, self._times[0]):
            self._times = grid, _times(grid)
        return self._times[1]

    def _execute(self, indices: list[int]) -> list[int]:
        """Those that have to be repeated, because a condition came to hold."""
        again = []
        began = {"at": self.service.clock.now(), "from": self.service.clock.monotonic()}
        work = _Works([self.runs[index] for index in indices], self._data, self.cancel)
        with RunWriter(self.service.runs, self.principal, self.service.clock, self._kept) as writer:
            elsewhere = self.executor.run_all(work, self.cancel) if self.executor else run_all(work, self.service.workers, self.cancel)
            for position, outcome in elsewhere:
                index = indices[position]
                if isinstance(outcome, Success) and self._disturbed(index, outcome.result["outputs"]):
                    again.append(index)
                    continue
                seconds = outcome.cost.wall_seconds or (self.service.clock.monotonic() - began["from"]) / 1e6
                writer.add(self._ended(index, outcome, began["at"], seconds))
        return again

    def _disturbed(self, index: int, outputs: Floats) -> bool:
        """Whether a condition that has not fired yet holds in a finished run: then its event is put into the run's inputs."""
        run = self.runs[index]
        asked = run.asked
        if not asked.scenario.events:
            return False
        pending = [one for one in asked.scenario.events if one.when is not None and all(one is not old.disturbance for old in run.fired)]
        if not pending or len(run.fired) >= _MOST_REPEATS:
            return False
        named = columns(asked.definition, run.inputs, outputs, np.empty((asked.times.size, len(asked.definition.states))))
        found = triggered(pending, named, scope_of(asked.definition), asked.times.size)
        if found is None:
            return False
        self.runs[index] = run.with_event(found)
        return True

    def _not_stored(self, indices: Sequence[int]) -> list[int]:
        """Those that no stored run answers; the others are answered, in the order in which what answers them lies."""
        if self.since != _NEVER:
            self.stored = self._reusable(indices)
        same = {index: found for index in indices if (found := self._same(index))}
        places = {index: self.reader.place(found[0]["batch"], found[0]["id"]) for index, found in same.items()}
        for index in sorted(places, key=places.__getitem__):
            self._from_store(index, same[index])
        return [index for index in indices if index not in self.answered]

    def _reusable(self, indices: Sequence[int]) -> dict[Question, list[dict[str, Any]]]:
        return self.service.runs.reusable(self.principal, {self.runs[index].digest for index in indices}, self.since)

    def _same(self, index: int) -> list[dict[str, Any]]:
        """The summaries of the stored runs of the same numbers, for the same twin and time, newest first."""
        run = self.runs[index]
        found = self.stored.get((run.digest, run.asked.scenario.twin, run.asked.definition.name))
        begins = to_iso(run.asked.start) if found else ""
        return [one for one in found or () if one.get("from", begins) == begins]  # in older summaries it is not

    def _from_store(self, index: int, same: Sequence[dict[str, Any]]) -> None:
        """Answer a run with the first of these that can be read and is of its time."""
        run = self.runs[index]
        for summary in same:
            try:
                kept = self.service.runs.read(summary, self.reader)
            except StoreError:  # damaged or gone: run it again
                continue
            if "from" not in summary and kept.said("from") != to_iso(run.asked.start):
                continue
            if kept.outputs is not None and self._disturbed(index, kept.outputs):
                self.stored |= self._reusable([index])
                self._from_store(index, self._same(index))
            else:
                found = {} if kept.outputs is None or kept.states is None else findings(run, kept.outputs, kept.states, ())
                self._answer(index, {**kept.own, **found}, kept.outputs, reused=True)
            return

    def _ended(self, index: int, outcome: Outcome, started: int, seconds: float) -> StoredRun:
        run = self.runs[index]
        asked = run.asked
        own = record_of(run, outcome, self.service.runs.new_id(), seconds)
        result = outcome.result if isinstance(outcome, Success) else {}
        self.ending[own["id"]] = index
        numbers = asked.times, run.inputs, result.get("outputs"), result.get("states")
        return StoredRun(own["id"], own, asked.definition, *numbers, outcome.log, self._common_of(asked, started))

    def _kept(self, stored: StoredRun) -> None:
        index = self.ending.pop(stored.id)
        asked = self.runs[index].asked
        if asked.scenario.publish and stored.outputs is not None and self.service.publisher is not None:
            self.service.publisher(self.principal, stored.record, asked.definition, asked.grid, stored.outputs)
        self._answer(index, stored.own, stored.outputs, reused=False)

    def _answer(self, index: int, record: dict[str, Any], outputs: Floats | None, *, reused: bool) -> None:
        asked = self.runs[index].asked
        shown = {name: record[name] for name in _ANSWERED}
        shown["twin"], shown["reused"] = asked.scenario.twin, reused
        shown["outputs"] = self._shown(asked.definition, self._shown_times(asked.grid), outputs) if outputs is not None else {}
        self.answered[index] = shown
        if self.progress:
            self.progress(len(self.answered), len(self.runs))


class _Works(Sequence[Work]):
    """Work that is made when it is asked for: of many runs only those that are about to be executed are there twice."""

    def __init__(
        self, runs: Sequence[ResolvedRun], data: Callable[[ModelDefinition], dict[str, Any]], cancel: threading.Event | None
    ) -> None:
        self._runs, self._data, self._cancel = runs, data, cancel

    def __len__(self) -> int:
        return len(self._runs)

    @overload
    def __getitem__(self, index: int) -> Work: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Work]: ...
    def __getitem__(self, index: int | slice) -> Work | Sequence[Work]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        run = self._runs[index]
        definition = run.asked.definition
        return Work(definition, run.payload(self._data(definition)), run.asked.scenario.limits, self._cancel)


def _times(grid: Any) -> list[str]:
    return [to_iso(int(one)) for one in grid]


def _outputs(definition: ModelDefinition, times: list[str], outputs: Floats) -> dict[str, Any]:
    return {port.name: {"times": times, "values": outputs[:, i].tolist(), "unit": port.unit} for i, port in enumerate(definition.outputs)}


def _nothing(_definition: ModelDefinition, _times: list[str], _outputs: Floats) -> dict[str, Any]:
    return {}
