"""Tables of readings by their prints: open addressing, in compiled code, of a size that is known before they grow to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinwright.compiled import compiled
from twinwright.telemetry.prints import TICK, TICKS, mix

# Keys, contents, paths, revisions and event times.
Rows = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int32], NDArray[np.int64]]
Alike = tuple[int, int] | None  # the paths and the revision that rows have in common

NEW, DUPLICATE, CLASH, REPLACES, OLDER = 0, 1, 2, 3, 4

_SMALLEST = 1 << 6
_TAKEN_OVER = 8  # a table that was let go of serves a span that needs an eighth of it
_NEWER = 4  # of a table that is parted a quarter goes to the newer part: most of what comes then finds room there
_NARROW, _WIDE = 2, 4  # words of a place: key, content; and paths, revision
_WORD = 8


def bytes_of(count: int, *, wide: bool) -> int:
    """How large a table of so many readings is."""
    return _places(count) * (_WIDE if wide else _NARROW) * _WORD


def alike(rows: Rows) -> Alike:
    """The paths and the revision that all rows have in common, and some paths there are."""
    _, _, paths, revision, _ = rows
    same = len(paths) > 0 and paths[0] != 0 and bool((paths == paths[0]).all()) and bool((revision == revision[0]).all())
    return (int(paths[0]), int(revision[0])) if same else None


def some(rows: Rows, which: NDArray[np.int64] | slice) -> Rows:
    """Those of the rows."""
    key, content, paths, revision, time = rows
    return key[which], content[which], paths[which], revision[which], time[which]


class SpareTable:
    """Gives out tables. Memory that is touched for the first time costs five times what is done with it: the largest table that was let
    go of is kept, and taken over by the next span that is about to become large."""

    def __init__(self) -> None:
        self._kept = np.zeros(0, np.uint64)

    @property
    def nbytes(self) -> int:
        return self._kept.nbytes

    def take(self, places: int, width: int) -> NDArray[np.uint64]:
        """An empty table of at least so many places."""
        if not places * width <= len(self._kept) <= places * width * _TAKEN_OVER:
            return np.zeros((places, width), np.uint64)
        table, self._kept = self._kept.reshape(-1, width), np.zeros(0, np.uint64)
        table.fill(0)
        return table

    def give(self, table: NDArray[np.uint64]) -> None:
        if table.size > len(self._kept):
            self._kept = table.reshape(-1)

    def clear(self) -> None:
        self._kept = np.zeros(0, np.uint64)


class SeenTable:
    """The readings of one span of event time, an hour at most: keys and contents. Mostly all are of the same paths and revision; where
    they are not, or their order counts, it is `wide` and has these too. `newest`: none is of a later event time."""

    def __init__(self, spare: SpareTable, newest: int, *, wide: bool) -> None:
        self._spare = spare
        self._alike: Alike = None
        self._table = spare.take(_SMALLEST, _WIDE if wide else _NARROW)  # the last word of a free place is 0
        self.count = 0
        self.newest = newest

    @property
    def nbytes(self) -> int:
        return self._table.nbytes

    def nbytes_with(self, count: int, common: Alike) -> int:
        """How large it becomes, at most, when so many more come, which have that in common."""
        wide = self._width(common) == _WIDE
        return max(self._table.nbytes, bytes_of(self.count + count, wide=wide))

    def insert(self, rows: Rows, verdict: NDArray[np.uint8], latest_only: bool, common: Alike = None) -> int:
        """How many were new. `common` is what they have in common, where that is known."""
        if common is None and self._table.shape[1] == _NARROW:
            common = alike(rows)
        width, needed = self._width(common), _places(self.count + len(verdict))
        if needed > len(self._table) or width > self._table.shape[1]:
            old, self._table = self._table, self._spare.take(max(needed, len(self._table)), width)
            _move(old, self._table, *self._common)
        if width == _NARROW:
            self._alike = common
        key, content, paths, revision, time = rows
        added = int(_insert(self._table, key, content, paths, revision, verdict, latest_only))
        self.count += added
        self.newest = max(self.newest, int(time.max()))
        return added

    def part(self, start: int) -> tuple[int, SeenTable] | None:
        """Move about a quarter, the newest, to a table of its own, and say at which event time that begins; None where all are of one
        tick. `start`: where the span of this one begins."""
        first = start >> TICK
        origin = np.uint64(first % TICKS)
        counts = np.zeros(TICKS, np.int64)
        _count_ticks(self._table, origin, counts)
        ticks = np.flatnonzero(counts)
        if len(ticks) < 2:
            return None
        newer = np.cumsum(counts[ticks][::-1])[::-1][1:]  # of each tick but the oldest: how many are of it or later
        chosen = int(np.argmin(np.abs(newer - self.count // _NEWER)))
        tick, moved = int(ticks[chosen + 1]), int(newer[chosen])
        later = SeenTable(self._spare, self.newest, wide=False)
        old, width = self._table, self._table.shape[1]
        self._table = self._spare.take(_places(self.count - moved), width)
        later._table, later._alike, later.count = self._spare.take(_places(moved), width), self._alike, moved
        _part(old, origin, np.uint64(tick), self._table, later._table)
        self._spare.give(old)
        cut = (first + tick) << TICK
        self.count, self.newest = self.count - moved, cut - 1
        return cut, later

    def give_back(self) -> None:
        """Nothing asks it any more: its memory may be used again."""
        self._spare.give(self._table)

    def _width(self, common: Alike) -> int:
        wide = self._table.shape[1] == _WIDE or common is None or self._alike not in (None, common)
        return _WIDE if wide else _NARROW

    @property
    def _common(self) -> tuple[np.uint64, np.uint64]:
        paths, revision = self._alike or (0, 0)
        return np.uint64(paths), np.uint64(revision)


def _places(count: int) -> int:
    """How large a table has to be: at most two thirds of it are taken."""
    return max(_SMALLEST, 1 << (count * 3 // 2).bit_length())


@compiled
def _move(old: Any, table: Any, paths: Any, revision: Any) -> None:
    """In the order of the old table, so that what shares a run keeps its order, and neighbours stay near. `paths` and `revision` are
    those of what comes from a narrow table into a wide one."""
    had, has = old.shape[1], table.shape[1]
    for place in range(len(old)):
        if old[place, had - 1] == 0:
            continue
        at = _free(table, old[place, 0])
        table[at, 0], table[at, 1] = old[place, 0], old[place, 1]
        if has == _WIDE:
            table[at, 2], table[at, 3] = (old[place, 2], old[place, 3]) if had == _WIDE else (paths, revision)


@compiled
def _count_ticks(table: Any, first: Any, counts: Any) -> None:
    last = table.shape[1] - 1
    for place in range(len(table)):
        if table[place, last] != 0:
            counts[(table[place, 1] - first) & np.uint64(TICKS - 1)] += 1


@compiled
def _part(old: Any, first: Any, tick: Any, earlier: Any, later: Any) -> None:
    """Each to the table of its time, in the order of the old one."""
    width = old.shape[1]
    for place in range(len(old)):
        if old[place, width - 1] == 0:
            continue
        table = earlier if ((old[place, 1] - first) & np.uint64(TICKS - 1)) < tick else later
        at = _free(table, old[place, 0])
        for word in range(width):
            table[at, word] = old[place, word]


@compiled
def _free(table: Any, key: Any) -> Any:
    mask, last = np.uint64(len(table) - 1), table.shape[1] - 1
    at = mix(key) & mask
    while table[at, last] != 0:
        at = (at + np.uint64(1)) & mask
    return at


@compiled
def _insert(table: Any, key: Any, content: Any, path: Any, revision: Any, verdict: Any, latest_only: bool) -> int:
    """Linear probing; the table's size is a power of two. Readings of one key lie in one run, so a clash is seen on the way. In a narrow
    table all are of the same paths and revision: what has the same key clashes."""
    mask, last = np.uint64(len(table) - 1), table.shape[1] - 1
    wide = last == _WIDE - 1
    added = 0
    for row in range(len(key)):
        at = mix(key[row]) & mask
        answer = NEW
        while table[at, last] != 0:
            if table[at, 0] == key[row]:
                if table[at, 1] == content[row]:
                    answer = DUPLICATE
                    break
                if latest_only:  # `path` is the order of ingestion here
                    answer = REPLACES if path[row] > table[at, 2] else OLDER
                    break
                if not wide or (table[at, 3] == np.uint64(revision[row]) and table[at, 2] & path[row]):
                    answer = CLASH
            at = (at + np.uint64(1)) & mask
        verdict[row] = NEW if answer >= REPLACES else answer
        if answer != DUPLICATE and answer != OLDER:
            table[at, 0], table[at, 1] = key[row], content[row]
            if wide:
                table[at, 2], table[at, 3] = path[row], np.uint64(revision[row])
            added += answer != REPLACES
    return added
