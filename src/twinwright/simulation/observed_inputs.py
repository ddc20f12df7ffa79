"""Inputs and initial states of a run: taken from history or given by the scenario, in the model's units, on its grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinwright import units
from twinwright.clock import HOUR, SECOND, format_duration, to_iso
from twinwright.errors import NotFoundError, UsageError
from twinwright.governance.principals import Principal
from twinwright.simulation.definition import InputPort, StateVariable
from twinwright.simulation.protocol import Floats
from twinwright.simulation.scenario import InputChange
from twinwright.twins.series import Series, SeriesReader

_LOOKBACKS = (HOUR, 24 * HOUR, 30 * 24 * HOUR, None)
_GAP_FACTOR = 10  # a hole this many times longer than the usual distance between samples is worth a warning


@dataclass(frozen=True, slots=True)
class Observed:
    """Where a run looks: the history of one twin, for one principal, as known at one commit (None: now)."""

    reader: SeriesReader
    principal: Principal
    twin: str
    known_at: int | None = None

    def series(self, path: str, unit: str | None, start: int, end: int) -> Series:
        """Good values from the last one at or before `start` up to `end` (included). Empty where there are none."""
        found = Series(np.empty(0, np.int64), np.empty(0), np.empty(0, np.bool_), unit)
        for lookback in _LOOKBACKS:
            begin = None if lookback is None else start - lookback
            found = self.reader.series(
                self.principal, self.twin, path, start=begin, end=end + 1, unit=unit, known_at=self.known_at
            ).only_good()
            if found.times.size and found.times[0] <= start:
                first = int(np.searchsorted(found.times, start, side="right")) - 1
                return Series(found.times[first:], found.values[first:], found.good[first:], found.unit)
        return found


def initial_value(state: StateVariable, observed: Observed, start: int) -> float:
    """What was last observed, as of `start`, of the property that a state is named for. Raises UsageError."""
    path = state.property or state.name
    where = f"twin {observed.twin}, path {path}"
    try:
        series = observed.series(path, state.unit, start, start)
    except NotFoundError as error:
        raise NotFoundError(f"state '{state.name}' has nowhere to start: {error.what}", where=where, remedy=error.remedy) from None
    if not series.times.size or series.times[0] > start:
        raise UsageError(
            f"state '{state.name}' starts at the observed '{path}', and nothing is observed of it by {to_iso(start)}",
            where=where,
            remedy="Begin later, ingest older data, or declare `start:` in the model",
        )
    return float(series.values[0])


def base_input(
    port: InputPort,
    change: InputChange,
    observed: Observed,
    start: int,
    grid: NDArray[np.int64],
    warn: Callable[[str], None],
) -> Floats:
    """One input at each time of `grid` (microseconds), in the port's unit, before it is scaled and shifted.

    Raises UsageError where there is no value at the beginning.
    """
    if change.constant is not None:
        unit = port.unit if change.unit is None else change.unit
        return np.full(grid.size, float(units.convert(change.constant, unit, port.unit)))
    times, values = _origin(port, change, observed, start, grid)
    _warn_of_gaps(port.name, times, grid, warn)
    return _on_grid(times, values, grid, port.hold)


def changed_input(port: InputPort, change: InputChange, base: Floats) -> Floats:
    """base * scale + add, with `add` converted as a difference: the origins of temperature scales do not apply to it."""
    unit = port.unit if change.unit is None else change.unit
    return np.asarray(base * change.scale + change.add * units.converter(unit, port.unit).factor, np.float64)


def _origin(
    port: InputPort, change: InputChange, observed: Observed, start: int, grid: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Floats]:
    if change.series is not None:
        times = change.series.times + start if change.series.relative else change.series.times
        values = np.asarray(units.convert(change.series.values, change.unit or port.unit, port.unit), np.float64)
        where, remedy = f"input {port.name}", "Begin the series at the run's beginning"
    else:
        path = port.property or port.name
        where = f"twin {observed.twin}, path {path}"
        remedy = f"Begin later, ingest older data, or give the input: `inputs: {{{port.name}: {{constant: ...}}}}`"
        series = observed.series(path, port.unit, start, int(grid[-1]))
        times, values = series.times, series.values
    if not times.size or times[0] > grid[0]:
        first = f"the first value is of {to_iso(int(times[0]))}" if times.size else "there is none"
        raise UsageError(f"input '{port.name}' has no value at {to_iso(int(grid[0]))}: {first}", where=where, remedy=remedy)
    return times, values


def _on_grid(times: NDArray[np.int64], values: Floats, grid: NDArray[np.int64], hold: str) -> Floats:
    if hold == "linear":
        origin = grid[0]
        return np.asarray(np.interp((grid - origin) / SECOND, (times - origin) / SECOND, values), np.float64)
    after = np.searchsorted(times, grid, side="right")
    return np.asarray(values[np.minimum(after, times.size - 1) if hold == "next" else after - 1], np.float64)


def _warn_of_gaps(name: str, times: NDArray[np.int64], grid: NDArray[np.int64], warn: Callable[[str], None]) -> None:
    step = int(grid[1] - grid[0])
    distances = np.diff(times)
    usual = max(step, int(np.median(distances))) if distances.size else step
    for index in np.flatnonzero(distances > _GAP_FACTOR * usual):
        length = format_duration(int(distances[index]))
        warn(f"input '{name}' has a gap of {length} from {to_iso(int(times[index]))} to {to_iso(int(times[index + 1]))}")
    tail = int(grid[-1] - times[-1])
    if tail > _GAP_FACTOR * usual or (tail > usual and times.size == 1):
        warn(f"input '{name}' ends at {to_iso(int(times[-1]))}: its last value is held for the remaining {format_duration(tail)}")
