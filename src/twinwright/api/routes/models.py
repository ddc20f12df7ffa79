"""Interfaces (models) and event routes of the Azure Digital Twins data plane."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi import Path as InPath
from starlette.responses import Response

from twinwright.api import answers
from twinwright.api.bodies import read_document, read_models
from twinwright.api.errors import JsonResponse
from twinwright.api.paging import Continuation, MaxItems, page
from twinwright.api.routes import failures
from twinwright.api.routes.graph import PATCH, body, done
from twinwright.api.routes.twins import accept_version
from twinwright.api.serving import Asking

router = APIRouter(tags=["models"], dependencies=[Depends(accept_version)])
Dtmi = Annotated[str, InPath(min_length=1, max_length=2048, description="Its DTMI.")]
RouteId = Annotated[str, InPath(min_length=1, max_length=256)]
Definition = Annotated[bool, Query(alias="includeModelDefinition", description="With the DTDL document.")]
_MODELS: Final = body("application/json", {"type": "array", "items": {"type": "object"}}, "DTDL interfaces.")
_ROUTE: Final = body(
    "application/json",
    {
        "type": "object",
        "required": ["endpointName", "filter"],
        "properties": {"endpointName": {"type": "string"}, "filter": {"type": "string"}},
    },
    "Where events go, and which.",
)
_DONE: Final[dict[int | str, dict[str, Any]]] = {204: {"description": "Done, and durable."}}


@router.get("/models", response_model=answers.Models, responses=failures(400, 404), summary="The interfaces")
async def models(
    request: Request,
    asking: Asking,
    dependencies: Annotated[
        list[str] | None, Query(alias="dependenciesFor", description="Only these, and all that they extend and contain.")
    ] = None,
    definition: Definition = False,
    size: MaxItems = None,
    token: Continuation = None,
) -> Response:
    await asking.visible()
    wanted = [id for listed in dependencies or () for id in listed.split(",") if id]  # stock clients repeat the name, or join by commas
    found = await asking.serving.reads.run(asking.platform.interface_list, dependencies_for=wanted)
    shown = [_model(one, definition) for one in found]
    return JsonResponse(page(request, shown, lambda one: str(one["id"]), size, token))


@router.post(
    "/models",
    status_code=201,
    response_model=list[answers.Model],
    responses=failures(400, 408, 409, 413, 415),
    summary="Add interfaces: all of them or none",
    openapi_extra=_MODELS,
)
async def add_models(request: Request, asking: Asking) -> Response:
    documents = await read_models(request)
    added = await asking.serving.graph.run(asking.platform.add_interfaces, documents)
    return JsonResponse([_model(one, False) for one in added], status_code=201)


@router.get("/models/{id}", response_model=answers.Model, responses=failures(400, 404), summary="One interface")
async def model(asking: Asking, id: Dtmi, definition: Definition = False) -> Response:
    await asking.visible()
    return JsonResponse(_model(await asking.serving.reads.run(asking.platform.interface, id), definition))


@router.patch(
    "/models/{id}",
    status_code=204,
    response_class=Response,
    responses={**_DONE, **failures(400, 404, 408, 409, 413, 415)},
    summary="Decommission an interface: it takes no new twins",
    openapi_extra=PATCH,
)
async def decommission(request: Request, asking: Asking, id: Dtmi) -> Response:
    patch = await read_document(request)
    return done(await asking.serving.graph.run(asking.platform.decommission_interface, id, patch))


@router.delete(
    "/models/{id}",
    status_code=204,
    response_class=Response,
    responses={**_DONE, **failures(400, 404, 409)},
    summary="Delete an interface that nothing refers to",
)
async def delete_model(asking: Asking, id: Dtmi) -> Response:
    return done(await asking.serving.graph.run(asking.platform.delete_interface, id))


@router.get("/eventroutes", response_model=answers.EventRoutes, responses=failures(400), summary="The event routes")
async def event_routes(request: Request, asking: Asking, size: MaxItems = None, token: Continuation = None) -> Response:
    await asking.visible()
    found = await asking.serving.reads.run(asking.platform.event_routes)
    return JsonResponse(page(request, found, lambda one: str(one["id"]), size, token))


@router.get("/eventroutes/{id}", response_model=answers.EventRoute, responses=failures(400, 404), summary="One event route")
async def event_route(asking: Asking, id: RouteId) -> Response:
    await asking.visible()
    return JsonResponse(await asking.serving.reads.run(asking.platform.event_route, id))


@router.put(
    "/eventroutes/{id}",
    status_code=204,
    response_class=Response,
    responses={**_DONE, **failures(400, 408, 413, 415)},
    summary="Make an event route, or replace one",
    openapi_extra=_ROUTE,
)
async def put_event_route(request: Request, asking: Asking, id: RouteId) -> Response:
    route = await read_document(request)
    return done(await asking.serving.graph.run(asking.platform.put_event_route, id, route))


@router.delete(
    "/eventroutes/{id}",
    status_code=204,
    response_class=Response,
    responses={**_DONE, **failures(400, 404)},
    summary="Delete an event route",
)
async def delete_event_route(asking: Asking, id: RouteId) -> Response:
    return done(await asking.serving.graph.run(asking.platform.delete_event_route, id))


def _model(described: dict[str, Any], definition: bool) -> dict[str, Any]:
    return described if definition else {name: value for name, value in described.items() if name != "model"}
