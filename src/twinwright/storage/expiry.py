"""Letting go of raw values that are old enough, and the roll-ups that take their place; whatever the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.storage.layout import MASK_BITS, ReadingTable

EXPIRE_HISTORY: Final = "expire-history"  # the kind of commit that lets go of raw values or of roll-ups
ROLLUP_SCHEMA: Final = pa.schema(
    [
        ("width", pa.int64()),  # microseconds of event time; a roll-up begins at a multiple of it
        ("twin", pa.int32()),
        ("path", pa.string()),
        ("source", pa.string()),
        ("time", pa.int64()),  # where it begins
        ("count", pa.int64()),  # of good values
        ("bad", pa.int64()),  # of bad ones
        ("sum", pa.float64()),
        ("min", pa.float64()),
        ("max", pa.float64()),
        ("first", pa.float64()),
        ("first_at", pa.int64()),
        ("last", pa.float64()),
        ("last_at", pa.int64()),
        ("unit", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Expiry:
    """Which values are let go of: some columns of a reading table, of some lifetimes, at start <= event time < before (microseconds).

    What lies at one of the `kept` (lifetime, time) stays, for state to stay a function of history.
    """

    table: ReadingTable
    columns: tuple[int, ...]
    twins: tuple[int, ...]
    start: int
    before: int
    kept: tuple[NDArray[np.int32], NDArray[np.int64]]

    @property
    def whole(self) -> bool:
        """Whether nothing is left of a row."""
        return len(self.columns) == len(self.table.columns)

    @property
    def said(self) -> str:
        """SQL: whether a row says anything in these columns."""
        return " OR ".join(f"v{j} IS NOT NULL OR (bad{j // MASK_BITS} & {1 << (j % MASK_BITS)}) <> 0" for j in self.columns)

    @property
    def emptied(self) -> str:
        """SQL: what is set for a row to say nothing in these columns."""
        masks: dict[int, int] = {}
        for j in self.columns:
            masks[j // MASK_BITS] = masks.get(j // MASK_BITS, 0) | 1 << (j % MASK_BITS)
        values = [f"v{j} = NULL" for j in self.columns]
        return ", ".join([*values, *(f"bad{m} = bad{m} & {~bits}" for m, bits in masks.items())])

    @property
    def empty(self) -> str:
        """SQL: whether a row says nothing at all."""
        values = [f"v{j} IS NULL" for j in range(len(self.table.columns))]
        return " AND ".join([*values, *(f"bad{m} = 0" for m in range(self.table.masks))])
