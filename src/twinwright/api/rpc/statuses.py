"""Answers that are no success as statuses of gRPC, with the error object of REST in their details."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import grpc
import msgspec
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from twinwright.api.boundary import CORRELATION_HEADER
from twinwright.api.errors import error_object, headers_of
from twinwright.api.rpc import v1_pb2
from twinwright.api.rpc.bridge import Answered
from twinwright.errors import TwinwrightError

Codes = grpc.StatusCode
CODES: Final[Mapping[int, grpc.StatusCode]] = {
    400: Codes.INVALID_ARGUMENT,
    401: Codes.UNAUTHENTICATED,
    403: Codes.PERMISSION_DENIED,
    404: Codes.NOT_FOUND,
    405: Codes.UNIMPLEMENTED,
    408: Codes.DEADLINE_EXCEEDED,
    409: Codes.FAILED_PRECONDITION,
    412: Codes.FAILED_PRECONDITION,
    413: Codes.INVALID_ARGUMENT,  # sent again it is as large: RESOURCE_EXHAUSTED would have clients try
    415: Codes.INVALID_ARGUMENT,
    421: Codes.PERMISSION_DENIED,
    422: Codes.INVALID_ARGUMENT,
    429: Codes.RESOURCE_EXHAUSTED,
    431: Codes.INVALID_ARGUMENT,
    500: Codes.INTERNAL,
    503: Codes.UNAVAILABLE,
}
MOST_MESSAGE: Final = 1_000  # bytes: a status goes into trailers, of which clients take 8 KiB
MOST_DETAILS: Final = 1_000
_CORRELATION: Final = CORRELATION_HEADER.decode()


class Refused(Exception):  # noqa: N818 - no failure of ours: an answer on its way
    """An rpc that ends with a status."""

    def __init__(self, status: status_pb2.Status, correlation: str = "") -> None:
        super().__init__(status.message)
        self.status, self.correlation = status, correlation

    async def tell(self, context: Any) -> None:
        """End the rpc with it."""
        told = rpc_status.to_status(self.status)
        more = ((_CORRELATION, self.correlation),) if self.correlation else ()
        await context.abort(told.code, told.details, (*told.trailing_metadata, *more))


def refused(answer: Answered) -> Refused:
    """What REST answered, as a status."""
    try:
        told = msgspec.json.decode(answer.body)["error"]
    except (msgspec.DecodeError, KeyError, TypeError):
        told = {"code": "InternalServerError", "message": f"the platform answered {answer.status}"}
    return Refused(_status(answer.status, told, answer.headers), answer.headers.get(_CORRELATION, ""))


def refused_by(error: TwinwrightError) -> Refused:
    """An error that never came to REST, as the status that it would have had there."""
    return Refused(_status(error.http_status, error_object(error), headers_of(error)))


def refused_in_stream(told: Mapping[str, Any]) -> Refused:
    """An error that ended a stream of REST, as the status that it would have had before."""
    from twinwright.platform.remote import kind_of

    return Refused(_status(kind_of(str(told.get("code"))).http_status, told, {}))


def _status(http: int, told: Mapping[str, Any], headers: Mapping[str, str]) -> status_pb2.Status:
    error = _error(told)
    error.correlation_id = str(told.get("correlation_id") or "")
    left = MOST_DETAILS
    for one in told.get("details") or ():
        detail = _error(one)
        left -= detail.ByteSize()
        if left < 0:
            break
        error.details.append(detail)
    packed = [any_pb2.Any()]
    packed[0].Pack(error)
    if "retry-after" in headers:
        retry = any_pb2.Any()
        retry.Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=int(headers["retry-after"]))))
        packed.append(retry)
    code = CODES.get(http, Codes.UNKNOWN)
    return status_pb2.Status(code=code.value[0], message=error.message, details=packed)


def _error(told: Mapping[str, Any]) -> Any:
    target = str(told.get("target") or "")
    return v1_pb2.Error(code=str(told.get("code", "")), message=_cut(str(told.get("message", ""))), target=target[:200])


def _cut(text: str) -> str:
    data = text.encode("utf-8", "replace")
    return text if len(data) <= MOST_MESSAGE else data[: MOST_MESSAGE - 3].decode("utf-8", "ignore") + "..."
