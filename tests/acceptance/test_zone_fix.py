"""A contract with a wrong zone, mended by its next revision and a replay: what was wrong is retracted, and stays visible in the past."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.running import twinwright, write

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
AHEAD = timedelta(hours=9)  # of Tokyo, which has no summer time
TIMES = [NOW - timedelta(hours=30) + timedelta(minutes=20 * k) for k in range(90)]  # true times, the last 20 minutes ago
METER = """
name: meter
revision: {revision}
twin: meter-1
time: {{field: ts, format: "%Y-%m-%d %H:%M", zone: {zone}}}
skew: {skew}
observations:
  - {{path: energy, field: e, unit: kWh}}
"""
SCHEMA = {
    "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
    "@id": "dtmi:test:Meter;1",
    "@type": "Interface",
    "contents": [{"@type": ["Property", "Energy"], "name": "energy", "schema": "double", "unit": "kilowattHour"}],
}


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Meter:
    """A meter in Tokyo that writes local time, whose contract says at first that it is UTC."""

    def __init__(self, folder: Path, skew: str) -> None:
        self.folder, self.skew = folder, skew
        write(folder, {"twinwright.toml": "", "schema/meter.json": json.dumps(SCHEMA)})
        write(folder, {"twins.yaml": "twins:\n  - {$dtId: meter-1, $metadata: {$model: 'dtmi:test:Meter;1'}}\n"})
        self.contract(1, "UTC")
        lines = [{"ts": (moment + AHEAD).strftime("%Y-%m-%d %H:%M"), "e": float(k)} for k, moment in enumerate(TIMES)]
        lines += [lines[3], {"ts": "noon", "e": 1.0}]  # a duplicate, and one that no zone mends
        write(folder, {"meter.ndjson": "".join(json.dumps(line) + "\n" for line in lines)})
        self.received = len(lines)

    def contract(self, revision: int, zone: str) -> None:
        write(self.folder, {"contracts/meter.yaml": METER.format(revision=revision, zone=zone, skew=self.skew)})

    def do(self, *arguments: str) -> Any:
        return twinwright(*arguments, workspace=self.folder).good

    def ingest(self) -> Any:
        return self.do("ingest", str(self.folder / "meter.ndjson"), "--contract", "meter")

    def mend(self) -> Any:
        self.contract(2, "Asia/Tokyo")
        (change,) = self.do("apply")["changes"]
        assert (change["kind"], change["effect"]) == ("contract", "additive")
        return self.do("replay")

    def history(self, *more: str) -> dict[str, float]:
        answer = self.do("history", "meter-1", "energy", *more)
        return dict(zip(answer["times"], answer["values"], strict=True))

    def conserved(self) -> dict[str, int]:
        counts: dict[str, int] = self.do("kpi")["counts"]
        assert counts["received"] == self.received == counts["accepted"] + counts["duplicate"] + counts["dead_lettered"]
        return counts


TRUTH = {iso(moment): float(k) for k, moment in enumerate(TIMES)}
WRONG = {iso(moment + AHEAD): float(k) for k, moment in enumerate(TIMES)}


def refused_at(wrong: datetime, skew: timedelta) -> bool:
    return wrong > datetime.now(UTC) + skew


@pytest.mark.parametrize(("skew", "hours"), [("PT30S", 0), ("PT12H", 12)], ids=["refusing the future", "believing the future"])
def test_a_replay_under_the_right_zone_retracts_the_wrong_hours(skew: str, hours: int, tmp_path: Path) -> None:
    meter = Meter(tmp_path, skew)
    expected_wrong = {when: value for when, value in WRONG.items() if when <= iso(datetime.now(UTC) + timedelta(hours=hours, seconds=30))}
    first = meter.ingest()
    future = len(WRONG) - len(expected_wrong)
    assert first["dead_lettered"] == {"bad_time": 1, **({"future_time": future} if future else {})}
    assert meter.history() == expected_wrong
    assert (future == 0) == (hours == 12)
    before = meter.do("state", "meter-1", "--facts")
    meter.conserved()

    replayed = meter.mend()
    assert (replayed["received"], replayed["accepted"], replayed["duplicate"]) == (meter.received, len(TRUTH), 1)
    assert replayed["dead_lettered"] == {"bad_time": 1}
    superseded = len(set(expected_wrong) & set(TRUTH))
    assert (replayed["superseded"], replayed["retracted"]) == (superseded, len(expected_wrong) - superseded)
    assert meter.history() == TRUTH
    state = meter.do("state", "meter-1", "--facts")
    assert (state["energy"], state["$metadata"]["energy"]["sourceTime"]) == (float(len(TIMES) - 1), iso(TIMES[-1]))
    assert meter.conserved() == {"received": meter.received, "accepted": len(TRUTH), "duplicate": 1, "dead_lettered": 1}
    assert meter.do("dead-letters", "list")["by_reason"] == {"bad_time": 1}

    token = str(first["token"])
    assert meter.history("--known-at", token) == expected_wrong
    assert meter.do("state", "meter-1", "--facts", "--known-at", token) == before
    assert meter.history("--known-at", str(replayed["token"])) == TRUTH


def test_a_second_replay_changes_nothing_that_anyone_can_see(tmp_path: Path) -> None:
    meter = Meter(tmp_path, "PT12H")
    first = meter.ingest()
    second = meter.mend()
    state, counts = meter.do("state", "--facts"), meter.conserved()
    third = meter.do("replay")
    assert [third[name] for name in ("received", "accepted", "duplicate", "dead_lettered")] == [
        second[name] for name in ("received", "accepted", "duplicate", "dead_lettered")
    ]
    assert meter.do("state", "--facts") == state
    assert meter.conserved() == counts
    assert meter.history() == TRUTH
    assert meter.history("--known-at", str(first["token"])) == WRONG
    assert meter.history("--known-at", str(second["token"])) == TRUTH
    assert meter.do("reconcile")["inconsistent"] == 0


def test_a_replay_of_a_window_leaves_what_came_outside_it(tmp_path: Path) -> None:
    meter = Meter(tmp_path, "PT12H")
    meter.ingest()
    border = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    late = (TIMES[-1] + timedelta(minutes=10) + AHEAD).strftime("%Y-%m-%d %H:%M")
    write(tmp_path, {"late.ndjson": json.dumps({"ts": late, "e": -1.0}) + "\n"})
    meter.do("ingest", str(tmp_path / "late.ndjson"), "--contract", "meter")
    meter.received += 1
    meter.contract(2, "Asia/Tokyo")
    meter.do("apply")
    replayed = meter.do("replay", "--to", border)
    assert replayed["received"] == meter.received - 1
    wrong = iso(TIMES[-1] + timedelta(minutes=10) + AHEAD)
    assert meter.history() == {**TRUTH, wrong: -1.0}
    meter.conserved()
    rest = meter.do("replay", "--from", border, "--contract", "meter")
    assert (rest["received"], rest["accepted"], rest["retracted"]) == (1, 1, 1)
    assert meter.history() == {**TRUTH, iso(TIMES[-1] + timedelta(minutes=10)): -1.0}
    meter.conserved()


def test_the_same_file_once_more_after_the_replay_is_all_duplicates(tmp_path: Path) -> None:
    meter = Meter(tmp_path, "PT12H")
    meter.ingest()
    meter.mend()
    facts = meter.do("state", "--facts")
    again = meter.ingest()
    assert (again["accepted"], again["duplicate"], again["dead_lettered"]) == (0, meter.received - 1, {"bad_time": 1})
    assert meter.do("state", "--facts") == facts
    assert meter.history() == TRUTH
