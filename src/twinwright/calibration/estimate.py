"""Bounded least squares from several starts: the search. What the optimum is worth is in `uncertainty.py`.

The search is SciPy's trust-region reflective method (Branch, Coleman & Li, SIAM J. Sci. Comput. 21 (1999)) in scaled variables, from
the declared values first and then from the best points of a seeded Latin hypercube inside the bounds (McKay, Beckman & Conover,
Technometrics 21 (1979)). It ends early once three starts have found the same minimum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinwright.calibration.metrics import Array

PENALTY = 1e6  # stands for a residual that is not finite: a model that diverged there, far worse than any that did not
SCREENED = 8  # points of the hypercube tried per start, of which the best are started from
SAME_COST = 1e-3  # two minima whose costs differ by less, relatively, are the same
ENOUGH_ALIKE = 3  # starts that agree before the search ends early
AT_BOUND = 1e-3  # of the scaled range

Residuals = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class FreeParameters:
    """What is estimated: names with start values and bounds (infinite where there is none), all of length k."""

    names: tuple[str, ...]
    start: Array
    low: Array
    high: Array


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """`starts` at most, each with at most `max_evaluations` steps; `seed` of the hypercube."""

    starts: int = 8
    seed: int = 0
    max_evaluations: int = 200


@dataclass(frozen=True, slots=True)
class Optimum:
    """Where the search ended: values (k,), residuals (n,) and Jacobian (n, k) there in natural units, and how it went."""

    values: Array
    residuals: Array
    jacobian: Array
    at_bound: NDArray[np.bool_]
    converged: bool
    starts_run: int
    starts_agreeing: int
    evaluations: int


class Scaling:
    """Scaled variables: the bounds become 0 and 1, on a logarithmic scale where they are positive and span two decades or more."""

    def __init__(self, free: FreeParameters) -> None:
        bounded = np.isfinite(free.low) & np.isfinite(free.high)
        with np.errstate(invalid="ignore", divide="ignore"):
            self.logarithmic = bounded & (free.low > 0) & (free.high >= 100 * free.low)
            width = np.where(bounded, free.high - free.low, np.where(free.start != 0, np.abs(free.start), 1.0))
        self.offset = np.where(bounded, free.low, 0.0)
        self.width = width
        self.ratio = np.log(np.where(self.logarithmic, free.high / np.where(self.logarithmic, free.low, 1.0), np.e))
        self.low, self.high = self.scaled(free.low), self.scaled(free.high)
        self.bounded = bounded

    def scaled(self, values: Array) -> Array:
        """Natural values (k,) in scaled variables."""
        linear = (values - self.offset) / self.width
        positive = np.where(self.logarithmic & (values > 0), values, 1.0)
        base = np.where(self.logarithmic, self.offset, 1.0)
        return np.where(self.logarithmic, np.log(positive / base) / self.ratio, linear)

    def natural(self, scaled: Array) -> Array:
        """Scaled variables (k,) in natural values."""
        exponent = np.where(self.logarithmic, scaled * self.ratio, 0.0)
        return np.where(self.logarithmic, self.offset * np.exp(exponent), self.offset + self.width * scaled)

    def slope(self, scaled: Array) -> Array:
        """d natural / d scaled at a point, (k,)."""
        return np.where(self.logarithmic, self.natural(scaled) * self.ratio, self.width)


def latin_hypercube(count: int, dimensions: int, generator: np.random.Generator) -> Array:
    """`count` points in the unit cube, one in each of `count` slices along every axis; shape (count, dimensions)."""
    slices = np.stack([generator.permutation(count) for _ in range(dimensions)], axis=1)
    return np.asarray((slices + generator.random((count, dimensions))) / count, dtype=np.float64)


def search(residuals: Residuals, free: FreeParameters, options: SearchOptions) -> Optimum:
    """Minimise the sum of squares of `residuals(values)` (n,) over the free parameters; the same arguments give the same answer."""
    from scipy.optimize import least_squares  # here: half a second that a process which only declares a search need not spend

    scaling = Scaling(free)
    calls = 0

    def scaled_residuals(z: Array) -> Array:
        nonlocal calls
        calls += 1
        return np.nan_to_num(residuals(scaling.natural(z)), nan=PENALTY, posinf=PENALTY, neginf=-PENALTY).clip(-PENALTY, PENALTY)

    fits = []
    agreeing = 0
    for start in _starts(scaled_residuals, free, scaling, options):
        fits.append(least_squares(scaled_residuals, start, bounds=(scaling.low, scaling.high), max_nfev=options.max_evaluations))
        least = min(fit.cost for fit in fits)
        agreeing = sum(fit.cost <= least * (1 + SAME_COST) + 1e-300 for fit in fits)
        if agreeing >= ENOUGH_ALIKE:
            break
    best = min(fits, key=lambda fit: fit.cost)
    z = np.asarray(best.x, dtype=np.float64)
    return Optimum(
        values=np.clip(scaling.natural(z), free.low, free.high),
        residuals=np.asarray(best.fun, dtype=np.float64),
        jacobian=np.asarray(best.jac, dtype=np.float64) / scaling.slope(z),
        at_bound=_at_bound(z, np.asarray(best.grad), scaling),
        converged=best.status > 0,
        starts_run=len(fits),
        starts_agreeing=agreeing,
        evaluations=calls,
    )


def _starts(residuals: Residuals, free: FreeParameters, scaling: Scaling, options: SearchOptions) -> list[Array]:
    """The declared values, then the best of a Latin hypercube (around the declared value where a parameter has no bounds)."""
    declared = scaling.scaled(np.clip(free.start, free.low, free.high))
    if options.starts <= 1:
        return [declared]
    generator = np.random.default_rng(options.seed)
    points = latin_hypercube(SCREENED * (options.starts - 1), len(free.names), generator)
    points = np.where(scaling.bounded, points, np.clip(declared + 2 * points - 1, scaling.low, scaling.high))
    costs = [float(np.sum(residuals(point) ** 2)) for point in points]
    order = np.argsort(costs, kind="stable")[: options.starts - 1]
    return [declared, *points[order]]


def _at_bound(z: Array, gradient: Array, scaling: Scaling) -> NDArray[np.bool_]:
    """Close to a bound, with a cost that falls towards it (an interior method never lies on a bound itself)."""
    low = (z - scaling.low < AT_BOUND) & (gradient >= 0)
    high = (scaling.high - z < AT_BOUND) & (gradient <= 0)
    return np.asarray(low | high, dtype=np.bool_)
