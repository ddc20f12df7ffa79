"""InfluxDB line protocol: a point a line, `measurement,tag=value field=1.5,count=3i,ok=t,note="text" 1556813561098000000`.

Source: the reference of line protocol of InfluxDB v2. A newline always ends a point; lines that begin with `#` are comments. Where a
line gives a key twice, the last one counts. Plain lines are read in columns; those with escapes, and whatever is not plain, by a
reader of single lines, which gives the same pieces of text: what these mean is decided in one place for both.

Timestamps count from the epoch in the payload's precision and are cut off to microseconds. A line without one has no time: to give it
that of its arrival would make another reading of each repetition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from twinwright.telemetry.contract_spec import FieldKind
from twinwright.telemetry.decode import POLARS_TYPE, Column, Decoded, Undecodable, empty
from twinwright.telemetry.formats import FIELDS, MEASUREMENT, PRECISION_CAPTURE, PRECISIONS, TAGS, TIMESTAMP, Precision
from twinwright.telemetry.line_reader import FIELD, TAG, PointReader
from twinwright.telemetry.payloads import Payload

_BOOLEAN = "[tTfF]|true|True|TRUE|false|False|FALSE"
_KEY = r"((?:\\[,= ]|[^,= ])++)"
_NAME: Final = re.compile(r"((?:\\[, ]|[^, ])++)")
_TAG: Final = re.compile(rf",{_KEY}={_KEY}")
_FLOAT = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_FIELD: Final = re.compile(rf'{_KEY}=("(?:[^"\\]|\\.)*+"|-?[0-9]+i|[0-9]+u|{_FLOAT}|(?:{_BOOLEAN}))(?=[, ]|\Z)')
_TIME: Final = re.compile(r" *(-?[0-9]+)?\Z")
_ESCAPED: Final = re.compile(r"\\([,= ])")
_TRUTH: Final = {**dict.fromkeys(("t", "T", "true", "True", "TRUE"), True), **dict.fromkeys(("f", "F", "false", "False", "FALSE"), False)}
_MICROSECONDS: Final[Mapping[Precision, int]] = {"us": 1, "ms": 1_000, "s": 1_000_000}
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # the years that can be written


class LineProtocolDecoder:
    """Decodes the `fields` of a contract, named as in `formats`. `precision` is what timestamps count where the payload does not say.

    Tags are text. A field is text, a boolean or a number: `12i` and `12u` are whole numbers, `12` is a float.
    """

    def __init__(self, fields: Mapping[str, FieldKind], precision: Precision) -> None:
        self._fields = fields
        self._precision: Precision = precision
        keys = [name for name in fields if name.startswith((TAGS, FIELDS))]
        self._pieces = [*keys, MEASUREMENT, TIMESTAMP]
        self._reader = PointReader([_key(name) for name in keys])

    def decode(self, payloads: Sequence[Payload]) -> Decoded:
        buffer, bounds, undecodable = _joined(payloads)
        points = self._reader.read(buffer)
        owner = (np.searchsorted(bounds, points.starts, side="right") - 1).astype(np.int32)
        pieces = {name: piece.alias(name) for name, piece in zip(self._pieces, points.pieces, strict=True)}

        def line(at: int) -> bytes:
            return buffer[points.starts[at] : points.ends[at]]

        read: list[int] = []
        others: list[dict[str, str]] = []
        whole = np.ones(len(owner), np.bool_)
        for at in np.flatnonzero(~points.sure).tolist():
            try:
                others.append(_point(line(at).decode()))
                read.append(at)
            except ValueError as error:
                whole[at] = False
                undecodable.append(Undecodable(int(owner[at]), line(at), f"not line protocol: {error}"))
        if others:
            pieces = {name: piece.scatter(read, [point.get(name) for point in others]) for name, piece in pieces.items()}
        rows = np.flatnonzero(whole)
        if not len(rows):
            return empty(self._fields, undecodable)
        if len(rows) < len(owner):
            pieces = {name: piece.gather(rows) for name, piece in pieces.items()}
        columns = {name: self._column(name, pieces[name], owner[rows], payloads) for name in self._fields}
        return Decoded(len(rows), columns, owner[rows], lambda row: line(int(rows[row])), tuple(undecodable))

    def _column(self, name: str, pieces: pl.Series, owner: NDArray[np.int32], payloads: Sequence[Payload]) -> Column:
        kind = self._fields[name]
        if name == TIMESTAMP:
            return _moments(pieces, self._units(owner, payloads))
        if name.startswith(FIELDS):
            return _typed(pieces, kind)
        if kind in ("string", "scalar"):
            return Column(pieces)
        return Column(pl.Series(name, [None] * len(pieces), dtype=POLARS_TYPE[kind]), pieces.is_not_null().to_numpy())

    def _units(self, owner: NDArray[np.int32], payloads: Sequence[Payload]) -> NDArray[np.str_]:
        return np.array([payload.captures.get(PRECISION_CAPTURE, self._precision) for payload in payloads])[owner]


def _key(name: str) -> tuple[int, str]:
    return (TAG, name.removeprefix(TAGS)) if name.startswith(TAGS) else (FIELD, name.removeprefix(FIELDS))


def _joined(payloads: Sequence[Payload]) -> tuple[bytes, NDArray[np.int64], list[Undecodable]]:
    """What can be read of all payloads, each ended by a newline; where each begins; and what can't."""
    bodies: list[bytes] = []
    undecodable: list[Undecodable] = []
    for index, payload in enumerate(payloads):
        body, given = payload.body, payload.captures.get(PRECISION_CAPTURE, PRECISIONS[0])
        if given not in PRECISIONS:
            undecodable.append(Undecodable(index, body, f"the precision '{given}' is none of {', '.join(PRECISIONS)}"))
            body = b""
        elif not body.strip():
            undecodable.append(Undecodable(index, body, "the payload is empty"))
            body = b""
        elif not _is_utf8(body):
            lines = [line for line in body.split(b"\n") if not line.lstrip(b" \r").startswith(b"#")]
            undecodable += [Undecodable(index, line, "not line protocol: it is not UTF-8") for line in lines if not _is_utf8(line)]
            body = b"\n".join(line for line in lines if _is_utf8(line))
        bodies.append(body)
    bounds = np.cumsum([0, *(len(body) + 1 for body in bodies)])[:-1]
    return b"\n".join([*bodies, b""]), bounds, undecodable


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _point(line: str) -> dict[str, str]:
    """The pieces of one line by their names. Raises ValueError for what is not a point."""
    found = _NAME.match(line)
    if found is None:
        raise ValueError("the measurement is missing")
    point = {MEASUREMENT: re.sub(r"\\([, ])", r"\1", found[1])}
    at = found.end()
    while (tag := _TAG.match(line, at)) is not None:
        point[TAGS + _ESCAPED.sub(r"\1", tag[1])] = _ESCAPED.sub(r"\1", tag[2])
        at = tag.end()
    start = len(line) - len(line[at:].lstrip(" "))
    if start == at:
        raise ValueError(f"a tag or a space is expected at character {at + 1}")
    at, comma = start, ","
    while comma == ",":
        field = _FIELD.match(line, at)
        if field is None:
            raise ValueError(f"a field with its value is expected at character {at + 1}")
        point[FIELDS + _ESCAPED.sub(r"\1", field[1])] = field[2]
        comma = line[field.end() : field.end() + 1]
        at = field.end() + len(comma)
    time = _TIME.match(line, at)
    if time is None:
        raise ValueError(f"a timestamp is expected at character {at + 1}")
    if time[1]:
        point[TIMESTAMP] = time[1]
    return point


def _typed(pieces: pl.Series, kind: FieldKind) -> Column:
    """Values of fields as they are written, as a kind."""
    if kind in ("string", "scalar"):
        quoted = pieces.str.starts_with('"')
        text = pieces.str.slice(1, pieces.str.len_chars() - 2).str.replace_all(r'\\(["\\])', "${1}")
        if kind == "string":
            values = pl.select(pl.when(quoted).then(text)).to_series()
        else:
            truth = pieces.replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean).cast(pl.String)
            values = pl.select(pl.when(quoted).then(text).otherwise(truth.fill_null(pieces.str.replace("[iu]$", "")))).to_series()
    elif kind == "boolean":
        values = pieces.replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean)
    else:
        digits = pl.select(
            pl.when(pieces.str.contains("^[-+.0-9]")).then(pieces.str.replace("[iu]$", "").str.strip_prefix("+"))
        ).to_series()
        numbers = digits.cast(pl.Float64, strict=False)
        values = numbers if kind == "number" else digits.cast(pl.Int64, strict=False).fill_null(_whole(numbers, digits))
    wrong = (pieces.is_not_null() & values.is_null()).to_numpy()
    return Column(values.alias(pieces.name), wrong if wrong.any() else None)


def _whole(numbers: pl.Series, written: pl.Series) -> pl.Series:
    """Floats that are whole numbers, as JSON takes them; not what is beyond 64 bits."""
    as_float = pl.select(pl.when(written.str.contains("[.eE]")).then(numbers)).to_series()
    whole = as_float.cast(pl.Int64, strict=False)
    return pl.select(pl.when(whole.cast(pl.Float64) == as_float).then(whole)).to_series()


def _moments(pieces: pl.Series, units: NDArray[np.str_]) -> Column:
    """Timestamps as ISO 8601 texts in UTC; those out of the calendar are wrong."""
    counted = pieces.cast(pl.Int64, strict=False)
    given = pieces.is_not_null().to_numpy()
    good = counted.is_not_null().to_numpy()
    counts = counted.fill_null(0).to_numpy()
    micros = counts // 1_000
    for unit, scale in _MICROSECONDS.items():
        mine = units == unit
        fits = (counts >= -(-_FIRST // scale)) & (counts <= _LAST // scale)
        good = good & (~mine | fits)
        micros = np.where(mine, np.where(fits, counts, 0) * scale, micros)
    texts = pl.Series(pieces.name, micros).cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    values = pl.select(pl.when(pl.Series(good)).then(texts)).to_series().alias(pieces.name)
    wrong = given & ~good
    return Column(values, wrong if wrong.any() else None)
