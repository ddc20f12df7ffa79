"""One-time codes for browser sessions: the only way in that needs no token, and the way out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from twinwright.api.routes import failures
from twinwright.api.security import CONSOLE_PATH, LOGIN_PATH, session_cookie, session_ids
from twinwright.api.serving import serving_of

router = APIRouter(tags=["session"])


@router.get(
    LOGIN_PATH,
    status_code=303,
    response_class=RedirectResponse,
    responses=failures(),
    summary="Exchange a one-time code for a session",
    description="Sets the session cookie and leads to the console. A code works once, for ten minutes.",
)
async def login(request: Request, code: Annotated[str, Query(min_length=1, max_length=128)]) -> Response:
    session = serving_of(request).tokens.open_session(code)
    headers = {"set-cookie": session_cookie(request.scope, session)}
    return RedirectResponse(f"{CONSOLE_PATH}/", 303, headers)


@router.post("/logout", status_code=204, responses=failures(), summary="End the session of this browser")
async def logout(request: Request) -> Response:
    for id in session_ids(request.scope):
        serving_of(request).tokens.close_session(id)
    return Response(status_code=204, headers={"set-cookie": session_cookie(request.scope, "", seconds=0)})
