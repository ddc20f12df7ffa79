"""`reconcile`: the cache of state against history, and history against a snapshot of its source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from twinwright.clock import to_iso
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.platform import snapshots
from twinwright.platform.session import Session
from twinwright.telemetry.payloads import Delivery, Payload, Receipt
from twinwright.telemetry.snapshot import Comparison, Difference, Snapshot, missing_elements

_SHOWN: Final = 1_000  # differences that are told one by one; all are counted
_ELEMENTS_A_TIME: Final = 5_000


def reconcile_state(session: Session, principal: Principal) -> dict[str, Any]:
    """`checked inconsistent repaired` cells."""
    checked = inconsistent = 0
    for name in sorted({table.contract for table in session.store.reading_tables(principal)}):
        seen, wrong = session.state.reconcile(name)
        checked, inconsistent = checked + seen, inconsistent + wrong
    return {"checked": checked, "inconsistent": inconsistent, "repaired": inconsistent}


def reconcile_against(
    session: Session, principal: Principal, against: str, contract: str, *, repair: bool, token: str | None = None
) -> dict[str, Any]:
    """`checked inconsistent repaired missing different extra refused{reason:n} items[]`; with `repair` a `token` too.

    Raises what `snapshots.payloads` does, and ClockSuspectError.
    """
    if repair or against == snapshots.SOURCE:  # it opens a connector
        principal.require_write()
    pipeline = session.pipeline
    applied = pipeline.contract(contract)
    snapshot = Snapshot(applied)
    for payload in snapshots.payloads(session, applied, against, token=token):
        snapshot.add(payload, pipeline.registry, pipeline.guard.now())
    comparison = Comparison(session.store, principal)
    found = comparison.differences(snapshot)
    result: dict[str, Any] = {"repaired": 0}
    if repair:
        receipt = _ingested(session, contract, missing_elements(snapshot, found))
        left = sum(one.kind == "missing" for one in comparison.differences(snapshot))
        result = {"repaired": sum(one.kind == "missing" for one in found) - left, "token": receipt.token}
    extra = sum(one.kind == "extra" for one in found)
    return {
        "checked": len(snapshot.values) + extra,
        "inconsistent": len(found),
        **result,
        **{kind: sum(one.kind == kind for one in found) for kind in ("missing", "different", "extra")},
        "refused": dict(sorted(snapshot.refused.items())),
        "items": [_item(session, one) for one in found[:_SHOWN]],
    }


def _ingested(session: Session, contract: str, elements: Sequence[Payload]) -> Receipt:
    """The missing ones as ordinary readings."""
    total = Receipt(token=session.store.last_commit(SYSTEM))
    for at in range(0, len(elements), _ELEMENTS_A_TIME):
        total = total + session.pipeline.submit(Delivery(contract, tuple(elements[at : at + _ELEMENTS_A_TIME])))
    return total


def _item(session: Session, one: Difference) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "twin": session.pipeline.registry.lifetime(one.lifetime).twin,
        "path": one.path,
        "unit": one.unit,
        "theirs": one.theirs,
        "theirs_at": None if one.theirs_at is None else to_iso(one.theirs_at),
        "ours": one.ours,
        "ours_at": None if one.ours_at is None else to_iso(one.ours_at),
    }
