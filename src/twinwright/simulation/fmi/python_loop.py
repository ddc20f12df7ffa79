"""What the loops in Python share: calls of an FMU through ctypes, inputs, outputs, and the loop of co-simulation."""

from __future__ import annotations

import ctypes
import math
from ctypes import CFUNCTYPE, byref, c_double, c_int, c_size_t, c_uint8, c_uint32, c_void_p
from typing import Any

import numpy as np

from twinwright.simulation.fmi import abi
from twinwright.simulation.fmi.abi import TYPES, Engine, Group, Report

_DTYPES = dict(TYPES.values())
_PROTOTYPES: dict[tuple[int, int], tuple[Any, ...]] = {
    (abi.DO_STEP, 2): (c_double, c_double, c_int),
    (abi.DO_STEP, 3): (c_double, c_double, c_uint8, c_void_p, c_void_p, c_void_p, c_void_p),
    (abi.SET_TIME, 0): (c_double,),
    (abi.COMPLETED_STEP, 2): (c_int, c_void_p, c_void_p),
    (abi.COMPLETED_STEP, 3): (c_uint8, c_void_p, c_void_p),
    (abi.UPDATE_DISCRETE_STATES, 2): (c_void_p,),
    (abi.UPDATE_DISCRETE_STATES, 3): (c_void_p,) * 6,
    (abi.GET_REAL_STATUS, 0): (c_int, c_void_p),
    (abi.GET_BOOLEAN_STATUS, 0): (c_int, c_void_p),
    (abi.GET_STATUS, 0): (c_int, c_void_p),
}
_ARRAY = (c_void_p, c_size_t)


class LoopEndedError(Exception):
    """A loop ends early; the report says why."""


class _EventInfo(ctypes.Structure):
    _fields_ = (*((name, c_int) for name in ("needed", "terminate", "nominals", "values", "defined")), ("time", c_double))


class Loop:
    """An FMU while a loop runs over it; ends by LoopEndedError, the report saying why."""

    def __init__(self, engine: Engine, report: Report) -> None:
        self.e, self.report = engine, report
        self.version = engine.version
        nx, nz = engine.nx, engine.nz
        self.x, self.nominal = _view(engine.x, nx), _view(engine.nominal, nx)
        self.z, self.last = _view(engine.z, nz), _view(engine.last, engine.input_columns)
        self.holds = [engine.holds[j] for j in range(engine.input_columns)]
        self.functions: dict[int, Any] = {}

    # --- calling ---

    def fail(self, code: int, status: int, function: int, time: float) -> LoopEndedError:
        self.report.code, self.report.status, self.report.function, self.report.time = code, status, function, time
        return LoopEndedError()

    def raw(self, function: int, *values: Any) -> int:
        made = self.functions.get(function)
        if made is None:
            types = _PROTOTYPES.get((function, self.version), _PROTOTYPES.get((function, 0)))
            if types is None:
                arrays = (abi.SET_STATES, abi.GET_DERIVATIVES, abi.GET_INDICATORS, abi.GET_STATES, abi.GET_NOMINALS)
                types = _ARRAY if function in arrays else ()
            made = self.functions[function] = CFUNCTYPE(c_int, c_void_p, *types)(self.e.functions[function])
        return int(made(self.e.instance, *values))

    def call(self, function: int, time: float, *values: Any) -> None:
        status = self.raw(function, *values)
        if status > 1:
            raise self.fail(abi.FAILED, status, function, time)

    def array(self, function: int, values: Any, time: float) -> None:
        if values.size:
            self.call(function, time, values.ctypes.data, values.size)

    # --- inputs and outputs ---

    def input_at(self, row: Any, following: Any, fraction: float, column: int) -> float:
        hold = self.holds[column]
        if hold == 1 and fraction != 0.0:
            return float(row[column] + fraction * (following[column] - row[column]))
        return float(following[column] if hold == 2 else row[column])

    def set_inputs(self, row: Any, following: Any, fraction: float, every: bool, linear_only: bool, time: float) -> None:
        for g in range(self.e.n_inputs):
            group = self.e.inputs[g]
            if group.discrete and not every:
                continue
            buffer, moves = self.buffer(group), False
            for v in range(group.n_values):
                column = group.columns[v]
                if column < 0:
                    continue
                value = self.input_at(row, following, fraction, column)
                moves |= self.holds[column] == 1
                self.last[column] = value
                buffer[v] = value if group.type < 2 else (value != 0.0 if group.type == 10 else round(value))
            if linear_only and not moves:
                continue
            status = self.access(group)
            if status > 1:
                raise self.fail(abi.FAILED, status, abi.SET_INPUT, time)

    def get_outputs(self, row: Any, time: float) -> None:
        for g in range(self.e.n_outputs):
            group = self.e.outputs[g]
            status = self.access(group)
            if status > 1:
                raise self.fail(abi.FAILED, status, abi.GET_OUTPUT, time)
            buffer = self.buffer(group)
            for v in range(group.n_values):
                if group.columns[v] >= 0:
                    row[group.columns[v]] = buffer[v]

    @staticmethod
    def buffer(group: Group) -> Any:
        dtype = np.dtype(_DTYPES[group.type])
        raw = (c_uint8 * (group.n_values * dtype.itemsize)).from_address(group.buffer)
        return np.frombuffer(raw, dtype)

    def access(self, group: Group) -> int:
        more: tuple[Any, ...] = (c_size_t,) if self.version == 3 else ()
        made = CFUNCTYPE(c_int, c_void_p, ctypes.POINTER(c_uint32), c_size_t, c_void_p, *more)(group.function)
        return int(made(self.e.instance, group.references, group.n_references, group.buffer, *((group.n_values,) if more else ())))

    # --- co-simulation ---

    def cosimulate(self, times: Any, inputs: Any, outputs: Any) -> None:
        substeps = self.e.substeps
        for i in range(times.size - 1):
            row, following = inputs[i], inputs[i + 1]
            begin = float(times[i])
            span = float(times[i + 1]) - begin
            t = begin
            for s in range(1, substeps + 1):
                target = float(times[i + 1]) if s == substeps else begin + span * s / substeps
                calls = 0
                while t < target:
                    fraction = (t - begin) / span
                    if self.e.event_mode:
                        self.announce(row, following, fraction, t)
                    self.set_inputs(row, following, fraction, not self.e.event_mode, False, t)
                    t = self.step2(t, target) if self.version == 2 else self.step3(t, target)
                    self.report.steps += 1
                    calls += 1
                    if calls > 1_000_000:
                        raise self.fail(abi.ENDLESS_EVENTS, 0, abi.DO_STEP, t)
            self.get_outputs(outputs[i + 1], t)
            self.report.rows = i + 2

    def announce(self, row: Any, following: Any, fraction: float, t: float) -> None:
        """With event mode in use, discrete inputs are set in it alone, where one has another value."""
        groups = [self.e.inputs[g] for g in range(self.e.n_inputs) if self.e.inputs[g].discrete]
        columns = [group.columns[v] for group in groups for v in range(group.n_values) if group.columns[v] >= 0]
        if all(self.input_at(row, following, fraction, one) == self.last[one] for one in columns):
            return
        self.report.events += 1
        self.call(abi.ENTER_EVENT_MODE, t)
        self.set_inputs(row, following, fraction, True, False, t)
        self.update_discrete_states(t)
        self.call(abi.ENTER_STEP_MODE, t)

    def step_length(self, begin: float, end: float) -> float:
        """Of rounded times the difference is off by a digit, which an FMU that takes only equal steps may not take for the same."""
        span, equal = end - begin, self.e.equal_step
        return float(equal) if equal > 0.0 and abs(span - equal) <= 1e-9 * equal + 4e-16 * abs(end) else span

    def step2(self, t: float, target: float) -> float:
        status = self.raw(abi.DO_STEP, t, self.step_length(t, target), 1)
        while status == 5:
            answer = c_int()
            self.call(abi.GET_STATUS, t, 0, byref(answer))
            status = answer.value
        if status <= 1:
            return target
        if status != 2:
            raise self.fail(abi.FAILED, status, abi.DO_STEP, t)
        reached, terminated = c_double(t), c_int()
        if self.e.functions[abi.GET_BOOLEAN_STATUS]:
            self.raw(abi.GET_BOOLEAN_STATUS, 3, byref(terminated))
        if self.e.functions[abi.GET_REAL_STATUS]:
            self.raw(abi.GET_REAL_STATUS, 2, byref(reached))
        if terminated.value:
            raise self.fail(abi.TERMINATED, status, abi.DO_STEP, reached.value)
        if not t < reached.value <= target or not self.e.variable_step:
            raise self.fail(abi.DISCARDED, status, abi.DO_STEP, t)
        self.report.rejected += 1
        return reached.value

    def step3(self, t: float, target: float) -> float:
        event, terminate, early, reached = c_uint8(), c_uint8(), c_uint8(), c_double(t)
        status = self.raw(abi.DO_STEP, t, self.step_length(t, target), 1, byref(event), byref(terminate), byref(early), byref(reached))
        if status > 2:
            raise self.fail(abi.FAILED, status, abi.DO_STEP, t)
        if terminate.value:
            raise self.fail(abi.TERMINATED, status, abi.DO_STEP, reached.value if early.value else target)
        if status == 2 or early.value:
            if reached.value > target or (not reached.value > t and not event.value):
                raise self.fail(abi.DISCARDED, status, abi.DO_STEP, t)
            self.report.rejected += reached.value < target
            t = reached.value
        else:
            t = target
        if event.value and self.e.event_mode:
            self.report.events += 1
            self.call(abi.ENTER_EVENT_MODE, t)
            self.update_discrete_states(t)
            self.call(abi.ENTER_STEP_MODE, t)
        return t

    def update_discrete_states(self, t: float) -> tuple[bool, bool]:
        nominals = values = False
        for _ in range(1000):
            info = _EventInfo()
            if self.version == 2:
                self.call(abi.UPDATE_DISCRETE_STATES, t, byref(info))
            else:
                flags, at = [c_uint8() for _ in range(5)], c_double()
                self.call(abi.UPDATE_DISCRETE_STATES, t, *(byref(one) for one in flags), byref(at))
                info = _EventInfo(*(one.value for one in flags), at.value)
            if info.terminate:
                raise self.fail(abi.TERMINATED, 0, abi.UPDATE_DISCRETE_STATES, t)
            nominals, values = nominals or bool(info.nominals), values or bool(info.values)
            self.e.next_event = info.time if info.defined else math.inf
            if not info.needed:
                return nominals, values
        raise self.fail(abi.ENDLESS_EVENTS, 0, abi.UPDATE_DISCRETE_STATES, t)


def _view(pointer: Any, count: int) -> Any:
    return np.ctypeslib.as_array(pointer, (count,)) if count else np.zeros(0)
