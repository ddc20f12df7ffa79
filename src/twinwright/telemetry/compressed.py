"""Files of text that are compressed or not, by the ending of their name: `.gz`, `.zst` or `.zstd`."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol, cast

import pyarrow as pa

ENDINGS: Final = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
UNREADABLE: Final = (OSError, EOFError, zlib.error, pa.ArrowException)
"""What reading may raise where a file is not whole, or is not what its name says."""
_PIECE: Final = 4 * 1024 * 1024


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def codec(path: Path) -> str | None:
    """How a file is compressed; None: not at all."""
    return ENDINGS.get(path.suffix.lower())


def plain_name(path: Path) -> Path:
    """The name that the file would have if it were not compressed."""
    return path.with_suffix("") if codec(path) else path


@contextmanager
def opened(path: Path, offset: int = 0) -> Iterator[Readable]:
    """The file's bytes, decompressed, from an offset on. Raises one of `UNREADABLE`, here or while it is read."""
    named = codec(path)
    if named is None:
        with path.open("rb") as file:
            file.seek(offset)
            yield file
        return
    with gzip.open(path, "rb") if named == "gzip" else pa.CompressedInputStream(pa.OSFile(str(path)), named) as stream:
        left = offset
        while left > 0 and (piece := stream.read(min(left, _PIECE))):
            left -= len(piece)
        yield cast(Readable, stream)
