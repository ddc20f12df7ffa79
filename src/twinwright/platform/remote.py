"""The platform behind its socket, and the choice between that and opening the store here."""

from __future__ import annotations

import inspect
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from twinwright import errors
from twinwright.errors import PlatformError, Problem, TwinwrightError
from twinwright.governance.principals import Principal
from twinwright.observability.logs import current_correlation
from twinwright.platform.interface import Platform, Progress
from twinwright.platform.server import is_ours, receipt_of, socket_path
from twinwright.platform.snapshots import place_of
from twinwright.platform.wire import FOLDER, METHODS, Answer, Request, receive, send
from twinwright.telemetry.payloads import Payload, Receipt


def connect(folder: Path, before_opening: Callable[[], None] | None = None) -> Platform:
    """A running platform of this workspace if there is one, else the workspace opened in this process, once `before_opening` is done.

    Who has the store may be a platform that is still starting: then it is that one. Raises StoreInUseError when neither comes about.
    """
    running = _reach(socket_path(folder / FOLDER))
    if running is not None:
        return cast(Platform, RemotePlatform(running))
    if before_opening is not None:
        before_opening()
    from twinwright.platform.local import LocalPlatform

    try:
        return LocalPlatform.open(folder, unless=lambda: running_platform(folder))
    except errors.StoreInUseError:
        running = _reach(socket_path(folder / FOLDER))
        if running is None:
            raise
        return cast(Platform, RemotePlatform(running))


def running_platform(folder: Path) -> bool:
    """Whether a platform of this workspace answers on its socket."""
    connection = _reach(socket_path(folder / FOLDER))
    if connection is None:
        return False
    connection.close()
    return True


def _reach(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not is_ours(path.parent):
            raise PermissionError(f"{path.parent} is not ours alone")
        connection.connect(str(path))
    except OSError:  # nobody there, or left behind by a platform that was killed
        connection.close()
        return None
    return connection


class RemotePlatform:
    """Sends every method of `Platform` through the socket; errors come back as what they were there."""

    def __init__(self, connection: socket.socket, fork: str = "") -> None:
        self._connection, self._fork = connection, fork

    def close(self) -> None:
        """Let go of the running platform, which goes on."""
        if not self._fork:  # a fork speaks through the connection of what it was asked of
            self._connection.close()

    def fork(self, name: str) -> RemotePlatform:
        """The same in a fork."""
        if self._fork:
            raise errors.RefusedError(f"'{self._fork}' is a fork already", where=name, remedy="Fork the workspace: leave the fork out")
        return RemotePlatform(self._connection, name)

    def as_principal(self, principal: Principal) -> RemotePlatform:
        """The socket is its owner's: nobody else can act through it."""
        raise errors.ForbiddenError(
            f"the socket can't act as {principal.name}", remedy="Use the HTTP API with a credential of that principal"
        )

    def push(self, contract: str, payloads: Sequence[Payload], *, key: str | None = None) -> Receipt:
        data = self._call("push", [contract, [(payload.body, dict(payload.captures)) for payload in payloads]], {"key": key}, None)
        return receipt_of(data)

    def ingest(self, files: Sequence[str], contract: str, *, progress: Progress | None = None) -> dict[str, Any]:
        return cast(dict[str, Any], self._call("ingest", [_absolute(files), contract], {}, progress))

    def import_graph(self, files: Sequence[str], *, progress: Progress | None = None, **options: Any) -> dict[str, Any]:
        return cast(dict[str, Any], self._call("import_graph", [_absolute(files)], options, progress))

    def import_table(self, files: Sequence[str], interface: str, *, progress: Progress | None = None, **options: Any) -> dict[str, Any]:
        return cast(dict[str, Any], self._call("import_table", [_absolute(files), interface], options, progress))

    def simulate(self, scenario: str | Mapping[str, Any], *, progress: Progress | None = None, **options: Any) -> dict[str, Any]:
        return cast(dict[str, Any], self._call("simulate", [scenario], options, progress))

    def watch_request(self, id: str, *, progress: Progress | None = None) -> dict[str, Any]:
        return cast(dict[str, Any], self._call("watch_request", [id], {}, progress))

    def shadow_replay(self, name: str, *, progress: Progress | None = None, **options: Any) -> dict[str, Any]:
        return cast(dict[str, Any], self._call("shadow_replay", [name], options, progress))

    def reconcile(self, *, against: str | None = None, contract: str | None = None, repair: bool = False) -> dict[str, Any]:
        answer = self._call(
            "reconcile", [], {"against": None if against is None else place_of(against), "contract": contract, "repair": repair}, None
        )
        return cast(dict[str, Any], answer)

    def backup(self, to: str) -> dict[str, Any]:
        return cast(dict[str, Any], self._call("backup", [str(Path(to).resolve())], {}, None))

    def restore(self, source: str) -> dict[str, Any]:
        return cast(dict[str, Any], self._call("restore", [str(Path(source).resolve())], {}, None))

    def export(self, to: str, **options: Any) -> dict[str, Any]:
        return cast(dict[str, Any], self._call("export", [str(Path(to).resolve())], options, None))

    def import_(self, source: str) -> dict[str, Any]:
        return cast(dict[str, Any], self._call("import_", [str(Path(source).resolve())], {}, None))

    def __getattr__(self, name: str) -> Any:
        if name not in METHODS:
            raise AttributeError(name)
        takes = inspect.signature(getattr(Platform, name))

        def call(*args: Any, **kwargs: Any) -> Any:
            takes.bind(self, *args, **kwargs)  # what it does not take is a mistake of who calls, here as in one process
            return self._call(name, list(args), kwargs, None)

        return call

    def _call(self, method: str, args: list[Any], kwargs: dict[str, Any], progress: Progress | None) -> Any:
        try:
            send(self._connection, Request(method, args, kwargs, current_correlation() or "", self._fork))
            while (frame := receive(self._connection)) is not None:
                answer = msgspec.msgpack.decode(frame, type=Answer)
                if answer.progress is not None:
                    if progress is not None:
                        progress(*answer.progress)
                elif answer.error is not None:
                    raise error_of(answer.error)
                else:
                    return answer.result
        except OSError as error:
            raise PlatformError(f"the platform did not answer: {error}", remedy="See whether `twinwright up` is still running") from error
        raise PlatformError("the platform went away before it answered", remedy="See whether `twinwright up` is still running")


def _absolute(files: Sequence[str]) -> list[str]:
    """Files as the running platform finds them, wherever it was started."""
    return [str(Path(file).resolve()) for file in files]


class _RemoteError(TwinwrightError):
    """An error that happened in the running platform, with its own code and exit code."""

    def __init__(self, data: dict[str, Any]) -> None:
        TwinwrightError.__init__(self, data["what"], where=data.get("where"), remedy=data.get("remedy"))  # others take other arguments
        self._data = data
        self.problems = [Problem(**problem) for problem in data.get("errors", [])]
        self.retry_after = 1.0

    def as_json(self) -> dict[str, Any]:
        return {key: value for key, value in self._data.items() if key not in ("type", "exit_code")}


def kind_of(code: str) -> type[TwinwrightError]:
    """The class of `twinwright.errors` that has a code; PlatformError where none has."""
    return next((one for one in _kinds(TwinwrightError) if one.code == code), PlatformError)


def _kinds(kind: type[TwinwrightError]) -> Iterator[type[TwinwrightError]]:
    for one in kind.__subclasses__():
        if hasattr(errors, one.__name__):
            yield one
        yield from _kinds(one)


def error_of(data: dict[str, Any]) -> TwinwrightError:
    """As the class it was where it happened, so that callers tell errors apart in the same way here and there."""
    kind = getattr(errors, data.get("type", ""), PlatformError)
    mirrored = type(kind.__name__, (_RemoteError, kind), {"code": data["code"], "exit_code": data.get("exit_code", 3)})
    return cast(TwinwrightError, mirrored(data))
