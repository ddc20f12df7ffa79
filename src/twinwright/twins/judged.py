"""Records with their marks, read with as many neighbours around a window as it takes for the window's marks to be the whole series'.

Neighbours are looked for in growing windows, for all series at once; a series that has enough drops out. What is found is what the
whole history would give, because a window only ever leaves out what is further away than all in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twinwright.governance.principals import Principal
from twinwright.storage.layout import Selection
from twinwright.storage.protocol import GOOD, RECORD_SCHEMA, REMOVED, Store
from twinwright.twins.documents import Cell
from twinwright.twins.last_good import WINDOWS, close
from twinwright.twins.quality import BAD, Bits, Criteria, counted, gravest, judge
from twinwright.twins.registry import TwinRegistry
from twinwright.twins.series import numbers

AllCriteria = Mapping[tuple[str, str], Criteria]  # (source, path)


@dataclass(frozen=True, slots=True)
class Window:
    """Where records were read from: `start` included, `end` not (microseconds; None: open), as known at a commit."""

    start: int | None = None
    end: int | None = None
    known_at: int | None = None


class Judged:
    """Marks of records under the criteria of the applied contracts."""

    def __init__(self, store: Store, registry: TwinRegistry, criteria: AllCriteria, named: AllCriteria | None = None) -> None:
        """`named` are the same criteria, under the names that other versions of interfaces have for the paths as well."""
        self._store, self._registry, self._own = store, registry, criteria
        self._criteria = criteria if named is None else named

    def criteria(self, source: str) -> dict[str, Criteria]:
        """What is held against a source, by path."""
        return {path: one for (name, path), one in self._criteria.items() if name == source}

    def marks(self, principal: Principal, rows: pa.Table, window: Window) -> Bits:
        """The marks of all records of some twins and paths in a window, given whole (RECORD_SCHEMA, nothing removed), in any order."""
        bits = np.where(rows["kind"].to_numpy() == GOOD, 0, BAD).astype(np.uint8)
        for source in pc.unique(rows["source"]).to_pylist():
            for path, criteria in self.criteria(source).items():
                mine = np.flatnonzero(pc.and_(pc.equal(rows["source"], source), pc.equal(rows["path"], path)).to_numpy())
                if len(mine) and criteria.needs_neighbours:
                    bits[mine] = self._judged(principal, rows.take(pa.array(mine)), window, criteria)
        return bits

    def of_cells(self, principal: Principal, cells: Iterable[Cell], known_at: int | None) -> dict[tuple[int, str], str]:
        """The gravest mark of each good cell of some (twin, path); absent where there is none."""
        by_criteria: dict[tuple[str, str], dict[tuple[int, str], int]] = {}
        for cell in cells:
            criteria = self._criteria.get((cell["source"], cell["path"]))
            if cell["kind"] == GOOD and criteria is not None and criteria.needs_neighbours:
                by_criteria.setdefault((cell["source"], cell["path"]), {})[cell["twin"], cell["path"]] = cell["time"]
        marks: dict[tuple[int, str], str] = {}
        for (source, path), times in by_criteria.items():
            for group in close(times):
                numbers = tuple(number for number, _ in group)
                window = Window(min(group.values()), max(group.values()) + 1, known_at)
                near = Selection(numbers, (path,), start=window.start, end=window.end, known_at=known_at, source=source)
                rows = self.records(principal, near)
                words = gravest(self.marks(principal, rows, window))
                for number, time, word in zip(rows["twin"].to_pylist(), rows["time"].to_pylist(), words, strict=True):
                    if word != "good" and group.get((number, path)) == time:
                        marks[number, path] = word
        return marks

    def counts(self, principal: Principal, source: str, start: int, end: int) -> tuple[int, int, dict[str, int]]:
        """(records, marked ones, how many carry each mark) of a source's judged paths at `start` <= event time < `end`."""
        every = [np.zeros(0, np.uint8)]
        for path in [path for name, path in self._own if name == source]:
            rows = self.records(principal, Selection(paths=(path,), start=start, end=end, source=source))
            every.append(self.marks(principal, rows, Window(start, end)))
        bits = np.concatenate(every)
        return len(bits), int(np.count_nonzero(bits)), counted(bits)

    def records(self, principal: Principal, selection: Selection) -> pa.Table:
        """The current records of a selection that say something."""
        rows = self._store.history(principal, selection)
        return rows.filter(pc.not_equal(rows["kind"], REMOVED))

    def _judged(self, principal: Principal, rows: pa.Table, window: Window, criteria: Criteria) -> Bits:
        """The marks of records of one path and source, of any number of twins."""
        before, after = self._before(principal, rows, window, criteria), self._after(principal, rows, window, criteria)
        every = pa.concat_tables([before, rows, after])
        group = self.groups(every)
        bits = np.zeros(len(every), np.uint8)
        for one in _split(event_order(every, group), group):
            bits[one] = _of_one_series(every.take(pa.array(one)), criteria)
        return bits[len(before) : len(before) + len(rows)]

    def _series(self, rows: pa.Table) -> Iterator[pa.Table]:
        """The records of each twin."""
        group = self.groups(rows)
        return (rows.take(pa.array(one)) for one in _split(np.argsort(group, kind="stable"), group) if len(one))

    def groups(self, rows: pa.Table) -> NDArray[np.int64]:
        """Which series each record is of: a twin's runs over its lifetimes."""
        lives = pc.dictionary_encode(rows["twin"].combine_chunks())
        twins: dict[str, int] = {}
        code = [twins.setdefault(self._registry.lifetime(number).twin, len(twins)) for number in lives.dictionary.to_pylist()]
        return np.array(code or [0], np.int64)[lives.indices.to_numpy()] if len(rows) else np.zeros(0, np.int64)

    # --- neighbours --------------------------------------------------------------------------------------------------

    def _before(self, principal: Principal, rows: pa.Table, window: Window, criteria: Criteria) -> pa.Table:
        if window.start is None:
            return RECORD_SCHEMA.empty_table()
        held = window.start - (criteria.stuck or 0)

        def enough(found: pa.Table) -> bool:
            good = found.filter(pc.equal(found["kind"], GOOD))
            old = criteria.stuck is None or (len(good) > 0 and pc.min(good["time"]).as_py() <= held)
            return len(found) > 0 and old and len(good) >= criteria.good_before

        starts = [*(held - width for width in WINDOWS), None]
        return self._around(principal, rows, [replace(window, start=start, end=window.start) for start in starts], enough)

    def _after(self, principal: Principal, rows: pa.Table, window: Window, criteria: Criteria) -> pa.Table:
        if window.end is None or criteria.good_after == 0:
            return RECORD_SCHEMA.empty_table()

        def enough(found: pa.Table) -> bool:
            return int(pc.sum(pc.equal(found["kind"], GOOD)).as_py() or 0) >= criteria.good_after

        ends = [*(window.end + width for width in WINDOWS), None]
        return self._around(principal, rows, [replace(window, start=window.end, end=end) for end in ends], enough)

    def _around(self, principal: Principal, rows: pa.Table, windows: list[Window], enough: Callable[[pa.Table], bool]) -> pa.Table:
        """What lies in the narrowest of the windows that is enough, series by series; for the rest in the last."""
        path, source = rows["path"][0].as_py(), rows["source"][0].as_py()
        twins = {self._registry.lifetime(number).twin for number in pc.unique(rows["twin"]).to_pylist()}
        found = [RECORD_SCHEMA.empty_table()]
        for window in windows:
            lives = {life.number: twin for twin in twins for life in self._registry.lifetimes_of(twin)}
            selection = Selection(tuple(lives), (path,), start=window.start, end=window.end, known_at=window.known_at, source=source)
            for theirs in self._series(self.records(principal, selection)):
                if window is windows[-1] or enough(theirs):
                    found.append(theirs)
                    twins.discard(self._registry.lifetime(theirs["twin"][0].as_py()).twin)
            if not twins:
                break
        return pa.concat_tables(found)


def event_order(rows: pa.Table, group: NDArray[np.int64]) -> NDArray[np.intp]:
    """Series by series, each in the order of event time, whenever its records arrived."""
    return np.lexsort((rows["time"].to_numpy(), group))


def _split(order: NDArray[np.intp], group: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    return np.split(order, np.flatnonzero(np.diff(group[order])) + 1)


def _of_one_series(rows: pa.Table, criteria: Criteria) -> Bits:
    times, good = rows["time"].to_numpy(), rows["kind"].to_numpy() == GOOD
    types = set(pc.unique(rows["type"]).to_pylist())
    if "VARCHAR" in types:  # judged by equality alone
        codes = pc.dictionary_encode(rows["txt"].combine_chunks(), null_encoding="encode").indices.to_numpy().astype(np.int64)
        return judge(times, codes.astype(np.float64), good, replace(criteria, rate=None, spike=None, sequence=None), codes)
    values, _ = numbers(rows, criteria.unit, rows["path"][0].as_py())
    whole = types <= {"BIGINT", "BOOLEAN"} and len(pc.unique(rows["unit"])) == 1
    return judge(times, values, good, criteria, pc.fill_null(rows["int"], 0).to_numpy() if whole else None)
