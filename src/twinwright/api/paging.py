"""Lists in pages: `value` and, while there is more, an absolute `nextLink` that goes on behind the last item."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Header, Query, Request

from twinwright.errors import UsageError

PAGE: Final = 1_000
MaxItems = Annotated[int | None, Header(alias="max-items-per-page", ge=1, le=10_000, description="At most so many items a page.")]
Continuation = Annotated[
    str | None, Query(alias="continuationToken", max_length=2_048, description="Where a page begins: take it from `nextLink`, as it is.")
]


def page(
    request: Request, items: Sequence[dict[str, Any]], key: Callable[[dict[str, Any]], str], size: int | None, token: str | None
) -> dict[str, Any]:
    """One page of items that are in the order of `key`; what came or went meanwhile moves no page. Raises UsageError."""
    first = 0 if token is None else bisect_right([key(item) for item in items], _key_of(token))
    shown = items[first : first + (size or PAGE)]
    answer: dict[str, Any] = {"value": list(shown)}
    if first + len(shown) < len(items):
        answer["nextLink"] = _next(request, base64.urlsafe_b64encode(key(shown[-1]).encode("utf-8", "surrogatepass")).decode())
    return answer


def linked(request: Request, found: dict[str, Any]) -> dict[str, Any]:
    """A page that says itself, by its `continuationToken`, where it goes on."""
    token = found["continuationToken"]
    return {"value": found["value"], **({} if token is None else {"nextLink": _next(request, token)})}


def _next(request: Request, token: str) -> str:
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "continuationToken"]
    path = request.scope.get("raw_path", b"").decode("latin-1").partition("?")[0] or request.url.path
    return f"{request.url.scheme}://{request.url.netloc}{path}?{urlencode([*query, ('continuationToken', token)])}"


def _key_of(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode("ascii")).decode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError):
        raise UsageError("the continuation token is none of ours", where="continuationToken", remedy="Follow `nextLink`") from None
