"""What was read, element by element, and values that are checked against any of these."""

from __future__ import annotations

from typing import Any

import pytest

from twinwright import schema
from twinwright.errors import NotFoundError, SchemaError, UsageError

CONTEXT = ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1", "dtmi:dtdl:extension:mqtt;1", "dtmi:x:y;1"]
UNIT = "dtmi:dtdl:extension:quantitativeTypes:v1:property:unit"


def _pump(**members: Any) -> dict[str, Any]:
    return {"@context": CONTEXT, "@id": "dtmi:t:Pump;1", "@type": ["Interface", "Mqtt", "Shiny"], "payloadFormat": "json", **members}


@pytest.fixture
def pump() -> schema.Ontology:
    document = _pump(
        gloss=[1, 2],
        displayName="Pump",
        contents=[
            {"@type": ["Property", "Pressure"], "name": "p", "schema": "double", "unit": "kilopascal", "writable": True},
            {"@id": "dtmi:t:at;1", "@type": "Telemetry", "name": "at", "schema": {"@type": "Object", "fields": [
                {"name": "where", "schema": "point"}, {"name": "mode", "schema": "dtmi:t:mode;1"}]}},
            {"@type": "Command", "name": "stop", "request": {"name": "ramp", "schema": "duration"}},
            {"@type": "Relationship", "name": "feeds", "target": "dtmi:t:Pump;1", "maxMultiplicity": 2, "properties": [
                {"@type": "Property", "name": "since", "schema": "date"}]},
            {"@type": "Component", "name": "motor", "schema": "dtmi:t:Motor;1"},
        ],
        schemas=[{"@id": "dtmi:t:mode;1", "@type": "Enum", "valueSchema": "string", "enumValues": [{"name": "on", "enumValue": "ON"}]}],
    )  # fmt: skip
    motor = {"@context": CONTEXT, "@id": "dtmi:t:Motor;1", "@type": "Interface"}
    small = {"@context": CONTEXT, "@id": "dtmi:t:Small;1", "@type": "Interface", "extends": "dtmi:t:Pump;1"}
    return schema.load([document, motor, small], allow_undefined_extensions=True)


def test_an_interface_is_described_with_what_it_inherits_and_what_nobody_defines(pump: schema.Ontology) -> None:
    found = pump.elements["dtmi:t:Pump;1"]
    assert (found.type, found.version, found.defined_in) == ("Interface", 3, None)
    assert found.properties["contents"]["p"] == "dtmi:t:Pump:_contents:__p;1"
    assert found.properties["properties"] == {"p": "dtmi:t:Pump:_contents:__p;1"}
    assert found.properties["telemetries"] == {"at": "dtmi:t:at;1"}
    assert found.properties["extendedBy"] == ["dtmi:t:Small;1"]
    assert found.properties["displayName"] == {"en": "Pump"}
    assert found.supplemental_types == ("dtmi:dtdl:extension:mqtt:v1:Mqtt",)
    assert found.supplemental_properties == {"dtmi:dtdl:extension:mqtt:v1:Mqtt:payloadFormat": "json"}
    assert (found.undefined_types, found.undefined_properties) == (("Shiny",), {"gloss": [1, 2]})
    assert pump.elements["dtmi:t:Small;1"].properties["contents"] == found.properties["contents"]


def test_elements_without_an_identifier_get_one_of_their_place(pump: schema.Ontology) -> None:
    inside = "dtmi:t:at:_schema:_fields:__where;1"
    assert pump.elements["dtmi:t:at;1"].properties["schema"] == "dtmi:t:at:_schema;1"
    assert pump.elements["dtmi:t:at:_schema;1"].properties["fields"] == [inside, "dtmi:t:at:_schema:_fields:__mode;1"]
    assert pump.elements[inside].properties["schema"] == "dtmi:standard:schema:geospatial:point;3"
    assert pump.elements["dtmi:t:Pump:_contents:__stop:_request;1"].properties["nullable"] is False
    assert pump.elements["dtmi:t:Pump:_contents:__feeds:_properties:__since;1"].defined_in == "dtmi:t:Pump;1"
    assert pump.elements["dtmi:t:mode:_enumValues:__on;1"].properties["enumValue"] == "ON"
    assert pump.elements["dtmi:t:mode;1"].properties["valueSchema"] == "dtmi:dtdl:instance:Schema:string;2"


def test_a_quantity_is_described_with_its_semantic_type_and_unit(pump: schema.Ontology) -> None:
    found = pump.elements["dtmi:t:Pump:_contents:__p;1"]
    assert found.supplemental_types == ("dtmi:dtdl:extension:quantitativeTypes:v1:class:Pressure",)
    assert found.supplemental_properties == {UNIT: "dtmi:dtdl:extension:quantitativeTypes:v1:unit:kilopascal"}
    assert found.properties["writable"] is True
    assert found.properties["schema"] == "dtmi:dtdl:instance:Schema:double;2"
    assert pump.elements["dtmi:dtdl:instance:Schema:double;2"].type == "Double"


@pytest.mark.parametrize(
    ("id", "good", "bad"),
    [
        ("dtmi:t:mode;1", "ON", "OFF"), ("dtmi:t:Pump:_contents:__p;1", 1.5, "1.5"), ("dtmi:dtdl:instance:Schema:double;2", 1, None),
        ("dtmi:t:at;1", {"mode": "ON"}, {"mode": 1}), ("dtmi:t:Pump:_contents:__stop:_request;1", "PT1M", "1 min"),
        ("dtmi:standard:schema:geospatial:point;3", {"type": "Point", "coordinates": [1, 2]}, [1, 2]),
    ],
)  # fmt: skip
def test_a_value_is_checked_against_a_schema_or_what_has_one(pump: schema.Ontology, id: str, good: Any, bad: Any) -> None:
    assert pump.check_instance(id, good) == []
    assert pump.check_instance(id, bad)[0].code == "nonConformantValue"


def test_what_has_no_values_says_so(pump: schema.Ontology) -> None:
    with pytest.raises(UsageError, match="a Component, which has no values"):
        pump.check_instance("dtmi:t:Pump:_contents:__motor;1", 1)
    with pytest.raises(NotFoundError, match="Did you mean 'dtmi:t:mode;1'"):
        pump.check_instance("dtmi:t:mod;1", 1)


def test_a_required_field_may_not_be_left_out() -> None:
    field = {"@type": ["Field", "Required"], "name": "a", "schema": "double"}
    shared = {"@id": "dtmi:t:o;1", "@type": "Object", "fields": [field, {"name": "b", "schema": "double"}]}
    context = ["dtmi:dtdl:context;4", "dtmi:dtdl:extension:requirement;1"]
    ontology = schema.load({"@context": context, "@id": "dtmi:t:A;1", "@type": "Interface", "schemas": [shared]})
    assert ontology.check_instance("dtmi:t:o;1", {"a": 1}) == []
    assert "'a' is missing" in ontology.check_instance("dtmi:t:o;1", {"b": 1})[0].message


def test_a_problem_names_the_elements_the_member_and_the_clause() -> None:
    document = _pump(contents=[{"@type": "Telemetry", "name": "t", "schema": "dtmi:t:gone;1"}, {"@type": "Property", "name": "a b"}])
    with pytest.raises(SchemaError) as caught:
        schema.load(document, allow_undefined_extensions=True)
    found = {problem.code.rpartition(":")[2]: problem.as_json() for problem in caught.value.problems}
    gone = found["unresolvedReference"]
    assert (gone["primary_id"], gone["secondary_id"]) == ("dtmi:t:Pump:_contents:__t;1", "dtmi:t:gone;1")
    assert (gone["property"], gone["value"], gone["path"]) == ("schema", "dtmi:t:gone;1", "$.contents[0].schema")
    assert "referenceability" in gone["clause"]
    assert found["stringInvalid"]["value"] == "a b"
    assert found["missingObjectProperty"]["property"] == "schema"
