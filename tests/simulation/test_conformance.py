"""The suite catches each kind that breaks one of its rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from tests.simulation.kinds import function, made

from twinwright.simulation.conformance import Case, ModelConformance
from twinwright.simulation.outcomes import Cost, Failure, Success
from twinwright.simulation.protocol import Advance, Capabilities, ModelError, State

CHECKS = [name for name in dir(ModelConformance) if name.startswith("test_")]
TEXT = "{name: m, version: 1, kind: ode, artefact: 'm.py:f', inputs: {u: {unit: V}}, states: {x: {start: 1}}, outputs: {y: {unit: V}}, "
TEXT += "output: 'm.py:g', parameters: {k: {value: 0.5}}, step: PT1S}"
CODE = "def f(t, x, u, p):\n    return x\n\ndef g(t, x, u, p):\n    return x\n"


class Sound:
    """x[k+1] = x[k] + k u[k] h, which keeps every rule; each broken kind changes one thing of it."""

    warnings = ()
    capabilities = Capabilities(derivatives=True, thread_safe=True, seeded=True)

    def __init__(self, definition, folder) -> None:
        self.definition = definition

    def initial(self, parameters, states, time=0.0) -> State:
        return State(time, np.array([1.0]), np.array([0.5]))

    def derivatives(self, state, inputs):
        return state.parameters * self.volts(inputs) + state.seed

    def volts(self, inputs):
        return inputs / (1000.0 if self.definition.inputs[0].unit == "mV" else 1.0)

    def advance(self, state, times, inputs) -> Advance:
        if not np.isfinite(times).all() or self.definition.name == "failing":
            raise ModelError("nan", "y is nan")
        x = np.empty((times.size, 1))
        x[0] = state.values
        for i in range(times.size - 1):
            x[i + 1] = x[i] + self.derivatives(state, inputs[i]) * (times[i + 1] - times[i])
        scale = 1000.0 if self.definition.outputs[0].unit == "mV" else 1.0
        return Advance(replace(state, time=float(times[-1]), values=x[-1].copy()), x * scale, x)


class Forgetful(Sound):
    def advance(self, state, times, inputs):
        found = super().advance(state, times, inputs)
        return replace(found, state=replace(found.state, values=np.round(found.state.values, 6)))


class Remembering(Sound):
    """Keeps its state in the model instead of giving it out."""

    held = None

    def advance(self, state, times, inputs):
        found = super().advance(state if self.held is None else replace(state, values=self.held), times, inputs)
        self.held = found.state.values
        return found


class Drifting(Sound):
    count = 0

    def advance(self, state, times, inputs):
        Drifting.count += 1
        found = super().advance(state, times, inputs)
        return replace(found, outputs=found.outputs + 1e-12 * Drifting.count)


class Foreseeing(Sound):
    def derivatives(self, state, inputs):
        return super().derivatives(state, inputs)

    def advance(self, state, times, inputs):
        found = super().advance(state, times, inputs)
        return replace(found, outputs=found.outputs + inputs[-1])


class Overwriting(Sound):
    def advance(self, state, times, inputs):
        found = super().advance(state, times, inputs)
        inputs.setflags(write=True)
        state.values.setflags(write=True)
        state.values[:] = found.state.values
        return found


class Careless(Sound):
    """Says that threads may share it, and keeps its sums in itself, with a pause in between."""

    def advance(self, state, times, inputs):
        import time

        self.seed = state.seed
        time.sleep(0.001)
        return super().advance(replace(state, seed=self.seed), times, inputs)


class Tiring(Sound):
    """Says that runs may share its process, and is another after each."""

    capabilities = replace(Sound.capabilities, shares_process=True)
    age = 0

    def refresh(self):
        self.age += 1
        return True

    def advance(self, state, times, inputs):
        found = super().advance(state, times, inputs)
        return replace(found, outputs=found.outputs + 1e-12 * self.age)


class Stale(Sound):
    """Says that runs may share its process, and can't be refreshed."""

    capabilities = replace(Sound.capabilities, shares_process=True)


class Unsaved(Sound):
    capabilities = replace(Sound.capabilities, save_state=False)


class Unsaid(Sound):
    """Can't take another grid, and does not say so."""

    def advance(self, state, times, inputs):
        if times.size > 1 and abs(times[1] - times[0] - 1.0) > 1e-9:
            raise ModelError("refused", "steps by 1 s alone")
        return super().advance(state, times, inputs)


class Fixed(Sound):
    capabilities = replace(Sound.capabilities, step=1.0)


class Steep(Sound):
    def derivatives(self, state, inputs):
        return super().derivatives(state, inputs) * 2 if inputs.ndim == 1 and self.asked else super().derivatives(state, inputs)

    asked = True

    def advance(self, state, times, inputs):
        self.asked = False
        try:
            return super().advance(state, times, inputs)
        finally:
            self.asked = True


class Secretive(Sound):
    capabilities = replace(Sound.capabilities, seeded=False)


class Unseeded(Sound):
    capabilities = Sound.capabilities

    def derivatives(self, state, inputs):
        return super().derivatives(replace(state, seed=0), inputs)


class Flat(Sound):
    def advance(self, state, times, inputs):
        found = super().advance(state, times, inputs)
        return replace(found, outputs=found.outputs[:, 0])


class Infinite(Sound):
    def advance(self, state, times, inputs):
        found = super().advance(state, times, inputs)
        return replace(found, outputs=np.where(times[:, None] == times[-1], np.inf, found.outputs))


class Late(Sound):
    def advance(self, state, times, inputs):
        found = super().advance(state, times, inputs)
        return replace(found, state=replace(found.state, time=0.0))


class Unconverted(Sound):
    def volts(self, inputs):
        return inputs


class Smooth(Sound):
    """Hides that it failed."""

    def advance(self, state, times, inputs):
        try:
            return super().advance(state, times, inputs)
        except ModelError:
            return Advance(state, np.zeros((times.size, 1)), np.zeros((times.size, 1)))


class Mistaken(Sound):
    def advance(self, state, times, inputs):
        try:
            return super().advance(state, times, inputs)
        except ModelError as error:
            raise ValueError(str(error)) from None


@dataclass
class Suite(ModelConformance):
    """The suite over a kind that is not installed, run in this process."""

    kind: Callable[..., Any]

    def case(self) -> Case:
        sound = made(TEXT, m_py=CODE)
        scaled = made(TEXT.replace("unit: V", "unit: mV"), m_py=CODE)
        return Case(sound, {"nan": replace(sound, name="failing")}, rescaled=scaled, tolerance=1e-6)

    def load(self, definition, folder):
        return self.kind(definition, folder)

    def outcome(self, definition, payload, limits):
        try:
            model = self.kind(definition, None)
            found = model.advance(model.initial({}, {}), payload["times"], payload["inputs"])
        except ModelError as error:
            return Failure(error.kind, str(error), "", Cost())
        except (ValueError, TypeError) as error:
            return Failure("raised", str(error), "", Cost())
        return Success({"outputs": found.outputs, "states": found.states, "events": [], "warnings": []}, "", Cost())


BROKEN = {
    "test_in_one_piece_equals_in_two_through_a_saved_state": [Forgetful],
    "test_it_repeats_here_and_in_another_process": [Remembering, Drifting],
    "test_what_comes_later_changes_nothing_before": [Foreseeing],
    "test_a_run_leaves_no_trace_in_its_arguments": [Overwriting],
    "test_threads_do_not_disturb_each_other_where_it_says_so": [Careless],
    "test_runs_do_not_reach_the_next_of_a_process_where_it_says_so": [Tiring, Stale],
    "test_a_state_that_can_not_be_saved_is_refused_as_such": [Unsaved],
    "test_it_accepts_the_grids_that_it_says": [Unsaid, Fixed],
    "test_derivatives_are_those_of_the_trajectory": [Steep],
    "test_the_seed_decides_exactly_where_it_says_so": [Secretive, Unseeded],
    "test_answers_have_the_declared_shape_and_are_finite": [Flat, Infinite, Late],
    "test_the_answer_is_the_same_in_other_units": [Unconverted],
    "test_each_way_to_fail_is_told_apart_and_the_next_run_works": [Smooth, Mistaken],
}


@pytest.mark.parametrize("check", CHECKS)
def test_a_sound_kind_passes(check):
    getattr(Suite(Sound), check)()


@pytest.mark.parametrize(("check", "kind"), [(check, kind) for check, kinds in BROKEN.items() for kind in kinds])
def test_a_broken_kind_is_caught(check, kind):
    with pytest.raises(AssertionError) as caught:
        getattr(Suite(kind), check)()
    assert str(caught.value).splitlines()[0]


def test_every_check_has_a_kind_that_it_catches():
    assert set(BROKEN) == set(CHECKS)


def test_a_suite_without_a_case_or_a_failure_says_so():
    with pytest.raises(NotImplementedError, match="def case"):
        ModelConformance().case()

    class Unfailing(ModelConformance):
        def case(self) -> Case:
            return Case(function("return (u[0],)"), {})

    with pytest.raises(AssertionError, match="names no way"):
        Unfailing().test_each_way_to_fail_is_told_apart_and_the_next_run_works()
