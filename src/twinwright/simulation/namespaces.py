"""Namespaces that hold what runs models: no process but its own, and no network (namespaces(7), Linux).

Who may not make them as it is (as all but root) does so as the root of a user namespace of its own (user_namespaces(7)).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from twinwright.simulation.containment import die_with_parent

_MOUNTS, _IPC, _USERS, _PROCESSES, _NETWORK = 0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
_READ_ONLY, _NO_SET_USER, _NO_DEVICES, _NO_EXECUTION, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_OF_THE_MACHINE = ("sys", "sysrq-trigger", "irq", "bus", "fs")  # of /proc: what the machine is set by, for the user who is root
_SHARED_MEMORY = b"size=256m,mode=1777"
_libc = ctypes.CDLL(None, use_errno=True)


def cut_network() -> bool:
    """Move to a network without any interface. False where the kernel does not allow it."""
    return _unshare(_NETWORK)


def see_own_processes_only() -> bool:
    """Go on as the first process of a namespace: it and what it starts see, signal and look into each other, in /proc too, and nobody
    else; System V memory and /dev/shm are their own. Who called stays behind, waits and ends as the one that went on does, which ends
    with it. False, and nothing is changed, where the kernel does not allow it.

    To be called by a process of one thread."""
    if not _allowed():
        return False
    _unshare(_IPC | _PROCESSES)
    lives, held = os.pipe()
    if pid := os.fork():
        os.close(lives)
        _wait(pid, held)
    os.close(held)
    die_with_parent(0)  # which is what it is called in here
    if select.select([lives], [], [], 0)[0]:  # it was gone before
        os._exit(1)
    os.close(lives)
    if not _mount():  # it went when it was tried: nothing may run that takes other processes for its own
        os._exit(1)
    return True


def _allowed() -> bool:
    """Tried by a child: a namespace can't be left, and one without its own /proc is worse than none."""
    return _ends_well(lambda: _unshare(_IPC | _PROCESSES) and _ends_well(_mount))


def _ends_well(act: Callable[[], bool]) -> bool:
    if pid := os.fork():
        return os.waitpid(pid, 0)[1] == 0
    try:
        os._exit(0 if act() else 1)
    finally:
        os._exit(1)


def _unshare(what: int) -> bool:
    if _libc.unshare(what) == 0:
        return True
    user, group = os.geteuid(), os.getegid()
    if _libc.unshare(_USERS | what) != 0:
        return False
    with contextlib.suppress(OSError):  # who it is matters to those alone who ask
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return True


def _mount() -> bool:
    """What shows this namespace alone in the place of what shows the machine."""
    plain = _NO_SET_USER | _NO_DEVICES
    if not _unshare(_MOUNTS) or _libc.mount(None, b"/", None, _RECURSIVE | _PRIVATE, None) != 0:
        return False
    if _libc.mount(b"proc", b"/proc", b"proc", plain | _NO_EXECUTION, None) != 0:
        return False
    for name in _OF_THE_MACHINE:
        path = os.fsencode(Path("/proc", name))
        if Path("/proc", name).exists() and _libc.mount(path, path, None, _BIND | _RECURSIVE, None) == 0:
            _libc.mount(None, path, None, _BIND | _REMOUNT | _READ_ONLY | plain | _NO_EXECUTION, None)
    return not Path("/dev/shm").is_dir() or _libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", plain, _SHARED_MEMORY) == 0  # noqa: S108 -- its place


def _wait(pid: int, held: int) -> NoReturn:
    """Hold nothing open that another waits for the end of, but `held`."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 -- iterating a Path would hold one more open
        if descriptor not in (null, held):
            with contextlib.suppress(OSError):
                os.dup2(null, descriptor) if descriptor < 3 else os.close(descriptor)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os._exit(code if code >= 0 else 128 - code)
