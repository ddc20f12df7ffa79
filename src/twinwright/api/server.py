"""uvicorn in a thread: what `up` starts, and what a test or a notebook may."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from twinwright.addresses import from_here, is_loopback
from twinwright.api.boundary import Boundary
from twinwright.api.security import MAX_HEADER_BYTES, MAX_TARGET_BYTES
from twinwright.errors import PlatformError, UsageError
from twinwright.observability.logs import get_logger

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8080
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 10
MAX_CONNECTIONS: Final = 512
MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
_log = get_logger("api")


class Server:
    """Serves an ASGI app from its own thread and event loop. `with Server(app) as server: ... server.url`."""

    def __init__(
        self,
        app: ASGIApp,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        *,
        ssl_certificate: Path | None = None,
        ssl_key: Path | None = None,
        allow_plain: bool = False,
    ) -> None:
        """Port 0 takes a free one. Raises UsageError for an address that others can reach without TLS, unless `allow_plain`."""
        self._tls = ssl_certificate is not None
        if not self._tls and not allow_plain and not is_loopback(host):
            raise UsageError(
                f"{host} can be reached by others, who could read the token on its way",
                where="api.host",
                remedy="Give a certificate and key, listen on 127.0.0.1, or allow plain HTTP behind a proxy that ends TLS",
            )
        self._host, self._port = host, port
        config = uvicorn.Config(
            app,
            http="h11",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES + 2 * MAX_TARGET_BYTES,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=STOP_SECONDS,
            ws_max_size=MAX_MESSAGE_BYTES,
            ssl_certfile=None if ssl_certificate is None else str(ssl_certificate),
            ssl_keyfile=None if ssl_key is None else str(ssl_key),
        )
        self._app = app
        self._server = uvicorn.Server(config)
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port; where 0 was wanted, the one that was given, once started."""
        return self._port

    @property
    def url(self) -> str:
        """`http://127.0.0.1:8080`, as a client on this machine writes it."""
        return f"{'https' if self._tls else 'http'}://{from_here(self._host, self.port)}"

    def start(self) -> None:
        """Bind, serve, and return when the first request would be answered. Raises UsageError (address taken), PlatformError."""
        self._socket = _bound(self._host, self._port)
        self._port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, name="twinwright-http", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise PlatformError("the web server did not start", remedy="The log says why")
            time.sleep(0.01)
        _log.info("serving", url=self.url)

    def stop(self) -> None:
        """Answer what was asked, for at most STOP_SECONDS, then let go of the port."""
        if isinstance(self._app, Boundary):
            self._app.stopping()
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_SECONDS + 5)
        if self._socket is not None:
            self._socket.close()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self) -> None:
        with contextlib.suppress(SystemExit):  # how uvicorn says that start-up failed; `start` finds the thread gone
            self._server.run(sockets=[self._socket] if self._socket else None)


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"can't listen on {host}: {error.strerror}", where="api.host", remedy="Give an address of this machine") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UsageError(f"can't listen on {host}:{port}: {error.strerror}", where="api.port", remedy="Choose another port") from None
    return listener
