"""What `json_reader` does with every byte, compiled: values, whole lines, and columns of values.

Its functions are inlined and without reference counts, for which they may not allocate: calls and counts took three quarters of the
time. Every loop ends at a newline at the latest, and whatever is read ends with one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twinwright.compiled import inlined
from twinwright.telemetry.json_numbers import TEN, rounded, scan_number
from twinwright.telemetry.line_kernels import WORD, short_number
from twinwright.telemetry.words import load, store

NUMBER, INTEGER, BOOLEAN, STRING, SCALAR = range(5)
UNSEEN, VALUE, NULL = 0, 1, 2
LENGTH_BITS = 24  # a text is kept as where it begins and, in the low bits, how long it is
MAX_KEYS = 1024
_SURE = 280  # with 19 digits before it, a power of ten that surely makes a double


@inlined
def gather(data: Any, words: Any, offsets: Any, text: Any) -> None:
    for row in range(len(words)):
        begin = np.int64(words[row] >> np.uint64(LENGTH_BITS))
        at, end = offsets[row], offsets[row + 1]
        while at < end and begin <= len(data) - WORD:  # what is written past the end is written over by the next, or not used
            store(text, at, load(data, begin))
            at += WORD
            begin += WORD
        while at < end:
            text[at] = data[begin]
            at += 1
            begin += 1


# --- texts and what is not asked for ---------------------------------------------------------------------------------


@inlined
def _after_space(data: Any, at: Any) -> Any:
    while data[at] == 32 or data[at] == 9 or data[at] == 13:
        at += 1
    return at


@inlined
def _plain_text(data: Any, at: Any) -> Any:
    """Where the quote is that ends a text without escapes; -1 for another."""
    while data[at] != 34:
        if data[at] < 32 or data[at] == 92:
            return np.int64(-1)
        at += 1
    return at


@inlined
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


@inlined
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


@inlined
def _named(data: Any, at: Any, names: Any, begin: Any, end: Any) -> bool:
    """Whether the key at `at` is the one of these bytes, with its quote."""
    for i in range(end - begin):
        if data[at + i] != names[begin + i]:
            return False
    return bool(data[at + end - begin] == 34)


# --- lines -----------------------------------------------------------------------------------------------------------


@inlined
def read_value(data: Any, at: Any, kind: Any, j: Any, row: Any, words: Any, wholes: Any, numbers: Any, state: Any) -> Any:
    """Take in one value that is asked for; returns its end, -1 where it is left to the plain reader."""
    c = data[at]
    if c == 34:
        end = _plain_text(data, at + 1)
        if end < 0 or kind < STRING or end - at > (1 << LENGTH_BITS):
            return np.int64(-1)
        words[j, row] = np.uint64(at + 1) << np.uint64(LENGTH_BITS) | np.uint64(end - at - 1)
        state[j, row] = VALUE
        return end + 1
    if c == 45 or 48 <= c <= 57:
        end, digits, exponent, negative, whole = scan_number(data, at)
        if end < 0 or kind in (STRING, BOOLEAN):
            return np.int64(-1)
        state[j, row] = VALUE
        if kind == SCALAR:  # a whole number is its own text
            if not whole or negative:
                return np.int64(-1)
            words[j, row] = np.uint64(at) << np.uint64(LENGTH_BITS) | np.uint64(end - at)
            return end
        if kind == INTEGER:
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
        state[j, row] = NULL
    elif kind == BOOLEAN:
        wholes[j, row] = what
        state[j, row] = VALUE
    elif kind == SCALAR:
        words[j, row] = np.uint64(at) << np.uint64(LENGTH_BITS) | np.uint64(end - at)
        state[j, row] = VALUE
    else:
        return np.int64(-1)
    return end


@inlined
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
        if data[at] != 34 or place == MAX_KEYS:
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
        elif state[j, row] != UNSEEN:
            return np.int64(-1)
        else:
            at = read_value(data, at, kinds[j], j, row, words, wholes, numbers, state)
        if at < 0:
            return at
        at = _after_space(data, at)
        place += 1
    at = _after_space(data, at + 1)
    return at if data[at] == 10 else np.int64(-1)


@inlined
def read_lines(
    data: Any,
    begin: Any,
    stop: Any,
    names: Any,
    bounds: Any,
    kinds: Any,
    words: Any,
    wholes: Any,
    numbers: Any,
    state: Any,
    which: Any,
    starts: Any,
    good: Any,
    order: Any,
) -> int:
    """How many lines there are from `begin` to `stop`, or one more than there is room for. Every loop stops at a newline, and the lines end
    with one."""
    at = begin
    line = 0
    while at < stop:
        if line == len(which):
            return line + 1
        starts[line] = at
        row = which[line]
        end = _read_line(data, at, row, names, bounds, kinds, words, wholes, numbers, state, order)
        good[row] = end >= 0
        if end < 0:
            end = at
            while data[end] != 10:
                end += 1
        at = end + 1
        line += 1
    starts[line] = at
    return line


@inlined
def read_column(
    data: Any,
    begin: Any,
    delimiter: Any,
    in_quotes: Any,
    kind: Any,
    j: Any,
    matched: Any,
    words: Any,
    wholes: Any,
    numbers: Any,
    state: Any,
    good: Any,
) -> None:
    """The values of one field (`j` -1: not asked for, only checked) from `begin` on, each ended by `delimiter`, a newline behind them."""
    at = begin
    for row in range(len(matched)):
        if not matched[row]:
            continue
        end: Any = np.int64(-1)
        if in_quotes:
            place = at
            while data[place] != delimiter and data[place] >= 32 and data[place] != 34 and data[place] != 92:
                place += 1
            if data[place] == delimiter and (j < 0 or (kind >= STRING and place - at < (1 << LENGTH_BITS))):
                end = place
                if j >= 0:
                    words[j, row] = np.uint64(at) << np.uint64(LENGTH_BITS) | np.uint64(end - at)
                    state[j, row] = VALUE
        elif j < 0:
            end = _skip(data, at)
        else:
            length = short_number(data, at, delimiter, numbers, j, row) if kind == NUMBER else np.int64(0)
            if length > 0:
                state[j, row] = VALUE
                end = at + length
            else:
                end = read_value(data, at, kind, j, row, words, wholes, numbers, state)
        if end >= 0 and data[at] == 34 and not in_quotes:  # a text may have the delimiter in it, and would go on in the next line's value
            for place in range(at, end):
                if data[place] == delimiter:
                    end = np.int64(-1)
                    break
        if end < 0 or data[end] != delimiter:
            good[row] = False
            end = at
            while data[end] != delimiter:
                end += 1
        at = end + 1
