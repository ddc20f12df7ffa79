"""The loops of engine.c in Python, for machines without a C compiler: the same arithmetic in the same order, far slower."""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, c_char_p, c_int, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

from twinwright.simulation.fmi.abi import Engine, Report
from twinwright.simulation.fmi.python_exchange import Exchange
from twinwright.simulation.fmi.python_loop import Loop, LoopEndedError

_LOGGER2 = CFUNCTYPE(None, c_void_p, c_char_p, c_int, c_char_p, c_char_p)
_LOGGER3 = CFUNCTYPE(None, c_void_p, c_int, c_char_p, c_char_p)


class PythonLoops:
    """The loops, in Python."""

    compiled = False

    def __init__(self, warning: str | None = None) -> None:
        self.warning = warning
        self._said = ""
        self._log2 = _LOGGER2(lambda _, __, status, category, message: self._keep(status, category, message))
        self._log3 = _LOGGER3(lambda _, status, category, message: self._keep(status, category, message))
        self._finished = CFUNCTYPE(None, c_void_p, c_int)(lambda _, __: None)
        libc = ctypes.CDLL(None)
        addresses = [ctypes.cast(one, c_void_p).value for one in (self._log2, libc.calloc, libc.free, self._finished)]
        self._callbacks2 = (c_void_p * 5)(*addresses, None)

    def _keep(self, status: int, category: bytes | None, message: bytes | None) -> None:
        text = (message or b"").decode(errors="replace")
        self._said = text if 0 < status != 5 else self._said
        print(f"FMU: {(category or b'').decode(errors='replace')}: {text}", flush=True)  # noqa: T201 -- the run's log

    def callbacks2(self) -> int:
        return ctypes.addressof(self._callbacks2)

    def logger3(self) -> int:
        return ctypes.cast(self._log3, c_void_p).value or 0

    def libraries(self) -> list[tuple[Path, ctypes.CDLL]]:
        return []

    def last_message(self) -> str:
        said, self._said = self._said, ""
        return said.strip()

    def cosimulate(self, engine: Engine, times: Any, inputs: Any, outputs: Any, report: Report) -> None:
        _run(Loop(engine, report).cosimulate, times, inputs, outputs)

    def exchange(self, engine: Engine, times: Any, inputs: Any, outputs: Any, report: Report) -> None:
        _run(Exchange(engine, report).exchange, times, inputs, outputs)

    def first_inputs(self, engine: Engine, time: float, row: Any, following: Any, report: Report) -> None:
        _run(Loop(engine, report).set_inputs, row, following, 0.0, True, False, time)

    def outputs(self, engine: Engine, time: float, row: Any, report: Report) -> None:
        _run(Loop(engine, report).get_outputs, row, time)


def exchange_by_scipy(engine: Engine, times: Any, inputs: Any, outputs: Any, report: Report, method: str) -> None:
    """Model exchange by one of SciPy's solvers; else as `exchange`."""
    from twinwright.simulation.fmi.scipy_exchange import ScipyExchange

    _run(ScipyExchange(engine, report, method).exchange, times, inputs, outputs)


def _run(function: Any, *arguments: Any) -> None:
    try:
        with np.errstate(all="ignore"):
            function(*arguments)
    except LoopEndedError:
        pass
