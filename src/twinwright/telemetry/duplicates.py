"""Which readings have been seen: exact, bounded in memory, and independent of how much history there is.

A reading's key (twin, event time, correction) and its content (paths, values, units) are hashed to 64 bits each; both together
identify it. The hashes of the hours of event time that are being written to are held in an open-addressing table; an hour that
is not held is read back from the store when something arrives for it. Hashes are never stored: they can change with a version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twinwright.clock import HOUR
from twinwright.storage.layout import MASK_BITS, ReadingColumn

MAX_HELD = 4_000_000  # readings; 32 bytes each at half load is some 270 MB, and only a busy fleet gets there
_SMALLEST = 1 << 12
_NO_HOUR = np.iinfo(np.int32).min

NEW, DUPLICATE, CLASH, REPLACES, OLDER = 0, 1, 2, 3, 4


class Fingerprints:
    """Two hashes per reading, and the set of its paths as bits that mean the same in every revision of a contract."""

    def __init__(self) -> None:
        self._bits: dict[str, int] = {}
        self._texts: dict[str, int] = {}

    def of(
        self,
        columns: Sequence[ReadingColumn],
        twin: NDArray[np.int32],
        time: NDArray[np.int64],
        correction: NDArray[np.int64],
        present: NDArray[np.int64],
        bad: NDArray[np.int64],
        values: Sequence[pa.Array],
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
        """(key, content, paths) of each row."""
        count = len(twin)
        words = np.empty((len(columns), count), np.uint64)
        seeds = np.empty(len(columns), np.uint64)
        bits = np.empty(len(columns), np.uint64)
        for j, (column, value) in enumerate(zip(columns, values, strict=True)):
            words[j] = self._words(value)
            seeds[j] = _seed(f"{column.path}\0{column.unit}\0{column.type}")
            bits[j] = np.uint64(1) << np.uint64(self._bits.setdefault(column.path, min(len(self._bits), 63)))
        key, content, paths = np.empty(count, np.uint64), np.empty(count, np.uint64), np.empty(count, np.uint64)
        _fingerprint(twin, time, correction, present, bad, words, seeds, bits, key, content, paths)
        return key, content, paths

    def _words(self, values: pa.Array) -> NDArray[np.uint64]:
        if pa.types.is_floating(values.type):
            return np.asarray(values.fill_null(0.0).to_numpy(zero_copy_only=False), np.float64).view(np.uint64)
        if pa.types.is_integer(values.type):
            return np.asarray(values.fill_null(0).to_numpy(zero_copy_only=False), np.int64).view(np.uint64)
        if pa.types.is_boolean(values.type):
            return np.asarray(values.fill_null(False).to_numpy(zero_copy_only=False), np.uint64)
        encoded = values.dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        hashed = np.array([_seed(text) for text in encoded.dictionary.to_pylist()] or [0], np.uint64)
        return hashed[pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False)]  # type: ignore[no-any-return]


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@numba.njit(cache=True, nogil=True)
def _mix(value: Any) -> Any:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@numba.njit(cache=True, nogil=True)
def _fingerprint(
    twin: Any, time: Any, correction: Any, present: Any, bad: Any, words: Any, seeds: Any, bits: Any, key: Any, content: Any, paths: Any
) -> None:
    for row in range(len(twin)):
        k = _mix(np.uint64(twin[row]) + np.uint64(0x9E3779B97F4A7C15))
        k = _mix(k ^ np.uint64(time[row]))
        key[row] = _mix(k + np.uint64(correction[row]) * np.uint64(0x9E3779B97F4A7C15))
        total = np.uint64(0)  # a sum, so that the order of a contract's columns does not matter
        there = np.uint64(0)
        for j in range(len(seeds)):
            bit = np.int64(1) << np.int64(j % MASK_BITS)
            if present[j // MASK_BITS, row] & bit:
                there |= bits[j]
                if bad[j // MASK_BITS, row] & bit:
                    total += _mix(seeds[j] ^ np.uint64(0xA0761D6478BD642F))
                else:
                    total += _mix(_mix(words[j, row] + np.uint64(0xE7037ED1A0B428DB)) ^ seeds[j])
        content[row] = total
        paths[row] = there


class SeenReadings:
    """The readings of one source that are in the set, by fingerprint.

    `stored_hours` are those the store has; `load(hours)` yields (key, content, paths, revision, hour) arrays of their visible readings.
    With `latest_only` (corrections by order of ingestion) a reading is a duplicate only of the newest with its key, and in place
    of its paths goes its order.
    """

    Loaded = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int32], NDArray[np.int32]]

    def __init__(
        self,
        stored_hours: Iterable[int],
        load: Callable[[Sequence[int]], Iterable[Loaded]],
        *,
        latest_only: bool = False,
        max_held: int = MAX_HELD,
    ) -> None:
        self._stored = set(stored_hours)
        self._load = load
        self._latest_only = latest_only
        self._max_held = max_held
        self._held: dict[int, int] = {}  # hour -> when it was last written to
        self._sizes: dict[int, int] = {}  # hour -> how many of its readings are in memory at most
        self._turn = 0
        self._clear(_SMALLEST)

    def _clear(self, size: int) -> None:
        self._count = 0
        self._table = np.zeros((size, 4), np.uint64)  # key, content, paths, revision and hour: half a cache line; 0 in the last: free

    @property
    def held(self) -> int:
        """How many readings are in memory now."""
        return self._count

    def add(
        self,
        key: NDArray[np.uint64],
        content: NDArray[np.uint64],
        paths: NDArray[np.uint64],
        time: NDArray[np.int64],
        revision: int,
    ) -> NDArray[np.uint8]:
        """NEW, DUPLICATE, or CLASH (new, but overlaps another of the same version) for each, in order; all are in the set after."""
        hour = (time // HOUR).astype(np.int32)
        hours = np.unique(hour).tolist()
        self._make_room(len(key), hours)
        self._hold(hours)
        verdict = np.empty(len(key), np.uint8)
        revisions = np.full(len(key), revision, np.int32)
        self._insert((key, content, paths, revisions, hour), verdict)
        self._stored.update(hours)
        return verdict

    def forget(self) -> None:
        """After a roll-back or a retraction: what is visible is in the store, and is read again as it is needed."""
        self._held.clear()
        self._sizes.clear()
        self._clear(_SMALLEST)

    def _hold(self, hours: Sequence[int]) -> None:
        self._turn += 1
        missing = [hour for hour in hours if hour not in self._held and hour in self._stored]
        if missing:
            for loaded in self._load(missing):
                self._insert(loaded, np.empty(len(loaded[0]), np.uint8))
        for hour in hours:
            self._held[hour] = self._turn

    def _insert(self, rows: Loaded, verdict: NDArray[np.uint8]) -> None:
        needed = (self._count + len(rows[0])) * 2
        if needed > len(self._table):
            self._rebuild(needed, None)
        for hour, count in zip(*(part.tolist() for part in np.unique(rows[4], return_counts=True)), strict=True):
            self._sizes[hour] = self._sizes.get(hour, 0) + count
        self._count += _insert(self._table, *rows, verdict, self._latest_only)

    def _make_room(self, coming: int, needed: Sequence[int]) -> None:
        """Let go of the hours that were written to longest ago, but never of those this batch needs."""
        if self._count + coming <= self._max_held:
            return
        keep = set(needed)
        by_age = sorted((hour for hour in self._held if hour not in keep), key=self._held.__getitem__, reverse=True)
        room = self._max_held // 2 - coming - sum(self._sizes.get(hour, 0) for hour in keep)
        for hour in by_age:
            room -= self._sizes.get(hour, 0)
            if room > 0:
                keep.add(hour)
            else:
                del self._held[hour]
        if not self._sizes.keys() <= keep:
            self._sizes = {hour: size for hour, size in self._sizes.items() if hour in keep}
            chosen = np.isin(_hours(self._table), np.fromiter(keep, np.int32, len(keep)))
            self._rebuild(4 * int(chosen.sum()), chosen)

    def _rebuild(self, room: int, chosen: NDArray[np.bool_] | None) -> None:
        """Move what is there, or what is `chosen` of it, to a table of at least `room` places."""
        old = self._table
        self._clear(max(_SMALLEST, 1 << (room - 1).bit_length()))
        self._count = _move(old, np.empty(0, np.bool_) if chosen is None else chosen, self._table)


def _hours(table: NDArray[np.uint64]) -> NDArray[np.int32]:
    """The hour of each place; `_NO_HOUR` where it is free."""
    return ((table[:, 3] & np.uint64(0xFFFFFFFF)).astype(np.uint32) ^ np.uint32(1 << 31)).view(np.int32)


@numba.njit(cache=True, nogil=True)
def _move(old: Any, chosen: Any, table: Any) -> int:
    """In the order of the old table, so that what shares a run keeps its order, and neighbours stay near."""
    mask = np.uint64(len(table) - 1)
    moved = 0
    for place in range(len(old)):
        if old[place, 3] == 0 or (len(chosen) and not chosen[place]):
            continue
        at = _mix(old[place, 0]) & mask
        while table[at, 3] != 0:
            at = (at + np.uint64(1)) & mask
        for word in range(4):
            table[at, word] = old[place, word]
        moved += 1
    return moved


@numba.njit(cache=True, nogil=True)
def _insert(
    table: Any,
    key: Any,
    content: Any,
    path: Any,
    revision: Any,
    hour: Any,
    verdict: Any,
    latest_only: bool,
) -> int:
    """Linear probing; the table's size is a power of two. Readings of one key lie in one run, so a clash is seen on the way."""
    mask = np.uint64(len(table) - 1)
    added = 0
    for row in range(len(key)):
        at = _mix(key[row]) & mask
        answer = NEW
        while table[at, 3] != 0:
            if table[at, 0] == key[row]:
                if table[at, 1] == content[row]:
                    answer = DUPLICATE
                    break
                if latest_only:  # `path` is the order of ingestion here
                    answer = REPLACES if path[row] > table[at, 2] else OLDER
                    break
                if table[at, 3] >> np.uint64(32) == np.uint64(revision[row]) and table[at, 2] & path[row]:
                    answer = CLASH
            at = (at + np.uint64(1)) & mask
        verdict[row] = NEW if answer >= REPLACES else answer
        if answer != DUPLICATE and answer != OLDER:
            table[at, 0], table[at, 1], table[at, 2] = key[row], content[row], path[row]
            table[at, 3] = np.uint64(revision[row]) << np.uint64(32) | np.uint64(np.int64(hour[row]) - _NO_HOUR)
            added += answer != REPLACES
    return added
