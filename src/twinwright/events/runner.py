"""The thread of a webhook: a sink of events, whose dead letters are committed with its place in the log."""

from __future__ import annotations

from typing import Final

from twinwright.connectors.sink_runner import SinkRunner
from twinwright.events.cloudevents import Event
from twinwright.events.webhooks import WebhookSink
from twinwright.storage.protocol import Transaction

POSITIONS: Final = "webhooks/*"  # in the table of positions; no contract can have this name


class WebhookRunner(SinkRunner[Event]):
    """Runs one webhook until `stop`, which does not wait for a receiver that does not answer."""

    kind = "webhook"
    positions = POSITIONS
    _sink: WebhookSink

    def leave_off(self) -> None:
        super().leave_off()
        self._sink.interrupt()

    def closed_letters(self, count: int) -> None:
        """So many of its dead letters were delivered after all."""
        self._sink.letters = max(0, self._sink.letters - count)

    def _move(self, start: int, next: int) -> None:
        super()._move(start, next)
        self._sink.remembered()

    def _beside(self, transaction: Transaction, through: int) -> None:
        self._sink.remember(transaction, through)

    def _count(self, changes: int) -> None:
        """The sink counts what was taken."""
