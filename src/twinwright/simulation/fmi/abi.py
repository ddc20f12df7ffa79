"""The data that compiled code shares with us, as C lays it out (engine.h, whole_run.c), and the numbers of types and functions."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, c_char_p, c_double, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Protocol

import numpy as np

OK, FAILED, TERMINATED, DISCARDED, ENDLESS_EVENTS, TOO_SMALL_STEP, NOT_FINITE = range(7)
HOLDS = {"zero": 0, "linear": 1, "next": 2}
METHODS = {"euler": 0, "rk4": 1, "dopri5": 2}
(DO_STEP, SET_TIME, SET_STATES, GET_DERIVATIVES, GET_INDICATORS, GET_STATES, GET_NOMINALS, COMPLETED_STEP, ENTER_EVENT_MODE,
 UPDATE_DISCRETE_STATES, ENTER_CONTINUOUS_MODE, ENTER_STEP_MODE, GET_REAL_STATUS, GET_BOOLEAN_STATUS, GET_STATUS,
 SET_INPUT, GET_OUTPUT) = range(17)  # fmt: skip

# FMI type -> (number in engine.h, NumPy type); of 2.0 a Boolean and an Enumeration are 32-bit integers.
TYPES: dict[str, tuple[int, Any]] = {
    "Float64": (0, np.float64), "Float32": (1, np.float32), "Int8": (2, np.int8), "UInt8": (3, np.uint8), "Int16": (4, np.int16),
    "UInt16": (5, np.uint16), "Int32": (6, np.int32), "UInt32": (7, np.uint32), "Int64": (8, np.int64), "UInt64": (9, np.uint64),
    "Boolean": (10, np.uint8), "Enumeration": (8, np.int64),
}  # fmt: skip
TYPES_2 = {**TYPES, "Boolean": (6, np.int32), "Enumeration": (6, np.int32)}


def number_type(kind: str, major: int) -> tuple[int, Any]:
    """The number of a type and how its values are laid out."""
    return (TYPES_2 if major == 2 else TYPES)[kind]


class Group(ctypes.Structure):
    """Variables of one type that are set or got in one call."""

    _fields_ = (
        *((name, c_int32) for name in ("type", "discrete", "direct", "pad")),
        ("n_references", c_uint64),
        ("n_values", c_uint64),
        ("references", POINTER(c_uint32)),
        ("columns", POINTER(c_int32)),
        ("buffer", c_void_p),
        ("function", c_void_p),
    )


class Engine(ctypes.Structure):
    """An instance with its inputs, outputs and integrator."""

    _fields_ = (
        *((name, c_int32) for name in ("version", "n_inputs", "n_outputs", "input_columns", "output_columns", "method")),
        *((name, c_int32) for name in ("substeps", "variable_step", "event_mode", "completed_step", "nx", "nz")),
        *((name, c_double) for name in ("max_step", "rtol", "h", "next_event", "equal_step")),
        ("instance", c_void_p),
        ("functions", c_void_p * 15),
        ("inputs", POINTER(Group)),
        ("outputs", POINTER(Group)),
        ("holds", POINTER(c_int32)),
        ("last", POINTER(c_double)),
        ("x", POINTER(c_double)),
        ("z", POINTER(c_double)),
        ("nominal", POINTER(c_double)),
        ("work", POINTER(c_double)),
    )


class Report(ctypes.Structure):
    """How far a loop came, and why no further."""

    _fields_ = (
        *((name, c_int32) for name in ("code", "status", "function", "pad")),
        ("time", c_double),
        *((name, c_int64) for name in ("rows", "steps", "events", "rejected")),
    )


class Start(ctypes.Structure):
    """A variable that is set before initialisation."""

    _fields_ = (
        ("reference", c_uint32),
        ("pad", c_uint32),
        ("n_values", c_uint64),
        ("values", c_void_p),
        ("function", c_void_p),
    )


class WholeRun(ctypes.Structure):
    """How an instance is made, set, initialised and ended."""

    _fields_ = (
        *((name, c_int32) for name in ("exchange", "logging", "tolerance_known", "fatal")),
        *((name, c_double) for name in ("tolerance", "start")),
        *((name, c_char_p) for name in ("name", "token", "resources")),
        ("functions", c_void_p * 6),
        ("n_starts", c_uint64),
        ("starts", POINTER(Start)),
    )


class Loops(Protocol):
    """The loops, compiled or in Python. Arrays are contiguous doubles; rows of `outputs` after the first are filled."""

    compiled: bool
    warning: str | None

    def cosimulate(self, engine: Engine, times: Any, inputs: Any, outputs: Any, report: Report) -> None: ...
    def exchange(self, engine: Engine, times: Any, inputs: Any, outputs: Any, report: Report) -> None: ...
    def first_inputs(self, engine: Engine, time: float, row: Any, following: Any, report: Report) -> None: ...
    def outputs(self, engine: Engine, time: float, row: Any, report: Report) -> None: ...
    def callbacks2(self) -> int:
        """The address of the callback functions of FMI 2.0."""
        ...

    def logger3(self) -> int:
        """The address of the logger of FMI 3.0."""
        ...

    def libraries(self) -> Sequence[tuple[Path, ctypes.CDLL]]:
        """The libraries that they are in; none of loops in Python."""
        ...

    def last_message(self) -> str:
        """What an FMU said last that was no success; forgotten by this."""
        ...
