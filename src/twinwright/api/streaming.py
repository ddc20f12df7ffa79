"""Answers that come in parts: Server-Sent Events, and series as an Arrow IPC stream.

A part is made when the client has taken the one before. One that takes nothing is hung up on: it comes again where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any, Final

import msgspec
import pyarrow as pa
from fastapi import Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Send

from twinwright.api.errors import error_object
from twinwright.api.serving import Serving
from twinwright.errors import TwinwrightError
from twinwright.observability.logs import get_logger
from twinwright.platform.interface import Progress

EVENTS: Final = "text/event-stream"
ARROW: Final = "application/vnd.apache.arrow.stream"
SIGN_OF_LIFE: Final = 15.0  # seconds
STILL_HERE: Final = b": still here\n\n"  # a comment, for a client that has no patience for silence
NOT_TAKEN: Final = 90.0  # seconds; longer than an rpc waits, which has a status for it
ROWS: Final = 16_384  # of a part
_UNBUFFERED: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
_log = get_logger("api")


def accepts(request: Request, kind: str) -> bool:
    """Whether the client asks for a content type by its name."""
    return kind in request.headers.get("accept", "")


class _NotTakenError(Exception):
    """The client takes nothing any more."""


class PartsResponse(StreamingResponse):
    """An answer in parts, whose maker is closed when the client goes, or takes nothing for NOT_TAKEN seconds, and not when it happens to be
    collected: it holds a place."""

    def __init__(self, parts: AsyncGenerator[bytes, None], kind: str) -> None:
        super().__init__(parts, media_type=kind, headers=_UNBUFFERED)
        self._parts = parts

    async def stream_response(self, send: Send) -> None:
        async def sent(message: Message) -> None:
            try:
                async with asyncio.timeout(NOT_TAKEN):
                    await send(message)
            except TimeoutError:
                raise _NotTakenError from None

        try:
            async with contextlib.aclosing(self._parts):
                await super().stream_response(sent)
        except _NotTakenError:  # the server hangs up on an answer that is not complete
            _log.warning("stream_not_taken", seconds=NOT_TAKEN)


def server_sent(parts: AsyncGenerator[bytes, None]) -> PartsResponse:
    """An answer of Server-Sent Events."""
    return PartsResponse(parts, EVENTS)


def event_text(name: str, data: Any, id: int | str | None = None) -> bytes:
    """One of them, with its data as JSON."""
    place = "" if id is None else f"id: {id}\n"
    return f"{place}event: {name}\ndata: {msgspec.json.encode(data).decode()}\n\n".encode()


def error_text(error: TwinwrightError) -> bytes:
    """The event that ends a stream which has begun: its status can't tell the error any more."""
    return event_text("error", {**error.as_json(), **error_object(error)})


async def with_progress(run: Callable[[Progress], Awaitable[dict[str, Any]]]) -> AsyncGenerator[bytes, None]:
    """`progress` (done, total) as it changes, the newest alone where the client is slow, and at the end `done` with the answer."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()
    newest: tuple[int, int] | None = None

    def told(done: int, total: int) -> None:  # from the thread that works
        nonlocal newest
        newest = done, total
        with contextlib.suppress(RuntimeError):  # the server stops: the run goes on without listeners
            loop.call_soon_threadsafe(changed.set)

    work = asyncio.ensure_future(run(told))
    work.add_done_callback(lambda _: changed.set())
    try:
        while not work.done() or newest is not None:
            try:
                async with asyncio.timeout(SIGN_OF_LIFE):
                    await changed.wait()
            except TimeoutError:
                yield STILL_HERE
                continue
            changed.clear()
            step, newest = newest, None
            if step is not None:
                yield event_text("progress", {"done": step[0], "total": step[1]})
        try:
            yield event_text("done", work.result())
        except TwinwrightError as error:
            yield error_text(error)
        except Exception as error:  # noqa: BLE001 - the stream has begun: the client is told here, the log has the trace
            _log.error("request_failed", exc_info=error)
            yield event_text("error", {"code": "InternalServerError", "message": "the platform failed; its log has the details"})
    finally:
        work.cancel()


async def arrow(serving: Serving, table: pa.Table) -> AsyncGenerator[bytes, None]:
    """The table as one Arrow IPC stream, in parts of ROWS. Ends early where as many streams as may be are open already."""
    with serving.stream():
        for part in _parts(table):
            yield part


class _Sink:
    """What a writer writes to, and what is taken from it meanwhile."""

    closed = False

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def write(self, data: Any) -> None:
        self._held.append(bytes(data))

    def taken(self) -> bytes:
        held, self._held = self._held, []
        return b"".join(held)


def _parts(table: pa.Table) -> Iterator[bytes]:
    sink = _Sink()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=ROWS):
            writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()
