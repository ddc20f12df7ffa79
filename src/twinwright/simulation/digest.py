"""The digest of a run: SHA-256 over one canonical encoding of all that decides its numbers, and of nothing else."""

from __future__ import annotations

import hashlib
import platform
import struct
import sysconfig
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

ENGINES = ("twinwright", "numpy", "scipy", "numba", "llvmlite")


def canonical_bytes(value: Any) -> bytes:
    """Plain data and arrays, encoded so that equal values have equal bytes and different ones don't.

    Each value has a type tag; floats are IEEE 754 big-endian; dictionaries are sorted by key; lengths come first.
    """
    if type(value) is float:
        return b"f" + struct.pack(">d", value)
    if type(value) is str:
        return _sized(b"s", value.encode())
    if value is None:
        return b"n"
    if isinstance(value, bool):
        return b"T" if value else b"F"
    if isinstance(value, int):
        return _sized(b"i", str(value).encode())
    if isinstance(value, float):
        return b"f" + struct.pack(">d", value)
    if isinstance(value, str):
        return _sized(b"s", value.encode())
    if isinstance(value, bytes):
        return _sized(b"b", value)
    if isinstance(value, np.ndarray):
        return _sized(b"a", canonical_bytes(list(value.shape)) + np.ascontiguousarray(value, ">f8").tobytes())
    if isinstance(value, Mapping):
        parts = [canonical_bytes(key) + canonical_bytes(value[key]) for key in sorted(value)]
        return _sized(b"d", b"".join(parts))
    return _sized(b"l", b"".join(canonical_bytes(one) for one in value))


def digest(value: Any) -> str:
    """SHA-256 of the canonical encoding, in hexadecimal."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def head_of_mapping(length: int) -> bytes:
    """What the encoding of a mapping begins with, whose keys and values have so many bytes together."""
    return b"d" + struct.pack(">Q", length)


def _sized(tag: bytes, body: bytes) -> bytes:
    return tag + struct.pack(">Q", len(body)) + body


@cache
def engine_versions() -> Mapping[str, str]:
    """Versions of whatever computes: the interpreter and the numerical libraries."""
    versions = {"python": platform.python_version()}
    for name in ENGINES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "none"
    return versions


@cache
def platform_tag() -> str:
    """The platform whose floating point a run's bytes belong to: system, architecture and C library."""
    library = "-".join(part for part in platform.libc_ver() if part)
    return f"{sysconfig.get_platform()}-{library}" if library else sysconfig.get_platform()
