"""Descriptions read whole, problems found with their clause, and files that mean harm refused."""

from __future__ import annotations

import io
import struct
import sys
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinwright.errors import TooLargeError, TwinwrightError, UsageError
from twinwright.simulation.fmi import archive, xml_tree
from twinwright.simulation.fmi.archive import open_archive
from twinwright.simulation.fmi.check import check_fmu
from twinwright.simulation.fmi.info import describe
from twinwright.simulation.fmi.library import choose
from twinwright.simulation.fmi.read import parse_description, read_description
from twinwright.simulation.fmi.unit_table import port_unit, spelled, to_variable
from twinwright.simulation.protocol import ModelError

HEAD2 = '<fmiModelDescription fmiVersion="2.0" modelName="m" guid="g"><CoSimulation modelIdentifier="m"/>'
HEAD3 = '<fmiModelDescription fmiVersion="3.0" modelName="m" instantiationToken="g"><CoSimulation modelIdentifier="m"/>'
TAIL = "<ModelStructure/></fmiModelDescription>"


def read2(body):
    return parse_description(f"{HEAD2}{body}{TAIL}".encode(), "m.xml")


def read3(body):
    return parse_description(f"{HEAD3}{body}{TAIL}".encode(), "m.xml")


def zipped(entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["lag2", "lag3", "ball2", "ball3", "signals2", "signals3", "arrays3"])
def test_what_is_read_is_what_fmpy_reads(fmus, name):
    import fmpy

    ours, theirs = describe(fmus / f"{name}.fmu"), fmpy.read_model_description(str(fmus / f"{name}.fmu"))
    assert (ours["name"], ours["token"]) == (theirs.modelName, theirs.guid or theirs.instantiationToken)
    kinds = {"Real": "Float64", "Integer": "Int32"}
    assert len(ours["variables"]) == len(theirs.modelVariables)
    mine = {one["name"]: one for one in ours["variables"]}
    for b in theirs.modelVariables:
        a = mine[b.name]
        assert (a["name"], a["type"], a["reference"]) == (b.name, kinds.get(b.type, b.type), b.valueReference)
        assert (a["causality"], a["variability"], a["unit"]) == (b.causality, b.variability, b.unit)
        assert a["initial"] == b.initial or a["causality"] == "input"  # where FMI 2.0 knows no `initial`
    assert ours["default_experiment"]["stop"] == float(theirs.defaultExperiment.stopTime)
    assert ours["valid"] and ours["problems"] == []


def test_a_description_in_full_is_read_as_it_is_written():
    """A golden reading of what our examples have not."""
    md = read3(
        '<UnitDefinitions><Unit name="rpm"><BaseUnit rad="1" s="-1" factor="0.10471975511965977"/>'
        '<DisplayUnit name="Hz" factor="0.016666666666666666"/></Unit></UnitDefinitions>'
        '<TypeDefinitions><Float64Type name="Speed" unit="rpm" min="0" max="3000" nominal="1000" quantity="AngularVelocity"/>'
        '<EnumerationType name="Mode"><Item name="a" value="-1"/><Item name="b" value="4"/></EnumerationType></TypeDefinitions>'
        '<LogCategories><Category name="logAll"/></LogCategories>'
        '<DefaultExperiment startTime="1" stopTime="2" tolerance="1e-5" stepSize="0.5"/><ModelVariables>'
        '<Float64 name="time" valueReference="0" causality="independent" variability="continuous"/>'
        '<Float64 name="w" valueReference="1" declaredType="Speed" causality="output" initial="exact" start="1500" displayUnit="Hz">'
        '<Dimension start="2"/><Dimension valueReference="2"/><Alias name="speed" description="the same"/></Float64>'
        '<UInt32 name="n" valueReference="2" causality="structuralParameter" variability="fixed" start="3"/>'
        '<Enumeration name="m" valueReference="3" declaredType="Mode" causality="input" start="-1"/>'
        '<Binary name="b" valueReference="4" causality="input"><Start value="00ff"/><Dimension start="1"/></Binary>'
        '<Clock name="c" valueReference="5" causality="input" intervalVariability="constant" intervalDecimal="0.1"/>'
        '<Float64 name="s" valueReference="6" causality="local" clocks="5" variability="discrete" previous="7"/>'
        "</ModelVariables>"
    )
    w = md.by_name["w"]
    assert (w.unit, w.minimum, w.maximum, w.nominal, w.quantity) == ("rpm", 0.0, 3000.0, 1000.0, "AngularVelocity")
    assert (md.shape(w), md.size(w), w.start) == ((2, 3), 6, (1500.0,))
    assert md.shape(w, {2: 5}) == (2, 5)
    alias = md.by_name["speed"]
    assert (alias.alias_of, alias.reference, alias.description) == ("w", 1, "the same")
    assert md.enumerations == {"Mode": {"a": -1, "b": 4}} and md.by_name["m"].start == (-1,)
    assert md.by_name["b"].start == (b"\x00\xff",) and md.by_name["s"].clocks == (5,)
    assert (md.experiment.start, md.experiment.stop, md.experiment.tolerance, md.experiment.step) == (1.0, 2.0, 1e-5, 0.5)
    assert md.units["rpm"].displays == {"Hz": (1 / 60, 0.0, False)} and md.log_categories == ("logAll",)
    assert to_variable(md, w, "Hz").apply(25.0) == pytest.approx(1500.0)
    assert to_variable(md, w, "rad/s").apply(100 * 3.141592653589793) == pytest.approx(3000.0)


def test_defaults_of_what_is_not_written():
    md = read2(
        '<ModelVariables><ScalarVariable name="r" valueReference="0"><Real/></ScalarVariable>'
        '<ScalarVariable name="i" valueReference="0"><Integer/></ScalarVariable>'
        '<ScalarVariable name="p" valueReference="1" causality="parameter" variability="tunable"><Real start="1"/></ScalarVariable>'
        '<ScalarVariable name="u" valueReference="2" causality="input"><Real start="1"/></ScalarVariable></ModelVariables>'
    )
    told = [(one.causality, one.variability, one.initial) for one in md.variables]
    assert told == [
        ("local", "continuous", "calculated"),
        ("local", "discrete", "calculated"),
        ("parameter", "tunable", "exact"),
        ("input", "continuous", None),
    ]


WRONG = [
    ('<ScalarVariable name="a" valueReference="0"><Real start="x"/></ScalarVariable>', "start 'x' of 'a' is no Float64", "ModelVariables"),
    ('<ScalarVariable name="a" valueReference="-1"><Real/></ScalarVariable>', "not a whole number", "unsigned"),
    ('<ScalarVariable name="a" valueReference="0"><Real/></ScalarVariable>' * 2, "is there twice", "2.2.7"),
    ('<ScalarVariable name="a" valueReference="0" causality="in"><Real/></ScalarVariable>', "'causality' is 'in'", "ModelVariables"),
    ('<ScalarVariable name="a" valueReference="0"><Real declaredType="T"/></ScalarVariable>', "declaredType 'T'", "TypeDefinitions"),
    ('<ScalarVariable name="a" valueReference="0"><Complex/></ScalarVariable>', "of no type of FMI", "ModelVariables"),
    ('<ScalarVariable name="a" valueReference="0" variability="continuous"><Integer/></ScalarVariable>', "can't be continuous", "2.2.7"),
    ('<ScalarVariable name="a" valueReference="0" causality="parameter" variability="fixed"><Real/></ScalarVariable>', "no start", "2.2.7"),
    ('<ScalarVariable name="a" valueReference="0"><Real min="2" max="1"/></ScalarVariable>', "min 2 above max 1", "2.2.7"),
    ('<ScalarVariable name="a" valueReference="0" causality="output"><Real/></ScalarVariable>', "outputs are not the variables", "2.2.8"),
    ('<ScalarVariable name="a" valueReference="0" causality="input" variability="fixed"><Real/></ScalarVariable>', "variability f", ""),
    ('</ModelVariables><UnitDefinitions><Unit name="q"><BaseUnit kg="INF"/></Unit></UnitDefinitions><ModelVariables>', "'kg' of", "UnitD"),
    ('<ScalarVariable name="a" valueReference="²"><Real/></ScalarVariable>', "not a whole number", "unsigned"),
]


@pytest.mark.parametrize(("body", "message", "clause"), WRONG)
def test_each_problem_is_found_with_its_clause(body, message, clause):
    md = read2(f"<ModelVariables>{body}</ModelVariables>")
    found = check_fmu(open_archive(zipped({"modelDescription.xml": ""}), "m.fmu"), md)
    assert [one for one in found if message in one.message and clause in one.clause], [one.message for one in found]


def test_digits_that_are_no_numbers_are_none():
    md = read2(
        '<CoSimulation modelIdentifier="m" maxOutputDerivativeOrder="²"/>'
        '<TypeDefinitions><SimpleType name="T"><Enumeration><Item name="a" value="--5"/></Enumeration></SimpleType></TypeDefinitions>'
        '<ModelStructure><Outputs><Unknown index="1" dependencies="² 3"/></Outputs></ModelStructure>'
    )
    assert md.interfaces[-1].flags["maxOutputDerivativeOrder"] == "²" and md.enumerations == {"T": {"a": 0}}
    assert md.structure["outputs"][0].dependencies == (3,)


def test_all_problems_are_told_at_once_errors_first(fmus, changed):
    def worsen(xml):
        return xml.replace(b'name="y"', b'name="a b"').replace(b'unit="K/W"', b'unit="furlong"').replace(b'derivative="1"', b"")

    answer = describe(changed(fmus / "lag3.fmu", {"modelDescription.xml": worsen}))
    messages = [one["message"] for one in answer["problems"]]
    assert not answer["valid"] and answer["problems"][0]["severity"] == "error"
    assert any("names no state by `derivative`" in one for one in messages)
    assert any("'a b' is no structured name" in one for one in messages)
    assert any("unit 'furlong' of 'k' is not defined" in one for one in messages)
    assert all(one["clause"].startswith("FMI 3.0") for one in answer["problems"])


def test_platforms_are_told_apart(fmus, changed):
    def only(platform, suffix):
        binary = next(name for name in zipfile.ZipFile(fmus / "lag2.fmu").namelist() if name.startswith("binaries/"))
        sources = [name for name in zipfile.ZipFile(fmus / "lag2.fmu").namelist() if name.startswith("sources/")]
        return {binary: None, f"binaries/{platform}/lag.{suffix}": b"x", **dict.fromkeys(sources)}

    windows = describe(changed(fmus / "lag2.fmu", only("win64", "dll"), "windows.fmu"))
    assert windows["platforms"] == ["win64"] and not windows["valid"]
    assert "no binary of 'lag' for x86_64-linux (it has: win64)" in windows["problems"][0]["message"] or "aarch64" in str(
        windows["problems"]
    )


def test_fmi_1_is_refused_with_the_way_out():
    with pytest.raises(UsageError, match=r"Export it again from Dymola as FMI 2\.0 or 3\.0"):
        parse_description(b'<fmiModelDescription fmiVersion="1.0" generationTool="Dymola"/>', "m.xml")
    with pytest.raises(UsageError, match=r"fmiVersion is '4\.0'"):
        parse_description(b'<fmiModelDescription fmiVersion="4.0"/>', "m.xml")


BOMB = '<!DOCTYPE a [<!ENTITY x "aaaaaaaaaa"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">]><a>&y;</a>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "a document type declaration"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "a document type declaration"),
        ("<a>", "not well-formed"),
        ("", "not well-formed"),
        ("<a>" * 100 + "</a>" * 100, "nested deeper"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "XML"),
        ("<b/>", "the root is <b>"),
    ],
)
def test_xml_that_means_harm_is_refused_with_its_line(text, message):
    with pytest.raises(UsageError, match=message):
        parse_description(text.encode(), "m.xml")


def test_limits_on_xml_are_kept(monkeypatch):
    monkeypatch.setattr(xml_tree, "MAX_ELEMENTS", 10)
    with pytest.raises(UsageError, match="more than 10 elements"):
        parse_description(b"<a>" + b"<b/>" * 20 + b"</a>", "m.xml")
    monkeypatch.setattr(xml_tree, "MAX_BYTES", 10)
    with pytest.raises(UsageError, match="bytes of XML"):
        parse_description(b"<a></a><!-- -->", "m.xml")


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out", "a/../../out", "C:/out", "..\\out"])
def test_a_name_that_leads_out_is_refused(name):
    with pytest.raises(UsageError, match="leads out"):
        open_archive(zipped({name: "x"}), "m.fmu")


def test_links_bombs_and_damage_are_refused(tmp_path, monkeypatch):
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(info, "/etc/passwd")
    with pytest.raises(UsageError, match="is a link"):
        open_archive(buffer.getvalue(), "m.fmu")
    monkeypatch.setattr(archive, "_FREE", 1 << 20)
    with pytest.raises(TooLargeError, match="it would unpack to"):
        open_archive(zipped({"resources/zeros": bytes(8 << 20)}), "m.fmu")
    body = zipped({"modelDescription.xml": "<a/>" * 1000})
    lying = body.replace(struct.pack("<I", 4000), struct.pack("<I", 10))  # both headers say less than there is
    with pytest.raises(TwinwrightError):
        open_archive(lying, "m.fmu").read("modelDescription.xml")
    monkeypatch.setattr(archive, "MAX_ENTRIES", 1)
    with pytest.raises(TooLargeError, match="2 files"):
        open_archive(zipped({"a": "", "b": ""}), "m.fmu")
    with pytest.raises(UsageError, match="not a ZIP file"):
        open_archive(b"no zip", "m.fmu")
    with pytest.raises(UsageError, match="zip the files themselves"):
        read_description(open_archive(zipped({"m/modelDescription.xml": ""}), "m.fmu"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_no_text_makes_the_reader_fail_in_another_way(fmus, data):
    name = data.draw(st.sampled_from(["lag2", "ball3", "signals3", "arrays3"]))
    opened = open_archive((fmus / f"{name}.fmu").read_bytes(), name)
    text = bytearray(opened.read("modelDescription.xml"))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(text) - 1))
        piece = data.draw(st.sampled_from([b"", b'"', b"<", b"-1", b"1e999", b"99999999999", b"\xff", b"&#0;", b"name", b"Real", b"8 100"]))
        text[at : at + data.draw(st.integers(0, 8))] = piece
    try:
        md = parse_description(bytes(text), "m.xml")
    except TwinwrightError:
        return
    check_fmu(opened, md)
    for one in md.variables:
        port_unit(md, one)


@pytest.mark.parametrize(
    ("written", "ours"),
    [("N.m", "m*N"), ("m/s2", "m/s**2"), ("W/(m2.K)", "W/K/m**2"), ("degC", "degC"), ("Ohm", "ohm"), ("s-1", "1/s"), ("foo", None)],
)
def test_units_as_modelica_writes_them(written, ours):
    assert spelled(written) == ours


def test_flags_are_true_or_false_however_they_are_written():
    given = 'needsExecutionTool="1" canGetAndSetFMUstate="0" canSerializeFMUstate="true" maxOutputDerivativeOrder="1"'
    md = parse_description(f"{HEAD2.replace('/>', f' {given}/>')}{TAIL}".encode(), "m.xml")
    (cs,) = md.interfaces
    assert cs.has("needsExecutionTool") and cs.has("canSerializeFMUstate") and not cs.has("canGetAndSetFMUstate")
    assert cs.flags["maxOutputDerivativeOrder"] == 1 and cs.flags["maxOutputDerivativeOrder"] is not True


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="libraries of other systems are no ELF")
@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda body: b"", "is no shared library"),
        (lambda body: b"MZ" + body, "is no shared library"),
        (lambda body: body[: len(body) // 2], "is cut short"),
        (lambda body: body[:30], "is cut short"),
        (lambda body: body[:18] + b"\x08\x00" + body[20:], "is of another machine"),
    ],
)
def test_a_library_that_can_not_be_loaded_is_told_once_though_it_is_of_two_kinds(fmus, changed, broken, said):
    binary = next(name for name in zipfile.ZipFile(fmus / "lag3.fmu").namelist() if name.startswith("binaries/"))
    found = describe(changed(fmus / "lag3.fmu", {binary: broken}))
    assert not found["valid"]
    assert [one["message"] for one in found["problems"] if one["severity"] == "error"] == [f"{binary} {said}"]


def test_a_library_that_is_damaged_in_its_archive_is_told(fmus, tmp_path):
    path = tmp_path / "damaged.fmu"
    with zipfile.ZipFile(fmus / "lag3.fmu") as archive:
        info = next(one for one in archive.infolist() if one.filename.startswith("binaries/"))
    body = bytearray((fmus / "lag3.fmu").read_bytes())
    at = info.header_offset + 400
    body[at : at + 64] = bytes(64)
    path.write_bytes(body)
    found = describe(path)
    assert not found["valid"] and "is damaged" in found["problems"][0]["message"]


def test_a_kind_that_needs_no_tool_is_run_where_another_does():
    both = HEAD2.replace("/>", ' needsExecutionTool="true"/><ModelExchange modelIdentifier="m"/>')
    md = parse_description(f"{both}{TAIL}".encode(), "m.xml")
    assert choose(md, None).kind == "me"
    with pytest.raises(ModelError, match="would have to be installed"):
        choose(md, "cs")
    found = check_fmu(open_archive(zipped({"binaries/linux64/m.so": ""}), "m.fmu"), md)
    assert [one.severity for one in found if "installed and running" in one.message] == ["warning"]
