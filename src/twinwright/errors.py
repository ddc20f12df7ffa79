"""Every exception that Twinwright raises on purpose, drawn once.

    TwinwrightError                 what, where, what to do; a code, an exit code and an HTTP status
    ├── UsageError                  wrong usage or input                          exit 2, HTTP 400
    │   ├── InvalidError            documents with problems, all of them at once
    │   │   ├── SchemaError         DTDL documents
    │   │   ├── InvalidTwinError    a twin, relationship or telemetry that its interface does not admit
    │   │   └── WorkspaceError      a workspace folder
    │   ├── UnitError               unknown unit, or of the wrong dimension
    │   ├── ExpressionError         a text in the expression language that can't be read, or whose parts don't fit
    │   ├── QueryError              a query that can't be read, names what is not there, or is past a limit
    │   │   └── QueryTimeoutError   one that took too long
    │   ├── ContinuationError       a continuation token of a query that is none of ours
    │   ├── NotFoundError           no such twin, path, contract, run ...         HTTP 404
    │   ├── TooLargeError           past a stated limit                           HTTP 413
    │   ├── UnsupportedMediaError   a content type nobody here reads              HTTP 415
    │   │   ├── DigitalTwinNotFoundError, ComponentNotFoundError, RelationshipNotFoundError, TargetTwinNotFoundError,
    │   │   └── ModelNotFoundError, EventRouteNotFoundError, ImportJobNotFoundError, DeleteJobNotFoundError
    │   ├── JsonPatchError          a JSON Patch that can't be applied
    │   ├── InvalidRelationshipError  a relationship that the interface of its source does not have
    │   ├── EventRouteIdError, EventRouteFilterError, LimitExceededError
    │   ├── KeyReusedError          an idempotency key that stands for another body   HTTP 422
    │   └── MissingExtraError       an optional dependency is not installed
    ├── RefusedError                the answer is no (breaking change, gate)      exit 1, HTTP 409
    │   ├── PreconditionFailedError  If-Match or If-None-Match does not hold       HTTP 412
    │   ├── OperationNotAllowedError, RelationshipsNotDeletedError, ModelDecommissionedError, JobLimitError   HTTP 400
    │   └── ModelAlreadyExistsError, ModelReferencesNotDeletedError, ModelReferencesNotDecommissionedError
    ├── UnauthorisedError           no valid credential                           HTTP 401
    ├── ForbiddenError              a valid credential without the right          HTTP 403
    ├── BusyError                   a bounded queue is full: come back later      HTTP 429
    │   └── ClockSuspectError       ingestion is paused: nothing was taken        HTTP 503
    └── PlatformError               the platform itself failed                    exit 3, HTTP 500
        ├── StoreError              the store can't do what it was asked
        └── FenceError              another worker moved this position on: roll back and read it again

Expected outcomes (a refused reading, a failed run) are values, not exceptions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one document: where it is, which rule it breaks and how to mend it."""

    message: str
    remedy: str
    file: str | None = None
    line: int | None = None
    path: str | None = None
    code: str = "invalid"

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        inside = f" at {self.path}" if self.path else ""
        return f"{place + ': ' if place else ''}{self.message}{inside}. {self.remedy}".rstrip()

    def as_json(self) -> dict[str, Any]:
        """The fixed JSON fields of a problem: file, line, path, code, message, remedy."""
        return asdict(self)


class TwinwrightError(Exception):
    """The root of the tree. `what` went wrong, `where` (file:line, JSON path, twin ...) and `remedy`: what to do."""

    code: ClassVar[str] = "Failed"
    exit_code: ClassVar[int] = 3
    http_status: ClassVar[int] = 500

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}. {self.remedy}" if self.remedy else text

    def as_json(self) -> dict[str, Any]:
        """What every surface (CLI, socket, REST) sends of an error."""
        return {"code": self.code, "message": str(self), "what": self.what, "where": self.where, "remedy": self.remedy}


class UsageError(TwinwrightError):
    """Wrong usage or input: the caller can mend it."""

    code = "InvalidArgument"
    exit_code = 2
    http_status = 400


def problems_of(error: TwinwrightError) -> list[Problem]:
    """All that an error tells, one by one."""
    return error.problems if isinstance(error, InvalidError) else [Problem(error.what, error.remedy or "", path=error.where)]


class InvalidError(UsageError):
    """Documents with problems; carries all of them."""

    code = "ValidationFailed"
    subject: ClassVar[str] = "document"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        super().__init__(f"{count} {noun} in the {self.subject}:\n" + "\n".join(f"  {p}" for p in self.problems))

    def as_json(self) -> dict[str, Any]:
        return {**super().as_json(), "errors": [p.as_json() for p in self.problems]}


class SchemaError(InvalidError):
    """DTDL documents that break the specification; every problem of the set at once."""

    code = "DTDLParserError"
    subject = "schema"


class InvalidTwinError(InvalidError):
    """A twin, relationship or telemetry that its interface does not admit; every problem at once."""

    subject = "request"


class WorkspaceError(InvalidError):
    """A workspace that can't be used as it stands; every problem of the folder at once."""

    code = "WorkspaceInvalid"
    subject = "workspace"


class UnitError(UsageError):
    """A unit that is unknown, missing or of the wrong dimension."""

    code = "UnitInvalid"


class ExpressionError(UsageError):
    """A text in the expression language that can't be read, or whose parts don't fit; `position` counts its characters from 0."""

    code = "ExpressionInvalid"

    def __init__(self, what: str, *, text: str, position: int, remedy: str | None = None) -> None:
        shown = text if len(text) <= 80 else text[:77] + "..."
        super().__init__(what, where=f"column {position + 1} of `{shown}`", remedy=remedy)
        self.position = position


class QueryError(UsageError):
    """A query that can't be read, names what is not there, or is past a limit; `position` counts its characters from 0."""

    code = "SqlQueryError"

    def __init__(self, what: str, *, text: str, position: int, remedy: str | None = None) -> None:
        line = text.count("\n", 0, position) + 1
        column = position - (text.rfind("\n", 0, position) + 1) + 1
        super().__init__(what, where=f"query, line {line}, column {column}", remedy=remedy)
        self.position = position


class QueryTimeoutError(QueryError):
    """A query that took too long."""

    code = "TimeoutError"


class ContinuationError(UsageError):
    """A continuation token of a query that is none of ours."""

    code = "BadRequest"


class NotFoundError(UsageError):
    """There is no such thing; the remedy names the nearest right one where there is one."""

    code = "NotFound"
    http_status = 404


class DigitalTwinNotFoundError(NotFoundError):
    """There is no such twin (any more)."""

    code = "DigitalTwinNotFound"


class RelationshipNotFoundError(NotFoundError):
    """The twin has no such relationship (any more)."""

    code = "RelationshipNotFound"


class TargetTwinNotFoundError(NotFoundError):
    """The twin that a relationship is to lead to is not there."""

    code = "TargetTwinNotFound"


class ModelNotFoundError(NotFoundError):
    """There is no such interface."""

    code = "ModelNotFound"


class ComponentNotFoundError(NotFoundError):
    """The interface of the twin has no such component."""

    code = "ComponentNotFound"


class EventRouteNotFoundError(NotFoundError):
    """There is no such event route."""

    code = "EventRouteNotFound"


class ImportJobNotFoundError(NotFoundError):
    """There is no such import job."""

    code = "ImportJobNotFound"


class DeleteJobNotFoundError(NotFoundError):
    """There is no such delete job."""

    code = "DeleteJobNotFound"


class JsonPatchError(UsageError):
    """A JSON Patch that can't be applied: an operation, a path, or a test that fails."""

    code = "JsonPatchInvalid"


class InvalidRelationshipError(UsageError):
    """A relationship that the interface of its source does not have, or that leads to a twin it must not."""

    code = "InvalidRelationship"


class EventRouteIdError(UsageError):
    """An id that no event route can have."""

    code = "EventRouteIdInvalid"


class EventRouteFilterError(UsageError):
    """The filter of an event route can't be read."""

    code = "EventRouteFilterInvalid"


class LimitExceededError(UsageError):
    """More of something than one request or one store may have."""

    code = "LimitExceeded"


class TooLargeError(UsageError):
    """Past a stated limit on size, depth or count."""

    code = "TooLarge"
    http_status = 413


class UnsupportedMediaError(UsageError):
    """A content type or encoding that nothing here reads."""

    code = "UnsupportedMediaType"
    http_status = 415


class KeyReusedError(UsageError):
    """An idempotency key under which something else was delivered."""

    code = "IdempotencyKeyReused"
    http_status = 422


class MissingExtraError(UsageError):
    """An optional dependency is not installed; names the extra that brings it."""

    code = "MissingExtra"

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs the extra '{extra}'", remedy=f"Install it with: pip install 'twinwright[{extra}]'")


class RefusedError(TwinwrightError):
    """The answer is no: a breaking change, a gate that did not open, a run that was not verified."""

    code = "Refused"
    exit_code = 1
    http_status = 409


class PreconditionFailedError(RefusedError):
    """If-Match or If-None-Match does not hold: someone else was faster."""

    code = "PreconditionFailed"
    http_status = 412


class OperationNotAllowedError(RefusedError):
    """What is asked for is never allowed."""

    code = "OperationNotAllowed"
    http_status = 400


class RelationshipsNotDeletedError(RefusedError):
    """A twin that relationships begin at or lead to can't be deleted."""

    code = "RelationshipsNotDeleted"
    http_status = 400


class ModelDecommissionedError(RefusedError):
    """No new twin can be of an interface that is decommissioned."""

    code = "ModelDecommissioned"
    http_status = 400


class JobLimitError(RefusedError):
    """As many jobs as may run are running."""

    code = "JobLimitReached"
    http_status = 400


class ModelAlreadyExistsError(RefusedError):
    """An interface of this identifier is there already."""

    code = "ModelAlreadyExists"


class ModelReferencesNotDeletedError(RefusedError):
    """Other interfaces or twins still need the interface."""

    code = "ModelReferencesNotDeleted"


class ModelReferencesNotDecommissionedError(RefusedError):
    """Interfaces that are not decommissioned still need it."""

    code = "ModelReferencesNotDecommissioned"


class UnauthorisedError(TwinwrightError):
    """No credential, or one that is not valid."""

    code = "Unauthenticated"
    exit_code = 2
    http_status = 401


class ForbiddenError(TwinwrightError):
    """A valid principal without the right to do this."""

    code = "AuthorizationFailed"
    exit_code = 2
    http_status = 403


class BusyError(TwinwrightError):
    """A bounded queue is full. `retry_after` is in seconds."""

    code = "TooManyRequests"
    http_status = 429

    def __init__(self, what: str, *, retry_after: float = 1.0) -> None:
        super().__init__(what, remedy=f"Try again in {retry_after:g} s")
        self.retry_after = retry_after


class QueueFullError(BusyError):
    """As many requests for runs wait as may; this one was not taken. `retry_after` is in seconds."""

    code = "QueueFull"

    def __init__(self, what: str, *, retry_after: float = 10.0) -> None:
        super().__init__(what, retry_after=retry_after)
        self.remedy = "Wait until one is done, cancel one (`twinwright runs cancel`), or raise `queue` in [simulation] of twinwright.toml"


class ClockSuspectError(BusyError):
    """Ingestion is paused because the platform's clock is suspect; nothing of what was sent was taken. `retry_after` is in seconds."""

    code = "ClockSuspect"
    http_status = 503  # no fault of who sends: RFC 9110, section 15.6.4, with Retry-After

    def __init__(self, what: str, *, retry_after: float = 1.0) -> None:
        super().__init__(what, retry_after=retry_after)
        self.remedy = f"Try again in {retry_after:g} s; if the clock is right, say so with: twinwright clock trust"


class PlatformError(TwinwrightError):
    """The platform failed; nothing of what was asked has been half-done."""

    code = "InternalServerError"


class StoreError(PlatformError):
    """The store can't be opened, read or written."""

    code = "StoreFailed"


class StoreInUseError(StoreError):
    """The store is open in another process."""


class FenceError(PlatformError):
    """The position a batch started from is no longer current: someone else committed it, or the contract's revision moved."""

    code = "Fenced"
