"""What is in front of every service but health: a credential, before a message is read; and health itself, as `/readyz` tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from twinwright.api.rpc.bridge import Asked, Bridge
from twinwright.api.rpc.calls import carried
from twinwright.api.rpc.messages import SERVICE
from twinwright.api.rpc.statuses import Refused, refused_by
from twinwright.api.security import Headers, principal_of
from twinwright.api.tokens import TokenAuthority
from twinwright.errors import BusyError, NotFoundError, TwinwrightError, UnauthorisedError

HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
MOST_WATCHERS: Final = 16
_LOOK_SECONDS: Final = 1.0
_Status = health_pb2.HealthCheckResponse


class Door(grpc.aio.ServerInterceptor):  # type: ignore[misc] # grpc has no types
    """Refuses what comes without a valid `authorization: Bearer <token>` in its metadata."""

    def __init__(self, tokens: TokenAuthority) -> None:
        self._tokens = tokens

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or details.method.startswith(f"/{HEALTH}/"):
            return handler
        try:
            given = Headers({"headers": carried(details.invocation_metadata)}).one(b"authorization")
            if given is None:
                raise UnauthorisedError("no credential", remedy="Send the metadata `authorization: Bearer <token>`")
            principal_of(self._tokens, given)
        except TwinwrightError as error:
            return _refusing(handler, refused_by(error))
        return handler


def _refusing(handler: Any, answer: Refused) -> grpc.RpcMethodHandler:
    async def refuse(_request: Any, context: Any) -> None:
        await answer.tell(context)

    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    return kinds[handler.request_streaming, handler.response_streaming](refuse)


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """grpc.health.v1 of the whole server (``) and of its service; open to anyone, saying nothing else."""

    def __init__(self, bridge: Bridge, closing: Callable[[], bool]) -> None:
        self._bridge, self._closing = bridge, closing
        self._watchers = 0

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - its name in the .proto
        if request.service not in ("", SERVICE.full_name):
            await refused_by(NotFoundError("there is no such service", remedy=f"Ask for {SERVICE.full_name}")).tell(context)
        return _Status(status=await self._now())

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802 - its name in the .proto
        if self._watchers >= MOST_WATCHERS:
            await refused_by(BusyError("too many watch already", retry_after=5.0)).tell(context)
        self._watchers += 1
        try:
            told = None
            while not self._closing():
                known = request.service in ("", SERVICE.full_name)
                now = await self._now() if known else _Status.SERVICE_UNKNOWN
                if now != told:
                    await context.write(_Status(status=now))
                told = now
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            self._watchers -= 1

    async def _now(self) -> Any:
        answer = await self._bridge.ask(Asked("GET", "/readyz"), [])
        return _Status.SERVING if answer.status == 200 else _Status.NOT_SERVING
