"""A column of numbers as numbers: its texts are taken for whole numbers and places of decimals, and can be written again exactly.

`12.50` is 1250 with two decimals, and only that is written `12.50`. So what telemetry consists of is compressed in a third of the time
that its text takes, to fewer bytes, and what reads the values need not look at the text again. A text that is not written so (an
exponent, `null`, more than nine digits) is kept beside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinwright.compiled import inlined
from twinwright.telemetry.json_numbers import TEN
from twinwright.telemetry.line_kernels import short_digits

PLANES = 4  # bytes of a whole number
_NEGATIVE = 16  # in a form; below it the decimals
_OTHER = 255  # the form of a text that is kept
_MOST_DIGITS = 9
_LONGEST = _MOST_DIGITS + 4  # with a sign, a nought before the point, the point, and what ends it
_FEW = 64


@dataclass(frozen=True, slots=True)
class Numbers:
    """Value i is `whole[i]`, of which `form[i] % 16` digits are decimals, below zero where the form says so. `others` are the texts of
    other forms, each with the byte that ends it."""

    whole: NDArray[np.uint32]
    form: NDArray[np.uint8]
    others: NDArray[np.uint8]

    def part(self) -> NDArray[np.uint8]:
        """As bytes that compress well: the forms, the whole numbers byte by byte, and the others."""
        count = len(self.form)
        part = np.empty(count * (1 + PLANES) + len(self.others), np.uint8)
        part[:count] = self.form
        low = self.whole.astype("<u4", copy=False).view(np.uint8)
        for plane in range(PLANES):
            part[count * (plane + 1) : count * (plane + 2)] = low[plane::PLANES]
        part[count * (1 + PLANES) :] = self.others
        return part

    def fill(self, numbers: NDArray[np.float64], state: NDArray[np.uint8], matched: NDArray[np.bool_], value: int) -> bool:
        """Put the values to the rows of `numbers` that are `matched`, and `value` to their `state`; False where there are others."""
        if len(self.others):
            return False
        _fill(self.whole, self.form, matched, numbers, state, np.uint8(value))
        return True


def numbers(data: NDArray[np.uint8], begin: int, end: int, delimiter: int, count: int) -> Numbers | None:
    """Of a column of `count` texts, each ended by `delimiter`, which is no digit, sign or point; None where many are no such numbers."""
    whole, form, others = np.empty(count, np.uint32), np.empty(count, np.uint8), np.empty(end - begin, np.uint8)
    length = int(_take(data, begin, np.uint8(delimiter), whole, form, others))
    return None if length < 0 else Numbers(whole, form, others[:length])


def text(part: bytes, count: int, delimiter: int) -> bytes:
    """The column again, of `Numbers.part`. Raises ValueError where it is none."""
    if len(part) < count * (1 + PLANES):
        raise ValueError("a column of numbers is too short")
    data = np.frombuffer(part, np.uint8)
    out = np.empty(count * _LONGEST + len(part), np.uint8)
    length = int(_write(data, count, np.uint8(delimiter), out))
    if length < 0:
        raise ValueError("a column of numbers is damaged")
    return out[:length].tobytes()


@inlined
def _long_digits(data: Any, at: Any, delimiter: Any) -> Any:
    """(length, whole, form) of the number at `at`; length 0 for what is not written as we would write it."""
    place, value, digits, decimals, pointed = at, np.int64(0), 0, 0, False
    negative = data[place] == 45
    if negative:
        place += 1
    first = data[place]
    while digits <= _MOST_DIGITS:
        byte = data[place]
        if 48 <= byte <= 57:
            value = value * 10 + np.int64(byte - 48)
            digits += 1
            decimals += pointed
        elif byte == 46 and not pointed and digits > 0:
            pointed = True
        else:
            break
        place += 1
    good = data[place] == delimiter and 0 < digits <= _MOST_DIGITS and pointed == (decimals > 0)
    if not good or (first == 48 and digits - decimals > 1):
        return np.int64(0), np.int64(0), np.int64(0)
    return place - at, value, np.int64(decimals) + (np.int64(_NEGATIVE) if negative else np.int64(0))


@inlined
def _take(data: Any, begin: Any, delimiter: Any, whole: Any, form: Any, others: Any) -> Any:
    """How many bytes the others have; -1 where they are many."""
    at, left, kept = begin, np.int64(0), 0
    for row in range(len(whole)):
        length, value, decimals = short_digits(data, at, delimiter)
        shape = np.int64(decimals)
        if length == 0:
            length, value, shape = _long_digits(data, at, delimiter)
        if length > 0:
            whole[row], form[row] = value, shape
            at += length + 1
            continue
        kept += 1
        if kept > _FEW + (row >> 3):
            return np.int64(-1)
        whole[row], form[row] = 0, _OTHER
        while data[at] != delimiter:
            others[left] = data[at]
            left += 1
            at += 1
        others[left] = delimiter
        left += 1
        at += 1
    return left


@inlined
def _fill(whole: Any, form: Any, matched: Any, numbers: Any, state: Any, value: Any) -> None:
    at = 0
    for row in range(len(matched)):
        if matched[row]:
            decimals = form[at] & 15
            number = float(whole[at]) / TEN[decimals]
            if form[at] >= _NEGATIVE and (decimals > 0 or number != 0.0):  # -0 is a whole number, which has one zero
                number = -number
            numbers[row], state[row] = number, value
            at += 1


@inlined
def _write(part: Any, count: Any, delimiter: Any, out: Any) -> Any:
    """How many bytes were written to `out`; -1 for a part that is damaged."""
    at, left = np.int64(0), np.int64(count * (1 + PLANES))
    for row in range(count):
        shape = np.int64(part[row])
        if shape == _OTHER:
            while left < len(part) and part[left] != delimiter:
                out[at] = part[left]
                at += 1
                left += 1
            if left == len(part):
                return np.int64(-1)
            left += 1
        else:
            decimals = shape & 15
            if shape >= 2 * _NEGATIVE or decimals >= _MOST_DIGITS:
                return np.int64(-1)
            value = np.int64(0)
            for plane in range(PLANES):
                value |= np.int64(part[(plane + 1) * count + row]) << (8 * plane)
            if value >= 1_000_000_000:
                return np.int64(-1)
            if shape >= _NEGATIVE:
                out[at] = 45
                at += 1
            length, rest = np.int64(1), value // 10
            while rest > 0:
                length += 1
                rest //= 10
            length = max(length, decimals + 1)
            end = at + length + (decimals > 0)
            place = end
            for digit in range(length):
                if decimals > 0 and digit == decimals:
                    place -= 1
                    out[place] = 46
                place -= 1
                out[place] = 48 + value % 10
                value //= 10
            at = end
        out[at] = delimiter
        at += 1
    return at if left == len(part) else np.int64(-1)
