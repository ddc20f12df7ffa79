"""The handlers of the service: each asks REST by the bridge, and ends with its answer or with the status that it stands for.

What streams reads on when the client has taken the part before; a client that takes nothing for STALLED_SECONDS is let go of.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final

import grpc
import msgspec

from twinwright.api.rpc import v1_pb2
from twinwright.api.rpc.bridge import Answered, Asked, Bridge
from twinwright.api.rpc.messages import RPCS, SERVICE, Rpc, message_of
from twinwright.api.rpc.statuses import Refused, refused, refused_by, refused_in_stream
from twinwright.api.streaming import ARROW, EVENTS
from twinwright.errors import PlatformError, TwinwrightError
from twinwright.observability.logs import get_logger

STALLED_SECONDS: Final = 60.0
PART_BYTES: Final = 1024 * 1024  # clients take messages of 4 MiB unless they say otherwise
_CARRIED: Final = ("authorization", "x-correlation-id", "twinwright-fork")
_log = get_logger("grpc")


class StalledError(PlatformError):
    """A client that follows a stream and takes nothing of it. `pending` is what it has to take before it can be told."""

    code = "Stalled"
    http_status = 408

    def __init__(self, seconds: float, pending: asyncio.Future[None]) -> None:
        super().__init__(f"nothing was taken of the stream for {seconds:g} s", remedy="Read faster, or ask for less")
        self.pending = pending


class StoppingError(PlatformError):
    """A stream that would go on, of a server that stops."""

    code = "Stopping"
    http_status = 503


class Calls:
    """The handlers, by the name of their rpc. `stalled` is in seconds."""

    def __init__(self, bridge: Bridge, *, stalled: float = STALLED_SECONDS) -> None:
        self._bridge, self._stalled = bridge, stalled
        self.closing = asyncio.Event()  # streams that would go on end

    def handlers(self) -> grpc.GenericRpcHandler:
        """All of them, as a server takes them."""
        return grpc.method_handlers_generic_handler(SERVICE.full_name, {name: self._handler(rpc) for name, rpc in RPCS.items()})

    def _handler(self, rpc: Rpc) -> grpc.RpcMethodHandler:
        codec = {"request_deserializer": rpc.request.FromString, "response_serializer": rpc.response.SerializeToString}
        if rpc.method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(self._each(rpc), **codec)
        if rpc.method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(self._parts(rpc), **codec)
        return grpc.unary_unary_rpc_method_handler(self._one(rpc), **codec)

    def _one(self, rpc: Rpc) -> Callable[[Any, Any], Awaitable[Any]]:
        async def handle(request: Any, context: Any) -> Any:
            return await _told(context, self._answer(rpc, request, context))

        return handle

    def _each(self, rpc: Rpc) -> Callable[[AsyncIterator[Any], Any], Awaitable[None]]:
        async def handle(requests: AsyncIterator[Any], context: Any) -> None:
            async def all() -> None:
                async for request in requests:  # the next is taken from the wire when this one is durable
                    await self._write(context, await self._answer(rpc, request, context))

            await _told(context, all())

        return handle

    def _parts(self, rpc: Rpc) -> Callable[[Any, Any], Awaitable[None]]:
        streams = {"History": self._history, "FetchSubmittedRun": self._file, "Simulate": self._simulate}
        stream = {**streams, "WatchSubmittedRun": self._watch, "Events": self._events, "WatchShadow": self._said}[rpc.name]

        async def handle(request: Any, context: Any) -> None:
            await _told(context, stream(rpc, request, context))

        return handle

    async def _answer(self, rpc: Rpc, request: Any, context: Any) -> Any:
        answer = await self._bridge.ask(rpc.asked(request), carried(context.invocation_metadata()))
        _check(answer)
        return message_of(rpc.response, msgspec.json.decode(answer.body))

    async def _history(self, rpc: Rpc, request: Any, context: Any) -> None:
        await self._bytes(rpc.asked(request, ARROW), context, lambda part: v1_pb2.HistoryPart(arrow=part))

    async def _file(self, rpc: Rpc, request: Any, context: Any) -> None:
        await self._bytes(rpc.asked(request, "*/*"), context, lambda part: v1_pb2.FilePart(data=part))

    async def _bytes(self, asked: Asked, context: Any, message: Callable[[bytes], Any]) -> None:
        async def take(part: bytes) -> None:
            for start in range(0, len(part), PART_BYTES):
                await self._write(context, message(part[start : start + PART_BYTES]))

        _check(await self._bridge.ask(asked, carried(context.invocation_metadata()), take))

    async def _simulate(self, rpc: Rpc, request: Any, context: Any) -> None:
        async def take(name: str, data: Any, _id: str) -> None:
            if name == "progress":
                await self._write(context, v1_pb2.SimulateUpdate(progress=message_of(v1_pb2.Progress, data)))
            elif name == "done":
                await self._write(context, v1_pb2.SimulateUpdate(done=message_of(v1_pb2.Runs, {"value": data["runs"]})))

        await self._sent(rpc, request, context, take)

    async def _watch(self, rpc: Rpc, request: Any, context: Any) -> None:
        async def take(_name: str, data: Any, _id: str) -> None:
            await self._write(context, message_of(v1_pb2.SubmittedRun, data))

        await self._until_closing(self._sent(rpc, request, context, take))

    async def _events(self, rpc: Rpc, request: Any, context: Any) -> None:
        async def take(name: str, data: Any, id: str) -> None:
            position = int(id) if id.isdecimal() else None
            text = "" if data is None else msgspec.json.encode(data).decode()
            await self._write(context, v1_pb2.Event(type=name, json=text, position=position, place=id))

        await self._until_closing(self._sent(rpc, request, context, take))

    async def _said(self, rpc: Rpc, request: Any, context: Any) -> None:
        async def take(_name: str, data: Any, id: str) -> None:
            message = message_of(v1_pb2.ShadowSaid, data or {})
            if id:
                message.position = int(id)
            await self._write(context, message)

        await self._until_closing(self._sent(rpc, request, context, take))

    async def _until_closing(self, stream: Coroutine[Any, Any, None]) -> None:
        """A stream that goes on for as long as there is something to tell. Raises StoppingError where the server stops before."""
        following = asyncio.ensure_future(stream)
        stopping = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                raise StoppingError("the platform stops", remedy="Come again, with the last position")
            following.result()
        finally:
            following.cancel()
            stopping.cancel()

    async def _sent(self, rpc: Rpc, request: Any, context: Any, take: Callable[[str, Any, str], Awaitable[None]]) -> None:
        """Follow the Server-Sent Events of a resource."""
        rest = b""

        async def part(data: bytes) -> None:
            nonlocal rest
            *whole, rest = (rest + data).split(b"\n\n")
            for text in whole:
                name, value, id = _event(text)
                if name == "error":
                    raise refused_in_stream(value)
                if name or id:
                    await take(name, value, id)

        _check(await self._bridge.ask(rpc.asked(request, EVENTS), carried(context.invocation_metadata()), part))

    async def _write(self, context: Any, message: Any) -> None:
        writing = asyncio.ensure_future(context.write(message))
        try:
            done, _ = await asyncio.wait({writing}, timeout=self._stalled)
        except asyncio.CancelledError:
            writing.cancel()
            raise
        if not done:
            raise StalledError(self._stalled, writing)
        writing.result()


def carried(metadata: Iterable[tuple[str, str | bytes]] | None) -> list[tuple[bytes, bytes]]:
    """What of the metadata goes on to REST: the credential, the correlation id and the fork, and nothing else that could be sent."""
    found = ((name, value) for name, value in metadata or () if name in _CARRIED)
    return [(name.encode(), value if isinstance(value, bytes) else value.encode("latin-1", "replace")) for name, value in found]


async def _told(context: Any, work: Awaitable[Any]) -> Any:
    """Do it, and end the rpc with the status of what it raises."""
    try:
        return await work
    except Refused as answer:
        await answer.tell(context)
    except StalledError as error:
        await error.pending  # one message, and nothing behind it: all else of the stream is let go of
        await refused_by(error).tell(context)
    except TwinwrightError as error:
        await refused_by(error).tell(context)
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - the last place where it can be told to the client
        _log.error("request_failed", exc_info=error)
        await refused_by(PlatformError("the platform failed", remedy="Its log has the details")).tell(context)


def _check(answer: Answered) -> None:
    if answer.status not in (200, 202):
        raise refused(answer)


def _event(text: bytes) -> tuple[str, Any, str]:
    """Name, data and id of an event as REST sends it, each on one line."""
    lines = dict(line.split(b": ", 1) for line in text.split(b"\n") if not line.startswith(b":"))
    data = lines.get(b"data")
    return lines.get(b"event", b"").decode(), None if data is None else msgspec.json.decode(data), lines.get(b"id", b"").decode()
