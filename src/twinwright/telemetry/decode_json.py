"""JSON payloads: a document, an array of documents, or one document a line.

The fast reader is Arrow's, on many lines at once with the types that the contract wants. Lines it will not take go, in small
chunks, to msgspec one at a time; that plain reader defines what a field of the wrong type is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.json
from numpy.typing import NDArray

from twinwright.telemetry.contract import FieldKind
from twinwright.telemetry.decode import POLARS_TYPE, Column, Decoded, Undecodable, concatenate, empty
from twinwright.telemetry.payloads import Payload

_CHUNK = 1_000
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
        self._document = msgspec.json.Decoder()
        self._array = msgspec.json.Decoder(list[msgspec.Raw])
        self._raw = msgspec.json.Decoder(msgspec.Raw)
        self._scalar_types: tuple[pa.DataType, ...] = (pa.string(), pa.int64())

    def decode(self, payloads: Sequence[Payload]) -> Decoded:
        fast = self._lines_of_one(payloads[0].body) if len(payloads) == 1 else self._one_line_each(payloads)
        if fast is not None:
            return fast
        elements, owner, undecodable = self._elements(payloads)
        if not elements:
            return empty(self._fields, undecodable)
        whole = self._fast(b"\n".join(elements), len(elements))
        owners = np.array(owner, np.int32)
        if whole is not None:
            return Decoded(len(elements), whole, owners, elements.__getitem__, tuple(undecodable))
        parts = [self._chunk(elements[at : at + _CHUNK], owners[at : at + _CHUNK]) for at in range(0, len(elements), _CHUNK)]
        return concatenate([*parts, empty(self._fields, undecodable)], self._fields)

    def _lines_of_one(self, body: bytes) -> Decoded | None:
        """A large payload of plain lines needs no splitting before it is read."""
        if not body.startswith(b"{") or b"\n" not in body:
            return None
        count = body.count(b"\n") + (not body.endswith(b"\n"))
        columns = self._fast(body, count)
        if columns is None:
            return None
        lines: list[bytes] = []

        def raw(row: int) -> bytes:
            if not lines:
                lines.extend(body.split(b"\n"))
            return lines[row]

        return Decoded(count, columns, np.zeros(count, np.int32), raw)

    def _one_line_each(self, payloads: Sequence[Payload]) -> Decoded | None:
        """So do many payloads that are one plain document each."""
        buffer = b"\n".join([payload.body for payload in payloads])
        count = len(payloads)
        if not buffer.startswith(b"{") or buffer.count(b"\n{") != count - 1 or buffer.count(b"\n") != count - 1:
            return None
        columns = self._fast(buffer, count)
        if columns is None:
            return None
        return Decoded(count, columns, np.arange(count, dtype=np.int32), lambda row: payloads[row].body)

    def _elements(self, payloads: Sequence[Payload]) -> tuple[list[bytes], list[int], list[Undecodable]]:
        """Each document on a line of its own."""
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
            return [bytes(element).replace(b"\n", b" ").replace(b"\r", b" ") for element in self._array.decode(body)]
        if b"\n" in body:
            try:
                return [bytes(self._raw.decode(body)).replace(b"\n", b" ").replace(b"\r", b" ")]
            except (msgspec.DecodeError, RecursionError):
                return [line for line in (part.strip() for part in body.split(b"\n")) if line]
        return [body]

    def _fast(self, buffer: bytes, count: int) -> dict[str, Column] | None:
        """Arrow's reader; None where it will not take the buffer, or would take it in another sense than the plain one."""
        if b"NaN" in buffer or b"Inf" in buffer or (not buffer.isascii() and not _is_utf8(buffer)):
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
            columns = {}
            for name, kind in self._fields.items():
                series = pl.from_arrow(table.column(name))
                assert isinstance(series, pl.Series)
                columns[name] = Column(series.cast(POLARS_TYPE[kind]))
            return columns
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
            document, detail = _read_with_nan(element)
            if document is None:
                return None, detail or f"not JSON: {error}"
        if not isinstance(document, dict):
            return None, f"a JSON object is expected, not {type(document).__name__}"
        return document, ""


def _is_utf8(buffer: bytes) -> bool:
    try:
        buffer.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _read_with_nan(element: bytes) -> tuple[Any, str]:
    """NaN and infinities are not JSON, but many senders write them: they become `bad` values, not a lost reading."""
    if b"NaN" not in element and b"Infinity" not in element:
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
    take = _TAKE[kind]
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
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value in _INT64 else None


def _scalar(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else repr(value) if isinstance(value, float) else None


_TAKE = {
    "number": _number,
    "integer": _integer,
    "boolean": lambda value: value if isinstance(value, bool) else None,
    "string": lambda value: value if isinstance(value, str) else None,
    "scalar": _scalar,
}
