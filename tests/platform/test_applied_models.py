"""Code enters by an apply alone: through the API a changed model runs once it is applied; its owner's own commands apply it first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.plant import FILES, LAG, MODEL, SCENARIO, telemetry, workspace
from tests.acceptance.running import Up, twinwright, up, write

import twinwright as tw
from twinwright.errors import WorkspaceError

STILL = LAG.replace("return [(p[1] * u[0] - x[0]) / p[0]]", "return [0.0 * x[0]]")
WARNING = "models/lag.yaml has changed since it was applied, and what was applied is used: run `twinwright apply`"
NEW = {
    "models/still.yaml": MODEL.replace("name: lag", "name: still").replace("lag.py", "still.py"),
    "models/still.py": STILL,
    "scenarios/other.yaml": SCENARIO.replace("name: more", "name: other").replace("model: lag", "model: still"),
}
PENDING = {"twins.yaml": FILES["twins.yaml"].replace("site: north", "site: south")}  # not of a model, and not applied


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = workspace(tmp_path / "plant")
    write(made, {"pump.ndjson": telemetry(120)})
    assert twinwright("apply", workspace=made).code == 0
    assert twinwright("ingest", made / "pump.ndjson", "--contract", "pump", workspace=made).code == 0
    return made


@pytest.fixture(params=["stopped", "running"])
def plant(request: pytest.FixtureRequest, folder: Path) -> Iterator[Path]:
    if request.param == "running":
        with up(folder):
            yield folder
    else:
        yield folder


@pytest.fixture
def running(folder: Path) -> Iterator[Up]:
    with up(folder) as it:
        yield it


def runs(folder: Path, name: str = "more") -> dict[str, Any]:
    [run] = twinwright("simulate", name, workspace=folder).good["runs"]
    return dict(run)


def test_through_the_api_code_runs_once_it_is_applied_and_not_before(running: Up) -> None:
    with running.client() as client:

        def ask(name: str) -> Any:
            return client.post("/v1/scenarios", json={"scenario": name})

        [before] = ask("more").json()["runs"]
        write(running.folder, {"models/lag.py": STILL, **NEW})
        [same] = ask("more").json()["runs"]
        assert (same["digest"], same["outputs"]) == (before["digest"], before["outputs"])
        assert same["warnings"] == [*before["warnings"], WARNING]
        unknown = ask("other")
        assert unknown.status_code == 400 and "there is no model 'still'" in unknown.text and "twinwright apply" in unknown.text
        changes = twinwright("plan", workspace=running.folder).good["changes"]
        assert [(one["kind"], one["id"], one["change"], one["effect"]) for one in changes] == [
            ("model", "lag", "change", "compatible"),
            ("model", "still", "add", "additive"),
        ]
        assert twinwright("apply", workspace=running.folder).good["changes"] == changes
        [after] = ask("more").json()["runs"]
        assert after["digest"] != before["digest"] and len(set(after["outputs"]["x"]["values"])) == 1
        assert ask("other").status_code == 200
        assert client.post(f"/v1/runs/{before['id']}/verify").json()["verified"]  # with the code that it ran


def test_the_owners_command_applies_models_first_where_they_are_all_that_changed(plant: Path) -> None:
    before = runs(plant)
    write(plant, {"models/lag.py": STILL, **NEW})
    after, new = runs(plant), runs(plant, "other")
    assert after["digest"] != before["digest"] and WARNING not in after["warnings"]
    assert new["status"] == "ok"
    assert twinwright("plan", workspace=plant).good["changes"] == []
    write(plant, dict.fromkeys(NEW))
    assert twinwright("validate", "still", "--twin", "pump-1", workspace=plant).code == 2  # and so they go


def test_beside_other_changes_models_wait_for_an_apply(plant: Path) -> None:
    before = runs(plant)
    write(plant, {"models/lag.py": STILL, **NEW, **PENDING})
    assert (runs(plant)["digest"], runs(plant)["warnings"]) == (before["digest"], [*before["warnings"], WARNING])
    window = ("--twin", "pump-1", "--to", "2026-03-01T08:09:00Z")
    for command in ("calibrate", "validate"):
        assert WARNING in twinwright(command, "lag", *window, workspace=plant).good["warnings"]
    refused = twinwright("simulate", "other", workspace=plant)
    assert refused.code == 2
    [problem] = refused.json["error"]["errors"]
    assert (problem["file"], problem["line"]) == ("scenarios/other.yaml", 2)
    assert "Applied are: lag. Run `twinwright apply`" in problem["remedy"]
    missing = twinwright("calibrate", "still", "--twin", "pump-1", workspace=plant).json["error"]
    assert missing["remedy"] == "Applied are: lag. Run `twinwright apply` after adding one"
    with tw.open(plant) as platform:
        assert [one["name"] for one in platform.models()] == ["lag"]
    assert twinwright("apply", workspace=plant).code == 0
    assert runs(plant, "other")["status"] == "ok"


def test_a_model_and_a_scenario_can_be_named_by_the_path_of_their_file(plant: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        twinwright("validate", name, "--twin", "pump-1", workspace=plant).good["metrics"]
        for name in ("lag", "models/lag.yaml", plant / "models" / "lag.yaml")
    ]
    assert twinwright("validate", "elsewhere/lag.yaml", "--twin", "pump-1", workspace=plant).code == 2
    monkeypatch.chdir(plant.parent)  # a path is from where the command is given
    answers.append(twinwright("validate", "plant/models/lag.yaml", "--twin", "pump-1", workspace=plant).good["metrics"])
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert runs(plant)["digest"] == runs(plant, "plant/scenarios/more.yaml")["digest"]


def test_a_broken_scenario_stands_in_the_way_of_no_other(folder: Path) -> None:
    broken = folder / "scenarios" / "broken.yaml"
    with tw.open(folder) as platform:
        platform.apply()
        known = platform.scenarios()
        broken.write_text("name: broken\nmodel: nobody's\n")
        [run] = platform.simulate("more")["runs"]
        [warning] = run["warnings"]
        assert run["status"] == "ok" and warning.startswith("scenarios/broken.yaml is left out") and "scenarios check" in warning
        submitted = platform.submit_run("more")
        assert submitted["warnings"] == [warning] == platform.watch_request(submitted["id"])["warnings"]
        assert platform.scenarios() == known
        for act in (platform.plan, platform.apply, lambda: platform.simulate("broken")):
            with pytest.raises(WorkspaceError) as refused:
                act()
            assert {one.file for one in refused.value.problems} == {"scenarios/broken.yaml"}
        broken.write_text((folder / "scenarios" / "more.yaml").read_text())
        with pytest.raises(WorkspaceError, match="another scenario 'more'"):
            platform.simulate("more")
        broken.unlink()
        assert platform.simulate("more")["runs"][0]["warnings"] == []
