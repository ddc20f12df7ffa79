"""Where what is refused was read, as people look for it: the line of a file, or which payload of a batch of a stream."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from twinwright.telemetry.payloads import Delivery, Position

_IN_VAIN = 8  # so often a text is looked through for nothing before it is left: letters come in its order, but for a few kinds of them


class Places:
    """Of the payloads of some deliveries, numbered through all of them."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self._deliveries = deliveries  # what nothing is refused of is never looked at
        self._begins: list[int] = []  # the first payload of each
        self._firsts: list[int] = []
        self._positions: list[Position | None] = []
        self._texts: dict[int, _Text] = {}
        end = 0
        for delivery in deliveries:
            self._begins.append(end)
            first, end = end, end + len(delivery.payloads)
            for position in delivery.positions or (None,):
                self._firsts.append(first)
                self._positions.append(position)
                first += position.payloads if position else 0

    def of(self, payload: int, raw: bytes) -> str:
        """Where `raw`, a part of a payload, is."""
        index = bisect_right(self._firsts, payload) - 1
        position, number = self._positions[index], payload - self._firsts[index]
        if position is None:
            return f"payload {number}"
        if not position.file:
            return f"{position.stream}@{position.start} payload {number}"
        if not position.line:
            return f"{position.file} from row {position.start} on"
        if payload not in self._texts:
            one = bisect_right(self._begins, payload) - 1
            self._texts[payload] = _Text(self._deliveries[one].payloads[payload - self._begins[one]].body, position.line)
        line = self._texts[payload].line_of(raw)
        return f"{position.file} from line {position.line} on" if line is None else f"{position.file} line {line}"


class _Text:
    """A text in which parts are looked for, one after the other."""

    def __init__(self, body: bytes, first: int) -> None:
        self._body, self._first, self._left = body, first, _IN_VAIN
        self._at, self._line = 0, first

    def line_of(self, raw: bytes) -> int | None:
        """The line in which a part begins; None where it is not there as it is."""
        header, _, record = raw.partition(b"\n")
        in_csv = bool(record) and self._body.startswith(header + b"\n")  # a refused record comes with the header
        part = b"\n" + record.strip(b"\r\n") if in_csv else raw.strip()
        place = self._find(part, whole=in_csv)
        if place is None:
            return None
        place += in_csv
        self._line, self._at = self._line + self._body.count(b"\n", self._at, place), place
        return self._line

    def _find(self, part: bytes, *, whole: bool) -> int | None:
        """From where the last one was on, else from the beginning; `whole`: a line ends behind it."""
        while self._left:
            place = self._body.find(part, self._at)
            while whole and place >= 0 and self._body[place + len(part) : place + len(part) + 1] not in (b"", b"\n", b"\r"):
                place = self._body.find(part, place + 1)
            if place >= 0:
                return place
            self._left -= 1
            if self._at == 0:
                break
            self._at, self._line = 0, self._first
        return None
