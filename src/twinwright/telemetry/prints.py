"""What tells one reading from another, in two hashes: the key (twin, event time, correction) and the content (paths, values, units).

Both together identify it. They depend on the reading and its contract alone, and are never stored: they can change with a version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twinwright.compiled import compiled
from twinwright.storage.layout import MASK_BITS, ReadingColumn
from twinwright.twins.cells import words_of

TICK = 20  # a tick is so many bits of microseconds, 1.05 s
TICKS = 1 << 12  # so many are told apart, which is more than an hour has


@dataclass(frozen=True, slots=True)
class Prints:
    """Of each reading two hashes, which depend on it and its contract alone; and `words`, the 64 bits of its values, texts hashed:
    (columns, rows)."""

    key: NDArray[np.uint64]  # of twin, time and correction
    content: NDArray[np.uint64]  # of paths, values and units; its low bits say at which tick, and it is never 0
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
    dated(time, content)
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
    which: NDArray[np.int32] = pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False)
    return hashed[which]


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@compiled
def mix(value: Any) -> Any:
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
        k = mix(np.uint64(twin[row]) + np.uint64(0x9E3779B97F4A7C15))
        k = mix(k ^ np.uint64(time[row]))
        key[row] = mix(k + np.uint64(correction[row]) * np.uint64(0x9E3779B97F4A7C15))


@compiled
def _contents_of_whole(words: Any, seeds: Any, content: Any) -> None:
    """As `_contents`, where every value is there and good: a column at a time, which the processor takes several rows of at once."""
    for j in range(len(seeds)):
        for row in range(len(content)):
            content[row] += mix(mix(words[j, row] + np.uint64(0xE7037ED1A0B428DB)) ^ seeds[j])


@compiled
def dated(time: Any, content: Any) -> None:
    """Write to the low bits of hashes at which tick the readings are, so that a table of them can be parted by time."""
    for row in range(len(content)):
        tick = (np.uint64(time[row]) >> np.uint64(TICK)) & np.uint64(TICKS - 1)
        content[row] = (content[row] & ~np.uint64(2 * TICKS - 1)) | np.uint64(TICKS) | tick


@compiled
def _contents(present: Any, bad: Any, words: Any, seeds: Any, content: Any) -> None:
    for row in range(len(content)):
        total = np.uint64(0)  # a sum, so that the order of a contract's columns does not matter
        for j in range(len(seeds)):
            bit = np.int64(1) << np.int64(j % MASK_BITS)
            if present[j // MASK_BITS, row] & bit:
                if bad[j // MASK_BITS, row] & bit:
                    total += mix(seeds[j] ^ np.uint64(0xA0761D6478BD642F))
                else:
                    total += mix(mix(words[j, row] + np.uint64(0xE7037ED1A0B428DB)) ^ seeds[j])
        content[row] = total


@compiled
def _paths(present: Any, bits: Any, paths: Any) -> None:
    for row in range(len(paths)):
        there = np.uint64(0)
        for j in range(len(bits)):
            if present[j // MASK_BITS, row] & (np.int64(1) << np.int64(j % MASK_BITS)):
                there |= bits[j]
        paths[row] = there
