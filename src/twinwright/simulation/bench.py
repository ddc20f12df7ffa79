"""A process that several runs use one after another: the time of each, what each leaves behind, and where each is told."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
import resource
import signal
import sys
import time
from typing import Any

from twinwright.simulation.answers import framed
from twinwright.simulation.fork_server import LOG, PARTS
from twinwright.simulation.protocol import ModelError

ENOUGH_SECONDS = 1.5  # of processor time, after which the runs that are left get another process
LONGEST_SECONDS = 5.0  # of wall time, of which others may take the greater part
SHARED = 5.0  # so many times as long as in processor time, at most, a run is taken to last where others have the machine
_PATIENCE = 10.0  # times the longest run so far, and a second: a run that takes longer is ended, and run again alone
_SHARE = 0.5  # of the limits on memory and output, that may be used up when the next run begins
_LOG_BYTES = 64 * 1024
_FIRST_DESCRIPTOR = 200
_SETTLED = 50_000_000  # nanoseconds after which a change of a folder has another time, however coarse the kernel's clock


class Bench:
    """Where runs are taken up and put down. Used in the folder that is the process's own."""

    def __init__(self, wall_seconds: float, memory_bytes: int, output_bytes: int) -> None:
        self._wall, self._memory, self._output = wall_seconds, memory_bytes, output_bytes
        self._libc = ctypes.CDLL(None)
        self._parts = _opened(PARTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._log = _opened(LOG, os.O_RDONLY | os.O_CREAT)
        self._sizes = _opened("/proc/self/statm", os.O_RDONLY)
        self._descriptors = _opened("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
        self._told = self._runs = 0
        self.longest = 0.0
        self._began = self._since = time.monotonic()
        self._used = 0.0
        self._resident = self._resident_now()
        self._listing, self._mark = self._seen(), _mark(self._descriptors)
        self._logged = os.fstat(self._log).st_size

    def begin(self) -> None:
        """The next run has its time from now on."""
        allowed = self._wall if not self._runs else min(self._wall, 1.0 + _PATIENCE * self.longest)
        self._since = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, allowed)

    def end(self, answer: dict[str, Any]) -> bool:
        """Tell how a run ended; whether there is time and room for another. Raises ModelError (`output`) where the first is too long."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        now = time.monotonic()
        self.longest = max(self.longest, now - self._since)
        with contextlib.suppress(Exception):  # a model may have closed one, or put something else in its place
            try:
                sys.stdout.flush()
            finally:
                sys.stderr.flush()
        self._libc.fflush(None)
        answer["log"], answer["peak_memory"] = self._printed() + str(answer.get("log", "")), self._peak()
        body = framed(answer)
        first, self._runs = not self._runs, self._runs + 1
        if not first and self._told + len(body) > self._output:
            return False  # another process has room for it
        try:
            self._write(body)
        except OSError as error:
            raise ModelError("output", f"the answer of {len(body)} bytes: {error.strerror}") from None
        self._told += len(body)
        self._used += answer["cpu_seconds"]
        room = max(self._told, self._logged) < _SHARE * self._output and self._resident_now() - self._resident < _SHARE * self._memory
        return room and now - self._began < LONGEST_SECONDS and self._used < ENOUGH_SECONDS

    def pace(self) -> float:
        """How many seconds of processor time a run has taken so far."""
        return max(self._used, (time.monotonic() - self._began) / SHARED) / max(self._runs, 1)

    def tidy(self) -> bool:
        """Whether the runs have left no file, and none open, that the next could come upon."""
        mark = _mark(self._descriptors)
        if mark is not None and mark == self._mark:
            return True
        if self._seen() != self._listing:
            return False
        self._mark = mark
        return True

    def _seen(self) -> tuple[list[str], int]:
        return sorted(os.listdir()), len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- a Path is slower, and holds a descriptor

    def _printed(self) -> str:
        """What was written to the log since the last run."""
        begin, self._logged = self._logged, os.fstat(self._log).st_size
        if self._logged <= begin:
            return ""
        return os.pread(self._log, _LOG_BYTES, max(begin, self._logged - _LOG_BYTES)).decode(errors="replace")

    def _resident_now(self) -> int:
        """Resident bytes of this process."""
        return int(os.pread(self._sizes, 256, 0).split()[1]) * mmap.PAGESIZE

    def _peak(self) -> float:
        """The most bytes that were resident since the first run began, beyond those of then: of this run, or of one before it."""
        return float(max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - self._resident, 0))

    def _write(self, body: bytes) -> None:
        view = memoryview(body)
        while view:
            view = view[os.write(self._parts, view) :]


def _mark(descriptors: int) -> tuple[int, ...] | None:
    """What changes with the names in the folder and the number of open descriptors, in a fraction of the time of looking at them.

    `descriptors` is /proc/self/fd, opened. None where that can't be told, by this kernel (before Linux 6.2 the number is 0) or so soon
    after a change."""
    folder, open_files = os.stat("."), os.fstat(descriptors).st_size  # noqa: PTH116 -- a Path takes longer
    changed = max(folder.st_mtime_ns, folder.st_ctime_ns)
    if not open_files or time.time_ns() - changed < _SETTLED:
        return None
    return folder.st_dev, folder.st_ino, folder.st_mtime_ns, folder.st_ctime_ns, open_files


def _opened(name: str, flags: int) -> int:
    """A descriptor that is out of the way: those that a run opens have the numbers that they have in a process of its own."""
    low = os.open(name, flags, 0o600)
    try:
        return fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR)
    finally:
        os.close(low)
