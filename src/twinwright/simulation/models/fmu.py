"""Kind `fmu`: a Functional Mock-up Unit of FMI 2.0 or 3.0, for co-simulation or model exchange.

Inputs, states, outputs and parameters are bound to variables of the FMU by their own names or by `variable:`. Where a port has
no unit, it has the FMU's; where it has another, values are converted. What neither a port nor a setting names keeps its start
value.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np
from pydantic import Field

from twinwright.documents import Document, Problems, Spec
from twinwright.simulation.declaration import (
    DurationText,
    InputSpec,
    ModelSpec,
    Name,
    OutputSpec,
    ParameterSpec,
    StateSpec,
    duration_seconds,
)
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.fmi.abi import METHODS
from twinwright.simulation.fmi.binding import Bound, complete, dependencies, settable, setting
from twinwright.simulation.protocol import Advance, Capabilities, Floats, ModelError, State, Trajectory
from twinwright.simulation.trajectory import check_finite, initial_state
from twinwright.units import Affine

_VARIABLE = Field(default=None, description="the FMU's variable, such as pump.w or u[2]; its own name unless given")
MAX_LIVE = 4  # instances that are kept at the end of a run because they can't be saved


class FmuInputSpec(InputSpec):
    """An input of the FMU."""

    variable: str | None = _VARIABLE


class FmuStateSpec(StateSpec):
    """A variable of the FMU whose start is given, estimated or observed. Without `start` and `property` it is the FMU's."""

    variable: str | None = _VARIABLE


class FmuOutputSpec(OutputSpec):
    """Any variable of the FMU that is recorded."""

    variable: str | None = _VARIABLE


class FmuParameterSpec(ParameterSpec):
    """A parameter of the FMU. Without `value` it is the FMU's."""

    value: float | None = Field(default=None, description="the value used until a parameter set is promoted; the FMU's unless given")  # type: ignore[assignment] # may be left out
    variable: str | None = _VARIABLE


class FmuSolverSpec(Spec):
    """How model exchange is integrated: `euler`, `rk4`, `dopri5` (adaptive) are compiled; SciPy's are for stiff models."""

    method: Literal["euler", "rk4", "dopri5", "RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA"] = Field(
        default="dopri5", description="Euler, Runge-Kutta, Dormand-Prince, or one of SciPy's"
    )
    tolerance: float | None = Field(default=None, gt=0, lt=1, description="relative; the FMU's own unless given, else 1e-6")
    max_step: DurationText | None = Field(default=None, description="the longest internal step; the model's step unless given")


class FmuSpec(ModelSpec):
    """A model file of kind `fmu`; `artefact` is the .fmu beside it."""

    inputs: dict[Name, FmuInputSpec] = Field(default_factory=dict, description="by name, in the order of `u`")
    states: dict[Name, FmuStateSpec] = Field(default_factory=dict, description="by name, in the order of `x`")
    outputs: Annotated[dict[Name, FmuOutputSpec], Field(min_length=1, description="by name, in the order of `y`")]
    parameters: dict[Name, FmuParameterSpec] = Field(default_factory=dict, description="by name, in the order of `p`")
    run: Literal["cs", "me"] | None = Field(default=None, description="co-simulation where there is one, unless given")
    solver: FmuSolverSpec = Field(default=FmuSolverSpec(), description="of model exchange")
    communication_step: DurationText | None = Field(default=None, description="of co-simulation; the model's step unless given")
    start_time: float = Field(default=0.0, description="the FMU's own time at the beginning of a run, in seconds")
    settings: dict[str, float | bool | str | list[float] | list[str]] = Field(
        default_factory=dict, description="start values of further variables, in the FMU's own units"
    )
    logging: bool = Field(default=False, description="let the FMU write what it does into the run's log")
    event_mode: bool | None = Field(default=None, description="of FMI 3.0 co-simulation; used where there are clocks unless given")


class FmuModel:
    """An FMU, unpacked and loaded; each trajectory has an instance of its own, taken from a pool."""

    Spec: ClassVar[type[Spec]] = FmuSpec
    complete = staticmethod(complete)

    @staticmethod
    def check(spec: Any, document: Document, artefacts: Mapping[str, bytes], problems: Problems) -> None:
        """Nothing beyond what `complete` has found."""

    @staticmethod
    def feedthrough(definition: ModelDefinition) -> dict[str, tuple[str, ...]]:
        """As the model structure of the FMU has it."""
        return dependencies(definition)

    @staticmethod
    def warm_up() -> None:
        """Compile or load the stepping loops."""
        from twinwright.simulation.fmi.native import loops

        loops()

    def __init__(self, definition: ModelDefinition, folder: Path) -> None:
        from twinwright.simulation.fmi.layout import Column
        from twinwright.simulation.fmi.session import Unit

        body = (folder / definition.artefact).read_bytes()
        self.definition, self.options = definition, definition.options
        place = folder / f".fmu-{hashlib.sha256(body).hexdigest()[:16]}"
        self.unit = Unit(body, definition.artefact, place, self.options["run"])
        md = self.unit.description
        bindings = {section: [Bound(*one) for one in rows] for section, rows in self.options["bindings"].items()}
        self.bindings: dict[str, list[Bound]] = bindings
        holds = {one.name: one.hold for one in definition.inputs}
        self.inputs = [Column(md.by_name[one.variable], one.element, holds[one.port]) for one in bindings["inputs"]]
        self.outputs = [Column(md.by_name[one.variable], one.element) for one in (*bindings["outputs"], *bindings["states"])]
        self.settings = self._settings()
        if self.settings.method not in METHODS:
            import_module("scipy.integrate")  # once where the model is loaded, and not in every run
        self.fixed = {name: setting(md, settable(md, name), value) for name, value in self.options["settings"].items()}
        shown = (*bindings["outputs"], *bindings["states"])
        self._to_ports = [one.to_port for one in shown] if any((one.factor, one.offset) != (1.0, 0.0) for one in shown) else []
        self._names = [one.name for one in definition.outputs], [one.name for one in definition.states]
        self._last: tuple[Any, ...] = (None, None, None, None)
        self.live: OrderedDict[str, Any] = OrderedDict()
        self._again: _Again | None = None
        self._is_known = False  # whether there is a quick way, as soon as a session has ended
        self.warnings = (*((self.unit.loops.warning,) if self.unit.loops.warning else ()), *md.still_clocks)
        exchange = self.unit.interface.kind == "me"
        equal = not exchange and not self.unit.interface.has("canHandleVariableCommunicationStepSize")
        self.capabilities = Capabilities(
            step=definition.step if equal else None,
            events=exchange or self.settings.event_mode,
            save_state=self.unit.can_save,
            draws=False,
            shares_process=self.unit.refreshable and (not exchange or self.settings.method in METHODS),
        )

    def refresh(self) -> bool:
        """See SimulationModel."""
        self.live.clear()
        ended = self._again is None or self._again.runs.end()
        return bool(self.unit.refresh()) and ended

    def _settings(self) -> Any:
        from twinwright.simulation.fmi.layout import Settings

        solver = FmuSolverSpec.model_validate(self.options["solver"])
        step, communication = self.definition.step, self.options["communication_step"]
        clocks = any(one.type == "Clock" for one in self.unit.description.variables)
        wanted = self.options["event_mode"] if self.options["event_mode"] is not None else clocks
        substeps = max(1, round(step / duration_seconds(communication))) if communication else 1
        return Settings(
            method=solver.method,
            max_step=duration_seconds(solver.max_step) if solver.max_step else step,
            tolerance=solver.tolerance,
            substeps=substeps,
            step=step / substeps,
            logging=bool(self.options["logging"]),
            event_mode=wanted and self.unit.interface.has("hasEventMode"),
        )

    def initial(self, parameters: Mapping[str, float], states: Mapping[str, float], time: float = 0.0) -> State:
        state = initial_state(self.definition, parameters, states, time)
        values = self.definition.defaults() | dict(parameters)
        return replace(state, opaque=_encode(float(time), self._starts(values, state.values), None, ""))

    def _starts(self, parameters: Mapping[str, float], states: Floats) -> dict[str, list[Any]]:
        """What is set before initialisation, by variable."""
        starts: dict[str, list[Any]] = {name: list(one) for name, one in self.fixed.items()}
        given = [*zip(self.bindings["states"], states.tolist(), strict=True)]
        given += [(bound, parameters[bound.port]) for bound in self.bindings["parameters"]]
        for bound, value in given:
            variable = self.unit.description.by_name[bound.variable]
            if bound.variable not in starts:
                first, size = list(variable.start or (0,)), self.unit.description.size(variable)
                starts[bound.variable] = first * size if len(first) == 1 else first
            number = bound.to_fmu(value)
            starts[bound.variable][bound.element] = number if variable.type.startswith("Float") else round(number)
        return starts

    def run_again(self, parameters: Mapping[str, float], states: Mapping[str, float], times: Floats, inputs: Floats) -> Trajectory | None:
        """See RunsAgain."""
        if not self._is_known:
            self._is_known, self._again = True, _Again.of(self)
        again = self._again
        if again is None or parameters.keys() != again.names or times[0] != 0.0:
            return None
        given = initial_state(self.definition, parameters, states, 0.0).values.tolist() if self.bindings["states"] else []
        given += [parameters[one.port] for one in self.bindings["parameters"]]
        for (values, element, convert), value in zip(again.places, given, strict=True):
            values[element] = convert(value)
        numbers = np.empty((times.size, len(self.outputs)))
        again.runs.run(*self._as_fmu(times, inputs, again=True), numbers)
        return self._trajectory(numbers, times)

    def advance(self, state: State, times: Floats, inputs: Floats) -> Advance:
        return self._advanced(state, times, inputs, keep=True)

    def advance_to_end(self, state: State, times: Floats, inputs: Floats) -> Advance:
        """As `advance`, and nobody goes on from there: to save an FMU's state may take longer than the run."""
        return self._advanced(state, times, inputs, keep=False)

    def _advanced(self, state: State, times: Floats, inputs: Floats, *, keep: bool) -> Advance:
        begun, starts, saved, token = msgspec.msgpack.decode(state.opaque, type=tuple[float, dict[str, list[Any]], bytes | None, str])
        at, rows = self._as_fmu(times, inputs, again=not keep)
        session = self._session(state, begun, starts, saved, token, rows)
        numbers = np.zeros((at.size, len(self.outputs)))
        numbers[0] = session.now(float(at[0]))
        if at.size > 1:
            session.advance(at, rows, numbers)
        outputs, states = self._trajectory(numbers, times)
        if not keep:
            session.close()
            return Advance(State(float(times[-1]), states[-1].copy(), state.parameters), outputs, states)
        token = "" if self.unit.can_save else hashlib.sha256(state.opaque + at.tobytes() + rows.tobytes()).hexdigest()
        opaque = _encode(begun, starts, self._keep(session, token), token)
        return Advance(State(float(times[-1]), states[-1].copy(), state.parameters, opaque), outputs, states)

    def _trajectory(self, numbers: Floats, times: Floats) -> Trajectory:
        """What the FMU gave as outputs and states. Raises ModelError (`nan`)."""
        values = _converted(numbers, self._to_ports) if self._to_ports else numbers
        shown, kept = self._names
        outputs, states = np.ascontiguousarray(values[:, : len(shown)]), np.ascontiguousarray(values[:, len(shown) :])
        check_finite("output", shown, times, outputs)
        if kept:
            check_finite("state", kept, times, states)
        return outputs, states

    def _as_fmu(self, times: Floats, inputs: Floats, *, again: bool) -> tuple[Floats, Floats]:
        """Times and inputs as the FMU takes them. `again`: they are of a whole run, as most runs of a process have them, and are known
        as the objects that they are."""
        if again and self._last[0] is times and self._last[1] is inputs:
            return self._last[2], self._last[3]
        at = np.ascontiguousarray(times + self.options["start_time"], np.float64)
        rows = _converted(inputs, [one.to_fmu for one in self.bindings["inputs"]])
        self._last = (times, inputs, at, rows) if again else (None,) * 4
        return at, rows

    def _session(self, state: State, begun: float, starts: dict[str, list[Any]], saved: bytes | None, token: str, rows: Floats) -> Any:
        """The instance at a state: where it is already, started afresh, or restored."""
        from twinwright.simulation.fmi.session import Session

        if token:
            if token not in self.live:
                raise ModelError(
                    "refused",
                    f"the FMU can't save its state, and no instance of it is at t = {state.time:g} s any more",
                    remedy="Run it from its start, or export it with canSerializeFMUState",
                )
            return self.live.pop(token)
        while self.unit.alone and self.live:
            self.live.popitem(last=False)[1].close()
        session = Session(self.unit, self.inputs, self.outputs, self.settings)
        start = (begun if saved is not None else state.time) + self.options["start_time"]
        session.start(start, starts, rows[0].copy(), rows[min(1, len(rows) - 1)].copy())
        if saved is not None:
            session.restore(saved)
        return session

    def _keep(self, session: Any, token: str) -> bytes | None:
        if self.unit.can_save:
            saved: bytes = session.save()
            session.close()
            return saved
        self.live[token] = session
        while len(self.live) > MAX_LIVE:
            self.live.popitem(last=False)[1].close()
        return None


@dataclass(frozen=True, slots=True)
class _Again:
    """How runs that follow another in one process are begun: where each state and parameter goes, and by which conversion."""

    runs: Any
    names: frozenset[str]
    places: list[tuple[Any, int, Callable[[float], float | int]]]

    @classmethod
    def of(cls, model: FmuModel) -> _Again | None:
        """None where only sessions will do."""
        from twinwright.simulation.fmi.whole_run import WholeRuns

        states = np.zeros(len(model.bindings["states"]))
        starts, begin = model._starts(model.definition.defaults(), states), float(model.options["start_time"])
        try:
            runs = WholeRuns(model.unit, model.inputs, model.outputs, model.settings, starts, begin)
        except ModelError:
            return None
        places: list[tuple[Any, int, Callable[[float], float | int]]] = []
        for one in (*model.bindings["states"], *model.bindings["parameters"]):
            is_float = model.unit.description.by_name[one.variable].type.startswith("Float")
            convert = Affine(one.factor, one.offset).apply
            places.append((runs.values[one.variable], one.element, convert if is_float else _rounding(convert)))
        return cls(runs, frozenset(model.definition.defaults()), places)


def _rounding(convert: Callable[[float], float]) -> Callable[[float], int]:
    return lambda value: round(convert(value))


def _converted(values: Floats, conversions: Sequence[Callable[[Any], Any]]) -> Floats:
    """Each column by its own conversion, in rows that lie one after the other."""
    converted = np.empty((values.shape[0], len(conversions)))
    for index, convert in enumerate(conversions):
        converted[:, index] = convert(values[:, index])
    return converted


def _encode(begun: float, starts: dict[str, list[Any]], saved: bytes | None, token: str) -> bytes:
    return msgspec.msgpack.encode((begun, starts, saved, token))
