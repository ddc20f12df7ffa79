from __future__ import annotations

from typing import Any

import pytest

from twinwright import schema


def _load(contents: Any = (), **members: Any) -> schema.Ontology:
    context = ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1", "dtmi:dtdl:extension:requirement;1"]
    main = {"@context": context, "@id": "dtmi:t:A;1", "@type": "Interface", "contents": list(contents), **members}
    bases = [{"@context": context, "@id": f"dtmi:t:{name};1", "@type": "Interface"} for name in ("Base", "Other")]
    derived = {"@context": context, "@id": "dtmi:t:Derived;1", "@type": "Interface", "extends": "dtmi:t:Base;1"}
    return schema.load([main, *bases, derived])


def _prop(schema: Any = "integer", type: Any = "Property", **members: Any) -> dict[str, Any]:
    return {"@type": type, "name": "p", "schema": schema, **members}


def _enum(**values: int) -> dict[str, Any]:
    return {"@type": "Enum", "valueSchema": "integer", "enumValues": [{"name": name, "enumValue": value} for name, value in values.items()]}


def _rel(**members: Any) -> dict[str, Any]:
    return {"@type": "Relationship", "name": "p", **members}


def _object(**fields: str) -> dict[str, Any]:
    return {"@type": "Object", "fields": [{"name": name, "schema": schema} for name, schema in fields.items()]}


def _map(key: str, value: str, schema: str = "double") -> dict[str, Any]:
    return {"@type": "Map", "mapKey": {"name": key, "schema": "string"}, "mapValue": {"name": value, "schema": schema}}


def _needed(*types: str) -> dict[str, Any]:
    return {"@type": "Object", "fields": [{"@type": [*types], "name": "a", "schema": "double"}, {"name": "b", "schema": "integer"}]}


_PRESSURE = ["Property", "Pressure"]
CASES: list[tuple[Any, Any, str, str]] = [
    (None, _prop(), "additive", "property added"),
    (_prop(), None, "breaking", "property removed"),
    (_prop("integer"), _prop("long"), "compatible", "integer became long"),
    (_prop("long"), _prop("integer"), "breaking", "long became integer"),
    (_prop("double"), _prop("float"), "breaking", "double became float"),
    (_prop("double"), _prop(_object(a="double")), "breaking", "double became Object"),
    (_prop(), _prop(type="Telemetry"), "breaking", "property became telemetry"),
    (_prop(), _prop(displayName="P"), "compatible", "texts changed"),
    (_prop(), _prop(writable=True), "compatible", "became writable"),
    (_prop(writable=True), _prop(), "breaking", "no longer writable"),
    (_prop(type=_PRESSURE, unit="bar"), _prop(type=_PRESSURE, unit="kilopascal"), "breaking", "unit bar became kPa"),
    (_prop(type=_PRESSURE, unit="bar"), _prop(type=["Property", "Voltage"], unit="volt"), "breaking", "unit bar became V"),
    (_prop(type=["Property", "Length"], unit="metre"), _prop(type=["Property", "Distance"], unit="metre"), "compatible", "semantic type"),
    (_prop(_enum(a=1)), _prop(_enum(a=1, b=2)), "additive", "enum value 2 added"),
    (_prop(_enum(a=1, b=2)), _prop(_enum(a=1)), "breaking", "enum value 2 removed"),
    (_prop(_enum(a=1)), _prop(_enum(b=1)), "breaking", "renamed"),
    (_prop({"@type": "Array", "elementSchema": "integer"}), _prop({"@type": "Array", "elementSchema": "long"}), "compatible", "long"),
    (_prop(_object(a="integer")), _prop(_object(a="integer", b="integer")), "additive", "field b added"),
    (_prop(_object(a="integer", b="integer")), _prop(_object(a="integer")), "breaking", "field b removed"),
    (_prop(_object(a="integer")), _prop(_object(a="boolean")), "breaking", "field a"),
    (_rel(target="dtmi:t:Derived;1"), _rel(target="dtmi:t:Base;1"), "compatible", "target became"),
    (_rel(target="dtmi:t:Base;1"), _rel(target="dtmi:t:Derived;1"), "breaking", "target became"),
    (_rel(target="dtmi:t:Base;1"), _rel(), "compatible", "target became any"),
    (_rel(), _rel(maxMultiplicity=2), "breaking", "maxMultiplicity"),
    (_rel(maxMultiplicity=2), _rel(maxMultiplicity=3), "compatible", "maxMultiplicity"),
    (_rel(writable=True), _rel(), "breaking", "no longer writable"),
    (_rel(), _rel(writable=True), "compatible", "became writable"),
    (_prop(_map("k", "v")), _prop(_map("key", "v")), "compatible", "names of key and value"),
    (_prop(_map("k", "v")), _prop(_map("k", "v", "boolean")), "breaking", "became boolean"),
    (_prop(_needed("Field")), _prop(_needed("Field", "Required")), "breaking", "became required"),
    (_prop(_needed("Field", "Required")), _prop(_needed("Field")), "compatible", "no longer required"),
    (_prop(_object(b="integer")), _prop(_needed("Field", "Required")), "breaking", "required field a added"),
    (_rel(), _rel(properties=[_prop()]), "additive", "edge property p added"),
    (_rel(properties=[_prop()]), _rel(), "breaking", "edge property p removed"),
    (_rel(properties=[_prop()]), _rel(properties=[_prop("string")]), "breaking", "integer became string"),
    ({"@type": "Component", "name": "p", "schema": "dtmi:t:Base;1"}, {"@type": "Component", "name": "p",
     "schema": "dtmi:t:Derived;1"}, "compatible", "component"),
    ({"@type": "Component", "name": "p", "schema": "dtmi:t:Base;1"}, {"@type": "Component", "name": "p",
     "schema": "dtmi:t:Other;1"}, "breaking", "component"),
    ({"@type": "Command", "name": "p"}, {"@type": "Command", "name": "p", "request": {"name": "x",
     "schema": "long"}}, "breaking", "request added"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "effect", "what"), CASES)
def test_each_change_of_a_content_has_its_effect(before: Any, after: Any, effect: str, what: str) -> None:
    changes = schema.diff(_load([before] if before else ()), _load([after] if after else ()))
    assert [(change.effect, change.content) for change in changes] == [(effect, "p")]
    assert what in changes[0].what
    assert changes[0].reason
    assert changes[0].as_json()["interface"] == "dtmi:t:A;1"


def test_nothing_changed_is_no_change() -> None:
    assert schema.diff(_load([_prop(_enum(a=1))]), _load([_prop(_enum(a=1))])) == []


def test_interfaces_come_and_go_and_change_their_bases() -> None:
    empty, full = schema.load([]), _load()
    assert {change.effect for change in schema.diff(empty, full)} == {"additive"}
    assert {change.effect for change in schema.diff(full, empty)} == {"breaking"}
    assert [(c.effect, c.what) for c in schema.diff(_load(), _load(extends="dtmi:t:Base;1"))] == [("additive", "extends dtmi:t:Base;1")]
    assert [(c.effect, c.what) for c in schema.diff(_load(extends="dtmi:t:Base;1"), _load())] == [
        ("breaking", "no longer extends dtmi:t:Base;1")
    ]
    assert [c.effect for c in schema.diff(_load(), _load(comment="x"))] == ["compatible"]


def test_changes_of_a_command_are_told_by_side() -> None:
    def command(**members: Any) -> dict[str, Any]:
        return {"@type": "Command", "name": "p", "request": {"name": "x", "schema": "integer"} | members}

    assert [c.what for c in schema.diff(_load([command()]), _load([command(schema="long")]))] == ["request: integer became long"]
    assert [c.effect for c in schema.diff(_load([command()]), _load([command(name="y")]))] == ["breaking"]
