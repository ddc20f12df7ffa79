from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from twinwright.calibration.residuals import autocorrelation, block_length, bootstrap_rmse, diagnose, ljung_box, memory


def ar1(count: int, correlation: float, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=count)
    for i in range(1, count):
        values[i] = correlation * values[i - 1] + np.sqrt(1 - correlation**2) * values[i]
    return values


def test_autocorrelation_by_hand():
    """1, -1, 1, -1: centred already, power 4; products at lag 1: -3, at lag 2: +2."""
    assert autocorrelation(np.array([1.0, -1.0, 1.0, -1.0]), 2).tolist() == [1.0, -0.75, 0.5]


@pytest.mark.parametrize("values", [[], [3.0], [2.0, 2.0, 2.0]])
def test_a_constant_series_has_no_autocorrelation(values):
    assert autocorrelation(np.array(values), 5).tolist() == [1.0]
    assert memory(np.array(values)).order == 0


@pytest.mark.parametrize("correlation", [0.5, 0.9])
def test_the_memory_of_an_autoregression_is_found(correlation):
    found = memory(ar1(4000, correlation)).until(6)
    assert found == pytest.approx(correlation ** np.arange(6), abs=0.08)


def test_white_noise_counts_in_full():
    fitted = memory(ar1(2000, 0.0))
    assert fitted.effective_for_mean(2000) > 1700
    assert fitted.effective_for_variance(2000) > 1950


def test_correlated_errors_count_for_less_in_a_mean_than_in_a_variance():
    """For an AR(1) of r = 0.8, n (1-r)/(1+r) = n/9 and n (1-r^2)/(1+r^2) = 0.2195 n."""
    fitted = memory(ar1(20_000, 0.8))
    assert fitted.effective_for_mean(20_000) == pytest.approx(20_000 / 9, rel=0.15)
    assert fitted.effective_for_variance(20_000) == pytest.approx(0.2195 * 20_000, rel=0.1)


def test_what_a_fit_absorbed_is_put_back():
    values = ar1(60, 0.8)
    assert memory(values, absorbed=6.0).correlation[1] > memory(values).correlation[1]


def test_ljung_box_tells_white_from_coloured():
    assert ljung_box(ar1(500, 0.0)) > 0.05
    assert ljung_box(ar1(500, 0.5)) < 1e-6
    assert ljung_box(ar1(20, 0.5)) is None
    assert ljung_box(np.ones(100)) is None


def test_ljung_box_is_chi_squared():
    values = ar1(200, 0.1)
    r = autocorrelation(values, 10)[1:]
    statistic = 200 * 202 * np.sum(r**2 / (200 - np.arange(1, 11)))
    assert ljung_box(values) == pytest.approx(stats.chi2.sf(statistic, 10))


def test_blocks_grow_with_the_memory():
    assert block_length(ar1(1000, 0.0)) <= 3
    assert block_length(ar1(1000, 0.5)) < block_length(ar1(1000, 0.95)) <= 333


def test_the_interval_of_the_rmse_covers_under_autocorrelation():
    covered = 0
    for seed in range(100):
        low, high = bootstrap_rmse(ar1(600, 0.8, seed), seed=seed)
        covered += low <= 1.0 <= high
    assert covered >= 85, "a nominal 95 % interval of an AR(1) of 0.8"


def test_the_interval_is_reproducible_and_absent_for_few_errors():
    errors = ar1(50, 0.5)
    assert bootstrap_rmse(errors) == bootstrap_rmse(errors)
    assert bootstrap_rmse(errors[:7]) is None


@given(arrays(np.float64, st.integers(8, 60), elements=st.floats(-100, 100)))
def test_the_interval_is_ordered_and_within_the_errors(errors):
    low, high = bootstrap_rmse(errors, resamples=50)
    assert 0 <= low <= high <= np.max(np.abs(errors)) * (1 + 1e-9) + 1e-6


def test_diagnostics_of_too_few_residuals_are_none():
    assert set(diagnose(np.array([1.0])).values()) == {None}
    assert diagnose(ar1(100, 0.9))["effective_count"] < 30
