"""One supervised thread for each source: poll, submit, acknowledge; and what happens when one of these fails.

The order is the guarantee: `committed` is called after `submit` has returned, which is after the data is durable. Whatever
fails before that leaves the delivery unacknowledged, and the source delivers it again. The runner holds one delivery at a
time, so a slow store slows the source down instead of filling the memory.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from twinwright.clock import SECOND, Clock, SystemClock
from twinwright.errors import BusyError, FenceError, PlatformError, UsageError
from twinwright.observability.logs import correlated, get_logger
from twinwright.observability.metrics import Metrics
from twinwright.telemetry.connector import Bound, Intake, Source
from twinwright.telemetry.payloads import Delivery, Receipt

State = Literal["stopped", "starting", "up", "down", "held"]

POLL_SECONDS: Final = 0.5
USAGE_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before try n: doubling from `first` to `longest` seconds, less up to half at random.

    The random part keeps many sources that lost one broker from coming back at one instant.
    """

    first: float = 0.5
    longest: float = 60.0

    def delay(self, failures: int, chance: float) -> float:
        """Seconds after `failures` (>= 1) in a row; `chance` in [0, 1)."""
        full = min(self.longest, self.first * 2.0 ** min(failures - 1, 32))
        return full * (1.0 - chance / 2.0)


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What an operator wants to know of a source; `since` (microseconds) is when it got into its state."""

    name: str
    state: State
    since: int
    error: str | None
    deliveries: int
    readings: int


class _StoppedError(Exception):
    """Leaves the loop from wherever the thread waits."""


class _HeldError(Exception):
    """A delivery that is refused as wrong usage however often it is tried."""


class SourceRunner:
    """Runs one source until `stop`. `positions(contract, stream)` is where the store wants a stream read from.

    BusyError: waits as told and submits the same delivery again. FenceError: reopens at the store's positions. UsageError:
    three tries, then the source is *held*: closed, unacknowledged, with an error in the log, until it is started again.
    Anything else: reopens after a growing wait. A source that goes down says so once, and once when it has recovered.
    """

    def __init__(
        self,
        source: Source,
        name: str,
        bound: tuple[Bound, ...],
        intake: Intake,
        positions: Callable[[str, str], int],
        metrics: Metrics,
        clock: Clock | None = None,
        *,
        backoff: Backoff | None = None,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """`wait(seconds)` sleeps and tells whether to stop; by default it ends early when `stop` is called."""
        self.name = name
        self._source = source
        self._intake = intake
        self._positions = positions
        self._metrics = metrics
        self._clock = clock or SystemClock()
        self._backoff = backoff or Backoff()
        self._random = random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._stop = threading.Event()
        self._wait = wait or self._stop.wait
        self._thread: threading.Thread | None = None
        self._log = get_logger(__name__, connector=name, contracts=[one.contract for one in bound])
        self._state: State = "stopped"
        self._since = self._clock.now()
        self._error: str | None = None
        self._failures = 0
        self._unstored = False
        self._deliveries = 0
        self._readings = 0

    def start(self) -> None:
        """Start the thread; does nothing while it runs. A held source is tried afresh."""
        if self._thread is not None and self._thread.is_alive():
            if self._state != "held":
                return
            self._thread.join()  # its last act was to say so
        self._stop.clear()
        self._failures = 0
        self._become("starting", None)
        self._thread = threading.Thread(target=self._run, name=f"source-{self.name}", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> bool:
        """Stop after the delivery in hand, acknowledging it if it was stored. False if that takes longer than `timeout` s."""
        self._stop.set()
        thread = self._thread
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def status(self) -> SourceStatus:
        """The state now."""
        return SourceStatus(self.name, self._state, self._since, self._error, self._deliveries, self._readings)

    def _run(self) -> None:
        opened_before = False
        try:
            while not self._stop.is_set():
                if opened_before:
                    self._metrics.connector_reconnects.labels(connector=self.name).inc()
                opened_before = True
                self._session()
        except _StoppedError:
            self._become("stopped", None)
        except _HeldError as held:
            self._become("held", str(held))
        else:
            self._become("stopped", None)

    def _session(self) -> None:
        """From open to close, and the wait after a failure."""
        try:
            self._source.open(self._positions)
            while not self._stop.is_set():
                self._step()
        except FenceError as fence:
            self._fenced(fence)
        except (_StoppedError, _HeldError):
            raise
        except Exception as error:  # noqa: BLE001 - the supervisor: a plug-in may raise anything, and must harm only itself
            self._failed(error)
        finally:
            self._close()
        if self._failures:
            self._pause(self._backoff.delay(self._failures, self._random.random()))

    def _step(self) -> None:
        delivery = self._source.poll(POLL_SECONDS)
        if delivery is None:
            if not self._unstored:  # quiet is health only for a source whose last delivery could be stored
                self._succeeded()
            return
        with correlated():
            self._unstored = True
            receipt = self._submit(delivery)
            self._unstored = False
            self._deliveries += 1
            self._readings += receipt.received
            self._source.committed(delivery, receipt)
        self._succeeded()

    def _submit(self, delivery: Delivery) -> Receipt:
        refusals = 0
        while True:
            try:
                return self._intake.submit(delivery)
            except BusyError as busy:
                self._pause(busy.retry_after)
            except UsageError as error:
                refusals += 1
                self._metrics.connector_refused.labels(connector=self.name).inc()
                if refusals >= USAGE_TRIES:
                    self._hold(delivery, error)
                self._pause(self._backoff.delay(refusals, self._random.random()))

    def _hold(self, delivery: Delivery, error: UsageError) -> None:
        self._log.error(
            "source_held",
            contract=delivery.contract,
            payloads=len(delivery.payloads),
            payload_bytes=sum(len(payload.body) for payload in delivery.payloads),
            positions=[f"{position.stream}@{position.start}" for position in delivery.positions],
            error=str(error),
            remedy="Nothing of it is acknowledged or lost. Mend the cause and start the connector again",
        )
        raise _HeldError(str(error)) from error

    def _fenced(self, fence: FenceError) -> None:
        self._failures += 1
        if self._failures == 1:
            self._log.info("source_overtaken", error=str(fence), remedy="Reading again from the store's position")

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if self._state != "down":
            self._log.warning("source_down", error=str(error) or repr(error), kind=type(error).__name__, exc_info=_trace(error))
            self._become("down", str(error) or repr(error))

    def _succeeded(self) -> None:
        self._failures = 0
        if self._state == "up":
            return
        if self._state == "down":
            self._log.info("source_recovered", down_seconds=(self._clock.now() - self._since) / SECOND)
        self._become("up", None)

    def _become(self, state: State, error: str | None) -> None:
        self._metrics.connector_up.labels(connector=self.name).set(1 if state == "up" else 0)
        self._state, self._error, self._since = state, error, self._clock.now()

    def _pause(self, seconds: float) -> None:
        if self._wait(seconds) or self._stop.is_set():
            raise _StoppedError

    def _close(self) -> None:
        with suppress(Exception):  # it is being let go of; what made it fail is already told
            self._source.close()


def _trace(error: Exception) -> Exception | None:
    """A traceback only for what nobody foresaw."""
    return None if isinstance(error, PlatformError | UsageError | OSError) else error
