"""What a shadow reads: good values of many twins at once, as known at one commit, in the model's units and on its grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twinwright.clock import HOUR
from twinwright.governance.principals import Principal
from twinwright.simulation.protocol import Floats
from twinwright.storage.layout import Lane, Selection
from twinwright.storage.protocol import Store
from twinwright.twins.series import numbers

LOOKBACKS = (HOUR, 24 * HOUR, 30 * 24 * HOUR, None)
Times = NDArray[np.int64]
Taken = dict[tuple[int, str], tuple[Times, Floats]]
NOTHING: tuple[Times, Floats] = (np.empty(0, np.int64), np.empty(0))


@dataclass(frozen=True, slots=True)
class Readings:
    """Good values of lifetimes as known at a commit."""

    store: Store
    principal: Principal
    known_at: int

    def take(
        self,
        twins: Sequence[int],
        ports: Mapping[str, str | None],
        start: int | None,
        end: int | None,
        lane: Lane = "observed",
        source: str | None = None,
    ) -> Taken:
        """By (lifetime, path) times and values in start <= time < end, each path of `ports` in its unit. Raises UsageError for text."""
        if not twins or not ports:
            return {}
        selection = Selection(tuple(sorted(twins)), tuple(sorted(ports)), lane, start, end, self.known_at, good_only=True, source=source)
        rows = self.store.history(self.principal, selection)
        taken: Taken = {}
        twin, path = np.asarray(rows["twin"].to_numpy()), np.asarray(rows["path"].to_numpy(zero_copy_only=False))
        time = np.asarray(rows["time"].to_numpy(), np.int64)
        edges = np.flatnonzero((twin[1:] != twin[:-1]) | (path[1:] != path[:-1])) + 1
        for part in np.split(np.arange(len(rows)), edges) if len(rows) else []:
            name = str(path[part[0]])
            values, _ = numbers(rows.slice(int(part[0]), len(part)), ports[name], name)
            times = time[part]
            last = np.append(times[1:] != times[:-1], True)  # of several sources the greatest name is heard (law 2)
            taken[int(twin[part[0]]), name] = times[last], values[last]
        return taken

    def latest_said(self, twins: Sequence[int], ports: Mapping[str, str | None], start: int, end: int, source: str) -> Taken:
        """What a source says on the simulated lane now, whenever it was written."""
        return Readings(self.store, self.principal, self.store.last_commit(self.principal)).take(
            twins, ports, start, end, "simulated", source
        )

    def newest(self, twins: Sequence[int], paths: Sequence[str]) -> dict[tuple[int, str], int]:
        """The time of the newest good value of each (lifetime, path) that has one."""
        if not twins or not paths:
            return {}
        selection = Selection(tuple(sorted(twins)), tuple(sorted(paths)), known_at=self.known_at, good_only=True)
        rows = self.store.latest(self.principal, selection)
        return {(row["twin"], row["path"]): row["time"] for row in rows.select(["twin", "path", "time"]).to_pylist()}

    def oldest(self, twin: int, path: str, not_before: int | None) -> int | None:
        """The first time from which on there is a good value: `not_before` where one is there by then, else that of the first."""
        selection = Selection((twin,), (path,), known_at=self.known_at, good_only=True)
        times = np.asarray(self.store.history(self.principal, selection)["time"].to_numpy(), np.int64)
        if not times.size:
            return None
        return int(times[0]) if not_before is None else max(int(times[0]), not_before)

    def before(self, twin: int, path: str, unit: str | None, end: int) -> tuple[Times, Floats]:
        """The last good value at a time < end, looked for in growing windows; empty where there is none."""
        for lookback in LOOKBACKS:
            times, values = self.take([twin], {path: unit}, None if lookback is None else end - lookback, end).get((twin, path), NOTHING)
            if times.size:
                return times[-1:], values[-1:]
        return NOTHING


def on_grid(series: tuple[Times, Floats], grid: Times, hold: str) -> Floats:
    """A series at the times of a grid: held, interpolated, or the next one. Its first value is not after the grid begins."""
    times, values = series
    after = np.searchsorted(times, grid, side="right")
    if hold == "zero":
        return values[after - 1]
    following = np.minimum(after, times.size - 1)
    if hold == "next":
        return values[following]
    behind = after - 1  # of the two neighbours alone: the same whatever else was read
    width = (times[following] - times[behind]).astype(np.float64)
    share = np.where(width > 0, (grid - times[behind]) / np.where(width > 0, width, 1.0), 0.0)
    return np.asarray(values[behind] + share * (values[following] - values[behind]), np.float64)
