"""The process that forks: it waits for requests, forks a contained child for each, watches it, and reports how it ended.

Two generations run this loop. The *root* has imported the numerical libraries and runs no user code; it forks *templates*,
which load one model and then run the same loop; a template forks one *run* per request, so that nothing that a run does
to its process is seen by the next. A request is one packet with descriptors; to hang up on a child's status socket means
to kill it; when the requesting process is gone, its sockets hang up and everything ends.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import gc
import importlib
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from twinwright.errors import TwinwrightError
from twinwright.simulation import containment, plain_data
from twinwright.simulation.feeding import FEED
from twinwright.simulation.landlock import Seclusion, hold
from twinwright.simulation.namespaces import cut_network, see_own_processes_only
from twinwright.simulation.protocol import FailureKind, ModelError
from twinwright.simulation.system_calls import deny_sockets

PACKET = 64 * 1024
READY, READY_CUT = b"ready", b"ready, cut"  # what a template says once it has loaded; the second where it has no network
REQUEST, RESULT, LOG, PARTS = "request.bin", "result.bin", "log.txt", "parts.bin"
_FASTEST_POLL, _RUN_POLL, _TEMPLATE_POLL = 0.01, 0.05, 0.5  # seconds between looks at resident memory


class Request(msgspec.Struct, frozen=True):
    """Fork a `template` (with two descriptors: status and control) or a `run` (status, and what feeds it, where it is fed) that calls
    `entry`."""

    do: Literal["template", "run"]
    entry: str
    folder: str
    work: str
    memory_bytes: int
    output_bytes: int
    seclusion: Seclusion = Seclusion()  # of a template, and so of its runs


class Report(msgspec.Struct, frozen=True):
    """How a child ended. `code` is its exit code, or the negative number of the signal that killed it."""

    code: int
    over_memory: bool
    cpu_seconds: float
    peak_memory: int
    network_cut: bool


@dataclass(slots=True)
class _Child:
    pid: int
    pidfd: int
    status: socket.socket
    is_run: bool  # is watched with its descendants; a template watches its runs itself, each by its own limit
    limit: int
    own_at_fork: int
    resident_at_fork: int
    since: float = field(default_factory=time.monotonic)
    peak: int = 0
    over_memory: bool = False


class ForkServer:
    """Serves requests that arrive on `control` until the other side hangs up."""

    def __init__(self, control: socket.socket, *, network_cut: bool) -> None:
        self.control = control
        self.network_cut = network_cut
        self.living: dict[int, _Child] = {}
        self.poll = select.poll()
        self.poll.register(control, select.POLLIN)
        containment.adopt_orphans()

    def serve(self) -> None:
        """Returns when the other side has hung up and every child is dead."""
        while True:
            ready = {descriptor for descriptor, _ in self.poll.poll(self._patience() * 1000)}
            if self.control.fileno() in ready and not self._accept():
                break
            for child in list(self.living.values()):
                if child.pidfd in ready:
                    self._bury(child)
                elif child.status.fileno() in ready or self._too_large(child):
                    containment.kill_tree(child.pid)
        for child in list(self.living.values()):
            containment.kill_tree(child.pid)
            self._bury(child)

    def _patience(self) -> float:
        """Seconds to the next look at memory: a young child is looked at often, an old one less so."""
        if not self.living:
            return 3600.0
        age = time.monotonic() - max(child.since for child in self.living.values())
        runs = any(child.is_run for child in self.living.values())
        return min(max(age / 20, _FASTEST_POLL), _RUN_POLL if runs else _TEMPLATE_POLL)

    def _accept(self) -> bool:
        packet, descriptors, _, _ = socket.recv_fds(self.control, PACKET, 2)
        if not packet:
            return False
        request = msgspec.msgpack.decode(packet, type=Request)
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        own, resident = containment.own_memory(os.getpid()), containment.resident_memory(os.getpid())
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            # Nothing may return from here into the parent's loop.
            try:
                _become(request, sockets, parent, self.network_cut)
            finally:
                os._exit(70)
        for extra in sockets[1:]:
            extra.close()
        child = _Child(pid, os.pidfd_open(pid), sockets[0], request.do == "run", request.memory_bytes, own, resident)
        self.living[pid] = child
        self.poll.register(child.pidfd, select.POLLIN)
        self.poll.register(child.status, select.POLLIN)
        return True

    def _too_large(self, child: _Child) -> bool:
        family = [child.pid, *(containment.descendants(child.pid) if child.is_run else ())]
        used = sum(containment.own_memory(pid) for pid in family) - child.own_at_fork
        child.peak = max(child.peak, used)
        child.over_memory = child.over_memory or used > child.limit
        return child.over_memory

    def _bury(self, child: _Child) -> None:
        """Collect a child that ended, and whatever it left running; say how it ended."""
        self.poll.unregister(child.pidfd)
        self.poll.unregister(child.status)
        containment.kill_tree(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        os.close(child.pidfd)
        del self.living[child.pid]
        self._end_orphans()
        peak = max(child.peak, usage.ru_maxrss * 1024 - child.resident_at_fork, 0)
        code = os.waitstatus_to_exitcode(status)
        report = Report(code, child.over_memory, usage.ru_utime + usage.ru_stime, peak, self.network_cut)
        with contextlib.suppress(OSError):
            child.status.send(msgspec.msgpack.encode(report))
        child.status.close()

    def _end_orphans(self) -> None:
        while orphans := [pid for pid in containment.children(os.getpid()) if pid not in self.living]:
            for pid in orphans:
                containment.kill_tree(pid)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def _become(request: Request, sockets: list[socket.socket], parent: int, network_cut: bool) -> None:
    """The life of a child, from fork to exit."""
    os.setsid()
    containment.die_with_parent(parent)
    work = Path(request.work)
    os.chdir(work)
    tempfile.tempdir = str(work)
    control = sockets[1] if request.do == "template" else None
    keep = {control.fileno()} if control else set()
    if control is None and len(sockets) > 1:
        keep = {os.dup2(sockets[1].fileno(), FEED, inheritable=False)}
    containment.redirect_standard_streams(work / LOG, keep)
    containment.limit_resources(request.memory_bytes, request.output_bytes)
    faulthandler.enable()
    if control is None:
        containment.stand_back()
        os._exit(_answer(request, work))
    network_cut = cut_network()
    containment.drop_capabilities()
    hold(request.seclusion)
    network_cut = deny_sockets(network_cut=network_cut) or network_cut
    _keep_compiled_in(work)
    if code := _answer(request, work):
        os._exit(code)
    gc.collect()
    gc.freeze()
    control.send(READY_CUT if network_cut else READY)
    ForkServer(control, network_cut=network_cut).serve()
    os._exit(0)


def _keep_compiled_in(work: Path) -> None:
    """What a plug-in has numba keep of its functions: what is kept beside their source, others than models load too."""
    if config := sys.modules.get("numba.core.config"):
        vars(config)["CACHE_DIR"] = str(work)


def _answer(request: Request, work: Path) -> int:
    """Call the entry and write its answer. The exit code says no more than whether there is a result."""
    try:
        result = _function(request.entry)(plain_data.decode((work / REQUEST).read_bytes()), Path(request.folder))
        body = plain_data.encode({"result": result})
        code = 0
    except BaseException as error:  # noqa: BLE001 -- whatever ends a model, an exit or an interrupt too, is its answer
        kind, message = failure_of(error)
        if kind == "raised":
            traceback.print_exception(error)
        body = plain_data.encode({"failure": kind, "message": message})
        code = 1
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    try:
        _write(work / RESULT, body)
    except OSError as error:
        _write(work / RESULT, plain_data.encode({"failure": "output", "message": f"the answer of {len(body)} bytes: {error.strerror}"}))
        code = 1
    return code


def _write(path: Path, body: bytes) -> None:
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    part.write_bytes(body)
    part.rename(path)


def failure_of(error: BaseException) -> tuple[FailureKind, str]:
    """In which way an exception that left a model made it fail, and why."""
    if isinstance(error, ModelError):
        return error.kind, str(error)
    if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):  # of what a run is given too
        return "memory", "an allocation failed at the memory limit"
    if isinstance(error, SystemExit):
        return "exited", f"the model called exit({error.code!r})"
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return "output", "a file or the log grew past the output limit"
    if isinstance(error, TwinwrightError):
        return "refused", str(error)
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" ({Path(last[0].filename).name}:{last[0].lineno})" if last else ""
    return "raised", f"{type(error).__name__}: {error}{place}"


def _function(entry: str) -> Callable[..., Any]:
    module, _, name = entry.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def no_preparation(payload: Any, folder: Path) -> None:
    """The entry of a template that has nothing to load."""


def main() -> None:
    """The root: descriptor 0 is the control socket, the arguments the directory to remove at the end, and what to import."""
    control = socket.socket(fileno=os.dup(0))
    directory = Path(sys.argv[1])
    os.environ.clear()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches the whole group: the parent decides
    see_own_processes_only()
    try:
        _function(sys.argv[2])()
        gc.collect()
        gc.freeze()
        control.send(READY)
        ForkServer(control, network_cut=False).serve()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
