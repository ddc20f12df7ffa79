"""A numeric history of one path of one twin, as models, calibration and charts read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twinwright.governance.principals import Principal


@dataclass(frozen=True, slots=True)
class Series:
    """`times` int64 microseconds, strictly increasing; `values` float64 in `unit` (None: dimensionless); `good` bool.

    A value whose `good` is False is NaN. All three have the same length.
    """

    times: NDArray[np.int64]
    values: NDArray[np.float64]
    good: NDArray[np.bool_]
    unit: str | None

    def only_good(self) -> Series:
        """Without what is marked bad."""
        return Series(self.times[self.good], self.values[self.good], self.good[self.good], self.unit)


class SeriesReader(Protocol):
    """Where observed history comes from. Times are microseconds; `start` is included, `end` is not."""

    def series(
        self,
        principal: Principal,
        twin: str,
        path: str,
        *,
        start: int | None = None,
        end: int | None = None,
        unit: str | None = None,
        known_at: int | None = None,
    ) -> Series:
        """The current observed values of `path`, in `unit` (default: the property's). Raises NotFoundError, UnitError."""
        ...

    def unit_of(self, twin: str, path: str) -> str | None:
        """The unit in which the property of the twin's interface is declared. Raises NotFoundError."""
        ...
