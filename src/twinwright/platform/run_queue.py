"""Submitted scenarios: remembered in the store, then run in the background of a running platform, one after the other.

Whoever is killed meanwhile: the next platform goes on with what waits. Runs that had ended are answered from the store, since a request
resolves into the same digests again (`simulation/run_requests.py`). Without a running platform requests wait, until one comes up or
somebody who watches one runs them here.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import yaml

from twinwright.clock import from_iso, to_iso
from twinwright.documents import Document, Problems, parse_text
from twinwright.errors import InvalidError, PlatformError, RefusedError, TooLargeError, TwinwrightError
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.observability.logs import get_logger
from twinwright.platform import applied as applied_documents
from twinwright.platform.executing import chosen_executor
from twinwright.simulation.outcomes import Cancelled
from twinwright.simulation.run_requests import MOST_LIVES, WAITING, Pinned, RequestStore, count_of, in_turn, priority_of, shown
from twinwright.simulation.scenario import Scenario, parse_scenario

if TYPE_CHECKING:
    from twinwright.platform.interface import Progress
    from twinwright.platform.session import Session

_MOST_SERIES: Final = 8 * 1024 * 1024  # bytes of series that a request takes along
_MOST_LISTED: Final = 100  # of those that are finished
_TICK: Final = 0.5  # seconds: how often who watches is told
_LONGEST_PAUSE: Final = 30.0
_log = get_logger("queue")
Body = dict[str, Any]


class _Running:
    """The request that runs now, and how far it is."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.cancel = threading.Event()
        self.done = 0
        self.pace: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=64)

    def told(self, done: int) -> None:
        self.done = done
        self.pace.append((time.monotonic(), done))

    def eta(self, total: int) -> float | None:
        """Seconds that are left at the pace of the last runs; None while there is no pace."""
        since, before = self.pace[0]
        took, now = time.monotonic() - since, self.done
        return round(took * (total - now) / (now - before), 1) if now > before else None


class RunQueue:
    """The requests of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._requests = RequestStore(session.store)
        self._changed = threading.Condition(threading.RLock())  # held while a request is added, begun or finished
        self._working = threading.Lock()  # by whoever runs requests: one at a time
        self._running: _Running | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Run what waits, from now on and in the background."""
        self._thread = threading.Thread(target=self._run, name="twinwright-queue", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End what runs: it waits for the next platform."""
        self._stop.set()
        with self._changed:
            if self._running is not None:
                self._running.cancel.set()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    # --- asking ------------------------------------------------------------------------------------------------------

    def submit(
        self,
        principal: Principal,
        scenario: Scenario,
        document: Document,
        folder: Path,
        *,
        priority: str | int,
        executor: str | None,
        fresh: bool,
        warnings: Sequence[str] = (),
    ) -> Body:
        """Remember a scenario that was found in order, and what its sender is told beside it; durable on return.

        Raises QueueFullError, TooLargeError, UsageError, ForbiddenError.
        """
        principal.require_write()
        session, level = self._session, priority_of(priority)
        twins = list(session.served.simulation.twins(principal, scenario))
        body: Body = {
            "priority": level,
            "scenario": scenario.name,
            "model": scenario.model,
            "model_digest": session.served.applied.models[scenario.model],
            "executor": executor,
            "twins": twins,
            "total": count_of(scenario, len(twins)),
            "fresh": fresh,
            "warnings": list(warnings),
            "document": document.data,
            "file": document.file,
            "series": _series(document, folder),
            "principal": {"name": principal.name, "roles": sorted(principal.roles), "tenant": principal.tenant},
        }
        promoted = None
        if scenario.parameters == "promoted":
            found = session.served.simulation.parameters_for(principal, scenario.model, "promoted")
            promoted = found.id if found else None
        with self._changed:
            now = to_iso(session.clock.now())
            fixed = {"submitted": now, "known_at": session.store.last_commit(principal), "parameter_set": promoted}
            most = session.settings.simulation.queue
            taken = self._requests.add(principal, {**body, **fixed}, most)
            answer = self._shown(taken, self._requests.waiting())
            self._changed.notify_all()
        return answer

    def listed(self, principal: Principal) -> list[Body]:
        """First what waits, in its turn, then what was finished last."""
        principal.require_read()
        known = self._requests.all(principal)
        waiting = sorted((body for body in known if body["status"] == WAITING), key=in_turn)
        finished = sorted((body for body in known if body["status"] != WAITING), key=lambda body: str(body["finished"]), reverse=True)
        return [self._shown(body, waiting) for body in (*waiting, *finished[:_MOST_LISTED])]

    def get(self, principal: Principal, id: str) -> Body:
        """Raises NotFoundError."""
        body = self._requests.get(principal, id)
        return self._shown(body, self._requests.waiting() if body["status"] == WAITING else [])

    def runs(self, principal: Principal, id: str) -> list[str]:
        """The ids of the runs that answer a request. Raises NotFoundError, RefusedError for one that is not done."""
        body = self._requests.get(principal, id)
        if body["status"] != "done":
            remedy = "Wait for it: `twinwright runs watch`" if body["status"] == WAITING else "What had ended is in `twinwright runs list`"
            raise RefusedError(f"the request is {self._shown(body, [])['status']}", where=body["id"], remedy=remedy)
        return self._requests.runs(principal, body["id"])

    def cancel(self, principal: Principal, id: str) -> Body:
        """Run no more of it; what had ended is kept. Raises NotFoundError, RefusedError for one that is finished."""
        principal.require_write()
        with self._changed:
            body = self._requests.get(principal, id)
            if body["status"] != WAITING:
                raise RefusedError(
                    f"the request is {body['status']}", where=body["id"], remedy="Only one that waits or runs can be cancelled"
                )
            self._finish(principal, body, "cancelled")
            if self._running is not None and self._running.id == body["id"]:
                self._running.cancel.set()
        return self.get(principal, body["id"])

    def watch(self, principal: Principal, id: str, progress: Progress | None) -> Body:
        """Until it is finished; without a running platform it is run here, after what is before it.

        Raises NotFoundError, PlatformError where the platform stops meanwhile.
        """
        id = self._requests.get(principal, id)["id"]
        while True:
            found = self.get(principal, id)
            if progress is not None:
                progress(found["done"] or 0, found["total"])
            if found["status"] not in (WAITING, "running"):
                return found
            if self._stop.is_set():
                raise PlatformError("the platform stops; the request waits for the next one", where=id, remedy="Watch it again then")
            if self._thread is None:
                self._step(progress, id)
                continue
            with self._changed:
                self._changed.wait(_TICK)

    def _shown(self, body: Body, waiting: list[Body]) -> Body:
        """As its sender sees it: with how many are ahead of it, how far it is, and how many seconds are left."""
        running = self._running
        answer: Body = {**shown(body), "ahead": None, "done": None, "eta_seconds": None}
        if body["status"] == "done":
            answer["done"] = body["total"]
        if body["status"] != WAITING:
            return answer
        if running is not None and running.id == body["id"]:
            return {**answer, "status": "running", "ahead": 0, "done": running.done, "eta_seconds": running.eta(body["total"])}
        current = running.id if running else None
        return {**answer, "ahead": sum(one["id"] == current or in_turn(one) < in_turn(body) for one in waiting), "done": 0}

    # --- running -----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause = _TICK
        while not self._stop.is_set():
            try:
                if self._step(None, None):
                    pause = _TICK
                    continue
            except Exception as error:  # noqa: BLE001 - the store is away, say: what waits does so until it is back
                if not isinstance(error, TwinwrightError):
                    _log.exception("a request can't be run")
                _log.warning("requests wait", error=str(error), seconds=pause)
                self._stop.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            with self._changed:
                if not self._stop.is_set() and not self._requests.waiting():
                    self._changed.wait()

    def _step(self, progress: Progress | None, watched: str | None) -> bool:
        """Run the next request to its end; whether there was one. `progress` is told of the one that is watched alone."""
        with self._working:
            with self._changed:
                waiting = self._requests.waiting()
                if not waiting or self._stop.is_set():
                    return False
                body = waiting[0]
                running = self._running = _Running(body["id"])
            try:
                self._answer(body, running, progress if body["id"] == watched else None)
            finally:
                with self._changed:
                    self._running = None
                    self._changed.notify_all()
        return True

    def _answer(self, body: Body, running: _Running, progress: Progress | None) -> None:
        """Run one request, and say what came of it. A failure of the platform is raised: it is tried again."""
        if body["lives"] >= MOST_LIVES:
            message = f"the platform ended or failed {body['lives']} times without having kept a run of it"
            why = f" ({body['error']['message']})" if body["error"] else ""
            error = {"code": PlatformError.code, "message": f"{message}{why}. See its log, then submit it again"}
            self._finish(SYSTEM, body, "failed", error=error)
            return
        self._count_lives(body, body["lives"] + 1)
        kept = False

        def told(done: int, total: int) -> None:
            nonlocal kept
            running.told(done)
            if not kept:
                kept = True
                self._count_lives(body, 0)
            if progress is not None:
                progress(done, total)

        try:
            answers, left_out = self._simulate(body, running, told)
        except Cancelled:
            if self._stop.is_set():  # who stops has not failed
                self._count_lives(body, body["lives"])
            return
        except PlatformError as failed:
            with contextlib.suppress(PlatformError):  # of the store, say
                self._count_lives({**body, "error": {"code": failed.code, "message": str(failed)}}, 0 if kept else body["lives"] + 1)
            raise
        except TwinwrightError as failed:
            self._finish(SYSTEM, body, "failed", error={"code": failed.code, "message": str(failed)})
            return
        self._requests.put_runs(body["id"], [run["id"] for run in answers])
        good = sum(run["status"] == "ok" for run in answers)
        warnings = [*body.get("warnings", ()), *left_out]
        self._finish(SYSTEM, body, "done", total=len(answers), ok=good, failed=len(answers) - good, error=None, warnings=warnings)

    def _simulate(self, body: Body, running: _Running, told: Progress) -> tuple[list[Body], list[str]]:
        """The runs, and what is said of twins that are left out."""
        session = self._session
        definition = applied_documents.read_model(session.store, SYSTEM, body["model_digest"])
        scenario = _scenario(body)
        submitted = from_iso(body["submitted"])
        since = submitted if body["fresh"] else None
        pinned = Pinned(submitted, body["known_at"], body["parameter_set"], tuple(body["twins"]), since)
        asker = body["principal"]
        principal = Principal(asker["name"], frozenset(asker["roles"]), asker["tenant"])
        answer = session.served.simulation.simulate(
            principal,
            scenario,
            definition,
            pinned=pinned,
            outputs="none",
            executor=chosen_executor(session, body["executor"], owner=True),
            progress=told,
            cancel=running.cancel,
        )
        count_runs(session, answer["runs"], definition.kind)
        return list(answer["runs"]), list(answer.get("left_out", ()))

    def _count_lives(self, body: Body, lives: int) -> None:
        """Unless it was cancelled meanwhile: that must not be undone."""
        with self._changed:
            if self._requests.get(SYSTEM, body["id"])["status"] == WAITING:
                self._requests.began(body, lives)

    def _finish(self, principal: Principal, body: Body, status: str, **more: Any) -> None:
        """Unless it was cancelled meanwhile."""
        with self._changed:
            if self._requests.get(principal, body["id"])["status"] == WAITING:
                self._requests.finish(principal, body, status, to_iso(self._session.clock.now()), **more)
                self._changed.notify_all()


def count_runs(session: Session, runs: Sequence[Mapping[str, Any]], kind: str) -> None:
    """Into the metrics: what was executed, not what was answered from the store."""
    executed, seconds = [run for run in runs if not run["reused"]], session.metrics.run_seconds.labels(kind=kind)
    for status, count in Counter(run["status"] for run in executed).items():
        session.metrics.runs.labels(status=status, kind=kind).inc(count)
    for run in executed:
        seconds.observe(run["seconds"])


def _series(document: Document, folder: Path) -> dict[str, str]:
    """The texts of the series that a scenario names, by their names: files of the folder may change while the request waits."""
    inputs = document.data.get("inputs")
    changes = inputs.values() if isinstance(inputs, dict) else ()
    names = {change["series"] for change in changes if isinstance(change, dict) and change.get("series")}
    texts = {name: (folder / name).read_text(encoding="utf-8-sig") for name in sorted(names)}
    if sum(len(text) for text in texts.values()) > _MOST_SERIES:
        remedy = "Shorten them, or run the scenario at once: `twinwright simulate`"
        raise TooLargeError(f"series of more than {_MOST_SERIES} bytes", where=document.file, remedy=remedy)
    return texts


def _scenario(body: Mapping[str, Any]) -> Scenario:
    """The scenario of a request, as it was when it was submitted. Raises InvalidError where this version reads it no more."""
    problems = Problems()
    document = parse_text(yaml.safe_dump(body["document"]), body["file"], problems)
    with TemporaryDirectory(prefix="twinwright-series-") as folder:
        for name, text in body["series"].items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        scenario = parse_scenario(document, problems, Path(folder)) if document else None
    if scenario is None or problems:
        raise InvalidError(problems.items)
    return scenario
