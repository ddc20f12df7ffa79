"""The Store protocol: one transaction per micro-batch, one commit log, bitemporal reads. Every call takes a principal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.governance.principals import Principal
from twinwright.storage.copies import Snapshot
from twinwright.storage.expiry import Expiry
from twinwright.storage.graph_store import GraphStore
from twinwright.storage.layout import (
    Commit,
    Counts,
    DeadLetter,
    JournalEntry,
    JournalSize,
    KeptReceipt,
    LetterGroup,
    Lifetime,
    Move,
    ReadingColumn,
    ReadingTable,
    Relationship,
    Retraction,
    Selection,
)
from twinwright.storage.records import RecordStore
from twinwright.storage.sealing import STEP_ROWS, Sealed, Unsealed
from twinwright.storage.totals import What

CommitListener = Callable[[Commit], None]


class Transaction(Protocol):
    """All or nothing: what is written through it becomes visible and durable at one commit, or not at all."""

    @property
    def commit(self) -> int:
        """The number this transaction will have in the commit log."""
        ...

    @property
    def at(self) -> int:
        """The time of the commit in microseconds; never before that of the commit before."""
        ...

    def append_readings(self, table: ReadingTable, rows: pa.Table, *, sightings: bool = False) -> None:
        """Rows in the order of `table.names`; `sightings` are further sightings of readings already in the set."""
        ...

    def append_values(self, rows: pa.Table) -> None:
        """Single values outside contracts (API writes, derived, simulated): columns of VALUE_SCHEMA."""
        ...

    def journal(self, contract: str, source: str, revision: int, frames: bytes, counts: Counts) -> None: ...

    def adjust_journal(self, commit: int, change: Counts) -> None:
        """What the payloads of a journal entry stand for has changed by this, through a retry or replay."""
        ...

    def move_positions(self, contract: str, moves: Sequence[Move]) -> None:
        """One after the other. Raises FenceError where the position of a stream is not where its move starts."""
        ...

    def require_revision(self, contract: str, revision: int) -> None:
        """Raises FenceError unless the applied revision of the contract is this one."""
        ...

    def kept_receipt(self, contract: str, key: str) -> KeptReceipt | None:
        """What was kept under a key, as this transaction sees it, however old it is."""
        ...

    def keep_receipt(self, receipt: KeptReceipt) -> None:
        """In the place of what was kept under its key."""
        ...

    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None: ...

    def close_dead_letters(self, ids: Sequence[int], status: str) -> None: ...

    def close_dead_letters_of(self, contract: str, first: int, last: int, status: str) -> None:
        """All open ones that arrived at origins first..last."""
        ...

    def count(self, counts: Counts, *, source: str = "", detail: str = "") -> None:
        """Added to this commit's line of the log. Raises StoreError when the sum is not conserved."""
        ...

    def retract(self, contract: str, first: int, last: int, below: int) -> None: ...

    def put_record(self, kind: str, id: str, body: Mapping[str, Any]) -> None: ...
    def put_records(self, kind: str, bodies: Mapping[str, Mapping[str, Any]]) -> None: ...

    def create_reading_table(self, contract: str, source: str, revision: int, columns: Sequence[ReadingColumn]) -> ReadingTable: ...

    def declare_twins(self, lifetimes: Sequence[Lifetime]) -> None:
        """Lifetimes, or next versions of them: an end, another interface."""
        ...

    def declare_relationships(self, relationships: Sequence[Relationship]) -> None:
        """Relationships, or next versions of them: other properties, removed."""
        ...

    def append_relationships(self, rows: pa.Table) -> None:
        """Very many of them, none removed: RELATIONSHIP_SCHEMA, whose `commit` is left alone for this one's."""
        ...

    def let_go(self, expiry: Expiry) -> int:
        """Of how many readings some values went: of none that is kept. Further sightings go with them."""
        ...

    def put_rollups(self, rows: pa.Table) -> None:
        """Roll-ups (ROLLUP_SCHEMA) in the place of those with the same width, twin, path, source and time."""
        ...

    def let_go_rollups(self, width: int, twins: Sequence[int], path: str, before: int) -> int:
        """Those of a width that end by a time (microseconds); how many."""
        ...

    def put_checkpoints(self, consumer: str, rows: pa.Table) -> None:
        """States of a consumer (CHECKPOINT_SCHEMA) in the place of those with the same twin and time."""
        ...

    def drop_checkpoints(self, consumer: str, twins: Sequence[int], times: Sequence[int]) -> None:
        """Forget those of each pair of twin and time; pairs that it does not have are passed over."""
        ...

    def save_cells(self, contract: str, through: int, rows: pa.Table, *, replace: bool) -> None:
        """Materialise state: cells of CELL_SCHEMA, valid through commit `through`."""
        ...


class Store(GraphStore, RecordStore, Protocol):
    """What every engine does. Rows come back as Arrow; times are microseconds."""

    many_writers: bool
    """Whether other processes may write to it too: what is remembered of it has to hear of what they commit."""

    days_together: int
    """How many days at most are worth sealing together, a power of two: 1 where rows take as much room in any order."""

    def transaction(self, principal: Principal, kind: str) -> AbstractContextManager[Transaction]:
        """One at a time; leaving it commits durably (fsync) and then tells the listeners, an exception rolls back."""
        ...

    def made_here(self, commit: int) -> bool:
        """Whether a commit of late was made by this process."""
        ...

    def on_commit(self, listener: CommitListener) -> None:
        """Tell it of every commit; of those of other processes a little later, and in a thread of the store's."""
        ...

    def close(self) -> None: ...

    def snapshot(self, principal: Principal) -> AbstractContextManager[Snapshot]:
        """All that the store holds at its newest commit, for as long as it is open; others go on writing."""
        ...

    def load(self, principal: Principal, source: Snapshot) -> None:
        """Take in a copy, whole or not at all. Raises RefusedError unless the store is empty, StoreError for a copy that is not sound."""
        ...

    def expirable(self, principal: Principal, expiry: Expiry) -> int:
        """Of how many readings `Transaction.let_go` would let some values go."""
        ...

    def rollups(self, principal: Principal, twins: Sequence[int], path: str, start: int | None, end: int | None) -> pa.Table:
        """All that overlap start..end, ordered by (width, twin, source, time): ROLLUP_SCHEMA."""
        ...

    def unsealed(self, principal: Principal, table: ReadingTable) -> list[Unsealed]:
        """The days of event time that have readings which are not sealed, oldest first; with them those they were sealed together with."""
        ...

    def sealed(self, principal: Principal, table: ReadingTable) -> list[Sealed]:
        """What is sealed, oldest first, whatever came since."""
        ...

    def seal(self, principal: Principal, table: ReadingTable, day: int, most: int = STEP_ROWS, days: int = 1) -> Iterator[int]:
        """Rewrite what is stored now of some days, `day` and those after it, in the order of (twin, time), in steps of about `most`
        readings; yields after each how many it moved. Each step is one transaction, no commit, and changes nothing that is read. From then
        on these days are sealed together, and others that were sealed together with one of them count as never sealed. Raises
        StoreError."""
        ...

    def size(self, principal: Principal) -> int:
        """Bytes that the store takes on the disk, journal included."""
        ...

    def unused(self, principal: Principal) -> int:
        """Bytes of them that nothing uses and that go back to the disk when the store is opened next; 0 where none do then."""
        ...

    def torn_logs(self, principal: Principal) -> list[str]:
        """Names of the engine's logs that a power failure tore, and that were cut and kept beside the store, oldest first."""
        ...

    def last_commit(self, principal: Principal) -> int: ...

    def commit_at(self, principal: Principal, at: int) -> int:
        """The newest commit whose time is not after `at` (0: none)."""
        ...

    def commits(self, principal: Principal, *, first: int = 1, last: int | None = None, kind: str | None = None) -> list[Commit]: ...

    def commit_times(self, principal: Principal, numbers: Collection[int]) -> dict[int, int]:
        """When each of some commits was made, in microseconds; numbers that are not in the log are left out."""
        ...

    def counts(self, principal: Principal) -> dict[str, Counts]:
        """Counts by source since creation."""
        ...

    def reading_tables(self, principal: Principal) -> list[ReadingTable]: ...

    def retractions(self, principal: Principal) -> list[Retraction]: ...

    def history(self, principal: Principal, selection: Selection) -> pa.Table:
        """The current record of every key in the selection, ordered by (twin, path, time, source): RECORD_SCHEMA."""
        ...

    def window_totals(self, principal: Principal, selection: Selection, what: What) -> pa.Table:
        """What the good numbers of one path come to, by lifetime and unit: TOTAL_SCHEMA of `totals.py`, of what `history` tells."""
        ...

    def latest(self, principal: Principal, selection: Selection, *, without: Retraction | None = None) -> pa.Table:
        """Of each (twin, path) the record of the live key greatest in (time, source): RECORD_SCHEMA. `without`: as if that were known."""
        ...

    def readings(
        self,
        principal: Principal,
        table: ReadingTable,
        *,
        hours: Sequence[int] | None = None,
        at: tuple[NDArray[np.int32], NDArray[np.int64]] | None = None,
        after: int | None = None,
        through: int | None = None,
        without: Retraction | None = None,
        known_at: int | None = None,
    ) -> pa.Table:
        """Visible rows of one reading table, of some hours of event time, of some twins each at a time, of later commits than `after`
        and no later than `through`, or as they would be if `without` had been retracted as well; of those
        that counted as known at a commit."""
        ...

    def touched(self, principal: Principal, after: int, through: int) -> pa.Table:
        """What the commits after one, through another, can have changed, each once with the last commit that did: TOUCHED_SCHEMA.
        Readings by their reading table, those that a retraction hid included; single values by lane and path."""
        ...

    def hidden_by(self, principal: Principal, retraction: Retraction) -> tuple[int, int]:
        """Of the (twin, time) at which a replay hid readings: at how many its commit says something, and at how many nothing."""
        ...

    def hours(self, principal: Principal, contract: str) -> dict[int, int]:
        """The hours of event time (hours since the epoch) in which the contract has readings, and how many, visible or not."""
        ...

    def newest_by_commit(self, principal: Principal, contract: str, first: int) -> list[tuple[int, int]]:
        """Of each commit from `first` on that took in readings of the contract: (its time, their newest event time)."""
        ...

    def position(self, principal: Principal, contract: str, stream: str) -> int: ...

    def journal_entries(self, principal: Principal, contract: str, first: int, last: int) -> Iterator[JournalEntry]:
        """What the journal has of a range of commits, in order; what expires meanwhile is left out."""
        ...

    def journal_sizes(self, principal: Principal, contract: str, first: int, last: int) -> list[JournalSize]:
        """The same without the payloads."""
        ...

    def unjournalled(self, principal: Principal, contract: str, first: int, last: int) -> int:
        """How many commits of the range took in payloads of the contract that the journal does not hold (any more)."""
        ...

    def expire_journal(self, principal: Principal, contract: str, before: int) -> int:
        """Delete what was journalled before a time (microseconds) and give the disk space back; how many entries that were."""
        ...

    def expire_receipts(self, principal: Principal, before: int, most: int) -> int:
        """Forget receipts that were kept before a time, and of the others all but the newest `most`; how many that were."""
        ...

    def dead_letters(
        self, principal: Principal, *, contract: str | None = None, reason: str | None = None, status: str = "open", limit: int = 1000
    ) -> list[DeadLetter]: ...

    def dead_letter(self, principal: Principal, id: int) -> DeadLetter: ...

    def dead_letter_counts(self, principal: Principal, *, contract: str | None = None) -> dict[str, int]:
        """Open dead letters by reason."""
        ...

    def dead_letter_groups(self, principal: Principal, *, contract: str | None = None, status: str = "open") -> list[LetterGroup]:
        """Dead letters of a status by contract, source and reason; the most frequent first."""
        ...

    def expire_dead_letters(self, principal: Principal, before: int) -> int:
        """Let go of the payloads of open ones refused before a time (microseconds): their status is `expired` from then on, and they
        still count as dead-lettered. How many that were; nothing is committed for none."""
        ...

    def checkpoints(self, principal: Principal, consumer: str) -> pa.Table:
        """The states that a consumer has kept, ordered by (twin, time): CHECKPOINT_SCHEMA."""
        ...

    def cells(self, principal: Principal, contract: str) -> tuple[int, pa.Table]:
        """The materialised cells of a contract and the commit they are valid through (0 and none if never)."""
        ...


RECORD_SCHEMA = pa.schema(
    [
        ("twin", pa.int32()),
        ("path", pa.string()),
        ("time", pa.int64()),
        ("source", pa.string()),
        ("correction", pa.int64()),
        ("revision", pa.int32()),
        ("commit", pa.int64()),
        ("kind", pa.int8()),  # 0 bad, 1 good, 2 removed: the order in which value bytes decide a true conflict
        ("type", pa.string()),  # which column holds the value: DOUBLE num, BIGINT and BOOLEAN int, VARCHAR txt
        ("num", pa.float64()),
        ("int", pa.int64()),
        ("txt", pa.string()),
        ("unit", pa.string()),
    ]
)
BAD, GOOD, REMOVED = 0, 1, 2

_VALUE_FIELDS = ("twin", "path", "time", "source", "correction", "revision", "kind", "type", "num", "int", "txt", "unit")
VALUE_SCHEMA = pa.schema([*(RECORD_SCHEMA.field(name) for name in _VALUE_FIELDS), pa.field("lane", pa.string())])

TOUCHED_SCHEMA = pa.schema(
    [
        ("table", pa.int32()),  # the number of a reading table; 0: a single value
        ("lane", pa.string()),
        ("path", pa.string()),  # of a single value; null: any of the reading table's
        ("twin", pa.int32()),
        ("time", pa.int64()),
        ("commit", pa.int64()),
    ]
)

CELL_SCHEMA = pa.schema(
    [
        ("twin", pa.int32()),
        ("path", pa.string()),
        ("time", pa.int64()),
        ("correction", pa.int64()),
        ("revision", pa.int32()),
        ("commit", pa.int64()),
        ("kind", pa.int8()),
        ("num", pa.float64()),
        ("int", pa.int64()),
        ("txt", pa.string()),
    ]
)

RELATIONSHIP_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("id", pa.string()),
        ("name", pa.string()),
        ("target", pa.string()),
        ("properties", pa.string()),  # a JSON object with sorted keys
        ("changed_at", pa.int64()),
        ("commit", pa.int64()),
    ]
)

CHECKPOINT_SCHEMA = pa.schema(
    [
        ("twin", pa.int32()),
        ("time", pa.int64()),  # the event time at which the state holds
        ("body", pa.binary()),  # what the consumer makes of it
    ]
)
