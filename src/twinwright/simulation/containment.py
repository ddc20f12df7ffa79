"""What Linux gives to hold a process: limits, sessions, death signals, no capabilities, and the view of its descendants."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION, _CAPABILITIES = 0x20080522, 64
NICE = 5  # of what runs models: where all cores are taken, who takes in telemetry and keeps results has one for itself
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Be killed when the parent is; end now if it is gone already (prctl(2), PR_SET_PDEATHSIG)."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ended, so that none escapes (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def stand_back() -> None:
    """Have other processes of the platform served first, of the same session or another (sched(7), autogroups)."""
    os.nice(NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICE))


def refuse_privileges() -> bool:
    """Let no program that is started have more than who starts it (prctl(2), PR_SET_NO_NEW_PRIVS): what holds a process asks for that."""
    return bool(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)


def drop_capabilities() -> None:
    """Keep nothing of what root, here or of a namespace, may do beyond the files that are its own (capabilities(7))."""
    for capability in range(_CAPABILITIES):
        _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    header, none = struct.pack("=II", _CAPABILITY_VERSION, 0), bytes(24)
    _libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _libc.capset(header, none)


def redirect_standard_streams(log: Path, keep: set[int]) -> None:
    """Standard input is empty, output and error go to `log`, and every other descriptor but those in `keep` is closed."""
    null = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 -- iterating a Path would hold a descriptor of the same kind open
        if int(name) > 2 and int(name) not in keep:
            with contextlib.suppress(OSError):
                os.close(int(name))


def limit_resources(memory_bytes: int, output_bytes: int) -> None:
    """No core dumps, files no longer than `output_bytes`, and no more private memory than `memory_bytes` beyond today's.

    The limit on private memory makes a single huge allocation fail; what is resident is watched by the parent.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_FSIZE, output_bytes)
    _lower(resource.RLIMIT_DATA, _status(os.getpid(), b"VmData") + memory_bytes + (32 << 20))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _status(pid: int, *names: bytes) -> int:
    """Some sizes of /proc/PID/status together, in bytes; 0 of a process that is gone. It is asked for often, so no more is read of it."""
    try:
        text = _read(f"/proc/{pid}/status")
    except OSError:
        return 0
    total = 0
    for name in names:
        at = text.find(b"\n" + name + b":")
        if at >= 0:
            begin = at + len(name) + 2
            total += int(text[begin : text.index(b"kB", begin)])
    return total * 1024


def own_memory(pid: int) -> int:
    """Resident bytes that are the process's own: anonymous and shared memory, not mapped files."""
    return _status(pid, b"RssAnon", b"RssShmem")


def resident_memory(pid: int) -> int:
    """All resident bytes of a process."""
    return _status(pid, b"VmRSS")


def _read(path: str) -> bytes:
    """The whole of a file of /proc, in a fraction of the time that a Path takes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def children(pid: int) -> list[int]:
    """The direct children of a process, of all its threads."""
    found: list[int] = []
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/task") as tasks:
        for task in tasks:
            with contextlib.suppress(OSError):
                found += [int(child) for child in _read(f"{task.path}/children").split()]
    return found


def descendants(pid: int) -> list[int]:
    """Children, their children, and so on."""
    found: list[int] = []
    queue = children(pid)
    while queue:
        one = queue.pop()
        found.append(one)
        queue += children(one)
    return found


def kill_tree(pid: int) -> None:
    """SIGKILL to a process that leads its session, to its group, and to all its descendants."""
    family = [*descendants(pid), pid]
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    for one in family:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, signal.SIGKILL)
