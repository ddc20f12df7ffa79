"""Scenarios and their runs, parameter sets, validations and reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from starlette.responses import HTMLResponse, Response

from twinwright.api import run_answers
from twinwright.api.bodies import read_document
from twinwright.api.errors import JsonResponse
from twinwright.api.routes import failures
from twinwright.api.serving import Asking, Caller
from twinwright.api.streaming import EVENTS, accepts, server_sent, with_progress
from twinwright.errors import NotFoundError, UsageError

REPORT_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'; sandbox"
Id = Annotated[str, InPath(min_length=1, max_length=128, description="Its id, or a unique prefix of it.")]
router = APIRouter(prefix="/v1", tags=["simulation"])
PROGRESS: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {EVENTS: {"schema": {"type": "string"}}}}}
SCENARIO_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": 'A scenario: by name as {"scenario": "name"}, or given inline with the fields of a scenario file.',
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [
                        {"type": "object", "required": ["scenario"], "properties": {"scenario": {"type": "string"}}},
                        {"type": "object", "required": ["name", "model", "twin", "from", "horizon"]},
                    ]
                }
            }
        },
    }
}


@router.get("/scenarios", response_model=run_answers.Scenarios, responses=failures(), summary="The scenarios of the workspace")
async def scenarios(asking: Asking) -> Response:
    await asking.visible()
    return JsonResponse({"value": await asking.serving.reads.run(asking.platform.scenarios)})


@router.post(
    "/scenarios",
    response_model=run_answers.RunAnswers,
    responses={**PROGRESS, **failures(400, 404, 408, 413, 415)},
    summary="Run a scenario",
    description=(
        "Answers when all its runs have ended. A run that fails is an answer, not an error. Who accepts `text/event-stream` is told of "
        "each run that ends, as `progress` (`done`, `total`), and at the end `done` with the answer, or `error`."
    ),
    openapi_extra=SCENARIO_BODY,
)
async def simulate(
    request: Request,
    asking: Asking,
    fresh: Annotated[bool, Query(description="Run it, even where an equal run is stored.")] = False,
) -> Response:
    scenario = await scenario_of(request, asking)
    if not accepts(request, EVENTS):
        return JsonResponse(await asking.serving.runs.run(asking.platform.simulate, scenario, fresh=fresh))
    return server_sent(with_progress(lambda told: asking.serving.runs.run(asking.platform.simulate, scenario, fresh=fresh, progress=told)))


@router.get("/runs", response_model=run_answers.Runs, responses=failures(), summary="All runs, oldest first, without outputs")
async def runs(
    asking: Asking,
    model: Annotated[str | None, Query(max_length=128, description="Only of this model.")] = None,
    scenario: Annotated[str | None, Query(max_length=128, description="Only of this scenario.")] = None,
) -> Response:
    await asking.visible()
    found = await asking.serving.reads.run(asking.platform.runs)
    wanted = {name: value for name, value in (("model", model), ("scenario", scenario)) if value is not None}
    return JsonResponse({"value": [one for one in found if all(one.get(name) == value for name, value in wanted.items())]})


@router.get("/runs/{id}", response_model=run_answers.RunSummary, responses=failures(404), summary="One run with its provenance")
async def run(asking: Asking, id: Id, outputs: Annotated[bool, Query(description="With the numbers of its outputs.")] = True) -> Response:
    await asking.visible()
    return JsonResponse(await asking.serving.reads.run(asking.platform.run, id, outputs=outputs))


@router.get(
    "/runs/{id}/report",
    response_class=HTMLResponse,
    responses=failures(404),
    summary="The page of a run",
    description="One self-contained HTML page with plots, constraints, assumptions and provenance; it runs no script and loads nothing.",
)
async def run_report(asking: Asking, id: Id) -> Response:
    await asking.visible()
    text = await asking.serving.reads.run(asking.platform.run_report, id)
    return HTMLResponse(text, headers={"content-security-policy": REPORT_POLICY})


@router.post(
    "/runs/{id}/verify", response_model=run_answers.Verification, responses=failures(404), summary="Repeat a run and compare bytes"
)
async def verify(asking: Asking, id: Id) -> Response:
    return JsonResponse(await asking.serving.runs.run(asking.platform.verify_run, id))


@router.get("/runs/{id}/explanation", response_model=run_answers.Explanation, responses=failures(404), summary="A run in words")
async def explain(asking: Asking, id: Id) -> Response:
    await asking.visible()
    return JsonResponse(await asking.serving.reads.run(asking.platform.explain_run, id))


@router.get(
    "/runs/{id}/comparison/{other}", response_model=run_answers.Comparison, responses=failures(404), summary="Where two runs first differ"
)
async def compare(asking: Asking, id: Id, other: Id) -> Response:
    await asking.visible()
    return JsonResponse(await asking.serving.reads.run(asking.platform.compare_runs, id, other))


@router.get("/parameter-sets", response_model=run_answers.ParameterSets, responses=failures(404), summary="All parameter sets")
async def parameter_sets(
    asking: Asking, model: Annotated[str | None, Query(max_length=128, description="Only of this model.")] = None
) -> Response:
    await asking.visible()
    return JsonResponse({"value": await asking.serving.reads.run(asking.platform.parameter_sets, model)})


@router.get("/parameter-sets/{id}", response_model=run_answers.ParameterSet, responses=failures(404), summary="One parameter set")
async def parameter_set(asking: Asking, id: Id) -> Response:
    await asking.visible()
    return JsonResponse(await asking.serving.reads.run(asking.platform.parameter_set, id))


@router.get("/validations", response_model=run_answers.Validations, responses=failures(), summary="All validations")
async def validations(asking: Asking) -> Response:
    await asking.visible()
    return JsonResponse({"value": await asking.serving.reads.run(asking.platform.validations)})


@router.get(
    "/reports/{id}",
    response_class=HTMLResponse,
    responses=failures(404),
    summary="The report of a calibration or validation",
    description="One self-contained HTML page; it runs no script and loads nothing.",
)
async def report(asking: Asking, id: Id) -> Response:
    await asking.visible()
    text = await asking.serving.reads.run(asking.platform.report, id)
    return HTMLResponse(text, headers={"content-security-policy": REPORT_POLICY})


async def scenario_of(request: Request, asking: Caller) -> str | Mapping[str, Any]:
    """The scenario that a request names or gives. Raises UsageError, NotFoundError."""
    scenario = _scenario(await read_document(request))
    await asking.visible()
    if isinstance(scenario, str):
        known = sorted(one["name"] for one in await asking.serving.reads.run(asking.platform.scenarios))
        if scenario not in known:  # the platform takes the path of a file too: not from here
            raise NotFoundError(f"there is no scenario '{scenario}'", remedy=f"There are: {', '.join(known) or 'none'}")
    return scenario


def _scenario(document: Any) -> str | Mapping[str, Any]:
    """What to run: a name, or the fields of a scenario. Raises UsageError."""
    if isinstance(document, dict):
        named = document.get("scenario") if document.keys() == {"scenario"} else document
        if isinstance(named, (str, dict)) and named:
            _check_inline(named)
            return named
    raise UsageError(
        "the body names no scenario", where="body", remedy='Send {"scenario": "name"}, or the fields of a scenario file as JSON'
    )


def _check_inline(scenario: str | Mapping[str, Any]) -> None:
    """A scenario from outside names no file of this machine. Raises UsageError."""
    inputs = scenario.get("inputs") if isinstance(scenario, dict) else None
    for name, change in inputs.items() if isinstance(inputs, dict) else ():
        if isinstance(change, dict) and "series" in change:
            remedy = "Put the scenario and its series into the workspace, and run it by name"
            raise UsageError("a scenario given here can't read files", where=f"$.inputs.{name}.series", remedy=remedy)
