"""What is run next of the twins of a shadow: how far history reaches, and the inputs on the grid, read for all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from twinwright.clock import HOUR
from twinwright.errors import TwinwrightError
from twinwright.simulation.protocol import Floats
from twinwright.simulation.shadow.definition import Shadow
from twinwright.simulation.shadow.follower import Follower, most_steps
from twinwright.simulation.shadow.reading import Readings, Taken, Times, near, on_grid

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(slots=True)
class Piece:
    """A stretch of steps of one twin, `first` to `last`, that is run at once; `final`: nothing is left after it."""

    follower: Follower
    first: int
    last: int
    final: bool
    grid: Times
    state: bytes | None  # as it is kept; None where it begins
    issues: list[tuple[int, int]]  # (step at which a forecast begins, how many it has)
    cuts: list[int]  # steps at which the state is wanted
    states: dict[str, float]  # where those begin that begin at what is observed
    inputs: Floats
    held: dict[str, tuple[int, float]]

    @property
    def fresh(self) -> bool:
        """Whether it has a step of which nothing was told before."""
        return self.state is None or self.last > self.first


def plan(shadow: Shadow, waiting: Sequence[Follower], readings: Readings) -> list[Piece]:
    """What to run next of some followers: nothing of one that history does not take further, which is dirty no more, nor of one whose
    history can't be read, which has an `error`."""
    for one in waiting:
        one.error = ""
    taken, live = _news(shadow, waiting, readings)
    unknown = [one for one in waiting if not one.known]
    ports = dict(shadow.observed.values())
    newest = _contained(unknown, lambda some: readings.newest([one.twin for one in some], list(ports)))
    for one in unknown:
        one.known = newest.get(one.twin, {})
    _begin(shadow, [one for one in waiting if not one.error and (one.start is None or one.head is None)], readings)
    most, pieces = most_steps(shadow, len(waiting)), []
    for one in waiting:
        piece = None if one.error else _piece(shadow, one, most)
        one.dirty = piece is not None or bool(one.error)
        if not one.error:
            one.touched = None
        if piece is not None:
            pieces.append(piece)
    _fill(shadow, pieces, readings, taken, live)
    return [piece for piece in pieces if not piece.follower.error]


def _contained(some: Sequence[Follower], read: Callable[[Sequence[Follower]], dict[Key, Value]]) -> dict[Key, Value]:
    """What a read of many gives. One whose history can't be read has an `error`, and the others are read without it."""
    if not some:
        return {}
    try:
        return read(some)
    except TwinwrightError as error:
        if len(some) == 1:
            some[0].error = str(error)
            return {}
    half = len(some) // 2
    return _contained(some[:half], read) | _contained(some[half:], read)


def _live(shadow: Shadow, one: Follower) -> bool:
    """Whether all that it needs is what it remembers, and what was told since its newest state."""
    count = len(shadow.observed)
    return one.settled and one.head is not None and not shadow.spec.replay and len(one.known) == count and len(one.held) == count


def _news(shadow: Shadow, waiting: Sequence[Follower], readings: Readings) -> tuple[Taken, Collection[int]]:
    """Read what was told of late, and remember the time of the newest. Gives the values since the newest state of those twins that live
    of them, and which those are."""
    ports = dict(shadow.observed.values())
    taken: Taken = {}
    live = {one.twin: one.head + 1 for one in waiting if one.head is not None and _live(shadow, one)}
    told = {one.twin: one.touched for one in waiting if one.known and one.touched is not None}
    by_twin = {one.twin: one for one in waiting}
    for group in near(told | live, HOUR):

        def read(some: Sequence[Follower], start: int = min(group.values())) -> Taken:
            fresh = readings.since([one.twin for one in some], ports, start)
            for one in some:
                if one.twin in fresh.removed:  # what was before it counts no more
                    one.known = {}
                    live.pop(one.twin, None)
            return fresh.taken

        for (twin, path), (times, values) in _contained([by_twin[twin] for twin in group], read).items():
            one = by_twin[twin]
            if one.known:
                one.known[path] = max(one.known.get(path, int(times[-1])), int(times[-1]))
            if twin in live:
                behind = int(np.searchsorted(times, live[twin]))
                taken[twin, path] = (times[behind:], values[behind:]) if behind else (times, values)
    return {key: one for key, one in taken.items() if key[0] in live}, live


def _begin(shadow: Shadow, some: Sequence[Follower], readings: Readings) -> None:
    """The first time of the grid of each: where everything has a value."""
    ports = dict(shadow.observed.values())
    starts = {one.property or one.name: one.unit for one in shadow.model.states if one.start is None}
    for one in some:
        one.start = None
    ready = [one for one in some if len(one.known) == len(ports)]
    if starts:
        there = _contained(ready, lambda some: readings.newest([one.twin for one in some], list(starts)))
        ready = [one for one in ready if len(there.get(one.twin, {})) == len(starts)]
    oldest = _contained(ready, lambda some: readings.oldest([one.twin for one in some], ports | starts))
    anchor = shadow.start or 0
    for one in ready:
        times = [oldest[one.twin, path] for path in ports | starts if (one.twin, path) in oldest]
        if not one.error and times:
            begin = max([*times, *([] if shadow.start is None else [shadow.start])])
            one.start = anchor + -((anchor - begin) // shadow.step) * shadow.step


def _frontier(shadow: Shadow, follower: Follower) -> int | None:
    """The last step that history reaches: as far as any input is known, and no further than one that is interpolated."""
    if follower.start is None or len(follower.known) < len(shadow.observed):
        return None
    known, bounds = [], []
    for port in shadow.model.inputs:
        if port.name in shadow.observed:
            time = follower.known[shadow.observed[port.name][0]]
            known.append(time)
            if port.hold != "zero":
                bounds.append(time - (port.hold == "next"))
    return (min([max(known), *bounds]) - follower.start) // shadow.step


def _piece(shadow: Shadow, follower: Follower, most: int) -> Piece | None:
    """The next steps of a follower, without their inputs; None where nothing is to be run, because history does not reach far enough."""
    frontier, begin = _frontier(shadow, follower), follower.start
    if begin is None or frontier is None:
        return None
    if follower.head is not None and frontier < follower.index(shadow, follower.head):  # what was the newest is not there any more
        follower.invalidate(shadow, begin + frontier * shadow.step + 1)
    head = None if shadow.spec.replay else follower.head
    first = 0 if head is None else follower.index(shadow, head)
    reached = max(first if head is not None else -1, follower.ended)
    if frontier < 1 or (follower.settled and frontier <= reached):
        return None
    last = frontier if shadow.spec.replay else min(frontier, first + most - first % shadow.every)
    if last < first or (last == first and follower.settled):
        return None
    final = last == frontier
    issues = _issues(shadow, follower, first, last, final=final, scratch=head is None)
    wanted = {last, *(step for step, _ in issues)}
    if not shadow.spec.replay:
        wanted |= {step for step in range(-(-first // shadow.spacing) * shadow.spacing, last, shadow.spacing) if shadow.kept(step, last)}
    cuts = sorted(step for step in wanted if step >= first)
    grid = begin + np.arange(first, last + 1, dtype=np.int64) * shadow.step
    state = None if head is None else follower.kept[head]
    return Piece(follower, first, last, final, grid, state, issues, cuts, {}, np.empty((grid.size, len(shadow.model.inputs))), {})


def _issues(shadow: Shadow, follower: Follower, first: int, last: int, *, final: bool, scratch: bool) -> list[tuple[int, int]]:
    """Steps at which forecasts begin. Each but the last reaches to the next; one at the end of a piece that is not final is left to the
    next piece, which begins there."""
    if not shadow.horizon:
        return []
    begin = first if scratch or not follower.settled else first + 1
    steps = [step for step in range(-(-begin // shadow.every) * shadow.every, last + 1, shadow.every) if final or step < last]
    return [(step, shadow.horizon if final and step == steps[-1] else shadow.every) for step in steps]


# --- inputs ------------------------------------------------------------------------------------------------------------


def _fill(shadow: Shadow, pieces: Sequence[Piece], readings: Readings, taken: Taken, live: Collection[int]) -> None:
    """Give pieces their inputs on the grid, the values that hold at its end, and where states begin. `taken` is all that was told of those
    that live."""
    ports = dict(shadow.observed.values())
    by_twin = {piece.follower.twin: piece for piece in pieces}
    begins = {twin: int(piece.grid[0]) + 1 for twin, piece in by_twin.items()}
    ends = {twin: int(piece.grid[-1]) + 1 for twin, piece in by_twin.items() if twin not in live or not piece.follower.settled}
    for group in near({twin: begins[twin] for twin in ends}, max((ends[twin] - begins[twin] for twin in ends), default=0) + HOUR):

        def take(some: Mapping[int, int], start: int = min(group.values()), end: int = max(ends[twin] for twin in group)) -> Taken:
            return readings.take(list(some), ports, start, end)

        for (twin, path), (times, values) in _read(by_twin, group, take).items():
            own = slice(*np.searchsorted(times, [begins[twin], ends[twin]]))
            taken[twin, path] = times[own], values[own]
    asked = {twin: begin for twin, begin in begins.items() if len(by_twin[twin].follower.held) < len(ports)}
    before = _read(by_twin, asked, lambda some: readings.before(some, ports))
    between = {shadow.observed[one.name][0] for one in shadow.model.inputs if one.hold != "zero" and one.name in shadow.observed}
    after = _read(by_twin, ends if between else {}, lambda some: readings.after(some, {path: ports[path] for path in between}))
    starts = {one.property or one.name: one.unit for one in shadow.model.states if one.start is None}
    scratch = {twin: begins[twin] for twin, piece in by_twin.items() if piece.state is None and starts}
    at_start = _read(by_twin, scratch, lambda some: readings.before(some, starts))
    for piece in pieces:
        if not piece.follower.error:
            _inputs(shadow, piece, [before, taken, after])
        if not piece.follower.error and piece.state is None:
            _starts(shadow, piece, at_start)


def _read(by_twin: Mapping[int, Piece], times: Mapping[int, int], read: Callable[[dict[int, int]], Taken]) -> Taken:
    """A read of some twins, each with a time, contained."""
    followers = [by_twin[twin].follower for twin in times]
    return _contained(followers, lambda some: read({one.twin: times[one.twin] for one in some}))


def _inputs(shadow: Shadow, piece: Piece, parts: Sequence[Taken]) -> None:
    twin, held = piece.follower.twin, piece.follower.held
    for index, port in enumerate(shadow.model.inputs):
        if port.name in shadow.given:
            piece.inputs[:, index] = shadow.given[port.name]
            continue
        path, _ = shadow.observed[port.name]
        said = [part[twin, path] for part in parts if (twin, path) in part]
        if path in held:
            said.insert(0, (np.array([held[path][0]], np.int64), np.array([held[path][1]])))
        times, values = said[0] if len(said) == 1 else (np.concatenate([one for one, _ in said]), np.concatenate([one for _, one in said]))
        at = int(np.searchsorted(times, piece.grid[-1], side="right")) - 1
        piece.inputs[:, index] = on_grid((times, values), piece.grid, port.hold)
        piece.held[path] = int(times[at]), float(values[at])


def _starts(shadow: Shadow, piece: Piece, found: Taken) -> None:
    for one in shadow.model.states:
        if one.start is None:
            _, values = found[piece.follower.twin, one.property or one.name]
            piece.states[one.name] = float(values[-1])
