"""Commands that begin warm: one process has imported what `twinwright` does, and each command is a fork of it.

Pages, kills and platforms that are up start it hundreds of times, and each start imports the same for seconds. What runs is the same,
`main` of the command in a process of its own, with the arguments, folder, environment and files of who started it. A shell starts it by a
program that is signalled and killed in its place, Python by `begin`; `begin_script` starts a test's own program in the same way.
The processes that run models for commands of a shell are forks too, of one that begins as they do and has loaded what models need.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, NoReturn

PLATFORM = ("twinwright.platform.local", "twinwright.platform.opened", "twinwright.platform.remote", "twinwright.storage.duckdb")
IMPORTED = (
    "twinwright.cli",
    "twinwright.cli.up",
    "twinwright.cli.supervised",
    "twinwright.api.server",
    "twinwright.simulation.sandbox",
    *PLATFORM,
    "numba",
)
MODELS = "--models"  # of a server: it has loaded what models need, and not commands
COMMAND = str(Path(sys.executable).with_name("twinwright"))
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# The command as a shell finds it: as little as starts fast. It ends as the command ends, by a signal or with a code.
CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({path!r})
forwarded = [number for number in {forwarded} if signal.getsignal(number) is not signal.SIG_IGN]
asked = {{"argv": [{command!r}, *sys.argv[1:]], "cwd": os.getcwd(), "env": dict(os.environ), "forwarded": forwarded}}
body = json.dumps(asked).encode()
socket.send_fds(server, [len(body).to_bytes(4, "big")], [0, 1, 2])
server.sendall(body)
server.recv(4)  # its process
for number in forwarded:
    signal.signal(number, lambda number, _: server.send(bytes([number])))
ended = int.from_bytes(server.recv(4), "big", signed=True)
if ended < 0:
    signal.signal(-ended, signal.SIG_DFL) if -ended not in (signal.SIGKILL, signal.SIGSTOP) else None
    os.kill(os.getpid(), -ended)
sys.exit(ended)
"""


class Begun:
    """A command that began warm, as `subprocess.Popen` has one that did not: its standard output can be read."""

    def __init__(self, path: Path, program: Sequence[str], environment: Mapping[str, str], stderr: IO[Any]) -> None:
        reading, writing = os.pipe()
        with Path(os.devnull).open("rb") as nothing:
            self._ask(path, program, Path.cwd(), environment, [nothing.fileno(), writing, stderr.fileno()])
        os.close(writing)
        self.stdout: io.TextIOBase = os.fdopen(reading, encoding="utf-8")  # its user closes it

    def _ask(self, path: Path, program: Sequence[str], cwd: Path, environment: Mapping[str, str], files: list[int]) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(str(path))
        asked = {"argv": program, "cwd": str(cwd), "env": dict(environment), "forwarded": [int(one) for one in FORWARDED]}
        body = json.dumps(asked).encode()
        socket.send_fds(self._server, [len(body).to_bytes(4, "big")], files)
        self._server.sendall(body)
        self.pid = int.from_bytes(self._server.recv(4), "big")
        self.returncode: int | None = None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Raises TimeoutExpired when it has not ended by then."""
        if self.returncode is None:
            if not select.select([self._server], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self.returncode = int.from_bytes(self._server.recv(4), "big", signed=True)
            self._server.close()
        return self.returncode

    def __enter__(self) -> Begun:
        return self

    def __exit__(self, *_: object) -> None:
        self.stdout.close()
        self.wait()


class BegunRoot(Begun):
    """The process that runs the models of a command that began warm, as `subprocess.Popen` has it."""

    path: Path | None = None  # of the server; a command that has none starts such a process cold

    def __init__(self, program: Sequence[str], *, stdin: int, env: Mapping[str, str], cwd: Path, **_: Any) -> None:
        assert self.path is not None
        reading, writing = os.pipe()
        with Path(os.devnull).open("wb") as nothing:
            self._ask(self.path, program, cwd, env, [stdin, nothing.fileno(), writing])
        os.close(writing)
        self.stderr = os.fdopen(reading, "rb")

    def communicate(self) -> tuple[bytes, bytes]:
        self.wait()
        return b"", self.stderr.read()


def begin(arguments: Sequence[str], environment: Mapping[str, str], stderr: IO[Any]) -> Begun | subprocess.Popen[str]:
    """Start `twinwright` warm, as a fork of a server that this process has for as long as it lives."""
    return _begun([COMMAND, *arguments], environment, stderr)


def begin_script(
    script: Path, *arguments: str, environment: Mapping[str, str] = os.environ, stderr: IO[Any] | None = None
) -> Begun | subprocess.Popen[str]:
    """The same for a program in Python; without `stderr` it has this process's."""
    return _begun([str(script), *arguments], environment, stderr or sys.__stderr__)


def _begun(program: Sequence[str], environment: Mapping[str, str], stderr: IO[Any]) -> Begun | subprocess.Popen[str]:
    """Warm; as any program where it has to load a library ahead of all others."""
    if "LD_PRELOAD" in environment:
        line = program if program[0] == COMMAND else [sys.executable, *program]
        return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
    path, _ = _own_server()
    return Begun(path, program, environment, stderr)


@cache
def _own_server() -> tuple[Path, subprocess.Popen[bytes]]:
    """Its socket, and the server, which ends when nobody holds it any more."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    atexit.register(shutil.rmtree, folder)
    return folder / "socket", _start(folder / "socket")


def _start(path: Path, *arguments: str, environment: Mapping[str, str] = os.environ) -> subprocess.Popen[bytes]:
    """A server, once it listens. It ends with this process, or when it is killed."""
    unmeasured = {name: value for name, value in environment.items() if not name.startswith("COV")}
    line = [sys.executable, __file__, str(path), *arguments]
    server = subprocess.Popen(line, stdin=subprocess.PIPE, start_new_session=True, env=unmeasured)
    until = time.monotonic() + 120
    while not path.exists():
        assert server.poll() is None and time.monotonic() < until, "it did not start"
        time.sleep(0.02)
    return server


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Path]:
    """A folder to put first in PATH: its `twinwright` begins warm."""
    path, models = folder / "socket", folder / "models"
    servers = [_start(models, MODELS, environment=import_module("twinwright.simulation.sandbox")._ENVIRONMENT), _start(path, str(models))]
    try:
        (folder / "bin").mkdir()
        command = folder / "bin" / "twinwright"
        command.write_text(CLIENT.format(python=sys.executable, path=str(path), command=COMMAND, forwarded=[int(one) for one in FORWARDED]))
        command.chmod(0o755)
        yield folder / "bin"
    finally:
        for server in servers:
            server.kill()
            server.wait()


def _serve(path: str, models: str | None = None) -> None:
    """Fork until who started it is gone, and with it the other end of standard input. In the process of a command it returns."""
    if models == MODELS:
        import_module("twinwright.simulation.fork_server")
        import_module("twinwright.simulation.worker").warm_up()
    else:
        for name in IMPORTED:
            import_module(name)
        import_module("twinwright.simulation.registry").kinds()
        BegunRoot.path = Path(models) if models else None
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{path}.new")
    listener.listen(64)
    Path(f"{path}.new").rename(path)  # there once it listens
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if os.fork() == 0:
            listener.close()
            return _watch(connection)
        connection.close()
    os._exit(0)


def _watch(connection: socket.socket) -> None:
    """Begin a command and tell how it ended; it gets the signals that its starter gets. In its process it returns."""
    head, files, _, _ = socket.recv_fds(connection, 4, 3)
    size, body = int.from_bytes(head, "big"), b""
    while len(body) < size:
        body += connection.recv(size - len(body))
    command = os.fork()
    if command == 0:
        connection.close()
        return _become(json.loads(body), files)
    for file in files:
        os.close(file)
    connection.sendall(command.to_bytes(4, "big"))
    ended = os.pidfd_open(command)
    heard = [ended] if MODELS in sys.argv else [ended, connection]  # what runs models sees for itself that nobody asks any more
    while ended not in select.select(heard, [], [])[0]:
        sent = connection.recv(1)
        with contextlib.suppress(ProcessLookupError):
            if not sent:  # the starter was killed
                os.killpg(command, signal.SIGKILL)
                os._exit(0)
            os.kill(command, sent[0])
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(os.waitstatus_to_exitcode(os.waitpid(command, 0)[1]).to_bytes(4, "big", signed=True))
    os._exit(0)


def _become(asked: dict[str, Any], files: list[int]) -> None:
    os.setpgid(0, 0)
    for number in FORWARDED:
        if number not in asked["forwarded"]:
            signal.signal(number, signal.SIG_IGN)
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.argv = asked["argv"]


def _run() -> int | str | None:
    """The program of a process; what it ends with."""
    try:
        if sys.argv[0] == COMMAND:
            if BegunRoot.path:
                given = {name: getattr(subprocess, name) for name in ("DEVNULL", "PIPE", "TimeoutExpired")}
                import_module("twinwright.simulation.sandbox").subprocess = SimpleNamespace(Popen=BegunRoot, **given)
            import_module("twinwright.cli").main()
        elif sys.argv[0] == sys.executable:
            at = sys.argv.index("-c")
            code, sys.argv = sys.argv[at + 1], ["-c", *sys.argv[at + 2 :]]
            exec(code)
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        return end.code
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        return 1
    return 0


def _end(code: int | str | None) -> NoReturn:
    """As the interpreter ends, but that memory goes with the process: to free what was imported takes longer than most commands."""
    threading._shutdown()
    atexit._run_exitfuncs()
    if isinstance(code, str):
        print(code, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(1 if isinstance(code, str) else code or 0)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
    _end(_run())
