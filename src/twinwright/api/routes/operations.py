"""How the platform itself is doing: KPIs, status, metrics, and what it can be asked."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from twinwright.api import answers
from twinwright.api.errors import JsonResponse
from twinwright.api.routes import failures
from twinwright.api.serving import Asking
from twinwright.observability.metrics import CONTENT_TYPE

router = APIRouter(tags=["operations"])
monitoring = APIRouter(tags=["operations"])  # what a process without an API serves too


@router.get("/v1/kpis", response_model=answers.Kpis, responses=failures(400), summary="The KPIs over a window, and exact counts")
async def kpis(
    asking: Asking, window: Annotated[str, Query(max_length=40, description="An ISO 8601 duration that ends now.")] = "PT1H"
) -> Response:
    await asking.visible()
    return JsonResponse(await asking.serving.reads.run(asking.platform.kpi, window=window))


@router.get("/v1/status", response_model=answers.Status, responses=failures(), summary="Connectors, contracts, store")
async def status(asking: Asking) -> Response:
    await asking.visible()
    return JsonResponse(await asking.serving.reads.run(asking.platform.status))


@router.get("/v1/clock", response_model=answers.ClockStatus, responses=failures(), summary="Whether the platform's clock is suspect")
async def clock(asking: Asking) -> Response:
    return JsonResponse(await asking.serving.reads.run(asking.platform.clock))


@router.post(
    "/v1/clock/trust", response_model=answers.ClockStatus, responses=failures(), summary="Say that the clock is right: ingestion goes on"
)
async def trust_clock(asking: Asking) -> Response:
    return JsonResponse(await asking.serving.reads.run(asking.platform.trust_clock))


@monitoring.get("/metrics", response_class=Response, responses=failures(), summary="Metrics in Prometheus' text exposition")
async def metrics(asking: Asking) -> Response:
    return Response(await asking.serving.reads.run(asking.platform.metrics), headers={"content-type": CONTENT_TYPE})


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    return JsonResponse(request.app.openapi())
