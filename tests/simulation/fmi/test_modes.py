"""An FMU that holds who runs it to the modes of FMI: what may be set when, clocks, and what it can't compute."""

from __future__ import annotations

import numpy as np
import pytest
from tests.simulation.composites import made
from tests.simulation.composites import run as run_composite
from tests.simulation.fmi.conftest import BAD
from tests.simulation.fmi.test_loops import loaded, simulated

from twinwright.errors import UsageError
from twinwright.simulation.fmi import native
from twinwright.simulation.fmi.build import build_fmu
from twinwright.simulation.fmi.draft import draft_model
from twinwright.simulation.fmi.layout import Settings
from twinwright.simulation.fmi.python_engine import PythonLoops
from twinwright.simulation.fmi.session import Session
from twinwright.simulation.protocol import ModelError

TWICE = """
name: twice
version: 1
kind: composite
components: {a: {fmu: modes.fmu, run: cs}, b: {fmu: modes.fmu, run: cs}}
connections: [a.x -> b.u]
outputs: {x: {from: b.x}}
step: PT1S
"""


@pytest.fixture(scope="session")
def modes(tmp_path_factory):
    path, findings = build_fmu([BAD / "modes3.xml", BAD / "modes.c"], tmp_path_factory.mktemp("modes") / "modes.fmu")
    assert [one.message for one in findings] == ["input clock 'tick' will never tick"]
    return path


@pytest.mark.parametrize(("kind", "seen"), [("cs", 1), ("me", 0)])  # co-simulation shows what was given to the step that ends there
def test_what_is_discrete_is_set_in_events(modes, run, tmp_path, kind, seen):
    (tmp_path / "in.csv").write_text("time,u,jump,gain,text\n5,1,0,1,a\n6,1,2,2,b\n7,3,2,2,b\n")
    done = run(modes, kind=kind, inputs=tmp_path / "in.csv")
    assert done["status"] == "ok", done["failure"]
    assert done["warnings"] == ["input clock 'tick' does not tick: what depends on it keeps its start"]
    outputs = {name: one["values"] for name, one in done["outputs"].items()}
    assert outputs.keys() == {"x", "seen", "read"}
    changed = [5.0, 5.5, 6.0, 6.5, 7.0].index(6.0) + seen
    assert outputs["seen"] == [0.0] * changed + [2.0] * (5 - changed)
    assert outputs["read"] == ["a"] * changed + ["b"] * (5 - changed)
    assert outputs["x"][2] == 1.0 and outputs["x"][3] > 2.0


def test_both_loops_set_it_in_events_alike(modes, tmp_path):
    settings = Settings(event_mode=True, substeps=2)
    compiled, plain = (
        simulated(modes, tmp_path / name, loops, "cs", settings) for name, loops in (("c", native.loops()), ("p", PythonLoops()))
    )
    assert compiled[0].tobytes() == plain[0].tobytes() and compiled[1] == plain[1] and compiled[1][1] > 5


def test_what_keeps_its_value_is_no_input(modes, run, tmp_path):
    (tmp_path / "in.csv").write_text("time,root\n5,0\n6,1\n")
    with pytest.raises(UsageError, match=r"'root' is a parameter that keeps its value"):
        run(modes, inputs=tmp_path / "in.csv")


def test_a_step_into_what_can_not_be_computed_is_made_shorter(modes, run):
    """x = (1 - t/2)^2 comes to 0 at t = 2, and below it there is no slope."""
    done = run(modes, kind="me", settings={"root": "1"}, stop=8.0, step=0.5)
    assert done["status"] == "ok", done["failure"]
    exact = [max(0.0, 1.0 - (t - 5.0) / 2) ** 2 for t in done["outputs"]["x"]["times"]]
    assert done["outputs"]["x"]["values"] == pytest.approx(exact, abs=1e-6)
    failed = run(modes, kind="me", method="euler", settings={"root": "1"}, stop=8.0, step=0.4)["failure"]
    assert failed is not None and "answered Discard" in failed["message"]


def test_both_loops_make_it_shorter_alike(modes, tmp_path):
    told = []
    for name, loops in (("c", native.loops()), ("p", PythonLoops())):
        unit, _, outputs = loaded(modes, tmp_path / name, loops, "me")
        session = Session(unit, [], outputs, Settings(max_step=0.5))
        session.start(0.0, {"root": [1.0]}, np.zeros(0), np.zeros(0))
        times, numbers = np.linspace(0.0, 3.0, 7), np.zeros((7, len(outputs)))
        session.advance(times, np.zeros((7, 0)), numbers)
        told.append((numbers.tobytes(), session.report.steps, session.report.rejected))
    assert told[0] == told[1] and told[0][2] > 10


def test_steps_that_are_to_be_equal_are_to_the_last_digit(modes, run, changed):
    """Of times from 100 s on, each a tenth of a second after the other, no two lie a tenth of a second apart."""
    fixed = changed(modes, {"modelDescription.xml": lambda xml: xml.replace(b'canHandleVariableCommunicationStepSize="true"', b"")})
    asked = {"kind": "cs", "start": 100.0, "stop": 101.0, "step": 0.1, "settings": {"root": "1"}}
    assert run(modes, **asked)["status"] == "failed"  # may be of any length, and are
    assert run(fixed, **asked)["status"] == "ok"


def test_both_loops_make_them_equal_alike(modes, changed, tmp_path):
    fixed = changed(modes, {"modelDescription.xml": lambda xml: xml.replace(b'canHandleVariableCommunicationStepSize="true"', b"")})
    for name, loops in (("c", native.loops()), ("p", PythonLoops())):
        unit, _, outputs = loaded(fixed, tmp_path / name, loops, "cs")
        session = Session(unit, [], outputs, Settings(step=0.05, substeps=2))
        session.start(100.0, {"root": [1.0]}, np.zeros(0), np.zeros(0))
        times = 100.0 + np.arange(11) * 0.1
        session.advance(times, np.zeros((11, 0)), np.zeros((11, len(outputs))))
        assert session.report.rows == 11


def test_a_draft_begins_where_the_default_experiment_does(modes):
    assert "\nstart_time: 5.0\n" in draft_model(modes)


def test_one_that_may_be_in_a_process_only_once_is_not_used_twice(modes, changed, tmp_path):
    """It would share its static data with itself."""
    assert np.isfinite(run_composite(made(TWICE, folder=modes.parent)).outputs).all()
    once = {
        "modelDescription.xml": lambda xml: xml.replace(b"<CoSimulation ", b'<CoSimulation canBeInstantiatedOnlyOncePerProcess="true" ')
    }
    alone = changed(modes, once, "modes.fmu")
    with pytest.raises(ModelError, match=r"'b': modes says that a process can have only one instance"):
        run_composite(made(TWICE, folder=alone.parent))
