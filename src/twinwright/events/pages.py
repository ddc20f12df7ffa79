"""Events a page at a time: a commit may have any number of them, so a page may end within one.

A place is a commit and, of the next one, how many events were told. Events of a commit are told in the same order whenever they are
read, so whoever goes on at a place misses nothing; where the commit is told otherwise than it was, because something else is applied
since, it is told from its beginning.
"""

from __future__ import annotations

import re
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from twinwright.errors import UsageError
from twinwright.events.cloudevents import Event
from twinwright.events.log import EventLog
from twinwright.governance.principals import Principal

MOST: Final = 2_000  # events of a page, those that a filter leaves out among them
_FORM: Final = re.compile(r"(\d{1,18})(?:\.([1-9]\d{0,17})\.([0-9a-f]{8}))?")
_KEPT: Final = 8  # readings that are left open, for who asks on


class Place(NamedTuple):
    """All up to a commit, `done` events of the next one, and by 32 bits which the last of these is."""

    commit: int
    done: int = 0
    mark: int = 0

    @property
    def text(self) -> str:
        return str(self.commit) if not self.done else f"{self.commit}.{self.done}.{self.mark:08x}"


def place_of(text: str, where: str) -> Place:
    """Raises UsageError for what is no place."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(f"{text[:60]!r} is no place among events", where=where, remedy="Send the last one as it came, or none")
    return Place(int(found[1]), int(found[2] or 0), int(found[3] or "0", 16))


def mark(event: Event) -> int:
    """By which it is known again."""
    return zlib.crc32(event.id.encode())


class EventPages:
    """Pages of one log. Where a page ended, its reading is left open for a while: who asks on there is told at once."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._open: OrderedDict[tuple[Principal, Place], tuple[Iterator[Event], int]] = OrderedDict()
        self._lock = threading.Lock()

    def after(
        self, principal: Principal, place: Place, admits: Callable[[Mapping[str, Any]], bool], most: int = MOST
    ) -> tuple[list[Event], Place]:
        """The events that follow a place, and where they end; none only where there are none up to there."""
        with self._lock:
            events, through = self._open.pop((principal, place), (None, 0))
        if events is None:
            through = self._log.through(principal, place.commit)
            events = self._following(principal, place, through)
        found, at = [], place
        for seen, event in enumerate(events, 1):
            at = Place(event.commit - 1, at.done + 1 if event.commit - 1 == at.commit else 1, mark(event))
            if admits(event.body):
                found.append(event)
            if seen >= most:
                self._leave_open(principal, at, events, through)
                return found, at
        return found, Place(through)

    def _following(self, principal: Principal, place: Place, through: int) -> Iterator[Event]:
        events = self._log.between(principal, place.commit, through)
        for number in range(1, place.done + 1):
            last = next(events, None)
            if last is None or last.commit != place.commit + 1 or (number == place.done and mark(last) != place.mark):
                return self._log.between(principal, place.commit, through)
        return events

    def _leave_open(self, principal: Principal, place: Place, events: Iterator[Event], through: int) -> None:
        with self._lock:
            self._open[principal, place] = events, through
            while len(self._open) > _KEPT:
                self._open.popitem(last=False)
