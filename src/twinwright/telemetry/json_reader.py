"""A compiled reader of JSON lines: straight from bytes to the columns that a contract wants, without the interpreter's lock.

It reads the plain form of a document and judges nothing: a line that it is not sure of (an escape in a text, a field of another
type than its kind, a key that comes twice, anything that may not be JSON) is left to the plain reader, whole. What it does read it
reads exactly as the plain one: numbers are rounded correctly, the usual ones by one multiplication (Clinger 1990), the others by
the algorithm of Eisel and Lemire (Lemire 2021, "Number parsing at a gigabyte per second"). Its functions are inlined and without
reference counts, for which they may not allocate: calls and counts took three quarters of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.telemetry.contract import FieldKind
from twinwright.telemetry.json_numbers import TEN, njit, rounded, scan_number

_NUMBER, _INTEGER, _BOOLEAN, _STRING, _SCALAR = range(5)
_KINDS: Mapping[FieldKind, int] = {"number": _NUMBER, "integer": _INTEGER, "boolean": _BOOLEAN, "string": _STRING, "scalar": _SCALAR}
_UNSEEN, _VALUE, _NULL = 0, 1, 2
_LENGTH_BITS = 24  # a text is kept as where it begins and, in the low bits, how long it is
_MAX_KEYS = 1024
_SURE = 280  # with 19 digits before it, a power of ten that surely makes a double


@dataclass(frozen=True, slots=True)
class Lines:
    """What was read of a buffer. `columns` have a row for each line of `rows`; line i is `starts[i]` to `starts[i + 1] - 1`."""

    rows: NDArray[np.int64]
    columns: dict[str, pa.Array]
    left: NDArray[np.int64]
    starts: NDArray[np.int64]


class LineReader:
    """Reads some fields, each as its kind; see `JsonDecoder` for what the kinds mean."""

    @staticmethod
    def can_name(fields: Iterable[str]) -> bool:
        """Whether these keys are written without escapes: only such are recognised."""
        return not any(character in '"\\' or character < " " for name in fields for character in name)

    def __init__(self, fields: Mapping[str, FieldKind]) -> None:
        names = [name.encode("utf-8", "surrogatepass") for name in fields]
        self._fields = list(fields.items())
        self._names = np.frombuffer(b"".join(names) + b"\n", np.uint8)
        self._bounds = np.concatenate([[0], np.cumsum([len(name) for name in names])]).astype(np.int64)
        self._kinds = np.array([_KINDS[kind] for kind in fields.values()], np.int8)

    def read(self, buffer: bytes, count: int) -> Lines | None:
        """The `count` lines of `buffer`, which is UTF-8 and ends with a newline; None where there are not so many."""
        data = np.frombuffer(buffer, np.uint8)
        words = np.empty((len(self._fields), count), np.uint64)
        state = np.zeros((len(self._fields), count), np.uint8)
        starts = np.empty(count + 1, np.int64)
        good = np.empty(count, np.bool_)
        lines = _read_lines(
            data, self._names, self._bounds, self._kinds, words, words.view(np.int64), words.view(np.float64), state, starts, good,
            np.full(_MAX_KEYS, -1, np.int64),
        )  # fmt: skip
        if lines != count:
            return None
        rows = np.flatnonzero(good)
        columns = {}
        for j, (name, kind) in enumerate(self._fields):
            value, there = words[j], state[j] == _VALUE
            if len(rows) < count:
                value, there = value[rows], there[rows]
            columns[name] = _array(data, kind, value, there)
        return Lines(rows, columns, np.flatnonzero(~good), starts)


def _array(data: NDArray[np.uint8], kind: FieldKind, words: NDArray[np.uint64], there: NDArray[np.bool_]) -> pa.Array:
    missing = None if there.all() else ~there
    if kind == "number":
        return pa.array(words.view(np.float64), mask=missing)
    if kind == "integer":
        return pa.array(words.view(np.int64), mask=missing)
    if kind == "boolean":
        return pa.array(words.astype(np.bool_), mask=missing)
    offsets = np.zeros(len(words) + 1, np.int64)
    np.cumsum(np.where(there, words & np.uint64((1 << _LENGTH_BITS) - 1), np.uint64(0)), out=offsets[1:])
    text = np.empty(int(offsets[-1]), np.uint8)
    _gather(data, words, offsets, text)
    valid = None if missing is None else pa.py_buffer(np.packbits(there, bitorder="little"))
    return pa.Array.from_buffers(pa.large_string(), len(words), [valid, pa.py_buffer(offsets), pa.py_buffer(text)])


@njit
def _gather(data: Any, words: Any, offsets: Any, text: Any) -> None:
    for row in range(len(words)):
        begin = np.int64(words[row] >> np.uint64(_LENGTH_BITS))
        at = offsets[row]
        for i in range(offsets[row + 1] - at):
            text[at + i] = data[begin + i]


# --- texts and what is not asked for ---------------------------------------------------------------------------------


@njit
def _after_space(data: Any, at: Any) -> Any:
    while data[at] == 32 or data[at] == 9 or data[at] == 13:
        at += 1
    return at


@njit
def _plain_text(data: Any, at: Any) -> Any:
    """Where the quote is that ends a text without escapes; -1 for another."""
    while data[at] != 34:
        if data[at] < 32 or data[at] == 92:
            return np.int64(-1)
        at += 1
    return at


@njit
def _literal(data: Any, at: Any) -> Any:
    """(end, 1 true, 0 false, 2 null); end is -1 for anything else."""
    a, b, c, d = data[at], data[at + 1] if data[at] != 10 else 0, 0, 0
    if b != 10 and b != 0:
        c = data[at + 2]
        if c != 10:
            d = data[at + 3]
    if a == 116 and b == 114 and c == 117 and d == 101:
        return at + 4, 1
    if a == 110 and b == 117 and c == 108 and d == 108:
        return at + 4, 2
    if a == 102 and b == 97 and c == 108 and d == 115 and data[at + 4] == 101:
        return at + 5, 0
    return np.int64(-1), 0


@njit
def _skip(data: Any, at: Any) -> Any:
    """The end of a value that is not asked for, checked; -1 where it is not surely JSON, or is nested. Nested ones are rare
    enough, and mostly asked for in vain: such a batch goes to the general reader."""
    c = data[at]
    if c == 34:
        at += 1
        while data[at] != 34:
            if data[at] < 32:
                return np.int64(-1)
            if data[at] == 92:
                at += 1
                e = data[at]
                if not (e == 34 or e == 92 or e == 47 or e == 98 or e == 102 or e == 110 or e == 114 or e == 116):
                    return np.int64(-1)
            at += 1
        return at + 1
    if c == 45 or 48 <= c <= 57:
        end, _, exponent, _, _ = scan_number(data, at)
        return end if -_SURE < exponent < _SURE else np.int64(-1)
    return _literal(data, at)[0]


@njit
def _named(data: Any, at: Any, names: Any, begin: Any, end: Any) -> bool:
    """Whether the key at `at` is the one of these bytes, with its quote."""
    for i in range(end - begin):
        if data[at + i] != names[begin + i]:
            return False
    return bool(data[at + end - begin] == 34)


# --- lines -----------------------------------------------------------------------------------------------------------


@njit
def _value(data: Any, at: Any, kind: Any, j: Any, row: Any, words: Any, wholes: Any, numbers: Any, state: Any) -> Any:
    """Take in one value that is asked for; returns its end, -1 where it is left to the plain reader."""
    c = data[at]
    if c == 34:
        end = _plain_text(data, at + 1)
        if end < 0 or kind < _STRING or end - at > (1 << _LENGTH_BITS):
            return np.int64(-1)
        words[j, row] = np.uint64(at + 1) << np.uint64(_LENGTH_BITS) | np.uint64(end - at - 1)
        state[j, row] = _VALUE
        return end + 1
    if c == 45 or 48 <= c <= 57:
        end, digits, exponent, negative, whole = scan_number(data, at)
        if end < 0 or kind in (_STRING, _BOOLEAN):
            return np.int64(-1)
        state[j, row] = _VALUE
        if kind == _SCALAR:  # a whole number is its own text
            if not whole or negative:
                return np.int64(-1)
            words[j, row] = np.uint64(at) << np.uint64(_LENGTH_BITS) | np.uint64(end - at)
            return end
        if kind == _INTEGER:
            if not whole or end - at > 18:
                return np.int64(-1)
            wholes[j, row] = -np.int64(digits) if negative else np.int64(digits)
            return end
        if digits <= np.uint64(1 << 53) and -22 <= exponent <= 22:
            number = float(np.int64(digits))
            number = number / TEN[-exponent] if exponent < 0 else number * TEN[exponent]
            if negative:
                number = 0.0 if whole and number == 0.0 else -number  # -0 is a whole number, which has one zero
            numbers[j, row] = number
            return end
        bits, sure = rounded(digits, exponent)
        if not sure:
            return np.int64(-1)
        words[j, row] = bits | np.uint64(1) << np.uint64(63) if negative else bits
        return end
    end, what = _literal(data, at)
    if end < 0:
        return np.int64(-1)
    if what == 2:
        state[j, row] = _NULL
    elif kind == _BOOLEAN:
        wholes[j, row] = what
        state[j, row] = _VALUE
    elif kind == _SCALAR:
        words[j, row] = np.uint64(at) << np.uint64(_LENGTH_BITS) | np.uint64(end - at)
        state[j, row] = _VALUE
    else:
        return np.int64(-1)
    return end


@njit
def _read_line(
    data: Any, at: Any, row: Any, names: Any, bounds: Any, kinds: Any, words: Any, wholes: Any, numbers: Any, state: Any, order: Any
) -> Any:
    """Where the line ends, if all of it is sure; else -1. `order` is which field was found at each place of the last line."""
    at = _after_space(data, at)
    if data[at] != 123:
        return np.int64(-1)
    at = _after_space(data, at + 1)
    place = 0
    while data[at] != 125:
        if place:
            if data[at] != 44:
                return np.int64(-1)
            at = _after_space(data, at + 1)
        if data[at] != 34 or place == _MAX_KEYS:
            return np.int64(-1)
        at += 1
        j = order[place]
        if j < 0 or not _named(data, at, names, bounds[j], bounds[j + 1]):
            j = -1
            for other in range(len(kinds)):
                if _named(data, at, names, bounds[other], bounds[other + 1]):
                    j = other
                    break
            order[place] = j
        if j >= 0:
            at += bounds[j + 1] - bounds[j]
        else:
            at = _plain_text(data, at)
            if at < 0:
                return at
        at = _after_space(data, at + 1)
        if data[at] != 58:
            return np.int64(-1)
        at = _after_space(data, at + 1)
        if j < 0:
            at = _skip(data, at)
        elif state[j, row] != _UNSEEN:
            return np.int64(-1)
        else:
            at = _value(data, at, kinds[j], j, row, words, wholes, numbers, state)
        if at < 0:
            return at
        at = _after_space(data, at)
        place += 1
    at = _after_space(data, at + 1)
    return at if data[at] == 10 else np.int64(-1)


@njit
def _read_lines(
    data: Any, names: Any, bounds: Any, kinds: Any, words: Any, wholes: Any, numbers: Any, state: Any, starts: Any, good: Any, order: Any
) -> int:
    """How many lines there are, or one more than there is room for. Every loop stops at a newline, and the buffer ends with one."""
    at = np.int64(0)
    row = 0
    while at < len(data):
        if row == len(good):
            return row + 1
        starts[row] = at
        end = _read_line(data, at, row, names, bounds, kinds, words, wholes, numbers, state, order)
        good[row] = end >= 0
        if end < 0:
            end = at
            while data[end] != 10:
                end += 1
        at = end + 1
        row += 1
    starts[row] = at
    return row
