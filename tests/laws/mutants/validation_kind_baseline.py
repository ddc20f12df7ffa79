"""Broken: compares with the mean of the window itself, which nobody knows before it is over, instead of with the last value before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twinwright.calibration.baseline import BEFORE, Baseline
from twinwright.calibration.metrics import Array


def persistence(times: NDArray[np.int64], values: Array, start: int, end: int, *, previous: float | None = None) -> Baseline:
    first, last = np.searchsorted(times, [start, end])
    return Baseline(BEFORE, np.full(int(last - first), values[first:last].mean()))
