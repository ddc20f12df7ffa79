"""Twins and their interfaces in the shape of Azure Digital Twins' data plane, and what its shape has no place for under `/v1`."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi import Path as InPath
from pydantic import AfterValidator
from starlette.responses import Response

from twinwright.api import answers
from twinwright.api.errors import JsonResponse
from twinwright.api.paging import Continuation, MaxItems
from twinwright.api.routes import failures
from twinwright.api.serving import Asking
from twinwright.api.slashes import unmarked
from twinwright.api.streaming import ARROW, PartsResponse, accepts, arrow
from twinwright.platform.opened import history_table

TwinId = Annotated[str, InPath(min_length=1, max_length=128, description="The $dtId of the twin."), AfterValidator(unmarked)]
Path = Annotated[
    str, InPath(min_length=1, max_length=512, description="`pressure`, or through a component `motor/speed`."), AfterValidator(unmarked)
]
AsOf = Annotated[str | None, Query(max_length=40, description="An event time: the state of the world then.")]
KnownAt = Annotated[str | None, Query(max_length=40, description="A time or commit number: what was believed then.")]
Lane = Annotated[Literal["observed", "desired", "derived", "simulated"], Query(description="Which lane to show.")]
Facts = Annotated[bool, Query(description="Only what payloads alone decide: no commits, no times of receipt.")]
Interface = Annotated[str | None, Query(max_length=2048, description="The version of its interface that is meant: dtmi:example:Pump;1")]
_TABLE: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {ARROW: {"schema": {"type": "string", "format": "binary"}}}}}
ApiVersion = Literal["2020-10-31", "2022-05-31", "2023-06-30", "2023-10-31"]  # of the Azure Digital Twins data plane
Aggregate = Literal["mean", "min", "max", "sum", "count", "first", "last"]


async def accept_version(
    _version: Annotated[
        ApiVersion | None,
        Query(alias="api-version", description="A version of the Azure Digital Twins data plane; all are answered alike."),
    ] = None,
) -> None:
    """Every version of the data plane that we know is answered alike; others are refused by their validation."""


router = APIRouter(tags=["twins"])
data_plane = APIRouter(tags=["twins"], dependencies=[Depends(accept_version)])


@data_plane.get("/digitaltwins/{id}", response_model=answers.TwinDocument, responses=failures(400, 404), summary="The document of a twin")
async def twin(
    asking: Asking, id: TwinId, as_of: AsOf = None, known_at: KnownAt = None, lane: Lane = "observed", interface: Interface = None
) -> Response:
    await asking.visible()
    read = asking.platform.state
    document = await asking.serving.reads.run(read, id, as_of=as_of, known_at=known_at, lane=lane, interface=interface)
    return JsonResponse(document, headers={"etag": document["$etag"]} if "$etag" in document else None)


@router.get("/v1/twins", response_model=answers.Twins, responses=failures(), summary="All twins, without values")
async def twins(asking: Asking) -> Response:
    await asking.visible()
    return JsonResponse({"value": await asking.serving.reads.run(asking.platform.twins)})


@router.get("/v1/state", response_model=answers.States, responses=failures(400, 404), summary="The documents of all twins")
async def states(
    asking: Asking, as_of: AsOf = None, known_at: KnownAt = None, lane: Lane = "observed", facts: Facts = False, interface: Interface = None
) -> Response:
    await asking.visible()
    read = asking.platform.state
    return JsonResponse(await asking.serving.reads.run(read, as_of=as_of, known_at=known_at, lane=lane, facts=facts, interface=interface))


@router.get("/v1/state/{id}", response_model=answers.TwinDocument, responses=failures(400, 404), summary="The document of a twin")
async def state(
    asking: Asking,
    id: TwinId,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    lane: Lane = "observed",
    facts: Facts = False,
    interface: Interface = None,
) -> Response:
    await asking.visible()
    read = asking.platform.state
    return JsonResponse(
        await asking.serving.reads.run(read, id, as_of=as_of, known_at=known_at, lane=lane, facts=facts, interface=interface)
    )


@router.get(
    "/v1/relationships",
    response_model=answers.RelationshipList,
    responses=failures(400, 404),
    summary="Relationships",
    description="All of them, or a page where `max-items-per-page`, `continuationToken` or `name` is given.",
)
async def relationships(
    asking: Asking,
    twin: Annotated[str | None, Query(min_length=1, max_length=128, description="Only those that begin at this twin.")] = None,
    name: Annotated[str | None, Query(max_length=128, description="Only those of this name.")] = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    size: MaxItems = None,
    token: Continuation = None,
) -> Response:
    await asking.visible()
    if name is None and size is None and token is None:
        read = asking.platform.relationships
        return JsonResponse({"value": await asking.serving.reads.run(read, twin, as_of=as_of, known_at=known_at)})
    options: dict[str, Any] = {"name": name, "as_of": as_of, "known_at": known_at, "continuation": token, "max_items": size}
    return JsonResponse(await asking.serving.reads.run(asking.platform.relationship_page, twin, **options))


@router.get("/v1/twins/{id}/paths", response_model=answers.Paths, responses=failures(404), summary="What can be observed of a twin")
async def paths(asking: Asking, id: TwinId) -> Response:
    await asking.visible()
    return JsonResponse({"value": await asking.serving.reads.run(asking.platform.paths, id)})


@router.get(
    "/v1/history/{twin}/{path:path}",
    response_model=answers.History,
    responses={**_TABLE, **failures(400, 404)},
    summary="The history of one path",
    description="Arrays of JSON, or for who accepts it an Arrow IPC stream of `times values quality source`.",
)
async def history(
    request: Request,
    asking: Asking,
    twin: TwinId,
    path: Path,
    start: Annotated[str | None, Query(alias="from", max_length=40, description="From this event time on (ISO 8601 with a zone).")] = None,
    end: Annotated[str | None, Query(alias="to", max_length=40, description="Before this event time.")] = None,
    every: Annotated[str | None, Query(max_length=40, description="Resample to this ISO 8601 duration, such as PT1M.")] = None,
    agg: Annotated[Aggregate, Query(description="How to resample.")] = "mean",
    unit: Annotated[str | None, Query(max_length=64, description="Convert to this unit; default: the property's.")] = None,
    known_at: KnownAt = None,
    lane: Lane = "observed",
    interface: Interface = None,
) -> Response:
    await asking.visible()
    read = asking.platform.history
    options: dict[str, Any] = {"start": start, "end": end, "every": every, "agg": agg, "unit": unit, "known_at": known_at, "lane": lane}
    options["interface"] = interface
    found = await asking.serving.reads.run(read, twin, path, **options)
    if not accepts(request, ARROW):
        return JsonResponse(found)
    with asking.serving.stream():
        table = await asking.serving.reads.run(history_table, found)
        return PartsResponse(arrow(asking.serving, table), ARROW)
