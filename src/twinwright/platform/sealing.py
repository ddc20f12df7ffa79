"""When days are sealed: in the background of a running platform, in steps with pauses between them, so that ingestion has its turn."""

from __future__ import annotations

import threading
import time

from twinwright.clock import SECOND
from twinwright.errors import StoreError
from twinwright.governance.principals import SYSTEM
from twinwright.observability.logs import get_logger
from twinwright.platform.retention import raw_ends
from twinwright.platform.session import Session
from twinwright.storage.layout import ReadingTable
from twinwright.storage.sealing import DAY, Unsealed, together

_log = get_logger("sealing")
QUIET = 600 * SECOND  # so long nothing must have come for a day: while old files are loaded, it would be sealed again and again
_SHARE = 4  # for one second of sealing so many of pause


def seal(session: Session, stop: threading.Event, *, quiet: int = QUIET) -> int:
    """Seal what is due; how many readings were put in order. Ends early when told to stop, and leaves a day for the next time."""
    moved, ends = 0, raw_ends(session)
    for table in session.store.reading_tables(SYSTEM):
        waiting = []
        for one in session.store.unsealed(SYSTEM, table):
            if one.due and _is_over(session, table, one.day + one.days) and _is_quiet(session, one, quiet):
                moved += _seal(session, table, one.day, one.days, stop)
            else:
                waiting.append(one)
            if stop.is_set():
                return moved
        moved += _seal_together(session, table, [one for one in waiting if one.due], max(ends.get(table, ()), default=None), stop)
    return moved


def split(session: Session, stop: threading.Event) -> int:
    """Seal days by themselves that were sealed with others, once raw values of some of them are due to go and of others not: what goes is
    then whole groups of the engine's rows, and gives back as much room as if they had never been together. How many readings were moved."""
    moved = 0
    for table, ends in raw_ends(session).items():
        for one in session.store.sealed(SYSTEM, table):
            if any(one.day < end < one.end for end in ends):
                for day in range(one.day, one.end):
                    moved += _seal(session, table, day, 1, stop)
                    if stop.is_set():
                        return moved
    return moved


def _seal_together(session: Session, table: ReadingTable, due: list[Unsealed], gone: int | None, stop: threading.Event) -> int:
    """What is over, has no day that is to be sealed by itself first, and stays for at least as long again as it is long."""
    moved = 0
    for first, days in together(session.store.sealed(SYSTEM, table), session.store.days_together):
        awaited = any(one.day < first + days and first < one.day + one.days for one in due)
        stays = gone is None or gone + days <= first
        if stays and not awaited and not stop.is_set() and _is_over(session, table, first + days):
            moved += _seal(session, table, first, days, stop)
    return moved


def _is_over(session: Session, table: ReadingTable, end: int) -> bool:
    """Whether the days before `end` have ended by more than their contract's lateness."""
    contract = session.pipeline.contracts.get(table.contract)
    return end * DAY + (contract.lateness if contract else 0) <= session.clock.now()


def _is_quiet(session: Session, one: Unsealed, quiet: int) -> bool:
    now = session.clock.now()
    return session.store.commit_times(SYSTEM, {one.newest}).get(one.newest, now) + quiet <= now


def _seal(session: Session, table: ReadingTable, day: int, days: int, stop: threading.Event) -> int:
    moved, began = 0, time.perf_counter()
    try:
        for rows in session.store.seal(SYSTEM, table, day, days=days):
            moved += rows
            if stop.wait(_SHARE * (time.perf_counter() - began)):
                return moved
            began = time.perf_counter()
    except StoreError as error:
        _log.warning("what was due was not sealed", contract=table.contract, day=day, days=days, error=str(error))
        return moved
    _log.info("sealed", contract=table.contract, revision=table.revision, day=day, days=days, readings=moved)
    session.metrics.sealed_readings.inc(moved)
    return moved
