"""What a DTDL schema admits beyond the type of its column: the values of an Enum, the range of an integer type, how a text is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from twinwright.schema import Enum, Primitive, Schema, check_value, integer_range

_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
_OFFSET: Final = r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_DATE: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIMES: Final[Mapping[str, str]] = {
    "date": f"^{_DATE}$",
    "dateTime": f"^{_DATE}[Tt]{_CLOCK}{_OFFSET}$",
    "time": f"^{_CLOCK}{_OFFSET}?$",
}
"""Of texts that may differ in every reading: looked at by column."""
_TEXTS: Final[Mapping[str, str]] = {
    "date": "a date as 2026-03-01",
    "dateTime": "a time as 2026-03-01T08:00:00Z",
    "duration": "a duration as PT10M",
    "time": "a time of day as 08:00:00",
    "uuid": "a UUID",
}


@dataclass(frozen=True, slots=True)
class Admitted:
    """`values`: these and no others. `range`: from the first to the second, both included. `text`: written as this DTDL type is."""

    values: tuple[str | int, ...] | None = None
    range: tuple[int, int] | None = None
    text: str | None = None

    def __contains__(self, value: object) -> bool:
        if self.values is not None:
            return any(type(value) is type(one) and value == one for one in self.values)
        if self.text is not None:
            return not check_value(value, Primitive(self.text))
        return self.range is None or (isinstance(value, int) and self.range[0] <= value <= self.range[1])

    def __str__(self) -> str:
        if self.values is not None:
            return f"one of {', '.join(map(str, self.values[:10]))}" + (" ..." if len(self.values) > 10 else "")
        if self.text is not None:
            return _TEXTS[self.text]
        return "a whole number" if self.range is None else f"a whole number from {self.range[0]} to {self.range[1]}"

    def foreign(self, values: pl.Series, there: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """Of the rows that are `there`, those with a value that is not admitted; None where all are."""
        if self.values is not None:
            inside = values.is_in(list(self.values)).fill_null(False)
        elif self.range is not None:
            inside = values.is_between(*self.range).fill_null(False)
        elif self.text is not None and self.text in _TIMES:
            inside = _times(values, self.text)
        elif self.text is not None:
            inside = values.is_in([value for value in values.unique().drop_nulls() if value in self]).fill_null(False)
        else:
            return None
        odd = there & ~inside.to_numpy()
        return odd if odd.any() else None


def admitted(schema: Schema) -> Admitted | None:
    """None where every value of the column's type is an instance of the schema."""
    if isinstance(schema, Enum):
        return Admitted(values=tuple(item.value for item in schema.values))
    if isinstance(schema, Primitive) and schema.name in _TEXTS:
        return Admitted(text=schema.name)
    limits = integer_range(schema)
    return None if limits is None or limits == (-(2**63), 2**63 - 1) else Admitted(range=limits)


def _times(values: pl.Series, name: str) -> pl.Series:
    """Which of the texts are dates or times that there are: what `check_value` says of each."""
    inside = values.str.contains(_TIMES[name])
    if name != "time":
        there = values.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False).is_not_null()
        inside = inside & there & ~values.str.starts_with("0000")  # no year of the calendar
    return inside.fill_null(False)
