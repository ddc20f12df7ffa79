"""The thread in which a running platform derives; where none runs, whoever reads derives first."""

from __future__ import annotations

import threading
import time

from twinwright.clock import SECOND
from twinwright.derived.consumer import DerivedConsumer
from twinwright.observability.logs import get_logger
from twinwright.storage.layout import Commit

_log = get_logger("derived")
_GATHER = 0.05  # seconds: what is committed within them is derived in one round
_AGAIN = 5.0  # seconds after the store failed


class DerivedRunner:
    """Wakes at every commit. `settle` gives a reader what was committed when it began."""

    def __init__(self, consumer: DerivedConsumer) -> None:
        self.consumer = consumer
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._done = threading.Condition()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="twinwright-derived", daemon=True)
        self._thread.start()

    def wake(self, _commit: Commit | None = None) -> None:
        """There may be something to derive: a listener of the commit log."""
        self._wake.set()

    def stop(self) -> None:
        """Leave what is being derived, and wait for that."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self.consumer.stop()
            self._thread.join()

    def settle(self, commit: int, patience: float) -> bool:
        """Until what doesn't fail has consumed a commit, at most so many seconds; without a thread, derive it here."""
        if self.consumer.idle:
            return True
        if self._thread is None:
            self.consumer.catch_up()
            return True
        deadline = time.monotonic() + patience
        with self._done:
            while not self.consumer.reached(commit):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._done.wait(min(left, 1.0))
        return True

    def _run(self) -> None:
        self._wake.set()  # for what was committed before
        pause: float | None = None
        while not self._stop.is_set():
            self._wake.wait(pause)
            self._stop.wait(_GATHER)
            self._wake.clear()
            pause = self._round()
            with self._done:
                self._done.notify_all()

    def _round(self) -> float | None:
        """Derive; in how many seconds to try again what failed."""
        try:
            self.consumer.catch_up()
        except Exception as error:  # noqa: BLE001 - the store may be back later: this thread is not to end
            _log.error("can't derive", error=str(error))
            return _AGAIN
        pause = self.consumer.pause()
        return None if pause is None else pause / SECOND + _GATHER
