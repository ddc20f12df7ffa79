"""What an optimum is worth: covariance and intervals that residual autocorrelation has not made too narrow, and warnings.

With the Jacobian J at the optimum and residuals e of variance s^2 and autocorrelation R, the covariance of least squares is the
sandwich (J'J)^-1 J' s^2 R J (J'J)^-1 (Newey & West, Econometrica 55 (1987), for the form; R here from a fitted autoregression as in
den Haan & Levin (1997), which holds up where a truncated kernel is too short). s^2 is corrected for what the fit absorbed:
E[e'e] = s^2 tr((I - P) R) with P the projection on J. The t-quantile has as many degrees of freedom as the residuals have independent
values for a variance (Bayley & Hammersley (1946)) less the number of parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinwright.calibration.estimate import FreeParameters, Optimum
from twinwright.calibration.metrics import Array
from twinwright.calibration.residuals import Memory, memory

LEVEL = 0.95
RANK_TOLERANCE = 1e-6  # of the largest singular value of the column-scaled Jacobian: about what finite differences resolve
NULL_SHARE = 0.1  # of a parameter's direction in the null space from which it counts as not identifiable
CORRELATED = 0.99


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Intervals low, high (k,), NaN where there is none; covariance (k, k), zero where a parameter is held at its bound.

    `deviation` is the standard deviation of the residuals of each block (b,); `quantile` the t-quantile that the intervals use;
    `effective_count` how many independent residuals there are; `warnings` what a reader must know, in plain words.
    """

    low: Array
    high: Array
    covariance: Array
    deviation: Array
    quantile: float
    effective_count: float
    warnings: tuple[str, ...]


def assess(optimum: Optimum, free: FreeParameters, blocks: Sequence[int]) -> Uncertainty:
    """The uncertainty of an optimum whose residuals are `blocks` contiguous series (one per output) of these lengths."""
    from scipy.special import stdtrit  # here, as below: a tenth of a second that only a fit need spend

    held = optimum.at_bound | ~np.isfinite(optimum.jacobian).all(axis=0)
    jacobian = np.where(held, 0.0, np.where(np.isfinite(optimum.jacobian), optimum.jacobian, 0.0))
    bread, unidentifiable = _bread(jacobian)
    ends = np.cumsum(blocks)
    slices = [slice(int(end - size), int(end)) for end, size in zip(ends, blocks, strict=True)]
    naive = _Meat.of(optimum.residuals, jacobian, bread, slices, absorbed=0.0, whiten=True)
    first = _Meat.of(optimum.residuals, jacobian, bread, slices, absorbed=0.0)
    meat = _Meat.of(optimum.residuals, jacobian, bread, slices, absorbed=first.absorbed)
    covariance = _at_least(bread @ meat.matrix @ bread * meat.correction, bread @ naive.matrix @ bread * naive.correction)
    freedom = max(meat.for_variance - np.count_nonzero(~held), 1.0)
    quantile = float(stdtrit(freedom, (1 + LEVEL) / 2))
    half = quantile * np.sqrt(np.diag(covariance).clip(min=0))
    half[held | unidentifiable] = np.nan
    low, high = optimum.values - half, optimum.values + half
    warnings = [
        *_bound_warnings(optimum, free),
        *_identifiability_warnings(free, unidentifiable & ~held, half),
        *_correlation_warnings(free, covariance, held | unidentifiable),
    ]
    if not optimum.converged:
        warnings.append("the search used up its evaluations before it converged: raise --starts, or narrow the bounds")
    deviation = meat.deviation * np.sqrt(meat.correction)
    return Uncertainty(low, high, covariance, deviation, quantile, meat.for_mean, tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Meat:
    """The middle of the sandwich, J' s^2 R J, and what belongs to it; s^2 still to be multiplied by `correction`."""

    matrix: Array
    absorbed: float
    correction: float
    deviation: Array
    for_mean: float
    for_variance: float

    @classmethod
    def of(
        cls, residuals: Array, jacobian: Array, bread: Array, blocks: Sequence[slice], *, absorbed: float, whiten: bool = False
    ) -> _Meat:
        from scipy.linalg import matmul_toeplitz

        matrix, taken, deviation, for_mean, for_variance = np.zeros_like(bread), 0.0, [], 0.0, 0.0
        for block in blocks:
            e, j = residuals[block], jacobian[block]
            fitted = Memory(np.ones(1), 0) if whiten else memory(e, absorbed * e.size / residuals.size)
            correlated = j.T @ matmul_toeplitz(fitted.until(e.size), j)
            variance = float(np.mean(e**2))
            taken += float(np.trace(bread @ correlated))
            matrix += variance * correlated
            deviation.append(np.sqrt(variance))
            for_mean += fitted.effective_for_mean(e.size)
            for_variance += fitted.effective_for_variance(e.size)
        n = residuals.size
        return cls(matrix, taken, n / max(n - taken, 0.2 * n), np.array(deviation), for_mean, for_variance)


def _at_least(covariance: Array, floor: Array) -> Array:
    """The covariance, its variances raised to those of `floor`: noise in an estimated autocorrelation narrows nothing."""
    own, least = np.diag(covariance), np.diag(floor)
    raised = np.sqrt(np.where(own > 0, np.maximum(own, least) / np.where(own > 0, own, 1.0), 1.0))
    return np.asarray(covariance * np.outer(raised, raised), dtype=np.float64)


def _bread(jacobian: Array) -> tuple[Array, NDArray[np.bool_]]:
    """(J'J)^-1 over the directions that the data determine, and which parameters lie in the others."""
    k = jacobian.shape[1]
    norms = np.linalg.norm(jacobian, axis=0)
    silent = norms <= 0
    scale = np.where(silent, 1.0, norms)
    _, singular, directions = np.linalg.svd(jacobian / scale, full_matrices=False)
    if singular.size == 0:
        return np.zeros((k, k)), silent
    kept = singular > RANK_TOLERANCE * singular[0] if singular[0] > 0 else np.zeros(singular.size, dtype=bool)
    basis = directions[kept]
    null_share = 1 - np.sum(basis**2, axis=0)
    bread = (basis.T / singular[kept] ** 2) @ basis / np.outer(scale, scale)
    return bread, silent | (null_share > NULL_SHARE)


def _bound_warnings(optimum: Optimum, free: FreeParameters) -> list[str]:
    return [
        f"{name} ended at its {'lower' if value - low < high - value else 'upper'} bound {low if value - low < high - value else high:g}: "
        "it has no interval; widen the bound if that is physical, or fix the parameter"
        for name, value, low, high, at in zip(free.names, optimum.values, free.low, free.high, optimum.at_bound, strict=True)
        if at
    ]


def _identifiability_warnings(free: FreeParameters, unidentifiable: NDArray[np.bool_], half: Array) -> list[str]:
    warnings = []
    lost = [name for name, yes in zip(free.names, unidentifiable, strict=True) if yes]
    if lost:
        warnings.append(f"{', '.join(lost)} can't be identified from these data: fix some of them, or excite the system more")
    for name, width, low, high, start in zip(free.names, half, free.low, free.high, free.start, strict=True):
        allowed = (high - low) / 2 if np.isfinite(high - low) else 2 * abs(start)
        if np.isfinite(width) and allowed > 0 and width > allowed:
            warnings.append(f"the interval of {name} is wider than its bounds: these data say little about it")
    return warnings


def _correlation_warnings(free: FreeParameters, covariance: Array, without: NDArray[np.bool_]) -> list[str]:
    spread = np.sqrt(np.diag(covariance).clip(min=0))
    known = [i for i in range(len(free.names)) if not without[i] and spread[i] > 0]
    return [
        f"{free.names[i]} and {free.names[j]} are correlated ({covariance[i, j] / (spread[i] * spread[j]):+.3f}): "
        "the data determine a combination of them better than each"
        for place, i in enumerate(known)
        for j in known[place + 1 :]
        if abs(covariance[i, j]) > CORRELATED * spread[i] * spread[j]
    ]
