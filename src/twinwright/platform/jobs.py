"""Import and delete jobs of the data plane: long work in a thread of its own, which goes on where it was after a restart.

How far a job has come is a record that is written with what it did, in one commit: nothing is done twice and nothing left out.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any, Final

from twinwright.clock import to_iso
from twinwright.errors import (
    DeleteJobNotFoundError,
    ImportJobNotFoundError,
    InvalidTwinError,
    JobLimitError,
    NotFoundError,
    Problem,
    TwinwrightError,
    UsageError,
)
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.observability.logs import get_logger
from twinwright.platform.delete_job import delete_some
from twinwright.platform.import_job import check_request, import_some
from twinwright.platform.session import Session
from twinwright.twins.graph.draft import Draft

IMPORT: Final = "import-job"
DELETE: Final = "delete-job"
RUNNING: Final = ("notstarted", "running", "cancelling")
_KEPT: Final = 7 * 24 * 3_600 * 1_000_000  # microseconds that a finished job can be asked for, at least
_ID: Final = re.compile(r"^[A-Za-z0-9_.\-]{1,128}$")
_SHOWN: Final = (
    "id",
    "status",
    "createdDateTime",
    "lastActionDateTime",
    "finishedDateTime",
    "purgeDateTime",
    "error",
    "progress",
    "inputBlobUri",
    "outputBlobUri",
)
_log = get_logger("jobs")
Body = dict[str, Any]
Step = Callable[[Session, Principal, Body], bool]  # one commit's worth of work, noted in the body; whether there is more
_STEPS: Final[dict[str, Step]] = {IMPORT: import_some, DELETE: delete_some}


class Jobs:
    """The jobs of one session; one of each kind runs at a time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._cancelled: set[str] = set()  # import jobs, so that no step of theirs hides it

    def resume(self) -> None:
        """Go on with what was being done when the platform stopped."""
        for kind in _STEPS:
            for record in self._session.store.records(SYSTEM, kind):
                if record.body["status"] in RUNNING:
                    self._start(kind, record.id)

    def close(self) -> None:
        """After the piece that each is at; the next platform goes on from there."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    # --- asking ------------------------------------------------------------------------------------------------------

    def list(self, principal: Principal, kind: str) -> list[Body]:
        """By id."""
        found = [record.body for record in self._session.store.records(principal, kind) if not record.body["removed"]]
        return [shown(body) for body in sorted(found, key=lambda body: str(body["id"]))]

    def get(self, principal: Principal, kind: str, id: str) -> Body:
        """Raises ImportJobNotFoundError, DeleteJobNotFoundError."""
        return shown(self._body(principal, kind, id))

    def _body(self, principal: Principal, kind: str, id: str) -> Body:
        try:
            record = self._session.store.get_record(principal, kind, id)
            if record.id == id and not record.body["removed"]:
                return record.body
        except NotFoundError:
            pass
        missing = ImportJobNotFoundError if kind == IMPORT else DeleteJobNotFoundError
        raise missing(f"there is no job '{id[:128]}'", remedy="List them: GET /jobs/imports, GET /jobs/deletions")

    # --- telling -----------------------------------------------------------------------------------------------------

    def begin(self, principal: Principal, kind: str, id: str, request: Any) -> Body:
        """Raises InvalidTwinError, JobLimitError, UsageError."""
        principal.require_admin()
        if not _ID.match(id):
            raise _invalid(f"{id[:60]!r} is no id of a job", "Use letters, digits, `-`, `_` and `.`")
        with self._lock:
            known = self._session.store.records(principal, kind)
            asked = check_request(self._session, request, [record.body for record in known]) if kind == IMPORT else {}
            if any(record.id == id for record in known):
                raise _invalid(f"there is a job '{id}' already", "Give it another id")
            if any(record.body["status"] in RUNNING for record in known):
                raise JobLimitError("a job of this kind is running", remedy="Wait for it, or cancel it")
            now = self._session.clock.now()
            body: Body = {"id": id, **asked, "status": "notstarted", "createdDateTime": to_iso(now), "lastActionDateTime": to_iso(now)}
            body |= {"finishedDateTime": None, "purgeDateTime": to_iso(now + _KEPT), "error": None, "progress": {}, "removed": False}
            self._note(principal, kind, body)
            self._start(kind, id)
        return shown(body)

    def cancel(self, principal: Principal, id: str) -> Body:
        """Raises ImportJobNotFoundError, InvalidTwinError for one that has finished."""
        principal.require_admin()

        def write(draft: Draft) -> Body:
            body = self._body(principal, IMPORT, id)
            if body["status"] not in RUNNING:
                raise _invalid(f"the job is {body['status']}", "Only one that runs can be cancelled")
            body |= {"status": "cancelling", "lastActionDateTime": to_iso(draft.now)}
            draft.put_record(IMPORT, id, body)
            self._cancelled.add(id)
            return body

        return shown(self._session.graph.submit(principal, write).value)

    def remove(self, principal: Principal, id: str) -> int:
        """Raises ImportJobNotFoundError, InvalidTwinError for one that runs."""
        principal.require_admin()
        body = self._body(principal, IMPORT, id)
        if body["status"] in RUNNING:
            raise _invalid(f"the job is {body['status']}", "Cancel it first")
        return self._note(principal, IMPORT, {**body, "removed": True})

    def _note(self, principal: Principal, kind: str, body: Body) -> int:
        return self._session.graph.submit(principal, lambda draft: draft.put_record(kind, str(body["id"]), body)).token

    # --- running -----------------------------------------------------------------------------------------------------

    def _start(self, kind: str, id: str) -> None:
        thread = threading.Thread(target=self._run, args=(kind, id), name=f"twinwright-{kind}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, kind: str, id: str) -> None:
        try:
            more = True
            while more and not self._stop.is_set():
                body = self._body(SYSTEM, kind, id)
                if body["status"] == "cancelling" or (kind == IMPORT and id in self._cancelled):
                    self._finish(kind, body, "cancelled", None)
                    return
                body["status"] = "running"
                more = _STEPS[kind](self._session, SYSTEM, body)
            if not more:
                body = self._body(SYSTEM, kind, id)
                refused = body["progress"].get("errors", 0)
                error = {"code": "ValidationFailed", "message": f"{refused} line(s) were refused", "details": body.get("refused", [])}
                self._finish(kind, body, "failed" if refused else "succeeded", error if refused else None)
        except TwinwrightError as error:
            _log.warning("a job failed", kind=kind, job=id, error=str(error))
            self._finish(kind, self._body(SYSTEM, kind, id), "failed", {"code": error.code, "message": str(error)})
        except OSError as error:  # its files
            _log.warning("a job failed", kind=kind, job=id, error=str(error))
            self._finish(kind, self._body(SYSTEM, kind, id), "failed", {"code": UsageError.code, "message": str(error)})

    def _finish(self, kind: str, body: Body, status: str, error: Body | None) -> None:
        now = to_iso(self._session.clock.now())
        self._note(SYSTEM, kind, {**body, "status": status, "error": error, "lastActionDateTime": now, "finishedDateTime": now})


def shown(body: Body) -> Body:
    """As its clients know it."""
    return {name: body[name] for name in _SHOWN if name in body}


def _invalid(what: str, remedy: str) -> InvalidTwinError:
    return InvalidTwinError([Problem(what, remedy, code="ValidationFailed")])
