"""One supervised thread for each sink: a consumer of the commit log that passes changes on, and remembers how far it has come.

The order is the guarantee: a place in the log is remembered after what comes before it was stored, so nothing is left out, and after a
crash the last second may come again. A sink that is slow or gone harms only itself: it falls behind, and nothing is kept for it but its
place.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final, Generic, Literal, Protocol, TypeVar

from twinwright.clock import SECOND, Clock
from twinwright.connectors.runner import Backoff
from twinwright.errors import PlatformError, UsageError
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.observability.logs import get_logger
from twinwright.observability.metrics import Metrics
from twinwright.storage.layout import Commit, Counts, Lane
from twinwright.storage.protocol import Store, Transaction
from twinwright.twins.changes import Lag

POSITIONS: Final = "sinks/*"  # in the table of positions; no contract can have this name
KIND: Final = "sink"  # of the commits that remember a place
BATCH: Final = 5_000  # changes of one `write`
REMEMBER_SECONDS: Final = 1.0  # a place is a commit of its own: not one for each batch
_SERVED_SOON: Final = 0.05  # seconds between looks whether what was applied is served
_REMEMBER_COMMITS: Final = 1_000  # commits that had nothing for the sink, before its place is remembered


T = TypeVar("T")
_Out = TypeVar("_Out", covariant=True)
_In = TypeVar("_In", contravariant=True)


class Log(Protocol[_Out]):
    """The commit log, read as something: changes, events."""

    def through(self, principal: Principal, after: int) -> int: ...

    def between(self, principal: Principal, after: int, through: int, lanes: Collection[Lane]) -> Iterator[_Out]: ...


class Target(Protocol[_In]):
    """What a sink is, whatever it is told."""

    def open(self) -> None: ...

    def write(self, batch: Sequence[_In]) -> None: ...

    def close(self) -> None: ...


class SinkRunner(Generic[T]):
    """Runs one sink until `stop`. `changes` gives the log under what is applied now."""

    kind = "sink"  # of consumer, in what is said of it
    positions = POSITIONS

    def __init__(
        self,
        sink: Target[T],
        name: str,
        store: Store,
        changes: Callable[[], Log[T]],
        lanes: Collection[Lane],
        start: Literal["earliest", "latest"],
        metrics: Metrics,
        clock: Clock,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = name
        self._sink, self._store, self._changes = sink, store, changes
        self._lanes, self._start, self._metrics, self._clock = tuple(lanes), start, metrics, clock
        self._backoff = backoff or Backoff()
        self._random = random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._log = get_logger(__name__, sink=name)
        self._stop, self._wake = threading.Event(), threading.Event()
        self._stored = self._done = self._sent = self._newest = 0
        self._remembered = time.monotonic()
        self._failures, self._error = 0, ""
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)

    def start(self) -> None:
        self._newest = self._store.last_commit(SYSTEM)  # what is committed from now on is its, however late its thread begins
        self._thread.start()

    def wake(self, _commit: Commit | None = None) -> None:
        """There may be something to pass on: a listener of the commit log."""
        self._wake.set()

    def leave_off(self) -> None:
        """Begin to stop, without waiting for it."""
        self._stop.set()
        self._wake.set()

    def stop(self, timeout: float = 30.0) -> bool:
        """Stop after the batch in hand and remember the place; False if that takes longer than `timeout` s."""
        self.leave_off()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def lag(self) -> Lag:
        """Now. Commits that only remember places are counted, and passed over at once."""
        last = self._store.last_commit(SYSTEM)
        following = self._store.commits(SYSTEM, first=self._done + 1, last=self._done + 1)
        seconds = max(0.0, (self._clock.now() - following[0].at) / SECOND) if following else 0.0
        return Lag(self.name, self._done, max(0, last - self._done), seconds, self._error)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._stored = self._done = self._place()
                self._sent = 0
                self._sink.open()
                self._follow()
            except Exception as error:  # noqa: BLE001 - the supervisor: a plug-in may raise anything, and must harm only itself
                self._failed(error)
            finally:
                with suppress(Exception):  # it is being let go of; what made it fail is already told
                    self._sink.close()
            if self._failures:
                self._stop.wait(self._backoff.delay(self._failures, self._random.random()))
        if self._sent:
            with suppress(Exception):  # what is not remembered comes again
                self._remember()

    def _place(self) -> int:
        """Where the store says; a new sink begins at the beginning, or with what comes from now on."""
        held = self._store.position(SYSTEM, self.positions, self.name)
        if held or not self._newest or self._start == "earliest":
            return held
        self._move(0, self._newest)
        return self._newest

    def _follow(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            log = self._changes()
            through = log.through(SYSTEM, self._done)
            if through > self._done:
                self._pass_on(log, through)
            self._succeeded()
            if self._sent and time.monotonic() - self._remembered >= REMEMBER_SECONDS:
                self._remember()
            if through == self._done:
                idle = through == self._store.last_commit(SYSTEM)  # else what comes next is about to be served
                self._wake.wait((REMEMBER_SECONDS if self._sent else None) if idle else _SERVED_SOON)

    def _pass_on(self, log: Log[T], through: int) -> None:
        changes = log.between(SYSTEM, self._done, through, self._lanes)
        while batch := list(islice(changes, BATCH)):
            self._sink.write(batch)
            self._sent += len(batch)
            self._count(len(batch))
            if self._stop.is_set():
                return  # the rest of the range comes again, with what of it was stored
        self._passed(through)

    def _passed(self, through: int) -> None:
        """All commits through one are done with."""
        self._done = through
        if self._done - self._stored >= _REMEMBER_COMMITS:
            self._remember()

    def _remember(self) -> None:
        """A place is a commit, which has nothing for us: only for what was sent, or there would always be another."""
        if self._is_further():
            self._move(self._stored, self._done)
        self._stored, self._sent, self._remembered = self._done, 0, time.monotonic()

    def _is_further(self) -> bool:
        """Whether it is further than the store has it."""
        return self._done > self._stored

    def _move(self, start: int, next: int) -> None:
        with self._store.transaction(SYSTEM, KIND) as transaction:
            transaction.move_positions(self.positions, [(self.name, start, next)])
            self._beside(transaction)
            transaction.count(Counts(), detail=f"{self.name} has come to {next}")

    def _beside(self, transaction: Transaction) -> None:
        """What is to be committed with a place."""

    def _count(self, changes: int) -> None:
        self._metrics.sink_changes.labels(sink=self.name).inc(changes)

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if not self._error:
            foreseen = isinstance(error, PlatformError | UsageError | OSError)
            self._log.warning("sink_down", error=str(error) or repr(error), kind=type(error).__name__, exc_info=None if foreseen else error)
        self._error = str(error) or repr(error)
        self._metrics.sink_failures.labels(sink=self.name).inc()

    def _succeeded(self) -> None:
        if self._error:
            self._log.info("sink_recovered")
        self._failures, self._error = 0, ""
