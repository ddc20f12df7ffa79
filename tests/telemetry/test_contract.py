"""Contracts: what is wrong with one is told with line, place, message and remedy; what is right compiles to what it says."""

import textwrap

import pytest
from tests.telemetry.plant import PATHS, compiled, contract, written

from twinwright.clock import SECOND
from twinwright.errors import UsageError
from twinwright.governance.principals import SYSTEM
from twinwright.schema import Array, Enum, Object, PathInfo, Primitive, SchemaReference
from twinwright.schema.elements import EnumValue, Field
from twinwright.telemetry.contract import Template
from twinwright.telemetry.contract_spec import captures_of
from twinwright.telemetry.held import column_type

GOOD = """\
name: pump
revision: 2
twin: "{id}"
time: {field: ts}
observations:
  - {path: pressure, field: p, unit: kPa}
  - path: mode
    field: m
"""


def problem(old, new):
    """The one problem that a contract has when `old` is written as `new`."""
    assert old in GOOD
    made, problems = compiled(GOOD.replace(old, new, 1))
    assert made is None
    assert len(problems.items) == 1, problems.items
    return problems.items[0]


WRONG = [
    ("name: pump", "name: ../x", 1, "$.name", "should match pattern"),
    ("name: pump", "nam: pump", 1, "$.nam", "not a field"),
    ("revision: 2", "revision: 0", 2, "$.revision", "greater than or equal to 1"),
    ("revision: 2", "revision: 40000", 2, "$.revision", "less than or equal to 32000"),
    ("revision: 2", "revision: two", 2, "$.revision", "valid integer"),
    ('twin: "{id}"', 'twin: ""', 3, "$.twin", "at least 1 character"),
    ('twin: "{id}"', 'twin: "{id"', 3, "$.twin", "not a template"),
    ('twin: "{id}"', 'twin: "{}"', 3, "$.twin", "not a template"),
    ('twin: "{id}"', 'twin: "a}{id}"', 3, "$.twin", "not a template"),
    ("time: {field: ts}", "time: {}", 4, "$.time", "'field' is missing"),
    ("time: {field: ts}", "time: {field: ts, zone: Mars/Base}", 4, "$.time.zone", "no time zone 'Mars/Base'"),
    ("time: {field: ts}", "time: {field: ts, zone: ../etc}", 4, "$.time.zone", "no time zone"),
    ("time: {field: ts}", "time: {field: ts, format: iso}", 4, "$.time.format", "none of iso8601, epoch_s"),
    ("time: {field: ts}", "time: {field: ts, format: '%Q'}", 4, "$.time.format", "'%Q' reads no times"),
    ("time: {field: ts}", "time: {field: ts, format: '%F %T,%f'}", 4, "$.time.format", "after a point only"),
    ("time: {field: ts}", "time: {field: ts, zone: localtime}", 4, "$.time.zone", "no time zone 'localtime'"),
    ("time: {field: ts}", "time: {field: ts, zone: posix/Europe/Berlin}", 4, "$.time.zone", "no time zone"),
    ("time: {field: ts}", "time: {field: ts, formt: iso8601}", 4, "$.time.formt", "not a field"),
    ("revision: 2", "format: xml", 2, "$.format", "'json', 'csv', 'parquet'"),
    ("revision: 2", "delimiter: '::'", 2, "$.delimiter", "at most 1 character"),
    ("revision: 2", "delimiter: ;", 2, "$.delimiter", "json has no delimiter"),
    ("revision: 2", "format: csv\nprecision: ms", 3, "$.precision", "csv has no precision"),
    ("revision: 2", "skew: soon", 2, "$.skew", "not an ISO 8601 duration"),
    ("revision: 2", "lateness: P1X", 2, "$.lateness", "not an ISO 8601 duration"),
    ("revision: 2", "freshness: ''", 2, "$.freshness", "not an ISO 8601 duration"),
    ("revision: 2", "journal: for ever", 2, "$.journal", "not an ISO 8601 duration"),
    ("revision: 2", "source: {connector: 'a b'}", 2, "$.source.connector", "should match pattern"),
    ("revision: 2", "skew: P36526D", 2, "$.skew", "longer than 100 years"),
    ("revision: 2", "lateness: P9999999999999999W", 2, "$.lateness", "longer than 100 years"),
    ("revision: 2", "journal: P99999W", 2, "$.journal", "longer than 100 years"),
    ("revision: 2", f"freshness: P{'9' * 400}W", 2, "$.freshness", "longer than 100 years"),
    ("unit: kPa", "unit: kPa, map: {a: high}", 6, "$.observations[0].map", "holds numbers"),
    ("unit: kPa", "unit: kPa, map: {a: true}", 6, "$.observations[0].map", "holds numbers"),
    ("    field: m\n", "    field: m\n    map: {a: 1}\n", 9, "$.observations[1].map", "holds text"),
    ("    field: m\n", "    field: m\n    map: {a: off}\n", 9, "$.observations[1].map", "holds text"),
    ("path: mode", "path: starts\n    map: {a: 1.5}", 8, "$.observations[1].map", "holds whole numbers"),
    ("path: mode", "path: starts\n    map: {a: 9223372036854775808}", 8, "$.observations[1].map", "holds whole numbers"),
    ("path: mode", "path: running\n    map: {a: 1}", 8, "$.observations[1].map", "holds true or false"),
    ("revision: 2", "correction: {}", 2, "$.correction", "'field' is missing"),
    ("unit: kPa", "unit: kPa, range: [5, 1]", 6, "$.observations[0].range", "runs from 5 down to 1"),
    ("unit: kPa", "unit: kPa, range: [.nan, 1]", 6, "$.observations[0].range[0]", "finite"),
    ("unit: kPa", "unit: kPa, range: [1]", 6, "$.observations[0].range", "missing"),
    ("unit: kPa", "unit: kPa, max_rate: {value: 0}", 6, "$.observations[0].max_rate.value", "greater than 0"),
    ("unit: kPa", "unit: kPa, max_rate: {value: 1, per: day}", 6, "$.observations[0].max_rate.per", "'s', 'min' or 'h'"),
    ("unit: kPa", "unit: kPa, spike: {window: 4}", 6, "$.observations[0].spike", "write 5"),
    ("unit: kPa", "unit: kPa, spike: {threshold: 0}", 6, "$.observations[0].spike.threshold", "greater than 0"),
    ("unit: kPa", "unit: kPa, stuck: long", 6, "$.observations[0].stuck", "not an ISO 8601 duration"),
    ("unit: kPa", "unit: kPa, gap: PT0S", 6, "$.observations[0].gap", "not between"),
    ("revision: 2", "clock_drift: P9999W", 2, "$.clock_drift", "not between"),
    ("    field: m\n", "    field: m\n    spike: {}\n", 7, "$.observations[1]", "is not a number"),
    ("path: pressure, field: p, unit: kPa", "path: pressure, field: p", 6, "$.observations[0]", "is in kPa"),
    ("unit: kPa", "unit: furlong_per_blink", 6, "$.observations[0].unit", "furlong_per_blink"),
    ("unit: kPa", "unit: rpm", 6, "$.observations[0].unit", "can't be converted to kPa"),
    ("path: pressure", "path: presure", 6, "$.observations[0].path", "no twin has a path 'presure'"),
    ("path: mode", "path: xyzzy", 7, "$.observations[1].path", "no twin has a path 'xyzzy'"),
    ("    field: m\n", "    field: m\n    range: [0, 1]\n", 7, "$.observations[1]", "is not a number"),
    ("    field: m\n", "    field: p\n", 8, "$.observations[1].field", "read as number and as string"),
    ("    field: m\n", "    field: ts\n    map: {a: b}\n", 8, "$.observations[1].field", "read as string and as scalar"),
    ("path: mode", "path: pressure", 7, "$.observations[1].path", "observed twice"),
    ("    field: m\n", "    feld: m\n", 8, "$.observations[1].feld", "not a field"),
]


@pytest.mark.parametrize(("old", "new", "line", "place", "message"), WRONG)
def test_what_is_wrong_is_told_with_line_place_and_remedy(old, new, line, place, message):
    made, problems = compiled(GOOD.replace(old, new, 1))
    assert made is None
    found = [one for one in problems.items if message.lower() in one.message.lower()]
    assert found, [str(one) for one in problems.items]
    assert (found[0].file, found[0].line, found[0].path) == ("contracts/pump.yaml", line, place)
    assert found[0].remedy


def test_the_nearest_name_is_offered():
    assert "pressure" in problem("path: pressure", "path: presure").remedy
    assert "'field'" in next(one for one in compiled(GOOD.replace("field: m", "feld: m"))[1].items if "feld" in one.message).remedy


def test_all_problems_come_at_once():
    text = GOOD.replace("kPa", "rpm").replace("path: mode", "path: nowhere").replace('"{id}"', '"{"')
    assert {one.code for one in compiled(text)[1].items} == {"wrong_dimension", "unknown_path", "bad_template"}


def test_a_contract_without_observations_or_with_too_many_is_refused():
    for many in ([], [{"path": f"p{number}", "field": "f"} for number in range(1_001)]):
        assert compiled(written(observations=many))[0] is None


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text", "name: [\n", "name: a\nname: b\n", ""])
def test_what_is_no_contract_at_all_is_told_too(text):
    made, problems = compiled(text)
    assert made is None
    assert all(one.file and one.message and one.remedy for one in problems.items)
    assert problems.items


def test_a_contract_compiles_to_columns_fields_and_times():
    text = textwrap.dedent("""\
        name: pump
        source: {connector: broker, topic: "plant/{site}/{rest...}", name: field-bus}
        twin: "{site}-{no}"
        time: {field: t, format: epoch_ms}
        correction: {field: rev}
        observations:
          - {path: pressure, field: p, unit: bar, range: [0, 5], required: true}
          - {path: mode, field: m, map: {0: "off", 1: auto}}
          - {path: starts, field: n}
          - {path: running, field: "on"}
        lateness: PT1M
        skew: PT2S
        journal: positions
    """)
    made, problems = compiled(text)
    assert made is not None, problems.items
    assert (made.name, made.source, made.revision) == ("pump", "field-bus", 1)
    assert [(column.path, column.type, column.unit) for column in made.columns] == [
        ("pressure", "DOUBLE", "bar"),
        ("mode", "VARCHAR", None),
        ("starts", "BIGINT", None),
        ("running", "BOOLEAN", None),
    ]
    assert made.fields == {"no": "scalar", "t": "number", "rev": "integer", "p": "number", "m": "scalar", "n": "integer", "on": "boolean"}
    assert (made.lateness, made.skew) == (60 * SECOND, 2 * SECOND)
    assert captures_of(made.spec) == {"site", "rest"}


def test_a_unit_may_be_another_of_the_same_dimension():
    assert contract(observations=[{"path": "pressure", "field": "p", "unit": "psi"}]).columns[0].unit is not None


def test_templates_split_into_texts_and_names():
    assert Template.parse("pump-{no}.{site}") == Template(("pump-", ".", ""), ("no", "site"))
    assert Template.parse("pump") == Template(("pump",), ())
    with pytest.raises(UsageError, match="not a template"):
        Template.parse("{a}}")


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (Primitive("double"), "DOUBLE"),
        (Primitive("float"), "DOUBLE"),
        (Primitive("integer"), "BIGINT"),
        (Primitive("long"), "BIGINT"),
        (Primitive("boolean"), "BOOLEAN"),
        (Primitive("string"), "VARCHAR"),
        (Primitive("dateTime"), "VARCHAR"),
        (Enum("integer", (EnumValue("on", 1),)), "BIGINT"),
        (Enum("string", (EnumValue("on", "on"),)), "VARCHAR"),
        (Array(Primitive("double")), "VARCHAR"),
        (Object((Field("a", Array(SchemaReference("dtmi:x;1"))),)), None),
        (Primitive("bytes"), None),
    ],
)
def test_a_schema_is_stored_as_its_type(schema, kind):
    assert column_type(schema) == kind


def test_a_path_whose_schema_no_contract_fills_is_a_problem():
    paths = {**PATHS, "mode": PathInfo("mode", "property", Array(SchemaReference("dtmi:x;1")), None, None, False)}
    made, problems = compiled(GOOD, paths)
    assert made is None
    assert [one.code for one in problems.items] == ["bad_schema"]


def test_a_revision_matches_the_table_it_writes_and_no_other(plant):
    table = plant.store.reading_tables(SYSTEM)[0]
    assert contract().matches(table)
    assert not contract(revision=2).matches(table)
    assert not contract(observations=[{"path": "pressure", "field": "p", "unit": "bar"}]).matches(table)
