"""An opened store with everything that works on it: caches, pipeline, applied documents, services."""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from twinwright.calibration.service import CalibrationService
from twinwright.clock import Clock, SystemClock, parse_duration
from twinwright.connectors.runner import SourceRunner
from twinwright.connectors.sink_runner import SinkRunner
from twinwright.derived.consumer import DerivedConsumer
from twinwright.derived.runner import DerivedRunner
from twinwright.errors import NotFoundError, StoreError, StoreInUseError, TwinwrightError, UsageError, WorkspaceError
from twinwright.events.log import EventLog
from twinwright.events.pages import EventPages
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.observability.logs import get_logger
from twinwright.observability.metrics import Metrics
from twinwright.operations.kpi import Quality
from twinwright.operations.sparing import Sparing
from twinwright.platform import applied as applied_documents
from twinwright.platform import applying
from twinwright.platform.applied import Applied
from twinwright.platform.clock_anchor import AnchorFile, last_commit_seen
from twinwright.platform.differences import Differences
from twinwright.platform.publishing import LanePublisher
from twinwright.platform.querying import Queries
from twinwright.platform.run_queue import RunQueue
from twinwright.platform.served import Served, Serving
from twinwright.platform.version_use import VersionUse
from twinwright.platform.wire import FOLDER
from twinwright.schema import Ontology
from twinwright.simulation import landlock
from twinwright.simulation.child import Limits
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.fleets import MAX_TWINS
from twinwright.simulation.run_migration import move_into_batches
from twinwright.simulation.service import SimulationService
from twinwright.simulation.shadow.consumer import ShadowConsumer
from twinwright.simulation.shadow.runner import ShadowRunner
from twinwright.storage.copies import Snapshot
from twinwright.storage.layout import Commit
from twinwright.storage.protocol import Store
from twinwright.storage.registry import open_store
from twinwright.telemetry import idempotency
from twinwright.telemetry.clock_guard import ClockGuard
from twinwright.telemetry.criteria import criteria_of
from twinwright.telemetry.pipeline import Pipeline
from twinwright.telemetry.replay import Reprocessing
from twinwright.twins.changes import ChangeLog
from twinwright.twins.graph.current import Edges
from twinwright.twins.graph.draft import Draft, World
from twinwright.twins.graph.writer import GraphWriter
from twinwright.twins.reads import TwinReads
from twinwright.twins.state import SERVED, StateCache
from twinwright.workspace import Workspace
from twinwright.workspace.load import is_workspace
from twinwright.workspace.settings import Settings, load_store_settings
from twinwright.workspace.watched import WatchedFolder

if TYPE_CHECKING:
    from twinwright.platform.forks import Forks
    from twinwright.platform.jobs import Jobs

T = TypeVar("T")

_log = get_logger("platform")
_LOCK_PATIENCE = 10.0  # seconds to wait for another command to be done with the store
_DERIVED_PATIENCE = 5.0  # seconds that a read of derived values waits for them to be up to date


class Session:
    """Opens the store of a workspace folder; `close` leaves everything durable and materialised.

    One platform at a time. A `worker` is opened beside it where the store has room for several: it takes in, and derives and applies
    nothing. Raises UsageError where the store has not. A fork is opened as a worker over a `store` of its own, with a `private` folder.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock | None = None,
        *,
        worker: bool = False,
        store: Store | None = None,
        private: Path | None = None,
        unless: Callable[[], bool] | None = None,
    ) -> None:
        """Waits for another process to be done with the store, unless something is so. Raises StoreInUseError when it is not done."""
        self.folder = folder
        self.private = private or folder / FOLDER
        if not is_workspace(folder):  # a command given in the wrong place leaves nothing there
            raise NotFoundError(f"there is no workspace at {folder.resolve()}", remedy="Make one with: twinwright init DIR")
        _make_private(self.private)
        self.clock = clock or SystemClock()
        self.started = self.clock.monotonic()
        self.worker = worker
        self.metrics = Metrics.create()
        self.versions = VersionUse(self.metrics, self.clock)
        self.store = store or self._open_store(unless)
        landlock.hide(self.private)
        self.state = StateCache(self.store, SYSTEM)
        self._anchor = AnchorFile(self.private / "clock.json")
        guard = ClockGuard(self.clock, self.metrics, self._anchor.read() or last_commit_seen(self.store, SYSTEM))
        self.pipeline = Pipeline(self.store, SYSTEM, self.state, self.clock, self.metrics, guard)
        self.qualities: Sparing[Quality] = Sparing(self.clock)
        self.sources: list[SourceRunner] = []
        self.sinks: list[SinkRunner[Any]] = []  # webhooks as well
        self.on_apply: list[Callable[[], None]] = []
        self.jobs: Jobs | None = None  # once there are any
        self.forks: Forks | None = None
        self.queue = RunQueue(self)
        self.changing = threading.RLock()  # which interfaces there are
        self.updating = threading.Lock()  # held by the one update by query that runs
        self.edges = Edges(self.store, SYSTEM)
        self.graph = GraphWriter(self.store, self.state, self._world, self._settle, self.pipeline.hear, self._follow_graph)
        self.reprocessing = Reprocessing(self.store, self.state, self.pipeline)
        self.derived = DerivedRunner(DerivedConsumer(self.store, SYSTEM, self.clock, self.metrics))
        self.shadows = ShadowRunner(ShadowConsumer(self.store, SYSTEM, self.clock))
        self._began = self.store.last_commit(SYSTEM)
        self._committed = threading.Condition()
        self.store.on_commit(self._note_commit)
        self.store.on_commit(self.derived.wake)
        self.store.on_commit(self.shadows.wake)
        self.pipeline.renew = self.renew
        self._watched = WatchedFolder(folder)
        self._models: dict[str, ModelDefinition] = {}  # by the digest of their content
        self._serving = Serving(self._serve, self.state.lock, self.renew)
        move_into_batches(self.served.simulation.runs, SYSTEM)
        atexit.register(self.close)  # a script that forgot to

    def _open_store(self, unless: Callable[[], bool] | None) -> Store:
        chosen = load_store_settings(self.folder)
        deadline = time.monotonic() + _LOCK_PATIENCE
        while True:
            try:
                return open_store(chosen.engine, chosen.options, self.private, self.clock, beside=self.worker)
            except StoreInUseError:
                if time.monotonic() > deadline or (unless is not None and unless()):
                    raise
                time.sleep(0.1)

    def _note_commit(self, commit: Commit) -> None:
        for sink in self.sinks:
            sink.wake(commit)
        with self._committed:
            self._committed.notify_all()
        if commit.kind in SERVED and not self.store.made_here(commit.number):
            threading.Thread(target=self.renew, name="twinwright-renew", daemon=True).start()

    def close(self) -> None:
        """Stop the sources, commit what was taken, materialise, close the store."""
        atexit.unregister(self.close)
        self.reprocessing.stop()
        for source in self.sources:
            source.stop()
        if self.forks is not None:
            self.forks.close()
        if self.jobs is not None:
            self.jobs.close()
        self.queue.close()
        self.graph.close()
        self.pipeline.close()
        self.shadows.stop()
        self._derive_what_is_left()
        with contextlib.suppress(StoreError):  # what is not materialised is folded again at the next start
            self.state.materialise()
        self.remember_clock()
        self.store.close()
        landlock.show(self.private)

    def _derive_what_is_left(self) -> None:
        """A platform leaves what it is at for its next start; a command without one derives from what it committed."""
        self.derived.stop()
        if not self.worker and self.store.last_commit(SYSTEM) > self._began:
            try:
                self.derived.settle(self.store.last_commit(SYSTEM), 0.0)
            except TwinwrightError as error:
                _log.warning("not derived yet: the next command does it", error=str(error))

    def remember_clock(self) -> None:
        """Leave behind what the next process has to know of the clocks; a worker leaves that to its platform."""
        if not self.worker:
            self._anchor.write(self.pipeline.guard.anchor())

    # --- what is applied ---------------------------------------------------------------------------------------------

    def _serve(self) -> Served:
        """What follows from what the store says is applied."""
        self._served_at = self.store.last_commit(SYSTEM)
        self.edges.forget()
        self.state.api.forget()
        applied = applied_documents.read_applied(self.store, SYSTEM)
        self.pipeline.configure(applied.contracts, applied.registry, self._served_at)
        evolution = applied.evolution
        self.derived.consumer.configure(applied.bindings, applied.commit, evolution)
        self.derived.wake()
        self._follow(applied, applied.commit)
        criteria = criteria_of(applied.contracts.values())
        reads = TwinReads(self.store, self.state, applied.ontology, applied.registry, criteria, evolution)
        queries = Queries(self.store, self.state, applied.ontology, reads, self.clock, evolution)
        simulation = SimulationService(
            reads,
            self.store,
            self.private / "runs",
            self.clock,
            twins_of=applied.twins_of,
            twins_selected=partial(queries.twin_ids, most=MAX_TWINS),
            publisher=LanePublisher(self.store, applied.registry),
        )
        limits = Limits()
        calibration = CalibrationService(reads, self.store, self.clock, self.private / "reports", self.model, limits)
        changes = ChangeLog(self.store, applied.ontology, applied.registry, evolution)
        events = EventLog(self.store, changes, applied.ontology, f"/twinwright/{quote(self.folder.resolve().name)}", self._served_at)
        return Served(applied, reads, changes, events, EventPages(events), Differences(), simulation, calibration, queries)

    @property
    def served(self) -> Served:
        return self._serving.now

    @property
    def workspace(self) -> Workspace:
        """See `WatchedFolder.workspace`."""
        return self._watched.workspace

    @property
    def settings(self) -> Settings:
        """See `WatchedFolder.settings`."""
        return self._watched.settings

    def plan(self, principal: Principal) -> dict[str, object]:
        return applying.plan(self.store, principal, self.served.applied, self._watched.in_order())

    def apply(self, principal: Principal) -> dict[str, object]:
        """Apply the folder and serve what it says from now on."""
        return self._apply(principal, self._watched.in_order())

    def _apply(self, principal: Principal, workspace: Workspace) -> dict[str, object]:
        with self._serving.anew():
            result = applying.apply(self.store, principal, self.served.applied, workspace)
        self._tell_applied()
        return result

    def read(self, ask: Callable[[Served], T]) -> T:
        """What is read of what is served, by all of it as it was at one time."""
        return self._serving.read(ask)

    def renew(self) -> None:
        """Serve what another process has applied since; the sources are told of it by a thread that nobody waits for."""
        if not self.store.many_writers:
            return
        try:
            with self.state.lock:
                self.state.catch_up()
                if self.state.applied <= self._served_at:
                    return
                before = self.served.applied.commit
                self.serve_again()
        except TwinwrightError as error:  # what is prepared under the old one is fenced off until it can be read
            _log.error("what another process has applied can't be served", error=str(error))
            return
        if self.served.applied.commit != before:
            _log.info("another process has applied the workspace", commit=self.served.applied.commit)
            threading.Thread(target=self._tell_applied, name="twinwright-applied", daemon=True).start()

    def _tell_applied(self) -> None:
        for listener in self.on_apply:
            listener()

    def serve_again(self) -> None:
        """Serve what the store says now: it was applied, or interfaces were added or deleted."""
        with self._serving.anew():
            pass

    def _settle(self) -> None:
        """Ahead of a commit of the graph: know what telemetry was sent, and what other processes did."""
        self.pipeline.settle()
        self.renew()

    def _world(self) -> World:
        applied = self.served.applied
        return World(applied.ontology, applied.decommissioned, applied.registry, self.edges, self.state, applied.evolution)

    def trial(self, ontology: Ontology | None = None) -> Draft:
        """A draft to find out what a write would do, with other interfaces if some are given; nothing of it is written. Call with the lock
        of the state held."""
        world = self._world() if ontology is None else replace(self._world(), ontology=ontology)
        return Draft(world, self.clock.now(), self.store.last_commit(SYSTEM) + 1)

    def _follow(self, applied: Applied, at: int) -> None:
        """Bind shadows to the twins there are now."""
        lifetimes = self.store.lifetimes(SYSTEM) if applied.shadows else ()
        self.shadows.consumer.configure(applied_documents.followed(applied, lifetimes), at)
        self.shadows.wake()

    def _follow_graph(self) -> None:
        """Bind what is derived to the twins and relationships there are now."""
        if self.served.applied.shadows:
            with self.state.lock:
                self._follow(self.served.applied, self.store.last_commit(SYSTEM))
        if self.served.applied.derived:
            with self.state.lock:
                bindings = applied_documents.bindings_of(self.store, SYSTEM, self.served.applied)
                self.derived.consumer.configure(bindings, self.store.last_commit(SYSTEM), self.served.applied.evolution)
            self.derived.wake()

    def apply_first(self, principal: Principal) -> None:
        """A workspace that was never applied is applied as it is: `init` and then `up` or `ingest` just work."""
        if not self.served.applied.digest:
            self.apply(principal)

    def apply_models(self, principal: Principal) -> None:
        """Where models are all that changed in the folder, apply it: its owner, who asks for a run, means them as they are now."""
        changes = applying.plan(self.store, principal, self.served.applied, self.workspace)["changes"]
        if changes and all(change["kind"] == "model" for change in changes):
            self._apply(principal, self.workspace)  # scenarios are no part of what is applied

    def take_in(self, principal: Principal, source: Snapshot) -> None:
        """Load a copy into the empty store, and serve what it says. Raises RefusedError, StoreError."""
        with self._serving.anew():
            self.store.load(principal, source)
            self._began = self.store.last_commit(SYSTEM)
        self._tell_applied()

    def expire(self) -> None:
        """Let go of payloads that are older than their contract keeps them, of receipts that nobody asks for any more, and of dead letters
        past their retention."""
        for contract in self.pipeline.contracts.values():
            if contract.journal is not None:
                expired = self.store.expire_journal(SYSTEM, contract.name, self.clock.now() - contract.journal)
                if expired:
                    _log.info("expired from the journal", contract=contract.name, entries=expired)
        self.store.expire_receipts(SYSTEM, self.clock.now() - idempotency.KEPT, idempotency.MOST)
        kept = self.settings.retention.dead_letters
        letters = self.store.expire_dead_letters(SYSTEM, self.clock.now() - parse_duration(kept)) if kept is not None else 0
        if letters:
            _log.info("dead letters expired", letters=letters, older_than=kept)

    @property
    def models(self) -> dict[str, ModelDefinition]:
        """The applied models by name, read from the store once."""
        applied = self.served.applied.models
        self._models = {
            digest: self._models.get(digest) or applied_documents.read_model(self.store, SYSTEM, digest) for digest in applied.values()
        }
        return {name: self._models[digest] for name, digest in applied.items()}

    def model(self, name: str) -> ModelDefinition:
        """An applied model by its name or the path of its file. Raises NotFoundError."""
        models = self.models
        path = (self.folder / name).resolve()
        chosen = models.get(name) or next((one for one in models.values() if (self.folder / one.file).resolve() == path), None)
        if chosen is None:
            known = f"Applied are: {', '.join(sorted(models)) or 'none'}. Run `twinwright apply` after adding one"
            raise NotFoundError(f"there is no model '{name}'", remedy=known)
        return chosen

    def changed_since_applied(self, name: str) -> list[str]:
        """A warning where the folder says something else of a model than what was applied."""
        with contextlib.suppress(WorkspaceError):
            model = self.workspace.models.get(name)
            if model is not None and model.content_digest != self.served.applied.models.get(name):
                return [f"{model.file} has changed since it was applied, and what was applied is used: run `twinwright apply`"]
        return []

    # --- waiting -----------------------------------------------------------------------------------------------------

    def wait_for(self, principal: Principal, token: int | None, timeout: float = 30.0) -> None:
        """Until a read sees commit `token`. Raises UsageError where that commit does not come."""
        if token is None:
            return
        deadline = time.monotonic() + timeout
        with self._committed:
            while self.store.last_commit(principal) < token:
                left = deadline - time.monotonic()
                if left <= 0 or not self._committed.wait(left):
                    raise UsageError(f"commit {token} has not come", where="after", remedy="Give the token of a receipt of this workspace")
        with self.state.lock:
            return  # the fold of that commit is done when its lock is free

    def wait_for_derived(self, principal: Principal, after: int | None) -> None:
        """Until what is derived has followed what is committed now: for a while, as what was asked for is there, if not the newest.
        Raises UsageError where it has not followed the commit `after`."""
        committed = self.store.last_commit(principal)
        if not self.derived.settle(committed, _DERIVED_PATIENCE) and after is not None and not self.derived.consumer.reached(after):
            remedy = "`twinwright kpi` shows how far it is behind: ask again later"
            raise UsageError(f"what is derived has not followed commit {after} yet", where="after", remedy=remedy)


def _make_private(folder: Path) -> None:
    """For its owner only, whoever made it. Raises UsageError where it can't be."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise UsageError(
            f"can't be used: {error.strerror}", where=str(folder), remedy="It must be a folder of yours: move it away"
        ) from error
