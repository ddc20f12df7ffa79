"""An FMU being run: which of its variables are inputs and outputs, started, advanced over a grid, saved and resumed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from ctypes import c_size_t, c_void_p
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from twinwright.simulation.fmi import abi
from twinwright.simulation.fmi.abi import Loops, Report
from twinwright.simulation.fmi.archive import open_archive
from twinwright.simulation.fmi.description import Interface, Kind, ModelDescription, Variable
from twinwright.simulation.fmi.instance import FATAL, Instance, Instance2, Instance3, resources_for, update_discrete_states
from twinwright.simulation.fmi.layout import FUNCTIONS, Column, Layout, Settings
from twinwright.simulation.fmi.library import Library, choose, find_library
from twinwright.simulation.fmi.native import loops as all_loops
from twinwright.simulation.fmi.read import read_description
from twinwright.simulation.fmi.static_data import StaticData, static_data
from twinwright.simulation.protocol import Floats, ModelError

Starts = Mapping[str, Sequence[Any]]
_MOST_LAYOUTS = 4
_living: dict[Path, list[Instance]] = {}  # by library: its static data is that of all its instances, whichever unit made them


class Unit:
    """An FMU unpacked and loaded in this process, from which sessions are started. Only in a child: it runs the FMU's code."""

    def __init__(self, body: bytes, name: str, folder: Path, kind: Kind | None = None, loops: Loops | None = None) -> None:
        archive = open_archive(body, name)
        self.description: ModelDescription = read_description(archive)
        self.interface: Interface = choose(self.description, kind)
        self.folder = folder
        if not folder.exists():
            part = folder.with_name(folder.name + ".part")
            archive.unpack(part)
            part.rename(folder)
        named = (folder / "resources").absolute()
        named.mkdir(exist_ok=True)
        self.resources = resources_for(named, self.description.major)
        path = find_library(archive, folder, self.description, self.interface)
        self.library = Library(path, self.description, self.interface)
        self.loops = loops or all_loops()
        major = self.description.major
        flags = self.interface
        state = ("canGetAndSetFMUstate", "canSerializeFMUstate") if major == 2 else ("canGetAndSetFMUState", "canSerializeFMUState")
        self.can_save = all(flags.has(one) for one in state)
        self.idle: list[Instance] = []  # reset, and ready to be started again
        self.layouts: list[Layout] = []  # of sessions that have ended
        self._as_loaded: StaticData | None = None
        self.alone = flags.has("canBeInstantiatedOnlyOncePerProcess")
        if not self.alone:
            libraries = [*self.library.dependencies, (path, self.library.handle)]
            self._as_loaded = static_data(libraries, self.loops.libraries())

    @property
    def refreshable(self) -> bool:
        """Whether the process can be made what it was when the FMU had been loaded."""
        return self._as_loaded is not None

    def refresh(self) -> bool:
        """Free every instance and put static data back. False where that can't be: the process is used up."""
        left, self.idle = _living.pop(self.library.path, []), []
        if self._as_loaded is None or (left and any(one.dead for one in left)):
            return False
        for one in left:
            one.free()
        self._as_loaded.put_back()
        return True

    def instance(self, settings: Settings) -> Instance:
        """A fresh instance, or one that was given back."""
        while self.idle:
            instance = self.idle.pop()
            if instance.handle is None:
                continue
            try:
                instance.reset()
            except ModelError:
                instance.free()
                continue
            instance.idle = False
            return instance
        if self.alone:
            self._make_room()
        made = (Instance2 if self.description.major == 2 else Instance3)(self.library, self.description, self.interface, self.loops)
        made.instantiate(self.resources, logging=settings.logging, event_mode=settings.event_mode)
        _living[self.library.path] = [*(one for one in _living.get(self.library.path, ()) if one.handle), made]
        return made

    def _make_room(self) -> None:
        """For the one instance that there may be in a process. Raises ModelError (`refused`) where another is at work."""
        for one in _living.get(self.library.path, ()):
            if one.handle and not one.idle:
                what = f"{self.description.name} says that a process can have only one instance of it, and there is one"
                raise ModelError("refused", what, remedy="Use it once in a composite, or export it without that limit")
            one.free()

    def give_back(self, instance: Instance) -> None:
        """Keep an instance for the next session, if it can be used again."""
        if instance.dead or instance.handle is None:
            return
        try:
            instance.terminate()
        except ModelError:
            instance.free()
            return
        instance.idle = True
        self.idle.append(instance)

    def left_layout(self, inputs: Sequence[Column], outputs: Sequence[Column], settings: Settings) -> Layout | None:
        """What a session with these columns has left, for another."""
        at = next((at for at, one in enumerate(self.layouts) if one.fits(inputs, outputs, settings)), None)
        return None if at is None else self.layouts.pop(at)

    def address(self, name: str) -> int:
        """Where a function is, named without `fmi2` or `fmi3`. Raises ModelError (`refused`)."""
        if name not in self.library.functions:
            raise ModelError("refused", f"the FMU has no function fmi{self.description.major}{name}")
        return self.library.functions[name]

    def check_setting(self, name: str) -> Variable:
        """The variable that a start value may be given to. Raises ModelError (`refused`)."""
        variable = self.description.by_name.get(name)
        if variable is None:
            raise ModelError("refused", f"the FMU has no variable '{name}'")
        if not variable.settable:
            what, remedy = variable.unsettable
            raise ModelError("refused", what, remedy=remedy)
        return variable


class TerminatedError(ModelError):
    """The FMU ended its simulation by itself; `rows` samples had been computed."""

    def __init__(self, what: str, rows: int) -> None:
        super().__init__("raised", what, remedy="This is its own decision: see its log, or run it for a shorter time")
        self.rows = rows


class StiffError(ModelError):
    """An explicit method would take for ever: an implicit one is needed."""


class Session:
    """One instance on its way through time."""

    def __init__(self, unit: Unit, inputs: Sequence[Column], outputs: Sequence[Column], settings: Settings) -> None:
        self.unit, self.settings = unit, settings
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.instance = unit.instance(settings)
        self.report = Report()
        self.sizes: dict[int, int] = {}
        self.layout: Layout | None = None

    # --- starting ---

    def start(self, time: float, starts: Starts, row: Floats, following: Floats) -> None:
        """Initialise at `time` with start values by name and the inputs of the first two samples. Raises ModelError."""
        one, md, settings = self.instance, self.unit.description, self.settings
        tolerance = settings.tolerance if settings.tolerance is not None else md.experiment.tolerance
        checked = [(self.unit.check_setting(name), values) for name, values in starts.items()]
        if isinstance(one, Instance2):
            one.setup(time, settings.stop, tolerance)
        structural = [(variable, values) for variable, values in checked if variable.causality == "structuralParameter"]
        if structural:
            one.call("EnterConfigurationMode")
            for variable, values in structural:
                self.set_values(variable, values)
                self.sizes[variable.reference] = int(values[0])
            one.call("ExitConfigurationMode")
        for variable, values in checked:
            if variable.causality != "structuralParameter":
                self.set_values(variable, values)
        one.enter_initialization(time, settings.stop, tolerance)
        self.bind()
        self.unit.loops.first_inputs(self.engine, time, row, following, self.report)
        self.judge()
        one.call("ExitInitializationMode")
        if self.unit.interface.kind == "me":
            self.engine.next_event = update_discrete_states(one, time)
            one.call("EnterContinuousTimeMode")
            self.fetch()
        elif settings.event_mode:
            update_discrete_states(one, time)
            one.call("EnterStepMode")

    def set_values(self, variable: Variable, values: Sequence[Any]) -> None:
        """Start values of one variable: one for each element, or one for all. Raises ModelError."""
        size = self.unit.description.size(variable, self.sizes)
        if len(values) not in (1, size):
            raise ModelError("refused", f"'{variable.name}' has {size} elements, {len(values)} values are given")
        filled = list(values) * (size if len(values) == 1 else 1)
        if variable.type == "String":
            self.instance.set_texts(variable.reference, filled)
        elif variable.type == "Binary":
            self.instance.set_binaries(variable.reference, filled)
        else:
            self.instance.set_numbers(variable.type, [variable.reference], filled)

    def change(self, time: float, values: Mapping[str, Sequence[Any]]) -> None:
        """Give discrete variables other values at `time`, in the mode in which they may be set. Raises ModelError."""
        one, exchange = self.instance, self.unit.interface.kind == "me"
        if exchange or self.settings.event_mode:
            one.call("EnterEventMode")
        for name, given in values.items():
            self.set_values(self.unit.check_setting(name), given)
        if exchange:
            self.engine.next_event = update_discrete_states(one, time)
            one.call("EnterContinuousTimeMode")
            self.fetch()
            self.engine.h = 0.0
        elif self.settings.event_mode:
            update_discrete_states(one, time)
            one.call("EnterStepMode")

    def get_values(self, variable: Variable) -> list[Any]:
        """The values of all elements of a variable now."""
        size = self.unit.description.size(variable, self.sizes)
        if variable.type == "String":
            return list(self.instance.get_texts(variable.reference, size))
        if variable.type == "Binary":
            return list(self.instance.get_binaries(variable.reference, size))
        return list(self.instance.get_numbers(variable.type, [variable.reference], size).tolist())

    def bind(self) -> None:
        """Lay out what the loop needs, or take what a session before this one has left."""
        unit, columns = self.unit, (self.inputs, self.outputs, self.settings)
        layout = unit.left_layout(*columns) if not self.sizes else None
        if layout is None:
            asked = (unit.description, unit.interface, unit.library.functions)
            layout = Layout(*asked, *columns, sizes=self.sizes, start_of=self.get_values)
        layout.begin(self.instance.handle)
        self.layout, self.engine = layout, layout.engine
        self.x, self.z, self.nominal, self.last = layout.x, layout.z, layout.nominal, layout.last

    def fetch(self) -> None:
        """Take states, nominals and indicators from the FMU."""
        for name, values, count in self._continuous():
            if count:
                self.instance.call(name, (c_void_p, c_size_t), values.ctypes.data, count)
        self.nominal[~(np.abs(self.nominal) > 0)] = 1.0
        np.abs(self.nominal, out=self.nominal)

    def _continuous(self) -> list[tuple[str, Any, int]]:
        nx, nz = self.engine.nx, self.engine.nz
        return [
            ("GetContinuousStates", self.x, nx),
            ("GetNominalsOfContinuousStates", self.nominal, nx),
            ("GetEventIndicators", self.z, nz),
        ]

    # --- running ---

    def now(self, time: float) -> Floats:
        """The outputs at this instant, as a row."""
        row = np.zeros(max(len(self.outputs), 1))
        self.unit.loops.outputs(self.engine, time, row, self.report)
        self.judge()
        return row[: len(self.outputs)]

    def advance(self, times: Floats, inputs: Floats, outputs: Floats) -> None:
        """Run from times[0] to times[-1], filling `outputs` after its first row. All contiguous doubles. Raises ModelError."""
        if self.unit.interface.kind != "me":
            self.unit.loops.cosimulate(self.engine, times, inputs, outputs, self.report)
        elif self.settings.method in abi.METHODS:
            self.unit.loops.exchange(self.engine, times, inputs, outputs, self.report)
        else:
            from twinwright.simulation.fmi.python_engine import exchange_by_scipy

            exchange_by_scipy(self.engine, times, inputs, outputs, self.report, self.settings.method)
        if self.report.code == abi.TERMINATED:
            self._last(times, outputs)
        self.judge()

    def _last(self, times: Floats, outputs: Floats) -> None:
        """The sample at which the FMU ended by itself, where it is one: it was reached, and what it gives there can be had."""
        rows, told = max(int(self.report.rows), 1), Report()
        if rows < times.size and math.isclose(self.report.time, times[rows], rel_tol=1e-9):
            row = np.zeros(max(len(self.outputs), 1))
            self.unit.loops.outputs(self.engine, float(times[rows]), row, told)
            if told.code == abi.OK:
                outputs[rows], self.report.rows = row[: len(self.outputs)], rows + 1

    def judge(self) -> None:
        """Raise what the loop reported."""
        report = self.report
        if report.code == abi.OK:
            return
        at = f"at t = {report.time:.9g} s"
        if report.code == abi.FAILED:
            name = {abi.SET_INPUT: "Set (inputs)", abi.GET_OUTPUT: "Get (outputs)"}.get(report.function)
            name = name or FUNCTIONS[report.function][self.unit.description.major - 2]
            self.instance.judge(name, report.status if report.status != FATAL else FATAL, report.time)
        if report.code == abi.NOT_FINITE:
            states = [one.name for one in self.unit.description.states()]
            name = states[report.function] if report.function < len(states) else "a derivative"
            raise ModelError(
                "nan", f"state '{name}' of the FMU is not finite {at}", remedy="Look for a division by zero or a step too long"
            )
        if report.code == abi.TERMINATED:
            raise TerminatedError(f"the FMU ended the simulation {at}", max(int(report.rows), 1))
        if report.code == abi.TOO_SMALL_STEP:
            raise StiffError("raised", f"the step became too small: the model is stiff or jumps {at}", remedy="Use method BDF or Radau")
        messages = {
            abi.DISCARDED: ("the FMU can't do this step", "Try a shorter step"),
            abi.ENDLESS_EVENTS: ("events follow each other without end", "Look for a condition that undoes itself (Zeno)"),
        }
        what, remedy = messages[report.code]
        raise ModelError("raised", f"{what} {at}", remedy=remedy)

    # --- saving ---

    def save(self) -> bytes:
        """All that it remembers, to be restored in another session. Raises ModelError where the FMU can't."""
        driver = [self.engine.h, self.engine.next_event]
        arrays = [one.tobytes() for one in (self.x, self.z, self.nominal, self.last)]
        return msgspec.msgpack.encode([self.instance.save(), driver, arrays])

    def restore(self, data: bytes) -> None:
        """Continue from what `save` gave; the session has been started with the same start values."""
        fmu, driver, arrays = msgspec.msgpack.decode(data, type=tuple[bytes, list[float], list[bytes]])
        self.instance.restore(fmu)
        self.engine.h, self.engine.next_event = driver
        for target, content in zip((self.x, self.z, self.nominal, self.last), arrays, strict=True):
            target[:] = np.frombuffer(content)

    def close(self) -> None:
        """Give the instance back, and what was laid out for it."""
        self.unit.give_back(self.instance)
        if self.layout is not None and self.layout.reusable and len(self.unit.layouts) < _MOST_LAYOUTS:
            self.unit.layouts.append(self.layout)
        self.layout = None
