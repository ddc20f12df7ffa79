"""Differential equations: order, conservation, splitting, the three ways of running one source, SciPy's solvers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinwright.simulation import kernels
from twinwright.simulation.protocol import ModelError, State
from twinwright.simulation.registry import kinds, load_model

DECAY = "return (u[0] - p[0] * x[0], p[0] * x[0] - p[1] * x[1])"
DECAY_FIELDS = {
    "inputs": "{u: {property: flow, hold: linear}, v: {property: flow}}",
    "states": "{a: {start: 2}, b: {start: 1}}",
    "outputs": "{a: {}, b: {}}",
    "parameters": "{k: {value: 0.3}, l: {value: 0.1}}",
}


@pytest.fixture
def loaded(tmp_path):
    return lambda definition: load_model(definition, tmp_path)


def drive(model, times, inputs=None, **starts):
    inputs = np.zeros((len(times), model.shape.inputs)) if inputs is None else inputs
    return model.advance(model.initial({}, starts, float(times[0])), times, inputs)


def test_the_kinds_are_found_by_their_entry_points():
    assert {"ode", "function"} <= set(kinds())


def test_runge_kutta_is_of_order_four(simple, loaded):
    model = loaded(simple("return (-p[0] * x[0] + math.sin(t),)", "import math"))
    k = 0.1

    def exact(t):
        return (1 + 1 / (1 + k * k)) * math.exp(-k * t) + (k * math.sin(t) - math.cos(t)) / (1 + k * k)

    steps = np.array([0.5, 0.25, 0.125, 0.0625])
    errors = []
    for step in steps:
        model.max_step = step
        errors.append(abs(drive(model, np.array([0.0, 4.0])).states[-1, 0] - exact(4.0)))
    order = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert order == pytest.approx(4.0, abs=0.1)


def test_what_flows_from_one_tank_to_the_other_is_conserved(simple, loaded):
    fields = {"states": "{a: {start: 2}, b: {start: 1}, c: {start: 0}}", "outputs": "{a: {}}"}
    model = loaded(simple("return (-p[0]*x[0], p[0]*x[0] - 0.2*x[1], 0.2*x[1])", **fields))
    states = drive(model, np.arange(0.0, 200.0)).states
    assert np.abs(states.sum(axis=1) - 3.0).max() < 1e-13


def test_the_internal_step_is_no_longer_than_max_step(simple, loaded):
    coarse = loaded(simple("return (-p[0] * x[0],)", solver="{max_step: PT10S}", step="PT10S"))
    fine = loaded(simple("return (-p[0] * x[0],)", solver="{max_step: PT0.1S}", step="PT10S"))
    assert (coarse.max_step, fine.max_step) == (10.0, 0.1)
    grid = np.array([0.0, 10.0])
    assert abs(drive(fine, grid).states[-1, 0] - math.exp(-1)) < 1e-9 < abs(drive(coarse, grid).states[-1, 0] - math.exp(-1))


def test_inputs_are_held_or_run_linearly_between_samples(simple, loaded):
    fields = DECAY_FIELDS | {"states": "{a: {start: 0}, b: {start: 0}}"}
    model = loaded(simple("return (u[0], u[1])", **fields))
    inputs = np.array([[0.0, 0.0], [2.0, 2.0], [0.0, 0.0]])
    states = drive(model, np.array([0.0, 1.0, 2.0]), inputs).states
    assert states[:, 0].tolist() == pytest.approx([0.0, 1.0, 2.0])  # the trapezia below a line
    assert states[:, 1].tolist() == pytest.approx([0.0, 0.0, 2.0])  # the value at the beginning of each interval


@pytest.mark.parametrize("method", ["rk4", "RK45", "Radau", "LSODA", "BDF"])
def test_solvers_agree_on_a_linear_system(simple, loaded, method):
    model = loaded(simple(DECAY, solver=f"{{method: {method}, rtol: 1e-9, atol: 1e-12, max_step: PT0.1S}}", **DECAY_FIELDS))
    times = np.arange(0.0, 20.0, 0.5)
    inputs = np.column_stack([np.sin(times), np.zeros(times.size)])
    reference = loaded(simple(DECAY, solver="{method: rk4, max_step: PT0.01S}", **DECAY_FIELDS))
    assert np.abs(drive(model, times, inputs).states - drive(reference, times, inputs).states).max() < 2e-7


@pytest.mark.parametrize("method", ["rk4", "RK45", "LSODA"])
def test_a_run_split_through_its_state_is_equal_byte_for_byte(simple, loaded, method):
    model = loaded(simple(DECAY, solver=f"{{method: {method}}}", **DECAY_FIELDS))
    generator = np.random.default_rng(3)

    @settings(max_examples=40 if method == "rk4" else 8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(gaps=st.lists(st.floats(0.01, 5.0), min_size=2, max_size=12), cut=st.integers(1, 11))
    def check(gaps, cut):
        times = np.concatenate([[0.0], np.cumsum(gaps)])
        cut = min(cut, times.size - 2)
        inputs = generator.normal(size=(times.size, 2))
        whole = model.advance(model.initial({}, {}), times, inputs)
        first = model.advance(model.initial({}, {}), times[: cut + 1], inputs[: cut + 1])
        saved = State(first.state.time, np.frombuffer(first.state.values.tobytes()), np.frombuffer(first.state.parameters.tobytes()))
        second = model.advance(saved, times[cut:], inputs[cut:])
        assert second.state.values.tobytes() == whole.state.values.tobytes()
        assert np.concatenate([first.outputs, second.outputs[1:]]).tobytes() == whole.outputs.tobytes()

    check()


def test_compiled_and_plain_runs_of_one_source_are_equal_byte_for_byte(simple, loaded, tmp_path):
    code = "return (u[0] - p[0] * x[0], p[0] * x[0] - p[1] * x[1])"
    model = loaded(simple(code, **DECAY_FIELDS))
    assert model.kernel.mode == "tuples" and model.warnings == ()
    from twinwright.simulation.user_code import load_function

    rhs = load_function("simple.py:rhs", tmp_path)
    plain = kernels.make_integrate(rhs, kernels._load_array, model.shape)
    arrays = kernels._compiled(rhs, None, model.shape, "arrays").integrate
    times = np.cumsum(np.full(50, 0.7)) - 0.7
    inputs = np.random.default_rng(1).normal(size=(50, 2))
    results = []
    for integrate in (model.kernel.integrate, arrays, plain):
        states = np.zeros((50, 2))
        states[0] = 2.0, 1.0
        assert integrate(times, inputs, 0.3, np.array([0.3, 0.1]), states) == 50
        results.append(states.tobytes())
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize(
    ("body", "head", "mode"),
    [
        ("return (-p[0] * x[0],)", "", "tuples"),
        ("return -p[0] * x[0]", "", "tuples"),
        ("return [-p[0] * x[0]]", "", "tuples"),
        ("return np.array([-p[0] * x[0]])", "import numpy as np", "tuples"),
        ("return helper(x[0], p[0])", "def helper(a, b):\n    return (-a * b,)", "tuples"),
        ("return -p[0] * x", "", "arrays"),
        ("return -p[0] * x[:1]", "", "arrays"),
        ("return {'dx': (-p[0] * x[0],)}['dx'] if isinstance(p, object) else open('nowhere')", "", "python"),
    ],
)
def test_functions_run_in_the_fastest_way_that_they_allow(simple, loaded, body, head, mode):
    model = loaded(simple(body, head))
    assert model.kernel.mode == mode
    assert bool(model.warnings) == (mode == "python") and (mode != "python" or "plain Python" in model.warnings[0])
    assert drive(model, np.arange(11.0)).states[-1, 0] == pytest.approx(math.exp(-1), rel=1e-6)


def test_a_tuple_of_mixed_numbers_compiles(simple, loaded):
    model = loaded(simple("return (-p[0] * x[0], 1)", states="{x: {start: 1}, n: {start: 0}}"))
    assert model.kernel.mode == "tuples"
    assert drive(model, np.arange(11.0)).states[-1, 1] == pytest.approx(10.0)


@pytest.mark.parametrize("body", ["return (0.0, 0.0)", "return [0.0, 0.0]", "return np.zeros(2)"])
def test_a_wrong_number_of_derivatives_is_an_error_in_every_way_of_running(simple, loaded, body):
    model = loaded(simple(body, "import numpy as np"))
    with pytest.raises((ModelError, ValueError), match="returned"):
        drive(model, np.arange(3.0))


def test_an_index_beyond_the_states_is_an_error_and_no_garbage(simple, loaded):
    for body in ("return (x[3],)", "i = int(p[0] * 30)\nreturn (x[i],)", "return x[3:4] + x[int(p[0] * 30)] + x"):
        with pytest.raises((IndexError, ModelError)):
            drive(loaded(simple(body)), np.arange(3.0))


@pytest.mark.parametrize("solver", ["{method: rk4}", "{method: RK45}"])
def test_a_state_that_is_not_finite_stops_the_run_with_its_name_and_time(simple, loaded, solver):
    model = loaded(simple("return (x[0] * x[0],)", solver=solver, step="PT0.25S"))
    with pytest.raises(ModelError, match=r"state 'x' is (inf|nan) at t = 1\.\d*") as caught:
        drive(model, np.arange(0, 40) / 4)
    assert caught.value.kind == "nan"


def test_an_output_that_is_not_finite_stops_the_run(model, loaded, texts):
    definition = model(texts.TANKS, tanks_py=texts.TANKS_PY.replace("return (x[1],)", "return (1.0 / (t - 8.0),)"))
    with pytest.raises(ModelError, match=r"output 'y' is -?inf at t = 8 s"):
        drive(loaded(definition), np.arange(0.0, 40.0, 4.0), x2=3.0)


def test_outputs_that_show_states_are_converted(simple, loaded):
    fields = {"states": "{x: {start: 1, unit: m}}", "outputs": "{h: {state: x, unit: cm}}"}
    model = loaded(simple("return (0.0,)", **fields))
    assert drive(model, np.arange(2.0)).outputs.tolist() == [[100.0], [100.0]]


def test_a_start_from_a_parameter_is_converted_and_overridable(simple, loaded):
    fields = {
        "states": "{x: {start: x0, unit: degC}}",
        "outputs": "{x: {unit: degC}}",
        "parameters": "{k: {value: 1}, x0: {value: 300, unit: kelvin, per: run}}",
    }
    model = loaded(simple("return (0.0 * p[0],)", **fields))
    assert model.initial({}, {}).values[0] == pytest.approx(26.85)
    assert model.initial({"x0": 310.0}, {}).values[0] == pytest.approx(36.85)
    assert model.initial({}, {"x": 5.0}).values.tolist() == [5.0]
    assert model.initial({}, {}).parameters.tolist() == [1.0]
    with pytest.raises(ModelError, match="'nope' is no parameter or state"):
        model.initial({"nope": 1.0}, {})


def test_a_state_without_a_start_has_to_be_given(model, loaded):
    with pytest.raises(ModelError, match="state 'x2' has no start"):
        loaded(model()).initial({}, {})


def test_derivatives_are_those_of_the_function(simple, loaded):
    model = loaded(simple(DECAY, **DECAY_FIELDS))
    assert model.capabilities.derivatives
    assert model.derivatives(model.initial({}, {}), np.array([1.0, 0.0])).tolist() == [1.0 - 0.3 * 2.0, 0.3 * 2.0 - 0.1 * 1.0]


def test_long_vectors_are_compiled_as_arrays(simple, loaded):
    states = "{" + ", ".join(f"s{i}: {{start: 1}}" for i in range(kernels.MAX_TUPLE + 1)) + "}"
    model = loaded(simple("return -p[0] * x", states=states, outputs="{s0: {}}"))
    assert model.kernel.mode == "arrays"
    assert drive(model, np.arange(3.0)).outputs[-1, 0] == pytest.approx(math.exp(-0.2))


def test_a_function_model_has_no_memory(model, loaded):
    ports = "inputs: {u: {}}, outputs: {y: {}}, parameters: {g: {value: 2}}"
    text = f"{{name: f, version: 1, kind: function, artefact: 'f.py:f', {ports}, step: PT1S}}"
    one = loaded(model(text, f_py="def f(t, u, p):\n    return u[0] * p[0] + t"))
    times, inputs = np.arange(6.0), np.arange(6.0)[:, None]
    whole = one.advance(one.initial({}, {}), times, inputs)
    assert whole.outputs[:, 0].tolist() == [0.0, 3.0, 6.0, 9.0, 12.0, 15.0]
    rest = one.advance(one.advance(one.initial({}, {}), times[:3], inputs[:3]).state, times[2:], inputs[2:])
    assert rest.outputs.tobytes() == whole.outputs[2:].tobytes()


def test_a_second_file_may_hold_the_output_and_helpers(model, loaded, texts):
    text = texts.TANKS.replace("output: tanks.py:out", "output: out.py:out\nfiles: [constants.py]")
    definition = model(
        text,
        tanks_py="from constants import GAIN\n" + texts.TANKS_PY,
        out_py="def out(t, x, u, p):\n    return x[0] + x[1]\n",
        constants_py="GAIN = 2\n",
    )
    assert set(definition.artefacts) == {"tanks.py", "out.py", "constants.py"}
    result = drive(loaded(definition), np.array([0.0, 4.0]), x2=3.0)
    assert result.outputs[0, 0] == 7.0


def test_what_is_no_function_once_loaded_is_refused(model, loaded, texts):
    definition = model(texts.TANKS, tanks_py=texts.TANKS_PY + "\nimport functools\nrhs = functools.partial(rhs)\n")
    with pytest.raises(ModelError, match="not a plain Python function"):
        loaded(definition)
