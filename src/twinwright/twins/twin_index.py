"""Where many twins stand in a list, by their ids: a table that compiled code looks up in, so that a batch in which each reading is of
another twin costs about what one of few twins does."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twinwright.compiled import compiled

_FEWEST = 64  # places
_TOGETHER = 16  # rows that are looked up at once
_REPEAT = 2  # rows out of order, where something is said again: one there, one back
_HIGH = np.uint64(0xFFFFFFFF00000000)


class TwinIndex:
    """Ids in the order in which they were added, each once. Who finds needs no lock; one at a time adds."""

    def __init__(self) -> None:
        self._seed = np.uint64(secrets.randbits(64))  # else whoever names twins could choose ids that all share a place
        self._held = np.zeros(_FEWEST, np.uint64), np.zeros(_FEWEST // 2 + 1, np.int64), np.empty(_FEWEST, np.uint8), 0

    def __len__(self) -> int:
        return self._held[3]

    def add(self, ids: Sequence[str]) -> None:
        """`ids` are none that are there."""
        offsets, data = _texts(pa.array(ids, pa.large_string()))
        places, bounds, texts, first = self._held
        last, end = first + len(ids), int(bounds[first])
        if 2 * last > len(places):  # at most half are taken
            places, added = np.zeros(1 << (2 * last - 1).bit_length(), np.uint64), 0
            bounds = _grown(bounds, len(places) // 2 + 1)
        else:
            added = first
        if end + len(data) > len(texts):  # others look meanwhile: no place leads them past the end of what they hold
            places, texts = places.copy(), _grown(texts, max(end + len(data), 2 * len(texts)))
        bounds[first + 1 : last + 1] = offsets[1:] + end
        texts[end : end + len(data)] = data
        _add(places, bounds, texts, added, last, self._seed)
        self._held = places, bounds, texts, last

    def find(self, ids: pa.Array | pa.ChunkedArray) -> NDArray[np.int32]:
        """Where each id stands; -1 for what is not there, and for null."""
        offsets, data = _texts(ids)
        found = np.empty(len(ids), np.int32)
        together = np.empty(_TOGETHER, np.uint64), np.empty(_TOGETHER, np.int64)
        _find(*self._held, offsets, data, self._seed, found, *together)
        if ids.null_count:
            found[pc.is_null(ids).to_numpy(zero_copy_only=False)] = -1
        return found


def _texts(ids: pa.Array | pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Bounds and bytes."""
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    ids = ids.cast(pa.large_string())
    _, bounds, data = ids.buffers()
    offsets = np.frombuffer(bounds, np.int64)[ids.offset : ids.offset + len(ids) + 1] if len(ids) else np.zeros(1, np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    return (offsets - first if first else offsets), np.frombuffer(data, np.uint8)[first:last] if last > first else np.empty(0, np.uint8)


def _grown(held: NDArray[Any], size: int) -> NDArray[Any]:
    grown = np.empty(size, held.dtype)
    grown[: len(held)] = held
    return grown


@compiled
def _hash(data: Any, begin: Any, end: Any, seed: Any) -> Any:
    """FNV-1a (Fowler, Noll, Vo), from a secret start, and the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    value = seed
    for at in range(begin, end):
        value = (value ^ np.uint64(data[at])) * np.uint64(0x100000001B3)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def _add(places: Any, bounds: Any, texts: Any, first: Any, last: Any, seed: Any) -> None:
    """A place holds the upper half of the hash, and one more than where the id stands; linear probing, the size a power of two."""
    mask = np.uint64(len(places) - 1)
    for row in range(first, last):
        hashed = _hash(texts, bounds[row], bounds[row + 1], seed)
        at = hashed & mask
        while places[at] != 0:
            at = (at + np.uint64(1)) & mask
        places[at] = (hashed & _HIGH) | np.uint64(row + 1)


@compiled
def _is(bounds: Any, texts: Any, number: Any, data: Any, begin: Any, length: Any) -> bool:
    start = bounds[number]
    if bounds[number + 1] - start != length:
        return False
    i = 0
    while i < length and texts[start + i] == data[begin + i]:
        i += 1
    return bool(i == length)


@compiled
def _find(
    places: Any, bounds: Any, texts: Any, count: Any, offsets: Any, data: Any, seed: Any, found: Any, hashes: Any, starts: Any
) -> Any:
    """A fleet is mostly asked, or answers, in one order: the next one is tried first. Where it is another, some rows are looked up
    together, step by step, so that the memory of all is on its way at once; what is read ahead is summed, or the compiler leaves it out."""
    mask, row, number, read, misses = np.uint64(len(places) - 1), 0, np.int64(-1), np.uint64(0), 0
    while row < len(found):
        number += 1
        if number < count and _is(bounds, texts, number, data, offsets[row], offsets[row + 1] - offsets[row]):
            found[row] = number
            row += 1
            misses = 0
            continue
        misses += 1
        size = min(len(hashes), len(found) - row) if misses > _REPEAT else 1
        for i in range(size):
            hashes[i] = _hash(data, offsets[row + i], offsets[row + i + 1], seed)
            starts[i] = np.int64(places[hashes[i] & mask] & ~_HIGH)
        for i in range(size):
            starts[i] = bounds[max(starts[i] - 1, 0)]
        for i in range(size):
            read += np.uint64(texts[starts[i]])
        for i in range(size):
            at, number = hashes[i] & mask, np.int64(-1)
            while places[at] != 0:
                if (places[at] ^ hashes[i]) & _HIGH == 0:
                    other = np.int64(places[at] & ~_HIGH) - 1
                    if _is(bounds, texts, other, data, offsets[row + i], offsets[row + i + 1] - offsets[row + i]):
                        number = other
                        break
                at = (at + np.uint64(1)) & mask
            found[row + i] = number
        row += size
    return read
