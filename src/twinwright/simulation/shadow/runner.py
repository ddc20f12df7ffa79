"""The thread in which models follow their twins while a platform runs; without one, `shadow run` does it."""

from __future__ import annotations

import threading
import time

from twinwright.clock import SECOND
from twinwright.observability.logs import get_logger
from twinwright.simulation.shadow.consumer import ShadowConsumer
from twinwright.storage.layout import Commit

_log = get_logger("shadow")
_GATHER, _LONGEST_GATHER = 0.1, 1.0  # seconds: what is committed within them is followed in one round
_SHARE = 2.0  # it gathers so many times as long as the last round took: what trickles in does not take all of a core
_AGAIN = 5.0  # seconds after the store failed


class ShadowRunner:
    """Wakes at every commit; who commits never waits for it."""

    def __init__(self, consumer: ShadowConsumer) -> None:
        self.consumer = consumer
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._gather = _GATHER

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="twinwright-shadow", daemon=True)
        self._thread.start()

    def wake(self, _commit: Commit | None = None) -> None:
        """There may be something to follow: a listener of the commit log."""
        self._wake.set()

    def stop(self) -> None:
        """Leave what is being run, and wait for that."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self.consumer.stop()
            self._thread.join()

    def _run(self) -> None:
        self._wake.set()  # for what was committed before
        pause: float | None = None
        while not self._stop.is_set():
            self._wake.wait(pause)
            self._stop.wait(self._gather)
            self._wake.clear()
            if self._stop.is_set():
                return
            pause = self._round()

    def _round(self) -> float | None:
        """Follow; in how many seconds to try again what failed."""
        began = time.monotonic()
        try:
            self.consumer.catch_up()
        except Exception as error:  # noqa: BLE001 - the store may be back later: this thread is not to end
            _log.error("shadows can't follow", error=str(error))
            return _AGAIN
        self._gather = min(max(_GATHER, _SHARE * (time.monotonic() - began)), _LONGEST_GATHER)
        waits = self.consumer.pause()
        return None if waits is None else waits / SECOND + _GATHER
