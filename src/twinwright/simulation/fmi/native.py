"""The compiled stepping loops and whole runs, made with the machine's C compiler at first use and kept in a cache folder."""

from __future__ import annotations

import ctypes
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from ctypes import byref, c_char_p, c_double, c_int64, c_uint64, c_void_p
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from twinwright.simulation.fmi.abi import Engine, Group, Loops, Report, Start, WholeRun

FLAGS = ("-O2", "-std=c99", "-fPIC", "-shared", "-ffp-contract=off", "-fno-math-errno")
_SOURCES, _HEADER = ("engine.c", "whole_run.c"), "engine.h"
_COMPILE_SECONDS = 300.0  # some tools bring all of their solvers as sources


@cache
def loops() -> Loops:
    """The compiled loops; where there is no compiler, those in Python, with a warning."""
    try:
        return NativeLoops(_library())
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        from twinwright.simulation.fmi.python_engine import PythonLoops

        reason = " ".join(str(error).split())[:200]
        return PythonLoops(f"FMUs are stepped in plain Python, hundreds of times slower, because {reason}")


class NativeLoops:
    """engine.c and whole_run.c."""

    compiled = True
    warning: str | None = None

    def __init__(self, library: ctypes.CDLL) -> None:
        library.tw_layout.restype = library.tw_run_layout.restype = c_uint64
        loop = ctypes.sizeof(Engine) * 1_000_000 + ctypes.sizeof(Group) * 1000 + ctypes.sizeof(Report)
        whole = ctypes.sizeof(WholeRun) * 1000 + ctypes.sizeof(Start)
        if (library.tw_layout(), library.tw_run_layout()) != (loop, whole):
            raise ValueError("the compiled loops lay data out otherwise")
        for name in ("tw_cosimulate", "tw_exchange"):
            getattr(library, name).argtypes = [c_void_p, c_void_p, c_int64, c_void_p, c_void_p, c_void_p]
        library.tw_inputs.argtypes = [c_void_p, c_double, c_void_p, c_void_p, c_void_p]
        library.tw_outputs.argtypes = [c_void_p, c_double, c_void_p, c_void_p]
        library.tw_whole_run.argtypes = [c_void_p, c_void_p, c_void_p, c_int64, c_void_p, c_void_p]
        library.tw_end_run.argtypes = [c_void_p, c_void_p]
        library.tw_callbacks2.restype = library.tw_log3.restype = c_void_p
        library.tw_last_message.restype = c_void_p
        self.library = library
        self.path = Path(library._name)

    def cosimulate(self, engine: Engine, times: Any, inputs: Any, outputs: Any, report: Report) -> None:
        self.library.tw_cosimulate(byref(engine), times.ctypes.data, times.size, inputs.ctypes.data, outputs.ctypes.data, byref(report))

    def exchange(self, engine: Engine, times: Any, inputs: Any, outputs: Any, report: Report) -> None:
        self.library.tw_exchange(byref(engine), times.ctypes.data, times.size, inputs.ctypes.data, outputs.ctypes.data, byref(report))

    def first_inputs(self, engine: Engine, time: float, row: Any, following: Any, report: Report) -> None:
        self.library.tw_inputs(byref(engine), time, row.ctypes.data, following.ctypes.data, byref(report))

    def outputs(self, engine: Engine, time: float, row: Any, report: Report) -> None:
        self.library.tw_outputs(byref(engine), time, row.ctypes.data, byref(report))

    def callbacks2(self) -> int:
        return int(self.library.tw_callbacks2())

    def logger3(self) -> int:
        return int(self.library.tw_log3())

    def libraries(self) -> list[tuple[Path, ctypes.CDLL]]:
        return [(self.path, self.library)]

    def last_message(self) -> str:
        address = self.library.tw_last_message()
        text = c_char_p(address).value or b""
        ctypes.memset(address, 0, 1)
        return text.decode(errors="replace").strip()


def compiler() -> str:
    """The C compiler of this machine. Raises OSError where there is none."""
    found = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if found is None:
        raise OSError("there is no C compiler (cc, gcc, clang)")
    return found


def compile_shared(command: list[str], target: Path) -> None:
    """Run a compiler that writes a shared library, beside its place and then moved there. Raises OSError with what it said."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(prefix=target.name, suffix=".part", dir=target.parent)
    os.close(descriptor)
    try:
        # A child that runs models has no environment, and need not be let to write where others leave what is for a while.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TMPDIR": str(target.parent)}
        try:
            done = subprocess.run(  # noqa: S603 -- the machine's compiler, given files
                [*command, "-o", part, "-lm"], capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False, env=environment
            )
        except subprocess.TimeoutExpired:
            raise OSError(f"{Path(command[0]).name} took more than {_COMPILE_SECONDS:g} s") from None
        if done.returncode:
            said = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[-300:])
            raise OSError(f"{Path(command[0]).name} failed: {said}")
        Path(part).chmod(0o755)
        Path(part).replace(target)
    finally:
        Path(part).unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where compiled code is kept: our own below the user's cache, else below the temporary folder; nobody else's."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path(os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir) / ".cache")
    for folder in (Path(home) / "twinwright", Path(tempfile.gettempdir()) / f"twinwright-{os.getuid()}"):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.lstat()
        except (OSError, KeyError):
            continue
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022 and os.access(folder, os.W_OK):
            return folder
    raise OSError("there is no cache folder of our own to keep compiled code in")


def _library() -> ctypes.CDLL:
    bodies = {name: resources.files(__package__).joinpath(name).read_bytes() for name in (*_SOURCES, _HEADER)}
    parts = [*bodies.values(), *(flag.encode() for flag in FLAGS), sys.platform.encode(), os.uname().machine.encode()]
    target = cache_folder() / f"fmu-engine-{hashlib.sha256(bytes(1).join(parts)).hexdigest()[:32]}.so"
    if not target.exists():
        with tempfile.TemporaryDirectory(prefix="twinwright-") as folder:
            for name, body in bodies.items():
                (Path(folder) / name).write_bytes(body)
            compile_shared([compiler(), *FLAGS, *(str(Path(folder) / name) for name in _SOURCES)], target)
    return ctypes.CDLL(str(target))
