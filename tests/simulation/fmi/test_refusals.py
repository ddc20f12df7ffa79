"""What is refused or fails, in both kinds of loop, and the findings that FMUs of other tools bring."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from twinwright.errors import UnitError, UsageError
from twinwright.simulation.fmi import native, python_exchange
from twinwright.simulation.fmi.archive import open_archive
from twinwright.simulation.fmi.build import build_fmu
from twinwright.simulation.fmi.check import check_fmu
from twinwright.simulation.fmi.description import Experiment
from twinwright.simulation.fmi.grid import choose_grid
from twinwright.simulation.fmi.info import describe
from twinwright.simulation.fmi.layout import Column, Settings
from twinwright.simulation.fmi.platforms import source_list
from twinwright.simulation.fmi.python_engine import PythonLoops
from twinwright.simulation.fmi.read import parse_description
from twinwright.simulation.fmi.session import Session, StiffError, TerminatedError, Unit
from twinwright.simulation.fmi.unit_table import port_unit, to_variable
from twinwright.simulation.protocol import ModelError

LOOPS = pytest.mark.parametrize("loops", [native.loops, PythonLoops], ids=["compiled", "python"])


@LOOPS
@pytest.mark.parametrize(("fault", "message"), [(6, "DoStep answered Error"), (7, "DoStep answered Fatal"), (8, "can't do this step")])
def test_a_step_that_fails_is_told_with_its_time(fmus, tmp_path, loops, fault, message):
    unit = Unit((fmus / "bad2.fmu").read_bytes(), "bad2.fmu", tmp_path / "bad", "cs", loops())
    session = Session(unit, [], [Column(unit.description.by_name["y"])], Settings())
    times, nothing = np.array([0.0, 0.5, 1.0, 1.5]), np.zeros((4, 0))
    session.start(0.0, {"fault": [fault]}, nothing[0], nothing[1])
    with pytest.raises(ModelError, match=rf"{message}.* at t = 0\.5 s"):
        session.advance(times, nothing, np.zeros((4, 1)))
    assert session.report.rows == 2
    session.close()
    assert unit.idle == ([] if fault == 7 else [session.instance])


@LOOPS
@pytest.mark.parametrize(("reached", "rows"), [(0.5, 2), (0.75, 2), (1.0, 3)])
def test_a_run_that_the_fmu_ends_is_told(fmus, tmp_path, changed, loops, reached, rows):
    """The example's `discard`, with status functions that say: terminated, and when. A sample that it came to is one of the run."""
    unit = Unit((fmus / "bad2.fmu").read_bytes(), "bad2.fmu", tmp_path / "bad", "cs", loops())
    session = Session(unit, [], [Column(unit.description.by_name["y"])], Settings())
    nothing = np.zeros((3, 0))
    session.start(0.0, {"fault": [8]}, nothing[0], nothing[1])
    import ctypes

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_int))
    def terminated(_, __, value):
        value[0] = 1
        return 0

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_double))
    def until(_, __, value):
        value[0] = reached
        return 0

    session.engine.functions[12] = ctypes.cast(until, ctypes.c_void_p).value
    session.engine.functions[13] = ctypes.cast(terminated, ctypes.c_void_p).value
    outputs = np.full((3, 1), -1.0)
    with pytest.raises(TerminatedError, match=rf"the FMU ended the simulation at t = {reached:g} s") as ended:
        session.advance(np.array([0.0, 0.5, 1.0]), nothing, outputs)
    assert ended.value.rows == rows and (outputs[2, 0] == -1.0) == (rows == 2)


@LOOPS
@pytest.mark.parametrize("version", [2, 3])
def test_a_model_that_blows_up_is_not_finite(fmus, tmp_path, loops, version):
    unit = Unit((fmus / f"lag{version}.fmu").read_bytes(), "lag.fmu", tmp_path / "lag", "me", loops())
    for method in ("rk4", "dopri5", "BDF"):
        session = Session(unit, [], [Column(unit.description.by_name["y"])], Settings(method=method, max_step=1.0))
        nothing = np.zeros((3, 0))
        session.start(0.0, {"T": [0.0], "x": [1.0]}, nothing[0], nothing[1])
        with pytest.raises(ModelError) as failed:
            session.advance(np.array([0.0, 1.0, 2.0]), nothing, np.zeros((3, 1)))
        assert failed.value.kind == "nan" or "step became too small" in str(failed.value)


@LOOPS
def test_an_explicit_method_gives_up_a_stiff_model_soon(fmus, tmp_path, monkeypatch, loops):
    monkeypatch.setattr(python_exchange, "MANY_STEPS", 100)
    unit = Unit((fmus / "lag2.fmu").read_bytes(), "lag.fmu", tmp_path / "lag", "me", loops())
    session = Session(unit, [], [Column(unit.description.by_name["y"])], Settings())
    nothing = np.zeros((2, 0))
    session.start(0.0, {"T": [1e-9], "u": [1.0]}, nothing[0], nothing[1])
    with pytest.raises(StiffError, match="stiff"):
        session.advance(np.array([0.0, 1.0]), nothing, np.zeros((2, 1)))
    assert session.report.steps == (101 if loops is PythonLoops else 100_001)


@LOOPS
def test_bytes_and_texts_are_set_and_got(fmus, tmp_path, loops):
    unit = Unit((fmus / "signals3.fmu").read_bytes(), "signals3.fmu", tmp_path / "s", "cs", loops())
    session = Session(unit, [], [], Settings())
    session.start(0.0, {"bytes_in": [b"\x01\x02"], "text_in": ["é"]}, np.zeros(0), np.zeros(0))
    md = unit.description.by_name
    assert session.get_values(md["bytes_out"]) == [b"\x02\x01"] and session.get_values(md["text_out"]) == ["é, 0 ticks"]
    with pytest.raises(ModelError, match="has 1 elements, 2 values"):
        session.set_values(md["text_in"], ["a", "b"])
    with pytest.raises(ModelError, match="not a number"):
        Session(unit, [], [Column(md["text_out"])], Settings()).start(0.0, {}, np.zeros(0), np.zeros(0))
    for name in ("nothing", "text_out"):
        with pytest.raises(ModelError, match=r"has no variable|can't be set"):
            unit.check_setting(name)


def test_an_fmu_for_another_platform_or_that_needs_its_tool_is_refused_with_the_reason(run, fmus, changed):
    names = zipfile.ZipFile(fmus / "lag2.fmu").namelist()
    gone = dict.fromkeys(name for name in names if not name.endswith(".xml") or name.startswith("sources"))
    windows = changed(fmus / "lag2.fmu", {**gone, "binaries/win64/lag.dll": b"x"}, "win.fmu")
    failure = run(windows)["failure"]
    assert failure["kind"] == "refused" and "it was exported for win64" in failure["message"]
    steering = changed(
        fmus / "lag2.fmu", {"modelDescription.xml": lambda x: x.replace(b"<CoSimulation", b'<CoSimulation needsExecutionTool="true"')}
    )
    with pytest.raises(UsageError, match="only steers twinwright fmu build"):
        run(steering, kind="cs")
    assert run(steering)["status"] == "ok"


def test_a_library_below_the_other_name_of_the_platform_is_found(run, fmus, changed):
    names = zipfile.ZipFile(fmus / "lag2.fmu").namelist()
    binary = next(name for name in names if name.startswith("binaries/"))
    content = zipfile.ZipFile(fmus / "lag2.fmu").read(binary)
    for folder in ("linux64", "x86_64-linux"):
        path = changed(fmus / "lag2.fmu", {binary: None, f"binaries/{folder}/lag.so": content}, f"{folder}.fmu")
        assert run(path)["status"] == "ok"


HEAD = '<fmiModelDescription fmiVersion="{}.0" modelName="m" {}="g" variableNamingConvention="{}">'
CS = '<CoSimulation modelIdentifier="m"/>'


def found(version, parts, naming="flat", kinds=CS):
    head = HEAD.format(version, "guid" if version == 2 else "instantiationToken", naming)
    md = parse_description(f"{head}{kinds}{parts}</fmiModelDescription>".encode(), "m.xml")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("modelDescription.xml", "")
    return " | ".join(one.message for one in check_fmu(open_archive(buffer.getvalue(), "m.fmu"), md))


def scalar(name, inside, **more):
    words = " ".join(f'{key}="{value}"' for key, value in more.items())
    return f'<ScalarVariable name="{name}" valueReference="0" {words}>{inside}</ScalarVariable>'


@pytest.mark.parametrize(
    ("version", "parts", "options", "message"),
    [
        (2, "", {"kinds": ""}, "it can't be run as anything"),
        (2, "", {"kinds": '<CoSimulation modelIdentifier="a b"/>'}, "is no C identifier"),
        (2, "", {"naming": "curly"}, "variableNamingConvention is 'curly'"),
        (2, '<DefaultExperiment startTime="2" stopTime="1" stepSize="-1"/>', {}, "stops at 1 s and starts at 2 s"),
        (2, '<DefaultExperiment stepSize="-1"/>', {}, "stepSize is -1"),
        (2, '<DefaultExperiment stepSize="soon"/>', {}, "not a number"),
        (2, f"<ModelVariables>{scalar('a&#10;b', '<Real/>')}</ModelVariables>", {}, "line break"),
        (2, f"<ModelVariables>{scalar('t', '<Real/>', causality='independent') * 2}</ModelVariables>", {}, "2 independent variables"),
        (2, "<ModelVariables>" + scalar("a", '<Real start="9"/>') + "</ModelVariables>", {}, "and has a start"),
        (2, "<ModelVariables>" + scalar("a", '<Real start="9" max="1"/>') + "</ModelVariables>", {}, "outside its min and max"),
        (2, '<UnitDefinitions><Unit name="kg"><BaseUnit m="1"/></Unit></UnitDefinitions>', {}, "other base units than its name says"),
        (2, '<UnitDefinitions><Unit name="K"><BaseUnit K="1"/></Unit></UnitDefinitions><ModelVariables>'
         + scalar("a", '<Real unit="K" displayUnit="F"/>') + "</ModelVariables>", {}, "display unit 'F' of 'a'"),
        (2, '<ModelStructure><Outputs><Unknown index="7" dependencies="1 2" dependenciesKind="fixed"/></Outputs></ModelStructure>', {},
         "speaks of 7, which is no variable"),
        (2, "<ModelVariables>" + scalar("a", '<Real derivative="9"/>')
         + '</ModelVariables><ModelStructure><Derivatives><Unknown index="1"/></Derivatives></ModelStructure>', {}, "the derivative of 9"),
        (3, '<ModelVariables><Float64 name="a" valueReference="1"/><Float64 name="b" valueReference="1"/></ModelVariables>', {},
         "have one value reference 1"),
        (3, '<ModelVariables><Float64 name="a" valueReference="1"><Dimension valueReference="9"/></Float64></ModelVariables>', {},
         "which is no structural parameter"),
        (3, '<ModelVariables><Float64 name="a" valueReference="1" start="1 2"><Dimension start="3"/></Float64></ModelVariables>', {},
         "3 elements and 2 start values"),
        (3, '<ModelVariables><Float64 name="a" valueReference="1"><Dimension start="99999999"/></Float64></ModelVariables>', {},
         "99999999 elements"),
        (3, '<ModelVariables><Float64 name="a" valueReference="1"><Dimension/></Float64></ModelVariables>', {}, "either `start` or"),
        (3, '<ModelVariables><Clock name="c" valueReference="1" causality="input"/></ModelVariables>', {}, "will never tick"),
        (3, '<ModelVariables><Clock name="c" valueReference="1" causality="input"/></ModelVariables>',
         {"kinds": '<ScheduledExecution modelIdentifier="m"/>'}, "scheduled execution alone"),
        (3, '<ModelVariables><Binary name="b" valueReference="1"><Start value="xy"/></Binary></ModelVariables>', {}, "is no Binary"),
        (3, '<ModelVariables><Float64 valueReference="4294967296"/></ModelVariables>', {}, "no value reference of 32 bits"),
    ],
)  # fmt: skip
def test_each_of_these_is_found(version, parts, options, message):
    assert message in found(version, parts, **options)


def test_units_that_only_their_definition_explains_are_converted_by_it():
    md = parse_description(
        (HEAD.format(2, "guid", "flat") + CS + '<UnitDefinitions><Unit name="uu"><BaseUnit kg="1" m="-1" s="-2" factor="1000" offset="5"/>'
         '<DisplayUnit name="inv" factor="2" inverse="true"/></Unit></UnitDefinitions><ModelVariables>'
         + scalar("p", '<Real unit="uu"/>') + scalar("q", '<Real unit="unheard"/>') + scalar("r", "<Real/>")
         + "</ModelVariables></fmiModelDescription>").encode(), "m.xml")  # fmt: skip
    p, q, r = md.variables
    assert port_unit(md, p) == "kg/m/s**2" and port_unit(md, q) is None and port_unit(md, r) is None
    assert to_variable(md, p, "kPa").apply(3.0) == pytest.approx((3000 - 5) / 1000)
    for variable, unit in ((q, "kPa"), (p, "K"), (r, "K"), (p, "inv")):
        with pytest.raises(UnitError):
            to_variable(md, variable, unit)


def test_a_name_that_the_fmu_defines_otherwise_is_not_believed():
    """`u` is an atomic mass unit to us, and whatever it likes to an FMU; degrees without radian are degrees."""
    head = HEAD.format(2, "guid", "flat") + CS + '<UnitDefinitions><Unit name="u"><BaseUnit kg="1" m="-1" s="-2" factor="1000"/></Unit>'
    more = '<Unit name="deg"><BaseUnit factor="0.017453292519943295"/></Unit><Unit name="kg"><BaseUnit kg="1" factor="2"/></Unit>'
    variables = "".join(scalar(name, f'<Real unit="{unit}"/>') for name, unit in (("p", "u"), ("a", "deg"), ("m", "kg")))
    md = parse_description(
        f"{head}{more}</UnitDefinitions><ModelVariables>{variables}</ModelVariables></fmiModelDescription>".encode(), "m"
    )
    p, a, m = md.variables
    assert (port_unit(md, p), port_unit(md, a), port_unit(md, m)) == ("kg/m/s**2", "degree", "kg")
    assert to_variable(md, p, "kPa").apply(3.0) == pytest.approx(3.0) and to_variable(md, m, "g").apply(1000.0) == pytest.approx(0.5)


def test_the_grid_is_sensible_where_nothing_is_given():
    warnings: list[str] = []
    grid = choose_grid(Experiment(), None, None, None, variable=True, warnings=warnings)
    assert (grid[0], grid[-1], grid.size) == (0.0, 1.0, 1001) and "no stop time" in warnings[0]
    fine = choose_grid(Experiment(stop=1000.0, step=1e-3), None, None, None, variable=True, warnings=warnings)
    assert fine.size <= 100_001 and "the default step" in warnings[1]
    assert choose_grid(Experiment(stop=86400.0), None, None, None, variable=True, warnings=[]).size == 865


def test_a_build_that_would_be_no_fmu_is_refused(tmp_path, fmus):
    with pytest.raises(UsageError, match="no such file"):
        build_fmu([tmp_path / "nothing"], None)
    (tmp_path / "d.xml").write_text(HEAD.format(2, "guid", "flat") + CS + "</fmiModelDescription>")
    with pytest.raises(UsageError, match="no C file"):
        build_fmu([tmp_path], None)
    (tmp_path / "a.c").write_text("int a;")
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources" / "table.txt").write_text("1")
    (tmp_path / "d.xml").write_text(HEAD.format(2, "guid", "flat") + "</fmiModelDescription>")
    with pytest.raises(UsageError, match="can't be run as anything"):
        build_fmu([tmp_path], tmp_path / "x.fmu")
    (tmp_path / "d.xml").write_text(HEAD.format(2, "guid", "flat") + CS + "</fmiModelDescription>")
    path, _ = build_fmu([tmp_path, tmp_path / "resources"], tmp_path / "x.fmu", with_binary=False)
    assert {"resources/table.txt", "sources/a.c", "sources/buildDescription.xml"} <= set(zipfile.ZipFile(path).namelist())
    assert describe(path)["platforms"] == []
    archive = open_archive(path.read_bytes(), "x.fmu")
    md = parse_description(archive.read("modelDescription.xml"), "x")
    assert source_list(archive, md, md.interfaces[0]).files == ("sources/a.c",)
    with pytest.raises(UsageError, match="can't be written"):
        build_fmu([tmp_path], tmp_path / "d.xml" / "x.fmu", with_binary=False)
