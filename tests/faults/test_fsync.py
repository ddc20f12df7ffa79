"""An acknowledgement follows a completed fsync: seen from outside, by a library that stands between the process and the kernel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler on this machine")
    library = tmp_path_factory.mktemp("shim") / "fsync_log.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "fsync_log.c", "-ldl"], check=True)
    return library


def watched(shim, folder, *, count, window, pause, mutant=""):
    """(submitted, acknowledged) of each delivery, and the times at which an fsync of the store's files completed."""
    (folder / "known").write_text("")
    log = folder / "fsyncs"
    arguments = [
        sys.executable,
        str(HERE / "feeder.py"),
        str(folder / "store.duckdb"),
        str(folder / "known"),
        str(count),
        str(window),
        str(pause),
    ]
    arguments += [str(HERE / "mutants" / f"{mutant}.py")] if mutant else []
    environment = {**os.environ, "LD_PRELOAD": str(shim), "FSYNC_LOG": str(log)}
    lines = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    times = {
        word: {int(n): int(at) for kind, n, at in (line.split() for line in lines if line.startswith(word))} for word in ("submit", "ack")
    }
    assert sorted(times["submit"]) == sorted(times["ack"]) == list(range(count))
    fsyncs = [line.split(" ", 2) for line in log.read_text().splitlines()]
    completed = [int(at) for at, result, file in fsyncs if result == "0" and file.startswith(str(folder / "store.duckdb"))]
    return [(times["submit"][number], times["ack"][number]) for number in range(count)], completed


def check(deliveries, fsyncs):
    assert fsyncs
    for submitted, acknowledged in deliveries:
        assert any(submitted < at <= acknowledged for at in fsyncs)


@pytest.mark.parametrize("window", [1, 8])
def test_an_fsync_of_the_store_lies_between_submitting_and_acknowledging(shim, tmp_path, window):
    check(*watched(shim, tmp_path, count=40, window=window, pause=0.01))


def test_an_early_acknowledgement_is_caught(shim, tmp_path):
    deliveries, fsyncs = watched(shim, tmp_path, count=10, window=1, pause=0.06, mutant="acknowledge_early")
    with pytest.raises(AssertionError):
        check(deliveries, fsyncs)
