"""A fork as a user has it: what if, beside what is. That its reads are right by the laws is shown in tests/storage/test_forked.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.plant import telemetry, workspace
from tests.acceptance.running import write

from twinwright.clock import HOUR, ManualClock, from_iso
from twinwright.derived import consumer
from twinwright.errors import ForbiddenError, NotFoundError, RefusedError, StoreError, TwinwrightError, UsageError
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.platform.forks import Forks
from twinwright.platform.local import LocalPlatform
from twinwright.platform.local_fork import IN_A_FORK
from twinwright.platform.opened import Opened
from twinwright.platform.session import Session
from twinwright.platform.wire import METHODS

NOW = from_iso("2026-03-01T09:00:00Z")
READER = Principal("reader", frozenset({"reader"}))
MORE = '{"id":"pump-3","ts":"2026-03-01T08:40:00Z","p":33}\n{"id":"pump-9","ts":"2026-03-01T08:40:00Z","p":33}\n'


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlatform]:
    folder = workspace(tmp_path_factory.mktemp("w"))
    write(folder, {"t.ndjson": telemetry(), "more.ndjson": MORE})
    platform = LocalPlatform(Session(folder, ManualClock(NOW)))
    platform.apply()
    platform.ingest([str(folder / "t.ndjson")], "pump")
    yield platform
    platform.close()


@pytest.fixture
def fork(plant: LocalPlatform) -> Iterator[Any]:
    plant.create_fork("what-if")
    yield plant.fork("what-if")
    if any(one["name"] == "what-if" for one in plant.forks()):
        plant.drop_fork("what-if")


def facts(plant: LocalPlatform, to: Path) -> dict[str, bytes]:
    """An export of all that the workspace's store holds, and its facts, as bytes."""
    plant.export(str(to))
    found = {str(path.relative_to(to)): path.read_bytes() for path in to.rglob("*.parquet")}
    return {**found, "state": json.dumps(plant.state(facts=True)).encode()}


def test_what_is_done_in_a_fork_is_seen_in_it_and_leaves_the_workspace_byte_for_byte(plant: LocalPlatform, tmp_path: Path) -> None:
    before, last = facts(plant, tmp_path / "before"), plant.status()["commit"]
    known = plant.state(facts=True)
    made = plant.create_fork("what-if")
    assert made["commit"] == last
    fork = plant.fork("what-if")
    assert fork.state(facts=True) == known
    fork.put_twin("pump-3", {"$metadata": {"$model": "dtmi:test:Pump;1"}, "site": "east"})
    fork.put_relationship("pump-3", "r9", {"$targetId": "pump-1", "$relationshipName": "feeds"})
    fork.delete_relationship("pump-1", "r1")
    fork.patch_twin("pump-1", [{"op": "replace", "path": "/site", "value": "south"}])
    receipt = fork.ingest([str(plant.session.folder / "more.ndjson"), str(plant.session.folder / "t.ndjson")], "pump")
    assert (receipt["accepted"], receipt["duplicate"]) == (1, 301)  # what the workspace has is a duplicate here too
    assert fork.state("pump-1")["site"] == "south"
    assert fork.state("pump-3")["pressure"] == 33
    assert fork.history("pump-3", "pressure")["values"] == [33.0]
    assert len(fork.history("pump-1", "pressure")["values"]) == len(plant.history("pump-1", "pressure")["values"])
    rows = fork.query("SELECT T.$dtId, T.site FROM DIGITALTWINS T")["value"]
    assert {row["$dtId"]: row.get("site") for row in rows} == {"pump-1": "south", "pump-2": None, "pump-3": "east"}
    assert [(one["$sourceId"], one["$relationshipId"]) for one in fork.relationships()] == [("pump-3", "r9")]
    assert fork.dead_letters()["by_reason"]["unknown_twin"] == 2
    assert facts(plant, tmp_path / "after") == before
    assert plant.status()["commit"] == last
    plant.drop_fork("what-if")
    assert not list((plant.session.private / "forks").iterdir())


def test_what_the_workspace_takes_in_later_does_not_show(plant: LocalPlatform, fork: Any) -> None:
    known, at = fork.state(facts=True), plant.status()["commit"]
    plant.patch_twin("pump-2", [{"op": "add", "path": "/site", "value": "live"}])
    assert fork.state(facts=True) == known
    assert plant.fork_diff("what-if")["counts"] == {"twins": 0, "relationships": 0, "values": 0}
    (value,) = plant.fork_diff("what-if", against="live")["values"]
    assert (value["twin"], value["path"], value["before"]["value"], value["fork"]) == ("pump-2", "site", "live", None)
    older = plant.create_fork("older", at=str(at))
    assert older["commit"] == at
    assert plant.fork("older").state(facts=True) == known
    plant.drop_fork("older")


def test_a_diff_tells_twins_relationships_and_values(plant: LocalPlatform, fork: Any) -> None:
    fork.put_twin("pump-4", {"$metadata": {"$model": "dtmi:test:Pump;1"}})
    fork.delete_relationship("pump-1", "r1")
    fork.patch_twin("pump-1", [{"op": "replace", "path": "/site", "value": "west"}])
    found = plant.fork_diff("what-if")
    assert found["counts"] == {"twins": 1, "relationships": 1, "values": 1}
    assert found["twins"] == [{"twin": "pump-4", "change": "added", "interface": "dtmi:test:Pump;1"}]
    assert found["relationships"] == [{"twin": "pump-1", "relationship": "r1", "change": "removed"}]
    assert [found["values"][0][side]["value"] for side in ("before", "fork")] == ["north", "west"]
    assert plant.fork_diff("what-if", limit=1)["counts"] == found["counts"]
    with pytest.raises(UsageError, match="to compare with"):
        plant.fork_diff("what-if", against="yesterday")


def test_runs_are_the_forks_and_say_so(plant: LocalPlatform, fork: Any) -> None:
    (live,) = plant.simulate("more")["runs"]
    (run,) = fork.simulate("more")["runs"]
    assert run["fork"] == "what-if"
    assert run["digest"] == live["digest"]  # the same question of the same data
    assert [one["id"] for one in fork.runs()] == [run["id"]]
    assert [one["id"] for one in plant.runs()] == [live["id"]]
    assert fork.run(run["id"])["fork"] == "what-if"
    with pytest.raises(NotFoundError):
        fork.run(live["id"])


def test_a_fit_in_a_fork_is_of_the_whole_window_and_its_parameter_set_is_the_forks(plant: LocalPlatform, fork: Any) -> None:
    with pytest.raises(RefusedError, match="is not judged in a fork"):
        fork.calibrate("lag", twin="pump-1")
    found = fork.calibrate("lag", twin="pump-1", holdout=0, only=["gain"])
    assert found["fork"] == "what-if" and found["metrics"]["holdout"] is None
    assert [one["id"] for one in fork.parameter_sets()] == [found["id"]]
    assert plant.parameter_sets() == []
    asked = {"name": "fitted", "model": "lag", "twin": "pump-1", "from": "2026-03-01T08:00:00Z", "horizon": "PT1M"}
    (run,) = fork.simulate({**asked, "parameters": found["id"]})["runs"]
    assert run["parameters"]["gain"]["value"] == found["parameters"]["gain"]["value"]


@pytest.mark.parametrize("method", sorted(METHODS - IN_A_FORK))
def test_what_is_not_sound_in_a_fork_is_refused(plant: LocalPlatform, method: str) -> None:
    if not any(one["name"] == "refusing" for one in plant.forks()):
        plant.create_fork("refusing")
    with pytest.raises(RefusedError, match=f"{method} is not done in a fork") as refused:
        getattr(plant.fork("refusing"), method)("x")
    assert refused.value.remedy == "Leave the fork out"


def test_a_fork_of_a_fork_is_refused(fork: Any) -> None:
    with pytest.raises(RefusedError, match="is a fork already"):
        fork.fork("another")


MEAN = """name: mean
interface: dtmi:test:Pump;1
output: {path: drive}
inputs: {p: {path: pressure, window: {every: PT10M, agg: mean}}}
expression: p / 1 kPa * 1 V
"""


def reading(minute: int, pressure: float) -> str:
    return json.dumps({"id": "pump-1", "ts": f"2026-03-01T08:{minute:02}:00Z", "p": pressure}) + "\n"


def derived(platform: Any) -> dict[str, float]:
    found = platform.history("pump-1", "drive", lane="derived")
    return dict(zip(found["times"], found["values"], strict=True))


def test_what_is_derived_in_a_fork_is_what_the_workspace_would_derive_of_its_records(tmp_path: Path) -> None:
    folder = workspace(tmp_path / "w")
    files = {"one": reading(5, 100.0) + reading(15, 200.0), "two": reading(25, 300.0), "three": reading(6, 400.0) + reading(35, 500.0)}
    write(folder, {"derived/mean.yaml": MEAN, **{f"{name}.ndjson": text for name, text in files.items()}})
    plant = LocalPlatform(Session(folder, ManualClock(NOW)))
    try:
        plant.apply()
        plant.ingest([str(folder / "one.ndjson")], "pump")
        empty = plant.status()["commit"]  # nothing is derived by then
        before, followed = derived(plant), plant.status()["commit"]
        assert sorted(before.values()) == [100.0, 200.0] and followed > empty
        plant.ingest([str(folder / "two.ndjson")], "pump")
        plant.create_fork("what-if")  # what is derived has not followed that yet
        earlier = {"lagging": (plant.status()["commit"], [200.0, 300.0]), "followed": (followed, [200.0]), "empty": (empty, [200.0])}
        fork = plant.fork("what-if")
        fork.ingest([str(folder / "three.ndjson")], "pump")
        assert fork.state("pump-1", lane="derived")["drive"] == 500.0
        there = derived(fork)
        assert sorted(there.values()) == [200.0, 250.0, 300.0, 500.0]
        live = derived(plant)
        assert sorted(live.values()) == [100.0, 200.0, 300.0], "a fork reaches the workspace"
        assert derived(fork) == there, "what the workspace derives later shows in a fork"
        plant.ingest([str(folder / "three.ndjson")], "pump")
        assert derived(plant) == there
        for name, (commit, values) in earlier.items():
            plant.create_fork(name, at=str(commit))
            assert sorted(derived(plant.fork(name)).values()) == [100.0, *values], name
            plant.fork(name).ingest([str(folder / "three.ndjson")], "pump")
            assert sorted(derived(plant.fork(name)).values()) == sorted([250.0, *values, 500.0]), name
        assert derived(plant) == there
    finally:
        plant.close()


def test_where_the_log_does_not_say_how_far_what_is_derived_had_come_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the log of a version that did not say so."""
    monkeypatch.setattr(consumer, "_detail", lambda rows, moved: f"{rows} derived")
    folder = workspace(tmp_path / "w")
    write(folder, {"derived/mean.yaml": MEAN, "one.ndjson": reading(5, 100.0)})
    plant = LocalPlatform(Session(folder, ManualClock(NOW)))
    try:
        plant.apply()
        plant.ingest([str(folder / "one.ndjson")], "pump")
        assert derived(plant)
        plant.create_fork("old", at=str(plant.status()["commit"]))
        with pytest.raises(RefusedError, match="by that commit is not known") as refused:
            plant.fork("old").state("pump-1", lane="derived")
        assert "later" in str(refused.value.remedy)
    finally:
        plant.close()


def test_without_its_place_in_the_log_a_fork_would_miss_what_was_not_derived_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken variant: as if all had been derived by the commit that is forked."""
    monkeypatch.setattr(Forks, "_followed", lambda self, commit: {"mean": commit or self._session.store.last_commit(SYSTEM)})
    with pytest.raises(AssertionError):
        test_what_is_derived_in_a_fork_is_what_the_workspace_would_derive_of_its_records(tmp_path)


def test_names_and_commits_that_can_t_be_forked(plant: LocalPlatform, fork: Any) -> None:
    for name in ("", "..", "a/b", "Upper", ".hidden", "x" * 64):
        with pytest.raises(UsageError, match="is no name of a fork"):
            plant.create_fork(name)
        with pytest.raises(TwinwrightError):
            plant.fork(name)
    with pytest.raises(RefusedError, match="there is a fork 'what-if' already"):
        plant.create_fork("what-if")
    with pytest.raises(RefusedError, match="nothing was applied by commit 0"):
        plant.create_fork("early", at="0")
    with pytest.raises(NotFoundError) as missing:
        plant.fork("what-fi")
    assert "what-if" in str(missing.value.remedy)
    with pytest.raises(NotFoundError):
        plant.drop_fork("nobody")
    for act in (lambda: plant.as_principal(READER).create_fork("x"), lambda: plant.as_principal(READER).drop_fork("what-if")):
        with pytest.raises(ForbiddenError):
            act()
    with pytest.raises(ForbiddenError):
        fork.as_principal(READER).patch_twin("pump-1", [])
    with pytest.raises(ForbiddenError):
        fork.as_principal(READER).ingest([str(plant.session.folder / "more.ndjson")], "pump")


def test_a_fork_outlives_its_platform_and_is_refused_when_its_commit_is_not_kept(tmp_path: Path) -> None:
    folder, clock = workspace(tmp_path), ManualClock(NOW)
    with pytest.raises(RefusedError, match="nothing was applied"), Opened(LocalPlatform(Session(folder, clock))) as opened:
        opened.create_fork("first")
    with Opened(LocalPlatform(Session(folder, clock))) as opened:
        opened.apply()
        opened.create_fork("first")
        opened.fork("first").patch_twin("pump-1", [{"op": "replace", "path": "/site", "value": "south"}])
    with Opened(LocalPlatform(Session(folder, clock))) as opened:
        assert opened.fork("first").state("pump-1")["site"] == "south"
        assert opened.state("pump-1")["site"] == "north"
        opened.put_twin("pump-8", {"$metadata": {"$model": "dtmi:test:Pump;1"}})
        kept = folder / ".twinwright" / "forks" / "first" / "fork.json"
        text = kept.read_text()
        kept.write_text(text.replace('"at": ', '"at": 1'))  # as after another store was put in its place
        with pytest.raises(RefusedError, match="has another commit"):
            opened.fork("first")
        kept.write_text(text.replace('"commit": ', '"commit": 99'))
        with pytest.raises(RefusedError, match="has no commit"):
            opened.fork("first")
        kept.write_text(text)
        clock.advance(91 * 24 * HOUR)
        with pytest.raises(RefusedError, match="is not kept"):
            opened.fork("first")
        kept.write_text("{")
        with pytest.raises(StoreError, match="can't be read"):
            opened.fork("first")
        opened.drop_fork("first")
        assert opened.forks() == []
        assert opened.session.store.last_commit(SYSTEM)
