"""A compiled reader of JSON lines: straight from bytes to the columns that a contract wants, without the interpreter's lock.

It reads the plain form of a document and judges nothing: a line that it is not sure of (an escape in a text, a field of another
type than its kind, a key that comes twice, anything that may not be JSON) is left to the plain reader, whole. What it does read it
reads exactly as the plain one: numbers are rounded correctly, the usual ones by one multiplication (Clinger 1990), the others by
the algorithm of Eisel and Lemire (Lemire 2021, "Number parsing at a gigabyte per second"). Lines that have a form in common are
taken apart before (`line_template`), and read column by column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.telemetry import json_template, line_template
from twinwright.telemetry.contract_spec import FieldKind
from twinwright.telemetry.json_scan import (
    BOOLEAN,
    INTEGER,
    LENGTH_BITS,
    MAX_KEYS,
    NUMBER,
    SCALAR,
    STRING,
    UNSEEN,
    VALUE,
    gather,
    read_column,
    read_lines,
    read_value,
)
from twinwright.telemetry.json_template import Plan
from twinwright.telemetry.line_kernels import WORD
from twinwright.telemetry.line_template import SplitLines
from twinwright.telemetry.packed import Buffer

_KINDS: Mapping[FieldKind, int] = {"number": NUMBER, "integer": INTEGER, "boolean": BOOLEAN, "string": STRING, "scalar": SCALAR}


@dataclass(frozen=True, slots=True)
class Lines:
    """What was read of a buffer. `columns` have a row for each line of `rows`; line i is `starts[i]` to `starts[i + 1] - 1`.

    `split` is there where the lines were taken apart for reading.
    """

    rows: NDArray[np.int64]
    columns: dict[str, pa.Array]
    left: NDArray[np.int64]
    starts: NDArray[np.int64]
    split: SplitLines | None = None


class _Values:
    """What is read, a row for each field and a column for each line: a number, a whole number, or where a text is."""

    def __init__(self, fields: int, lines: int) -> None:
        self.words = np.empty((fields, lines), np.uint64)
        self.state = np.zeros((fields, lines), np.uint8)
        self.good = np.zeros(lines, np.bool_)

    @property
    def places(self) -> tuple[NDArray[Any], ...]:
        """As the compiled functions take them."""
        return self.words, self.words.view(np.int64), self.words.view(np.float64), self.state


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

    def read(self, buffer: Buffer, count: int) -> Lines | None:
        """The `count` lines of `buffer`, which is UTF-8 and ends with a newline; None where there are not so many."""
        values = _Values(len(self._fields), count)
        split = line_template.split(buffer, count)
        plan = json_template.plan(split.template, dict(self._fields)) if split else None
        if split is not None and plan is not None and self._constants(split, plan, values):
            self._columns(split, plan, values)
            which, taken_apart = np.flatnonzero(~split.matched), split.buffer.view()
            taken_apart.flags.writeable = False  # as a buffer of bytes is: compiled once for both
            self._lines(taken_apart, split.rest, which, np.empty(len(which) + 1, np.int64), values)
            return self._lines_of(taken_apart, values, split.starts, split)
        data, starts = np.frombuffer(buffer, np.uint8), np.empty(count + 1, np.int64)
        if self._lines(data, (0, len(data)), np.arange(count), starts, values) != count:
            return None
        return self._lines_of(data, values, starts, split)

    def _lines(
        self, data: NDArray[np.uint8], span: tuple[int, int], which: NDArray[np.int64], starts: NDArray[np.int64], values: _Values
    ) -> int:
        """Read whole lines, the first into row `which[0]` and so on; how many there are, or one more than there is room for."""
        order = np.full(MAX_KEYS, -1, np.int64)
        return int(read_lines(data, *span, self._names, self._bounds, self._kinds, *values.places, which, starts, values.good, order))

    def _constants(self, split: SplitLines, plan: Plan, values: _Values) -> bool:
        """Take in the values that are the same in all lines; False where one is not sure. Their texts go behind the rest of the lines,
        where there is room for what the lines have in common."""
        at = split.rest[1]
        for j, (name, _) in enumerate(self._fields):
            if (text := plan.constants.get(name)) is None:
                continue
            split.buffer[at : at + len(text) + 1] = np.frombuffer(text + b"\n", np.uint8)
            one = _Values(len(self._fields), 1)
            if read_value(split.buffer, at, self._kinds[j], j, 0, *one.places) != at + len(text):
                values.state[:] = UNSEEN
                return False
            values.words[j], values.state[j, split.matched] = one.words[j, 0], one.state[j, 0]
            at += len(text) + 1
        return True

    def _columns(self, split: SplitLines, plan: Plan, values: _Values) -> None:
        values.good[:] = split.matched
        numbers = {name: j for j, (name, _) in enumerate(self._fields)}
        for number, column in enumerate(plan.columns):
            segment, begin, end = split.template.segments[number + 1], split.begins[number], split.ends[number]
            split.buffer[end] = 10  # no text is read past it; columns have room to spare
            j = -1 if column.field is None else numbers[column.field]
            kind = self._kinds[j] if j >= 0 else np.int8(-1)
            known = split.numbers(number) if kind == NUMBER and not column.in_quotes else None
            if known is not None and known.fill(values.words[j].view(np.float64), values.state[j], split.matched, VALUE):
                continue
            read_column(split.buffer, begin, segment[0], column.in_quotes, kind, j, split.matched, *values.places, values.good)

    def _lines_of(self, data: NDArray[np.uint8], values: _Values, starts: NDArray[np.int64], split: SplitLines | None) -> Lines:
        good = values.good
        rows = np.flatnonzero(good)
        columns = {}
        for j, (name, kind) in enumerate(self._fields):
            value, there = values.words[j], values.state[j] == VALUE
            if len(rows) < len(good):
                value, there = value[rows], there[rows]
            columns[name] = _array(data, kind, value, there)
        return Lines(rows, columns, np.flatnonzero(~good), starts, split)


def _array(data: NDArray[np.uint8], kind: FieldKind, words: NDArray[np.uint64], there: NDArray[np.bool_]) -> pa.Array:
    missing = None if there.all() else ~there
    if kind == "number":
        return pa.array(words.view(np.float64), mask=missing)
    if kind == "integer":
        return pa.array(words.view(np.int64), mask=missing)
    if kind == "boolean":
        return pa.array(words.astype(np.bool_), mask=missing)
    offsets = np.zeros(len(words) + 1, np.int64)
    np.cumsum(np.where(there, words & np.uint64((1 << LENGTH_BITS) - 1), np.uint64(0)), out=offsets[1:])
    text = np.empty(int(offsets[-1]) + WORD, np.uint8)
    gather(data, words, offsets, text)
    valid = None if missing is None else pa.py_buffer(np.packbits(there, bitorder="little"))
    return pa.Array.from_buffers(pa.large_string(), len(words), [valid, pa.py_buffer(offsets), pa.py_buffer(text)])
