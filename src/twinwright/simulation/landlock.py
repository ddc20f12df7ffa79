"""What a model may not open: the home folder of its user, and the stores of the workspaces that are open in the process that runs it; and
where it may write, which is a folder of its own.

Landlock (landlock(7), Linux 5.13) knows what is allowed alone: to read everything but those folders, and of them what Python, this package
and compiled code are read from. It holds a process and all that it starts, for good. Where the kernel lets it, signals and abstract sockets
reach no process outside either (6.12). Whether something is there, and how large, can still be seen.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import stat
import struct
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from twinwright.simulation.containment import refuse_privileges

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls, of the same numbers on every machine
_VERSION, _BENEATH = 1, 1
_EXECUTE, _WRITE, _READ, _LIST, _TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_OF_FOLDERS = sum(1 << bit for bit in range(3, 14))  # to list, and to make, remove and move what is in them
_DEVICES = (1 << 6) | (1 << 11)  # to make those, by which root could read any disk
_SIGNALS_AND_SOCKETS = 3
COMPILED = "models"  # in our cache folder: what is written there, no other than models may load
_DEV = Path("/dev")
_TO_ALL = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm")
_OF_GRAPHICS = ("dri", "kfd", "nvidia*")  # on which models compute
_MOST_ENTRIES = 1000  # of a folder that has a hidden one below; those of one with more are hidden but for what is shown
_libc = ctypes.CDLL(None, use_errno=True)
_hiding = threading.Lock()
_hidden: Counter[Path] = Counter()


class Seclusion(NamedTuple):
    """Folders that can't be opened, and those within them that can; and where, of all that can, is written."""

    hidden: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    own: tuple[str, ...] = ()


def hide(folder: Path) -> None:
    """Let no model that is loaded from now on open what is in a folder, until `show` is called as often."""
    with _hiding:
        _hidden[folder.resolve()] += 1


def show(folder: Path) -> None:
    """Whoever hid it is done with it."""
    with _hiding:
        _hidden.subtract([folder.resolve()])


def hidden() -> list[str]:
    """The folders that are hidden, without those within others."""
    with _hiding:
        folders = {folder for folder, times in _hidden.items() if times > 0}
    return sorted(str(folder) for folder in folders if folders.isdisjoint(folder.parents))


def seclusion(own: Path) -> Seclusion:
    """That of a model which works in a folder of its own."""
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    homes = {path.resolve() for path in (home, Path(os.environ.get("HOME") or home))} - {Path("/")}
    kept = [home / ".cache" / name for name in ("twinwright", "numba")]  # what is compiled before there are models
    compiled = kept[0] / COMPILED  # by them
    with contextlib.suppress(OSError):
        compiled.mkdir(mode=0o700, parents=True, exist_ok=True)
    code = {Path(one) for one in (*sys.path, sys.prefix, sys.base_prefix, sys.exec_prefix) if one}
    # A plug-in that is installed to be edited need not be below any of these.
    code |= {Path(file).parent for name, one in list(sys.modules.items()) if "." not in name and (file := getattr(one, "__file__", None))}
    devices = [*(_DEV / name for name in _TO_ALL), *(path for family in _OF_GRAPHICS for path in _DEV.glob(family))]
    shown = {path.resolve() for path in (own, *kept, *code) if path.exists()} - homes
    written = [str(path) for path in (own.resolve(), compiled.resolve(), *devices, Path("/proc"))]  # /proc/self, whichever that is
    return Seclusion((*map(str, sorted(homes)), *hidden(), str(_DEV)), (*map(str, sorted(shown)), *map(str, devices)), tuple(written))


def hold(asked: Seclusion) -> bool:
    """Hold this process, of one thread, to it. False where the kernel does not allow that."""
    version = _libc.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    if version < 1:
        return False
    of_files = _EXECUTE | _WRITE | _READ | (_TRUNCATE if version >= 3 else 0)
    handled = of_files | (_OF_FOLDERS if version >= 2 else _OF_FOLDERS & ~(1 << 13))
    attributes = struct.pack("=QQQ", handled, 0, _SIGNALS_AND_SOCKETS)[: 24 if version >= 6 else 8]
    rules = _libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return False
    try:
        marks = dict.fromkeys(map(Path, asked.hidden), False) | dict.fromkeys(map(Path, asked.shown), True)
        for path, is_folder in _allowed(Path("/"), marks, shown=True):
            _allow(rules, path, _EXECUTE | _READ | (_LIST if is_folder else 0))
        for path in map(Path, asked.own):
            _allow(rules, path, handled & ~_DEVICES if path.is_dir() else of_files)
        return bool(refuse_privileges() and _libc.syscall(_RESTRICT, rules, 0) == 0)
    finally:
        os.close(rules)


def is_held(process: int) -> bool:
    """Whether a process is one that runs models, or was started by one. Landlock lets it connect to any socket with a path that it may see.

    It has no new privileges, or where that goes for us as well another network than we."""
    try:
        if not _has_no_new_privileges(os.getpid()):
            return _has_no_new_privileges(process)
        return Path(f"/proc/{process}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    except OSError:  # of another machine's view, or gone
        return False


def _has_no_new_privileges(process: int) -> bool:
    return b"\nNoNewPrivs:\t1\n" in Path(f"/proc/{process}/status").read_bytes()


def _allowed(folder: Path, marks: Mapping[Path, bool], *, shown: bool) -> Iterator[tuple[Path, bool]]:
    """What may be opened in a folder, as few hierarchies as possible, each with whether it is a folder."""
    below = {path: mark for path, mark in marks.items() if folder in path.parents}
    if not any(mark is not shown for mark in below.values()):
        if shown:
            yield folder, folder.is_dir()
        return
    ways = {folder / path.relative_to(folder).parts[0] for path in below}
    entries = dict(_entries(folder)) if shown else {}
    if len(entries) > _MOST_ENTRIES:
        entries = {}
    for path in ways | entries.keys():
        if path in ways:
            yield from _allowed(path, marks, shown=marks.get(path, shown))
        else:
            yield path, entries[path]


def _entries(folder: Path) -> list[tuple[Path, bool]]:
    """Without links: where they lead to is allowed, or not, by where it is."""
    try:
        with os.scandir(folder) as found:
            return [(Path(one.path), one.is_dir(follow_symlinks=False)) for one in found if not one.is_symlink()]
    except OSError:
        return []


def _allow(rules: int, path: Path, rights: int) -> None:
    """What is gone, or can't be opened, can't be opened later either."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
            _libc.syscall(_ADD, rules, _BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)
