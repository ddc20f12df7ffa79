"""The read that is asked most, of one twin as it is now, without what a framework does for all that could be asked: a third of its time.

Whatever says more than that (a time, a fork, a token to wait for, a version that is not known) goes on to the routes, as does anything that
is not quite right: they say why.
"""

from __future__ import annotations

from typing import Final, get_args

from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from twinwright.api.errors import JsonResponse, told_response
from twinwright.api.routes.twins import ApiVersion
from twinwright.api.security import PRINCIPAL
from twinwright.api.serving import AFTER_HEADER, FORK_HEADER, Serving
from twinwright.api.slashes import unmarked
from twinwright.errors import TwinwrightError

_PATH: Final = "/digitaltwins/"
_LONGEST: Final = 128  # characters of an id
_QUERIES: Final = frozenset({b"", *(f"api-version={one}".encode() for one in get_args(ApiVersion))})
_SAY_MORE: Final = frozenset({AFTER_HEADER.lower().encode(), FORK_HEADER.lower().encode()})


class PointReads:
    """ASGI middleware behind the guard. `route` is the one that it answers for, by whose name requests are counted."""

    def __init__(self, app: ASGIApp, *, serving: Serving, route: BaseRoute) -> None:
        self.app, self._serving, self._route = app, serving, route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        id = _asked(scope)
        if id is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = self._route
        try:
            read = self._serving.platform.as_principal(scope[PRINCIPAL]).state
            document = await self._serving.reads.run(read, id)
            response: Response = JsonResponse(document, headers={"etag": document["$etag"]} if "$etag" in document else None)
        except TwinwrightError as error:
            response = told_response(error)
        await response(scope, receive, send)


def _asked(scope: Scope) -> str | None:
    """The id of the twin, where that is all that a request says."""
    if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(_PATH) or scope.get("root_path"):
        return None
    id: str = scope["path"][len(_PATH) :]
    if not 0 < len(id) <= _LONGEST or "/" in id or scope["query_string"] not in _QUERIES:
        return None
    return None if any(name.lower() in _SAY_MORE for name, _ in scope["headers"]) else unmarked(id)
