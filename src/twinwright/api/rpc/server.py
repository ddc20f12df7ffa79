"""grpc.aio in a thread and event loop of its own, beside uvicorn: what `up` starts where `[api]` has a `grpc_port`."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from starlette.types import ASGIApp

from twinwright.addresses import from_here, is_loopback
from twinwright.api.rpc.bridge import Bridge
from twinwright.api.rpc.calls import STALLED_SECONDS, Calls
from twinwright.api.rpc.door import HEALTH, Door, Health
from twinwright.api.rpc.messages import SERVICE
from twinwright.api.server import DEFAULT_HOST, MAX_CONNECTIONS, START_SECONDS, STOP_SECONDS
from twinwright.api.tokens import TokenAuthority
from twinwright.errors import PlatformError, UsageError
from twinwright.observability.logs import get_logger
from twinwright.telemetry.payloads import MAX_PAYLOAD_BYTES

MAX_STREAMS: Final = 128  # rpcs at once, of one connection
_ROOM: Final = 64 * 1024  # for what is beside a payload
_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # a port that is taken is refused, not shared
    ("grpc.max_receive_message_length", MAX_PAYLOAD_BYTES + _ROOM),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_concurrent_streams", MAX_STREAMS),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.keepalive_time_ms", 60_000),  # a client that is gone is found out
    ("grpc.keepalive_timeout_ms", 20_000),
)
_log = get_logger("grpc")


class RpcServer:
    """Serves the app of REST over gRPC. `with RpcServer(app, tokens=tokens) as server: ... server.address`."""

    def __init__(
        self,
        app: ASGIApp,
        host: str = DEFAULT_HOST,
        port: int = 0,
        *,
        tokens: TokenAuthority,
        ssl_certificate: Path | None = None,
        ssl_key: Path | None = None,
        stalled: float = STALLED_SECONDS,
    ) -> None:
        """Port 0 takes a free one. Raises UsageError for an address that others can reach without TLS."""
        if ssl_certificate is None and not is_loopback(host):
            raise UsageError(
                f"{host} can be reached by others, who could read the token on its way",
                where="api.host",
                remedy="Give a certificate and key, or listen on 127.0.0.1",
            )
        self._app, self._host, self.port, self._tokens, self._stalled = app, host, port, tokens, stalled
        self._pems = None if ssl_certificate is None else (Path(ssl_key or ssl_certificate).read_bytes(), ssl_certificate.read_bytes())
        self._started, self._stopping = threading.Event(), threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name="twinwright-grpc", daemon=True)

    @property
    def address(self) -> str:
        """`127.0.0.1:8421`, as a client on this machine writes it."""
        return from_here(self._host, self.port)

    def start(self) -> None:
        """Serve, and return when the first rpc would be answered. Raises UsageError (address taken), PlatformError."""
        self._thread.start()
        if not self._started.wait(START_SECONDS):
            self._failure = self._failure or TimeoutError("it did not start in time")
        if self._failure is not None:
            if isinstance(self._failure, UsageError):
                raise self._failure
            raise PlatformError(f"the gRPC server did not start: {self._failure}", remedy="The log says why")
        _log.info("serving", address=self.address, tls=self._pems is not None)

    def stop(self) -> None:
        """Answer what was asked, for at most STOP_SECONDS, then let go of the port. Streams of events end at once."""
        self._stopping.set()
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_SECONDS + 5)

    def __enter__(self) -> RpcServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - `start` raises it in the thread that asked
            self._failure = error
            _log.error("ended", reason=str(error))
        finally:
            self._started.set()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = grpc.aio.server(interceptors=(Door(self._tokens),), options=_OPTIONS, maximum_concurrent_rpcs=MAX_CONNECTIONS)
        self.port = self._bound(server)
        bridge = Bridge(self._app, self.port)
        calls = Calls(bridge, stalled=self._stalled)
        server.add_generic_rpc_handlers((calls.handlers(),))
        health_pb2_grpc.add_HealthServicer_to_server(Health(bridge, self._stopping.is_set), server)
        reflection.enable_server_reflection((SERVICE.full_name, HEALTH, reflection.SERVICE_NAME), server)
        await server.start()
        self._started.set()
        await self._stop.wait()
        calls.closing.set()
        await server.stop(STOP_SECONDS)

    def _bound(self, server: grpc.aio.Server) -> int:
        place = f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"
        try:
            if self._pems is not None:
                return int(server.add_secure_port(place, grpc.ssl_server_credentials((self._pems,))))
            return int(server.add_insecure_port(place))
        except RuntimeError as error:
            raise UsageError(f"can't listen on {place}", where="api.grpc_port", remedy="Choose another port") from error
