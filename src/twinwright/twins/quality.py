"""Quality that depends on neighbours: pure functions of one source's series in the order of event time (law 2).

Nothing here knows when a value arrived. A value is marked, never changed and never dropped.

- *rate*: further from the good value before it than the greatest plausible rate allows.
- *stuck*: unchanged for at least so long, this value included.
- *spike*: an outlier of the Hampel filter: further from the median of a window centred on it than a multiple of the window's scale, which
  is 1.4826 times its median absolute deviation, the standard deviation of a normal distribution. The median and its deviation are
  Hampel's (The influence curve and its role in robust estimation, J. Am. Stat. Assoc. 69, 1974, 383-393), the filter as Pearson has it
  (Outliers in process modeling and identification, IEEE Trans. Control Syst. Technol. 10, 2002, 55-63). At an end of the series the
  window is cut off, so the newest values are judged again when later ones are there.
- *gap*: longer after the record before it, good or bad, than the source's rhythm allows; or a sequence number that is neither the
  number after the good one before it nor the same again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

GAP, STUCK, RATE, SPIKE, BAD = 1, 2, 4, 8, 16
MARKS = ("gap", "stuck", "rate", "spike", "bad")  # bit by bit, the gravest last
NORMAL_SCALE = 1.4826  # 1 / (the 0.75 quantile of the standard normal distribution)
_CHUNK = 100_000  # windows at a time: a copy of each is made

Bits = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Spike:
    """A Hampel filter over `window` (odd, >= 3) values; `threshold` in scales; deviations up to `least` are never spikes: where most of a
    window is equal its scale is nothing."""

    window: int
    threshold: float
    least: float = 0.0

    @property
    def reach(self) -> int:
        """How many neighbours on each side take part."""
        return self.window // 2


@dataclass(frozen=True, slots=True)
class Criteria:
    """What is held against one path of one source. Values in `unit` (None: dimensionless), times in microseconds; None: not judged.

    `rate` is (change, per microseconds).
    """

    unit: str | None = None
    rate: tuple[float, int] | None = None
    stuck: int | None = None
    spike: Spike | None = None
    gap: int | None = None
    sequence: int | None = None  # after how many numbers the counter begins anew; 0: never

    @property
    def good_before(self) -> int:
        """How many good values before a value can decide its marks (more where it must be older, for `stuck`)."""
        before = self.rate is not None or self.stuck is not None or self.sequence is not None
        return max(int(before), self.spike.reach if self.spike else 0)

    @property
    def good_after(self) -> int:
        """How many good values after it can."""
        return self.spike.reach if self.spike else 0

    @property
    def needs_neighbours(self) -> bool:
        return self.good_before > 0 or self.gap is not None


def judge(
    times: NDArray[np.int64],
    values: NDArray[np.float64],
    good: NDArray[np.bool_],
    criteria: Criteria,
    identity: NDArray[np.int64] | None = None,
) -> Bits:
    """The marks of each record as bits. Arrays of one length; `times` (microseconds) strictly increasing, `values` in the criteria's unit
    (not read where not `good`). `identity` tells equal values from others where float64 can't (whole numbers, text)."""
    bits = np.where(good, 0, BAD).astype(np.uint8)
    if criteria.gap is not None:
        bits[1:][np.diff(times) > criteria.gap] |= GAP
    index = np.flatnonzero(good)
    t, v = times[index], values[index]
    if criteria.rate is not None:
        limit, per = criteria.rate
        bits[index[1:][np.abs(np.diff(v)) / np.diff(t) * per > limit]] |= RATE
    if criteria.stuck is not None:
        bits[index[_unchanged(t, v if identity is None else identity[index]) >= criteria.stuck]] |= STUCK
    if criteria.sequence is not None:
        bits[index[1:][left_out(v if identity is None else identity[index], criteria.sequence) != 0]] |= GAP
    if criteria.spike is not None:
        bits[index[spikes(v, criteria.spike)]] |= SPIKE
    return bits


def left_out(counts: NDArray[np.int64] | NDArray[np.float64], wrap: int) -> NDArray[np.int64]:
    """How many numbers are missing before each sequence number but the first; -1 where the counter has begun anew, so that nobody knows."""
    whole = counts.astype(np.int64)
    steps = whole[1:] - whole[:-1]
    if wrap:
        steps %= wrap
    return np.where(steps < 0, -1, np.maximum(steps - 1, 0))


def _unchanged(times: NDArray[np.int64], values: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.int64]:
    """How long each value has been what it is (microseconds)."""
    if len(times) == 0:
        return times
    begins = np.append(True, values[1:] != values[:-1])
    begun = np.maximum.accumulate(np.where(begins, np.arange(len(times)), 0))
    return np.asarray(times - times[begun], np.int64)


def spikes(values: NDArray[np.float64], spike: Spike) -> NDArray[np.bool_]:
    """Which values the Hampel filter takes for outliers."""
    count, reach = len(values), spike.reach
    found = np.zeros(count, np.bool_)
    for first in range(reach, count - reach, _CHUNK):
        last = min(first + _CHUNK, count - reach)
        found[first:last] = _outlying(values[first:last], sliding_window_view(values[first - reach : last + reach], spike.window), spike)
    for at in (*range(min(reach, count)), *range(max(reach, count - reach), count)):  # where the window is cut off
        window = values[max(0, at - reach) : at + reach + 1]
        found[at] = _outlying(values[at : at + 1], window[np.newaxis], spike)[0]
    return found


def _outlying(values: NDArray[np.float64], windows: NDArray[np.float64], spike: Spike) -> NDArray[np.bool_]:
    middle = np.median(windows, axis=1)
    scale = NORMAL_SCALE * np.median(np.abs(windows - middle[:, np.newaxis]), axis=1)
    return np.asarray(np.abs(values - middle) > np.maximum(spike.threshold * scale, spike.least), np.bool_)


def gravest(bits: Bits) -> list[str]:
    """One word for each record: the gravest of its marks, or `good`."""
    names = np.array(["good", *MARKS], object)
    return [str(name) for name in names[np.frexp(bits)[1]]]


def counted(bits: Bits) -> dict[str, int]:
    """How many records carry each mark; a record may carry several."""
    return {name: int(np.count_nonzero(bits & (1 << at))) for at, name in enumerate(MARKS)}
