"""Whoever is told of the changes of range after range of commits has what a read of history shows, whatever happened to it."""

import json
import random
from collections import defaultdict
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.plant import NOW, Plant, contract

from twinwright import schema
from twinwright.clock import HOUR, SECOND, to_iso
from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Selection
from twinwright.storage.protocol import BAD, GOOD, REMOVED, VALUE_SCHEMA
from twinwright.twins import changes
from twinwright.twins.changes import ChangeLog

CONTEXT = ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"]
PUMP = {
    "@context": CONTEXT,
    "@id": "dtmi:example:Pump;1",
    "@type": "Interface",
    "contents": [
        {"@type": ["Property", "Pressure"], "name": "pressure", "schema": "double", "unit": "kilopascal"},
        {"@type": "Property", "name": "flow", "schema": "double"},
        {"@type": "Property", "name": "starts", "schema": "long"},
        {"@type": "Property", "name": "running", "schema": "boolean"},
        {"@type": "Property", "name": "mode", "schema": "string"},
    ],
}
ONTOLOGY = schema.load([json.dumps(PUMP)])
OBSERVATIONS = [
    {"path": "pressure", "field": "p", "unit": "bar", "range": [0, 100]},
    {"path": "starts", "field": "n"},
    {"path": "mode", "field": "m"},
]


class Mirror:
    """What a listener has: of each key the value that it was told last."""

    def __init__(self, plant):
        self.plant, self.at, self.held = plant, 0, {}
        self.orders = defaultdict(list)

    def listen(self, lanes=("observed", "derived")):
        log = ChangeLog(self.plant.store, ONTOLOGY, self.plant.pipeline.registry)
        told = []
        while (through := log.through(SYSTEM, self.at)) > self.at:
            for change in log.between(SYSTEM, self.at, through, lanes):
                assert self.at < change.commit <= through
                self.orders[change.twin].append((change.commit, change.time))
                told.append(change)
                for path, value in change.values.items():
                    self.held[change.twin, path, change.lane, change.time, change.source] = (value["quality"], value["value"])
            self.at = through
        return told

    def shown(self):
        found = {}
        for lane in ("observed", "derived"):
            for row in self.plant.store.history(SYSTEM, Selection(lane=lane)).to_pylist():
                twin = self.plant.pipeline.registry.lifetime(row["twin"]).twin
                quality = {GOOD: "good", BAD: "bad", REMOVED: "removed"}[row["kind"]]
                value = row["num"] if row["type"] == "DOUBLE" else row["int"] if row["type"] == "BIGINT" else row["txt"]
                value = value * 100 if row["path"] == "pressure" and quality == "good" and row["unit"] == "bar" else value
                found[twin, row["path"], lane, row["time"], row["source"]] = (quality, value if quality == "good" else None)
        return found

    def agrees(self):
        held = {key: value for key, value in self.held.items() if value[0] != "removed"}
        shown = {key: value for key, value in self.shown().items() if value[0] != "removed"}
        assert held.keys() == shown.keys()
        for key, (quality, value) in shown.items():
            assert held[key][0] == quality
            assert held[key][1] == (pytest.approx(value) if isinstance(value, float) else value)
        assert all(order == sorted(order) for order in self.orders.values())


def made(tmp_path, name="store"):
    return Plant(tmp_path / f"{name}.duckdb", [contract(observations=OBSERVATIONS)])


def reading(rng):
    fields = {"p": rng.choice([1.5, 2.5, 500.0, "x"]), "n": rng.randrange(3), "m": rng.choice(["a", "b"])}
    chosen = {name: value for name, value in fields.items() if rng.random() < 0.7}
    ts = to_iso(NOW - rng.randrange(5) * HOUR - rng.randrange(4) * SECOND)
    return {"id": rng.choice(["pump-1", "pump-2"]), "ts": ts, **chosen}


def derived(plant, rng):
    """A value of another lane, as a consumer writes it."""
    with plant.store.transaction(SYSTEM, "derived") as transaction:
        row = {
            **{"twin": 1, "path": "flow", "time": NOW - rng.randrange(3) * SECOND, "source": "mean", "correction": transaction.commit},
            **{"revision": 1, "kind": rng.choice([GOOD, REMOVED]), "type": "DOUBLE", "num": rng.random(), "lane": "derived"},
        }
        transaction.append_values(pa.Table.from_pylist([row], VALUE_SCHEMA))


steps = st.lists(st.tuples(st.sampled_from(["send", "send", "listen", "derive", "replay"]), st.integers(0, 1_000)), min_size=3, max_size=8)


def happen(plant, mirror, todo):
    revision = 1
    for step, seed in todo:
        rng = random.Random(seed)
        if step == "send":
            plant.send(*(reading(rng) for _ in range(rng.randrange(1, 6))))
        elif step == "derive":
            derived(plant, rng)
        elif step == "replay":
            revision += 1
            fewer = [one for one in OBSERVATIONS if rng.random() < 0.7] or OBSERVATIONS
            plant.raise_revision(contract(revision=revision, observations=fewer))
            plant.reprocessing.replay(SYSTEM, "pump", start=None, end=None)
        else:
            mirror.listen()
    mirror.listen()
    mirror.agrees()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(steps)
def test_a_listener_has_what_history_shows(tmp_path_factory, todo):
    plant = made(tmp_path_factory.mktemp("plant"))
    try:
        happen(plant, Mirror(plant), todo)
    finally:
        plant.close()


RETRACTING = [("send", 1), ("send", 2), ("listen", 0), ("replay", 6), ("listen", 0), ("send", 3)]


def test_a_listener_that_is_not_told_of_what_a_replay_hid_is_caught(tmp_path, monkeypatch):
    for blind in (False, True):
        plant = made(tmp_path, f"store-{blind}")
        try:
            if blind:
                monkeypatch.setattr(ChangeLog, "between", _blind(ChangeLog.between))
                with pytest.raises(AssertionError):
                    happen(plant, Mirror(plant), RETRACTING)
            else:
                happen(plant, Mirror(plant), RETRACTING)
        finally:
            plant.close()


def _blind(between):
    """Changes without what is gone."""

    def found(self, *arguments):
        for change in between(self, *arguments):
            yield replace(change, values={path: value for path, value in change.values.items() if value["quality"] != "removed"})

    return found


def test_ranges_are_cut_by_what_they_took_in(tmp_path, monkeypatch):
    monkeypatch.setattr(changes, "RANGE_READINGS", 3)
    plant = made(tmp_path)
    try:
        for number in range(5):
            plant.send(*({"id": "pump-1", "ts": to_iso(NOW - (number * 2 + one) * SECOND), "n": one} for one in range(2)))
        log = ChangeLog(plant.store, ONTOLOGY, plant.pipeline.registry)
        ends = [0]
        while (through := log.through(SYSTEM, ends[-1])) > ends[-1]:
            ends.append(through)
        assert ends[-1] == plant.store.last_commit(SYSTEM)
        assert len(ends) > 4
    finally:
        plant.close()


def test_a_change_is_a_reading_whole_in_the_units_of_its_properties(tmp_path):
    plant = made(tmp_path)
    try:
        plant.send({"id": "pump-1", "ts": to_iso(NOW), "p": 2.0, "n": 3, "m": "on"}, {"id": "pump-2", "ts": to_iso(NOW), "p": 500.0})
        first, second = Mirror(plant).listen()
        assert first.as_json() == {
            **{"twin": "pump-1", "lane": "observed", "time": to_iso(NOW), "source": "pump", "commit": plant.store.last_commit(SYSTEM)},
            "values": {
                "mode": {"value": "on", "unit": None, "quality": "good"},
                "pressure": {"value": 200.0, "unit": "kPa", "quality": "good"},
                "starts": {"value": 3, "unit": None, "quality": "good"},
            },
        }
        assert second.values["pressure"] == {"value": None, "unit": "kPa", "quality": "bad"}
        assert Mirror(plant).listen(lanes=("derived",)) == []
    finally:
        plant.close()


def test_only_near_what_was_touched_is_read(tmp_path, monkeypatch):
    plant = made(tmp_path)
    asked = []
    history = plant.store.history

    def noted(principal, selection):
        asked.append(selection.end - selection.start)
        return history(principal, selection)

    try:
        monkeypatch.setattr(plant.store, "history", noted)
        plant.send(*({"id": "pump-1", "ts": to_iso(NOW - hours * HOUR), "n": 1} for hours in (0, 24, 24 * 300)))
        assert len(Mirror(plant).listen()) == 3
        assert len(asked) == 3
        assert max(asked) < HOUR
    finally:
        plant.close()
