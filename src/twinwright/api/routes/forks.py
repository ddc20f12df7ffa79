"""Forks: made, compared and dropped here; used by naming one in the header `Twinwright-Fork` of any other request."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi import Path as InPath
from starlette.responses import Response

from twinwright.api import answers
from twinwright.api.errors import JsonResponse
from twinwright.api.routes import failures
from twinwright.api.serving import Asking

router = APIRouter(tags=["forks"])
Name = Annotated[str, InPath(min_length=1, max_length=63, description="The fork's name: of a-z, 0-9, - and _.")]


@router.get("/v1/forks", response_model=answers.Forks, responses=failures(404, 409), summary="The forks there are")
async def forks(asking: Asking) -> Response:
    return JsonResponse({"value": await asking.serving.reads.run(asking.platform.forks)})


@router.put(
    "/v1/forks/{name}", response_model=answers.Fork, responses=failures(400, 404, 409), summary="Fork the workspace; nothing is copied"
)
async def create_fork(
    asking: Asking,
    name: Name,
    at: Annotated[str | None, Query(max_length=40, description="A time or commit number: fork what was known then. Default: now.")] = None,
) -> Response:
    return JsonResponse(await asking.serving.reads.run(asking.platform.create_fork, name, at=at))


@router.get("/v1/forks/{name}/diff", response_model=answers.ForkDiff, responses=failures(400, 404, 409), summary="In what a fork differs")
async def fork_diff(
    asking: Asking,
    name: Name,
    against: Annotated[Literal["base", "live"], Query(description="The commit that it forks, or the workspace now.")] = "base",
    limit: Annotated[int, Query(ge=1, le=100_000, description="At most so many of each kind.")] = 1000,
) -> Response:
    return JsonResponse(await asking.serving.reads.run(asking.platform.fork_diff, name, against=against, limit=limit))


@router.delete("/v1/forks/{name}", response_model=answers.Dropped, responses=failures(404, 409), summary="Remove a fork with all in it")
async def drop_fork(asking: Asking, name: Name) -> Response:
    return JsonResponse(await asking.serving.graph.run(asking.platform.drop_fork, name))
