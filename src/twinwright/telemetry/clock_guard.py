"""Law 6: while the platform's clock is suspect, nothing is taken in and nothing acknowledged, so that nothing is stamped or refused by it.

The clock is suspect when the time of the world has moved against monotonic time by more than the skew since both were last seen to
agree. NTP slews a clock by at most 500 parts in a million (RFC 5905, section 11.3), and what moves so slowly is followed. A step
that nobody watched is seen as well: the two clocks are compared with an `Anchor` that the process before left behind.
"""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable
from dataclasses import dataclass

from twinwright.clock import SECOND, Clock, format_duration, to_iso
from twinwright.errors import ClockSuspectError
from twinwright.observability.logs import get_logger
from twinwright.observability.metrics import Metrics
from twinwright.telemetry.batches import prepare
from twinwright.telemetry.contract import Contract
from twinwright.telemetry.decode import Decoder
from twinwright.telemetry.payloads import Delivery
from twinwright.twins.registry import TwinRegistry

_log = get_logger("telemetry")
PAUSE = 600 * SECOND
SLEW = 1_000  # of elapsed time, one part in so many may be slewed: twice what NTP does
DEFAULT_SKEW, LEAST_SKEW = 30 * SECOND, SECOND
RETRY_SECONDS = 5.0
_READ_WITHIN = 10_000  # microseconds between two looks at the monotonic clock around one at the other
_NEVER = 2**62  # as a time of receipt: ahead of it is nothing
_REMEDY = "Set the clock right, or if it is right: twinwright clock trust"


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a process knew of the clocks, for the next one. Times in microseconds.

    `offset` is the trusted difference world - monotonic, which means something within one `boot` only; `seen` the newest trusted
    time; `since` when, by the monotonic clock, the world's became suspect (None: it was not).
    """

    boot: str
    offset: int
    seen: int
    since: int | None = None


@dataclass(frozen=True, slots=True)
class ClockStatus:
    """`step` is how far the clock stands from where it was expected (0 while it is not suspect), `left` until the pause ends by itself."""

    suspect: bool
    step: int
    left: int
    skew: int


class ClockGuard:
    """Judges the clock whenever the time of receipt is asked for. Used from several threads."""

    def __init__(self, clock: Clock, metrics: Metrics, anchor: Anchor | None = None) -> None:
        self._clock, self._metrics = clock, metrics
        self._lock = threading.Lock()
        self._skew = DEFAULT_SKEW
        self._votes: dict[str, int] = {}
        now, monotonic = self._read()
        self._reference, self._checked, self._since = _expected(anchor, clock.boot(), now, monotonic)
        self._latest = now - monotonic
        self._seen = now if anchor is None else anchor.seen
        if self._since is not None:
            self._metrics.clock_suspect.set(1)

    def configure(self, skews: list[int]) -> None:
        """Hold the clock to the smallest skew (microseconds) of the applied contracts, to a second at the closest."""
        with self._lock:
            self._skew = max(LEAST_SKEW, min(skews, default=DEFAULT_SKEW))

    def now(self) -> int:
        """The time of receipt, by a look at the clock that was judged. Raises ClockSuspectError."""
        with self._lock:
            now = self._judge()
            if self._since is not None:
                raise self._error()
            return now

    def admit(self, source: str, newest: Callable[[], int | None]) -> None:
        """Let a delivery of `source` in. While the clock is suspect `newest` is asked for its newest event time (None: it has none),
        which is evidence; raises ClockSuspectError while that is not enough."""
        with self._lock:
            self._judge()
            if self._since is None:
                return
        event = newest()
        with self._lock:
            now = self._judge()
            if self._since is not None and event is not None:
                self._hear(source, now - event)
            if self._since is not None:
                raise self._error()

    def trust(self) -> None:
        """An operator says that the clock is right as it is now."""
        with self._lock:
            self._judge()
            if self._since is not None:
                self._trusted("an operator says so")
            else:
                self._reference = self._latest

    def status(self) -> ClockStatus:
        """The clock judged now."""
        with self._lock:
            now = self._judge()
            if self._since is None:
                return ClockStatus(False, 0, 0, self._skew)
            monotonic = now - self._latest
            return ClockStatus(True, self._latest - self._reference, max(0, self._since + PAUSE - monotonic), self._skew)

    def anchor(self) -> Anchor:
        """What the next process has to know."""
        with self._lock:
            self._judge()
            return Anchor(self._clock.boot(), self._reference, self._seen, self._since)

    # --- with the lock held ------------------------------------------------------------------------------------------

    def _read(self) -> tuple[int, int]:
        """Both clocks at one moment: a thread that was put aside between the two looks looks again."""
        for _ in range(5):
            before, now, after = self._clock.monotonic(), self._clock.now(), self._clock.monotonic()
            if after - before <= _READ_WITHIN:
                break
        return now, after

    def _judge(self) -> int:
        now, monotonic = self._read()
        before, self._latest = self._latest, now - monotonic
        step = self._latest - self._reference
        if self._since is None:
            if abs(step) > self._skew:
                self._suspected(step, monotonic)
            else:
                slewed = max(0, monotonic - self._checked) // SLEW
                self._reference += max(-slewed, min(slewed, step))
                self._checked, self._seen = monotonic, now
        elif abs(step) <= self._skew:
            self._trusted("it was set back")
        elif monotonic - self._since >= PAUSE:
            self._trusted(f"{format_duration(PAUSE)} passed")
        elif abs(self._latest - before) > self._skew:  # it was stepped again: what was said of it before counts no more
            self._since = monotonic
            self._votes.clear()
        return now

    def _suspected(self, step: int, monotonic: int) -> None:
        self._since = monotonic
        self._metrics.clock_suspect.set(1)
        self._metrics.clock_steps.inc()
        _log.error("clock_suspect", step_seconds=step / SECOND, skew_seconds=self._skew / SECOND, ingestion="paused", remedy=_REMEDY)

    def _trusted(self, why: str) -> None:
        _log.warning("clock_trusted", step_seconds=(self._latest - self._reference) / SECOND, why=why, ingestion="resumed")
        self._reference, self._since = self._latest, None
        self._votes.clear()
        self._metrics.clock_suspect.set(0)

    def _hear(self, source: str, behind: int) -> None:
        """A source says that now is `behind` microseconds ago. One that is near neither of the two times that are possible (a file of
        last year, say) says nothing of the clock. Of each source the closest counts: a delivery that waits is older at every try."""
        if abs(behind) < abs(self._votes.get(source, _NEVER)):
            self._votes[source] = behind
        step = self._latest - self._reference
        votes = [vote for vote in self._votes.values() if min(abs(vote), abs(vote - step)) <= self._skew]
        if votes and abs(statistics.median(votes)) <= self._skew:
            self._trusted("the sources' median agrees")

    def _error(self) -> ClockSuspectError:
        step = self._latest - self._reference
        by = f"{format_duration(round(abs(step) / SECOND) * SECOND)} {'ahead of' if step > 0 else 'behind'}"
        what = f"the platform's clock ({to_iso(self._clock.now())}) is {by} where it should be: ingestion is paused"
        return ClockSuspectError(what, retry_after=RETRY_SECONDS)


def _expected(anchor: Anchor | None, boot: str, now: int, monotonic: int) -> tuple[int, int, int | None]:
    """(trusted offset, when it was, since when it is suspect). Of another boot only this is known: time does not go back."""
    if anchor is None:
        return now - monotonic, monotonic, None
    if anchor.boot and anchor.boot == boot:
        return anchor.offset, min(monotonic, anchor.seen - anchor.offset), anchor.since
    return max(now, anchor.seen) - monotonic, monotonic, None


def newest_event_time(contract: Contract, decoder: Decoder, delivery: Delivery, registry: TwinRegistry) -> int | None:
    """The newest event time in the last payload of a delivery, read without touching any state; None if it has none."""
    readings = prepare(contract, decoder, delivery.payloads[-1:], registry, _NEVER).readings
    return int(readings.time.max()) if len(readings) else None
