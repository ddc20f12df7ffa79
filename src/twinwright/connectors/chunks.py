"""Files in pieces: each a payload that its contract can decode alone, with the position where it begins and the next one does.

Positions of text (JSON, CSV, lines) are byte offsets, after decompression where the name ends in `.gz`, `.zst` or `.zstd`;
those of Parquet and Arrow are row numbers. Reading from any position that was handed out yields exactly what is left. No
more than a chunk, or one element that is larger, is in memory at a time.

What is text is never judged here: a broken line goes on to the contract, which refuses it with a reason. A chunk of a JSON
array is an array, a chunk of CSV repeats the header line (RFC 4180; newlines in quoted fields do not end a record), a chunk
of Parquet is a Parquet file, a chunk of Arrow an IPC stream.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from twinwright.connectors import columnar
from twinwright.errors import TooLargeError, UnsupportedMediaError, UsageError
from twinwright.telemetry import compressed
from twinwright.telemetry.payloads import Payload, Position

CHUNK_BYTES: Final = 4 * 1024 * 1024
MAX_ELEMENT_BYTES: Final = 64 * 1024 * 1024
_HEAD_BYTES: Final = 64 * 1024
_LINES: Final = frozenset({"json", "cloudevents", "line-protocol", "csv"})
_USUAL_DELIMITERS: Final = ",;\t|"
_BOM: Final = b"\xef\xbb\xbf"
_LINE_END: Final = re.compile(rb"\r\n?|\n")

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all) of the file as it lies on disk."""


@dataclass(frozen=True, slots=True)
class Chunking:
    """How to cut: `chunk_bytes` a piece, the `delimiter` of CSV, and the `captures` that go with each payload.

    The delimiter only tells where a quoted field may begin; without one it is any of the usual four.
    """

    chunk_bytes: int = CHUNK_BYTES
    delimiter: str | None = None
    captures: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """Where to go on with a file: the stream that names it in the store, and the position in that stream."""

    stream: str
    start: int


@dataclass(frozen=True, slots=True)
class _Span:
    """`lines` end in its bytes of the file; `ahead`: in the body so many more than that do before the first that is the file's."""

    start: int
    body: bytes
    next: int
    lines: int = 0
    ahead: int = 0


def read_chunks(
    path: Path, format: str, *, start: int = 0, stream: str | None = None, how: Chunking | None = None, progress: Progress | None = None
) -> Generator[tuple[Payload, Position], None, None]:
    """The payloads of a file from position `start` on. `stream` (default: by content) is what positions are kept under.

    The last position's `next` is the end of the file (see `end_of`). Raises UsageError for a file that is missing, truncated
    or in another encoding, TooLargeError for one element past 64 MiB, UnsupportedMediaError for a format nobody reads.
    """
    how = how or Chunking()
    name = stream or file_stream(path)
    captures = dict(how.captures or {})
    with _readable(path):
        size = path.stat().st_size
        end = end_of(path, format) if progress is not None else 0
        line = 0 if format in columnar.FORMATS else 1 + _lines_before(path, start)
        for span in _spans(path, format, start, how):
            yield Payload(span.body, captures), Position(name, span.start, span.next, file=str(path), line=line and line - span.ahead)
            line += span.lines
            if progress is not None:
                progress(size * span.next // end, size)


def _lines_before(path: Path, end: int) -> int:
    """How many lines end before a position of a file of text."""
    found = 0
    with compressed.opened(path) as file:
        while end > 0 and (piece := file.read(min(end, CHUNK_BYTES))):
            found, end = found + piece.count(b"\n"), end - len(piece)
    return found


def file_stream(path: Path) -> str:
    """The name of a file's content (SHA-256 of all of it), whatever the file is called. Raises UsageError."""
    with _readable(path), path.open("rb") as file:
        return f"file:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def beginning_stream(path: Path, size: int) -> str | None:
    """The name of the content that a file of plain text began with, where that is whole lines; None for other files."""
    if compressed.codec(path) is not None:
        return None
    digest, left, last = hashlib.sha256(), size, b""
    with _readable(path), path.open("rb") as file:
        while left > 0 and (piece := file.read(min(left, CHUNK_BYTES))):
            digest.update(piece)
            left, last = left - len(piece), piece[-1:]
    return f"file:{digest.hexdigest()}" if left == 0 and last == b"\n" else None


def end_of(path: Path, format: str) -> int:
    """The position at which nothing of the file is left: bytes, or rows. Raises UsageError."""
    with _readable(path):
        if format in columnar.FORMATS:
            return columnar.row_count(path, format)
        if compressed.codec(path) is None:
            return path.stat().st_size
        with compressed.opened(path) as file:
            return sum(len(piece) for piece in iter(lambda: file.read(CHUNK_BYTES), b""))


def resume(path: Path, format: str, position: Callable[[str], int]) -> Resume:
    """Where a batch load takes a file up. `position(stream)` is what the store holds, 0 for what it never saw.

    An interrupted file goes on where it stopped. A finished one is read again from the start, as a further pass with
    positions of its own, so that all of it is seen to be duplicate. A file with other content is another stream.
    """
    content, end, number = file_stream(path), end_of(path, format), 1
    while True:
        stream = content if number == 1 else f"{content}#{number}"
        start = position(stream)
        if start < end or end == 0:
            return Resume(stream, start)
        number += 1


def _spans(path: Path, format: str, start: int, how: Chunking) -> Iterator[_Span]:
    if format in columnar.FORMATS:
        return (_Span(*piece) for piece in columnar.pieces(path, format, start, how.chunk_bytes))
    if format not in _LINES:
        raise UnsupportedMediaError(
            f"the format '{format}' can't be read from a file", where=str(path), remedy="Use json, csv, parquet or arrow"
        )
    if format == "csv":
        return _without_blank(_csv(path, start, how))
    if format == "line-protocol":
        return _without_blank(_text(path, start, how))
    return _without_blank(_json(path, start, how))


def _json(path: Path, start: int, how: Chunking) -> Iterator[_Span]:
    with compressed.opened(path) as file:
        head = file.read(_HEAD_BYTES)
    _check_encoding(head, path)
    if start == 0:
        text = head.removeprefix(_BOM)
        opening = len(head) - len(text.lstrip()) + 1  # just inside the bracket, if it is one
        if text.lstrip()[:1] == b"[" and not _is_line_of_more(head[opening:]):
            yield from _array(path, 0, opening, how)
            return
        if not _is_value(text.lstrip().split(b"\n", 1)[0]):
            document = _whole_document(path)
            if document is not None:
                yield _Span(0, document.removeprefix(_BOM), len(document), document.count(b"\n"))
                return
    elif _byte_before(path, start) == b",":  # lines and arrays end otherwise: this is inside an array
        yield from _array(path, start, start, how)
        return
    yield from _text(path, start, how)


def _text(path: Path, start: int, how: Chunking) -> Iterator[_Span]:
    with compressed.opened(path, start) as file:
        for span in _cut(file, start, how.chunk_bytes, _after_last_line, path):
            if span.start == 0:
                _check_encoding(span.body, path)
                span = replace(span, body=span.body.removeprefix(_BOM))
            yield span


def _array(path: Path, start: int, inside: int, how: Chunking) -> Iterator[_Span]:
    """Elements of a top-level array from the offset `inside` it on, and as lines whatever follows its end."""
    with compressed.opened(path, inside) as file:
        buffer, closed, offset = b"", False, inside
        while not closed:
            piece = file.read(max(how.chunk_bytes - len(buffer), len(buffer), 1))
            buffer += piece
            end, closed = _array_border(buffer)
            if end:
                body = buffer[: end - 1]  # without its comma or bracket
                yield _Span(start, b"[" + body + b"]" if body.strip() else b"", offset + end, buffer.count(b"\n", 0, end))
                offset, buffer = offset + end, buffer[end:]
                start = offset
            elif piece:
                _check_element(buffer, offset, path)
            else:  # the array never ends: what is left goes on as it is, for the contract to refuse
                yield _Span(start, b"[" + buffer if buffer.strip() else b"", offset + len(buffer), buffer.count(b"\n"))
                return
        yield from _cut(file, offset, how.chunk_bytes, _after_last_line, path, buffer)


def _csv(path: Path, start: int, how: Chunking) -> Iterator[_Span]:
    delimiters = how.delimiter or _USUAL_DELIMITERS
    quoted = _quoted_fields(delimiters)

    with compressed.opened(path) as file:
        header, header_end = _csv_header(file, quoted, path)
    end = header[-1:]

    def border(buffer: bytes) -> int:
        return _after_last_record(buffer, end, delimiters, quoted)

    inside, repeated = max(start, header_end), header.count(b"\n")
    before = _lines_before(path, header_end)
    with compressed.opened(path, inside) as file:
        for span in _cut(file, inside, how.chunk_bytes, border, path):
            body = header + span.body if span.body.strip() else b""
            if span.start == inside and start < header_end:
                yield _Span(start, body, span.next, span.lines + before, repeated - before)
            else:
                yield _Span(span.start, body, span.next, span.lines, repeated)


def _csv_header(file: compressed.Readable, quoted: re.Pattern[bytes], path: Path) -> tuple[bytes, int]:
    """The header line with its end, without what comes before it, and the offset after it. Some spreadsheets end lines in a bare CR."""
    buffer = b""
    while True:
        piece = file.read(max(_HEAD_BYTES, len(buffer)))
        buffer += piece
        _check_encoding(buffer, path)
        text = buffer.removeprefix(_BOM).lstrip(b"\r\n")
        skipped = len(buffer) - len(text)
        end = _LINE_END.search(_blank_quoted(quoted, text))
        if end is not None and (end.end() < len(text) or not piece):  # at the end of what was read a CR may be half of one
            return text[: end.end()], skipped + end.end()
        if not piece:
            return text + b"\n", len(buffer)
        _check_element(buffer, 0, path)


def _cut(
    file: compressed.Readable, offset: int, chunk_bytes: int, border: Callable[[bytes], int], path: Path, buffer: bytes = b""
) -> Iterator[_Span]:
    """Pieces of about `chunk_bytes` that end where `border(buffer)` says the last record does (0: nowhere yet)."""
    ended = False
    while not ended or buffer:
        piece = file.read(max(chunk_bytes - len(buffer), len(buffer), 1))
        ended, buffer = not piece, buffer + piece
        end = len(buffer) if ended else border(buffer)
        if end:
            yield _Span(offset, buffer[:end], offset + end, buffer.count(b"\n", 0, end))
            offset, buffer = offset + end, buffer[end:]
        elif not ended:
            _check_element(buffer, offset, path)


def _without_blank(spans: Iterator[_Span]) -> Iterator[_Span]:
    """Spans with something in them; the bytes of blank ones count to a neighbour, so that the last one ends with the file."""
    held: _Span | None = None
    blank_from: int | None = None
    blank = 0
    for span in spans:
        if span.body.strip():
            if held is not None:
                yield held
            start = span.start if blank_from is None else blank_from
            held = replace(span, start=start, lines=span.lines + blank, ahead=span.ahead - blank)
            blank_from, blank = None, 0
        elif held is not None:
            held = replace(held, next=span.next, lines=held.lines + span.lines)
        else:
            blank_from, blank = span.start if blank_from is None else blank_from, blank + span.lines
    if held is not None:
        yield held


def _after_last_line(buffer: bytes) -> int:
    return buffer.rfind(b"\n") + 1


_ESCAPE: Final = re.compile(rb"\\.", re.DOTALL)
_DEPTH: Final = np.zeros(256, np.int8)
_DEPTH[[ord("["), ord("{")]] = 1
_DEPTH[[ord("]"), ord("}")]] = -1


def _array_border(buffer: bytes) -> tuple[int, bool]:
    """Where, in a buffer that begins inside an array, the last whole element ends (after its comma), or the array itself does.

    Vectorised: a quote that is not escaped toggles strings, brackets outside strings move the depth.
    """
    plain = _ESCAPE.sub(b"__", buffer) if b"\\" in buffer else buffer
    chars = np.frombuffer(plain, np.uint8)
    outside = (np.cumsum(chars == ord('"'), dtype=np.int32) & 1) == 0
    depth = np.cumsum(_DEPTH[chars] * outside, dtype=np.int32)
    closing = np.flatnonzero(depth < 0)
    if closing.size:
        return int(closing[0]) + 1, True
    commas = np.flatnonzero((chars == ord(",")) & outside & (depth == 0))
    return (int(commas[-1]) + 1 if commas.size else 0), False


def _is_line_of_more(inside: bytes) -> bool:
    """Whether the array that begins here ends within the head and something follows: then arrays stand one a line."""
    end, closed = _array_border(inside)
    return closed and bool(inside[end:].strip())


def _quoted_fields(delimiters: str) -> re.Pattern[bytes]:
    """A quoted field of CSV, from a quote at the start of a field to its end, or that of the buffer."""
    before = b"[" + re.escape(delimiters.encode()) + rb"\r\n]"
    return re.compile(rb"(?:(?<=" + before + rb')|\A)"(?:[^"]++|"")*+(?:"|\Z)')


def _blank_quoted(quoted: re.Pattern[bytes], buffer: bytes) -> bytes:
    return quoted.sub(lambda match: b"x" * len(match[0]), buffer) if b'"' in buffer else buffer


def _after_last_record(buffer: bytes, end: bytes, delimiters: str, quoted: re.Pattern[bytes]) -> int:
    """Where the last whole record of CSV ends (in `end`, a newline or a bare CR), in a buffer that begins with one.

    Vectorised where every quote that opens stands at the start of a field (then a newline ends a record if an even number of
    quotes is before it), some 20 times faster than by expression; a stray quote within a bare field needs the expression.
    """
    if b'"' not in buffer:
        return buffer.rfind(end) + 1
    chars = np.frombuffer(buffer, np.uint8)
    quotes = np.flatnonzero(chars == ord('"'))
    opening = quotes[::2]
    before = chars[opening[opening > 0] - 1]
    if not _at_field_start(before, delimiters).all():
        return _blank_quoted(quoted, buffer).rfind(end) + 1
    newlines = np.flatnonzero(chars == ord(end))
    ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
    return int(ends[-1]) + 1 if ends.size else 0


def _at_field_start(chars: NDArray[np.uint8], delimiters: str) -> NDArray[np.bool_]:
    starts = np.zeros(256, np.bool_)
    starts[list(f'{delimiters}\n\r"'.encode())] = True
    return starts[chars]


def _is_value(text: bytes) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


def _whole_document(path: Path) -> bytes | None:
    """All of the file if it is one JSON value over several lines."""
    with compressed.opened(path) as file:
        text = file.read(MAX_ELEMENT_BYTES + 1)
    return text if len(text) <= MAX_ELEMENT_BYTES and _is_value(text.removeprefix(_BOM)) else None


def _byte_before(path: Path, offset: int) -> bytes:
    with compressed.opened(path, offset - 1) as file:
        return file.read(1)


def _check_encoding(head: bytes, path: Path) -> None:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UsageError("it is UTF-16", where=str(path), remedy="Save it as UTF-8")


def _check_element(buffer: bytes, offset: int, path: Path) -> None:
    if len(buffer) > MAX_ELEMENT_BYTES:
        raise TooLargeError(
            f"one element is larger than {MAX_ELEMENT_BYTES} bytes", where=f"{path}: byte {offset}", remedy="Split it, or check its quotes"
        )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What the system and the libraries say of a file they can't read, in our words."""
    try:
        yield
    except FileNotFoundError:
        raise UsageError("there is no such file", where=str(path), remedy="Check its name") from None
    except compressed.UNREADABLE as error:
        said = " ".join(str(error).split())[:300]
        raise UsageError(
            f"it can't be read: {said.rstrip('.')}", where=str(path), remedy="Check that it is whole and may be read"
        ) from error
