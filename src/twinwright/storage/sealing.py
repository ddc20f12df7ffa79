"""What sealing is, whatever the engine: a day of event time, rewritten in the order of (twin, time) in steps that each are one transaction.

Rows keep all that they say, their commit included, so nothing that is read changes, and no commit is made of it: the log is of facts. A
store that is stopped between two steps, or in one, has a day of which part is in order; it counts as not sealed, and is begun again. What
arrives for a sealed day lies behind it until there is enough of it for the day to be sealed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from twinwright.clock import HOUR

DAY: Final = 24 * HOUR
STEP_ROWS: Final = 400_000  # some row groups of the engine: less would be written twice, more would keep ingestion waiting
AGAIN: Final = 20  # a sealed day is sealed again when what came since is more than a twentieth of it


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A day (since the epoch) of one reading table: how many readings came since it was sealed, how many there were then (0: never), and
    the newest commit among those that came."""

    day: int
    fresh: int
    sealed: int
    newest: int

    @property
    def due(self) -> bool:
        """Whether sealing is worth its work."""
        return self.fresh * AGAIN > self.sealed


@dataclass(frozen=True, slots=True)
class Piece:
    """What one step rewrites: twins first..last, at start <= event time < end (microseconds)."""

    first: int
    last: int
    start: int
    end: int


def pieces(day: int, counts: Sequence[tuple[int, int]], most: int) -> list[Piece]:
    """Pieces of about `most` rows in the order of (twin, time), of how many rows each twin has; a busy twin's day is cut by time."""
    begin, made = day * DAY, list[Piece]()
    first, rows = 0, 0
    for index, (twin, count) in enumerate(counts):
        if rows and rows + count > most:
            made.append(Piece(counts[first][0], counts[index - 1][0], begin, begin + DAY))
            first, rows = index, 0
        rows += count
        if rows > most:  # this twin alone
            cuts = -(-rows // most)
            bounds = [begin + DAY * cut // cuts for cut in range(cuts + 1)]
            made += [Piece(twin, twin, *bound) for bound in pairwise(bounds)]
            first, rows = index + 1, 0
    if rows:
        made.append(Piece(counts[first][0], counts[-1][0], begin, begin + DAY))
    return made
