"""Model exchange by SciPy's solvers, for stiff models: steps of BDF, Radau or LSODA, events as in the loops of ours."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinwright.simulation.fmi import abi
from twinwright.simulation.fmi.abi import Engine, Report
from twinwright.simulation.fmi.python_exchange import Exchange

METHODS = ("RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA")


class ScipyExchange(Exchange):
    """A solver is begun afresh at each sample and after each event, so that a run can be split at any sample."""

    def __init__(self, engine: Engine, report: Report, method: str) -> None:
        super().__init__(engine, report)
        self.method = method

    def solver(self, interval: Any, t: float, target: float) -> Any:
        import scipy.integrate

        made: Any = getattr(scipy.integrate, self.method)
        return made(
            lambda time, x: self.derive(interval, time, np.ascontiguousarray(x)),
            t,
            self.x.copy(),
            target,
            rtol=self.e.rtol,
            atol=self.e.rtol * self.nominal,
            max_step=self.e.max_step,
        )

    def integrate(self, interval: Any, t: float, end: float) -> float:
        if not self.x.size:
            return super().integrate(interval, t, end)
        solver: Any = None
        quiet = 0
        while t < end:
            target = min(end, self.e.next_event)
            if target <= t:
                self.after_event(interval, False, t)
                solver, quiet = None, quiet + 1
                if quiet > 1000:
                    raise self.fail(abi.ENDLESS_EVENTS, 0, abi.UPDATE_DISCRETE_STATES, t)
                continue
            try:
                solver = solver or self.solver(interval, t, target)
                solver.step()
            except (ValueError, ArithmeticError, np.linalg.LinAlgError):  # SciPy's words for numbers that are not finite
                raise self.fail(abi.NOT_FINITE, 0, 0, t) from None
            if solver.status == "failed":
                raise self.fail(abi.TOO_SMALL_STEP, 0, abi.GET_DERIVATIVES, t)
            reached, y = float(solver.t), np.ascontiguousarray(solver.y)
            self.place(interval, reached, y)
            z = self.indicators(reached)
            state_event = self.crossed(z)
            if state_event:
                y, reached = self.locate_dense(interval, t, reached, solver.dense_output(), y)
                self.place(interval, reached, y)
                z = self.indicators(reached)
            quiet = 0 if reached > t else quiet + 1
            if quiet > 1000 or self.report.events > 10_000_000:
                raise self.fail(abi.ENDLESS_EVENTS, 0, abi.GET_INDICATORS, reached)
            self.x[:], self.z[:] = y, z
            t = reached
            self.report.steps += 1
            wrong = np.flatnonzero(~np.isfinite(self.x))
            if wrong.size:
                raise self.fail(abi.NOT_FINITE, 0, int(wrong[0]), t)
            if self.completed(t) or state_event or t >= self.e.next_event:
                self.after_event(interval, False, t)
                solver = None
        return t

    def locate_dense(self, interval: Any, t: float, reached: float, dense: Any, y: Any) -> tuple[Any, float]:
        """The end of the shortest part of the step in which a sign has changed, by bisection of the dense output."""
        low, high = t, reached
        for _ in range(60):
            middle = 0.5 * (low + high)
            if not low < middle < high:
                break
            self.place(interval, middle, np.ascontiguousarray(dense(middle)))
            if self.crossed(self.indicators(middle)):
                high = middle
            else:
                low = middle
        return (np.ascontiguousarray(dense(high)), high) if high < reached else (y, reached)
