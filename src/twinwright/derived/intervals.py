"""Spans of event time in which a derived value may have changed, made disjoint, and cut into pieces that fit in memory.

Spans are rows of (owner, lo, hi, commit): outputs of `owner` at lo <= time < hi, because of `commit`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from twinwright.clock import HOUR

EVER = 1 << 61  # microseconds: beyond every event time, and far from overflowing
SPANS: Mapping[str, type[pl.DataType]] = {"owner": pl.Int32, "lo": pl.Int64, "hi": pl.Int64, "commit": pl.Int64}
MOST_CLUSTERS = 64  # each is read by itself: of scattered spans, nearby ones are read together rather than in more reads than this


@dataclass(frozen=True, slots=True)
class Piece:
    """Disjoint spans inside lo <= time < hi that are derived together."""

    spans: pl.DataFrame
    lo: int
    hi: int

    @property
    def start(self) -> int | None:
        """`lo` as a selection wants it."""
        return None if self.lo <= -EVER else self.lo

    @property
    def end(self) -> int | None:
        return None if self.hi >= EVER else self.hi


def disjoint(spans: pl.DataFrame) -> pl.DataFrame:
    """Overlapping spans of an owner become one, with the last of their commits; those that only meet stay apart."""
    ordered = spans.filter(pl.col("lo") < pl.col("hi")).sort("owner", "lo", "hi")
    reached = pl.col("hi").cum_max().shift(1).over("owner")
    numbered = ordered.with_columns((reached.is_null() | (pl.col("lo") >= reached)).cum_sum().alias("span"))
    joined = numbered.group_by("span", maintain_order=True).agg(pl.first("owner"), pl.min("lo"), pl.max("hi"), pl.max("commit"))
    return joined.select(*SPANS)


def aligned(spans: pl.DataFrame, every: int | None) -> pl.DataFrame:
    """Spans of times as the spans of the windows that begin in them; as they are where there are no windows."""
    if every is None:
        return spans
    lo = -((-pl.col("lo")) // every) * every
    hi = ((pl.col("hi") - 1) // every + 1) * every
    return spans.with_columns(
        lo=pl.when(pl.col("lo") <= -EVER).then("lo").otherwise(lo), hi=pl.when(pl.col("hi") >= EVER).then("hi").otherwise(hi)
    )


def begun_by(spans: pl.DataFrame, floors: pl.DataFrame) -> pl.DataFrame:
    """What is left of spans from the floor of their owner on: (owner, floor), none of those that have none."""
    found = spans.join(floors, on="owner", how="left", maintain_order="left")
    return found.with_columns(lo=pl.max_horizontal("lo", "floor")).filter(pl.col("lo") < pl.col("hi")).select(*SPANS)


def inside(times: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Of rows with (owner, time) those that lie in one of the disjoint spans, with its commit."""
    begins = spans.sort("lo").rename({"lo": "time"}).with_columns(pl.col("time").alias("lo"))
    found = times.sort("time").join_asof(begins, on="time", by="owner", strategy="backward", check_sortedness=False)
    return found.filter(pl.col("hi") > pl.col("time")).drop("lo", "hi")


class Density:
    """How many readings each hour of event time has, to know beforehand what a read would bring. Never too few."""

    def __init__(self, hours: Mapping[int, int]) -> None:
        self._counts = dict(hours)
        self._summed: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, times: pl.Series) -> None:
        """More readings, at these times."""
        for hour, count in (times // HOUR).value_counts().iter_rows():
            self._counts[hour] = self._counts.get(hour, 0) + count
        self._summed = None

    def _sums(self) -> tuple[np.ndarray, np.ndarray]:
        if self._summed is None:
            hours = np.array(sorted(self._counts), np.int64)
            counts = np.array([self._counts[hour] for hour in hours.tolist()], np.int64)
            self._summed = hours, np.concatenate([[0], np.cumsum(counts)])
        return self._summed

    def between(self, lo: int, hi: int) -> int:
        """At most so many lie in lo <= time < hi."""
        hours, sums = self._sums()
        first, last = np.searchsorted(hours, [lo // HOUR, -(-hi // HOUR)])
        return int(sums[last] - sums[first])

    def middle(self, lo: int, hi: int) -> int:
        """A time with about as many before it as after it."""
        hours, sums = self._sums()
        first, last = np.searchsorted(hours, [lo // HOUR, -(-hi // HOUR)])
        at = int(np.searchsorted(sums, (sums[first] + sums[last]) // 2, side="right"))
        if last - first > 1:
            return int(hours[min(max(at, first + 1), last - 1)]) * HOUR
        begin = int(hours[first]) * HOUR
        return begin if lo < begin else begin + HOUR if hi > begin + HOUR else (lo + hi) // 2


def pieces(spans: pl.DataFrame, every: int | None, density: Density, most: int) -> Iterator[Piece]:
    """Disjoint spans in the order of time, each piece with at most `most` readings in its time, unless it can't be made smaller."""
    for cluster in clusters(spans):
        lo, hi = int(cluster["lo"].to_numpy().min()), int(cluster["hi"].to_numpy().max())
        yield from _cut(Piece(cluster, lo, hi), every, density, most)


def clusters(spans: pl.DataFrame) -> list[pl.DataFrame]:
    """What lies near each other in time."""
    if spans.is_empty():
        return []
    ordered = spans.sort("lo")
    distance = (pl.col("lo") - pl.col("hi").cum_max().shift(1)).fill_null(0)
    apart = ordered.select(distance).to_series()
    gap = HOUR
    while int((apart > gap).sum()) >= MOST_CLUSTERS:
        gap *= 4
    return ordered.with_columns((apart > gap).cum_sum().alias("cluster")).partition_by("cluster", include_key=False, maintain_order=True)


def _cut(piece: Piece, every: int | None, density: Density, most: int) -> Iterator[Piece]:
    waiting = [piece]
    while waiting:
        one = waiting.pop()
        expected = density.between(one.lo, one.hi)
        step = every or 1
        at = -(-density.middle(one.lo, one.hi) // step) * step if expected > most else one.lo
        if expected <= most:
            yield one
        elif one.lo < at < one.hi and one.hi - one.lo > max(step, HOUR):
            waiting += [_part(one, at, one.hi), _part(one, one.lo, at)]
        else:
            yield from _by_owner(one, -(-expected // most))


def _part(piece: Piece, lo: int, hi: int) -> Piece:
    clipped = piece.spans.with_columns(pl.col("lo").clip(lower_bound=lo), pl.col("hi").clip(upper_bound=hi))
    return Piece(clipped.filter(pl.col("lo") < pl.col("hi")), lo, hi)


def _by_owner(piece: Piece, parts: int) -> Iterator[Piece]:
    owners = piece.spans["owner"].unique().sort()
    size = -(-len(owners) // max(parts, 1)) or 1
    for at in range(0, len(owners), size):
        yield Piece(piece.spans.filter(pl.col("owner").is_in(owners[at : at + size].implode())), piece.lo, piece.hi)
