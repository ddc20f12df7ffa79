"""How many bytes of request bodies are in memory at once, over all requests: past a bound, who sends more is told to come back."""

from __future__ import annotations

import threading
from typing import Final, cast

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from twinwright.errors import BusyError
from twinwright.observability.metrics import Metrics

MOST_BODY_BYTES: Final = 256 * 1024 * 1024
_SHARE: Final = "twinwright.body_bytes"


class BodyBytes:
    """ASGI middleware: each request has a share of the bytes, which is given back when it is answered."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, most: int = MOST_BODY_BYTES) -> None:
        self.app, self.most = app, most
        self._metrics = metrics
        self._lock = threading.Lock()  # servers of several event loops share it
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        share = scope[_SHARE] = Share(self)
        try:
            await self.app(scope, receive, send)
        finally:
            share.keep(0)

    def move(self, more: int) -> bool:
        """Take more, or give some back; False where that many are not free."""
        with self._lock:
            if more > 0 and self._held + more > self.most:
                self._metrics.http_bodies_refused.inc()
                return False
            self._held += more
            self._metrics.http_body_bytes.set(self._held)
            return True


class Share:
    """What one request has of the bytes."""

    def __init__(self, whole: BodyBytes) -> None:
        self._whole, self._held = whole, 0

    def keep(self, size: int) -> None:
        """Have so many bytes, no more and no less. Raises BusyError where there are not as many."""
        if size == self._held:
            return  # most requests have no body
        if not self._whole.move(size - self._held):
            raise BusyError(f"request bodies of {self._whole.most} bytes in all are being worked on")
        self._held = size


def share_of(request: Request) -> Share:
    """That of a request which came through `BodyBytes`."""
    return cast(Share, request.scope[_SHARE])
