"""`reconcile --gaps`: where the history of a source has holes, by its rhythm or by its sequence numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.clock import HOUR, from_iso, span_of, to_iso
from twinwright.errors import NotFoundError, RefusedError, UsageError
from twinwright.governance.principals import Principal
from twinwright.platform.session import Session
from twinwright.storage.layout import Selection
from twinwright.storage.protocol import GOOD, RECORD_SCHEMA
from twinwright.twins.judged import Window, event_order
from twinwright.twins.quality import GAP, Criteria, left_out

_SHOWN: Final = 1_000
_AT_ONCE: Final = 100_000  # readings: what is read of a path is bounded by it


@dataclass(frozen=True, slots=True)
class Gap:
    """Between two records of one series nothing came that should have. `missing`: how many sequence numbers are left out, None where
    nobody knows; times in microseconds, `after` None where the record before lies before the time that was asked for."""

    twin: str
    path: str
    source: str
    after: int | None
    until: int
    missing: int | None


def find_gaps(session: Session, principal: Principal, contract: str | None, start: str | None, end: str | None) -> dict[str, Any]:
    """`checked inconsistent repaired missing items[]`: records looked at, gaps, 0, and the sequence numbers that are known to be left out.

    Looked at is the last day, unless told otherwise. Raises NotFoundError for a contract that is not applied, UsageError where none that is
    says what a gap is, RefusedError for a time whose raw values are gone.
    """
    contracts = session.pipeline.contracts
    if contract is not None and contract not in contracts:
        raise NotFoundError(f"there is no contract '{contract}'", remedy=f"Applied are: {', '.join(sorted(contracts)) or 'none'}")
    span_of(start, end)  # the right way round
    judged = session.served.reads.judged
    sources = [one.source for one in contracts.values() if contract in (None, one.name)]
    asked = [
        (source, path, criteria) for source in sources for path, criteria in sorted(judged.criteria(source).items()) if _asks(criteria)
    ]
    if not asked:
        remedy = "Give an observation `gap` or `sequence`, or the contract a `gap`"
        raise UsageError("no contract says what a gap is", where="contract", remedy=remedy)
    last = session.clock.now() + 1 if end is None else from_iso(end, where="to")
    first = last - 24 * HOUR if start is None else from_iso(start, where="from")
    checked = gaps = missing = 0
    items: list[dict[str, Any]] = []
    for source, path, _ in asked:
        _require_raw(session, principal, source, path, first)
    for source, path, criteria in asked:
        windows = _windows(_hours(session, principal, source), first, last)
        for looked_at, found in _found(session, principal, Selection(paths=(path,), source=source), windows, criteria):
            checked += looked_at
            for gap in found:
                gaps, missing = gaps + 1, missing + (gap.missing or 0)
                if len(items) < _SHOWN:
                    items.append(_item(gap))
    return {"checked": checked, "inconsistent": gaps, "repaired": 0, "missing": missing, "items": items}


def _require_raw(session: Session, principal: Principal, source: str, path: str, first: int) -> None:
    """What retention has let go of is no hole, and a hole in it can't be seen any more."""
    gone = session.served.reads.expired.of_source(principal, source)
    before = max((at for key, at in gone.items() if key.endswith(f" {path}")), default=first)
    if before > first:
        remedy = f"Begin at {to_iso(before)}"
        raise RefusedError(f"raw history of '{path}' before {to_iso(before)} is gone, and with it its gaps", where="from", remedy=remedy)


def _asks(criteria: Criteria) -> bool:
    return criteria.gap is not None or criteria.sequence is not None


def _hours(session: Session, principal: Principal, source: str) -> dict[int, int]:
    """In which hours of event time a source has readings, and at most how many."""
    hours: dict[int, int] = {}
    for contract in sorted({table.contract for table in session.store.reading_tables(principal) if table.source == source}):
        for hour, count in session.store.hours(principal, contract).items():
            hours[hour] = hours.get(hour, 0) + count
    return hours


def _windows(hours: Mapping[int, int], first: int, last: int) -> Iterator[Window]:
    """All hours that have readings between two times, in windows of few enough readings to be read at once: where there are none, nothing
    is asked."""
    begin, end, held = first, first, 0
    for hour, count in sorted(hours.items()):
        start, stop = max(hour * HOUR, first), min((hour + 1) * HOUR, last)
        if start >= stop:
            continue
        if held and held + count > _AT_ONCE:
            yield Window(begin, end)
            held = 0
        begin, end, held = start if held == 0 else begin, stop, held + count
    if held:
        yield Window(begin, end)


def _found(
    session: Session, principal: Principal, of: Selection, windows: Iterable[Window], criteria: Criteria
) -> Iterator[tuple[int, list[Gap]]]:
    """Window by window how many records were looked at, and the gaps before them."""
    judged = session.served.reads.judged
    earlier = RECORD_SCHEMA.empty_table()  # of each series the last record so far, and the last good one: a hole may begin in any window
    for window in windows:
        rows = judged.records(principal, replace(of, start=window.start, end=window.end))
        if not len(rows):
            continue
        marks = np.append(np.zeros(len(earlier), np.uint8), judged.marks(principal, rows, window) & GAP)
        every = pa.concat_tables([earlier, rows])
        group = judged.groups(every)
        order = event_order(every, group)
        every, group = every.take(pa.array(order)), group[order]
        begins, good = np.append(True, group[1:] != group[:-1]), every["kind"].to_numpy() == GOOD
        counted = _good_before(good, begins)
        twins, times = every["twin"], every["time"].to_numpy()
        gaps = []
        for at in np.flatnonzero(marks[order]).tolist():
            after = None if begins[at] else int(times[at - 1])
            twin = session.pipeline.registry.lifetime(twins[at].as_py()).twin
            left = _missing(every, int(counted[at]), at, criteria)
            gaps.append(Gap(twin, every["path"][at].as_py(), every["source"][at].as_py(), after, int(times[at]), left))
        yield len(rows), gaps
        ends = np.flatnonzero(np.append(begins[1:], True))
        kept = np.unique(np.append(ends, np.where(good[ends], ends, counted[ends])))
        earlier = every.take(pa.array(kept[kept >= 0]))


def _good_before(good: NDArray[np.bool_], begins: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where the last good record before each record of its series is; -1 where there is none."""
    places = np.arange(len(good))
    last = np.maximum.accumulate(np.where(good, places, -1))
    before = np.append(-1, last[:-1])
    return np.where(before >= np.maximum.accumulate(np.where(begins, places, 0)), before, -1)


def _missing(rows: pa.Table, before: int, at: int, criteria: Criteria) -> int | None:
    """How many sequence numbers are left out between two records; None where nobody knows."""
    if criteria.sequence is None or before < 0 or rows["kind"][at].as_py() != GOOD:
        return None
    pair = [rows["int"][one].as_py() if rows["int"][one].is_valid else rows["num"][one].as_py() for one in (before, at)]
    missing = int(left_out(np.array(pair, np.int64), criteria.sequence)[0])
    return missing if missing >= 0 else None


def _item(gap: Gap) -> dict[str, Any]:
    after = None if gap.after is None else to_iso(gap.after)
    return {"twin": gap.twin, "path": gap.path, "source": gap.source, "from": after, "to": to_iso(gap.until), "missing": gap.missing}
