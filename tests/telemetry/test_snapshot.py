"""A source's own snapshot against what history has of it."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.plant import NOW, OBSERVATIONS, Plant, contract

from twinwright.clock import HOUR, SECOND, to_iso
from twinwright.governance.principals import SYSTEM
from twinwright.telemetry.payloads import Payload
from twinwright.telemetry.snapshot import Comparison, Snapshot, missing_elements


def body(ago, twin="pump-1", **fields):
    return {"id": twin, "ts": to_iso(NOW - ago * SECOND), **fields}


def snapshot(plant, *bodies):
    made = Snapshot(plant.pipeline.contract("pump"))
    lines = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in bodies]
    made.add(Payload(b"\n".join(lines)), plant.pipeline.registry, NOW)
    return made


def compared(plant, made):
    found = Comparison(plant.store, SYSTEM).differences(made)
    return sorted((one.kind, one.lifetime, one.path, one.theirs, one.ours) for one in found)


def test_what_is_missing_different_or_extra_is_told(plant):
    plant.send(body(60, p=1.0, m="on"), body(60, "pump-2", p=5.0), body(10, "pump-2", q=7.0))
    made = snapshot(plant, body(60, p=1.0, m="off", on=True), body(30, "pump-2", p=6.0))
    assert compared(plant, made) == [
        ("different", 1, "mode", "off", "on"),
        ("extra", 2, "flow", None, 7.0),
        ("missing", 1, "running", True, None),
        ("missing", 2, "pressure", 6.0, 5.0),
    ]


def test_what_came_later_in_history_is_no_difference(plant):
    plant.send(body(60, p=1.0), body(20, p=3.0), body(3 * HOUR // SECOND, "pump-2", p=2.0), body(0, "pump-2", p=9.0))
    assert compared(plant, snapshot(plant, body(40, p=1.0), body(2 * HOUR // SECOND, "pump-2", p=2.0))) == []


def test_a_snapshot_taken_later_of_a_value_that_has_not_changed_is_no_difference(plant):
    plant.send(body(4_000, p=1.0, n=3))
    assert compared(plant, snapshot(plant, body(0, p=1.0, n=3))) == []


def test_a_correction_that_never_came_is_missing_and_one_that_is_older_is_not(make_plant):
    plant = make_plant(contract(correction={"field": "rev"}))
    plant.send(body(60, p=1.0, rev=1))
    made = snapshot(plant, body(60, p=3.0, rev=3), body(60, p=2.0, rev=2))
    assert compared(plant, made) == [("missing", 1, "pressure", 3.0, 1.0)]
    plant.send(*(json.loads(one.body) for one in missing_elements(made, Comparison(plant.store, SYSTEM).differences(made))))
    assert compared(plant, made) == []
    assert [one[0] for one in compared(plant, snapshot(plant, body(60, p=9.0, rev=3)))] == ["different"]


def test_values_that_an_older_revision_kept_in_another_unit_are_compared_as_quantities(plant):
    plant.send(body(60, p=100.0))
    plant.raise_revision(contract(revision=2, observations=[{**OBSERVATIONS[0], "unit": "bar"}, *OBSERVATIONS[1:]]))
    assert compared(plant, snapshot(plant, body(60, p=1.0))) == []
    assert [one[0] for one in compared(plant, snapshot(plant, body(60, p=100.0)))] == ["different"]


def test_what_the_contract_refuses_is_counted_and_bad_values_say_nothing(plant):
    made = snapshot(plant, b"junk", body(1, "pump-9", p=1.0), body(1, p="broken", q=2.0), {"id": "pump-1", "p": 1})
    assert made.refused == {"malformed": 1, "missing_field": 1, "unknown_twin": 1}
    assert list(made.values) == [(1, "flow")]
    plant.send(body(1, p="broken"))
    assert compared(plant, snapshot(plant, body(1, p=4.0))) == [("different", 1, "pressure", 4.0, None)]


values = st.lists(
    st.tuples(st.sampled_from(["pump-1", "pump-2"]), st.integers(0, 20), st.sampled_from([1.0, 2.0]), st.sampled_from(["a", None])),
    min_size=1,
    max_size=12,
    unique_by=lambda one: one[:2],
)


@settings(derandomize=True, database=None, deadline=None, max_examples=15)
@given(st.data(), values)
def test_what_is_missing_and_ingested_is_missing_no_more(tmp_path_factory, data, sent):
    plant = Plant(tmp_path_factory.mktemp("snapshot") / "store.duckdb", [contract()])
    try:
        bodies = [body(ago, twin, p=p, **({"m": m} if m else {})) for twin, ago, p, m in sent]
        there = data.draw(st.lists(st.sampled_from(bodies), unique_by=json.dumps))
        plant.send(*there)
        made = snapshot(plant, *bodies)
        found = Comparison(plant.store, SYSTEM).differences(made)
        assert {one.kind for one in found} <= {"missing"}
        again = missing_elements(made, found)
        if again:
            plant.send(*(one.body for one in again))
        assert compared(plant, made) == []
    finally:
        plant.close()
