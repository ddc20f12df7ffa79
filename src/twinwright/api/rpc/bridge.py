"""Requests to the ASGI app from within the process: what an rpc asks, answered by the route of REST with all that is in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import unquote, urlencode

from starlette.types import ASGIApp, Message

Taker = Callable[[bytes], Awaitable[None]]
_HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of REST. `path` is encoded."""

    verb: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True)
class Answered:
    """Its answer. `body` is empty where its parts were taken as they came."""

    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class _EndedError(BaseException):
    """Whoever takes the parts wants no more, because of its cause. Nothing on the way takes it for a failure of its own."""


class Bridge:
    """Asks an app. `port` is what the server of the rpc listens on: its Host."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app, self._port = app, port

    async def ask(self, asked: Asked, metadata: list[tuple[bytes, bytes]], take: Taker | None = None) -> Answered:
        """Ask with the credential of the metadata. `take` is given the parts of a 200 as they come; the next is made when it returns.

        Raises what `take` raises.
        """
        answer = Answered()
        body = bytearray()
        begun = False

        async def receive() -> Message:
            nonlocal begun
            if begun:
                await asyncio.Event().wait()  # a client that goes away cancels the rpc, and this with it
            begun = True
            return {"type": "http.request", "body": asked.body, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]}
            elif message["type"] == "http.response.body" and (part := message.get("body", b"")):
                if take is not None and answer.status == 200:
                    try:
                        await take(bytes(part))
                    except Exception as error:
                        raise _EndedError from error
                else:
                    body.extend(part)

        try:
            await self._app(self._scope(asked, metadata), receive, send)
        except _EndedError as ended:
            raise cast(Exception, ended.__cause__) from None
        answer.body = bytes(body)
        return answer

    def _scope(self, asked: Asked, metadata: list[tuple[bytes, bytes]]) -> dict[str, Any]:
        own = {"host": f"{_HOST}:{self._port}", "content-length": str(len(asked.body)), **asked.headers}
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "2",
            "method": asked.verb,
            "scheme": "http",
            "path": unquote(asked.path),
            "raw_path": asked.path.encode(),
            "query_string": urlencode(asked.query).encode(),
            "root_path": "",
            "headers": [*metadata, *((name.encode(), value.encode("latin-1", "replace")) for name, value in own.items())],
            "client": None,
            "server": (_HOST, self._port),
            "state": {},
        }
