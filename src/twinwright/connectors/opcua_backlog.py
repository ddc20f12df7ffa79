"""What has come from a server and is not committed yet: bounded, handed out by contract, kept over a reopening."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from twinwright.telemetry.payloads import Delivery, Payload

_PAYLOAD_BYTES: Final = 1024 * 1024
_PAYLOAD_COUNT: Final = 1_000


@dataclass(slots=True)
class _Batch:
    """Documents that came together, one a line; `taken`: handed out since the last opening."""

    payload: Payload
    count: int
    taken: bool = False


class Backlog:
    """Documents of each contract in the order of their coming. One thread adds, another takes and settles.

    `full` from `most_bytes` on: whoever adds has to wait; `on_room` is called when there may be room again. A delivery holds at
    most `batch` documents.
    """

    def __init__(self, contracts: Iterable[str], most_bytes: int, batch: int) -> None:
        self._most_bytes, self._batch = most_bytes, batch
        self._changed = threading.Condition()
        self._queues = {contract: deque[_Batch]() for contract in contracts}
        self._turn = deque(self._queues)
        self._bytes = 0
        self._failure: Exception | None = None
        self.on_room: Callable[[], None] = lambda: None

    @property
    def full(self) -> bool:
        """Whether there is no room."""
        return self._bytes >= self._most_bytes

    def add(self, contract: str, documents: Sequence[bytes]) -> None:
        """Put documents at the end of a contract's queue."""
        with self._changed:
            for part in _parts(documents, min(self._batch, _PAYLOAD_COUNT)):
                payload = Payload(b"\n".join(part))
                self._queues[contract].append(_Batch(payload, len(part)))
                self._bytes += len(payload.body)
            self._changed.notify_all()

    def fail(self, failure: Exception) -> None:
        """Nothing more comes: `take` raises this when all is handed out. The first counts, until `rewind`."""
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()

    def rewind(self) -> None:
        """Begin anew: nothing has failed, and what is not settled is handed out again."""
        with self._changed:
            self._failure = None
            for queue in self._queues.values():
                for batch in queue:
                    batch.taken = False

    def take(self, timeout: float) -> Delivery | None:
        """The next delivery; None after `timeout` seconds without one."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                delivery = self._next()
                if delivery is not None:
                    return delivery
                if self._failure is not None:
                    raise self._failure
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)

    def settle(self, delivery: Delivery) -> None:
        """Forget what is stored."""
        done = {id(payload) for payload in delivery.payloads}
        with self._changed:
            queue = self._queues[delivery.contract]
            self._bytes -= sum(len(batch.payload.body) for batch in queue if id(batch.payload) in done)
            self._queues[delivery.contract] = deque(batch for batch in queue if id(batch.payload) not in done)
        self.on_room()

    def _next(self) -> Delivery | None:
        """The contracts take turns, so that a busy one does not starve the others."""
        for _ in range(len(self._turn)):
            contract = self._turn[0]
            self._turn.rotate(-1)
            taken: list[_Batch] = []
            for batch in self._queues[contract]:
                if batch.taken:
                    continue
                if taken and sum(one.count for one in taken) + batch.count > self._batch:
                    break
                taken.append(batch)
            if taken:
                for batch in taken:
                    batch.taken = True
                return Delivery(contract, tuple(batch.payload for batch in taken))
        return None


def _parts(documents: Sequence[bytes], count: int) -> Iterator[list[bytes]]:
    """Parts of at most `count` documents that end where a mebibyte is passed."""
    part: list[bytes] = []
    size = 0
    for document in documents:
        part.append(document)
        size += len(document)
        if len(part) >= count or size >= _PAYLOAD_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
