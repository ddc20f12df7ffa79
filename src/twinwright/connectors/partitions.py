"""A partitioned log as its readers see it: which contracts take from a partition, and how the chain of positions of each goes on.

Offsets have gaps (compaction, aborted transactions and their markers), so a batch begins in its chain where the last one
ended, whatever the offset of its first record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from twinwright.telemetry.packed import PackedPayloads
from twinwright.telemetry.payloads import Position

CAPTURE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one partition in their order, `keys` where somebody asks for them. One without a value (a tombstone) is an empty payload:
    counted, and refused as saying nothing; one without a key has an empty one."""

    offsets: NDArray[np.int64]
    bodies: PackedPayloads
    keys: Sequence[bytes] | None = None

    def since(self, offset: int) -> Records:
        """Those from an offset on."""
        first = int(np.searchsorted(self.offsets, offset))
        return self if not first else Records(self.offsets[first:], self.bodies[first:], None if self.keys is None else self.keys[first:])


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

    def take(self, stream: str, records: Records) -> tuple[PackedPayloads, Position] | None:
        """The payloads that it has not had, and the next link of its chain."""
        records = records.since(self.begin)
        if not len(records.offsets):
            return None
        position = Position(stream, self.held, int(records.offsets[-1]) + 1, len(records.offsets))
        self.held = self.begin = position.next
        return self._captured(records), position

    def _captured(self, records: Records) -> PackedPayloads:
        if self.route.key is None:
            return records.bodies.captured((self.captures,))
        keys, known = records.keys or (), dict[bytes, int]()
        which = np.fromiter((known.setdefault(key, len(known)) for key in keys), np.int32, len(keys))
        return records.bodies.captured([self._of_key(self.route.key, key) for key in known], which)

    def _of_key(self, pattern: re.Pattern[str], key: bytes) -> Mapping[str, str]:
        match = pattern.fullmatch(key.decode("utf-8", "replace"))
        return {**self.captures, **(match.groupdict() if match else {})}


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
