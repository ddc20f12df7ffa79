"""`replay`: what it costs, and doing it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from time import perf_counter
from typing import Any

from twinwright.governance.principals import Principal
from twinwright.platform.session import Session
from twinwright.telemetry.payloads import Receipt
from twinwright.telemetry.replay import Cost
from twinwright.telemetry.reread import Gone, nothing_gone
from twinwright.twins.expired import gone_of


def replay(
    session: Session,
    principal: Principal,
    contract: str | None,
    *,
    start: int | None,
    end: int | None,
    dry_run: bool = False,
    rate: float | None = None,
) -> dict[str, Any]:
    """Of one contract or of all, one after the other: a receipt, with `superseded retracted`; of a dry run `dry_run cost contracts[]`."""
    pipeline, started = session.pipeline, perf_counter()
    names = [pipeline.contract(contract).name] if contract else sorted(pipeline.contracts)
    gone = {name: _gone(session, principal, name) for name in names}
    if dry_run:
        return _costs([session.reprocessing.cost(principal, name, start=start, end=end, rate=rate, gone=gone[name]) for name in names])
    total, superseded, retracted = Receipt(), 0, 0
    with ExitStack() as read:  # of all, before any is replayed: one that is refused leaves the others
        commits = [
            read.enter_context(session.reprocessing.reading(principal, name, start=start, end=end, rate=rate, gone=gone[name]))
            for name in names
        ]
        for commit in commits:
            done = commit()
            total, superseded, retracted = total + done.receipt, superseded + done.superseded, retracted + done.retracted
    total = replace(total, seconds=perf_counter() - started)
    return {**total.as_json(), "superseded": superseded, "retracted": retracted}


def _gone(session: Session, principal: Principal, name: str) -> Gone:
    """Before which event time raw values that a contract observes of a lifetime are gone."""
    contract, evolution, registry = session.pipeline.contract(name), session.served.applied.evolution, session.pipeline.registry
    before = session.served.reads.expired.of_source(principal, contract.source)
    if not before:
        return nothing_gone
    found: dict[str, int | None] = {}

    def gone(lifetime: int) -> int | None:
        interface = registry.lifetime(lifetime).interface
        if interface not in found:
            each = (gone_of(evolution, before, interface, column.path) for column in contract.columns)
            found[interface] = max((at for at in each if at is not None), default=None)
        return found[interface]

    return gone


def _costs(costs: list[Cost]) -> dict[str, Any]:
    parts = [{"contract": one.contract, "revision": one.revision, **_shown(one)} for one in costs]
    names = ("rows", "seconds", "bytes", "journal_bytes", "pause_seconds")
    return {"dry_run": True, "cost": {name: sum(part[name] for part in parts) for name in names}, "contracts": parts}


def _shown(cost: Cost) -> dict[str, Any]:
    return {
        "rows": cost.readings,
        "seconds": round(cost.seconds, 3),
        "bytes": cost.bytes,
        "journal_bytes": cost.journal_bytes,
        "pause_seconds": round(cost.pause, 3),
    }
