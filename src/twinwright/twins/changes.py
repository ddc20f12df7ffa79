"""What changed in history, commit by commit, as those who pass it on want it: readings of twins, whole, with values and units.

A change says how things are after a range of commits, not how they came about: what arrived twice is told once, and of a value that was
corrected twice within the range the last. Whoever reads range after range is told of everything that a read would show differently.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from twinwright.clock import HOUR, to_iso
from twinwright.governance.principals import Principal
from twinwright.schema import Ontology, PathInfo
from twinwright.storage.layout import Lane, ReadingTable, Selection
from twinwright.storage.protocol import BAD, GOOD, REMOVED, Store
from twinwright.storage.united import frame
from twinwright.twins.documents import value_of
from twinwright.twins.evolution import UNCHANGED, Evolution
from twinwright.twins.evolution.view import Seen
from twinwright.twins.registry import TwinRegistry

RANGE_READINGS = 50_000  # a range of commits is cut before it has taken in more
RANGE_COMMITS = 1_000
_KEY = ["lane", "twin", "path", "time", "source"]
_APART = HOUR


@dataclass(frozen=True, slots=True)
class Change:
    """What one source says of one twin at one event time (microseconds). `values` by path: `value unit quality`; the quality is `good`,
    `bad`, or `removed` (said to be no more, or retracted), and the value None unless it is good. `commit` is the last that touched one.
    """

    twin: str
    lane: str
    time: int
    source: str
    commit: int
    values: Mapping[str, Mapping[str, Any]]
    lifetime: int = field(default=0, compare=False)  # the number of the incarnation
    interface: str = field(default="", compare=False)  # of that incarnation, which names the paths
    before: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)  # what was said before the range, where asked for

    def as_json(self) -> dict[str, Any]:
        """With the time in ISO 8601."""
        values = {path: dict(value) for path, value in self.values.items()}
        where = {"twin": self.twin, "lane": self.lane, "time": to_iso(self.time), "source": self.source}
        return {**where, "commit": self.commit, "values": values}


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a consumer is behind the log. `error` is why it waits, empty where it does not."""

    name: str
    commit: int
    commits: int
    seconds: float
    error: str


class ChangeLog:
    """Reads the commit log as changes, for one set of applied interfaces and twins."""

    def __init__(self, store: Store, ontology: Ontology, registry: TwinRegistry, evolution: Evolution = UNCHANGED) -> None:
        self._store, self._ontology, self._registry, self._evolution = store, ontology, registry, evolution

    def through(self, principal: Principal, after: int) -> int:
        """The end of the range that begins after a commit."""
        return range_end(self._store, principal, after, after + RANGE_COMMITS, RANGE_READINGS)

    def between(
        self,
        principal: Principal,
        after: int,
        through: int,
        lanes: Collection[Lane],
        *,
        before: bool = False,
        seen: Seen = MappingProxyType({}),
    ) -> Iterator[Change]:
        """What the commits after one, through another, changed: in order of (commit, time), so of one twin always in that order. `before`:
        with what the same sources had said of the same times until then. `seen`: the interfaces that lifetimes were of then, where they are
        of others now."""
        yield from self._of(principal, self._touched(principal, after, through, lanes), after, through, before=before, seen=seen)

    def pieces(
        self, principal: Principal, commit: int, lanes: Collection[Lane], most: int, *, before: bool, seen: Seen
    ) -> Iterator[Iterator[Change]]:
        """The same of one commit, twin by twin in the order of their ids, and of one twin in the order of time: in pieces of some `most`
        values, so that what a commit did need not be held whole."""
        yield from self.told(principal, commit, self.touched(principal, commit, lanes).rows, most, before=before, seen=seen)

    def told(
        self, principal: Principal, commit: int, rows: pl.DataFrame, most: int, *, before: bool, seen: Seen
    ) -> Iterator[Iterator[Change]]:
        """The same of some of the rows that it touched, which are in that order."""
        first = 0
        while first < len(rows):
            last = min(first + most, len(rows))
            while last < len(rows) and _is_of_one_time(rows, last):
                last += 1
            yield self._of(principal, rows[first:last], commit - 1, commit, before=before, seen=seen)
            first = last

    def touched(self, principal: Principal, commit: int, lanes: Collection[Lane]) -> Touched:
        """What a commit touched, by twin: `told` says what it changed."""
        rows = self._touched(principal, commit - 1, commit, lanes)
        names = {number: self._registry.lifetime(number).twin for number in rows["twin"].unique().to_list()}
        numbers = sorted(names, key=lambda number: (names[number], number))
        order = {number: place for place, number in enumerate(numbers)}
        place = pl.col("twin").replace_strict(order, return_dtype=pl.Int64).alias("place")
        ordered = rows.with_columns(place).sort("place", "time")
        ends = np.searchsorted(ordered["place"].to_numpy(), np.arange(len(numbers)), "right").tolist()
        return Touched(ordered.drop("place"), [names[number] for number in numbers], ends)

    def _touched(self, principal: Principal, after: int, through: int, lanes: Collection[Lane]) -> pl.DataFrame:
        return frame(self._store.touched(principal, after, through)).filter(pl.col("lane").is_in(list(lanes)))

    def _of(self, principal: Principal, touched: pl.DataFrame, after: int, through: int, *, before: bool, seen: Seen) -> Iterator[Change]:
        asked = [
            question for key, rows in touched.partition_by("lane", "table", "path", as_dict=True).items() for question in _near(key, rows)
        ]
        if not asked:
            return
        tables = {table.number: table for table in self._store.reading_tables(principal)}
        hidden = any(after < one.commit <= through for one in self._store.retractions(principal))
        evolution = self._evolution.seen_as(seen)
        said = [self._said(principal, tables.get(one.table), one, through, evolution) for one in asked]
        earlier: pl.DataFrame | None = None
        if hidden or before:
            earlier = pl.concat([self._said(principal, tables.get(one.table), one, after, evolution) for one in asked])
        if earlier is not None and hidden:  # what was said before the range, and is not any more
            gone = earlier.join(pl.concat(said), on=_KEY, how="anti")
            said.append(gone.with_columns(pl.lit(REMOVED, pl.Int8).alias("kind")))
        at = touched.group_by("lane", "twin", "time").agg(pl.col("commit").max().alias("at"))
        rows = pl.concat(said).unique(_KEY).join(at, on=["lane", "twin", "time"])
        held = earlier.join(rows.select(_KEY), on=_KEY, how="semi").iter_rows(named=True) if before and earlier is not None else ()
        ordered = rows.sort("at", "time", "lane", "twin", "source", "path")
        yield from self._changes(ordered, {_key_of(row): row for row in held}, seen)

    def _said(
        self, principal: Principal, table: ReadingTable | None, asked: _Question, known_at: int, evolution: Evolution
    ) -> pl.DataFrame:
        """The records at the times that were touched, of those who touched them, with their lane."""
        paths = (asked.path,) if table is None else tuple(column.path for column in table.columns)
        times = asked.rows["time"]
        start, end = int(times.to_numpy().min()), int(times.to_numpy().max()) + 1
        lifetimes = tuple(asked.rows["twin"].unique().sort().to_list())
        selection = Selection(lifetimes, paths, asked.lane, start, end, known_at, source=table.source if table else None)
        told = evolution.table(self._store.history(principal, selection))
        found = frame(told).with_columns(pl.lit(asked.lane).alias("lane"))
        return found.join(asked.rows.select("twin", "time").unique(), on=["twin", "time"], how="semi")

    def _changes(self, rows: pl.DataFrame, held: Mapping[tuple[Any, ...], Mapping[str, Any]], seen: Seen) -> Iterator[Change]:
        for group in rows.partition_by("at", "time", "lane", "twin", "source", maintain_order=True):
            said = group.to_dicts()
            one = said[0]
            life = self._registry.lifetime(one["twin"])
            interface = seen.get(life.number, life.interface)
            paths = self._ontology.paths(interface) if interface in self._ontology.interfaces else {}
            values = {row["path"]: _value(row, paths.get(row["path"])) for row in said}
            earlier = {row["path"]: _value(held[key], paths.get(row["path"])) for row in said if (key := _key_of(row)) in held}
            yield Change(life.twin, one["lane"], one["time"], one["source"], one["at"], values, life.number, interface, earlier)


@dataclass(frozen=True, slots=True)
class Touched:
    """The keys of the records that a commit wrote: lifetime by lifetime, in the order of their twins' ids."""

    rows: pl.DataFrame
    twins: Sequence[str]  # of each lifetime
    ends: Sequence[int]  # of the rows of each

    def counts(self) -> Counter[str]:
        """How many rows are of a twin."""
        found: Counter[str] = Counter()
        for twin, first, last in zip(self.twins, [0, *self.ends], self.ends, strict=False):
            found[twin] += last - first
        return found

    def between(self, first: str, last: str) -> pl.DataFrame:
        """The rows of twins from one to another."""
        begin, end = (self.ends[at - 1] if at else 0 for at in (bisect_left(self.twins, first), bisect_right(self.twins, last)))
        return self.rows[begin:end]


def range_end(
    store: Store, principal: Principal, after: int, last: int, most: int, weights: Mapping[str, int] = MappingProxyType({})
) -> int:
    """The end of the range of commits that begins after one: as far as it takes in no more than `most` readings, and at least the next
    commit, where there is one up to `last`. A replay counts as that many, other kinds as their `weights` say or as what they took in."""
    taken, through = 0, after
    weights = {"replay": most, **weights}
    for commit in store.commits(principal, first=after + 1, last=last):
        taken += weights.get(commit.kind, commit.counts.accepted + commit.counts.duplicate)
        if taken > most and through > after:
            return through
        through = commit.number
    return through


@dataclass(frozen=True, slots=True)
class _Question:
    """What was touched of one reading table (0: single values of one path), near in time."""

    lane: Lane
    table: int
    path: str
    rows: pl.DataFrame


def _is_of_one_time(rows: pl.DataFrame, at: int) -> bool:
    """Whether a row is of the same twin and time as the one before it: they are told together."""
    return bool(rows["twin"][at] == rows["twin"][at - 1] and rows["time"][at] == rows["time"][at - 1])


def _near(key: tuple[Any, ...], rows: pl.DataFrame) -> Iterator[_Question]:
    """Times that lie far apart are asked for apart: what lies between them is not read."""
    lane, table, path = key
    ordered = rows.sort("time").with_columns((pl.col("time").diff().fill_null(0) > _APART).cum_sum().alias("near"))
    for part in ordered.partition_by("near", maintain_order=True):
        yield _Question(lane, table, path or "", part)


def _key_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _KEY)


def _value(row: Mapping[str, Any], info: PathInfo | None) -> dict[str, Any]:
    quality = {GOOD: "good", BAD: "bad"}.get(row["kind"], "removed")
    return {"value": value_of(row, info) if quality == "good" else None, "unit": info.unit if info else row["unit"], "quality": quality}
