"""Kind `linear`: state space (A, B, C, D) or transfer functions, in continuous or discrete time, without any code.

    dx/dt = A x + B u,  y = C x + D u          continuous; A, B per second
    x[k+1] = A x[k] + B u[k],  y = C x + D u    discrete, at the model's own step

An entry is a number, or an expression over the parameters with their units, which is checked like any other: `-1/(R*C)`; one that has
a unit is converted to that of its place, one that has none is in it already. Between samples inputs are held or linear as each
declares, and the solution at the next sample is exact: the exponential of the matrix that has the inputs, and their slopes, as further
states (C. F. Van Loan, Computing integrals involving the matrix exponential, IEEE Transactions on Automatic Control 23, 1978). What the
entries say is in the package `linear`, beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import Field

from twinwright.documents import Document, Problems, Spec
from twinwright.simulation.declaration import ModelSpec, Name
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.linear.state_space import Matrix, System, check_matrices, state_space
from twinwright.simulation.linear.transfer_functions import TransferSpec, check_transfer, realised
from twinwright.simulation.protocol import Advance, Capabilities, Floats, ModelError, State
from twinwright.simulation.trajectory import check_finite, initial_state

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")
MAX_KEPT = 64


class LinearSpec(ModelSpec):
    """A model file of kind `linear`: `A` to `D`, or `transfer`."""

    artefact: str = Field(default="", description="not used: a linear model has no code")
    time: Literal["continuous", "discrete"] = Field(default="continuous", description="whether A and B are rates or of one step")
    A: Matrix | None = Field(default=None, description="states by states: a row for each state")
    B: Matrix | None = Field(default=None, description="states by inputs; zero unless given")
    C: Matrix | None = Field(default=None, description="outputs by states; outputs show the states of their names unless given")
    D: Matrix | None = Field(default=None, description="outputs by inputs; zero unless given")
    transfer: dict[Name, dict[Name, TransferSpec]] = Field(
        default_factory=dict, description="by output, then by input; in place of the matrices, and of `states`"
    )


class LinearModel:
    """A linear system, solved exactly between samples."""

    Spec: ClassVar[type[Spec]] = LinearSpec
    warnings: tuple[str, ...] = ()

    @staticmethod
    def check(spec: Any, document: Document, artefacts: Mapping[str, bytes], problems: Problems) -> None:  # noqa: ARG004 -- it has no artefacts
        if spec.artefact:
            problems.add(document.problem(("artefact",), "a linear model has no code", "Remove it", "no_code"))
        if spec.transfer:
            check_transfer(spec, document, problems)
        else:
            check_matrices(spec, document, problems)

    @staticmethod
    def feedthrough(definition: ModelDefinition) -> dict[str, tuple[str, ...]]:
        """An output depends on an input at once where D has an entry, or the numerator the degree of the denominator."""
        names = [one.name for one in definition.inputs]
        if definition.options["transfer"]:
            rows = definition.options["transfer"]
            direct = {name: [i for i, one in rows.get(name, {}).items() if len(one["num"]) == len(one["den"])] for name in rows}
            return {one.name: tuple(direct.get(one.name, ())) for one in definition.outputs}
        matrix = definition.options["D"] or [[0] * len(names)] * len(definition.outputs)
        pairs = zip(definition.outputs, matrix, strict=True)
        return {one.name: tuple(name for name, entry in zip(names, row, strict=True) if entry != 0) for one, row in pairs}

    def __init__(self, definition: ModelDefinition, folder: Path) -> None:  # noqa: ARG002 -- it has no artefacts
        self.definition = definition
        self.discrete = definition.options["time"] == "discrete"
        self.linear = np.array([port.hold == "linear" for port in definition.inputs], np.bool_)
        self.march = _marching()
        self.systems: dict[bytes, System] = {}  # by parameters: who is run in many small parts asks for the same again and again
        self.steps: dict[tuple[bytes, float], tuple[Floats, Floats, Floats]] = {}
        # Without declared states (transfer functions) there is nothing that derivatives could be compared with.
        derivatives = not self.discrete and bool(definition.states)
        self.capabilities = Capabilities(step=definition.step if self.discrete else None, derivatives=derivatives, thread_safe=True)

    def initial(self, parameters: Mapping[str, float], states: Mapping[str, float], time: float = 0.0) -> State:
        state = initial_state(self.definition, parameters, states, time)
        inner = b"" if self.definition.states else np.zeros(self._system(state.parameters).a.shape[0]).tobytes()
        return replace(state, opaque=inner)

    def derivatives(self, state: State, inputs: Floats) -> Floats:
        """A x + B u: per second, in the units of the states. `inputs` (n_inputs,)."""
        system = self._system(state.parameters)
        return np.asarray(system.a @ state.values + system.b @ inputs, np.float64)

    def advance(self, state: State, times: Floats, inputs: Floats) -> Advance:
        system = self._system(state.parameters)
        own = bool(self.definition.states)
        start = state.values if own else np.frombuffer(state.opaque, np.float64)
        lengths = np.round(np.diff(times), 9)  # the grid is of whole microseconds: what is beyond is rounding
        if self.discrete and not np.allclose(lengths, self.definition.step, rtol=1e-9, atol=0.0):
            raise ModelError("refused", f"a discrete system steps by {self.definition.step:g} s alone", remedy="Use the model's step")
        inner = np.empty((times.size, start.size))
        inner[0] = start
        outputs = np.zeros((times.size, len(self.definition.outputs)))
        distinct, which = np.unique(lengths, return_inverse=True)
        steps = [self._step_of(state, system, one) for one in distinct.tolist() or [self.definition.step]]
        stacked = [np.ascontiguousarray(np.stack(parts)) for parts in zip(*steps, strict=True)]
        values = np.require(inputs, np.float64, ["C_CONTIGUOUS", "WRITEABLE"])
        with np.errstate(all="ignore"):
            self.march(which.astype(np.int64), *stacked, system.c, system.d, values, inner, outputs)
        if not self.definition.options["C"] and own:
            outputs += [port.offset for port in self.definition.outputs]
        if own:
            check_finite("state", [one.name for one in self.definition.states], times, inner)
        check_finite("output", [one.name for one in self.definition.outputs], times, outputs)
        last = inner[-1].copy()
        after = replace(state, time=float(times[-1]), **({"values": last} if own else {"opaque": last.tobytes()}))
        return Advance(after, outputs, inner if own else np.empty((times.size, 0)))

    def _step_of(self, state: State, system: System, length: float) -> tuple[Floats, Floats, Floats]:
        return _kept(self.steps, (state.parameters.tobytes(), length), lambda: self._step(system, length))

    def _step(self, system: System, length: float) -> tuple[Floats, Floats, Floats]:
        """(F, G, H) with x' = F x + G u[k] + H u[k+1]."""
        if self.discrete:
            return system.a, system.b, np.zeros_like(system.b)
        from scipy.linalg import expm

        n, m = system.b.shape
        block = np.zeros((n + 2 * m, n + 2 * m))
        block[:n, :n], block[:n, n : n + m] = system.a * length, system.b * length
        block[n : n + m, n + m :] = np.eye(m)
        exponential = np.asarray(expm(block), np.float64)
        held, slope = exponential[:n, n : n + m], exponential[:n, n + m :] * self.linear
        return np.ascontiguousarray(exponential[:n, :n]), held - slope, slope

    def _system(self, parameters: Floats) -> System:
        return _kept(self.systems, parameters.tobytes(), lambda: self._made(parameters))

    def _made(self, parameters: Floats) -> System:
        values = dict(zip((one.name for one in self.definition.arguments), parameters.tolist(), strict=True))
        if self.definition.options["transfer"]:
            return realised(self.definition, values)
        return state_space(self.definition, values)


def _kept(held: dict[KeyT, ValueT], key: KeyT, make: Callable[[], ValueT]) -> ValueT:
    """A value that was made before, or is made now; all go where there are many. Several threads may ask."""
    found = held.get(key)
    if found is None:
        found = make()
        if len(held) >= MAX_KEPT:
            held.clear()
        held[key] = found
    return found


@cache
def _marching() -> Any:
    """The recursion, compiled: sums in one order whatever the length, so that a run can be cut."""
    import numba

    def march(which: Any, f: Any, g: Any, h: Any, c: Any, d: Any, u: Any, x: Any, y: Any) -> None:
        n, m, p = x.shape[1], u.shape[1], y.shape[1]
        for k in range(x.shape[0]):
            if k:
                w = which[k - 1]
                for i in range(n):
                    total = 0.0
                    for j in range(n):
                        total += f[w, i, j] * x[k - 1, j]
                    for j in range(m):
                        total += g[w, i, j] * u[k - 1, j] + h[w, i, j] * u[k, j]
                    x[k, i] = total
            for i in range(p):
                total = 0.0
                for j in range(n):
                    total += c[i, j] * x[k, j]
                for j in range(m):
                    total += d[i, j] * u[k, j]
                y[k, i] = total

    cube, matrix = numba.float64[:, :, ::1], numba.float64[:, ::1]
    signature = (numba.int64[::1], cube, cube, cube, matrix, matrix, matrix, matrix, matrix)
    return numba.njit(signature)(march)
