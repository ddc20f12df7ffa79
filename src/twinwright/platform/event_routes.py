"""Event routes: where events are to go and which of them, as records. What follows the commit log and delivers them reads these."""

from __future__ import annotations

import contextlib
import re
from typing import Any, Final

from twinwright.errors import EventRouteFilterError, EventRouteIdError, EventRouteNotFoundError, LimitExceededError, UsageError
from twinwright.events.filter import EventFilter, filter_of
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.platform.session import Session
from twinwright.twins.graph.bodies import require_object
from twinwright.twins.graph.draft import Draft

ROUTE: Final = "event-route"
MOST: Final = 100
_ID: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")


def routes(session: Session, principal: Principal) -> list[dict[str, Any]]:
    """By id."""
    found = [record.body for record in session.store.records(principal, ROUTE) if not record.body["removed"]]
    shown = [{name: body[name] for name in ("id", "endpointName", "filter")} for body in found]
    return sorted(shown, key=lambda route: str(route["id"]))


def route(session: Session, principal: Principal, id: str) -> dict[str, Any]:
    """Raises EventRouteNotFoundError."""
    found = next((one for one in routes(session, principal) if one["id"] == id), None)
    if found is None:
        raise EventRouteNotFoundError(f"there is no event route '{id[:64]}'", remedy="List them: GET /eventroutes")
    return found


def put(session: Session, principal: Principal, id: str, body: Any) -> int:
    """Raises EventRouteIdError, EventRouteFilterError, LimitExceededError, UsageError."""
    if not _ID.match(id):
        remedy = "Use letters, digits, `-`, `_` and `.`: 1 to 64 of them"
        raise EventRouteIdError(f"{id[:70]!r} is no id of an event route", remedy=remedy)
    body = require_object(body)
    endpoint, text = body.get("endpointName"), body.get("filter")
    if not isinstance(endpoint, str) or not 0 < len(endpoint) <= 128:
        raise UsageError("`endpointName` is missing, or no text", where="$.endpointName", remedy="Name where the events go")
    if not isinstance(text, str):
        raise EventRouteFilterError("`filter` is missing, or no text", where="$.filter", remedy="Write true for all events")
    EventFilter(text)
    known = {one["id"] for one in routes(session, principal)}

    def write(draft: Draft) -> None:
        draft.put_record(ROUTE, id, {"id": id, "endpointName": endpoint, "filter": text, "removed": False})

    if id not in known and len(known) >= MOST:
        raise LimitExceededError(f"there are {MOST} event routes", remedy="Delete one first")
    return session.graph.submit(principal, write).token


def filters_to(session: Session, endpoint: str) -> list[str]:
    """What the routes that name an endpoint select. One that was stored before its filter was read, and can't be, selects nothing."""
    found = []
    for one in routes(session, SYSTEM):
        if one["endpointName"] == endpoint:
            with contextlib.suppress(EventRouteFilterError):
                found.append(filter_of(one["filter"]).text)
    return found


def delete(session: Session, principal: Principal, id: str) -> int:
    """Raises EventRouteNotFoundError."""
    held = route(session, principal, id)

    def write(draft: Draft) -> None:
        draft.put_record(ROUTE, id, {**held, "removed": True})

    return session.graph.submit(principal, write).token
