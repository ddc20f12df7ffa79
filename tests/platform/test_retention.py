"""Raw values past their retention: what goes, what stays, what stands for it, and which questions are refused."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.plant import FILES, workspace
from tests.acceptance.running import write
from tests.storage.postgres_server import Server

from twinwright.clock import HOUR, SECOND, ManualClock, from_iso, to_iso
from twinwright.errors import RefusedError, UsageError, WorkspaceError
from twinwright.governance.principals import SYSTEM
from twinwright.platform.local import LocalPlatform
from twinwright.platform.retention import expire_history
from twinwright.platform.session import Session
from twinwright.telemetry.payloads import Payload

DAY, MINUTE = 24 * HOUR, 60 * SECOND
BEGIN = from_iso("2026-03-01T00:00:00Z")
RULES = '[retention]\nknown_at = "P20D"\n[retention.history]\n"*" = {raw = "P3D", minutes = "P6D", hours = "P30D"}\n'
DRIVE = RULES + '"dtmi:test:Pump;1 drive" = {raw = "P30D"}\n'


class Plant:
    """Pump 1 once in 7 minutes for some days, pump 2 once in all; some values are bad, some corrected."""

    def __init__(self, folder: Path, toml: str) -> None:
        self.folder = workspace(folder)
        self.toml = toml
        rev = (
            FILES["contracts/pump.yaml"]
            .replace("lateness:", "correction: {field: rev}\nlateness:")
            .replace("range: [0, 1600], required: true", "range: [0, 1600]")
        )
        write(self.folder, {"contracts/pump.yaml": rev, "twinwright.toml": toml.split("[retention")[0]})
        self.clock = ManualClock(BEGIN)
        self.platform = LocalPlatform(Session(self.folder, self.clock))
        self.platform.apply()
        self.raw: dict[int, float | None] = {}

    def push(self, *readings: dict[str, Any]) -> Any:
        return self.platform.push("pump", [Payload(json.dumps(one).encode()) for one in readings])

    def feed(self, days: int) -> None:
        rng = random.Random(3)
        for day in range(days):
            self.clock.advance(BEGIN + day * DAY + 23 * HOUR + 59 * MINUTE - self.clock.now())
            made = []
            for time in range(BEGIN + day * DAY, self.clock.now(), 7 * MINUTE):
                value = round(rng.uniform(0, 1700), 2)  # above 1600 it is bad
                made.append({"id": "pump-1", "ts": to_iso(time), "p": value, "u": 1.0})
                self.raw[time] = value if value <= 1600 else None
            self.push(*made)
        self.push({"id": "pump-2", "ts": to_iso(BEGIN + HOUR), "p": 5.0}, {"id": "pump-2", "ts": to_iso(BEGIN + HOUR + MINUTE), "p": 1700})

    def keep(self, toml: str | None = None) -> dict[str, Any]:
        write(self.folder, {"twinwright.toml": toml or self.toml})
        planned = self.platform.plan()
        self.platform.apply()
        return planned

    def expire(self) -> int:
        return expire_history(self.platform.session, threading.Event())

    def window(self, agg: str, every: str, start: int, end: int) -> list[float | None]:
        found = self.platform.history("pump-1", "pressure", start=to_iso(start), end=to_iso(end), every=every, agg=agg)
        return list(found["values"])


@pytest.fixture(params=["duckdb", "postgres"])
def plant(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Plant]:
    toml = RULES
    if request.param == "postgres":
        server: Server = request.getfixturevalue("postgres")
        toml = f'[store]\nengine = "postgres"\ndsn = "{server.dsn()}"\nschema = "{server.schema()}"\n' + RULES
    made = Plant(tmp_path, toml)
    yield made
    made.platform.close()


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path, RULES)
    yield made
    made.platform.close()


def test_windows_are_the_same_when_raw_values_are_gone(plant: Plant) -> None:
    plant.feed(9)
    ask = [(agg, every) for agg in ("mean", "min", "max", "sum", "count", "first", "last") for every in ("PT1H", "P1D")]
    span = BEGIN, BEGIN + 9 * DAY
    before = {one: plant.window(*one, *span) for one in ask}
    facts, counts = plant.platform.state(facts=True), plant.platform.kpi()["counts"]
    size = len(plant.raw)
    assert plant.keep()["deletes"]["readings"] == 5 * 206  # the days before the sixth; pump 2's values are its newest
    assert plant.expire() == 5 * 206
    assert plant.expire() == 0
    for one, wanted in before.items():
        assert plant.window(*one, *span) == pytest.approx(wanted), one
    assert plant.platform.state(facts=True) == facts  # the newest, and the newest good one, stay
    assert plant.platform.kpi()["counts"] == counts
    assert plant.platform.kpi()["retention_overdue"]["met"]
    assert plant.platform.reconcile()["inconsistent"] == 0
    left = plant.platform.history("pump-1", "pressure")
    assert left["expired_before"] == "2026-03-06T00:00:00Z"
    assert len(left["times"]) == size - 5 * 206
    rolled = plant.platform.history("pump-1", "pressure", every="P1D", agg="count")
    assert (rolled["rolled_up"], rolled["unit"]) == (True, None)
    kilo = plant.platform.history("pump-1", "pressure", every="P1D", agg="sum", unit="Pa")["values"]
    assert kilo == pytest.approx([1000 * one for one in before["sum", "P1D"] if one is not None])
    audit = [record.body for record in plant.platform.session.store.records(SYSTEM, "audit") if record.id.startswith("expire-")]
    assert sum(one.get("readings", 0) for one in audit) == 5 * 206


DAILY = """name: daily
revision: 1
interface: dtmi:test:Pump;1
output: {path: pressure}
inputs: {y: {path: pressure, window: {every: P1D, agg: mean}}, z: {path: pressure, window: {every: P1D, agg: count}}}
expression: y * z
"""
HELD = """name: held
revision: 1
interface: dtmi:test:Pump;1
output: {path: drive}
inputs: {u: {path: drive}, n: {path: drive, relationship: feeds, direction: in, across: count}}
expression: u * (1 + coalesce(n, 0))
"""


def derived(plant: Plant) -> dict[str, list[Any]]:
    asked = [("pump-1", "pressure"), ("pump-1", "drive"), ("pump-2", "drive")]
    found = {twin + path: plant.platform.history(twin, path, lane="derived") for twin, path in asked}
    return {name: list(zip(one["times"], one["values"], strict=True)) for name, one in found.items()}


def test_what_was_derived_of_raw_values_that_are_gone_stays(quick: Plant) -> None:
    write(quick.folder, {"derived/daily.yaml": DAILY, "derived/held.yaml": HELD})
    quick.platform.apply()
    quick.feed(9)
    quick.push({"id": "pump-2", "ts": to_iso(BEGIN + HOUR), "u": 4.0})  # its newest, which stays
    before = derived(quick)
    assert len(before["pump-1pressure"]) == 9
    quick.keep()
    quick.expire()
    assert derived(quick) == before
    gone, left = to_iso(BEGIN + DAY + MINUTE), to_iso(BEGIN + 8 * DAY + MINUTE)
    quick.push({"id": "pump-1", "ts": gone, "p": 7.0, "u": 3.0}, {"id": "pump-1", "ts": left, "p": 9.0, "u": 2.0})
    late = derived(quick)
    for name, series in before.items():
        assert [one for one in late[name] if one[0] < left[:10]] == [one for one in series if one[0] < left[:10]], (
            "of the one that came late"
        )
    assert late["pump-1pressure"] != before["pump-1pressure"] and len(late["pump-1drive"]) == len(before["pump-1drive"]) + 1
    quick.push(
        {"id": "pump-2", "ts": to_iso(BEGIN + 8 * DAY), "u": 4.0}, {"id": "pump-1", "ts": to_iso(BEGIN + 6 * DAY + MINUTE), "u": 5.0}
    )
    late = derived(quick)
    assert (to_iso(BEGIN + 6 * DAY + MINUTE), 5.0) in late["pump-1drive"], "nothing is gone of an input that never came"
    more = FILES["twins.yaml"] + "  - {$relationshipId: r2, $sourceId: pump-2, $targetId: pump-1, $relationshipName: feeds}\n"
    daily = DAILY.replace("revision: 1", "revision: 2").replace("y * z", "2 * y * z")
    write(quick.folder, {"twins.yaml": more, "derived/daily.yaml": daily})  # all of both is derived again
    quick.platform.apply()
    again, first = derived(quick), "2026-03-06"
    for name, series in late.items():
        assert [one for one in again[name] if one[0] < first] == [one for one in series if one[0] < first], "raw values are gone"
        assert [one[0] for one in again[name]] == [one[0] for one in series]
    assert [one for one in again["pump-1drive"] if one[0] >= first] != [one for one in late["pump-1drive"] if one[0] >= first]
    assert again["pump-1pressure"][-1][1] == pytest.approx(2 * late["pump-1pressure"][-1][1])


def test_a_shadow_does_not_follow_again_what_is_gone(quick: Plant) -> None:
    lag = (
        FILES["models/lag.yaml"]
        .replace("step: PT5S", "step: PT7M")
        .replace("value: 30, unit: s, bounds: [1, 300]", "value: 3000, unit: s, bounds: [1, 9000]")
    )
    write(quick.folder, {"models/lag.yaml": lag, "shadows/live.yaml": "name: live\nmodel: lag\ntwin: pump-1\n"})
    quick.platform.apply()
    quick.feed(9)
    left = BEGIN + 8 * DAY

    def told() -> dict[str, float]:
        quick.platform.shadow_run()
        found = quick.platform.history("pump-1", "pressure", lane="simulated")
        return dict(zip(found["times"], found["values"], strict=True))

    before = told()
    quick.keep()
    quick.expire()
    quick.push({"id": "pump-1", "ts": to_iso(BEGIN + DAY + MINUTE), "p": 7.0, "u": 9.0})
    assert told() == before
    quick.push({"id": "pump-1", "ts": to_iso(left + MINUTE), "p": 7.0, "u": 9.0})
    after = told()
    changed = [time for time, value in before.items() if after[time] != value]
    assert changed and min(changed) > to_iso(left)


def test_gaps_of_a_time_whose_raw_values_are_gone_are_not_told(quick: Plant) -> None:
    pump = (quick.folder / "contracts/pump.yaml").read_text()
    write(quick.folder, {"contracts/pump.yaml": pump.replace("revision: 1", "revision: 2") + "gap: PT5M\n"})
    quick.platform.apply()
    quick.feed(5)
    every = quick.platform.gaps(start=to_iso(BEGIN))["inconsistent"]
    quick.keep()
    quick.expire()
    assert quick.platform.gaps()["inconsistent"] > 200, "the last day"
    with pytest.raises(RefusedError, match="before 2026-03-02T00:00:00Z is gone, and with it its gaps"):
        quick.platform.gaps(start=to_iso(BEGIN))
    assert 0 < quick.platform.gaps(start="2026-03-02T00:00:00Z")["inconsistent"] < every


def replays(plant: Plant) -> list[int]:
    return [one.number for one in plant.platform.session.store.commits(SYSTEM, first=1, last=999, kind="replay")]


def test_what_is_rolled_up_and_gone_is_not_replayed_by_halves(quick: Plant) -> None:
    quick.feed(9)
    quick.keep()
    quick.expire()
    pump = (quick.folder / "contracts/pump.yaml").read_text()
    write(quick.folder, {"contracts/pump.yaml": pump.replace("revision: 1", "revision: 2").replace("unit: kPa", "unit: Pa")})
    quick.platform.apply()
    said = "received from 2026-03-01T23:59:00Z to 2026-03-09T23:59:00Z are of times whose raw values are gone"
    for dry_run in (True, False):
        with pytest.raises(RefusedError, match=said):
            quick.platform.replay(dry_run=dry_run)
    assert replays(quick) == []
    hours = quick.window("mean", "PT1H", BEGIN, BEGIN + 9 * DAY)
    done = quick.platform.replay(start=to_iso(BEGIN + 5 * DAY), end=to_iso(BEGIN + 8 * DAY))
    assert (done["accepted"], replays(quick)[-1]) == (3 * 206, done["token"])
    assert quick.window("mean", "PT1H", BEGIN, BEGIN + 5 * DAY) == pytest.approx(hours[: 5 * 24])


def test_a_replay_of_all_contracts_is_refused_before_any_is_replayed(quick: Plant) -> None:
    later = FILES["contracts/logger.yaml"].replace("name: logger", "name: zeta") + "journal: positions\n"
    write(quick.folder, {"contracts/zeta.yaml": later})
    quick.platform.apply()
    quick.feed(1)
    quick.platform.push("zeta", [Payload(b"when,kPa\n2026-03-01T10:00:00,5\n")])
    with pytest.raises(RefusedError, match="not in the journal"):
        quick.platform.replay()
    assert replays(quick) == []


def test_minutes_go_after_their_time_and_hours_stay(quick: Plant) -> None:
    quick.feed(9)
    hours = quick.window("mean", "PT1H", BEGIN, BEGIN + 9 * DAY)
    quick.keep()
    quick.expire()
    minutes = BEGIN + 2 * DAY  # P6D before the ninth day's end, at a whole day
    assert quick.window("count", "PT7M", BEGIN + 3 * DAY, BEGIN + 4 * DAY).count(1) > 150
    with pytest.raises(RefusedError, match="only roll-ups of 3600 s"):
        quick.window("count", "PT7M", BEGIN, BEGIN + 4 * DAY)
    with pytest.raises(RefusedError, match="is cut by the time"):
        quick.window("count", "PT1H", BEGIN + MINUTE, BEGIN + 4 * DAY)
    assert quick.window("mean", "PT1H", BEGIN, BEGIN + 9 * DAY) == pytest.approx(hours)
    stored = quick.platform.session.store.rollups(SYSTEM, (1,), "pressure", None, None).to_pylist()
    assert min(one["time"] for one in stored if one["width"] == MINUTE) >= minutes
    assert {one["width"] for one in stored} == {MINUTE, HOUR}


def test_late_and_corrected_values_are_in_the_roll_ups_until_raw_ones_go(quick: Plant) -> None:
    quick.feed(6)
    quick.push(
        {"id": "pump-1", "ts": to_iso(BEGIN + MINUTE), "p": 1.0},
        {"id": "pump-1", "ts": to_iso(BEGIN), "p": 2.0, "rev": 1},
    )
    late = quick.window("sum", "PT1H", BEGIN, BEGIN + HOUR)
    quick.keep()
    quick.expire()
    assert quick.window("sum", "PT1H", BEGIN, BEGIN + HOUR) == pytest.approx(late)
    receipt = quick.push({"id": "pump-1", "ts": to_iso(BEGIN + 2 * MINUTE), "p": 9.0})
    assert (receipt.accepted, receipt.late) == (1, 1)  # it counts, and leaves no trace in what was rolled up
    assert quick.window("sum", "PT1H", BEGIN, BEGIN + HOUR) == pytest.approx(late)
    assert quick.expire() == 1
    assert quick.window("sum", "PT1H", BEGIN, BEGIN + HOUR) == pytest.approx(late)


def test_a_rule_for_one_path_leaves_the_others_alone(quick: Plant) -> None:
    quick.feed(6)
    quick.keep(DRIVE)
    quick.expire()
    assert len(quick.platform.history("pump-1", "drive")["times"]) == len(quick.raw)
    assert "expired_before" not in quick.platform.history("pump-1", "drive")
    assert len(quick.platform.history("pump-1", "pressure")["times"]) < len(quick.raw)
    found = quick.platform.history("pump-1", "drive", known_at=str(quick.platform.status()["commit"] - 3))
    assert len(found["times"]) == len(quick.raw)


def test_what_can_t_be_told_any_more_is_refused(quick: Plant) -> None:
    quick.feed(9)
    commit = str(quick.platform.status()["commit"])
    quick.keep()
    quick.expire()
    gone, kept = to_iso(BEGIN + DAY), to_iso(BEGIN + 8 * DAY)
    with pytest.raises(RefusedError, match="can't be told"):
        quick.platform.state("pump-1", as_of=gone)
    assert quick.platform.state("pump-1", as_of=kept)["pressure"] is not None
    assert quick.platform.state("pump-2", as_of=kept)["$metadata"]["pressure"]["quality"] == "bad"  # its newest, which stays
    with pytest.raises(RefusedError, match="what was known"):
        quick.platform.history("pump-1", "pressure", known_at=commit)
    assert quick.platform.history("pump-1", "pressure", known_at=commit, start=kept)["times"]
    with pytest.raises(RefusedError, match="raw history before"):
        quick.platform.session.served.reads.series(SYSTEM, "pump-1", "pressure", start=BEGIN)


def test_known_at_beyond_the_horizon_is_refused(quick: Plant) -> None:
    quick.feed(1)
    quick.keep()
    last = quick.platform.status()["commit"]
    quick.clock.advance(15 * DAY)
    assert quick.platform.state("pump-1", known_at="2")
    quick.clock.advance(10 * DAY)
    for beyond in ("1", "2", to_iso(BEGIN)):
        with pytest.raises(RefusedError, match="what was known before"):
            quick.platform.state("pump-1", known_at=beyond)
    assert quick.platform.state("pump-1", known_at=str(last))  # what it made known is what is known now


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ('"*" = {raw = "P1Y"}', "twinwright.toml:3"),
        ('"*" = {raw = "PT1H"}', "between P1D"),
        ('"*" = {raw = "P3D", minutes = "P2D"}', "`minutes` has to be longer than `raw`"),
        ('"*" = {minutes = "P2D"}', "raw"),
        ('"*" = {raw = "P3D", seconds = "P5D"}', "seconds"),
        ('"presure" = {raw = "P3D"}', "twinwright.toml:3: there is no interface or path 'presure'"),
        ('"dtmi:test:Pump;1 presure" = {raw = "P3D"}', "no interface or path"),
    ],
)
def test_rules_are_checked_where_they_are_written(tmp_path: Path, rules: str, says: str) -> None:
    folder = write(workspace(tmp_path), {"twinwright.toml": f"[api]\n[retention.history]\n{rules}\n"})
    platform = LocalPlatform.open(folder)
    with pytest.raises(WorkspaceError) as refused:
        platform.plan()
    platform.close()
    assert says in str(refused.value)


def test_windows_of_text_stay_refused(quick: Plant) -> None:
    quick.feed(1)
    with pytest.raises(UsageError, match="text"):
        quick.platform.history("pump-1", "site", every="P1D")
