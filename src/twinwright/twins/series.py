"""A numeric history of one path of one twin, as models, calibration and charts read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright import units
from twinwright.errors import UsageError
from twinwright.governance.principals import Principal
from twinwright.storage.protocol import GOOD


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


def numbers(rows: pa.Table, unit: str | None, path: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(values in `unit` with NaN where bad, good). Raises UsageError for text."""
    types = set(rows["type"].unique().to_pylist())
    if "VARCHAR" in types:
        raise UsageError("the values are text, not numbers", where=path, remedy="Choose a numeric path, or leave out unit and resampling")
    good = np.asarray(rows["kind"].to_numpy()) == GOOD
    values = rows["num"].to_numpy(zero_copy_only=False).astype(np.float64)
    whole = rows["int"].to_numpy(zero_copy_only=False).astype(np.float64)
    values = np.where(np.isnan(values), whole, values) if len(values) else values
    names = rows["unit"].combine_chunks().dictionary_encode(null_encoding="encode")
    for index, name in enumerate(names.dictionary.to_pylist()):
        affine = units.converter(name, unit)
        if not affine.is_identity:
            mine = names.indices.to_numpy() == index
            values[mine] = affine.apply(values[mine])
    return np.where(good, values, np.nan), good


def whole_numbers(rows: pa.Table, unit: str | None) -> pa.ChunkedArray | None:
    """The values as 64-bit integers, null where bad, if that is what all of them are in `unit`: float64 is exact to 2^53 only."""
    if rows["type"].unique().to_pylist() != ["BIGINT"]:
        return None
    if not all(units.converter(name, unit).is_identity for name in rows["unit"].unique().to_pylist()):
        return None
    return pa.compute.if_else(pa.compute.equal(rows["kind"], GOOD), rows["int"], None)
