"""The journal: payloads kept exactly as received, framed and compressed, so that a later contract can read them again."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.errors import StoreError
from twinwright.telemetry import line_template, number_columns
from twinwright.telemetry.decode import Joined
from twinwright.telemetry.line_template import SplitLines, Template
from twinwright.telemetry.number_columns import PLANES
from twinwright.telemetry.packed import PackedPayloads, captures_of, lengths_of, packed
from twinwright.telemetry.payloads import Payload

_VERSION = 3
_GAP = 1  # bytes between two bodies, as they are packed now
_READABLE = (1, 2, 3)  # 1: never taken apart, and always with lengths; 2: without check sum and columns of numbers
_HEAD = struct.Struct("<BBIIQ")  # version, bytes between two bodies, bytes of the index before and after compression, bytes of the bodies
_CHECK = struct.Struct("<I")  # CRC-32 of all the rest; since version 3
_CODEC = pa.Codec("zstd", compression_level=1)


class _Parts(msgspec.Struct, array_like=True, frozen=True):
    """How bodies that were taken apart lie in the block: the template, which lines fit it, and of each part its bytes before and after
    compression. The last part are the lines that don't fit. Of the others, those in `numbers` are columns of numbers."""

    segments: list[bytes]
    lines: int
    matched: bytes
    sizes: list[tuple[int, int]]
    numbers: list[int] = []


class _Index(msgspec.Struct, array_like=True, frozen=True):
    """What stands before the bodies. No `lengths`: each body is a line."""

    lengths: bytes
    captures: list[dict[str, str]]
    parts: _Parts | None = None


def pack(payloads: Sequence[Payload], joined: Joined | None = None) -> bytes:
    """One block: an index in msgpack, then the bodies end to end; each of the two compressed.

    Bodies that are lines of one form are taken apart before. Where they are already `joined`, what separates them is kept too: copying
    them once more would cost more.
    """
    given, which = captures_of(payloads)
    captures = [dict(given[index]) for index in which.tolist()] if any(given) else []
    if joined is not None and joined.count == len(payloads):
        plain, lengths, split = joined.buffer, b"", joined.split  # None: who joined them has found no form
    else:
        plain, lengths = packed(payloads).lines, lengths_of(payloads).astype("<u4").tobytes()
        split = line_template.split(plain, line_template.count_lines(plain))
    parts, body = _taken_apart(split) if split else (None, _CODEC.compress(plain, asbytes=True))
    index = msgspec.msgpack.encode(_Index(lengths, captures, parts))
    short = _CODEC.compress(index, asbytes=True)
    head = _HEAD.pack(_VERSION, _GAP, len(index), len(short), len(plain))
    return b"".join([head, _CHECK.pack(zlib.crc32(body, zlib.crc32(head + short))), short, body])


def unpack(frames: bytes) -> Sequence[Payload]:
    """What was packed. Raises StoreError for a block of a newer version or one that is damaged."""
    try:
        version, gap, index_size, short_size, size = _HEAD.unpack_from(frames)
        if version not in _READABLE:
            raise StoreError(f"a journal block has version {version}", remedy=f"This release reads up to {_VERSION}: use a newer one")
        begin = _HEAD.size
        if version >= 3:
            begin += _CHECK.size
            if _CHECK.unpack_from(frames, _HEAD.size)[0] != zlib.crc32(frames[begin:], zlib.crc32(frames[: _HEAD.size])):
                raise ValueError("its check sum is another")
        index = msgspec.msgpack.decode(
            _CODEC.decompress(frames[begin : begin + short_size], decompressed_size=index_size, asbytes=True), type=_Index
        )
        body = frames[begin + short_size :]
        plain = _together(index.parts, body, size) if index.parts else _CODEC.decompress(body, decompressed_size=size, asbytes=True)
        lengths = np.frombuffer(index.lengths, "<u4") if index.lengths or version == 1 or not plain else _of_lines(plain)
    except (struct.error, pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise StoreError(f"a journal block is damaged: {error}", remedy="Restore the store from a backup") from error
    bounds, captures = np.cumsum([0, *(lengths.astype(np.int64) + gap)]), index.captures or [{}] * len(lengths)
    if gap == _GAP and bounds[-1] == len(plain) and (np.frombuffer(plain, np.uint8)[bounds[1:] - 1] == 10).all():
        which = np.arange(len(lengths), dtype=np.int32) if index.captures else None
        return PackedPayloads(plain, bounds, captures or [{}], which)
    begins = zip(bounds.tolist(), lengths.tolist(), captures, strict=False)
    return [Payload(plain[begin : begin + length], one) for begin, length, one in begins]


def _taken_apart(split: SplitLines) -> tuple[_Parts, bytes]:
    columns = [split.numbers(j) for j in range(split.template.columns)]
    parts = [split.column(j) if column is None else column.part() for j, column in enumerate(columns)] + [split.others()]
    packed = [_CODEC.compress(pa.py_buffer(part), asbytes=True) for part in parts]
    matched = b"" if split.matched.all() else np.packbits(split.matched).tobytes()
    sizes = [(len(part), len(short)) for part, short in zip(parts, packed, strict=True)]
    numbers = [j for j, column in enumerate(columns) if column is not None]
    return _Parts(list(split.template.segments), len(split.matched), matched, sizes, numbers), b"".join(packed)


def _together(parts: _Parts, body: bytes, size: int) -> bytes:
    """Raises ValueError where they do not make up `size` bytes."""
    numbers = {*parts.numbers}
    spare = (1 + PLANES) * parts.lines  # a short text can be shorter than a number
    if parts.lines > size or sum(before - spare * (j in numbers) for j, (before, _) in enumerate(parts.sizes)) > size:
        raise ValueError("the parts are larger than the whole")
    if not numbers <= {*range(len(parts.segments) - 1)}:
        raise ValueError("a column of numbers is no column")
    bits = np.frombuffer(parts.matched, np.uint8)
    matched = np.unpackbits(bits, count=parts.lines).astype(np.bool_) if parts.matched else np.ones(parts.lines, np.bool_)
    count = int(np.count_nonzero(matched))
    found, at = [], 0
    for j, (before, after) in enumerate(parts.sizes):
        part = _CODEC.decompress(body[at : at + after], decompressed_size=before, asbytes=True)
        found.append(number_columns.text(part, count, parts.segments[j + 1][0]) if j in numbers else part)
        at += after
    return line_template.join(Template(tuple(parts.segments)), found, matched, size)


def _of_lines(plain: bytes) -> NDArray[np.int64]:
    """How long each line is."""
    ends = np.flatnonzero(np.frombuffer(plain, np.uint8) == 10)
    return np.diff(ends, prepend=-1) - 1
