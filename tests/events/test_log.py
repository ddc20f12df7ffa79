"""What a commit did is told as events: complete, in an order that makes sense, and the same each time it is read."""

import json

import pytest
from tests.platform.graph_plant import NOW, PUMP, pump, send

from twinwright.clock import SECOND, to_iso
from twinwright.events import cloudevents as types
from twinwright.events import telling
from twinwright.governance.principals import LOCAL_ADMIN, SYSTEM
from twinwright.storage.layout import Counts
from twinwright.telemetry.payloads import Payload
from twinwright.twins.graph.relationship_writes import delete_relationship, put_relationship
from twinwright.twins.graph.twin_patch import patch_twin
from twinwright.twins.graph.twin_writes import delete_twin, put_twin, send_telemetry


def told(platform, after):
    log, last = platform.session.served.events, platform.session.store.last_commit(SYSTEM)
    found = []
    while after < last:
        through = log.through(SYSTEM, after)
        found += log.between(SYSTEM, after, through)
        after = through
    return found


def short(events):
    return [(one.body["type"].rpartition("Microsoft.DigitalTwins.")[2], one.body.get("subject")) for one in events]


def test_the_life_of_a_twin_is_told_from_its_beginning_to_its_end(plant):
    at = plant.session.store.last_commit(SYSTEM)
    plant.put_twin("new", pump(mode="on", count=1))
    plant.patch_twin("new", [{"op": "replace", "path": "/mode", "value": "off"}, {"op": "remove", "path": "/count"}])
    plant.put_relationship("new", "r", {"$targetId": "other", "$relationshipName": "feeds", "width": 1.0})
    plant.patch_relationship("new", "r", [{"op": "replace", "path": "/width", "value": 2.0}])
    plant.send_telemetry("new", {"noise": 3}, message_id="m1")
    plant.delete_relationship("new", "r")
    plant.delete_twin("new")
    plant.put_twin("new", pump())
    events = told(plant, at)
    assert short(events) == [
        ("Twin.Create", "new"),
        ("Twin.Update", "new"),
        ("Relationship.Create", "new/relationships/r"),
        ("Relationship.Update", "new/relationships/r"),
        ("microsoft.iot.telemetry", None),
        ("Relationship.Delete", "new/relationships/r"),
        ("Twin.Delete", "new"),
        ("Twin.Create", "new"),
    ]
    created, updated, _, edge, message, *_ = (one.body for one in events)
    assert created["data"] == {"$dtId": "new", "mode": "on", "count": 1, "$metadata": {"$model": PUMP}}
    assert created["partitionkey"] == "new" and created["specversion"] == "1.0"
    patch = sorted(updated["data"]["patch"], key=lambda step: step["path"])
    assert patch == [{"op": "remove", "path": "/count"}, {"op": "add", "path": "/mode", "value": "off"}]
    assert updated["data"]["modelId"] == PUMP
    assert edge["data"]["patch"] == [{"op": "replace", "path": "/width", "value": 2.0}]
    assert message["source"].endswith("/digitaltwins/new") and message["dataschema"] == PUMP and message["data"] == {"noise": 3}
    assert len({one.id for one in events}) == len(events)
    assert told(plant, at) == events
    plant.session.served.events._kept.clear()
    assert told(plant, at) == events
    assert [one.body["sequence"] for one in events] == sorted(one.body["sequence"] for one in events)


def test_what_is_said_otherwise_is_a_correction_and_what_is_said_again_is_nothing(plant):
    at = plant.session.store.last_commit(SYSTEM)
    send(plant, "given", NOW - 5 * SECOND, 1.0)
    send(plant, "given", NOW - 5 * SECOND, 1.0)
    send(plant, "given", NOW - 5 * SECOND, 2.0)
    first, second = told(plant, at)
    assert (first.body["type"], first.body["datasource"]) == (types.TWIN_UPDATE, "pump")
    assert first.body["data"]["patch"] == [{"op": "add", "path": "/p", "value": 1.0}]
    assert second.body["type"] == types.CORRECTION
    assert second.body["data"]["values"][0]["before"]["value"] == 1.0
    assert second.body["data"]["values"][0]["value"] == 2.0


def test_runs_are_told_and_bookkeeping_is_not(plant):
    store = plant.session.store
    at = store.last_commit(SYSTEM)
    store.put_record(SYSTEM, "run", "r1", {"id": "r1", "status": "ok", "twin": "given"})
    store.put_record(SYSTEM, "audit", "a", {})
    with store.transaction(SYSTEM, "sink") as transaction:
        transaction.move_positions("sinks/*", [("s", 0, 1)])
        transaction.count(Counts())
    assert [(one.body["type"], one.key, one.body["data"]["status"]) for one in told(plant, at)] == [(types.RUN_END, "given", "ok")]


@pytest.mark.parametrize("most", [1, 3, 7])
def test_a_commit_of_many_values_is_told_in_pieces_as_it_is_at_once(plant, monkeypatch, most):
    at = plant.session.store.last_commit(SYSTEM)
    lines = [
        json.dumps({"id": twin, "ts": to_iso(NOW - (90_000 - second) * SECOND), "p": (7 * second) % 5}).encode()
        for second in (0, 1, 2, 40_000, 40_001, 80_000)
        for twin in ("other", "given")
    ]
    plant.push("pump", [Payload(b"\n".join(lines[:5]))])
    plant.push("pump", [Payload(b"\n".join(lines))])
    plant.replay()
    log = plant.session.served.events
    whole = told(plant, at)
    assert len(whole) >= 12 and log._kept
    log._kept.clear()
    monkeypatch.setattr("twinwright.events.telling.PIECE", most)
    assert told(plant, at) == whole
    assert max(map(len, log._kept.values()), default=0) <= most, "a commit that comes in pieces is not kept"


def _many_twins(platform):
    """Commits of many twins: what each did before, and more of it again; where they begin."""
    at = platform.session.store.last_commit(SYSTEM)

    def write(draft):
        for number in range(9):
            put_twin(draft, f"t{number}", pump(count=number, mode="on"), None)
            for target in range(number):
                put_relationship(draft, f"t{number}", f"r{target}", {"$targetId": f"t{target}", "$relationshipName": "feeds"}, None)
        send_telemetry(draft, "t4", {"noise": 1}, component=None, message_id="m", source_time=None)
        delete_relationship(draft, "t8", "r7", None)

    def again(draft):
        for number in range(7):
            delete_relationship(draft, "t8", f"r{number}", None)
        delete_twin(draft, "t8", None)
        put_twin(draft, "t8", pump(count=80), None)
        for number in range(8):
            put_twin(draft, f"t{number}", pump(count=number + number % 2), None)
        draft.put_record("run", "r1", {"id": "r1", "status": "ok", "twin": "t3"})
        draft.put_record("run", "r2", {"id": "r2", "status": "ok"})

    platform.session.graph.submit(LOCAL_ADMIN, write)
    platform.session.graph.submit(LOCAL_ADMIN, again)
    folder = platform.session.folder
    text = (folder / "twins.yaml").read_text().replace("mode: auto", "mode: manual")
    more = "".join(f'  - {{$dtId: y{number}, $metadata: {{$model: "{PUMP}"}}, count: {number}}}\n' for number in range(7))
    (folder / "twins.yaml").write_text(text.replace("relationships:", f"{more}relationships:"))
    platform.apply()
    return at


def _told_anew(platform, at):
    platform.session.served.events._kept.clear()
    return told(platform, at)


@pytest.mark.parametrize("most", [1, 3, 10])
def test_a_commit_of_many_twins_is_told_in_pieces_as_it_is_at_once(plant, monkeypatch, most):
    at = _many_twins(plant)
    whole = _told_anew(plant, at)
    assert len(whole) == 74 and [one.body["type"] for one in whole].count(types.RUN_END) == 2
    held, ordered = [], telling.Telling._ordered
    monkeypatch.setattr(telling, "PIECE", most)
    monkeypatch.setattr(telling.Telling, "_ordered", lambda self: held.append(ordered(self)) or held[-1])
    assert _told_anew(plant, at) == whole
    assert max(map(len, held)) <= 2 * most + 4, "relationships of one twin come in pieces as well"
    assert max(map(len, plant.session.served.events._kept.values()), default=0) <= most


def _many_values(platform):
    """Commits that write many values of few twins, one of which begins with them, among all else that is done to it; where they begin."""
    at = platform.session.store.last_commit(SYSTEM)

    def patch(draft, twin, number):
        steps = [{"op": "add", "path": "/count", "value": number % 4}, {"op": "add", "path": "/mode", "value": "on"}]
        times = [
            {"op": "add", "path": f"/$metadata/{name}/sourceTime", "value": to_iso(NOW - number * SECOND)} for name in ("count", "mode")
        ]
        patch_twin(draft, twin, [*steps, *times], None)

    def write(draft):
        put_twin(draft, "new", pump(count=1, mode="on"), None)
        for number in range(12):
            for twin in ("given", "other"):
                patch(draft, twin, number)
            put_relationship(draft, "given", f"e{number}", {"$targetId": "other", "$relationshipName": "feeds"}, None)
        send_telemetry(draft, "given", {"noise": 1}, component=None, message_id="m", source_time=None)
        patch_twin(draft, "new", [{"op": "remove", "path": "/count"}, {"op": "replace", "path": "/mode", "value": "off"}], None)

    def again(draft):
        for number in range(9):
            patch(draft, "other", number + 1)
        delete_twin(draft, "new", None)
        put_twin(draft, "new", pump(count=80), None)
        for number in range(3):
            patch(draft, "new", -number - 1)

    platform.session.graph.submit(LOCAL_ADMIN, write)
    platform.session.graph.submit(LOCAL_ADMIN, again)
    return at


@pytest.mark.parametrize("most", [1, 4])
def test_a_commit_of_many_values_of_one_twin_is_told_in_pieces_as_it_is_at_once(plant, monkeypatch, most):
    at = _many_values(plant)
    whole = _told_anew(plant, at)
    begun = [one.body["data"] for one in whole if one.body["type"] == types.TWIN_CREATE]
    assert [{name: one[name] for name in one if name[0] != "$"} for one in begun] == [{"mode": "off"}, {"count": 1, "mode": "on"}]
    held, ordered = [], telling.Telling._ordered
    monkeypatch.setattr(telling, "PIECE", most)
    monkeypatch.setattr(telling.Telling, "_ordered", lambda self: held.append(ordered(self)) or held[-1])
    assert _told_anew(plant, at) == whole
    values = [[one for place, one in some if place.phase == 1] for some in held]
    assert sum(map(len, values)) >= 30 and max(map(len, values)) <= most + 1


def test_values_of_one_twin_that_are_told_after_all_else_are_caught(plant, monkeypatch):
    at = _many_values(plant)
    whole = _told_anew(plant, at)
    monkeypatch.setattr(telling, "merge", lambda *several, key: (one for some in several for one in some))
    assert _told_anew(plant, at) != whole


def test_pieces_of_twins_in_another_order_are_caught(plant, monkeypatch):
    at = _many_twins(plant)
    whole, together = _told_anew(plant, at), telling._together
    monkeypatch.setattr(telling, "PIECE", 3)
    monkeypatch.setattr(telling, "_together", lambda counts: reversed(list(together(counts))))
    assert _told_anew(plant, at) != whole
