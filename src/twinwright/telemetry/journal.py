"""The journal: payloads kept exactly as received, framed and compressed, so that a later contract can read them again."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec
import pyarrow as pa

from twinwright.errors import StoreError
from twinwright.telemetry.payloads import Payload

_VERSION = 1
_HEAD = struct.Struct("<BQI")  # version, bytes before compression, bytes of the index
_CODEC = pa.Codec("zstd", compression_level=1)


def pack(payloads: Sequence[Payload]) -> bytes:
    """One block: an index (lengths, captures) in msgpack, then the bodies end to end."""
    bodies = [payload.body for payload in payloads]
    lengths = list(map(len, bodies))
    captures = [dict(payload.captures) for payload in payloads] if any(payload.captures for payload in payloads) else []
    index = msgspec.msgpack.encode((lengths, captures))
    plain = b"".join([index, *bodies])
    return _HEAD.pack(_VERSION, len(plain), len(index)) + bytes(_CODEC.compress(plain, asbytes=True))


def unpack(frames: bytes) -> list[Payload]:
    """What was packed. Raises StoreError for a block of a newer version or one that is damaged."""
    try:
        version, size, index_size = _HEAD.unpack_from(frames)
        if version != _VERSION:
            raise StoreError(f"a journal block has version {version}", remedy=f"This release reads {_VERSION}: use a newer one")
        plain = _CODEC.decompress(frames[_HEAD.size :], decompressed_size=size, asbytes=True)
        lengths, captures = msgspec.msgpack.decode(plain[:index_size], type=tuple[list[int], list[dict[str, str]]])
    except (struct.error, pa.ArrowException, OSError, msgspec.DecodeError) as error:
        raise StoreError(f"a journal block is damaged: {error}", remedy="Restore the store from a backup") from error
    payloads = []
    at = index_size
    for number, length in enumerate(lengths):
        payloads.append(Payload(plain[at : at + length], captures[number] if captures else {}))
        at += length
    return payloads
