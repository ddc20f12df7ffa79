"""What has no place in the data plane's shape: what changed between two instants of the graph."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from twinwright.api import answers
from twinwright.api.errors import JsonResponse
from twinwright.api.paging import MaxItems
from twinwright.api.routes import failures
from twinwright.api.routes.twins import AsOf, KnownAt
from twinwright.api.serving import Asking

router = APIRouter(tags=["graph"])


@router.get("/v1/graph/diff", response_model=answers.GraphDiff, responses=failures(400, 409), summary="What changed between two instants")
async def diff(
    asking: Asking,
    start: Annotated[str, Query(alias="from", min_length=1, max_length=40, description="A commit number, or a time: what was known then.")],
    end: Annotated[str | None, Query(alias="to", max_length=40, description="A commit number, or a time; default: now.")] = None,
    event_time: Annotated[bool, Query(description="`from` and `to` are times of the world instead.")] = False,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    kind: Annotated[Literal["interface", "twin", "relationship"] | None, Query(description="Only these.")] = None,
    token: Annotated[str | None, Query(alias="continuationToken", max_length=2_048, description="Of the page before.")] = None,
    size: MaxItems = None,
) -> Response:
    await asking.visible()
    options: dict[str, Any] = {"event_time": event_time, "as_of": as_of, "known_at": known_at, "kind": kind}
    ask = asking.platform.graph_diff
    return JsonResponse(await asking.serving.reads.run(ask, start, end, **options, continuation=token, max_items=size))
