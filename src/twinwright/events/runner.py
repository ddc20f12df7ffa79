"""The thread of a webhook: a sink of events, whose dead letters are committed with its place in the log.

A commit may have many events. So a place is a commit and, within the next one, how many events of it are done with.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Final

from twinwright.connectors.sink_runner import REMEMBER_SECONDS, Log, SinkRunner
from twinwright.events.cloudevents import Event
from twinwright.events.pages import mark
from twinwright.events.webhooks import WebhookSink
from twinwright.governance.principals import SYSTEM
from twinwright.storage.protocol import Transaction

POSITIONS: Final = "webhooks/*"  # in the table of positions; no contract can have this name
WITHIN: Final = "webhooks-within/*"  # the same of the commit after that one
PIECE: Final = 100  # events of one `write`: after it a place can be remembered


def place_within(number: int, event: Event) -> int:
    """How many events of a commit are done with, and by 32 bits which the last of them is. 0: none."""
    return number << 32 | mark(event)


class WebhookRunner(SinkRunner[Event]):
    """Runs one webhook until `stop`, which does not wait for a receiver that does not answer."""

    kind = "webhook"
    positions = POSITIONS
    _sink: WebhookSink
    _within = _kept = 0  # of the commit after the one that is done: now, and as the store has it

    def leave_off(self) -> None:
        super().leave_off()
        self._sink.interrupt()

    def closed_letters(self, count: int) -> None:
        """So many of its dead letters are not open any more."""
        self._sink.letters = max(0, self._sink.letters - count)

    def _place(self) -> int:
        self._within = self._kept = self._store.position(SYSTEM, WITHIN, self.name)
        return super()._place()

    def _pass_on(self, log: Log[Event], through: int) -> None:
        events = self._left(log, through)
        while piece := list(islice(events, PIECE)):
            if self._sent and time.monotonic() - self._remembered >= REMEMBER_SECONDS:
                self._remember()  # as long as more is to be sent: the last is remembered by who follows the log
            self._sink.write([event for event, _ in piece])
            self._sent += len(piece)
            if self._stop.is_set():
                return  # some of it may not have been taken: it comes again
            self._sink.settle()
            last, number = piece[-1]
            self._done, self._within = last.commit - 1, place_within(number, last)
        self._within = 0
        self._passed(through)

    def _left(self, log: Log[Event], through: int) -> Iterator[tuple[Event, int]]:
        """The events that are left, each with its number within its commit. Where the commit is told otherwise than it was, because
        something else is applied, it is told from its beginning."""
        done = self._within >> 32
        if done:
            last = next(islice(log.between(SYSTEM, self._done, self._done + 1, self._lanes), done - 1, None), None)
            done = done if last is not None and place_within(done, last) == self._within else 0
        return islice(_numbered(log.between(SYSTEM, self._done, through, self._lanes)), done, None)

    def _is_further(self) -> bool:
        return super()._is_further() or self._within != self._kept

    def _move(self, start: int, next: int) -> None:
        super()._move(start, next)
        self._kept = self._within
        self._sink.remembered()

    def _beside(self, transaction: Transaction) -> None:
        if self._within != self._kept:
            transaction.move_positions(WITHIN, [(self.name, self._kept, self._within)])
        self._sink.remember(transaction)

    def _count(self, changes: int) -> None:
        """The sink counts what was taken."""


def _numbered(events: Iterator[Event]) -> Iterator[tuple[Event, int]]:
    commit = number = 0
    for event in events:
        number = number + 1 if event.commit == commit else 1
        commit = event.commit
        yield event, number
