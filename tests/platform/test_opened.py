"""The surface in Python: a method for each command, and series as Arrow with units in the metadata of their fields."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.acceptance.plant import telemetry, workspace
from tests.acceptance.running import twinwright, up, write

import twinwright as tw
from twinwright.errors import UsageError
from twinwright.platform.opened import Opened
from twinwright.platform.wire import METHODS


@pytest.fixture(scope="module", params=["stopped", "running"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    folder = workspace(tmp_path_factory.mktemp("opened") / request.param)
    write(folder, {"pump.ndjson": telemetry()})
    assert twinwright("apply", workspace=folder).code == 0
    assert twinwright("ingest", folder / "pump.ndjson", "--contract", "pump", workspace=folder).code == 0
    if request.param == "running":
        with up(folder), tw.open(folder) as platform:
            yield platform
    else:
        with tw.open(folder) as platform:
            yield platform


def test_a_history_is_a_table_with_its_unit(opened: Opened) -> None:
    table = opened.history("pump-1", "pressure", end="2026-03-01T08:05:00Z", unit="bar")
    assert table.column_names == ["times", "values", "quality", "source"]
    assert table.schema.field("times").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("values").type == pa.float64()
    assert table.schema.field("values").metadata == {b"unit": b"bar"}
    assert table.schema.metadata == {b"twin": b"pump-1", b"path": b"pressure"}
    plain = opened._platform.history("pump-1", "pressure", end="2026-03-01T08:05:00Z", unit="bar")
    assert table["values"].to_pylist() == plain["values"] and len(table) > 1
    assert table["times"][0].as_py() == datetime.fromisoformat(plain["times"][0]).astimezone(UTC)
    assert table["quality"].to_pylist() == plain["quality"]


def test_a_history_of_nothing_is_an_empty_table_of_numbers(opened: Opened) -> None:
    table = opened.history("pump-1", "pressure", start="2030-01-01T00:00:00Z")
    assert len(table) == 0
    assert (table.schema.field("values").type, table.schema.field("values").metadata) == (pa.float64(), {b"unit": b"kPa"})


def test_outputs_of_runs_are_tables_and_stay_so_in_the_store(opened: Opened) -> None:
    [run] = opened.simulate("more")["runs"]
    assert run["status"] == "ok"
    again = opened.run(run["id"])
    for outputs in (run["outputs"], again["outputs"]):
        [(name, table)] = outputs.items()
        unit = opened._platform.run(run["id"])["outputs"][name]["unit"]
        assert table.column_names == ["times", "values"] and len(table) > 1
        assert table.schema.field("values").metadata == {b"unit": unit.encode()}
    assert again["outputs"] == run["outputs"]
    copied = pickle.loads(pickle.dumps(run["outputs"]))
    assert copied == dict(run["outputs"]) and len(copied) == len(run["outputs"]) == 1 and repr(copied) == repr(run["outputs"])
    assert "outputs" not in opened.run(run["id"], outputs=False)


def test_all_else_is_what_the_commands_print(opened: Opened) -> None:
    assert opened.state("pump-1")["$dtId"] == "pump-1"
    assert opened.dead_letters(limit=1).keys() == {"total", "by_reason", "groups", "expired", "items"}
    assert all(callable(getattr(opened, name)) for name in METHODS)
    assert set(dir(opened)) >= METHODS
    with pytest.raises(AttributeError):
        opened.no_such_command  # noqa: B018 - asking is what is tested


def test_times_files_and_tokens_are_taken_as_programs_have_them(opened: Opened, tmp_path: Path) -> None:
    late = tmp_path / "late.ndjson"
    late.write_text('{"id": "pump-2", "ts": "2026-03-01T09:00:00Z", "p": 1}\n')
    token = opened.ingest(late, "pump")["token"]
    assert opened.ingest([str(late)], contract="pump")["duplicate"] == opened.ingest(str(late), "pump")["duplicate"] == 1
    begun = datetime(2026, 3, 1, 10, tzinfo=timezone(timedelta(hours=1)))
    assert len(opened.history("pump-2", "pressure", start=begun, known_at=token)) == 1
    assert len(opened.history("pump-2", "pressure", start=begun, known_at=token - 1)) == 0
    then: dict[str, Any] = {"as_of": begun}
    assert opened.state("pump-2", **then)["pressure"] == 1
    assert opened.graph_diff(token - 1, token)["counts"] == opened.graph_diff(str(token - 1), str(token))["counts"]
    with pytest.raises(UsageError, match="no zone"):
        opened.history("pump-2", "pressure", end=datetime(2026, 3, 1))


def test_an_argument_that_is_none_is_told_by_its_name(opened: Opened) -> None:
    with pytest.raises(TypeError, match="from_"):
        opened.history("pump-1", "pressure", from_="2026-03-01T08:00:00Z")
    with pytest.raises(TypeError, match="windows"):
        opened.kpi(windows="PT1H")
