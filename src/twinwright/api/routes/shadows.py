"""Models that follow their twins: how far they are, what they say as it is committed, stopped and started."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi import Path as InPath
from starlette.responses import Response

from twinwright.api import run_answers
from twinwright.api.errors import JsonResponse
from twinwright.api.following import begun, followed
from twinwright.api.routes import failures
from twinwright.api.serving import MAX_COMMIT, Asking
from twinwright.api.streaming import EVENTS, accepts, event_text, server_sent

router = APIRouter(prefix="/v1", tags=["operations"])
Name = Annotated[str, InPath(max_length=128, description="its name")]
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {EVENTS: {"schema": {"type": "string"}}}, "description": "A page, or what it says until either side goes away."}
}


@router.get("/shadows", response_model=run_answers.Shadows, responses=failures(), summary="How far each shadow has followed its twins")
async def shadows(asking: Asking) -> Response:
    await asking.visible()
    return JsonResponse({"value": await asking.serving.reads.run(asking.platform.shadows)})


@router.get(
    "/shadows/{name}",
    response_model=run_answers.Shadow,
    responses=failures(400, 404),
    summary="How far one shadow has followed each of its twins, and what failed",
)
async def shadow(
    asking: Asking,
    name: Name,
    limit: Annotated[int, Query(description="how many twins to list, at most 10,000")] = 100,
) -> Response:
    await asking.visible()
    return JsonResponse(await asking.serving.reads.run(asking.platform.shadow, name, limit=limit))


@router.post("/shadows/run", response_model=run_answers.Shadows, responses=failures(400), summary="Follow until nothing is left")
async def shadow_run(asking: Asking) -> Response:
    return JsonResponse({"value": await asking.serving.runs.run(asking.platform.shadow_run)})


@router.post(
    "/shadows/{name}/stop",
    response_model=run_answers.ShadowState,
    responses=failures(404, 429),
    summary="Have a shadow follow nothing until it is started",
    description="It writes no more once this is answered, over restarts too. What it says later is what it would have said.",
)
async def shadow_stop(asking: Asking, name: Name) -> Response:
    return JsonResponse(await asking.serving.graph.run(asking.platform.shadow_stop, name))


@router.post(
    "/shadows/{name}/start",
    response_model=run_answers.ShadowState,
    responses=failures(404, 429),
    summary="Have a shadow that was stopped go on where it was",
)
async def shadow_start(asking: Asking, name: Name) -> Response:
    return JsonResponse(await asking.serving.graph.run(asking.platform.shadow_start, name))


@router.get(
    "/shadows/{name}/said",
    response_model=run_answers.ShadowSaid,
    responses={**_STREAM, **failures(400, 404)},
    summary="What a shadow says, as it is committed",
)
async def shadow_said(
    request: Request,
    asking: Asking,
    name: Name,
    since: Annotated[int | None, Query(ge=0, le=MAX_COMMIT, description="After this commit; default: from now on.")] = None,
    twin: Annotated[str | None, Query(min_length=1, max_length=128, description="Of this twin alone; default: of all.")] = None,
    last: Annotated[str | None, Header(alias="Last-Event-ID", max_length=40, description="The last id that came: go on there.")] = None,
) -> Response:
    """A stream for who accepts `text/event-stream`, else a page: ask on with its `through` as `since`.

    Of a stream each event is `said` with what one commit has of predictions, forecasts and residuals; its `id` is that commit, up to which
    all has come.
    """
    read = partial(asking.platform.shadow_said, name, twin=twin)
    first = await begun(asking.serving, read, since, last)
    if not accepts(request, EVENTS):
        return JsonResponse(first)
    with asking.serving.stream():  # a status tells it; from there on it is an event
        return server_sent(followed(asking.serving, first, lambda page: partial(read, after=page["through"]), _lines))


def _lines(page: dict[str, Any]) -> list[bytes]:
    return [event_text("said", one, one["commit"]) for one in page["said"]]
