"""What a reader is shown: documents in the shape of the standard, series in the unit asked for, as of and as known at any moment."""

import json

import pyarrow as pa
import pytest
from tests.telemetry.plant import NOW, Plant, compiled, written

from twinwright import schema
from twinwright.clock import SECOND, from_iso
from twinwright.errors import NotFoundError, UnitError, UsageError
from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Lifetime
from twinwright.storage.protocol import GOOD, VALUE_SCHEMA
from twinwright.twins.quality import Criteria
from twinwright.twins.reads import TwinReads

PUMP, MOTOR = "dtmi:example:Pump;1", "dtmi:example:Motor;1"


def _property(name, kind, semantic=None, unit=None):
    extra = {"unit": unit} if unit else {}
    return {"@type": ["Property", semantic] if semantic else "Property", "name": name, "schema": kind, **extra}


DTDL = [
    {
        "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
        "@id": MOTOR,
        "@type": "Interface",
        "contents": [_property("speed", "double", "AngularVelocity", "revolutionPerMinute")],
    },
    {
        "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
        "@id": PUMP,
        "@type": "Interface",
        "contents": [
            _property("pressure", "double", "Pressure", "kilopascal"),
            _property("starts", "long"),
            _property("running", "boolean"),
            _property("mode", "string"),
            _property("place", {"@type": "Object", "fields": [{"name": "hall", "schema": "integer"}, {"name": "row", "schema": "string"}]}),
            _property("tags", {"@type": "Map", "mapKey": {"name": "k", "schema": "string"}, "mapValue": {"name": "v", "schema": "string"}}),
            _property("shape", "point"),
            _property("limits", {"@type": "Array", "elementSchema": "double"}),
            {"@type": "Component", "name": "motor", "schema": MOTOR},
        ],
    },
]


@pytest.fixture
def ontology():
    return schema.load([json.dumps(one) for one in DTDL])


@pytest.fixture
def plant(tmp_path, ontology, monkeypatch):
    paths = ontology.paths(PUMP)
    monkeypatch.setattr("tests.telemetry.plant.PATHS", paths)
    observations = [
        {"path": "pressure", "field": "p", "unit": "bar"},
        {"path": "motor/speed", "field": "rpm", "unit": "rpm"},
        {"path": "starts", "field": "n"},
        {"path": "running", "field": "on"},
        {"path": "mode", "field": "m"},
    ]
    made, problems = compiled(written(observations=observations), paths)
    assert made is not None, problems.items
    lives = [
        Lifetime(1, "pump-1", PUMP),
        Lifetime(2, "pump-2", PUMP, None, NOW - 10 * SECOND),
        Lifetime(3, "pump-2", PUMP, NOW - 5 * SECOND),
    ]
    one = Plant(tmp_path / "store.duckdb", [made], lives)
    yield one
    one.close()


@pytest.fixture
def reads(plant, ontology):
    criteria = {("pump", "pressure"): Criteria("bar", rate=(1.0, SECOND))}
    return TwinReads(plant.store, plant.state, ontology, plant.pipeline.registry, criteria)


def body(second, twin="pump-1", **fields):
    return {"id": twin, "ts": f"2026-03-01T07:00:{second:02d}Z", **fields}


def at(second):
    return from_iso(f"2026-03-01T07:00:{second:02d}Z")


def document(reads, twin="pump-1", as_of=None, known_at=None, facts=True):
    return reads.document(SYSTEM, twin, as_of=as_of, known_at=known_at, lane="observed", facts=facts)


def history(reads, path="pressure", every=None, agg="mean", unit=None, **window):
    return reads.history(
        SYSTEM, "pump-1", path, start=window.get("start"), end=window.get("end"), every=every, agg=agg, unit=unit, known_at=None
    )


def test_a_document_shows_values_in_the_units_of_their_properties(plant, reads):
    plant.send(body(1, p=2, rpm=1500, n=3, on=True, m="auto"))
    shown = document(reads)
    assert (shown["$dtId"], shown["pressure"], shown["starts"], shown["running"], shown["mode"]) == ("pump-1", 200.0, 3, True, "auto")
    assert shown["motor"]["speed"] == 1500.0
    assert shown["motor"]["$metadata"]["speed"]["quality"] == "good"
    assert shown["$metadata"]["$model"] == PUMP
    assert shown["$metadata"]["pressure"]["sourceTime"] == "2026-03-01T07:00:01Z"
    assert "$etag" not in shown
    assert "lastUpdateTime" not in shown["$metadata"]["pressure"]
    whole = document(reads, facts=False)
    assert whole["$etag"].startswith('W/"')
    assert whole["$metadata"]["pressure"]["lastUpdateTime"] == "2026-03-01T08:00:00Z"


def declare(plant, path, text, time=0):
    given = {"twin": 1, "path": path, "time": time, "source": "api", "correction": 1, "revision": 0, "kind": GOOD, "type": "VARCHAR"}
    with plant.store.transaction(SYSTEM, "apply") as transaction:
        transaction.append_values(pa.Table.from_pylist([given | {"txt": text, "lane": "observed"}], schema=VALUE_SCHEMA))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("place", {"hall": 3, "row": "b"}),
        ("tags", {"a": "1", "b": "{}"}),
        ("shape", {"type": "Point", "coordinates": [1.5, 2]}),
        ("limits", [1, 2.5]),
    ],
)
def test_objects_maps_and_arrays_are_shown_as_what_was_declared(plant, reads, path, value):
    declare(plant, path, json.dumps(value))
    assert document(reads)[path] == value
    assert history(reads, path)["values"] == [value]
    declare(plant, "mode", json.dumps(value))
    assert document(reads)["mode"] == json.dumps(value), "text stays text, whatever it looks like"


def test_what_should_be_json_and_is_not_is_shown_as_it_is_stored(plant, reads):
    declare(plant, "place", "hall 3")
    assert document(reads)["place"] == "hall 3"


def test_behind_a_bad_value_the_last_good_one_is_shown(plant, reads):
    plant.send(body(1, p=2), body(2, p="broken"))
    shown = document(reads)
    assert shown["pressure"] == 200.0
    assert (shown["$metadata"]["pressure"]["quality"], shown["$metadata"]["pressure"]["sourceTime"]) == ("bad", "2026-03-01T07:00:02Z")
    plant.send(body(1, "pump-2", p="broken"))
    assert "pressure" not in document(reads, "pump-2", as_of=NOW - 20 * SECOND)


def test_documents_can_be_read_as_of_and_as_known_at(plant, reads):
    first = plant.send(body(1, p=1), body(5, p=5))
    plant.send(body(3, p=3))
    assert document(reads, as_of=at(4))["pressure"] == 300.0
    assert document(reads, as_of=at(4), known_at=first.token)["pressure"] == 100.0
    assert "pressure" not in document(reads, as_of=at(0))
    assert [one["$dtId"] for one in reads.documents(SYSTEM, as_of=None, known_at=None, lane="observed", facts=True)] == ["pump-1", "pump-2"]


def test_a_twin_that_did_not_exist_then_is_not_found(plant, reads):
    assert document(reads, "pump-2", as_of=NOW)["$dtId"] == "pump-2"
    with pytest.raises(NotFoundError, match="did not exist"):
        document(reads, "pump-2", as_of=NOW - 7 * SECOND)
    with pytest.raises(NotFoundError, match="no twin"):
        document(reads, "pump-9")


def test_history_is_in_the_unit_asked_for_with_its_quality(plant, reads):
    plant.send(body(1, p=1), body(2, p=1.5), body(3, p="broken"), body(4, p=9))
    found = history(reads, unit="bar")
    assert found["values"] == [1.0, 1.5, None, 9.0]
    assert found["quality"] == ["good", "good", "bad", "rate"]
    assert found["source"] == ["pump"] * 4
    assert history(reads)["values"][:2] == [100.0, 150.0]
    assert history(reads, start=at(2), end=at(4))["times"] == ["2026-03-01T07:00:02Z", "2026-03-01T07:00:03Z"]
    with pytest.raises(UnitError):
        history(reads, unit="rpm")
    with pytest.raises(NotFoundError, match="Did you mean 'pressure'"):
        history(reads, "presure")
    with pytest.raises(NotFoundError, match="It has: "):
        history(reads, "zzz")


@pytest.mark.parametrize(("path", "unit"), [("pressure", "rpm"), ("mode", "V"), ("pressure", "blinks")])
def test_a_unit_of_another_dimension_is_an_error_where_nothing_has_come_too(reads, path, unit):
    for every in (None, SECOND):
        with pytest.raises(UnitError):
            history(reads, path, every, unit=unit)


def test_whole_numbers_booleans_and_texts_stay_what_they_are(plant, reads):
    plant.send(body(1, n=3, on=True, m="auto"), body(2, n=1.5, on=1, m=2))
    assert [history(reads, path)["values"] for path in ("starts", "running", "mode")] == [[3, None], [True, None], ["auto", None]]


def test_a_record_has_the_same_quality_in_whichever_window_it_is_read(plant, reads):
    plant.send(*(body(second, p=p) for second, p in enumerate([1, 1.5, "broken", 9, 9.5, 20, "broken", 20.5])))
    whole = history(reads)
    assert whole["quality"] == ["good", "good", "bad", "rate", "good", "rate", "bad", "good"]
    for first in range(9):
        for last in range(first, 9):
            assert history(reads, start=at(first), end=at(last))["quality"] == whole["quality"][first:last]


def test_the_rate_is_judged_against_the_twin_as_it_was_in_an_earlier_lifetime_too(plant, reads):
    plant.send({"id": "pump-2", "ts": "2026-03-01T07:59:49Z", "p": 1}, {"id": "pump-2", "ts": "2026-03-01T07:59:56Z", "p": 50})
    for start in (None, NOW - 6 * SECOND):
        found = reads.history(SYSTEM, "pump-2", "pressure", start=start, end=None, every=None, agg="mean", unit=None, known_at=None)
        assert found["quality"][-1] == "rate"


@pytest.mark.parametrize("large", [2**60 + 1, -(2**60) - 1, 2**63 - 1])
def test_whole_numbers_beyond_the_precision_of_a_float_are_exact_in_history_as_in_state(plant, reads, large):
    plant.send(body(1, n=large), body(2, n=1.5), body(3, n=large))
    assert document(reads)["starts"] == large
    assert history(reads, "starts")["values"] == [large, None, large]
    for agg in ("min", "max", "first", "last"):
        assert history(reads, "starts", every=60 * SECOND, agg=agg)["values"] == [large]
    assert history(reads, "starts", every=60 * SECOND, agg="count")["values"] == [2]


def test_history_is_resampled_into_windows(plant, reads):
    plant.send(body(0, p=1), body(1, p=3), body(4, p=5), body(5, p="broken"), body(8, p="broken"))
    found = history(reads, every=4 * SECOND, unit="bar")
    assert found["values"] == [2.0, 5.0, None]
    assert found["quality"] == ["rate", "bad", "bad"]  # the gravest of a window
    assert found["marks"] == {"gap": 0, "stuck": 0, "rate": 1, "spike": 0, "bad": 2}
    assert history(reads, every=4 * SECOND, agg="count")["values"] == [2, 1, 0]
    assert history(reads, every=4 * SECOND, agg="count")["unit"] is None
    for problem in ({"every": 0}, {"every": 1, "agg": "median of medians"}):
        with pytest.raises(UsageError):
            history(reads, **problem)
    plant.send(body(9, m="x"))
    with pytest.raises(UsageError, match="text, not numbers"):
        history(reads, "mode", every=SECOND)


def test_a_series_is_increasing_and_marks_what_is_bad(plant, reads):
    plant.send(body(3, p=3), body(1, p=1), body(2, p="broken"))
    series = reads.series(SYSTEM, "pump-1", "pressure", unit="bar")
    assert series.times.tolist() == [at(1), at(2), at(3)]
    assert series.good.tolist() == [True, False, True]
    assert series.only_good().values.tolist() == [1.0, 3.0]
    assert len(reads.series(SYSTEM, "pump-2", "pressure").times) == 0
    assert reads.unit_of("pump-1", "starts") is None


def test_the_series_of_a_twin_runs_over_its_lifetimes(plant, reads):
    plant.send({"id": "pump-2", "ts": "2026-03-01T07:59:56Z", "p": 2}, {"id": "pump-2", "ts": "2026-03-01T07:00:00Z", "p": 1})
    assert reads.series(SYSTEM, "pump-2", "pressure", unit="bar").values.tolist() == [1.0, 2.0]
    assert document(reads, "pump-2")["pressure"] == 200.0


def test_a_document_shows_the_mark_and_the_age_of_what_it_shows(plant, reads):
    plant.send(body(1, p=1), body(2, p=9))
    now = at(12)
    shown = reads.document(SYSTEM, "pump-1", as_of=None, known_at=None, lane="observed", facts=False, now=now)
    notes = shown["$metadata"]["pressure"]
    assert (notes["quality"], notes["ageSeconds"]) == ("rate", 10.0)
    later = reads.document(SYSTEM, "pump-1", as_of=None, known_at=None, lane="observed", facts=False, now=now + SECOND)
    assert later["$etag"] == shown["$etag"]
    then = reads.document(SYSTEM, "pump-1", as_of=at(1), known_at=None, lane="observed", facts=False, now=now)["$metadata"]["pressure"]
    assert (then["quality"], then["ageSeconds"]) == ("good", 0.0)
    facts = document(reads)["$metadata"]["pressure"]
    assert (facts["quality"], "ageSeconds" in facts) == ("good", False)
    plant.send(body(1, p=8))  # contradicts: the greater one is its neighbour now
    assert document(reads, facts=False)["$metadata"]["pressure"]["quality"] == "good"
    every = reads.documents(SYSTEM, as_of=None, known_at=None, lane="observed", facts=False, now=now)
    assert every[0]["$metadata"]["pressure"]["ageSeconds"] == 10.0


def test_marks_of_a_source_are_counted_over_a_window(plant, reads):
    plant.send(body(1, p=1), body(2, p=9), body(3, "pump-2", p=1), body(4, p="broken"), body(5, m="auto"))
    judged = reads.judged
    assert judged.counts(SYSTEM, "pump", at(0), at(9)) == (4, 2, {"gap": 0, "stuck": 0, "rate": 1, "spike": 0, "bad": 1})
    assert judged.counts(SYSTEM, "pump", at(2), at(3))[:2] == (1, 1)
    assert judged.counts(SYSTEM, "nobody", at(0), at(9))[:2] == (0, 0)
