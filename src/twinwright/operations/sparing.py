"""Answers that cost a read of a whole window: given again while they are as good as new, so that whoever polls can't load the platform."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from twinwright.clock import SECOND, Clock

T = TypeVar("T")
SHARE: Final = 20  # an answer that took a second is not worked out again for twenty
AT_REST: Final = 60 * SECOND  # nor while nothing was committed, for so long: its window moves on
MAX_KEPT: Final = 200


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    answer: T
    commit: int
    made: int
    took: int


class Sparing(Generic[T]):
    """One answer for each key. Small ones are always new, large ones take a twentieth of the time at most."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[Hashable, _Kept[T]] = {}

    def answer(self, key: Hashable, commit: int, work: Callable[[], T]) -> T:
        """`work()`, or what it said lately; `commit` is the newest that there is. Those who ask meanwhile wait for the same answer."""
        with self._lock:
            kept, now = self._kept.get(key), self._clock.monotonic()
            if kept is not None and (now - kept.made < SHARE * kept.took or (kept.commit == commit and now - kept.made < AT_REST)):
                return kept.answer
            answer = work()
            done = self._clock.monotonic()
            self._kept.pop(key, None)
            if len(self._kept) >= MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = _Kept(answer, commit, done, done - now)
            return answer
