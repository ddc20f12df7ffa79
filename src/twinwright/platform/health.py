"""How the platform is: its KPIs, its status, and its clock."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from twinwright import __version__
from twinwright.clock import SECOND, parse_duration, to_iso
from twinwright.governance.principals import Principal
from twinwright.operations import kpi as kpis
from twinwright.platform import retention, versions
from twinwright.platform.session import Session
from twinwright.storage.layout import Commit
from twinwright.telemetry.contract import Contract


def kpi(session: Session, principal: Principal, window: str) -> dict[str, Any]:
    """See `Platform.kpi`."""
    now = session.clock.now()
    since = now - parse_duration(window, where="window")
    store = session.store
    commits = store.commits(principal, first=store.commit_at(principal, since) + 1)
    runs = [record.body for record in store.records(principal, "run") if record.at >= since]
    last = store.last_commit(principal)
    qualities = [
        session.qualities.answer(
            (contract.name, contract.revision, now - since), last, partial(_quality, session, principal, contract, since, now, commits)
        )
        for contract in session.pipeline.contracts.values()
    ]
    if not session.worker:
        session.derived.settle(last, 0.0)  # where no thread derives, whoever asks does
    lags = {lag["name"]: lag["lag_seconds"] for lag in _consumers(session)}
    overdue = retention.overdue(session, principal)
    return kpis.table(_feeds(session), commits, runs, store.counts(principal), now, qualities, lags, overdue)


def _quality(session: Session, principal: Principal, contract: Contract, since: int, now: int, commits: Sequence[Commit]) -> kpis.Quality:
    """What is marked of a contract's judged observations in a window that ends now, and how far its source's clock is off."""
    judged, drift = session.served.reads.judged, None
    checked: int | None
    checked, marked, marks = judged.counts(principal, contract.source, since, now + contract.skew)
    checked = checked if judged.criteria(contract.source) else None
    limit = contract.spec.clock_drift
    if limit is not None and commits:
        newest = session.store.newest_by_commit(principal, contract.name, commits[0].number)
        drift = kpis.clock_drift([event - received for received, event in newest])
    return kpis.Quality(contract.name, checked, marked, marks, drift, None if limit is None else parse_duration(limit))


def _consumers(session: Session) -> list[dict[str, Any]]:
    """How far behind the log each of its consumers is."""
    found = []
    lags = [
        *((f"derived.{lag.name}", lag) for lag in session.derived.consumer.lags()),
        *((f"shadow.{lag.name}", lag) for lag in session.shadows.consumer.lags()),
        *((f"{one.kind}.{one.name}", one.lag()) for one in session.sinks),
    ]
    for name, lag in lags:
        session.metrics.consumer_lag_commits.labels(consumer=name).set(lag.commits)
        session.metrics.consumer_lag_seconds.labels(consumer=name).set(lag.seconds)
        state = {"error": lag.error or None, "commit": lag.commit}
        found.append({"name": name, "lag_commits": lag.commits, "lag_seconds": lag.seconds, **state})
    return found


def _feeds(session: Session) -> list[kpis.Feed]:
    watermark = session.state.watermark
    return [kpis.Feed(one.name, one.source, one.freshness, watermark(one.name)) for one in session.pipeline.contracts.values()]


def status(session: Session, principal: Principal) -> dict[str, Any]:
    """See `Platform.status`."""
    now = session.clock.now()
    contracts = []
    for feed in _feeds(session):
        age = kpis.freshness(feed, now)
        if age is not None:
            session.metrics.freshness_seconds.labels(contract=feed.contract).set(age)
        watermark = None if feed.newest is None else to_iso(feed.newest)
        contracts.append({"name": feed.contract, "freshness_seconds": age, "target_seconds": feed.freshness / 1e6, "watermark": watermark})
    size = session.store.size(principal)
    session.metrics.store_bytes.set(size)
    torn = session.store.torn_logs(principal)
    session.metrics.store_torn_logs.set(len(torn))
    versions.measure(session)
    statuses = [source.status() for source in session.sources]
    return {
        "clock": clock(session, principal),
        "connectors": [{"name": s.name, "up": s.state == "up", "state": s.state, "detail": s.error} for s in statuses],
        "consumers": _consumers(session),
        "contracts": contracts,
        "commit": session.store.last_commit(principal),
        "store_bytes": size,
        "store_unused_bytes": session.store.unused(principal),
        "store_torn_logs": torn,
        "version": __version__,
        "uptime_seconds": (session.clock.monotonic() - session.started) / 1e6,
    }


def clock(session: Session, principal: Principal) -> dict[str, Any]:
    """See `Platform.clock`."""
    principal.require_read()
    judged = session.pipeline.guard.status()
    return {
        "suspect": judged.suspect,
        "step_seconds": judged.step / SECOND,
        "resumes_in_seconds": judged.left / SECOND if judged.suspect else None,
        "skew_seconds": judged.skew / SECOND,
        "now": to_iso(session.clock.now()),
    }


def trust_clock(session: Session, principal: Principal) -> dict[str, Any]:
    """See `Platform.trust_clock`."""
    principal.require_admin()
    before, store = clock(session, principal), session.store
    session.pipeline.guard.trust()
    session.remember_clock()
    with store.transaction(principal, "clock") as transaction:
        body = {"by": principal.name, "step_seconds": before["step_seconds"], "now": before["now"]}
        transaction.put_record("audit", f"clock-{transaction.commit}", body)
    return {**clock(session, principal), "token": transaction.commit}
