"""What the handlers share: the platform, acting as whoever asks, and the threads in which it does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Final, cast

from fastapi import Depends, Header, Query, Request

from twinwright.api.security import PRINCIPAL
from twinwright.api.tokens import TokenAuthority
from twinwright.api.workers import Workers
from twinwright.errors import BusyError
from twinwright.platform.interface import Platform

MAX_COMMIT: Final = 2**63 - 1
MOST_STREAMS: Final = 64
MOST_UPLOADS: Final = 4
WAIT_SECONDS: Final = 5.0
FORK_HEADER: Final = "Twinwright-Fork"
AFTER_HEADER: Final = "Twinwright-After"
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Serving:
    """One served platform. Reads, telemetry, writes of the graph and runs wait in lines of their own: a long simulation blocks none of
    the others."""

    platform: Platform
    tokens: TokenAuthority
    reads: Workers = field(default_factory=lambda: Workers("reads", threads=12, waiting=116))
    telemetry: Workers = field(default_factory=lambda: Workers("telemetry", threads=16, waiting=112))
    graph: Workers = field(default_factory=lambda: Workers("graph", threads=64, waiting=448))  # they wait for one commit together
    runs: Workers = field(default_factory=lambda: Workers("runs", threads=2, waiting=6, retry_after=5.0))

    streams: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(MOST_STREAMS))  # whatever loop they are on
    uploads: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(MOST_UPLOADS))  # each fills a disk
    closing: threading.Event = field(default_factory=threading.Event)  # streams end

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """A place among the streams. Raises BusyError where MOST_STREAMS are open."""
        with _place(self.streams, f"{MOST_STREAMS} streams are open already"):
            yield

    @contextlib.contextmanager
    def upload(self) -> Iterator[None]:
        """A place among the files that come in. Raises BusyError where MOST_UPLOADS do."""
        with _place(self.uploads, f"{MOST_UPLOADS} files come in already"):
            yield

    def close(self) -> None:
        self.closing.set()
        for workers in (self.reads, self.telemetry, self.graph, self.runs):
            workers.close()


@contextlib.contextmanager
def _place(among: threading.Semaphore, otherwise: str) -> Iterator[None]:
    if not among.acquire(blocking=False):
        raise BusyError(otherwise, retry_after=5.0)
    try:
        yield
    finally:
        among.release()


@dataclass(frozen=True, slots=True)
class Caller:
    """The platform as the principal of one request may use it."""

    serving: Serving
    platform: Platform
    after: int | None
    fork: str | None = None

    async def visible(self) -> None:
        """Wait until reads see the commit that the request names, without holding a thread meanwhile.

        Raises BusyError for one that does not come within WAIT_SECONDS.
        """
        if self.after is None or self.fork is not None:  # a fork's own commits are seen at once
            return
        deadline = time.monotonic() + WAIT_SECONDS
        while (await self.serving.reads.run(self.platform.status))["commit"] < self.after:
            if time.monotonic() > deadline:
                raise BusyError(f"commit {self.after} is not visible yet")
            await asyncio.sleep(_POLL_SECONDS)


def serving_of(request: Request) -> Serving:
    return cast(Serving, request.app.state.serving)


async def caller(
    request: Request,
    header: Annotated[
        int | None,
        Header(alias=AFTER_HEADER, ge=0, le=MAX_COMMIT, description="A receipt's token: the answer sees at least that commit."),
    ] = None,
    after: Annotated[int | None, Query(ge=0, le=MAX_COMMIT, description="The same as the header Twinwright-After.")] = None,
    fork: Annotated[str | None, Header(alias=FORK_HEADER, include_in_schema=False)] = None,  # of every route: described once, for all
) -> Caller:
    """The dependency of every route: who asks, of what, and what he must be shown at least. Raises NotFoundError, RefusedError.

    Not a plain function: each of these would take a thread for itself, at every request.
    """
    serving = serving_of(request)
    given = [one for one in (header, after) if one is not None]
    platform = serving.platform.as_principal(request.scope[PRINCIPAL])
    if fork is not None:
        platform = await serving.reads.run(platform.fork, fork)  # it may have to be opened
    return Caller(serving, platform, max(given, default=None), fork)


Asking = Annotated[Caller, Depends(caller)]
