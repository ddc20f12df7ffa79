"""Models calibrated, validated and promoted for a client. The models are those that are applied: code never comes over the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from starlette.responses import Response

from twinwright.api import run_answers
from twinwright.api.bodies import fields, options_of, read_document
from twinwright.api.errors import JsonResponse
from twinwright.api.routes import failures
from twinwright.api.routes.graph import body
from twinwright.api.serving import Asking

router = APIRouter(prefix="/v1", tags=["simulation"])
Name = Annotated[str, InPath(min_length=1, max_length=128, description="The model's name.")]
_TEXT: Final = {"type": ["string", "null"]}
_WINDOW: Final = {
    "model": {"type": "string"},
    "twin": {"type": "string"},
    "from": {**_TEXT, "description": "From this event time on (ISO 8601 with a zone)."},
    "to": {**_TEXT, "description": "Before this event time."},
    "parameters": {**_TEXT, "description": "The id of a parameter set."},
}
_CALIBRATION: Final = body(
    "application/json",
    {
        "type": "object",
        "required": ["model", "twin"],
        "properties": {
            **_WINDOW,
            "holdout": {"type": "number", "minimum": 0, "maximum": 1, "description": "Which share, at the end, the fit does not see."},
            "only": {"type": ["array", "null"], "items": {"type": "string"}, "description": "The names of the parameters to estimate."},
        },
    },
    "What is fitted to what was observed, and when.",
)
_VALIDATION: Final = body(
    "application/json", {"type": "object", "required": ["model", "twin"], "properties": _WINDOW}, "What is compared with what was observed."
)
_PROMOTION: Final = body(
    "application/json", {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}, "A parameter set of the model."
)


@router.get("/models", response_model=run_answers.SimulationModels, responses=failures(), summary="The simulation models that are applied")
async def models(asking: Asking) -> Response:
    await asking.visible()
    return JsonResponse({"value": await asking.serving.reads.run(asking.platform.models)})


@router.post(
    "/parameter-sets",
    response_model=run_answers.ParameterSet,
    responses=failures(400, 404, 408, 409, 413, 415),
    summary="Calibrate a model",
    description="Answers when the fit has ended, with the new parameter set.",
    openapi_extra=_CALIBRATION,
)
async def calibrate(request: Request, asking: Asking) -> Response:
    asked = fields(await read_document(request), {**_KINDS, "holdout": float, "only": list}, required=("model", "twin"))
    await asking.visible()
    return JsonResponse(await asking.serving.runs.run(asking.platform.calibrate, **options_of(asked)))


@router.post(
    "/validations",
    response_model=run_answers.Validation,
    responses=failures(400, 404, 408, 409, 413, 415),
    summary="Validate a model",
    description="Answers when it has been compared with what was observed.",
    openapi_extra=_VALIDATION,
)
async def validate(request: Request, asking: Asking) -> Response:
    asked = fields(await read_document(request), _KINDS, required=("model", "twin"))
    await asking.visible()
    return JsonResponse(await asking.serving.runs.run(asking.platform.validate, **options_of(asked)))


@router.post(
    "/models/{name}/promote",
    response_model=run_answers.Promotion,
    responses=failures(400, 404, 408, 409, 413, 415),
    summary="Put a parameter set to use, where the gate opens",
    openapi_extra=_PROMOTION,
)
async def promote(request: Request, asking: Asking, name: Name) -> Response:
    asked = fields(await read_document(request), {"id": str}, required=("id",))
    return JsonResponse(await asking.serving.runs.run(asking.platform.promote, name, asked["id"]))


_KINDS: Final[Mapping[str, type]] = {"model": str, "twin": str, "from": str, "to": str, "parameters": str}
