"""What `line_template` does with every byte, compiled: eight bytes at a time, without the interpreter's lock.

Loads and stores are of unaligned words, little end first. Every load is checked to lie in the buffer, every store in its column's room.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from twinwright.compiled import inlined
from twinwright.telemetry.json_numbers import TEN
from twinwright.telemetry.words import load, store, trailing_zeros

WORD = 8
ONES = np.uint64(0x0101010101010101)
_HIGH = np.uint64(0x8080808080808080)
_NEWLINES = np.uint64(0x0A0A0A0A0A0A0A0A)
_POINTS = np.uint64(0x2E2E2E2E2E2E2E2E)
_NOUGHTS = np.uint64(0x3030303030303030)
_UPPER = np.uint64(0xF0F0F0F0F0F0F0F0)  # the half of each byte that is 3 in a digit
LITTLE = sys.byteorder == "little"  # on other machines lines are not split


@inlined
def _zeros(word: Any) -> Any:
    """The high bit of each byte that is zero; the lowest bit that is set is surely right, those above may be false."""
    return (word - ONES) & ~word & _HIGH


@inlined
def is_ascii(data: Any) -> bool:
    every = np.uint8(0)
    for at in range(len(data)):
        every |= data[at]
    return bool(every < 128)


@inlined
def newlines(data: Any) -> int:
    count = 0
    for at in range(len(data)):
        count += data[at] == 10
    return count


@inlined
def split(
    data: Any,
    words: Any,
    masks: Any,
    widths: Any,
    bounds: Any,
    delimiters: Any,
    room: Any,
    out: Any,
    ends: Any,
    reached: Any,
    rest: Any,
    starts: Any,
    matched: Any,
) -> Any:
    """How many lines there are, or one more than there is room for.

    The constant part s of a line is the words `bounds[s]` to `bounds[s + 1]`, of `widths` bytes that `masks` keep. Before part s + 1 comes
    column s, ended by a byte (eight times in `delimiters[s]`) and written to `out` from `ends[s]` on, at most up to `room[s]`. A line of
    another form goes to `out` from `rest[0]` on. `reached` is scratch.
    """
    columns, last, at, row = len(delimiters), len(data) - WORD, np.int64(0), 0
    while at < len(data):
        if row == len(matched):
            return row + 1
        starts[row] = at
        place, good = at, True
        for s in range(columns + 1):
            for k in range(bounds[s], bounds[s + 1]):
                if place > last or (load(data, place) ^ words[k]) & masks[k] != 0:
                    good = False
                    break
                place += widths[k]
            if not good or s == columns:
                break
            end = ends[s]
            while True:
                if place > last or end > room[s] - WORD:
                    good = False
                    break
                word = load(data, place)
                store(out, end, word)
                found, newline = _zeros(word ^ delimiters[s]), _zeros(word ^ _NEWLINES)
                if found != 0:
                    bit = trailing_zeros(found)
                    good = newline == 0 or trailing_zeros(newline) >= bit
                    length = np.int64(bit >> np.uint64(3)) + 1
                    end += length
                    place += length
                    break
                if newline != 0:
                    good = False
                    break
                end += WORD
                place += WORD
            if not good:
                break
            reached[s] = end
        matched[row] = good
        if good:
            for s in range(columns):
                ends[s] = reached[s]
        else:
            place = at
            while data[place] != 10:
                out[rest[0]] = data[place]
                rest[0] += 1
                place += 1
            out[rest[0]] = 10
            rest[0] += 1
            place += 1
        at = place
        row += 1
    starts[row] = at
    return row


@inlined
def join(columns: Any, places: Any, ends: Any, segments: Any, bounds: Any, matched: Any, rest: Any, out: Any) -> Any:
    """The reverse: how many bytes were written to `out`, or -1 where the parts do not make up lines of it."""
    at, left = np.int64(0), np.int64(0)
    for row in range(len(matched)):
        if not matched[row]:
            while True:
                if left == len(rest) or at == len(out):
                    return np.int64(-1)
                byte = rest[left]
                out[at] = byte
                left += 1
                at += 1
                if byte == 10:
                    break
            continue
        for s in range(len(bounds) - 1):
            begin = bounds[s]
            if s > 0:
                begin += 1  # a column brings the byte that ends it
                delimiter = segments[bounds[s]]
                while True:
                    if places[s - 1] == ends[s - 1] or at == len(out):
                        return np.int64(-1)
                    byte = columns[places[s - 1]]
                    places[s - 1] += 1
                    out[at] = byte
                    at += 1
                    if byte == delimiter:
                        break
            if at + bounds[s + 1] - begin > len(out):
                return np.int64(-1)
            for i in range(begin, bounds[s + 1]):
                out[at] = segments[i]
                at += 1
    return at


@inlined
def short_digits(data: Any, at: Any, delimiter: Any) -> Any:
    """(length, digits, decimals) of the number at `at`: some digits, and perhaps a point and more, in seven bytes with the delimiter behind
    them. Length 0 for any other. The digits are taken together at once (Lemire 2018, "Quickly parsing eight digits")."""
    none = np.int64(0), np.int64(0), np.uint64(0)
    if at > len(data) - WORD:
        return none
    word = load(data, at)
    found = _zeros(word ^ (np.uint64(delimiter) * ONES))
    if found == 0:
        return none
    length = trailing_zeros(found) >> np.uint64(3)
    used = (np.uint64(1) << (np.uint64(8) * length)) - np.uint64(1)
    points = _zeros(word ^ _POINTS) & used
    whole = length if points == 0 else trailing_zeros(points) >> np.uint64(3)
    digits = length if points == 0 else length - np.uint64(1)
    if whole == 0 or (points != 0 and whole == digits) or (whole > 1 and word & np.uint64(0xFF) == 48):
        return none
    before = (np.uint64(1) << (np.uint64(8) * whole)) - np.uint64(1)
    packed = word & used
    if points != 0:
        packed = (packed & before) | ((packed >> np.uint64(8)) & ~before)
    shift = np.uint64(8) * (np.uint64(WORD) - digits)
    packed = (packed << shift) | (_NOUGHTS & ((np.uint64(1) << shift) - np.uint64(1)))
    if ((packed & _UPPER) | (((packed + np.uint64(0x0606060606060606)) & _UPPER) >> np.uint64(4))) != np.uint64(0x3333333333333333):
        return none
    packed = (packed & np.uint64(0x0F0F0F0F0F0F0F0F)) * np.uint64(2561) >> np.uint64(8)
    packed = (packed & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(6553601) >> np.uint64(16)
    packed = (packed & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(42949672960001) >> np.uint64(32)
    return np.int64(length), np.int64(packed), digits - whole


@inlined
def short_number(data: Any, at: Any, delimiter: Any, numbers: Any, j: Any, row: Any) -> Any:
    """How long the number at `at` is, which is put to `numbers[j, row]`; 0 where `short_digits` does not take it."""
    length, digits, decimals = short_digits(data, at, delimiter)
    if length > 0:
        numbers[j, row] = float(digits) / TEN[decimals]
    return length
