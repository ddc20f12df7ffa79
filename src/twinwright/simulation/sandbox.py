"""Child processes as their requester sees them: one root, a template for each loaded model, a forked child for each run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from twinwright.errors import PlatformError, UsageError
from twinwright.simulation import plain_data
from twinwright.simulation.answers import told_until
from twinwright.simulation.feeding import Feeder, More, SoFar, Telling
from twinwright.simulation.fork_server import LOG, PARTS, READY, READY_CUT, REQUEST, RESULT, Report, Request
from twinwright.simulation.landlock import hidden, seclusion
from twinwright.simulation.outcomes import Cancel, Cancelled, Cost, Failure, Limits, Outcome, Success

MAX_TEMPLATES = 8
MAX_LOG_BYTES = 64 * 1024
_START_SECONDS = 120.0  # for the libraries to be imported, on a machine that is busy
_KILL_SECONDS = 10.0
_LOOK_SECONDS = 0.2  # how soon it is seen that a run is not wanted any more
_BEGIN = "from twinwright.simulation import fork_server; fork_server.main()"
_FAILURES = frozenset({"raised", "exited", "crashed", "timeout", "memory", "output", "nan", "refused"})

# One thread each: a forked process must have been single-threaded, and sums must not depend on how many cores there are.
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "LC_ALL": "C.UTF-8",
}


class Sandbox:
    """Runs work in forked children. Starting costs seconds, once; a run of a model that is loaded already, milliseconds.

    May be used by several threads at once. Close it, or leave that to the end of the process; if the process is killed,
    the kernel and the root of the children clean up: no process and no file stays.
    """

    def __init__(self, warm_up: str = "twinwright.simulation.worker:warm_up") -> None:
        """`warm_up` ("module:function" of this installation) imports what all runs need, in the process that the others are forked from."""
        self._warm_up = warm_up
        self._lock = threading.Lock()
        self._root: _Root | None = None
        self._templates: OrderedDict[str, _Template] = OrderedDict()

    def run(
        self,
        entry: str,
        payload: Any,
        *,
        limits: Limits,
        files: Mapping[str, bytes],
        prepare: str,
        prepare_payload: Any,
        cancel: Cancel | None = None,
        grace: float = 0.0,
        more: More | None = None,
    ) -> Outcome:
        """See `run_in_child`."""
        deadline = time.monotonic() + limits.wall_seconds
        template, started = self._template(files, prepare, prepare_payload, limits)
        if started:
            deadline = time.monotonic() + limits.wall_seconds
        try:
            failure = template.ready(deadline)
            if failure:
                self._discard(template)
                return failure
            outcome = template.run(entry, payload, limits, deadline, cancel, grace, more)
        finally:
            with self._lock:
                template.users -= 1
        if template.dead:
            self._discard(template)
        return outcome

    def close(self) -> None:
        """End every child; nothing of them is left when this returns."""
        with self._lock:
            templates, self._templates = list(self._templates.values()), OrderedDict()
            root, self._root = self._root, None
        if root:
            self._end(root, templates)

    @staticmethod
    def _end(root: _Root, templates: list[_Template]) -> None:
        for template in templates:
            template.close()
        root.close()

    def _template(self, files: Mapping[str, bytes], prepare: str, payload: Any, limits: Limits) -> tuple[_Template, bool]:
        key = _key(files, prepare, payload, limits)
        with self._lock:
            started = False
            if self._root is not None and not self._root.alive():
                self._end(self._root, list(self._templates.values()))
                self._templates.clear()
                self._root = None
            if self._root is None:
                self._root = _Root(self._warm_up)
                started = True
            template = self._templates.get(key)
            if template is None:
                template = self._templates[key] = _Template(key, self._root, files, prepare, payload, limits)
            template.users += 1
            self._templates.move_to_end(key)
            idle = [one for one in self._templates.values() if not one.users]
            for one in idle[: max(0, len(self._templates) - MAX_TEMPLATES)]:
                del self._templates[one.key]
                one.close()
        return template, started

    def _discard(self, template: _Template) -> None:
        with self._lock:
            if self._templates.get(template.key) is template:
                del self._templates[template.key]
        template.close()


class _Root:
    """The process that has imported the libraries and runs no user code."""

    def __init__(self, warm_up: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="twinwright-runs-"))
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # The child gets our path to modules and nothing else of ours: no environment, no descriptors, no user site.
        code = f"import sys; sys.path[:] = {sys.path!r}; {_BEGIN}"
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 -- our own interpreter and code
                [sys.executable, "-s", "-P", "-c", code, str(self.directory), warm_up],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=_ENVIRONMENT,
                cwd=self.directory,
                start_new_session=True,
            )
        self.folders = 0
        self.control.settimeout(_START_SECONDS)
        try:
            ready = self.control.recv(16)
        except TimeoutError:
            ready = b""
        if ready != READY:
            self.process.kill()
            said = self.process.communicate()[1].decode(errors="replace").strip()[-2000:]
            shutil.rmtree(self.directory, ignore_errors=True)
            raise PlatformError(f"the process that runs models did not start: {said}", remedy="Check the installation")

    def alive(self) -> bool:
        return self.process.poll() is None

    def new_directory(self) -> Path:
        """Of a model: what it is made of, and where it is loaded and run."""
        self.folders += 1
        path = self.directory / f"model-{self.folders}"
        path.mkdir(mode=0o700)
        return path

    def close(self) -> None:
        self.control.close()
        try:
            self.process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stderr:
            self.process.stderr.close()
        shutil.rmtree(self.directory, ignore_errors=True)


@dataclass(slots=True)
class _Job:
    """One child as its requester sees it: where it works, and the socket on which its end is reported."""

    work: Path
    status: socket.socket
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, control: socket.socket, work: Path, request: Request, payload: bytes, more: list[int]) -> _Job:
        (work / REQUEST).write_bytes(payload)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        job = cls(work, ours)
        with theirs:
            try:
                socket.send_fds(control, [msgspec.msgpack.encode(request)], [theirs.fileno(), *more])
            except OSError:
                ours.shutdown(socket.SHUT_RDWR)  # the server is gone: what follows reads as a crash
        return job

    def report(
        self, deadline: float, cancel: Cancel | None = None, feeder: Feeder | None = None, telling: Telling | None = None
    ) -> Report | None:
        """How the child ended; None if its server is gone. Meanwhile its questions are answered by `feeder`. Raises TimeoutError past the
        deadline, Cancelled once `cancel` is set."""
        poll = select.poll()
        poll.register(self.status, select.POLLIN)
        if feeder is not None:
            poll.register(feeder, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            ready = {descriptor for descriptor, _ in poll.poll(1000 * max(left if cancel is None else min(left, _LOOK_SECONDS), 0.001))}
            if self.status.fileno() in ready:
                try:
                    packet = self.status.recv(4096)
                except ConnectionError:
                    return None
                return msgspec.msgpack.decode(packet, type=Report) if packet else None
            if cancel is not None and cancel.is_set():
                raise Cancelled
            if feeder is not None and telling is not None and feeder.fileno() in ready and not feeder.answer(telling):
                poll.unregister(feeder)
                feeder.close()
            if time.monotonic() >= deadline:
                raise TimeoutError

    def kill(self) -> Report | None:
        """Hang up, which makes the server kill the child, and take its report."""
        with contextlib.suppress(OSError):
            self.status.shutdown(socket.SHUT_WR)
        with contextlib.suppress(TimeoutError):
            return self.report(time.monotonic() + _KILL_SECONDS)
        return None

    def outcome(self, report: Report | None, limits: Limits, *, timed_out: bool) -> Outcome:
        wall = time.monotonic() - self.began
        cost = Cost(wall, report.cpu_seconds, report.peak_memory, report.network_cut) if report else Cost(wall)
        log = _read(self.work / LOG, MAX_LOG_BYTES, tail=True).decode(errors="replace")
        if timed_out:
            return Failure("timeout", f"still running after {limits.wall_seconds:g} s", log, cost)
        if report is None:
            return Failure("crashed", "the process that had loaded the model is gone", log, cost)
        if report.over_memory:
            return Failure("memory", f"{report.peak_memory} bytes resident, {limits.memory_bytes} allowed", log, cost)
        if report.code < 0:
            return Failure("crashed", f"killed by {signal.Signals(-report.code).name}", log, cost)
        return self._answer(report.code, limits, log, cost)

    def _answer(self, code: int, limits: Limits, log: str, cost: Cost) -> Outcome:
        path = self.work / RESULT
        if not path.exists():
            return Failure("exited", f"the model ended its process with exit code {code} and gave no answer", log, cost)
        try:
            answer = plain_data.decode(_read(path, limits.output_bytes))
        except (UsageError, OSError) as error:
            return Failure("refused", f"the answer can't be read: {error}", log, cost)
        if isinstance(answer, dict) and "result" in answer and code == 0:
            return Success(answer["result"], log, cost)
        kind = answer.get("failure") if isinstance(answer, dict) else None
        if kind not in _FAILURES:
            return Failure("refused", "the answer is not one of ours", log, cost)
        return Failure(kind, str(answer.get("message")), log, cost)

    def close(self) -> None:
        self.status.close()
        shutil.rmtree(self.work, ignore_errors=True)


class _Parts:
    """What a child tells, read as it comes: each answer once, those that it had told before its end whatever ended it."""

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self._limit = path, limit
        self._file: int | None = None
        self._at = 0

    def read(self) -> tuple[Any, ...]:
        """The answers since."""
        found: list[Any] = []
        try:
            if self._file is None:
                self._file = _opened(self._path)
            size = _size(self._file, PARTS, self._limit)
            body, begin = memoryview(os.pread(self._file, max(size - self._at, 0), self._at)), self._at
            for end, answers in told_until(body):
                found += answers
                self._at = begin + end
        except FileNotFoundError:  # it has told nothing yet
            pass
        except (UsageError, OSError):
            self._limit = -1  # what it writes is not ours: no more of it is read
        return tuple(found)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)


class _Template:
    """A process that has loaded one model, from which its runs are forked."""

    def __init__(self, key: str, root: _Root, files: Mapping[str, bytes], prepare: str, payload: Any, limits: Limits) -> None:
        self.key, self.root, self.limits = key, root, limits
        self.users = 0
        self.dead = False
        self._lock = threading.Lock()
        self._is_ready = self._network_cut = False
        self._failure: Failure | None = None
        self.place = root.new_directory()
        self.folder, work = self.place / "artefacts", self.place / "load"
        for path in (self.folder, work):
            path.mkdir(mode=0o700)
        self.folders = 0
        for name, content in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(content)
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        given = (str(self.folder), str(work), limits.memory_bytes, limits.output_bytes, seclusion(self.place))
        request = Request("template", prepare, *given)
        with theirs:
            self.job = _Job.start(root.control, work, request, plain_data.encode(payload), [theirs.fileno()])

    def ready(self, deadline: float) -> Failure | None:
        """Wait until the model is loaded; the failure if it can't be."""
        with self._lock:
            if self._is_ready or self._failure:
                return self._failure
            self.control.settimeout(max(deadline - time.monotonic(), 0.001))
            timed_out = False
            try:
                said = self.control.recv(16)
                self._is_ready, self._network_cut = said in (READY, READY_CUT), said == READY_CUT
            except TimeoutError:
                timed_out = True
            except ConnectionError:
                pass
            if not self._is_ready:
                report = self.job.kill()
                outcome = self.job.outcome(report, self.limits, timed_out=timed_out)
                self._failure = (
                    outcome if isinstance(outcome, Failure) else Failure("exited", "gave up while loading", outcome.log, outcome.cost)
                )
            return self._failure

    def run(
        self, entry: str, payload: Any, limits: Limits, deadline: float, cancel: Cancel | None, grace: float, more: More | None
    ) -> Outcome:
        if more is None:
            return self._run(entry, payload, limits, deadline + grace, cancel, in_parts=bool(grace), feeder=None)
        with Feeder(more) as feeder:
            return self._run(entry, payload, limits, deadline + grace, cancel, in_parts=bool(grace), feeder=feeder)

    def _run(
        self, entry: str, payload: Any, limits: Limits, deadline: float, cancel: Cancel | None, *, in_parts: bool, feeder: Feeder | None
    ) -> Outcome:
        """`in_parts`: whether the entry tells what it has done one after another."""
        body = plain_data.encode(payload)
        with self._lock:
            self.folders += 1
            work = self.place / f"run-{self.folders}"
            work.mkdir(mode=0o700)
            request = Request("run", entry, str(self.folder), str(work), limits.memory_bytes, limits.output_bytes)
            job = _Job.start(self.control, work, request, body, [feeder.theirs.fileno()] if feeder else [])
        if feeder is not None:
            feeder.theirs.close()
        timed_out, parts = False, _Parts(work / PARTS, limits.output_bytes)
        try:
            try:
                report = job.report(deadline, cancel, feeder, lambda: SoFar(parts.read(), self._network_cut))
            except TimeoutError:
                timed_out = True
                report = job.kill()
            except Cancelled:
                job.kill()
                raise
            # Without a report the template itself is broken or hostile: it ends, and its runs with it.
            self.dead = self.dead or report is None
            timed_out = timed_out or bool(in_parts and report and report.code == -signal.SIGALRM)
            outcome = job.outcome(report, limits, timed_out=timed_out)
            return msgspec.structs.replace(outcome, parts=parts.read()) if in_parts else outcome
        finally:
            parts.close()
            job.close()

    def close(self) -> None:
        self.control.close()
        self.job.kill()
        self.job.close()
        shutil.rmtree(self.place, ignore_errors=True)


def _key(files: Mapping[str, bytes], prepare: str, payload: Any, limits: Limits) -> str:
    digest = hashlib.sha256(plain_data.encode([prepare, payload, limits.memory_bytes, limits.output_bytes, hidden()]))
    for name in sorted(files):
        digest.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(files[name]).digest())
    return digest.hexdigest()


def _read(path: Path, limit: int, *, tail: bool = False) -> bytes:
    """A regular file of at most `limit` bytes (or its end) that a child wrote: links and pipes in its place are refused."""
    try:
        descriptor = _opened(path)
    except FileNotFoundError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        size = _size(descriptor, path.name, None if tail else limit)
        if size > limit:
            file.seek(size - limit)
        return file.read(limit)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)


def _size(descriptor: int, name: str, limit: int | None) -> int:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or (limit is not None and status.st_size > limit):
        raise UsageError(f"{name} is not a file of at most {limit} bytes")
    return status.st_size
