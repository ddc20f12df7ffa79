"""A partitioned log as its readers see it: which contracts take from a partition, and how the chain of positions of each goes on.

Offsets have gaps (compaction, aborted transactions and their markers), so a batch begins in its chain where the last one
ended, whatever the offset of its first record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from twinwright.telemetry.payloads import Payload, Position

CAPTURE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Record(Protocol):
    """What is read of a record. One without a value (a tombstone) is an empty payload: counted, and refused as saying nothing."""

    def offset(self) -> int: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Route:
    """What a contract takes. `subscription` is a topic's name, or a pattern that begins with ^; `latest`: from the end on."""

    contract: str
    subscription: str
    topic: re.Pattern[str]
    key: re.Pattern[str] | None
    latest: bool

    @classmethod
    def of(cls, contract: str, topic: str, key: str | None, *, latest: bool) -> Route:
        """From templates; a capture of the topic ends at a dot."""
        pattern = "^" + CAPTURE.sub("[^.]+", topic.replace(".", r"\.")) + "$"
        subscription = pattern if CAPTURE.search(topic) else topic
        return cls(contract, subscription, _compiled(topic, "[^.]+"), None if key is None else _compiled(key, ".+"), latest)


@dataclass(slots=True)
class Reader:
    """A contract in one partition: the chain in the store goes on at `held`, records from `begin` on are new to it, and those
    below `durable` are stored."""

    route: Route
    captures: Mapping[str, str]
    held: int
    begin: int
    durable: int

    def take(self, stream: str, records: Sequence[Record]) -> tuple[list[Payload], Position] | None:
        """The payloads that it has not had, and the next link of its chain."""
        if records[0].offset() < self.begin:
            records = [record for record in records if record.offset() >= self.begin]
        if not records:
            return None
        position = Position(stream, self.held, records[-1].offset() + 1, len(records))
        self.held = self.begin = position.next
        return list(self._payloads(records)), position

    def _payloads(self, records: Sequence[Record]) -> Iterator[Payload]:
        if self.route.key is None:
            return (Payload(record.value() or b"", self.captures) for record in records)
        known: dict[bytes | None, Mapping[str, str]] = {}
        return (Payload(record.value() or b"", self._of_key(self.route.key, record.key(), known)) for record in records)

    def _of_key(self, pattern: re.Pattern[str], key: bytes | None, known: dict[bytes | None, Mapping[str, str]]) -> Mapping[str, str]:
        found = known.get(key)
        if found is None:
            match = pattern.fullmatch((key or b"").decode("utf-8", "replace"))
            found = known[key] = {**self.captures, **(match.groupdict() if match else {})}
        return found


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition and its readers. `stream` names it in the store."""

    topic: str
    number: int
    stream: str
    readers: tuple[Reader, ...]

    @property
    def begin(self) -> int:
        """The first offset that any of them wants."""
        return min(reader.begin for reader in self.readers)

    @property
    def durable(self) -> int:
        """What is below it is stored for all of them."""
        return min(reader.durable for reader in self.readers)


def _compiled(template: str, piece: str) -> re.Pattern[str]:
    """A template as a pattern with a named group for each capture."""
    parts = CAPTURE.split(template)  # text, name, text, name, ... text
    return re.compile("".join(f"(?P<{part}>{piece})" if index % 2 else re.escape(part) for index, part in enumerate(parts)), re.DOTALL)
