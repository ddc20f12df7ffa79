"""The data of a fit or a validation: inputs on the model's grid, outputs exactly where they were observed, split by time.

The model is run freely on its grid over the whole window with the observed inputs; its prediction is interpolated to the times of the
observations. Observations are never interpolated, so a gap in them is left out rather than bridged. An input is held (or interpolated,
as the model declares) between its readings; a long silence of an input is told in `notes`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twinwright.calibration.metrics import Array
from twinwright.clock import SECOND, to_iso
from twinwright.errors import TooLargeError, UsageError
from twinwright.governance.principals import Principal
from twinwright.simulation.definition import InputPort, ModelDefinition
from twinwright.twins.series import Series, SeriesReader

MAX_GRID = 5_000_000
MIN_TRAIN = 10
MIN_TRAIN_PER_PARAMETER = 3
MIN_JUDGED = 5
LOOK_BACK = 3_600 * SECOND  # how far before a window the last value of a port is looked for (an input's, also as far as the window is long)
_SILENCE = 20  # usual intervals between two readings of an input that make a silence worth telling


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
    UsageError (no source or no readings for an input, nothing observed of any output), NotFoundError and UnitError (from the reader).
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
    begin = known_from if read_from is None else max(read_from, known_from)
    far = None if start is None else begin - max(LOOK_BACK, (end or begin) - begin)
    inputs = {port.name: _input(reader, principal, port, twin, far, end, where) for port in model.inputs}
    states = {
        state.name: reader.series(principal, twin, state.property, start=read_from, end=end, unit=state.unit).only_good()
        for state in model.states
        if state.start is None and state.property is not None
    }
    origin = max([begin, *(_first(name, series, where) for name, series in (inputs | states).items())])
    last = max(int(one.times[-1]) for one in observed.values())
    count = max(int(np.ceil(max(last - origin, 0) / SECOND / model.step)) + 1, 2)
    if count > MAX_GRID:
        raise TooLargeError(f"{count} steps of {model.step:g} s", where=where, remedy=f"At most {MAX_GRID} fit: narrow --from and --to")
    grid = origin + np.round(np.arange(count) * model.step * SECOND).astype(np.int64)
    used = {name: _from(one, origin) for name, one in observed.items()}
    if not any(one.times.size for one in used.values()):
        raise UsageError(f"no output was observed after {to_iso(origin)}, from when the inputs are known", where=where, remedy="Move --to")
    columns = [_on_grid(inputs[port.name], port, grid) for port in model.inputs]
    return Dataset(
        model=model.name,
        twin=twin,
        origin=origin,
        step=model.step,
        inputs=np.column_stack(columns) if columns else np.zeros((count, 0)),
        observed={name: one for name, one in used.items() if one.times.size},
        state_starts={name: float(np.interp(origin, series.times, series.values)) for name, series in states.items()},
        train=Window(origin, last + 1),
        judged=None,
        digest=_digest([*inputs.items(), *states.items(), *used.items()]),
        previous={name: float(history[name].values[before - 1]) for name, before in _before(history, origin).items() if before},
        notes=tuple(_notes(inputs, origin, last, start, begin)),
    )


def _observed(series: Series) -> Observed:
    return Observed(series.times, series.values, series.unit)


def _before(history: dict[str, Observed], origin: int) -> dict[str, int]:
    return {name: int(np.searchsorted(one.times, origin)) for name, one in history.items()}


def _from(observed: Observed, origin: int | None) -> Observed:
    first = 0 if origin is None else int(np.searchsorted(observed.times, origin))
    return Observed(observed.times[first:], observed.values[first:], observed.unit)


def _input(
    reader: SeriesReader, principal: Principal, port: InputPort, twin: str, start: int | None, end: int | None, where: str
) -> Series:
    if port.property is None:
        raise UsageError(
            f"the input '{port.name}' names no property, so nothing observed can be replayed into it",
            where=where,
            remedy=f"Add `property:` to inputs.{port.name} in the model file",
        )
    return reader.series(principal, twin, port.property, start=start, end=end, unit=port.unit).only_good()


def _first(name: str, series: Series, where: str) -> int:
    if not series.times.size:
        raise UsageError(
            f"nothing was observed of '{name}' in the window",
            where=where,
            remedy="The model is driven by it: widen --from and --to, or check with `twinwright history`",
        )
    return int(series.times[0])


def _on_grid(series: Series, port: InputPort, grid: NDArray[np.int64]) -> Array:
    """An input at the grid's times: the last reading at or before each, or the line between its neighbours."""
    if port.hold == "linear":
        return np.asarray(np.interp(grid, series.times, series.values), dtype=np.float64)
    return series.values[np.searchsorted(series.times, grid, side="right") - 1]


def _digest(used: Iterable[tuple[str, Series | Observed]]) -> str:
    digest = hashlib.sha256()
    for name, one in used:
        digest.update(f"{name}\0{one.unit}\0{one.times.size}\0".encode())
        digest.update(np.ascontiguousarray(one.times, dtype="<i8").tobytes())
        digest.update(np.ascontiguousarray(one.values, dtype="<f8").tobytes())
    return digest.hexdigest()


def _notes(inputs: dict[str, Series], origin: int, last: int, start: int | None, begin: int) -> list[str]:
    notes = []
    if start is not None and origin > max(begin, start):
        notes.append(f"the run begins at {to_iso(origin)}, from when every input is known")
    for name, series in inputs.items():
        first = max(int(np.searchsorted(series.times, origin, side="right")) - 1, 0)
        times = np.append(series.times[first:], max(last, int(series.times[-1])))
        intervals = np.diff(times)
        if intervals.size > 2 and intervals.max() > _SILENCE * np.median(intervals):
            at = to_iso(int(times[intervals.argmax()]))
            notes.append(f"the input {name} was silent for {intervals.max() / SECOND:g} s from {at}: its last value was held")
    return notes
