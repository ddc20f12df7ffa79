"""A slash within a name, which clients write as %2F: servers undo that before a route is found, and there it would part the name."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

MARK: Final = "\x1f"  # stands for it on the way to the route: no id holds a control character
_OTHER: Final = "\x1e"  # for one that a client sent, which is refused like any


class Slashes:
    """ASGI middleware: marks the slashes that are part of a name."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: str = (scope.get("raw_path") or b"").decode("latin-1").partition("?")[0] if scope["type"] == "http" else ""
        if ("%2f" in raw.lower() or "%1f" in raw.lower()) and have_ids(raw):
            scope = {**scope, "path": "/".join(unquote(part).replace(MARK, _OTHER).replace("/", MARK) for part in raw.split("/"))}
        await self.app(scope, receive, send)


def have_ids(path: str) -> bool:
    """Whether its parts are ids of twins and relationships: names of other things have no slashes."""
    return path.startswith(("/digitaltwins/", "/v1/state/", "/v1/twins/", "/v1/history/"))


def unmarked(part: str) -> str:
    """The reverse, for who declares a part of a path."""
    return part.replace(MARK, "/")
