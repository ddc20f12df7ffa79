"""Requests for runs that wait in the store: what was asked, fixed at the commit at which it was asked, and which of them is next.

A request is one record, written before its sender is told that it was taken. It says all that decides its runs: the scenario with its
series, the digest of the model, the twins, the parameter set, the time that `now` means and the commit as of which history is read. So
it resolves into runs of the same digests whenever it is run, and a run that has ended is answered from the store, whoever was killed.
"""

from __future__ import annotations

import math
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from twinwright.errors import NotFoundError, QueueFullError, TooLargeError, UsageError
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.simulation.parameters import ParameterLookup, ParameterSet
from twinwright.simulation.scenario import MAX_RUNS, Scenario
from twinwright.storage.records import Record, RecordStore

REQUEST: Final = "run-request"
RESULT: Final = "run-request-result"
WAITING: Final = "waiting"
PRIORITIES: Final[Mapping[str, int]] = {"low": -10, "normal": 0, "high": 10}
HIGHEST: Final = 100
MOST_LIVES: Final = 3  # how often a request may begin without one of its runs being kept
_SHOWN: Final = ("id", "status", "priority", "scenario", "model", "executor", "submitted", "finished", "total", "ok", "failed", "error")


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a request has fixed: the time of `now` (microseconds), the commit as of which history is read, the promoted parameter set (None:
    there was none) and the twins. `fresh_since` (microseconds): runs of before are not answered again."""

    now: int
    known_at: int
    parameter_set: str | None
    twins: tuple[str, ...]
    fresh_since: int | None = None

    def parameters(self, look_up: ParameterLookup) -> ParameterLookup:
        """The same look-up, for which what is promoted is what was."""

        def pinned(principal: Principal, model: str, reference: str) -> ParameterSet | None:
            if reference != "promoted":
                return look_up(principal, model, reference)
            return None if self.parameter_set is None else look_up(principal, model, self.parameter_set)

        return pinned


def priority_of(given: str | int) -> int:
    """`low`, `normal`, `high` or a whole number: the higher, the sooner. Raises UsageError."""
    text = str(given).strip().lower()
    if text in PRIORITIES:
        return PRIORITIES[text]
    try:
        number = int(text)
    except ValueError:
        number = HIGHEST + 1
    if abs(number) > HIGHEST or isinstance(given, bool):
        remedy = f"Use {', '.join(PRIORITIES)}, or a whole number from -{HIGHEST} to {HIGHEST}"
        raise UsageError(f"'{given}' is no priority", where="priority", remedy=remedy)
    return number


def count_of(scenario: Scenario, twins: int) -> int:
    """How many runs a scenario asks for. Raises TooLargeError."""
    points = scenario.design[1] if scenario.design else math.prod(len(values) for values in scenario.sweep.values())
    count = points * (scenario.ensemble_size or 1) * twins
    if count > MAX_RUNS:
        raise TooLargeError(f"{count} runs", where=scenario.file, remedy=f"At most {MAX_RUNS}: ask about fewer twins or points")
    return count


class RecordLog(RecordStore, Protocol):
    """Records, and how far they go."""

    def last_commit(self, principal: Principal) -> int:
        """The number of the newest commit."""
        ...


class RequestStore:
    """Requests as the store's records. Whoever changes them holds a lock: there is one platform for a store.

    Which of them wait is remembered up to a commit, and what came since is read: what is finished is read once.
    """

    def __init__(self, records: RecordLog) -> None:
        self._records = records
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, Any]] = {}  # those that waited at the commit `_through`
        self._through: int | None = None

    def add(self, principal: Principal, body: dict[str, Any], most: int) -> dict[str, Any]:
        """Remember a request; durable on return. Raises QueueFullError where `most` wait already, ForbiddenError, StoreError."""
        waiting = len(self.waiting())
        if waiting >= most:
            raise QueueFullError(f"{waiting} requests for runs wait already, of at most {most}")
        body = {
            "id": uuid.uuid4().hex[:16],
            "status": WAITING,
            "lives": 0,
            "finished": None,
            "ok": None,
            "failed": None,
            "error": None,
            **body,
        }
        self._records.put_record(principal, REQUEST, body["id"], body)
        return body

    def waiting(self) -> list[dict[str, Any]]:
        """Those that are not finished, the next one first: by priority, among equals in the order in which they came."""
        with self._lock:
            through = self._records.last_commit(SYSTEM)
            for one in self._since(through):
                if one.body["status"] == WAITING:
                    self._known[one.id] = one.body
                else:
                    self._known.pop(one.id, None)
            self._through = through
            return sorted((dict(body) for body in self._known.values()), key=in_turn)

    def _since(self, through: int) -> Sequence[Record]:
        if self._through is None:
            return self._records.records(SYSTEM, REQUEST)
        return self._records.record_versions(SYSTEM, (REQUEST,), self._through, through) if through > self._through else ()

    def all(self, principal: Principal) -> list[dict[str, Any]]:
        """Every one, in the order in which they came."""
        return sorted((one.body for one in self._records.records(principal, REQUEST)), key=lambda body: int(body["known_at"]))

    def get(self, principal: Principal, id: str) -> dict[str, Any]:
        """By its id or a unique prefix of it. Raises NotFoundError."""
        try:
            return self._records.get_record(principal, REQUEST, id).body
        except NotFoundError:
            raise NotFoundError(f"there is no request '{id[:64]}'", remedy="`twinwright runs queue` lists them") from None

    def began(self, body: Mapping[str, Any], lives: int) -> None:
        """How often it has begun since one of its runs was kept."""
        self._records.put_record(SYSTEM, REQUEST, body["id"], {**body, "lives": lives})

    def finish(self, principal: Principal, body: Mapping[str, Any], status: str, finished: str, **more: Any) -> None:
        """Its last version, without what is not needed any more."""
        kept = {name: value for name, value in body.items() if name not in ("document", "series")}
        self._records.put_record(principal, REQUEST, body["id"], {**kept, "status": status, "finished": finished, **more})

    def put_runs(self, id: str, runs: Sequence[str]) -> None:
        """Which runs answer it, in their order; written before it is done."""
        self._records.put_record(SYSTEM, RESULT, id, {"runs": list(runs)})

    def runs(self, principal: Principal, id: str) -> list[str]:
        """Raises NotFoundError for one that is not done."""
        return [str(one) for one in self._records.get_record(principal, RESULT, id).body["runs"]]


def in_turn(body: Mapping[str, Any]) -> tuple[int, int]:
    """Sorts requests. Each was asked at a later commit than the one before it, since it is a commit itself: no clock is asked."""
    return -int(body["priority"]), int(body["known_at"])


def shown(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request as its sender sees it."""
    return {**{name: body[name] for name in _SHOWN}, "warnings": body.get("warnings", [])}  # older ones have none
