"""The write endpoint of InfluxDB v2, so that whatever writes there (Telegraf, client libraries) can be pointed here.

A bucket is a contract of the format `line-protocol`. What a writer does next follows from the status (Telegraf, output `influxdb_v2`):
204 is done, 429 and 503 are tried again after Retry-After, 413 is split, any other 4xx is dropped, and 401, 403 and 500 are kept for
the next try. So 4xx is answered only where trying again can't help.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from twinwright.api.answers import ErrorBody, WriteError
from twinwright.api.bodies import read_telemetry
from twinwright.api.errors import JsonResponse, RequestTimeoutError, headers_of
from twinwright.api.routes import failures
from twinwright.api.routes.telemetry import Key
from twinwright.api.serving import Asking
from twinwright.errors import TwinwrightError
from twinwright.telemetry.formats import PRECISION_CAPTURE, Precision
from twinwright.telemetry.payloads import Payload

RECEIPT_HEADER: Final = "Twinwright-Receipt"
_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "Points of line protocol, a line each. Gzip and zstd are read as Content-Encoding.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}
_CODES: Final = {401: "unauthorized", 403: "forbidden", 404: "not found", 413: "request too large", 429: "too many requests"}
router = APIRouter(prefix="/api/v2", tags=["telemetry"])


def _refusals() -> dict[int | str, dict[str, Any]]:
    """Refused by the guard or for its parameters, a request has the error object of the API; refused here, that of InfluxDB."""
    shapes = [{"$ref": f"#/components/schemas/{shape.__name__}"} for shape in (ErrorBody, WriteError)]
    content = {"application/json": {"schema": {"anyOf": shapes}}}
    return {status: {**told, "content": content} for status, told in failures(400, 404, 413, 415, 503).items()}


@router.post(
    "/write",
    status_code=204,
    response_class=Response,
    responses={
        204: {"description": "All is durable; the header Twinwright-Receipt has the counts, refused points among them."},
        **_refusals(),
    },
    summary="Push line protocol as to InfluxDB v2",
    description="The token may be sent as `Authorization: Token ...`. Errors have `code` and `message` at the top, as those of InfluxDB.",
    openapi_extra=_BODY,
)
async def write(
    request: Request,
    asking: Asking,
    bucket: Annotated[str, Query(max_length=128, description="The name of a contract.")],
    key: Key = None,
    precision: Annotated[Precision, Query(description="What the timestamps count.")] = "ns",
    _org: Annotated[str | None, Query(alias="org", description="Taken and not used.")] = None,
) -> Response:
    try:
        payload = Payload(await read_telemetry(request), {PRECISION_CAPTURE: precision})
        receipt = await asking.serving.telemetry.run(asking.platform.push, bucket, [payload], key=key)
    except TwinwrightError as error:
        status = 503 if isinstance(error, RequestTimeoutError) else error.http_status
        code = _CODES.get(status, "invalid" if status < 500 else "unavailable" if status == 503 else "internal error")
        return JsonResponse({"code": code, "message": str(error)}, status, headers_of(error))
    return Response(status_code=204, headers={RECEIPT_HEADER: msgspec.json.encode(receipt.as_json()).decode()})
