"""Twins and their interfaces in the shape of Azure Digital Twins' data plane, and what its shape has no place for under `/v1`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi import Path as InPath
from starlette.responses import Response

from twinwright.api import answers
from twinwright.api.errors import JsonResponse
from twinwright.api.routes import failures
from twinwright.api.serving import Asking
from twinwright.errors import NotFoundError

TwinId = Annotated[str, InPath(min_length=1, max_length=128, description="The $dtId of the twin.")]
AsOf = Annotated[str | None, Query(max_length=40, description="An event time: the state of the world then.")]
KnownAt = Annotated[str | None, Query(max_length=40, description="A time or commit number: what was believed then.")]
Lane = Annotated[Literal["observed", "desired", "derived", "simulated"], Query(description="Which lane to show.")]
Aggregate = Literal["mean", "min", "max", "sum", "count", "first", "last"]


def accept_version(
    _version: Annotated[
        Literal["2020-10-31", "2022-05-31", "2023-06-30", "2023-10-31"] | None,
        Query(alias="api-version", description="A version of the Azure Digital Twins data plane; all are answered alike."),
    ] = None,
) -> None:
    """Every version of the data plane that we know is answered alike; others are refused by their validation."""


router = APIRouter(tags=["twins"])
data_plane = APIRouter(tags=["twins"], dependencies=[Depends(accept_version)])


@data_plane.get("/digitaltwins/{id}", response_model=answers.TwinDocument, responses=failures(400, 404), summary="The document of a twin")
async def twin(asking: Asking, id: TwinId, as_of: AsOf = None, known_at: KnownAt = None, lane: Lane = "observed") -> Response:
    await asking.visible()
    read = asking.platform.state
    document = await asking.serving.reads.run(read, id, as_of=as_of, known_at=known_at, lane=lane)
    return JsonResponse(document, headers={"etag": document["$etag"]} if "$etag" in document else None)


@data_plane.get(
    "/digitaltwins/{id}/relationships",
    response_model=answers.Relationships,
    responses=failures(404),
    summary="The relationships that begin at a twin",
)
async def relationships(
    asking: Asking,
    id: TwinId,
    name: Annotated[str | None, Query(alias="relationshipName", max_length=128, description="Only those of this name.")] = None,
) -> Response:
    await asking.visible()
    found = await asking.serving.reads.run(asking.platform.relationships, id)
    return JsonResponse({"value": [one for one in found if name is None or one.get("$relationshipName") == name]})


@data_plane.get("/models", response_model=answers.Models, responses=failures(), summary="The applied DTDL interfaces")
async def models(
    asking: Asking,
    definition: Annotated[bool, Query(alias="includeModelDefinition", description="With the DTDL documents.")] = False,
) -> Response:
    await asking.visible()
    found = await asking.serving.reads.run(asking.platform.interfaces)
    return JsonResponse({"value": [_model(one, definition) for one in found]})


@data_plane.get("/models/{id}", response_model=answers.Model, responses=failures(404), summary="One DTDL interface")
async def model(
    asking: Asking,
    id: Annotated[str, InPath(max_length=2048, description="Its DTMI.")],
    definition: Annotated[bool, Query(alias="includeModelDefinition", description="With the DTDL document.")] = True,
) -> Response:
    await asking.visible()
    found = await asking.serving.reads.run(asking.platform.interfaces)
    chosen = next((one for one in found if one.get("@id") == id), None)
    if chosen is None:
        known = ", ".join(str(one.get("@id")) for one in found[:5]) or "none"
        raise NotFoundError(f"there is no model '{id}'", remedy=f"Applied are: {known}")
    return JsonResponse(_model(chosen, definition))


@router.get("/v1/twins", response_model=answers.Twins, responses=failures(), summary="All twins, without values")
async def twins(asking: Asking) -> Response:
    await asking.visible()
    return JsonResponse({"value": await asking.serving.reads.run(asking.platform.twins)})


@router.get("/v1/twins/{id}/paths", response_model=answers.Paths, responses=failures(404), summary="What can be observed of a twin")
async def paths(asking: Asking, id: TwinId) -> Response:
    await asking.visible()
    return JsonResponse({"value": await asking.serving.reads.run(asking.platform.paths, id)})


@router.get(
    "/v1/history/{twin}/{path:path}", response_model=answers.History, responses=failures(400, 404), summary="The history of one path"
)
async def history(
    asking: Asking,
    twin: TwinId,
    path: Annotated[str, InPath(min_length=1, max_length=512, description="`pressure`, or through a component `motor/speed`.")],
    start: Annotated[str | None, Query(alias="from", max_length=40, description="From this event time on (ISO 8601 with a zone).")] = None,
    end: Annotated[str | None, Query(alias="to", max_length=40, description="Before this event time.")] = None,
    every: Annotated[str | None, Query(max_length=40, description="Resample to this ISO 8601 duration, such as PT1M.")] = None,
    agg: Annotated[Aggregate, Query(description="How to resample.")] = "mean",
    unit: Annotated[str | None, Query(max_length=64, description="Convert to this unit; default: the property's.")] = None,
    known_at: KnownAt = None,
    lane: Lane = "observed",
) -> Response:
    await asking.visible()
    read = asking.platform.history
    options: dict[str, Any] = {"start": start, "end": end, "every": every, "agg": agg, "unit": unit, "known_at": known_at, "lane": lane}
    return JsonResponse(await asking.serving.reads.run(read, twin, path, **options))


def _model(document: dict[str, Any], definition: bool) -> dict[str, Any]:
    """A DTDL document as the data plane describes it."""
    described: dict[str, Any] = {"id": document.get("@id"), "decommissioned": False}
    for name in ("displayName", "description"):
        if (text := document.get(name)) is not None:
            described[name] = {"en": text} if isinstance(text, str) else text
    return {**described, "model": document} if definition else described
