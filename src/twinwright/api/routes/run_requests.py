"""Scenarios that are submitted and run in the background: submit, watch, cancel, fetch."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from starlette.responses import Response

from twinwright.api import answers
from twinwright.api.errors import JsonResponse
from twinwright.api.routes import failures
from twinwright.api.routes.simulation import SCENARIO_BODY, scenario_of
from twinwright.api.serving import Asking

router = APIRouter(prefix="/v1", tags=["simulation"])
Id = Annotated[str, InPath(min_length=1, max_length=128, description="The id of a request, or a unique prefix of it.")]
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
    response_model=answers.RunRequest,
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


@router.get("/run-requests", response_model=answers.RunRequests, responses=failures(), summary="What was submitted, in its turn")
async def run_requests(asking: Asking) -> Response:
    await asking.visible()
    return JsonResponse({"value": await asking.serving.reads.run(asking.platform.run_requests)})


@router.get("/run-requests/{id}", response_model=answers.RunRequest, responses=failures(404), summary="How far a request is")
async def run_request(asking: Asking, id: Id) -> Response:
    await asking.visible()
    return JsonResponse(await asking.serving.reads.run(asking.platform.run_request, id))


@router.post(
    "/run-requests/{id}/cancel",
    response_model=answers.RunRequest,
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
    return Response(body, media_type=_MEDIA[format], headers={"content-disposition": f'attachment; filename="runs.{format}"'})
