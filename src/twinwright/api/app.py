"""The ASGI application: routes behind a guard behind a boundary.

Boundary (correlation id, safe headers, metrics, no traceback)
  Guard (Host, Origin, credential; http and websocket)
    BodyBytes (how much of bodies is in memory)
      PointReads (one twin as it is now)
      routes -> Workers -> Platform
    whatever `console` mounts
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp

from twinwright.api import answers, errors
from twinwright.api.body_bytes import BodyBytes
from twinwright.api.boundary import Boundary
from twinwright.api.point_reads import PointReads
from twinwright.api.routes import (
    calibration,
    events,
    forks,
    graph,
    graph_changes,
    health,
    influx,
    jobs,
    login,
    models,
    operations,
    query,
    run_requests,
    shadows,
    simulation,
    telemetry,
    twins,
    upkeep,
)
from twinwright.api.security import AllowedHosts, Guard
from twinwright.api.serving import Serving
from twinwright.api.slashes import Slashes
from twinwright.api.tokens import TokenAuthority
from twinwright.observability.metrics import Metrics
from twinwright.platform.interface import Platform

Extension = Callable[[FastAPI, Serving], None]
_TITLE: Final = "Twinwright"
_DESCRIPTION: Final = (
    "Digital twins you can trust. Twins and models have the shape of Azure Digital Twins' data plane, everything else is under `/v1`. "
    'Every answer that is not a success is `{"error": {"code", "message"}}`. Times are ISO 8601 with a zone, durations ISO 8601, values in '
    "the unit named beside them. Any request can be made in a fork of the workspace that the header `Twinwright-Fork` names: 404 where "
    "there is none, 409 for what is not done in one."
)


def create_app(
    platform: Platform,
    *,
    tokens: TokenAuthority,
    metrics: Metrics,
    allowed_hosts: Iterable[str] = (),
    console: Extension | None = None,
) -> ASGIApp:
    """Serve a platform. `allowed_hosts` are names beside the loopback's; `console` (`twinwright.console.mount`) adds the web console.

    `metrics` are those that `platform.metrics()` shows. The platform stays the caller's to close.
    """
    serving = Serving(platform, tokens)
    app = _Described(
        title=_TITLE,
        description=_DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=_closing(serving),
        redirect_slashes=False,
    )
    app.state.serving = serving
    routers = (
        health.router,
        login.router,
        twins.data_plane,
        graph.router,
        graph_changes.router,
        models.router,
        events.router,
        jobs.router,
        twins.router,
        query.router,
        forks.router,
        telemetry.router,
        influx.router,
        simulation.router,
        calibration.router,
        upkeep.router,
        shadows.router,
        run_requests.router,
        operations.router,
        operations.monitoring,
    )
    errors.register(app, [route for router in routers for route in router.routes])
    for router in routers:
        app.include_router(router)
    if console is not None:
        console(app, serving)
    point = next(route for route in twins.data_plane.routes if getattr(route, "name", "") == twins.twin.__name__)
    bounded = BodyBytes(Slashes(PointReads(app, serving=serving, route=point)), metrics=metrics)
    return Boundary(Guard(bounded, tokens=tokens, hosts=AllowedHosts.of(allowed_hosts)), metrics=metrics, stopping=serving.closing.set)


def create_monitoring(platform: Platform, *, tokens: TokenAuthority, metrics: Metrics) -> ASGIApp:
    """Health and metrics alone, behind the same guard: what a worker serves."""
    serving = Serving(platform, tokens)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=_closing(serving), redirect_slashes=False)
    app.state.serving = serving
    routers = (health.router, operations.monitoring)
    errors.register(app, [route for router in routers for route in router.routes])
    for router in routers:
        app.include_router(router)
    return Boundary(Guard(app, tokens=tokens, hosts=AllowedHosts.of(())), metrics=metrics)


def _closing(serving: Serving) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        serving.close()

    return lifespan


class _Described(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The description of the API, made once. Operations need the bearer token unless they say otherwise."""
        if self.openapi_schema is None:
            schema = get_openapi(title=self.title, version="1", description=self.description, routes=self.routes)
            schema["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "description": "The admin token."}}
            schema["security"] = [{"bearer": []}]
            for path in ("/healthz", "/readyz", "/login"):
                schema["paths"][path]["get"]["security"] = []
            schema["components"]["schemas"][answers.WriteError.__name__] = answers.WriteError.model_json_schema()
            for operations in schema["paths"].values():
                for operation in operations.values():
                    for parameter in operation.get("parameters", ()):
                        parameter["schema"] = _sendable(parameter["schema"])
            self.openapi_schema = schema
        return self.openapi_schema


def _sendable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter without `null`: it can be left out, but nothing on the wire is null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return {**{name: told for name, told in schema.items() if name != "anyOf"}, **kinds[0]} if len(kinds) == 1 else schema
