"""What the cell cache folds with, compiled: the greatest record of each cell, number by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinwright.compiled import compiled
from twinwright.storage.layout import MASK_BITS
from twinwright.storage.protocol import BAD, GOOD

SIGN = np.uint64(1 << 63)


@compiled
def ordered(word: Any, double: Any) -> Any:
    """The order-preserving form of IEEE 754 doubles, and of two's complement."""
    return ~word if double and word & SIGN else word ^ SIGN


@compiled
def fold(
    c_time: Any,
    c_correction: Any,
    c_revision: Any,
    c_commit: Any,
    c_kind: Any,
    c_bits: Any,
    columns: Any,
    doubles: Any,
    slot: Any,
    time: Any,
    correction: Any,
    revision: Any,
    commit: Any,
    present: Any,
    bad: Any,
    words: Any,
) -> None:
    """A lexicographic maximum of (time, correction, revision, kind, bits) for each present value; `bits` compare as the values do. The last
    rows come first: mostly they are the newest, and no other has to be written."""
    for row in range(len(slot) - 1, -1, -1):
        s = slot[row]
        t = time[row]
        for j in range(len(columns)):
            c = columns[j]
            bit = np.int64(1) << np.int64(j % MASK_BITS)
            if c < 0 or not present[j // MASK_BITS, row] & bit or t < c_time[s, c]:
                continue
            is_bad = bad[j // MASK_BITS, row] & bit
            kind = BAD if is_bad else GOOD
            bits = np.uint64(0) if is_bad else ordered(words[j, row], doubles[j])
            if t == c_time[s, c]:
                if correction[row] != c_correction[s, c]:
                    if correction[row] < c_correction[s, c]:
                        continue
                elif revision != c_revision[s, c]:
                    if revision < c_revision[s, c]:
                        continue
                elif kind != c_kind[s, c]:
                    if kind < c_kind[s, c]:
                        continue
                elif bits <= c_bits[s, c]:
                    continue
            c_time[s, c] = t
            c_correction[s, c] = correction[row]
            c_revision[s, c] = revision
            c_commit[s, c] = commit[row]
            c_kind[s, c] = kind
            c_bits[s, c] = bits
