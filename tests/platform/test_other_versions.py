"""Clients that write as another version of an interface than a twin is of: in their names and units, before it is moved and after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.running import write
from tests.platform.test_migrations import (
    CONTRACT_2,
    MIGRATION,
    NEW,
    OLD,
    V1,
    events,
    interface,
    number,
    old_plant,
    push_new,
    push_old,
    with_migration,
)

from twinwright.errors import (
    InvalidTwinError,
    JsonPatchError,
    ModelDecommissionedError,
    NotFoundError,
    PreconditionFailedError,
    TwinwrightError,
    UsageError,
)
from twinwright.governance.principals import SYSTEM
from twinwright.platform.local import LocalPlatform
from twinwright.storage.layout import Selection


def staged(platform: LocalPlatform, folder: Path, share: float) -> None:
    with_migration(folder, MIGRATION + f"share: {share}\n")
    platform.apply()


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[LocalPlatform]:
    platform = LocalPlatform.open(old_plant(tmp_path))
    platform.apply()
    write(tmp_path, {"contracts/second.yaml": CONTRACT_2})
    staged(platform, tmp_path, 1.0)
    yield platform
    platform.close()


def put(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


def told(platform: LocalPlatform, *paths: str, interface: str, twin: str = "p0") -> list[Any]:
    """Values of a document as of a version; None for what is not in it."""
    document, found = platform.state(twin, interface=interface), []
    for path in paths:
        part: Any = document
        for name in path.split("/"):
            part = part.get(name) if isinstance(part, dict) else None
        found.append(round(part, 6) if isinstance(part, float) else part)
    return found


OLD_PATHS, NEW_PATHS = ("temperature", "pressure", "code", "speed"), ("temp", "pressure", "level", "motor/speed")


def test_an_old_client_writes_in_its_names_and_units_whichever_version_the_twin_is_of(platform: LocalPlatform, tmp_path: Path) -> None:
    for step, share in enumerate((1.0, 0.0, 1.0)):  # moved, rolled back, and moved again
        staged(platform, tmp_path, share)
        push_old(platform, step + 1)
        values = (300.0 + step, 150.0 + step, str(step), 60.0 + step)
        patch = [put(f"/{path}", value) for path, value in zip(OLD_PATHS, values, strict=True)]
        platform.patch_twin("p0", patch, interface=OLD)
        assert told(platform, *OLD_PATHS, interface=OLD) == list(values)
        converted = [round(26.85 + step, 6), round(1.5 + step / 100, 6), step * 10, 60.0 + step]
        assert told(platform, *NEW_PATHS, interface=NEW) == converted
        assert platform.state("p0")["$metadata"]["$model"] == (NEW if share else OLD)
        newer = (40.0 + step, 2.5 + step, 10 * step, 90.0 + step)
        patch = [put(f"/{path}", value) for path, value in zip(NEW_PATHS[:3], newer[:3], strict=True)]
        platform.patch_twin("p0", patch, interface=NEW)
        platform.patch_twin("p0", [put("/speed", newer[3])], component="motor", interface=NEW)
        assert told(platform, *NEW_PATHS, interface=NEW) == list(newer)
        older = [round(313.15 + step, 6), 250.0 + 100 * step, "2" if step == 2 else "1", 90.0 + step]
        assert told(platform, *OLD_PATHS, interface=OLD) == older
        assert platform.component("p0", "motor", interface=NEW)["speed"] == 90.0 + step
        with pytest.raises(NotFoundError, match="no component"):
            platform.component("p0", "motor", interface=OLD)
    assert platform.reconcile()["inconsistent"] == 0


def test_what_is_stored_is_the_value_and_unit_as_given_by_the_api(platform: LocalPlatform) -> None:
    platform.patch_twin("p0", [put("/temperature", 300.0)], interface=OLD)
    session = platform.session
    (row,) = session.store.history(SYSTEM, Selection((session.served.applied.registry.current("p0").number,), ("temperature",))).to_pylist()
    assert (row["num"], row["unit"], row["source"]) == (300.0, "K", "api")
    event = events(platform)[-1]
    assert event["data"] == {"modelId": NEW, "patch": [{"op": "add", "path": "/temp", "value": pytest.approx(26.85)}]}


def test_telemetry_ahead_of_the_clock_under_the_other_name_does_not_hide_what_a_client_wrote(platform: LocalPlatform) -> None:
    ahead = (platform.session.clock.now() + 20_000_000) // 1_000_000
    push_new(platform, ahead)
    platform.patch_twin("p0", [put("/temperature", 300.0), put("/code", "3")], interface=OLD)
    assert told(platform, "temperature", "code", interface=OLD) == [300.0, "3"]
    assert told(platform, "temp", "level", interface=NEW) == [26.85, 30]
    push_old(platform, ahead + 1)
    platform.patch_twin("p0", [put("/temp", 5.0)])
    assert told(platform, "temp", interface=NEW) == [5.0] and told(platform, "temperature", interface=OLD) == [278.15]


def test_a_patch_is_tested_and_matched_against_what_its_client_is_shown(platform: LocalPlatform) -> None:
    platform.patch_twin("p0", [put("/temp", 26.85)])
    shown = platform.state("p0", interface=OLD)
    assert shown["temperature"] == pytest.approx(300.0)
    with pytest.raises(JsonPatchError, match="the test failed"):
        platform.patch_twin("p0", [{"op": "test", "path": "/temperature", "value": 26.85}, put("/temperature", 1.0)], interface=OLD)
    test = {"op": "test", "path": "/temperature", "value": shown["temperature"]}
    done = platform.patch_twin("p0", [test, put("/temperature", 310.0)], interface=OLD, if_match=shown["$etag"])
    with pytest.raises(PreconditionFailedError):
        platform.patch_twin("p0", [put("/temperature", 320.0)], interface=OLD, if_match=shown["$etag"])
    assert platform.state("p0", interface=OLD)["$etag"] == done["etag"]
    platform.patch_twin("p0", [{"op": "copy", "from": "/temperature", "path": "/speed"}], interface=OLD, if_match=done["etag"])
    assert told(platform, "motor/speed", interface=NEW) == [310.0]
    mine = platform.state("p0", interface=OLD)["$etag"]
    platform.patch_twin("p0", [put("/temp", 1.0)])  # by a client of the new version in between
    with pytest.raises(PreconditionFailedError):
        platform.delete_twin("p0", if_match=mine)
    platform.delete_twin("p0", if_match=platform.state("p0", interface=OLD)["$etag"])


def test_what_an_old_client_removes_is_gone_for_all_and_its_source_time_counts(platform: LocalPlatform) -> None:
    platform.patch_twin("p0", [put("/temp", 20.0), put("/level", 20)])
    platform.patch_twin("p0", [{"op": "remove", "path": "/temperature"}, {"op": "remove", "path": "/code"}], interface=OLD)
    assert told(platform, "temp", "level", interface=NEW) == [None, None]
    at = "2020-01-01T00:00:00Z"
    platform.patch_twin("p0", [put("/pressure", 150.0), put("/$metadata/pressure/sourceTime", at)], interface=OLD)
    shown = platform.state("p0")
    assert (shown["pressure"], shown["$metadata"]["pressure"]["sourceTime"]) == (pytest.approx(1.5), at)


def document(model: str, **values: Any) -> dict[str, Any]:
    return {"$metadata": {"$model": model}, **values}


def test_a_whole_document_of_the_old_version_replaces_what_it_has_and_moves_no_twin(platform: LocalPlatform) -> None:
    assert told(platform, "site", interface=NEW) == ["north"]
    platform.patch_twin("p0", [put("/level", 20), put("/motor/speed", 5.0)])
    answer = platform.put_twin("p0", document(OLD, temperature=300.0, pressure=150.0, code="3"), interface=OLD)
    assert answer["document"] == platform.state("p0", interface=OLD) | {"$metadata": answer["document"]["$metadata"]}
    assert told(platform, "temp", "pressure", "level", "motor/speed", "site", interface=NEW) == [26.85, 1.5, 30, None, "north"]
    assert platform.state("p0")["$metadata"]["$model"] == NEW
    with pytest.raises(PreconditionFailedError):
        platform.put_twin("p0", document(OLD), if_none_match="*")
    with pytest.raises(PreconditionFailedError):
        platform.put_twin("p0", document(OLD), if_none_match=answer["etag"])
    with pytest.raises(UsageError, match="the document is of"):
        platform.put_twin("p0", document(OLD), interface=NEW)
    made = platform.put_twin("p9", document(OLD, temperature=300.0))  # a new twin is what its document says
    assert made["document"]["$metadata"]["$model"] == platform.state("p9")["$metadata"]["$model"] == OLD
    assert told(platform, "temp", interface=NEW, twin="p9") == [26.85]


def refused(platform: LocalPlatform, patch: list[dict[str, Any]], interface: str) -> str:
    with pytest.raises(InvalidTwinError) as raised:
        platform.patch_twin("p0", patch, interface=interface)
    (problem,) = raised.value.problems
    assert raised.value.http_status == 400 and problem.path and problem.remedy
    return f"{problem.path}: {problem.message}. {problem.remedy}"


def test_what_the_version_of_the_twin_cannot_tell_is_refused_with_the_step_that_is_in_the_way(
    platform: LocalPlatform, tmp_path: Path
) -> None:
    staged(platform, tmp_path, 0.0)
    push_old(platform, 1)
    platform.patch_twin("p0", [put("/serial", "x"), put("/tag", "Hot")], interface=OLD)  # the twin is of the old version still
    platform.patch_twin("p0", [put("/hot", False), put("/site", "south")], interface=NEW)  # ahead of the twin: it takes them along
    staged(platform, tmp_path, 1.0)
    assert told(platform, "hot", "size", "site", interface=NEW) == [False, 3, "south"]
    before = platform.session.store.last_commit(SYSTEM)
    assert f"{OLD} has it: name that version" in refused(platform, [{"op": "replace", "path": "/temperature", "value": 1.0}], NEW)
    assert refused(platform, [put("/serial", "y"), put("/temperature", 1.0)], OLD) == (
        f"$.serial: 'serial' can't be changed by a client of {OLD}: 'p0' is of {NEW}, and `drop serial` of the migration 'pump-2' leaves "
        f"it out. Leave it as it is shown: {NEW} does without it"
    )
    answer = refused(platform, [{"op": "remove", "path": "/tag"}], OLD)
    assert "`split tag into hot, size`" in answer and "give that step a `back`" in answer
    assert "makes no 'level'" in refused(platform, [put("/code", "seven")], OLD)
    assert platform.session.store.last_commit(SYSTEM) == before
    shown = platform.state("p0", interface=OLD)
    changed = {**{name: value for name, value in shown.items() if name in OLD_PATHS}, "temperature": 305.0}
    kept = {"serial": shown["serial"], "tag": shown["tag"]}
    platform.put_twin("p0", document(OLD, **changed, **kept))  # sent back as it was read
    assert told(platform, "temp", "hot", "size", interface=NEW) == [31.85, False, 3]
    with pytest.raises(InvalidTwinError, match="'tag' can't be changed"):
        platform.put_twin("p0", document(OLD, **changed, **kept | {"tag": "Cold"}))
    with pytest.raises(InvalidTwinError, match="'serial' can't be changed"):
        platform.put_twin("p0", document(OLD, **changed, tag=shown["tag"]))
    staged(platform, tmp_path, 0.0)
    platform.patch_twin("p0", [put("/serial", "y"), put("/tag", "Cold")], interface=OLD)
    assert told(platform, "serial", "tag", interface=OLD) == ["y", "Cold"] and told(platform, "hot", interface=NEW) == [False]


def test_a_retired_version_is_refused_and_an_interface_that_is_no_version(platform: LocalPlatform, tmp_path: Path) -> None:
    (tmp_path / "contracts/first.yaml").unlink()
    write(tmp_path, {"twins.yaml": (tmp_path / "twins.yaml").read_text().replace(OLD, NEW)})
    platform.apply()
    platform.retire_interface(OLD)
    calls: list[tuple[type[TwinwrightError], str, Any]] = [
        (NotFoundError, f"{OLD} is retired", lambda: platform.patch_twin("p0", [put("/temperature", 300.0)], interface=OLD)),
        (NotFoundError, f"{OLD} is retired", lambda: platform.send_telemetry("p0", {}, message_id="m", interface=OLD)),
        (NotFoundError, f"{OLD} is retired", lambda: platform.update("SELECT T FROM DIGITALTWINS T", set={"code": "1"}, interface=OLD)),
        (ModelDecommissionedError, f"came after it: {NEW}", lambda: platform.put_twin("p0", document(OLD, temperature=300.0))),
        (NotFoundError, "no version", lambda: platform.patch_twin("p0", [put("/speed", 1.0)], interface="dtmi:test:Motor;1")),
    ]
    for error, match, call in calls:
        with pytest.raises(error, match=match):
            call()


def test_updates_imports_and_templates_speak_the_version_that_they_name(platform: LocalPlatform, tmp_path: Path) -> None:
    staged(platform, tmp_path, 0.5)
    every = "SELECT T FROM DIGITALTWINS T WHERE T.pressure > 140"
    for twin in ("p0", "p1", "p2", "p3"):
        push_old(platform, 1, twin)
        platform.patch_twin(twin, [put("/pressure", 150.0)], interface=OLD)
    assert platform.update(every, set={"pressure": 160, "code": "2"}, interface=OLD)["changed"] == 4
    assert platform.update(every, set={"pressure": 160}, interface=OLD)["unchanged"] == 4
    assert [told(platform, "pressure", "level", interface=NEW, twin=twin) for twin in ("p0", "p1", "p2", "p3")] == [[1.6, 20]] * 4
    shown = platform.state("p1", interface=OLD)
    twin = {"$dtId": "p1", **document(OLD, **{path: shown[path] for path in ("pressure", "code", "speed", "serial", "tag")})}
    lines = [{"Section": "Header"}, {"fileVersion": "1.0.0"}, {"Section": "Twins"}, {**twin, "temperature": 300.0}]
    file = tmp_path / "twins.ndjson"
    file.write_text("\n".join(map(json.dumps, lines)))
    assert platform.import_graph([str(file)])["twins"] == 1
    assert platform.import_graph([str(file)])["unchanged"] == 1
    assert told(platform, "temp", "pressure", "level", interface=NEW, twin="p1") == [26.85, 1.6, 20]
    template = {"twins": [{"$dtId": "{id}", "$metadata": {"$model": OLD}, "temperature": "{t}"}]}
    rows = [{"id": twin, "t": 310.0} for twin in ("p0", "p2")]
    assert platform.import_query(template=template, rows=rows)["twins_changed"] == 2
    assert [told(platform, "temp", interface=NEW, twin=twin) for twin in ("p0", "p2")] == [[36.85], [36.85]]


def test_messages_and_relationships_of_an_old_client(tmp_path: Path) -> None:
    feeds = {"@type": "Relationship", "name": "feeds", "target": OLD, "maxMultiplicity": 1}
    sound = {"@type": ["Telemetry", "Pressure"], "name": "sound", "schema": "double", "unit": "kilopascal"}
    louder = {**sound, "name": "loud", "unit": "bar"}
    write(old_plant(tmp_path), {"schema/pump.json": interface(OLD, *V1, feeds, sound)})
    platform = LocalPlatform.open(tmp_path)
    platform.apply()
    first = [{**one, "name": {"temperature": "temp"}.get(one["name"], one["name"])} for one in V1]
    write(tmp_path, {"schema/pump2.json": interface(NEW, *first, feeds, louder, number("site", schema="string"))})
    steps = "  - {rename: temperature, to: temp}\n  - {rename: sound, to: loud}\n  - {unit: sound, to: bar}\n"
    write(tmp_path, {"migrations/pump-2.yaml": f"name: pump-2\nfrom: {OLD}\nto: {NEW}\nshare: 0.5\nsteps:\n{steps}"})
    platform.apply()
    for twin in ("p0", "p1", "p2", "p3", "p4"):
        platform.send_telemetry(twin, {"sound": 100.0}, message_id=f"m-{twin}", interface=OLD)
        assert told(platform, "loud", interface=NEW, twin=twin) == [1.0]
    assert [one["dataschema"] for one in events(platform) if one["type"] == "microsoft.iot.telemetry"] == [OLD] * 5
    for source, target in (("p0", "p1"), ("p1", "p2"), ("p2", "p3"), ("p3", "p0")):
        platform.put_relationship(source, "one", {"$relationshipName": "feeds", "$targetId": target})
        with pytest.raises(TwinwrightError, match="may have 1"):
            platform.put_relationship(source, "two", {"$relationshipName": "feeds", "$targetId": "p4"})
    platform.close()


def test_queries_events_and_derived_values_follow_what_is_written_under_other_names(platform: LocalPlatform, tmp_path: Path) -> None:
    derived = f"name: twice\ninterface: {OLD}\noutput: {{path: speed}}\ninputs: {{s: {{path: speed}}}}\nexpression: 2 * s\n"
    write(tmp_path, {"derived/twice.yaml": derived})
    by_old = "SELECT T.temperature AS v FROM DIGITALTWINS T WHERE T.temperature > 0"
    by_new = "SELECT T.temp AS v FROM DIGITALTWINS T WHERE T.temp > -300"
    for step, share in enumerate((0.0, 1.0)):
        staged(platform, tmp_path, share)
        for wrote, (path, value) in ((OLD, ("/temperature", 300.0 + step)), (NEW, ("/temp", 30.0 + step))):
            token = platform.patch_twin("p0", [put(path, value)], interface=wrote)["token"]
            kelvin = value if wrote == OLD else value + 273.15
            for text, version, shown in ((by_old, OLD, kelvin), (by_new, NEW, kelvin - 273.15), (by_new, None, kelvin - 273.15)):
                found = platform.query(text, after=token, interface=version)["value"]
                assert [one["v"] for one in found] == [pytest.approx(shown)]
            (event,) = [one for one in events(platform, token - 1) if one["type"] == "Microsoft.DigitalTwins.Twin.Update"]
            own, shown = (NEW, kelvin - 273.15) if share else (OLD, kelvin)
            assert event["data"]["modelId"] == own
            assert event["data"]["patch"] == [{"op": "add", "path": "/temp" if share else "/temperature", "value": pytest.approx(shown)}]
        for wrote, path, value in ((OLD, "/speed", 60.0 + step), (NEW, "/motor/speed", 90.0 + step)):
            token = platform.patch_twin("p0", [put(path, value)], interface=wrote)["token"]
            assert platform.history("p0", "speed", lane="derived", interface=OLD, after=token)["values"][-1] == 2 * value
    staged(platform, tmp_path, 0.0)
    token = platform.patch_twin("p0", [put("/site", "south")], interface=NEW)["token"]  # the old version has no place for it
    assert events(platform, token - 1) == []
