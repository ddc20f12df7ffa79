"""When days are sealed: in the background of a running platform, in steps with pauses between them, so that ingestion has its turn."""

from __future__ import annotations

import threading
import time

from twinwright.clock import SECOND
from twinwright.errors import StoreError
from twinwright.governance.principals import SYSTEM
from twinwright.observability.logs import get_logger
from twinwright.platform.session import Session
from twinwright.storage.layout import ReadingTable
from twinwright.storage.sealing import DAY, Unsealed

_log = get_logger("sealing")
QUIET = 600 * SECOND  # so long nothing must have come for a day: while old files are loaded, it would be sealed again and again
_SHARE = 4  # for one second of sealing so many of pause


def seal(session: Session, stop: threading.Event, *, quiet: int = QUIET) -> int:
    """Seal what is due; how many readings were put in order. Ends early when told to stop, and leaves a day for the next time."""
    moved = 0
    for table in session.store.reading_tables(SYSTEM):
        for one in session.store.unsealed(SYSTEM, table):
            if one.due and _is_over(session, table, one, quiet):
                moved += _seal_day(session, table, one, stop)
            if stop.is_set():
                return moved
    return moved


def _is_over(session: Session, table: ReadingTable, one: Unsealed, quiet: int) -> bool:
    """Whether the day has ended by more than its contract's lateness, and nothing came for it lately."""
    contract, now = session.pipeline.contracts.get(table.contract), session.clock.now()
    if (one.day + 1) * DAY + (contract.lateness if contract else 0) > now:
        return False
    came = session.store.commit_times(SYSTEM, {one.newest}).get(one.newest, now)
    return came + quiet <= now


def _seal_day(session: Session, table: ReadingTable, one: Unsealed, stop: threading.Event) -> int:
    moved, began = 0, time.perf_counter()
    try:
        for rows in session.store.seal(SYSTEM, table, one.day):
            moved += rows
            if stop.wait(_SHARE * (time.perf_counter() - began)):
                return moved
            began = time.perf_counter()
    except StoreError as error:
        _log.warning("a day was not sealed", contract=table.contract, day=one.day, error=str(error))
        return moved
    _log.info("sealed", contract=table.contract, revision=table.revision, day=one.day, readings=moved)
    session.metrics.sealed_readings.inc(moved)
    return moved
