"""Work for the kernel to count: `python excitation.py COUNT SECONDS` keeps COUNT tasks runnable for SECONDS.

They run at the lowest priority: they count as active tasks like any other, and keep nobody waiting. They end with their time,
with the process that started this one, or with this one, whichever comes first.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None)


def end_with_parent(number: int, parent: int) -> None:
    """Have the kernel send us a signal when `parent` is gone, where it can (Linux; prctl(2))."""
    if hasattr(_libc, "prctl"):
        _libc.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it was gone before we asked
            os.kill(os.getpid(), number)


def spin(deadline: float) -> None:
    """Do nothing, busily."""
    while time.monotonic() < deadline:
        for _ in range(100_000):
            pass


def main(count: int, seconds: float, parent: int) -> None:
    """Fork the tasks and wait for them."""
    end_with_parent(signal.SIGKILL, parent)
    os.nice(19)
    deadline, own = time.monotonic() + seconds, os.getpid()
    for _ in range(count):
        if os.fork() == 0:
            end_with_parent(signal.SIGKILL, own)
            spin(deadline)
            os._exit(0)
    for _ in range(count):
        os.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
