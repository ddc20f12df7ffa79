"""A model that asks for what is not its own gets nothing, by whichever way it asks, where the kernel lets us hold it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.simulation.kinds import made

from twinwright.platform import doctor
from twinwright.simulation import sandbox
from twinwright.simulation.child import Limits, Sandbox

TEXT = "{name: f, version: 1, kind: function, artefact: 'f.py:f', outputs: {y: {}}, step: PT1S}"
ASKING = """
import ctypes, multiprocessing, os, socket, subprocess, tempfile

def written(path):
    with open(path, "w") as file:
        return file.write("x")

WAYS = {
    "socket with a path": lambda: socket.socket(socket.AF_UNIX).connect(PATH),
    "socket by a program": lambda: subprocess.run([PYTHON, "-Ic", CONNECT], check=True, stderr=subprocess.DEVNULL),
    "pair that can be connected": lambda: socket.socketpair(type=socket.SOCK_DGRAM),
    "raw pair": lambda: socket.socketpair(type=socket.SOCK_RAW),
    "socket of the host": lambda: socket.socket(40, socket.SOCK_STREAM),
    "network": lambda: socket.create_connection(("127.0.0.1", PORT), 5),
    "ring": lambda: 1 / (ctypes.CDLL(None).syscall(425, 1, bytes(120)) + 1),
    "keys": lambda: 1 / (ctypes.CDLL(None).syscall(KEYCTL, 0, -3, 1) + 1),
    "environment of others": lambda: 1 / sum(b"A_SECRET=hush" in text("environ", one) for one in others()),
    "others": lambda: 1 / (OUTSIDE in others()),
    "signal": lambda: os.kill(OUTSIDE, 0),
    "temporary folder": lambda: written("/tmp/twinwright-was-here"),
    "code": lambda: written(CODE),
    "disk": lambda: os.mknod("disk", 0o60600, os.makedev(254, 0)),
    "settings of the machine": lambda: open("/proc/sys/kernel/core_pattern", "a"),
    "privilege": lambda: 1 / any(int(line.split()[1], 16) for line in open("/proc/self/status") if line.startswith("Cap")),
}
NEEDS = {
    "own folder": lambda: written("own"),
    "temporary file": lambda: tempfile.NamedTemporaryFile().name,
    "pair": lambda: socket.socketpair(),
    "lock": lambda: multiprocessing.Lock(),
    "queue": lambda: multiprocessing.SimpleQueue(),
    "device": lambda: written("/dev/null"),
    "program": lambda: subprocess.run(["/bin/true"], check=True),
    "self": lambda: os.readlink("/proc/self/fd/0"),
}

def others():
    return [int(one) for one in os.listdir("/proc") if one.isdigit()]

def text(name, process):
    try:
        return open(f"/proc/{process}/{name}", "rb").read()
    except OSError:
        return b""

def f(t, u, p):
    for name, way in [*WAYS.items(), *NEEDS.items()]:
        try:
            way()
            print("got", name)
        except (OSError, ZeroDivisionError, subprocess.CalledProcessError):
            print("nothing of", name)
    return (1.0,)
"""
# What each of them is held by.
BY = {
    "models without sockets": {
        "socket with a path",
        "socket by a program",
        "pair that can be connected",
        "raw pair",
        "socket of the host",
        "ring",
        "keys",
    },
    "models without other processes": {"environment of others", "others", "signal", "settings of the machine"},
    "models without home and store": {"temporary folder", "code"},
}
OTHERWISE = {"network", "disk", "privilege"}  # by one or another of them, or by what needs no kernel that allows it
NEEDED = {"own folder", "temporary file", "pair", "lock", "queue", "device", "program", "self"}


@pytest.fixture(scope="module")
def kernel() -> dict[str, bool]:
    """What it lets us do, as `doctor` says."""
    return {check.name: check.state == "good" for check in doctor._containment(Path())}


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[dict[str, object]]:
    """Names for what asks: a socket with a path, one of the network, and a process that has a secret."""
    path, by_network = socket.socket(socket.AF_UNIX), socket.create_server(("127.0.0.1", 0))
    path.bind(str(tmp_path / "socket"))
    path.listen()
    outside = subprocess.Popen(["/bin/sleep", "600"], env={"A_SECRET": "hush"})
    code = Path(doctor.__file__).parent / "was-here"
    keyctl = {"x86_64": 250, "aarch64": 219}.get(os.uname().machine, 250)
    port = by_network.getsockname()[1]
    yield {
        "PATH": str(tmp_path / "socket"),
        "PORT": port,
        "OUTSIDE": outside.pid,
        "CODE": str(code),
        "CONNECT": f"import socket; socket.socket(socket.AF_UNIX).connect({str(tmp_path / 'socket')!r})",
        "KEYCTL": keyctl,
        "PYTHON": sys.executable,
    }
    outside.kill()
    outside.wait()
    path.close()
    by_network.close()
    for left in (code, Path("/tmp/twinwright-was-here")):
        left.unlink(missing_ok=True)


def got(listening: dict[str, object]) -> set[str]:
    """What a model got that asked for all of it."""
    code = "".join(f"{name} = {value!r}\n" for name, value in listening.items()) + ASKING
    definition = made(TEXT, f_py=code)
    data = definition.as_data()
    payload = {"model": data, "parameters": {}, "states": {}, "times": np.arange(1.0), "seed": 0, "inputs": np.zeros((1, 0))}
    runs = Sandbox()
    try:
        outcome = runs.run(
            "twinwright.simulation.worker:run",
            payload,
            limits=Limits(),
            files=definition.artefacts,
            prepare="twinwright.simulation.worker:prepare",
            prepare_payload={"model": data},
        )
    finally:
        runs.close()
    lines = outcome.log.splitlines()
    assert len(lines) == len(NEEDED | OTHERWISE | set().union(*BY.values())), outcome
    return {line.removeprefix("got ") for line in lines if line.startswith("got ")}


def test_a_model_gets_what_it_needs_and_nothing_that_the_kernel_lets_us_keep_from_it(listening, kernel):
    found = got(listening)
    assert found >= NEEDED
    for hold, ways in BY.items():
        assert not (kernel[hold] and found & ways), (hold, found & ways)
    assert not ("network" in found and (kernel["models without network"] or kernel["models without sockets"]))
    assert not found & {"disk", "privilege"}


@pytest.mark.parametrize(
    ("without", "reached"),
    [
        ("fork_server.hold", {"temporary folder", "code"}),
        ("fork_server.deny_sockets", {"socket with a path", "socket by a program", "pair that can be connected", "raw pair"}),
        ("fork_server.see_own_processes_only", {"others"}),
        (
            "fork_server.see_own_processes_only = containment.drop_capabilities",
            {"environment of others"},
        ),  # root without any reads no other's
        ("containment.drop_capabilities", {"privilege"}),
    ],
)
def test_without_one_of_what_holds_it_a_model_reaches_more(listening, monkeypatch, without, reached):
    """The broken variants."""
    loosen(monkeypatch, without)
    missed = reached - got(listening)
    assert not missed or (missed == {"privilege"} and os.getuid())  # who has none can't keep any


def test_without_a_network_namespace_the_filter_holds_the_network(listening, kernel, monkeypatch):
    loosen(monkeypatch, "fork_server.cut_network")
    assert ("network" in got(listening)) is not kernel["models without sockets"]


def loosen(monkeypatch, what: str) -> None:
    begin = f"from twinwright.simulation import containment, fork_server; {what} = lambda *_, **__: False; fork_server.main()"
    monkeypatch.setattr(sandbox, "_BEGIN", begin)
