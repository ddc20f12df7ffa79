from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinwright import schema
from twinwright.errors import NotFoundError, SchemaError
from twinwright.schema import dtmi

QUANTITATIVE = {3: "dtmi:dtdl:extension:quantitativeTypes;1", 4: "dtmi:dtdl:extension:quantitativeTypes;2"}


def interface(id: str = "dtmi:t:A;1", version: int = 3, **members: Any) -> dict[str, Any]:
    context = [f"dtmi:dtdl:context;{version}", *([QUANTITATIVE[version]] if version > 2 else [])]
    return {"@context": context, "@id": id, "@type": "Interface", **members}


def prop(name: str = "p", schema: Any = "double", **members: Any) -> dict[str, Any]:
    return {"@type": "Property", "name": name, "schema": schema, **members}


def codes(documents: Any, **options: Any) -> list[str]:
    with pytest.raises(SchemaError) as caught:
        schema.load(documents, **options)
    return [problem.code.removeprefix("dtmi:dtdl:parsingError:") for problem in caught.value.problems]


@pytest.fixture
def plant() -> schema.Ontology:
    base = interface(
        "dtmi:t:Base;1",
        contents=[prop("site", "string", writable=True), {"@type": "Relationship", "name": "feeds", "target": "dtmi:t:Base;1"}],
    )
    motor = interface(
        "dtmi:t:Motor;1", contents=[prop("speed", "double") | {"@type": ["Property", "AngularVelocity"], "unit": "revolutionPerMinute"}]
    )
    pump = interface(
        "dtmi:t:Pump;1",
        extends="dtmi:t:Base;1",
        contents=[
            {"@type": ["Telemetry", "Pressure"], "name": "pressure", "schema": "double", "unit": "kilopascal"},
            {"@type": "Component", "name": "motor", "schema": "dtmi:t:Motor;1"},
            {
                "@type": "Command",
                "name": "stop",
                "request": {"name": "ramp", "schema": "duration"},
                "response": {"name": "ok", "schema": "boolean"},
            },
        ],
    )
    return schema.load([pump, motor, base])


def test_paths_have_inherited_ones_and_those_of_components(plant: schema.Ontology) -> None:
    paths = plant.paths("dtmi:t:Pump;1")
    assert list(paths) == ["site", "pressure", "motor/speed"]
    assert (paths["pressure"].kind, paths["pressure"].unit, paths["pressure"].semantic_type) == ("telemetry", "kPa", "Pressure")
    assert (paths["motor/speed"].kind, paths["motor/speed"].unit, paths["motor/speed"].writable) == ("property", "rpm", False)
    assert paths["site"].writable
    assert paths["site"].schema == schema.Primitive("string")


def test_an_ontology_answers_what_follows_from_inheritance(plant: schema.Ontology) -> None:
    assert plant.is_subtype("dtmi:t:Pump;1", "dtmi:t:Base;1")
    assert plant.is_subtype("dtmi:t:Pump;1", "dtmi:t:Pump;1")
    assert not plant.is_subtype("dtmi:t:Base;1", "dtmi:t:Pump;1")
    assert plant.relationships("dtmi:t:Pump;1")["feeds"].target == "dtmi:t:Base;1"
    assert plant.components("dtmi:t:Pump;1")["motor"].schema == "dtmi:t:Motor;1"
    command = plant.interface("dtmi:t:Pump;1").contents["stop"]
    assert isinstance(command, schema.Command)
    assert command.request is not None
    assert command.request.schema == schema.Primitive("duration")
    assert plant.interface("dtmi:t:Pump;1").own == {"pressure", "motor", "stop"}


def test_an_unknown_interface_names_the_nearest(plant: schema.Ontology) -> None:
    with pytest.raises(NotFoundError, match="dtmi:t:Pump;1"):
        plant.paths("dtmi:t:Pumps;1")


def test_a_problem_says_file_line_path_and_remedy() -> None:
    text = json.dumps(interface(contents=[prop(), prop("bad name", "strng", writeable=True)]), indent=2)
    with pytest.raises(SchemaError) as caught:
        schema.load(("schema/a.json", text))
    lines = text.splitlines()
    found = {problem.code.rpartition(":")[2]: problem for problem in caught.value.problems}
    assert set(found) == {"stringInvalid", "badDtmiOrTerm", "objectCountBelowMin", "noTypeThatAllows", "propertyUndefinedTerm"}
    assert "strng" in lines[found["badDtmiOrTerm"].line - 1]
    assert "bad name" in lines[found["stringInvalid"].line - 1]
    assert "writeable" in lines[found["noTypeThatAllows"].line - 1]
    assert found["badDtmiOrTerm"].path == "$.contents[1].schema"
    assert found["badDtmiOrTerm"].remedy == "Did you mean 'string'?"
    assert found["noTypeThatAllows"].remedy == "Did you mean 'writable'?"
    assert found["noTypeThatAllows"].file == "schema/a.json"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({}, "missingContext"),
        ({"@context": "dtmi:iotcentral:context;2"}, "missingDtdlContext"),
        ({"@context": "dtmi:dtdl:context;3", "@graph": []}, "topLevelGraphDisallowed"),
        ({"@context": "dtmi:dtdl:context;9", "@id": "dtmi:t:A;1", "@type": "Interface"}, "unrecognizedContextVersion"),
        ({"@context": "dtmi:dtdl:context;3", "@id": "dtmi:t:A;1"}, "badType"),
        ({"@context": ["dtmi:dtdl:context;3", "dtmi:x:y;1"], "@id": "dtmi:t:A;1", "@type": "Interface"}, "unresolvableContextSpecifier"),
        (interface("dtmi:dtdl:A;1"), "reservedId"),
        (interface(contents=[prop(), prop()]), "nonUniquePropertyValue"),
        (interface(contents=[prop(unit="volt")]), "noTypeThatAllows"),
        (interface(contents=[prop() | {"@type": ["Property", "Pressure"]}]), "missingSupplementalObjectProperty"),
        (interface(contents=[prop(unit="volt") | {"@type": ["Property", "Pressure"]}]), "wrongParent"),
        (interface(contents=[prop(unit="volts") | {"@type": ["Property", "Pressure"]}]), "badDtmiOrTerm"),
        (interface(contents=[prop(schema="string", unit="bar") | {"@type": ["Property", "Pressure"]}]), "notRequiredType"),
        (interface(contents=[{"@type": ["Command", "Pressure"], "name": "c", "unit": "bar"}]), "invalidCotype"),
        (interface(version=2, contents=[prop(unit="volt") | {"@type": ["Property", "Pressure"]}]), "notRequiredType"),
        (interface(version=2, contents=[prop(unit="hectopascal") | {"@type": ["Property", "Pressure"]}]), "badDtmiOrTerm"),
        (interface(version=2, contents=[prop(schema="point")]), "excludedType"),
        (interface(extends="dtmi:t:A;1"), "recursiveStructureNarrow"),
        (interface(extends="dtmi:t:B;1"), "unresolvedReference"),
        (interface(contents=[prop(schema={"@type": "Enum", "valueSchema": "integer", "enumValues": [{"name": "a",
        "enumValue": "x"}]})]), "nonConformantDatatype"),
        (interface(contents=[{"@type": "Relationship", "name": "r", "minMultiplicity": 2}]), "valueNotExact"),
        (interface(contents=[{"@type": "Relationship", "name": "r", "maxMultiplicity": 0}]), "valueBelowMin"),
        (interface(version=2, contents=[{"@type": "Relationship", "name": "r", "maxMultiplicity": 501}]), "valueAboveRange"),
        (interface(version=2, contents=[prop(f"p{i}") for i in range(301)]), "objectCountAboveMax"),
        (interface(displayName={"english": "A"}), "langStringInvalidCode"),
        (interface(contents=[prop(name=None)]), "propertyValueNull"),
        (interface(contents=[{"@type": "Thing", "name": "x"}]), "badType"),
        ({"@context": "dtmi:dtdl:context;3", "@id": "dtmi:t:A;1", "@type": "Telemetry"}, "typeNotRootable"),
        ({"@context": "dtmi:dtdl:context;3", "@type": "Interface"}, "missingTopLevelId"),
        (interface(contents=[{"@type": ["Property", "Telemetry"], "name": "p", "schema": "double"}]), "multipleMaterialTypes"),
        (interface(**{"@value": 1}), "topLevelKeywordDisallowed"),
        (interface(**{"name": "x", "dtmi:dtdl:property:name;3": "y"}), "noTypeThatAllows"),
        (interface(contents=[{"@type": "Command", "name": "c", "request": {"name": "r", "schema": "double", "x": 1}}]),
        "inferredTypeDoesNotAllow"),
        (interface(contents=[{"@type": "Command", "name": "c", "commandType": "hasty"}]), "badDtmiOrTerm"),
        (interface(contents=[prop(schema={"@type": "Enum", "valueSchema": "double"})]), "incorrectPropertyValue"),
        (interface(displayName={"@value": "A"}), "langMapObjKeyword"),
        (interface(displayName={"@value": "A", "@language": "en"}), "langTagValueInLangMap"),
        (interface(comment={"@value": "A", "@id": "x"}), "valueObjectId"),
        (interface(displayName=[{"@value": "A", "x": 1}]), "langStringElementInvalidProp"),
        ([1], "notJsonObject"),
        (7, "notJsonObject"),
    ],
)  # fmt: skip
def test_each_kind_of_mistake_has_its_code(document: Any, code: str) -> None:
    assert code in codes(document)


def test_every_problem_of_the_set_is_told_at_once() -> None:
    found = codes([interface("dtmi:t:A;1", contents=[prop("1")]), interface("dtmi:t:B;1", nonsense=1), interface("dtmi:t:A;1")])
    assert found.count("stringInvalid") == 1
    assert {"noTypeThatAllows", "duplicateDefinition"} <= set(found)


def test_later_versions_than_allowed_are_refused() -> None:
    assert codes(interface(version=4), max_version=3) == ["disallowedContextVersion"]
    assert schema.load(interface(version=3), max_version=3).interfaces


def test_undefined_extensions_are_allowed_in_v2_and_refused_later_unless_told() -> None:
    def document(version: int) -> dict[str, Any]:
        return {"@context": [f"dtmi:dtdl:context;{version}", "dtmi:x:y;1"], "@id": "dtmi:t:A;1", "@type": "Interface"}

    assert schema.load(document(2)).interfaces
    assert codes(document(2), allow_undefined_extensions=False) == ["unresolvableContextSpecifier"]
    assert codes(document(3)) == ["unresolvableContextSpecifier"]
    assert schema.load(document(3), allow_undefined_extensions=True).interfaces


def test_a_resolver_is_asked_until_nothing_is_missing() -> None:
    shelf = {"dtmi:t:B;1": interface("dtmi:t:B;1", extends="dtmi:t:C;1"), "dtmi:t:C;1": interface("dtmi:t:C;1", contents=[prop("deep")])}
    asked: list[list[str]] = []

    def resolver(wanted: list[str]) -> dict[str, Any]:
        asked.append(wanted)
        return {name: shelf[name] for name in wanted if name in shelf}

    ontology = schema.load(interface(extends="dtmi:t:B;1"), resolver=resolver)
    assert asked == [["dtmi:t:B;1"], ["dtmi:t:C;1"]]
    assert "deep" in ontology.paths("dtmi:t:A;1")
    with pytest.raises(SchemaError, match="dtmi:t:D;1"):
        schema.load(interface(extends="dtmi:t:D;1"), resolver=lambda wanted: None)


def test_a_schema_may_contain_itself_in_v4_only() -> None:
    tree = {
        "@id": "dtmi:t:tree;1",
        "@type": "Object",
        "fields": [{"name": "children", "schema": {"@type": "Array", "elementSchema": "dtmi:t:tree;1"}}],
    }
    assert "recursiveStructureWide" in codes(interface(version=3, schemas=[tree]))
    ontology = schema.load(interface(version=4, schemas=[tree], contents=[prop("root", "dtmi:t:tree;1")]))
    root = ontology.paths("dtmi:t:A;1")["root"].schema
    assert not schema.check_value({"children": [{"children": []}]}, root, ontology.schemas)
    assert schema.check_value({"children": [{"children": [3]}]}, root, ontology.schemas)[0].path == "$.children[0].children[0]"


def test_a_diamond_inherits_each_content_once() -> None:
    top = interface("dtmi:t:Top;1", contents=[prop("x")])
    left, right = (interface(f"dtmi:t:{name};1", extends="dtmi:t:Top;1") for name in ("Left", "Right"))
    ontology = schema.load([top, left, right, interface("dtmi:t:Bottom;1", extends=["dtmi:t:Left;1", "dtmi:t:Right;1"])])
    assert list(ontology.paths("dtmi:t:Bottom;1")) == ["x"]


def test_texts_in_every_form_come_out_by_language() -> None:
    written = interface(displayName=[{"@value": "Pumpe", "@language": "de"}, "Pump"], description={"en": "A pump"})
    found = schema.load(written).interface("dtmi:t:A;1")
    assert found.display_name == {"de": "Pumpe", "en": "Pump"}
    assert found.description == {"en": "A pump"}


def test_scaled_decimal_is_an_object_of_two_fields() -> None:
    found = schema.load(interface(version=4, contents=[prop("d", "scaledDecimal")])).paths("dtmi:t:A;1")["d"].schema
    assert not schema.check_value({"scale": -2, "value": "12.5"}, found)


def test_extensions_bring_their_types_members_and_schemas() -> None:
    contexts = ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:historization;1", "dtmi:dtdl:extension:annotation;1"]
    noted = {"@type": ["Property", "ValueAnnotation"], "name": "note", "annotates": "p", "schema": "string"}
    document = interface(contents=[prop() | {"@type": ["Property", "Historized"]}, noted]) | {"@context": contexts}
    assert set(schema.load(document).paths("dtmi:t:A;1")) == {"p", "note"}
    assert codes(document | {"@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:historization;9"]})[0] == "unresolvableContextVersion"
    central = {"@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"], "@id": "dtmi:t:A;1", "@type": "Interface"}
    place = (
        schema.load(central | {"contents": [{"@type": "Telemetry", "name": "at", "schema": "geopoint"}]}).paths("dtmi:t:A;1")["at"].schema
    )
    assert not schema.check_value({"lat": 59.3, "lon": 18.1, "alt": 20}, place)


def test_every_problem_is_told_and_the_first_thousand_with_their_lines() -> None:
    text = json.dumps(interface(contents=[prop(f"p {i}") for i in range(1200)]), indent=1)
    with pytest.raises(SchemaError) as caught:
        schema.load(text)
    assert len(caught.value.problems) == 1200
    assert [problem.line is None for problem in caught.value.problems] == [False] * 1000 + [True] * 200
    assert text.splitlines()[caught.value.problems[999].line - 1].strip() == '"name": "p 999",'


def test_files_are_validated_for_the_command_line(tmp_path: Path) -> None:
    good, bad, missing = tmp_path / "good.json", tmp_path / "bad.json", tmp_path / "none.json"
    good.write_text(json.dumps(interface()))
    bad.write_text('{\n  "@context": "dtmi:dtdl:context;3",\n  oops\n}')
    assert schema.validate_files([good]) == {"valid": True, "errors": []}
    answer = schema.validate_files([good, bad, missing])
    assert not answer["valid"]
    assert [(error["file"], error["line"]) for error in answer["errors"]] == [(str(missing), None), (str(bad), 3)]
    assert all({"file", "path", "code", "message", "remedy"} <= error.keys() for error in answer["errors"])
    inner = tmp_path / "more" / "inner.json"
    inner.parent.mkdir()
    inner.write_text(json.dumps(interface("dtmi:t:B;1", extends="dtmi:t:A;1")))
    bad.unlink()
    assert schema.validate_files([tmp_path])["valid"]
    assert not schema.validate_files([inner])["valid"]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("NaN", "invalidJson"),
        ("-Infinity", "invalidJson"),
        ("9" * 5000, "invalidJson"),
        ("[" * 200 + "]" * 200, "excessiveDepthWide"),
        ("[" * 100_000, "invalidJson"),
        ("oops", "invalidJson"),
    ],
    ids=lambda value: value[:9],
)
def test_what_is_no_json_is_told_with_its_line(value: str, code: str) -> None:
    with pytest.raises(SchemaError) as caught:
        schema.load(("a.json", f'{{"comment": "NaN [[[ 1",\n"contents":\n{value}\n}}'))
    assert [(problem.line, problem.code.rpartition(":")[2]) for problem in caught.value.problems] == [(3, code)]


_OBJECT = '{"@context": "dtmi:dtdl:context;3", "@id": "dtmi:t:A;1", "@type": "Interface"'
FILES = {  # as other people save them: what is in the file, its line, and what the message and the remedy say
    "comment": (f'{_OBJECT},\n  // made by hand\n  "contents": []}}'.encode(), 2, "comment"),
    "header": (f"/* (c) Example */\n{_OBJECT}}}".encode(), 1, "comment"),
    "comma": (f"[{_OBJECT}\n,}}]".encode(), 2, "Remove the comma"),
    "comma of a list": (f"[{_OBJECT}}},\n\n]".encode(), 3, "Remove the comma"),
    "lines": (f"{_OBJECT}}}\n{_OBJECT}}}\n".encode(), 2, "one array"),
    "quotes": (b"\n{'@context': 1}", 2, "double quotes"),
    "nothing": (b" \n", None, "an Interface"),
    "UTF-16": (f"{_OBJECT}}}".encode("utf-16"), None, "UTF-16"),
    "Latin-1": (f'{_OBJECT},\r\n"displayName": "gr\u00f6\u00dfe"}}'.encode("latin-1"), 2, "as UTF-8"),
    "another format": (b'{"name": "ontology", "version": "1.0"}', 1, "does not look like DTDL"),
    "a slip in what it extends": (f'{_OBJECT},\n"extends": "dtmi:t:Bsae;1"}}'.encode(), 2, "Did you mean 'dtmi:t:Base;1'?"),
    "a version that is not there": (f'{_OBJECT},\n"extends": "dtmi:t:Base;2"}}'.encode(), 2, "Did you mean 'dtmi:t:Base;1'?"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_wrong_with_files_of_other_people_is_told_with_file_line_and_remedy(tmp_path: Path, name: str) -> None:
    content, line, remedy = FILES[name]
    (tmp_path / "base.json").write_text(json.dumps(interface("dtmi:t:Base;1")))
    (tmp_path / "a.JSON").write_bytes(content)
    (error,) = schema.validate_files([tmp_path])["errors"]
    assert error["file"] == str(tmp_path / "a.JSON") and (line is None or error["line"] == line)
    assert remedy in f"{error['message']}. {error['remedy']}"


def test_an_ontology_is_read_as_other_people_write_it(tmp_path: Path) -> None:
    """A byte order mark, lines that end in CR LF, arrays, versions beside each other, and DTMIs of the language in the place of terms."""
    array = [interface("dtmi:t:Base;1", 2, displayName={"en": "Base", "de": "Grundfl\u00e4che"}, comment="of a generator")]
    array += [interface(f"dtmi:t:L{n};1", extends=f"dtmi:t:L{n - 1};1" if n else ["dtmi:t:Base;1"]) for n in range(9)]
    text = json.dumps(array, indent=2, ensure_ascii=False).replace("\n", "\r\n")
    (tmp_path / "array.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (tmp_path / "deep" / "er").mkdir(parents=True)
    own = {"@context": "dtmi:dtdl:context;3", "@id": "dtmi:t:B;1", "@type": "dtmi:dtdl:class:Interface;3"}
    own["contents"] = {"@type": ["dtmi:dtdl:class:Property;3"], "name": "a", "schema": "dtmi:dtdl:instance:Schema:double;3"}
    (tmp_path / "deep" / "er" / "b.json").write_text(json.dumps(own))
    assert schema.validate_files([tmp_path]) == {"valid": True, "errors": []}
    (tmp_path / "none").mkdir()
    (error,) = schema.validate_files([tmp_path / "none"])["errors"]
    assert error["file"] == str(tmp_path / "none") and "no DTDL" in error["message"] and error["remedy"]


def test_each_name_that_is_given_twice_is_told() -> None:
    text = json.dumps(interface())[:-1] + ', "comment": "a", "comment": "b", "displayName": "a", "displayName": "b"}'
    assert codes(text) == ["duplicatePropertyName"] * 2


def test_a_reference_to_what_is_defined_twice_is_not_told_as_well() -> None:
    array = {"@id": "dtmi:t:array;1", "@type": "Array", "elementSchema": "double"}
    documents = [interface(f"dtmi:t:{name};1", schemas=[array], contents=[prop(schema="dtmi:t:array;1")]) for name in "AB"]
    assert codes(documents) == ["duplicateDefinition"]


@pytest.mark.parametrize(
    "document",
    [
        "[" * 100_000, '{"a": NaN}', '{"a": 1, "a": 2}', b"\xff\xfe", '{"@context":', "null", "", {1: 2}, {"@context": {1: 2}}, None,
        interface(contents=[prop(name=float("nan"))]), interface(contents=[[[[]]]]),
        '{"@context":"dtmi:dtdl:context;3","@id":' + "9" * 5000 + "}",
    ],
)  # fmt: skip
def test_hostile_documents_are_refused_with_a_reason(document: Any) -> None:
    with pytest.raises(SchemaError) as caught:
        schema.load(document)
    assert all(problem.message and problem.remedy for problem in caught.value.problems)


def test_deep_nesting_in_parsed_data_is_refused() -> None:
    deep: Any = "double"
    for _ in range(50_000):
        deep = {"@type": "Array", "elementSchema": deep}
    assert codes(interface(contents=[prop(schema=deep)])) == ["excessiveDepthWide"]


def _chain(count: int) -> list[dict[str, Any]]:
    return [interface(f"dtmi:t:A{i};1", extends=f"dtmi:t:A{i + 1};1") for i in range(count)] + [interface(f"dtmi:t:A{count};1")]


def test_inheritance_is_as_deep_as_the_version_allows_and_no_deeper() -> None:
    assert schema.load(_chain(10)).is_subtype("dtmi:t:A0;1", "dtmi:t:A10;1")
    assert codes(_chain(11)) == ["excessiveDepthNarrow"]
    assert set(codes(_chain(2000))) == {"excessiveDepthNarrow", "excessiveCount"}


def _objects(count: int, fan: int) -> list[dict[str, Any]]:
    def target(i: int) -> str:
        return f"dtmi:t:s{i + 1};1" if i + 1 < count else "double"

    fields = [[{"name": f"f{j}", "schema": target(i)} for j in range(fan)] for i in range(count)]
    return [{"@id": f"dtmi:t:s{i};1", "@type": "Object", "fields": fields[i]} for i in range(count)]


def test_schemas_that_share_others_are_built_once_and_their_depth_is_limited() -> None:
    assert schema.load(interface(version=4, schemas=_objects(8, 2))).schemas
    assert codes(interface(version=4, schemas=_objects(9, 2))) == ["excessiveDepthWide"]
    assert set(codes(interface(version=4, schemas=_objects(8, 30), contents=[prop(schema="dtmi:t:s0;1")]))) == {"excessiveCount"}


def test_the_elements_of_an_interface_are_counted_in_all() -> None:
    bases = [interface(f"dtmi:t:B{i};1", contents=[prop(f"p{i}_{j}") for j in range(10_000)]) for i in range(5)]
    heir = interface(extends=[base["@id"] for base in bases])
    assert len(schema.load([*bases, heir]).paths("dtmi:t:A;1")) == 50_000
    assert codes([*bases, heir | {"contents": [prop("one")]}]) == ["excessiveCount"]


def test_the_text_of_an_interface_is_limited_without_what_is_nested_in_it() -> None:
    big = {"contents": [prop(f"p{i}", comment="x" * 500) for i in range(2_000)]}
    assert codes(json.dumps(interface(**big))) == ["partitionTooLarge"]
    assert codes(interface(**big)) == ["partitionTooLarge"]
    half = {"contents": big["contents"][:1_500]}
    inner = {"@id": "dtmi:t:B;1", "@type": "Interface", **half}
    nested = interface(contents=[{"@type": "Component", "name": f"c{i}", "schema": inner | {"@id": f"dtmi:t:B{i};1"}} for i in range(3)])
    assert len(schema.load(nested).interfaces) == 4
    assert schema.load(interface(version=2) | {"displayName": " ".join(["x"] * 30)}).interfaces


def test_schemas_that_contain_each_other_are_built() -> None:
    def one(name: str, other: str) -> dict[str, Any]:
        fields = [{"name": f"f{i}", "schema": f"dtmi:t:{other};1"} for i in range(3)]
        return {"@id": f"dtmi:t:{name};1", "@type": "Object", "fields": fields}

    ontology = schema.load(interface(version=4, schemas=[one("x", "y"), one("y", "x")], contents=[prop("p", "dtmi:t:y;1")]))
    found = ontology.paths("dtmi:t:A;1")["p"].schema
    assert not schema.check_value({"f0": {"f1": {"f2": {}}}}, found, ontology.schemas)
    assert schema.check_value({"f0": {"f1": {"f2": 5}}}, found, ontology.schemas)[0].path == "$.f0.f1.f2"


_WORDS = st.sampled_from(
    ["@id", "@type", "@context", "@value", "@language", "name", "schema", "contents", "extends", "fields", "mapKey",
    "mapValue", "enumValues", "unit",
     "enumValue", "valueSchema", "elementSchema", "Interface", "Property", "Object", "Map", "Enum", "Array",
     "Component", "Temperature", "double",
     "dtmi:t:A;1", "dtmi:t:B;1", "dtmi:dtdl:context;2", "dtmi:dtdl:context;3", "dtmi:dtdl:context;4",
     "dtmi:dtdl:property:name;3", "degreeCelsius"]
)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=5),
    max_leaves=30,
)


@given(
    _JSON,
    st.sampled_from(["contents", "extends", "schemas", "displayName", "comment", "@context", "@type", "@id"]),
    st.sampled_from([2, 3, 4]),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_is_an_ontology_or_a_schema_error(value: Any, member: str, version: int) -> None:
    for document in (interface(version=version) | {member: value}, value, json.dumps(interface(version=version) | {member: value})):
        try:
            ontology = schema.load(document)
        except SchemaError as error:
            assert all(problem.message and problem.remedy for problem in error.problems)
        else:
            assert all(ontology.paths(name) is not None for name in ontology.interfaces)


@pytest.mark.parametrize(
    ("text", "v2", "later"),
    [
        ("dtmi:a:b;1", True, True), ("dtmi:a:b", False, True), ("dtmi:a:b;1.2", False, True), ("dtmi:a_;1", False, False),
        ("dtmi:1a;1", False, False),
        ("dtmi:a;0", False, False), ("dtmi:a;1234567890", False, False), ("urn:a;1", False, False), ("dtmi:a;1\n", False, False),
    ],
)  # fmt: skip
def test_identifiers_follow_the_grammar_of_their_version(text: str, v2: bool, later: bool) -> None:
    assert (dtmi.is_dtmi(text, 2), dtmi.is_dtmi(text, 3)) == (v2, later)


def test_an_identifier_comes_apart_and_together() -> None:
    assert str(dtmi.parse("dtmi:plant:Pump;2.1")) == "dtmi:plant:Pump;2.1"
    assert dtmi.parse("dtmi:plant:Pump;2.1").version == (2, 1)
    assert str(dtmi.parse("dtmi:plant:Pump")) == "dtmi:plant:Pump"
    with pytest.raises(ValueError, match="not a DTMI"):
        dtmi.parse("pump")
