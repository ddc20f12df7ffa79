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
class InputSource:
    """Where an input came from. Of history and series: how many values, how many bad ones were passed over, the time of the newest, the
    greatest age in seconds that a value had when it was used, and the gaps that were bridged."""

    name: str
    origin: str  # history, series or constant
    path: str | None = None
    values: int = 0
    bad: int = 0
    newest: str | None = None
    oldest_used: float = 0.0
    gaps: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """Where a run looks: the history of one twin, for one principal, as known at one commit (None: now)."""

    reader: SeriesReader
    principal: Principal
    twin: str
    known_at: int | None = None

    def series(self, path: str, unit: str | None, start: int, end: int) -> Series:
        """Good values from the last one at or before `start` up to `end` (included). Empty where there are none."""
        return self.read(path, unit, start, end)[0]

    def read(self, path: str, unit: str | None, start: int, end: int) -> tuple[Series, int]:
        """(`series`, how many bad values between `start` and `end` were passed over)."""
        found, bad = Series(np.empty(0, np.int64), np.empty(0), np.empty(0, np.bool_), unit), 0
        for lookback in _LOOKBACKS:
            begin = None if lookback is None else start - lookback
            all_ = self.reader.series(self.principal, self.twin, path, start=begin, end=end + 1, unit=unit, known_at=self.known_at)
            found, bad = all_.only_good(), int((~all_.good & (all_.times >= start)).sum())
            if found.times.size and found.times[0] <= start:
                first = int(np.searchsorted(found.times, start, side="right")) - 1
                return Series(found.times[first:], found.values[first:], found.good[first:], found.unit), bad
        return found, bad


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
    tell: Callable[[InputSource], None] = lambda _: None,
) -> Floats:
    """One input at each time of `grid` (microseconds), in the port's unit, before it is scaled and shifted.

    `tell` gets where it came from. Raises UsageError where there is no value at the beginning, or a gap is longer than is bridged.
    """
    if change.constant is not None:
        tell(InputSource(port.name, "constant"))
        unit = port.unit if change.unit is None else change.unit
        return np.full(grid.size, float(units.convert(change.constant, unit, port.unit)))
    times, values, bad = _origin(port, change, observed, start, grid)
    gaps = _warn_of_gaps(port.name, times, grid, warn)
    if change.bridge is not None:
        _refuse_long_gap(port, change.bridge, times, grid)
    tell(_source(port, change, times, grid, bad, gaps))
    return _on_grid(times, values, grid, port.hold)


def changed_input(port: InputPort, change: InputChange, base: Floats) -> Floats:
    """base * scale + add, with `add` converted as a difference: the origins of temperature scales do not apply to it."""
    unit = port.unit if change.unit is None else change.unit
    return np.asarray(base * change.scale + change.add * units.converter(unit, port.unit).factor, np.float64)


def _origin(
    port: InputPort, change: InputChange, observed: Observed, start: int, grid: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Floats, int]:
    bad = 0
    if change.series is not None:
        times = change.series.times + start if change.series.relative else change.series.times
        values = np.asarray(units.convert(change.series.values, change.unit or port.unit, port.unit), np.float64)
        where, remedy = f"input {port.name}", "Begin the series at the run's beginning"
    else:
        path = port.property or port.name
        where = f"twin {observed.twin}, path {path}"
        remedy = f"Begin later, ingest older data, or give the input: `inputs: {{{port.name}: {{constant: ...}}}}`"
        try:
            series, bad = observed.read(path, port.unit, start, int(grid[-1]))
        except NotFoundError as error:
            raise NotFoundError(f"input '{port.name}' comes from nowhere: {error.what}", where=where, remedy=remedy) from None
        times, values = series.times, series.values
    if not times.size or times[0] > grid[0]:
        first = f"the first value is of {to_iso(int(times[0]))}" if times.size else "there is none"
        raise UsageError(f"input '{port.name}' has no value at {to_iso(int(grid[0]))}: {first}", where=where, remedy=remedy)
    return times, values, bad


def _refuse_long_gap(port: InputPort, bridge: int, times: NDArray[np.int64], grid: NDArray[np.int64]) -> None:
    """Raises UsageError for a stretch of the run that is longer than `bridge` without a value."""
    edges = np.append(times, max(int(grid[-1]), int(times[-1])))
    lengths = np.diff(edges)
    if lengths.size and lengths.max() > bridge:
        at = int(np.argmax(lengths))
        raise UsageError(
            f"input '{port.name}' has no value for {format_duration(int(lengths[at]))} from {to_iso(int(edges[at]))}, "
            f"and gaps are bridged up to {format_duration(bridge)}",
            where=f"input {port.name}",
            remedy=f"Raise `inputs: {{{port.name}: {{bridge: ...}}}}`, or ask about another time",
        )


def _source(
    port: InputPort, change: InputChange, times: NDArray[np.int64], grid: NDArray[np.int64], bad: int, gaps: list[dict[str, str]]
) -> InputSource:
    behind = np.maximum(np.searchsorted(times, grid, side="right") - 1, 0)
    oldest = float((grid - times[behind]).max()) / SECOND
    origin = "series" if change.series is not None else "history"
    path = None if change.series is not None else port.property or port.name
    return InputSource(port.name, origin, path, int(times.size), bad, to_iso(int(times[-1])), oldest, tuple(gaps))


def _on_grid(times: NDArray[np.int64], values: Floats, grid: NDArray[np.int64], hold: str) -> Floats:
    if hold == "linear":
        origin = grid[0]
        return np.asarray(np.interp((grid - origin) / SECOND, (times - origin) / SECOND, values), np.float64)
    after = np.searchsorted(times, grid, side="right")
    return np.asarray(values[np.minimum(after, times.size - 1) if hold == "next" else after - 1], np.float64)


def _warn_of_gaps(name: str, times: NDArray[np.int64], grid: NDArray[np.int64], warn: Callable[[str], None]) -> list[dict[str, str]]:
    """A warning for each gap, and the gaps themselves."""
    gaps: list[dict[str, str]] = []
    step = int(grid[1] - grid[0])
    distances = np.diff(times)
    usual = max(step, int(np.median(distances))) if distances.size else step
    for index in np.flatnonzero(distances > _GAP_FACTOR * usual):
        length = format_duration(int(distances[index]))
        gaps.append({"from": to_iso(int(times[index])), "to": to_iso(int(times[index + 1]))})
        warn(f"input '{name}' has a gap of {length} from {to_iso(int(times[index]))} to {to_iso(int(times[index + 1]))}")
    tail = int(grid[-1] - times[-1])
    if tail > _GAP_FACTOR * usual or (tail > usual and times.size == 1):
        gaps.append({"from": to_iso(int(times[-1])), "to": to_iso(int(grid[-1]))})
        warn(f"input '{name}' ends at {to_iso(int(times[-1]))}: its last value is held for the remaining {format_duration(tail)}")
    return gaps
