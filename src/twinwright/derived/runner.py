"""The thread in which a running platform derives; where none runs, whoever reads derives first."""

from __future__ import annotations

import threading
import time

from twinwright.derived.consumer import DerivedConsumer
from twinwright.storage.consuming import ConsumerThread


class DerivedRunner(ConsumerThread):
    """`settle` gives a reader what was committed when it began."""

    def __init__(self, consumer: DerivedConsumer) -> None:
        super().__init__("derived", consumer)
        self.consumer = consumer
        self._done = threading.Condition()

    def settle(self, commit: int, patience: float) -> bool:
        """Until what doesn't fail has consumed a commit, at most so many seconds; without a thread, derive it here."""
        if self.consumer.idle:
            return True
        if not self.running:
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

    def after_round(self, _took: float) -> None:
        with self._done:
            self._done.notify_all()
