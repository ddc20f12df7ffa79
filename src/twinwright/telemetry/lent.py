"""Memory for the large arrays of a batch, which the next batch is lent again.

The system clears what it gives out as it is touched for the first time. For arrays that live as long as a batch this cost a tenth to a
third of all processor time, since an allocator gives such memory back at once.
"""

from __future__ import annotations

import ctypes
import math
import threading
import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LEAST = 1 << 20  # bytes of an array: smaller ones an allocator has at hand
MOST = 256 << 20  # bytes that wait to be lent


class Lender:
    """Lends arrays; for any thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._waiting: list[NDArray[np.uint8]] = []  # who waits longest comes first
        self._back: deque[NDArray[np.uint8]] = deque()  # an array may go anywhere, also where the lock is held
        self._lock = threading.Lock()

    def empty(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """As `numpy.empty`. The memory comes back when the array and whatever looks into it are gone."""
        size = math.prod(shape if isinstance(shape, tuple) else (shape,)) * np.dtype(dtype).itemsize
        if size < LEAST:
            return np.empty(shape, dtype)
        block = self._block(size)
        owner = (ctypes.c_uint8 * len(block)).from_buffer(block.data)  # every view leads to it, where NumPy would pass over an array
        weakref.finalize(owner, self._back.append, block).atexit = False
        lent: NDArray[Any] = np.frombuffer(memoryview(owner), np.uint8, size).view(dtype).reshape(shape)
        return lent

    @property
    def waiting(self) -> int:
        """Bytes that wait to be lent."""
        with self._lock:
            self._take_back()
            return sum(map(len, self._waiting))

    def forget(self) -> None:
        """Give what waits back to the system."""
        with self._lock:
            self._take_back()
            self._waiting.clear()

    def _block(self, size: int) -> NDArray[np.uint8]:
        step = 1 << size.bit_length() - 3
        size = -(-size // step) * step  # batches differ a little: few sizes serve all
        with self._lock:
            self._take_back()
            for at in range(len(self._waiting) - 1, -1, -1):
                if len(self._waiting[at]) == size:
                    return self._waiting.pop(at)
        return np.empty(size, np.uint8)

    def _take_back(self) -> None:
        while self._back:
            self._waiting.append(self._back.popleft())
        total = sum(map(len, self._waiting))
        while total > self._most:
            total -= len(self._waiting.pop(0))


LENDER = Lender()  # of the process, as its memory is
