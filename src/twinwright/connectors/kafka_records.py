"""Records on their way out of the client, in columns: by librdkafka's own batches where they can be had, else from the client's objects.

A Python object for each record, and a call for each thing that is asked of it, cost several times what all the rest of a record's way does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import numpy as np
from confluent_kafka import Consumer
from numpy.typing import NDArray

from twinwright.compiled import inlined
from twinwright.connectors.librdkafka import Message, Queue, queue_of
from twinwright.connectors.partitions import Records
from twinwright.telemetry.packed import PackedPayloads
from twinwright.telemetry.words import call, copy, peek

Place = tuple[str, int]
"""A topic and the number of a partition."""

_SERVE_SECONDS: Final = 0.05  # how long a rebalance may wait for us while no record comes


class Fetcher(Protocol):
    """Collects what the consumer of a member fetched, up to a batch. `count` and `size` (bytes) are of what it has."""

    count: int
    size: int

    def lead(self, topic: str, partition: int) -> None:
        """A partition is about to be assigned."""
        ...

    def wait(self, timeout: float) -> None:
        """Serve the consumer's callbacks, up to `timeout` seconds, until there is a record. Raises what they do."""
        ...

    def more(self, count: int, timeout: float) -> int:
        """Take at most so many that come within `timeout` seconds; how many there were."""
        ...

    def complaint(self) -> str | None:
        """What a broker, or the client, says instead of a record."""
        ...

    def take(self) -> list[tuple[Place, Records]]:
        """All that was collected, by partition, and begin anew."""
        ...

    def close(self) -> None:
        """Let go of all that was collected. Before the consumer is closed."""
        ...


def fetcher_of(consumer: Consumer, client: str, batch: int, *, keys: bool) -> Fetcher:
    """For batches of so many records at most, with their keys or without."""
    queue = queue_of(consumer, client)
    return ObjectFetcher(consumer, keys=keys) if queue is None else QueueFetcher(consumer, queue, batch, keys=keys)


class ObjectFetcher:
    """From the objects that the client makes of records: everywhere."""

    def __init__(self, consumer: Consumer, *, keys: bool) -> None:
        self._consumer, self._keys = consumer, keys
        self._messages: list[Any] = []
        self.count = self.size = 0

    def lead(self, topic: str, partition: int) -> None:
        """They come as they do."""

    def wait(self, timeout: float) -> None:
        message = self._consumer.poll(timeout)
        if message is not None:
            self._add([message])

    def more(self, count: int, timeout: float) -> int:
        found = self._consumer.consume(count, timeout)
        self._add(found)
        return len(found)

    def _add(self, messages: Sequence[Any]) -> None:
        self._messages += messages
        self.count += len(messages)
        self.size += sum(map(len, messages))

    def complaint(self) -> str | None:
        return next((error.str() for message in self._messages if (error := message.error()) is not None), None)

    def take(self) -> list[tuple[Place, Records]]:
        groups: dict[Place, list[Any]] = {}
        for message in self._messages:
            groups.setdefault((message.topic(), message.partition()), []).append(message)
        self.close()
        return [(place, self._records(messages)) for place, messages in groups.items()]

    def _records(self, messages: Sequence[Any]) -> Records:
        offsets = np.fromiter((message.offset() for message in messages), np.int64, len(messages))
        bodies = PackedPayloads.of([message.value() or b"" for message in messages])
        return Records(offsets, bodies, [message.key() or b"" for message in messages] if self._keys else None)

    def close(self) -> None:
        self._messages = []
        self.count = self.size = 0


class QueueFetcher:
    """From librdkafka's queues: records go from its memory to where decoders read them in one pass, and none becomes an object.

    All partitions come to one queue, so that what is fetched ahead is bounded as it is for one. The consumer is served beside it, and its
    own queue then has events and no records.
    """

    def __init__(self, consumer: Consumer, queue: Queue, batch: int, *, keys: bool) -> None:
        self._consumer, self._queue, self._keys = consumer, queue, keys
        self._messages = np.zeros(batch, np.uint64)
        self._said: str | None = None
        self.count = self.size = 0
        load_compiled()

    def lead(self, topic: str, partition: int) -> None:
        self._queue.lead(topic, partition)

    def wait(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            event = self._consumer.poll(0)
            if event is not None:
                error = event.error()
                self._said = "a record came past its queue" if error is None else error.str()
            left = max(0.0, deadline - time.monotonic())
            if self._said or self.more(1, min(left, _SERVE_SECONDS)) or not left:
                return

    def more(self, count: int, timeout: float) -> int:
        room = self._messages[self.count : self.count + count]
        found = self._queue.take(room, timeout)
        self.size += int(_bytes_of(room[:found]))
        self.count += found
        return found

    def complaint(self) -> str | None:
        messages = self._messages[: self.count]
        first = _first_error(messages)
        return self._said if first < 0 else self._queue.says(int(messages[first]))

    def take(self) -> list[tuple[Place, Records]]:
        groups = by_partition(self._messages[: self.count], keys=self._keys)
        found = [((self._queue.topic(topic), partition), records) for topic, partition, records in groups]
        self._release()
        return found

    def _release(self) -> None:
        _give_back(self._messages[: self.count], np.uint64(self._queue.destroy))
        self.count, self.size, self._said = 0, 0, None

    def close(self) -> None:
        self._release()
        self._queue.close()


def load_compiled() -> None:
    """Have the compiled functions at hand: a member of a group that waits for them would be late for its next poll."""
    none = np.empty(0, np.uint64)
    _bytes_of(none)
    _first_error(none)
    _give_back(none, np.uint64(0))
    assert not list(by_partition(none, keys=True))


def by_partition(messages: NDArray[np.uint64], *, keys: bool) -> Iterator[tuple[int, int, Records]]:
    """Topic, partition and records, from the addresses of messages in the order in which they came. What they hold is copied."""
    count = len(messages)
    topics, partitions, which = np.empty(count, np.uint64), np.empty(count, np.int32), np.empty(count, np.int32)
    records, sizes, key_sizes = (np.zeros(count + 1, np.int64) for _ in range(3))
    found = _group(messages, topics, partitions, which, records, sizes, key_sizes)
    begins, offsets = np.cumsum(records[: found + 1]), np.empty(count, np.int64)
    bodies = _gathered(messages, which, begins, np.cumsum(sizes[: found + 1]), _PAYLOAD, offsets)
    names = [one.body for one in _gathered(messages, which, begins, np.cumsum(key_sizes[: found + 1]), _KEY, offsets)] if keys else None
    for one, (begin, end) in enumerate(zip(begins.tolist(), begins[1:].tolist(), strict=False)):
        of_one = None if names is None else names[begin:end]
        yield int(topics[one]), int(partitions[one]), Records(offsets[begin:end], bodies[begin:end], of_one)


def _gathered(
    messages: NDArray[np.uint64],
    which: NDArray[np.int32],
    records: NDArray[np.int64],
    sizes: NDArray[np.int64],
    field: np.uint64,
    offsets: NDArray[np.int64],
) -> PackedPayloads:
    """The payloads or the keys, those of each partition together; `records` and `sizes` say where they begin."""
    bounds, buffer = np.zeros(len(messages) + 1, np.int64), np.empty(int(sizes[-1]), np.uint8)
    _gather(messages, which, records.copy(), sizes.copy(), field, offsets, bounds, buffer)
    return PackedPayloads(buffer.data.toreadonly(), bounds)


# --- compiled: messages are addresses ----------------------------------------------------------------------------------

_ERROR, _TOPIC, _PARTITION, _PAYLOAD, _KEY, _OFFSET = (
    np.uint64(getattr(Message, name).offset) for name in ("error", "topic", "partition", "payload", "key", "offset")
)
_WORD: Final = np.uint64(8)  # the size of what a field points to stands behind it
_LOW: Final = np.uint64(0xFFFFFFFF)


@inlined
def _first_error(messages: Any) -> Any:
    for at in range(len(messages)):
        if peek(messages[at] + _ERROR) & _LOW:
            return at
    return -1


@inlined
def _bytes_of(messages: Any) -> Any:
    size = np.int64(0)
    for at in range(len(messages)):
        size += np.int64(peek(messages[at] + _PAYLOAD + _WORD))
    return size


@inlined
def _group(messages: Any, topics: Any, partitions: Any, which: Any, records: Any, sizes: Any, key_sizes: Any) -> Any:
    """Number the partitions as they come; behind the number of each, how many records are its, and the bytes of these and of their keys,
    one more for each. Records of one partition come together, so mostly it is the one before."""
    found, one = 0, 0
    for at in range(len(messages)):
        topic, partition = peek(messages[at] + _TOPIC), np.int32(peek(messages[at] + _PARTITION) & _LOW)
        if found == 0 or topics[one] != topic or partitions[one] != partition:
            one = 0
            while one < found and (topics[one] != topic or partitions[one] != partition):
                one += 1
            if one == found:
                topics[one], partitions[one] = topic, partition
                found += 1
        which[at] = one
        records[one + 1] += 1
        sizes[one + 1] += np.int64(peek(messages[at] + _PAYLOAD + _WORD)) + 1
        key_sizes[one + 1] += np.int64(peek(messages[at] + _KEY + _WORD)) + 1
    return found


@inlined
def _gather(messages: Any, which: Any, records: Any, sizes: Any, field: Any, offsets: Any, bounds: Any, buffer: Any) -> None:
    for at in range(len(messages)):
        one = which[at]
        row, begin = records[one], sizes[one]
        size = np.int64(peek(messages[at] + field + _WORD))
        copy(peek(messages[at] + field), size, buffer, begin)
        buffer[begin + size] = 10
        offsets[row] = np.int64(peek(messages[at] + _OFFSET))
        bounds[row + 1] = begin + size + 1
        records[one] = row + 1
        sizes[one] = begin + size + 1


@inlined
def _give_back(messages: Any, destroy: Any) -> None:
    for at in range(len(messages)):
        call(destroy, messages[at])
