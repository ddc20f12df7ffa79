"""One mistake may break several rules: each is named, with the element, the member, the value and the place it is about."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.schema.test_rules import judged, model, prop, telemetry

from twinwright import schema
from twinwright.errors import SchemaError
from twinwright.schema import SchemaProblem

_DOUBLE = "dtmi:dtdl:instance:Schema:double;2"
_ENUM = {"@type": "Enum", "valueSchema": "integer", "enumValues": [{"name": "v", "enumValue": 1}]}
_EXTENSIONS = ("dtmi:dtdl:extension:quantitativeTypes;1", "dtmi:dtdl:extension:annotation;2", "dtmi:dtdl:extension:overriding;2")


def problems(*documents: Any) -> dict[str, SchemaProblem]:
    with pytest.raises(SchemaError) as caught:
        schema.load([(f"{index}.json", json.dumps(document)) for index, document in enumerate(documents)])
    return {problem.code.rpartition(":")[2]: problem for problem in caught.value.problems if isinstance(problem, SchemaProblem)}


@pytest.mark.parametrize(
    ("what", "document", "codes"),
    [
        ("a schema that is a number", model(3, prop(7)), "objectCountBelowMin refNotStringOrObject"),
        ("a schema that is no word", model(3, prop("strng")), "badDtmiOrTerm objectCountBelowMin"),
        ("a word that is no schema", model(3, prop("asynchronous")), "badType"),
        ("a name that is null", model(3, prop() | {"name": None}),
         "dtmiSegPropertyNotStringOrNumber missingLiteralProperty propertyValueNull stringNotString"),
        ("a name that is a number", model(3, prop() | {"name": 7}), "stringNotString"),
        ("a name of an element with an @id", model(3, prop() | {"name": True, "@id": "dtmi:t:p;1"}), "stringNotString"),
        ("a name written as a DTMI", model(3, {"@type": "Property", "dtmi:dtdl:property:name;3": "p", "schema": "double"}), "valid"),
        ("two names that are arrays of one", model(3, prop() | {"name": ["p"]}, prop() | {"name": ["q"]}), "valid"),
        ("a member of an inferred type", model(3, {"@type": "Command", "name": "c", "request": {"name": "r", "schema": "double", "x": 1}}),
         "inferredTypeDoesNotAllow propertyUndefinedTerm"),
        ("a type that is none, of an element that has to be", model(3, telemetry({"@type": "Map", "mapKey": {"@type": ["MapKey", "Foo"],
         "name": "k", "schema": "string"}, "mapValue": {"name": "v", "schema": "double"}})), "objectCountBelowMin typeUndefinedTerm"),
        ("an object for a word", model(3, telemetry(_ENUM | {"valueSchema": {}})), "missingRequiredId"),
        ("a number for a word", model(3, telemetry(_ENUM | {"valueSchema": 1})), "objectCountBelowMin refNotStringOrObject"),
        ("another word for a word", model(3, telemetry(_ENUM | {"valueSchema": "asynchronous"})), "badType"),
        ("another datatype", model(3, telemetry(_ENUM | {"valueSchema": "double"})), "incorrectPropertyValue"),
        ("a value that is not of its @type", model(3, telemetry(_ENUM | {"enumValues": [{"name": "v", "enumValue":
         {"@value": "x", "@type": "xsd:integer"}}]})), "integerValueNotInteger literalNotValid"),
        ("an @type that is a number", model(3, prop(writable={"@value": True, "@type": 7})), "literalTypeNotSingular"),
        ("a unit that is an object, in DTDL 2", model(2, prop(unit={}) | {"@type": ["Property", "Length"]}), "badType objectCountBelowMin"),
        ("a unit that is no word", model(2, prop(unit="yard") | {"@type": ["Property", "Length"]}), "badDtmiOrTerm objectCountBelowMin"),
        ("nothing that tells what an element is", model(3, {}), "badType missingDtmiSegPropertyValue"),
        ("the same with a name written as a DTMI", model(3, {"dtmi:dtdl:property:name;3": "p"}), "badType"),
        ("an identifier that is none, of who knows what", model(3, {"@id": "Pump", "name": "p"}), "badType invalidId"),
        ("no identifier of a shared schema, of who knows what", model(3, schemas={}), "badType missingRequiredId"),
        ("nothing but a context", {"@context": "dtmi:dtdl:context;3"}, "badType missingTopLevelId typeNotRootable"),
        ("a local context alone", {"@context": {}, "@id": "dtmi:t:A;1", "@type": "Interface"},
         "disallowedLocalContext missingDtdlContext"),
        ("a unit type beside a class", model(2, telemetry() | {"@type": ["Telemetry", "LengthUnit"]}), "badType multipleMaterialTypes"),
        ("an Override that is Telemetry, of nothing", model(3, telemetry(), {"@type": ["Telemetry", "ValueAnnotation", "Override"],
         "name": "u", "annotates": "p", "overrides": "unit", "schema": "string"}, extensions=_EXTENSIONS),
         "invalidCotype noMatchingSupplementalProperty"),
    ],
)  # fmt: skip
def test_each_rule_that_is_broken_is_named(what: str, document: Any, codes: str) -> None:
    assert judged(document) == codes, what


@pytest.mark.parametrize(
    ("definitions", "code"),
    [
        ({"@context": "dtmi:t:x;1"}, "localTermInvalid"),
        ({"a:b": "dtmi:t:x;1"}, "localTermInvalid"),
        ({"": "dtmi:t:x;1"}, "localTermEmpty"),
        ({"dtmi": "dtmi:t:x;1"}, "localTermSchemePrefix"),
        ({"contents": "dtmi:t:x;1"}, "localTermReserved"),
        ({"metre": "dtmi:t:x;1"}, "localTermReserved"),
        ({"mine": 7}, "termDefinitionNotStringOrObject"),
        ({"mine": {"id": "dtmi:t:x;1"}}, "termDefinitionMissingIdProperty"),
        ({"mine": {"@id": None}}, "termDefinitionIdPropertyNotString"),
        ({"mine": "dtmi:t/x"}, "localTermDefinitionInvalidDtmi"),
        ({"mine": "http:x"}, "localTermDefinitionInvalidUri"),
        ({"mine": "dtmi:t:", "yours": {"@id": "https://example.com/x"}, "ours": "mine:x;1"}, None),
    ],
)
def test_a_local_context_is_refused_and_its_words_are_judged(definitions: Any, code: str | None) -> None:
    found = problems(model(3, extensions=(definitions,)))
    assert set(found) == {"disallowedLocalContext", *([code] if code else [])}
    assert found["disallowedLocalContext"].path == "$.@context[1]"
    if code is not None:
        assert found[code].path == f"$.@context[1].{next(iter(definitions))}" or not next(iter(definitions)).isidentifier()
    assert "localContextNotLast" in problems(model(3, extensions=(definitions, "dtmi:dtdl:extension:annotation;2")))


def test_a_problem_points_at_the_value_it_is_about() -> None:
    long = [{"@language": "en", "@value": "x"}, {"@language": "de", "@value": "x" * 513}]
    assert problems(model(3, displayName=long))["langStringValueTooLong"].path == "$.displayName[1]"
    assert problems(model(3, displayName={"en": "x", "de": "x" * 513}))["langStringValueTooLong"].path == "$.displayName.de"
    assert problems(model(3, prop(writable=[{"@value": 7}])))["booleanValueNotBoolean"].path == "$.contents[0].writable[0].@value"
    assert problems(model(3, extensions=("dtmi:x:y;1",)))["unresolvableContextSpecifier"].path == "$.@context[1]"
    assert problems(model(3, prop(), prop()))["nonUniquePropertyValue"].path == "$.contents[1].name"
    enum = telemetry(_ENUM | {"enumValues": [{"name": "a", "enumValue": 1}, {"name": "b", "enumValue": 1}]})
    assert problems(model(3, enum))["nonUniquePropertyValue"].path == "$.contents[0].schema.enumValues[1].enumValue"
    base = model(3, prop()) | {"@id": "dtmi:t:Base;1"}
    inherited = problems(base, model(3, prop(), extends="dtmi:t:Base;1"))["nonUniqueImportedPropertyValue"]
    assert (inherited.file, inherited.path, inherited.secondary_id) == ("1.json", "$.contents[0].name", "dtmi:t:Base;1")


def test_a_problem_names_what_else_is_involved() -> None:
    misplaced = problems(model(3, {"@type": "Command", "name": "c", "commandType": "double"}))["badType"]
    assert (misplaced.property, misplaced.secondary_id, misplaced.value) == ("commandType", _DOUBLE, "Double")
    text = problems(model(2, prop("string", unit="metre") | {"@type": ["Property", "Length"]}))["notRequiredType"]
    assert (text.primary_id, text.secondary_id) == ("dtmi:t:A:_contents:__p;1", "dtmi:dtdl:instance:Schema:string;2")
    unit = problems(model(2, prop() | {"@type": ["Property", "Length"]}))["missingSupplementalObjectProperty"]
    assert unit.property == "unit"
    keyword = problems(model(3, prop() | {"@language": "en"}))["keywordDisallowed"]
    assert (keyword.primary_id, keyword.property, keyword.value) == ("dtmi:t:A;1", "contents", "@language")
    chain = [model(3, extends=f"dtmi:t:A{index + 1};1") | {"@id": f"dtmi:t:A{index};1"} for index in range(11)]
    deep = problems(*chain, model(3) | {"@id": "dtmi:t:A11;1"})["excessiveDepthNarrow"]
    assert (deep.primary_id, deep.secondary_id) == ("dtmi:t:A0;1", "dtmi:t:A11;1")
    arrays: Any = "double"
    for index in range(6):
        arrays = {"@id": f"dtmi:t:array{index};1", "@type": "Array", "elementSchema": arrays}
    assert problems(model(3, telemetry(arrays)))["excessiveDepthWide"].secondary_id == "dtmi:t:array0;1"
