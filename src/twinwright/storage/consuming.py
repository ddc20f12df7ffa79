"""The thread of a consumer of the commit log: it wakes at every commit, and who commits never waits for it."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from twinwright.clock import SECOND
from twinwright.observability.logs import get_logger
from twinwright.storage.layout import Commit

_AGAIN = 5.0  # seconds after the store failed


class Consumer(Protocol):
    """What follows the log from where it has come to; it keeps that place itself."""

    def catch_up(self) -> None:
        """Take what was committed since. Raises what the store raises when it is away."""

    def pause(self) -> int | None:
        """Microseconds until what failed is to be tried again; None: nothing did."""

    def stop(self) -> None:
        """Leave what is being taken."""


class ConsumerThread:
    """Runs rounds of a consumer while a platform runs. A subclass may do something after each."""

    gather = 0.05  # seconds: what is committed within them is taken in one round

    def __init__(self, name: str, consumer: Consumer) -> None:
        self._name, self._consumer = name, consumer
        self._log = get_logger(name)
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        return self._thread is not None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"twinwright-{self._name}", daemon=True)
        self._thread.start()

    def wake(self, _commit: Commit | None = None) -> None:
        """There may be something to take: a listener of the commit log."""
        self._wake.set()

    def stop(self) -> None:
        """Leave what is being taken, and wait for that."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._consumer.stop()
            self._thread.join()

    def after_round(self, _took: float) -> None:
        """What to do when a round of so many seconds is over, however it ended."""

    def _run(self) -> None:
        self._wake.set()  # for what was committed before
        pause: float | None = None
        while not self._stop.is_set():
            self._wake.wait(pause)
            self._stop.wait(self.gather)
            self._wake.clear()
            began = time.monotonic()
            pause = self._round()
            self.after_round(time.monotonic() - began)

    def _round(self) -> float | None:
        """In how many seconds to try again what failed."""
        try:
            self._consumer.catch_up()
        except Exception as error:  # noqa: BLE001 - the store may be back later: this thread is not to end
            self._log.error("can't follow the commit log", error=str(error))
            return _AGAIN
        pause = self._consumer.pause()
        return None if pause is None else pause / SECOND + self.gather
