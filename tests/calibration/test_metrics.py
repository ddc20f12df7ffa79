from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from twinwright.calibration.baseline import BEFORE, WITHIN, persistence
from twinwright.calibration.metrics import METRIC_NAMES, Metrics, combine, from_json, measure

OBSERVED = [1.0, 2.0, 3.0, 4.0]
PREDICTED = [1.0, 3.0, 3.0, 2.0]  # errors 0, 1, 0, -2


def test_the_page_of_known_answers():
    """Worked by hand: sum e^2 = 5, sum |e| = 3, sum (y - 2.5)^2 = 5, range 3, baseline 1 has errors 0 -1 -2 -3: sum of squares 14."""
    m = measure(OBSERVED, PREDICTED, baseline=1.0, low=[0.5, 2.5, 2.0, 3.0], high=[1.5, 3.5, 3.0, 4.0])
    assert m.rmse == pytest.approx(math.sqrt(5 / 4))
    assert m.mae == pytest.approx(0.75)
    assert m.mape == pytest.approx(100 * (0 + 1 / 2 + 0 + 2 / 4) / 4)
    assert m.nrmse == pytest.approx(math.sqrt(5 / 4) / 3)
    assert m.r2 == pytest.approx(1 - 5 / 5)
    assert m.fit == pytest.approx(0.0)
    assert m.bias == pytest.approx(-0.25)
    assert m.skill == pytest.approx(1 - math.sqrt(5 / 14))
    assert m.coverage == pytest.approx(3 / 4)
    assert (m.count, m.left_out, m.mape_left_out) == (4, 0, 0)
    assert m.mape_floor == pytest.approx(0.03)


def test_a_perfect_prediction_has_the_best_of_every_metric():
    m = measure(OBSERVED, OBSERVED, baseline=[0, 0, 0, 0])
    assert (m.rmse, m.mae, m.mape, m.nrmse, m.r2, m.fit, m.bias, m.skill) == (0, 0, 0, 0, 1, 100, 0, 1)


def test_mape_leaves_out_what_is_under_the_floor_and_says_how_many():
    m = measure([0.0, 0.1, 2.0, -4.0], [1.0, 1.0, 1.0, -3.0], mape_floor=0.5)
    assert m.mape == pytest.approx(100 * (1 / 2 + 1 / 4) / 2)
    assert (m.mape_floor, m.mape_left_out) == (0.5, 2)


def test_pairs_with_a_missing_side_are_left_out_and_counted():
    m = measure([1.0, np.nan, 3.0, 4.0, 9.0], [1.0, 5.0, np.inf, 2.0, np.nan])
    assert (m.count, m.left_out) == (2, 3)
    assert m.rmse == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize("observed", [[], [np.nan, np.nan]])
def test_without_pairs_every_metric_is_none(observed):
    m = measure(observed, observed)
    assert [getattr(m, name) for name in METRIC_NAMES] == [None] * len(METRIC_NAMES)
    assert m.count == 0


def test_constant_observations_give_no_relative_metric_but_the_absolute_ones():
    m = measure([2.0, 2.0], [3.0, 3.0], baseline=2.0)
    assert (m.nrmse, m.r2, m.fit) == (None, None, None)
    assert m.skill is None, "a baseline without error can't be compared with"
    assert (m.rmse, m.bias, m.mape) == (1.0, 1.0, 50.0)


def test_zero_is_never_divided_by():
    assert measure([0.0, 0.0], [1.0, 1.0]).mape is None


def test_coverage_counts_only_where_there_is_a_band():
    assert measure([1.0, 2.0], [1.0, 2.0], low=[0.0, np.nan], high=[2.0, np.nan]).coverage == 1.0
    assert measure([1.0], [1.0], low=[np.nan], high=[np.nan]).coverage is None


def test_a_baseline_with_holes_gives_no_skill():
    assert measure([1.0, 2.0], [1.0, 1.0], baseline=[np.nan, 1.0]).skill is None


def test_several_outputs_share_only_what_has_no_unit():
    a, b = measure([1.0, 2.0], [1.0, 3.0], baseline=0.0), measure([10.0, 30.0], [10.0, 20.0], baseline=0.0)
    both = combine({"a": a, "b": b})
    assert (both.rmse, both.mae, both.bias) == (None, None, None)
    assert both.nrmse == pytest.approx((a.nrmse + b.nrmse) / 2)
    assert both.count == 4
    assert combine({"a": a}) is a


def test_json_brings_the_metrics_back():
    m = measure(OBSERVED, PREDICTED, baseline=1.0)
    assert from_json(m.as_json()) == m
    assert from_json({}) == Metrics()


numbers = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))
pairs = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=30)


@given(pairs, st.floats(0.01, 100), numbers)
def test_metrics_scale_with_the_unit_and_ignore_a_shared_shift(data, scale, shift):
    y, p = map(np.array, zip(*data, strict=True))
    assume(np.ptp(y) > 0.1)
    plain, scaled, shifted = (
        measure(y, p, baseline=y[0]),
        measure(scale * y, scale * p, baseline=scale * y[0]),
        measure(y + shift, p + shift),
    )
    for name in ("rmse", "mae", "bias"):
        assert getattr(scaled, name) == pytest.approx(scale * getattr(plain, name), rel=1e-6, abs=1e-9)
        assert getattr(shifted, name) == pytest.approx(getattr(plain, name), rel=1e-6, abs=1e-9)
    for name in ("nrmse", "r2", "fit", "skill"):
        assert getattr(scaled, name) == pytest.approx(getattr(plain, name), rel=1e-6, abs=1e-6)
    for name in ("nrmse", "r2", "fit"):
        assert getattr(shifted, name) == pytest.approx(getattr(plain, name), rel=1e-6, abs=1e-6)


@given(pairs)
def test_orders_between_metrics_hold(data):
    y, p = map(np.array, zip(*data, strict=True))
    m = measure(y, p)
    assert abs(m.bias) <= m.mae + 1e-9
    assert m.mae <= m.rmse * (1 + 1e-9) + 1e-9
    if m.fit is not None:
        assert 1 - m.r2 == pytest.approx((1 - m.fit / 100) ** 2, rel=1e-6)


def test_persistence_holds_the_last_value_before_the_window():
    times, values = np.array([0, 10, 20, 30]), np.array([1.0, 2.0, 3.0, 4.0])
    held = persistence(times, values, 20, 31)
    assert held.name == BEFORE
    assert held.values.tolist() == [2.0, 2.0]


def test_persistence_without_a_past_holds_the_first_value_and_says_so():
    held = persistence(np.array([0, 10]), np.array([1.0, 2.0]), 0, 20)
    assert held.name == WITHIN
    assert held.values.tolist() == [1.0, 1.0]


def test_persistence_of_an_empty_window_is_empty():
    assert persistence(np.array([], dtype=np.int64), np.array([]), 0, 10).values.size == 0
