"""Reads of the twins: documents from the cell cache or, as of a time or as known at a commit, from history; and series."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from twinwright import units
from twinwright.clock import to_iso
from twinwright.errors import DigitalTwinNotFoundError, NotFoundError, UsageError
from twinwright.governance.principals import Principal
from twinwright.schema import Ontology, PathInfo
from twinwright.storage.layout import Lane, Lifetime, Selection
from twinwright.storage.protocol import BAD, GOOD, REMOVED, Store
from twinwright.twins import documents
from twinwright.twins.documents import Cell, Shape
from twinwright.twins.evolution import UNCHANGED, Evolution
from twinwright.twins.expired import Expired
from twinwright.twins.expired_windows import ExpiredWindows
from twinwright.twins.judged import AllCriteria, Judged, Window
from twinwright.twins.last_good import LastGood
from twinwright.twins.quality import counted, gravest
from twinwright.twins.registry import TwinRegistry
from twinwright.twins.resampling import check_windows, resampled
from twinwright.twins.series import Series, numbers, whole_numbers
from twinwright.twins.state import StateCache

MAX_POINTS = 5_000_000
_TIMES = 100_000  # of commits that are remembered
_FEW = 16  # lifetimes of which the cells are read one by one
_SOME = 1_000  # twins whose lifetimes in the past are read one by one


class TwinReads:
    """Bitemporal reads for one set of applied interfaces and twins. `criteria` are what values are marked by, by (source, path)."""

    def __init__(
        self,
        store: Store,
        state: StateCache,
        ontology: Ontology,
        registry: TwinRegistry,
        criteria: AllCriteria | None = None,
        evolution: Evolution = UNCHANGED,
    ) -> None:
        self._state, self._ontology, self._registry = state, ontology, registry
        self._stored, self._evolution, self._lineages = store, evolution, evolution.lineages
        self._store = store = evolution.over(store)
        self.judged = Judged(store, registry, criteria or {}, evolution.criteria(criteria or {}))
        self._last_good = LastGood(store)
        self.expired = Expired(store, registry, evolution)
        self._windows = ExpiredWindows(self._stored, evolution)
        self._times: dict[int, int] = {}

    # --- documents ---------------------------------------------------------------------------------------------------

    def document(
        self,
        principal: Principal,
        twin: str,
        *,
        as_of: int | None,
        known_at: int | None,
        lane: Lane,
        facts: bool,
        now: int | None = None,
        interface: str | None = None,
    ) -> dict[str, Any]:
        """One twin. `now` (microseconds; None: `as_of`) is what ages are measured from; `interface` as which version it is wanted, its own
        unless given. Raises NotFoundError."""
        lifetime = self._lineages.seen(self.lifetime(principal, twin, as_of, known_at), interface)
        return self._documents(principal, (lifetime,), as_of, known_at, lane, facts=facts, now=now)[0]

    def lifetime(self, principal: Principal, twin: str, as_of: int | None, known_at: int | None) -> Lifetime:
        """The incarnation of a twin that is there, or was at an event time, in the version that was known at a commit.

        Raises DigitalTwinNotFoundError.
        """
        if as_of is None and known_at is None:
            return self._registry.current(twin)
        self._registry.newest(twin)  # refused with the nearest name where nobody ever was called so
        lives = self._store.lifetimes(principal, twin=twin, as_of=as_of, known_at=known_at)
        if as_of is not None:
            lives = [life for life in lives if life.since is None or life.since <= as_of]
        if not lives or (lives[-1].until is not None and (as_of is None or lives[-1].until <= as_of)):
            when = to_iso(as_of) if as_of is not None else f"commit {known_at}"
            raise DigitalTwinNotFoundError(f"'{twin}' did not exist at {when}", remedy="Ask for a time inside its lifetime")
        return lives[-1]

    def documents(
        self,
        principal: Principal,
        *,
        as_of: int | None,
        known_at: int | None,
        lane: Lane,
        facts: bool,
        now: int | None = None,
        interface: str | None = None,
        twins: Collection[str] | None = None,
    ) -> list[dict[str, Any]]:
        """All twins, or those of some that are there, by id; those of other versions of `interface` as if they were of that one."""
        lives = tuple(self._there(principal, as_of, known_at, twins))
        if interface is not None:
            related, seen = self._lineages.related, self._lineages.seen
            lives = tuple(seen(life, interface) if related(life.interface, interface) else life for life in lives)
        return self._documents(principal, lives, as_of, known_at, lane, facts=facts, now=now)

    def _there(self, principal: Principal, as_of: int | None, known_at: int | None, twins: Collection[str] | None) -> Iterator[Lifetime]:
        """By twin."""
        if as_of is None and known_at is None:
            found = (self._registry.alive(twin) for twin in sorted(self._registry.twins if twins is None else twins))
            yield from (life for life in found if life is not None)
        elif twins is None or len(twins) > _SOME:
            yield from (life for life in self._lifetimes(principal, as_of, known_at) if twins is None or life.twin in twins)
        else:
            for twin in sorted(twins):
                with suppress(NotFoundError):
                    yield self.lifetime(principal, twin, as_of, known_at)

    def _lifetimes(self, principal: Principal, as_of: int | None, known_at: int | None) -> list[Lifetime]:
        """Those that were there at an event time (None: now), as known at a commit, by twin."""
        lives = self._store.lifetimes(principal, as_of=as_of, known_at=known_at)
        if as_of is None:
            there = [life for life in lives if life.alive]
        else:
            begun = [life for life in lives if life.since is None or life.since <= as_of]
            there = [life for life in begun if life.until is None or life.until > as_of]
        return sorted(there, key=lambda life: life.twin)

    def _documents(
        self,
        principal: Principal,
        lives: tuple[Lifetime, ...],
        as_of: int | None,
        known_at: int | None,
        lane: Lane,
        *,
        facts: bool,
        now: int | None,
    ) -> list[dict[str, Any]]:
        end = None if as_of is None else as_of + 1
        numbers = tuple(life.number for life in lives)
        selection = Selection(lifetimes=numbers, lane=lane, end=end, known_at=known_at)
        seen = {life.number: life.interface for life in lives} if self._evolution.active else {}
        others = {number: dtmi for number, dtmi in seen.items() if dtmi != self._registry.lifetime(number).interface}
        cells = self.cells(principal, selection, others)
        if lane == "observed" and (end is not None or known_at is not None):
            self.expired.require_cells(principal, selection, cells)
        moment = now if as_of is None else as_of
        return self._shown(principal, lives, cells, known_at, lane, facts=facts, now=moment)

    def document_of(self, principal: Principal, life: Lifetime, cells: Mapping[str, Cell], now: int) -> dict[str, Any]:
        """The document of a twin as one write left it, whatever was written since; `cells` are its winners by path."""
        keyed = {(life.number, path): cell for path, cell in cells.items()}
        return self._shown(principal, (life,), keyed, None, "observed", facts=False, now=now)[0]

    def _shown(
        self,
        principal: Principal,
        lives: tuple[Lifetime, ...],
        cells: Mapping[tuple[int, str], Cell],
        known_at: int | None,
        lane: Lane,
        *,
        facts: bool,
        now: int | None,
    ) -> list[dict[str, Any]]:
        by_twin: dict[int, list[Cell]] = {life.number: [] for life in lives}
        for (number, _), cell in cells.items():
            by_twin[number].append(cell)
        behind = self._behind(principal, lives, [cell for cell in cells.values() if cell["kind"] == BAD], lane, known_at)
        last_good: dict[int, dict[str, Cell]] = {}
        for (number, path), cell in behind.items():
            last_good.setdefault(number, {})[path] = cell
        times: dict[int, int] = {}
        marks: dict[tuple[int, str], str] = {}
        if not facts:
            times = self._commit_times(principal, {cell["commit"] for cell in cells.values()} | {life.commit for life in lives})
            marks = self.judged.of_cells(principal, cells.values(), known_at) if lane == "observed" else {}
        result = []
        for life in lives:
            shown = [{**cell, "mark": marks.get((life.number, cell["path"]))} for cell in by_twin[life.number]]
            shape = self.shape(life.interface)
            result.append(documents.document(life, shown, last_good.get(life.number, {}), shape, times, facts=facts, now=now))
        return result

    def _behind(
        self, principal: Principal, lives: tuple[Lifetime, ...], bad: list[Cell], lane: Lane, known_at: int | None
    ) -> dict[tuple[int, str], Cell]:
        """The last good cells behind bad ones, as the versions that lifetimes are shown as have them."""
        if not self._evolution.active:
            return self._last_good.behind(principal, bad, lane, known_at)
        seen = self._evolution.seen_as({life.number: life.interface for life in lives})
        return LastGood(seen.over(self._stored)).behind(principal, bad, lane, known_at)

    def shape(self, interface: str) -> Shape:
        """What a document of an interface has; nothing is known of one that was deleted."""
        known = interface in self._ontology.interfaces
        return Shape(self._ontology.paths(interface), self._ontology.component_paths(interface)) if known else Shape({}, ())

    def _commit_times(self, principal: Principal, numbers: set[int]) -> dict[int, int]:
        """They never change: those that were asked for before are not read again."""
        found = {number: self._times[number] for number in numbers if number in self._times}
        if len(found) < len(numbers):
            if len(self._times) > _TIMES:
                self._times = {}
            read = self._store.commit_times(principal, numbers - found.keys())
            self._times |= read
            found |= read
        return found

    def cells(self, principal: Principal, selection: Selection, seen: Mapping[int, str] | None = None) -> dict[tuple[int, str], Cell]:
        """The winning record of each (twin, path): from the cache for the observed present, else from history. `seen` says as which
        version some lifetimes are read."""
        evolution = self._evolution.seen_as(seen or {})
        if selection.end is not None or selection.known_at is not None or selection.lane != "observed":
            return documents.winners(evolution.over(self._stored).latest(principal, selection).to_pylist())
        if selection.lifetimes is not None and len(selection.lifetimes) <= _FEW:
            mine = [cell for number in selection.lifetimes for cell in self._state.of_twin(number)]
            return documents.winners(evolution.cells(mine))
        found: list[Cell] = []
        tables = self._state.tables(selection.lifetimes)
        by_contract = self._state.columns()  # after the cells: a contract that an apply adds in between has none of them yet
        for contract, table in tables:
            source, columns = by_contract[contract]
            for row in table.to_pylist():
                unit, type_ = columns[row["path"], row["revision"]]
                found.append({**row, "source": source, "unit": unit, "type": type_})
        declared = Selection(lifetimes=selection.lifetimes, source=documents.DECLARED_SOURCE)
        found += self._stored.latest(principal, declared).to_pylist()
        return documents.winners(evolution.cells(found))

    # --- series ------------------------------------------------------------------------------------------------------

    def info(self, twin: str, path: str, version: str | None = None) -> PathInfo:
        """What the twin's interface says of a path, or another version of it that is served (`version`: that one alone). Raises
        NotFoundError naming the nearest."""
        interface = self._lineages.seen(self._registry.newest(twin), version).interface
        paths = self.shape(interface).paths
        if path not in paths and version is None and self._evolution.active:
            other = self._lineages.speaker(interface, path)
            paths = paths if other is None else self.shape(other).paths
        if path not in paths:
            from difflib import get_close_matches

            near = get_close_matches(path, list(paths), 1)
            remedy = f"Did you mean '{near[0]}'?" if near else f"It has: {', '.join(sorted(paths)[:20]) or 'none'}"
            raise NotFoundError(f"'{twin}' has no path '{path}'", remedy=remedy)
        return paths[path]

    def unit_of(self, twin: str, path: str) -> str | None:
        return self.info(twin, path).unit

    def records(
        self,
        principal: Principal,
        twin: str,
        path: str,
        *,
        start: int | None,
        end: int | None,
        known_at: int | None,
        lane: Lane = "observed",
    ) -> pa.Table:
        """The current record of every key of one path, in order of (time, source): RECORD_SCHEMA. Raises NotFoundError."""
        self.info(twin, path)
        numbers = tuple(life.number for life in self._registry.lifetimes_of(twin))
        found = self._store.history(principal, Selection(numbers, (path,), lane, start, end, known_at))
        return found.sort_by([("time", "ascending"), ("source", "ascending")]) if len(numbers) > 1 else found

    def series(
        self,
        principal: Principal,
        twin: str,
        path: str,
        *,
        start: int | None = None,
        end: int | None = None,
        unit: str | None = None,
        known_at: int | None = None,
    ) -> Series:
        """Numbers for models and charts; where several sources speak of one time, the greatest name is heard (law 2)."""
        info = self.info(twin, path)
        before = self.expired.before(principal, twin, path)
        self.expired.require_series(before, start, path)
        if known_at is not None:
            self.expired.require_known(before, start, path)
        rows = self.records(principal, twin, path, start=start, end=end, known_at=known_at)
        wanted = _wanted(info, unit)
        values, good = numbers(rows, wanted, path)
        times = np.asarray(rows["time"].to_numpy(), np.int64)
        last = np.append(times[1:] != times[:-1], True)[: len(times)]
        return Series(times[last], values[last], good[last], wanted)

    def history(
        self,
        principal: Principal,
        twin: str,
        path: str,
        *,
        start: int | None,
        end: int | None,
        every: int | None,
        agg: str,
        unit: str | None,
        known_at: int | None,
        lane: Lane = "observed",
        interface: str | None = None,
    ) -> dict[str, Any]:
        """`times values unit quality source` as lists, `marks` counted; resampled into windows of `every` microseconds aligned to
        the epoch. Where raw values of the time are gone, windows are made of roll-ups (`rolled_up`), and `expired_before` says so.
        `interface`: the version of which the path and its unit are.

        Raises UnitError, and RefusedError for what can't be told from what is left.
        """
        info = self.info(twin, path, interface)
        wanted = _wanted(info, unit)
        gone = self.expired.before(principal, twin, path) if lane == "observed" else None
        if gone is not None and (start is None or start < gone):
            if known_at is not None:
                self.expired.require_known(gone, start, path)
            found = self._rolled_up(principal, twin, info, interface, (start, end), every, agg, wanted) if every is not None else None
            return {**(found or self._raw(principal, info, twin, start, end, None, lane, wanted)), "expired_before": to_iso(gone)}
        if every is None:
            return self._raw(principal, info, twin, start, end, known_at, lane, wanted)
        rows = self._said(principal, twin, path, start, end, known_at, lane)
        times = np.asarray(rows["time"].to_numpy(), np.int64)
        bits = self.judged.marks(principal, rows, Window(start, end, known_at))
        return {"twin": twin, "path": path, **resampled(rows, times, every, agg, wanted, path, bits), "marks": counted(bits)}

    def _said(
        self, principal: Principal, twin: str, path: str, start: int | None, end: int | None, known_at: int | None, lane: Lane
    ) -> pa.Table:
        rows = self.records(principal, twin, path, start=start, end=end, known_at=known_at, lane=lane)
        return rows.filter(pa.compute.not_equal(rows["kind"], REMOVED))

    def _rolled_up(
        self,
        principal: Principal,
        twin: str,
        info: PathInfo,
        version: str | None,
        span: tuple[int | None, int | None],
        every: int,
        agg: str,
        unit: str | None,
    ) -> dict[str, Any]:
        """Windows of roll-ups where raw values are gone, and of those where they are not."""
        check_windows(every, agg)
        path, newest = info.path, self._lineages.seen(self._registry.newest(twin), version).interface
        lives = [life.number for life in self._registry.lifetimes_of(twin)]
        gone = self.expired.by_source(principal, twin, path)
        rows = self._said(principal, twin, path, *span, None, "observed")
        speaker = self._lineages.speaker(newest, path) if self._evolution.active else None
        made, rolled_up = self._windows.of(principal, lives, speaker or newest, path, span, every, agg, unit, gone, rows)
        return {
            "twin": twin,
            "path": path,
            "times": [to_iso(time) for time in made["window"].to_list()],
            "values": made["value"].to_list(),
            "unit": None if agg == "count" else unit,
            "quality": ["bad" if bad else "good" for bad in made["bad"].to_list()],
            "source": [None] * len(made),
            "marks": {},
            "rolled_up": rolled_up,
        }

    def _raw(
        self,
        principal: Principal,
        info: PathInfo,
        twin: str,
        start: int | None,
        end: int | None,
        known_at: int | None,
        lane: Lane,
        wanted: str | None,
    ) -> dict[str, Any]:
        """Every record by itself."""
        path, rows = info.path, self._said(principal, twin, info.path, start, end, known_at, lane)
        if len(rows) > MAX_POINTS:
            raise UsageError(f"{len(rows)} points", where=path, remedy=f"Narrow the time or resample: at most {MAX_POINTS}")
        times = np.asarray(rows["time"].to_numpy(), np.int64)
        bits = self.judged.marks(principal, rows, Window(start, end, known_at))
        whole = whole_numbers(rows, wanted)
        if whole is not None:
            values: list[Any] = whole.to_pylist()
        elif set(rows["type"].unique().to_pylist()) <= {"DOUBLE", "BIGINT"}:
            numeric, good = numbers(rows, wanted, path)
            values = [float(value) if ok else None for value, ok in zip(numeric, good, strict=True)]
        else:
            shown = replace(info, unit=wanted)
            values = [documents.value_of(row, shown) if row["kind"] == GOOD else None for row in rows.to_pylist()]
        return {
            "twin": twin,
            "path": path,
            "times": [to_iso(time) for time in times.tolist()],
            "values": values,
            "unit": wanted,
            "quality": gravest(bits),
            "marks": counted(bits),
            "source": rows["source"].to_pylist(),
        }


def _wanted(info: PathInfo, unit: str | None) -> str | None:
    """The unit to read a path in: its own unless told otherwise. Raises UnitError for one that it can't be in, whatever there is of it."""
    if unit is None:
        return info.unit
    units.converter(info.unit, wanted := units.canonical(unit, where=info.path))
    return wanted
