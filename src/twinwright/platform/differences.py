"""What a comparison of two instants has to look at, kept for who reads its pages one after the other."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

_KEPT: Final = 4


class Differences:
    """Which twins may be different, kept of the last few comparisons for who reads on: their instants are fixed, so it stays true."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, list[str]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, comparison: Hashable, find: Callable[[], list[str]]) -> list[str]:
        with self._lock:
            held = self._kept.get(comparison)
        if held is None:
            held = find()
            with self._lock:
                self._kept[comparison] = held
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return held
