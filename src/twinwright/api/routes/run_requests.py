"""Scenarios that are submitted and run in the background: submit, watch, cancel, fetch."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from starlette.responses import Response

from twinwright.api import run_answers
from twinwright.api.errors import JsonResponse
from twinwright.api.routes import failures
from twinwright.api.routes.simulation import PROGRESS, SCENARIO_BODY, scenario_of
from twinwright.api.serving import Asking, Caller
from twinwright.api.streaming import EVENTS, SIGN_OF_LIFE, STILL_HERE, accepts, error_text, event_text, server_sent
from twinwright.errors import BusyError, TwinwrightError

router = APIRouter(prefix="/v1", tags=["simulation"])
Id = Annotated[str, InPath(min_length=1, max_length=128, description="The id of a request, or a unique prefix of it.")]
_LOOK_SECONDS: Final = 0.2
_MEDIA: Final = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.file",
}
_FILES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A row for each run and sample, a column for each output.",
        "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in _MEDIA.values()},
    }
}


@router.post(
    "/runs",
    status_code=202,
    response_model=run_answers.RunRequest,
    responses=failures(400, 404, 408, 413, 415),
    summary="Submit a scenario",
    description="Answers once it is remembered; its runs are executed in the background, over restarts too. The header Location says where "
    "to watch it.",
    openapi_extra=SCENARIO_BODY,
)
async def submit(
    request: Request,
    asking: Asking,
    priority: Annotated[
        str, Query(max_length=8, description="low, normal, high, or a whole number from -100 to 100: the higher, the sooner.")
    ] = "normal",
    fresh: Annotated[bool, Query(description="Run again what is stored already.")] = False,
) -> Response:
    scenario = await scenario_of(request, asking)
    taken = await asking.serving.graph.run(asking.platform.submit_run, scenario, priority=priority, fresh=fresh)
    return JsonResponse(taken, status_code=202, headers={"location": f"/v1/run-requests/{taken['id']}"})


@router.get("/run-requests", response_model=run_answers.RunRequests, responses=failures(), summary="What was submitted, in its turn")
async def run_requests(asking: Asking) -> Response:
    await asking.visible()
    return JsonResponse({"value": await asking.serving.reads.run(asking.platform.run_requests)})


@router.get(
    "/run-requests/{id}",
    response_model=run_answers.RunRequest,
    responses={**PROGRESS, **failures(404)},
    summary="How far a request is",
    description="Who accepts `text/event-stream` is told `request` with the same whenever it is another, until it has ended.",
)
async def run_request(request: Request, asking: Asking, id: Id) -> Response:
    await asking.visible()
    found = await asking.serving.reads.run(asking.platform.run_request, id)
    return server_sent(_watched(asking, found)) if accepts(request, EVENTS) else JsonResponse(found)


async def _watched(asking: Caller, found: dict[str, Any]) -> AsyncGenerator[bytes, None]:
    """A request as it changes; the next look is taken when the client has taken the one before."""
    serving = asking.serving
    try:
        with serving.stream():
            told: dict[str, Any] | None = None
            quiet = 0.0
            while not serving.closing.is_set():
                shown = {name: value for name, value in found.items() if name != "eta_seconds"}  # this one is another at every look
                if shown != told:
                    told, quiet = shown, 0.0
                    yield event_text("request", found)
                elif quiet >= SIGN_OF_LIFE:
                    quiet = 0.0
                    yield STILL_HERE
                if found["status"] not in ("waiting", "running"):
                    return
                await asyncio.sleep(_LOOK_SECONDS)
                quiet += _LOOK_SECONDS
                with contextlib.suppress(BusyError):
                    found = await serving.reads.run(asking.platform.run_request, found["id"])
    except TwinwrightError as error:  # it can't be a status any more
        yield error_text(error)


@router.post(
    "/run-requests/{id}/cancel",
    response_model=run_answers.RunRequest,
    responses=failures(404, 409),
    summary="Run no more of a request",
    description="Runs that had ended are kept.",
)
async def cancel(asking: Asking, id: Id) -> Response:
    return JsonResponse(await asking.serving.graph.run(asking.platform.cancel_request, id))


@router.get(
    "/run-requests/{id}/results",
    response_class=Response,
    responses={**failures(404, 409, 413), **_FILES},
    summary="The outputs of all runs of a request as one file",
)
async def results(
    asking: Asking, id: Id, format: Annotated[Literal["parquet", "csv", "arrow"], Query(description="Of the file.")] = "parquet"
) -> Response:
    await asking.visible()
    body = await asking.serving.reads.run(asking.platform.request_results, id, format=format)
    return Response(body, media_type=_MEDIA[format], headers={"content-disposition": f'attachment; filename="runs-{id[:12]}.{format}"'})
