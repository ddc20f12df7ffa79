"""The default engine: one DuckDB file, one process, one writer at a time, readers on their own snapshots."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
from pydantic import Field

from twinwright.clock import Clock, SystemClock
from twinwright.documents import ByteCount, Spec, byte_count
from twinwright.errors import StoreError
from twinwright.governance.principals import Principal
from twinwright.observability.logs import get_logger
from twinwright.storage import duckdb_log, duckdb_smaller, duckdb_sql
from twinwright.storage.copies import Snapshot
from twinwright.storage.duckdb_copies import DuckDBCopies
from twinwright.storage.duckdb_errors import translated
from twinwright.storage.duckdb_rollups import DuckDBRollUps
from twinwright.storage.duckdb_sealing import DuckDBSealing
from twinwright.storage.duckdb_transaction import Catalogue, DuckDBTransaction
from twinwright.storage.durable_names import DurableName, sync
from twinwright.storage.journal_files import JournalFiles, Place
from twinwright.storage.layout import (
    Retraction,
)
from twinwright.storage.log_line import tell
from twinwright.storage.protocol import CommitListener
from twinwright.storage.rows import reading_tables

_LOG_BYTES = "64MB"  # of write-ahead log between two checkpoints: each writes the last row groups again; reading it back takes a second
_MERGES = "2"  # of row groups that are not full, at a checkpoint: they get done little by little, where all at once would stop ingestion
_LEAST_MEMORY = 256 * 2**20
_MOST_MEMORY = 2 * 2**30  # without a setting: the engine's cache of the file grows up to what it is allowed, whatever that brings
_log = get_logger("storage")


class DuckDBStore(DuckDBCopies, DuckDBSealing, DuckDBRollUps):
    """Opens or creates `path`. Raises StoreError when it is another process's, of a newer format, damaged, or not a store."""

    many_writers = False

    class Settings(Spec):
        """`[store]` with `engine = "duckdb"`."""

        memory: ByteCount | None = Field(
            default=None,
            ge=_LEAST_MEMORY,
            description="the most memory of the engine, such as 1GiB, its cache of the file included; what needs more is put beside "
            "the file meanwhile. Default: a fifth of this machine's (or this container's), at most 2 GiB",
        )

    @classmethod
    def open(cls, settings: Settings, folder: Path, clock: Clock) -> DuckDBStore:
        """The store of a workspace, in its private folder."""
        return cls(folder / "store.duckdb", clock, memory=settings.memory)

    def __init__(self, path: Path, clock: Clock | None = None, *, memory: int | None = None) -> None:
        self._path = path
        self._memory = memory
        self._clock = clock or SystemClock()
        self._writer = threading.RLock()
        self._swap = threading.Lock()
        self._local = threading.local()
        self._listeners: list[CommitListener] = []
        self._con = self._connect()
        with translated(path):
            self._prepare()
            self._look_up()
            kept = self._con.execute('SELECT segment, "offset", length FROM journal ORDER BY commit DESC LIMIT 1').fetchone()
        self._files = JournalFiles(path.with_suffix(".journal"), Place(*kept) if kept else None)
        self._log_name = DurableName(path.with_name(path.name + ".wal"))  # the engine makes it anew after each checkpoint
        self._log_name.settle()
        sync(path.parent.parent)  # in which the store's folder may be new

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
            if not self._path.exists():  # what is there is whole: an empty database is made beside it
                draft = self._path.with_name(f".{self._path.name}.new")
                draft.unlink(missing_ok=True)
                duckdb.connect(str(draft), config=config).close()
                draft.rename(self._path)
                sync(self._path.parent)
            connection = duckdb_log.opened(self._path, lambda: duckdb.connect(str(self._path), config=config))
            if duckdb_smaller.room(connection).due:
                connection.close()  # which writes what is in its log to the file
                duckdb_smaller.give_back(self._path)
                connection = duckdb.connect(str(self._path), config=config)
            duckdb_smaller.forget(self._path)
            shutil.rmtree(f"{self._path}.tmp", ignore_errors=True)  # what a killed process had put aside: the engine keeps it for ever
            connection.execute(f"SET memory_limit = '{self._memory or _fair_share(connection)}B'")
            connection.execute("SET lock_configuration = true")
        return connection

    def _prepare(self) -> None:
        tables = self._con.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'meta'").fetchone()
        if not tables or tables[0] == 0:
            self._con.execute("BEGIN")
            self._con.execute(duckdb_sql.DDL)
            self._con.execute("INSERT INTO meta VALUES ('format', ?)", [str(min(duckdb_sql.UPGRADES))])
            self._upgrade(min(duckdb_sql.UPGRADES))
            self._con.execute(duckdb_sql.ADDED)
            self._con.execute("COMMIT")
            return
        row = self._con.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        if row and int(row[0]) in duckdb_sql.UPGRADES:
            self._con.execute("BEGIN")
            self._upgrade(int(row[0]))
            self._con.execute("COMMIT")
        elif not row or int(row[0]) != duckdb_sql.FORMAT_VERSION:
            found = row[0] if row else "none"
            raise StoreError(
                f"the store has format {found}, this version reads {duckdb_sql.FORMAT_VERSION}",
                where=str(self._path),
                remedy="Open it with the version of Twinwright that wrote it",
            )
        self._con.execute(duckdb_sql.ADDED)

    def _look_up(self) -> None:
        """What is remembered of the store, from its tables."""
        self._catalogue = self._load_catalogue()
        newest = self._con.execute("SELECT number, made_at FROM commits ORDER BY number DESC LIMIT 1").fetchone()
        self._last, self._last_at = (int(newest[0]), int(newest[1])) if newest else (0, 0)

    def _upgrade(self, found: int) -> None:
        """From an older format to this one, within the transaction that is open."""
        for version in range(found, duckdb_sql.FORMAT_VERSION):
            self._con.execute(duckdb_sql.UPGRADES[version])
        self._con.execute("UPDATE meta SET value = ? WHERE key = 'format'", [str(duckdb_sql.FORMAT_VERSION)])

    def _load_catalogue(self) -> Catalogue:
        tables = reading_tables(self._con.execute("SELECT * FROM reading_tables ORDER BY number").fetchall())
        retractions = [Retraction(*row) for row in self._con.execute("SELECT * FROM retractions ORDER BY commit").fetchall()]
        newest = self._con.execute("SELECT coalesce(max(id), 0) FROM dead_letters").fetchone()
        return Catalogue(tables, retractions, 1 + (newest[0] if newest else 0))

    def close(self) -> None:
        with self._writer, translated(self._path):
            self._con.close()
            self._files.close()
            self._log_name.close()

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
                    self._log_name.settle()
                except BaseException:
                    with contextlib.suppress(duckdb.Error):
                        self._con.execute("ROLLBACK")
                    raise
            tell(self._listeners, transaction.done)

    def load(self, principal: Principal, source: Snapshot) -> None:
        principal.require_admin()
        with self._writer, translated(self._path):
            self._con.execute("BEGIN")
            try:
                self._load(source)
                with self._swap:
                    self._con.execute("COMMIT")
                    self._look_up()
                self._log_name.settle()
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    self._con.execute("ROLLBACK")
                raise

    def made_here(self, commit: int) -> bool:
        return 0 < commit <= self._last

    def on_commit(self, listener: CommitListener) -> None:
        self._listeners.append(listener)

    def put_record(self, principal: Principal, kind: str, id: str, body: dict[str, Any]) -> int:
        return self.put_records(principal, kind, {id: body})

    def put_records(self, principal: Principal, kind: str, bodies: Mapping[str, dict[str, Any]]) -> int:
        with self.transaction(principal, f"record:{kind}") as transaction:
            transaction.put_records(kind, bodies)
        return transaction.commit

    # --- expiry -------------------------------------------------------------------------------------------------------

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

    def expire_dead_letters(self, principal: Principal, before: int) -> int:
        principal.require_write()
        old = "SELECT count(*) FROM dead_letters WHERE status = 'open' AND made_at < ?"
        if not self._rows(principal, old, [before])[0][0]:
            return 0
        with self.transaction(principal, "expire") as transaction:
            return transaction.expire_dead_letters(before)


def _fair_share(connection: duckdb.DuckDBPyConnection) -> int:
    """Bytes for an engine of which nothing is set: it shares the machine, where it would take 80 % of it for itself."""
    own = connection.execute("SELECT current_setting('memory_limit')").fetchone()
    quarter = byte_count(own[0]) // 4 if own else _MOST_MEMORY
    return min(max(quarter, _LEAST_MEMORY), _MOST_MEMORY)
