"""A measured water loop goes in through a contract onto a hierarchy of assets, and comes out by history."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from tests.acceptance.running import twinwright, write

RECORDS = Path(__file__).resolve().parents[3] / "shared" / "data" / "skab"
ROWS = {"valve1_4": 1095, "other_13": 923, "other_1": 745}
MOSCOW = ZoneInfo("Europe/Moscow")
CONTEXT = ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"]


def interface(name: str, *contents: dict[str, Any]) -> dict[str, Any]:
    return {"@context": CONTEXT, "@id": f"dtmi:skab:{name};1", "@type": "Interface", "contents": list(contents)}


def measured(quantity: str, name: str, unit: str) -> dict[str, Any]:
    return {"@type": ["Telemetry", quantity], "name": name, "schema": "double", "unit": unit}


SCHEMA = [
    interface(
        "Loop",
        {"@type": "Relationship", "name": "contains"},
        {"@type": "Property", "name": "anomaly", "schema": "double"},
        measured("VolumeFlowRate", "flow", "cubicMetrePerHour"),
    ),
    interface(
        "Pump",
        {"@type": "Component", "name": "motor", "schema": "dtmi:skab:Motor;1"},
        measured("Pressure", "pressure", "kilopascal"),
        measured("Temperature", "fluid", "kelvin"),
    ),
    interface(
        "Motor",
        measured("Current", "current", "ampere"),
        measured("Voltage", "voltage", "volt"),
        measured("Temperature", "body", "degreeCelsius"),
    ),
]
TWINS = """
twins:
  - {$dtId: loop, $metadata: {$model: "dtmi:skab:Loop;1"}}
  - {$dtId: pump, $metadata: {$model: "dtmi:skab:Pump;1"}}
relationships:
  - {$sourceId: loop, $targetId: pump, $relationshipName: contains}
"""
CONTRACT = """
name: {twin}
revision: 1
format: csv
delimiter: ";"
twin: {twin}
time: {{field: datetime, format: "%Y-%m-%d %H:%M:%S", zone: Europe/Moscow}}
observations:
"""
LOOP = """
  - {path: flow, field: Volume Flow RateRMS, unit: l/min, required: true}
  - {path: anomaly, field: anomaly}
"""
PUMP = """
  - {path: pressure, field: Pressure, unit: bar}
  - {path: fluid, field: Thermocouple, unit: degC}
  - {path: motor/current, field: Current, unit: A, range: [0, 10]}
  - {path: motor/voltage, field: Voltage, unit: V}
  - {path: motor/body, field: Temperature, unit: degC}
"""
# (twin, path, column, what the property's unit makes of it)
PATHS = [
    ("loop", "flow", "Volume Flow RateRMS", lambda v: v * 0.06),
    ("loop", "anomaly", "anomaly", lambda v: v),
    ("pump", "pressure", "Pressure", lambda v: v * 100),
    ("pump", "fluid", "Thermocouple", lambda v: v + 273.15),
    ("pump", "motor/current", "Current", lambda v: v),
    ("pump", "motor/body", "Temperature", lambda v: v),
]

pytestmark = pytest.mark.skipif(not RECORDS.exists(), reason="shared/data is not beside the repository")


def rows(name: str) -> list[dict[str, str]]:
    with (RECORDS / f"{name}.csv").open() as file:
        return list(csv.DictReader(file, delimiter=";"))


def micros(row: dict[str, str]) -> datetime:
    return datetime.strptime(row["datetime"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=MOSCOW).astimezone(UTC)


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write(tmp_path_factory.mktemp("skab"), {"twinwright.toml": "", "schema/skab.json": json.dumps(SCHEMA), "twins.yaml": TWINS})
    write(folder, {"contracts/loop.yaml": CONTRACT.format(twin="loop") + LOOP, "contracts/pump.yaml": CONTRACT.format(twin="pump") + PUMP})
    for contract in ("loop", "pump"):
        receipt = twinwright("ingest", *(RECORDS / f"{name}.csv" for name in ROWS), "--contract", contract, workspace=folder).good
        count = sum(ROWS.values())
        assert (receipt["received"], receipt["accepted"], receipt["duplicate"], receipt["dead_lettered"]) == (count, count, 0, {})
    return folder


def history(loop: Path, *arguments: str) -> Any:
    return twinwright("history", *arguments, workspace=loop).good


@pytest.mark.parametrize(("twin", "path", "column", "converted"), PATHS, ids=[f"{twin} {path}" for twin, path, *_ in PATHS])
def test_every_row_comes_out_at_its_time_in_the_unit_of_its_property(loop: Path, twin: str, path: str, column: str, converted: Any) -> None:
    expected = sorted((micros(row), converted(float(row[column]))) for name in ROWS for row in rows(name))
    answer = history(loop, twin, path)
    assert answer["times"] == [iso(moment) for moment, _ in expected]
    np.testing.assert_allclose(answer["values"], [value for _, value in expected], rtol=1e-12)
    assert set(answer["quality"]) == {"good"}


def test_history_is_converted_on_request(loop: Path) -> None:
    kelvin, celsius = (np.array(history(loop, "pump", "fluid", *more)["values"]) for more in ((), ("--unit", "degC")))
    np.testing.assert_allclose(kelvin - celsius, 273.15, rtol=1e-9)
    assert history(loop, "pump", "fluid", "--unit", "degC")["unit"] == "degC"


def test_minutes_are_what_a_plain_mean_of_their_rows_is_and_a_gap_is_a_gap(loop: Path) -> None:
    chosen = rows("valve1_4")
    windows: dict[datetime, list[float]] = defaultdict(list)
    for row in chosen:
        windows[micros(row).replace(second=0)].append(float(row["Current"]))
    until = iso(max(micros(row) for row in chosen).replace(microsecond=0))
    window = ("--from", iso(micros(chosen[0])), "--to", until, "--every", "PT1M")
    last = max(windows)
    windows[last] = [float(row["Current"]) for row in chosen if micros(row).replace(second=0) == last and iso(micros(row)) < until]
    answer = history(loop, "pump", "motor/current", *window)
    kept = {moment: values for moment, values in windows.items() if values}
    assert answer["times"] == [iso(moment) for moment in sorted(kept)]
    np.testing.assert_allclose(answer["values"], [np.mean(kept[moment]) for moment in sorted(kept)], rtol=1e-12)
    counts = history(loop, "pump", "motor/current", *window, "--agg", "count")["values"]
    assert counts == [len(kept[moment]) for moment in sorted(kept)]
    moments = sorted(micros(row) for row in chosen)
    gap = max((b - a).total_seconds() for a, b in pairwise(moments))
    assert gap == 54 and min(counts[1:-1]) < 30  # the gap of the record is one in what comes out: nothing is made up


def test_the_anomalous_rows_are_those_that_the_record_marks(loop: Path) -> None:
    marked = {name: sum(float(row["anomaly"]) for row in rows(name)) for name in ROWS}
    assert marked == {"valve1_4": 349, "other_13": 265, "other_1": 188}
    assert sum(history(loop, "loop", "anomaly")["values"]) == sum(marked.values())


def test_the_whole_hierarchy_shows_the_newest_row_of_all(loop: Path) -> None:
    newest = max((row for name in ROWS for row in rows(name)), key=micros)
    value = {document["$dtId"]: document for document in twinwright("state", workspace=loop).good["value"]}
    assert value["pump"]["motor"]["current"] == float(newest["Current"])
    assert value["pump"]["motor"]["$metadata"]["current"]["sourceTime"] == iso(micros(newest))
    assert value["loop"]["flow"] == pytest.approx(float(newest["Volume Flow RateRMS"]) * 0.06)


def test_columns_that_a_record_lacks_are_missing_and_nothing_worse(loop: Path, tmp_path: Path) -> None:
    """`anomaly-free.csv` has no column `anomaly`; a file loaded twice is all duplicates."""
    file, count = RECORDS / "anomaly-free.csv", 9405
    first = twinwright("ingest", file, "--contract", "loop", workspace=loop).good
    assert (first["received"], first["accepted"], first["dead_lettered"]) == (count, count, {})
    again = twinwright("ingest", file, "--contract", "loop", workspace=loop).good
    assert (again["received"], again["duplicate"]) == (count, count)
    assert len(history(loop, "loop", "flow")["values"]) == count + sum(ROWS.values())
    assert len(history(loop, "loop", "anomaly")["values"]) == sum(ROWS.values())
