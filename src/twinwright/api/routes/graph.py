"""Twins, components, relationships and telemetry as clients of the Azure Digital Twins data plane change them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi import Path as InPath
from pydantic import AfterValidator
from starlette.responses import Response

from twinwright.api import answers
from twinwright.api.bodies import read_document
from twinwright.api.errors import JsonResponse
from twinwright.api.paging import Continuation, MaxItems, linked
from twinwright.api.routes import failures
from twinwright.api.routes.twins import AsOf, Interface, KnownAt, TwinId, accept_version
from twinwright.api.serving import Asking
from twinwright.api.slashes import unmarked
from twinwright.twins.graph.json_patch import OPERATIONS

router = APIRouter(tags=["graph"], dependencies=[Depends(accept_version)])
EdgeId = Annotated[str, InPath(min_length=1, max_length=128, description="The $relationshipId."), AfterValidator(unmarked)]
Component = Annotated[str, InPath(min_length=1, max_length=512, description="The name of a component."), AfterValidator(unmarked)]
IfMatch = Annotated[str | None, Header(alias="If-Match", max_length=1_024, description="Only if this is the entity's etag; `*`: any.")]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", max_length=1_024, description="`*`: only if there is no such entity yet.")
]
MessageId = Annotated[str, Header(alias="Message-Id", min_length=1, max_length=256, description="Names the message.")]
SourceTime = Annotated[
    str | None, Header(alias="Telemetry-Source-Time", max_length=40, description="When it was true; default: when it is received.")
]
_CHANGED: Final[dict[int | str, dict[str, Any]]] = {204: {"description": "Done, and durable; `ETag` has the new etag."}}


def body(kind: str, schema: dict[str, Any], description: str, *, required: bool = True) -> dict[str, Any]:
    """What `/openapi.json` says of a request's body."""
    return {"requestBody": {"required": required, "description": description, "content": {kind: {"schema": schema}}}}


PATCH: Final = body(
    "application/json-patch+json",
    {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["op", "path"],
            "properties": {"op": {"enum": list(OPERATIONS)}, "path": {"type": "string"}, "from": {"type": "string"}, "value": {}},
        },
    },
    "A JSON Patch (RFC 6902).",
)
_TWIN: Final = body("application/json", {"type": "object"}, "The twin: `$metadata` with its `$model`, properties, components.")
_EDGE: Final = body("application/json", {"type": "object"}, "`$targetId`, `$relationshipName`, properties.")
_MESSAGE: Final = body("application/json", {"type": "object"}, "The message; names of Telemetry in it are observed.")


def done(answer: dict[str, Any]) -> Response:
    """204 with the etag, where there is one, and the commit."""
    headers = {"twinwright-token": str(answer["token"])}
    return Response(status_code=204, headers=headers | ({"etag": answer["etag"]} if "etag" in answer else {}))


def put_answer(answer: dict[str, Any]) -> Response:
    """What was put, with its etag and the commit."""
    return JsonResponse(answer["document"], headers={"etag": answer["etag"], "twinwright-token": str(answer["token"])})


@router.put(
    "/digitaltwins/{id}",
    response_model=answers.TwinDocument,
    responses=failures(400, 408, 412, 413, 415),
    summary="Make a twin, or replace one",
    openapi_extra=_TWIN,
)
async def put_twin(
    request: Request, asking: Asking, id: TwinId, if_none_match: IfNoneMatch = None, interface: Interface = None
) -> Response:
    document = await read_document(request)
    put = asking.platform.put_twin
    return put_answer(await asking.serving.graph.run(put, id, document, if_none_match=if_none_match, interface=interface))


@router.patch(
    "/digitaltwins/{id}",
    status_code=204,
    response_class=Response,
    responses={**_CHANGED, **failures(400, 404, 408, 412, 413, 415)},
    summary="Change a twin",
    openapi_extra=PATCH,
)
async def patch_twin(request: Request, asking: Asking, id: TwinId, if_match: IfMatch = None, interface: Interface = None) -> Response:
    patch = await read_document(request)
    return done(await asking.serving.graph.run(asking.platform.patch_twin, id, patch, if_match=if_match, interface=interface))


@router.delete(
    "/digitaltwins/{id}",
    status_code=204,
    response_class=Response,
    responses={**_CHANGED, **failures(400, 404, 412)},
    summary="Delete a twin that has no relationships",
)
async def delete_twin(asking: Asking, id: TwinId, if_match: IfMatch = None) -> Response:
    return done(await asking.serving.graph.run(asking.platform.delete_twin, id, if_match=if_match))


@router.get(
    "/digitaltwins/{id}/components/{component}",
    response_model=dict[str, Any],
    responses=failures(400, 404),
    summary="A component of a twin",
)
async def component(asking: Asking, id: TwinId, component: Component, interface: Interface = None) -> Response:
    await asking.visible()
    found = await asking.serving.reads.run(asking.platform.component, id, component, interface=interface)
    return JsonResponse(found, headers={"etag": found["$etag"]})


@router.patch(
    "/digitaltwins/{id}/components/{component}",
    status_code=204,
    response_class=Response,
    responses={**_CHANGED, **failures(400, 404, 408, 412, 413, 415)},
    summary="Change a component",
    openapi_extra=PATCH,
)
async def patch_component(
    request: Request, asking: Asking, id: TwinId, component: Component, if_match: IfMatch = None, interface: Interface = None
) -> Response:
    patch = await read_document(request)
    change = asking.platform.patch_twin
    return done(await asking.serving.graph.run(change, id, patch, component=component, if_match=if_match, interface=interface))


@router.post(
    "/digitaltwins/{id}/telemetry",
    status_code=204,
    response_class=Response,
    responses={**_CHANGED, **failures(400, 404, 408, 413, 415)},
    summary="Send a message of a twin",
    openapi_extra=_MESSAGE,
)
async def telemetry(
    request: Request, asking: Asking, id: TwinId, message_id: MessageId, source_time: SourceTime = None, interface: Interface = None
) -> Response:
    payload = await read_document(request)
    options: dict[str, Any] = {"message_id": message_id, "source_time": source_time, "interface": interface}
    return done(await asking.serving.graph.run(asking.platform.send_telemetry, id, payload, **options))


@router.post(
    "/digitaltwins/{id}/components/{component}/telemetry",
    status_code=204,
    response_class=Response,
    responses={**_CHANGED, **failures(400, 404, 408, 413, 415)},
    summary="Send a message of a component",
    openapi_extra=_MESSAGE,
)
async def component_telemetry(
    request: Request,
    asking: Asking,
    id: TwinId,
    component: Component,
    message_id: MessageId,
    source_time: SourceTime = None,
    interface: Interface = None,
) -> Response:
    payload = await read_document(request)
    options: dict[str, Any] = {"message_id": message_id, "component": component, "source_time": source_time, "interface": interface}
    return done(await asking.serving.graph.run(asking.platform.send_telemetry, id, payload, **options))


@router.get(
    "/digitaltwins/{id}/relationships",
    response_model=answers.Relationships,
    responses=failures(400, 404),
    summary="The relationships that begin at a twin",
)
async def relationships(
    request: Request,
    asking: Asking,
    id: TwinId,
    name: Annotated[str | None, Query(alias="relationshipName", max_length=128, description="Only those of this name.")] = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    size: MaxItems = None,
    token: Continuation = None,
) -> Response:
    await asking.visible()
    options: dict[str, Any] = {"name": name, "as_of": as_of, "known_at": known_at, "continuation": token, "max_items": size}
    return JsonResponse(linked(request, await asking.serving.reads.run(asking.platform.relationship_page, id, **options)))


@router.get(
    "/digitaltwins/{id}/incomingrelationships",
    response_model=answers.IncomingRelationships,
    responses=failures(400, 404),
    summary="The relationships that lead to a twin",
)
async def incoming(request: Request, asking: Asking, id: TwinId, size: MaxItems = None, token: Continuation = None) -> Response:
    await asking.visible()
    read = asking.platform.incoming_relationship_page
    return JsonResponse(linked(request, await asking.serving.reads.run(read, id, continuation=token, max_items=size)))


@router.get(
    "/digitaltwins/{id}/relationships/{edge}",
    response_model=answers.Relationship,
    responses=failures(400, 404),
    summary="A relationship",
)
async def relationship(asking: Asking, id: TwinId, edge: EdgeId) -> Response:
    await asking.visible()
    found = await asking.serving.reads.run(asking.platform.relationship, id, edge)
    return JsonResponse(found, headers={"etag": found["$etag"]})


@router.put(
    "/digitaltwins/{id}/relationships/{edge}",
    response_model=answers.Relationship,
    responses=failures(400, 404, 408, 412, 413, 415),
    summary="Make a relationship, or replace one",
    openapi_extra=_EDGE,
)
async def put_relationship(request: Request, asking: Asking, id: TwinId, edge: EdgeId, if_none_match: IfNoneMatch = None) -> Response:
    document = await read_document(request)
    put = asking.platform.put_relationship
    return put_answer(await asking.serving.graph.run(put, id, edge, document, if_none_match=if_none_match))


@router.patch(
    "/digitaltwins/{id}/relationships/{edge}",
    status_code=204,
    response_class=Response,
    responses={**_CHANGED, **failures(400, 404, 408, 412, 413, 415)},
    summary="Change the properties of a relationship",
    openapi_extra=PATCH,
)
async def patch_relationship(request: Request, asking: Asking, id: TwinId, edge: EdgeId, if_match: IfMatch = None) -> Response:
    patch = await read_document(request)
    return done(await asking.serving.graph.run(asking.platform.patch_relationship, id, edge, patch, if_match=if_match))


@router.delete(
    "/digitaltwins/{id}/relationships/{edge}",
    status_code=204,
    response_class=Response,
    responses={**_CHANGED, **failures(400, 404, 412)},
    summary="Delete a relationship",
)
async def delete_relationship(asking: Asking, id: TwinId, edge: EdgeId, if_match: IfMatch = None) -> Response:
    return done(await asking.serving.graph.run(asking.platform.delete_relationship, id, edge, if_match=if_match))
