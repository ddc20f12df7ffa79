"""Webhooks of a workspace: made, listed, and what was given up sent again."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from twinwright.clock import parse_duration, to_iso
from twinwright.errors import NotFoundError
from twinwright.events.runner import POSITIONS, WebhookRunner
from twinwright.events.telling import LANES
from twinwright.events.webhooks import LETTER, Outcome, WebhookSink
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.observability.logs import get_logger
from twinwright.platform import event_routes
from twinwright.platform.session import Session
from twinwright.storage.records import Record

_log = get_logger("webhooks")
_RETRIED_AT_ONCE: Final = 100
_EXPIRED_AT_ONCE: Final = 1_000  # of one transaction
_GIVEN_UP_AFTER: Final = 5  # letters in a row that are refused


def webhook(session: Session, name: str) -> WebhookRunner:
    """The runner of one of the workspace. Raises UsageError for one without its secret."""
    given = session.settings.webhooks[name]
    sink = _sink(session, name, len(_open_letters(session, SYSTEM, name)))
    if not sink.filters():
        remedy = f"Give it a filter, or put an event route with endpointName '{name}'"
        _log.warning("a webhook that nothing goes to", webhook=name, remedy=remedy)
    return WebhookRunner(sink, name, session.store, lambda: session.served.events, LANES, given.start, session.metrics, session.clock)


def _sink(session: Session, name: str, letters: int) -> WebhookSink:
    given = session.settings.webhooks.get(name)
    if given is None:
        known = ", ".join(sorted(session.settings.webhooks)) or "none"
        raise NotFoundError(f"there is no webhook '{name}'", remedy=f"There are: {known}")
    routes = functools.partial(event_routes.filters_to, session, name)
    return WebhookSink(name, given, given.keys(name, session.folder), routes, session.metrics, session.clock, letters=letters)


def _open_letters(session: Session, principal: Principal, name: str | None) -> list[Record]:
    found = session.store.records(principal, LETTER)
    return [one for one in found if one.body["status"] == "open" and name in (None, one.body["webhook"])]


def listed(session: Session, principal: Principal) -> list[dict[str, Any]]:
    """By name: where it goes, how far it is, and how many dead letters are open, and have expired."""
    counts = Counter((str(one.body["webhook"]), str(one.body["status"])) for one in session.store.records(principal, LETTER))
    shown = []
    for name, given in sorted(session.settings.webhooks.items()):
        filters = [] if given.filter is None else [given.filter]
        filters += event_routes.filters_to(session, name)
        at = session.store.position(principal, POSITIONS, name)
        letters = {"dead_letters": counts[name, "open"], "expired": counts[name, "expired"]}
        shown.append({"name": name, "url": _place(given.url), "filters": filters, "commit": at, **letters})
    return shown


def _place(url: str) -> str:
    """Path and query of a webhook are often its secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" + ("/..." if parts.path.strip("/") or parts.query else "")


def letters(session: Session, principal: Principal, name: str, limit: int) -> list[dict[str, Any]]:
    """The open dead letters of a webhook, oldest first."""
    named = ("event", "reason", "attempts")
    found = _open_letters(session, principal, name)[:limit]
    return [{"id": one.body["event"]["id"], "at": to_iso(one.at), **{key: one.body[key] for key in named}} for one in found]


def expire(session: Session, principal: Principal) -> int:
    """Let go of the events of dead letters that are older than `webhook_letters` of `[retention]`; they stay counted as expired."""
    kept = session.settings.retention.webhook_letters
    if kept is None:
        return 0
    before = session.clock.now() - parse_duration(kept)
    old = [one for one in _open_letters(session, principal, None) if one.at < before]
    for first in range(0, len(old), _EXPIRED_AT_ONCE):
        _close(session, principal, old[first : first + _EXPIRED_AT_ONCE], "expired")
    for name, count in Counter(str(one.body["webhook"]) for one in old).items():
        session.metrics.webhook_expired.labels(webhook=name).inc(count)
        _log.info("dead letters of a webhook expired", webhook=name, letters=count, older_than=kept)
    return len(old)


def _close(session: Session, principal: Principal, letters: Sequence[Record], status: str) -> None:
    """They are not open any more, and let go of their events."""
    with session.store.transaction(principal, "webhook") as transaction:
        for one in letters:
            transaction.put_record(LETTER, one.id, {**one.body, "event": {"id": one.body["event"]["id"]}, "status": status})
    for name, count in Counter(str(one.body["webhook"]) for one in letters).items():
        for runner in session.sinks:
            if isinstance(runner, WebhookRunner) and runner.name == name:
                runner.closed_letters(count)


def retry(session: Session, principal: Principal, name: str, ids: Sequence[str] | None) -> dict[str, int]:
    """Send dead letters once more, oldest first, each once and only so many: `left` says how many were not tried, because there are more or
    because several in a row failed. Raises NotFoundError, UsageError, ForbiddenError."""
    principal.require_write()
    sink = _sink(session, name, 0)
    chosen = [one for one in _open_letters(session, principal, name) if ids is None or one.body["event"]["id"] in ids]
    sink.open()
    try:
        outcomes = sink.run(_each(sink, chosen[:_RETRIED_AT_ONCE]))
    finally:
        sink.close()
    delivered = [one for one, outcome in zip(chosen, outcomes, strict=False) if not outcome.error]
    if delivered:
        _close(session, principal, delivered, "delivered")
    tried = len(outcomes)
    return {"delivered": len(delivered), "still_refused": tried - len(delivered), "left": len(chosen) - tried}


async def _each(sink: WebhookSink, chosen: Sequence[Record]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for one in chosen:
        outcomes.append(await sink.attempt(one.body["event"]))
        if len(outcomes) >= _GIVEN_UP_AFTER and all(outcome.error for outcome in outcomes[-_GIVEN_UP_AFTER:]):
            break
    return outcomes
