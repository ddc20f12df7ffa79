"""What runs inside a child, called here directly: answers, how exceptions are told, and the view of other processes."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from numba.core.dispatcher import _FunctionCompiler

from twinwright.errors import UsageError
from twinwright.simulation import containment, fork_server, kernels, plain_data, worker
from twinwright.simulation.fork_server import LOG, REQUEST, RESULT, Request
from twinwright.simulation.protocol import ModelError
from twinwright.simulation.user_code import load_function, load_module


@pytest.fixture
def answer(tmp_path):
    """`answer(entry, payload)` calls an entry as a child does and gives its exit code and decoded answer."""
    work = tmp_path / "work"
    work.mkdir()

    def call(entry: str, payload, folder=tmp_path):
        (work / REQUEST).write_bytes(plain_data.encode(payload))
        code = fork_server._answer(Request("run", entry, str(folder), str(work), 1 << 30, 1 << 30), work)
        assert not (work / LOG).exists()
        return code, plain_data.decode((work / RESULT).read_bytes())

    return call


def test_an_entry_answers_with_its_result(answer, simple):
    definition = simple("return (-p[0] * x[0],)")
    payload = {"model": definition.as_data(), "parameters": {"k": 0.5}, "states": {"x": 2.0}, "seed": 1}
    payload |= {"times": np.arange(3.0), "inputs": np.zeros((3, 0))}
    code, told = answer("twinwright.simulation.worker:run", payload)
    assert code == 0 and told["result"]["warnings"] == []
    assert told["result"]["outputs"][:, 0] == pytest.approx(2.0 * np.exp(-0.5 * np.arange(3.0)), rel=1e-3)
    assert told["result"]["outputs"].tobytes() == told["result"]["states"].tobytes()


def test_a_prepared_model_is_loaded_once(simple, tmp_path):
    definition = simple("return (-p[0] * x[0],)")
    worker.prepare({"model": definition.as_data()}, tmp_path)
    first = worker.model(definition.as_data(), tmp_path)
    (tmp_path / "simple.py").unlink()
    assert worker.model(definition.as_data(), tmp_path) is first


def test_warming_up_loads_the_compiler():
    worker.warm_up()
    assert kernels.seed_compiled.dispatcher.signatures and "scipy.linalg" in sys.modules


def test_an_entry_that_does_not_exist_is_told(answer):
    code, told = answer("none_such:run", None)
    assert code == 1 and told["failure"] == "raised" and "none_such" in told["message"]


def test_an_answer_that_is_not_plain_is_refused(answer):
    code, told = answer("pathlib:PurePath", "x")
    assert code == 1 and told["failure"] == "refused" and "not plain data" in told["message"]


def chained(error, cause):
    """As `raise error from cause` makes it."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ModelError("nan", "state 'x' is nan"), "nan", "state 'x' is nan"),
        (MemoryError(), "memory", "memory limit"),
        (SystemExit(3), "exited", "exit(3)"),
        (OSError(errno.EFBIG, "File too large"), "output", "output limit"),
        (UsageError("bad"), "refused", "bad"),
        (chained(UsageError("not an encoded answer"), MemoryError()), "memory", "memory limit"),
        (ZeroDivisionError("division by zero"), "raised", "ZeroDivisionError: division by zero"),
        (KeyboardInterrupt(), "raised", "KeyboardInterrupt"),
    ],
)
def test_each_exception_has_its_kind(error, kind, message):
    told = fork_server.failure_of(error)
    assert told[0] == kind and message in told[1]


def test_descendants_are_seen_and_killed_with_their_parent():
    sleep = "import time; time.sleep(600)"
    code = f"import subprocess as s, sys; p = s.Popen([sys.executable, '-c', {sleep!r}]); print(p.pid, flush=True); {sleep}"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    child = int(parent.stdout.readline())
    assert containment.descendants(parent.pid) == [child] and parent.pid in containment.children(os.getpid())
    assert 0 < containment.own_memory(parent.pid) < containment.resident_memory(parent.pid)
    containment.kill_tree(parent.pid)
    assert parent.wait(60) == -signal.SIGKILL
    parent.stdout.close()
    assert containment.own_memory(parent.pid) == 0 and containment.children(parent.pid) == []
    containment.kill_tree(parent.pid)  # of what is gone nothing remains to be killed, and that is no error


def test_plain_functions_give_outputs_and_derivatives_too(model, texts, tmp_path):
    model()
    rhs, out = load_function("tanks.py:rhs", tmp_path), load_function("tanks.py:out", tmp_path)
    shape = kernels.Shape(2, 1, 2, 1, (1.0,))
    compiled = kernels.build_kernel(rhs, out, shape)
    outputs, dx = np.zeros((3, 1)), np.zeros((2, 2))
    states, inputs, p, times = np.array([[4.0, 1.0], [1.0, 2.0], [9.0, 3.0]]), np.ones((3, 1)), np.array([0.5, 0.4]), np.arange(3.0)
    kernels.make_observe(out, kernels._load_array, shape)(times, states, inputs, p, outputs)
    assert outputs[:, 0].tolist() == [1.0, 2.0, 3.0]
    kernels.make_derive(rhs, kernels._load_array, shape)(0.0, states[0], inputs[0], p, dx[0])
    compiled.derive(0.0, states[0], inputs[0], p, dx[1])
    assert dx[0].tobytes() == dx[1].tobytes() and dx[0].tolist() == [0.0, pytest.approx(0.6)]
    paths = [np.empty((3, 2)), np.empty((3, 2))]
    for integrate, path in zip((compiled.integrate, kernels.make_integrate(rhs, kernels._load_array, shape)), paths, strict=True):
        path[0] = states[0]
        assert integrate(times, np.array([[0.0], [1.0], [0.0]]), 0.4, p, path) == 3
    assert paths[0].tobytes() == paths[1].tobytes()


@pytest.mark.parametrize(("solved", "ahead", "later"), [(False, "integrate", "derive"), (True, "derive", "integrate")])
def test_what_runs_will_need_is_compiled_before_they_are_forked(simple, tmp_path, monkeypatch, solved, ahead, later):
    simple("return (-p[0] * x[0],)")
    kernel = kernels.build_kernel(load_function("simple.py:rhs", tmp_path), None, kernels.Shape(1, 0, 1, 1, ()), solved=solved)
    one, row = np.ones(1), np.zeros((1, 1))
    arguments = {"integrate": (np.zeros(1), np.zeros((1, 0)), 1.0, one, row), "derive": (0.0, one, np.zeros(0), one, np.zeros(1))}
    compiling = []
    monkeypatch.setattr(_FunctionCompiler, "compile", lambda self, *_: compiling.append(self) or pytest.fail("it was not compiled"))
    getattr(kernel, ahead)(*arguments[ahead])
    assert compiling == []
    with pytest.raises(pytest.fail.Exception):
        getattr(kernel, later)(*arguments[later])


def test_plain_results_of_a_wrong_length_are_told():
    with pytest.raises(ModelError, match="returned 3 numbers where 2 are declared"):
        kernels.as_floats(np.zeros(2), (1, 2, 3))


def test_what_can_not_be_loaded_is_refused(tmp_path):
    (tmp_path / "m.txt").write_text("")
    with pytest.raises(ModelError, match="can't be loaded as Python"):
        load_module("m.txt", tmp_path)
    (tmp_path / "m.py").write_text("f = 3")
    with pytest.raises(ModelError, match="no function 'f'"):
        load_function("m.py:f", tmp_path)


def test_the_root_ends_and_takes_its_directory_along_when_it_is_hung_up_on(tmp_path):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    directory = tmp_path / "runs"
    directory.mkdir()
    with theirs:
        command = [sys.executable, "-m", "twinwright.simulation.fork_server", str(directory), "twinwright.simulation.worker:warm_up"]
        root = subprocess.Popen(command, stdin=theirs.fileno())
    ours.settimeout(60)
    assert ours.recv(16) == b"ready"
    ours.close()
    assert root.wait(60) == 0 and not directory.exists()
