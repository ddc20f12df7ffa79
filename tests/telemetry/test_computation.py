"""Computed, scaled and converted values: what they are, when they are bad or missing, and what is refused when the contract is loaded."""

import json

import pytest
from tests.telemetry.plant import INTERFACE, NOW, PATHS, compiled, written

from twinwright.schema import Array, Enum, Object, PathInfo, Primitive
from twinwright.schema.elements import EnumValue, Field
from twinwright.storage.layout import Lifetime
from twinwright.telemetry.batches import decoder_of, prepare
from twinwright.telemetry.payloads import Payload
from twinwright.twins.registry import TwinRegistry

MORE = {
    "temperature": ("double", "degC"),
    "gauge": ("double", "kPa"),
}
PROPERTIES = {
    **PATHS,
    **{name: PathInfo(name, "property", Primitive(schema), unit, None, False) for name, (schema, unit) in MORE.items()},
    "state": PathInfo("state", "property", Enum("string", (EnumValue("on", "ON"), EnumValue("off", "OFF"))), None, None, False),
    "level": PathInfo("level", "property", Enum("integer", (EnumValue("low", 1), EnumValue("high", 2))), None, None, False),
    "place": PathInfo(
        "place", "property", Object((Field("lat", Primitive("double")), Field("tags", Array(Primitive("string"))))), None, None, False
    ),
}
REGISTRY = TwinRegistry([Lifetime(1, "pump-1", INTERFACE)], {INTERFACE: PROPERTIES})
BASE = {"ts": "2026-03-01T07:00:00Z"}


def made_of(*observations, **changes):
    document = written(observations=list(observations), twin="pump-1", **changes)
    made, problems = compiled(document, PROPERTIES)
    assert made is not None, problems.items
    return made


def values(made, *documents, format="json"):
    """(value, whether bad) of the first observation of each, or the reasons of those refused."""
    payloads = [Payload(json.dumps({**BASE, **document}).encode()) for document in documents]
    prepared = prepare(made, decoder_of(made), payloads, REGISTRY, NOW)
    found = prepared.readings
    said = {int(row): (value, bool(bad & 1)) for row, value, bad in zip(found.row, found.values[0].to_pylist(), found.bad[0], strict=True)}
    refused = {one.row: one.reason for one in prepared.refused}
    return [said.get(row, refused.get(row)) for row in range(len(documents))]


GAUGE = {"path": "gauge", "compute": "p_abs - 101.325 kPa", "unit": "kPa"}


def test_a_value_is_computed_from_fields_in_their_units():
    made = made_of(GAUGE, fields={"p_abs": {"unit": "bar"}})
    assert made.columns[0].unit == "kPa"
    assert values(made, {"p_abs": 2}) == [(pytest.approx(98.675), False)]
    assert made_of({"path": "gauge", "compute": "p - 1 bar"}, {"path": "pressure", "field": "p", "unit": "bar"}).columns[0].unit == "kPa"


def test_what_a_computed_value_lacks_is_missing_and_what_is_wrong_makes_it_bad():
    made = made_of(GAUGE, {"path": "mode", "field": "m"}, fields={"p_abs": {"unit": "kPa"}})
    documents = [{"p_abs": "x"}, {"m": "a"}, {"p_abs": None, "m": "a"}, {"p_abs": 1e999 * 0}]
    assert values(made, *documents) == [(None, True), (None, False), (None, False), (None, True)]
    required = made_of({**GAUGE, "required": True}, fields={"p_abs": {"unit": "kPa"}})
    assert values(required, {"p_abs": "x"}, {}, {"p_abs": 101.325}) == ["bad_type", "missing_field", (0.0, False)]
    ratio = made_of({"path": "gauge", "compute": "if on then a / b * 1 kPa else 0 kPa"}, {"path": "mode", "field": "m"})
    documents = [{"on": True, "a": 1, "b": 0}, {"on": False, "b": "x"}, {"on": True, "a": 3, "b": 2}, {"m": "a"}]
    assert values(ratio, *documents) == [(None, True), (0.0, False), (1.5, False), (None, False)]


def test_computed_values_may_be_whole_true_or_false_and_text():
    counts = made_of({"path": "starts", "compute": "n * 2", "range": [0, 10]}, {"path": "mode", "field": "m"})
    assert values(counts, {"n": 2}, {"n": 0.25}, {"n": 9}, {"n": 1e300}) == [(4, False), (None, True), (None, True), (None, True)]
    running = made_of({"path": "running", "compute": "lower(s) in ('on', 'yes')"})
    assert values(running, {"s": "ON"}, {"s": "no"}, {"s": 5}) == [(True, False), (False, False), (None, True)]
    mode = made_of({"path": "mode", "compute": "if v > 5 then 'fast' else 'slow'"})
    assert values(mode, {"v": 6}, {"v": 5}) == [("fast", False), ("slow", False)]
    state = made_of({"path": "state", "compute": "upper(s)"})
    assert values(state, {"s": "on"}, {"s": "idle"}) == [("ON", False), (None, True)]


def test_scale_offset_and_sign():
    made = made_of({"path": "flow", "field": "q", "unit": "l/min", "scale": 0.5, "offset": 1.0, "sign": "inverted", "range": [-3, 0]})
    assert values(made, {"q": 2}, {"q": 6}, {"q": "x"}) == [(-2.0, False), (None, True), (None, True)]
    whole = made_of({"path": "starts", "field": "n", "scale": 10})
    assert values(whole, {"n": 2}, {"n": 0.05}) == [(20, False), (None, True)]


def test_each_message_may_say_its_unit():
    unit = {"field": "u", "names": {"grad": "degC"}}
    made = made_of({"path": "temperature", "field": "t", "unit": unit, "range": [-50, 150]}, {"path": "mode", "field": "m"})
    assert made.columns[0].unit == "degC"
    said = values(
        made, {"t": 20, "u": "grad"}, {"t": 68, "u": "degF"}, {"t": 293.15, "u": "kelvin"}, {"t": 20, "u": "°C"}, {"t": 2, "u": "DEG_C"}
    )
    assert [value for value, _ in said] == pytest.approx([20, 20, 20, 20, 2]) and not any(bad for _, bad in said)
    assert values(made, {"t": 1, "u": "kPa"}, {"t": 1, "u": "quux"}, {"t": 1}, {"t": 1, "u": 5}) == [(None, True)] * 4
    assert values(made, {"t": 999, "u": "degF", "m": "a"}, {"u": "K", "m": "a"}) == [(None, True), (None, False)]
    strict = made_of({"path": "temperature", "field": "t", "unit": unit, "required": True})
    assert values(strict, {"t": 1, "u": "kPa"}, {"t": 1}, {"u": "K"}) == ["bad_type", "bad_type", "missing_field"]


def test_an_enum_has_only_its_values():
    made = made_of({"path": "state", "field": "s"})
    assert values(made, {"s": "ON"}, {"s": "on"}) == [("ON", False), (None, True)]
    assert values(made_of({"path": "level", "field": "n", "required": True}), {"n": 2}, {"n": 3}) == [(2, False), "bad_type"]


def test_an_object_is_kept_whole_and_checked_by_its_schema():
    made = made_of({"path": "place", "field": "at"})
    good = {"tags": ["a"], "lat": 47.5}
    documents = [{"at": good}, {"at": {"lat": "x"}}, {"at": 5}, {"at": {"extra": 1}}, {"at": {}}]
    assert values(made, *documents) == [('{"lat":47.5,"tags":["a"]}', False), *[(None, True)] * 3, ("{}", False)]


@pytest.mark.parametrize(
    ("observation", "changes", "path", "said", "remedy"),
    [
        (GAUGE, {}, "$.observations[0].compute", "can't be converted", "fields: {p_abs:"),
        (
            {**GAUGE, "unit": "K"},
            {"fields": {"p_abs": {"unit": "kPa"}}},
            "$.observations[0].compute",
            "in K, and 'gauge' in kPa",
            "Correct",
        ),
        ({"path": "gauge", "compute": "p *"}, {}, "$.observations[0].compute", "column 4 of `p *`", "value"),
        ({"path": "gauge", "compute": "p * 2"}, {}, "$.observations[0].compute", "no unit", "fields: {p:"),
        ({"path": "gauge", "compute": "p > 2"}, {}, "$.observations[0].compute", "gives a boolean", "holds"),
        ({"path": "place", "compute": "'{}'"}, {}, "$.observations[0].compute", "something else", "holds"),
        ({"path": "gauge", "compute": "p", "field": "p"}, {}, "$.observations[0]", "both `field` and `compute`", "Correct"),
        ({"path": "gauge"}, {}, "$.observations[0]", "neither", "Correct"),
        ({"path": "gauge", "compute": "p", "scale": 2}, {}, "$.observations[0]", "into its expression", "Correct"),
        ({"path": "mode", "field": "m", "map": {"a": "b"}, "scale": 2}, {}, "$.observations[0]", "is mapped", "Correct"),
        ({"path": "mode", "field": "m", "scale": 2}, {}, "$.observations[0]", "is not a number", "Remove"),
        ({"path": "gauge", "field": "p", "unit": {"field": "u"}, "offset": 2}, {}, "$.observations[0]", "the offset", "Correct"),
        ({"path": "gauge", "field": "p", "unit": {"field": "u", "names": {"x": "K"}}}, {}, "$.observations[0].unit.names", "converted", ""),
        (
            {"path": "gauge", "field": "p", "unit": {"field": "u", "names": {"x": "zz"}}},
            {},
            "$.observations[0].unit.names",
            "not a known",
            "",
        ),
        ({"path": "state", "field": "m", "map": {"1": "on"}}, {}, "$.observations[0].map", "not one of ON, OFF", "admits"),
        ({"path": "place", "field": "m", "map": {"1": "on"}}, {}, "$.observations[0].map", "is an object", "Remove"),
        ({"path": "place", "field": "m"}, {"format": "csv"}, "$.observations[0].field", "csv holds none", "JSON"),
        (GAUGE, {"fields": {"p_abs": {"unit": "zz"}}}, "$.fields.p_abs.unit", "'zz' is not a known unit", ""),
        (GAUGE, {"fields": {"p_abs": {"unit": "kPa", "type": "text"}}}, "$.fields.p_abs", "'text' has no unit", ""),
    ],
)
def test_what_can_not_be_meant_is_told_when_the_contract_is_loaded(observation, changes, path, said, remedy):
    made, problems = compiled(written(observations=[observation], **changes), PROPERTIES)
    assert made is None
    told = problems.items[0]
    assert told.path == path and said in told.message and remedy in told.remedy and told.line == 1 and told.file == "contracts/pump.yaml"
