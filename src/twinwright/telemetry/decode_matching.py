"""The readings of a payload that are a contract's own, where several contracts share a source."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import polars as pl
from numpy.typing import NDArray

from twinwright.expressions import Checked
from twinwright.telemetry.decode import Column, Decoded, Decoder, Undecodable
from twinwright.telemetry.matching import Matching
from twinwright.telemetry.payloads import Payload


class MatchingDecoder:
    """Keeps what a matching rule gives to its contract. What nobody takes, and what can't be decoded, is refused by the last one."""

    def __init__(self, inner: Decoder, matching: Matching) -> None:
        self._inner, self._matching = inner, matching

    def decode(self, payloads: Sequence[Payload]) -> Decoded:
        decoded = self._inner.decode(payloads)
        taken = reduce(np.logical_or, (self._holds(one, decoded) for one in self._matching.earlier), np.zeros(decoded.count, np.bool_))
        own = None if self._matching.own is None else self._holds(self._matching.own, decoded)
        kept = ~taken if own is None else own & ~taken
        undecodable = decoded.undecodable if self._matching.last else ()
        if self._matching.last and own is not None:
            undecodable += tuple(
                Undecodable(int(decoded.owner[row]), decoded.raw(int(row)), "no contract on this source matches it")
                for row in np.flatnonzero(~own & ~taken)
            )
        return _rows(decoded, np.flatnonzero(kept), undecodable)

    @staticmethod
    def _holds(condition: Checked, decoded: Decoded) -> NDArray[np.bool_]:
        """In which rows it does; where a field that it needs is missing or of another type it does not."""
        values = {name: decoded.columns[name].values for name in condition.names}
        return condition.columns(values, decoded.count).fill_null(False).to_numpy()


def _rows(decoded: Decoded, rows: NDArray[np.intp], undecodable: tuple[Undecodable, ...]) -> Decoded:
    if len(rows) == decoded.count:
        return Decoded(decoded.count, decoded.columns, decoded.owner, decoded.raw, undecodable, decoded.joined)
    index = pl.Series(rows, dtype=pl.UInt32)
    columns = {
        name: Column(column.values.gather(index), None if column.wrong is None else column.wrong[rows])
        for name, column in decoded.columns.items()
    }
    return Decoded(len(rows), columns, decoded.owner[rows], lambda row: decoded.raw(int(rows[row])), undecodable, decoded.joined)
