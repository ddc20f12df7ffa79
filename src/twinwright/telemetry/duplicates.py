"""Which readings have been seen: exact, bounded in memory, and independent of how much history there is.

Event time is divided into spans: hours, and parts of those hours of which there is too much for one table. The prints of the readings of
each span that is being written to are held in a table of its own, which is parted by time when it becomes too large, and let go of when
its span has been quiet for longest. What arrives for a span that is not held is looked up in the store by its keys, or the hour is read
back whole when so much arrives that this is less work.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from twinwright.clock import HOUR
from twinwright.telemetry.seen_table import Alike, Rows, SeenTable, SpareTable, alike, bytes_of, some
from twinwright.twins.cells import NEVER

MAX_BYTES = 1 << 28  # of all tables together, and only a busy source gets there
_TABLES = 4  # so many of the largest size: the spans that are written to now, and what came just before
_READ_WHOLE = 2_000  # in an hour with fewer readings keys are not worth looking up
_SHARE = 4  # nor in one of which a quarter has been asked for
_LOOKS = 8  # into the store, for one batch, by keys

Spans = Mapping[int, tuple[int, int]]  # of each span, which is named by where it begins: the rows that lie in it, from and before


class SeenReadings:
    """The readings of one source that are in the set, by their prints.

    `stored` says of the hours that the store has how many readings it has of each, about, and `newest` that it has none of a later event
    time. With `latest_only` (corrections by order of ingestion) a reading is a duplicate only of the newest with its key, and in place of
    its paths goes its order. `keep`: let go of nothing, because the store does not show yet what was added (batches that become visible
    together). Else memory stays within `max_bytes`, beside what a batch needs by itself, whatever comes.
    """

    Load = Callable[[Sequence[int] | None, NDArray[np.int64] | None], Iterable[Rows]]

    def __init__(
        self,
        stored: Mapping[int, int],
        *,
        newest: int | None = None,
        latest_only: bool = False,
        keep: bool = False,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._stored = {hour * HOUR: count for hour, count in stored.items()}  # a span that is not in here has nothing
        self._cuts: list[int] = []  # where spans begin that begin within an hour, in order
        self._latest_only = latest_only
        self._keep = keep
        self._max_bytes = max_bytes
        self._largest = max_bytes // _TABLES
        self._held: dict[int, SeenTable] = {}  # what was written to longest ago comes first
        self._partly: dict[int, SeenTable] = {}  # what had to be known of other spans; with `keep` only
        self._asked: dict[int, int] = {}  # of spans that are not held: for how many readings they were looked into
        self._gone: set[int] = set()  # hours of which something was let go of since they were looked at
        self._spare = SpareTable()
        if newest is not None:
            self._cut_behind(newest)

    @property
    def nbytes(self) -> int:
        """How much memory the tables take now."""
        return self._spare.nbytes + sum(table.nbytes for table in self._held.values())

    def add(
        self,
        key: NDArray[np.uint64],
        content: NDArray[np.uint64],
        paths: NDArray[np.uint64],
        time: NDArray[np.int64],
        revision: int,
        load: Load,
    ) -> NDArray[np.uint8]:
        """NEW, DUPLICATE, or CLASH (new, but overlaps another of the same version) for each, in order; all are in the set after.

        `load(hours, None)` yields the store's visible readings of these hours, `load(None, rows)` those of the same twin and time as one
        of these rows of the batch.
        """
        batch = (key, content, paths, np.full(len(key), revision, np.int32), time)
        common = None if self._latest_only else alike(batch)
        self._unite()
        order, spans = self._divided(time, common)
        batch = batch if order is None else some(batch, order)
        verdict = np.empty(len(key), np.uint8)
        for start, table in self._known(spans, order, common, load).items():
            span = slice(*spans[start])
            added = table.insert(some(batch, span), verdict[span], self._latest_only, common)
            self._stored[start] = self._stored.get(start, 0) + added
        if order is None:
            return verdict
        in_order = np.empty_like(verdict)
        in_order[order] = verdict
        return in_order

    def hear(self, rows: Rows) -> None:
        """Take in what others have added to the store since; what is known already changes nothing. A span that they begin is held from its
        first reading on, where there is room: it would have to be read back as soon as something arrives for it here."""
        self._unite()
        parts = self._by_span(rows)
        for start, part in parts:
            if start in self._held:  # before any is let go of: what the store has is known through here
                self._held[start].newest = max(self._held[start].newest, int(part[4].max()))
        for start, part in parts:
            added, common = len(part[0]), alike(part)
            if start not in self._stored and self.nbytes + bytes_of(added, wide=self._latest_only or common is None) <= self._max_bytes:
                self._held[start] = SeenTable(self._spare, int(part[4].max()), wide=self._latest_only)
            table = self._held.get(start)
            size = table.nbytes_with(added, common) if table else 0
            if size > self._largest:
                self._let_go(start)
            elif table:
                self._make_room([start], size)
                added = table.insert(part, np.empty(added, np.uint8), self._latest_only, common)
            self._stored[start] = self._stored.get(start, 0) + added

    # --- spans ---------------------------------------------------------------------------------------------------------

    def _divided(self, time: NDArray[np.int64], common: Alike) -> tuple[NDArray[np.int64] | None, Spans]:
        """The spans of a batch, and the order of its rows in which they follow each other (None: as they are). Tables that would become
        too large are parted before, or let go of; so are the largest where all that the batch needs would be too much together."""
        while True:
            order, spans = self._spans(time)
            if self._keep:
                return order, spans
            sizes = self._sizes(spans, common)
            if full := [start for start, size in sizes.items() if size > self._largest]:
                for start in full:
                    self._part(start)
            elif sum(sizes.values()) > self._max_bytes:
                self._let_go(max(sizes, key=sizes.__getitem__))
            else:
                return order, spans

    def _sizes(self, spans: Spans, common: Alike) -> dict[int, int]:
        """Of the held ones how large they become."""
        held = ((start, self._held[start], last - first) for start, (first, last) in spans.items() if start in self._held)
        return {start: table.nbytes_with(count, common) for start, table, count in held}

    def _spans(self, time: NDArray[np.int64]) -> tuple[NDArray[np.int64] | None, Spans]:
        first, last = int(time.min()), int(time.max())
        if self._start(first) == self._start(last):
            return None, {self._start(first): (0, len(time))}
        starts = time - time % HOUR
        if cuts := self._cuts[bisect_right(self._cuts, first - HOUR) : bisect_right(self._cuts, last)]:
            begins = np.array([NEVER, *cuts], np.int64)
            starts = np.maximum(starts, begins[np.searchsorted(begins, time, "right") - 1])
        order = np.argsort(starts, kind="stable")
        starts = starts[order]
        begins = np.flatnonzero(np.diff(starts, prepend=starts[:1] - 1))
        ends = [*begins[1:].tolist(), len(starts)]
        return order, {int(starts[begin]): (begin, end) for begin, end in zip(begins.tolist(), ends, strict=True)}

    def _by_span(self, rows: Rows) -> list[tuple[int, Rows]]:
        order, spans = self._spans(rows[4])
        rows = rows if order is None else some(rows, order)
        return [(start, some(rows, slice(*span))) for start, span in spans.items()]

    def _start(self, time: int) -> int:
        at = bisect_right(self._cuts, time)
        hour = time - time % HOUR
        return max(hour, self._cuts[at - 1]) if at else hour

    def _of_hour(self, start: int) -> list[int]:
        """All spans of the hour that a span is of."""
        hour = start - start % HOUR
        return [hour, *self._cuts[bisect_left(self._cuts, hour) : bisect_left(self._cuts, hour + HOUR)]]

    def _part(self, start: int) -> None:
        table = self._held[start]
        parts = table.part(start)
        if parts is None:
            self._let_go(start)
            return
        cut, later = parts
        insort(self._cuts, cut)
        self._held[cut] = later
        self._stored[start], self._stored[cut] = table.count, later.count

    def _let_go(self, start: int) -> None:
        """The store has all of it. Of the hour, what is newer than all that came becomes a span of its own, which has nothing."""
        table = self._held.pop(start)
        table.give_back()
        self._gone.add(start // HOUR)
        if start == self._of_hour(start)[-1]:
            self._cut_behind(table.newest)

    def _unite(self) -> None:
        """Between batches: what is looked up is one again with its neighbours, so that there are no more spans than tables and hours."""
        for hour in self._gone:
            before, *others = self._of_hour(hour * HOUR)
            for start in others:
                if self._is_looked_up(before) and self._is_looked_up(start):
                    self._cuts.remove(start)
                    self._stored[before] += self._stored.pop(start)
                    self._asked.pop(start, None)
                else:
                    before = start
        self._gone.clear()

    def _is_looked_up(self, start: int) -> bool:
        return start in self._stored and start not in self._held

    def _cut_behind(self, newest: int) -> None:
        """Nothing in the hour is of a later event time."""
        cut = newest + 1
        if self._start(newest) in self._stored and self._start(cut) != cut:
            insort(self._cuts, cut)

    # --- tables --------------------------------------------------------------------------------------------------------

    def _known(self, spans: Spans, order: NDArray[np.int64] | None, common: Alike, load: Load) -> dict[int, SeenTable]:
        """What has to be known of each span. Where keys are looked up, or there is no room, it is forgotten after the batch."""
        whole, by_key, passing = self._missing(spans, common)
        known, dropped = {}, {*by_key, *passing}
        for start in spans:
            kept = self._held if start in self._held else self._partly
            spare = SpareTable() if start in dropped else self._spare
            table = known[start] = kept.pop(start) if start in kept else SeenTable(spare, NEVER, wide=self._latest_only)
            if start not in dropped:
                self._held[start] = table
            elif self._keep:
                self._partly[start] = table
        if whole:
            self._take_in(known, whole, load(sorted({start // HOUR for start in whole}), None))
        for near in _near(by_key):
            rows = [np.arange(*spans[start]) if order is None else order[slice(*spans[start])] for start in near]
            self._take_in(known, near, load(None, np.concatenate(rows)))
        return known

    def _missing(self, spans: Spans, common: Alike) -> tuple[list[int], list[int], list[int]]:
        """Of the spans that memory has not: those to read whole, those to look keys up in, and those that have nothing and find no room.
        There is room for the others then."""
        whole, by_key, passing = [], [], []
        needed = sum(self._sizes(spans, common).values())
        for start, (first, last) in spans.items():
            if start in self._held:
                continue
            stored, count = start in self._stored, last - first
            size = sum(self._stored.get(one, 0) for one in self._of_hour(start)) if stored else 0
            asked = self._asked.get(start, 0) + count
            room = bytes_of(size + count, wide=stored or self._latest_only or common is None)
            fits = room <= min(self._largest, self._max_bytes - needed)
            if stored and not (fits and size <= max(asked * _SHARE, _READ_WHOLE)):
                self._asked[start] = asked
                by_key.append(start)
            elif fits or self._keep:
                needed += room
                if stored:
                    self._asked.pop(start, None)
                    whole.append(start)
            else:
                passing.append(start)
        if not self._keep:
            self._make_room(spans, needed)
        return whole, by_key, passing

    def _make_room(self, spans: Collection[int], needed: int) -> None:
        """Let go of the spans that were written to longest ago, but never of these, for which so much is needed."""
        others = sum(table.nbytes for start, table in self._held.items() if start not in spans)
        for start in list(self._held):
            if needed + others + self._spare.nbytes <= self._max_bytes:
                return
            if start not in spans:
                others -= self._held[start].nbytes
                self._let_go(start)
        if needed + others + self._spare.nbytes > self._max_bytes:
            self._spare.clear()

    def _take_in(self, known: Mapping[int, SeenTable], spans: Collection[int], loaded: Iterable[Rows]) -> None:
        for rows in loaded:
            for start, part in self._by_span(rows):
                if start in spans:
                    known[start].insert(part, np.empty(len(part[0]), np.uint8), self._latest_only)


def _near(starts: Sequence[int]) -> list[Sequence[int]]:
    """Spans in order, parted at the widest gaps: a look for keys costs what lies between the first and the last of their times."""
    if not starts:
        return []
    gaps = np.diff(starts)
    widest = [at for at in np.argsort(-gaps, kind="stable")[: _LOOKS - 1].tolist() if gaps[at] > HOUR]
    ends = [at + 1 for at in sorted(widest)]
    return [starts[first:last] for first, last in zip([0, *ends], [*ends, len(starts)], strict=True)]
