"""What every kind of model has to hold to, as a suite that the test of a kind only names.

    from twinwright.simulation.conformance import Case, ModelConformance

    class TestMine(ModelConformance):
        def case(self) -> Case:
            return Case(definition, failing={"nan": a definition that divides by zero})

It needs no test framework to be imported: methods named `test_...` raise AssertionError, and pytest collects them in a subclass.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from twinwright import units
from twinwright.simulation import plain_data
from twinwright.simulation.child import Failure, Limits, Outcome, Success, run_in_child
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import Advance, FailureKind, Floats, ModelError, Refreshable, SimulationModel, State
from twinwright.simulation.registry import load_model

_ENTRY, _PREPARE = "twinwright.simulation.worker:run", "twinwright.simulation.worker:prepare"


@dataclass(frozen=True, slots=True)
class Case:
    """What the suite tries a kind on.

    `failing`: for each way to fail that users of the kind may meet, a definition that fails so. `rescaled`: the same model with ports
    in other units. `tolerance`: how far repetitions may lie apart where the kind does not promise bytes (relative).
    """

    definition: ModelDefinition
    failing: Mapping[FailureKind, ModelDefinition]
    samples: int = 11
    parameters: Mapping[str, float] = field(default_factory=dict)
    states: Mapping[str, float] = field(default_factory=dict)
    rescaled: ModelDefinition | None = None
    tolerance: float = 1e-9
    limits: Limits = field(default_factory=lambda: Limits(wall_seconds=30.0))

    @property
    def times(self) -> Floats:
        return np.asarray(np.arange(self.samples) * self.definition.step, np.float64)

    @property
    def inputs(self) -> Floats:
        """Something that moves: a wave of its own for each input, within its range where it has one."""
        columns = np.empty((self.samples, len(self.definition.inputs)))
        for index, port in enumerate(self.definition.inputs):
            low, high = port.range or (None, None)
            low = (0.0 if high is None else high - 1.0) if low is None else low
            high = low + 1.0 if high is None else high
            columns[:, index] = low + (high - low) * (0.5 + 0.4 * np.sin((1 + index) * np.arange(self.samples) + index))
        return columns


class ModelConformance:
    """The suite. A subclass gives `case`; the other methods say how a model is loaded and run, for kinds that are not installed."""

    def case(self) -> Case:
        raise NotImplementedError("say what the kind is tried on: `def case(self) -> Case`")

    def load(self, definition: ModelDefinition, folder: Path) -> SimulationModel:
        """The model, in this process: its code is the test's own."""
        return load_model(definition, folder)

    def outcome(self, definition: ModelDefinition, payload: dict[str, Any], limits: Limits) -> Outcome:
        """How a run ends in a process of its own."""
        model = {"model": payload["model"]}
        return run_in_child(_ENTRY, payload, limits=limits, files=definition.artefacts, prepare=_PREPARE, prepare_payload=model)

    # --- the same again ----------------------------------------------------------------------------------------------

    def test_it_repeats_here_and_in_another_process(self) -> None:
        case = self.case()
        with self._loaded(case.definition) as model:
            first, second = self._run(model, case), self._run(model, case)
            deterministic = model.capabilities.deterministic
        told = self.outcome(case.definition, _payload(case), case.limits)
        assert isinstance(told, Success), f"the case itself failed: {told}"
        for again in (second.outputs, told.result["outputs"]):
            if deterministic:
                assert again.tobytes() == first.outputs.tobytes(), "it says that it repeats, and the bytes of two runs differ"
            else:
                assert _close(again, first.outputs, case.tolerance), f"two runs are further apart than {case.tolerance:g}"

    def test_a_run_leaves_no_trace_in_its_arguments(self) -> None:
        case = self.case()
        with self._loaded(case.definition) as model:
            state = self._initial(model, case)
            before = plain_data.encode(_plain(state))
            times, inputs = case.times, case.inputs
            for array in (times, inputs, state.values, state.parameters):
                array.setflags(write=False)
            model.advance(state, times, inputs)
            assert plain_data.encode(_plain(state)) == before, "advance changed the state that it was given"

    def test_the_seed_decides_exactly_where_it_says_so(self) -> None:
        case = self.case()
        with self._loaded(case.definition) as model:
            seeded, deterministic = model.capabilities.seeded, model.capabilities.deterministic
            one, same, other = (self._run(model, case, seed=seed) for seed in (1, 1, 2))
        if deterministic:
            assert one.outputs.tobytes() == same.outputs.tobytes(), "two runs with one seed differ"
            differs = one.outputs.tobytes() != other.outputs.tobytes()
            assert differs or not seeded, "it says that it is `seeded`, and the seed changes nothing"
            assert seeded or not differs, "the seed matters, and it does not say that it is `seeded`"

    # --- in parts ----------------------------------------------------------------------------------------------------

    def test_in_one_piece_equals_in_two_through_a_saved_state(self) -> None:
        case = self.case()
        times, inputs = case.times, case.inputs
        with self._loaded(case.definition) as model:
            if not model.capabilities.save_state:
                return
            whole, deterministic = self._run(model, case), model.capabilities.deterministic
        with self._loaded(case.definition) as model, self._loaded(case.definition, fresh=True) as another:
            for cut in sorted({1, case.samples // 2, case.samples - 2}):
                head = model.advance(self._initial(model, case), times[: cut + 1], inputs[: cut + 1])
                saved = plain_data.encode(_plain(head.state))
                tail = another.advance(_state(plain_data.decode(saved)), times[cut:], inputs[cut:])
                for name in ("outputs", "states"):
                    joined, at_once = np.concatenate([getattr(head, name), getattr(tail, name)[1:]]), getattr(whole, name)
                    same = joined.tobytes() == at_once.tobytes() if deterministic else _close(joined, at_once, case.tolerance)
                    assert same, f"{name} of 0 to {times[-1]:g} s differ when cut at {times[cut]:g} s"
                assert (*head.events, *tail.events) == whole.events, f"events differ when cut at {times[cut]:g} s"

    def test_a_state_that_can_not_be_saved_is_refused_as_such(self) -> None:
        case = self.case()
        with self._loaded(case.definition) as model:
            if model.capabilities.save_state:
                return
            half = case.samples // 2
            head = model.advance(self._initial(model, case), case.times[: half + 1], case.inputs[: half + 1])
            try:
                model.advance(head.state, case.times[half:], case.inputs[half:])
            except ModelError as error:
                assert error.kind == "refused", f"a state that can't be saved is `refused`, not `{error.kind}`"
                return
        raise AssertionError("it says that its state can't be saved, and goes on from a saved one as if it were right")

    def test_what_comes_later_changes_nothing_before(self) -> None:
        case = self.case()
        if not case.definition.inputs or case.samples < 4:
            return
        half = case.samples // 2
        later = case.inputs
        later[half + 1 :] = later[half + 1 :] * 0.9 + 0.01
        with self._loaded(case.definition) as model:
            plain, changed = self._run(model, case), model.advance(self._initial(model, case), case.times, later)
            close = plain.outputs[: half + 1].tobytes() == changed.outputs[: half + 1].tobytes()
            assert close or not model.capabilities.deterministic, "an input of later changes what was before it"

    # --- shapes, capabilities, units ---------------------------------------------------------------------------------

    def test_answers_have_the_declared_shape_and_are_finite(self) -> None:
        case = self.case()
        with self._loaded(case.definition) as model:
            found = self._run(model, case)
        for name, ports in (("outputs", case.definition.outputs), ("states", case.definition.states)):
            values = getattr(found, name)
            assert values.shape == (case.samples, len(ports)), f"{name} have the shape {values.shape}"
            assert np.isfinite(values).all(), f"{name} are not finite, and the run did not fail"
        assert found.state.time == case.times[-1], "the state at the end is not of the last time"
        inside = [case.times[0] <= event.time <= case.times[-1] for event in found.events]
        assert all(inside), "an event lies outside the run"

    def test_it_accepts_the_grids_that_it_says(self) -> None:
        case = self.case()
        with self._loaded(case.definition) as model:
            step = model.capabilities.step
            times = case.times * 0.5 if step is None else case.times * (step / case.definition.step) * 0.5
            try:
                model.advance(self._initial(model, case), times, case.inputs)
            except ModelError as error:
                assert step is not None, f"it says that it takes any grid, and refuses one: {error}"
                assert error.kind == "refused", f"a grid of another step is `refused`, not `{error.kind}`"
                return
            assert step is None, f"it says that it steps by {step:g} s alone, and takes another grid in silence"

    def test_derivatives_are_those_of_the_trajectory(self) -> None:
        case = self.case()
        with self._loaded(case.definition) as model:
            if not model.capabilities.derivatives:
                return
            derivatives = getattr(model, "derivatives", None)
            assert derivatives is not None, "it says that it has derivatives, and has no method of that name"
            state, inputs = self._initial(model, case), np.repeat(case.inputs[:1], 2, axis=0)
            rates = derivatives(state, inputs[0])
            h = case.definition.step * 1e-5
            after = model.advance(state, np.array([0.0, h]), inputs).states[1]
        assert rates.shape == state.values.shape, f"derivatives have the shape {rates.shape}"
        scale = np.abs(rates).max(initial=1e-12)
        assert np.abs((after - state.values) / h - rates).max(initial=0.0) <= 1e-2 * scale, "derivatives are not those of the trajectory"

    def test_threads_do_not_disturb_each_other_where_it_says_so(self) -> None:
        case = self.case()
        with self._loaded(case.definition) as model:
            if not (model.capabilities.thread_safe and model.capabilities.deterministic):
                return
            alone = [self._run(model, case, seed=seed).outputs.tobytes() for seed in range(4)]
            with ThreadPoolExecutor(4) as pool:
                together = pool.map(lambda seed: self._run(model, case, seed=seed).outputs.tobytes(), [*range(4)] * 8)
                assert list(together) == alone * 8, "it says that it is thread-safe, and runs at one time disturb each other"

    def test_runs_do_not_reach_the_next_of_a_process_where_it_says_so(self) -> None:
        case = self.case()
        with self._loaded(case.definition) as model:
            if not (model.capabilities.shares_process and model.capabilities.deterministic):
                return
            assert isinstance(model, Refreshable), "it says that runs share a process, and has no method `refresh`"
            found = set()
            for _ in range(4):
                found.add(self._run(model, case).outputs.tobytes())
                if not model.refresh():
                    break
        told = self.outcome(case.definition, _payload(case), case.limits)
        assert isinstance(told, Success), f"the case itself failed: {told}"
        assert found == {told.result["outputs"].tobytes()}, "it says that runs share a process, and one reaches the next"

    def test_the_answer_is_the_same_in_other_units(self) -> None:
        case = self.case()
        if case.rescaled is None:
            return
        inputs = case.inputs
        for index, (port, other) in enumerate(zip(case.definition.inputs, case.rescaled.inputs, strict=True)):
            inputs[:, index] = units.convert(inputs[:, index], port.unit, other.unit)
        with self._loaded(case.definition) as model, self._loaded(case.rescaled) as rescaled:
            plain = self._run(model, case).outputs
            found = rescaled.advance(self._initial(rescaled, case), case.times, inputs).outputs
        for index, (shown, scaled) in enumerate(zip(case.definition.outputs, case.rescaled.outputs, strict=True)):
            back = units.convert(found[:, index], scaled.unit, shown.unit)
            assert _close(back, plain[:, index], case.tolerance), f"output '{shown.name}' is another in {scaled.unit}"

    # --- failures ----------------------------------------------------------------------------------------------------

    def test_each_way_to_fail_is_told_apart_and_the_next_run_works(self) -> None:
        case = self.case()
        assert case.failing, "the case names no way in which the kind fails"
        for kind, definition in case.failing.items():
            failing = replace(case, definition=definition, parameters={}, states={})
            limits = replace(case.limits, wall_seconds=2.0) if kind == "timeout" else case.limits
            told = self.outcome(definition, _payload(failing), limits)
            assert isinstance(told, Failure), f"what should fail by `{kind}` did not fail"
            assert told.kind == kind, f"what should fail by `{kind}` fails by `{told.kind}`: {told.message}"
            assert told.message, f"the failure `{kind}` says nothing"
            good = self.outcome(case.definition, _payload(case), case.limits)
            assert isinstance(good, Success), f"after a failure by `{kind}` the next run fails too: {good}"

    # --- how ---------------------------------------------------------------------------------------------------------

    def _loaded(self, definition: ModelDefinition, *, fresh: bool = False) -> AbstractContextManager[SimulationModel]:
        """The model; loaded once for all checks of a suite, since compiling may take seconds, unless it has to be `fresh`."""
        key = (f"{type(self).__module__}.{type(self).__qualname__}", repr(vars(self)), definition.content_digest)
        if fresh or key not in _held:
            directory = tempfile.TemporaryDirectory(prefix="twinwright-conformance-", ignore_cleanup_errors=True)
            folder = Path(directory.name)
            for file, content in definition.artefacts.items():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_bytes(content)
            model = self.load(definition, folder)
            if fresh:
                return _closing(model, directory)
            while len(_held) >= 4:
                _held.pop(next(iter(_held)))[1].cleanup()
            _held[key] = model, directory
        return nullcontext(_held[key][0])

    def _initial(self, model: SimulationModel, case: Case, seed: int = 0) -> State:
        return replace(model.initial(case.parameters, case.states), seed=seed)

    def _run(self, model: SimulationModel, case: Case, seed: int = 0) -> Advance:
        return model.advance(self._initial(model, case, seed), case.times, case.inputs)


_held: dict[tuple[str, str, str], tuple[SimulationModel, tempfile.TemporaryDirectory[str]]] = {}


@contextmanager
def _closing(model: SimulationModel, directory: tempfile.TemporaryDirectory[str]) -> Iterator[SimulationModel]:
    with directory:
        yield model


def _payload(case: Case) -> dict[str, Any]:
    data: dict[str, Any] = {"model": case.definition.as_data(), "parameters": dict(case.parameters), "states": dict(case.states)}
    return {**data, "times": case.times, "inputs": case.inputs, "seed": 0}


def _plain(state: State) -> dict[str, Any]:
    return {name: getattr(state, name) for name in ("time", "values", "parameters", "opaque", "seed")}


def _state(data: Mapping[str, Any]) -> State:
    return State(**data)


def _close(found: Floats, expected: Floats, tolerance: float) -> bool:
    scale = max(float(np.abs(expected).max(initial=0.0)), 1e-300)
    return found.shape == expected.shape and bool((np.abs(found - expected) <= tolerance * scale).all())
