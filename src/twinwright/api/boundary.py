"""What every answer has, whoever gives it: a correlation id, safe headers, a place in the metrics, and no traceback."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twinwright.api.errors import unexpected_response
from twinwright.observability.logs import correlated, get_logger, new_correlation
from twinwright.observability.metrics import Metrics

CORRELATION_HEADER: Final = b"x-correlation-id"
_CORRELATION_HEADERS: Final = (CORRELATION_HEADER, b"x-ms-client-request-id")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SAFE_HEADERS: Final = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_log = get_logger("api")


class Boundary:
    """The outermost ASGI middleware. A header that a route set itself is left as it is."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, stopping: Callable[[], None] = lambda: None) -> None:
        """`stopping` ends the answers that don't end by themselves."""
        self.app, self.stopping = app, stopping
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        with correlated(_given_correlation(scope) or new_correlation()) as id:
            if scope["type"] == "http":
                await self._answer(scope, receive, send, id)
            else:
                await self.app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, id: str) -> None:
        started = time.perf_counter()
        status = 0

        async def completed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _with_safe_headers(message.get("headers", ()), id)}
            await send(message)

        try:
            await self.app(scope, receive, completed)
        except Exception as error:  # noqa: BLE001 - the last place where it can be told to the client
            _log.error("request_failed", method=scope["method"], path=scope["path"], exc_info=error)
            if status == 0:
                await unexpected_response()(scope, receive, completed)
        self._observe(scope, status, time.perf_counter() - started)

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = route_template(scope)
        self._metrics.http_requests.labels(method=method, route=route, status=str(status)).inc()
        self._metrics.http_seconds.labels(method=method, route=route).observe(seconds)
        _log.debug("request_answered", method=method, route=route, status=status, seconds=round(seconds, 6))


def route_template(scope: Scope) -> str:
    """`/v1/runs/{id}`, never a path with somebody's id in it; `none` where no route was reached."""
    route = scope.get("route")
    template = getattr(route, "path_format", None) or getattr(route, "path", None)
    if template:
        return f"{scope.get('app_root_path', '')}{template}"
    return str(scope["root_path"]) if scope.get("root_path") else "none"


def _given_correlation(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name.lower() in _CORRELATION_HEADERS and value:
            return str(value.decode("latin-1"))
    return None


def _with_safe_headers(headers: Iterable[tuple[bytes, bytes]], id: str) -> list[tuple[bytes, bytes]]:
    own = [(bytes(name).lower(), bytes(value)) for name, value in headers]
    names = {name for name, _ in own}
    return [*own, *((name, value) for name, value in _SAFE_HEADERS if name not in names), (CORRELATION_HEADER, id.encode())]
