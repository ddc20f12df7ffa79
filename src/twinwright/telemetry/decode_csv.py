"""CSV payloads: tables whose columns are named by their header line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from twinwright.telemetry.contract_spec import FieldKind
from twinwright.telemetry.decode import Decoded, Undecodable, empty
from twinwright.telemetry.decode_text import from_text
from twinwright.telemetry.payloads import Payload

_MAX_COLUMNS = 20_000
_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class _Plain:
    """A payload without quotes, blank lines and bytes that are not UTF-8, with as many cells as its header asks for: its rows are its
    lines, whatever is read before and behind it."""

    index: int
    body: bytes
    header: bytes
    lines: bytes  # without the last end of a line

    @property
    def count(self) -> int:
        return self.lines.count(b"\n") + 1 if self.lines else 0


@dataclass(frozen=True, slots=True)
class _Cells:
    """Rows of text under their names, and the payload of each."""

    names: list[str]
    table: pa.Table
    owner: NDArray[np.int32]


class CsvDecoder:
    """Each payload begins with its header line. Everything is read as text and then converted; an empty cell is missing."""

    def __init__(self, fields: Mapping[str, FieldKind], delimiter: str) -> None:
        self._fields = fields
        self._delimiter = delimiter
        self._quoted = re.compile(rb'(?:(?<=[\r\n%b])|\A)"(?:[^"]++|"")*+("?)' % re.escape(delimiter.encode()))
        self._ends = delimiter.encode() + b"\r\n"

    def decode(self, payloads: Sequence[Payload]) -> Decoded:
        """Payloads in a row with the same header are read as one table, as long as each is plain: see `_Plain`. Those that are not are
        split into cells one by one. Cells become values together, whatever their headers are."""
        cells: list[_Cells] = []
        undecodable: list[Undecodable] = []
        waiting: list[_Plain] = []

        def alone(index: int, body: bytes) -> None:
            found, bad = self._one(index, body)
            undecodable.extend(bad)
            if found is not None:
                cells.append(found)

        def read(plain: Sequence[_Plain]) -> None:
            """Payloads with one header; halved around one that has to be read by itself."""
            together = self._together(plain) if plain else None
            if together is not None:
                cells.append(together)
            elif len(plain) == 1:
                alone(plain[0].index, plain[0].body)
            elif plain:
                middle = len(plain) // 2
                read(plain[:middle])
                read(plain[middle:])

        for index, payload in enumerate(payloads):
            plain = _plain(index, payload.body, self._delimiter.encode())
            if waiting and (plain is None or plain.header != waiting[0].header):
                read(waiting)
                waiting.clear()
            if plain is None:
                alone(index, payload.body)
            else:
                waiting.append(plain)
        read(waiting)
        return self._decoded(cells, undecodable)

    def _together(self, plain: Sequence[_Plain]) -> _Cells | None:
        """Some payloads as one table; None where a line of any of them is not what the header says."""
        names, problem = self._names(plain[0].header, plain[0].body)
        if problem:
            return None
        try:
            table = self._table(b"\n".join([plain[0].header, *(one.lines for one in plain if one.lines)]), names, lambda _: "skip")
        except (pa.ArrowInvalid, pa.ArrowKeyError):
            return None
        counts = [one.count for one in plain]
        if table.column_names != names or table.num_rows != sum(counts):
            return None
        return _Cells(names, table, np.repeat(np.array([one.index for one in plain], np.int32), counts))

    def _one(self, index: int, body: bytes) -> tuple[_Cells | None, list[Undecodable]]:
        """The rows of a payload, and what is refused of it."""
        bad: list[Undecodable] = []
        body = _begun(body)
        end = _LINE_END.search(body)  # also of lines that end in a bare CR, as old Macs and some spreadsheets write them
        header, start = (body, len(body)) if end is None else (body[: end.start()], end.end())
        names, problem = self._names(header, body)
        if problem:
            return None, [Undecodable(index, body, problem)]

        def refuse(row: pa.csv.InvalidRow) -> str:
            raw = header + b"\n" + (row.text or "").encode() + b"\n"
            bad.append(Undecodable(index, raw, f"{row.actual_columns} cells in a row of {row.expected_columns}"))
            return "skip"

        whole = body
        body, stray = self._without_stray_quotes(body, start)
        bad += [Undecodable(index, header + b"\n" + line + b"\n", "a quote is opened and not closed") for line in stray]
        body, foreign = _without_foreign_bytes(body, start)
        bad += [Undecodable(index, header + b"\n" + record + b"\n", f"not CSV: {why}") for record, why in foreign]
        try:
            table = self._table(body, names, refuse)
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            return None, [Undecodable(index, whole, f"not CSV: {error}")]
        if table.column_names != names:  # a header over several lines, say
            return None, [Undecodable(index, whole, "not CSV: the header is not one plain line")]
        return _Cells(names, table, np.full(table.num_rows, index, np.int32)), bad

    def _table(self, body: bytes, names: Sequence[str], refuse: Callable[[pa.csv.InvalidRow], str]) -> pa.Table:
        """All cells as text. A header alone is a table without rows, however it ends."""
        return pa.csv.read_csv(
            pa.BufferReader(body if body.endswith(b"\n") else body + b"\n"),
            pa.csv.ReadOptions(use_threads=False, block_size=max(len(body) + 2, 1 << 16)),
            pa.csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=refuse),
            pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=True
            ),
        )

    def _decoded(self, cells: Sequence[_Cells], undecodable: Sequence[Undecodable]) -> Decoded:
        cells = [one for one in cells if one.table.num_rows]
        if not cells:
            return empty(self._fields, undecodable)
        columns = {name: from_text(_text(name, cells), kind) for name, kind in self._fields.items()}
        ends = np.cumsum([one.table.num_rows for one in cells])

        def raw(row: int) -> bytes:
            at = int(np.searchsorted(ends, row, side="right"))
            found, out = cells[at], io.StringIO()
            texts = [column[row - int(ends[at])].as_py() or "" for column in found.table.columns]  # counted from the end
            end = "\r\n" if any("\r" in text for text in texts) else "\n"  # what is in the end of a line is quoted in a cell
            csv.writer(out, delimiter=self._delimiter, lineterminator=end).writerows([found.names, texts])
            return out.getvalue().encode()

        return Decoded(int(ends[-1]), columns, np.concatenate([one.owner for one in cells]), raw, tuple(undecodable))

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


def _text(name: str, cells: Sequence[_Cells]) -> pl.Series:
    """A column of all rows; nothing where a header lacks it."""
    chunks: list[pa.Array] = []
    for one in cells:
        chunks += one.table.column(name).chunks if name in one.names else [pa.nulls(one.table.num_rows, pa.string())]
    series = pl.from_arrow(pa.chunked_array(chunks, pa.string()).combine_chunks())
    assert isinstance(series, pl.Series)
    return series.alias(name)


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


def _begun(body: bytes) -> bytes:
    """What begins with the header, or with nothing."""
    return body.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")


def _plain(index: int, body: bytes, delimiter: bytes) -> _Plain | None:
    if b'"' in body:
        return None
    header, _, lines = _begun(body).replace(b"\r\n", b"\n").partition(b"\n")
    lines = lines.removesuffix(b"\n")
    if not header or b"\r" in header or b"\r" in lines or lines.startswith(b"\n") or lines.endswith(b"\n") or b"\n\n" in lines:
        return None
    plain = _Plain(index, body, header, lines)
    if lines.count(delimiter) != header.count(delimiter) * plain.count:
        return None
    try:
        str(lines, "utf-8")
    except UnicodeDecodeError:
        return None
    return plain
