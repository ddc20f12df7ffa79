"""The data of a fit or a validation: inputs on the model's grid, outputs exactly where they were observed, split by time.

The model is run freely on its grid over the whole window with the observed inputs; its prediction is interpolated to the times of the
observations. Observations are never interpolated, so a gap in them is left out rather than bridged. An input is held (or interpolated,
as the model declares) between its readings, as in every other run; gaps in an input are told in `notes`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twinwright.calibration.metrics import Array
from twinwright.clock import SECOND, to_iso
from twinwright.errors import TooLargeError, UsageError
from twinwright.governance.principals import Principal
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.observed_inputs import Observed as History
from twinwright.simulation.observed_inputs import base_input, initial_value
from twinwright.simulation.scenario import InputChange
from twinwright.twins.series import Series, SeriesReader

MAX_GRID = 5_000_000
MIN_TRAIN = 8
MIN_TRAIN_PER_PARAMETER = 3
MIN_JUDGED = 5
LOOK_BACK = 3_600 * SECOND  # how far before a window the last value of an output is looked for, which the baseline holds
_FINER = 1.9  # how many times finer than the step an input may be read before that is worth telling


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` (included) to `end` (not included), microseconds."""

    start: int
    end: int

    def overlaps(self, other: Window) -> bool:
        return self.start < other.end and other.start < self.end

    def as_json(self) -> dict[str, str]:
        return {"from": to_iso(self.start), "to": to_iso(self.end)}

    def __str__(self) -> str:
        return f"{to_iso(self.start)} to {to_iso(self.end)}"


@dataclass(frozen=True, slots=True)
class Observed:
    """The good observations of one output: `times` in microseconds, `values` in `unit`, the unit of the model's port."""

    times: NDArray[np.int64]
    values: Array
    unit: str | None

    def within(self, window: Window) -> slice:
        """Which of them lie in a window."""
        first, last = np.searchsorted(self.times, [window.start, window.end])
        return slice(int(first), int(last))


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a model is fitted to or judged on.

    `previous` has the last value of each output observed before the data begin, where there is one.
    `inputs` (n, n_inputs) on the grid origin, origin + step, ... (step in seconds), in the units of the ports; `observed` by output;
    `state_starts` the observed value at the origin of each state that begins where it was observed; `train` is before the split
    and `judged` after it (None: nothing is kept back); `digest` (SHA-256) covers every reading used.
    """

    model: str
    twin: str
    origin: int
    step: float
    inputs: Array
    observed: dict[str, Observed]
    state_starts: dict[str, float]
    train: Window
    judged: Window | None
    digest: str
    previous: dict[str, float]
    notes: tuple[str, ...] = ()

    def seconds(self, output: str) -> Array:
        """The observation times of an output in seconds since the origin."""
        return np.asarray((self.observed[output].times - self.origin) / SECOND, dtype=np.float64)

    def count(self, window: Window | None) -> int:
        """How many observations lie in a window, over all outputs."""
        if window is None:
            return 0
        return sum(part.stop - part.start for part in (one.within(window) for one in self.observed.values()))

    def split(self, share: float) -> Dataset:
        """Keep back the last `share` of the time that was observed (0 keeps back nothing)."""
        last = max(int(one.times[-1]) for one in self.observed.values()) + 1
        if share == 0:
            return replace(self, train=Window(self.origin, last), judged=None)
        return self.split_at(self.origin + round((1 - share) * (last - self.origin)), last)

    def split_at(self, moment: int, end: int) -> Dataset:
        """Keep back what was observed from `moment` until `end`."""
        return replace(self, train=Window(self.origin, moment), judged=Window(moment, end))

    def require(self, parameters: int) -> None:
        """Raises UsageError unless there are enough observations to fit this many parameters and to judge the result."""
        needed = max(MIN_TRAIN, MIN_TRAIN_PER_PARAMETER * parameters) if parameters else 0
        found = self.count(self.train)
        if found < needed:
            raise UsageError(
                f"{found} observations in the training part ({self.train}) for {parameters} free parameters",
                where=f"model {self.model}, twin {self.twin}",
                remedy=f"At least {needed} are needed: widen --from and --to, or free fewer parameters with --only",
            )
        if self.judged is not None and self.count(self.judged) < MIN_JUDGED:
            raise UsageError(
                f"{self.count(self.judged)} observations in {self.judged}, on which the model is to be judged",
                where=f"model {self.model}, twin {self.twin}",
                remedy=f"At least {MIN_JUDGED} are needed: widen the window, or keep back a larger part",
            )


def build(
    reader: SeriesReader, principal: Principal, model: ModelDefinition, twin: str, start: int | None, end: int | None, *, look_back: int = 0
) -> Dataset:
    """Read a window for a model, with up to `look_back` microseconds before it. Nothing is kept back yet.

    The origin is the first time from which every input, and every state that starts where it was observed, is known. Raises
    UsageError (no readings of an input, nothing observed of any output), NotFoundError and UnitError (from the reader).
    """
    if start is not None and end is not None and end <= start:
        raise UsageError(f"the window ends ({to_iso(end)}) before it begins ({to_iso(start)})", remedy="Give --from before --to")
    read_from = None if start is None else start - look_back
    where = f"model {model.name}, twin {twin}"
    history_from = None if read_from is None else read_from - LOOK_BACK
    history = {
        port.name: _observed(reader.series(principal, twin, port.property, start=history_from, end=end, unit=port.unit).only_good())
        for port in model.outputs
        if port.property is not None
    }
    observed = {name: _from(one, read_from) for name, one in history.items()}
    observed = {name: one for name, one in observed.items() if one.times.size}
    if not observed:
        named = [port.property for port in model.outputs if port.property]
        raise UsageError(
            f"nothing was observed of {', '.join(named)} in the window" if named else "no output of the model names a property",
            where=where,
            remedy="Widen --from and --to, or check with `twinwright history`"
            if named
            else "Add `property:` to an output of the model file",
        )
    known_from = min(int(one.times[0]) for one in observed.values())
    last = max(int(one.times[-1]) for one in observed.values())
    begin = known_from if read_from is None else max(read_from, known_from)
    past = History(reader, principal, twin)
    driving = {port.name: past.series(port.property or port.name, port.unit, begin, last) for port in model.inputs}
    begins = [state for state in model.states if state.start is None]
    driving |= {state.name: past.series(state.property or state.name, state.unit, begin, last) for state in begins}
    origin = max([begin, *(_first(name, series, where) for name, series in driving.items())])
    count = max(int(np.ceil(max(last - origin, 0) / SECOND / model.step)) + 1, 2)
    if count > MAX_GRID:
        raise TooLargeError(f"{count} steps of {model.step:g} s", where=where, remedy=f"At most {MAX_GRID} fit: narrow --from and --to")
    grid = origin + np.round(np.arange(count) * model.step * SECOND).astype(np.int64)
    used = {name: _from(one, origin) for name, one in observed.items()}
    used = {name: one for name, one in used.items() if one.times.size}
    notes = _notes(driving, [port.name for port in model.inputs], model.step, origin, begin if start is None else max(begin, start))
    columns = [base_input(port, InputChange(), past, origin, grid, notes.append) for port in model.inputs]
    inputs = np.column_stack(columns) if columns else np.zeros((count, 0))
    starts = {state.name: initial_value(state, past, origin) for state in begins}
    return Dataset(
        model=model.name,
        twin=twin,
        origin=origin,
        step=model.step,
        inputs=inputs,
        observed=used,
        state_starts=starts,
        train=Window(origin, last + 1),
        judged=None,
        digest=_digest(origin, inputs, starts, used),
        previous={name: float(history[name].values[before - 1]) for name, before in _before(history, origin).items() if before},
        notes=tuple(notes),
    )


def _observed(series: Series) -> Observed:
    return Observed(series.times, series.values, series.unit)


def _before(history: dict[str, Observed], origin: int) -> dict[str, int]:
    return {name: int(np.searchsorted(one.times, origin)) for name, one in history.items()}


def _from(observed: Observed, origin: int | None) -> Observed:
    first = 0 if origin is None else int(np.searchsorted(observed.times, origin))
    return Observed(observed.times[first:], observed.values[first:], observed.unit)


def _first(name: str, series: Series, where: str) -> int:
    if not series.times.size:
        raise UsageError(
            f"nothing was observed of '{name}' by the end of the window",
            where=where,
            remedy="The model is driven by it: widen --from and --to, or check with `twinwright history`",
        )
    return int(series.times[0])


def _digest(origin: int, inputs: Array, starts: Mapping[str, float], observed: Mapping[str, Observed]) -> str:
    """SHA-256 over what the run was driven by and compared with."""
    digest = hashlib.sha256(f"{origin}\0{inputs.shape}\0{sorted(starts.items())}".encode())
    digest.update(np.ascontiguousarray(inputs, dtype="<f8").tobytes())
    for name, one in observed.items():
        digest.update(f"\0{name}\0{one.unit}\0{one.times.size}\0".encode())
        digest.update(np.ascontiguousarray(one.times, dtype="<i8").tobytes())
        digest.update(np.ascontiguousarray(one.values, dtype="<f8").tobytes())
    return digest.hexdigest()


def _notes(driving: Mapping[str, Series], inputs: Sequence[str], step: float, origin: int, wanted: int) -> list[str]:
    notes = []
    if origin > wanted:
        notes.append(f"the run begins at {to_iso(origin)}, from when every input is known")
    for name in inputs:
        intervals = np.diff(driving[name].times)
        usual = float(np.median(intervals)) / SECOND if intervals.size else step
        if usual * _FINER < step:
            notes.append(
                f"the input {name} was read every {usual:g} s but the model takes one value per step of {step:g} s: "
                "what happened in between is lost; declare a shorter `step`"
            )
    return notes
