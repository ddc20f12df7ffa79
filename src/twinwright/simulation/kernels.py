# ruff: noqa: ARG001, ARG005, SIM113 -- numba asks that overloads repeat the names of arguments, and knows no enumerate here.
"""The inner loops of models given as Python functions: classical Runge-Kutta of order four, and outputs along a grid.

One source, run in three ways, the first that works: compiled with every vector a tuple of fixed length (all in registers,
indices checked by the compiler: the speed of a loop written by hand), compiled with arrays (for functions that slice or
use NumPy; bounds checked), and plain Python. All three do the same arithmetic in the same order.

Method: E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I, 2nd ed., table II.1.2, left.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import FunctionType
from typing import Any, Literal

import numba
import numpy as np
from numba import literal_unroll, types
from numba.cpython.unsafe import tuple as unsafe_tuple
from numba.extending import overload
from numba.np.unsafe import ndarray as unsafe_ndarray

from twinwright.compiled import Compiled
from twinwright.simulation.protocol import Floats, ModelError

Mode = Literal["tuples", "arrays", "python"]
# Intrinsics get their context from numba itself, which a type checker can't know.
_jit: Any = numba.njit
tuple_setitem: Any = unsafe_tuple.tuple_setitem
to_fixed_tuple: Any = unsafe_ndarray.to_fixed_tuple
MAX_TUPLE = 64  # longer vectors compile slowly as tuples and gain little

# As in C and NumPy: 1/0 is infinity, and ends the run as a number that is not finite.
_OPTIONS: Any = {"error_model": "numpy"}
# What only compiled code calls: without the wrappers by which Python and C would call it, it compiles in half the time.
_INNER: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_VECTOR = types.float64[::1]
_MATRIX = types.float64[:, ::1]
_INTEGRATE = (_VECTOR, _MATRIX, types.float64, _VECTOR, _MATRIX)
_OBSERVE = (_VECTOR, _MATRIX, _MATRIX, _VECTOR, _MATRIX)
_DERIVE = (types.float64, _VECTOR, _VECTOR, _VECTOR, _VECTOR)


@dataclass(frozen=True, slots=True)
class Shape:
    """How many states, inputs, parameters and outputs; `weights[j]` is 1.0 where input j is linear between samples."""

    states: int
    inputs: int
    parameters: int
    outputs: int
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Kernel:
    """`integrate(times, inputs, max_step, p, states)` fills states[1:] from states[0] and returns how many rows are
    finite. `observe(times, states, inputs, p, outputs)` fills outputs. `derive(t, x, u, p, dx)` fills dx."""

    mode: Mode
    warning: str | None
    integrate: Callable[..., int]
    observe: Callable[..., None] | None
    derive: Callable[..., None]


def combine(x: Any, a: float, k: Any) -> Any:
    """x + a k."""
    return x + a * k


def blend(x: Any, h: float, k1: Any, k2: Any, k3: Any, k4: Any) -> Any:
    """x + h (k1 + 2 k2 + 2 k3 + k4) / 6."""
    return x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)


def between(left: Any, right: Any, weights: Any, fraction: float) -> Any:
    """Inputs a fraction of the way to the next sample: moved where the weight is 1, held where it is 0."""
    return left + fraction * weights * (right - left)


def as_floats(like: Any, result: Any) -> Any:
    """What a user's function returned, as numbers of the length of `like`."""
    values = np.atleast_1d(np.array(result, dtype=np.float64))  # a copy: a function may return one buffer again and again
    if values.shape != like.shape:
        raise ModelError("raised", f"the model returned {values.size} numbers where {like.size} are declared")
    return values


@overload(combine, jit_options=_OPTIONS | _INNER, strict=False)
def _combine_tuple(x: Any, a: Any, k: Any) -> Any:
    if isinstance(x, types.Array):
        return combine
    count = len(x)

    def compiled(x: Any, a: float, k: Any) -> Any:
        out = x
        for i in range(count):
            out = tuple_setitem(out, i, x[i] + a * k[i])
        return out

    return compiled


@overload(blend, jit_options=_OPTIONS | _INNER, strict=False)
def _blend_tuple(x: Any, h: Any, k1: Any, k2: Any, k3: Any, k4: Any) -> Any:
    if isinstance(x, types.Array):
        return blend
    count = len(x)

    def compiled(x: Any, h: float, k1: Any, k2: Any, k3: Any, k4: Any) -> Any:
        out = x
        for i in range(count):
            out = tuple_setitem(out, i, x[i] + h / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]))
        return out

    return compiled


@overload(between, jit_options=_OPTIONS | _INNER, strict=False)
def _between_tuple(left: Any, right: Any, weights: Any, fraction: Any) -> Any:
    if isinstance(left, types.Array):
        return between
    count = len(left)

    def compiled(left: Any, right: Any, weights: Any, fraction: float) -> Any:
        out = left
        for i in range(count):
            out = tuple_setitem(out, i, left[i] + fraction * weights[i] * (right[i] - left[i]))
        return out

    return compiled


@overload(as_floats, jit_options=_OPTIONS | _INNER, strict=False)
def _as_floats_compiled(like: Any, result: Any) -> Any:
    if isinstance(result, types.Number | types.Boolean):
        return lambda like, result: as_floats(like, (result,))
    if isinstance(result, types.BaseTuple) and isinstance(like, types.BaseTuple):
        return _tuple_from_tuple(like, result)
    if isinstance(like, types.BaseTuple):
        count = len(like)

        def tuple_from_sequence(like: Any, result: Any) -> Any:
            if len(result) != count:
                raise ValueError("the model returned another number of values than are declared")
            out = like
            for i in range(count):
                out = tuple_setitem(out, i, float(result[i]))
            return out

        return tuple_from_sequence
    if isinstance(result, types.BaseTuple):

        def array_from_tuple(like: Any, result: Any) -> Any:
            out = np.empty_like(like)
            if len(result) != out.size:
                raise ValueError("the model returned another number of values than are declared")
            i = 0
            for value in literal_unroll(result):
                out[i] = value
                i += 1
            return out

        return array_from_tuple

    def array_from_sequence(like: Any, result: Any) -> Any:
        out = np.empty_like(like)
        if len(result) != out.size:
            raise ValueError("the model returned another number of values than are declared")
        for i in range(out.size):
            out[i] = result[i]
        return out

    return array_from_sequence


def _tuple_from_tuple(like: Any, result: Any) -> Any:
    if len(result) != len(like):
        raise numba.errors.TypingError(f"the model returned {len(result)} numbers where {len(like)} are declared")
    if isinstance(result, types.UniTuple) and result.dtype == types.float64:
        return lambda like, result: result

    def compiled(like: Any, result: Any) -> Any:
        out = like
        i = 0
        for value in literal_unroll(result):
            out = tuple_setitem(out, i, float(value))
            i += 1
        return out

    return compiled


def make_integrate(function: Any, load: Callable[[int], Any], shape: Shape) -> Callable[..., int]:
    """The Runge-Kutta loop over a grid. Every interval is cut into equal steps no longer than `max_step`."""
    load_x, load_u, load_p = load(shape.states), load(shape.inputs), load(shape.parameters)
    n, linear = shape.states, any(shape.weights)
    weights_array = np.array(shape.weights)

    def integrate(times: Any, inputs: Any, max_step: float, parameters: Any, states: Any) -> int:
        p, x, weights = load_p(parameters), load_x(states[0]), load_u(weights_array)
        for i in range(times.size - 1):
            span = times[i + 1] - times[i]
            steps = max(1, math.ceil(span / max_step - 1e-9))
            h = span / steps
            u = load_u(inputs[i])
            begin, middle, end = u, u, u
            for s in range(steps):
                t = times[i] + s * h
                if linear:
                    following = load_u(inputs[i + 1])
                    begin = between(u, following, weights, s / steps)
                    middle = between(u, following, weights, (s + 0.5) / steps)
                    end = between(u, following, weights, (s + 1.0) / steps)
                k1 = as_floats(x, function(t, x, begin, p))
                k2 = as_floats(x, function(t + 0.5 * h, combine(x, 0.5 * h, k1), middle, p))
                k3 = as_floats(x, function(t + 0.5 * h, combine(x, 0.5 * h, k2), middle, p))
                k4 = as_floats(x, function(t + h, combine(x, h, k3), end, p))
                x = blend(x, h, k1, k2, k3, k4)
            for j in range(n):
                states[i + 1, j] = x[j]
            for j in range(n):
                if not math.isfinite(x[j]):
                    return i + 1
        return int(times.size)

    return integrate


def make_observe(function: Any, load: Callable[[int], Any], shape: Shape) -> Callable[..., None]:
    """The output function at every time of a grid."""
    load_x, load_u, load_p, load_y = load(shape.states), load(shape.inputs), load(shape.parameters), load(shape.outputs)
    count = shape.outputs

    def observe(times: Any, states: Any, inputs: Any, parameters: Any, outputs: Any) -> None:
        p = load_p(parameters)
        for i in range(times.size):
            y = as_floats(load_y(outputs[i]), function(times[i], load_x(states[i]), load_u(inputs[i]), p))
            for j in range(count):
                outputs[i, j] = y[j]

    return observe


def make_derive(function: Any, load: Callable[[int], Any], shape: Shape) -> Callable[..., None]:
    """One evaluation of the right-hand side, for solvers that call it themselves."""
    load_x, load_u, load_p, count = load(shape.states), load(shape.inputs), load(shape.parameters), shape.states

    def derive(t: float, x: Any, u: Any, p: Any, dx: Any) -> None:
        state = load_x(x)
        result = as_floats(state, function(t, state, load_u(u), load_p(p)))
        for j in range(count):
            dx[j] = result[j]

    return derive


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)


seed_compiled: Callable[[int], None] = Compiled(_seed)
"""Seeds the generators that compiled code has of its own, for models that draw from the global ones."""


def build_kernel(rhs: FunctionType, output: FunctionType | None, shape: Shape, *, solved: bool = False) -> Kernel:
    """Compile the user's functions in the fastest way that numba can; in plain Python with a warning where it can't.

    `solved`: whether a solver of SciPy's will ask for derivatives, and not our own loop.
    """
    longest = max(shape.states, shape.inputs, shape.parameters, shape.outputs)
    modes: tuple[Mode, ...] = ("tuples", "arrays") if longest <= MAX_TUPLE else ("arrays",)
    reason = ""
    for mode in modes:
        try:
            return _compiled(rhs, output, shape, mode, solved=solved)
        except Exception as error:  # noqa: BLE001 -- numba raises no closed set for what it can't compile: Python can still run it
            reason = _first_line(error)
    warning = f"'{rhs.__name__}' runs as plain Python, many times slower, because it can't be compiled: {reason}"
    observe = make_observe(output, _load_array, shape) if output else None
    return Kernel("python", warning, make_integrate(rhs, _load_array, shape), observe, make_derive(rhs, _load_array, shape))


def _compiled(rhs: FunctionType, output: FunctionType | None, shape: Shape, mode: Mode, *, solved: bool = False) -> Kernel:
    checked: Any = {**_OPTIONS, **_INNER, "boundscheck": mode == "arrays"}
    with _HelpersCompiled((rhs, output), {**_OPTIONS, "boundscheck": mode == "arrays"}):
        load = _load_tuple if mode == "tuples" else _load_array_compiled
        right = _jit(**checked)(rhs)
        integrate = _Entry(make_integrate(right, load, shape), _INTEGRATE)
        derive = _Entry(make_derive(right, load, shape), _DERIVE)
        (derive if solved else integrate).compile()
        observe = None
        if output:
            observe = _Entry(make_observe(_jit(**checked)(output), load, shape), _OBSERVE)
            observe.compile()
    return Kernel(mode, None, integrate, observe, derive)


class _Entry:
    """A way from Python into compiled code. Most models need the loop or the derivative: the other is compiled if it is called."""

    def __init__(self, function: Callable[..., Any], signature: tuple[Any, ...]) -> None:
        self._function, self._signature = function, signature
        self._lock = threading.Lock()
        self._dispatcher: Any = None

    def compile(self) -> Any:
        with self._lock:
            if self._dispatcher is None:
                dispatcher = _jit(**_OPTIONS, no_cfunc_wrapper=True)(self._function)
                dispatcher.compile(self._signature)
                dispatcher.disable_compile()
                self._dispatcher = dispatcher
        return self._dispatcher

    def __call__(self, *arguments: Any) -> Any:
        return (self._dispatcher or self.compile())(*arguments)


class _HelpersCompiled:
    """While it is open, plain functions of the user's module are replaced by compiled ones, so that rhs may call them."""

    def __init__(self, functions: tuple[FunctionType | None, ...], options: dict[str, Any]) -> None:
        self.spaces = [function.__globals__ for function in functions if function is not None]
        self.options = options
        self.replaced: list[tuple[dict[str, Any], str, FunctionType]] = []

    def __enter__(self) -> None:
        for space in self.spaces:
            for name, value in list(space.items()):
                if isinstance(value, FunctionType) and value.__globals__ is space:
                    self.replaced.append((space, name, value))
                    space[name] = _jit(**self.options)(value)

    def __exit__(self, *_: object) -> None:
        for space, name, value in reversed(self.replaced):
            space[name] = value


@cache
def _load_tuple(count: int) -> Any:
    if count == 0:
        return _jit(**_INNER)(lambda values: ())

    def load(values: Any) -> Any:
        return to_fixed_tuple(values, count)

    return _jit(**_INNER)(load)


@cache
def _load_array_compiled(count: int) -> Any:
    return _jit(**_INNER)(lambda values: values.copy())


def _load_array(count: int) -> Callable[[Floats], Floats]:
    # A copy, so that a function that changes its arguments harms nothing but itself.
    return np.copy


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Failed in nopython", "No implementation", "- Resolution failure"))]
    return (told or lines or [type(error).__name__])[0]
