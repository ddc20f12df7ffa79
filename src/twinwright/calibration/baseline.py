"""The naive prediction that a model has to beat: persistence, the last value observed before a window, held over it.

For a calibration that is the last value of the training part, held over the holdout; for a validation the last value observed before
`--from`. Where nothing was observed before the window, its own first observation is held (and named so), which is kind to the
baseline. Persistence is the usual reference of free-run forecasts: it uses no model and nothing later than the window's start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinwright.calibration.metrics import Array


@dataclass(frozen=True, slots=True)
class Baseline:
    """A naive prediction with the name that stands beside every skill. `values` has the shape of the window's observations."""

    name: str
    values: Array


BEFORE = "persistence: the last value observed before the window, held over it"
WITHIN = "persistence: the first value observed in the window, held over it"


def persistence(times: NDArray[np.int64], values: Array, start: int, end: int, *, previous: float | None = None) -> Baseline:
    """Persistence over the observations with `start` <= time < `end`; `times` (microseconds) are strictly increasing.

    `previous` is the last value observed before `times` begin, where one is known.
    """
    first, last = np.searchsorted(times, [start, end])
    count = max(int(last - first), 0)
    if first > 0:
        return Baseline(BEFORE, np.full(count, values[first - 1], dtype=np.float64))
    if previous is not None:
        return Baseline(BEFORE, np.full(count, previous, dtype=np.float64))
    return Baseline(WITHIN, np.full(count, values[first] if count else np.nan, dtype=np.float64))
