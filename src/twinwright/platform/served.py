"""What follows from what is applied, and reads of it that an apply does not come between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from twinwright.calibration.service import CalibrationService
from twinwright.events.log import EventLog
from twinwright.events.pages import EventPages
from twinwright.platform.applied import Applied
from twinwright.platform.differences import Differences
from twinwright.platform.querying import Queries
from twinwright.simulation.service import SimulationService
from twinwright.twins.changes import ChangeLog
from twinwright.twins.reads import TwinReads

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Served:
    """What follows from what is applied; replaced whole by an apply."""

    applied: Applied
    reads: TwinReads
    changes: ChangeLog
    events: EventLog
    pages: EventPages
    differences: Differences
    simulation: SimulationService
    calibration: CalibrationService
    queries: Queries


class Serving:
    """What is served now. `make` reads it from the store, `lock` is that of the state, `renew` looks whether another process applied."""

    def __init__(self, make: Callable[[], Served], lock: threading.RLock, renew: Callable[[], object]) -> None:
        self._make, self._lock, self._renew = make, lock, renew
        self._begun = self._done = 0  # changes of it
        self.now = make()

    @contextmanager
    def anew(self) -> Iterator[None]:
        """Serve what the store says after what is done inside: one at a time, and no delivery between what the store says and what is
        served."""
        with self._lock:
            self._begun += 1
            try:
                yield
                self.now = self._make()
            finally:
                self._done += 1

    def read(self, ask: Callable[[Served], T]) -> T:
        """What is read of it: once more where it changed meanwhile, as the store had told of twins that `ask` did not know yet."""
        while True:
            begun = self._begun
            if begun == self._done:
                served = self.now
                try:
                    answer = ask(served)
                except Exception:
                    if not self._superseded(begun, served):
                        raise
                else:
                    if not self._superseded(begun, served):
                        return answer
            with self._lock:
                pass  # what is under way is done when its lock is free

    def _superseded(self, begun: int, served: Served) -> bool:
        self._renew()
        return self._begun != begun or self.now is not served
