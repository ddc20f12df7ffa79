"""What a shadow reads: values of many twins at once, as known at one commit, in the model's units and on its grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twinwright.clock import HOUR
from twinwright.governance.principals import Principal
from twinwright.simulation.protocol import Floats
from twinwright.storage.layout import Lane, Selection
from twinwright.storage.protocol import GOOD, REMOVED, Store
from twinwright.twins.series import numbers

WINDOWS = (HOUR, 24 * HOUR, 30 * 24 * HOUR, None)
Times = NDArray[np.int64]
Taken = dict[tuple[int, str], tuple[Times, Floats]]
NOTHING: tuple[Times, Floats] = (np.empty(0, np.int64), np.empty(0))


@dataclass(slots=True)
class Fresh:
    """What was found from a time on: good values, and the twins of which something is `removed` there."""

    taken: Taken = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Readings:
    """Good values of lifetimes as known at a commit; of those what was true before an event time, where one is given."""

    store: Store
    principal: Principal
    known_at: int
    end: int | None = None

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
        end = self.end if end is None or (self.end is not None and self.end < end) else end
        selection = Selection(tuple(sorted(twins)), tuple(sorted(ports)), lane, start, end, self.known_at, good_only=True, source=source)
        return _by_path(self.store.history(self.principal, selection), ports)

    def since(self, twins: Sequence[int], ports: Mapping[str, str | None], start: int) -> Fresh:
        """Observed values at a time >= `start`. Raises UsageError for text."""
        selection = Selection(tuple(sorted(twins)), tuple(sorted(ports)), "observed", start, self.end, self.known_at)
        rows = self.store.history(self.principal, selection)
        removed = set(rows.filter(pc.equal(rows["kind"], REMOVED))["twin"].to_pylist())
        return Fresh(_by_path(rows.filter(pc.equal(rows["kind"], GOOD)), ports), removed)

    def latest_said(self, twins: Sequence[int], ports: Mapping[str, str | None], start: int, end: int, source: str) -> Taken:
        """What a source says on the simulated lane now, whenever it was written."""
        return replace(self, known_at=self.store.last_commit(self.principal)).take(twins, ports, start, end, "simulated", source)

    def newest(self, twins: Sequence[int], paths: Sequence[str]) -> dict[int, dict[str, int]]:
        """By lifetime and path the time of the newest good value, where there is one."""
        found: dict[int, dict[str, int]] = {twin: {} for twin in twins}
        if twins and paths:
            selection = Selection(tuple(sorted(twins)), tuple(sorted(paths)), end=self.end, known_at=self.known_at, good_only=True)
            rows = self.store.latest(self.principal, selection)
            for twin, path, time in zip(rows["twin"].to_pylist(), rows["path"].to_pylist(), rows["time"].to_pylist(), strict=True):
                found[twin][path] = time
        return found

    def oldest(self, twins: Sequence[int], ports: Mapping[str, str | None]) -> dict[tuple[int, str], int]:
        """The time of the first good value of each (lifetime, path); each is known to have one."""
        found: dict[tuple[int, str], int] = {}
        contracts = {
            table.contract for table in self.store.reading_tables(self.principal) if {one.path for one in table.columns} & set(ports)
        }
        hours = [hour for name in contracts for hour in self.store.hours(self.principal, name)]
        start, end, missing = None, (min(hours) + 1) * HOUR if hours else None, set(twins)
        while missing:  # windows grow, and of those that begin late nothing before that is read twice
            for key, (times, _) in self.take(sorted(missing), ports, start, end).items():
                found.setdefault(key, int(times[0]))
            missing = {twin for twin in missing if any((twin, path) not in found for path in ports)}
            if end is None:
                break
            start, end = end, end + 2 * (end - start) if start is not None else end + HOUR
            if end > (max(hours) + 1) * HOUR:
                end = None
        return found

    def before(self, ends: Mapping[int, int], ports: Mapping[str, str | None]) -> Taken:
        """Of each lifetime the last good value of each path at a time before its end, looked for in growing windows."""
        return self._next_to(ends, ports, before=True)

    def after(self, starts: Mapping[int, int], ports: Mapping[str, str | None]) -> Taken:
        """Of each lifetime the first good value of each path at a time from its start on, looked for in growing windows."""
        return self._next_to(starts, ports, before=False)

    def _next_to(self, wanted: Mapping[int, int], ports: Mapping[str, str | None], *, before: bool) -> Taken:
        found: Taken = {}
        missing = {(twin, path) for twin in wanted for path in ports}
        for window in WINDOWS:
            twins = {twin for twin, _ in missing}
            for group in near({twin: time for twin, time in wanted.items() if twin in twins}, HOUR):
                first, last = min(group.values()), max(group.values())
                span = (None if window is None else first - window, last) if before else (first, None if window is None else last + window)
                for (twin, path), (times, values) in self.take(list(group), ports, *span).items():
                    index = int(np.searchsorted(times, wanted[twin])) - before
                    if 0 <= index < times.size:
                        found[twin, path] = times[index : index + 1], values[index : index + 1]
            missing -= set(found)
            if not missing:
                break
        return found


def near(times: Mapping[int, int], width: int) -> Iterator[dict[int, int]]:
    """Lifetimes whose times lie within `width` of one another, so that one read of all of them reads little beside."""
    group: dict[int, int] = {}
    first = 0
    for twin, time in sorted(times.items(), key=lambda one: one[1]):
        if group and time - first > width:
            yield group
            group = {}
        if not group:
            first = time
        group[twin] = time
    if group:
        yield group


def _by_path(rows: pa.Table, ports: Mapping[str, str | None]) -> Taken:
    """Rows in the order of (twin, path, time, source); of several sources at one time the greatest name is heard (law 2)."""
    taken: Taken = {}
    if not len(rows):
        return taken
    twin, time = np.asarray(rows["twin"].to_numpy()), np.asarray(rows["time"].to_numpy(), np.int64)
    names = rows["path"].combine_chunks().dictionary_encode()
    path = np.asarray(names.indices.to_numpy())
    values = np.empty(len(rows))
    for index, name in enumerate(names.dictionary.to_pylist()):
        mine = np.flatnonzero(path == index)
        values[mine] = numbers(rows if mine.size == len(rows) else rows.take(mine), ports[name], name)[0]
    same = (twin[1:] == twin[:-1]) & (path[1:] == path[:-1])
    last = np.append(~same | (time[1:] != time[:-1]), True)
    edges = np.concatenate([[0], np.flatnonzero(~same) + 1, [len(rows)]])
    whole = bool(last.all())
    keys = names.dictionary.to_pylist()
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = slice(begin, end)
        said = (time[part], values[part]) if whole else (time[part][last[part]], values[part][last[part]])
        taken[int(twin[begin]), keys[path[begin]]] = said
    return taken


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
