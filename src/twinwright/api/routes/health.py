"""Whether the process lives, and whether it can serve: open to anyone, saying nothing else."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from twinwright.api.answers import ErrorBody, Health
from twinwright.api.errors import JsonResponse
from twinwright.api.serving import serving_of
from twinwright.errors import BusyError, PlatformError

READY_SECONDS: Final = 5.0
router = APIRouter(tags=["health"])


class NotReadyError(PlatformError):
    """The platform does not answer (yet, or in time)."""

    code = "NotReady"
    http_status = 503


@router.get("/healthz", response_model=Health, summary="The process answers")
async def healthz() -> Response:
    return JsonResponse({"status": "ok"})


@router.get(
    "/readyz",
    response_model=Health,
    summary="The store answers",
    responses={503: {"model": ErrorBody, "description": "Not ready to serve."}},
)
async def readyz(request: Request) -> Response:
    serving = serving_of(request)
    try:
        async with asyncio.timeout(READY_SECONDS):
            await serving.reads.run(serving.platform.twins)
            clock = await serving.reads.run(serving.platform.clock)
    except (PlatformError, BusyError, TimeoutError):
        raise NotReadyError("not ready") from None
    return JsonResponse({"status": "paused" if clock["suspect"] else "ok"})
