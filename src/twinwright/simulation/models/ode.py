"""Kind `ode`: ordinary differential equations whose right-hand side is a Python function `rhs(t, x, u, p) -> dx`.

`t` is seconds since the beginning of the run; `x`, `u` and `p` are the states, inputs and parameters in declared order and
units; derivatives are per second. With `output`, `out(t, x, u, p) -> y` gives the outputs; without, outputs show states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from twinwright.documents import Document, Location, Problems, Spec
from twinwright.simulation.crossings import ENDED, Crossing, EventSpec, Interval, Solver, integrate
from twinwright.simulation.declaration import DurationText, ModelSpec, duration_seconds
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import Advance, Capabilities, Floats, Happening, ModelError, State
from twinwright.simulation.trajectory import check_finite, initial_state
from twinwright.simulation.user_code import check_function, load_function, split_reference

Method = Literal["rk4", "RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA"]
ARGUMENTS = ("t", "x", "u", "p")


class SolverSpec(Spec):
    """`rk4` is compiled and of fixed step; the others are SciPy's, restarted at each sample so that a run can be split.

    `max_step` (default: the model's step) is the longest internal step; `rtol` and `atol` mean nothing to `rk4`.
    """

    method: Method = Field(default="rk4", description="classical Runge-Kutta, or one of SciPy's")
    rtol: float = Field(default=1e-6, gt=0, lt=1, description="relative tolerance")
    atol: float = Field(default=1e-9, gt=0, description="absolute tolerance")
    max_step: DurationText | None = Field(default=None, description="the longest internal step; the model's step unless given")


class OdeSpec(ModelSpec):
    """A model file of kind `ode`."""

    output: str | None = Field(default=None, description="out(t, x, u, p) -> y beside this file: tanks.py:out")
    solver: SolverSpec = Field(default=SolverSpec(), description="how it is integrated")
    events: list[EventSpec] = Field(default_factory=list, max_length=64, description="what happens at zero crossings; not with rk4")

    def functions(self) -> dict[Location, str]:
        """The functions that it names beside the right-hand side, all of the same arguments."""
        own: dict[Location, str] = {("output",): self.output} if self.output else {}
        for index, event in enumerate(self.events):
            own["events", index, "when"] = event.when
            if event.reset:
                own["events", index, "reset"] = event.reset
        return own

    def references(self) -> dict[Location, str]:
        return {**super().references(), **self.functions()}


class OdeModel:
    """Differential equations, integrated by the compiled Runge-Kutta loop or by SciPy."""

    Spec: ClassVar[type[Spec]] = OdeSpec

    @staticmethod
    def check(spec: Any, document: Document, artefacts: Mapping[str, bytes], problems: Problems) -> None:
        check_function(spec.artefact, ARGUMENTS, ("artefact",), document, artefacts, problems)
        if not spec.states:
            problems.add(document.problem((), "an ode has states, this one has none", "Add `states:`, or use kind `function`", "no_states"))
        for place, reference in spec.functions().items():
            check_function(reference, ARGUMENTS, place, document, artefacts, problems)
        if spec.events and spec.solver.method == "rk4":
            remedy = "Choose a solver of SciPy: `solver: {method: RK45}`"
            problems.add(document.problem(("events",), "rk4 finds no zero crossings", remedy, "bad_solver"))
        if spec.output:
            return
        for name, output in spec.outputs.items():
            if (output.state or name) not in spec.states:
                known = ", ".join(spec.states)
                message = f"output '{name}' shows no state"
                remedy = f"Add `state:` (one of {known}) or an `output:` function"
                problems.add(document.problem(("outputs", name), message, remedy, "unknown_state"))

    @staticmethod
    def feedthrough(definition: ModelDefinition) -> dict[str, tuple[str, ...]]:
        """Outputs that show states depend on no input; what an output function reads is not looked into."""
        return {} if definition.options.get("output") else {one.name: () for one in definition.outputs}

    def __init__(self, definition: ModelDefinition, folder: Path) -> None:
        # numba is imported where it is needed: checking a workspace should not pay for it.
        from twinwright.simulation.kernels import Shape, build_kernel

        rhs, output, crossings = _functions(definition, folder)
        self.definition = definition
        self.shape = Shape(
            states=len(definition.states),
            inputs=len(definition.inputs),
            parameters=len(definition.arguments),
            outputs=len(definition.outputs),
            weights=tuple(1.0 if port.hold == "linear" else 0.0 for port in definition.inputs),
        )
        self.solver = SolverSpec.model_validate(definition.options.get("solver", {}))
        solved = self.solver.method != "rk4"
        if solved:
            import_module("scipy.integrate")  # once where the model is loaded, and not in every run
        self.kernel = build_kernel(rhs, output, self.shape, solved=solved)
        self.max_step = duration_seconds(self.solver.max_step) if self.solver.max_step else definition.step
        self.warnings = (self.kernel.warning,) if self.kernel.warning else ()
        self.crossings = crossings
        compiled = self.kernel.mode != "python" and not crossings
        self.capabilities = Capabilities(derivatives=True, events=bool(crossings), thread_safe=compiled)

    def initial(self, parameters: Mapping[str, float], states: Mapping[str, float], time: float = 0.0) -> State:
        return initial_state(self.definition, parameters, states, time)

    def derivatives(self, state: State, inputs: Floats) -> Floats:
        """The right-hand side at a state with inputs (n_inputs,): per second, in the units of the states."""
        result = np.empty(self.shape.states)
        self.kernel.derive(state.time, _compilable(state.values), _compilable(inputs), _compilable(state.parameters), result)
        return result

    def advance(self, state: State, times: Floats, inputs: Floats) -> Advance:
        times, inputs, parameters = _compilable(times), _compilable(inputs), _compilable(state.parameters)
        states = np.empty((times.size, self.shape.states))
        states[0] = state.values
        events: list[Happening] = []
        ended = state.opaque == ENDED
        with np.errstate(all="ignore"):
            if self.solver.method == "rk4":
                rows = self.kernel.integrate(times, inputs, self.max_step, parameters, states)
            else:
                rows, ended = self._solve(times, inputs, parameters, states, events, ended=ended)
            check_finite("state", [one.name for one in self.definition.states], times[: rows + 1], states[: rows + 1])
            outputs = self._outputs(times, states, inputs, parameters)
        check_finite("output", [one.name for one in self.definition.outputs], times, outputs)
        after = replace(state, time=float(times[-1]), values=states[-1].copy(), opaque=ENDED if ended else b"")
        return Advance(after, outputs, states, tuple(events))

    def _outputs(self, times: Floats, states: Floats, inputs: Floats, parameters: Floats) -> Floats:
        outputs = np.zeros((times.size, self.shape.outputs))
        if self.kernel.observe:
            self.kernel.observe(times, states, inputs, parameters, outputs)
            return outputs
        order = {one.name: index for index, one in enumerate(self.definition.states)}
        for index, port in enumerate(self.definition.outputs):
            outputs[:, index] = states[:, order[port.state or port.name]] * port.scale + port.offset
        return outputs

    def _solve(
        self, times: Floats, inputs: Floats, parameters: Floats, states: Floats, events: list[Happening], *, ended: bool
    ) -> tuple[int, bool]:
        """SciPy's solver, afresh on every interval: inputs have their corners at samples, and a run can be split there.

        (how many rows are finite, whether a terminal event has happened)."""
        solver = Solver(self.solver.method, self.solver.rtol, self.solver.atol, self.max_step)
        for i in range(times.size - 1):
            if ended:
                states[i + 1] = states[i]
                continue
            interval = self._interval(times, inputs, parameters, i)
            found, happened, ended = integrate(interval, states[i], parameters, self.crossings, solver)
            events += happened
            states[i + 1] = np.nan if found is None else found
            if not np.isfinite(states[i + 1]).all():
                return i + 1, ended
        return int(times.size), ended

    def _interval(self, times: Floats, inputs: Floats, parameters: Floats, i: int) -> Interval:
        start, end = float(times[i]), float(times[i + 1])
        rise = (inputs[i + 1] - inputs[i]) * np.array(self.shape.weights)
        dx = np.empty(self.shape.states)

        def inputs_at(t: float) -> Floats:
            return np.asarray(inputs[i] + (t - start) / (end - start) * rise, np.float64)

        def rhs(t: float, x: Floats) -> Floats:
            self.kernel.derive(t, _compilable(x), inputs_at(t), parameters, dx)
            return dx.copy()

        return Interval(start, end, inputs_at, rhs)


def _compilable(values: Floats) -> Floats:
    """As the compiled loops take them: contiguous, and writeable (what is read from a file or a packet is not)."""
    return np.require(values, np.float64, ["C_CONTIGUOUS", "WRITEABLE"])


def _functions(definition: ModelDefinition, folder: Path) -> tuple[FunctionType, FunctionType | None, tuple[Crossing, ...]]:
    """The right-hand side, the output function and the events; of one module where they are in one file."""
    rhs = _plain(load_function(definition.artefact, folder), definition.artefact)
    loaded = {split_reference(definition.artefact)[0]: rhs.__globals__}

    def load(reference: str) -> FunctionType:
        file, name = split_reference(reference)
        if file not in loaded:
            loaded[file] = _plain(load_function(reference, folder), reference).__globals__
        return _plain(loaded[file].get(name), reference)

    output = definition.options.get("output")
    events = [EventSpec.model_validate(one) for one in definition.options.get("events", ())]
    return rhs, load(output) if isinstance(output, str) else None, tuple(Crossing.of(one, load) for one in events)


def _plain(function: Any, reference: str) -> FunctionType:
    if not isinstance(function, FunctionType):
        raise ModelError("refused", f"{reference} is not a plain Python function", remedy="Define it with `def`")
    return function
