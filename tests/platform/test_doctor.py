"""What `doctor` finds: a sound workspace is healthy, and each fault is named with what to do."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.plant import workspace
from tests.acceptance.running import twinwright, write

from twinwright.governance.principals import SYSTEM
from twinwright.platform import doctor
from twinwright.platform.remote import connect
from twinwright.storage import duckdb_smaller
from twinwright.storage.duckdb import DuckDBStore


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = workspace(tmp_path_factory.mktemp("plant"))
    assert twinwright("apply", workspace=folder).code == 0
    return folder


def found(folder: Path) -> dict[str, Any]:
    return {one["name"]: one for one in doctor.examine(folder)["checks"]}


def test_a_sound_workspace_is_healthy(plant: Path) -> None:
    answer = twinwright("doctor", workspace=plant)
    assert answer.good["healthy"]
    checks = {one["name"]: one for one in answer.json["checks"]}
    held = {f"models without {what}" for what in ("network", "sockets", "other processes", "home and store")}
    assert {"workspace", "platform", "store", "clock", "disk", "private folder", "versions"} | held <= checks.keys()
    assert checks["store"]["found"].startswith("commit 1,")
    assert all(one["remedy"] for one in checks.values() if one["state"] != "good")
    assert "good" in twinwright("doctor", workspace=plant, json=False).out


def test_what_others_may_read_is_named(plant: Path) -> None:
    token = plant / ".twinwright" / "token"
    token.write_text("x")
    token.chmod(0o644)
    answer = twinwright("doctor", workspace=plant)
    token.unlink()
    assert answer.code == 1
    (one,) = [check for check in answer.json["checks"] if check["name"] == "token"]
    assert (one["state"], one["found"]) == ("failed", "others may use it (mode 0644)")
    assert f"chmod go= '{token}'" in one["remedy"]


@pytest.mark.parametrize(("free", "state"), [(doctor.VERY_LOW - 1, "failed"), (doctor.LOW - 1, "warning"), (doctor.LOW, "good")])
def test_a_disk_that_fills_is_named(plant: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 0, free))
    assert [check.state for check in doctor._disk(plant)] == [state]


def test_a_suspect_clock_is_named() -> None:
    (one,) = doctor._clock({"suspect": True, "step_seconds": 3600.0})
    assert (one.state, "paused" in one.found) == ("failed", True)


def test_what_a_start_gives_back_of_the_stores_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_smaller, "LEAST_BYTES", 1_000_000)
    store = DuckDBStore(tmp_path / "store.duckdb")
    store._con.execute("CREATE TABLE gone AS SELECT random() AS x FROM range(400000)")
    store._con.execute("CREATE TABLE kept AS SELECT 1 AS x")  # at the file's end: nothing is let go of behind it
    store._con.execute("CHECKPOINT; DROP TABLE gone; CHECKPOINT")
    unused, before = store.unused(SYSTEM), store.size(SYSTEM)
    store.close()
    told = doctor._store({"commit": 1, "store_bytes": before, "store_unused_bytes": unused})
    assert unused > 2_000_000 and f"nothing uses {unused / 1e6:.1f} MB" in told.found and "started again" in told.remedy
    store = DuckDBStore(tmp_path / "store.duckdb")
    assert (store.unused(SYSTEM), store.size(SYSTEM) <= before - unused // 2) == (0, True)
    store.close()
    assert doctor._store({"commit": 1, "store_bytes": before, "store_unused_bytes": 0}).remedy == ""


def test_a_log_that_was_torn_is_named_until_an_operator_is_done_with_it(plant: Path) -> None:
    kept = plant / ".twinwright" / "store.duckdb.wal.torn-20260301T080000.000000Z"
    kept.touch()
    platform = connect(plant)
    names, metrics = platform.status()["store_torn_logs"], platform.metrics()
    platform.close()
    assert names == [kept.name] and b"twinwright_store_torn_logs 1.0" in metrics
    (one,) = doctor._torn_logs(names)
    assert (one.state, kept.name in one.found, "runbook" in one.remedy) == ("warning", True, True)
    kept.unlink()
    assert list(doctor._torn_logs([])) == []


def test_a_folder_that_differs_or_is_broken_is_named(tmp_path: Path) -> None:
    folder = workspace(tmp_path)
    assert found(folder)["applied"]["state"] == "warning"  # it was never applied
    write(folder, {"twins.yaml": "twins: [{$dtId: x}]"})
    assert found(folder)["workspace"]["state"] == "failed"
    (folder / ".twinwright" / "store.duckdb").write_bytes(b"not a store" * 1000)
    assert found(folder)["platform"]["state"] == "failed"
    assert found(tmp_path / "nowhere")["workspace"]["state"] == "failed"
