"""A compiled reader of line protocol: where in a buffer the pieces of plain lines are, without the interpreter's lock.

It reads the plain form of a point and judges nothing: a line that it is not sure of (an escape, a quote where none belongs, anything
that may not be a point) is left to the reader of single lines in `decode_lines`, whole. Compiled as the reader of JSON lines is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.compiled import inlined

TAG: Final = 0
FIELD: Final = 1
_COMMA, _EQUALS, _SPACE, _QUOTE, _BACKSLASH, _NEWLINE = 44, 61, 32, 34, 92, 10


@dataclass(frozen=True, slots=True)
class Points:
    """The lines of a buffer that hold a point, stripped: line i is `starts[i]` to `ends[i]`, and `sure` where its pieces were found.

    `pieces` are the texts of the keys that were asked for, then the measurement and the timestamp; null where a line has none.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    sure: NDArray[np.bool_]
    pieces: tuple[pl.Series, ...]


class PointReader:
    """Finds some keys, each (`TAG` or `FIELD`, its name without escapes)."""

    def __init__(self, keys: Sequence[tuple[int, str]]) -> None:
        names = [name.encode("utf-8", "surrogatepass") for _, name in keys]
        self._names = np.frombuffer(b"".join(names) + b"\n", np.uint8)
        self._bounds = np.concatenate([[0], np.cumsum([len(name) for name in names])]).astype(np.int64)
        self._groups = np.array([group for group, _ in keys], np.int8)

    def read(self, buffer: bytes) -> Points:
        """Of a buffer of UTF-8 that ends with a newline. Blank lines and comments are passed over."""
        data = np.frombuffer(buffer, np.uint8)
        most, keys = buffer.count(b"\n"), len(self._groups)
        starts, ends = np.empty(most, np.int64), np.empty(most, np.int64)
        sure = np.zeros(most, np.bool_)
        begins = np.full((keys + 2, most), -1, np.int64)
        lengths = np.zeros((keys + 2, most), np.int64)
        count = _read_lines(data, self._names, self._bounds, self._groups, starts, ends, sure, begins, lengths)
        texts = tuple(_texts(data, begins[j, :count], lengths[j, :count], sure[:count]) for j in range(keys + 2))
        return Points(starts[:count], ends[:count], sure[:count], texts)


def _texts(data: NDArray[np.uint8], begins: NDArray[np.int64], lengths: NDArray[np.int64], sure: NDArray[np.bool_]) -> pl.Series:
    there = sure & (begins >= 0)
    offsets = np.zeros(len(begins) + 1, np.int64)
    np.cumsum(np.where(there, lengths, 0), out=offsets[1:])
    text = np.empty(int(offsets[-1]), np.uint8)
    _gather(data, begins, offsets, text)
    valid = pa.py_buffer(np.packbits(there, bitorder="little"))
    array = pa.Array.from_buffers(pa.large_string(), len(begins), [valid, pa.py_buffer(offsets), pa.py_buffer(text)])
    series = pl.from_arrow(array)
    assert isinstance(series, pl.Series)
    return series


@inlined
def _gather(data: Any, begins: Any, offsets: Any, text: Any) -> None:
    for row in range(len(begins)):
        at = offsets[row]
        for i in range(offsets[row + 1] - at):
            text[at + i] = data[begins[row] + i]


@inlined
def _after_digits(data: Any, at: Any, end: Any) -> Any:
    while at < end and 48 <= data[at] <= 57:
        at += 1
    return at


@inlined
def _is_number(data: Any, at: Any, end: Any) -> bool:
    negative = data[at] == 45
    if negative:
        at += 1
    point = _after_digits(data, at, end)
    if point == at:
        return False
    if point == end:
        return True
    if end - point == 1 and (data[point] == 105 or (data[point] == 117 and not negative)):
        return True
    at = point
    if data[at] == 46:
        point = _after_digits(data, at + 1, end)
        if point == at + 1:
            return False
        at = point
    if at < end and (data[at] == 101 or data[at] == 69):
        at += 1
        if at < end and (data[at] == 45 or data[at] == 43):
            at += 1
        point = _after_digits(data, at, end)
        if point == at:
            return False
        at = point
    return bool(at == end)


@inlined
def _is_truth(data: Any, at: Any, end: Any) -> bool:
    """One of t T f F true True TRUE false False FALSE."""
    length = end - at
    first = data[at]
    if length == 1:
        return bool(first == 116 or first == 84 or first == 102 or first == 70)
    lower = data[at + 1] >= 97
    if first >= 97 and not lower:
        return False
    shift = 0 if lower else 32
    a, b, c = data[at + 1] + shift, data[at + 2] + shift if length > 2 else 0, data[at + 3] + shift if length > 3 else 0
    if length == 4:
        return bool((first == 116 or first == 84) and a == 114 and b == 117 and c == 101)
    return bool(length == 5 and (first == 102 or first == 70) and a == 97 and b == 108 and c == 115 and data[at + 4] + shift == 101)


@inlined
def _word(data: Any, at: Any, end: Any) -> Any:
    """Where a key or a value of a tag ends: at a comma, an equals sign, a space or the end; -1 where it is empty or not plain."""
    begin = at
    while at < end and data[at] != _COMMA and data[at] != _EQUALS and data[at] != _SPACE:
        if data[at] == _BACKSLASH or data[at] == _QUOTE:
            return np.int64(-1)
        at += 1
    return at if at > begin else np.int64(-1)


@inlined
def _value(data: Any, at: Any, end: Any) -> Any:
    """Where the value of a field ends; -1 where it is not surely one."""
    begin = at
    if at < end and data[at] == _QUOTE:
        at += 1
        while at < end and data[at] != _QUOTE:
            if data[at] == _BACKSLASH:
                return np.int64(-1)
            at += 1
        if at == end:
            return np.int64(-1)
        at += 1
        return at if at == end or data[at] == _COMMA or data[at] == _SPACE else np.int64(-1)
    at = _word(data, at, end)
    if at < 0 or (at < end and data[at] == _EQUALS):
        return np.int64(-1)
    return at if _is_number(data, begin, at) or _is_truth(data, begin, at) else np.int64(-1)


@inlined
def _is_point(data: Any, at: Any, end: Any, row: Any, names: Any, bounds: Any, groups: Any, begins: Any, lengths: Any) -> bool:
    """Whether a line is surely a point; its pieces are noted."""
    keys = len(groups)
    begin = at
    at = _word(data, at, end)
    if at < 0:
        return False
    begins[keys, row], lengths[keys, row] = begin, at - begin
    group = TAG
    while at < end:
        if group == TAG and data[at] == _SPACE:
            group = FIELD
            while data[at] == _SPACE:
                at += 1
        elif data[at] == _COMMA:
            at += 1
        else:
            return False
        key = at
        at = _word(data, at, end)
        if at < 0 or at == end or data[at] != _EQUALS:
            return False
        length = at - key
        begin = at + 1
        at = _word(data, begin, end) if group == TAG else _value(data, begin, end)
        if at < 0:
            return False
        for j in range(keys):
            same = groups[j] == group and bounds[j + 1] - bounds[j] == length
            for i in range(length if same else 0):
                same = same and data[key + i] == names[bounds[j] + i]
            if same:
                begins[j, row], lengths[j, row] = begin, at - begin
        if group == FIELD and (at == end or data[at] == _SPACE):
            break
    if group == TAG:
        return False
    while at < end and data[at] == _SPACE:
        at += 1
    if at == end:
        return True
    begins[keys + 1, row], lengths[keys + 1, row] = at, end - at
    if data[at] == 45:
        at += 1
    return bool(at < end and _after_digits(data, at, end) == end)


@inlined
def _read_lines(data: Any, names: Any, bounds: Any, groups: Any, starts: Any, ends: Any, sure: Any, begins: Any, lengths: Any) -> int:
    """How many lines hold a point."""
    at = np.int64(0)
    row = 0
    while at < len(data):
        begin = at
        while data[at] != _NEWLINE:
            at += 1
        end = at
        at += 1
        while begin < end and (data[begin] == _SPACE or data[begin] == 13):
            begin += 1
        while begin < end and (data[end - 1] == _SPACE or data[end - 1] == 13):
            end -= 1
        if begin == end or data[begin] == 35:
            continue
        starts[row], ends[row] = begin, end
        sure[row] = _is_point(data, begin, end, row, names, bounds, groups, begins, lengths)
        row += 1
    return row
