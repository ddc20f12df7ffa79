"""`twinwright fmu info, run, model, build`, as they are typed."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from twinwright.cli import app

EXAMPLES = Path(__file__).parents[3] / "examples" / "fmus"


@pytest.fixture
def typed():
    def call(*words: object):
        return CliRunner().invoke(app, ["fmu", *(str(word) for word in words)])

    return call


def test_info_describes_for_people_and_as_json(typed, fmus):
    told = typed("info", fmus / "lag3.fmu")
    assert told.exit_code == 0 and "heating power" in told.output and told.output.endswith("can be run\n")
    answer = json.loads(typed("info", fmus / "arrays3.fmu", "--json").output)
    assert (answer["name"], answer["fmi_version"], answer["kinds"]) == ("arrays", "3.0", ["me", "cs"])
    assert {one["name"]: one["dimensions"] for one in answer["variables"]}["grid"] == [2, 3]


def test_info_of_one_that_cannot_be_run_ends_with_1(typed, fmus, changed):
    needs = b'modelIdentifier="lag" needsExecutionTool="true"'
    path = changed(fmus / "lag2.fmu", {"modelDescription.xml": lambda xml: xml.replace(b'modelIdentifier="lag"', needs)})
    told = typed("info", path)
    assert told.exit_code == 1 and "it needs twinwright fmu build installed and running" in told.output and "4.3.1" not in told.output


def test_what_is_wrong_with_every_variable_is_not_told_of_each(typed, fmus, changed):
    many = b"".join(b'<ScalarVariable name="p q[%d]" valueReference="0"><Real/></ScalarVariable>' % number for number in range(50))
    wordy = {"modelDescription.xml": lambda xml: xml.replace(b"</ModelVariables>", many + b"</ModelVariables>")}
    path = changed(fmus / "lag2.fmu", wordy)
    told = typed("info", path).output
    assert told.count("no structured name") == 3 and "and 47 more warnings like it. Quote it" in told
    assert typed("info", path, "--json").output.count("is no structured name") == 50


def test_run_writes_a_csv_and_says_what_it_did(typed, fmus, tmp_path):
    told = typed("run", fmus / "ball2.fmu", "--kind", "me", "--stop", 1, "--step", 0.25, "--set", "e=0.5", "--out", tmp_path / "out.csv")
    assert told.exit_code == 0 and "written to" in told.output, told.output
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "time,h,v,bounces" and len(lines) == 6
    assert [float(line.split(",")[0]) for line in lines[1:]] == [0.0, 0.25, 0.5, 0.75, 1.0]
    arrays = typed("run", fmus / "arrays3.fmu", "--stop", 0.1, "--out", tmp_path / "arrays.csv")
    assert arrays.exit_code == 0
    assert (tmp_path / "arrays.csv").read_text().startswith('time,level[1],level[2],level[3],total,"grid[1,1]"')


def test_run_as_json_has_the_fields_of_simulate(typed, fmus):
    answer = json.loads(typed("run", fmus / "lag2.fmu", "--set", "u=1 kW", "--stop", 1, "--step", 0.5, "--json").output)
    (run,) = answer["runs"]
    assert {"id", "status", "failure", "digest", "seconds", "outputs"} <= set(run)
    assert run["outputs"]["y"] == {"times": [0.0, 0.5, 1.0], "values": [0.0, 250.0, 437.5], "unit": "K"}


def test_a_failed_run_ends_with_1_and_shows_the_log(typed, fmus):
    told = typed("run", fmus / "bad2.fmu", "--set", "fault=6")
    assert told.exit_code == 1 and "failed: raised: fmi2DoStep answered Error" in told.output


def test_the_draft_of_a_model_is_a_model_file(typed, fmus, tmp_path):
    told = typed("model", fmus / "lag2.fmu", "--out", tmp_path / "lag.yaml")
    assert told.exit_code == 0
    assert "kind: fmu" in (tmp_path / "lag.yaml").read_text() and "T: {unit: s, value: 2.0}" in (tmp_path / "lag.yaml").read_text()


def test_build_compiles_and_checks_and_says_where_it_is(typed, tmp_path):
    words = [
        EXAMPLES / "lag" / "modelDescription2.xml",
        EXAMPLES / "lag",
        EXAMPLES / "fmi2.c",
        EXAMPLES / "model.h",
        EXAMPLES / "stepping.h",
    ]
    two = typed("build", *words, "--out", tmp_path / "lag.fmu")
    assert "one model description is needed" in str(two.exception)
    told = typed("build", words[0], EXAMPLES / "lag" / "lag.c", *words[2:], "--out", tmp_path / "lag.fmu")
    assert told.exit_code == 0 and f"fmu {tmp_path / 'lag.fmu'}" in told.output, told.exception
    again = typed("build", words[0], EXAMPLES / "lag" / "lag.c", *words[2:], "--out", tmp_path / "again.fmu")
    assert again.exit_code == 0 and (tmp_path / "lag.fmu").read_bytes() == (tmp_path / "again.fmu").read_bytes()
    (tmp_path / "broken.c").write_text("int f( {")
    broken = typed("build", words[0], tmp_path / "broken.c", "--out", tmp_path / "no.fmu")
    assert "broken.c:1" in str(broken.exception) and not (tmp_path / "no.fmu").exists()


@pytest.mark.parametrize("version", [2, 3])
def test_an_fmu_with_sources_alone_is_compiled_when_it_is_run(typed, fmus, changed, version):
    names = zipfile.ZipFile(fmus / f"lag{version}.fmu").namelist()
    bare = dict.fromkeys(name for name in names if name.startswith("binaries/"))
    if version == 2:  # the list of files of FMI 2.0
        listed = b"<SourceFiles><File name='lag.c'/><File name='fmi2.c'/></SourceFiles></CoSimulation>"
        bare["sources/buildDescription.xml"] = None
        flags = b'canHandleVariableCommunicationStepSize="true" canGetAndSetFMUstate="true" canSerializeFMUstate="true"'
        bare["modelDescription.xml"] = lambda xml: xml.replace(flags + b"/>", flags + b">" + listed)
    path = changed(fmus / f"lag{version}.fmu", bare)
    words = ("--set", "u=1 kW", "--stop", 1, "--step", 0.5, "--kind", "cs", "--json")
    answers = [json.loads(typed("run", one, *words).output)["runs"][0] for one in (path, fmus / f"lag{version}.fmu")]
    assert answers[0]["status"] == "ok", answers[0]
    assert answers[0]["outputs"] == answers[1]["outputs"]


def test_sources_as_other_tools_bring_them_are_compiled(typed, fmus, changed):
    """Names with `./`, a prefix for static linking, nothing marked as exported, and the types of functions."""
    names = zipfile.ZipFile(fmus / "lag2.fmu").namelist()
    bare = dict.fromkeys(name for name in names if name.startswith("binaries/"))
    listed = b"<SourceFiles><File name='./lag.c'/><File name='./fmi2.c'/></SourceFiles></CoSimulation>"
    flags = b'canHandleVariableCommunicationStepSize="true" canGetAndSetFMUstate="true" canSerializeFMUstate="true"'
    bare["sources/buildDescription.xml"] = None
    bare["modelDescription.xml"] = lambda xml: xml.replace(flags + b"/>", flags + b">" + listed)
    head = b"#define FMI2_FUNCTION_PREFIX lag_\n#define FMI2_Export\n"
    bare["sources/fmi2.c"] = lambda code: head + code + b"\nfmi2GetVersionTYPE *twice = fmi2GetVersion;\n"
    path = changed(fmus / "lag2.fmu", bare)
    words = ("--set", "u=1 kW", "--stop", 1, "--step", 0.5, "--kind", "cs", "--json")
    (run,) = json.loads(typed("run", path, *words).output)["runs"]
    assert run["status"] == "ok" and run["outputs"]["y"]["values"] == [0.0, 250.0, 437.5], run


def test_sources_in_cpp_are_linked_with_their_library(typed, tmp_path):
    code = (EXAMPLES / "lag" / "lag.c").read_text()
    (tmp_path / "extra.cpp").write_text('#include <string>\nextern "C" int longer(int n) { return (int)std::string(n, 120).size(); }\n')
    (tmp_path / "lag.c").write_text(code + "\nint longer(int);\nint (*used)(int) = longer;\n")
    words = [EXAMPLES / "lag" / "modelDescription2.xml", tmp_path, *(EXAMPLES / one for one in ("fmi2.c", "model.h", "stepping.h"))]
    assert typed("build", *words, "--out", tmp_path / "lag.fmu").exit_code == 0
    (run,) = json.loads(typed("run", tmp_path / "lag.fmu", "--set", "u=1 kW", "--stop", 1, "--step", 0.5, "--json").output)["runs"]
    assert run["status"] == "ok" and run["outputs"]["y"]["values"] == [0.0, 250.0, 437.5], run


def test_what_is_no_fmu_is_told_in_one_line(tmp_path):
    (tmp_path / "no.fmu").write_text("no")
    command = [str(Path(sys.executable).with_name("twinwright")), "fmu", "info", "no.fmu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: no.fmu: not a ZIP file") and "Traceback" not in done.stderr
