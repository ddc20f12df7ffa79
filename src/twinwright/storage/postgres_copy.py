"""Rows between Arrow and PostgreSQL's binary COPY form, a column at a time: no Python object per row that is written.

The form is that of COPY in PostgreSQL's manual: a header, then of each row the number of its fields and of each field its length (-1: null)
and its bytes, numbers in network order, then -1.

PostgreSQL's text can't hold NUL, and telemetry may bring it. So U+0000 and U+0001 are written as U+0001 and a digit: nothing is lost, and
order and prefixes are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twinwright.compiled import compiled

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_ESCAPES = (("\x01", "\x011"), ("\x00", "\x010"))  # in this order; read in the other
_WIDTHS = {pa.bool_(): 1, pa.int8(): 2, pa.int16(): 2, pa.int32(): 4, pa.int64(): 8, pa.float64(): 8}
_SIGNED = {2: np.int16, 4: np.int32, 8: np.int64}
_ROWS = 4096  # that are packed at a time, in a processor's cache
_PIECE = 1 << 20  # bytes that are handed over at a time
_CHUNK = 64 * 1024 * 1024  # bytes that are held before they become columns
Bytes = NDArray[np.uint8]


def escaped(text: str) -> str:
    """Text as PostgreSQL can hold it."""
    for plain, written in _ESCAPES if "\x00" in text or "\x01" in text else ():
        text = text.replace(plain, written)
    return text


def unescaped(text: str) -> str:
    """The text that was escaped."""
    for plain, written in reversed(_ESCAPES) if "\x01" in text else ():
        text = text.replace(written, plain)
    return text


def packed(rows: pa.Table) -> Bytes:
    """The rows in the binary form of COPY. int8 becomes smallint; strings and binary columns keep their bytes."""
    return np.concatenate(list(pieces(rows)))


def pieces(rows: pa.Table) -> Iterator[Bytes]:
    """The same some rows at a time, so that the server takes them in while the next are packed, in memory that is at hand."""
    yield np.frombuffer(_HEADER, np.uint8)
    if all(field.type in _WIDTHS for field in rows.schema) and not any(column.null_count for column in rows.columns):
        yield from _alike(rows)
    else:
        body = _body(rows)  # at once: its compiled loops cost more to begin than a piece takes
        yield from (body[first : first + _PIECE] for first in range(0, len(body), _PIECE))
    yield np.full(2, 0xFF, np.uint8)


def _body(rows: pa.Table) -> Bytes:
    count, columns = len(rows), [_Column(column) for column in rows.columns]
    sizes = np.full(count, 2 + 4 * len(columns), np.int64)
    for column in columns:
        sizes += column.sizes
    ends = np.cumsum(sizes)
    out, at = np.empty(int(sizes.sum()), np.uint8), ends - sizes
    _put_counts(out, at, len(columns))
    for column in columns:
        column.put(out, at)
    return out


def _alike(rows: pa.Table) -> Iterator[Bytes]:
    """Where each row has the same number of bytes: a row as it is without its values, as often as needed, and the values in it."""
    widths = [_WIDTHS[field.type] for field in rows.schema]
    row = np.dtype([("fields", ">i2"), *(part for j, width in enumerate(widths) for part in ((f"l{j}", ">i4"), (f"v{j}", f">u{width}")))])
    pattern = np.array([(len(widths), *chain.from_iterable((width, 0) for width in widths))], row)
    columns = [_words(column.combine_chunks()) for column in rows.columns]
    for first in range(0, len(rows), _ROWS):
        body = np.repeat(pattern, min(_ROWS, len(rows) - first))
        for j, words in enumerate(columns):
            body[f"v{j}"] = words[first : first + _ROWS]
        yield body.view(np.uint8)


class _Column:
    """One column on its way out: where its bytes are, and how many of each row."""

    def __init__(self, values: pa.ChunkedArray) -> None:
        array = values.combine_chunks()
        self.valid = np.asarray(array.is_valid().to_numpy(zero_copy_only=False), np.bool_)
        self.width = _WIDTHS.get(array.type, 0)
        if self.width:
            self.words = _words(array)
            self.sizes = np.where(self.valid, self.width, 0)
            return
        self._offsets, self._data = _offsets_and_data(array)
        self.sizes = np.where(self.valid, np.diff(self._offsets), 0)

    def put(self, out: Bytes, at: NDArray[np.int64]) -> None:
        """Write the field of each row at its place, and move the places on."""
        if self.width:
            _put_fixed(out, at, self.words, self.valid, self.width)
        else:
            _put_bytes(out, at, self._offsets, self._data, self.valid)


def _words(array: pa.Array) -> NDArray[np.uint64]:
    """Numbers as the words whose low bytes are written."""
    if pa.types.is_floating(array.type):
        return np.asarray(array.fill_null(0.0).to_numpy(zero_copy_only=False), np.float64).view(np.uint64)
    filled = array.fill_null(False if pa.types.is_boolean(array.type) else 0)
    return np.asarray(filled.to_numpy(zero_copy_only=False)).astype(np.int64).view(np.uint64)


def _offsets_and_data(array: pa.Array) -> tuple[NDArray[np.int64], Bytes]:
    text = not (pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type))
    array = array.cast(pa.large_string() if text else pa.large_binary())
    if text and any(pc.any(pc.match_substring(array, plain)).as_py() for plain, _ in _ESCAPES):
        for plain, written in _ESCAPES:
            array = pc.replace_substring(array, plain, written)
    _, offsets, data = array.buffers()
    if offsets is None or not len(array):
        return np.zeros(len(array) + 1, np.int64), np.zeros(0, np.uint8)
    places = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return places, np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)


def unpacked(stream: Iterable[bytes | bytearray | memoryview], schema: pa.Schema) -> pa.Table:
    """The rows that COPY sent, as columns of the schema. Raises ValueError for what is not the binary form."""
    return pa.concat_tables(unpacked_tables(stream, schema))


def unpacked_tables(stream: Iterable[bytes | bytearray | memoryview], schema: pa.Schema) -> Iterator[pa.Table]:
    """The same a piece at a time, so that it may be more than memory."""
    parts, size, skip = [], 0, len(_HEADER)
    for part in stream:
        parts.append(part)
        size += len(part)
        if size >= _CHUNK:
            yield _table(b"".join(parts), skip, schema)
            parts, size, skip = [], 0, 0
    yield _table(b"".join(parts), skip, schema)


def _table(received: bytes, skip: int, schema: pa.Schema) -> pa.Table:
    """Of whole rows: PostgreSQL sends each in a message of its own."""
    data = np.frombuffer(received, np.uint8)
    if skip and not received.startswith(_HEADER):
        raise ValueError("not in the binary form of COPY")
    count = _count(data, skip, len(schema))
    if count < 0:
        raise ValueError(f"a row does not have {len(schema)} fields")
    starts, lengths = np.empty((len(schema), count), np.int64), np.empty((len(schema), count), np.int32)
    _fields(data, skip, starts, lengths)
    return pa.table([_array(data, starts[j], lengths[j], field.type) for j, field in enumerate(schema)], schema=schema)


def _array(data: Bytes, starts: NDArray[np.int64], lengths: NDArray[np.int32], kind: pa.DataType) -> pa.Array:
    null = lengths < 0
    if kind in _WIDTHS:
        words = _get_fixed(data, starts, lengths)
        if pa.types.is_floating(kind):
            return pa.array(words.view(np.float64), kind, mask=null)
        if pa.types.is_boolean(kind):
            return pa.array(words != 0, kind, mask=null)
        return pa.array(words.astype(_SIGNED[_WIDTHS[kind]]).astype(kind.to_pandas_dtype()), kind, mask=null)
    offsets = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(np.maximum(lengths, 0), out=offsets[1:])
    text = _get_bytes(data, starts, offsets)
    valid = pa.array(~null).buffers()[1] if null.any() else None
    array = pa.Array.from_buffers(kind, len(starts), [valid, pa.py_buffer(offsets), pa.py_buffer(text)])
    if pa.types.is_string(kind) and (text == 1).any():
        for plain, written in reversed(_ESCAPES):
            array = pc.replace_substring(array, written, plain)
    return array


# --- compiled: the loops over rows ------------------------------------------------------------------------------------


@compiled
def _put_counts(out: Any, at: Any, count: int) -> None:
    for row in range(len(at)):
        out[at[row]] = count >> 8
        out[at[row] + 1] = count & 0xFF
        at[row] += 2


@compiled
def _put_fixed(out: Any, at: Any, words: Any, valid: Any, width: int) -> None:
    for row in range(len(at)):
        place = at[row]
        out[place] = out[place + 1] = out[place + 2] = 0 if valid[row] else 0xFF
        out[place + 3] = width if valid[row] else 0xFF
        at[row] = place + 4
        if valid[row]:
            word = words[row]
            for byte in range(width):
                out[place + 3 + width - byte] = word & np.uint64(0xFF)
                word >>= np.uint64(8)
            at[row] += width


@compiled
def _put_bytes(out: Any, at: Any, offsets: Any, data: Any, valid: Any) -> None:
    for row in range(len(at)):
        place = at[row]
        length = offsets[row + 1] - offsets[row] if valid[row] else -1
        for byte in range(4):
            out[place + byte] = (length >> (24 - 8 * byte)) & 0xFF
        place += 4
        for byte in range(length):
            out[place + byte] = data[offsets[row] + byte]
        at[row] = place + max(length, 0)


@compiled
def _length(data: Any, at: int) -> Any:
    return np.int32(
        np.uint32(data[at]) << np.uint32(24)
        | np.uint32(data[at + 1]) << np.uint32(16)
        | np.uint32(data[at + 2]) << np.uint32(8)
        | np.uint32(data[at + 3])
    )


@compiled
def _count(data: Any, at: int, fields: int) -> int:
    """How many rows there are; -1 where one has another number of fields or ends too early."""
    rows, size = 0, len(data)
    while at + 2 <= size:
        found = (np.int64(data[at]) << 8) | np.int64(data[at + 1])
        at += 2
        if found == 0xFFFF:
            return rows
        if found != fields:
            return -1
        for _ in range(fields):
            if at + 4 > size:
                return -1
            at += 4 + max(_length(data, at), 0)
        if at > size:
            return -1
        rows += 1
    return rows


@compiled
def _fields(data: Any, at: int, starts: Any, lengths: Any) -> None:
    for row in range(starts.shape[1]):
        at += 2
        for field in range(starts.shape[0]):
            length = _length(data, at)
            starts[field, row], lengths[field, row] = at + 4, length
            at += 4 + max(length, 0)


@compiled
def _get_fixed(data: Any, starts: Any, lengths: Any) -> Any:
    words = np.zeros(len(starts), np.uint64)
    for row in range(len(starts)):
        for byte in range(lengths[row]):
            words[row] = words[row] << np.uint64(8) | np.uint64(data[starts[row] + byte])
    return words


@compiled
def _get_bytes(data: Any, starts: Any, offsets: Any) -> Any:
    out = np.empty(offsets[-1], np.uint8)
    for row in range(len(starts)):
        for byte in range(offsets[row + 1] - offsets[row]):
            out[offsets[row] + byte] = data[starts[row] + byte]
    return out
