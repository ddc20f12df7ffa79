"""What whoever looks after a platform does from elsewhere: read the journal again, compare, follow, and let go of what is old."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from starlette.responses import Response

from twinwright.api import answers, run_answers
from twinwright.api.bodies import fields, options_of, read_document, uploaded
from twinwright.api.errors import JsonResponse
from twinwright.api.routes import failures
from twinwright.api.routes.graph import body
from twinwright.api.routes.telemetry import PUSH_BODY
from twinwright.api.serving import Asking
from twinwright.errors import UsageError
from twinwright.platform.snapshots import SOURCE

router = APIRouter(prefix="/v1", tags=["operations"])
_TEXT: Final = {"type": ["string", "null"]}
_FLAG: Final = {"type": "boolean"}
_REPLAY: Final = body(
    "application/json",
    {"type": ["object", "null"], "properties": {"from": _TEXT, "to": _TEXT, "contract": _TEXT, "rate": {"type": ["number", "null"]}}},
    "A window of receive times, and a contract; without them everything. `rate`: at most so many readings a second.",
    required=False,
)
_REPLAYED: Final[Mapping[str, type]] = {"from": str, "to": str, "contract": str, "rate": float}
_RECONCILE: Final = body(
    "application/json",
    {"type": ["object", "null"], "properties": {"against": _TEXT, "contract": _TEXT, "repair": _FLAG}},
    "`against`: `source`, for what the connector of the contract can tell of the present; without it state is compared with history.",
    required=False,
)
_EXPIRE: Final = body(
    "application/json",
    {"type": ["object", "null"], "properties": {"older_than": _TEXT}},
    "An ISO 8601 duration; default: as the settings say.",
    required=False,
)
_PRUNE: Final = body(
    "application/json",
    {"type": "object", "required": ["older_than"], "properties": {"older_than": {"type": "string"}, "dry_run": _FLAG}},
    "An ISO 8601 duration.",
)


@router.post(
    "/replay",
    response_model=answers.Replayed,
    responses=failures(400, 404, 408, 409, 413, 415, 503),
    summary="Read the journal again under the contracts applied now",
    openapi_extra=_REPLAY,
)
async def replay(request: Request, asking: Asking) -> Response:
    asked = fields(await read_document(request), _REPLAYED)
    return JsonResponse(await asking.serving.runs.run(asking.platform.replay, **options_of(asked)))


@router.post(
    "/replay/cost",
    response_model=answers.ReplayCost,
    responses=failures(400, 404, 408, 409, 413, 415, 503),
    summary="What a replay would cost, by a part of it that is rolled back",
    openapi_extra=_REPLAY,
)
async def replay_cost(request: Request, asking: Asking) -> Response:
    asked = fields(await read_document(request), _REPLAYED)
    return JsonResponse(await asking.serving.runs.run(asking.platform.replay, **options_of(asked), dry_run=True))


@router.post(
    "/reconcile",
    response_model=answers.Reconciled,
    responses=failures(400, 404, 408, 413, 415, 503),
    summary="Recompute the state from history and compare, or compare history with what its source says now",
    openapi_extra=_RECONCILE,
)
async def reconcile(request: Request, asking: Asking) -> Response:
    asked = fields(await read_document(request), {"against": str, "contract": str, "repair": bool})
    if asked.get("against", SOURCE) != SOURCE:  # who may ask the platform may not have it open files and addresses
        remedy = f"Send the snapshot itself to /v1/reconcile/CONTRACT, or say '{SOURCE}'"
        raise UsageError("a snapshot can't be named from elsewhere", where="$.against", remedy=remedy)
    return JsonResponse(await asking.serving.runs.run(asking.platform.reconcile, **asked))


@router.post(
    "/reconcile/{contract}",
    response_model=answers.Reconciled,
    responses=failures(400, 404, 408, 413, 415, 503),
    summary="Compare history with a snapshot of its source",
    description="The snapshot is read by the contract, and may be as large as 1 GiB. With `repair` what is missing is ingested.",
    openapi_extra=PUSH_BODY,
)
async def compare(
    request: Request,
    asking: Asking,
    contract: Annotated[str, InPath(max_length=128)],
    repair: Annotated[bool, Query(description="Ingest what is missing.")] = False,
) -> Response:
    with asking.serving.upload():
        async with uploaded(request) as file:
            compared = asking.platform.reconcile
            return JsonResponse(await asking.serving.runs.run(compared, against=str(file), contract=contract, repair=repair))


@router.get("/gaps", response_model=answers.Gaps, responses=failures(400, 404), summary="Where history has holes")
async def gaps(
    asking: Asking,
    contract: Annotated[str | None, Query(max_length=128, description="Only of this contract.")] = None,
    start: Annotated[str | None, Query(alias="from", max_length=40, description="Included; by default a day before `to`.")] = None,
    end: Annotated[str | None, Query(alias="to", max_length=40, description="Not included; by default now.")] = None,
) -> Response:
    await asking.visible()
    return JsonResponse(await asking.serving.runs.run(asking.platform.gaps, contract, start=start, end=end))


@router.get("/reconciliations", response_model=answers.Reconciliations, responses=failures(), summary="What is compared at regular times")
async def reconciliations(asking: Asking) -> Response:
    await asking.visible()
    return JsonResponse({"value": await asking.serving.reads.run(asking.platform.reconciliations)})


@router.post("/reconciliations/{name}/run", response_model=answers.ReconciliationRun, responses=failures(404), summary="Do one of them now")
async def run_reconciliation(asking: Asking, name: Annotated[str, InPath(max_length=128)]) -> Response:
    return JsonResponse(await asking.serving.runs.run(asking.platform.run_reconciliation, name))


@router.post(
    "/dead-letters/expire",
    response_model=answers.Expired,
    responses=failures(400, 408, 413, 415),
    summary="Let go of the payloads of old dead letters",
    openapi_extra=_EXPIRE,
)
async def expire(request: Request, asking: Asking) -> Response:
    asked = fields(await read_document(request), {"older_than": str})
    return JsonResponse(await asking.serving.graph.run(asking.platform.expire_dead_letters, **asked))


@router.post(
    "/runs/prune",
    response_model=run_answers.Pruned,
    responses=failures(400, 408, 413, 415),
    summary="Remove runs that began long ago",
    openapi_extra=_PRUNE,
)
async def prune(request: Request, asking: Asking) -> Response:
    asked = fields(await read_document(request), {"older_than": str, "dry_run": bool}, required=("older_than",))
    return JsonResponse(await asking.serving.runs.run(asking.platform.prune_runs, **asked))
