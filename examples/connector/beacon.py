"""A connector: the lines that a program appends to a file, each one payload.

It shows all that a source has to do. Replace the file by what you read from; `twinwright.connectors.conformance` tells what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from twinwright.documents import Spec
from twinwright.telemetry.connector import Bound
from twinwright.telemetry.payloads import Delivery, Payload, Position, Receipt

MOST_LINES = 10_000  # of a delivery: it is held in memory until it is durable


class BeaconSettings(Spec):
    """`[connectors.NAME]` with `type = "beacon"`. `file`: what the program appends to; it may come later."""

    file: str


class BeaconBinding(Spec):
    """The `source` of a contract that names the connector: nothing more to say here."""


class BeaconSource:
    """One contract reads all lines. The position is the byte at which the next line begins."""

    Settings = BeaconSettings
    Binding = BeaconBinding

    def __init__(self, name: str, settings: BeaconSettings, bound: tuple[Bound, ...]) -> None:
        self._stream = f"{name}:{settings.file}"
        self._path = Path(settings.file)
        self._contract = bound[0].contract
        self._file: BinaryIO | None = None
        self._at = 0

    def open(self, positions: Callable[[str, str], int]) -> None:
        """The store says where to go on: what it holds is never read again, and what it doesn't hold is never passed over."""
        self._at = positions(self._contract, self._stream)

    def poll(self, timeout: float) -> Delivery | None:
        """What there is, or None after `timeout` seconds. Raise whatever goes wrong: the runner logs it once, waits, and opens again."""
        deadline = time.monotonic() + timeout
        while not (lines := self._whole_lines()):
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.02)
        start, self._at = self._at, self._at + sum(map(len, lines))
        payloads = tuple(Payload(line.rstrip(b"\r\n")) for line in lines if line.strip())
        if not payloads:
            return self.poll(max(0.0, deadline - time.monotonic()))
        return Delivery(self._contract, payloads, (Position(self._stream, start, self._at, len(payloads)),))

    def committed(self, delivery: Delivery, receipt: Receipt) -> None:
        """It is durable: a broker would be told here. The position is in the store already."""

    def close(self) -> None:
        """May be called twice, and before `open`."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _whole_lines(self) -> list[bytes]:
        if self._file is None:
            if not self._path.exists():
                return []
            self._file = self._path.open("rb")
        self._file.seek(self._at)
        lines = [self._file.readline() for _ in range(MOST_LINES)]
        return [line for line in lines if line.endswith(b"\n")]  # the last one may still be being written
