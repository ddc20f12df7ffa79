"""Migrations of twins that live: two versions at once, old history through the new interface, back again, and killed half-way."""

from __future__ import annotations

import json
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.running import write

from twinwright.errors import NotFoundError, RefusedError, UsageError, WorkspaceError
from twinwright.governance.principals import LOCAL_ADMIN, SYSTEM
from twinwright.platform.local import LocalPlatform
from twinwright.platform.migrating import place_of
from twinwright.telemetry.payloads import Payload
from twinwright.twins.query.catalogue import Catalogue

OLD, NEW = "dtmi:test:Pump;1", "dtmi:test:Pump;2"


def interface(dtmi: str, *contents: dict[str, Any]) -> str:
    return json.dumps({"@context": "dtmi:dtdl:context;2", "@type": "Interface", "@id": dtmi, "contents": list(contents)})


def number(name: str, kind: str = "", unit: str = "", schema: str = "double") -> dict[str, Any]:
    typed = {"@type": ["Property", kind], "unit": unit} if kind else {"@type": "Property"}
    return {**typed, "name": name, "schema": schema}


V1 = (
    number("temperature", "Temperature", "kelvin"),
    number("pressure", "Pressure", "kilopascal"),
    number("code", schema="string"),
    number("serial", schema="string"),
    number("tag", schema="string"),
    number("speed", "AngularVelocity", "revolutionPerMinute"),
)
V2 = (
    number("temp", "Temperature", "degreeCelsius"),
    number("pressure", "Pressure", "bar"),
    number("level", schema="integer"),
    number("site", schema="string"),
    number("hot", schema="boolean"),
    number("size", schema="integer"),
    {"@type": "Component", "name": "motor", "schema": "dtmi:test:Motor;1"},
)
MIGRATION = f"""
name: pump-2
from: {OLD}
to: {NEW}
steps:
  - {{rename: temperature, to: temp}}
  - {{unit: temperature, to: degC}}
  - {{unit: pressure, to: bar}}
  - {{retype: code, to: level, as: number(code) * 10, back: 'if level > 15 then "2" else "1"'}}
  - {{split: tag, into: {{hot: 'starts_with(tag, "H")', size: length(tag)}}}}
  - {{move: speed, to: motor/speed}}
  - {{default: site, value: north}}
  - {{drop: serial}}
"""
CONTRACT_1 = """
name: first
time: {field: t, format: epoch_s}
twin: "{id}"
observations:
  - {path: temperature, field: temp, unit: K}
  - {path: pressure, field: p, unit: kPa}
  - {path: code, field: code}
  - {path: serial, field: serial}
  - {path: tag, field: tag}
  - {path: speed, field: rpm, unit: rpm}
"""
CONTRACT_2 = """
name: second
time: {field: t, format: epoch_s}
twin: "{id}"
observations:
  - {path: temp, field: c, unit: degC}
  - {path: pressure, field: bar, unit: bar}
  - {path: level, field: level}
  - {path: motor/speed, field: rpm, unit: rpm}
"""
TWINS = [f"p{index}" for index in range(6)]


def old_plant(folder: Path) -> Path:
    twins = "".join(f"  - {{$dtId: {twin}, $metadata: {{$model: '{OLD}'}}}}\n" for twin in TWINS)
    write(
        folder,
        {
            "twinwright.toml": "",
            "schema/pump.json": interface(OLD, *V1),
            "twins.yaml": f"twins:\n{twins}",
            "contracts/first.yaml": CONTRACT_1,
        },
    )
    return folder


def with_migration(folder: Path, text: str = MIGRATION) -> None:
    motor = interface("dtmi:test:Motor;1", number("speed", "AngularVelocity", "revolutionPerMinute"))
    write(folder, {"schema/motor.json": motor, "schema/pump2.json": interface(NEW, *V2), "migrations/pump-2.yaml": text})


def push_old(platform: LocalPlatform, time: int, twin: str = "p0", code: str = "1") -> None:
    body = {"id": twin, "t": time, "temp": 300.0 + time, "p": 100.0 + time, "code": code, "serial": "s", "tag": "Hot", "rpm": 60.0}
    assert platform.push("first", [Payload(json.dumps(body).encode())]).accepted == 1


def push_new(platform: LocalPlatform, time: int, twin: str = "p0", level: int = 20) -> None:
    body = {"id": twin, "t": time, "c": 26.85 + time, "bar": 1.0 + time / 100, "level": level, "rpm": 120.0}
    assert platform.push("second", [Payload(json.dumps(body).encode())]).accepted == 1


def values(platform: LocalPlatform, path: str, **options: Any) -> list[Any]:
    return [round(one, 6) if isinstance(one, float) else one for one in platform.history("p0", path, **options)["values"]]


def test_old_and_new_are_both_right_before_and_after_and_back(tmp_path: Path) -> None:
    folder = old_plant(tmp_path)
    platform = LocalPlatform.open(folder)
    platform.apply()
    push_old(platform, 1)
    with_migration(folder)
    write(folder, {"contracts/second.yaml": CONTRACT_2})

    planned = platform.plan()
    (migration,) = planned["migrations"]
    assert (migration["twins"], migration["left"], planned["breaking"]) == (6, 0, False)
    steps = {step["step"]: step for step in migration["steps"]}
    assert steps["rename temperature to temp"]["observations"] == 1
    assert "x 0.01" in steps["unit pressure to bar"]["clients"]
    platform.apply()
    assert platform.plan()["changes"] == []

    push_old(platform, 2, code="2")  # clients of either version go on
    push_new(platform, 3)
    for again in (False, True):
        if again:
            platform.close()
            platform = LocalPlatform.open(folder)
        assert platform.state("p0")["$metadata"]["$model"] == NEW
        assert values(platform, "temp") == [27.85, 28.85, 29.85]
        assert values(platform, "pressure") == [1.01, 1.02, 1.03]
        assert values(platform, "pressure", interface=OLD) == [101.0, 102.0, 103.0]
        assert values(platform, "temperature") == [301.0, 302.0, 303.0]
        assert values(platform, "level") == [10, 20, 20]
        assert (values(platform, "hot"), values(platform, "size")) == ([True, True], [3, 3])
        assert values(platform, "code") == ["1", "2", "2"]
        assert values(platform, "motor/speed") == [60.0, 60.0, 120.0]
        assert values(platform, "temp", every="PT1H", agg="max") == [29.85]
        shown = platform.state("p0")
        assert {name: shown[name] for name in ("temp", "level", "site")} == {"temp": pytest.approx(29.85), "level": 20, "site": "north"}
        assert shown["motor"]["speed"] == 120.0
        assert "serial" not in shown and "temperature" not in shown
        before = platform.state("p0", interface=OLD)
        assert (before["$metadata"]["$model"], before["code"], before["serial"], before["speed"]) == (OLD, "2", "s", 120.0)
        assert before["temperature"] == pytest.approx(303.0)
        assert platform.state("p0", as_of="1970-01-01T00:00:01Z")["temperature"] == pytest.approx(301.0)
        assert platform.state("p0", as_of="1970-01-01T00:00:01Z", interface=NEW)["temp"] == pytest.approx(27.85)
        found = platform.query("SELECT T.temp, T.level FROM DIGITALTWINS T WHERE T.level = 20")["value"]
        assert found == [{"temp": pytest.approx(29.85), "level": 20}]
        by_old_names = f"SELECT T.speed AS s FROM DIGITALTWINS T WHERE IS_OF_MODEL(T, '{OLD}') AND T.speed > 100"
        assert platform.query(by_old_names)["value"] == [{"s": 120.0}]
        window = "SELECT T.$dtId, HISTORY(T.speed, 'P36500D', 'min') AS low FROM DIGITALTWINS T WHERE T.speed > 0"
        assert platform.query(window)["value"] == [{"$dtId": "p0", "low": 60.0}]
        then = "SELECT T.speed, T.temperature AS k FROM DIGITALTWINS T WHERE T.speed > 0 AS OF '1970-01-01T00:00:01Z'"
        assert platform.query(then)["value"] == [{"speed": 60.0, "k": 301.0}]
        moved = platform.graph_diff("1970-01-01T00:00:01Z", event_time=True, kind="twin")["value"][0]["properties"]
        assert moved["$model"] == {"before": OLD, "after": NEW} and moved["motor/speed"] == {"before": 60.0, "after": 120.0}
        assert platform.query(f"SELECT T FROM DIGITALTWINS T WHERE IS_OF_MODEL(T, '{OLD}', exact)")["value"] == []
        assert platform.query("SELECT T.temperature AS k FROM DIGITALTWINS T WHERE T.temperature > 302.5")["value"] == [{"k": 303.0}]
    assert {one["$metadata"]["$model"] for one in platform.state()["value"]} == {NEW}

    with_migration(folder, MIGRATION + "share: 0\n")  # back, while the old version is kept
    assert platform.plan()["migrations"][0]["back"] == 6
    platform.apply()
    assert platform.state("p0")["$metadata"]["$model"] == OLD
    assert values(platform, "temperature") == [301.0, 302.0, 303.0]
    assert values(platform, "code") == ["1", "2", "2"]
    push_old(platform, 4)
    push_new(platform, 5, level=20)
    assert values(platform, "temperature") == [301.0, 302.0, 303.0, 304.0, 305.0]

    with_migration(folder)
    platform.apply()
    assert values(platform, "temp") == [27.85, 28.85, 29.85, 30.85, 31.85]
    kept = platform.history("p0", "temp", known_at="1")
    assert kept["values"] == []
    platform.close()


def test_a_query_as_a_version_has_its_names_and_units_wherever_the_twins_are(tmp_path: Path) -> None:
    platform = LocalPlatform.open(old_plant(tmp_path))
    platform.apply()
    with_migration(tmp_path)
    write(tmp_path, {"contracts/second.yaml": CONTRACT_2})
    columns = "T.$dtId AS id, T.temperature AS k, T.pressure, T.code, HISTORY(T.pressure, 'P36500D', 'last') AS p"
    old = f"SELECT {columns} FROM DIGITALTWINS T WHERE IS_OF_MODEL(T, '{OLD}') AND T.pressure > 100"
    new = "SELECT T.$dtId AS id, T.temp, T.pressure, T.level, T.motor.speed FROM DIGITALTWINS T WHERE T.pressure < 1.3 AND T.temp > 26"
    for step, share in enumerate((0.0, 0.4, 0.8, 1.0, 0.4, 0.0)):
        with_migration(tmp_path, MIGRATION + f"share: {share}\n")
        platform.apply()
        for twin in TWINS:
            push_old(platform, 2 * step, twin)
            push_new(platform, 2 * step + 1, twin, level=10)
        for _ in range(2):  # anew, and kept in step
            found = platform.query(old, interface=OLD)["value"]
            assert [one["id"] for one in found] == TWINS
            assert all(one["p"] == pytest.approx(one["pressure"]) and one["code"] == "1" for one in found)
            theirs = {one["id"]: one for one in platform.query(new, interface=NEW)["value"]}
            assert sorted(theirs) == TWINS and all((one["level"], one["speed"]) == (10, 120.0) for one in theirs.values())
            for one in found:
                assert theirs[one["id"]]["temp"] == pytest.approx(one["k"] - 273.15)
                assert theirs[one["id"]]["pressure"] == pytest.approx(one["pressure"] / 100)
        shown = platform.query("SELECT T FROM DIGITALTWINS T", interface=OLD)["value"]
        assert {one["T"]["$metadata"]["$model"] for one in shown} == {OLD}
    page = platform.query("SELECT T.$dtId AS id FROM DIGITALTWINS T", interface=OLD, max_items=4)
    rest = platform.query("", continuation=page["continuationToken"], interface=OLD)
    assert [one["id"] for one in (*page["value"], *rest["value"])] == TWINS
    with pytest.raises(UsageError, match="another version"):
        platform.query("", continuation=page["continuationToken"])
    with pytest.raises(NotFoundError, match="dtmi:test:Pump;7"):
        platform.query("SELECT T FROM DIGITALTWINS T", interface="dtmi:test:Pump;7")
    platform.close()


NUMBERS = {  # the version in whose units each is answered
    "SELECT T.$dtId AS id, T.pressure AS v FROM DIGITALTWINS T WHERE T.pressure > 1.02": NEW,
    "SELECT T.$dtId AS id, T.temp AS v FROM DIGITALTWINS T WHERE T.temp > 28.5": NEW,
    "SELECT T.$dtId AS id, T.temperature AS v FROM DIGITALTWINS T WHERE T.temperature > 301.7": OLD,
    f"SELECT T.$dtId AS id, T.pressure AS v FROM DIGITALTWINS T WHERE IS_OF_MODEL(T, '{OLD}') AND T.pressure > 102": OLD,
    f"SELECT T.$dtId AS id, T.pressure AS v FROM DIGITALTWINS T WHERE IS_OF_MODEL(T, '{NEW}') AND T.pressure >= 1.02": NEW,
    "SELECT T.$dtId AS id, T.motor.speed AS v FROM DIGITALTWINS T WHERE T.motor.speed = 120 OR T.speed = 60": NEW,
    "SELECT T.$dtId AS id, HISTORY(T.pressure, 'P36500D', 'last') AS v FROM DIGITALTWINS T WHERE T.pressure IN [1.03, 1.05, 9]": NEW,
    f"SELECT T.$dtId AS id, HISTORY(T.temperature, 'P36500D', 'last') AS v FROM DIGITALTWINS T WHERE IS_OF_MODEL(T, '{OLD}')": OLD,
    "SELECT T.$dtId AS id, T.pressure + 1 bar AS v FROM DIGITALTWINS T WHERE T.pressure < 103.5 kPa ORDER BY T.pressure DESC": NEW,
}


def _numbers(platform: LocalPlatform) -> dict[str, list[tuple[str, float]]]:
    found = {text: platform.query(text)["value"] for text in NUMBERS}
    return {text: [(one["id"], round(one.get("v", 0.0), 6)) for one in rows] for text, rows in found.items()}


def _staged(folder: Path) -> tuple[LocalPlatform, dict[str, list[tuple[str, float]]]]:
    """Twins of both versions with a value each from either contract, and what is answered before any of them is moved."""
    platform = LocalPlatform.open(old_plant(folder))
    platform.apply()
    with_migration(folder, MIGRATION + "share: 0\n")
    write(folder, {"contracts/second.yaml": CONTRACT_2})
    platform.apply()
    for step, twin in enumerate(TWINS):
        push_old(platform, step, twin) if step % 2 else push_new(platform, step, twin)
    return platform, _numbers(platform)


def test_numbers_of_a_query_are_in_one_unit_while_twins_are_moved(tmp_path: Path) -> None:
    platform, before = _staged(tmp_path)
    assert len(before[next(iter(NUMBERS))]) == 3 and all(before.values())
    for text, version in NUMBERS.items():
        path = text.split("T.$dtId AS id, ")[1].replace("HISTORY(", "").removeprefix("T.").split(" ")[0].strip(",")
        path = path.replace("T.", "").replace(".", "/")
        for id, value in before[text]:
            told = platform.history(id, path, interface=version)["values"][-1]
            assert value == pytest.approx(told + ("+ 1 bar" in text)), text
    for share in (0.4, 1.0, 0.4):
        with_migration(tmp_path, MIGRATION + f"share: {share}\n")
        platform.apply()
        assert _numbers(platform) == before
    every = "SELECT T FROM DIGITALTWINS T"
    with pytest.raises(UsageError, match="'pressure' of some of the twins is in bar, of others in kPa"):
        platform.update(every, set={"pressure": 2})
    assert platform.update(every, set={"pressure": "2 bar"})["changed"] == len(TWINS)
    told = platform.query("SELECT T.pressure AS v FROM DIGITALTWINS T")["value"]
    assert [one["v"] for one in told] == pytest.approx([2.0] * len(TWINS))
    platform.close()


@pytest.mark.parametrize("where", ["told_in", "_called"])
def test_numbers_in_the_unit_of_each_twin_are_caught(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    platform, before = _staged(tmp_path)
    own = {
        "told_in": lambda self, steps, places, named: {place.model: place.unit for place in places},
        "_called": lambda self, number, dtmi, steps: self._on(number, dtmi, "", steps),
    }
    monkeypatch.setattr(Catalogue, where, own[where])
    with_migration(tmp_path, MIGRATION + "share: 0.4\n")
    platform.apply()
    assert _numbers(platform) != before
    platform.close()


def test_a_query_while_twins_are_moved_finds_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask() -> list[str]:
        return [one["id"] for one in platform.query("SELECT T.$dtId AS id FROM DIGITALTWINS T WHERE T.pressure > 0")["value"]]

    platform = LocalPlatform.open(old_plant(tmp_path))
    platform.apply()
    for twin in TWINS:
        push_old(platform, 1, twin)
    assert len(ask()) == len(TWINS)
    with_migration(tmp_path)
    serve, found = platform.session._serving._make, []

    def serve_while_somebody_asks() -> Any:
        asking.start()
        asking.join(1.0)  # it has read the store as it is now, or waits for what is served
        return serve()

    asking = threading.Thread(target=lambda: found.extend(ask()))
    monkeypatch.setattr(platform.session._serving, "_make", serve_while_somebody_asks)
    platform.apply()
    asking.join()
    assert sorted(found) == TWINS
    platform.close()


def test_a_share_takes_some_and_a_greater_one_more(tmp_path: Path) -> None:
    platform = LocalPlatform.open(old_plant(tmp_path))
    platform.apply()
    before: set[str] = set()
    for share in (0.0, 0.4, 0.8, 1.0):
        with_migration(tmp_path, MIGRATION + f"share: {share}\n")
        platform.apply()
        moved = {one["$dtId"] for one in platform.state()["value"] if one["$metadata"]["$model"] == NEW}
        assert before <= moved
        before = moved
        push_old(platform, int(share * 10))
    assert before == set(TWINS)
    assert len(values(platform, "temp")) == 4
    platform.close()


def test_twins_go_back_over_several_versions_at_once_and_none_stays_ahead_of_an_earlier_one(tmp_path: Path) -> None:
    folder, third = old_plant(tmp_path), "dtmi:test:Pump;3"
    platform = LocalPlatform.open(folder)
    platform.apply()
    push_old(platform, 1)
    later = tuple({**one, "name": "force"} if one["name"] == "pressure" else one for one in V2)
    for shares in ((1.0, 1.0), (0.0, 0.0), (1.0, 0.6), (0.3, 0.6), (1.0, 1.0), (0.0, 1.0), (0.8, 0.0), (0.0, 0.0)):
        with_migration(folder, MIGRATION + f"share: {shares[0]}\n")
        text = f"name: pump-3\nfrom: {NEW}\nto: {third}\nshare: {shares[1]}\nsteps:\n  - {{rename: pressure, to: force}}\n"
        write(folder, {"schema/pump3.json": interface(third, *later), "migrations/pump-3.yaml": text})
        platform.apply()
        found = {one["$dtId"]: one["$metadata"]["$model"] for one in platform.state()["value"]}
        wanted = {
            twin: next((dtmi for dtmi, share in zip((OLD, NEW), shares, strict=True) if place_of(twin) >= share), third) for twin in TWINS
        }
        assert found == wanted, shares
        assert platform.plan()["migrations"] == []
        assert values(platform, "force", interface=third) == [1.01]
        assert values(platform, "pressure", interface=OLD) == [101.0]
    platform.close()


def test_an_apply_that_is_stopped_half_way_has_done_nothing_and_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from twinwright.platform import migrating

    platform = LocalPlatform.open(old_plant(tmp_path))
    platform.apply()
    push_old(platform, 1)
    with_migration(tmp_path)
    whole = migrating.write

    def half(transaction: Any, *rest: Any) -> None:
        whole(transaction, *rest)
        raise KeyboardInterrupt  # after all was written, before the commit

    monkeypatch.setattr(migrating, "write", half)
    with pytest.raises(KeyboardInterrupt):
        platform.apply()
    platform.close()
    monkeypatch.undo()
    platform = LocalPlatform.open(tmp_path)
    assert platform.state("p0")["$metadata"]["$model"] == OLD
    push_old(platform, 2)
    platform.apply()
    assert values(platform, "temp") == [27.85, 28.85]
    platform.close()


def _feeding(unit: str) -> dict[str, Any]:
    length = {"@type": ["Property", "Length"], "name": "length", "schema": "double", "unit": unit}
    return {"@type": "Relationship", "name": "feeds", "target": OLD, "properties": [length]}


def test_relationships_lead_to_twins_of_either_version(tmp_path: Path) -> None:
    write(old_plant(tmp_path), {"schema/pump.json": interface(OLD, *V1, _feeding("metre"))})
    platform = LocalPlatform.open(tmp_path)
    platform.apply()
    platform.put_relationship("p0", "before", {"$targetId": "p1", "$relationshipName": "feeds", "length": 1.0})
    motor = interface("dtmi:test:Motor;1", number("speed", "AngularVelocity", "revolutionPerMinute"))
    files = {"schema/motor.json": motor, "migrations/pump-2.yaml": MIGRATION}
    write(tmp_path, {**files, "schema/pump2.json": interface(NEW, *V2, _feeding("centimetre"))})
    with pytest.raises(WorkspaceError, match="'length' of 'feeds' is in cm and no longer in m"):
        platform.apply()
    write(tmp_path, {"schema/pump2.json": interface(NEW, *V2, _feeding("metre"))})
    platform.apply()
    assert {one["$metadata"]["$model"] for one in platform.state()["value"]} == {NEW}
    platform.put_relationship("p1", "after", {"$targetId": "p2", "$relationshipName": "feeds", "length": 2.0})
    platform.patch_relationship("p0", "before", [{"op": "replace", "path": "/length", "value": 3.0}])
    text = "SELECT B.$dtId AS id FROM DIGITALTWINS A JOIN B RELATED A.feeds R WHERE A.$dtId = 'p0' AND R.length > 250 cm"
    assert platform.query(text)["value"] == [{"id": "p1"}]
    platform.close()


def test_a_version_is_retired_once_nothing_uses_it_and_its_history_stays(tmp_path: Path) -> None:
    platform = LocalPlatform.open(old_plant(tmp_path))
    platform.apply()
    push_old(platform, 1)
    with pytest.raises(RefusedError, match=r"twin 'p0' is of it.*contract 'first' observes"):
        platform.retire_interface(OLD)
    derived = f"name: warm\ninterface: {OLD}\noutput: {{path: speed}}\ninputs: {{s: {{path: speed}}}}\nexpression: s\n"
    with_migration(tmp_path)
    write(tmp_path, {"contracts/second.yaml": CONTRACT_2, "derived/warm.yaml": derived})
    platform.apply()
    push_old(platform, 2)
    assert values(platform, "speed", lane="derived") == [60.0, 60.0]
    with pytest.raises(RefusedError, match=r"contract 'first' observes temperature.*derived value 'warm' is of it.*declared as it"):
        platform.retire_interface(OLD)
    (tmp_path / "contracts/first.yaml").unlink()
    (tmp_path / "derived/warm.yaml").unlink()
    write(tmp_path, {"twins.yaml": (tmp_path / "twins.yaml").read_text().replace(OLD, NEW)})
    platform.apply()
    assert platform.retire_interface(OLD)["retired"] is True
    assert [one["data"]["modelId"] for one in events(platform, filter="type = 'Twinwright.Interface.Retire'")] == [OLD]
    for _ in range(2):
        assert values(platform, "temp") == [27.85, 28.85]
        with pytest.raises(NotFoundError, match="retired"):
            platform.state("p0", interface=OLD)
        with pytest.raises(NotFoundError, match="no path 'temperature'"):
            platform.history("p0", "temperature")
        platform.close()
        platform = LocalPlatform.open(tmp_path)
    write(tmp_path, {"contracts/first.yaml": CONTRACT_1})
    with pytest.raises(RefusedError, match="temperature"):
        platform.apply()
    (tmp_path / "contracts/first.yaml").unlink()
    (tmp_path / "migrations/pump-2.yaml").unlink()
    with pytest.raises(RefusedError, match="history of the old version is read through it"):
        platform.apply()
    platform.close()


def events(platform: LocalPlatform, after: int = 0, filter: str | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    place = str(after)
    while True:
        page = platform.events(place=place, filter=filter)
        found += [one["event"] for one in page["events"]]
        place = page["place"]
        if page["through"] >= page["last"]:
            return found


def test_a_migration_is_told_twin_by_twin_and_what_came_before_it_in_the_names_of_then(tmp_path: Path) -> None:
    platform = LocalPlatform.open(old_plant(tmp_path))
    platform.apply()
    push_old(platform, 1)
    push_old(platform, 2, "p1")
    before = events(platform)
    assert {step["path"] for step in before[-1]["data"]["patch"]} >= {"/temperature", "/speed"}
    last = platform.session.store.last_commit(SYSTEM)
    shares = (0.5, 0.9, 0.0)
    moved: list[set[str]] = [set()]
    for share in shares:
        with_migration(tmp_path, MIGRATION + f"share: {share}\n")
        platform.apply()
        moved.append({one["$dtId"] for one in platform.state()["value"] if one["$metadata"]["$model"] == NEW})
        push_old(platform, 10 + int(share * 10))
    for again in (False, True):
        if again:
            platform.close()
            platform = LocalPlatform.open(tmp_path)
        every = events(platform)
        assert every[: len(before)] == before  # whenever they are read
        told = [one for one in every[len(before) :] if one["type"] == "Twinwright.Twin.Migration"]
        for index, (was, now) in enumerate(pairwise(moved)):
            stage = [one for one in every if one["type"] == "Twinwright.Migration.Stage"][index]
            mine = [one for one in told if one["sequence"] == stage["sequence"]]
            assert sorted(one["subject"] for one in mine) == sorted(was ^ now) == sorted(one["partitionkey"] for one in mine)
            ends = (NEW, OLD) if was > now else (OLD, NEW)
            assert all((one["data"]["from"], one["data"]["to"], one["data"]["modelId"]) == (*ends, ends[1]) for one in mine)
            counts = {"share": shares[index], "twins": len(now - was), "back": len(was - now), "left": len(TWINS) - len(now)}
            assert stage["data"] == {"migration": "pump-2", "from": OLD, "to": NEW, **counts}
        assert [one["data"]["modelId"] for one in every if one.get("datasource") == "first"] == [OLD, OLD, *_model_of_p0(moved)]
        assert len({one["id"] for one in every}) == len(every)
        back = events(platform, last, "type = 'Twinwright.Twin.Migration' AND $body.rolledBack = true")
        assert {one["subject"] for one in back} == moved[2]
        assert events(platform, int(every[-2]["sequence"])) == [one for one in every if one["sequence"] > every[-2]["sequence"]]
    platform.close()


def test_who_still_uses_which_version_is_told_until_the_old_one_can_be_retired(tmp_path: Path) -> None:
    folder = old_plant(tmp_path)
    platform = LocalPlatform.open(folder)
    platform.apply()
    assert platform.schema_versions() == []
    with_migration(folder, MIGRATION + "share: 0.5\n")
    write(folder, {"contracts/second.yaml": CONTRACT_2})
    platform.apply()
    push_old(platform, 1)
    push_old(platform, 2)
    push_new(platform, 3)
    client = platform.as_principal(LOCAL_ADMIN)
    client.state("p0", interface=OLD)
    client.history("p0", "temperature")  # a name that only the old one has
    client.query("SELECT T.temp FROM DIGITALTWINS T", interface=NEW)
    platform.state("p0", interface=NEW)
    (moved,) = [one["$dtId"] for one in platform.state(interface=NEW)["value"] if one["$dtId"] == "p0"]
    with pytest.raises(NotFoundError):
        client.history(moved, "serial", interface=NEW)
    of_twin = platform.state("p0")["$metadata"]["$model"]
    client.patch_twin("p0", [{"op": "replace", "path": "/pressure", "value": 2.0}])
    old, new = platform.schema_versions()
    counts = [sum(place_of(twin) >= 0.5 for twin in TWINS), sum(place_of(twin) < 0.5 for twin in TWINS)]
    assert [one["twins"] for one in (old, new)] == counts
    assert (old["readings"], new["readings"]) == ({"first": 2}, {"second": 1})
    assert (old["share"], new["share"], new["migration"]) == (None, 0.5, "pump-2")
    assert old["reads"] == {"api": 2, "owner": int(of_twin == OLD)} and new["reads"] == {"api": 1, "owner": 2 + int(of_twin == NEW)}
    assert (old["errors"], new["errors"]) == (0, 1) and old["last_used"] is not None
    assert {OLD: old, NEW: new}[of_twin]["writes"] == {"api": 1, "owner": 0}
    assert any("contract 'first' observes temperature" in one for one in old["in_use"])
    told = platform.metrics().decode()
    for line in (
        f'twinwright_migration_twins{{migration="pump-2",side="left"}} {counts[0]}.0',
        f'twinwright_migration_twins{{migration="pump-2",side="moved"}} {counts[1]}.0',
        'twinwright_migration_share{migration="pump-2"} 0.5',
        f'twinwright_contract_version{{contract="first",interface="{OLD}"}} 1.0',
        f'twinwright_version_uses_total{{client="api",interface="{OLD}",what="history"}} 1.0',
        f'twinwright_version_errors_total{{client="api",interface="{NEW}",what="history"}} 1.0',
    ):
        assert line in told, line
    with_migration(folder)
    platform.apply()
    assert f'twinwright_migration_twins{{migration="pump-2",side="moved"}} {len(TWINS)}.0' in platform.metrics().decode()
    platform.close()


def _model_of_p0(moved: list[set[str]]) -> list[str]:
    return [NEW if "p0" in names else OLD for names in moved[1:]]


WRONG = {
    "unknown_interface": ("Pump;2\n", "Pump;3\n"),
    "unknown_path": ("rename: temperature", "rename: temperatur"),
    "path_lost": ("  - {drop: serial}\n", ""),
    "unit_not_told": ("  - {unit: pressure, to: bar}\n", ""),
    "wrong_unit": ("{unit: pressure, to: bar}", "{unit: pressure, to: Pa}"),
    "other_quantity": ("{rename: temperature, to: temp}", "{rename: speed, to: temp}"),
    "other_paths": ("number(code) * 10", "number(code) * number(serial)"),
    "wrong_type": ("as: number(code) * 10", "as: upper(code)"),
    "bad_expression": ("as: number(code) * 10", "as: number(code *"),
    "bad_value": ("value: north", "value: 3"),
    "name_taken": ("{drop: serial}", "{drop: pressure}"),
    "no_component": ("{rename: temperature, to: temp}", "{move: temperature, to: temp}"),
    "value_error": ("{drop: serial}", "{drop: serial, rename: code}"),
}


@pytest.mark.parametrize(("code", "old", "new"), [(code, *change) for code, change in WRONG.items()], ids=WRONG)
def test_what_is_wrong_with_a_migration_is_told_with_its_line_and_what_to_do(code: str, old: str, new: str, tmp_path: Path) -> None:
    from twinwright.workspace import load_workspace

    with_migration(old_plant(tmp_path), MIGRATION)
    load_workspace(tmp_path)
    assert old in MIGRATION
    with_migration(tmp_path, MIGRATION.replace(old, new))
    with pytest.raises(WorkspaceError) as raised:
        load_workspace(tmp_path)
    found = [problem for problem in raised.value.problems if problem.file == "migrations/pump-2.yaml"]
    assert code in {problem.code for problem in found}
    assert all(problem.line and problem.remedy for problem in found)
