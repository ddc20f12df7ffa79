"""Those who are told of commits: of our own as they are made, and of those of other processes by a look at the log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from twinwright.errors import TwinwrightError
from twinwright.observability.logs import get_logger
from twinwright.storage.layout import Commit
from twinwright.storage.log_line import tell
from twinwright.storage.protocol import CommitListener

_log = get_logger("storage")
_LOOK_SECONDS = 0.1  # between two looks: no message is needed, which a pooler between us and the server might lose
_REMEMBERED = 100_000  # commits made here
_AGAIN_SECONDS = 2.0  # after the server could not be asked


class LogWatch:
    """Tells listeners of every commit once. `read(after)` are the lines of the log after a commit; nobody listens, nobody looks."""

    def __init__(self, read: Callable[[int], Sequence[Commit]], newest: int) -> None:
        self._read, self._seen = read, newest
        self._listeners: list[CommitListener] = []
        self._own: dict[int, None] = {}  # the newest of those made here, oldest first
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def listen(self, listener: CommitListener) -> None:
        with self._lock:
            self._listeners.append(listener)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="twinwright-log", daemon=True)
                self._thread.start()

    def making(self, commit: int) -> None:
        """About to be made here: whoever looks meanwhile is not to tell of it."""
        with self._lock:
            self._own[commit] = None
            if len(self._own) > _REMEMBERED:
                del self._own[next(iter(self._own))]

    def unmade(self, commit: int) -> None:
        """It is not known to have been made."""
        with self._lock:
            self._own.pop(commit, None)

    def pass_over(self, commit: int) -> None:
        """Nobody is told of commits up to this one: they came all at once, as a copy of another store."""
        self._seen = commit

    def is_own(self, commit: int) -> bool:
        with self._lock:
            return commit in self._own

    def made(self, done: Commit) -> None:
        self.making(done.number)
        tell(self._listeners, done)

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        pause = _LOOK_SECONDS
        while not self._stop.wait(pause):
            try:
                found = self._read(self._seen)
            except TwinwrightError as error:
                if pause == _LOOK_SECONDS:
                    _log.warning("the log can't be read", error=str(error))
                pause = _AGAIN_SECONDS
                continue
            pause = _LOOK_SECONDS
            for commit in found:
                self._seen = commit.number
                if not self.is_own(commit.number):
                    tell(self._listeners, commit)
