"""The KPI table: every number is what its name says, and says nothing where there is nothing to say."""

from __future__ import annotations

import pytest

from twinwright.operations.kpi import Feed, Quality, clock_drift, table
from twinwright.storage.layout import Counts

SECOND = 1_000_000


def test_freshness_is_met_up_to_its_target_and_unknown_without_data() -> None:
    feeds = [
        Feed("at", "at", 60 * SECOND, 40 * SECOND),
        Feed("over", "over", 60 * SECOND, 39 * SECOND),
        Feed("never", "never", 60 * SECOND, None),
    ]
    kpis = table(feeds, [], [], {}, 100 * SECOND)
    assert [(kpis[f"freshness.{name}"]["value"], kpis[f"freshness.{name}"]["met"]) for name in ("at", "over", "never")] == [
        (60.0, True),
        (61.0, False),
        (None, None),
    ]


def test_shares_without_anything_to_share_are_null_and_counts_are_zero() -> None:
    kpis = table([], [], [], {}, 0, lags={"derived.mean": 61.0})
    assert [kpis[name]["value"] for name in ("dead_letter_share", "late_share", "simulation_success")] == [None, None, None]
    assert kpis["lag.derived.mean"] == {"value": 61.0, "unit": "s", "target": 60.0, "met": False}
    assert kpis["counts"] == {"received": 0, "accepted": 0, "duplicate": 0, "dead_lettered": 0}


def test_counts_are_summed_over_contracts_and_success_over_runs() -> None:
    totals = {"a": Counts(10, 7, 2, 1), "b": Counts(5, 5, 0, 0)}
    kpis = table([], [], [{"status": "ok"}, {"status": "failed"}, {"status": "ok"}], totals, 0)
    assert kpis["counts"] == {"received": 15, "accepted": 12, "duplicate": 2, "dead_lettered": 1}
    assert kpis["simulation_success"]["value"] == pytest.approx(2 / 3)
    assert kpis["simulation_success"]["met"] is False


def test_marks_are_a_share_and_the_drift_of_a_sources_clock_has_its_limit() -> None:
    marks = {"gap": 1, "stuck": 0, "rate": 2, "spike": 0, "bad": 0}
    qualities = [
        Quality("a", 20, 2, marks, 7 * SECOND, 5 * SECOND),
        Quality("b", None, 0, {}, None, 5 * SECOND),
        Quality("c", 5, 0, {}, 0, None),
        Quality("d", 0, 0, {}, 0, None),
    ]
    kpis = table([], [], [], {}, 0, qualities)
    assert kpis["marked_share.a"] == {"value": 0.1, "unit": "1", "target": 0.05, "met": False, "marks": marks}
    assert "marked_share.b" not in kpis
    assert kpis["marked_share.c"]["met"] is True
    assert (kpis["marked_share.d"]["value"], kpis["marked_share.d"]["met"]) == (None, None)
    assert [(kpis[f"clock_drift.{name}"]["value"], kpis[f"clock_drift.{name}"]["met"]) for name in "ab"] == [(7.0, False), (None, None)]
    assert "clock_drift.c" not in kpis


def test_one_batch_that_waited_does_not_move_the_drift() -> None:
    assert clock_drift([-SECOND, -2 * SECOND, -3_600 * SECOND]) == -2 * SECOND
    assert clock_drift([]) is None
