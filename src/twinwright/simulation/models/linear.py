"""Kind `linear`: state space (A, B, C, D) or transfer functions, in continuous or discrete time, without any code.

    dx/dt = A x + B u,  y = C x + D u          continuous; A, B per second
    x[k+1] = A x[k] + B u[k],  y = C x + D u    discrete, at the model's own step

An entry is a number, or an expression over the parameters with their units, which is checked like any other: `-1/(R*C)`; one that has
a unit is converted to that of its place, one that has none is in it already. A coefficient of s^k is in s^k (seconds), in the numerator
times the unit of the output over that of the input. Where a denominator has a dimension, such as the N/m of a spring, its coefficients
all have units, and a plain one in the numerator is a number without dimension. Between
samples inputs are held or linear as each declares, and the solution at the next sample is exact: the exponential of the matrix that
has the inputs, and their slopes, as further states (C. F. Van Loan, Computing integrals involving the matrix exponential, IEEE
Transactions on Automatic Control 23, 1978). A transfer function becomes its controllable canonical form.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import Field

from twinwright import units
from twinwright.documents import Document, Location, Problems, Spec
from twinwright.errors import ExpressionError, UnitError
from twinwright.expressions import Type, parse
from twinwright.simulation.declaration import ModelSpec, Name
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import Advance, Capabilities, Floats, ModelError, State
from twinwright.simulation.trajectory import check_finite, initial_state

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")
MAX_KEPT = 64
Entry = float | str
Matrix = Annotated[list[list[Entry]], Field(max_length=1000)]
Coefficients = Annotated[list[Entry], Field(min_length=1, max_length=64)]


class TransferSpec(Spec):
    """Coefficients by falling powers of s (of z in discrete time): `{num: [K], den: [T, 1]}` is K / (T s + 1)."""

    num: Coefficients = Field(description="of the numerator, highest power first")
    den: Coefficients = Field(description="of the denominator, highest power first; as many or more")


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


@dataclass(frozen=True, slots=True)
class System:
    """Numbers in place of entries. Continuous rates per second, or one step of a discrete system."""

    a: Floats  # (n, n)
    b: Floats  # (n, m)
    c: Floats  # (p, n)
    d: Floats  # (p, m)


class LinearModel:
    """A linear system, solved exactly between samples."""

    Spec: ClassVar[type[Spec]] = LinearSpec
    warnings: tuple[str, ...] = ()

    @staticmethod
    def check(spec: Any, document: Document, artefacts: Mapping[str, bytes], problems: Problems) -> None:  # noqa: ARG004
        if spec.artefact:
            problems.add(document.problem(("artefact",), "a linear model has no code", "Remove it", "no_code"))
        if spec.transfer:
            _check_transfer(spec, document, problems)
        else:
            _check_matrices(spec, document, problems)

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

    def __init__(self, definition: ModelDefinition, folder: Path) -> None:  # noqa: ARG002
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
            return _realised(self.definition, values)
        return _matrices(self.definition, values)


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


def _shapes(spec: Any) -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    return {
        "A": (spec.states, spec.states),
        "B": (spec.states, spec.inputs),
        "C": (spec.outputs, spec.states),
        "D": (spec.outputs, spec.inputs),
    }


def _check_matrices(spec: Any, document: Document, problems: Problems) -> None:
    if spec.A is None:
        problems.add(document.problem((), "a linear model has `A` or `transfer`", "Add `A:` (states by states)", "missing"))
    if not spec.states:
        problems.add(document.problem((), "a state space has states, this one has none", "Add `states:`, or use `transfer`", "no_states"))
    if spec.C is None:
        for name, port in spec.outputs.items():
            if (port.state or name) not in spec.states:
                message = f"output '{name}' shows no state"
                problems.add(document.problem(("outputs", name), message, "Add `C:`, or name a state", "unknown_state"))
    for letter, (rows, columns) in _shapes(spec).items():
        matrix = getattr(spec, letter)
        if matrix is None:
            continue
        if len(matrix) != len(rows) or any(len(row) != len(columns) for row in matrix):
            message = f"{letter} is not {len(rows)} by {len(columns)}"
            problems.add(document.problem((letter,), message, f"Give {len(rows)} rows of {len(columns)} entries", "bad_shape"))
            continue
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                unit = _entry_unit(rows[row].unit, columns[column].unit, per_second=letter in "AB" and spec.time == "continuous")
                _check_entry(matrix[i][j], unit, (letter, i, j), spec, document, problems)


def _check_transfer(spec: Any, document: Document, problems: Problems) -> None:
    for given in ("A", "B", "C", "D"):
        if getattr(spec, given) is not None:
            problems.add(document.problem((given,), "matrices and `transfer` exclude each other", "Keep one of them", "both"))
    for name in spec.states:
        problems.add(document.problem(("states", name), "transfer functions have no declared states", "Remove it", "no_states"))
    for output, row in spec.transfer.items():
        if output not in spec.outputs:
            known = ", ".join(spec.outputs)
            problems.add(document.problem(("transfer", output), f"there is no output '{output}'", f"Outputs: {known}", "unknown_name"))
        for name, one in row.items():
            place: Location = ("transfer", output, name)
            if name not in spec.inputs:
                known = ", ".join(spec.inputs) or "none"
                problems.add(document.problem(place, f"there is no input '{name}'", f"Inputs: {known}", "unknown_name"))
            if len(one.num) > len(one.den):
                message = "the numerator is of higher degree than the denominator: no system answers before it is asked"
                problems.add(document.problem(place, message, "Give `den` as many coefficients as `num`, or more", "improper"))
            if one.den[0] == 0:
                problems.add(document.problem((*place, "den", 0), "the highest coefficient is zero", "Leave it out", "improper"))
            if output in spec.outputs and name in spec.inputs:
                ports = spec.outputs[output].unit, spec.inputs[name].unit
                _check_coefficients(one, ports, place, spec, document, problems)


def _check_coefficients(
    one: Any, ports: tuple[str | None, str | None], place: Location, spec: Any, document: Document, problems: Problems
) -> None:
    entries = {"num": one.num, "den": one.den}
    try:
        common = _common_unit(one.den, _declared(spec), per_second=spec.time == "continuous")
        expected = _coefficient_units(entries, ports, common, per_second=spec.time == "continuous")
    except (ExpressionError, UnitError):  # an entry that means nothing says so itself
        common, expected = None, {part: [None] * len(coefficients) for part, coefficients in entries.items()}
    for part, coefficients in entries.items():
        for index, (entry, unit) in enumerate(zip(coefficients, expected[part], strict=True)):
            _check_entry(entry, unit, (*place, part, index), spec, document, problems, plain=common is None)


def _common_unit(den: list[Entry], scope: Mapping[str, Type], *, per_second: bool) -> str | None:
    """What a denominator is measured in, as its lowest coefficient with a unit says; None where it has no dimension, as T s + 1.

    Raises ExpressionError, UnitError."""
    if any(entry for entry in den if not isinstance(entry, str)):
        return None
    for power, entry in enumerate(reversed(den)):
        unit = parse(entry).check(scope).type.unit if isinstance(entry, str) else None
        if unit is not None:
            common = units.quotient(unit, _seconds(power, per_second=per_second))
            return None if units.compatible(common, None) else common
    return None


def _coefficient_units(
    entries: Mapping[str, list[Entry]], ports: tuple[str | None, str | None], common: str | None, *, per_second: bool
) -> dict[str, list[str | None]]:
    """What the coefficients of `num` and `den` are measured in, for an (output, input) in these units. Raises UnitError."""
    wholes = {"num": units.product(common, _entry_unit(*ports, per_second=False)), "den": common}
    return {
        part: [units.product(wholes[part], _seconds(power, per_second=per_second)) for power in reversed(range(len(coefficients)))]
        for part, coefficients in entries.items()
    }


def _seconds(power: int, *, per_second: bool) -> str | None:
    return units.power("s", power) if per_second and power else None


def _scope(parameters: Mapping[str, str | None]) -> dict[str, Type]:
    """What the names in an entry stand for, of parameters by their units."""
    return {name: Type("number", units.canonical(unit)) for name, unit in parameters.items()}


def _declared(spec: Any) -> dict[str, Type]:
    return _scope({name: one.unit for name, one in spec.parameters.items() if one.per is None})


def _given(definition: ModelDefinition) -> dict[str, Type]:
    return _scope({one.name: one.unit for one in definition.arguments})


def _entry_unit(row: str | None, column: str | None, *, per_second: bool) -> str | None:
    """What an entry of a matrix is measured in; temperatures are differences here."""
    row, column = ("K" if units.is_offset(unit) else unit for unit in (row, column))
    ratio = units.quotient(row, column)
    return units.quotient(ratio, "s") if per_second else ratio


def _check_entry(
    entry: Entry, unit: str | None, place: Location, spec: Any, document: Document, problems: Problems, *, plain: bool = True
) -> None:
    """`plain`: what has no unit is in that of its place."""
    try:
        if not isinstance(entry, str):
            if not plain and entry:
                units.convert(entry, None, unit)
            return
        checked = parse(entry).check(_declared(spec))
        if checked.type.kind != "number":
            problems.add(document.problem(place, f"'{entry}' is not a number", "Write a number or a formula of parameters", "bad_entry"))
        elif checked.type.unit is not None or not plain:
            checked.converted(unit)
    except (ExpressionError, UnitError) as error:
        told = f"'{entry}' is no entry in {unit or 'plain numbers'}: {error.what}"
        problems.add(document.problem(place, told, error.remedy or "Name parameters of this model", "bad_entry"))


def _matrices(definition: ModelDefinition, values: Mapping[str, float]) -> System:
    rate = definition.options["time"] == "continuous"
    shapes: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
        "A": (definition.states, definition.states),
        "B": (definition.states, definition.inputs),
        "C": (definition.outputs, definition.states),
        "D": (definition.outputs, definition.inputs),
    }
    found: dict[str, Floats] = {}
    for letter, (rows, columns) in shapes.items():
        entries = definition.options[letter]
        matrix = np.zeros((len(rows), len(columns)))
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                entry = entries[i][j] if entries else 0.0
                if isinstance(entry, str):
                    unit = _entry_unit(row.unit, column.unit, per_second=rate and letter in "AB")
                    entry = _evaluated(definition, entry, values, unit)
                matrix[i, j] = entry
        found[letter] = matrix
    if not definition.options["C"]:
        order = [one.name for one in definition.states]
        for i, port in enumerate(definition.outputs):
            found["C"][i, order.index(port.state or port.name)] = port.scale
    return System(found["A"], found["B"], found["C"], found["D"])


def _realised(definition: ModelDefinition, values: Mapping[str, float]) -> System:
    """Controllable canonical forms, one for each pair of output and input, side by side."""
    inputs = {port.name: index for index, port in enumerate(definition.inputs)}
    outputs = {port.name: index for index, port in enumerate(definition.outputs)}
    scope = _given(definition)
    rate = definition.options["time"] == "continuous"
    pairs = []
    for output, row in definition.options["transfer"].items():
        for name, one in row.items():
            ports = definition.outputs[outputs[output]].unit, definition.inputs[inputs[name]].unit
            common = _common_unit(one["den"], scope, per_second=rate)
            expected = _coefficient_units(one, ports, common, per_second=rate)
            num, den = (
                np.array([_number(definition, *each, values, plain=common is None) for each in zip(one[part], expected[part], strict=True)])
                for part in ("num", "den")
            )
            if not den[0]:
                raise ModelError("refused", f"the highest coefficient of {output} over {name} is zero", remedy="Change the parameters")
            padded = np.concatenate([np.zeros(den.size - num.size), num])
            pairs.append((outputs[output], inputs[name], padded / den[0], den / den[0]))
    size = sum(den.size - 1 for *_, den in pairs)
    shapes = ((size, size), (size, len(inputs)), (len(outputs), size), (len(outputs), len(inputs)))
    system = System(*(np.zeros(shape) for shape in shapes))
    at = 0
    for output_index, input_index, num, den in pairs:
        order = den.size - 1
        system.d[output_index, input_index] += num[0]
        if order:
            block = slice(at, at + order)
            system.a[block, block] = np.eye(order, k=1)
            system.a[at + order - 1, block] = -den[:0:-1]
            system.b[at + order - 1, input_index] = 1.0
            system.c[output_index, block] = (num[1:] - num[0] * den[1:])[::-1]
            at += order
    return system


def _number(definition: ModelDefinition, entry: Entry, unit: str | None, values: Mapping[str, float], *, plain: bool) -> float:
    if isinstance(entry, str):
        return _evaluated(definition, entry, values, unit, plain=plain)
    return float(entry) if plain or not entry else float(units.convert(entry, None, unit))


def _evaluated(definition: ModelDefinition, entry: str, values: Mapping[str, float], unit: str | None, *, plain: bool = True) -> float:
    """An entry in the unit that its place has; `plain`: what has none is in it already."""
    checked = parse(entry).check(_given(definition))
    if checked.type.unit is not None or not plain:
        checked = checked.converted(unit)
    value = checked.value(values)
    if not isinstance(value, float) or not np.isfinite(value):
        raise ModelError("nan", f"the entry '{entry}' is {value} with these parameters", remedy="Look for a division by zero")
    return value
