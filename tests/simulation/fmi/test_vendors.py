"""FMUs as other tools export them: what they write into their descriptions, and what they do to the process that they are in."""

from __future__ import annotations

import json
import zipfile

import pytest
from tests.simulation.fmi.conftest import BAD
from typer.testing import CliRunner

from twinwright.cli import app
from twinwright.documents import Problems, parse_text
from twinwright.simulation.fmi.build import build_fmu
from twinwright.simulation.model_document import parse_model

MOVE, TRAP, TALK, THREADS, DISCARD, PENDING, FAIL_TO_END, IMPATIENT = (1 << bit for bit in range(8))
LEVEL = "tank.'level \"a\"'[1,2]"


@pytest.fixture(scope="session")
def vendor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vendor")
    (folder / "vendor2.xml").write_bytes((BAD / "vendor2.xml").read_bytes().replace(b"TEXT", b"dGV4dA==" * 200_000))
    (folder / "resources" / "tables").mkdir(parents=True)
    (folder / "resources" / "tables" / "offset 1.txt").write_text("1.5")
    (folder / "vendor.c").write_bytes((BAD / "vendor.c").read_bytes())
    return build_fmu([folder], folder / "vendor.fmu")[0]


def typed(*words):
    done = CliRunner().invoke(app, ["fmu", *(str(word) for word in words)])
    return done.exit_code, done.output or str(done.exception)


def test_a_description_with_all_that_tools_add_is_read_and_drafted(vendor, tmp_path):
    code, told = typed("info", vendor, "--json")
    answer = json.loads(told)
    assert code == 0 and answer["valid"], answer["problems"]
    assert answer["enumerations"] == {"Modelica.Kinds": {"low": -5, "high": 2147483647}} and answer["states"] == ["x"]
    variables = {one["name"]: one for one in answer["variables"]}
    assert variables["'mode = ü'"]["start"] == -5 and variables["level alias"]["unit"] == "m3/h"
    code, draft = typed("model", vendor)
    problems = Problems()
    (tmp_path / "vendor.fmu").write_bytes(vendor.read_bytes())
    document = parse_text(draft.split("\n", 1)[1], "models/vendor.yaml", problems)
    definition = parse_model(document, tmp_path, problems) if document else None
    assert code == 0 and definition is not None, (problems.items, draft)
    assert {one.name for one in definition.outputs} >= {"level_alias", "offset", "mode_1_now"}


@pytest.mark.parametrize("habits", [0, MOVE | TRAP | TALK | THREADS | FAIL_TO_END, DISCARD | PENDING])
def test_what_it_does_to_its_process_changes_no_result(vendor, habits):
    words = ("--stop", 2, "--step", 0.5, "--kind", "cs", "--set", f"_habits={habits}", "--set", "'mode = ü'=high", "--json")
    code, told = typed("run", vendor, *words)
    (run,) = json.loads(told)["runs"]
    assert code == 0 and run["status"] == "ok", run
    outputs = {name: one["values"] for name, one in run["outputs"].items()}
    assert outputs[LEVEL] == outputs["level alias"] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert outputs["offset"] == [1.5] * 5 and outputs["mode[1].now"] == [2147483647] * 5
    assert run["outputs"]["level alias"]["unit"] == "m**3/h"
    if habits & TALK:
        assert "step 50% of 1.5" in run["log"] and "from a thread:" in run["log"] and "\n1.5\n" in run["log"]


@pytest.mark.parametrize("habits", [0, IMPATIENT | TRAP])
def test_events_that_follow_each_other_at_once_come_to_an_end(vendor, habits):
    code, told = typed("run", vendor, "--stop", 1, "--step", 0.5, "--kind", "me", "--set", f"_habits={habits}", "--json")
    (run,) = json.loads(told)["runs"]
    assert code == 0 and run["status"] == "ok", run
    assert run["outputs"]["level alias"]["values"] == pytest.approx([0.0, 0.5, 1.0], rel=1e-12)


def test_a_default_experiment_without_end_is_none(vendor):
    code, told = typed("run", vendor, "--json")
    (run,) = json.loads(told)["runs"]
    assert code == 0 and run["outputs"]["offset"]["times"][-1] == 1.0 and "no stop time" in run["warnings"][0]


def test_headers_among_the_listed_sources_are_not_compiled(vendor, changed):
    names = zipfile.ZipFile(vendor).namelist()
    listed = b"<SourceFiles><File name='vendor.h'/><File name='vendor.c'/></SourceFiles><Annotations>"
    changes = dict.fromkeys(one for one in names if one.startswith("binaries/"))
    changes |= {"sources/vendor.h": b"#pragma once\n", "sources/vendor.c": (BAD / "vendor.c").read_bytes()}
    changes["modelDescription.xml"] = lambda xml: xml.replace(b"<Annotations>", listed, 1)
    code, told = typed("run", changed(vendor, changes), "--kind", "cs", "--stop", 1, "--json")
    assert code == 0 and json.loads(told)["runs"][0]["status"] == "ok", told


def test_whole_numbers_that_no_double_has_and_steps_that_are_multiples(tmp_path):
    wide, _ = build_fmu([BAD / "wide3.xml", BAD / "wide.c"], tmp_path / "wide.fmu")
    code, told = typed("run", wide, "--stop", 7, "--set", f"given={2**53 + 1}", "--json")
    (run,) = json.loads(told)["runs"]
    assert code == 0 and run["status"] == "ok", run
    outputs = {name: one["values"] for name, one in run["outputs"].items()}
    assert outputs["echo"] == [2**53 + 1] * 225 and outputs["t"][-1] == run["outputs"]["t"]["times"][-1] == 7.0
    assert outputs["most"][-1] == [[2**64 - 1, 2**64 - 2], [2**64 - 3, 2**64 - 4]]
    code, told = typed("run", wide, "--set", f"given={2**63}")
    assert code and "can't be 9223372036854775808" in told
