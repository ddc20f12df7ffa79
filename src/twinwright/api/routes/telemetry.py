"""Telemetry in, receipts out; what was refused, and refused no longer."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import unquote

from fastapi import APIRouter, Header, Query, Request
from fastapi import Path as InPath
from starlette.responses import Response

from twinwright.api import answers
from twinwright.api.bodies import TELEMETRY_TYPES, read_document, read_telemetry, uploaded
from twinwright.api.errors import JsonResponse
from twinwright.api.routes import failures
from twinwright.api.serving import MAX_COMMIT, Asking
from twinwright.errors import UsageError
from twinwright.telemetry.formats import EVENT_CAPTURE, PRECISION_CAPTURE, Precision
from twinwright.telemetry.payloads import REASONS, Payload

MAX_IDS: Final = 10_000
router = APIRouter(prefix="/v1", tags=["telemetry"])
PUSH_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": (
            "A document, an array, one a line, CSV with its header, a Parquet or Arrow file, CloudEvents or line protocol: as the contract "
            "says. An event in binary mode has its attributes in `ce-` headers. Gzip and zstd are read as Content-Encoding."
        ),
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in TELEMETRY_TYPES},
    }
}
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,255}$",
        description="Names this delivery: sent again within a day under the same key, it is answered as before and taken in once.",
    ),
]
_RETRY_BODY: Final = {
    "requestBody": {
        "description": "Which ones; without a body all that are open.",
        "content": {
            "application/json": {
                "schema": {
                    "type": ["object", "null"],
                    "additionalProperties": False,
                    "properties": {
                        "ids": {
                            "type": ["array", "null"],
                            "items": {"type": "integer", "minimum": 0, "maximum": MAX_COMMIT},
                            "maxItems": MAX_IDS,
                        },
                        "contract": {"type": ["string", "null"]},
                        "dry_run": {"type": "boolean", "description": "Change nothing, and say what would become of them."},
                    },
                }
            }
        },
    }
}


@router.post(
    "/telemetry/{contract}",
    response_model=answers.Receipt,
    responses=failures(400, 404, 408, 413, 415, 503),
    summary="Push telemetry of a contract",
    description="Answers with exact counts once all is durable; refused readings are kept and counted. With 4xx nothing was taken.",
    openapi_extra=PUSH_BODY,
)
async def push(
    request: Request,
    asking: Asking,
    contract: Annotated[str, InPath(max_length=128)],
    key: Key = None,
    precision: Annotated[
        Precision | None, Query(description="What timestamps of line protocol count; by default as the contract says.")
    ] = None,
) -> Response:
    captures = _event_attributes(request) | ({} if precision is None else {PRECISION_CAPTURE: precision})
    body = await read_telemetry(request)
    receipt = await asking.serving.telemetry.run(asking.platform.push, contract, [Payload(body, captures)], key=key)
    return JsonResponse(receipt.as_json())


@router.post(
    "/ingest/{contract}",
    response_model=answers.Receipt,
    responses=failures(400, 404, 408, 413, 415, 503),
    summary="Load a file of a contract",
    description=(
        "As the command `ingest` does: a large file is read in parts, each durable by itself; sent again after an interruption it goes on "
        "where it was, and sent again when finished it is all duplicates. At most 1 GiB."
    ),
    openapi_extra=PUSH_BODY,
)
async def ingest(request: Request, asking: Asking, contract: Annotated[str, InPath(max_length=128)]) -> Response:
    with asking.serving.upload():
        async with uploaded(request) as file:
            return JsonResponse(await asking.serving.telemetry.run(asking.platform.ingest, [str(file)], contract))


def _event_attributes(request: Request) -> dict[str, str]:
    """What a CloudEvent in binary mode has in its headers (HTTP Protocol Binding 1.0.2, 3.1). Raises UsageError for one given twice."""
    headers = request.headers
    names = [name for name in headers if name.startswith(EVENT_CAPTURE)]
    if EVENT_CAPTURE + "specversion" not in names:
        return {}
    if len(set(names)) < len(names):
        raise UsageError("an attribute of the event is given twice", where="headers", remedy="Send each `ce-` header once")
    attributes = {name: unquote(headers[name]) for name in names}
    if "content-type" in headers:
        attributes[EVENT_CAPTURE + "datacontenttype"] = headers["content-type"]
    return attributes


@router.get("/dead-letters", response_model=answers.DeadLetters, responses=failures(400, 404), summary="What was refused and why")
async def dead_letters(
    asking: Asking,
    contract: Annotated[str | None, Query(max_length=128, description="Only of this contract.")] = None,
    reason: Annotated[str | None, Query(max_length=32, description=f"Only for this reason: {', '.join(REASONS)}.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many items; `total` and `by_reason` count all.")] = 100,
) -> Response:
    if reason is not None and reason not in REASONS:
        raise UsageError(f"'{reason}' is not a reason", where="reason", remedy=f"Use one of {', '.join(REASONS)}")
    await asking.visible()
    return JsonResponse(await asking.serving.reads.run(asking.platform.dead_letters, contract=contract, reason=reason, limit=limit))


@router.get("/dead-letters/{id:int}", response_model=answers.DeadLetter, responses=failures(404), summary="One dead letter, whole")
async def dead_letter(asking: Asking, id: Annotated[int, InPath(ge=0, le=MAX_COMMIT)]) -> Response:
    await asking.visible()
    return JsonResponse(await asking.serving.reads.run(asking.platform.dead_letter, id))


@router.post(
    "/dead-letters/retry",
    response_model=answers.RetryReceipt,
    responses=failures(400, 404, 408, 413, 415),
    summary="Read dead letters again, under the contracts applied now",
    openapi_extra=_RETRY_BODY,
)
async def retry(request: Request, asking: Asking) -> Response:
    ids, contract, dry_run = _chosen(await read_document(request))
    again = asking.platform.retry_dead_letters
    return JsonResponse(await asking.serving.telemetry.run(again, ids, contract=contract, dry_run=dry_run))


def _chosen(document: Any) -> tuple[list[int] | None, str | None, bool]:
    """`ids`, `contract` and `dry_run` of a retry. Raises UsageError."""
    if document is None:
        return None, None, False
    if not isinstance(document, dict) or not document.keys() <= {"ids", "contract", "dry_run"}:
        raise UsageError("the body is not an object of `ids` and `contract`", where="body", remedy='Send {"ids": [1, 2]}, or no body')
    dry_run = document.get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise UsageError("`dry_run` is neither true nor false", where="$.dry_run", remedy="Send true to change nothing, or leave it out")
    ids, contract = document.get("ids"), document.get("contract")
    if ids is not None and not (isinstance(ids, list) and len(ids) <= MAX_IDS and all(_is_id(one) for one in ids)):
        raise UsageError("`ids` is not a list of ids", where="$.ids", remedy=f"List at most {MAX_IDS} ids of dead letters")
    if contract is not None and not isinstance(contract, str):
        raise UsageError("`contract` is not text", where="$.contract", remedy="Name one contract, or leave it out")
    return ids, contract, dry_run


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COMMIT
