"""Where runs are executed unless told otherwise: in children of this process, as many at a time as there are cores, several short ones in
one child.

Runs of one model differ in numbers only, and a child costs more than a short run. So where nothing that a model keeps can reach the next
run (compiled equations, linear systems: `thread_safe`), one child takes a batch of them. Whatever ends a child ends the whole batch, and
then each member is run again alone: who is to blame is told exactly, and the others have their answers. A run for which the machine
failed, a child that was gone without having run, is tried once more.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from twinwright.simulation.child import Failure, Limits, Outcome, Success, run_in_child
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.outcomes import Cancel, Cancelled

_ENTRY, _BATCH = "twinwright.simulation.worker:run", "twinwright.simulation.worker:run_batch"
_PREPARE = "twinwright.simulation.worker:prepare"
_BATCH_SECONDS = 0.5  # how long a batch should take: long beside what a child costs, short beside a wait
_LARGEST_BATCH = 256
GONE = "the process that had loaded the model is gone"


@dataclass(frozen=True, slots=True)
class Work:
    """One run: the payload of `worker.run`, what it may use, and whether it is still wanted."""

    definition: ModelDefinition
    payload: dict[str, Any]
    limits: Limits
    cancel: Cancel | None = None


class Executor(Protocol):
    """Where else runs can be executed."""

    def run_all(self, work: Sequence[Work], cancel: Cancel | None = None) -> Iterator[tuple[int, Outcome]]:
        """As the function `run_all`. Raises PlatformError where that place is not there."""
        ...


def run_one(work: Work) -> Outcome:
    """One run in a child of its own. Whatever the model does, that is an outcome. Raises Cancelled."""
    outcome = _once(work)
    if isinstance(outcome, Failure) and outcome.message == GONE:
        outcome = _once(work)
    return outcome


def run_all(work: Sequence[Work], workers: int | None = None, cancel: Cancel | None = None) -> Iterator[tuple[int, Outcome]]:
    """Every run of one model, as they end, each with its index. Raises Cancelled once `cancel` is set and what had begun has ended: by
    itself, or at once where the run knows of it (`Work.cancel`)."""
    count = min(workers or len(os.sched_getaffinity(0)), len(work))
    if count <= 1 and len(work) <= 1:
        yield from ((index, run_one(one)) for index, one in enumerate(work))
        return
    sizes = BatchSizes(len(work), count)
    with ThreadPoolExecutor(count) as pool:
        running: set[Future[list[tuple[int, Outcome]]]] = set()
        while True:
            stopped = cancel is not None and cancel.is_set()
            while not stopped and len(running) < 2 * count and (batch := sizes.take()):
                running.add(pool.submit(run_batch, work, batch, sizes))
            if stopped:
                running = {one for one in running if not one.cancel()}
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for one in done:
                with contextlib.suppress(Cancelled):  # told at the end: others may have ended well meanwhile
                    yield from one.result()
    if cancel is not None and cancel.is_set():
        raise Cancelled


class BatchSizes:
    """Hands out runs in order, in batches whose size follows how long runs have taken."""

    def __init__(self, total: int, workers: int) -> None:
        self.total, self.workers = total, workers
        self.next = 0
        self.size = 1
        self.batching = True
        self._lock = threading.Lock()

    def take(self) -> list[int]:
        with self._lock:
            fair = -(-(self.total - self.next) // (2 * self.workers))  # near the end all cores should end together
            size = max(1, min(self.size if self.batching else 1, fair))
            taken = list(range(self.next, min(self.next + size, self.total)))
            self.next += len(taken)
            return taken

    def learn(self, seconds: float, count: int, *, batching: bool) -> None:
        with self._lock:
            self.batching = self.batching and batching
            target = _BATCH_SECONDS / max(seconds / count, 1e-4)
            self.size = int(max(1, min(_LARGEST_BATCH, target, 8 * self.size)))


def run_batch(work: Sequence[Work], indices: list[int], sizes: BatchSizes) -> list[tuple[int, Outcome]]:
    """Some runs in one child, each by itself where it has to be; `sizes` learns from it. Raises Cancelled."""
    if not sizes.batching:
        return [(index, run_one(work[index])) for index in indices]
    first = work[indices[0]]
    payload = {"model": first.payload["model"], "members": [_own(work[index].payload) for index in indices]}
    outcome = _child(_BATCH, payload, first)
    if isinstance(outcome, Failure):  # of a batch it is not known whose: each by itself
        if len(indices) == 1 and outcome.message != GONE:
            return [(indices[0], outcome)]
        sizes.learn(outcome.cost.wall_seconds, len(indices), batching=True)
        return [(index, run_one(work[index])) for index in indices]
    answers = outcome.result if isinstance(outcome.result, dict) else {}
    given = answers.get("members")
    members: list[Any] = given if isinstance(given, list) else []
    sizes.learn(outcome.cost.wall_seconds, max(len(members), 1), batching=answers.get("batching") is True)
    told = [(index, _member(one, work[index], outcome, len(members))) for index, one in zip(indices, members, strict=False)]
    return told + [(index, run_one(work[index])) for index in indices[len(members) :]]


def _own(payload: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name != "model"}


def _member(answer: Any, work: Work, batch: Success, count: int) -> Outcome:
    """One member's outcome, with its own share of the costs."""
    if not isinstance(answer, dict):
        return Failure("refused", "the answer is not one of ours", "", batch.cost)
    seconds, cpu = (float(answer.get(name, 0.0)) for name in ("seconds", "cpu_seconds"))
    cost = replace(batch.cost, wall_seconds=seconds, cpu_seconds=cpu)
    log = (batch.log if count == 1 else "") + str(answer.get("log", ""))
    if "failure" in answer:
        return Failure(answer["failure"], str(answer.get("message")), log, cost)
    return checked(Success(answer, log, cost), work)


def _once(work: Work) -> Outcome:
    return checked(_child(_ENTRY, work.payload, work), work)


def _child(entry: str, payload: dict[str, Any], work: Work) -> Outcome:
    model = {"model": payload["model"]}
    return run_in_child(
        entry,
        payload,
        limits=work.limits,
        files=work.definition.artefacts,
        prepare=_PREPARE,
        prepare_payload=model,
        cancel=work.cancel,
    )


def checked(outcome: Outcome, work: Work) -> Outcome:
    """The outcome, where its answer has the shape of the model's outputs; else a failure. Whoever ran it, it is not trusted."""
    if isinstance(outcome, Success) and not _has_shape(outcome.result, work.definition, len(work.payload["times"])):
        return Failure("refused", "the answer has not the shape of the model's outputs", outcome.log, outcome.cost)
    return outcome


def _has_shape(result: Any, definition: ModelDefinition, samples: int) -> bool:
    """A child may answer anything: what is not an array of the declared size goes no further."""
    if not isinstance(result, dict) or not isinstance(result.get("warnings"), list) or not isinstance(result.get("events"), list):
        return False
    sizes = {"outputs": len(definition.outputs), "states": len(definition.states)}
    return all(isinstance(result.get(name), np.ndarray) and result[name].shape == (samples, size) for name, size in sizes.items())
