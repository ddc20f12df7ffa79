"""Contracts of a folder: examples are held to what they say, revisions compared, documents written, drafts made of samples."""

import gzip
import json
from contextlib import closing
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml
from tests.telemetry.plant import compiled, written

import twinwright
from twinwright.documents import Problems, parse_text
from twinwright.errors import InvalidError, NotFoundError, UsageError
from twinwright.telemetry import contract_docs
from twinwright.telemetry.contract_diff import differences
from twinwright.telemetry.contract_spec import parse_contract
from twinwright.workspace import load_workspace
from twinwright.workspace.contracts import changes, diff_files, try_contracts, write_documents
from twinwright.workspace.drafting import draft

SCHEMA = {
    "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
    "@id": "dtmi:test:Pump;1",
    "@type": "Interface",
    "contents": [
        {"@type": ["Telemetry", "Pressure"], "name": "pressure", "schema": "double", "unit": "kilopascal"},
        {"@type": "Property", "name": "mode", "schema": "string"},
        {"@type": "Property", "name": "running", "schema": "boolean"},
        {"@type": "Property", "name": "starts", "schema": "long"},
        {"@type": "Property", "name": "place", "schema": {"@type": "Object", "fields": [{"name": "lat", "schema": "double"}]}},
    ],
}
TWINS = "twins:\n" + "".join(f"  - {{$dtId: pump-{n}, $metadata: {{$model: 'dtmi:test:Pump;1'}}}}\n" for n in (1, 2))
PUMP = """\
name: pump
twin: "{id}"
time: {field: ts}
observations:
  - {path: pressure, field: p, unit: bar, range: [0, 10]}
  - {path: mode, field: m}
  - {path: place, field: at}
"""
EXAMPLE = {
    "name": "both",
    "payload": [
        {"id": "pump-1", "ts": "2026-01-01T00:00:00Z", "p": 1.5, "at": {"lat": 4}},
        {"id": "pump-9", "ts": "2026-01-01T00:00:00Z", "p": 1},
    ],
    "readings": [{"twin": "pump-1", "time": "2026-01-01T01:00:00+01:00", "values": {"pressure": 1.5, "place": {"lat": 4}}}],
    "refused": {"unknown_twin": 1},
}


def folder_of(root, pump=PUMP, examples=(EXAMPLE,)):
    for part in ("schema", "contracts"):
        (root / part).mkdir(exist_ok=True)
    (root / "twinwright.toml").write_text("")
    (root / "schema" / "pump.json").write_text(json.dumps(SCHEMA))
    (root / "twins.yaml").write_text(TWINS)
    (root / "contracts" / "pump.yaml").write_text(pump + f"examples: {json.dumps(list(examples))}\n")
    return root


def test_examples_that_hold_pass(tmp_path):
    result = try_contracts(load_workspace(folder_of(tmp_path)), [])
    assert result == {"passed": 1, "failed": 0, "examples": [{"contract": "pump", "example": "both", "passed": True, "differences": []}]}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"readings": []}, "0 readings expected, 1 made"),
        ({"refused": {}}, "0 refused as unknown_twin expected, 1 were (there is no twin 'pump-9')"),
        ({"refused": {"unknown_twin": 1, "malformed": 2}}, "2 refused as malformed expected, 0 were"),
        ({"readings": [{**EXAMPLE["readings"][0], "twin": "pump-2"}]}, "reading 1: twin 'pump-2' expected, 'pump-1' made"),
        (
            {"readings": [{**EXAMPLE["readings"][0], "time": "2026-01-01T00:00:01Z"}]},
            "reading 1: time 2026-01-01T00:00:01Z expected, 2026-01-01T00:00:00Z made",
        ),
        (
            {"readings": [{**EXAMPLE["readings"][0], "values": {"pressure": 1.6, "place": {"lat": 4}}}]},
            "reading 1: 'pressure' 1.6 expected, 1.5 made",
        ),
        (
            {"readings": [{**EXAMPLE["readings"][0], "values": {"pressure": 1.5}}]},
            "reading 1: 'place' 'nothing' expected, '{\"lat\":4}' made",
        ),
        ({"readings": [{**EXAMPLE["readings"][0], "bad": ["mode"]}]}, "reading 1: bad ['mode'] expected, [] made"),
        ({"received": "2020-01-01T00:00:00Z", "readings": []}, "0 refused as future_time expected, 2 were"),
    ],
)
def test_an_example_that_does_not_hold_says_where(tmp_path, changed, said):
    result = try_contracts(load_workspace(folder_of(tmp_path, examples=[{**EXAMPLE, **changed}])), ["pump"])
    assert result["failed"] == 1
    assert any(said in difference for difference in result["examples"][0]["differences"]), result


def test_an_example_may_be_text_and_bad_values_are_named(tmp_path):
    example = {
        "payload": '{"id":"pump-2","ts":"2026-01-01T00:00:00Z","p":11}\nnonsense',
        "readings": [{"twin": "pump-2", "time": "2026-01-01T00:00:00Z", "bad": ["pressure"]}],
        "refused": {"malformed": 1},
    }
    assert try_contracts(load_workspace(folder_of(tmp_path, examples=[example])), [])["passed"] == 1
    with pytest.raises(NotFoundError, match="pump"):
        try_contracts(load_workspace(tmp_path), ["pmup"])


def test_a_wrong_time_in_an_example_is_told_with_its_line(tmp_path):
    bad = {**EXAMPLE, "readings": [{"twin": "pump-1", "time": "noon"}]}
    with pytest.raises(InvalidError) as caught:
        load_workspace(folder_of(tmp_path, examples=[bad]))
    assert caught.value.problems[0].path == "$.examples[0].readings[0].time" and caught.value.problems[0].line == 8


def spec_of(text):
    problems = Problems()
    spec = parse_contract(parse_text(text, "contracts/pump.yaml", problems), problems)
    assert spec is not None, problems.items
    return spec


@pytest.mark.parametrize(
    ("old", "new", "path", "effect"),
    [
        ("unit: bar", "unit: kPa", "$.observations.pressure.unit", "facts"),
        ("  - {path: mode, field: m}\n", "", "$.observations.mode", "breaking"),
        ("  - {path: mode, field: m}\n", "  - {path: mode, field: m}\n  - {path: starts, field: n}\n", "$.observations.starts", "additive"),
        ("name: pump\n", "name: pump\nfreshness: PT1H\n", "$.freshness", "compatible"),
        ("name: pump\n", "name: pump\ngap: PT1M\n", "$.gap", "quality"),
        ("field: m}", "field: m, stuck: PT1M}", "$.observations.mode.stuck", "quality"),
        ("name: pump\n", "name: pump\nsource: {name: other}\n", "$.source.name", "facts"),
        ("time: {field: ts}", "time: {field: ts, zone: UTC}", "$.time.zone", "facts"),
        ('twin: "{id}"', 'twin: "{device}"', "$.twin", "facts"),
    ],
)
def test_what_differs_and_what_it_does(old, new, path, effect):
    found = differences(spec_of(PUMP), spec_of(PUMP.replace(old, new)))
    assert [(one.path, one.effect) for one in found] == [(path, effect)] and found[0].why
    assert differences(spec_of(PUMP), spec_of(PUMP.replace("name: pump", "name: pump\nrevision: 2"))) == []


def test_a_changed_contract_needs_a_new_revision_and_changed_examples_none(tmp_path):
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(PUMP)
    for text, unraised in (
        (PUMP.replace("bar", "kPa"), ["pump"]),
        (PUMP.replace("bar", "kPa") + "revision: 2\n", []),
        (PUMP + f"examples: [{json.dumps(EXAMPLE)}]\n", []),
    ):
        new.write_text(text)
        found = diff_files(old, new)
        assert found["raise_revision"] == unraised and len(found["changes"]) == 1
    new.write_text("name: [")
    with pytest.raises(InvalidError):
        diff_files(old, new)
    spec = spec_of(PUMP)
    assert [one["effect"] for one in changes({}, {"pump": spec})] == ["additive"]
    assert [one["effect"] for one in changes({"pump": spec}, {})] == ["compatible"]
    assert changes({"pump": spec}, {"pump": spec}) == []


def test_what_an_earlier_rule_changes_needs_new_revisions_of_the_later_ones(tmp_path):
    folder_of(tmp_path)
    (tmp_path / "twinwright.toml").write_text("[connectors.drop]\ntype = 'files'\n")
    for name, rule in (("a", "m == 'x'"), ("b", "m == 'y'")):
        (tmp_path / "contracts" / f"{name}.yaml").write_text(
            PUMP.replace("name: pump", f"name: {name}\nsource: {{connector: drop, path: '*.json'}}\nmatch: {rule}")
        )
    with closing(twinwright.open(tmp_path)) as platform:
        platform.apply()
        assert platform.contract_diff() == {"changes": [], "raise_revision": []}
        rule = tmp_path / "contracts" / "a.yaml"
        rule.write_text(rule.read_text().replace("'x'", "'xx'"))
        found = platform.contract_diff()
    assert [one["path"] for one in found["changes"]] == ["$.match"] and found["raise_revision"] == ["a", "b"]


def test_examples_may_change_under_one_revision():
    one, _ = compiled(written())
    other, _ = compiled(written(examples=[EXAMPLE]))
    assert one != other and one.means_as(other)
    assert not one.means_as(replace(other, lateness=1))


def test_documents_say_what_the_contract_says_and_hide_nothing_in_markup(tmp_path):
    text = PUMP.replace("field: m}", "field: '<b>|m'}").replace(
        "field: p, unit: bar", "field: p, unit: bar, required: true, sign: inverted"
    )
    workspace = load_workspace(folder_of(tmp_path, text))
    files = write_documents(workspace, tmp_path / "out")["files"]
    assert [file.rsplit("/", 1)[1] for file in files] == [contract_docs.SCHEMA_FILE, "pump.md", "pump.html"]
    marked, page = (tmp_path / "out" / name for name in ("pump.md", "pump.html"))
    assert "| pressure | number in bar | p, times 1, plus 0, sign inverted | required; 0 to 10, else refused |" in marked.read_text()
    assert r"\<b\>\|m" in marked.read_text() and "## Example: both" in marked.read_text()
    assert "&lt;b&gt;|m" in page.read_text() and "<b>" not in page.read_text()
    schema = json.loads((tmp_path / "out" / contract_docs.SCHEMA_FILE).read_text())
    assert {"name", "each", "match", "observations", "examples"} <= set(schema["properties"]) and schema["additionalProperties"] is False
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--out"):
        write_documents(workspace, tmp_path / "file")


def test_documents_tell_what_is_admitted_and_how_quality_is_judged(tmp_path):
    text = (
        PUMP.replace("field: p, unit: bar", "field: p, unit: bar, stuck: PT1M, spike: {window: 5}, max_rate: {value: 2}")
        + "gap: PT30S\nclock_drift: PT10S\n"
    )
    write_documents(load_workspace(folder_of(tmp_path, text)), tmp_path / "out")
    told = (tmp_path / "out" / "pump.md").read_text()
    rules = ["at most 2 per s", "spike: further than 3 scales from the median of 5", "stuck: unchanged for PT1M"]
    assert "; ".join([*rules, "gap: longer than PT30S after the one before"]) in told
    assert "| clock | further than PT10S from ours is told in the KPIs |" in told
    found = tmp_path / "schema"
    kinds = [{"name": name, "@type": "Property", "schema": schema} for name, schema in KINDS.items()]
    interface = {"@context": "dtmi:dtdl:context;3", "@id": "dtmi:x:Kinds;1", "@type": "Interface", "contents": kinds}
    (found / "kinds.json").write_text(json.dumps(interface))
    (tmp_path / "twins.yaml").write_text("twins: [{$dtId: k, $metadata: {$model: 'dtmi:x:Kinds;1'}}]\n")
    rows = "".join(f"  - {{path: {name}, field: {name}}}\n" for name in KINDS)
    (tmp_path / "contracts" / "pump.yaml").write_text(f"name: kinds\ntwin: k\ntime: {{field: ts}}\nobservations:\n{rows}")
    write_documents(load_workspace(tmp_path), tmp_path / "out")
    told = (tmp_path / "out" / "kinds.md").read_text()
    assert all(
        row in told for row in ("| limits | an object, array or map |", "| state | one of on, off |", "| day | a date as 2026-03-01 |")
    )


KINDS: dict[str, object] = {
    "limits": {"@type": "Object", "fields": [{"name": "low", "schema": "double"}]},
    "state": {
        "@type": "Enum",
        "valueSchema": "string",
        "enumValues": [{"name": "on", "enumValue": "on"}, {"name": "off", "enumValue": "off"}],
    },
    "day": "date",
}


# --- drafts ----------------------------------------------------------------------------------------------------------

ROWS = [
    {"ts": f"2026-01-01T00:0{i}:00", "id": f"pump-{1 + i % 2}", "pressure_bar": 1.5 + i, "mode": "on", "running": True, "starts": i}
    for i in range(4)
]


def drafted(tmp_path, name, data):
    sample = tmp_path / name
    sample.write_bytes(data if isinstance(data, bytes) else data.encode())
    return draft(sample, None, tmp_path)


def check_loads(result, tmp_path):
    (tmp_path / "contracts" / "drafted.yaml").write_text(result["yaml"])
    (tmp_path / "contracts" / "pump.yaml").unlink(missing_ok=True)
    return load_workspace(tmp_path).contracts[result["contract"]["name"]]


def test_every_format_gives_the_same_draft(tmp_path):
    folder_of(tmp_path)
    table = pa.Table.from_pylist(ROWS)
    lines = "\n".join(map(json.dumps, ROWS))
    head = ";".join(ROWS[0])
    cells = "\n".join(";".join(str(value) for value in row.values()) for row in ROWS)
    pa.parquet.write_table(table, tmp_path / "s.parquet")
    with pa.ipc.new_stream(tmp_path / "s.arrow", table.schema) as writer:
        writer.write_table(table)
    samples = {"s.json": json.dumps(ROWS), "s.ndjson": lines, "s.csv": f"{head}\n{cells}\n"}
    samples |= {f"{name}.gz": gzip.compress(data.encode()) for name, data in samples.items()}
    samples["s.csv.zst"] = pa.compress(samples["s.csv"].encode(), "zstd", asbytes=True)
    results = [drafted(tmp_path, name, data) for name, data in samples.items()]
    assert {result["contract"]["name"] for result in results} == {"s"}
    results += [draft(tmp_path / name, None, tmp_path) for name in ("s.parquet", "s.arrow")]
    for result in results:
        assert (
            result["readings"] == 4
            and result["contract"]["twin"] == "{id}"
            and result["contract"]["time"] == {"field": "ts", "zone": "UTC"}
        )
        assert result["contract"]["observations"] == [
            {"path": "pressure", "field": "pressure_bar", "unit": "bar", "required": True},
            *({"path": name, "field": name, "required": True} for name in ("mode", "running", "starts")),
        ]
        assert yaml.safe_load(result["yaml"]) == result["contract"]
        check_loads(result, tmp_path)


def test_nested_samples_give_paths_and_elements(tmp_path):
    folder_of(tmp_path)
    sample = {
        "gw": {"mode": "x"},
        "list": [1, 2],
        "d": [{"pump": "pump-1", "s": [{"t": 1767225600, "v": {"pressure": 3}}, {"t": 1767225601, "v": {"pressure": 4.5}, "odd": {}}]}],
    }
    result = drafted(tmp_path, "gateway.json", json.dumps(sample))
    assert result["contract"]["each"] == ["d", "s"] and result["contract"]["twin"] == "{^pump}"
    assert result["contract"]["time"] == {"field": "t", "format": "epoch_s"}
    assert [(one["path"], one["field"]) for one in result["contract"]["observations"]] == [
        ("pressure", "v.pressure"),
        ("mode", "^^gw.mode"),
    ]
    assert any("kPa" in note and "guess" in note for note in result["notes"]) and any("'odd'" in note for note in result["notes"])
    assert check_loads(result, tmp_path).levels


def test_a_draft_without_a_workspace_and_with_nothing_to_go_by_says_so(tmp_path):
    result = drafted(tmp_path, "9 odd name.csv", "a.b,x,\n1,text,\n2,3,\n")
    assert result["contract"]["name"] == "9-odd-name" and result["contract"]["twin"] == "CHANGE-ME"
    notes = " ".join(result["notes"])
    assert "looks like a time" in notes and "id of a twin" in notes and "of several kinds" in notes
    assert result["contract"]["observations"] == [{"path": "a_b", "field": "a.b", "required": True}]
    profile = {one["name"]: one for one in result["fields"]}
    assert profile["a.b"] | {"examples": None} == {
        "name": "a.b",
        "kind": "integer",
        "present": 2,
        "missing": 0,
        "distinct": 2,
        "low": 1,
        "high": 2,
        "examples": None,
    }


@pytest.mark.parametrize(
    ("times", "format", "guess"),
    [
        (("01.03.2026 09:00:00", "13.03.2026 09:00:00"), "%d.%m.%Y %H:%M:%S", "UTC"),
        (("01/03/2026 09:00", "02/03/2026 09:00"), "%d/%m/%Y %H:%M", "begin with the month"),
        (("01/03/2026 09:00:00", "01/13/2026 09:00:00"), "%m/%d/%Y %H:%M:%S", "UTC"),
    ],
)
def test_times_that_are_written_otherwise_are_found_too(tmp_path, times, format, guess):
    folder_of(tmp_path)
    result = drafted(tmp_path, "s.csv", "when,id,pressure\n" + "".join(f"{time},pump-1,3\n" for time in times))
    assert result["contract"]["time"] == {"field": "when", "format": format, "zone": "UTC"}
    assert guess in " ".join(result["notes"])
    check_loads(result, tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "format"),
    [
        ("eventTime", 1767225600, "epoch_s"),
        ("at", 1767225600123, "epoch_ms"),
        ("time_us", 1767225600123456, "epoch_us"),
        ("runtime", 1767225600, None),
    ],
)
def test_a_name_with_a_word_for_time_may_be_one(tmp_path, name, value, format):
    result = drafted(tmp_path, "s.json", json.dumps({name: value, "level": 2}))
    assert result["contract"]["time"] == ({"field": name, "format": format} if format else {"field": "ts"})


def test_what_a_sample_has_and_a_draft_can_not_take_is_told(tmp_path):
    folder_of(tmp_path)
    head, row = "ts;id;pressure;starts;mode;spare\n", "1767225600000000000;pump-1;3,5;{};on;\n"
    result = drafted(tmp_path, "s.csv", head + row.format("nan") + row.format("4"))
    assert [one["path"] for one in result["contract"]["observations"]] == ["starts", "mode"]
    assert "required" not in result["contract"]["observations"][0], "not a number is no value"
    told = " ".join(result["notes"])
    assert all(
        text in told
        for text in (
            "'ts' may count nanoseconds",
            "'pressure' is left out: its numbers have decimal commas",
            "'spare' is left out: it is always empty",
        )
    )
    check_loads(result, tmp_path)
    with pytest.raises(UsageError, match="names the column 'mode' twice"):
        drafted(tmp_path, "s.csv", "ts,mode,mode\n2026-01-01T00:00:00Z,a,b\n")
    pa.parquet.write_table(pa.table({"ts": ["2026-01-01T00:00:00Z"], "pressure": [Decimal("3.5")]}), tmp_path / "s.parquet")
    assert draft(tmp_path / "s.parquet", None, tmp_path)["contract"]["observations"][0]["path"] == "pressure"


def test_lines_that_are_no_json_are_left_out_of_a_draft_and_counted(tmp_path):
    lines = [json.dumps(ROWS[0]), "half a li", json.dumps(ROWS[1]), '{"ts": ']
    result = drafted(tmp_path, "s.ndjson", "\n".join(lines))
    assert result["readings"] == 2 and "2 lines are no JSON: they are left out" in result["notes"]
    with pytest.raises(UsageError, match="line 2 column 1"):
        drafted(tmp_path, "s.json", "{\n]")
    with pytest.raises(NotFoundError, match="there is no file"):
        draft(tmp_path / "gone.csv", None, tmp_path)
    for name in ("../x", "a b", ""):
        with pytest.raises(UsageError, match="can't name a contract"):
            draft(tmp_path / "s.ndjson", name, tmp_path)


def test_a_time_that_is_not_found_is_no_observation_either(tmp_path):
    result = drafted(tmp_path, "s.csv", "ts,level\nsoon,1\nlater,2\n")
    assert result["contract"]["time"] == {"field": "ts"}
    assert [one["path"] for one in result["contract"]["observations"]] == ["level"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        *[
            ("x.xml", "<a/>"),
            ("x.json", "[1]"),
            ("x.json", "{"),
            ("x.csv", ""),
            ("x.parquet", "no"),
            ("x.arrow", "no"),
            ("x.json", b"\xff"),
        ],
        *[
            ("x.csv.gz", "a,b"),
            ("x.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6]),
            ("x.json.zst", "{}"),
            ("x.parquet.gz", "no"),
            (".gz", ""),
        ],
    ],
)
def test_what_is_no_sample_is_told(tmp_path, name, data):
    with pytest.raises(UsageError) as caught:
        drafted(tmp_path, name, data)
    assert caught.value.where and caught.value.remedy
