"""The logical tables as plain types: what a store keeps, whatever engine is behind it.

Readings are laid out *wide*: one table per (contract, revision), one row per reading, one column per path, in the unit and
type that the contract gave. A duplicate is kept whole in the table's twin `sightings`, because a retraction hides a record
only when every sighting of it lies in its range. `origin` is the commit at which the payload first arrived: it equals
`commit` for ingestion, and points back for what a replay wrote, so that a second replay of a window also retracts what the
first one made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

ColumnType = Literal["DOUBLE", "BIGINT", "BOOLEAN", "VARCHAR"]
Lane = Literal["observed", "desired", "derived", "simulated"]
LANES: tuple[Lane, ...] = ("observed", "desired", "derived", "simulated")
MASK_BITS = 60  # paths per `bad` mask column: fits a signed 64-bit integer with room to spare

LATE = 1
CONFLICT = 2


Move = tuple[str, int, int]
"""Of a position: the stream, where it has to be, and where it is then."""


@dataclass(frozen=True, slots=True)
class ReadingColumn:
    """One path of a reading table: `type` as stored, `unit` as the contract gave it (None: dimensionless)."""

    path: str
    type: ColumnType
    unit: str | None


@dataclass(frozen=True, slots=True)
class ReadingTable:
    """What one revision of one contract writes. Column j is stored as `v{j}`; bit j%60 of `bad{j//60}` marks it bad."""

    number: int
    contract: str
    source: str
    revision: int
    columns: tuple[ReadingColumn, ...]

    @property
    def masks(self) -> int:
        """How many `bad` columns there are."""
        return (len(self.columns) + MASK_BITS - 1) // MASK_BITS

    @property
    def names(self) -> list[str]:
        """The physical columns in order."""
        fixed = ["commit", "origin", "twin", "time", "correction", "marks"]
        return fixed + [f"bad{m}" for m in range(self.masks)] + [f"v{j}" for j in range(len(self.columns))]


@dataclass(frozen=True, slots=True)
class Lifetime:
    """One incarnation of a twin. `number` is its key in every table; times are microseconds, None is open.

    What is declared again under the same number is its next version, which holds from the event time `changed_at` on (None: from
    the beginning); `commit` made it known.
    """

    number: int
    twin: str
    interface: str
    since: int | None = None
    until: int | None = None
    changed_at: int | None = field(default=None, compare=False)
    commit: int = field(default=0, compare=False)

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.until is None


@dataclass(frozen=True, slots=True)
class Relationship:
    """A directed edge of the graph. What is declared again under the same source and id is its next version, which holds from the event
    time `changed_at` on (None: always did); one that is `removed` says that the edge is there no more."""

    source: str
    id: str
    name: str
    target: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    removed: bool = False
    changed_at: int | None = field(default=None, compare=False)
    commit: int = field(default=0, compare=False)

    @property
    def key(self) -> EdgeKey:
        return self.source, self.id


EdgeKey = tuple[str, str]
"""The source and the id of a relationship."""


@dataclass(frozen=True, slots=True)
class RelationshipPart:
    """Which of the edges, in the order of their keys, a read wants: those that begin at `source`, of a `name` (None: any), from
    `behind` one on, and at `most` so many; or those of some `keys`."""

    source: str | None = None
    name: str | None = None
    behind: EdgeKey | None = None
    most: int | None = None
    keys: frozenset[EdgeKey] | None = None


ALL_RELATIONSHIPS: Final = RelationshipPart()


@dataclass(frozen=True, slots=True)
class Counts:
    """Readings counted by a transaction; signed, because a retry or a replay moves readings from one class to another."""

    received: int = 0
    accepted: int = 0
    duplicate: int = 0
    dead_lettered: int = 0
    late: int = 0
    conflict: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) - getattr(other, name) for name in self.__slots__))

    @property
    def conserved(self) -> bool:
        """Law 3: received = accepted + duplicate + dead-lettered."""
        return self.received == self.accepted + self.duplicate + self.dead_lettered


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """The payloads of one delivery as received, compressed; `counts` are what they stand for now."""

    commit: int
    contract: str
    source: str
    revision: int
    at: int
    frames: bytes
    counts: Counts


@dataclass(frozen=True, slots=True)
class JournalSize:
    """A journal entry without its payloads: how many `bytes` they take, compressed, and what they stand for now."""

    commit: int
    bytes: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused reading or payload, whole. `id` is given by the store; `origin` is the commit it arrived at."""

    contract: str
    source: str
    revision: int
    reason: str
    detail: str
    payload: bytes
    captures: Mapping[str, str] = field(default_factory=dict)
    position: str = ""
    id: int = 0
    origin: int = 0
    at: int = 0
    status: str = "open"


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """What a delivery that its sender named by a key was answered, as JSON; `digest` is that of what was delivered."""

    contract: str
    key: str
    digest: str
    receipt: str
    at: int


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """Dead letters that are alike: how many, and when the first and the last of them were refused (microseconds)."""

    contract: str
    source: str
    reason: str
    count: int
    oldest: int
    newest: int


@dataclass(frozen=True, slots=True)
class Commit:
    """One line of the commit log."""

    number: int
    at: int
    kind: str
    source: str
    principal: str
    counts: Counts
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Retraction:
    """From `commit` on hides what `contract` had said until then at origins first..last under revisions below `below`."""

    commit: int
    contract: str
    first: int
    last: int
    below: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which observations a read wants. `lifetimes` and `paths` None: all. `end` is not included; `known_at` None: now."""

    lifetimes: tuple[int, ...] | None = None
    paths: tuple[str, ...] | None = None
    lane: Lane = "observed"
    start: int | None = None
    end: int | None = None
    known_at: int | None = None
    good_only: bool = False
    source: str | None = None
