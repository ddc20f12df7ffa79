from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinwright.calibration.estimate import FreeParameters, Scaling, SearchOptions, latin_hypercube, search
from twinwright.calibration.uncertainty import assess

INF = np.inf


def free(names: str, start: list[float], low: list[float], high: list[float]) -> FreeParameters:
    return FreeParameters(tuple(names), np.array(start, float), np.array(low, float), np.array(high, float))


def line(noise: float = 0.1, count: int = 200, correlation: float = 0.0, seed: int = 0):
    generator = np.random.default_rng(seed)
    x, e = np.linspace(0, 1, count), generator.normal(size=count)
    for i in range(1, count):
        e[i] = correlation * e[i - 1] + np.sqrt(1 - correlation**2) * e[i]
    y = 2 + 3 * x + noise * e
    return x, y


def test_a_line_is_fitted_as_the_normal_equations_say():
    x, y = line()
    found = search(lambda p: p[0] + p[1] * x - y, free("ab", [0, 0], [-INF, -10], [INF, 10]), SearchOptions())
    exact = np.polynomial.polynomial.polyfit(x, y, 1)
    assert found.values == pytest.approx(exact, rel=1e-6)
    assert found.converged
    assert found.starts_run == 3, "three starts that agree are enough"


def test_independent_errors_give_the_textbook_interval():
    x, y = line()
    parameters = free("ab", [0, 0], [-INF, -INF], [INF, INF])
    found = search(lambda p: p[0] + p[1] * x - y, parameters, SearchOptions(starts=1))
    result = assess(found, parameters, [x.size])
    design = np.stack([np.ones_like(x), x], axis=1)
    textbook = np.linalg.inv(design.T @ design) * np.sum(found.residuals**2) / (x.size - 2)
    assert np.diag(result.covariance) == pytest.approx(np.diag(textbook), rel=0.25)
    assert result.low[1] < 3 < result.high[1]
    assert result.deviation[0] == pytest.approx(0.1, rel=0.15)


def test_several_starts_find_the_deeper_of_two_minima():
    def residuals(p):
        return np.array([(p[0] - 1) * (p[0] - 8) + 2 * (8 - p[0]) * 0.3, 0.5 * (p[0] - 8)])

    parameters = free("a", [0], [-2], [10])
    alone = search(residuals, parameters, SearchOptions(starts=1))
    several = search(residuals, parameters, SearchOptions(starts=6))
    assert alone.values[0] < 3
    assert several.values[0] == pytest.approx(8, abs=1e-3)


def test_the_same_seed_gives_the_same_answer():
    x, y = line()
    parameters = free("ab", [0, 0], [-10, -10], [10, 10])

    def run(seed):
        return search(lambda p: np.sin(p[0] * x) + p[1] - y, parameters, SearchOptions(seed=seed))

    assert run(3).values.tobytes() == run(3).values.tobytes()
    assert run(3).evaluations == run(3).evaluations


def test_a_model_that_diverges_somewhere_does_not_stop_the_search():
    x, y = line(noise=0.0)

    def residuals(p):
        return np.full(x.size, np.nan) if p[1] > 5 else p[0] + p[1] * x - y

    found = search(residuals, free("ab", [0, 9], [-10, -10], [10, 10]), SearchOptions())
    assert found.values == pytest.approx([2, 3], abs=1e-4)


def test_a_parameter_at_its_bound_has_no_interval_and_a_warning():
    x, y = line()
    parameters = free("ab", [0, 0], [0, 0], [10, 2.5])
    found = search(lambda p: p[0] + p[1] * x - y, parameters, SearchOptions())
    result = assess(found, parameters, [x.size])
    assert found.at_bound.tolist() == [False, True]
    assert np.isnan(result.low[1])
    assert np.isfinite(result.low[0])
    assert any("b ended at its upper bound 2.5" in warning for warning in result.warnings)


def test_a_parameter_without_effect_is_not_identifiable():
    x, y = line()
    parameters = free("abz", [0, 0, 1], [-10, -10, -10], [10, 10, 10])
    result = assess(search(lambda p: p[0] + p[1] * x - y, parameters, SearchOptions(starts=1)), parameters, [x.size])
    assert np.isnan(result.low[2])
    assert any(warning.startswith("z can't be identified") for warning in result.warnings)
    assert result.low[1] < 3 < result.high[1]


def test_a_sum_can_be_identified_where_its_terms_can_not():
    x, y = line()
    parameters = free("abc", [0, 0, 0], [-10, -10, -10], [10, 10, 10])
    result = assess(search(lambda p: p[0] + p[2] + p[1] * x - y, parameters, SearchOptions(starts=1)), parameters, [x.size])
    assert np.isnan(result.low[[0, 2]]).all()
    assert any(warning.startswith("a, c can't be identified") for warning in result.warnings)


def test_correlated_parameters_are_told():
    x, y = line()
    parameters = free("ab", [0, 0], [-100, -100], [100, 100])
    result = assess(search(lambda p: p[0] + p[1] * (x + 20) - y, parameters, SearchOptions()), parameters, [x.size])
    assert any("a and b are correlated (-" in warning for warning in result.warnings)


def test_an_interval_wider_than_the_bounds_is_told():
    x, y = line(noise=5.0, count=30)
    parameters = free("ab", [2, 3], [1, 2.9], [3, 3.1])
    warnings = assess(search(lambda p: p[0] + p[1] * x - y, parameters, SearchOptions()), parameters, [x.size]).warnings
    assert any("b" in warning.split() and ("wider than its bounds" in warning or "bound" in warning) for warning in warnings)


def test_a_search_cut_short_says_so():
    x, y = line()
    parameters = free("ab", [0, 0], [-10, -10], [10, 10])
    cut = search(lambda p: np.exp(p[0]) + p[1] * x - y, parameters, SearchOptions(starts=1, max_evaluations=1))
    assert not cut.converged
    assert any("used up its evaluations" in warning for warning in assess(cut, parameters, [x.size]).warnings)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_intervals_cover_the_truth_under_autocorrelated_errors(correlation):
    """A coverage study: nominal 95 % intervals of a slope in 150 records; intervals that assume independence hold 50 to 60 %."""
    parameters = free("ab", [0, 0], [-INF, -INF], [INF, INF])
    covered = naive = 0
    for seed in range(150):
        x, y = line(noise=0.5, count=200, correlation=correlation, seed=seed)
        found = search(lambda p, x=x, y=y: p[0] + p[1] * x - y, parameters, SearchOptions(starts=1))
        result = assess(found, parameters, [x.size])
        covered += result.low[1] <= 3 <= result.high[1]
        plain = np.linalg.inv(found.jacobian.T @ found.jacobian)[1, 1] * np.sum(found.residuals**2) / (x.size - 2)
        naive += abs(found.values[1] - 3) <= 1.96 * np.sqrt(plain)
    assert covered >= 0.88 * 150
    if correlation:
        assert naive < 0.7 * 150, "the study must be one that independence fails"


def test_each_output_keeps_its_own_noise():
    x, y = line(noise=0.1)
    _, z = line(noise=1.0, seed=5)
    parameters = free("ab", [0, 0], [-INF, -INF], [INF, INF])

    def residuals(p):
        return np.concatenate([p[0] + p[1] * x - y, p[0] + p[1] * x - z])

    result = assess(search(residuals, parameters, SearchOptions(starts=1)), parameters, [x.size, x.size])
    assert result.deviation[0] == pytest.approx(0.1, rel=0.3)
    assert result.deviation[1] == pytest.approx(1.0, rel=0.3)


@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 99))
def test_a_latin_hypercube_has_one_point_in_each_slice(count, dimensions, seed):
    points = latin_hypercube(count, dimensions, np.random.default_rng(seed))
    for axis in range(dimensions):
        assert sorted(np.floor(points[:, axis] * count).astype(int)) == list(range(count))


bounds = st.tuples(st.floats(0.001, 10), st.floats(1.01, 1e6)).map(lambda pair: (pair[0], pair[0] * pair[1]))


@given(bounds, st.floats(0, 1))
def test_scaling_and_back_is_the_identity_within_the_bounds(limits, share):
    low, high = limits
    value = low + share * (high - low)
    scaling = Scaling(free("a", [value], [low], [high]))
    scaled = scaling.scaled(np.array([value]))
    assert -1e-9 <= scaled[0] <= 1 + 1e-9
    assert scaling.natural(scaled)[0] == pytest.approx(value, rel=1e-9)
    assert scaling.logarithmic[0] == (high >= 100 * low)


def test_the_slope_of_the_scaling_is_its_derivative():
    scaling = Scaling(free("abc", [1, 5, 7], [0.1, 0, -INF], [1000, 10, INF]))
    z = scaling.scaled(np.array([2.0, 5.0, 7.0]))
    step = 1e-6
    difference = (scaling.natural(z + step) - scaling.natural(z - step)) / (2 * step)
    assert scaling.slope(z) == pytest.approx(difference, rel=1e-6)
