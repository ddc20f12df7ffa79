"""What sealing is, whatever the engine: days of event time, rewritten in the order of (twin, time) in steps that each are one transaction.

Rows keep all that they say, their commit included, so nothing that is read changes, and no commit is made of it: the log is of facts. A
store that is stopped between two steps, or in one, has days of which part is in order; they count as not sealed, and are begun again. What
arrives for sealed days lies behind them until there is enough of it for them to be sealed again.

An engine that packs neighbouring rows together gains little from a day in which a twin has few readings: each next twin's rows jump back in
time. So days are sealed one by one as they end, and once more together when a twin's run in them is long enough (`together`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

from twinwright.clock import HOUR

DAY: Final = 24 * HOUR
STEP_ROWS: Final = 400_000  # some row groups of the engine: less would be written twice, more would keep ingestion waiting
AGAIN: Final = 20  # what is sealed is sealed again when what came since is more than a twentieth of it
RUN: Final = 8_192  # readings of a twin: of the engine's groups of 2,048 a quarter then has a jump from one twin to the next, at most


@dataclass(frozen=True, slots=True)
class Unsealed:
    """Days of one reading table that are sealed together (one, where they never were), and what is not sealed of them: how many readings
    came since, how many there were then (0: never), and the newest commit among those that came."""

    day: int  # the first of them, since the epoch
    days: int
    fresh: int
    sealed: int
    newest: int

    @property
    def due(self) -> bool:
        """Whether sealing is worth its work."""
        return self.fresh * AGAIN > self.sealed


@dataclass(frozen=True, slots=True)
class Sealed:
    """Days of one reading table that were sealed together: how many readings they had then, and of how many twins (0: not known)."""

    day: int
    days: int
    readings: int
    twins: int

    @property
    def end(self) -> int:
        """The first day after them."""
        return self.day + self.days


@dataclass(frozen=True, slots=True)
class Piece:
    """What one step rewrites: twins first..last, at start <= event time < end (microseconds)."""

    first: int
    last: int
    start: int
    end: int


def together(sealed: Sequence[Sealed], most: int) -> Iterator[tuple[int, int]]:
    """What is worth sealing once more, all of it together: first day, and how many. Always a power of two of days up to `most`, from a
    multiple of it on, so that of any two such spans one has the other in it or they have nothing in common.

    How many follows from how many readings a day each twin has in that block of `most` days, and so changes with them; whether a span is
    over is for the caller to see to.
    """
    for block, group in groupby(sealed, lambda one: one.day // most):
        known = [one for one in group if one.twins]
        if not known:
            continue
        run = sum(one.readings / one.twins for one in known) / sum(one.days for one in known)
        days = min(most, 2 ** max(0, math.ceil(math.log2(RUN / run))))
        for first in range(block * most, (block + 1) * most, days):
            inside = [one for one in known if first <= one.day and one.end <= first + days]
            if len(inside) > 1:
                yield first, days


def pieces(start: int, end: int, counts: Sequence[tuple[int, int]], most: int) -> list[Piece]:
    """Pieces of about `most` rows in the order of (twin, time), of how many rows each twin has; a busy twin's are cut by time."""
    made = list[Piece]()
    first, rows = 0, 0
    for index, (twin, count) in enumerate(counts):
        if rows and rows + count > most:
            made.append(Piece(counts[first][0], counts[index - 1][0], start, end))
            first, rows = index, 0
        rows += count
        if rows > most:  # this twin alone
            cuts = -(-rows // most)
            bounds = [start + (end - start) * cut // cuts for cut in range(cuts + 1)]
            made += [Piece(twin, twin, *bound) for bound in pairwise(bounds)]
            first, rows = index + 1, 0
    if rows:
        made.append(Piece(counts[first][0], counts[-1][0], start, end))
    return made
