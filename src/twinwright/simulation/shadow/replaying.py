"""A stretch of history followed again, at the pace of a clock: the models, grids and reads of a shadow that is live, and nothing is stored.

What a clock says is the present is all that is heard of: at its time t the observations before t. So a replay at any speed, and one as fast
as it goes, is told the same in other portions, and says the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import polars as pl

from twinwright.clock import Clock, to_iso
from twinwright.errors import UsageError
from twinwright.simulation.shadow.definition import Shadow
from twinwright.simulation.shadow.follower import Follower
from twinwright.simulation.shadow.outputs import rows_of
from twinwright.simulation.shadow.planning import plan
from twinwright.simulation.shadow.reading import Readings
from twinwright.simulation.shadow.residuals import residuals
from twinwright.simulation.shadow.running import advance, forecasts, predictions

MAX_STEPS = 1_000_000


@dataclass(frozen=True, slots=True)
class Heard:
    """What a shadow says because of what came to be known by an event time: (twin, path, time, num, unit) of each kind."""

    until: int
    predicted: pl.DataFrame
    residual: pl.DataFrame
    forecast: pl.DataFrame


class Replay:
    """A shadow over one twin, from `start` to `end` (not included) of what is known at a commit."""

    def __init__(self, shadow: Shadow, twin: int, readings: Readings, parameters: Mapping[str, float], start: int, end: int) -> None:
        if (end - start) // shadow.step > MAX_STEPS:
            what = f"{to_iso(start)} to {to_iso(end)} has more than {MAX_STEPS} steps of the model"
            raise UsageError(what, where="from", remedy="Replay a shorter stretch")
        self.start, self.end = start, end
        self._shadow, self._parameters = replace(shadow, start=start), parameters
        self._readings, self._follower = readings, Follower(twin)
        self._until = start

    def hear(self, clock: Clock) -> Iterator[Heard]:
        """Go on to the present of a clock. Raises ModelError where the model fails."""
        shadow, follower = self._shadow, self._follower
        until = max(self._until, min(clock.now(), self.end))
        follower.touched, follower.dirty = self._until, True
        self._until = until
        readings = replace(self._readings, end=until)
        while follower.dirty:
            done = advance(shadow, self._parameters, plan(shadow, [follower], readings))
            if follower.error:
                raise UsageError(f"the replay ends: {follower.error}", where=shadow.name, remedy="Correct the model, or what it is told")
            if done:
                said = predictions(shadow, done)
                residual = residuals(shadow, readings, said) if shadow.spec.residuals else rows_of([])
                yield Heard(min(int(done[-1].piece.grid[-1]), until), said, residual, forecasts(shadow, done))

    @property
    def finished(self) -> bool:
        """Whether all of the stretch was heard of."""
        return self._until >= self.end


def extent(shadow: Shadow, twin: int, readings: Readings) -> tuple[int, int] | None:
    """From where all inputs of a twin are observed, and up to where any is (not included); None where one is not at all."""
    ports = dict(shadow.observed.values())
    newest = readings.newest([twin], list(ports))[twin]
    if len(newest) < len(ports):
        return None
    return max(readings.oldest([twin], ports).values()), max(newest.values()) + 1
