"""What goes into the pipeline and what comes out of it: payloads with positions, receipts with exact counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import msgspec

Reason = Literal[
    "malformed",
    "missing_field",
    "bad_type",
    "bad_time",
    "future_time",
    "out_of_range",
    "unknown_twin",
    "unauthorised",
    "too_large",
]
REASONS: tuple[Reason, ...] = get_args(Reason)
MAX_PAYLOAD_BYTES = 16 * 1024 * 1024


class Payload(msgspec.Struct, frozen=True, gc=False):  # nothing of it leads back to it, and a million of them wait at times
    """Bytes that the contract can decode on their own, and what the transport said beside them.

    A JSON payload is a document, an array, or one document a line; a CSV payload starts with its header line; a Parquet
    payload is a whole file. `captures` are the names of the source template (a topic, a file name) with their values.
    """

    body: bytes
    captures: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Position:
    """Where in a source that can be read again a batch begins (`start`) and where the next one does (`next`).

    `stream` names what is read (a file by its digest, a partition). The store commits `next` with the data, and refuses a
    batch whose `start` is not what it holds (FenceError). `payloads`: how many of a delivery's payloads were read there.

    `file` is what people call the stream, where it is one, and `line` the line of it that the first of the payload's text would be if the
    lines before it were as in the file (a piece of CSV begins with a header from elsewhere); 0 where it has no lines.
    """

    stream: str
    start: int
    next: int
    payloads: int = 1
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What a sender calls a delivery, so that sending it again changes nothing, and the digest of what was in it."""

    text: str
    digest: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """Payloads for one contract, committed together in one transaction, with the position of each stream they were read from.

    The payloads are in the order of their positions; many small ones may be a `PackedPayloads`.
    """

    contract: str
    payloads: Sequence[Payload]
    positions: tuple[Position, ...] = ()
    key: IdempotencyKey | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Exact counts of readings: received = accepted + duplicate + sum(dead_lettered); `late` and `conflict` mark accepted ones.

    `token` is the number of the commit that made it durable: a read given it (`after`) sees this batch.
    """

    received: int = 0
    accepted: int = 0
    duplicate: int = 0
    late: int = 0
    conflict: int = 0
    dead_lettered: Mapping[str, int] = field(default_factory=dict)
    token: int = 0
    seconds: float = 0.0

    def __add__(self, other: Receipt) -> Receipt:
        dead = dict(self.dead_lettered)
        for reason, count in other.dead_lettered.items():
            dead[reason] = dead.get(reason, 0) + count
        return Receipt(
            self.received + other.received,
            self.accepted + other.accepted,
            self.duplicate + other.duplicate,
            self.late + other.late,
            self.conflict + other.conflict,
            dead,
            max(self.token, other.token),
            self.seconds + other.seconds,
        )

    def as_json(self) -> dict[str, Any]:
        """The fixed JSON fields of a receipt."""
        return {
            "received": self.received,
            "accepted": self.accepted,
            "duplicate": self.duplicate,
            "late": self.late,
            "conflict": self.conflict,
            "dead_lettered": {reason: self.dead_lettered[reason] for reason in sorted(self.dead_lettered)},
            "token": self.token,
            "seconds": round(self.seconds, 6),
        }
