"""`reconcile --gaps`: where the history of a source has holes, by its rhythm or by its sequence numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

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
    bits = judged.marks(principal, rows, window)
    registry = session.pipeline.registry
    twins = [registry.lifetime(number).twin for number in rows["twin"].to_pylist()]
    names = {name: at for at, name in enumerate(dict.fromkeys(twins))}
    group = np.array([names[name] for name in twins], np.int64)
    order = event_order(rows, group)
    times, kinds = rows["time"].to_numpy(), rows["kind"].to_numpy()
    whole, num = rows["int"].to_pylist(), rows["num"].to_pylist()
    path, source = rows["path"][0].as_py(), rows["source"][0].as_py()
    before: int | None = None
    counted: int | None = None  # the good one before, for sequence numbers
    for at in order.tolist():
        if before is not None and group[before] != group[at]:
            before = counted = None
        good = kinds[at] == GOOD
        if bits[at] & GAP:
            missing = None
            if criteria.sequence is not None and good and counted is not None:
                pair = np.array([_count(whole[one], num[one]) for one in (counted, at)], np.int64)
                missing = int(left_out(pair, criteria.sequence)[0])
            known = missing if missing is not None and missing >= 0 else None
            yield Gap(twins[at], path, source, None if before is None else int(times[before]), int(times[at]), known)
        before, counted = at, at if good else counted


def _count(whole: int | None, number: float | None) -> int:
    return int(whole if whole is not None else number or 0)


def _item(gap: Gap) -> dict[str, Any]:
    after = None if gap.after is None else to_iso(gap.after)
    return {"twin": gap.twin, "path": gap.path, "source": gap.source, "from": after, "to": to_iso(gap.until), "missing": gap.missing}
