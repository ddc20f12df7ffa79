"""`reconcile --gaps`: where the history of a source has holes, by its rhythm or by its sequence numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.clock import HOUR, from_iso, to_iso
from twinwright.errors import NotFoundError, UsageError
from twinwright.governance.principals import Principal
from twinwright.platform.session import Session
from twinwright.storage.layout import Selection
from twinwright.storage.protocol import GOOD
from twinwright.twins.judged import Judged, Window, event_order
from twinwright.twins.quality import GAP, Criteria, left_out

_SHOWN: Final = 1_000
_AT_ONCE: Final = 6 * HOUR  # of event time: what is read of a path is bounded by it


@dataclass(frozen=True, slots=True)
class Gap:
    """Between two records of one series nothing came that should have. `missing`: how many sequence numbers are left out, None where
    nobody knows; times in microseconds, `after` None where the record before lies before the part that was looked at."""

    twin: str
    path: str
    source: str
    after: int | None
    until: int
    missing: int | None


def find_gaps(session: Session, principal: Principal, contract: str | None, start: str | None, end: str | None) -> dict[str, Any]:
    """`checked inconsistent repaired missing items[]`: records looked at, gaps, 0, and the sequence numbers that are known to be left out.

    Looked at is the last day, unless told otherwise. Raises NotFoundError for a contract that is not applied, UsageError where none that is
    says what a gap is.
    """
    contracts = session.pipeline.contracts
    if contract is not None and contract not in contracts:
        raise NotFoundError(f"there is no contract '{contract}'", remedy=f"Applied are: {', '.join(sorted(contracts)) or 'none'}")
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
    for source, path, criteria in asked:
        for begin in range(first, last, _AT_ONCE):
            window = Window(begin, min(begin + _AT_ONCE, last))
            selection = Selection(paths=(path,), start=window.start, end=window.end, source=source)
            rows = judged.records(principal, selection)
            checked += len(rows)
            for gap in _of(session, judged, principal, rows, window, criteria):
                gaps, missing = gaps + 1, missing + (gap.missing or 0)
                if len(items) < _SHOWN:
                    items.append(_item(gap))
    return {"checked": checked, "inconsistent": gaps, "repaired": 0, "missing": missing, "items": items}


def _asks(criteria: Criteria) -> bool:
    return criteria.gap is not None or criteria.sequence is not None


def _of(session: Session, judged: Judged, principal: Principal, rows: pa.Table, window: Window, criteria: Criteria) -> Iterator[Gap]:
    if not len(rows):
        return
    group = judged.groups(rows)
    order = event_order(rows, group)
    marked = np.flatnonzero((judged.marks(principal, rows, window) & GAP)[order])
    rows, group = rows.take(pa.array(order)), group[order]
    begins = np.append(True, group[1:] != group[:-1])  # of each series
    counted = _good_before(rows["kind"].to_numpy() == GOOD, begins)
    path, source, times = rows["path"][0].as_py(), rows["source"][0].as_py(), rows["time"].to_numpy()
    for at in marked.tolist():
        after = None if begins[at] else int(times[at - 1])
        twin = session.pipeline.registry.lifetime(rows["twin"][at].as_py()).twin
        yield Gap(twin, path, source, after, int(times[at]), _missing(rows, int(counted[at]), at, criteria))


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
