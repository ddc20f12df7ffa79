"""A run's digest is that of the plain encoding of all that decides it, however many runs before it had something in common with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinwright.simulation.digest import digest, engine_versions, platform_tag
from twinwright.simulation.registry import machine_of
from twinwright.simulation.run_digest import RunDigests, run_digest

numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
ARRAYS = [np.zeros((3, 1)), np.ones((3, 1)), np.zeros((4, 1)), np.arange(3.0)[:, None]]
TIMES = [np.arange(3.0), np.arange(3.0) * 2, np.arange(4.0)]
runs = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(["a", "b", "long name"]), numbers, max_size=3),
        st.dictionaries(st.sampled_from(["x", "y"]), numbers, max_size=2),
        st.sampled_from(range(len(TIMES))),
        st.sampled_from(range(len(ARRAYS))),
        st.integers(0, 2**63 - 1),
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture
def ode_model(model):
    return model()


def plain(definition, parameters, states, times, inputs, seed):
    parts = {"artefact": definition.artefact_digest, "machine": machine_of(definition), "parameters": parameters, "states": states}
    parts |= {"times": times, "inputs": inputs, "seed": seed, "engines": engine_versions(), "platform": platform_tag()}
    return digest(parts)


def hold(definition, chosen, kind=RunDigests):
    digests = kind(definition)
    for parameters, states, times, inputs, seed in chosen:
        one = (parameters, states, TIMES[times], ARRAYS[inputs], seed)
        assert digests.of(*one) == plain(definition, *one)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=runs)
def test_a_digest_does_not_depend_on_the_runs_before_it(ode_model, chosen):
    hold(ode_model, chosen)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=runs)
def test_one_alone_is_the_same(ode_model, chosen):
    parameters, states, times, inputs, seed = chosen[0]
    one = (parameters, states, TIMES[times], ARRAYS[inputs], seed)
    assert run_digest(ode_model, *one) == plain(ode_model, *one)


class ByShape(RunDigests):
    """Broken: takes arrays of one shape for the same."""

    def _common(self, name, value):
        known, body = self._known.get(name, (None, b""))
        return body if known is not None and np.shape(known) == np.shape(value) else super()._common(name, value)


class WithoutLength(RunDigests):
    """Broken: goes on from what was hashed of a run of other length."""

    def of(self, parameters, states, times, inputs, seed):
        if self._begun[2] is not None and self._begun[0] is inputs:
            self._begun = (inputs, len_of(self, parameters, states, times, inputs, seed), self._begun[2])
        return super().of(parameters, states, times, inputs, seed)


def len_of(digests, parameters, states, times, inputs, seed):
    fresh = RunDigests.__new__(RunDigests)
    fresh.__dict__.update({**digests.__dict__, "_known": {}, "_begun": (None, 0, None)})
    fresh.of(parameters, states, times, inputs, seed)
    return fresh._begun[1]


class OnceNamed(RunDigests):
    """Broken: takes it that all runs have the parameters of the first."""

    def of(self, parameters, states, times, inputs, seed):
        parameters = {name: parameters.get(name, 0.0) for name in self._names or parameters}
        return super().of(parameters, states, times, inputs, seed)


class OfAnySeed(RunDigests):
    """Broken: takes what comes after the parameters for the same whatever the seed."""

    def _after(self, states, times, seed):
        return super()._after(states, times, self._ended[2] if self._ended[0] is states else seed)


@pytest.mark.parametrize("broken", [ByShape, WithoutLength, OnceNamed, OfAnySeed])
def test_broken_ones_are_caught(ode_model, broken):
    chosen = [({"a": 1.0}, {}, 0, 0, 1), ({"a": 1.0, "b": 2.0}, {}, 0, 0, 1), ({"a": 1.0}, {}, 1, 1, 1)]
    chosen.append(({"a": 1.0}, chosen[-1][1], 1, 1, 2))
    hold(ode_model, chosen)
    with pytest.raises(AssertionError):
        hold(ode_model, chosen, broken)
