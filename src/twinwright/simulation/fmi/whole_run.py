"""Runs of one FMU that follow each other in one process, each from instantiation to termination in one call of compiled code.

A `Session` makes some twenty calls of a run, which takes longer than a short run itself. A process that has had one run of an FMU by a
session knows how its columns are laid out, and of most that what is set before initialisation are plain numbers: of these the calls of
the next runs are the same, in the same order (whole_run.c).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ctypes import byref, c_void_p
from typing import Any

import numpy as np

from twinwright.simulation.fmi import abi
from twinwright.simulation.fmi.abi import Start, WholeRun, number_type
from twinwright.simulation.fmi.description import NUMERIC
from twinwright.simulation.fmi.instance import type_name
from twinwright.simulation.fmi.layout import Column, Settings
from twinwright.simulation.fmi.native import NativeLoops
from twinwright.simulation.fmi.session import Unit
from twinwright.simulation.protocol import Floats, ModelError


class WholeRuns:
    """`values` are what is set before initialisation, by variable: who begins a run changes their elements."""

    def __init__(
        self,
        unit: Unit,
        inputs: Sequence[Column],
        outputs: Sequence[Column],
        settings: Settings,
        starts: Mapping[str, Sequence[Any]],
        time: float,
    ) -> None:
        """`starts` and `time` as `Session.start` takes them. Raises ModelError (`refused`) for runs that only a session can do."""
        layout = unit.left_layout(inputs, outputs, settings)
        variables = [unit.check_setting(name) for name in starts]
        exchange, major = unit.interface.kind == "me", unit.description.major
        if layout is None or not isinstance(unit.loops, NativeLoops) or (exchange and settings.method not in abi.METHODS):
            raise ModelError("refused", "the run is not laid out as compiled code takes it")
        if any(one.type not in NUMERIC or one.causality == "structuralParameter" for one in variables):
            raise ModelError("refused", "not all that is set before initialisation are numbers of a known count")
        self.values = {
            one.name: np.full(unit.description.size(one), starts[one.name], number_type(one.type, major)[1]) for one in variables
        }
        rows = (Start * max(len(variables), 1))()
        for row, one in zip(rows, variables, strict=False):
            values, setter = self.values[one.name], unit.address("Set" + type_name(one.type, major))
            row.reference, row.n_values, row.values, row.function = one.reference, values.size, values.ctypes.data, setter
        make = "Instantiate" if major == 2 else "InstantiateModelExchange" if exchange else "InstantiateCoSimulation"
        names = (make, "SetupExperiment" if major == 2 else "GetVersion", "EnterInitializationMode", "ExitInitializationMode")
        addresses = [unit.address(name) for name in (*names, "Terminate", "FreeInstance")]
        tolerance = settings.tolerance if settings.tolerance is not None else unit.description.experiment.tolerance
        self._plan = WholeRun(
            exchange=exchange,
            logging=settings.logging,
            tolerance_known=tolerance is not None,
            tolerance=tolerance or 0.0,
            start=time,
            name=unit.description.name.encode(),
            token=unit.description.token.encode(),
            resources=unit.resources,
            functions=(c_void_p * 6)(*addresses),
            n_starts=len(variables),
            starts=rows,
        )
        self._kept = layout, rows
        self._end = unit.loops.library.tw_end_run
        self._run = unit.loops.library.tw_whole_run
        self._at = byref(self._plan), byref(layout.engine)
        self._last: tuple[Any, ...] = (None, None, 0, 0)  # times and inputs, which most runs have in common, and where they are

    def run(self, times: Floats, inputs: Floats, outputs: Floats) -> None:
        """Fill every row of `outputs`. All contiguous doubles. Raises ModelError, which does not say what went wrong: a session can."""
        if self._last[0] is not times or self._last[1] is not inputs:
            self._last = times, inputs, times.ctypes.data, inputs.ctypes.data
        if not self._run(*self._at, self._last[2], times.size, self._last[3], outputs.ctypes.data):
            raise ModelError("raised", "the FMU did not come to its end", remedy="Run it alone, which says why")

    def end(self) -> bool:
        """Let the instance of the run go. False where the process is used up."""
        return bool(self._end(*self._at))
