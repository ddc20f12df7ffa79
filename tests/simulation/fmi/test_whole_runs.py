"""A run in one call of compiled code gives what a session gives, byte for byte, and what goes wrong in it ends nothing but the run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinwright.simulation.fmi.whole_run import WholeRuns
from twinwright.simulation.protocol import ModelError
from twinwright.simulation.registry import load_model

TIMES = np.arange(0.0, 2.5, 0.25)
NAN, ERROR, FATAL = 4, 6, 7
KINDS = {
    "lag2": {"parameters": "{T: {}, k: {unit: K/kW}}", "inputs": "{u: {hold: linear}}", "states": "{x: {start: 5, unit: degC}}"},
    "lag3": {"parameters": "{T: {}}", "inputs": "{u: {}}", "settings": "{k: 3}", "communication_step": "PT0.05S"},
    "ball2": {"parameters": "{e: {}}", "outputs": "{h: {}, v: {}, bounces: {}}", "run": "me"},
    "ball3": {"parameters": "{e: {}, g: {}}", "outputs": "{h: {}}", "states": "{v: {start: 1}}", "run": "me", "solver": "{method: rk4}"},
    "signals2": {"inputs": "{real_in: {}, int_in: {}}", "outputs": "{real_out: {}, int_out: {}}"},
    "arrays3": {
        "parameters": "{second: {variable: 'drain[2]'}, third: {variable: 'drain[3]'}}",
        "outputs": "{total: {}, first: {variable: 'level[1]'}}",
    },
}


@pytest.fixture
def loaded(fmu_model, tmp_path):
    """A model that has had one run in this process."""

    def make(name, **fields):
        definition = fmu_model(name, step="PT0.25S", **fields)
        (tmp_path / definition.artefact).write_bytes(definition.artefacts[definition.artefact])
        model = load_model(definition, tmp_path)
        by_session(model, definition.defaults(), signal(model, 0))
        return model

    return make


def signal(model, seed):
    return np.round(np.random.default_rng(seed).normal(0, 3, (TIMES.size, len(model.inputs))), 1)


def by_session(model, parameters, inputs):
    found = model.advance_to_end(model.initial(parameters, {}), TIMES, inputs)
    assert model.refresh()
    return found.outputs.tobytes(), found.states.tobytes()


def in_one_call(model, parameters, inputs):
    found = model.run_again(parameters, {}, TIMES, inputs)
    assert found is not None, "it was not run in one call"
    assert model.refresh()
    return found[0].tobytes(), found[1].tobytes()


def hold(model, factors):
    defaults = model.definition.defaults()
    for seed, factor in enumerate(factors):
        parameters = {name: value * factor for name, value in defaults.items()}
        inputs = signal(model, seed)
        assert in_one_call(model, parameters, inputs) == by_session(model, parameters, inputs)


@pytest.mark.parametrize("name", KINDS)
@given(factors=st.lists(st.floats(0.1, 1.3), min_size=1, max_size=4))
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_run_in_one_call_gives_the_bytes_of_a_session(loaded, name, factors):
    hold(loaded(name, **KINDS[name]), factors)


class Forgetful(WholeRuns):
    """Broken: what the first run set, the next ones begin with."""

    def run(self, times, inputs, outputs):
        self._first = getattr(self, "_first", None) or {name: one.copy() for name, one in self.values.items()}
        for name, one in self._first.items():
            self.values[name][:] = one
        super().run(times, inputs, outputs)


class WithInputsOfBefore(WholeRuns):
    """Broken: takes inputs of one shape for the same."""

    def run(self, times, inputs, outputs):
        self._kept_inputs = getattr(self, "_kept_inputs", inputs)
        super().run(times, self._kept_inputs, outputs)


@pytest.mark.parametrize("broken", [Forgetful, WithInputsOfBefore])
def test_broken_ones_are_caught(loaded, monkeypatch, broken):
    monkeypatch.setattr("twinwright.simulation.fmi.whole_run.WholeRuns", broken)
    with pytest.raises(AssertionError):
        hold(loaded("lag2", **KINDS["lag2"]), [0.5, 1.0])


@pytest.mark.parametrize("fault", [NAN, ERROR, FATAL])
def test_what_goes_wrong_is_a_failure_and_the_next_run_is_well_unless_it_was_fatal(loaded, fault):
    model = loaded("bad2", parameters="{fault: {}}")
    nothing = np.zeros((TIMES.size, 0))
    with pytest.raises(ModelError):
        model.run_again({"fault": float(fault)}, {}, TIMES, nothing)
    assert model.refresh() == (fault != FATAL)
    if fault != FATAL:
        assert in_one_call(model, {"fault": 0.0}, nothing) == by_session(model, {"fault": 0.0}, nothing)


@pytest.mark.parametrize(("name", "fields"), [
    ("ball2", {"parameters": "{e: {}}", "outputs": "{h: {}}", "run": "me", "solver": "{method: Radau}"}),
    ("signals3", {"inputs": "{real_in: {}}", "outputs": "{real_out: {}}", "settings": "{text_in: hello}"}),
])  # fmt: skip
def test_what_only_a_session_can_do_is_left_to_it(loaded, name, fields):
    model = loaded(name, **fields)
    assert model.run_again(model.definition.defaults(), {}, TIMES, signal(model, 0)) is None


def test_parameters_that_are_not_declared_are_left_to_a_session_which_refuses_them(loaded):
    model = loaded("lag2", **KINDS["lag2"])
    assert model.run_again({"other": 1.0}, {}, TIMES, signal(model, 0)) is None
