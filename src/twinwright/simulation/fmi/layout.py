"""What a stepping loop needs beside an instance: which variables are columns, where values lie, and the arrays of the integrator.

To lay that out takes as long as many a short run. So a layout is laid out once for runs of one FMU with the same columns and settings,
and begun afresh for each: what a run before it left in the arrays is wiped.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from ctypes import c_int32, c_uint32, c_void_p
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twinwright.simulation.fmi import abi
from twinwright.simulation.fmi.abi import Engine, Group, number_type
from twinwright.simulation.fmi.description import FLOATS, NUMERIC, Interface, ModelDescription, Variable
from twinwright.simulation.fmi.instance import double_pointer, type_name
from twinwright.simulation.protocol import ModelError

FUNCTIONS: Mapping[int, tuple[str, str]] = {
    abi.DO_STEP: ("DoStep", "DoStep"),
    abi.SET_TIME: ("SetTime", "SetTime"),
    abi.SET_STATES: ("SetContinuousStates", "SetContinuousStates"),
    abi.GET_DERIVATIVES: ("GetDerivatives", "GetContinuousStateDerivatives"),
    abi.GET_INDICATORS: ("GetEventIndicators", "GetEventIndicators"),
    abi.GET_STATES: ("GetContinuousStates", "GetContinuousStates"),
    abi.GET_NOMINALS: ("GetNominalsOfContinuousStates", "GetNominalsOfContinuousStates"),
    abi.COMPLETED_STEP: ("CompletedIntegratorStep", "CompletedIntegratorStep"),
    abi.ENTER_EVENT_MODE: ("EnterEventMode", "EnterEventMode"),
    abi.UPDATE_DISCRETE_STATES: ("NewDiscreteStates", "UpdateDiscreteStates"),
    abi.ENTER_CONTINUOUS_MODE: ("EnterContinuousTimeMode", "EnterContinuousTimeMode"),
    abi.ENTER_STEP_MODE: ("", "EnterStepMode"),
    abi.GET_REAL_STATUS: ("GetRealStatus", ""),
    abi.GET_BOOLEAN_STATUS: ("GetBooleanStatus", ""),
    abi.GET_STATUS: ("GetStatus", ""),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the inputs or outputs: a scalar, or one element of an array (from 0, row by row)."""

    variable: Variable
    element: int = 0
    hold: str = "zero"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a session runs. Times in seconds; `tolerance` is relative, of the integrator and of the FMU's own."""

    method: str = "dopri5"
    max_step: float = math.inf
    tolerance: float | None = None
    substeps: int = 1
    logging: bool = False
    event_mode: bool = False
    stop: float | None = None
    step: float = 0.0  # between two communication points, where all are equally far apart


@dataclass(slots=True)
class _Table:
    """Groups for the loop, and the arrays that they point into, which must live as long."""

    groups: Any
    count: int
    whole: bool = True  # no value is the FMU's own, kept from its start
    kept: list[Any] = field(default_factory=list)


class Layout:
    """Columns as the loop takes them, for one session at a time. Raises ModelError for columns that can't be."""

    def __init__(
        self,
        description: ModelDescription,
        interface: Interface,
        functions: Mapping[str, int],
        inputs: Sequence[Column],
        outputs: Sequence[Column],
        settings: Settings,
        *,
        sizes: Mapping[int, int],
        start_of: Callable[[Variable], Sequence[Any]],
    ) -> None:
        """`sizes` are the structural parameters' values by reference; `start_of` asks the instance for the values of a variable."""
        self._columns = (*inputs, *outputs)
        self._settings, self._inputs = settings, len(inputs)
        self._md, self._functions, self._sizes = description, functions, sizes
        md = description
        into, out = self._table(inputs, "Set", start_of), self._table(outputs, "Get", start_of)
        nx = sum(md.size(one, sizes) for one in md.states()) if interface.kind == "me" else 0
        rows = [md.resolve(one) for one in md.structure["event_indicators"]]
        nz = md.indicators if md.major == 2 else sum(md.size(one, sizes) for one in rows if one)
        nz = nz if interface.kind == "me" else 0
        self.x, self.z, self.nominal = np.zeros(max(nx, 1)), np.zeros(max(nz, 1)), np.ones(max(nx, 1))
        self.last, self.work = np.zeros(max(len(inputs), 1)), np.zeros(13 * nx + 2 * nz + 1)
        self._kept = into, out
        holds = (c_int32 * max(len(inputs), 1))(*(abi.HOLDS[one.hold] for one in inputs))
        variable_step = interface.has("canHandleVariableCommunicationStepSize")
        completes = (
            not interface.has("completedIntegratorStepNotNeeded") if md.major == 2 else interface.has("needsCompletedIntegratorStep")
        )
        addresses = [functions.get(FUNCTIONS[number][md.major - 2]) for number in range(15)]
        self.engine = Engine(
            version=md.major,
            n_inputs=into.count,
            n_outputs=out.count,
            input_columns=len(inputs),
            output_columns=len(outputs),
            method=abi.METHODS.get(settings.method, 0),
            substeps=settings.substeps,
            variable_step=variable_step,
            event_mode=settings.event_mode,
            completed_step=completes,
            nx=nx,
            nz=nz,
            max_step=settings.max_step,
            rtol=tolerance_of(settings, md),
            h=0.0,
            next_event=math.inf,
            equal_step=0.0 if variable_step else settings.step,
            functions=(c_void_p * 15)(*addresses),
            inputs=into.groups,
            outputs=out.groups,
            holds=holds,
            last=double_pointer(self.last),
            x=double_pointer(self.x),
            z=double_pointer(self.z),
            nominal=double_pointer(self.nominal),
            work=double_pointer(self.work),
        )
        self.reusable = into.whole and not sizes

    def fits(self, inputs: Sequence[Column], outputs: Sequence[Column], settings: Settings) -> bool:
        """Whether it was laid out for these very columns."""
        same = self._settings == settings and self._inputs == len(inputs) and len(self._columns) == len(inputs) + len(outputs)
        return same and all(one is other for one, other in zip(self._columns, (*inputs, *outputs), strict=True))

    def begin(self, handle: int | None) -> None:
        """For an instance, as if it had just been laid out."""
        self.engine.instance, self.engine.h, self.engine.next_event = handle, 0.0, math.inf
        self.nominal.fill(1.0)
        for one in (self.x, self.z, self.last, self.work):
            one.fill(0.0)

    def _table(self, columns: Sequence[Column], verb: str, start_of: Callable[[Variable], Sequence[Any]]) -> _Table:
        """Groups by type (and, of inputs, whether continuous). A variable is in it once, or as often as one element is read."""
        md, order = self._md, dict[tuple[str, bool], dict[tuple[int, int], list[tuple[int, Column]]]]()
        read = Counter[tuple[str, int, int]]()
        for index, column in enumerate(columns):
            variable = column.variable
            if variable.type not in NUMERIC:
                raise ModelError("refused", f"'{variable.name}' is of type {variable.type}, not a number")
            discrete = verb == "Set" and not (variable.type in FLOATS and variable.variability == "continuous")
            place = (variable.type, variable.reference, column.element)
            turn = read[place] if verb == "Get" else 0
            read[place] += 1
            order.setdefault((variable.type, discrete), {}).setdefault((variable.reference, turn), []).append((index, column))
        table = _Table((Group * max(len(order), 1))(), len(order))
        for number, ((kind, discrete), variables) in enumerate(order.items()):
            code, dtype = number_type(kind, md.major)
            places: list[int] = []
            parts = []
            for uses in variables.values():
                variable = uses[0][1].variable
                size = md.size(variable, self._sizes)
                elements = [-1] * size
                for index, column in uses:
                    if column.element >= size:
                        raise ModelError("refused", f"'{variable.name}' has {size} elements, not {column.element + 1}")
                    elements[column.element] = index
                places += elements
                own = verb == "Set" and -1 in elements
                table.whole = table.whole and not own
                parts.append(np.asarray(start_of(variable) if own else [0] * size, dtype))
            buffer = np.concatenate(parts) if parts else np.zeros(1, dtype)
            references, targets = (c_uint32 * len(variables))(*(one for one, _ in variables)), (c_int32 * len(places))(*places)
            function = self._functions.get(verb + type_name(kind, md.major))
            table.groups[number] = Group(
                type=code,
                discrete=discrete,
                direct=_direct(kind, places, columns, verb),
                n_references=len(variables),
                n_values=len(places),
                references=references,
                columns=targets,
                buffer=buffer.ctypes.data,
                function=function,
            )
            table.kept += [buffer, references, targets]
        return table


def tolerance_of(settings: Settings, description: ModelDescription) -> float:
    """The relative tolerance of the integrator."""
    given = settings.tolerance if settings.tolerance is not None else description.experiment.tolerance
    return min(max(given or 1e-6, 1e-13), 1e-1)


def _direct(kind: str, places: Sequence[int], columns: Sequence[Column], verb: str) -> int:
    """The column from which on the doubles of a group lie in a row as the FMU takes them; -1 where they have to be copied."""
    if kind != "Float64" or not places or places[0] < 0 or list(places) != list(range(places[0], places[0] + len(places))):
        return -1
    return -1 if verb == "Set" and any(columns[one].hold == "next" for one in places) else places[0]
