"""One twin that a shadow follows: which of its states are kept, and what a range of commits makes invalid."""

from __future__ import annotations

from dataclasses import dataclass, field

from twinwright.simulation import plain_data
from twinwright.simulation.shadow.definition import Shadow

CHUNK = 20_000  # steps of one twin that are run before what they gave is written
ROUND = 2_000_000  # steps of all twins of a shadow in one round
LEAST = 64  # steps of one twin however many there are


def most_steps(shadow: Shadow, twins: int) -> int:
    """How many steps of a twin are run at once, where so many have some to run: whole stretches between two forecasts."""
    return max(min(CHUNK, max(ROUND // max(twins, 1), LEAST)) // shadow.every, 1) * shadow.every


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
    known: dict[str, int] = field(default_factory=dict)  # by path the time of the newest good value; empty where that has to be looked up
    touched: int | None = None  # the earliest time at which an input was told since it was planned
    head: int | None = None  # the time of its newest state
    added: dict[int, bytes] = field(default_factory=dict)  # states that the store does not have yet
    dropped: set[int] = field(default_factory=set)  # times of states that it has no more use for

    def load(self, shadow: Shadow, kept: dict[int, bytes]) -> None:
        """As it was left by whoever followed before."""
        self.kept, self.head = kept, max(kept, default=None)
        if self.head is not None:
            self.start = int(plain_data.decode(kept[self.head])["start"])
            # what is stale lies beyond a state at which a forecast begins: chunks of a rewind end there
            self.ended = self.index(shadow, self.head)
            self.settled = self.ended % shadow.every != 0

    def index(self, shadow: Shadow, time: int) -> int:
        assert self.start is not None
        return (time - self.start) // shadow.step

    def invalidate(self, shadow: Shadow, since: int) -> None:
        """Inputs may differ from a time on: forget the states that saw them, and be prepared to say otherwise of what followed."""
        self.dirty = True
        if self.start is None or (self.head is not None and since > self.head):
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
        self.kept, self.head = states, max(states, default=None)

    def go_on(self, shadow: Shadow, states: dict[int, bytes], last: int) -> None:
        """It has come to a step, with these states on the way, by their times; older ones are let go of."""
        newest, now = self.head, self._time(shadow, last)
        if newest is not None and self.index(shadow, newest) // shadow.spacing == last // shadow.spacing:
            # none comes of age between two that are kept: the newest alone gives way to the next
            kept = dict(self.kept)
            if self.index(shadow, newest) % shadow.spacing and newest != now:
                del kept[newest]
                self.added.pop(newest, None)
                self.dropped.add(newest)
            if kept.get(now) != states[now]:
                self.added[now] = states[now]
                self.dropped.discard(now)
            kept[now] = states[now]
            self.kept, self.head = kept, now
        else:
            together = self.kept | states
            self.keep({time: body for time, body in together.items() if shadow.kept(self.index(shadow, time), last)})

    def _time(self, shadow: Shadow, step: int) -> int:
        assert self.start is not None
        return self.start + step * shadow.step

    def reached(self, shadow: Shadow) -> int | None:
        """The event time that it has come to."""
        return self._time(shadow, self.ended) if shadow.spec.replay and self.start is not None and self.ended >= 0 else self.head

    def hear(self, path: str, since: int) -> None:
        """Values of an input were told from a time on."""
        self.touched = since if self.touched is None else min(self.touched, since)
        if since <= self.known.get(path, since - 1):
            self.known = {}

    def written(self) -> None:
        """The store has what is kept, and nothing else."""
        if self.added or self.dropped:
            self.added, self.dropped = {}, set()
