"""The journal: payloads kept exactly as received, framed and compressed, so that a later contract can read them again."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from twinwright.errors import StoreError
from twinwright.telemetry.decode import Joined
from twinwright.telemetry.payloads import Payload

_VERSION = 1
_HEAD = struct.Struct("<BBIIQ")  # version, bytes between two bodies, bytes of the index before and after compression, bytes of the bodies
_CODEC = pa.Codec("zstd", compression_level=1)


def pack(payloads: Sequence[Payload], joined: Joined | None = None) -> bytes:
    """One block: an index (lengths, captures) in msgpack, then the bodies end to end; each of the two compressed.

    Where the payloads are already `joined`, what separates them is kept too: copying them once more would cost more.
    """
    captures = [dict(payload.captures) for payload in payloads] if any(payload.captures for payload in payloads) else []
    if joined is not None and len(joined.lengths) == len(payloads):
        gap, plain, lengths = 1, joined.buffer, joined.lengths
    else:
        bodies = [payload.body for payload in payloads]
        gap, plain, lengths = 0, b"".join(bodies), np.fromiter(map(len, bodies), np.int64, len(bodies))
    index = msgspec.msgpack.encode((lengths.astype("<u4").tobytes(), captures))
    short = _CODEC.compress(index, asbytes=True)
    return b"".join([_HEAD.pack(_VERSION, gap, len(index), len(short), len(plain)), short, _CODEC.compress(plain, asbytes=True)])


def unpack(frames: bytes) -> list[Payload]:
    """What was packed. Raises StoreError for a block of a newer version or one that is damaged."""
    try:
        version, gap, index_size, short_size, size = _HEAD.unpack_from(frames)
        if version != _VERSION:
            raise StoreError(f"a journal block has version {version}", remedy=f"This release reads {_VERSION}: use a newer one")
        split = _HEAD.size + short_size
        index = _CODEC.decompress(frames[_HEAD.size : split], decompressed_size=index_size, asbytes=True)
        plain = _CODEC.decompress(frames[split:], decompressed_size=size, asbytes=True)
        packed, captures = msgspec.msgpack.decode(index, type=tuple[bytes, list[dict[str, str]]])
        lengths = np.frombuffer(packed, "<u4").tolist()
    except (struct.error, pa.ArrowException, OSError, ValueError) as error:
        raise StoreError(f"a journal block is damaged: {error}", remedy="Restore the store from a backup") from error
    payloads = []
    at = 0
    for number, length in enumerate(lengths):
        payloads.append(Payload(plain[at : at + length], captures[number] if captures else {}))
        at += length + gap
    return payloads
