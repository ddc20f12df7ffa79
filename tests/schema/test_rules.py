"""The rules and limits of each version, at the limit and one beyond (DTDL v2, v3, v4: language descriptions and specifications)."""

from __future__ import annotations

from typing import Any

import pytest

from twinwright import schema
from twinwright.errors import SchemaError
from twinwright.schema import metamodel
from twinwright.schema.metamodel import GEOSPATIAL, LIMITS, PRIMITIVES_V2, PRIMITIVES_V4

OK = "valid"
ONVIF = ["dtmi:dtdl:context;4#limitless", "dtmi:dtdl:limits:onvif;1"]
AIO = ["dtmi:dtdl:context;4#limitless", "dtmi:dtdl:limits:aio;1"]
CONTEXTS: dict[tuple[int, str], Any] = {
    (2, ""): "dtmi:dtdl:context;2", (3, ""): "dtmi:dtdl:context;3", (4, ""): "dtmi:dtdl:context;4", (4, "onvif"): ONVIF, (4, "aio"): AIO,
}  # fmt: skip
LANGUAGES = sorted(CONTEXTS)


def judged(*documents: Any, **options: Any) -> str:
    """The codes of a set of documents, or `valid`."""
    try:
        schema.load(list(documents), **options)
    except SchemaError as error:
        return " ".join(sorted({problem.code.rpartition(":")[2] for problem in error.problems}))
    return OK


def model(language: tuple[int, str] | int, *contents: Any, extensions: tuple[str, ...] = (), **members: Any) -> dict[str, Any]:
    context = CONTEXTS[(language, "") if isinstance(language, int) else language]
    every = [*([context] if isinstance(context, str) else context), *extensions]
    return {"@context": every, "@id": "dtmi:t:A;1", "@type": "Interface", "contents": list(contents), **members}


def prop(schema: Any = "double", name: str = "p", **members: Any) -> dict[str, Any]:
    return {"@type": "Property", "name": name, "schema": schema, **members}


def telemetry(schema: Any = "double", **members: Any) -> dict[str, Any]:
    return prop(schema, **members) | {"@type": "Telemetry"}


def nested(depth: int) -> Any:
    found: Any = "double"
    for _ in range(depth):
        found = {"@type": "Array", "elementSchema": found}
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_names_and_identifiers_are_as_long_as_allowed(language: tuple[int, str]) -> None:
    limits = LIMITS[language]
    for member, most, code in (
        ("displayName", limits.display_name, "langStringValueTooLong"),
        ("description", limits.description, "langStringValueTooLong"),
        ("comment", limits.comment, "stringTooLong"),
    ):
        assert most is not None
        assert judged(model(language, **{member: "x" * most})) == OK
        assert judged(model(language, **{member: "x" * (most + 1)})) == code
    assert limits.name is not None
    assert judged(model(language, prop(name="x" * limits.name))) == OK
    assert judged(model(language, prop(name="x" * (limits.name + 1)))) == "stringTooLong"
    assert limits.interface_id is not None
    assert judged(model(language) | {"@id": "dtmi:" + "x" * (limits.interface_id - 7) + ";1"}) == OK
    assert judged(model(language) | {"@id": "dtmi:" + "x" * (limits.interface_id - 6) + ";1"}) == "idTooLongForType"
    assert limits.id is not None
    assert judged(model(language, prop() | {"@id": "dtmi:" + "x" * (limits.id - 7) + ";1"})) == OK
    assert judged(model(language, prop() | {"@id": "dtmi:" + "x" * (limits.id - 6) + ";1"})) == "idTooLong"


@pytest.mark.parametrize("language", LANGUAGES)
def test_schemas_and_inheritance_are_as_deep_as_allowed(language: tuple[int, str]) -> None:
    deepest, longest = LIMITS[language].schema_depth, LIMITS[language].extends_depth
    assert deepest is not None
    assert longest is not None
    assert judged(model(language, telemetry(nested(deepest)))) == OK
    assert judged(model(language, telemetry(nested(deepest + 1)))) == "excessiveDepthWide"
    chain = [model(language, extends=f"dtmi:t:A{i + 1};1") | {"@id": f"dtmi:t:A{i};1"} for i in range(longest)]
    last = model(language) | {"@id": f"dtmi:t:A{longest};1"}
    more = model(language, extends="dtmi:t:A0;1")
    assert judged(*chain, last) == OK
    assert judged(*chain, last, more) == "excessiveDepthNarrow"


def test_the_limits_of_dtdl_2_on_counts_are_those_of_dtdl_2_alone() -> None:
    def enum(count: int) -> Any:
        return telemetry(
            {"@type": "Enum", "valueSchema": "integer", "enumValues": [{"name": f"v{i}", "enumValue": i} for i in range(count)]}
        )

    def fields(count: int) -> Any:
        return telemetry({"@type": "Object", "fields": [{"name": f"f{i}", "schema": "double"} for i in range(count)]})

    def edge(count: int) -> Any:
        return {"@type": "Relationship", "name": "r", "properties": [prop(name=f"p{i}") for i in range(count)]}

    bases = [model(2) | {"@id": f"dtmi:t:B{i};1"} for i in range(3)]
    for two, beyond in ((enum(100), enum(101)), (fields(30), fields(31)), (edge(300), edge(301))):
        assert [judged(model(2, two)), judged(model(2, beyond)), judged(model(3, beyond))] == [OK, "objectCountAboveMax", OK]
    assert judged(*bases, model(2, extends=[base["@id"] for base in bases[:2]])) == OK
    assert judged(*bases, model(2, extends=[base["@id"] for base in bases])) == "objectCountAboveMax"
    assert judged(*bases, model(3, extends=[base["@id"] for base in bases])) == OK
    assert judged(model(2, *(prop(name=f"p{i}") for i in range(300)))) == OK
    assert judged(model(2, *(prop(name=f"p{i}") for i in range(301)))) == "objectCountAboveMax"


@pytest.mark.parametrize("version", [2, 3, 4])
def test_each_version_has_its_standard_schemas(version: int) -> None:
    for name in {*PRIMITIVES_V4, *GEOSPATIAL, "scaledDecimal"}:
        known = name in PRIMITIVES_V2 or name in GEOSPATIAL or version == 4
        unknown = "badType" if name == "byte" and version == 2 else "badDtmiOrTerm objectCountBelowMin"  # in DTDL 2, byte is a unit
        assert judged(model(version, telemetry(name))) == (OK if known else unknown), name
    assert judged(model(version, telemetry(f"dtmi:dtdl:instance:Schema:double;{version}"))) == OK
    assert judged(model(version, telemetry("dtmi:dtdl:instance:Schema:double;9"))) == "undefinedReservedId"


RULES: list[tuple[str, Any, dict[int, str]]] = [
    # what, a document by version, what is judged of it in which version
    ("an Array in a Property", lambda v: model(v, prop(nested(1))), {2: "excludedType", 3: OK, 4: OK}),
    ("an Array in a Property's Map", lambda v: model(v, prop({"@type": "Map", "mapKey": {"name": "k", "schema": "string"},
     "mapValue": {"name": "v", "schema": nested(1)}})), {2: "excludedType", 3: OK, 4: OK}),
    ("a geospatial Property", lambda v: model(v, prop("point")), {2: "excludedType", 3: OK, 4: OK}),
    ("an Enum without values", lambda v: model(v, telemetry({"@type": "Enum", "valueSchema": "string", "enumValues": []})),
     {2: "objectCountBelowMin", 3: OK, 4: OK}),
    ("an Object without fields", lambda v: model(v, telemetry({"@type": "Object", "fields": []})),
     {2: "objectCountBelowMin", 3: OK, 4: OK}),
    ("a schema that contains itself", lambda v: model(v, schemas=[{"@id": "dtmi:t:s;1", "@type": "Array", "elementSchema": "dtmi:t:s;1"}]),
     {2: "recursiveStructureWide", 3: "recursiveStructureWide", 4: OK}),
    ("an identifier without a version", lambda v: model(v) | {"@id": "dtmi:t:A"}, {2: "invalidId", 3: OK, 4: OK}),
    ("an identifier with a minor version", lambda v: model(v) | {"@id": "dtmi:t:A;1.2"}, {2: "invalidId", 3: OK, 4: OK}),
    ("a minor version of seven digits", lambda v: model(v) | {"@id": "dtmi:t:A;1.1234567"}, dict.fromkeys((2, 3, 4), "invalidId")),
    ("version zero", lambda v: model(v) | {"@id": "dtmi:t:A;0"}, dict.fromkeys((2, 3, 4), "invalidId")),
    ("a segment that ends with _", lambda v: model(v) | {"@id": "dtmi:t:A_;1"}, dict.fromkeys((2, 3, 4), "invalidId")),
    ("a fragment", lambda v: model(v) | {"@id": "dtmi:t:A;1#x"}, dict.fromkeys((2, 3, 4), "invalidId")),
    ("a reserved identifier", lambda v: model(v) | {"@id": "dtmi:standard:A;1"}, dict.fromkeys((2, 3, 4), "reservedId")),
    ("a CommandPayload", lambda v: model(v, {"@type": "Command", "name": "c", "request": {"@type": "CommandPayload", "name": "r",
     "schema": "double"}}), {2: OK, 3: "badType", 4: "badType"}),
    ("a CommandRequest", lambda v: model(v, {"@type": "Command", "name": "c", "request": {"@type": "CommandRequest", "name": "r",
     "schema": "double"}}), {2: "badType", 3: OK, 4: OK}),
    ("a nullable response", lambda v: model(v, {"@type": "Command", "name": "c", "response": {"name": "r", "schema": "double",
     "nullable": True}}), {2: "inferredTypeDoesNotAllow propertyUndefinedTerm",
     3: "inferredTypeDoesNotAllow propertyUndefinedTerm", 4: OK}),
    ("a multiplicity of 501", lambda v: model(v, {"@type": "Relationship", "name": "r", "maxMultiplicity": 501}),
     {2: "valueAboveRange", 3: OK, 4: OK}),
    ("a least multiplicity of 1", lambda v: model(v, {"@type": "Relationship", "name": "r", "minMultiplicity": 1}),
     dict.fromkeys((2, 3, 4), "valueNotExact")),
    ("a key of a Map that is a number", lambda v: model(v, telemetry({"@type": "Map", "mapKey": {"name": "k", "schema": "integer"},
     "mapValue": {"name": "v", "schema": "double"}})), dict.fromkeys((2, 3, 4), "badType")),
    ("an Enum of doubles", lambda v: model(v, telemetry({"@type": "Enum", "valueSchema": "double", "enumValues": [{"name": "a",
     "enumValue": 1}]})), dict.fromkeys((2, 3, 4), "incorrectPropertyValue")),
    ("two names of an Enum alike", lambda v: model(v, telemetry({"@type": "Enum", "valueSchema": "integer", "enumValues": [{"name": "a",
     "enumValue": 1}, {"name": "a", "enumValue": 2}]})), dict.fromkeys((2, 3, 4), "nonUniquePropertyValue")),
    ("two values of an Enum alike", lambda v: model(v, telemetry({"@type": "Enum", "valueSchema": "integer", "enumValues": [{"name": "a",
     "enumValue": 1}, {"name": "b", "enumValue": 1}]})), dict.fromkeys((2, 3, 4), "nonUniquePropertyValue")),
    ("two contents of a name", lambda v: model(v, prop(), telemetry()), dict.fromkeys((2, 3, 4), "nonUniquePropertyValue")),
    ("a Component of itself", lambda v: model(v, {"@type": "Component", "name": "c", "schema": "dtmi:t:A;1"}),
     dict.fromkeys((2, 3, 4), "excludedType recursiveStructureNarrow")),
    ("a nested Component", lambda v: model(v, {"@type": "Component", "name": "c", "schema": model(v, {"@type": "Component", "name": "d",
     "schema": model(v) | {"@id": "dtmi:t:C;1"}}) | {"@id": "dtmi:t:B;1"}}), dict.fromkeys((2, 3, 4), "excludedType")),
    ("a unit without a semantic type", lambda v: model(v, prop(unit="metre")),
     {2: "noTypeThatAllows propertyIrrelevantDtmiOrTerm", 3: "noTypeThatAllows propertyUndefinedTerm",
      4: "noTypeThatAllows propertyUndefinedTerm"}),
    ("a semantic type without its extension", lambda v: model(v, prop(unit="metre") | {"@type": ["Property", "Length"]}),
     {2: OK, 3: "propertyUndefinedTerm typeUndefinedTerm", 4: "propertyUndefinedTerm typeUndefinedTerm"}),
    ("an undefined co-type", lambda v: model(v, prop() | {"@type": ["Property", "Shiny"]}),
     {2: OK, 3: "typeUndefinedTerm", 4: "typeUndefinedTerm"}),
    ("a member that nobody defines", lambda v: model(v, prop(colour="red")),
     dict.fromkeys((2, 3, 4), "noTypeThatAllows propertyUndefinedTerm")),
    ("a keyword in an element", lambda v: model(v, prop(**{"@value": 1})), {2: OK, 3: "keywordDisallowed", 4: "keywordDisallowed"}),
    ("a local context", lambda v: model(v) | {"@context": [f"dtmi:dtdl:context;{v}", {"x": "dtmi:y;1"}]},
     dict.fromkeys((2, 3, 4), "disallowedLocalContext")),
    ("a text in two languages alike", lambda v: model(v, displayName=[{"@value": "a", "@language": "de"}, {"@value": "b",
     "@language": "de"}]), dict.fromkeys((2, 3, 4), "langStringElementCodeNotUnique")),
    ("a language in capitals", lambda v: model(v, displayName={"DE": "a"}), dict.fromkeys((2, 3, 4), "langStringInvalidCode")),
    ("an extended interface of a later version", lambda v: [model(v, extends="dtmi:t:B;1"), model(4) | {"@id": "dtmi:t:B;1"}],
     {2: "disallowedVersionReference", 3: "disallowedVersionReference", 4: OK}),
    ("a component of an earlier version", lambda v: [model(v, {"@type": "Component", "name": "c", "schema": "dtmi:t:B;1"}),
     model(2) | {"@id": "dtmi:t:B;1"}], dict.fromkeys((2, 3, 4), OK)),
    ("a schema of another version", lambda v: model(v, telemetry(nested(1) | {"@context": "dtmi:dtdl:context;2"})),
     dict.fromkeys((2, 3, 4), OK)),
    ("fields of another version", lambda v: model(v, telemetry({"@type": "Object", "fields": [{"@context": "dtmi:dtdl:context;2",
     "name": "f", "schema": "double"}]})), {2: OK, 3: "disallowedVersionDefinition", 4: "disallowedVersionDefinition"}),
    ("a schema of another interface", lambda v: [model(v, telemetry("dtmi:t:s;1")), model(v, schemas=[{"@id": "dtmi:t:s;1",
     "@type": "Array", "elementSchema": "double"}]) | {"@id": "dtmi:t:B;1"}], dict.fromkeys((2, 3, 4), "crossPartitionReference")),
    ("an object with an identifier alone", lambda v: model(v, extends={"@id": "dtmi:t:B;1"}), dict.fromkeys((2, 3, 4), "idReference")),
    ("a limit extension", lambda v: model(v) | {"@context": [f"dtmi:dtdl:context;{v}#limitless", "dtmi:dtdl:limits:onvif;1"]},
     {2: "disallowedContextFragment", 3: "disallowedContextFragment", 4: OK}),
]  # fmt: skip


@pytest.mark.parametrize(("version", "build", "expected"), [
    pytest.param(version, build, expected, id=f"{what} in v{version}")
    for what, build, by_version in RULES for version, expected in by_version.items()
])  # fmt: skip
def test_each_version_judges_by_its_rules(version: int, build: Any, expected: str) -> None:
    documents = build(version)
    assert judged(*(documents if isinstance(documents, list) else [documents])) == expected


MQTT, ANNOTATION, OVERRIDING = "dtmi:dtdl:extension:mqtt;4", "dtmi:dtdl:extension:annotation;2", "dtmi:dtdl:extension:overriding;2"
QUANTITIES, OPERATIONS = "dtmi:dtdl:extension:quantitativeTypes;3", "dtmi:iotoperations:context;4"


def typed(*types: str, **members: Any) -> dict[str, Any]:
    return {"name": "x", "schema": "double", **members} | {"@type": [*types]}


def result(*fields: Any, types: tuple[str, ...] = ("Object", "Result")) -> Any:
    return telemetry({"@type": [*types], "fields": list(fields)})


def enum() -> Any:
    return {"@type": "Enum", "valueSchema": "integer", "enumValues": [{"name": "a", "enumValue": 1}]}


COTYPES: list[tuple[str, Any, str]] = [
    ("dtmi:dtdl:extension:historization;2", typed("Telemetry", "Historized"), OK),
    ("dtmi:dtdl:extension:historization;2", {"@type": ["Command", "Historized"], "name": "c"}, "invalidCotype"),
    ("dtmi:dtdl:extension:historization;1", typed("Telemetry", "Historized"), "invalidCotypeVersion"),
    (MQTT, {"@type": ["Command", "Idempotent", "Cacheable"], "name": "c", "ttl": "PT1M"}, OK),
    (MQTT, {"@type": ["Command", "Idempotent", "Cacheable"], "name": "c", "ttl": "1 minute"}, "durationInvalid"),
    (MQTT, {"@type": ["Command", "Idempotent", "Cacheable"], "name": "c", "ttl": 60}, "durationNotString"),
    (MQTT, {"@type": ["Command", "Idempotent", "Cacheable"], "name": "c"}, "missingSupplementalLiteralProperty"),
    (MQTT, {"@type": ["Command", "Cacheable"], "name": "c", "ttl": "PT1M"}, "missingCocotype"),
    (MQTT, typed("Telemetry", "Indexed", index=1), OK),
    (MQTT, typed("Telemetry", "Indexed", index=0), "valueBelowMin"),
    (MQTT, typed("Telemetry", "Indexed", index="1"), "integerNotInteger"),
    (MQTT, [typed("Telemetry", "Indexed", index=1), typed("Property", "Indexed", index=1, name="y")], "nonUniquePropertyValue"),
    (MQTT, typed("Property", "Fragmented"), "notRequiredType"),
    (MQTT, result(typed("Field", "NormalResult"), typed("Field", "ErrorCode", name="e", schema=enum())), OK),
    (MQTT, result(typed("Field", "NormalResult"), typed("Field", name="e")), "notRequiredType"),
    (MQTT, result(typed("Field", "NormalResult"), types=("Object",)), "parentMissingCotype"),
    (MQTT, result(typed("Field", "NormalResult"), typed("Field", "NormalResult", name="y")), "siblingDuplicatesCotype"),
    (MQTT, result(typed("Field", "ErrorInfo", schema={"@type": "Object", "fields": []})), "siblingMissingCotype"),
    (MQTT, result(typed("Field", "ErrorCode")), "notRequiredType"),
    (ANNOTATION, [typed("Property", name="p"), typed("Property", "ValueAnnotation", annotates="p")], OK),
    (ANNOTATION, [{"@type": "Command", "name": "p"}, typed("Property", "ValueAnnotation", annotates="p")], "notSiblingRequiredType"),
    (ANNOTATION, [typed("Property", "ValueAnnotation", annotates="q", name="p"), typed("Property", "ValueAnnotation", annotates="p")],
     "disallowedType"),
    (QUANTITIES, typed("Property", "DynamicViscosity", unit="centipoise"), OK),
    (QUANTITIES, typed("Property", "DynamicViscosity", unit="metre"), "badType wrongParent"),
    (QUANTITIES, typed("Property", "Length", unit={"@type": "EnumValue"}), "objectCountBelowMin refObjectNotAllowed"),
    (QUANTITIES, typed("Property", "Length", "Mass", unit="metre"), "conflictingSupplementalTypes"),
    (QUANTITIES, typed("Property", "QuantitativeType", unit="metre"), "abstractSupplementalType noTypeThatAllows "
     "propertyIrrelevantDtmiOrTerm"),
    (OPERATIONS, typed("Property", "Limited", maximum=5, minimum=0.5), OK),
    (OPERATIONS, typed("Property", "Limited", maximum=5.5, schema="integer"), "nonConformantPropertyValue"),
    (OPERATIONS, typed("Property", "Limited", maximum="5"), "numericNotNumeric"),
    (OPERATIONS, typed("Property", "Qualified", namespace="n" * 129), "stringTooLong"),
    (OPERATIONS, {"@type": ["Command", "GroupMember"], "name": "c", "group": "1st"}, "stringInvalid"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("extension", "contents", "expected"), COTYPES, ids=[f"{c[0].rpartition(':')[2]}-{i}" for i, c in enumerate(COTYPES)]
)
def test_each_extension_judges_by_its_rules(extension: str, contents: Any, expected: str) -> None:
    assert judged(model(4, *(contents if isinstance(contents, list) else [contents]), extensions=(extension,))) == expected


@pytest.mark.parametrize(
    ("schema_name", "overrides", "expected"),
    [
        ("TemperatureUnit", "unit", OK), ("LengthUnit", "unit", "siblingPropertyMismatch"), ("double", "unit", "siblingPropertyMismatch"),
        ("string", "name", "matchingPropertyNotSupplemental"), ("string", "ttl", "noMatchingSupplementalProperty"),
    ],
)  # fmt: skip
def test_an_override_is_of_a_member_that_a_cotype_brings_and_of_its_schema(schema_name: str, overrides: str, expected: str) -> None:
    target = typed("Property", "Temperature", name="t", unit="kelvin")
    other = typed("Property", "ValueAnnotation", "Override", name="o", annotates="t", overrides=overrides, schema=schema_name)
    document = model(4, target, other, extensions=("dtmi:dtdl:extension:quantitativeTypes;2", ANNOTATION, OVERRIDING))
    assert judged(document) == expected
    document["contents"].append(other | {"name": "again"})
    assert ("multipleReference" in judged(document)) == (expected in (OK, "siblingPropertyMismatch") or overrides in ("name", "ttl"))


def test_limit_extensions_are_accepted_by_name_or_version() -> None:
    document = model((4, "onvif"))
    assert judged(document, acceptable_limits=["dtmi:dtdl:limits:onvif"]) == OK
    assert judged(document, acceptable_limits=["dtmi:dtdl:limits:onvif;1"]) == OK
    assert judged(document, acceptable_limits=["dtmi:dtdl:limits:onvif;2"]) == "disallowedLimitContext"
    assert judged(document, acceptable_limits=[]) == "disallowedLimitContext"
    assert judged(model(4) | {"@context": ["dtmi:dtdl:context;4#limitless"]}) == "missingLimitContext"
    assert judged(model(4) | {"@context": ["dtmi:dtdl:context;4", "dtmi:dtdl:limits:onvif;1"]}) == "misplacedLimitContext"


def test_every_version_has_every_class_that_its_members_name() -> None:
    for version, limits in LIMITS:
        table = metamodel.classes(version, limits)
        for cls in table.values():
            for member in cls.members.values():
                assert not member.classes or any(name in table for name in member.classes), (version, cls.name, member.name)
