"""A fork as a store: what another store knew at one commit, and a store of the fork's own for all that comes after.

Nothing is copied. Both are read and their records united by the laws that hold within one store: of a key the greatest version, of a
lifetime or edge the newest version, of a document the newest. The fork's log goes on where the base was left, so commit numbers mean one
thing in it; only its own store is ever written to. What an engine keeps without saying at which commit (positions, dead letters, the
journal, receipts, checkpoints) can't be told of the past: of these a fork has its own alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.errors import RefusedError
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.storage import united
from twinwright.storage.copies import READING_TABLES, Frames
from twinwright.storage.duckdb_totals import totals_of
from twinwright.storage.expiry import EXPIRE_HISTORY
from twinwright.storage.forked_relationships import ForkedRelationships
from twinwright.storage.layout import (
    Commit,
    Counts,
    DeadLetter,
    JournalEntry,
    JournalSize,
    LetterGroup,
    Lifetime,
    ReadingTable,
    Retraction,
    Selection,
)
from twinwright.storage.protocol import CELL_SCHEMA, CommitListener, Store, Transaction
from twinwright.storage.records import Record
from twinwright.storage.rows import COUNTS, the_record
from twinwright.storage.totals import What

FORKED: Final = "fork"  # the kind of the line with which the log of a fork's own store begins: the commit that it forks
_NOT_HERE: Final = frozenset({"apply", "replay", "expire", EXPIRE_HISTORY})  # kinds of commits


def _not_here(what: str) -> RefusedError:
    return RefusedError(f"{what} is not done in a fork", where="fork", remedy="Do it to the workspace itself: leave the fork out")


def _refused(what: str) -> Callable[..., Any]:
    """A method of the Store protocol that a fork has not."""

    def refuse(_store: ForkedStore, *_given: Any, **_named: Any) -> Any:
        raise _not_here(what)

    return refuse


class ForkedStore(ForkedRelationships):
    """`base` as known at commit `at`, and `own`, which `Beginning` was loaded into. The base stays its owner's to close.

    `apart` are the kinds of records of which nothing is read from the base. Reads raise RefusedError once the base has let go of raw
    history after `at`: what it knew then can't be told any more.
    """

    many_writers = False  # the base may have them, but what it knew at a commit stays as it is
    days_together = 1

    def __init__(self, base: Store, at: int, own: Store, apart: Collection[str] = ()) -> None:
        self._base, self._at, self._own, self._apart = base, at, own, frozenset(apart)
        self._tables = {table.number for table in own.reading_tables(SYSTEM)}  # the base's: no other is made in a fork
        self._intact = at  # the commit of the base through which nothing was let go of

    # --- the two halves ----------------------------------------------------------------------------------------------

    def _known(self, known_at: int | None) -> int:
        """Of the base: never what came later than the fork."""
        return self._at if known_at is None else min(known_at, self._at)

    def _require_intact(self) -> None:
        """Asked after the base was read, since it may let go at any time."""
        last = self._base.last_commit(SYSTEM)
        if last > self._intact:
            gone = self._base.commits(SYSTEM, first=self._intact + 1, last=last, kind=EXPIRE_HISTORY)
            if gone:
                what = f"raw history that it rests on was let go of at commit {gone[0].number}, after commit {self._at} that it forks"
                raise RefusedError(what, where="fork", remedy="Drop it, and fork again what is left: twinwright fork drop NAME")
            self._intact = last

    # --- writing -----------------------------------------------------------------------------------------------------

    def transaction(self, principal: Principal, kind: str) -> AbstractContextManager[Transaction]:
        """Of the fork's own store. Raises RefusedError for what would reach beyond it."""
        if kind in _NOT_HERE:
            raise _not_here(kind)
        return self._own.transaction(principal, kind)

    def put_record(self, principal: Principal, kind: str, id: str, body: dict[str, Any]) -> int:
        return self._own.put_record(principal, kind, id, body)

    def put_records(self, principal: Principal, kind: str, bodies: Mapping[str, dict[str, Any]]) -> int:
        return self._own.put_records(principal, kind, bodies)

    def made_here(self, commit: int) -> bool:
        return commit > self._at

    def on_commit(self, listener: CommitListener) -> None:
        self._own.on_commit(listener)

    def close(self) -> None:
        """The fork's own half."""
        self._own.close()

    # --- the log -----------------------------------------------------------------------------------------------------

    def last_commit(self, principal: Principal) -> int:
        return self._own.last_commit(principal)

    def commit_at(self, principal: Principal, at: int) -> int:
        own = self._own.commit_at(principal, at)
        return own if own > self._at else min(self._base.commit_at(principal, at), self._at)

    def commits(self, principal: Principal, *, first: int = 1, last: int | None = None, kind: str | None = None) -> list[Commit]:
        theirs = self._base.commits(principal, first=first, last=self._known(last), kind=kind) if first <= self._at else []
        return theirs + self._own.commits(principal, first=max(first, self._at + 1), last=last, kind=kind)

    def commit_times(self, principal: Principal, numbers: Collection[int]) -> dict[int, int]:
        theirs = self._base.commit_times(principal, [one for one in numbers if one <= self._at])
        return theirs | self._own.commit_times(principal, [one for one in numbers if one > self._at])

    # --- history -----------------------------------------------------------------------------------------------------

    def reading_tables(self, principal: Principal) -> list[ReadingTable]:
        return self._own.reading_tables(principal)

    def retractions(self, principal: Principal) -> list[Retraction]:
        return [one for one in self._base.retractions(principal) if one.commit <= self._at]

    def _of_base(self, selection: Selection) -> Selection:
        return replace(selection, known_at=self._known(selection.known_at))

    def history(self, principal: Principal, selection: Selection) -> pa.Table:
        every = replace(selection, good_only=False)
        own = self._own.history(principal, every)
        theirs = self._base.history(principal, self._of_base(every if len(own) else selection))
        self._require_intact()
        return united.history(theirs, own, good_only=selection.good_only) if len(own) else theirs

    def window_totals(self, principal: Principal, selection: Selection, what: What) -> pa.Table:
        return totals_of(self.history(principal, selection), what)

    def latest(self, principal: Principal, selection: Selection, *, without: Retraction | None = None) -> pa.Table:
        if selection.good_only:
            return self._latest_good(principal, selection)
        own = self._own.latest(principal, selection, without=without)
        theirs = self._base.latest(principal, self._of_base(selection), without=without)
        self._require_intact()
        return united.latest(theirs, own) if len(own) else theirs

    def _latest_good(self, principal: Principal, selection: Selection) -> pa.Table:
        """Which good value was the last since a removal is told from the whole history of the paths that the fork says something of."""
        every = replace(selection, good_only=False)
        own = self._own.history(principal, every)
        theirs = self._base.latest(principal, self._of_base(selection))
        if len(own):
            lifetimes, paths = (tuple(own[name].unique().to_pylist()) for name in ("twin", "path"))
            before = self._base.history(principal, self._of_base(replace(every, lifetimes=lifetimes, paths=paths)))
            theirs = united.latest_good(theirs, before, own)
        self._require_intact()
        return theirs

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
        options: dict[str, Any] = {"hours": hours, "at": at, "after": after, "through": through, "without": without}
        own = self._own.readings(principal, table, **options, known_at=known_at)
        if (after is not None and after >= self._at) or table.number not in self._tables:
            return own
        theirs = self._base.readings(principal, table, **options, known_at=self._known(known_at))
        self._require_intact()
        return pa.concat_tables([theirs, own.cast(theirs.schema)])

    def touched(self, principal: Principal, after: int, through: int) -> pa.Table:
        own = self._own.touched(principal, max(after, self._at), through)
        if after >= self._at:
            return own
        theirs = self._base.touched(principal, after, min(through, self._at))
        return united.touched(theirs, own)

    def hours(self, principal: Principal, contract: str) -> dict[int, int]:
        found = dict(self._base.hours(principal, contract))  # some of them later: an hour too many costs a look
        for hour, count in self._own.hours(principal, contract).items():
            found[hour] = found.get(hour, 0) + count
        return found

    def cells(self, principal: Principal, contract: str) -> tuple[int, pa.Table]:
        """Of the base, from its history: what it has materialised may be of later commits. What the fork says is folded after them."""
        source = next((table.source for table in self.reading_tables(principal) if table.contract == contract), None)
        if source is None:
            return 0, CELL_SCHEMA.empty_table()
        theirs = self._base.latest(principal, Selection(source=source, known_at=self._at))
        self._require_intact()
        return self._at, theirs.select(CELL_SCHEMA.names)

    def rollups(self, principal: Principal, twins: Sequence[int], path: str, start: int | None, end: int | None) -> pa.Table:
        found = self._base.rollups(principal, twins, path, start, end)
        self._require_intact()
        return found

    # --- the graph ---------------------------------------------------------------------------------------------------

    def lifetimes(
        self, principal: Principal, *, twin: str | None = None, as_of: int | None = None, known_at: int | None = None
    ) -> list[Lifetime]:
        theirs = self._base.lifetimes(principal, twin=twin, as_of=as_of, known_at=self._known(known_at))
        return united.lifetimes(theirs, self._own.lifetimes(principal, twin=twin, as_of=as_of, known_at=known_at))

    def changed_twins(self, principal: Principal, commit: int) -> dict[str, int]:
        return (self._base if commit <= self._at else self._own).changed_twins(principal, commit)

    def lifetime_versions(self, principal: Principal, after: int, through: int, *, twins: Collection[str] | None = None) -> list[Lifetime]:
        theirs = self._base.lifetime_versions(principal, after, min(through, self._at), twins=twins) if after < self._at else []
        own = self._own.lifetime_versions(principal, max(after, self._at), through, twins=twins)
        numbers = {life.number for life in own}
        if not numbers:
            return theirs
        before = [life for life in self._base.lifetimes(principal, known_at=min(after, self._at)) if life.number in numbers]
        return united.life_versions([*theirs, *before], own, after)

    # --- records -----------------------------------------------------------------------------------------------------

    def records(self, principal: Principal, kind: str) -> list[Record]:
        found = {record.id: record for record in self._base_records(principal, kind)}
        found |= {record.id: record for record in self._own.records(principal, kind)}
        return sorted(found.values(), key=lambda record: record.commit)

    def _base_records(self, principal: Principal, kind: str) -> list[Record]:
        if kind in self._apart:
            return []
        found = self._base.records(principal, kind)
        if all(record.commit <= self._at for record in found):
            return found
        return list({record.id: record for record in self._base.record_versions(principal, [kind], 0, self._at)}.values())

    def records_of_digest(self, principal: Principal, kind: str, digests: Collection[str]) -> list[Record]:
        theirs = [] if kind in self._apart else self._base.records_of_digest(principal, kind, digests)
        if any(record.commit > self._at for record in theirs):
            theirs = [record for record in self._base_records(principal, kind) if record.body.get("digest") in digests]
        found = {record.id: record for record in theirs}
        found |= {record.id: record for record in self._own.records_of_digest(principal, kind, digests)}
        return sorted(found.values(), key=lambda record: record.commit)

    def get_record(self, principal: Principal, kind: str, id: str) -> Record:
        exact = list(self.versions(principal, kind, id))
        if exact:
            return exact[-1]
        near = sorted((record for record in self.records(principal, kind) if record.id.startswith(id)), key=lambda record: record.id)
        rows = [(one.kind, one.id, json.dumps(one.body), one.commit, one.at, one.principal) for one in near[:5]]
        return the_record(rows, kind, id)

    def versions(self, principal: Principal, kind: str, id: str) -> Iterator[Record]:
        theirs = [] if kind in self._apart else [one for one in self._base.versions(principal, kind, id) if one.commit <= self._at]
        return iter([*theirs, *self._own.versions(principal, kind, id)])

    def record_versions(self, principal: Principal, kinds: Collection[str], after: int, through: int) -> list[Record]:
        shared = [kind for kind in kinds if kind not in self._apart]
        theirs = self._base.record_versions(principal, shared, after, min(through, self._at)) if after < self._at else []
        return theirs + self._own.record_versions(principal, kinds, max(after, self._at), through)

    # --- what is the fork's alone ------------------------------------------------------------------------------------

    def size(self, principal: Principal) -> int:
        return self._own.size(principal)

    def unused(self, principal: Principal) -> int:
        return self._own.unused(principal)

    def torn_logs(self, principal: Principal) -> list[str]:
        return self._own.torn_logs(principal)

    def position(self, principal: Principal, contract: str, stream: str) -> int:
        return self._own.position(principal, contract, stream)

    def journal_entries(self, principal: Principal, contract: str, first: int, last: int) -> Iterator[JournalEntry]:
        return self._own.journal_entries(principal, contract, first, last)

    def journal_sizes(self, principal: Principal, contract: str, first: int, last: int) -> list[JournalSize]:
        return self._own.journal_sizes(principal, contract, first, last)

    def dead_letters(
        self, principal: Principal, *, contract: str | None = None, reason: str | None = None, status: str = "open", limit: int = 1000
    ) -> list[DeadLetter]:
        return self._own.dead_letters(principal, contract=contract, reason=reason, status=status, limit=limit)

    def dead_letter(self, principal: Principal, id: int) -> DeadLetter:
        return self._own.dead_letter(principal, id)

    def dead_letter_counts(self, principal: Principal, *, contract: str | None = None) -> dict[str, int]:
        return self._own.dead_letter_counts(principal, contract=contract)

    def dead_letter_groups(self, principal: Principal, *, contract: str | None = None, status: str = "open") -> list[LetterGroup]:
        return self._own.dead_letter_groups(principal, contract=contract, status=status)

    def counts(self, principal: Principal) -> dict[str, Counts]:
        """Since the fork was made."""
        return self._own.counts(principal)

    def checkpoints(self, principal: Principal, consumer: str) -> pa.Table:
        return self._own.checkpoints(principal, consumer)

    # --- what is not done in a fork ----------------------------------------------------------------------------------

    snapshot = _refused("a copy")
    load = _refused("taking in a copy")
    expirable = _refused("retention")
    unsealed = _refused("sealing")
    sealed = _refused("sealing")
    seal = _refused("sealing")
    hidden_by = _refused("a replay")
    unjournalled = _refused("a replay")
    newest_by_commit = _refused("a KPI")
    expire_journal = _refused("retention")
    expire_receipts = _refused("retention")
    expire_dead_letters = _refused("retention")


class Beginning:
    """What the own store of a fork is begun with: the line of the commit that it forks, the base's reading tables, empty, and where the
    consumers of its log begin, by contract and stream."""

    def __init__(self, commit: Commit, tables: Sequence[ReadingTable], positions: Mapping[tuple[str, str], int] | None = None) -> None:
        self.commit = commit.number
        line = [commit.number, commit.at, FORKED, "", SYSTEM.name, *([0] * len(COUNTS.split(", "))), ""]
        names = ["number", "made_at", "kind", "source", "principal", *COUNTS.split(", "), "detail"]
        columns = {
            "number": [one.number for one in tables],
            "contract": [one.contract for one in tables],
            "source": [one.source for one in tables],
            "revision": [one.revision for one in tables],
            "columns": [json.dumps([asdict(column) for column in one.columns]) for one in tables],
        }
        types = [pa.int32(), pa.string(), pa.string(), pa.int32(), pa.string()]
        known = {name: pa.array(values, type) for (name, values), type in zip(columns.items(), types, strict=True)}
        log = pa.table({name: [value] for name, value in zip(names, line, strict=True)})
        places = [(*of, next) for of, next in (positions or {}).items()]
        schema = pa.schema([("contract", pa.string()), ("stream", pa.string()), ("next", pa.int64())])
        begin = pa.Table.from_pylist([dict(zip(schema.names, one, strict=True)) for one in places], schema)
        self._rows = {"commits": log, READING_TABLES: pa.table(known), "positions": begin}
        self.tables: Mapping[str, pa.Schema] = {name: rows.schema for name, rows in self._rows.items()}

    def rows(self, table: str) -> Iterator[pa.RecordBatch]:
        """See `Snapshot.rows`."""
        yield from self._rows[table].to_batches()

    def count(self, table: str) -> int:
        """See `Snapshot.count`."""
        return len(self._rows[table])

    def frames(self) -> Iterator[Frames]:
        """See `Snapshot.frames`: it has no journal."""
        return iter(())
