"""A relay between a source and the platform, as bad links are: it repeats, delays and breaks messages, and counts what it did.

A message that is broken goes out again whole, as on a link that retransmits, so that nothing is lost and every count is known
exactly beforehand: one accepted for each sample, one duplicate for each repetition, one refused for each broken copy.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Document = dict[str, Any]
HOLD_BACK = 2  # samples by which a delayed message is overtaken
REQUIRED = "cpu_percent"  # the one field that the contract can't do without


def _truncated(document: Document) -> bytes:
    body = json.dumps(document).encode()
    return body[: 2 * len(body) // 3]


def _changed(**fields: Any) -> Callable[[Document], bytes]:
    return lambda document: json.dumps({**document, **fields}).encode()


def _without_required(document: Document) -> bytes:
    return json.dumps({name: value for name, value in document.items() if name != REQUIRED}).encode()


def _an_hour_ahead(document: Document) -> bytes:
    later = datetime.fromisoformat(document["ts"]) + timedelta(hours=1)
    return json.dumps({**document, "ts": later.isoformat()}).encode()


# By the reason for which the platform has to refuse each.
BREAKS: Mapping[str, Callable[[Document], bytes]] = {
    "malformed": _truncated,
    "bad_type": _changed(**{REQUIRED: "a lot"}),
    "missing_field": _without_required,
    "unknown_twin": _changed(twin="host-2"),
    "future_time": _an_hour_ahead,
    "bad_time": _changed(ts="yesterday"),
    "out_of_range": _changed(**{REQUIRED: 250.0}),
}


@dataclass(slots=True)
class Tally:
    """What the platform has to count, if it is right."""

    accepted: int = 0
    duplicate: int = 0
    delayed: int = 0  # of the accepted ones
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def received(self) -> int:
        return self.accepted + self.duplicate + self.refused.total()


class Relay:
    """Passes documents on to `send`, one message each, with mischief by turns: every run meets every kind of it."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.tally = Tally()
        self._send = send
        self._taken = 0
        self._held: list[tuple[int, Document]] = []
        self._kinds = list(BREAKS)

    def take(self, document: Document) -> None:
        """One sample from the source."""
        turn, self._taken = self._taken, self._taken + 1
        if turn % 2 == 0:
            self._break(document, self._kinds[turn // 2 % len(self._kinds)])
        if turn % 5 == 3:
            self._held.append((turn + HOLD_BACK, document))
            self.tally.delayed += 1
        else:
            self._pass_on(document)
        if turn % 3 == 1:
            self._repeat(document, turned=turn % 2 == 1)
        self._release(turn)

    def finish(self) -> None:
        """Let go of what is still held back, the latest first."""
        for _, document in reversed(self._held):
            self._pass_on(document)
        self._held.clear()

    def _release(self, turn: int) -> None:
        due = [document for when, document in self._held if when <= turn]
        self._held = [(when, document) for when, document in self._held if when > turn]
        for document in due:
            self._pass_on(document)

    def _pass_on(self, document: Document) -> None:
        self._send(json.dumps(document).encode())
        self.tally.accepted += 1

    def _repeat(self, document: Document, *, turned: bool) -> None:
        """Once more; `turned` with its fields in another order: the same facts in other bytes. May arrive before the first copy."""
        items = list(document.items())
        self._send(json.dumps(dict(reversed(items) if turned else items)).encode())
        self.tally.duplicate += 1

    def _break(self, document: Document, reason: str) -> None:
        self._send(BREAKS[reason](document))
        self.tally.refused[reason] += 1
