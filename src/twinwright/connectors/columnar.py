"""Parquet and Arrow files in pieces of whole rows: each piece a Parquet file, or an Arrow IPC stream, of its own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

FORMATS: Final = frozenset({"parquet", "arrow"})


def pieces(path: Path, format: str, start: int, piece_bytes: int) -> Iterator[tuple[int, bytes, int]]:
    """(first row, bytes, row after the last) from row `start` on. A piece stays within one row group or record batch."""
    if format == "parquet":
        batches, encode = _parquet_batches(path, start, piece_bytes), _as_parquet
    else:
        batches, encode = _arrow_batches(path), _as_stream
    first = 0
    for item in batches:
        if isinstance(item, int):  # rows that were passed over unread
            first += item
            continue
        skip = min(max(start - first, 0), item.num_rows)
        for batch in _split(item.slice(skip), piece_bytes):
            begin = first + skip
            skip += batch.num_rows
            yield begin, encode(batch), first + skip
        first += item.num_rows


def row_count(path: Path, format: str) -> int:
    """How many rows a file has."""
    if format == "parquet":
        return int(pq.read_metadata(path).num_rows)
    return sum(batch.num_rows for batch in _arrow_batches(path))


def _split(batch: Any, piece_bytes: int) -> Iterator[Any]:
    rows = max(1, piece_bytes * batch.num_rows // max(batch.nbytes, 1))
    return (batch.slice(at, rows) for at in range(0, batch.num_rows, rows))


def _parquet_batches(path: Path, start: int, piece_bytes: int) -> Iterator[Any]:
    with pq.ParquetFile(path) as file:
        first = 0
        for group in range(file.num_row_groups):
            meta = file.metadata.row_group(group)
            first += meta.num_rows
            if first <= start:
                yield int(meta.num_rows)
            else:
                rows = max(1, piece_bytes * meta.num_rows // max(meta.total_byte_size, 1))
                yield from file.iter_batches(batch_size=rows, row_groups=[group])


def _arrow_batches(path: Path) -> Iterator[Any]:
    with pa.OSFile(str(path)) as file:
        is_file = file.read(6) == b"ARROW1"  # the IPC file format; a stream has no such mark
        file.seek(0)
        if is_file:
            reader = pa.ipc.open_file(file)
            yield from (reader.get_batch(index) for index in range(reader.num_record_batches))
        else:
            yield from pa.ipc.open_stream(file)


def _as_parquet(batch: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_batches([batch]), sink)
    return sink.getvalue()


def _as_stream(batch: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()
