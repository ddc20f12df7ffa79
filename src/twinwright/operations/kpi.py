"""The KPI table: freshness, refused and late share, lag, simulation success. Each has a value, a target and whether it is met."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twinwright.storage.layout import Commit, Counts

DEAD_LETTER_TARGET = 0.01
LATE_TARGET = 0.05
RUN_TARGET = 0.95
MARKED_TARGET = 0.05
LAG_TARGET = 60.0  # seconds
OVERDUE_TARGET = 86_400.0  # seconds: a day begins to be due when the one before it is done


@dataclass(frozen=True, slots=True)
class Feed:
    """One contract as the KPIs see it; times in microseconds, None where nothing was ever received."""

    contract: str
    source: str
    freshness: int
    newest: int | None


@dataclass(frozen=True, slots=True)
class Quality:
    """One contract's judged observations in a window: how many (None: it judges none), how many of them marked, how many carry each
    mark; and how far its source's clock is ahead (microseconds; None: not known) beside the limit that the contract states."""

    contract: str
    checked: int | None
    marked: int
    marks: Mapping[str, int]
    drift: int | None
    drift_limit: int | None


def clock_drift(ahead: Sequence[int]) -> int | None:
    """The median of event time less receive time, of the newest reading of each commit: what waited in a queue does not move it.

    It is the source's clock less what a reading takes to come here, so a source that is right is a little behind.
    """
    return round(statistics.median(ahead)) if ahead else None


def freshness(feed: Feed, now: int) -> float | None:
    """Seconds between now and the newest event time; negative where the source's clock is ahead."""
    return None if feed.newest is None else (now - feed.newest) / 1e6


def table(
    feeds: Sequence[Feed],
    commits: Sequence[Commit],
    runs: Sequence[Mapping[str, Any]],
    totals: Mapping[str, Counts],
    now: int,
    qualities: Sequence[Quality] = (),
    lags: Mapping[str, float] | None = None,
    overdue: float | None = None,
) -> dict[str, Any]:
    """Per KPI `value unit target met`; `counts` since creation. `commits` and `runs` are those of the window, `lags` the seconds that
    each consumer of the commit log is behind, `overdue` those by which retention is (None: no rule)."""
    counts = sum((commit.counts for commit in commits), Counts())
    kpis: dict[str, Any] = {}
    for feed in feeds:
        age = freshness(feed, now)
        target = feed.freshness / 1e6
        kpis[f"freshness.{feed.contract}"] = _kpi(age, "s", target, None if age is None else age <= target)
    for name, behind in (lags or {}).items():
        kpis[f"lag.{name}"] = _kpi(behind, "s", LAG_TARGET, behind <= LAG_TARGET)
    kpis["dead_letter_share"] = _share(counts.dead_lettered, counts.received, DEAD_LETTER_TARGET)
    kpis["late_share"] = _share(counts.late, counts.accepted, LATE_TARGET)
    for quality in qualities:
        if quality.checked is not None:
            share = _share(quality.marked, quality.checked, MARKED_TARGET)
            kpis[f"marked_share.{quality.contract}"] = {**share, "marks": dict(quality.marks)}
        if quality.drift_limit is not None:
            seconds = None if quality.drift is None else quality.drift / 1e6
            limit = quality.drift_limit / 1e6
            kpis[f"clock_drift.{quality.contract}"] = _kpi(seconds, "s", limit, None if seconds is None else abs(seconds) <= limit)
    succeeded = sum(run.get("status") == "ok" for run in runs)
    success = succeeded / len(runs) if runs else None
    kpis["simulation_success"] = _kpi(success, "1", RUN_TARGET, None if success is None else success >= RUN_TARGET)
    if overdue is not None:
        kpis["retention_overdue"] = _kpi(overdue, "s", OVERDUE_TARGET, overdue <= OVERDUE_TARGET)
    every = sum(totals.values(), Counts())
    kpis["counts"] = {
        "received": every.received,
        "accepted": every.accepted,
        "duplicate": every.duplicate,
        "dead_lettered": every.dead_lettered,
    }
    return kpis


def _share(part: int, whole: int, target: float) -> dict[str, Any]:
    value = part / whole if whole else None
    return _kpi(value, "1", target, None if value is None else value <= target)


def _kpi(value: float | None, unit: str, target: float, met: bool | None) -> dict[str, Any]:
    return {"value": value, "unit": unit, "target": target, "met": met}
