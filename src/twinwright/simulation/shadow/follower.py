"""One twin that a shadow follows: which of its states are kept, what a range of commits makes invalid, and what is run next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twinwright.clock import SECOND
from twinwright.simulation import plain_data
from twinwright.simulation.protocol import Floats
from twinwright.simulation.shadow.definition import Shadow
from twinwright.simulation.shadow.reading import NOTHING, Readings, Times, on_grid

CHUNK = 20_000  # steps of one twin that are run before what they gave is written


@dataclass(slots=True)
class Follower:
    """`kept` are the states by their event time, as they are stored. `settled`: nothing that was published can be stale, and nothing
    lies beyond the newest state."""

    twin: int
    kept: dict[int, bytes] = field(default_factory=dict)
    start: int | None = None  # of its grid, microseconds
    settled: bool = False
    ended: int = -1  # the last step that is published; of one that is replayed, which has no states
    dirty: bool = True  # there may be something to run
    cause: int = 0  # the commit of the newest input that it has not followed yet
    error: str = ""
    held: dict[str, tuple[int, float]] = field(default_factory=dict)  # by path the value that holds at the newest state
    added: dict[int, bytes] = field(default_factory=dict)  # states that the store does not have yet
    dropped: set[int] = field(default_factory=set)  # times of states that it has no more use for

    @property
    def head(self) -> int | None:
        """The time of its newest state."""
        return max(self.kept, default=None)

    def load(self, shadow: Shadow, kept: dict[int, bytes]) -> None:
        """As it was left by whoever followed before."""
        self.kept = kept
        if kept:
            self.start = int(plain_data.decode(kept[max(kept)])["start"])
            # what is stale lies beyond a state at which a forecast begins: chunks of a rewind end there
            self.ended = self.index(shadow, max(kept))
            self.settled = self.ended % shadow.every != 0

    def index(self, shadow: Shadow, time: int) -> int:
        assert self.start is not None
        return (time - self.start) // shadow.step

    def invalidate(self, shadow: Shadow, since: int) -> None:
        """Inputs may differ from a time on: forget the states that saw them, and be prepared to say otherwise of what followed."""
        self.dirty = True
        head = self.head
        if self.start is None or (head is not None and since > head):
            return
        self.settled = False
        self.held = {}
        self.keep({time: body for time, body in self.kept.items() if time < since and self.index(shadow, time) % shadow.every == 0})

    def keep(self, states: dict[int, bytes]) -> None:
        """These states, and no others."""
        gone = set(self.kept) - set(states)
        fresh = {time: body for time, body in states.items() if self.kept.get(time) != body}
        self.dropped = (self.dropped | gone) - set(fresh)
        self.added = {time: body for time, body in self.added.items() if time not in gone} | fresh
        self.kept = states

    def written(self) -> None:
        """The store has what is kept, and nothing else."""
        self.added, self.dropped = {}, set()


@dataclass(slots=True)
class Piece:
    """A stretch of steps of one twin, `first` to `last`, that is run at once; `final`: nothing is left after it."""

    follower: Follower
    first: int
    last: int
    final: bool
    grid: Times
    payload: dict[str, Any]
    issues: list[tuple[int, int]]  # (step at which a forecast begins, how many it has)
    cuts: list[int]
    held: dict[str, tuple[int, float]]


def plan(
    shadow: Shadow, follower: Follower, readings: Readings, newest: dict[tuple[int, str], int], parameters: dict[str, float]
) -> Piece | None:
    """What to run next of a follower; None where nothing is, because history does not reach far enough."""
    if follower.start is None or not follower.kept:
        follower.start = _begin(shadow, follower.twin, readings)
    frontier = _frontier(shadow, follower, newest)
    if (
        frontier is not None
        and follower.start is not None
        and follower.head is not None
        and frontier < follower.index(shadow, follower.head)
    ):
        follower.invalidate(shadow, follower.start + frontier * shadow.step + 1)  # what was the newest is not there any more
    head = None if shadow.spec.replay else follower.head
    first = 0 if head is None else follower.index(shadow, head)
    if (
        follower.start is None
        or frontier is None
        or frontier < 1
        or (follower.settled and frontier <= max(first if head is not None else -1, follower.ended))
    ):
        return None
    most = frontier if shadow.spec.replay else first + max(CHUNK // shadow.every, 1) * shadow.every - first % shadow.every
    last = min(frontier, most)
    if last < first or (last == first and follower.settled):
        return None
    final = last == frontier
    steps = np.arange(first, last + 1, dtype=np.int64)
    grid = follower.start + steps * shadow.step
    inputs, held = _inputs(shadow, follower, readings, grid, newest)
    issues = _issues(shadow, follower, first, last, final=final, scratch=head is None)
    wanted = {last, *(step for step, _ in issues)}
    if not shadow.spec.replay:
        wanted |= {step for step in range(-(-first // shadow.spacing) * shadow.spacing, last, shadow.spacing) if shadow.kept(step, last)}
    cuts = sorted(step for step in wanted if step >= first)
    state = None if head is None else plain_data.decode(follower.kept[head])["state"]
    states = {} if state is not None else _starts(shadow, follower, readings)
    payload = {
        "state": state,
        "parameters": parameters,
        "states": states,
        "seed": shadow.spec.seed,
        "times": steps * (shadow.step / SECOND),
        "step": shadow.step / SECOND,
        "inputs": inputs,
        "outputs": [one.name for one in shadow.model.outputs],
        "cuts": [cut - first for cut in cuts],
        "issues": [[step - first, count] for step, count in issues],
        "replay": shadow.spec.replay,
    }
    return Piece(follower, first, last, final, grid, payload, issues, cuts, held)


def _begin(shadow: Shadow, twin: int, readings: Readings) -> int | None:
    """The first time of the grid at which everything has a value."""
    paths = [path for path, _ in shadow.observed.values()]
    paths += [one.property or one.name for one in shadow.model.states if one.start is None]
    found = [readings.oldest(twin, path, shadow.start) for path in paths]
    times = [time for time in found if time is not None]
    if len(times) < len(found):
        return None
    anchor = shadow.start or 0
    return anchor + -((anchor - max(times)) // shadow.step) * shadow.step


def _frontier(shadow: Shadow, follower: Follower, newest: dict[tuple[int, str], int]) -> int | None:
    """The last step that history reaches: as far as any input is known, and no further than one that is interpolated."""
    if follower.start is None:
        return None
    known, bounds = [], []
    for port in shadow.model.inputs:
        if port.name in shadow.observed:
            time = newest.get((follower.twin, shadow.observed[port.name][0]))
            if time is None:
                return None
            known.append(time)
            if port.hold != "zero":
                bounds.append(time - (port.hold == "next"))
    return (min([max(known), *bounds]) - follower.start) // shadow.step


def _issues(shadow: Shadow, follower: Follower, first: int, last: int, *, final: bool, scratch: bool) -> list[tuple[int, int]]:
    """Steps at which forecasts begin. Each but the last reaches to the next; one at the end of a piece that is not final is left to the
    next piece, which begins there."""
    if not shadow.horizon:
        return []
    begin = first if scratch or not follower.settled else first + 1
    steps = [step for step in range(-(-begin // shadow.every) * shadow.every, last + 1, shadow.every) if final or step < last]
    return [(step, shadow.horizon if final and step == steps[-1] else shadow.every) for step in steps]


def _starts(shadow: Shadow, follower: Follower, readings: Readings) -> dict[str, float]:
    """Initial values of the states that begin at what is observed."""
    assert follower.start is not None
    found = {}
    for one in shadow.model.states:
        if one.start is None:
            _, values = readings.before(follower.twin, one.property or one.name, one.unit, follower.start + 1)
            found[one.name] = float(values[-1])
    return found


def _inputs(
    shadow: Shadow, follower: Follower, readings: Readings, grid: Times, newest: dict[tuple[int, str], int]
) -> tuple[Floats, dict[str, tuple[int, float]]]:
    """(inputs on the grid, by path the value that holds at its end)."""
    from twinwright import units

    ports = dict(shadow.observed.values())
    end = int(grid[-1]) + 1
    if any(one.hold != "zero" for one in shadow.model.inputs):  # the next one too, wherever it is
        end = max([end, *(newest.get((follower.twin, path), 0) + 1 for path in ports)])
    taken = readings.take([follower.twin], ports, int(grid[0]) + 1, end)
    inputs = np.empty((grid.size, len(shadow.model.inputs)))
    held = {}
    for index, port in enumerate(shadow.model.inputs):
        given = shadow.spec.inputs.get(port.name)
        if given is not None:
            inputs[:, index] = float(units.convert(given.constant, port.unit if given.unit is None else given.unit, port.unit))
            continue
        path, unit = shadow.observed[port.name]
        if path in follower.held:
            before = np.array([follower.held[path][0]], np.int64), np.array([follower.held[path][1]])
        else:
            before = readings.before(follower.twin, path, unit, int(grid[0]) + 1)
        times, values = taken.get((follower.twin, path), NOTHING)
        series = np.concatenate([before[0], times]), np.concatenate([before[1], values])
        inputs[:, index] = on_grid(series, grid, port.hold)
        at = int(np.searchsorted(series[0], grid[-1], side="right")) - 1
        held[path] = int(series[0][at]), float(series[1][at])
    return inputs, held
