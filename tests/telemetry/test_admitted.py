"""A value of the right type that its DTDL schema does not admit is `bad`: no value of an Enum, or outside of an integer type."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.acceptance.running import twinwright, write
from tests.telemetry.plant import PATHS, compiled, written

from twinwright.schema import Enum, PathInfo, Primitive, check_value, load
from twinwright.telemetry.admitted import Admitted, admitted

INTERFACE = """{
  "@context": "dtmi:dtdl:context;3", "@id": "dtmi:test:Valve;1", "@type": "Interface",
  "contents": [
    {"@type": "Property", "name": "mode", "schema": {"@type": "Enum", "valueSchema": "string", "enumValues": [
      {"name": "off", "enumValue": "off"}, {"name": "auto", "enumValue": "auto"}]}},
    {"@type": "Property", "name": "level", "schema": {"@type": "Enum", "valueSchema": "integer", "enumValues": [
      {"name": "low", "enumValue": 1}, {"name": "high", "enumValue": 3}]}}
  ]
}"""
ENUMS = load([("valve.json", INTERFACE)]).paths("dtmi:test:Valve;1")
SCHEMAS = {
    **PATHS,
    "mode": ENUMS["mode"],
    "level": ENUMS["level"],
    "small": PathInfo("small", "property", Primitive("byte"), None, None, False),
    "count": PathInfo("count", "property", Primitive("unsignedInteger"), None, None, False),
}
OBSERVATIONS = [{"path": path, "field": field} for path, field in (("mode", "m"), ("level", "l"), ("small", "s"), ("count", "c"))]


def contract(**of_mode: object):
    made, problems = compiled(written(observations=[{**OBSERVATIONS[0], **of_mode}, *OBSERVATIONS[1:]]), SCHEMAS)
    assert made is not None, problems.items
    return made


@pytest.mark.parametrize(
    ("path", "value", "good"),
    [
        ("mode", "off", True),
        ("mode", "auto", True),
        ("mode", "of", False),
        ("mode", "", False),
        ("level", 1, True),
        ("level", 3, True),
        ("level", 2, False),
        ("small", -128, True),
        ("small", 127, True),
        ("small", 128, False),
        ("small", -129, False),
        ("count", 0, True),
        ("count", 2**32 - 1, True),
        ("count", -1, False),
        ("count", 2**32, False),
    ],
)
def test_a_value_is_in_what_its_schema_admits_or_it_is_not(path, value, good):
    domain = admitted(SCHEMAS[path].schema)
    assert domain is not None
    assert (value in domain) is good


TEXTS = {
    "date": st.from_regex(r"[0-9]{3,4}-[01][0-9]-[0-3][0-9]|2026-02-(2[89]|30)Z?", fullmatch=True),
    "dateTime": st.from_regex(
        r"(2026|0000|24)-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{0,9})?(Z|z|[+-][0-2][0-9]:[0-6][0-9])?",
        fullmatch=True,
    ),
    "time": st.from_regex(r"[0-2][0-9]:[0-6][0-9](:[0-6][0-9])?(\.[0-9]{0,9})?(Z|[+-][0-2][0-9]:[0-6][0-9])?", fullmatch=True),
    "duration": st.from_regex(r"P?[0-9]?[YMWD]?(T([0-9][HMS])?)?", fullmatch=True),
    "uuid": st.one_of(st.uuids().map(str), st.from_regex(r"[0-9a-g]{8}-0000-0000-0000-[0-9a-f]{11,12}", fullmatch=True)),
}


@pytest.mark.parametrize("name", TEXTS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_column_of_texts_is_admitted_as_each_of_them_is(name, data):
    texts = data.draw(st.lists(st.one_of(TEXTS[name], st.text(max_size=3), st.none()), min_size=1, max_size=30))
    there = np.array([text is not None for text in texts])
    domain = admitted(Primitive(name))
    assert domain is not None
    foreign = domain.foreign(pl.Series(texts, dtype=pl.String), there)
    told = np.zeros(len(texts), bool) if foreign is None else foreign
    assert told.tolist() == [text is not None and bool(check_value(text, Primitive(name))) for text in texts]


def test_a_date_that_there_is_not_is_bad(tmp_path):
    schema = INTERFACE.replace('"contents": [', '"contents": [{"@type": "Property", "name": "checked", "schema": "date"},')
    files = {**valve(""), "schema/valve.json": schema}
    files["contracts/valve.yaml"] += "  - {path: checked, field: d}\n"
    lines = [
        '{"id": "v", "ts": "2026-03-01T08:00:00Z", "d": "2026-02-28", "m": "off"}',
        '{"id": "v", "ts": "2026-03-01T08:00:01Z", "d": "2026-02-29", "m": "off"}',
    ]
    folder = write(tmp_path / "w", {**files, "v.ndjson": "\n".join(lines)})
    assert twinwright("ingest", folder / "v.ndjson", "--contract", "valve", workspace=folder).good["accepted"] == 2
    state = twinwright("state", "v", workspace=folder).good
    assert (state["checked"], state["$metadata"]["checked"]["quality"]) == ("2026-02-28", "bad")


def test_types_without_bounds_admit_all_that_their_column_holds():
    assert [admitted(Primitive(name)) for name in ("double", "decimal", "long", "string", "boolean")] == [None] * 5
    assert isinstance(ENUMS["mode"].schema, Enum)
    assert (str(Admitted(range=(0, 9))), str(Admitted(values=("a", "b")))) == ("a whole number from 0 to 9", "one of a, b")
    assert str(Admitted(values=tuple(range(11)))).endswith("9 ...")


def test_what_is_not_admitted_is_bad_and_the_rest_of_the_reading_is_kept(tmp_path):
    folder = tmp_path / "w"
    lines = [
        '{"id": "v", "ts": "2026-03-01T08:00:00Z", "m": "auto", "l": 1}',
        '{"id": "v", "ts": "2026-03-01T08:00:01Z", "m": "automatic", "l": 2}',
        '{"id": "v", "ts": "2026-03-01T08:00:02Z", "m": "off", "l": 3}',
    ]
    write(folder, valve(""))
    answer = twinwright("ingest", folder / "v.ndjson", "--contract", "valve", workspace=write(folder, {"v.ndjson": "\n".join(lines)})).good
    assert (answer["accepted"], answer["dead_lettered"]) == (3, {})
    for path, values in (("mode", ["auto", None, "off"]), ("level", [1, None, 3])):
        found = twinwright("history", "v", path, workspace=folder).good
        assert (found["values"], found["quality"]) == (values, ["good", "bad", "good"])


def test_a_required_value_that_is_not_admitted_refuses_its_reading_and_says_what_is(tmp_path):
    folder = write(tmp_path / "w", valve(", required: true"))
    write(folder, {"v.ndjson": '{"id": "v", "ts": "2026-03-01T08:00:00Z", "m": "on", "l": 1}'})
    assert twinwright("ingest", folder / "v.ndjson", "--contract", "valve", workspace=folder).good["dead_lettered"] == {"bad_type": 1}
    [letter] = twinwright("dead-letters", "list", workspace=folder).good["items"]
    assert letter["detail"] == "the required field 'm' is not one of off, auto"


def test_a_map_to_a_value_that_is_not_admitted_is_a_mistake_of_the_contract():
    assert contract(map={"0": "off", "1": "auto"}) is not None
    made, problems = compiled(written(observations=[{**OBSERVATIONS[0], "map": {"0": "of"}}]), SCHEMAS)
    assert made is None
    [problem] = problems.items
    assert "the map gives 'of' for '0', which is not one of off, auto" in problem.message and problem.line


def test_another_set_of_values_is_another_meaning_and_needs_another_revision(tmp_path):
    folder = write(tmp_path / "w", valve(""))
    assert twinwright("apply", workspace=folder).code == 0
    more = INTERFACE.replace(
        '{"name": "off", "enumValue": "off"}', '{"name": "off", "enumValue": "off"}, {"name": "hand", "enumValue": "hand"}'
    )
    write(folder, {"schema/valve.json": more})
    planned = twinwright("plan", workspace=folder).good
    assert planned["breaking"] and "with the interface" in next(c["detail"] for c in planned["changes"] if c["kind"] == "contract")
    write(folder, {"contracts/valve.yaml": valve("")["contracts/valve.yaml"].replace("revision: 1", "revision: 2")})
    assert twinwright("apply", workspace=folder).code == 0


def valve(options: str) -> dict[str, str]:
    return {
        "twinwright.toml": "",
        "schema/valve.json": INTERFACE,
        "twins.yaml": 'twins:\n  - {$dtId: v, $metadata: {$model: "dtmi:test:Valve;1"}}\n',
        "contracts/valve.yaml": "name: valve\nrevision: 1\ntwin: '{id}'\ntime: {field: ts}\nobservations:\n"
        f"  - {{path: mode, field: m{options}}}\n  - {{path: level, field: l}}\n",
    }
