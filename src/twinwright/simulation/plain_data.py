"""Plain data and NumPy arrays as bytes and back: MessagePack with one extension for arrays. Decoding runs no code."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from twinwright.errors import UsageError

ARRAY = 1
_DTYPES = {"f8": np.dtype("<f8"), "i8": np.dtype("<i8"), "b1": np.dtype("?")}


def encode(data: Any) -> bytes:
    """None, bool, int, float, str, bytes, lists, dicts with text keys, and arrays of float64, int64 and bool.

    Raises UsageError for anything else.
    """
    try:
        return msgspec.msgpack.encode(data, enc_hook=_encode_array)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(f"not plain data: {error}", remedy="Return numbers, text, lists, dicts and NumPy arrays of numbers") from None


def decode(body: bytes | memoryview) -> Any:
    """What `encode` wrote; arrays are copies of their own. Raises UsageError for bytes that it did not write."""
    try:
        return msgspec.msgpack.decode(body, ext_hook=_decode_array)
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise UsageError(f"not an encoded answer: {error}", remedy="Nothing but this platform may write it") from error


def _encode_array(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} is not plain data")
    code = {"f": "f8", "i": "i8", "u": "i8", "b": "b1"}.get(value.dtype.kind)
    if code is None:
        raise TypeError(f"an array of {value.dtype} is not plain data")
    content = np.ascontiguousarray(value, _DTYPES[code])
    return msgspec.msgpack.Ext(ARRAY, msgspec.msgpack.encode([code, list(value.shape), content.tobytes()]))


def _decode_array(code: int, body: memoryview) -> Any:
    if code != ARRAY:
        raise ValueError(f"extension {code} is not known")
    kind, shape, content = msgspec.msgpack.decode(body, type=tuple[str, list[int], bytes])
    if kind not in _DTYPES:
        raise ValueError(f"arrays of '{kind}' are not known")
    return np.frombuffer(content, _DTYPES[kind]).reshape(shape).copy()
