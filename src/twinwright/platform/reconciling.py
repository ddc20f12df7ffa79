"""Comparisons at regular times: each `[reconcile.NAME]` when it is due, with its result kept, counted and logged."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

from twinwright.clock import to_iso
from twinwright.errors import NotFoundError, TwinwrightError
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.observability.logs import get_logger
from twinwright.platform.reconcile import reconcile_against, reconcile_state
from twinwright.platform.session import Session
from twinwright.platform.snapshots import SOURCE, is_address
from twinwright.workspace.reconciling import ReconcileSettings

KIND: Final = "reconciliation"
_log = get_logger("reconcile")


def run_due(session: Session, stop: threading.Event) -> None:
    """All whose time has come. One that fails says so and is tried again when it is due again."""
    jobs = session.settings.reconcile
    if not jobs:
        return
    now = session.clock.now()
    last = {record.id: record.at for record in session.store.records(SYSTEM, KIND)}
    for name, settings in jobs.items():
        if stop.is_set():
            return
        if name not in last or now - last[name] >= settings.every:
            run(session, SYSTEM, name)


def run(session: Session, principal: Principal, name: str) -> dict[str, Any]:
    """One of them now; its result, or the `error` that kept it from one. Raises NotFoundError."""
    settings = session.settings.reconcile.get(name)
    if settings is None:
        known = ", ".join(session.settings.reconcile) or "none"
        raise NotFoundError(f"there is no [reconcile.{name}]", remedy=f"In twinwright.toml are: {known}")
    principal.require_write()
    try:
        result = _compared(session, principal, name, settings)
    except TwinwrightError as error:
        result = {"error": str(error)}
        _log.warning("a comparison failed", job=name, error=str(error))
    outcome = "failed" if "error" in result else "equal" if result["inconsistent"] == result["repaired"] else "differs"
    session.metrics.reconciliations.labels(job=name, outcome=outcome).inc()
    if outcome != "failed":
        session.metrics.reconciliation_inconsistent.labels(job=name).set(result["inconsistent"] - result["repaired"])
    if outcome == "differs":
        _log.warning("history and its source differ", job=name, **{key: result[key] for key in ("checked", "inconsistent", "repaired")})
    body = {"outcome": outcome, **{key: value for key, value in result.items() if key != "items"}}
    session.store.put_record(SYSTEM, KIND, name, body)
    return {"name": name, **body, **({"items": result["items"]} if "items" in result else {})}


def _compared(session: Session, principal: Principal, name: str, settings: ReconcileSettings) -> dict[str, Any]:
    if settings.against is None or settings.contract is None:
        return reconcile_state(session, principal)
    token, against = settings.token(name, session.folder), settings.against
    if against != SOURCE and not is_address(against):
        against = str(session.folder / Path(against))
    return reconcile_against(session, principal, against, settings.contract, repair=settings.repair, token=token)


def listed(session: Session, principal: Principal) -> list[dict[str, Any]]:
    """`name every_seconds against contract repair last` of each; `last` is its last result with `at`, None before the first."""
    last = {record.id: record for record in session.store.records(principal, KIND)}
    return [
        {
            "name": name,
            "every_seconds": one.every / 1e6,
            "against": one.against,
            "contract": one.contract,
            "repair": one.repair,
            "last": {"at": to_iso(last[name].at), **last[name].body} if name in last else None,
        }
        for name, one in session.settings.reconcile.items()
    ]
