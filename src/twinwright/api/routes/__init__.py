"""The resources, a module for each family."""

from typing import Any, Final

from twinwright.api.answers import ErrorBody

_MEANINGS: Final = {
    400: "The request can't be understood; the message says what to change.",
    401: "No credential, or one that is not valid.",
    403: "The credential does not allow this, or a page of another origin asked.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "Refused: the request contradicts what is.",
    412: "If-Match or If-None-Match does not hold; nothing was changed.",
    413: "Past a limit on size or depth; nothing was taken.",
    415: "A content type or encoding that is not read here; nothing was taken.",
    421: "The Host is not one of this server.",
    422: "A parameter is not of its type or range, or an idempotency key stands for another body.",
    429: "A bounded queue is full; Retry-After says when to come back.",
    431: "Path and query, or the headers, are past their limits.",
    500: "The platform failed; its log has the details under the correlation id.",
    503: "Not for now: ingestion is paused, or the store does not answer; nothing was taken. Retry-After says when to come back.",
}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers that a route may give, beside those that any may."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ErrorBody.__name__}"}}}  # whatever a success is made of
    return {
        status: {"description": _MEANINGS[status], "content": content} for status in sorted({401, 403, 421, 422, 429, 431, 500, *statuses})
    }
