"""Lines of one form, taken apart: what they all share, once, and each thing in which they differ as a column of its own.

Telemetry is mostly such lines. As columns they compress to two thirds of the bytes in half of the time, and are read faster. The form, a
*template*, is learnt from some of the lines and says nothing of what they mean: a line that does not fit it is kept as it is. Nothing is
lost either way (the idea is that of log compressors, such as CLP: Rodrigues, Luo, Yuan 2021).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twinwright.telemetry import line_kernels, number_columns
from twinwright.telemetry.line_kernels import LITTLE, ONES, WORD
from twinwright.telemetry.number_columns import Numbers
from twinwright.telemetry.packed import Buffer

FEWEST = 256  # lines that are worth it
_SAMPLES = 64
_LONGEST = 16_384  # bytes of a line that a template is learnt from
_MOST_COLUMNS = 128
_MOST_LEFT = 0.25  # of the bytes in lines that do not fit
_TOKEN = re.compile(rb"[A-Za-z0-9_.+\-:/]+")


@dataclass(frozen=True, slots=True)
class Template:
    """A line is segments[0], a value, segments[1], a value, ... segments[-1]. A value ends with the first byte of the segment after it,
    which is in no value; the last segment ends with the newline."""

    segments: tuple[bytes, ...]

    @property
    def columns(self) -> int:
        """How many values a line has."""
        return len(self.segments) - 1


@dataclass(frozen=True, slots=True)
class SplitLines:
    """Column j is `buffer[begins[j]:ends[j]]`, each of its values followed by the byte that ends it; `rest` are the lines that do not
    fit, as they came. Line i was `starts[i]` to `starts[i + 1]`, and fits where `matched[i]`."""

    template: Template
    buffer: NDArray[np.uint8]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    rest: tuple[int, int]
    starts: NDArray[np.int64]
    matched: NDArray[np.bool_]
    _numbers: dict[int, Numbers | None] = field(default_factory=dict)  # who reads the lines and who keeps them both ask

    def column(self, j: int) -> NDArray[np.uint8]:
        """The texts of column j, each with the byte that ends it."""
        return self.buffer[self.begins[j] : self.ends[j]]

    def numbers(self, j: int) -> Numbers | None:
        """Column j as numbers, where most of its texts are some."""
        if j not in self._numbers:
            delimiter, count = self.template.segments[j + 1][0], int(np.count_nonzero(self.matched))
            self._numbers[j] = number_columns.numbers(self.buffer, int(self.begins[j]), int(self.ends[j]), delimiter, count)
        return self._numbers[j]

    def others(self) -> NDArray[np.uint8]:
        """The lines that do not fit."""
        return self.buffer[slice(*self.rest)]


def is_ascii(lines: Buffer) -> bool:
    """Whether all bytes are characters of ASCII."""
    return bool(line_kernels.is_ascii(np.frombuffer(lines, np.uint8)))


def count_lines(lines: Buffer) -> int:
    """How many there are, each with a newline behind it."""
    return int(line_kernels.newlines(np.frombuffer(lines, np.uint8)))


def split(lines: Buffer, count: int) -> SplitLines | None:
    """`lines` ends with a newline and has `count` of them. None where they are few, have no form in common, or are not so many."""
    learnt = _learnt(lines) if LITTLE and count >= FEWEST else None
    if learnt is None:
        return None
    template, longest = learnt
    room = np.array([(length + length // 4 + 2) * count + 2 * WORD for length in longest], np.int64)
    limits = np.cumsum(room)
    begins = limits - room
    left = np.array([limits[-1]], np.int64)
    buffer = np.empty(int(limits[-1]) + len(lines), np.uint8)
    ends, starts, matched = begins.copy(), np.empty(count + 1, np.int64), np.empty(count, np.bool_)
    found = line_kernels.split(
        np.frombuffer(lines, np.uint8), *_in_words(template), limits - WORD, buffer, ends, begins.copy(), left, starts, matched
    )
    if found != count or int(left[0] - limits[-1]) > len(lines) * _MOST_LEFT:
        return None
    return SplitLines(template, buffer, begins, ends, (int(limits[-1]), int(left[0])), starts, matched)


def join(template: Template, parts: Sequence[bytes], matched: NDArray[np.bool_], size: int) -> bytes:
    """The lines again, `size` bytes. Raises ValueError where the parts do not make them up."""
    if len(parts) != template.columns + 1 or not all(template.segments[1:]):
        raise ValueError("the parts of lines do not fit their template")
    lengths = [len(part) for part in parts[:-1]]
    ends = np.cumsum(lengths, dtype=np.int64)
    bounds = np.cumsum([0, *(len(segment) for segment in template.segments)], dtype=np.int64)
    own = int(bounds[-1]) - template.columns  # of each line: what ends a value is in its column
    if size != sum(map(len, parts)) + own * int(np.count_nonzero(matched)):
        raise ValueError("the parts of lines do not make up what they were")
    out = np.empty(size, np.uint8)
    columns, segments, rest = (np.frombuffer(part, np.uint8) for part in (b"".join(parts[:-1]), b"".join(template.segments), parts[-1]))
    written = line_kernels.join(columns, ends - np.array(lengths, np.int64), ends, segments, bounds, matched, rest, out)
    if written != size:
        raise ValueError("the parts of lines do not make up what they were")
    return out.tobytes()


def _learnt(lines: Buffer) -> tuple[Template, list[int]] | None:
    """The form that most of some lines have, and how long their values are at most."""
    forms: dict[tuple[bytes, ...], list[list[bytes]]] = {}
    for line in _sample(lines):
        forms.setdefault(tuple(_TOKEN.split(line)), []).append(_TOKEN.findall(line))
    if not forms:
        return None
    between, rows = max(forms.items(), key=lambda form: len(form[1]))
    segments, longest = [b""], []
    for separator, values in zip(between, zip(*rows, strict=True), strict=False):
        segments[-1] += separator
        if all(value.startswith(b":") for value in values):  # JSON without spaces: what stands before a value is no part of it
            segments[-1], values = segments[-1] + b":", tuple(value[1:] for value in values)
        if all(value == values[0] for value in values):
            segments[-1] += values[0]
        else:
            segments.append(b"")
            longest.append(max(map(len, values)))
    segments[-1] += between[-1]
    return (Template(tuple(segments)), longest) if 0 < len(longest) <= _MOST_COLUMNS else None


def _sample(lines: Buffer) -> list[bytes]:
    step, found = max(1, len(lines) // _SAMPLES), []
    for near in range(0, len(lines), step):
        piece = bytes(lines[near : near + 2 * _LONGEST])
        start = piece.find(b"\n", 0, _LONGEST) + 1
        end = piece.find(b"\n", start, start + _LONGEST) + 1
        if start and end:
            found.append(piece[start:end])
    return found


def _in_words(template: Template) -> tuple[NDArray[np.generic], ...]:
    """Its constant parts in words, as `line_kernels.split` takes them; a column brings the first byte of the part behind it."""
    words, masks, widths, bounds = [], [], [], [0]
    for number, segment in enumerate(template.segments):
        part = segment[1:] if number else segment
        for at in range(0, len(part), WORD):
            piece = part[at : at + WORD]
            words.append(int.from_bytes(piece, "little"))
            masks.append((1 << 8 * len(piece)) - 1)
            widths.append(len(piece))
        bounds.append(len(words))
    delimiters = np.array([segment[0] for segment in template.segments[1:]], np.uint64) * ONES
    return np.array(words, np.uint64), np.array(masks, np.uint64), np.array(widths, np.int64), np.array(bounds, np.int64), delimiters
