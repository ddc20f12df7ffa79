"""Whatever is handed in, either an ontology comes out or a SchemaError with reasons: mutations of real documents, and odd values."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinwright import schema
from twinwright.errors import SchemaError

_PUMP = {
    "@context": ["dtmi:dtdl:context;4", "dtmi:dtdl:extension:quantitativeTypes;2", "dtmi:dtdl:extension:mqtt;3",
                 "dtmi:dtdl:extension:annotation;2", "dtmi:dtdl:extension:overriding;2", "dtmi:dtdl:extension:historization;2"],
    "@id": "dtmi:t:Pump;1",
    "@type": ["Interface", "Mqtt"],
    "payloadFormat": "json",
    "telemetryTopic": "plant/{modelId}/telemetry",
    "displayName": {"en": "Pump", "de": "Pumpe"},
    "description": [{"@value": "A pump", "@language": "de"}, "x"],
    "extends": ["dtmi:t:Base;1"],
    "contents": [
        {"@type": ["Property", "Temperature", "Historized"], "name": "temp", "schema": "double", "unit": "degreeCelsius", "writable": True},
        {"@type": ["Property", "ValueAnnotation", "Override"], "name": "tempUnit", "annotates": "temp", "overrides": "unit",
         "schema": "TemperatureUnit"},
        {"@type": "Telemetry", "name": "at", "schema": {"@type": "Object", "fields": [
            {"@type": ["Field", "Indexed"], "name": "x", "schema": "double", "index": 1},
            {"name": "m", "schema": {"@type": "Map", "mapKey": {"name": "k", "schema": "string"},
                                     "mapValue": {"name": "v", "schema": "dtmi:t:list;1"}}}]}},
        {"@type": ["Command", "Idempotent", "Cacheable"], "name": "stop", "ttl": "PT1M", "request": {"name": "r", "schema": "duration"}},
        {"@type": "Relationship", "name": "feeds", "target": "dtmi:t:Base;1", "maxMultiplicity": 3, "properties": [
            {"@type": "Property", "name": "p", "schema": "point"}]},
        {"@type": "Component", "name": "motor", "schema": "dtmi:t:Base;1"},
    ],
    "schemas": [{"@id": "dtmi:t:list;1", "@type": "Array", "elementSchema": {"@type": "Enum", "valueSchema": "integer", "enumValues": [
        {"name": "a", "enumValue": 1}, {"name": "b", "enumValue": {"@value": 2, "@type": "xsd:integer"}}]}}],
}  # fmt: skip
_BASE = {"@context": "dtmi:dtdl:context;4", "@id": "dtmi:t:Base;1", "@type": "Interface", "contents": []}
_ODD = st.one_of(
    st.sampled_from([None, True, 0, -1, 10**5000, 2**31, 1.5, float("nan"), float("inf"), "", " ", "\ud800", "@id", "dtmi:", "x" * 3000]),
    st.sampled_from(["dtmi:t:Pump;1", "dtmi:t:list;1", "dtmi:t:gone;1", "dtmi:dtdl:instance:Schema:double;3", "Interface", "Temperature"]),
    st.sampled_from([[], {}, [[]], [None], {"@id": "dtmi:t:Base;1"}, {"@value": 10**5000}, {"@context": []}, b"bytes", object(), (1, 2)]),
    st.text(max_size=4),
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        item = pending.pop()
        keys: list[Any] = list(item) if isinstance(item, dict) else list(range(len(item))) if isinstance(item, list) else []
        found += [(item, key) for key in keys]
        pending += [item[key] for key in keys]
    return found


def _mutate(data: st.DataObject, document: Any) -> None:
    places = _places(document)
    if not places:
        return
    holder, key = places[data.draw(st.integers(0, len(places) - 1))]
    action = data.draw(st.sampled_from(["replace", "delete", "copy", "rename", "wrap"]))
    if action == "replace":
        holder[key] = data.draw(_ODD)
    elif action == "delete":
        del holder[key]
    elif action == "copy":
        other, name = places[data.draw(st.integers(0, len(places) - 1))]
        holder[key] = copy.deepcopy(other[name])
    elif action == "wrap":
        holder[key] = [holder[key]]
    elif isinstance(holder, dict):
        holder[data.draw(st.sampled_from(["@graph", "unit", "index", "name", "foo", "a:b", "dtmi:a//b", "dtmi:dtdl:property:name;4"]))] = (
            holder.pop(key)
        )


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutations_of_a_real_model_are_read_or_refused_with_reasons(data: st.DataObject) -> None:
    documents = copy.deepcopy([_PUMP, _BASE])
    for _ in range(data.draw(st.integers(1, 4))):
        _mutate(data, documents)
    try:
        ontology = schema.load(documents, allow_undefined_extensions=data.draw(st.sampled_from([None, True, False])))
    except SchemaError as error:
        assert error.problems
        assert all(problem.message and problem.remedy and str(problem).encode() for problem in error.problems)
        json.dumps(error.as_json())
    else:
        assert ontology.elements.keys() >= ontology.interfaces.keys()


def test_the_model_that_is_mutated_is_right() -> None:
    assert schema.load([_PUMP, _BASE]).paths("dtmi:t:Pump;1").keys() == {"temp", "tempUnit", "at"}


@pytest.mark.parametrize("value", [10**5000, float("nan"), object(), b"x", (1,), {1: 2}, [10**5000], {"x": object()}], ids="abcdefgh")
@pytest.mark.parametrize("place", ["@id", "@type", "@context", "name", "displayName", "contents", "extends", "schemas", "comment"])
def test_values_that_are_not_of_json_are_refused(place: str, value: Any) -> None:
    with pytest.raises(SchemaError):
        schema.load(_BASE | {place: value})


def test_lists_that_hold_one_another_many_times_over_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinwright.schema.sources.MAX_CONTAINERS", 10_000)
    bomb: Any = []
    for _ in range(60):
        bomb = [bomb, bomb]
    with pytest.raises(SchemaError, match="Split it"):
        schema.load(_BASE | {"contents": bomb})
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(SchemaError, match="nested deeper"):
        schema.load(_BASE | {"contents": ring})


def test_a_name_given_twice_is_told_with_everything_else() -> None:
    text = '{"@context": "dtmi:dtdl:context;4", "@id": "dtmi:t:A;1", "@type": "Interface",\n "comment": "a",\n "comment": 5}'
    with pytest.raises(SchemaError) as caught:
        schema.load(("a.json", text))
    assert {problem.code.rpartition(":")[2] for problem in caught.value.problems} == {"duplicatePropertyName", "stringNotString"}
