"""CSV, Parquet and Arrow payloads: tables whose columns are named by their header or schema."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from twinwright.telemetry.contract import FieldKind
from twinwright.telemetry.decode import POLARS_TYPE, Column, Decoded, Undecodable, concatenate, empty
from twinwright.telemetry.payloads import Payload

_TRUE, _FALSE = ("true", "True", "TRUE", "1"), ("false", "False", "FALSE", "0")
_MAX_COLUMNS = 20_000
_MAX_ROWS = 5_000_000  # of a table
_MAX_BYTES = 512 * 1024 * 1024  # of a table when it is unpacked
_LINE_END = re.compile(rb"\r\n|\r|\n")


class CsvDecoder:
    """Each payload begins with its header line. Everything is read as text and then converted; an empty cell is missing."""

    def __init__(self, fields: Mapping[str, FieldKind], delimiter: str) -> None:
        self._fields = fields
        self._delimiter = delimiter
        self._quoted = re.compile(rb'(?:(?<=[\r\n%b])|\A)"(?:[^"]++|"")*+("?)' % re.escape(delimiter.encode()))
        self._ends = delimiter.encode() + b"\r\n"

    def decode(self, payloads: Sequence[Payload]) -> Decoded:
        return concatenate([self._one(index, payload.body) for index, payload in enumerate(payloads)], self._fields)

    def _one(self, index: int, body: bytes) -> Decoded:
        bad: list[Undecodable] = []
        body = body.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
        first = body.split(b"\n", 1)[0]
        header = first.rstrip(b"\r")
        names, problem = self._names(header, body)
        if problem:
            return empty(self._fields, [Undecodable(index, body, problem)])

        def refuse(row: pa.csv.InvalidRow) -> str:
            raw = header + b"\n" + (row.text or "").encode() + b"\n"
            bad.append(Undecodable(index, raw, f"{row.actual_columns} cells in a row of {row.expected_columns}"))
            return "skip"

        whole = body
        body, stray = self._without_stray_quotes(body, len(first) + 1)
        bad += [Undecodable(index, header + b"\n" + line + b"\n", "a quote is opened and not closed") for line in stray]
        body, foreign = _without_foreign_bytes(body, len(first) + 1)
        bad += [Undecodable(index, header + b"\n" + record + b"\n", f"not CSV: {why}") for record, why in foreign]
        types = dict.fromkeys(names, pa.string())
        try:
            table = pa.csv.read_csv(
                pa.BufferReader(body),
                pa.csv.ReadOptions(use_threads=False, block_size=max(len(body) + 1, 1 << 16)),
                pa.csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=refuse),
                pa.csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=True),
            )
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            return empty(self._fields, [Undecodable(index, whole, f"not CSV: {error}")])
        if table.column_names != names:  # a header over several lines, say
            return empty(self._fields, [Undecodable(index, whole, "not CSV: the header is not one plain line")])
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        columns = {}
        for name, kind in self._fields.items():
            text = frame[name] if name in names else pl.Series(name, [None] * len(frame), dtype=pl.String)
            columns[name] = from_text(text, kind)

        def raw(row: int) -> bytes:
            out = io.StringIO()
            cells = ["" if v is None else v for v in frame.row(row)]
            end = "\r\n" if any("\r" in cell for cell in cells) else "\n"  # what is in the end of a line is quoted in a cell
            csv.writer(out, delimiter=self._delimiter, lineterminator=end).writerows([names, cells])
            return out.getvalue().encode()

        return Decoded(len(frame), columns, np.full(len(frame), index, np.int32), raw, tuple(bad))

    def _without_stray_quotes(self, body: bytes, start: int) -> tuple[bytes, list[bytes]]:
        """The body without the lines from `start` on that open a quote and do not close it, and these lines.

        A quote is closed by one before the end of a cell (RFC 4180, 2.5 to 2.7). Where there is none, or it is in the midst of a cell
        of a later line, the lines between are records of their own: a single stray quote would swallow them.
        """
        if self._all_paired(body, start):
            return body, []
        kept, stray = [body[:start]], []
        copied = record = at = start  # what is before these is done: copied, where the record began, and read
        while (quoted := self._quoted.search(body, at)) is not None:
            record = max(body.rfind(b"\n", at, quoted.start()), body.rfind(b"\r", at, quoted.start()), record - 1) + 1
            at = quoted.end()
            spans_lines = b"\n" in quoted[0] or b"\r" in quoted[0]
            ends_a_cell = at == len(body) or body[at : at + 1] in self._ends
            if quoted[1] and (ends_a_cell or not spans_lines):
                continue
            line_end = _LINE_END.search(body, quoted.start())
            at = line_end.end() if line_end else len(body)
            kept.append(body[copied:record])
            stray.append(body[record:at].rstrip(b"\r\n"))
            copied = record = at
        return b"".join([*kept, body[copied:]]), stray

    def _all_paired(self, body: bytes, start: int) -> bool:
        """Whether quotes from `start` on come in pairs around whole cells, or double within one: so it is nearly always."""
        chars = np.frombuffer(body, np.uint8)
        quotes = np.flatnonzero(chars[start:] == ord('"')) + start
        if len(quotes) % 2:
            return False
        ends = np.frombuffer(self._ends + b'"', np.uint8)
        after = quotes[1::2] + 1
        return bool(np.isin(chars[quotes[::2] - 1], ends).all() and np.isin(chars[after[after < len(body)]], ends).all())

    def _names(self, header: bytes, body: bytes) -> tuple[list[str], str]:
        if not body.strip():
            return [], "the payload is empty"
        try:
            names = next(csv.reader([header.decode("utf-8")], delimiter=self._delimiter), [])
        except (UnicodeDecodeError, csv.Error) as error:
            return [], f"not CSV: {error}"
        if len(names) > _MAX_COLUMNS:
            return [], f"more than {_MAX_COLUMNS} columns"
        if len(set(names)) != len(names):
            return [], "the header names a column twice"
        return names, ""


def _without_foreign_bytes(body: bytes, start: int) -> tuple[bytes, list[tuple[bytes, str]]]:
    """The body without the records from `start` on that are not UTF-8; and these, with what is wrong. Its quotes come in pairs."""
    kept, foreign, at, ends = [body[:start]], [], start, None
    while at < len(body):
        try:
            str(memoryview(body)[at:], "utf-8")
        except UnicodeDecodeError as error:
            ends = _record_ends(body, start) if ends is None else ends
            following = int(np.searchsorted(ends, at + error.start, "right"))
            begin = int(ends[following - 1]) if following else start
            end = int(ends[following]) if following < len(ends) else len(body)
            kept.append(body[at:begin])
            foreign.append((body[begin:end].rstrip(b"\r\n"), f"byte {error.object[error.start]:#04x} is not UTF-8"))
            at = end
        else:
            kept.append(body[at:])
            break
    return b"".join(kept) if foreign else body, foreign


def _record_ends(body: bytes, start: int) -> NDArray[np.int64]:
    """Where records from `start` on end: behind each end of a line that is in no quotes."""
    chars = np.frombuffer(body, np.uint8)[start:]
    in_quotes = np.cumsum(chars == ord('"')) % 2 == 1
    return np.flatnonzero(np.isin(chars, np.frombuffer(b"\r\n", np.uint8)) & ~in_quotes) + start + 1


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


def _wrong(before: pl.Series, after: pl.Series) -> NDArray[np.bool_] | None:
    wrong = (before.is_not_null() & after.is_null()).to_numpy()
    return wrong if wrong.any() else None


def from_text(text: pl.Series, kind: FieldKind) -> Column:
    """Values that are written as text, as a kind; what can't be read as it is wrong."""
    if kind in ("string", "scalar"):
        return Column(text)
    trimmed = text.str.strip_chars()
    if kind == "boolean":
        values = trimmed.replace_strict(dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False), default=None, return_dtype=pl.Boolean)
    else:
        values = trimmed.cast(POLARS_TYPE[kind], strict=False)
    if kind == "integer" and values.null_count() > text.null_count():
        values = values.fill_null(_whole(trimmed))
    return Column(values, _wrong(text, values))


def _whole(text: pl.Series) -> pl.Series:
    """Whole numbers that are written as `1.0` or `1e3`, as JSON and typed columns take them."""
    written = pl.select(pl.when(text.str.contains("[.eE]")).then(text)).to_series().cast(pl.Float64, strict=False)
    whole = written.cast(pl.Int64, strict=False)
    return pl.select(pl.when(whole.cast(pl.Float64) == written).then(whole)).to_series()


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
    return Column(values, _wrong(series, values))
