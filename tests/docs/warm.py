"""Commands that begin warm: one process has imported what `twinwright` does, and each command of a page is a fork of it.

The pages start it hundreds of times, and each start imports the same for a second. What runs is the same, `main` of the command in a
process of its own, with the arguments, folder, environment and files of who started it; who signals or kills that one, means this one.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

IMPORTED = ("twinwright.cli", "twinwright.platform.local", "twinwright.platform.opened", "twinwright.platform.remote")
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# The command as a shell finds it: as little as starts fast. It ends as the command ends, by a signal or with a code.
CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({path!r})
forwarded = [number for number in {forwarded} if signal.getsignal(number) is not signal.SIG_IGN]
asked = {{"argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ), "forwarded": forwarded}}
body = json.dumps(asked).encode()
socket.send_fds(server, [len(body).to_bytes(4, "big")], [0, 1, 2])
server.sendall(body)
for number in forwarded:
    signal.signal(number, lambda number, _: server.send(bytes([number])))
ended = int.from_bytes(server.recv(4), "big", signed=True)
if ended < 0:
    signal.signal(-ended, signal.SIG_DFL) if -ended not in (signal.SIGKILL, signal.SIGSTOP) else None
    os.kill(os.getpid(), -ended)
sys.exit(ended)
"""


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Path]:
    """A folder to put first in PATH: its `twinwright` begins warm."""
    path = folder / "socket"
    server = subprocess.Popen([sys.executable, __file__, str(path)], stdin=subprocess.PIPE, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while not path.exists():
            assert server.poll() is None and time.monotonic() < until, "it did not start"
            time.sleep(0.02)
        (folder / "bin").mkdir()
        command = folder / "bin" / "twinwright"
        command.write_text(CLIENT.format(python=sys.executable, path=str(path), forwarded=[int(one) for one in FORWARDED]))
        command.chmod(0o755)
        yield folder / "bin"
    finally:
        server.kill()
        server.wait()


def _serve(path: str) -> None:
    """Fork until who started it is gone, and with it the other end of standard input. In the process of a command it returns."""
    for name in IMPORTED:
        import_module(name)
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
    ended = os.pidfd_open(command)
    while ended not in select.select([ended, connection], [], [])[0]:
        sent = connection.recv(1)
        with contextlib.suppress(ProcessLookupError):
            if not sent:  # the starter was killed
                os.killpg(command, signal.SIGKILL)
                os._exit(0)
            os.kill(command, sent[0])
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
    sys.argv = [str(Path(sys.executable).with_name("twinwright")), *asked["argv"]]


if __name__ == "__main__":
    _serve(sys.argv[1])
    from twinwright.cli import main

    main()
