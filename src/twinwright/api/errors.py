"""The one place where exceptions become answers: the error object of Azure Digital Twins for every refusal and every failure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from twinwright.documents import json_path
from twinwright.errors import BusyError, ForbiddenError, InvalidError, TwinwrightError, UsageError
from twinwright.observability.logs import current_correlation, get_logger

_log = get_logger("api")

_CODES: Final = {404: "NotFound", 405: "MethodNotAllowed", 408: "RequestTimeout", 413: "TooLarge"}
_DATA_PLANE: Final = ("/digitaltwins", "/models", "/query", "/eventroutes", "/jobs")
_REMEDIES: Final = {404: "See /openapi.json for what there is", 405: "The header Allow names the methods of this resource"}


class MisdirectedError(ForbiddenError):
    """A Host that this server does not answer to: a name rebound by a hostile page, or one that is missing in the settings."""

    code = "MisdirectedRequest"
    http_status = 421


class HeadersTooLargeError(UsageError):
    """Request line or headers past the limit."""

    code = "RequestHeaderFieldsTooLarge"
    http_status = 431


class RequestTimeoutError(UsageError):
    """A request that did not arrive in time."""

    code = "RequestTimeout"
    http_status = 408


class JsonResponse(Response):
    """JSON by msgspec: exact for int64, and `null` where a number is not finite."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


def error_response(error: TwinwrightError) -> Response:
    """Status, headers and the body `{"error": {"code", "message", ...}}` of an error that was meant to be told."""
    return _response(error.http_status, error_object(error), headers_of(error))


def told_response(error: TwinwrightError) -> Response:
    """The same of one that left a route: what the platform failed at is logged as well."""
    if error.http_status >= 500 and not isinstance(error, BusyError):  # a pause is told once, by who pauses
        _log.error("request_failed", code=error.code, reason=str(error))
    return error_response(error)


def error_object(error: TwinwrightError) -> dict[str, Any]:
    """`code`, `message`, and `details` or `target` where there are any."""
    told: dict[str, Any] = {"code": error.code, "message": str(error)}
    if isinstance(error, InvalidError):
        told["details"] = [{"code": one.code, "message": str(one), "target": one.path} for one in error.problems]
    elif error.where:
        told["target"] = error.where
    return told


def unexpected_response() -> Response:
    """500 for what nobody foresaw: the boundary logs it whole, the client is given the id to ask for."""
    message = f"the platform failed; its log has the details under {current_correlation()}"
    return _response(500, {"code": "InternalServerError", "message": message}, {})


def register(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Answer every exception that leaves one of the routes with the error object."""

    async def told(_request: Request, error: Exception) -> Response:
        return told_response(cast(TwinwrightError, error))

    async def refused(request: Request, error: Exception) -> Response:
        error = cast(HTTPException, error)
        code, remedy = _CODES.get(error.status_code, "BadRequest"), _REMEDIES.get(error.status_code)
        message = f"{error.detail}. {remedy}" if remedy else str(error.detail)
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        if error.status_code == 405:
            headers["allow"] = ", ".join(sorted(_methods(routes, request)))
        return _response(error.status_code, {"code": code, "message": message}, headers)

    async def invalid(request: Request, error: Exception) -> Response:
        error = cast(RequestValidationError, error)
        details = [_detail(one) for one in error.errors()]
        message = "; ".join(one["message"] for one in details)
        if request.url.path.startswith(_DATA_PLANE):  # as its clients know it
            return _response(400, {"code": UsageError.code, "message": message, "details": details}, {})
        return _response(422, {"code": "ValidationFailed", "message": message, "details": details}, {})

    async def unexpected(_request: Request, _error: Exception) -> Response:
        return unexpected_response()

    app.add_exception_handler(Exception, unexpected)
    app.add_exception_handler(TwinwrightError, told)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)


def _methods(routes: Sequence[BaseRoute], request: Request) -> set[str]:
    """The methods of a resource. The router names those of the first route that has its path; there is one for each method."""
    found = (getattr(route, "methods", None) or () for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return {method for methods in found for method in methods}


def _detail(problem: Mapping[str, Any]) -> dict[str, str]:
    kind, *place = problem["loc"]
    target = json_path(place) if kind == "body" else ".".join(str(part) for part in place)
    message = str(problem["msg"]).removeprefix("Value error, ")
    return {"code": str(problem["type"]), "message": f"{kind} {target}: {message[0].lower()}{message[1:]}", "target": target}


def headers_of(error: TwinwrightError) -> dict[str, str]:
    """What an answer that tells this error says beside it."""
    if isinstance(error, BusyError):
        return {"retry-after": str(max(1, math.ceil(error.retry_after)))}
    if error.http_status == 401:
        return {"www-authenticate": 'Bearer realm="twinwright"'}
    return {}


def _response(status: int, told: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """`x-ms-error-code` is where clients of Azure Digital Twins in some languages look first."""
    body = {"error": {**told, "correlation_id": current_correlation()}}
    return JsonResponse(body, status_code=status, headers={**headers, "x-ms-error-code": told["code"]})
