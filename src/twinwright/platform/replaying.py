"""`replay`: what it costs, and doing it."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any

from twinwright.governance.principals import Principal
from twinwright.platform.session import Session
from twinwright.telemetry.payloads import Receipt
from twinwright.telemetry.replay import Cost


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
    if dry_run:
        return _costs([session.reprocessing.cost(principal, name, start=start, end=end, rate=rate) for name in names])
    total, superseded, retracted = Receipt(), 0, 0
    for name in names:
        done = session.reprocessing.replay(principal, name, start=start, end=end, rate=rate)
        total, superseded, retracted = total + done.receipt, superseded + done.superseded, retracted + done.retracted
    total = replace(total, seconds=perf_counter() - started)
    return {**total.as_json(), "superseded": superseded, "retracted": retracted}


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
