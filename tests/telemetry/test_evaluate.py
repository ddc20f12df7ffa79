"""What a contract makes of a payload: each reason of refusal, each kind of bad value, each way to name a twin and a time."""

import json

import pytest
from tests.telemetry.plant import INTERFACE, NOW, contract

from twinwright.clock import SECOND, to_iso
from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Lifetime
from twinwright.telemetry.payloads import REASONS

TS = "2026-03-01T07:00:00Z"


def good(**fields):
    return {"id": "pump-1", "ts": TS, "p": 1.0, **fields}


def without(name):
    return {key: value for key, value in good().items() if key != name}


def letters(plant):
    return plant.store.dead_letters(SYSTEM)


def said(plant):
    """(path, kind, value) of every record."""
    return [
        (row["path"], row["kind"], next((row[name] for name in ("num", "int", "txt") if row[name] is not None), None))
        for row in plant.history()
    ]


STRICT = contract(
    correction={"field": "rev"},
    observations=[
        {"path": "pressure", "field": "p", "unit": "kPa", "range": [0, 10], "required": True},
        {"path": "flow", "field": "q", "unit": "l/min", "range": [0, 5], "reject": True},
        {"path": "motor/speed", "field": "rpm", "unit": "rpm", "range": [0, 100]},
        {"path": "starts", "field": "n", "range": [0, 9]},
        {"path": "mode", "field": "m", "map": {"0": "off", "1": "auto", "true": "manual"}},
        {"path": "running", "field": "on"},
    ],
)

REFUSED = [
    (b"not json", "malformed", "not JSON"),
    (b"[1]", "malformed", "a JSON object is expected"),
    (without("ts"), "missing_field", "time field 'ts'"),
    (without("id"), "missing_field", "field 'id' of the twin"),
    (without("p"), "missing_field", "required field 'p'"),
    (good(p=None), "missing_field", "required field 'p'"),
    (good(ts=5), "bad_time", "wrong type"),
    (good(ts="yesterday"), "bad_time", "iso8601"),
    (good(ts="2026-03-01T07:00:00"), "bad_time", "with a zone"),
    (good(ts="0001-01-01T00:00:00+14:00"), "bad_time", "is not a time"),
    (good(ts="2026-03-01T08:00:31Z"), "future_time", "PT30S"),
    (good(id=["x"]), "bad_type", "not a text or number"),
    (good(p="high"), "bad_type", "a finite number"),
    (b'{"id":"pump-1","ts":"%s","p":NaN}' % TS.encode(), "bad_type", "a finite number"),
    (good(rev="1"), "bad_type", "correction 'rev'"),
    (good(p=11), "out_of_range", "[0, 10] kPa"),
    (good(q=-1), "out_of_range", "'q' is outside"),
    (good(id="nobody"), "unknown_twin", "no twin 'nobody'"),
    (good(id=""), "unknown_twin", "no twin ''"),
]


@pytest.mark.parametrize(("body", "reason", "detail"), REFUSED)
def test_a_refused_reading_is_kept_whole_with_its_reason(make_plant, body, reason, detail):
    plant = make_plant(STRICT)
    receipt = plant.send(good(p=2), body, good(p=3, ts="2026-03-01T07:00:01Z"))
    assert (receipt.received, receipt.accepted, receipt.dead_lettered) == (3, 2, {reason: 1})
    [letter] = letters(plant)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert (letter.reason, letter.payload, letter.revision, letter.status) == (reason, raw if raw != b"[1]" else b"1", 1, "open")
    assert detail in letter.detail
    assert letter.reason in REASONS


def test_the_first_reason_counts_in_whatever_company(make_plant):
    plant = make_plant(STRICT)
    twice_wrong = {"id": "nobody", "ts": "never", "p": 99}
    assert plant.send(twice_wrong).dead_lettered == {"bad_time": 1}
    company = plant.send(good(p=99), twice_wrong, good(id="nobody"), good())
    assert company.dead_lettered == {"bad_time": 1, "out_of_range": 1, "unknown_twin": 1}


def test_optional_values_that_are_wrong_are_bad_and_the_rest_is_good(make_plant):
    plant = make_plant(STRICT)
    receipt = plant.send(good(q="x", rpm=101, n=1.5, m="2", on=1))
    assert receipt.accepted == 1
    assert said(plant) == [(path, 0, None) for path in ("flow", "mode", "motor/speed")] + [
        ("pressure", 1, 1.0),
        ("running", 0, None),
        ("starts", 0, None),
    ]


def test_limits_of_a_range_are_inside_it(make_plant):
    plant = make_plant(STRICT)
    assert plant.send(good(p=0, q=5, rpm=100, n=9)).accepted == 1
    assert all(kind == 1 for _, kind, _ in said(plant))
    plant.send(good(p=0, n=10, ts="2026-03-01T07:00:01Z"))
    assert said(plant)[-1] == ("starts", 0, None)


@pytest.mark.parametrize(("sent", "stored"), [(0, "off"), ("1", "auto"), (1, "auto"), (1.0, "auto"), (True, "manual")])
def test_maps_translate_what_the_source_says(make_plant, sent, stored):
    plant = make_plant(STRICT)
    plant.send(good(m=sent))
    assert ("mode", 1, stored) in said(plant)


def test_a_map_to_numbers_and_booleans_fills_such_paths(make_plant):
    observations = [
        {"path": "starts", "field": "a", "map": {"few": 1, "many": 9}},
        {"path": "running", "field": "b", "map": {"yes": True, "no": False}},
        {"path": "pressure", "field": "c", "unit": "kPa", "map": {"low": 0.5}, "range": [0, 1]},
    ]
    plant = make_plant(contract(observations=observations))
    plant.send({"id": "pump-1", "ts": TS, "a": "many", "b": "no", "c": "low"})
    assert said(plant) == [("pressure", 1, 0.5), ("running", 1, 0), ("starts", 1, 9)]


def test_a_map_of_whole_numbers_takes_no_others(make_plant):
    plant = make_plant(STRICT)
    plant.send(good(m=1.5), good(m=10.0, ts="2026-03-01T08:00:01Z"), good(m="1.0x", ts="2026-03-01T08:00:02Z"))
    assert [(kind, value) for path, kind, value in said(plant) if path == "mode"] == [(0, None)] * 3


def test_missing_and_null_say_nothing(plant):
    plant.send(good(q=None, m=None))
    assert said(plant) == [("pressure", 1, 1.0)]
    assert plant.send({"id": "pump-1", "ts": TS}, {"id": "pump-1", "ts": TS, "p": None}).dead_lettered == {"missing_field": 2}


def test_infinities_are_bad_and_zero_has_one_sign(plant):
    plant.send(b'{"id":"pump-1","ts":"%s","p":Infinity,"q":-0.0}' % TS.encode())
    assert said(plant) == [("flow", 1, 0.0), ("pressure", 0, None)]
    assert str(plant.history()[0]["num"]) == "0.0"
    assert plant.send(b'{"id":"pump-1","ts":"%s","p":-Infinity,"q":0}' % TS.encode()).duplicate == 1


@pytest.mark.parametrize(
    ("format", "value"),
    [
        ("epoch_s", NOW / SECOND),
        ("epoch_s", NOW // SECOND),
        ("epoch_ms", NOW // 1000),
        ("epoch_us", NOW),
        ("%Y/%m/%d %H:%M:%S", "2026/03/01 08:00:00"),
    ],
)
def test_times_in_each_format(make_plant, format, value):
    plant = make_plant(contract(time={"field": "ts", "format": format, "zone": "UTC"}))
    assert plant.send(good(ts=value)).accepted == 1
    assert plant.history()[0]["time"] == NOW


@pytest.mark.parametrize("value", ["1", True, 1e300, -1e300, [1], -99_999_999_999_999])
def test_epochs_that_are_no_time(make_plant, value):
    plant = make_plant(contract(time={"field": "ts", "format": "epoch_s"}))
    assert plant.send(good(ts=value)).dead_lettered == {"bad_time": 1}


@pytest.mark.parametrize("seconds", [-62_135_596_800, -62_135_596_801, 0, -1])
def test_every_time_that_is_taken_can_be_written_again(make_plant, seconds):
    plant = make_plant(contract(time={"field": "ts", "format": "epoch_s"}))
    plant.send(good(ts=seconds))
    assert [to_iso(row["time"]) for row in plant.history()] == ([] if seconds == -62_135_596_801 else [to_iso(seconds * SECOND)])


def test_captures_and_fields_name_the_twin(make_plant):
    made = contract(twin="{site}-{id}", source={"connector": "broker", "topic": "plant/{site}"})
    plant = make_plant(made, twins=["north-1", "south-1"])
    assert plant.send(good(id=1), captures={"site": "north"}).accepted == 1
    assert plant.send(good(id="1"), good(id=2), captures={"site": "south"}).dead_lettered == {"unknown_twin": 1}
    assert plant.send(good(id=1)).dead_lettered == {"unknown_twin": 1}
    assert {row["twin"] for row in plant.history()} == {1, 2}
    assert letters(plant)[0].captures == {"site": "south"}


def test_a_twin_named_by_captures_alone_or_by_nothing_but_text(make_plant):
    captured = make_plant(contract(twin="{twin}", source={"topic": "{twin}"}))
    assert captured.send({"ts": TS, "p": 1}, captures={"twin": "pump-2"}).accepted == 1
    fixed = make_plant(contract(twin="pump-1"))
    assert fixed.send({"ts": TS, "p": 1}).accepted == 1


def test_payloads_of_one_batch_keep_their_own_captures(make_plant):
    from twinwright.telemetry.payloads import Delivery, Payload

    plant = make_plant(contract(twin="{twin}", source={"topic": "{twin}"}))
    bodies = [Payload(json.dumps({"ts": TS, "p": number}).encode(), {"twin": f"pump-{number}"}) for number in (1, 2)]
    plant.pipeline.submit(Delivery("pump", tuple(bodies)))
    assert [(row["twin"], row["num"]) for row in plant.history()] == [(1, 1.0), (2, 2.0)]


def test_event_time_chooses_the_lifetime(make_plant):
    start, end = NOW - 7_200 * SECOND, NOW - 3_600 * SECOND
    lives = [
        Lifetime(1, "pump-1", INTERFACE, start, end),
        Lifetime(2, "pump-1", INTERFACE, end),
        Lifetime(3, "gone", INTERFACE, None, start),
    ]
    plant = make_plant(twins=lives)
    times = [start - 1, start, end - 1, end]
    receipt = plant.send(
        *(good(ts=to_iso(time)) for time in times), good(id="gone", ts=to_iso(start - 1)), good(id="gone", ts=to_iso(start))
    )
    assert receipt.dead_lettered == {"unknown_twin": 2}
    assert [(row["twin"], row["time"]) for row in plant.history()] == [(1, start), (1, end - 1), (2, end), (3, start - 1)]
    assert "outside the lifetimes of 'pump-1'" in letters(plant)[0].detail


def test_a_twin_of_an_interface_without_the_paths_is_refused_with_the_paths(make_plant):
    plant = make_plant(twins=[Lifetime(1, "pump-1", INTERFACE), Lifetime(2, "valve", "dtmi:example:Valve;1")])
    assert plant.send(good(id="valve")).dead_lettered == {"unknown_twin": 1}
    assert "has no path pressure, flow" in letters(plant)[0].detail


def test_corrections_by_order_of_arrival_let_the_later_win(make_plant):
    plant = make_plant(contract(correction="ingest"))
    plant.send(good(p=9), good(p=3))
    assert plant.send(good(p=3)).duplicate == 1
    assert plant.send(good(p=9)).accepted == 1
    assert said(plant) == [("pressure", 1, 9.0)]
    plant.restart()
    assert plant.send(good(p=9)).duplicate == 1
    assert plant.send(good(p=3)).accepted == 1
    assert said(plant) == [("pressure", 1, 3.0)]
    assert [row["num"] for row in plant.cells()] == [3.0]


def test_late_and_conflicting_readings_are_marked_and_accepted(make_plant):
    plant = make_plant(contract(lateness="PT1M"))
    receipt = plant.send(good(), good(ts="2026-03-01T06:58:59Z"), good(ts="2026-03-01T06:59:00Z"), good(p=2.0))
    assert (receipt.accepted, receipt.late, receipt.conflict) == (4, 1, 1)
    assert plant.send(good(ts="2026-03-01T06:00:00Z")).late == 1
    [pressure] = [row for row in plant.history() if to_iso(row["time"]) == TS]
    assert pressure["num"] == 2.0


def test_more_paths_than_a_mask_holds(make_plant):
    from twinwright.schema import PathInfo, Primitive

    paths = {f"p{number}": PathInfo(f"p{number}", "property", Primitive("double"), None, None, False) for number in range(130)}
    from tests.telemetry import plant as plants

    made, problems = plants.compiled(plants.written(observations=[{"path": name, "field": name} for name in paths]), paths)
    assert made is not None, problems.items
    wide = plants.PATHS
    try:
        plants.PATHS = {**wide, **paths}
        plant = make_plant(made)
        assert plant.send({"id": "pump-1", "ts": TS, **{name: number for number, name in enumerate(paths)}, "p65": "bad"}).accepted == 1
        assert plant.send({"id": "pump-1", "ts": TS, **{name: number for number, name in enumerate(paths)}, "p65": "bad"}).duplicate == 1
    finally:
        plants.PATHS = wide
    rows = {row["path"]: (row["kind"], row["num"]) for row in plant.history()}
    assert rows == {name: (1, float(number)) for number, name in enumerate(paths)} | {"p65": (0, None)}
    assert {row["path"]: (row["kind"], row["num"]) for row in plant.cells()} == rows
