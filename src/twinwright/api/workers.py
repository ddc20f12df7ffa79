"""Bounded thread pools: blocking work of the platform off the event loop, and a plain refusal where too much of it waits."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from twinwright.errors import BusyError

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """At most `threads` calls at once and `waiting` behind them; `retry_after` (seconds) is what the refused are told."""

    def __init__(self, name: str, *, threads: int, waiting: int, retry_after: float = 1.0) -> None:
        self.name = name
        self._limit = threads + waiting
        self._retry_after = retry_after
        self._pending = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"twinwright-{name}")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it in a thread, with the correlation id of the caller. Raises BusyError when full, and what the call raises."""
        with self._lock:
            if self._pending >= self._limit:
                raise BusyError(f"too many requests wait for {self.name}", retry_after=self._retry_after)
            self._pending += 1
        try:
            future = self._pool.submit(contextvars.copy_context().run, partial(function, *args, **kwargs))
        except BaseException:
            self._done(None)
            raise
        future.add_done_callback(self._done)  # not when the waiting ends: a client that hung up still has its thread
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Take nothing more, forget what waits, and let what runs come to its end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _done(self, _future: Future[Any] | None) -> None:
        with self._lock:
            self._pending -= 1
