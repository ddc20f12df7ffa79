"""Numbers as JSON writes them, compiled: scanned, and rounded correctly to doubles (Lemire 2021, "Number parsing at a gigabyte per
second"; the usual short ones are left to one multiplication, Clinger 1990)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinwright.compiled import inlined

_POWERS = 308


def _powers_of_five() -> NDArray[np.uint64]:
    """The first 128 bits of 5^q for q in -308..308: truncated, or rounded up where q is negative."""
    table = []
    for q in range(-_POWERS, _POWERS + 1):
        power = 5 ** abs(q)
        if q < 0:
            digits = (power - 1).bit_length()
            power = 2 ** (digits + 127 if q >= -27 else 2 * digits + 128) // power + 1
        shift = power.bit_length() - 128
        power = power >> shift if shift > 0 else power << -shift
        table.append((power >> 64, power & (2**64 - 1)))
    return np.array(table, np.uint64)


_FIVE = _powers_of_five()
TEN = np.array([10.0**q for q in range(23)])


@inlined
def _product(a: Any, b: Any) -> Any:
    """The 128 bits of a product, (high, low)."""
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    a0, a1, b0, b1 = a & low, a >> half, b & low, b >> half
    cross = a1 * b0 + (a0 * b0 >> half)
    other = a0 * b1 + (cross & low)
    return a1 * b1 + (cross >> half) + (other >> half), a * b


@inlined
def rounded(digits: Any, exponent: Any) -> Any:
    """(bits of digits * 10^exponent, whether they are sure). Nothing subnormal, nothing infinite."""
    if digits == np.uint64(0):
        return np.uint64(0), True
    if exponent < -_POWERS or exponent > _POWERS:
        return np.uint64(0), False
    zeros = np.uint64(0)
    w = digits
    for step in (32, 16, 8, 4, 2, 1):
        if w >> np.uint64(64 - step) == np.uint64(0):
            w <<= np.uint64(step)
            zeros += np.uint64(step)
    high, low = _product(w, _FIVE[exponent + _POWERS, 0])
    if high & np.uint64(0x1FF) == np.uint64(0x1FF):
        more, _ = _product(w, _FIVE[exponent + _POWERS, 1])
        low += more
        if more > low:
            high += np.uint64(1)
        if low == np.uint64(0xFFFFFFFFFFFFFFFF) and (exponent < -27 or exponent > 55):
            return np.uint64(0), False
    top = high >> np.uint64(63)
    shift = top + np.uint64(9)
    mantissa = high >> shift
    power = ((217706 * exponent) >> 16) + 63 + np.int64(top) - np.int64(zeros) + 1023
    if power <= 0 or power >= 2046:
        return np.uint64(0), False
    if low <= np.uint64(1) and -4 <= exponent <= 23 and mantissa & np.uint64(3) == np.uint64(1) and mantissa << shift == high:
        mantissa &= ~np.uint64(1)  # exactly between two: to even
    mantissa = (mantissa + (mantissa & np.uint64(1))) >> np.uint64(1)
    if mantissa >= np.uint64(1) << np.uint64(53):
        mantissa = np.uint64(1) << np.uint64(52)
        power += 1
    return (mantissa & np.uint64((1 << 52) - 1)) | np.uint64(power) << np.uint64(52), True


@inlined
def scan_number(data: Any, at: Any) -> Any:
    """(end, digits, exponent, negative, whole) of a JSON number; end is -1 for what is none or has more than 19 digits."""
    negative = data[at] == 45
    if negative:
        at += 1
    begin = at
    digits = np.uint64(0)
    while 48 <= data[at] <= 57:
        digits = digits * np.uint64(10) + np.uint64(data[at] - 48)
        at += 1
    count = at - begin
    exponent = np.int64(0)
    if count == 0 or (count > 1 and data[begin] == 48):
        return np.int64(-1), digits, exponent, negative, True
    whole = True
    if data[at] == 46:
        whole = False
        at += 1
        point = at
        while 48 <= data[at] <= 57:
            digits = digits * np.uint64(10) + np.uint64(data[at] - 48)
            at += 1
        exponent = point - at
        count -= exponent
        if exponent == 0:
            return np.int64(-1), digits, exponent, negative, whole
    if data[at] == 101 or data[at] == 69:
        whole = False
        at += 1
        down = data[at] == 45
        if down or data[at] == 43:
            at += 1
        point = at
        scale = np.int64(0)
        while 48 <= data[at] <= 57:
            scale = scale * 10 + np.int64(data[at] - 48) if scale < 100_000 else scale
            at += 1
        if point == at:
            return np.int64(-1), digits, exponent, negative, whole
        exponent += -scale if down else scale
    if count > 19:
        while data[begin] == 48 or data[begin] == 46:  # zeros in front do not count
            count -= data[begin] == 48
            begin += 1
        if count > 19:
            return np.int64(-1), digits, exponent, negative, whole
    return at, digits, exponent, negative, whole
