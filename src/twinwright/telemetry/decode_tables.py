"""Parquet and Arrow payloads: tables whose columns are named and typed by their schema."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from twinwright.telemetry.contract_spec import FieldKind
from twinwright.telemetry.decode import POLARS_TYPE, Column, Decoded, Undecodable, concatenate, empty
from twinwright.telemetry.decode_text import misread
from twinwright.telemetry.payloads import Payload

_MAX_ROWS = 5_000_000  # of a table
_MAX_BYTES = 512 * 1024 * 1024  # of a table when it is unpacked


class TableDecoder:
    """Each payload is a whole Parquet file or Arrow IPC stream."""

    def __init__(self, fields: Mapping[str, FieldKind], format: str) -> None:
        self._fields = fields
        self._format = format

    def decode(self, payloads: Sequence[Payload]) -> Decoded:
        return concatenate([self._one(index, payload.body) for index, payload in enumerate(payloads)], self._fields)

    def _one(self, index: int, body: bytes) -> Decoded:
        try:  # damage may show only where a column is used
            table = _read_table(body, self._format, self._fields)
            columns = {name: _column(table, name, kind) for name, kind in self._fields.items()}
        except _TooLargeError as error:
            return empty(self._fields, [Undecodable(index, body, str(error), "too_large")])
        except (pa.ArrowException, OSError, ValueError, MemoryError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            return empty(self._fields, [Undecodable(index, body, f"not {self._format}: {error}")])

        @cache
        def whole() -> pa.Table:
            try:
                return _read_table(body, self._format, None)
            except (_TooLargeError, pa.ArrowException, OSError, ValueError, MemoryError):  # in a column that the contract does not read
                return table

        def raw(row: int) -> bytes:
            one = whole().slice(row, 1)
            plain = [column.cast(column.type.value_type) if _is_packed_text(column.type) else column for column in one.columns]
            return write_table(pa.table(plain, names=one.column_names), self._format)

        return Decoded(table.num_rows, columns, np.full(table.num_rows, index, np.int32), raw)


class _TooLargeError(Exception):
    """A table that would take more memory than a payload may."""


def _column(table: pa.Table, name: str, kind: FieldKind) -> Column:
    if table.column_names.count(name) > 1:
        raise ValueError(f"the column '{name}' is there twice")
    if name not in table.column_names:
        return Column(pl.Series(name, [None] * table.num_rows, dtype=POLARS_TYPE[kind]))
    column = table.column(name)
    column.validate(full=True)  # Polars takes it on trust
    _check_expansion(column)
    series = pl.from_arrow(column)
    assert isinstance(series, pl.Series)
    return _from_typed(series, kind)


def _check_expansion(column: pa.ChunkedArray) -> None:
    """A long text in a dictionary takes its bytes once until the column is written out."""
    if not _is_packed_text(column.type):
        return
    size = 0
    for chunk in column.chunks:
        size += pa.compute.sum(pa.compute.binary_length(chunk.dictionary).take(chunk.indices).cast(pa.int64())).as_py() or 0
    if size > _MAX_BYTES:
        raise _TooLargeError(f"{size} bytes of text in a column, at most {_MAX_BYTES} are read")


def _is_packed_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind)) and _is_text(kind.value_type)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _check_size(rows: int, size: int) -> None:
    if rows > _MAX_ROWS:
        raise _TooLargeError(f"{rows} rows, at most {_MAX_ROWS} are read")
    if size > _MAX_BYTES:
        raise _TooLargeError(f"{size} bytes when unpacked, at most {_MAX_BYTES} are read")


def _read_table(body: bytes, format: str, names: Collection[str] | None) -> pa.Table:
    """The columns of these names, or all. What is packed in a few bytes may be far more than memory holds: see `_MAX_BYTES`."""
    if format == "parquet":
        return _read_parquet(body, names)
    source = pa.BufferReader(body)
    reader = pa.ipc.open_file(source) if body.startswith(b"ARROW1") else pa.ipc.open_stream(source)
    if names is not None:  # what is not included is not unpacked
        included = [at for at, name in enumerate(reader.schema.names) if name in names]
        if included:
            options = pa.ipc.IpcReadOptions(included_fields=included)
            source = pa.BufferReader(body)
            is_file = body.startswith(b"ARROW1")
            reader = pa.ipc.open_file(source, options=options) if is_file else pa.ipc.open_stream(source, options=options)
    batches, rows, size = [], 0, 0
    for batch in (reader.get_batch(at) for at in range(reader.num_record_batches)) if hasattr(reader, "get_batch") else reader:
        batch.validate()  # Arrow counts the bytes of a text that is longer than its buffers by looking there, and that ends the process
        rows, size = rows + batch.num_rows, size + batch.nbytes
        _check_size(rows, size)
        batches.append(batch)
    return pa.Table.from_batches(batches, schema=reader.schema if not batches else batches[0].schema)


def _read_parquet(body: bytes, names: Collection[str] | None) -> pa.Table:
    source = pa.BufferReader(body)
    metadata = pa.parquet.read_metadata(source)
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)  # not of columns: statistics of a column that don't fit end the process
    _check_size(max(metadata.num_rows, sum(group.num_rows for group in groups)), size)
    schema = metadata.schema.to_arrow_schema()
    # A value is there once for all rows that have it, so that texts are left in their dictionaries until their size is known.
    texts = [field.name for field in schema if _is_text(field.type)] if metadata.num_rows * size > _MAX_BYTES else []
    file = pa.parquet.ParquetFile(source, read_dictionary=texts)
    table = file.read(columns=None if names is None else [name for name in schema.names if name in names], use_threads=False)
    if table.num_rows == metadata.num_rows:
        return table
    return file.read(use_threads=False)  # no column of the contract is there: the rows are counted by the others


def write_table(table: pa.Table, format: str) -> bytes:
    """A table as a payload of its own."""
    sink = pa.BufferOutputStream()
    if format == "parquet":
        pa.parquet.write_table(table, sink, compression="zstd")
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return bytes(sink.getvalue())


def _from_typed(series: pl.Series, kind: FieldKind) -> Column:
    """Numbers stay numbers and text stays text: a column of another type is wrong in every row, times become ISO text."""
    dtype = series.dtype
    if isinstance(dtype, pl.Datetime):
        aware = dtype.time_zone is not None
        utc = series.dt.convert_time_zone("UTC") if aware else series
        return _from_typed(utc.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f" + ("Z" if aware else "")), kind)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        series = series.cast(pl.String)
        dtype = series.dtype
    nothing = pl.Series(series.name, [None] * len(series), dtype=POLARS_TYPE[kind])
    numeric = dtype.is_numeric()
    if kind == "scalar" and (numeric or dtype in (pl.Boolean, pl.String)):
        values = series.cast(pl.String)
    elif kind == "number" and numeric:
        values = series.cast(pl.Float64)
    elif kind == "integer" and numeric:
        whole = series.cast(pl.Int64, strict=False)
        values = whole if dtype.is_integer() else pl.select(pl.when(whole.cast(pl.Float64) == series).then(whole)).to_series()
    elif (kind == "boolean" and dtype == pl.Boolean) or (kind == "string" and dtype == pl.String):
        values = series
    else:
        values = nothing
    values = values.alias(series.name)
    return Column(values, misread(series, values))
