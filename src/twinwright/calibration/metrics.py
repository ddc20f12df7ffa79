"""How far a prediction is from what was observed: one definition per name, used by every report and by the gate.

With errors e = predicted - observed (y) over n pairs:

| name | definition | unit |
|---|---|---|
| rmse | sqrt(mean(e^2)) | that of y |
| mae | mean(abs(e)) | that of y |
| mape | 100 mean(abs(e / y)) over the pairs with abs(y) >= floor; how many were left out is told | % |
| nrmse | rmse / (max(y) - min(y)) | 1 |
| r2 | 1 - sum(e^2) / sum((y - mean(y))^2), the coefficient of determination | 1 |
| fit | 100 (1 - norm(e) / norm(y - mean(y))), the normalised fit of system identification | % |
| bias | mean(e): positive where the model reads high | that of y |
| skill | 1 - rmse / rmse of the baseline: 0 no better than it, 1 perfect | 1 |
| coverage | share of the observations inside the prediction band | 1 |

References: Hyndman & Koehler, "Another look at measures of forecast accuracy", Int. J. Forecasting 22 (2006), for rmse, mae, mape
and the comparison with a naive method; Ljung, "System Identification", 2nd ed. (1999), section 16.4, for fit; Murphy, "Skill scores
based on the mean square error", Mon. Weather Rev. 116 (1988), for skill (here on the root, so that it is linear in the error).

A metric that the data can't give (no pairs, constant observations, a baseline without error) is None, never NaN or infinite.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

MAPE_FLOOR_SHARE = 0.01  # of the observed range, where no floor is given


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one output over one window. `count` pairs were compared, `left_out` had a missing or non-finite side."""

    rmse: float | None = None
    mae: float | None = None
    mape: float | None = None
    nrmse: float | None = None
    r2: float | None = None
    fit: float | None = None
    bias: float | None = None
    skill: float | None = None
    coverage: float | None = None
    count: int = 0
    left_out: int = 0
    mape_floor: float | None = None
    mape_left_out: int = 0

    def as_json(self) -> dict[str, Any]:
        """The fixed JSON fields, missing numbers as None."""
        return asdict(self)


METRIC_NAMES = ("rmse", "mae", "mape", "nrmse", "r2", "fit", "bias", "skill", "coverage")


def measure(
    observed: ArrayLike,
    predicted: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    mape_floor: float | None = None,
) -> Metrics:
    """All metrics of `predicted` against `observed`, both of shape (n,) in one unit; pairs that are not finite are left out.

    `baseline` (shape (n,) or a scalar) is the naive prediction that skill compares with, on the same pairs; `low` and `high` are the
    prediction band for coverage; `mape_floor` (default: one hundredth of the observed range) is in the unit of `observed`.
    """
    y, p = np.asarray(observed, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    keep = np.isfinite(y) & np.isfinite(p)
    y, p, left_out = y[keep], p[keep], int(keep.size - np.count_nonzero(keep))
    if not y.size:
        return Metrics(left_out=left_out)
    e = p - y
    spread = float(np.ptp(y))
    rmse = _root_mean_square(e)
    deviation = float(np.linalg.norm(y - y.mean()))
    varied = spread > 0 and deviation > 0
    relative = float(np.linalg.norm(e)) / deviation if varied else None
    floor = MAPE_FLOOR_SHARE * spread if mape_floor is None else mape_floor
    judged = (np.abs(y) >= floor) & (y != 0)
    return Metrics(
        rmse=rmse,
        mae=float(np.mean(np.abs(e))),
        mape=_finite(100 * float(np.mean(np.abs(e[judged] / y[judged])))) if judged.any() else None,
        nrmse=_finite(rmse / spread) if varied else None,
        r2=_finite(1 - relative**2) if relative is not None else None,
        fit=_finite(100 * (1 - relative)) if relative is not None else None,
        bias=float(np.mean(e)),
        skill=None if baseline is None else _skill(rmse, y, _aligned(baseline, keep)),
        coverage=None if low is None or high is None else coverage(y, _aligned(low, keep), _aligned(high, keep)),
        count=int(y.size),
        left_out=left_out,
        mape_floor=floor,
        mape_left_out=int(y.size - np.count_nonzero(judged)),
    )


def coverage(observed: Array, low: Array, high: Array) -> float | None:
    """The share of the observations inside [low, high], over those where the band is finite; None without any."""
    known = np.isfinite(low) & np.isfinite(high)
    if not known.any():
        return None
    return float(np.mean((observed[known] >= low[known]) & (observed[known] <= high[known])))


def combine(each: dict[str, Metrics]) -> Metrics:
    """One row for several outputs: that of the only one; else the mean of what has no unit, and None for what has one."""
    if len(each) == 1:
        return next(iter(each.values()))
    rows = list(each.values())

    def mean(name: str) -> float | None:
        known = [value for row in rows if (value := getattr(row, name)) is not None]
        return float(np.mean(known)) if known else None

    return Metrics(
        mape=mean("mape"),
        nrmse=mean("nrmse"),
        r2=mean("r2"),
        fit=mean("fit"),
        skill=mean("skill"),
        coverage=mean("coverage"),
        count=sum(row.count for row in rows),
        left_out=sum(row.left_out for row in rows),
        mape_left_out=sum(row.mape_left_out for row in rows),
    )


def from_json(body: dict[str, Any]) -> Metrics:
    """Metrics as `as_json` wrote them."""
    return Metrics(**{f.name: body[f.name] for f in fields(Metrics) if f.name in body})


def _skill(rmse: float, y: Array, baseline: Array) -> float | None:
    if not np.isfinite(baseline).all():
        return None
    reference = _root_mean_square(baseline - y)
    return _finite(1 - rmse / reference) if reference > 0 else None


def _aligned(values: ArrayLike, keep: NDArray[np.bool_]) -> Array:
    return np.broadcast_to(np.asarray(values, dtype=np.float64), keep.shape)[keep]


def _root_mean_square(values: Array) -> float:
    scale = float(np.max(np.abs(values)))  # scaled: squares of tiny and huge values neither vanish nor overflow
    return scale * float(np.sqrt(np.mean((values / scale) ** 2))) if scale > 0 else 0.0


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
