"""The kind `fmu`: bound with units, run through scenarios, resumed, calibrated, and refused with reasons."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from twinwright.documents import Problems, parse_text
from twinwright.simulation.fmi.draft import draft_model
from twinwright.simulation.model_document import parse_model
from twinwright.simulation.protocol import ModelError, State
from twinwright.simulation.registry import load_model

HEATER = """
name: heater
version: 1.0.0
kind: fmu
artefact: lag3.fmu
inputs: {power: {variable: u, unit: kW, hold: linear}}
states: {x: {start: 5, unit: K}}
outputs: {rise: {variable: y, property: level}}
parameters: {tau: {variable: T, value: 0.1, unit: min, bounds: [0.01, 1]}, k: {}}
step: PT0.5S
"""


@pytest.fixture
def parsed(fmus: Path, tmp_path: Path):
    """`parsed(text)` gives a definition (or None) and the problems."""

    def make(text: str):
        for path in fmus.glob("*.fmu"):
            shutil.copy(path, tmp_path)
        problems = Problems()
        document = parse_text(text, "models/heater.yaml", problems)
        return (parse_model(document, tmp_path, problems) if document else None), problems.items

    return make


@pytest.fixture
def definition(parsed):
    return parsed(HEATER)[0]


def test_units_and_values_that_are_not_given_are_those_of_the_fmu(definition):
    assert [one.unit for one in (*definition.inputs, *definition.outputs, *definition.parameters)] == ["kW", "K", "min", "K/W"]
    assert definition.defaults() == {"tau": 0.1, "k": 1.0}


@pytest.mark.parametrize("version", [2, 3])
def test_a_variable_may_be_seen_at_several_ports(parsed, tmp_path, version):
    """As a state and as two outputs: each has its values, in its own unit."""
    text = HEATER.replace("lag3", f"lag{version}").replace("outputs: {", "outputs: {x: {unit: K}, warm: {variable: x, unit: degC}, ")
    model = load_model(parsed(text)[0], tmp_path)
    result = model.advance(model.initial({}, {}), np.array([0.0, 0.5, 1.0]), np.full((3, 1), 2.0))
    x, warm, rise = result.outputs.T
    assert x.tolist() == rise.tolist() == result.states[:, 0].tolist() and x[2] > x[1] > x[0] == 5.0
    assert warm == pytest.approx(x - 273.15)


def test_values_are_converted_at_every_port(definition, tmp_path):
    """tau = 6 s, x(0) = 5 K, 2 kW: dx/dt = (2000 - x) / 6, in steps of Euler's."""
    model = load_model(definition, tmp_path)
    result = model.advance(model.initial({}, {}), np.array([0.0, 0.5, 1.0]), np.full((3, 1), 2.0))
    first = 5 + 0.5 * (2000 - 5) / 6
    assert result.outputs[:, 0] == pytest.approx([5.0, first, first + 0.5 * (2000 - first) / 6])
    assert result.states.tolist() == result.outputs.tolist()
    metamorphic = load_model(definition.from_data({**definition.as_data(), "artefacts": {}}), tmp_path)
    again = metamorphic.advance(metamorphic.initial({"tau": 0.1}, {"x": 5.0}), np.array([0.0, 0.5, 1.0]), np.full((3, 1), 2.0))
    assert again.outputs.tobytes() == result.outputs.tobytes()


@pytest.mark.parametrize("name", ["lag2", "lag3", "ball2", "ball3", "signals3", "arrays3"])
@pytest.mark.parametrize("run", ["cs", "me"])
def test_a_run_split_through_its_state_is_equal_byte_for_byte(parsed, fmus, tmp_path, name, run):
    definition, problems = parsed(draft_model(fmus / f"{name}.fmu").replace("run: cs", f"run: {run}"))
    assert definition is not None, problems
    times = np.arange(0.0, 10.5, 0.5)
    inputs = np.rint(3 * np.random.default_rng(5).random((times.size, len(definition.inputs)))) + 0.0
    whole_model, first_model, second_model = (load_model(definition, tmp_path) for _ in range(3))
    whole = whole_model.advance(whole_model.initial({}, {}), times, inputs)
    first = first_model.advance(first_model.initial({}, {}), times[:11], inputs[:11])
    saved = State(first.state.time, first.state.values.copy(), first.state.parameters, bytes(first.state.opaque))
    second = second_model.advance(saved, times[10:], inputs[10:])
    assert np.concatenate([first.outputs, second.outputs[1:]]).tobytes() == whole.outputs.tobytes()
    assert second.state.opaque == whole.state.opaque
    again = whole_model.advance(whole_model.initial({}, {}), times, inputs)  # the instance comes from the pool
    assert again.outputs.tobytes() == whole.outputs.tobytes()


def test_a_draft_leaves_to_the_fmu_what_a_model_file_cannot_say(parsed, fmus, changed, tmp_path):
    """Other tools give starts and limits without bounds, very small ones, and parameters without a start."""

    def other(xml):
        xml = xml.replace(b'unit="W" start="0"', b'unit="W" start="0" min="-INF" max="1e20"')
        xml = xml.replace(b'start="2" min="1e-6"', b'start="1e-6"').replace(b'unit="K/W" start="1"', b'unit="K/W" start="INF"')
        more = b'<ScalarVariable name="n" valueReference="0" causality="parameter" variability="fixed"><Integer/></ScalarVariable>'
        more += more.replace(b'"n"', b'"c"').replace(b'"fixed"><Integer', b'"constant"><Integer start="1"')
        return xml.replace(b"</ModelVariables>", more + b"</ModelVariables>")

    path = changed(fmus / "lag2.fmu", {"modelDescription.xml": other}, "Pump #2 (v1) ~.fmu")
    definition, problems = parsed(draft_model(path))
    assert definition is not None, problems
    assert definition.defaults() == {"T": 1e-6} and definition.inputs[0].range == (None, 1e20)


def test_a_draft_is_in_the_units_of_its_ports(parsed, fmus, changed, run):
    """A unit that only the FMU's own table knows: the port is in SI, and so are its value and range. `fmu run` gives the FMU's own."""

    def other(xml):
        own = b'<UnitDefinitions><Unit name="horse"><BaseUnit kg="1" m="2" s="-3" factor="746"/></Unit>'
        xml = xml.replace(b"<UnitDefinitions>", own).replace(b'unit="W" start="0"', b'unit="horse" start="0" max="2"')
        xml = xml.replace(b'causality="parameter" variability="tunable"><Real unit="K/W" start="1"', b'causality="input"><Real start="1"')
        xml = xml.replace(b'variability="fixed"><Real unit="s" start="2" min="1e-6"', b'variability="fixed"><Real unit="horse" start="2"')
        return xml.replace(b'name="y"', b'name="on"').replace(b'<Real unit="K"/>', b'<Real unit="horse"/>')

    path = changed(fmus / "lag2.fmu", {"modelDescription.xml": other}, "horse.fmu")
    definition, problems = parsed(draft_model(path))
    assert definition is not None, problems
    watt = "kg*m**2/s**3"
    assert [(one.name, one.unit, one.value) for one in definition.parameters] == [("T", watt, 1492.0)]
    assert definition.inputs[0].range == (None, 1492.0) and [one.name for one in definition.outputs] == ["on"]
    assert run(path, stop=1.0, step=0.5)["outputs"]["on"]["unit"] == "horse"


def test_an_fmu_that_cannot_save_goes_on_where_it_is_and_nowhere_else(parsed, fmus, tmp_path):
    text = draft_model(fmus / "bad2.fmu").replace("PT0.1S", "PT1S")
    definition, problems = parsed(text)
    assert definition is not None, problems
    model = load_model(definition, tmp_path)
    assert not model.capabilities.save_state
    times, none = np.array([0.0, 0.25, 0.5]), np.zeros((3, 0))
    half = model.advance(model.initial({}, {}), times, none)
    assert model.advance(half.state, times + 0.5, none).outputs[:, 0].tolist() == [0.5, 0.75, 1.0]
    with pytest.raises(ModelError, match="can't save its state"):
        model.advance(half.state, times + 0.5, none)


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("unit: kW", "unit: kg", "$.inputs.power.unit", "can't be converted"),
        ("variable: u,", "variable: uu,", "$.inputs.power.variable", "no variable 'uu'"),
        ("variable: u,", "variable: T,", "$.inputs.power.variable", "is no input of the FMU"),
        ("k: {}", "y: {value: 1}", "$.parameters.y", "can't be set"),
        ("lag3.fmu", "other.fmu", "$.artefact", "can't be read"),
        ("step: PT0.5S", "step: PT0.5S\nsettings: {T: warm}", "$.settings.T", "'warm' is not a number"),
        ("step: PT0.5S", "step: PT0.5S\nrun: me\ncommunication_step: PT0.1S", "$.communication_step", "for co-simulation"),
        ("outputs: {rise: {variable: y, property: level}}", "outputs: {text_out: {}}\n", "$.outputs.text_out", "no variable 'text_out'"),
    ],
)
def test_what_does_not_fit_is_told_when_it_is_loaded(parsed, old, new, place, message):
    definition, problems = parsed(HEATER.replace(old, new))
    assert definition is None
    found = [(one.path, one.message) for one in problems]
    assert any(path == place and message in text for path, text in found), found


def test_a_scenario_runs_it_and_the_run_is_verified(definition, service, admin, scenario):
    given = scenario(definition, "inputs: {power: {constant: 1500, unit: W}}\n")
    run = service.simulate(admin, given, definition)["runs"][0]
    assert run["status"] == "ok", run["failure"]
    values = run["outputs"]["rise"]["values"]
    assert (values[0], run["outputs"]["rise"]["unit"]) == (5.0, "K") and values[-1] == pytest.approx(1500, rel=1e-3)
    assert service.verify(admin, run["id"])["verified"]


def test_a_shorter_communication_step_is_more_accurate(parsed, tmp_path):
    coarse, fine = (load_model(parsed(HEATER + extra)[0], tmp_path) for extra in ("", "communication_step: PT0.001S\n"))
    times, inputs = np.array([0.0, 0.5, 1.0]), np.full((3, 1), 2.0)
    exact = 2000 + (5 - 2000) * np.exp(-times / 6)
    errors = [np.abs(one.advance(one.initial({}, {}), times, inputs).outputs[:, 0] - exact).max() for one in (coarse, fine)]
    assert errors[1] < errors[0] / 300


def test_parameters_are_recovered_by_a_fit(definition, tmp_path):
    from twinwright.calibration import fit

    model = load_model(definition, tmp_path)
    times = np.arange(0, 40) * 0.5
    inputs = np.full((40, 1), 2.0)
    observed = model.advance(model.initial({"tau": 0.2, "k": 0.5}, {}), times, inputs).outputs[:, 0]
    payload = {
        "parameters": definition.defaults(), "state_starts": {}, "states": [], "inputs": inputs, "step": 0.5, "columns": [0],
        "seconds": [times], "values": [observed], "trained": [40],
    }  # fmt: skip
    problem = fit.Problem(model, payload)
    assert np.abs(problem.residuals({"tau": 0.2, "k": 0.5}, 19.5)).max() == 0.0
    assert np.abs(problem.residuals({"tau": 0.1, "k": 0.5}, 19.5)).max() > 0.01
