"""Frames on the workspace's socket: a length, then msgpack. One request, any number of progress frames, one answer."""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec

from twinwright.errors import PlatformError
from twinwright.platform.interface import Platform
from twinwright.platform.interface_graph import GraphSurface

FOLDER = ".twinwright"  # the private part of a workspace: store, socket, token, runs
MAX_FRAME = 1 << 30
_LENGTH = struct.Struct(">I")

_SURFACE = {**vars(GraphSurface), **vars(Platform)}
METHODS = frozenset(name for name, member in _SURFACE.items() if callable(member) and not name.startswith("_")) - {
    "as_principal",
    "close",
    "fork",
}


class Request(msgspec.Struct):
    """A method of `Platform` with its arguments."""

    method: str
    args: list[Any]
    kwargs: dict[str, Any]
    correlation: str = ""
    fork: str = ""  # the fork in which it is done


class Answer(msgspec.Struct):
    """`progress` (done, total) while it lasts; at the end `result`, or the `error` with the fields of `TwinwrightError.as_json`."""

    progress: tuple[int, int] | None = None
    result: Any = None
    error: dict[str, Any] | None = None


def send(connection: socket.socket, message: msgspec.Struct) -> None:
    """Raises PlatformError for a message past the limit."""
    data = msgspec.msgpack.encode(message)
    if len(data) > MAX_FRAME:
        raise PlatformError(f"an answer of {len(data)} bytes", remedy="Narrow the request")
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket) -> bytes | None:
    """One frame, None when the other side is gone."""
    head = _exactly(connection, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME:
        raise PlatformError(f"a frame of {length} bytes", remedy="Both sides must be of one version")
    return _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    parts = []
    while count:
        part = connection.recv(min(count, 1 << 20))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
