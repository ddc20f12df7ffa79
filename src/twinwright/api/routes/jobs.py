"""Import and delete jobs of the Azure Digital Twins data plane."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import uuid4

from fastapi import APIRouter, Depends, Header, Request
from fastapi import Path as InPath
from starlette.responses import Response

from twinwright.api import answers
from twinwright.api.bodies import read_document
from twinwright.api.errors import JsonResponse
from twinwright.api.paging import Continuation, MaxItems, page
from twinwright.api.routes import failures
from twinwright.api.routes.graph import body, done
from twinwright.api.routes.twins import accept_version
from twinwright.api.serving import Asking

router = APIRouter(prefix="/jobs", tags=["jobs"], dependencies=[Depends(accept_version)])
JobId = Annotated[str, InPath(min_length=1, max_length=128)]
_IMPORT: Final = body(
    "application/json",
    {
        "type": "object",
        "required": ["inputBlobUri", "outputBlobUri"],
        "properties": {"inputBlobUri": {"type": "string"}, "outputBlobUri": {"type": "string"}},
    },
    "Two files of the workspace: what is imported, and where it is told how that went.",
)


@router.get("/imports", response_model=answers.Jobs, responses=failures(400), summary="The import jobs")
async def imports(request: Request, asking: Asking, size: MaxItems = None, token: Continuation = None) -> Response:
    found = await asking.serving.reads.run(asking.platform.import_jobs)
    return JsonResponse(page(request, found, lambda job: str(job["id"]), size, token))


@router.put(
    "/imports/{id}",
    status_code=201,
    response_model=answers.Job,
    responses=failures(400, 408, 413, 415),
    summary="Import a file",
    openapi_extra=_IMPORT,
)
async def start_import(request: Request, asking: Asking, id: JobId) -> Response:
    asked = await read_document(request)
    return JsonResponse(await asking.serving.graph.run(asking.platform.put_import_job, id, asked), status_code=201)


@router.get("/imports/{id}", response_model=answers.Job, responses=failures(400, 404), summary="An import job")
async def import_job(asking: Asking, id: JobId) -> Response:
    return JsonResponse(await asking.serving.reads.run(asking.platform.import_job, id))


@router.delete(
    "/imports/{id}",
    status_code=204,
    response_class=Response,
    responses=failures(400, 404),
    summary="Forget an import job that has finished",
)
async def delete_import(asking: Asking, id: JobId) -> Response:
    return done(await asking.serving.graph.run(asking.platform.delete_import_job, id))


@router.post("/imports/{id}/cancel", response_model=answers.Job, responses=failures(400, 404), summary="Cancel an import job")
async def cancel_import(asking: Asking, id: JobId) -> Response:
    return JsonResponse(await asking.serving.graph.run(asking.platform.cancel_import_job, id))


@router.get("/deletions", response_model=answers.Jobs, responses=failures(400), summary="The delete jobs")
async def deletions(request: Request, asking: Asking, size: MaxItems = None, token: Continuation = None) -> Response:
    found = await asking.serving.reads.run(asking.platform.delete_jobs)
    return JsonResponse(page(request, found, lambda job: str(job["id"]), size, token))


@router.post(
    "/deletions", status_code=202, response_model=answers.Job, responses=failures(400), summary="Delete all twins and relationships"
)
async def start_deletion(
    request: Request,
    asking: Asking,
    id: Annotated[str | None, Header(alias="operation-id", max_length=128, description="The id of the job; default: a new one.")] = None,
) -> Response:
    job = await asking.serving.graph.run(asking.platform.start_delete_job, id or str(uuid4()))
    version = request.url.query and f"?{request.url.query}"
    place = f"{request.url.scheme}://{request.url.netloc}/jobs/deletions/{job['id']}{version}"
    return JsonResponse(job, status_code=202, headers={"operation-location": place})


@router.get("/deletions/{id}", response_model=answers.Job, responses=failures(400, 404), summary="A delete job")
async def deletion(asking: Asking, id: JobId) -> Response:
    return JsonResponse(await asking.serving.reads.run(asking.platform.delete_job, id))
