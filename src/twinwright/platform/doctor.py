"""Whether a workspace and the machine under it are fit: what is wrong, and what to do. It asks a running platform, or opens the store."""

from __future__ import annotations

import os
import platform as machine
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Literal

from twinwright import __version__
from twinwright.errors import TwinwrightError
from twinwright.platform.remote import connect, running_platform
from twinwright.platform.server import socket_path
from twinwright.platform.wire import FOLDER

LOW, VERY_LOW = 5 * 1024**3, 512 * 1024**2  # bytes free on the disk
_LIBRARIES: Final = ("duckdb", "pyarrow", "polars", "numpy", "numba")
# What holds models, each tried in a child: words that leave it true or false, what it then says, and else, and what to do.
_HOLDS: Final = {
    "models without network": (
        "from twinwright.simulation.namespaces import cut_network; good = cut_network()",
        "models can reach the network, unless they are without sockets",
        "Allow unprivileged user namespaces (kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)",
    ),
    "models without sockets": (
        "from twinwright.simulation.system_calls import deny_sockets; good = deny_sockets(network_cut=True)",
        "models can connect to whatever listens at a path, such as a database of this machine",
        "Use a kernel with seccomp filters (CONFIG_SECCOMP_FILTER, x86-64 or aarch64)",
    ),
    "models without other processes": (
        "from twinwright.simulation.namespaces import see_own_processes_only; good = see_own_processes_only()",
        "models can read the environment of your other processes in /proc: keep secrets in files, not in TWINWRIGHT_TOKEN",
        "Allow unprivileged user namespaces and, in a container, an unmasked /proc (--security-opt systempaths=unconfined)",
    ),
    "models without home and store": (
        "from twinwright.simulation.landlock import Seclusion, hold; good = hold(Seclusion())",
        "models can read the home folder and the store, and write where you can",
        "Use a kernel with Landlock (Linux 5.13 or later, `landlock` among those of lsm=)",
    ),
}
_PATIENCE: Final = 60.0  # seconds for the child that tries what the kernel allows


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: `warning` is worth an eye, `failed` has to be mended."""

    name: str
    state: Literal["good", "warning", "failed"]
    found: str
    remedy: str = ""


def examine(folder: Path) -> dict[str, Any]:
    """`healthy checks[]{name state found remedy}`; healthy is that none failed. Changes nothing but what opening the store does."""
    checks = [check for look in (_workspace, _platform, _disk, _permissions, _containment, _versions) for check in _contained(look, folder)]
    return {"healthy": all(check.state != "failed" for check in checks), "checks": [asdict(check) for check in checks]}


def _contained(look: Callable[[Path], Iterator[Check]], folder: Path) -> list[Check]:
    """What one part finds; where it can't look, that is what it finds."""
    try:
        return list(look(folder))
    except (TwinwrightError, OSError, subprocess.SubprocessError) as error:
        remedy = error.remedy or "" if isinstance(error, TwinwrightError) else "Check that it is there and may be read"
        what = error.what if isinstance(error, TwinwrightError) else str(error)
        return [Check(look.__name__.strip("_"), "failed", what, remedy)]


def _workspace(folder: Path) -> Iterator[Check]:
    from twinwright.workspace import load_workspace

    found = load_workspace(folder)
    counts = f"{len(found.ontology.interfaces)} interfaces, {len(found.graph.twins)} twins, {len(found.contracts)} contracts"
    yield Check("workspace", "good", counts)


def _platform(folder: Path) -> Iterator[Check]:
    running = running_platform(folder)
    asked = connect(folder)
    try:
        status = asked.status()
        yield Check("platform", "good", "running" if running else "stopped")
        yield _store(status)
        yield from _torn_logs(status["store_torn_logs"])
        yield from _clock(status["clock"])
        for one in status["connectors"]:
            state: Literal["good", "warning"] = "good" if one["up"] else "warning"
            yield Check(f"connector {one['name']}", state, one["state"], "" if one["up"] else str(one["detail"] or "See the log"))
        for one in status["consumers"]:
            if one["error"]:
                yield Check(f"consumer {one['name']}", "warning", one["error"], "Mend its definition; it is tried again by itself")
        if asked.plan()["changes"]:
            yield Check("applied", "warning", "the folder differs from what is applied", "Run `twinwright plan`, then `twinwright apply`")
    finally:
        asked.close()


def _store(status: dict[str, Any]) -> Check:
    found = f"commit {status['commit']}, {status['store_bytes'] / 1e6:.1f} MB"
    unused = status["store_unused_bytes"]
    if not unused:
        return Check("store", "good", found)
    remedy = "The disk has it back when the platform is stopped and started again; else what comes next is written there"
    return Check("store", "good", f"{found}, of which nothing uses {unused / 1e6:.1f} MB", remedy)


def _torn_logs(names: list[str]) -> Iterator[Check]:
    if names:
        remedy = "See the runbook of the torn log; then delete them from .twinwright"
        yield Check("store log", "warning", f"torn by a power failure, cut and kept: {', '.join(names)}", remedy)


def _clock(clock: dict[str, Any]) -> Iterator[Check]:
    if clock["suspect"]:
        remedy = "Set it right, or say that it is with: twinwright clock trust"
        yield Check("clock", "failed", f"stepped by {clock['step_seconds']:.0f} s: ingestion is paused", remedy)
    else:
        yield Check("clock", "good", clock["now"])


def _disk(folder: Path) -> Iterator[Check]:
    free = shutil.disk_usage(folder).free
    said = f"{free / 1e9:.1f} GB free"
    if free < VERY_LOW:
        yield Check("disk", "failed", said, "Make room now: see the runbook of the full disk")
    elif free < LOW:
        yield Check("disk", "warning", said, "Make room, or keep less history: [retention]")
    else:
        yield Check("disk", "good", said)


def _permissions(folder: Path) -> Iterator[Check]:
    private = folder / FOLDER
    for name, path in (("private folder", private), ("token", private / "token"), ("socket", socket_path(private))):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        open_to = stat.S_IMODE(found.st_mode) & 0o077
        if found.st_uid != os.getuid():
            yield Check(name, "failed", "it belongs to another user", f"chown it to yourself: {path}")
        elif open_to:
            yield Check(name, "failed", f"others may use it (mode {stat.S_IMODE(found.st_mode):04o})", f"Run: chmod go= '{path}'")
        else:
            yield Check(name, "good", f"mode {stat.S_IMODE(found.st_mode):04o}")


def _containment(_folder: Path) -> Iterator[Check]:
    """What the kernel lets us hold a model by; tried in a child, for what holds it can't be left."""
    for name, (words, otherwise, remedy) in _HOLDS.items():
        if _succeeds(f"{words}; raise SystemExit(0 if good else 1)"):
            yield Check(name, "good", "the kernel allows it")
        else:
            yield Check(name, "warning", f"the kernel does not allow it: {otherwise}", f"{remedy}, or run only models that you trust")


def _succeeds(words: str) -> bool:
    """Whether a child that does it ends well: what it tries holds it for good."""
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, timeout=_PATIENCE, check=False)  # noqa: S603 - our own words
    return done.returncode == 0


def _versions(_folder: Path) -> Iterator[Check]:
    found = [f"twinwright {__version__}", f"Python {machine.python_version()}"]
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Check(name, "failed", "it is not installed", "Install twinwright again")
    yield Check("versions", "good", ", ".join([*found, f"{machine.system()} {machine.release()}"]))
