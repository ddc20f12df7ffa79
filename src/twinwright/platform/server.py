"""The socket of a running platform: commands of the same user speak to it, and get what they would get from a stopped one."""

from __future__ import annotations

import os
import socket
import socketserver
import stat
import struct
import threading
from pathlib import Path
from typing import Any

import msgspec

from twinwright.errors import BusyError, PlatformError, TwinwrightError, UsageError
from twinwright.observability.logs import correlated, get_logger
from twinwright.platform.interface import Platform
from twinwright.platform.wire import METHODS, Answer, Request, receive, send
from twinwright.simulation.landlock import is_held
from twinwright.telemetry.payloads import Payload, Receipt

_log = get_logger("socket")
MAX_CONNECTIONS = 64


def socket_path(private: Path) -> Path:
    """Where the socket of a workspace is. Unix allows some hundred bytes for such a path: a longer one is kept by its digest in a
    folder of the user's own, whose place depends on nothing that could differ between the platform and a command."""
    path = private.resolve() / "socket"
    if len(os.fsencode(path)) < 100:
        return path
    import hashlib

    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:24]
    return Path("/tmp") / f"twinwright-{os.getuid()}" / digest  # noqa: S108 - `is_ours` is asked before it is used


def is_ours(folder: Path) -> bool:
    """Whether nobody else can put a socket into a folder: ours, and no one else's to write."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


class CommandServer:
    """Serves `platform` until `stop`. Only the user who started it may connect (mode 0600)."""

    def __init__(self, platform: Platform, path: Path) -> None:
        self._path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_ours(path.parent):
            raise PlatformError(
                "its folder belongs to someone else, or others may write to it", where=str(path), remedy="Remove that folder"
            )
        path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = _Server(str(path), _Handler)
        finally:
            os.umask(mask)
        self._server.platform = platform
        self._thread = threading.Thread(target=self._server.serve_forever, name="twinwright-socket", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more commands and remove the socket."""
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    platform: Platform
    places = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - as `socketserver` calls it
        """A model runs as the same user, and is no owner."""
        if not hasattr(socket, "SO_PEERCRED"):
            return True
        process, _, _ = struct.unpack("3i", request.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if process and is_held(process):
            _log.warning("a model tried to give a command", process=process)
            return False
        return True


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        if not self.server.places.acquire(blocking=False):
            send(self.request, Answer(error=BusyError("too many commands at once").as_json()))
            return
        try:
            while (frame := receive(self.request)) is not None:
                send(self.request, self._answer(frame))
        except OSError:
            pass  # the command went away; what it started has been done or rolled back
        except PlatformError as error:
            _log.warning("not a command", error=str(error))
        finally:
            self.server.places.release()

    def _answer(self, frame: bytes) -> Answer:
        try:
            request = msgspec.msgpack.decode(frame, type=Request)
        except msgspec.DecodeError as error:
            return Answer(error=UsageError(f"not a request: {error}").as_json())
        with correlated(request.correlation or None):
            try:
                return Answer(result=self._call(request))
            except TwinwrightError as error:
                return Answer(error={**error.as_json(), "type": type(error).__name__, "exit_code": error.exit_code})
            except Exception as error:  # noqa: BLE001 - the caller gets an error, the log the trace
                _log.exception("command failed", method=request.method)
                failed = PlatformError(f"{request.method} failed: {type(error).__name__}", remedy="See the log of the platform")
                return Answer(error={**failed.as_json(), "type": "PlatformError", "exit_code": 3})

    def _call(self, request: Request) -> Any:
        if request.method not in METHODS:
            raise UsageError(f"there is no method '{request.method}'", remedy="Both sides must be of one version")
        platform = self.server.platform.fork(request.fork) if request.fork else self.server.platform
        if request.method == "push":
            contract, payloads = request.args
            return platform.push(contract, [Payload(body, captures) for body, captures in payloads], **request.kwargs).as_json()
        if request.method in ("ingest", "simulate", "watch_request", "shadow_replay", "import_graph", "import_table"):
            return getattr(platform, request.method)(*request.args, **request.kwargs, progress=self._progress)
        return getattr(platform, request.method)(*request.args, **request.kwargs)

    def _progress(self, done: int, total: int) -> None:
        send(self.request, Answer(progress=(done, total)))


def receipt_of(data: dict[str, Any]) -> Receipt:
    """A receipt from its JSON."""
    return Receipt(**data)
