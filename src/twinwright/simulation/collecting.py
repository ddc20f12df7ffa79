"""The garbage collector beside requests for many runs."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator
from typing import Final

MANY: Final = 500  # runs, of which the objects make the collector go through all of a process


class _Frozen:
    """What was there when the last of some requests began, left alone until all have ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = 0

    def begin(self) -> bool:
        """False where somebody else has frozen objects: they are theirs to thaw."""
        with self._lock:
            if not self._requests and gc.get_freeze_count():
                return False
            gc.freeze()
            self._requests += 1
            return True

    def end(self) -> None:
        with self._lock:
            self._requests -= 1
            if not self._requests:
                gc.unfreeze()


_frozen = _Frozen()


@contextlib.contextmanager
def only_what_is_new(runs: int) -> Iterator[None]:
    """Have the collector leave alone what was there before, where so many runs are asked for.

    The objects of ten thousand runs make it look twice at each of some hundred thousand others, most of them of libraries, which is a
    quarter of the time that the process takes for the runs. What is made meanwhile is collected as ever; what was there and is let go of,
    in a circle, is collected afterwards.
    """
    if runs < MANY or not _frozen.begin():
        yield
        return
    try:
        yield
    finally:
        _frozen.end()
