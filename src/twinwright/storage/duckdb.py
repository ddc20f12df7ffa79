"""The default engine: one DuckDB file, one process, one writer at a time, readers on their own snapshots."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.clock import Clock, SystemClock
from twinwright.documents import Spec
from twinwright.errors import NotFoundError, StoreError
from twinwright.governance.principals import Principal
from twinwright.observability.logs import get_logger
from twinwright.storage import duckdb_sql
from twinwright.storage.duckdb_errors import translated
from twinwright.storage.duckdb_transaction import DuckDBTransaction
from twinwright.storage.journal_files import JournalFiles, Place
from twinwright.storage.layout import (
    Commit,
    Counts,
    DeadLetter,
    JournalEntry,
    LetterGroup,
    Lifetime,
    ReadingColumn,
    ReadingTable,
    Relationship,
    Retraction,
    Selection,
)
from twinwright.storage.protocol import CELL_SCHEMA, RECORD_SCHEMA, TOUCHED_SCHEMA, CommitListener
from twinwright.storage.records import Record

_LOG_BYTES = "64MB"  # of write-ahead log between two checkpoints: each writes the last row groups again; reading it back takes a second
_MERGES = "2"  # of row groups that are not full, at a checkpoint: they get done little by little, where all at once would stop ingestion
_log = get_logger("storage")
_COUNTS = "received, accepted, duplicate, dead_lettered, late, conflict"


@dataclass(slots=True)
class Catalogue:
    """What the store knows of itself; small, and copied for each transaction."""

    tables: list[ReadingTable] = field(default_factory=list)
    retractions: list[Retraction] = field(default_factory=list)
    next_dead_letter: int = 1

    def copy(self) -> Catalogue:
        return Catalogue(list(self.tables), list(self.retractions), self.next_dead_letter)

    def revision(self, contract: str) -> int | None:
        """The applied revision of a contract: its newest."""
        return max((table.revision for table in self.tables if table.contract == contract), default=None)


class DuckDBStore:
    """Opens or creates `path`. Raises StoreError when it is another process's, of a newer format, or not a store."""

    class Settings(Spec):
        """`[store]` with `engine = "duckdb"`: there is nothing to set."""

    @classmethod
    def open(cls, settings: Settings, folder: Path, clock: Clock) -> DuckDBStore:  # noqa: ARG003 - there is nothing set
        """The store of a workspace, in its private folder."""
        return cls(folder / "store.duckdb", clock)

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or SystemClock()
        self._writer = threading.RLock()
        self._swap = threading.Lock()
        self._local = threading.local()
        self._listeners: list[CommitListener] = []
        self._con = self._connect()
        with translated(path):
            self._prepare()
            self._catalogue = self._load_catalogue()
            newest = self._con.execute("SELECT number, made_at FROM commits ORDER BY number DESC LIMIT 1").fetchone()
            kept = self._con.execute('SELECT segment, "offset", length FROM journal ORDER BY commit DESC LIMIT 1').fetchone()
        self._files = JournalFiles(path.with_suffix(".journal"), Place(*kept) if kept else None)
        self._last, self._last_at = (int(newest[0]), int(newest[1])) if newest else (0, 0)

    # --- lifecycle ---------------------------------------------------------------------------------------------------

    def _connect(self) -> duckdb.DuckDBPyConnection:
        config: dict[str, Any] = {
            "enable_external_access": "false",
            "allow_community_extensions": "false",
            "preserve_insertion_order": "true",
            "checkpoint_threshold": _LOG_BYTES,
            "max_vacuum_tasks": _MERGES,
        }
        with translated(self._path):
            connection = duckdb.connect(str(self._path), config=config)
            connection.execute("SET lock_configuration = true")
        return connection

    def _prepare(self) -> None:
        tables = self._con.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'meta'").fetchone()
        if not tables or tables[0] == 0:
            self._con.execute("BEGIN")
            self._con.execute(duckdb_sql.DDL)
            self._con.execute("INSERT INTO meta VALUES ('format', ?)", [str(duckdb_sql.FORMAT_VERSION)])
            self._con.execute(duckdb_sql.ADDED)
            self._con.execute("COMMIT")
            return
        row = self._con.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        if not row or int(row[0]) != duckdb_sql.FORMAT_VERSION:
            found = row[0] if row else "none"
            raise StoreError(
                f"the store has format {found}, this version reads {duckdb_sql.FORMAT_VERSION}",
                where=str(self._path),
                remedy="Open it with the version of Twinwright that wrote it",
            )
        self._con.execute(duckdb_sql.ADDED)

    def _load_catalogue(self) -> Catalogue:
        tables = [
            ReadingTable(number, contract, source, revision, tuple(ReadingColumn(**column) for column in json.loads(columns)))
            for number, contract, source, revision, columns in self._con.execute("SELECT * FROM reading_tables ORDER BY number").fetchall()
        ]
        retractions = [Retraction(*row) for row in self._con.execute("SELECT * FROM retractions ORDER BY commit").fetchall()]
        newest = self._con.execute("SELECT coalesce(max(id), 0) FROM dead_letters").fetchone()
        return Catalogue(tables, retractions, 1 + (newest[0] if newest else 0))

    def close(self) -> None:
        with self._writer, translated(self._path):
            self._con.close()
            self._files.close()

    # --- writing -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self, principal: Principal, kind: str) -> Iterator[DuckDBTransaction]:
        principal.require_write()
        with self._writer:
            transaction = DuckDBTransaction(
                self._con, self._files, self._last + 1, max(self._last_at, self._clock.now()), principal.name, kind, self._catalogue.copy()
            )
            with translated(self._path):
                self._con.execute("BEGIN")
                try:
                    yield transaction
                    transaction.finish()
                    with self._swap:  # rows and what the catalogue says of them become visible together
                        self._con.execute("COMMIT")
                        self._last, self._last_at = transaction.commit, transaction.at
                        self._catalogue = transaction.catalogue
                except BaseException:
                    with contextlib.suppress(duckdb.Error):
                        self._con.execute("ROLLBACK")
                    raise
            done = Commit(
                transaction.commit, transaction.at, kind, transaction.source, principal.name, transaction.counts, transaction.detail
            )
            for listener in self._listeners:
                try:
                    listener(done)
                except Exception as error:  # noqa: BLE001 - it is durable, whatever becomes of those who are told
                    _log.error("a listener failed", commit=done.number, error=repr(error))

    def on_commit(self, listener: CommitListener) -> None:
        self._listeners.append(listener)

    def put_record(self, principal: Principal, kind: str, id: str, body: dict[str, Any]) -> int:
        with self.transaction(principal, f"record:{kind}") as transaction:
            transaction.put_record(kind, id, body)
        return transaction.commit

    # --- reading -----------------------------------------------------------------------------------------------------

    def _cursor(self, principal: Principal) -> duckdb.DuckDBPyConnection:
        """A connection of this thread's own on the same database: readers don't wait for the writer."""
        principal.require_read()
        cursor = getattr(self._local, "cursor", None)
        if cursor is None:
            cursor = self._local.cursor = self._con.cursor()
        return cursor

    def _rows(self, principal: Principal, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with translated(self._path):
            return self._cursor(principal).execute(sql, list(values)).fetchall()

    def _arrow(self, principal: Principal, query: duckdb_sql.Query) -> pa.Table:
        with translated(self._path):
            return self._cursor(principal).sql(query.text, params=query.values).to_arrow_table()

    def _consistent(self, principal: Principal, query: Callable[[Catalogue], duckdb_sql.Query]) -> pa.Table:
        """A read whose rows and retractions are of one moment: again, should a retraction have been committed meanwhile."""
        while True:
            with self._swap:
                known = self._catalogue
            rows = self._arrow(principal, query(known))
            with self._swap:
                if self._catalogue.retractions == known.retractions:
                    return rows

    def size(self, principal: Principal) -> int:
        principal.require_read()
        files = [*self._path.parent.glob(f"{self._path.name}*"), *self._path.with_suffix(".journal").glob("*")]
        return sum(path.stat().st_size for path in files)

    def last_commit(self, principal: Principal) -> int:
        principal.require_read()
        return self._last

    def commit_at(self, principal: Principal, at: int) -> int:
        return int(self._rows(principal, "SELECT coalesce(max(number), 0) FROM commits WHERE made_at <= ?", [at])[0][0])

    def commits(self, principal: Principal, *, first: int = 1, last: int | None = None, kind: str | None = None) -> list[Commit]:
        rows = self._rows(
            principal,
            f"SELECT number, made_at, kind, source, principal, detail, {_COUNTS} FROM commits "
            "WHERE number >= ? AND (? IS NULL OR number <= ?) AND (? IS NULL OR kind = ?) ORDER BY number",
            [first, last, last, kind, kind],
        )
        return [Commit(n, at, k, source, who, Counts(*counts), detail) for n, at, k, source, who, detail, *counts in rows]

    def commit_times(self, principal: Principal, numbers: Collection[int]) -> dict[int, int]:
        sql = "SELECT number, made_at FROM commits WHERE number IN (SELECT unnest(?::BIGINT[]))"
        return dict(self._rows(principal, sql, [list(numbers)]))

    def counts(self, principal: Principal) -> dict[str, Counts]:
        sums = ", ".join(f"sum({name})::BIGINT" for name in _COUNTS.split(", "))
        rows = self._rows(principal, f"SELECT source, {sums} FROM commits WHERE source <> '' GROUP BY source ORDER BY source")
        return {source: Counts(*values) for source, *values in rows}

    def reading_tables(self, principal: Principal) -> list[ReadingTable]:
        principal.require_read()
        return list(self._catalogue.tables)

    def retractions(self, principal: Principal) -> list[Retraction]:
        principal.require_read()
        return list(self._catalogue.retractions)

    def lifetimes(self, principal: Principal) -> list[Lifetime]:
        return [
            Lifetime(*row) for row in self._rows(principal, "SELECT number, twin, interface, since, until FROM lifetimes ORDER BY number")
        ]

    def relationships(self, principal: Principal) -> list[Relationship]:
        rows = self._rows(principal, "SELECT source, id, name, target, properties FROM relationships ORDER BY source, id")
        return [Relationship(source, id, name, target, json.loads(properties)) for source, id, name, target, properties in rows]

    def history(self, principal: Principal, selection: Selection) -> pa.Table:
        return self._consistent(principal, lambda known: duckdb_sql.history(selection, known.tables, known.retractions)).cast(RECORD_SCHEMA)

    def latest(self, principal: Principal, selection: Selection) -> pa.Table:
        return self._consistent(principal, lambda known: duckdb_sql.latest(selection, known.tables, known.retractions)).cast(RECORD_SCHEMA)

    def readings(
        self,
        principal: Principal,
        table: ReadingTable,
        *,
        hours: Sequence[int] | None = None,
        at: tuple[NDArray[np.int32], NDArray[np.int64]] | None = None,
        after: int | None = None,
        without: Retraction | None = None,
    ) -> pa.Table:
        also = [without] if without else []
        return self._consistent(
            principal, lambda known: duckdb_sql.readings(table, known.tables, [*known.retractions, *also], hours, at, after)
        )

    def touched(self, principal: Principal, after: int, through: int) -> pa.Table:
        return self._consistent(principal, lambda known: duckdb_sql.touched(after, through, known.tables, known.retractions)).cast(
            TOUCHED_SCHEMA
        )

    def hidden_by(self, principal: Principal, retraction: Retraction) -> tuple[int, int]:
        query = duckdb_sql.hidden_by(retraction, self._catalogue.tables, self._catalogue.retractions)
        superseded, retracted = self._rows(principal, query.text, query.values)[0]
        return int(superseded), int(retracted)

    def hours(self, principal: Principal, contract: str) -> dict[int, int]:
        found: dict[int, int] = {}
        for table in self._catalogue.tables:
            if table.contract == contract:
                query = f"SELECT {duckdb_sql.HOUR_OF_TIME} AS hour, count(*) FROM readings_{table.number} GROUP BY hour"
                for hour, count in self._rows(principal, query):
                    found[hour] = found.get(hour, 0) + count
        return found

    def newest_by_commit(self, principal: Principal, contract: str, first: int) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for table in self._catalogue.tables:
            if table.contract == contract:
                found += self._rows(
                    principal,
                    f"SELECT made_at, max(time) FROM readings_{table.number} r JOIN commits ON number = commit "
                    "WHERE commit >= ? AND kind = 'ingest' GROUP BY number, made_at ORDER BY number",
                    [first],
                )
        return found

    def position(self, principal: Principal, contract: str, stream: str) -> int:
        rows = self._rows(principal, "SELECT next FROM positions WHERE contract = ? AND stream = ?", [contract, stream])
        return int(rows[0][0]) if rows else 0

    def journal_entries(self, principal: Principal, contract: str, first: int, last: int) -> Iterator[JournalEntry]:
        numbers = self._rows(
            principal, "SELECT commit FROM journal WHERE contract = ? AND commit BETWEEN ? AND ? ORDER BY commit", [contract, first, last]
        )
        for (number,) in numbers:  # one at a time: a window may be larger than memory
            commit, source, revision, at, segment, offset, length, *counts = self._rows(
                principal,
                f'SELECT j.commit, source, revision, made_at, segment, "offset", length, {_COUNTS} '
                "FROM journal j JOIN journal_counts c ON j.commit = c.commit WHERE j.commit = ?",
                [number],
            )[0]
            frames = self._files.read(Place(segment, offset, length))
            yield JournalEntry(commit, contract, source, revision, at, frames, Counts(*counts))

    def unjournalled(self, principal: Principal, contract: str, first: int, last: int) -> int:
        sources = {table.source for table in self._catalogue.tables if table.contract == contract}
        rows = self._rows(
            principal,
            "SELECT count(*) FROM commits WHERE kind = 'ingest' AND number BETWEEN ? AND ? AND source IN (SELECT unnest(?::VARCHAR[])) "
            "AND number NOT IN (SELECT commit FROM journal WHERE contract = ?)",
            [first, last, sorted(sources), contract],
        )
        return int(rows[0][0])

    def expire_journal(self, principal: Principal, contract: str, before: int) -> int:
        old = "SELECT commit FROM journal WHERE contract = ? AND made_at < ?"
        expired = len(self._rows(principal, old, [contract, before]))
        if expired:
            with self.transaction(principal, "expire") as transaction:
                transaction.expire_journal(contract, before)
            oldest = self._rows(principal, "SELECT min(segment) FROM journal")[0][0]
            self._files.drop_before(oldest)
        return expired

    def expire_receipts(self, principal: Principal, before: int, most: int) -> int:
        total, old = self._rows(principal, "SELECT count(*), count(*) FILTER (made_at < ?) FROM receipts", [before])[0]
        expired = max(int(old), int(total) - most)
        if expired:
            with self.transaction(principal, "expire") as transaction:
                transaction.expire_receipts(before, most)
        return expired

    def dead_letters(
        self, principal: Principal, *, contract: str | None = None, reason: str | None = None, status: str = "open", limit: int = 1000
    ) -> list[DeadLetter]:
        rows = self._rows(
            principal,
            f"SELECT {_LETTER} FROM dead_letters WHERE status = ? AND (? IS NULL OR contract = ?) AND (? IS NULL OR reason = ?) "
            "ORDER BY id LIMIT ?",
            [status, contract, contract, reason, reason, limit],
        )
        return [_letter(row) for row in rows]

    def dead_letter(self, principal: Principal, id: int) -> DeadLetter:
        rows = self._rows(principal, f"SELECT {_LETTER} FROM dead_letters WHERE id = ?", [id])
        if not rows:
            raise NotFoundError(f"there is no dead letter {id}", remedy="List them with: twinwright dead-letters list")
        return _letter(rows[0])

    def dead_letter_counts(self, principal: Principal, *, contract: str | None = None) -> dict[str, int]:
        rows = self._rows(
            principal,
            "SELECT reason, count(*) FROM dead_letters WHERE status = 'open' AND (? IS NULL OR contract = ?) GROUP BY ALL ORDER BY reason",
            [contract, contract],
        )
        return {reason: int(count) for reason, count in rows}

    def dead_letter_groups(self, principal: Principal, *, contract: str | None = None, status: str = "open") -> list[LetterGroup]:
        rows = self._rows(
            principal,
            "SELECT contract, source, reason, count(*), min(made_at), max(made_at) FROM dead_letters "
            "WHERE status = ? AND (? IS NULL OR contract = ?) GROUP BY contract, source, reason ORDER BY 4 DESC, 1, 2, 3",
            [status, contract, contract],
        )
        return [LetterGroup(*row) for row in rows]

    def expire_dead_letters(self, principal: Principal, before: int) -> int:
        principal.require_write()
        old = "SELECT count(*) FROM dead_letters WHERE status = 'open' AND made_at < ?"
        if not self._rows(principal, old, [before])[0][0]:
            return 0
        with self.transaction(principal, "expire") as transaction:
            return transaction.expire_dead_letters(before)

    def cells(self, principal: Principal, contract: str) -> tuple[int, pa.Table]:
        through = self._rows(principal, "SELECT through FROM cells_through WHERE contract = ?", [contract])
        columns = ", ".join(CELL_SCHEMA.names)
        query = duckdb_sql.Query(f"SELECT {columns} FROM cells WHERE contract = ?", [contract])
        return (int(through[0][0]) if through else 0), self._arrow(principal, query).cast(CELL_SCHEMA)

    # --- records -----------------------------------------------------------------------------------------------------

    def get_record(self, principal: Principal, kind: str, id: str) -> Record:
        rows = self._rows(
            principal,
            "SELECT kind, id, body, commit, made_at, principal FROM records WHERE kind = ? AND (id = ? OR starts_with(id, ?)) "
            "QUALIFY row_number() OVER (PARTITION BY id ORDER BY commit DESC) = 1 ORDER BY id LIMIT 5",
            [kind, id, id],
        )
        exact = [row for row in rows if row[1] == id]
        if exact or (len(rows) == 1 and id):
            return _record((exact or rows)[0])
        if not rows or not id:
            raise NotFoundError(f"there is no {kind} '{id}'", remedy="Check the id; a unique beginning of it is enough")
        names = ", ".join(row[1][:12] for row in rows)
        raise NotFoundError(f"several of kind {kind} begin with '{id}'", remedy=f"Give more of it: {names}")

    def records(self, principal: Principal, kind: str) -> list[Record]:
        rows = self._rows(
            principal,
            "SELECT kind, id, body, commit, made_at, principal FROM records WHERE kind = ? "
            "QUALIFY row_number() OVER (PARTITION BY id ORDER BY commit DESC) = 1 ORDER BY commit",
            [kind],
        )
        return [_record(row) for row in rows]

    def versions(self, principal: Principal, kind: str, id: str) -> Iterator[Record]:
        rows = self._rows(
            principal,
            "SELECT kind, id, body, commit, made_at, principal FROM records WHERE kind = ? AND id = ? ORDER BY commit",
            [kind, id],
        )
        return iter([_record(row) for row in rows])


_LETTER = "contract, source, revision, reason, detail, payload, captures, position, id, origin, made_at, status"


def _letter(row: tuple[Any, ...]) -> DeadLetter:
    contract, source, revision, reason, detail, payload, captures, *rest = row
    return DeadLetter(contract, source, revision, reason, detail, bytes(payload), json.loads(captures), *rest)


def _record(row: tuple[Any, ...]) -> Record:
    kind, id, body, commit, at, principal = row
    parsed: Mapping[str, Any] = json.loads(body)
    return Record(kind, id, dict(parsed), commit, at, principal)
