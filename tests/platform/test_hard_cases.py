"""Cases in which the platform would once have told a wrong state, count or contract; each is a claim that it does no more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import twinwright
from twinwright.cli.examples import copy_example
from twinwright.errors import RefusedError, StoreError, UsageError, WorkspaceError
from twinwright.platform.local import LocalPlatform
from twinwright.telemetry.payloads import Payload

CONTRACT = Path("contracts/sensors.yaml")


def reading(value: object, at: str = "2026-03-01T08:00:00Z", twin: str = "sensor-1") -> Payload:
    return Payload(json.dumps({"id": twin, "ts": at, "t": value}).encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy_example("starter", tmp_path / "w")
    return tmp_path / "w"


@pytest.fixture
def platform(folder: Path):
    opened = twinwright.open(folder)
    assert isinstance(opened._platform, LocalPlatform)
    opened.apply()
    yield opened
    opened.close()


def change(folder: Path, *pairs: tuple[str, str], file: Path = CONTRACT) -> None:
    text = (folder / file).read_text()
    for before, after in pairs:
        assert before in text
        text = text.replace(before, after)
    (folder / file).write_text(text)


def add_twin(folder: Path, id: str) -> None:
    with (folder / "twins.yaml").open("a") as file:
        file.write(f'  - $dtId: {id}\n    $metadata: {{$model: "dtmi:twinwright:starter:Sensor;1"}}\n')


def counts(platform: LocalPlatform) -> dict[str, int]:
    return platform.kpi()["counts"]


def test_an_id_named_twice_is_retried_once(platform: LocalPlatform, folder: Path) -> None:
    platform.push("sensors", [reading(1.0, twin="late")])
    add_twin(folder, "late")
    platform.apply()
    receipt = platform.retry_dead_letters([1, 1, 1])
    assert (receipt["received"], receipt["accepted"], receipt["still_refused"]) == (1, 1, 0)
    assert receipt["seconds"] > 0
    assert platform.replay()["seconds"] > 0
    assert counts(platform) == {"received": 1, "accepted": 1, "duplicate": 0, "dead_lettered": 0}
    with pytest.raises(UsageError, match="-1 dead letters"):
        platform.dead_letters(limit=-1)


def test_letters_of_a_removed_contract_stay_open(platform: LocalPlatform, folder: Path) -> None:
    platform.push("sensors", [reading(1.0, twin="nobody")])
    (folder / CONTRACT).unlink()
    platform.apply()
    assert platform.retry_dead_letters()["still_refused"] == 1


def test_a_contract_that_comes_back_with_other_columns_needs_a_new_revision(platform: LocalPlatform, folder: Path) -> None:
    platform.push("sensors", [reading(21.0)])
    text = (folder / CONTRACT).read_text()
    (folder / CONTRACT).unlink()
    platform.apply()
    (folder / CONTRACT).write_text(text.replace("unit: degC", "unit: degF"))
    with pytest.raises(RefusedError, match="raise `revision` to 2"):
        platform.apply()
    (folder / CONTRACT).write_text(text)
    platform.apply()
    platform.push("sensors", [reading(22.0, "2026-03-01T08:00:01Z")])
    assert platform.history("sensor-1", "temperature")["values"].to_pylist() == [21.0, 22.0]


def test_a_contract_keeps_its_source(platform: LocalPlatform, folder: Path) -> None:
    change(folder, ("revision: 1", "revision: 2\nsource: {name: others}"))
    with pytest.raises(RefusedError, match="its source changes"):
        platform.apply()


def test_a_source_is_never_taken_over(platform: LocalPlatform, folder: Path) -> None:
    (folder / CONTRACT).rename(folder / "contracts/others.yaml")
    change(folder, ("name: sensors", "name: others\nsource: {name: sensors}"), file=Path("contracts/others.yaml"))
    with pytest.raises(RefusedError, match="is that of the contract 'sensors'"):
        platform.apply()


def test_interfaces_that_share_a_path_mean_one_quantity_by_it(folder: Path) -> None:
    other = json.loads((folder / "schema/sensor.json").read_text())
    other["@id"] = "dtmi:twinwright:starter:Other;1"
    other["contents"][0] = {"@type": ["Property", "Pressure"], "name": "temperature", "schema": "double", "unit": "kilopascal"}
    (folder / "schema/other.json").write_text(json.dumps(other))
    with (folder / "twins.yaml").open("a") as file:
        file.write('  - $dtId: o-1\n    $metadata: {$model: "dtmi:twinwright:starter:Other;1"}\n')
    platform = twinwright.open(folder)
    try:
        with pytest.raises(WorkspaceError, match=r"contracts/sensors.yaml:8: .*another quantity|can't be converted"):
            platform.apply()
    finally:
        platform.close()


def test_a_declared_boolean_is_one(folder: Path) -> None:
    schema = json.loads((folder / "schema/sensor.json").read_text())
    schema["contents"].append({"@type": "Property", "name": "outdoors", "schema": "boolean"})
    (folder / "schema/sensor.json").write_text(json.dumps(schema))
    change(folder, ("location: workshop", "location: workshop\n    outdoors: true"), file=Path("twins.yaml"))
    platform = twinwright.open(folder)
    try:
        platform.apply()
        assert platform.state("sensor-1")["outdoors"] is True
    finally:
        platform.close()


def test_by_order_of_ingestion_the_last_arrival_wins_over_a_retried_letter(platform: LocalPlatform, folder: Path) -> None:
    change(folder, ("revision: 1", "revision: 2\ncorrection: ingest"))
    platform.apply()
    platform.push("sensors", [reading(9.0, twin="late"), reading(3.0, twin="late")])
    add_twin(folder, "late")
    platform.apply()
    assert platform.retry_dead_letters()["accepted"] == 2
    assert platform.state("late")["temperature"] == 3.0
    platform.push("sensors", [reading(5.0, twin="late")])
    platform.push("sensors", [reading(9.0, twin="late")])
    assert platform.state("late")["temperature"] == 9.0
    assert platform.reconcile()["inconsistent"] == 0


def test_a_replay_whose_state_could_not_be_saved_is_seen_all_the_same(
    platform: LocalPlatform, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.push("sensors", [reading(1.0), reading(50.0, "2026-03-01T09:00:00Z")])
    change(folder, ("revision: 1", "revision: 2"), ("range: [-60, 120]", "range: [-60, 40], reject: true"))
    platform.apply()

    def full(*_: object, **__: object) -> None:
        raise StoreError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(platform.session.state, "materialise", full)
        assert platform.replay()["dead_lettered"] == {"out_of_range": 1}
    assert platform.state("sensor-1")["temperature"] == 1.0
    platform.push("sensors", [reading(2.0, "2026-03-01T08:30:00Z")])
    platform.close()
    again = twinwright.open(folder)
    assert again.state("sensor-1")["temperature"] == 2.0
    assert again.reconcile()["inconsistent"] == 0
    again.close()


def test_a_span_that_ends_before_it_begins_is_wrong_usage_and_not_empty(platform: LocalPlatform) -> None:
    later, earlier = "2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z"
    for asked in (
        lambda **span: platform.history("sensor-1", "temperature", **span),
        lambda **span: platform.replay(**span),
        lambda **span: platform.replay(dry_run=True, **span),
        lambda **span: platform.validate("none", twin="sensor-1", **span),
    ):
        with pytest.raises(UsageError, match=f"{later} is after {earlier}"):
            asked(start=later, end=earlier)
    assert len(platform.history("sensor-1", "temperature", start=earlier, end=earlier)["times"]) == 0
