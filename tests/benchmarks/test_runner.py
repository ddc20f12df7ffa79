"""`python -m benchmarks` finds its modules, isolates them, and fails when one of them does."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
GOOD = """
def helper(): ...

def measure(quick):
    return {"name": "n", "ours": 1.0, "rival": 2.0, "ratio": 0.5, "unit": "s", "better": "lower", "quick": quick}
"""


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_runner", REPOSITORY / "benchmarks" / "__main__.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_runner"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package of benchmarks, seen by the children too."""
    folder = tmp_path / "made_up"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return folder


def test_modules_with_measure_are_found_and_ingest_comes_first(runner: ModuleType, package: Path) -> None:
    for name in ("b", "a", "ingest_vs_decode"):
        (package / f"{name}.py").write_text(GOOD)
    (package / "helper.py").write_text("x = 1\n")
    assert runner.modules(package) == ["ingest_vs_decode", "a", "b"]


def test_a_module_is_measured_in_another_process(runner: ModuleType, package: Path) -> None:
    (package / "good.py").write_text(GOOD)
    outcome = runner.run("good", quick=True, limit=60, package="made_up")
    assert outcome.failure is None
    assert outcome.results[0]["ratio"] == 0.5
    assert outcome.results[0]["quick"] is True


@pytest.mark.parametrize(
    ("code", "said", "limit"),
    [
        ("def measure(quick):\n    raise RuntimeError('no such luck')\n", "no such luck", 120),
        ("def measure(quick):\n    return {'name': 'n'}\n", "lacks ours, rival, ratio, unit, better", 120),
        ("def measure(quick):\n    import os\n    os._exit(7)\n", "exit code 7", 120),
        ("def measure(quick):\n    import time\n    time.sleep(600)\n", "not done after", 3),
    ],
)
def test_a_module_that_goes_wrong_is_a_failure_with_its_reason(runner: ModuleType, package: Path, code: str, said: str, limit: int) -> None:
    (package / "wrong.py").write_text(code)
    outcome = runner.run("wrong", quick=True, limit=limit, package="made_up")
    assert outcome.results == ()
    assert said in outcome.failure


def test_a_failure_is_in_the_exit_code_and_the_others_are_printed(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = {"name": "n", "ours": 1.0, "rival": None, "ratio": None, "unit": "s", "better": "lower"}
    outcomes = {"a": runner.Outcome("a", failure="no"), "b": runner.Outcome("b", (result,))}
    monkeypatch.setattr(runner, "modules", lambda: list(outcomes))
    monkeypatch.setattr(runner, "run", lambda name, **_: outcomes[name])
    assert runner.main([]) == 1
    assert json.loads(capsys.readouterr().out) == result
    assert runner.main(["b"]) == 0


def test_an_unknown_name_is_a_usage_error() -> None:
    command = [sys.executable, "-m", "benchmarks", "nonsense"]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert answer.returncode == 2
    assert "no benchmark named nonsense" in answer.stderr
