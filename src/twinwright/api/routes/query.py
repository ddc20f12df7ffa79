"""`POST /query` in the shape of Azure Digital Twins: pages with a continuation token, and what they cost."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import Response

from twinwright.api import answers
from twinwright.api.bodies import read_document
from twinwright.api.errors import JsonResponse
from twinwright.api.routes import failures
from twinwright.api.routes.twins import Interface, accept_version
from twinwright.api.serving import Asking
from twinwright.errors import UsageError

DEFAULT_PAGE = 100
MOST_ITEMS = 1_000

router = APIRouter(tags=["query"], dependencies=[Depends(accept_version)])

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "query": {"type": "string", "maxLength": 8000, "description": "The query. For the next page it may be left out."},
                        "continuationToken": {"type": ["string", "null"], "description": "Of the page before."},
                    },
                }
            }
        },
    }
}


@router.post(
    "/query", response_model=answers.QueryPage, responses=failures(400, 404, 408, 413, 415), openapi_extra=_BODY, summary="Query the graph"
)
async def query(
    asking: Asking,
    request: Request,
    items: Annotated[
        int | None, Header(alias="max-items-per-page", ge=1, le=MOST_ITEMS, description=f"Rows on a page; {DEFAULT_PAGE} unless said.")
    ] = None,
    interface: Interface = None,
) -> Response:
    text, continuation = _asked(await read_document(request))
    await asking.visible()
    ask = asking.platform.query
    page = await asking.serving.reads.run(ask, text, continuation=continuation, max_items=items or DEFAULT_PAGE, interface=interface)
    body: dict[str, Any] = {"value": page["value"], "continuationToken": page["continuationToken"]}
    return JsonResponse(body, headers={"query-charge": f"{page['charge']:.2f}"})


def _asked(body: Any) -> tuple[str, str | None]:
    """The query and the continuation token. Raises UsageError."""
    if not isinstance(body, dict):
        raise UsageError("the body is no query", where="body", remedy='Send {"query": "SELECT * FROM DIGITALTWINS"}')
    text, continuation = body.get("query"), body.get("continuationToken")
    if text is not None and not isinstance(text, str):
        raise UsageError("the query is no text", where="$.query", remedy='Send {"query": "SELECT * FROM DIGITALTWINS"}')
    if continuation is not None and not isinstance(continuation, str):
        raise UsageError("the token is no text", where="$.continuationToken", remedy="Send it as the page before gave it")
    if text is None and continuation is None:
        raise UsageError("there is no query", where="$.query", remedy='Send {"query": "SELECT * FROM DIGITALTWINS"}')
    return text or "", continuation
