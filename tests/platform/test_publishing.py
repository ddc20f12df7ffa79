"""What a run gave can be put on its twin's `simulated` lane, marked as what it is, and nowhere else."""

from pathlib import Path

import pytest
from tests.acceptance.plant import SCENARIO, telemetry, workspace
from tests.acceptance.running import twinwright, write


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = workspace(tmp_path_factory.mktemp("w"))
    write(folder, {"scenarios/shown.yaml": SCENARIO.replace("name: more", "name: shown") + "publish: true\n", "t.ndjson": telemetry()})
    assert twinwright("apply", workspace=folder).code == 0
    assert twinwright("ingest", folder / "t.ndjson", "--contract", "pump", workspace=folder).code == 0
    return folder


def test_outputs_land_on_the_simulated_lane_with_model_and_run(plant: Path) -> None:
    before = twinwright("state", "--facts", workspace=plant).out
    run = twinwright("simulate", "shown", workspace=plant).good["runs"][0]
    shown = twinwright("history", "pump-1", "pressure", "--lane", "simulated", workspace=plant).good
    assert shown["times"] == run["outputs"]["x"]["times"] or len(shown["times"]) == len(run["outputs"]["x"]["values"])
    assert shown["values"] == pytest.approx(run["outputs"]["x"]["values"])
    assert shown["unit"] == "kPa"
    assert set(shown["source"]) == {f"lag@1.0.0/{run['id']}"}
    assert twinwright("state", "--facts", workspace=plant).out == before
    document = twinwright("state", "pump-1", "--lane", "simulated", workspace=plant).good
    assert document["pressure"] == pytest.approx(run["outputs"]["x"]["values"][-1])
    assert document["$metadata"]["pressure"]["source"] == f"lag@1.0.0/{run['id']}"


def test_a_scenario_that_does_not_say_so_publishes_nothing(plant: Path) -> None:
    commits = twinwright("history", "pump-1", "pressure", "--lane", "simulated", workspace=plant).good["times"]
    assert twinwright("simulate", "more", "--fresh", workspace=plant).code == 0
    assert twinwright("history", "pump-1", "pressure", "--lane", "simulated", workspace=plant).good["times"] == commits
