"""Bytes to columns. One decoder per format, one result: typed columns, what had the wrong type, and what could not be decoded.

A reading means the same whatever else is in its batch: the fast readers are only used where they accept exactly what the slow,
plain one accepts, and give the same values (held by a property test).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.telemetry.contract_spec import FieldKind
from twinwright.telemetry.line_template import SplitLines
from twinwright.telemetry.packed import Buffer
from twinwright.telemetry.payloads import Payload, Reason


class Column:
    """One field of every row. `values`: Float64, Int64, Boolean or String, null where missing or wrong; `wrong` marks rows
    where something was there but of another type (None: nowhere). Made of a series or of an array, and turned into the other when asked."""

    __slots__ = ("_array", "_series", "wrong")

    def __init__(self, values: pl.Series | pa.Array, wrong: NDArray[np.bool_] | None = None) -> None:
        self._series = values if isinstance(values, pl.Series) else None
        self._array = None if isinstance(values, pl.Series) else values
        self.wrong = wrong

    @property
    def values(self) -> pl.Series:
        """As a series of Polars, which keeps texts in another way than Arrow."""
        if self._series is None:
            series = pl.from_arrow(self._array)
            assert isinstance(series, pl.Series)
            self._series = series
        return self._series

    @property
    def array(self) -> pa.Array:
        """As an array of Arrow."""
        if self._array is None:
            assert self._series is not None
            self._array = self._series.to_arrow()
        return self._array

    @property
    def nulls(self) -> int:
        """How many rows have none."""
        return int(self.values.null_count() if self._array is None else self._array.null_count)


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A payload, or an element of one, that is not what its format says. It counts as one reading."""

    payload: int
    raw: bytes
    detail: str
    reason: Reason = "malformed"


@dataclass(frozen=True, slots=True)
class Joined:
    """The bodies of all `count` payloads in order, each a line; and these lines taken apart, where that was done."""

    buffer: Buffer
    count: int
    split: SplitLines | None


@dataclass(frozen=True, slots=True)
class Decoded:
    """`count` rows, each from payload `owner[row]`; `raw(row)` is the row as bytes that decode on their own.

    `joined` is there where decoding had to join the payloads: who needs them joined again can take it.
    """

    count: int
    columns: Mapping[str, Column]
    owner: NDArray[np.int32]
    raw: Callable[[int], bytes]
    undecodable: tuple[Undecodable, ...] = ()
    joined: Joined | None = None


class Decoder(Protocol):
    """Reads payloads of one contract. Keeps nothing between calls that changes what a payload means."""

    def decode(self, payloads: Sequence[Payload]) -> Decoded: ...


POLARS_TYPE: Mapping[FieldKind, type[pl.DataType]] = {
    "number": pl.Float64,
    "integer": pl.Int64,
    "boolean": pl.Boolean,
    "string": pl.String,
    "scalar": pl.String,
    "json": pl.String,
}


def empty(fields: Mapping[str, FieldKind], undecodable: Sequence[Undecodable] = ()) -> Decoded:
    """No rows."""
    columns = {name: Column(pl.Series(name, [], dtype=POLARS_TYPE[kind])) for name, kind in fields.items()}
    return Decoded(0, columns, np.empty(0, np.int32), lambda _: b"", tuple(undecodable))


def concatenate(parts: Sequence[Decoded], fields: Mapping[str, FieldKind]) -> Decoded:
    """Several results as one, rows in order."""
    undecodable = tuple(bad for part in parts for bad in part.undecodable)
    full = [part for part in parts if part.count]
    if len(full) <= 1:
        one = full[0] if full else empty(fields)
        return Decoded(one.count, one.columns, one.owner, one.raw, undecodable)
    columns = {}
    for name in fields:
        wrong = None
        if any(part.columns[name].wrong is not None for part in full):
            wrong = np.concatenate([_mask(part.columns[name].wrong, part.count) for part in full])
        columns[name] = Column(pl.concat([part.columns[name].values for part in full]), wrong)
    ends = np.cumsum([part.count for part in full])

    def raw(row: int) -> bytes:
        index = int(np.searchsorted(ends, row, side="right"))
        return full[index].raw(row - int(ends[index] - full[index].count))

    return Decoded(int(ends[-1]), columns, np.concatenate([part.owner for part in full]), raw, undecodable)


def _mask(wrong: NDArray[np.bool_] | None, count: int) -> NDArray[np.bool_]:
    return np.zeros(count, np.bool_) if wrong is None else wrong
