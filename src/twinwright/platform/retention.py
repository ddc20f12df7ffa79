"""Letting go of raw values that are older than their rule keeps them, with their roll-ups made in the same transaction.

Roll-ups are made of history as it is when its raw form goes, so late and corrected values until then are in them. What comes for a time
that is gone is taken in and counted, and let go of at the next pass without a trace in the roll-ups: it can't be told from what was there.
The newest value of a path, and its newest good one, stay however old they are: state is a function of history.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.clock import HOUR, to_iso
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.observability.logs import get_logger
from twinwright.platform.session import Session
from twinwright.storage.expiry import EXPIRE_HISTORY, ROLLUP_SCHEMA, Expiry
from twinwright.storage.layout import ReadingTable, Selection
from twinwright.storage.protocol import Transaction
from twinwright.storage.sealing import DAY
from twinwright.twins import expired
from twinwright.twins.rollups import roll_up
from twinwright.workspace.retention import WIDTHS, HistoryRetention, Rules, rule_of

_log = get_logger("retention")
Kept = tuple[NDArray[np.int32], NDArray[np.int64]]
_NEVER: Final = -(2**62)
_ROWS_AT_ONCE: Final = 500_000  # of one path, when they are rolled up


@dataclass(frozen=True, slots=True)
class _Group:
    """Paths that one contract observes of the twins that began as one interface, and for which one rule holds: raw values before `before`
    go. Paths are as they are stored, and what is gone is noted under the interface that twins began as: no migration changes these.
    """

    tables: tuple[ReadingTable, ...]  # of all revisions
    interface: str
    paths: tuple[str, ...]
    twins: tuple[int, ...]
    rule: HistoryRetention
    before: int

    @property
    def source(self) -> str:
        return self.tables[0].source

    @property
    def keys(self) -> list[str]:
        """As the record of what is gone names them."""
        return [f"{self.interface} {path}" for path in self.paths]

    def expiries(self, start: int, end: int, kept: Kept) -> list[Expiry]:
        """One for each table that has some of the paths."""
        near = (kept[1] >= start) & (kept[1] < end)
        columns = {table: tuple(j for j, one in enumerate(table.columns) if one.path in self.paths) for table in self.tables}
        return [
            Expiry(table, chosen, self.twins, start, end, (kept[0][near], kept[1][near])) for table, chosen in columns.items() if chosen
        ]


def expire_history(session: Session, stop: threading.Event) -> int:
    """One pass; of how many readings some values went. Each day of each group is one transaction with its roll-ups; told to stop, it
    goes on at the next pass."""
    applied, gone = session.served.applied, 0
    for group in _groups(session, applied.retention, session.clock.now()):
        kept = _kept(session, SYSTEM, group.source)
        for start, end in _spans(session, group):
            if stop.is_set():
                return gone
            gone += _expire(session, group, start, end, kept)
    _expire_rollups(session)
    return gone


def deletes(session: Session, principal: Principal, rules: Rules) -> dict[str, Any]:
    """What a pass under these rules would delete: `readings` of which values go, `values` at most, and `bytes` about."""
    readings = values = 0
    total = sum(
        sum(session.store.hours(principal, name).values()) for name in {t.contract for t in session.store.reading_tables(principal)}
    )
    cells = max(1, max((len(table.columns) for table in session.store.reading_tables(principal)), default=1))
    for group in _groups(session, rules, session.clock.now()):
        kept = _kept(session, principal, group.source)
        for start, end in _spans(session, group):
            for expiry in group.expiries(start, end, kept):
                found = session.store.expirable(principal, expiry)
                readings, values = readings + found, values + found * len(expiry.columns)
    size = session.store.size(principal) if values else 0
    return {"readings": readings, "values": values, "bytes": round(size * values / (cells * total)) if total else 0}


def raw_ends(session: Session) -> dict[ReadingTable, set[int]]:
    """Of each table of which rules let raw values go: the days (since the epoch) before which some of them are due to."""
    ends: dict[ReadingTable, set[int]] = {}
    for group in _groups(session, session.served.applied.retention, session.clock.now()):
        for table in group.tables:
            if any(column.path in group.paths for column in table.columns):
                ends.setdefault(table, set()).add(group.before // DAY)
    return ends


def overdue(session: Session, principal: Principal) -> float | None:
    """Seconds of event time by which the oldest rule is behind; None where there is no rule."""
    rules = session.served.applied.retention
    if not rules:
        return None
    behind = 0
    for group in _groups(session, rules, session.clock.now()):
        gone = session.served.reads.expired.of_source(principal, group.source)
        done = min(gone.get(key, _NEVER) for key in group.keys)
        hours = (hour * HOUR for hour in session.store.hours(principal, group.tables[0].contract))
        behind = max(behind, group.before - min((hour for hour in hours if hour >= done), default=group.before))
    return behind / 1e6


def _groups(session: Session, rules: Rules, now: int) -> Iterator[_Group]:
    if not rules:
        return
    applied = session.served.applied
    lives = applied.by_beginning(session.store.lifetimes(SYSTEM))
    tables: dict[str, list[ReadingTable]] = {}
    for table in session.store.reading_tables(SYSTEM):
        tables.setdefault(table.contract, []).append(table)
    for mine in tables.values():
        paths = dict.fromkeys(column.path for table in mine for column in table.columns)
        for interface, numbers in lives.items():
            by_rule: dict[HistoryRetention, list[str]] = {}
            for path in paths:
                names = applied.lineages.names(interface, path)
                rule = rule_of(rules, names) if names else None
                if rule is not None:
                    by_rule.setdefault(rule, []).append(path)
            for rule, chosen in by_rule.items():
                before = (now - rule.keeps["raw"]) // DAY * DAY
                yield _Group(tuple(mine), interface, tuple(chosen), tuple(numbers), rule, before)


def _spans(session: Session, group: _Group) -> Iterator[tuple[int, int]]:
    """Days, or hours of busy ones, before a group's time in which its contract has readings."""
    days: dict[int, dict[int, int]] = {}
    for hour, count in sorted(session.store.hours(SYSTEM, group.tables[0].contract).items()):
        if hour * HOUR < group.before:
            days.setdefault(hour * HOUR // DAY, {})[hour] = count
    for day, hours in days.items():
        if sum(hours.values()) <= _ROWS_AT_ONCE:
            yield day * DAY, (day + 1) * DAY
        else:
            yield from ((hour * HOUR, (hour + 1) * HOUR) for hour in hours)


def _kept(session: Session, principal: Principal, source: str) -> Kept:
    """Where the newest and the newest good value of each path of a source are."""
    rows = [session.store.latest(principal, Selection(source=source, good_only=good)) for good in (False, True)]
    pairs = pa.concat_tables([one.select(["twin", "time"]) for one in rows]).group_by(["twin", "time"]).aggregate([])
    return np.asarray(pairs["twin"].to_numpy(), np.int32), np.asarray(pairs["time"].to_numpy(), np.int64)


def _expire(session: Session, group: _Group, start: int, end: int, kept: Kept) -> int:
    store, expiries = session.store, group.expiries(start, end, kept)
    before = session.served.reads.expired.of_source(SYSTEM, group.source)
    fresh = [path for path, key in zip(group.paths, group.keys, strict=True) if start >= before.get(key, _NEVER)]
    if not any(store.expirable(SYSTEM, expiry) for expiry in expiries):
        # what stays because it is the newest is rolled up with its day all the same: once it is not, it goes
        within = Selection(group.twins, tuple(fresh), start=start, end=end, source=group.source)
        if not fresh or not len(store.history(SYSTEM, within)):
            return 0
    with store.transaction(SYSTEM, EXPIRE_HISTORY) as transaction:
        rolled = sum(_roll_up(session, transaction, group, path, start, end) for path in fresh)
        gone = sum(transaction.let_go(expiry) for expiry in expiries)
        body = {"by": SYSTEM.name, "source": group.source, "interface": group.interface, "paths": list(group.paths), "readings": gone}
        body |= {"from": to_iso(start), "to": to_iso(end), "rollups": rolled}
        transaction.put_record("audit", f"expire-{transaction.commit}", body)
        known = {key: max(end, before.get(key, end)) for key in group.keys}
        transaction.put_record(expired.KIND, group.source, {"before": {**before, **known}})
    session.metrics.expired_readings.inc(gone)
    _log.info("let go of raw history", source=group.source, start=to_iso(start), end=to_iso(end), readings=gone, rollups=rolled)
    return gone


def _roll_up(session: Session, transaction: Transaction, group: _Group, path: str, start: int, end: int) -> int:
    widths = [WIDTHS[name] for name in WIDTHS if name in group.rule.keeps]
    if not widths:
        return 0
    version, name = session.served.applied.lineages.names(group.interface, path)[-1]
    unit = session.served.applied.ontology.paths(version)[name].unit
    rows = session.store.history(SYSTEM, Selection(group.twins, (path,), start=start, end=end, source=group.source))
    made = pa.concat_tables([ROLLUP_SCHEMA.empty_table(), *(roll_up(rows, width, unit, path) for width in widths)])
    transaction.put_rollups(made)
    return len(made)


def _expire_rollups(session: Session) -> None:
    """Roll-ups that are older than their own rule keeps them."""
    applied, now = session.served.applied, session.clock.now()
    wanted: list[tuple[int, Sequence[int], str, int]] = []
    for group in _groups(session, applied.retention, now):
        for name, width in WIDTHS.items():
            if name in group.rule.keeps:
                limit = (now - group.rule.keeps[name]) // DAY * DAY
                for path in group.paths:
                    old = session.store.rollups(SYSTEM, group.twins, path, None, limit)
                    if ((old["width"].to_numpy() == width) & (old["time"].to_numpy() + width <= limit)).any():
                        wanted.append((width, group.twins, path, limit))
    if wanted:
        with session.store.transaction(SYSTEM, EXPIRE_HISTORY) as transaction:
            gone = sum(transaction.let_go_rollups(*one) for one in wanted)
            transaction.put_record("audit", f"expire-{transaction.commit}", {"by": SYSTEM.name, "rollups": gone})
