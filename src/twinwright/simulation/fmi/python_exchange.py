"""The loop of model exchange in Python, as in engine.c."""

from __future__ import annotations

import math
from ctypes import byref, c_int, c_uint8
from typing import Any

import numpy as np

from twinwright.simulation.fmi import abi
from twinwright.simulation.fmi.python_loop import Loop, LoopEndedError

_A = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_C = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_E = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_D = (
    -12715105075 / 11282082432,
    0.0,
    87487479700 / 32700410799,
    -10690763975 / 1880347072,
    701980252875 / 199316789632,
    -1453857185 / 822651844,
    69997945 / 29380423,
)


MANY_STEPS, FAR = 100_000, 10_000_000  # as in engine.c


class Exchange(Loop):
    """Model exchange: integration, and events of state, time, step and inputs."""

    def place(self, interval: Any, t: float, x: Any) -> None:
        row, following, begin, span = interval
        self.call(abi.SET_TIME, t, t)
        self.array(abi.SET_STATES, x, t)
        self.set_inputs(row, following, (t - begin) / span, False, True, t)

    def derive(self, interval: Any, t: float, x: Any) -> Any:
        self.place(interval, t, x)
        dx = np.zeros(x.size)
        self.array(abi.GET_DERIVATIVES, dx, t)
        return dx

    def indicators(self, t: float) -> Any:
        z = np.zeros(self.z.size)
        self.array(abi.GET_INDICATORS, z, t)
        return z

    def one_step(self, interval: Any, t: float, h: float, k: list[Any]) -> tuple[Any, float]:
        x = self.x
        if self.e.method == abi.METHODS["euler"]:
            y = x + h * k[0]
        elif self.e.method == abi.METHODS["rk4"]:
            k[1] = self.derive(interval, t + 0.5 * h, x + 0.5 * h * k[0])
            k[2] = self.derive(interval, t + 0.5 * h, x + 0.5 * h * k[1])
            k[3] = self.derive(interval, t + h, x + h * k[2])
            y = x + h / 6.0 * (k[0] + 2.0 * k[1] + 2.0 * k[2] + k[3])
        else:
            y = x
            for s in range(1, 7):
                total = np.zeros(x.size)
                for r in range(s):
                    total = total + _A[s][r] * k[r]
                y = x + h * total
                k[s] = self.derive(interval, t + _C[s] * h, y)
            part = np.zeros(x.size)
            for s in range(7):
                part = part + _E[s] * k[s]
            part = h * part / (self.e.rtol * np.fmax(np.fmax(np.abs(x), np.abs(y)), self.nominal))
            square = 0.0
            for one in part:
                square = square + float(one) * float(one)
            return y, math.sqrt(square / x.size) if x.size and square == square and square < math.inf else (0.0 if not x.size else square)
        k[6] = self.derive(interval, t + h, y)
        return y, 0.0

    def within(self, h: float, fraction: float, k: list[Any], y: Any) -> Any:
        rest = 1.0 - fraction
        difference = y - self.x
        bend = h * k[0] - difference
        third, fourth = difference - h * k[6] - bend, np.zeros(self.x.size)
        if self.e.method == abi.METHODS["dopri5"]:
            for s in range(7):
                fourth = fourth + _D[s] * k[s]
            fourth = h * fourth
        return self.x + fraction * (difference + rest * (bend + fraction * (third + rest * fourth)))

    def after_event(self, interval: Any, every: bool, t: float) -> None:
        row, following, begin, span = interval
        self.report.events += 1
        self.call(abi.ENTER_EVENT_MODE, t)
        if every:
            self.set_inputs(row, following, (t - begin) / span, True, False, t)
        nominals, values = self.update_discrete_states(t)
        self.call(abi.ENTER_CONTINUOUS_MODE, t)
        if values:
            self.array(abi.GET_STATES, self.x, t)
        if nominals:
            self.array(abi.GET_NOMINALS, self.nominal, t)
            self.nominal[:] = np.where(self.nominal == 0.0, 1.0, np.abs(self.nominal))
        self.e.h = 0.0
        self.array(abi.GET_INDICATORS, self.z, t)

    def first_step(self, dx: Any, span: float) -> float:
        d0 = d1 = 0.0
        for j in range(self.x.size):
            size = max(abs(float(self.x[j])), float(self.nominal[j]))
            d0 = d0 + float(self.x[j]) / size * (float(self.x[j]) / size)
            d1 = d1 + float(dx[j]) / size * (float(dx[j]) / size)
        return float(min(1e-3 * span if d0 < 1e-10 or d1 < 1e-10 else 0.01 * math.sqrt(d0 / d1), span))

    def completed(self, t: float) -> bool:
        if not self.e.completed_step:
            return False
        event, end = (c_int(), c_int()) if self.version == 2 else (c_uint8(), c_uint8())
        self.call(abi.COMPLETED_STEP, t, 1, byref(event), byref(end))
        if end.value:
            raise self.fail(abi.TERMINATED, 0, abi.COMPLETED_STEP, t)
        return bool(event.value)

    def length(self, interval: Any, t: float, left: float, k: list[Any]) -> float:
        """How long a step to try, and the derivative at its beginning."""
        k[0] = self.derive(interval, t, self.x)
        if self.e.method != abi.METHODS["dopri5"]:
            return float(left / max(1.0, math.ceil(left / self.e.max_step - 1e-9)))
        if not self.x.size:
            self.e.h = left
        elif not self.e.h > 0.0:
            self.e.h = self.first_step(k[0], min(interval[3], self.e.max_step))
        h = min(self.e.h, self.e.max_step, left)
        return left if left - h < 0.1 * h and left <= self.e.max_step else float(h)

    def judge(self, t: float, h: float, error: float) -> bool:
        """Whether a step is accurate enough; the length of the next."""
        if error <= 1.0:
            grown = h * min(5.0, 0.9 * math.pow(max(error, 1e-10), -0.2))
            self.e.h = max(self.e.h, grown) if h < self.e.h else grown
            return True
        self.e.h = h * max(0.2, 0.9 * math.pow(error, -0.2)) if math.isfinite(error) else 0.1 * h
        self.report.rejected += 1
        if not t + 0.1 * self.e.h > t:
            raise self.fail(abi.TOO_SMALL_STEP if math.isfinite(error) else abi.NOT_FINITE, 0, abi.GET_DERIVATIVES, t)
        return False

    def discarded(self) -> bool:
        """Whether the loop has ended because the model can't be evaluated where it was placed."""
        return bool(self.report.code == abi.FAILED and self.report.status == 2)

    def shorter(self, t: float, h: float) -> bool:
        """Whether a shorter step is to be tried: the model could not be evaluated within this one (FMI 2.0, 2.1.3, fmi2Discard)."""
        if not self.discarded() or self.e.method != abi.METHODS["dopri5"] or not t + 0.025 * h > t:
            return False
        self.report.code, self.report.status = abi.OK, 0
        self.report.rejected += 1
        self.e.h = 0.25 * h
        return True

    def integrate(self, interval: Any, t: float, end: float) -> float:
        quiet, begun = 0, self.report.steps
        while t < end:
            target = min(end, self.e.next_event)
            if target <= t:
                self.after_event(interval, False, t)
                quiet += 1
                if quiet > 1000:
                    raise self.fail(abi.ENDLESS_EVENTS, 0, abi.UPDATE_DISCRETE_STATES, t)
                continue
            k: list[Any] = [np.zeros(self.x.size)] * 7
            left = target - t
            h = self.length(interval, t, left, k)
            reached = target if h == left else t + h
            try:
                y, error = self.one_step(interval, t, h, k)
                if self.e.method == abi.METHODS["dopri5"] and not self.judge(t, h, error):
                    continue
                self.place(interval, reached, y)
                z = self.indicators(reached)
            except LoopEndedError:
                if self.shorter(t, h):
                    continue
                raise
            state_event = self.crossed(z)
            if state_event:
                y, reached = self.locate(interval, t, h, k, y, reached)
                self.place(interval, reached, y)
                z = self.indicators(reached)
            quiet = 0 if reached > t else quiet + 1
            if quiet > 1000 or self.report.events > 10_000_000:
                raise self.fail(abi.ENDLESS_EVENTS, 0, abi.GET_INDICATORS, reached)
            self.x[:], self.z[:] = y, z
            t = reached
            self.report.steps += 1
            explicit = self.e.method == abi.METHODS["dopri5"]
            if explicit and self.report.steps - begun > MANY_STEPS and end - t > FAR * self.e.h:
                raise self.fail(abi.TOO_SMALL_STEP, 0, abi.GET_DERIVATIVES, t)
            wrong = np.flatnonzero(~np.isfinite(self.x))
            if wrong.size:
                raise self.fail(abi.NOT_FINITE, 0, int(wrong[0]), t)
            step_event = self.completed(t)
            if state_event or step_event or t >= self.e.next_event:
                self.after_event(interval, False, t)
        return t

    def crossed(self, z: Any) -> bool:
        return bool(np.any((self.z > 0.0) != (z > 0.0)))

    def locate(self, interval: Any, t: float, h: float, k: list[Any], y: Any, reached: float) -> tuple[Any, float]:
        """The end of the shortest part of the step in which a sign has changed."""
        low, high = 0.0, 1.0
        for _ in range(60):
            fraction = 0.5 * (low + high)
            if not t + low * h < t + high * h or fraction <= low or fraction >= high:
                break
            self.place(interval, t + fraction * h, self.within(h, fraction, k, y))
            if self.crossed(self.indicators(t)):
                high = fraction
            else:
                low = fraction
        return (self.within(h, high, k, y), t + high * h) if high < 1.0 else (y, reached)

    def exchange(self, times: Any, inputs: Any, outputs: Any) -> None:
        for i in range(times.size - 1):
            begin = float(times[i])
            interval = (inputs[i], inputs[i + 1], begin, float(times[i + 1]) - begin)
            if not interval[3] > 0.0:
                jump = (inputs[i + 1], inputs[i + 1], begin, 1.0)
                self.place(jump, begin, self.x)
                self.after_event(jump, True, begin)
                self.get_outputs(outputs[i + 1], begin)
                self.report.rows = i + 2
                continue
            columns = range(self.e.input_columns)
            if any(self.holds[j] != 1 and self.input_at(inputs[i], inputs[i + 1], 0.0, j) != self.last[j] for j in columns):
                self.place(interval, begin, self.x)
                self.after_event(interval, True, begin)
            t = self.integrate(interval, begin, float(times[i + 1]))
            self.place(interval, t, self.x)
            self.get_outputs(outputs[i + 1], t)
            self.report.rows = i + 2
