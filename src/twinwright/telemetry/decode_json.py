"""JSON payloads: a document, an array of documents, or one document a line.

Plain lines go to the compiled reader. What it leaves goes to Arrow's, all at once with the types that the contract wants, and what
that will not take, in small chunks, to msgspec one document at a time; this plain reader defines what a field of the wrong type is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.json
from numpy.typing import NDArray

from twinwright.telemetry import line_template
from twinwright.telemetry.contract_spec import FieldKind
from twinwright.telemetry.decode import POLARS_TYPE, Column, Decoded, Joined, Undecodable, concatenate, empty
from twinwright.telemetry.json_reader import LineReader, Lines
from twinwright.telemetry.packed import Buffer, packed
from twinwright.telemetry.payloads import Payload

_CHUNK = 1_000
_MOST_LEFT = 0.25  # of the lines by the compiled reader; beyond that they are of another form, and all go to Arrow's
_MARK = b"\xef\xbb\xbf"  # of byte order: Arrow passes over it, JSON does not know it
_HUGE = re.compile(rb"\d[eE]\+?\d{3,}\s*[,}\]]|\d{300}")  # perhaps beyond a double, which Arrow does not notice in fields that it ignores
_NULL_AFTER = re.compile(rb"\}[ \t\r\n]*n")
_DEEP = 200  # brackets in a line; the plain reader's own limit depends on how deep it is called
_INT64 = range(-(2**63), 2**63)
_ARROW_TYPE: Mapping[FieldKind, pa.DataType] = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
}


class JsonDecoder:
    """Decodes the `fields` of a contract, each as its kind. A `scalar` is text, or a number or boolean as JSON writes it."""

    def __init__(self, fields: Mapping[str, FieldKind]) -> None:
        self._fields = fields
        self._reader = LineReader(fields) if LineReader.can_name(fields) else None
        self._document = msgspec.json.Decoder()
        self._array = msgspec.json.Decoder(list[msgspec.Raw])
        self._raw = msgspec.json.Decoder(msgspec.Raw)
        self._scalar_types: tuple[pa.DataType, ...] = (pa.string(), pa.int64())

    def decode(self, payloads: Sequence[Payload]) -> Decoded:
        fast = self._lines_of_one(payloads[0].body) if len(payloads) == 1 else self._one_line_each(payloads)
        if fast is not None:
            return fast
        elements, owner, undecodable = self.elements(payloads)
        rest = self._general(elements, np.array(owner, np.int32))
        return concatenate([rest, empty(self._fields, undecodable)], self._fields) if undecodable else rest

    def _lines_of_one(self, body: bytes) -> Decoded | None:
        """A large payload of plain lines needs no splitting before it is read. Its first line shows that it is not one document."""
        end = body.find(b"\n")
        if end < 0 or not body.startswith(b"{"):
            return None
        buffer = body if body.endswith(b"\n") else body + b"\n"
        lines = self._compiled(buffer, buffer.count(b"\n"))
        if lines is None or lines.starts[lines.rows[0]] != 0:
            return None
        line = _slicer(buffer, lines.starts)
        left = [(int(at), stripped) for at in lines.left if (stripped := line(int(at)).strip())]
        elements = [element for _, element in left]
        rest = self._general(elements, np.array([at for at, _ in left], np.int32))
        whole = self._in_order(lines, rest, line)
        undecodable = tuple(Undecodable(0, bad.raw, bad.detail) for bad in whole.undecodable)
        return Decoded(whole.count, whole.columns, np.zeros(whole.count, np.int32), whole.raw, undecodable)

    def _one_line_each(self, payloads: Sequence[Payload]) -> Decoded | None:
        """So do many payloads that are one plain document each."""
        bodies = packed(payloads)
        buffer = bodies.lines
        lines = self._compiled(buffer, len(bodies))  # None where one has a newline in it
        if lines is None:
            return None
        left = [payloads[at] for at in lines.left]
        elements, owner, undecodable = self.elements(left)
        rest = self._general(elements, lines.left[owner].astype(np.int32))
        undecodable = [Undecodable(int(lines.left[bad.payload]), bad.raw, bad.detail) for bad in undecodable]
        rest = concatenate([rest, empty(self._fields, undecodable)], self._fields) if undecodable else rest
        return replace(self._in_order(lines, rest, bodies.body), joined=Joined(buffer, len(bodies), lines.split))

    def _compiled(self, buffer: Buffer, count: int) -> Lines | None:
        """What the compiled reader takes, where that is most of it."""
        if self._reader is None or not (line_template.is_ascii(buffer) or _is_utf8(buffer)):
            return None
        lines = self._reader.read(buffer, count)
        return lines if lines is not None and len(lines.left) <= count * _MOST_LEFT else None

    def _in_order(self, lines: Lines, rest: Decoded, line: Callable[[int], bytes]) -> Decoded:
        """The lines that were read and what became of the rest, each owned by its line, as they came."""
        columns = {name: Column(lines.columns[name]) for name in self._fields}
        rows = lines.rows
        read = Decoded(len(rows), columns, rows.astype(np.int32), lambda row: line(int(rows[row])))
        if not rest.count:
            return Decoded(read.count, columns, read.owner, read.raw, rest.undecodable)
        both = concatenate([read, rest], self._fields)
        order = np.argsort(both.owner, kind="stable")
        columns = {
            name: Column(column.values.gather(order), None if column.wrong is None else column.wrong[order])
            for name, column in both.columns.items()
        }
        return Decoded(both.count, columns, both.owner[order], lambda row: both.raw(int(order[row])), both.undecodable)

    def _general(self, elements: Sequence[bytes], owners: NDArray[np.int32]) -> Decoded:
        """Documents of any form, each on a line of its own."""
        if not elements:
            return empty(self._fields)
        whole = self._fast(b"\n".join(elements), len(elements))
        if whole is not None:
            return Decoded(len(elements), whole, owners, elements.__getitem__)
        parts = [self._chunk(elements[at : at + _CHUNK], owners[at : at + _CHUNK]) for at in range(0, len(elements), _CHUNK)]
        return concatenate(parts, self._fields)

    def elements(self, payloads: Sequence[Payload]) -> tuple[list[bytes], list[int], list[Undecodable]]:
        """Each document on a line of its own, the payload it came from, and what holds none."""
        elements: list[bytes] = []
        owner: list[int] = []
        undecodable: list[Undecodable] = []
        for index, payload in enumerate(payloads):
            body = payload.body.strip()
            if b"\n" not in body and body[:1] == b"{":
                elements.append(body)
                owner.append(index)
                continue
            try:
                found = self._split(body)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
                undecodable.append(Undecodable(index, payload.body, f"not JSON: {error}"))
                continue
            elements += found
            owner += [index] * len(found)
        return elements, owner, undecodable

    def _split(self, body: bytes) -> list[bytes]:
        if not body:
            raise msgspec.DecodeError("the payload is empty")
        if body[:1] == b"[":
            return [element.replace(b"\n", b" ").replace(b"\r", b" ") for element in self._of_array(body)]
        if b"\n" in body:
            try:
                return [bytes(self._raw.decode(body)).replace(b"\n", b" ").replace(b"\r", b" ")]
            except (msgspec.DecodeError, RecursionError):
                return [line for line in (part.strip() for part in body.split(b"\n")) if line]
        return [body]

    def _of_array(self, body: bytes) -> list[bytes]:
        """An element that is only almost JSON (NaN, half a surrogate pair) is judged by itself, and its neighbours are not lost."""
        try:
            return [bytes(element) for element in self._array.decode(body)]
        except msgspec.DecodeError:
            found = _pieces(body)
            if found is None:
                raise
            return found

    def _fast(self, buffer: bytes, count: int) -> dict[str, Column] | None:
        """Arrow's reader; None where it will not take the buffer, or would take it in another sense than the plain one."""
        if b"NaN" in buffer or b"Inf" in buffer or buffer.startswith(_MARK) or _HUGE.search(buffer):
            return None
        if not buffer.isascii() and not _is_utf8(buffer):
            return None
        if not _is_object_a_line(buffer, count):
            return None
        for scalar in self._scalar_types:
            schema = pa.schema([(name, _ARROW_TYPE.get(kind, scalar)) for name, kind in self._fields.items()])
            options = pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
            try:
                table = pa.json.read_json(pa.BufferReader(buffer), pa.json.ReadOptions(block_size=1 << 20), options)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                continue
            if table.num_rows != count:
                return None
            if scalar != self._scalar_types[0]:
                self._scalar_types = (scalar, self._scalar_types[0])  # most sources keep to one way: try it first next time
            return {name: Column(_series(name, kind, table.column(name))) for name, kind in self._fields.items()}
        return None

    def _chunk(self, elements: Sequence[bytes], owners: NDArray[np.int32]) -> Decoded:
        columns = self._fast(b"\n".join(elements), len(elements))
        if columns is not None:
            return Decoded(len(elements), columns, owners, elements.__getitem__)
        return self._slow(elements, owners)

    def _slow(self, elements: Sequence[bytes], owners: NDArray[np.int32]) -> Decoded:
        documents: list[dict[str, Any]] = []
        rows: list[int] = []
        undecodable: list[Undecodable] = []
        for index, element in enumerate(elements):
            document, detail = self._read(element)
            if document is None:
                undecodable.append(Undecodable(int(owners[index]), element, detail))
            else:
                documents.append(document)
                rows.append(index)
        columns = {name: _column(name, kind, documents) for name, kind in self._fields.items()}
        return Decoded(len(rows), columns, owners[rows], lambda row: elements[rows[row]], tuple(undecodable))

    def _read(self, element: bytes) -> tuple[dict[str, Any] | None, str]:
        try:
            document = self._document.decode(element)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            document, detail = read_with_nan(element)
            if document is None:
                return None, detail or f"not JSON: {error}"
        if not isinstance(document, dict):
            return None, f"a JSON object is expected, not {type(document).__name__}"
        return document, ""


def _series(name: str, kind: FieldKind, values: pa.Array | pa.ChunkedArray) -> pl.Series:
    series = pl.from_arrow(values)
    assert isinstance(series, pl.Series)
    return series.cast(POLARS_TYPE[kind]).alias(name)


def _slicer(buffer: bytes, starts: NDArray[np.int64]) -> Callable[[int], bytes]:
    return lambda row: buffer[starts[row] : starts[row + 1] - 1]


def _is_object_a_line(buffer: bytes, count: int) -> bool:
    """Whether no line can go on in the next, and none holds a second value or is nested past what the plain reader takes.

    Arrow reads on over the ends of lines, so that pieces of two payloads would make a reading; a `null` outside of any object
    crashes it.
    """
    if not buffer.startswith(b"{") or not buffer.endswith(b"}") or buffer.count(b"}\n{") != count - 1 or buffer.count(b"\n") != count - 1:
        return False
    if _NULL_AFTER.search(buffer):
        return False
    if buffer.count(b"{") + buffer.count(b"[") <= count + _DEEP:
        return True
    return all(line.count(b"{") + line.count(b"[") <= _DEEP for line in buffer.split(b"\n"))


def _pieces(body: bytes) -> list[bytes] | None:
    """The elements of an array as they were sent, by the standard library's reader, which takes more; None where it is no array."""
    decode = json.JSONDecoder().raw_decode
    found: list[bytes] = []
    try:
        text = body.decode("utf-8")
        at = _space(text, 1)
        while text[at] != "]" or found:
            _, end = decode(text, at)
            found.append(text[at:end].encode("utf-8"))
            at = _space(text, end)
            if text[at] == "]":
                break
            if text[at] != ",":
                return None
            at = _space(text, at + 1)
    except (ValueError, IndexError):
        return None
    return found if _space(text, at + 1) == len(text) else None


def _space(text: str, at: int) -> int:
    """Where the white space ends that begins at `at`."""
    while text[at : at + 1] in (" ", "\t", "\r", "\n"):
        at += 1
    return at


def _is_utf8(buffer: Buffer) -> bool:
    try:
        str(buffer, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def read_with_nan(element: bytes) -> tuple[Any, str]:
    """NaN and infinities are not JSON, but many senders write them; a number may be JSON and too large for a double. They become `bad`
    values, not a lost reading."""
    if b"NaN" not in element and b"Infinity" not in element and not _HUGE.search(element):
        return None, ""
    try:
        document = json.loads(element)
        json.dumps(document, ensure_ascii=False).encode("utf-8")  # lone surrogates can't be stored
    except (ValueError, RecursionError) as error:
        return None, f"not JSON: {error}"
    return document, ""


def _column(name: str, kind: FieldKind, documents: Sequence[Mapping[str, Any]]) -> Column:
    values: list[Any] = []
    wrong = np.zeros(len(documents), np.bool_)
    take = TAKE[kind]
    for row, document in enumerate(documents):
        value = document.get(name)
        taken = None if value is None else take(value)
        wrong[row] = value is not None and taken is None
        values.append(taken)
    return Column(pl.Series(name, values, dtype=POLARS_TYPE[kind]), wrong if wrong.any() else None)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _integer(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:  # beyond that it may have been another
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value in _INT64 else None


def _scalar(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else repr(value) if isinstance(value, float) else None


def _json(value: Any) -> str | None:
    """An object or array as canonical JSON text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False) if isinstance(value, dict | list) else None


TAKE: Mapping[FieldKind, Callable[[Any], Any]] = {
    "number": _number,
    "integer": _integer,
    "boolean": lambda value: value if isinstance(value, bool) else None,
    "string": lambda value: value if isinstance(value, str) else None,
    "scalar": _scalar,
    "json": _json,
}
