"""What residuals say about themselves: how strongly they hang together in time, and what that does to an uncertainty.

Errors of a simulation are rarely independent: a model that reads high now reads high in the next second. Treating n such errors as n
independent facts makes every interval too narrow. Here their memory is described by an autoregressive model, whose order is chosen
by the corrected Akaike criterion, and its autocorrelation is what intervals, effective sample sizes and block lengths are computed from.

References: Box, Jenkins & Reinsel, "Time Series Analysis", 4th ed. (2008), section 3.2 and chapter 8 (Yule-Walker, Ljung-Box test);
den Haan & Levin, "A practitioner's guide to robust covariance matrix estimation", Handbook of Statistics 15 (1997) (covariances from
fitted autoregressions); Bayley & Hammersley, "The 'effective' number of independent observations in an autocorrelated time series",
J. R. Stat. Soc. Suppl. 8 (1946); Kunsch, "The jackknife and the bootstrap for general stationary observations", Ann. Stat. 17 (1989),
and Politis & Romano, "A circular block-resampling procedure for stationary data" (1992); Carlstein, Ann. Stat. 14 (1986) (block length).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from twinwright.calibration.metrics import Array

MAX_ORDER = 12
_NEGLIGIBLE = 1e-3
_MAX_LAGS = 20_000


@dataclass(frozen=True, slots=True)
class Memory:
    """The autocorrelation of a residual series as its fitted autoregression has it; lag 0 first, until it is negligible."""

    correlation: Array
    order: int

    def until(self, count: int) -> Array:
        """Autocorrelation at lags 0 to count-1, zero where it is negligible."""
        known = self.correlation[:count]
        return np.concatenate([known, np.zeros(count - known.size)])

    def effective_for_mean(self, count: int) -> float:
        """How many independent errors have a mean as uncertain as `count` of these; at most `count`."""
        lags = np.arange(1, min(self.correlation.size, count))
        return count / max(1.0, 1 + 2 * float(np.sum((1 - lags / count) * self.correlation[lags])))

    def effective_for_variance(self, count: int) -> float:
        """How many independent errors have a variance as uncertain as `count` of these."""
        lags = np.arange(1, min(self.correlation.size, count))
        return count / (1 + 2 * float(np.sum((1 - lags / count) * self.correlation[lags] ** 2)))


def autocorrelation(residuals: Array, lags: int) -> Array:
    """The sample autocorrelation at lags 0 to `lags` (fewer where the series is shorter); [1] for a constant series."""
    centred = residuals - residuals.mean() if residuals.size else residuals
    power = float(centred @ centred)
    if power <= 0:
        return np.ones(1)
    lags = min(lags, residuals.size - 1)
    return np.array([1.0] + [float(centred[k:] @ centred[:-k]) / power for k in range(1, lags + 1)])


def memory(residuals: Array, absorbed: float = 0.0) -> Memory:
    """Fit autoregressions by Yule-Walker (Levinson-Durbin, so each is stationary) and keep the order of the least AICc.

    `absorbed` is how much of the n residual variances a fit has taken away. What it takes is slow, so it is missing from each
    autocovariance alike, and is put back here; without that a short record would seem less correlated than it is.
    """
    n = residuals.size
    sample = autocorrelation(residuals, min(MAX_ORDER, n // 4))
    if sample[1:].size and sample[1] > 2 / np.sqrt(n):
        missing = min(absorbed / max(n - absorbed, 1.0), 1.0)
        sample = (sample + missing) / (1 + missing)
    best, best_score = np.zeros(0), 0.0
    coefficients, variance = np.zeros(0), 1.0
    for order in range(1, sample.size):
        reflection = (sample[order] - coefficients @ sample[order - 1 : 0 : -1]) / variance if order > 1 else sample[1]
        coefficients = np.append(coefficients - reflection * coefficients[::-1], reflection)
        variance *= 1 - reflection**2
        if variance <= 1e-12:
            break
        score = n * float(np.log(variance)) + 2 * order * n / (n - order - 1)  # Hurvich & Tsai, Biometrika 76 (1989)
        if score < best_score:
            best, best_score = coefficients, score
    return Memory(_extend(sample, best, n), best.size)


def _extend(sample: Array, coefficients: Array, count: int) -> Array:
    """The autocorrelation that the autoregression implies: the sample's own up to its order, then by its recursion."""
    order = coefficients.size
    if order == 0:
        return np.ones(1)
    correlation = list(sample[: order + 1])
    while len(correlation) < min(count, _MAX_LAGS) and max(map(abs, correlation[-order:])) > _NEGLIGIBLE:
        correlation.append(float(coefficients @ np.array(correlation[: -order - 1 : -1])))
    return np.array(correlation)


def ljung_box(residuals: Array, lags: int = 10) -> float | None:
    """The p-value of the Ljung-Box test that there is no autocorrelation up to `lags`; None for fewer than 3 lags of residuals."""
    n = residuals.size
    if n < 3 * lags:
        return None
    sample = autocorrelation(residuals, lags)
    if sample.size == 1:
        return None
    statistic = n * (n + 2) * float(np.sum(sample[1:] ** 2 / (n - np.arange(1, lags + 1))))
    from scipy.special import gammaincc  # here: a tenth of a second that only a judgement need spend

    return float(gammaincc(lags / 2, statistic / 2))  # the upper tail of chi-squared with `lags` degrees of freedom


def diagnose(residuals: Array) -> dict[str, Any]:
    """The residual diagnostics of a report: mean, lag-1 autocorrelation, Ljung-Box p-value, effective number of errors."""
    if residuals.size < 2:
        return {"mean": None, "autocorrelation": None, "ljung_box_p": None, "effective_count": None}
    fitted = memory(residuals)
    sample = autocorrelation(residuals, 1)
    return {
        "mean": float(residuals.mean()),
        "autocorrelation": float(sample[1]) if sample.size > 1 else None,
        "ljung_box_p": ljung_box(residuals),
        "effective_count": fitted.effective_for_mean(residuals.size),
    }


def block_length(residuals: Array) -> int:
    """Carlstein's length for blocks of an AR(1) of the same lag-1 autocorrelation: (sqrt(6) r / (1 - r^2))^(2/3) n^(1/3), at least 1."""
    n = residuals.size
    sample = autocorrelation(residuals, 1)
    r = min(abs(float(sample[1])), 0.999) if sample.size > 1 else 0.0
    return int(np.clip(np.ceil((np.sqrt(6) * r / (1 - r**2)) ** (2 / 3) * n ** (1 / 3)), 1, max(n // 3, 1)))


def bootstrap_rmse(residuals: Array, *, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> tuple[float, float] | None:
    """An interval of the RMSE by circular block bootstrap (percentiles); None for fewer than 8 residuals."""
    n = residuals.size
    if n < 8:
        return None
    length = block_length(residuals)
    squares = np.concatenate([residuals, residuals[: length - 1]]) ** 2
    sums = np.concatenate([[0.0], np.cumsum(squares)])
    block_means = (sums[length:] - sums[:-length]) / length  # of the block that begins at each of the n places
    generator = np.random.default_rng(seed)
    picks = generator.integers(0, n, size=(resamples, max(round(n / length), 1)))
    roots = np.sqrt(block_means[picks].mean(axis=1).clip(min=0))
    low, high = np.quantile(roots, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
