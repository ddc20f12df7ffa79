"""Compressed request bodies, unpacked never past a limit, whatever they claim of themselves."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Final

import pyarrow as pa

from twinwright.errors import TooLargeError, UsageError

MAX_GZIP_MEMBERS: Final = 256
_GZIP: Final = 16 + zlib.MAX_WBITS


def gunzip(body: bytes, limit: int) -> bytes:
    """RFC 1952, several members too, never making more than `limit` bytes. Raises TooLargeError, UsageError."""
    parts: list[bytes] = []
    size = 0
    rest = body
    while rest:
        if len(parts) == MAX_GZIP_MEMBERS:
            raise TooLargeError(f"more than {MAX_GZIP_MEMBERS} gzip members", where="body", remedy="Compress the body as one")
        member = zlib.decompressobj(_GZIP)
        try:
            part = member.decompress(rest, limit - size + 1)
        except zlib.error as error:
            raise _broken("gzip", str(error)) from None
        size += len(part)
        if size > limit:
            raise too_large(limit)
        if not member.eof:
            raise UsageError("the gzip body ends too early", where="body", remedy="Send it whole")
        parts.append(part)
        rest = member.unused_data
    return b"".join(parts)


def unzstd(body: bytes, limit: int) -> bytes:
    """RFC 8878, several frames too, never making more than `limit` bytes. Raises TooLargeError, UsageError.

    The window of a frame, which its sender chooses, is at most 128 MiB: zstd refuses a larger one, and touches only what it fills.
    """
    if not body:
        return b""
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
            plain = bytes(stream.read(limit + 1))
    except (pa.ArrowException, OSError) as error:
        raise _broken("zstd", str(error)) from None
    if len(plain) > limit:
        raise too_large(limit)
    return plain


def _broken(encoding: str, said: str) -> UsageError:
    return UsageError(f"the body is not {encoding}: {said}", where="body", remedy="Compress it again, or send it plain")


def too_large(limit: int) -> TooLargeError:
    """For a body that is past a limit, packed or not."""
    return TooLargeError(f"a body of more than {limit} bytes", where="body", remedy="Split it into several requests")


UNPACK: Final[Mapping[str, Callable[[bytes, int], bytes]]] = {"gzip": gunzip, "zstd": unzstd}
"""By the name of the encoding in Content-Encoding."""
