"""Libraries that were compiled from the sources of FMUs, kept by content in the user's cache folder: some tools bring all of their solvers
as sources, and to compile those takes longer than most runs.

A library is named by what it was made from (the FMU, what is asked of the compiler, the compiler itself) and by the digest of its own
bytes, which is looked at before it is used. What was used longest ago makes room.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from importlib import resources
from pathlib import Path
from typing import Final

from twinwright.simulation.fmi.build import FLAGS, LANGUAGE, compile_sources
from twinwright.simulation.fmi.native import cache_folder, compiler
from twinwright.simulation.fmi.platforms import SourceList, own_platform
from twinwright.simulation.landlock import COMPILED

MOST_BYTES: Final = 256 << 20  # of all kept libraries together
_PREFIX: Final = "fmu-sources-"


def compile_once(content: bytes, folder: Path, sources: SourceList, major: int, target: Path, identifier: str | None) -> None:
    """As `compile_sources`, of an FMU with this `content` that is unpacked in `folder`; taken from the cache where it is there. Raises
    OSError."""
    try:
        cache = cache_folder() / COMPILED
        cache.mkdir(mode=0o700, exist_ok=True)
    except OSError:  # nowhere to keep it
        compile_sources(folder, sources, major, target, identifier)
        return
    key = _key(content, sources, major, identifier)
    body = _kept(cache, key)
    if body is None:
        compile_sources(folder, sources, major, target, identifier)
        with contextlib.suppress(OSError):  # a full disk, say: it is compiled again next time
            _keep(cache, key, target.read_bytes())
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(body)
    target.chmod(0o755)


def _key(content: bytes, sources: SourceList, major: int, identifier: str | None) -> str:
    """Of all that decides what the compiler makes."""
    program = Path(compiler()).resolve()
    status = program.stat()
    asked = [FLAGS, sorted(LANGUAGE.items()), sources, major, identifier, own_platform(), str(program), status.st_size, status.st_mtime_ns]
    digest = hashlib.sha256(repr(asked).encode())
    for header in sorted(resources.files(__package__).joinpath("include").iterdir(), key=lambda one: one.name):
        digest.update(header.name.encode() + hashlib.sha256(header.read_bytes()).digest())
    digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:32]


def _kept(cache: Path, key: str) -> bytes | None:
    """What is kept under a key, where it is what was put there; else it is thrown away."""
    for path in cache.glob(f"{_PREFIX}{key}-*.so"):
        with contextlib.suppress(OSError):  # another process may have made room
            body = path.read_bytes()
            if path.name == _name(key, body):
                os.utime(path)
                return body
            path.unlink()
    return None


def _keep(cache: Path, key: str, body: bytes) -> None:
    if len(body) > MOST_BYTES:
        return
    descriptor, part = tempfile.mkstemp(prefix=_PREFIX, suffix=".part", dir=cache)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
        Path(part).replace(cache / _name(key, body))
    finally:
        Path(part).unlink(missing_ok=True)
    _make_room(cache)


def _make_room(cache: Path) -> None:
    files = []
    for path in cache.glob(f"{_PREFIX}*.so"):
        with contextlib.suppress(OSError):
            status = path.stat()
            files.append((status.st_mtime_ns, status.st_size, path))
    size = sum(bytes_of for _, bytes_of, _ in files)
    for _, bytes_of, path in sorted(files):
        if size <= MOST_BYTES:
            return
        path.unlink(missing_ok=True)
        size -= bytes_of


def _name(key: str, body: bytes) -> str:
    return f"{_PREFIX}{key}-{hashlib.sha256(body).hexdigest()}.so"
