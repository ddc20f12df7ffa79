"""Exercise B: a scenario file in, a stored run out; every way in which a model can fail is a failed run of that kind, and no more."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.acceptance.plant import FILES, LAG, telemetry, workspace
from tests.acceptance.running import COMMAND, command, twinwright, until, write

import twinwright as tw

SLEEP = f"6{os.getpid()}.5"  # seconds; nobody else sleeps as long
FAILING = {
    "raises": ("raised", "    raise ValueError('the valve is stuck')"),
    "exits": ("exited", "    import os; os._exit(7)"),
    "exits politely": ("exited", "    raise SystemExit(3)"),
    "crashes": ("crashed", "    import ctypes; ctypes.string_at(0)"),
    "hangs": ("timeout", "    while True: pass"),
    "gives NaN": ("nan", "    return [float('nan')]"),
    "gives infinity": ("nan", "    return [float('inf')]"),
    "eats memory": ("memory", "    hoard = []\n    while True: hoard.append(bytearray(16_000_000))"),
    "gives too few numbers": ("raised", "    return []"),
    "starts children that hang": (
        "timeout",
        f"    import subprocess, time\n    subprocess.Popen(['sleep', '{SLEEP}'])\n    time.sleep(600)",
    ),
}


def plant(folder: Path, body: str | None = None) -> Path:
    workspace(folder)
    write(folder, {"first.ndjson": telemetry()})
    assert twinwright("ingest", folder / "first.ndjson", "--contract", "pump", workspace=folder).code == 0
    for index, (_, failing) in enumerate(FAILING.values()):
        write(folder, {f"models/bad{index}.py": f"def f(t, u, p):\n{failing}\n", f"models/bad{index}.yaml": bad_model(index)})
        scenario = FILES["scenarios/more.yaml"].replace("name: more", f"name: bad{index}").replace("model: lag", f"model: bad{index}")
        scenario = scenario.replace("parameters: {tau: 20}\n", "").replace("wall: PT1M, memory: 1GiB", "wall: PT2S, memory: 256MiB")
        write(folder, {f"scenarios/bad{index}.yaml": scenario.replace('constraints: ["x < 100000 kPa"]\n', "")})
    return folder


def bad_model(index: int) -> str:
    return (
        f"name: bad{index}\nversion: 1.0.0\nkind: function\nartefact: bad{index}.py:f\ninterface: dtmi:test:Pump;1\n"
        "inputs: {u: {property: drive, unit: V, hold: zero}}\noutputs: {x: {property: pressure, unit: kPa}}\nstep: PT5S\n"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(tmp_path_factory.mktemp("runs") / "w")


def left_behind() -> set[str]:
    """Folders of runs, and processes below this one that are at work; those that the next runs are forked from wait asleep."""
    found = {path.name for path in Path(tempfile.gettempdir()).glob("twinwright-runs-*")}
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            waits = "fork_server" in " ".join(child.cmdline()) and child.status() == psutil.STATUS_SLEEPING
            if child.status() != psutil.STATUS_ZOMBIE and not waits:
                found.add(f"process {child.pid}")
    return found


def orphans() -> list[int]:
    return [one.pid for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", SLEEP]]


def simulate(folder: Path, name: str, *more: str) -> Any:
    return twinwright("simulate", name, *more, workspace=folder)


def test_a_scenario_file_becomes_a_stored_run_with_units_log_and_metrics(folder: Path) -> None:
    (run,) = simulate(folder, "scenarios/more.yaml").good["runs"]
    assert (run["status"], run["failure"]) == ("ok", None)
    output = run["outputs"]["x"]
    assert output["unit"] == "kPa" and len(output["times"]) == len(output["values"]) == 49
    assert (output["times"][0], output["times"][-1]) == ("2026-03-01T08:00:00Z", "2026-03-01T08:04:00Z")
    assert output["values"][0] == 100.0
    x = 100.0
    for k in range(48):
        assert output["values"][k] == pytest.approx(x, rel=1e-4)
        rest = 100 * 1.5 * (2.0 + (k // 20 % 2))  # of what the plant was fed, scaled by the scenario
        x = rest + (x - rest) * 2.718281828459045 ** (-5.0 / 20.0)
    stored = twinwright("runs", "show", run["id"][:10], workspace=folder).good
    assert stored["outputs"] == run["outputs"] and stored["digest"] == run["digest"]
    assert stored["log"] == "" and stored["cost"]["cpu_seconds"] >= 0 and stored["seconds"] > 0
    assert stored["parameters"]["tau"] == {"value": 20.0, "unit": "s"}
    assert [one["id"] for one in twinwright("runs", "list", workspace=folder).good["runs"]].count(run["id"]) == 1


@pytest.mark.parametrize(("index", "name"), list(enumerate(FAILING)), ids=list(FAILING))
def test_a_failing_model_is_a_failed_run_of_its_kind_and_the_next_run_works(index: int, name: str, folder: Path) -> None:
    kind = FAILING[name][0]
    assert simulate(folder, "more").code == 0
    before, started = left_behind(), time.monotonic()
    answer = simulate(folder, f"bad{index}")
    assert time.monotonic() - started < 120
    assert answer.code == 1 and answer.err == ""
    (run,) = answer.json["runs"]
    assert (run["status"], run["failure"]["kind"]) == ("failed", kind), run["failure"]
    assert run["failure"]["message"] and run["outputs"] == {}
    stored = twinwright("runs", "show", run["id"], workspace=folder).good
    assert (stored["status"], stored["failure"]["kind"]) == ("failed", kind)
    assert "Traceback" not in run["failure"]["message"]
    assert simulate(folder, "more").code == 0
    until(lambda: left_behind() <= before and not orphans())


@pytest.mark.parametrize("name", ["crashes", "hangs", "starts children that hang"])
def test_a_command_whose_model_fails_leaves_no_process_and_no_file(name: str, folder: Path) -> None:
    before = {path.name for path in Path(tempfile.gettempdir()).glob("twinwright-runs-*")}
    processes = {one.pid for one in psutil.process_iter(["cmdline"]) if str(COMMAND) in (one.info["cmdline"] or [])}
    answer = command("simulate", f"bad{list(FAILING).index(name)}", workspace=folder)
    assert (answer.code, answer.err) == (1, "")
    assert answer.json["runs"][0]["failure"]["kind"] == FAILING[name][0]
    mine = {one.pid for one in psutil.process_iter(["cmdline"]) if str(folder) in (one.info["cmdline"] or [])}
    assert not mine - processes and not orphans()
    after = {path.name for path in Path(tempfile.gettempdir()).glob("twinwright-runs-*")}
    assert {left for left in after - before if not in_use(left)} == set()


def in_use(folder: str) -> bool:
    """By a run of someone else on this machine, who was at work meanwhile."""
    return any(folder in " ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"]))


def test_what_a_model_prints_is_the_runs_log_and_nothing_else_is_printed(folder: Path) -> None:
    write(folder, {"models/lag.py": LAG.replace("    return", "    print('at', t)\n    return")})
    try:
        answer = simulate(folder, "more")
        (run,) = answer.good["runs"]
        assert answer.err == ""
        assert "at 0.0" in twinwright("runs", "show", run["id"], workspace=folder).good["log"]
    finally:
        write(folder, {"models/lag.py": LAG})


def test_a_run_is_verified_by_another_process_byte_for_byte(folder: Path) -> None:
    (run,) = simulate(folder, "more").good["runs"]
    answer = command("runs", "verify", run["id"], workspace=folder)
    assert answer.good["verified"] is True and answer.json["digest"] == run["digest"]


def test_a_changed_parameter_input_or_seed_changes_the_digest_and_limits_constraints_and_executor_do_not(folder: Path) -> None:
    def digest(*more: str, **changes: Any) -> str:
        text = FILES["scenarios/more.yaml"]
        for old, new in changes.items():
            wanted = {
                "tau": "{tau: 20}",
                "scale": "scale: 1.5",
                "wall": "PT1M",
                "memory": "1GiB",
                "limit": "100000",
                "seed": "horizon: PT4M",
            }[old]
            text = text.replace(wanted, new)
        write(folder, {"scenarios/other.yaml": text.replace("name: more", "name: other")})
        (run,) = simulate(folder, "other", *more).good["runs"]
        result: str = run["digest"]
        return result

    base = digest()
    assert digest() == base
    assert digest(wall="PT30S", memory="512MiB") == base
    assert digest(limit="90000") == base
    assert digest("--executor", "local") == base
    others = [digest(tau="{tau: 21}"), digest(scale="scale: 1.6"), digest(seed="horizon: PT4M\nseed: 3")]
    assert len({base, *others}) == 4


def test_a_violated_constraint_is_told_with_when_and_by_how_much_and_fails_nothing(folder: Path) -> None:
    text = FILES["scenarios/more.yaml"].replace("name: more", "name: tight").replace("x < 100000 kPa", "x < 2 bar")
    write(folder, {"scenarios/tight.yaml": text})
    (run,) = simulate(folder, "tight").good["runs"]
    (constraint,) = run["constraints"]
    assert run["status"] == "ok" and constraint["kept"] is False
    first = next(k for k, value in enumerate(run["outputs"]["x"]["values"]) if value >= 200.0)
    assert run["outputs"]["x"]["times"][first] in json.dumps(constraint)


def test_failures_through_the_platform_leave_it_working(folder: Path) -> None:
    """Several failing models at once from one platform; what it serves meanwhile is right."""
    platform = tw.open(folder)
    try:
        for index, (kind, _) in enumerate(FAILING.values()):
            if kind not in ("timeout", "memory"):
                assert platform.simulate(f"bad{index}")["runs"][0]["failure"]["kind"] == kind
        assert platform.simulate("more")["runs"][0]["status"] == "ok"
        assert platform.state("pump-1")["pressure"] > 0
    finally:
        platform.close()


def test_what_was_violated_is_told_in_words(folder: Path) -> None:
    wanted = ["x < 100000 kPa", "x < 250 kPa", "x < 0 kPa or x > 150 kPa"]
    text = FILES["scenarios/more.yaml"].replace("name: more", "name: told").replace('["x < 100000 kPa"]', json.dumps(wanted))
    write(folder, {"scenarios/told.yaml": text})
    told = [line for line in twinwright("simulate", "told", workspace=folder, json=False).out.splitlines() if line.startswith("constraint")]
    assert told[0] == "constraint x < 100000 kPa: kept"
    assert re.fullmatch(r"constraint x < 250 kPa: violated first at \S+Z, in \d+ samples, worst by [\d.]+ kPa at \S+Z", told[1])
    assert re.fullmatch(r"constraint x < 0 kPa or x > 150 kPa: violated first at \S+Z, in \d+ samples?", told[2])
