"""Values that are written as text, in CSV cells and in attributes of events."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from twinwright.telemetry.contract_spec import FieldKind
from twinwright.telemetry.decode import POLARS_TYPE, Column

_TRUE, _FALSE = ("true", "True", "TRUE", "1"), ("false", "False", "FALSE", "0")


def from_text(text: pl.Series, kind: FieldKind) -> Column:
    """Values that are written as text, as a kind; what can't be read as it is wrong."""
    if kind in ("string", "scalar"):
        return Column(text)
    trimmed = text.str.strip_chars()
    if kind == "boolean":
        values = trimmed.replace_strict(dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False), default=None, return_dtype=pl.Boolean)
    else:
        values = trimmed.cast(POLARS_TYPE[kind], strict=False)
    if kind == "integer" and values.null_count() > text.null_count():
        values = values.fill_null(_whole(trimmed))
    return Column(values, misread(text, values))


def misread(before: pl.Series, after: pl.Series) -> NDArray[np.bool_] | None:
    """Where something was there and no value came of it; None: nowhere."""
    wrong = (before.is_not_null() & after.is_null()).to_numpy()
    return wrong if wrong.any() else None


def _whole(text: pl.Series) -> pl.Series:
    """Whole numbers that are written as `1.0` or `1e3`, as JSON and typed columns take them."""
    written = pl.select(pl.when(text.str.contains("[.eE]")).then(text)).to_series().cast(pl.Float64, strict=False)
    whole = written.cast(pl.Int64, strict=False)
    return pl.select(pl.when(whole.cast(pl.Float64) == written).then(whole)).to_series()
