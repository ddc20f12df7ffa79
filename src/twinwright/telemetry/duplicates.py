"""Which readings have been seen: exact, bounded in memory, and independent of how much history there is.

A reading's key (twin, event time, correction) is hashed to 64 bits and its content (paths, values, units) to 63; both together
identify it. The hashes of each hour of event time that is being written to are held in an open-addressing table of its own, which is
dropped when the hour has been quiet for longest. What arrives for an hour that is not held is looked up in the store by its keys, or
the hour is read back whole when so much arrives that this is less work. Hashes are never stored: they can change with a version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twinwright.clock import HOUR
from twinwright.compiled import compiled
from twinwright.storage.layout import MASK_BITS, ReadingColumn
from twinwright.twins.cells import words_of

MAX_PLACES = 1 << 23  # of at most 32 bytes, for all hours together: 268 MB, and only a busy fleet gets there
_SMALLEST = 1 << 6
_READ_WHOLE = 2_000  # in an hour with fewer readings keys are not worth looking up
_SHARE = 4  # nor in one of which a quarter has been asked for
_TAKEN_OVER = 8  # a table that was let go of serves an hour that needs an eighth of it

_NARROW, _WIDE = 2, 4  # words of a place: key, content; and paths, revision

NEW, DUPLICATE, CLASH, REPLACES, OLDER = 0, 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Prints:
    """Of each reading two hashes, which depend on it and its contract alone; and `words`, the 64 bits of its values, texts hashed:
    (columns, rows)."""

    key: NDArray[np.uint64]  # of twin, time and correction
    content: NDArray[np.uint64]  # of paths, values and units
    words: NDArray[np.uint64]


def prints_of(
    columns: Sequence[ReadingColumn],
    twin: NDArray[np.int32],
    time: NDArray[np.int64],
    correction: NDArray[np.int64],
    present: NDArray[np.int64],
    bad: NDArray[np.int64],
    values: Sequence[pa.Array],
    words: NDArray[np.uint64] | None = None,
) -> Prints:
    """The prints of readings in columns; `present` and `bad` are (mask words, rows). `words` are the `words_of` the values, where they are
    at hand: those of texts are written to them."""
    words = words_of(values) if words is None else words
    seeds = np.empty(len(columns), np.uint64)
    for j, (column, value) in enumerate(zip(columns, values, strict=True)):
        if column.type == "VARCHAR":
            words[j] = _of_texts(value)
        seeds[j] = _seed(f"{column.path}\0{column.unit}\0{column.type}")
    key, content = np.empty(len(twin), np.uint64), np.zeros(len(twin), np.uint64)
    _keys(twin, time, correction, key)
    if _whole(present, bad, len(columns)):
        _contents_of_whole(words, seeds, content)
    else:
        _contents(present, bad, words, seeds, content)
    return Prints(key, content, words)


class PathBits:
    """The paths of each reading as bits that mean the same in every revision of a contract."""

    def __init__(self) -> None:
        self._bits: dict[str, int] = {}

    def of(self, columns: Sequence[ReadingColumn], present: NDArray[np.int64]) -> NDArray[np.uint64]:
        """One set for each row of `present` (mask words, rows)."""
        bits = [np.uint64(1) << np.uint64(self._bits.setdefault(column.path, min(len(self._bits), 63))) for column in columns]
        count = present.shape[1]
        alike = count > 0 and bool((present == present[:, :1]).all())  # mostly: one of them is enough then
        paths = np.empty(1 if alike else count, np.uint64)
        _paths(np.ascontiguousarray(present[:, : len(paths)]), np.array(bits, np.uint64), paths)
        return np.full(count, paths[0]) if alike else paths


def _of_texts(values: pa.Array) -> NDArray[np.uint64]:
    encoded = values.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    hashed = np.array([_seed(text) for text in encoded.dictionary.to_pylist()] or [0], np.uint64)
    return hashed[pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False)]  # type: ignore[no-any-return]


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@compiled
def _mix(value: Any) -> Any:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _whole(present: NDArray[np.int64], bad: NDArray[np.int64], columns: int) -> bool:
    """Whether every value is there and none is bad."""
    full = [(1 << min(MASK_BITS, columns - first)) - 1 for first in range(0, columns, MASK_BITS)]
    return all(bool((there == np.int64(mask)).all()) for there, mask in zip(present, full, strict=True)) and not bad.any()


@compiled
def _keys(twin: Any, time: Any, correction: Any, key: Any) -> None:
    for row in range(len(twin)):
        k = _mix(np.uint64(twin[row]) + np.uint64(0x9E3779B97F4A7C15))
        k = _mix(k ^ np.uint64(time[row]))
        key[row] = _mix(k + np.uint64(correction[row]) * np.uint64(0x9E3779B97F4A7C15))


@compiled
def _contents_of_whole(words: Any, seeds: Any, content: Any) -> None:
    """As `_contents`, where every value is there and good: a column at a time, which the processor takes several rows of at once."""
    for j in range(len(seeds)):
        for row in range(len(content)):
            content[row] += _mix(_mix(words[j, row] + np.uint64(0xE7037ED1A0B428DB)) ^ seeds[j])
    for row in range(len(content)):
        content[row] |= np.uint64(1)


@compiled
def _contents(present: Any, bad: Any, words: Any, seeds: Any, content: Any) -> None:
    for row in range(len(content)):
        total = np.uint64(0)  # a sum, so that the order of a contract's columns does not matter
        for j in range(len(seeds)):
            bit = np.int64(1) << np.int64(j % MASK_BITS)
            if present[j // MASK_BITS, row] & bit:
                if bad[j // MASK_BITS, row] & bit:
                    total += _mix(seeds[j] ^ np.uint64(0xA0761D6478BD642F))
                else:
                    total += _mix(_mix(words[j, row] + np.uint64(0xE7037ED1A0B428DB)) ^ seeds[j])
        content[row] = total | np.uint64(1)  # no content is 0: that is a free place


@compiled
def _paths(present: Any, bits: Any, paths: Any) -> None:
    for row in range(len(paths)):
        there = np.uint64(0)
        for j in range(len(bits)):
            if present[j // MASK_BITS, row] & (np.int64(1) << np.int64(j % MASK_BITS)):
                there |= bits[j]
        paths[row] = there


class SeenReadings:
    """The readings of one source that are in the set, by fingerprint.

    `stored` says of the hours that the store has how many readings it has of each, about. With `latest_only` (corrections by order
    of ingestion) a reading is a duplicate only of the newest with its key, and in place of its paths goes its order. `keep`: let go of
    nothing, because the store does not show yet what was added (batches that become visible together).
    """

    Rows = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int32], NDArray[np.int32]]
    Load = Callable[[Sequence[int], NDArray[np.int64] | None], Iterable[Rows]]

    def __init__(self, stored: Mapping[int, int], *, latest_only: bool = False, keep: bool = False, max_places: int = MAX_PLACES) -> None:
        self._stored = dict(stored)
        self._latest_only = latest_only
        self._max_places = max_places
        self._keep = keep
        self._held: dict[int, _Hour] = {}  # what was written to longest ago comes first
        self._partly: dict[int, _Hour] = {}  # what had to be known of other hours; with `keep` only
        self._asked: dict[int, int] = {}  # of hours that are not held: for how many readings they were looked into
        self._tables = _Tables()

    @property
    def places(self) -> int:
        """How many places for readings are in memory now."""
        return self._tables.places + sum(hour.places for hour in self._held.values())

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

        `load(hours, rows)` yields (key, content, paths, revision, hour) arrays of the store's visible readings of these hours. Where it
        is given `rows` of this batch, only readings of the same twin and time as one of them are needed.
        """
        hour = (time // HOUR).astype(np.int32)
        batch = (key, content, paths, np.full(len(key), revision, np.int32), hour)
        order = None if hour.min() == hour.max() else np.argsort(hour, kind="stable")
        batch = batch if order is None else _rows(batch, order)
        spans = _spans(batch[4])
        verdict = np.empty(len(key), np.uint8)
        for number, known in self._known(spans, order, load).items():
            span = slice(*spans[number])
            added = known.insert(_rows(batch, span), verdict[span], self._latest_only)
            self._stored[number] = self._stored.get(number, 0) + added
        if order is None:
            return verdict
        in_order = np.empty_like(verdict)
        in_order[order] = verdict
        return in_order

    def hear(self, rows: Rows) -> None:
        """Take in what others have added to the store since; what is known already changes nothing."""
        rows = _rows(rows, np.argsort(rows[4], kind="stable"))
        for number, (first, last) in _spans(rows[4]).items():
            added = last - first
            if number in self._held:
                added = self._held[number].insert(_rows(rows, slice(first, last)), np.empty(added, np.uint8), self._latest_only)
            self._stored[number] = self._stored.get(number, 0) + added

    def _known(self, spans: Mapping[int, tuple[int, int]], order: NDArray[np.int64] | None, load: Load) -> dict[int, _Hour]:
        """What has to be known of each hour. Where keys are looked up it is forgotten after the batch."""
        whole, by_key = self._missing(spans)
        if not self._keep:
            self._make_room(spans, whole)
        known, looked_up = {}, set(by_key)
        for number in spans:
            kept = self._held if number in self._held else self._partly
            hour = known[number] = kept.pop(number) if number in kept else _Hour(self._tables, wide=self._latest_only)
            if number not in looked_up:
                self._held[number] = hour
            elif self._keep:
                self._partly[number] = hour
        if whole:
            self._take_in(known, load(whole, None))
        if by_key:
            rows = [np.arange(*spans[number]) if order is None else order[slice(*spans[number])] for number in by_key]
            self._take_in(known, load(by_key, np.concatenate(rows)))
        return known

    def _missing(self, spans: Mapping[int, tuple[int, int]]) -> tuple[list[int], list[int]]:
        """Of the hours that the store has and memory has not: those to read whole, and those to look keys up in."""
        whole, by_key = [], []
        room = self._max_places - sum(self._held[number].places for number in spans if number in self._held)
        for number, (first, last) in spans.items():
            if number in self._held or number not in self._stored:
                continue
            size, asked = self._stored[number], self._asked.get(number, 0) + last - first
            if size <= max(asked * _SHARE, _READ_WHOLE) and _places(size) <= room:
                room -= _places(size)
                self._asked.pop(number, None)
                whole.append(number)
            else:
                self._asked[number] = asked
                by_key.append(number)
        return whole, by_key

    def _make_room(self, spans: Mapping[int, tuple[int, int]], whole: Sequence[int]) -> None:
        """Let go of the hours that were written to longest ago, but never of those this batch needs."""
        coming = sum(_places(self._stored[number]) for number in whole)
        coming += sum(_places(last - first) for number, (first, last) in spans.items() if number not in self._stored)
        places = coming + sum(hour.places for hour in self._held.values())
        for number in list(self._held):
            if places <= self._max_places:
                break
            if number not in spans:
                places -= self._held[number].places
                self._tables.give(self._held.pop(number).table)
        if places + self._tables.places > self._max_places + self._max_places // _TAKEN_OVER:
            self._tables = _Tables()

    def _take_in(self, known: Mapping[int, _Hour], loaded: Iterable[Rows]) -> None:
        for rows in loaded:
            rows = _rows(rows, np.argsort(rows[4], kind="stable"))
            for number, (first, last) in _spans(rows[4]).items():
                known[number].insert(_rows(rows, slice(first, last)), np.empty(last - first, np.uint8), self._latest_only)


class _Tables:
    """Gives out tables. Memory that is touched for the first time costs five times what is done with it: the largest table that was let
    go of is kept, and taken over by the next hour that is about to become large."""

    def __init__(self) -> None:
        self._kept = np.zeros(0, np.uint64)

    @property
    def places(self) -> int:
        return len(self._kept) // _WIDE

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


class _Hour:
    """The readings of one hour of event time: an open-addressing table of keys and contents. Mostly all are of the same paths and
    revision; where they are not, or their order counts, it is `wide` and has these too."""

    def __init__(self, tables: _Tables, *, wide: bool) -> None:
        self._tables = tables
        self._count = 0
        self._alike: tuple[int, int] | None = None  # paths and revision
        self.table = tables.take(_SMALLEST, _WIDE if wide else _NARROW)  # the last word of a free place is 0

    @property
    def places(self) -> int:
        return len(self.table)

    def insert(self, rows: SeenReadings.Rows, verdict: NDArray[np.uint8], latest_only: bool) -> int:
        """How many were new."""
        alike = _alike(rows) if self.table.shape[1] == _NARROW else None
        width = _WIDE if alike is None or self._alike not in (None, alike) else _NARROW
        needed = _places(self._count + len(verdict))
        if needed > len(self.table) or width > self.table.shape[1]:
            old, self.table = self.table, self._tables.take(max(needed, len(self.table)), width)
            paths, revision = self._alike or (0, 0)
            _move(old, self.table, np.uint64(paths), np.uint64(revision))
        if width == _NARROW:
            self._alike = alike
        added = int(_insert(self.table, *rows[:4], verdict, latest_only))
        self._count += added
        return added


def _alike(rows: SeenReadings.Rows) -> tuple[int, int] | None:
    """The paths and the revision that all rows have in common, and some paths there are."""
    _, _, paths, revision, _ = rows
    same = len(paths) > 0 and paths[0] != 0 and bool((paths == paths[0]).all()) and bool((revision == revision[0]).all())
    return (int(paths[0]), int(revision[0])) if same else None


def _places(count: int) -> int:
    """How large a table has to be: at most two thirds of it are taken."""
    return max(_SMALLEST, 1 << (count * 3 // 2).bit_length())


def _rows(rows: SeenReadings.Rows, which: NDArray[np.int64] | slice) -> SeenReadings.Rows:
    key, content, paths, revision, hour = rows
    return key[which], content[which], paths[which], revision[which], hour[which]


def _spans(hours: NDArray[np.int32]) -> dict[int, tuple[int, int]]:
    """Of each hour in sorted `hours` where it begins and ends."""
    starts = np.flatnonzero(np.diff(hours, prepend=hours[:1] - 1)).tolist()
    return {int(hours[start]): (start, end) for start, end in zip(starts, [*starts[1:], len(hours)], strict=True)}


@compiled
def _move(old: Any, table: Any, paths: Any, revision: Any) -> None:
    """In the order of the old table, so that what shares a run keeps its order, and neighbours stay near. `paths` and `revision` are
    those of what comes from a narrow table into a wide one."""
    mask = np.uint64(len(table) - 1)
    had, has = old.shape[1], table.shape[1]
    for place in range(len(old)):
        if old[place, had - 1] == 0:
            continue
        at = _mix(old[place, 0]) & mask
        while table[at, has - 1] != 0:
            at = (at + np.uint64(1)) & mask
        table[at, 0], table[at, 1] = old[place, 0], old[place, 1]
        if has == _WIDE:
            table[at, 2], table[at, 3] = (old[place, 2], old[place, 3]) if had == _WIDE else (paths, revision)


@compiled
def _insert(table: Any, key: Any, content: Any, path: Any, revision: Any, verdict: Any, latest_only: bool) -> int:
    """Linear probing; the table's size is a power of two. Readings of one key lie in one run, so a clash is seen on the way. In a narrow
    table all are of the same paths and revision: what has the same key clashes."""
    mask, last = np.uint64(len(table) - 1), table.shape[1] - 1
    wide = last == _WIDE - 1
    added = 0
    for row in range(len(key)):
        at = _mix(key[row]) & mask
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
