"""What a DTDL schema admits beyond the type of its column: the values of an Enum, the range of an integer type."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from twinwright.schema import Enum, Schema, integer_range


@dataclass(frozen=True, slots=True)
class Admitted:
    """`values`: these and no others. `range`: from the first to the second, both included."""

    values: tuple[str | int, ...] | None = None
    range: tuple[int, int] | None = None

    def __contains__(self, value: object) -> bool:
        if self.values is not None:
            return any(type(value) is type(one) and value == one for one in self.values)
        return self.range is None or (isinstance(value, int) and self.range[0] <= value <= self.range[1])

    def __str__(self) -> str:
        if self.values is not None:
            return f"one of {', '.join(map(str, self.values[:10]))}" + (" ..." if len(self.values) > 10 else "")
        return "a whole number" if self.range is None else f"a whole number from {self.range[0]} to {self.range[1]}"

    def foreign(self, values: pl.Series, there: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """Of the rows that are `there`, those with a value that is not admitted; None where all are."""
        if self.values is not None:
            inside = values.is_in(list(self.values)).fill_null(False)
        elif self.range is not None:
            inside = values.is_between(*self.range).fill_null(False)
        else:
            return None
        odd = there & ~inside.to_numpy()
        return odd if odd.any() else None


def admitted(schema: Schema) -> Admitted | None:
    """None where every value of the column's type is an instance of the schema."""
    if isinstance(schema, Enum):
        return Admitted(values=tuple(item.value for item in schema.values))
    limits = integer_range(schema)
    return None if limits is None or limits == (-(2**63), 2**63 - 1) else Admitted(range=limits)
