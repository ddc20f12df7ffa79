"""Linear models follow the analytic solution, and a definition that doesn't fit is refused with where and why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.simulation.kinds import ROOM, made, parsed

from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.registry import load_model

LAG = "{name: lag, version: 1, kind: linear, inputs: {u: {hold: HOLD}}, outputs: {y: {}}, "
LAG += "parameters: {K: {value: 2}, T: {value: 3, unit: s}}, "
STATE = "states: {y: {start: 0}}, A: [['-1/T']], B: [['K/T']], step: PT1S}"
TRANSFER = "transfer: {y: {u: {num: [K], den: [T, 1]}}}, step: PT1S}"


def outputs(text: str, inputs, step: float = 1.0, parameters=None):
    model = load_model(made(text), Path())
    values = np.array(inputs, np.float64).reshape(len(inputs), -1)
    return model.advance(model.initial(parameters or {}, {}), np.arange(len(inputs)) * step, values).outputs


@pytest.mark.parametrize("form", [STATE, TRANSFER])
def test_a_lag_follows_its_step_and_ramp_responses_exactly(form):
    t = np.arange(20.0)
    step = outputs(LAG.replace("HOLD", "zero") + form, np.ones(20))
    assert np.allclose(step[:, 0], 2 * (1 - np.exp(-t / 3)), rtol=0, atol=1e-14)
    ramp = outputs(LAG.replace("HOLD", "linear") + form, t)
    assert np.allclose(ramp[:, 0], 2 * (t - 3 * (1 - np.exp(-t / 3))), rtol=0, atol=1e-12)


def test_the_grid_does_not_matter_where_the_solution_is_exact():
    coarse, fine = (outputs(LAG.replace("HOLD", "zero") + STATE, np.ones(count), step) for count, step in ((4, 5.0), (16, 1.0)))
    assert np.allclose(coarse[:, 0], fine[::5, 0], rtol=1e-13)


def test_transfer_functions_add_up_and_may_have_zeros_and_a_direct_part():
    text = "{name: t, version: 1, kind: linear, inputs: {u: {}, d: {}}, outputs: {y: {}}, "
    text += "transfer: {y: {u: {num: [1, 3], den: [1, 1]}, d: {num: [1], den: [1, 0]}}}, step: PT1S}"
    t = np.arange(8.0)
    found = outputs(text, np.ones((8, 2)))
    assert np.allclose(found[:, 0], 1 + 2 * (1 - np.exp(-t)) + t, atol=1e-12)  # (s+3)/(s+1) = 1 + 2/(s+1), and an integrator


def test_a_transfer_function_is_the_same_from_a_record_whose_keys_are_sorted():
    definition = made(LAG.replace("HOLD", "zero") + TRANSFER)
    model = load_model(ModelDefinition.from_data(json.loads(json.dumps(definition.as_data(), sort_keys=True))), Path())
    found = model.advance(model.initial({}, {}), np.arange(9.0), np.ones((9, 1))).outputs
    assert np.array_equal(found, outputs(LAG.replace("HOLD", "zero") + TRANSFER, np.ones(9)))


def test_an_oscillator_keeps_its_energy():
    text = "{name: o, version: 1, kind: linear, states: {x: {start: 1}, v: {start: 0}}, "
    text += "outputs: {x: {}, v: {}}, A: [[0, 1], [-1, 0]], step: PT1S}"
    found = outputs(text, np.empty((1000, 0)))
    assert np.allclose((found**2).sum(axis=1), 1.0, atol=1e-10)
    assert np.allclose(found[:, 0], np.cos(np.arange(1000.0)), atol=1e-10)


def test_a_discrete_system_is_its_recursion():
    text = "{name: d, version: 1, kind: linear, time: discrete, inputs: {u: {}}, outputs: {y: {}}, "
    text += "transfer: {y: {u: {num: [1], den: [1, -0.5]}}}, step: PT1S}"
    assert outputs(text, [1, 0, 0, 0, 0])[:, 0].tolist() == [0, 1, 0.5, 0.25, 0.125]


def test_entries_are_converted_from_the_units_of_their_parameters():
    hours = ROOM.replace("{value: 50, unit: kJ/K}", "{value: 50000, unit: J/K}").replace("0.01, unit: K/W", "10, unit: K/kW")
    inputs = np.column_stack([np.full(10, 500.0), np.linspace(-5, 5, 10)])
    assert np.allclose(outputs(ROOM, inputs, 60.0), outputs(hours, inputs, 60.0), rtol=1e-12)
    warm = outputs(ROOM, inputs, 60.0, {"Ca": 1e9})  # a great capacity does not move
    assert np.allclose(warm, 20.0, atol=1e-3)


def test_coefficients_of_a_transfer_function_are_converted_from_the_units_of_their_parameters():
    text = "{name: t, version: 1, kind: linear, inputs: {f: {unit: N}}, outputs: {x: {unit: X}}, parameters: {PARAMETERS}, "
    text += "transfer: {x: {f: {num: [G], den: [m, c, k]}}}, step: PT1S}"
    plain = "G: {value: 1}, m: {value: 2, unit: kg}, c: {value: 0.5, unit: N*s/m}, k: {value: 3, unit: N/m}"
    other = "G: {value: 1}, m: {value: 2000, unit: g}, c: {value: 5, unit: N*s/dam}, k: {value: 0.03, unit: N/cm}"
    first, again = (outputs(text.replace("X", "m").replace("PARAMETERS", given), np.ones(9)) for given in (plain, other))
    assert np.abs(first).max() > 0.3
    assert np.allclose(first, again, rtol=1e-12)
    assert np.allclose(1000 * first, outputs(text.replace("X", "mm").replace("PARAMETERS", other), np.ones(9)), rtol=1e-12)
    minutes = LAG.replace("HOLD", "zero").replace("{value: 3, unit: s}", "{value: 0.05, unit: min}")
    assert np.allclose(outputs(minutes + TRANSFER, np.ones(9)), outputs(minutes + STATE, np.ones(9)), rtol=1e-12)
    gain = "{name: g, version: 1, kind: linear, inputs: {p: {unit: kW}}, outputs: {t: {unit: degC}}, "
    gain += "parameters: {R: {value: 0.02, unit: K/W}}, transfer: {t: {p: {num: [R], den: [1]}}}, step: PT1S}"
    assert outputs(gain, np.ones(2))[:, 0].tolist() == [20.0, 20.0]


@pytest.mark.parametrize(
    ("parameters", "den", "place"),
    [
        ("K: {value: 2}, T: {value: 3, unit: m}", "[T, 1]", "den[0]"),
        ("K: {value: 2, unit: V}, T: {value: 3, unit: s}", "[T, 1]", "num[0]"),
        ("K: {value: 2}, T: {value: 3, unit: N/m}", "[T, 0, T]", "num[0]"),
    ],
)
def test_a_coefficient_of_another_dimension_is_refused(parameters, den, place):
    form = TRANSFER.replace("[T, 1]", den)
    text = LAG.replace("HOLD", "zero").replace("K: {value: 2}, T: {value: 3, unit: s}", parameters) + form
    _, problems = parsed(text)
    assert f"$.transfer.y.u.{place}" in [one.path for one in problems.items], problems.items
    assert all("can't be converted" in one.message for one in problems.items)


@pytest.mark.parametrize(
    ("change", "said", "path"),
    [
        (('"1/(Ri*Ca)"]', '"1/Ca"]'), "no entry in", "$.A[0][1]"),
        (('"1/(Ri*Ca)"]', '"1/(Rx*Ca)"]'), "no entry", "$.A[0][1]"),
        (('["1/Ca", 0]', "[0]"), "B is not 2 by 2", "$.B"),
        (("kind: linear", "kind: linear\nartefact: x.py:f"), "x.py can't be read", "$.artefact"),
        (("kind: linear", "kind: linear\ntransfer: {air: {heat: {num: [1], den: [1, 1]}}}"), "exclude each other", "$.A"),
        (("kind: linear", "kind: linear\nD: [[1]]"), "D is not 1 by 2", "$.D"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(change, said, path):
    _, problems = parsed(ROOM.replace(*change))
    assert any(said in one.message and one.path == path and one.line for one in problems.items), problems.items


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{u: {num: [1, 2, 3], den: [1, 1]}}", "higher degree"),
        ("{u: {num: [1], den: [0, 1]}}", "highest coefficient is zero"),
        ("{w: {num: [1], den: [1, 1]}}", "no input 'w'"),
    ],
)
def test_a_transfer_function_that_can_not_be_is_refused(body, said):
    text = "{name: t, version: 1, kind: linear, inputs: {u: {}}, outputs: {y: {}}, transfer: {y: " + body + "}, step: PT1S}"
    _, problems = parsed(text)
    assert [one for one in problems.items if said in one.message], problems.items


def test_matrices_are_needed_and_outputs_show_states():
    _, problems = parsed("{name: t, version: 1, kind: linear, outputs: {y: {}}, step: PT1S}")
    assert {one.code for one in problems.items} >= {"missing", "no_states", "unknown_state"}
