"""Each way in which a model can fail is told apart, the next run works, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.simulation.children import templates

from twinwright.errors import PlatformError
from twinwright.simulation.child import Failure, Limits, Sandbox, Success, run_in_child, shared_sandbox
from twinwright.simulation.containment import NICE
from twinwright.simulation.sandbox import MAX_TEMPLATES

TIMES = np.arange(4.0)
ENTRY = "twinwright.simulation.worker:run"
PREPARE = "twinwright.simulation.worker:prepare"


def request(definition):
    data = definition.as_data()
    inputs = np.zeros((TIMES.size, len(definition.inputs)))
    payload = {"model": data, "parameters": {}, "states": {}, "times": TIMES, "inputs": inputs, "seed": 0}
    return payload, {"files": definition.artefacts, "prepare": PREPARE, "prepare_payload": {"model": data}}


def run(definition, limits=None, sandbox=None):
    payload, rest = request(definition)
    if sandbox:
        return sandbox.run(ENTRY, payload, limits=limits or Limits(), **rest)
    return run_in_child(ENTRY, payload, limits=limits, **rest)


@pytest.fixture
def python(model):
    """`python(code)` is a `function` model with one output whose file is `code`."""

    def make(code: str):
        text = "{name: f, version: 1, kind: function, artefact: 'f.py:f', outputs: {y: {}}, step: PT1S}"
        return model(text, f_py=code)

    return make


@pytest.fixture
def sandbox():
    one = Sandbox()
    yield one
    one.close()


def descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


WAYS = {
    "raised": ("def f(t, u, p):\n    raise KeyError('no such thing')", "KeyError: 'no such thing' (f.py:2)"),
    "raised while loading": ("import none_such\ndef f(t, u, p):\n    return (0,)", "No module named 'none_such'"),
    "raised for its length": ("def f(t, u, p):\n    return (0, 1)", "the model returned 2 numbers, 1 outputs are declared"),
    "raised for its type": ("def f(t, u, p):\n    return ('text',)", "ValueError"),
    "raised an interrupt": ("def f(t, u, p):\n    raise KeyboardInterrupt", "KeyboardInterrupt"),
    "exited": ("import sys\ndef f(t, u, p):\n    sys.exit(3)", "the model called exit(3)"),
    "exited at once": ("import os\ndef f(t, u, p):\n    os._exit(4)", "exit code 4"),
    "exited while loading": ("import os\nos._exit(0)\ndef f(t, u, p):\n    return (0,)", "exit code 0"),
    "crashed": ("import os, signal\ndef f(t, u, p):\n    os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
    "crashed in C": ("import ctypes\ndef f(t, u, p):\n    ctypes.string_at(0)", "SIGSEGV"),
    "crashed while loading": ("import os\nos.abort()\ndef f(t, u, p):\n    return (0,)", "SIGABRT"),
    "timeout": ("def f(t, u, p):\n    while True: pass", "still running after"),
    "timeout in the kernel": ("import time\ndef f(t, u, p):\n    time.sleep(1e6)", "still running after"),
    "timeout while loading": ("while True: pass\ndef f(t, u, p):\n    return (0,)", "still running after"),
    "memory": ("import numpy as np\ndef f(t, u, p):\n    return (np.ones(1 << 30).sum(),)", "allocation failed"),
    "memory bit by bit": (
        "import mmap, time\ndef f(t, u, p):\n    held = []\n    while True:\n"
        "        block = mmap.mmap(-1, 1 << 24)\n        block.write(b'x' * (1 << 24))\n        held.append(block)",
        "allowed",
    ),
    "output": ("def f(t, u, p):\n    open('big', 'wb').write(bytes(1 << 22))\n    return (0,)", "output limit"),
    "nan": ("def f(t, u, p):\n    return (float('nan') if t > 1 else 0.0,)", "output 'y' is nan at t = 2 s"),
    "refused": ("from operator import add as g\nf = 3\ndef f(t, u, p): ...\nf = None", "no function 'f'"),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_fail_is_told_by_its_kind_and_the_next_run_works(way, python, simple):
    code, message = WAYS[way]
    limits = Limits(wall_seconds=1.5 if way.startswith("timeout") else 60.0, memory_bytes=256 << 20, output_bytes=1 << 20)
    outcome = run(python(code), limits)
    assert isinstance(outcome, Failure)
    assert outcome.kind == way.split()[0], outcome
    assert message in outcome.message
    good = run(simple("return (-p[0] * x[0],)"), limits)
    assert isinstance(good, Success), good
    assert good.result["states"][-1, 0] == pytest.approx(np.exp(-0.3), rel=1e-6)


def test_a_child_that_answers_too_much_fails_by_output(simple):
    definition = simple("return (-p[0] * x[0],)")
    payload, rest = request(definition)
    payload |= {"times": np.arange(200_000.0), "inputs": np.zeros((200_000, 0))}
    outcome = run_in_child(ENTRY, payload, limits=Limits(output_bytes=1 << 20), **rest)
    assert isinstance(outcome, Failure) and outcome.kind == "output" and "the answer of" in outcome.message


def test_what_a_model_prints_is_its_log_and_a_crash_shows_where(python):
    outcome = run(python("print('loading')\ndef f(t, u, p):\n    print('at', t)\n    return (t,)"))
    assert isinstance(outcome, Success) and outcome.log == "at 0.0\nat 1.0\nat 2.0\nat 3.0\n"
    outcome = run(python("import ctypes\ndef f(t, u, p):\n    ctypes.string_at(0)"))
    assert "f.py" in outcome.log and "line 3 in f" in outcome.log
    outcome = run(python("def f(t, u, p):\n    raise KeyError(1)"))
    assert "Traceback" in outcome.log


def test_a_run_has_no_environment_descriptors_network_or_folder_of_ours(python, monkeypatch):
    monkeypatch.setenv("A_SECRET", "hush")
    held = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(held, True)
    try:
        code = (
            "import os, socket\n"
            "def f(t, u, p):\n"
            "    held = [os.readlink(f'/proc/self/fd/{n}') for n in range(3)]\n"
            "    print(sorted(os.environ), os.getcwd(), held, len(os.listdir('/proc/self/fd')))\n"
            "    try: socket.create_connection(('127.0.0.1', 9), 1)\n"
            "    except OSError as error: print('socket:', error.errno)\n"
            "    return (len(os.environ),)"
        )
        outcome = run(python(code))
    finally:
        os.close(held)
    assert isinstance(outcome, Success), outcome
    assert outcome.result["outputs"][0, 0] == 0
    first = outcome.log.splitlines()[0]
    assert first.startswith("[] /") and "twinwright-runs-" in first and "/dev/null" in first and "hostname" not in first
    assert first.endswith(" 4")  # standard streams, and the listing itself
    if outcome.cost.network_cut:
        assert "socket: 101" in outcome.log  # ENETUNREACH: no interface is up


def test_nothing_leaks_from_one_run_to_the_next(python):
    definition = python("count = [0]\ndef f(t, u, p):\n    count[0] += 1\n    return (count[0],)")
    for _ in range(3):
        outcome = run(definition)
        assert outcome.result["outputs"][:, 0].tolist() == [1, 2, 3, 4]


def test_global_random_numbers_repeat_with_the_seed(python):
    definition = python("import random, numpy as np\ndef f(t, u, p):\n    return (random.random() + np.random.random(),)")
    payload, rest = request(definition)
    same = [run_in_child(ENTRY, payload, **rest).result["outputs"].tobytes() for _ in range(2)]
    other = run_in_child(ENTRY, {**payload, "seed": 1}, **rest).result["outputs"].tobytes()
    assert same[0] == same[1] != other


def test_compiled_random_numbers_repeat_with_the_seed(simple):
    definition = simple("return (np.random.normal(),)", "import numpy as np")
    payload, rest = request(definition)
    same = [run_in_child(ENTRY, payload, **rest).result["outputs"].tobytes() for _ in range(2)]
    assert same[0] == same[1] != run_in_child(ENTRY, {**payload, "seed": 1}, **rest).result["outputs"].tobytes()


def test_hashes_of_text_are_equal_in_every_process(python, sandbox):
    definition = python("def f(t, u, p): return (hash('pump') % 1000003,)")
    assert run(definition).result["outputs"].tobytes() == run(definition, None, sandbox).result["outputs"].tobytes()


def test_daemons_that_a_model_starts_die_with_the_run(python):
    code = (
        "import os, time\n"
        "def f(t, u, p):\n"
        "    if t == 0 and os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork() == 0:\n"
        "            time.sleep(1e6)\n"
        "        os._exit(0)\n"
        "    return (os.getpid(),)"
    )
    definition = python(code)
    run(python("def f(t, u, p): return (0,)"))
    before = {one.pid for one in descendants()}
    outcome = run(definition)
    assert isinstance(outcome, Success)
    deadline = time.monotonic() + 60
    while len(after := [one for one in descendants() if one.pid not in before]) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(after) == 1, after  # the template, and no daemon


def test_after_failures_of_every_kind_no_process_and_no_file_is_left(python, simple, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = {one.pid for one in descendants()}
    sandbox = Sandbox()
    limits = Limits(wall_seconds=1.0, memory_bytes=256 << 20, output_bytes=1 << 20)
    for code, _ in list(WAYS.values())[::3]:
        run(python(code), limits, sandbox)
    assert isinstance(run(simple("return (0.0,)"), None, sandbox), Success)
    (directory,) = tmp_path.glob("twinwright-runs-*")
    assert list(directory.glob("*/run-*")) == []
    sandbox.close()
    assert list(tmp_path.glob("twinwright-runs-*")) == []
    assert {one.pid for one in descendants()} <= before


def test_old_templates_make_place_for_new_ones(python, sandbox):
    for number in range(MAX_TEMPLATES + 3):
        outcome = run(python(f"def f(t, u, p): return ({number},)"), None, sandbox)
        assert outcome.result["outputs"][0, 0] == number
    assert 0 < len(templates(sandbox)) <= MAX_TEMPLATES
    assert len(list(sandbox._root.directory.glob("model-*"))) <= MAX_TEMPLATES


def test_several_threads_share_one_sandbox(python):
    definition = python("def f(t, u, p): return (t,)")
    good: list[bool] = []
    threads = [threading.Thread(target=lambda: good.append(isinstance(run(definition), Success))) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert good == [True] * 8


def test_a_killed_template_fails_its_run_only(python, sandbox):
    definition = python("import os, signal\ndef f(t, u, p):\n    os.kill(os.getppid(), signal.SIGKILL)\n    import time; time.sleep(60)")
    outcome = run(definition, Limits(wall_seconds=20.0), sandbox)
    assert isinstance(outcome, Failure) and outcome.kind == "crashed"
    assert isinstance(run(python("def f(t, u, p): return (t,)"), None, sandbox), Success)


def test_a_killed_root_is_started_again(python, sandbox):
    definition = python("def f(t, u, p): return (t,)")
    assert isinstance(run(definition, None, sandbox), Success)
    directory = sandbox._root.directory
    os.kill(sandbox._root.process.pid, signal.SIGKILL)
    sandbox._root.process.wait()
    assert isinstance(run(definition, None, sandbox), Success)
    assert not directory.exists()


def test_answers_that_are_links_or_forged_are_refused(python):
    for forged in ("os.symlink('/etc/hostname', 'result.bin')", "os.mkfifo('result.bin')", "open('result.bin','wb').write(b'\\x81')"):
        outcome = run(python(f"import os\ndef f(t, u, p):\n    {forged}\n    os._exit(0)"))
        assert isinstance(outcome, Failure) and outcome.kind in ("refused", "exited"), outcome


def test_children_die_with_a_killed_parent_and_take_their_files_along(tmp_path):
    code = (
        "import sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "import threading, time\n"
        "from twinwright.simulation.child import run_in_child\n"
        "threading.Thread(target=run_in_child, args=('time:sleep', 0)).start()\n"
        "files = {'m.py': b'import time'}\n"
        "threading.Thread(target=run_in_child, args=('twinwright.simulation.fork_server:no_preparation', 0)).start()\n"
        "import psutil, pathlib\n"
        "until = time.monotonic() + 120\n"
        "def settled(): return len(psutil.Process().children(recursive=True)) >= 2 and any(pathlib.Path(sys.argv[1]).iterdir())\n"
        "while not settled() and time.monotonic() < until: time.sleep(0.05)\n"
        "time.sleep(1); print('ready', flush=True); time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout.readline() == b"ready\n"
    family = psutil.Process(parent.pid).children(recursive=True)
    assert len(family) >= 2 and list(tmp_path.iterdir())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    gone, alive = psutil.wait_procs(family, timeout=60)
    assert not alive and len(gone) == len(family)
    deadline = time.monotonic() + 60
    while list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def test_an_installation_that_can_not_start_children_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(PlatformError, match="did not start"):
        Sandbox().run(ENTRY, None, limits=Limits(), files={}, prepare=PREPARE, prepare_payload=None)
    assert list(tmp_path.iterdir()) == []


def test_a_forked_process_gets_a_sandbox_of_its_own():
    mine = shared_sandbox()
    assert shared_sandbox() is mine
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, b"1" if shared_sandbox() is not mine else b"0")
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        assert answer.read() == b"1"


def test_costs_are_counted(python):
    code = "import numpy as np\ndef f(t, u, p):\n    held = np.ones(1 << 24)\n    return (sum(held[: 1 << 20]),)"
    outcome = run(python(code))
    assert outcome.cost.cpu_seconds > 0.05 and outcome.cost.wall_seconds > 0.05
    assert outcome.cost.peak_memory > 100 << 20


def test_a_run_is_served_after_the_platform(python):
    outcome = run(python("import os\ndef f(t, u, p):\n    return (float(os.nice(0)),)"))
    assert outcome.result["outputs"][0, 0] == min(os.nice(0) + NICE, 19)


def test_the_twinwright_folder_of_a_run_is_its_own(python):
    outcome = run(python("import os\ndef f(t, u, p):\n    open('note', 'a').write('x')\n    return (os.path.getsize('note'),)"))
    assert outcome.result["outputs"][-1, 0] == 4
    assert not Path("note").exists()
