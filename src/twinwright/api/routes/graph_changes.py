"""What has no place in the data plane's shape: what changed between two instants of the graph, and many twins changed or made at once."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from twinwright.api import answers
from twinwright.api.bodies import read_document, read_rows
from twinwright.api.errors import JsonResponse
from twinwright.api.paging import MaxItems
from twinwright.api.routes import failures
from twinwright.api.routes.graph import body
from twinwright.api.routes.twins import AsOf, Interface, KnownAt
from twinwright.api.serving import Asking
from twinwright.errors import UsageError

router = APIRouter(tags=["graph"])
_PATHS: Final = {"type": "array", "items": {"type": "string"}}
_UPDATE: Final = body(
    "application/json",
    {
        "type": "object",
        "required": ["query"],
        "properties": {
            "query": {"type": "string", "maxLength": 8000, "description": "Selects twins alone: SELECT T FROM ..."},
            "set": {"type": "object", "description": "Values by path; a number may be a text with its unit, such as `3 bar`."},
            "remove": {**_PATHS, "description": "Paths that are to have no value."},
            "patch": {"type": "array", "items": {"type": "object"}, "description": "Further steps, as JSON Patch."},
            "delete": {"type": "boolean"},
            "with_relationships": {"type": "boolean", "description": "Relationships of deleted twins go as well."},
            "dry_run": {"type": "boolean", "description": "Check, count and show what would change; write nothing."},
        },
        "additionalProperties": False,
    },
    "Which twins, and what of them.",
)
_DOCUMENTS: Final = {"type": "array", "maxItems": 100, "items": {"type": "object"}}
_IMPORT: Final = body(
    "application/json",
    {
        "type": "object",
        "required": ["template"],
        "properties": {
            "query": {"type": "string", "maxLength": 8000, "description": "Its rows are what is made of."},
            "rows": {"type": "array", "items": {"type": "object"}, "description": "Rows of a table, instead of a query or joined with it."},
            "on": {**_PATHS, "description": "Columns in which a row of the table and one of the query are the same, as text."},
            "template": {
                "type": "object",
                "properties": {"twins": _DOCUMENTS, "relationships": _DOCUMENTS},
                "additionalProperties": False,
                "description": "Documents with `{column}` in their texts; a text that is one alone takes the value as it is.",
            },
            "dry_run": {"type": "boolean", "description": "Check, count and show what would be made; write nothing."},
        },
        "additionalProperties": False,
    },
    "Which rows, and what is made of each.",
)


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


@router.post(
    "/v1/graph/update",
    response_model=answers.GraphUpdate,
    responses=failures(400, 404, 408, 413, 415, 503),
    openapi_extra=_UPDATE,
    summary="Change every twin that a query selects",
)
async def update(request: Request, asking: Asking, interface: Interface = None) -> Response:
    given = _known(await read_document(request), {"query", "set", "remove", "patch", "delete", "with_relationships", "dry_run"})
    if not isinstance(given.get("query"), str):
        raise UsageError("there is no query", where="$.query", remedy='Send {"query": "SELECT T FROM DIGITALTWINS T", "set": {...}}')
    await asking.visible()
    query = given.pop("query")
    answer = await asking.serving.graph.run(asking.platform.update, query, **given, interface=interface)
    return JsonResponse(answer, headers={"twinwright-token": str(answer["token"])})


@router.post(
    "/v1/graph/import",
    response_model=answers.GraphImport,
    responses=failures(400, 404, 408, 413, 415, 503),
    openapi_extra=_IMPORT,
    summary="Make twins and relationships of the rows of a query",
)
async def import_query(request: Request, asking: Asking) -> Response:
    given = _known(await read_rows(request), {"query", "rows", "on", "template", "dry_run"})
    query, lists = given.pop("query", None), [given.get(name, []) for name in ("rows", "on")]
    if "template" not in given or not isinstance(query, str | None) or not all(isinstance(one, list) for one in lists):
        remedy = 'Send {"query": "SELECT R.$dtId AS room FROM DIGITALTWINS R", "template": {"twins": [...]}}'
        raise UsageError("there is no template, or query, rows or on are not of their kind", where="$.template", remedy=remedy)
    if not all(isinstance(name, str) for name in lists[1]):
        raise UsageError("a column is named by text", where="$.on", remedy="Name the columns that both have")
    await asking.visible()
    answer = await asking.serving.graph.run(asking.platform.import_query, query, **given)
    return JsonResponse(answer, headers={"twinwright-token": str(answer["token"])})


def _known(given: Any, names: set[str]) -> dict[str, Any]:
    """The fields of a body. Raises UsageError for what is no object, or has others."""
    if not isinstance(given, dict):
        raise UsageError("the body is not an object", where="$", remedy="See /openapi.json")
    unknown = sorted(given.keys() - names)
    if unknown or not isinstance(given.get("dry_run", False), bool):
        what = f"'{unknown[0][:40]}' means nothing here" if unknown else "`dry_run` is true or false"
        raise UsageError(what, where=f"$.{unknown[0][:40] if unknown else 'dry_run'}", remedy="See /openapi.json")
    return given
