"""Where runs are executed unless told otherwise: in children of this process, as many at a time as there are cores, several short ones in
one child.

Runs of one model differ in numbers only, and a child costs more than a short run. So where nothing that a run leaves behind can reach the
next (compiled equations, linear systems, FMUs whose static data can be put back), one child takes a batch of them, one after another,
tells each before it begins the next, and asks for more before it has none (`feeding`), for some seconds. Whatever ends the child is put
down to the run that it was at, which is run again alone: what then happens is its outcome. Those behind it, which had not begun, go to
another child. The first of a batch has the child as if it were its own, and is believed. What can be told of a model only by trying is
tried: the last run of the first batch of native code is repeated alone, and where the bytes differ every run has a child of its own. From
then on, what ends well is taken up whenever the child asks for more, so that it is kept while others run. A run for which the machine
failed, a child that was gone without having run, is tried once more.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np

from twinwright.simulation import plain_data
from twinwright.simulation.bench import SHARED
from twinwright.simulation.child import Failure, Limits, Outcome, Success, run_in_child
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.feeding import More, Telling
from twinwright.simulation.outcomes import Cancel, Cancelled, Cost
from twinwright.simulation.protocol import FailureKind

_ENTRY, _BATCH = "twinwright.simulation.worker:run", "twinwright.simulation.worker:run_batch"
_PREPARE = "twinwright.simulation.worker:prepare"
_BATCH_SECONDS = 1.0  # of processor time that a batch should take: long beside what a child costs, short beside a wait
_FED_SECONDS = 0.2  # of what is handed to a child of this machine at once: long beside what it takes to hand it on
_FED_RUNS = 1024  # of it at most: answers are taken up when more is asked for
_LARGEST_BATCH = 2048
_FIRST_BATCH = 8  # of runs of which nothing is known: what a child does not come to in its time is given back
_SHORTEST = 10  # a batch is no shorter than this part of what it should take, or handing it on would cost more than the runs near the end
_GRACE = 20.0  # seconds for the runs of a batch after its first
_OWN: frozenset[FailureKind] = frozenset({"raised", "nan", "refused"})  # what a run of code of ours is the cause of by itself
_Outcomes = list[tuple[int, Outcome]]
GONE = "the process that had loaded the model is gone"


class Work(msgspec.Struct, frozen=True, eq=False, gc=False):
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
    sizes = BatchSizes(len(work), count, _FED_SECONDS, cancel, _FED_RUNS)
    with ThreadPoolExecutor(count) as pool:
        try:
            yield from _outcomes(work, sizes, pool, cancel)
        finally:
            sizes.end()  # whoever takes the outcomes may have gone away
    if cancel is not None and cancel.is_set():
        raise Cancelled


def _outcomes(work: Sequence[Work], sizes: BatchSizes, pool: ThreadPoolExecutor, cancel: Cancel | None) -> Iterator[tuple[int, Outcome]]:
    running: set[Future[_Outcomes]] = set()
    told: queue.SimpleQueue[Future[_Outcomes] | _Outcomes] = queue.SimpleQueue()
    way = _Way(told.put, lambda: told.qsize() < 2 * sizes.workers)
    while True:
        stopped = cancel is not None and cancel.is_set()
        while not stopped and sizes.waiting and len(running) < 2 * sizes.workers:  # no thread waits for who takes the outcomes
            one = pool.submit(_next_batch, work, sizes, way)
            running.add(one)
            one.add_done_callback(told.put)
        if stopped:
            sizes.end()
            running = {one for one in running if not one.cancel()}
        if not running and told.empty():
            return
        said = told.get()
        if isinstance(said, list):
            yield from said
            continue
        running.discard(said)
        with contextlib.suppress(Cancelled):  # told at the end: others may have ended well meanwhile
            yield from () if said.cancelled() else said.result()


@dataclass(frozen=True, slots=True)
class _Way:
    """How outcomes leave while their child goes on: `take` takes some, as long as there is `room`."""

    take: Callable[[_Outcomes], object]
    room: Callable[[], bool]


class BatchSizes:
    """Hands out runs in order, in batches of so many `seconds` and at most so many runs, whose size follows how long runs have taken; none
    once `cancel` is set."""

    def __init__(
        self, total: int, workers: int, seconds: float = _BATCH_SECONDS, cancel: Cancel | None = None, largest: int = _LARGEST_BATCH
    ) -> None:
        self.workers = workers
        self._seconds, self._cancel, self._largest = seconds, cancel, largest
        self.waiting = deque(range(total))
        self.size = _FIRST_BATCH
        self.batching = True
        self.trusted = False  # a run of a batch has been found to be equal to one alone
        self._lock = threading.Lock()

    def take(self) -> list[int]:
        if self._cancel is not None and self._cancel.is_set():
            return []
        with self._lock:
            fair = -(-len(self.waiting) // (2 * self.workers))  # near the end all cores should end together
            size = max(1, min(self.size, max(fair, self.size // _SHORTEST))) if self.batching else 1
            return [self.waiting.popleft() for _ in range(min(size, len(self.waiting)))]

    def give_back(self, indices: Sequence[int]) -> None:
        """What a child did not come to: the next one's."""
        with self._lock:
            self.waiting.extendleft(reversed(indices))

    def end(self) -> None:
        """What waits is not wanted any more."""
        with self._lock:
            self.waiting.clear()

    def learn(self, seconds: Sequence[float]) -> None:
        """How long runs have taken, without the child: what that costs is no reason to give it fewer of them."""
        with self._lock:
            target = self._seconds * len(seconds) / max(sum(seconds), 1e-5)
            self.size = int(max(1, min(self._largest, target, 64 * self.size)))

    def shrink(self, count: int) -> None:
        """A child ended after so many runs."""
        with self._lock:
            self.size = max(1, min(self.size, 2 * count))


def _next_batch(work: Sequence[Work], sizes: BatchSizes, way: _Way) -> _Outcomes:
    indices = sizes.take()
    return run_batch(work, indices, sizes, way) if indices else []


def run_batch(work: Sequence[Work], indices: list[int], sizes: BatchSizes, way: _Way | None = None) -> _Outcomes:
    """Some runs in one child, and those that it is handed on while it runs, each by itself where it has to be; `sizes` learns from it, and
    is given back those that the child did not come to. What has left by the `way` is not among those returned. Raises Cancelled."""
    if not sizes.batching:
        return [(index, run_one(work[index])) for index in indices]
    given = _Given(work, sizes, way if sizes.trusted else None)
    some = work[indices[0]]
    payload = {"model": some.payload["model"], "trusted": sizes.trusted, **_limits(some), **given.add(indices)}
    outcome = _child(_BATCH, payload, some, grace=_GRACE, more=given.asked)
    given.answer(outcome.parts, outcome.cost.network_cut)
    answered, behind = given.answered, given.indices[given.count :]
    told: _Outcomes = []
    suspect = True
    if isinstance(outcome, Success):
        answers = outcome.result if isinstance(outcome.result, dict) else {}
        suspect = answers.get("suspect") is not False
        sizes.batching = sizes.batching and answers.get("batching") is True
        if answered:
            sizes.learn([max(one.cost.cpu_seconds, one.cost.wall_seconds / SHARED) for _, one in answered])
    else:
        sizes.shrink(given.count)
    if suspect and not sizes.trusted and not _tried(work, answered, sizes):
        answered, behind = [], given.indices
    if behind and (len(behind) == len(given.indices) or isinstance(outcome, Failure)):
        first, *behind = behind  # this one goes on alone, whatever happens, so that all come to an end
        itself = isinstance(outcome, Failure) and not given.count and outcome.message != GONE
        told.append((first, msgspec.structs.replace(outcome, parts=()) if itself else run_one(work[first])))
    sizes.give_back(behind)
    for index, one in answered:
        doubtful = isinstance(one, Failure) and index != given.indices[0] and (suspect or one.kind not in _OWN)
        told.append((index, run_one(work[index]) if doubtful else one))
    return told


class _Given:
    """What one child is given to run, at first and when it asks for more, and what it has answered. What its runs share is told once."""

    def __init__(self, work: Sequence[Work], sizes: BatchSizes, way: _Way | None = None) -> None:
        self.indices: list[int] = []
        self.count = 0  # of these, from the first on, that it has answered
        self.answered: _Outcomes = []  # but for those that have left
        self._way, self._given = way, list[Work]()
        self._all, self._sizes = work, sizes
        self._places: dict[int, int] = {}  # of an array among those that the child has

    def add(self, indices: Sequence[int]) -> dict[str, Any]:
        """The `members` and new `arrays` of the payload of `worker.run_batch`."""
        arrays, members, places = list[Any](), [], self._places
        for index in indices:
            one = self._all[index]
            self._given.append(one)
            member = one.payload.copy()
            del member["model"]
            for name in ("times", "inputs"):
                array = member[name]
                place = places.get(id(array))
                if place is None:
                    place = places[id(array)] = len(places)
                    arrays.append(array)
                member[name] = place
            members.append(member)
        self.indices += indices
        return {"arrays": arrays, "members": members}

    def answer(self, parts: Sequence[Any], network_cut: bool) -> None:
        """Take up what the child has told since."""
        behind = slice(self.count, self.count + len(parts))
        these = zip(self.indices[behind], self._given[behind], parts, strict=False)  # whoever tells more than was asked is not listened to
        self.answered += [(index, _member(answer, work, network_cut)) for index, work, answer in these]
        self.count = min(behind.stop, len(self.indices))

    def asked(self, pace: float, telling: Telling) -> dict[str, Any] | None:
        """Let go of what has ended well, which nothing that the child may still do can change; then `more`."""
        if self._way is not None and self._way.room():
            so_far = telling()
            self.answer(so_far.parts, so_far.network_cut)
            if well := [one for one in self.answered if isinstance(one[1], Success)]:
                self._way.take(well)
                self.answered = [one for one in self.answered if isinstance(one[1], Failure)]
        return self.more(pace)

    def more(self, pace: float) -> dict[str, Any] | None:
        """What comes next, for a child whose runs take so many seconds each."""
        self._sizes.learn([pace])
        following = self._sizes.take() if self._sizes.batching else []
        return self.add(following) if following else None


def _limits(work: Work) -> dict[str, Any]:
    limits = work.limits
    return {"wall": limits.wall_seconds, "memory_bytes": limits.memory_bytes, "output_bytes": limits.output_bytes}


def _tried(work: Sequence[Work], answered: _Outcomes, sizes: BatchSizes) -> bool:
    """Repeat one of a batch's runs alone, and believe in batches, or have no more of them. False where the answers are no good."""
    last = next((one for one in reversed(answered[1:]) if isinstance(one[1], Success)), None)
    if last is None:  # there is nothing to be learnt from: failures are run again alone anyway
        return True
    sizes.trusted = _equal(last[1], run_one(work[last[0]]))
    sizes.batching = sizes.batching and sizes.trusted
    return sizes.trusted


def _equal(one: Outcome, alone: Outcome) -> bool:
    if isinstance(one, Failure) or isinstance(alone, Failure):
        return False
    names = ("outputs", "states", "events", "warnings")
    return plain_data.encode([one.result[name] for name in names]) == plain_data.encode([alone.result[name] for name in names])


def _member(answer: Any, work: Work, network_cut: bool) -> Outcome:
    """One member's outcome, with its own share of the costs; its memory is the most that its process has had until then."""
    if not isinstance(answer, dict):
        return Failure("refused", "the answer is not one of ours", "", Cost(network_cut=network_cut))
    cost = Cost(_amount(answer.get("seconds")), _amount(answer.get("cpu_seconds")), int(_amount(answer.get("peak_memory"))), network_cut)
    log = str(answer.get("log", ""))
    if "failure" in answer:
        return Failure(answer["failure"], str(answer.get("message")), log, cost)
    return checked(Success(answer, log, cost), work)


def _amount(told: Any) -> float:
    """What a child says that it used; nothing where that can't be."""
    return float(told) if isinstance(told, int | float) and 0 <= told < 1e300 else 0.0


def _once(work: Work) -> Outcome:
    return checked(_child(_ENTRY, work.payload, work), work)


def _child(entry: str, payload: dict[str, Any], work: Work, grace: float = 0.0, more: More | None = None) -> Outcome:
    model, files = {"model": payload["model"]}, work.definition.artefacts
    return run_in_child(
        entry,
        payload,
        limits=work.limits,
        files=files,
        prepare=_PREPARE,
        prepare_payload=model,
        cancel=work.cancel,
        grace=grace,
        more=more,
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
    outputs, states = result.get("outputs"), result.get("states")
    if not isinstance(outputs, np.ndarray) or not isinstance(states, np.ndarray):
        return False
    return bool(outputs.shape == (samples, len(definition.outputs)) and states.shape == (samples, len(definition.states)))
