"""The console as a part of the served application, behind the same guard.

NiceGUI keeps one application in a process, so one console runs in a process at a time; a server that comes after another one has
stopped takes it over.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Request
from nicegui import app as nicegui_app
from nicegui import ui
from starlette.responses import RedirectResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twinwright.api.security import CONSOLE_PATH, PRINCIPAL
from twinwright.api.serving import Serving
from twinwright.console.layout import Visit
from twinwright.console.pages import dead_letters, forks, models, overview, queue, runs, shadows
from twinwright.errors import RefusedError

ASSETS: Final = Path(__file__).parent / "assets"
# Vue compiles templates in the browser and NiceGUI writes its page as an inline script: it can do with no less than these two.
CONSOLE_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
)
_FAVICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#0f766e"/>'
    '<path d="M7 20c3 0 3-8 6-8s3 8 6 8 3-8 6-8" fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round"/></svg>'
)
PATIENCE: Final = 30.0  # seconds for the first reads of a page: where the platform is busy it comes late, and not as an error
Draw = Callable[[Visit], Awaitable[None]]
PAGES: Final[dict[str, Draw]] = {
    "/": overview.draw,
    "/dead-letters": dead_letters.draw,
    "/runs": runs.draw,
    "/queue": queue.draw,
    "/shadows": shadows.draw,
    "/forks": forks.draw,
    "/models": models.draw,
}
_running = threading.Lock()


def mount(app: FastAPI, serving: Serving) -> None:
    """Put the console under `/console` of an application. Raises RefusedError where another console starts while one runs."""
    if _running.locked():
        raise _taken()
    _forget_the_last_one()
    for path, draw in PAGES.items():
        _register(path, draw, serving)
    nicegui_app.add_static_files("/assets", ASSETS, max_cache_age=3_600)
    ui.run_with(
        app,
        title="Twinwright",
        favicon=_FAVICON,
        dark=None,
        mount_path=CONSOLE_PATH,
        storage_secret=secrets.token_urlsafe(32),
        session_middleware_kwargs={"same_site": "strict", "path": CONSOLE_PATH, "session_cookie": "twinwright-console"},
        show_welcome_message=False,
        tailwind=False,
        reconnect_timeout=10.0,
    )
    for route in app.routes:
        if isinstance(route, Mount) and route.path == CONSOLE_PATH:
            route.app = _WithPolicy(route.app)
    for path in ("/", CONSOLE_PATH):
        app.add_route(path, _to_console, include_in_schema=False)
    app.router.lifespan_context = _alone(app.router.lifespan_context)


async def _to_console(_request: Request) -> RedirectResponse:
    return RedirectResponse(f"{CONSOLE_PATH}/", 307)


def _register(path: str, draw: Draw, serving: Serving) -> None:
    async def page(request: Request) -> None:
        await draw(Visit(serving.platform.as_principal(request.scope[PRINCIPAL]), serving, path))

    ui.page(path, title="Twinwright", response_timeout=PATIENCE)(page)


def _forget_the_last_one() -> None:
    """Middleware and pages of an earlier application in this process; NiceGUI would refuse to take new ones beside them."""
    nicegui_app.middleware_stack = None
    nicegui_app.user_middleware.clear()
    for path in (*PAGES, "/assets"):
        nicegui_app.remove_route(path)


def _alone(lifespan: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @asynccontextmanager
    async def alone(app: FastAPI) -> AsyncIterator[Any]:
        if not _running.acquire(blocking=False):
            raise _taken()
        try:
            async with lifespan(app) as state:
                yield state
        finally:
            _running.release()

    return alone


def _taken() -> RefusedError:
    return RefusedError("a console runs in this process already", remedy="Stop that server first, or serve this one without")


class _WithPolicy:
    """ASGI: the console's own content security policy, in place of the API's, which lets nothing run."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"content-security-policy", CONSOLE_POLICY.encode())]}
            await send(message)

        await self.app(scope, receive, with_policy if scope["type"] == "http" else send)
