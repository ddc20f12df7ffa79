"""Backups, exports and the way back, as a user meets them: here, through the socket of a running platform, and between engines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from tests.acceptance.plant import telemetry, workspace
from tests.acceptance.running import twinwright, up, write

import twinwright as package


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = workspace(tmp_path_factory.mktemp("plant"))
    write(folder, {"in.ndjson": telemetry(), "logger.csv": "when,kPa\n2026-03-01T09:00:00,250.5\n"})
    assert twinwright("apply", workspace=folder).code == 0
    assert twinwright("ingest", folder / "in.ndjson", "--contract", "pump", workspace=folder).code == 0
    assert twinwright("ingest", folder / "logger.csv", "--contract", "logger", workspace=folder).code == 0
    assert twinwright("simulate", "more", workspace=folder).code == 0
    write(folder, {".twinwright/reports/0a1b.html": "<html>"})
    return folder


def told(folder: Path) -> dict[str, Any]:
    """All that a user can see of a workspace's history and records."""
    with package.open(folder) as platform:
        return {
            "facts": json.dumps(platform.state(facts=True)),
            "known at": json.dumps(platform.state(facts=True, known_at="2")),
            "history": platform.history("pump-1", "pressure").to_pylist(),
            "counts": platform.kpi()["counts"],
            "letters": platform.dead_letters(),
            "runs": platform.runs(),
            "reconcile": platform.reconcile(),
            "plan": platform.plan()["changes"],
        }


def test_a_backup_of_a_running_platform_is_restored_whole(plant: Path, tmp_path: Path) -> None:
    with up(plant):
        made = twinwright("backup", tmp_path / "copy", workspace=plant).good
        assert twinwright("backup", tmp_path / "copy", workspace=plant).code == 2
        again = twinwright("restore", tmp_path / "copy", workspace=plant)  # it is running, and its store holds something
        assert (again.code, "not empty" in again.out) == (1, True)
    restored = twinwright("restore", tmp_path / "copy", workspace=tmp_path / "new").good
    assert {**restored, "path": 0, "seconds": 0} == {**made, "path": 0, "seconds": 0}
    assert made["tables"]["readings_1"] + made["tables"]["readings_2"] == 301
    assert told(tmp_path / "new") == told(plant)
    run = twinwright("runs", "list", workspace=plant).good["runs"][0]["id"]
    assert twinwright("runs", "verify", run, workspace=tmp_path / "new").good["verified"]
    reports = plant / ".twinwright" / "reports"
    assert [one.name for one in reports.iterdir()] == [one.name for one in (tmp_path / "new" / ".twinwright" / "reports").iterdir()]
    repeated = twinwright("ingest", plant / "in.ndjson", "--contract", "pump", workspace=tmp_path / "new").good
    assert (repeated["accepted"], repeated["duplicate"]) == (0, 301)
    assert twinwright("replay", workspace=tmp_path / "new").good["received"] > 0  # the journal came along


def test_an_export_goes_to_another_engine_and_back(plant: Path, tmp_path: Path, postgres: Any) -> None:
    exported = twinwright("export", tmp_path / "out", workspace=plant).good
    assert not (tmp_path / "out" / "tables" / "journal.parquet").exists()
    assert json.loads((tmp_path / "out" / "interfaces.json").read_text())[0]["@id"] == "dtmi:test:Pump;1"
    other = workspace(tmp_path / "other")
    store = f'[store]\nengine = "postgres"\ndsn = "{postgres.dsn()}"\nschema = "{postgres.schema()}"\n'
    write(other, {"twinwright.toml": "[api]\nconsole = false\n" + store})
    assert twinwright("import", tmp_path / "out", workspace=other).good["commit"] == exported["commit"]
    here, there = told(plant), told(other)
    assert there["facts"] == here["facts"]  # byte by byte
    assert {name: one for name, one in there.items() if name != "runs"} == {name: one for name, one in here.items() if name != "runs"}
    assert twinwright("export", tmp_path / "back", "--journal", workspace=other).code == 0
    third = workspace(tmp_path / "third")
    assert twinwright("import", "data", tmp_path / "back", workspace=third).code == 0
    assert told(third)["facts"] == here["facts"]
    assert told(third)["counts"] == here["counts"]


def test_a_copy_that_was_changed_leaves_the_workspace_empty(plant: Path, tmp_path: Path) -> None:
    assert twinwright("backup", tmp_path / "copy", workspace=plant).code == 0
    file = tmp_path / "copy" / "tables" / "readings_1.parquet"
    file.write_bytes(file.read_bytes()[:-9])
    for target in (workspace(tmp_path / "there"), tmp_path / "not there"):
        refused = twinwright("restore", tmp_path / "copy", workspace=target)
        assert refused.code == 2
        assert "readings_1.parquet' is not what was written" in refused.json["error"]["message"]
    assert not (tmp_path / "not there").exists()
    assert twinwright("state", workspace=tmp_path / "there").good == {"value": []}
    assert twinwright("restore", plant, workspace=tmp_path / "there").code == 2


def test_a_backup_is_not_put_into_the_platform_s_own_folder(plant: Path) -> None:
    refused = twinwright("backup", plant / ".twinwright" / "copy", workspace=plant)
    assert refused.code == 2
    assert not (plant / ".twinwright" / "copy").exists()


# --- series -------------------------------------------------------------------------------------------------------------


def test_chosen_series_are_files_with_units(plant: Path, tmp_path: Path) -> None:
    window = "--from", "2026-03-01T08:00:00Z", "--to", "2026-03-01T08:10:00Z"
    chosen = "--twin", "pump-1", "--path", "pressure", "--path", "drive", *window
    made = twinwright("export", tmp_path / "s.parquet", *chosen, workspace=plant).good
    table = pq.read_table(tmp_path / "s.parquet")
    assert (made["format"], made["rows"]) == ("parquet", 120)
    assert made["columns"] == table.column_names == ["time", "twin", "source", "pressure", "pressure quality", "drive", "drive quality"]
    assert [table.field(name).metadata for name in ("pressure", "drive", "twin")] == [{b"unit": b"kPa"}, {b"unit": b"V"}, None]
    assert table.field("time").type == pa.timestamp("us", tz="UTC")
    series = twinwright("history", "pump-1", "pressure", *window, workspace=plant).good
    assert table["pressure"].to_pylist() == series["values"]
    assert twinwright("export", tmp_path / "s.arrow", *chosen, workspace=plant).code == 0
    assert pyarrow.feather.read_table(tmp_path / "s.arrow").equals(table, check_metadata=True)
    assert twinwright("export", tmp_path / "s.csv", *chosen, workspace=plant).code == 0
    read = pyarrow.csv.read_csv(tmp_path / "s.csv")
    assert read.column_names[3:6:2] == ["pressure [kPa]", "drive [V]"]
    assert read["pressure [kPa]"].to_pylist() == series["values"]


def test_all_series_of_all_twins_and_kinds(plant: Path, tmp_path: Path) -> None:
    with package.open(plant) as platform:
        made = platform.export(str(tmp_path / "all"), format="parquet")
    rows = pq.read_table(tmp_path / "all").to_pylist()
    assert made["rows"] == len(rows) == 302
    assert {row["twin"] for row in rows} == {"pump-1", "pump-2"}
    assert [row["site"] for row in rows if row["site"]] == ["north"]
    assert [(row["source"], row["pressure"]) for row in rows if row["twin"] == "pump-2"] == [("logger", 250.5)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--format", "xlsx"), "there is no format 'xlsx'"),
        (("--twin", "pump-7"), "pump-7"),
        (("--twin", "pump-1", "--path", "presure"), "Did you mean 'pressure'"),
        (("--path", "presure"), "Did you mean 'pressure'"),
        (("--path", "pressure", "--journal"), "series have no journal"),
        (("--from", "noon", "--path", "pressure"), "noon"),
    ],
)
def test_what_can_t_be_chosen_is_refused(plant: Path, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    refused = twinwright("export", tmp_path / "s.csv", *arguments, workspace=plant)
    assert refused.code == 2
    assert says in refused.json["error"]["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_overwritten(plant: Path, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("mine")
    assert twinwright("export", tmp_path / "s.csv", "--path", "pressure", workspace=plant).code == 2
    assert (tmp_path / "s.csv").read_text() == "mine"
    shutil.rmtree(tmp_path)
    assert twinwright("export", tmp_path / "s.csv", "--path", "pressure", workspace=plant).code == 2
