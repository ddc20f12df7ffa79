"""The engine for more than one machine: a schema of a PostgreSQL database (15 or newer).

One writer at a time holds an advisory lock and takes the next number, so the log has no gaps; readers have snapshots and wait for nobody.
One platform at a time has the store (an `up`, or a command without one); any number of workers write beside it. So nobody trusts what it
remembers: `many_writers` tells those who remember to hear of the log, and listeners are told of the commits of other processes too.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
from pydantic import Field

from twinwright.clock import SECOND, Clock, SystemClock
from twinwright.documents import Duration, Spec
from twinwright.errors import StoreError
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.observability.logs import get_logger
from twinwright.storage import postgres_blocks, postgres_bulk, postgres_connections, postgres_copies
from twinwright.storage.copies import Snapshot, require_empty
from twinwright.storage.postgres_blocks import Blocks
from twinwright.storage.postgres_connections import Connections, first_line
from twinwright.storage.postgres_copies import PostgresCopies
from twinwright.storage.postgres_lifecycle import Locks, migrate
from twinwright.storage.postgres_rollups import PostgresRollUps
from twinwright.storage.postgres_rows import catalogue
from twinwright.storage.postgres_sealing import PostgresSealing
from twinwright.storage.postgres_transaction import Catalogue, PostgresTransaction
from twinwright.storage.postgres_watch import LogWatch
from twinwright.storage.protocol import CommitListener

_log = get_logger("storage")


class PostgresStore(PostgresCopies, PostgresSealing, PostgresRollUps):
    """Opens the store in `schema` of a database, and makes or migrates it where it has to.

    Raises UsageError for an address that can't be read, StoreError when the database can't be reached, does not keep what it commits
    (fsync off), is of a newer format, or another platform has the store. With `shared` it is opened beside one, as a worker does.
    """

    many_writers = True

    class Settings(Spec):
        """`[store]` with `engine = "postgres"`."""

        dsn: str = Field(
            description="of libpq: a URL or key=value; the password comes from PGPASSWORD, a passfile or TWINWRIGHT_STORE__DSN"
        )
        schema_: str = Field(
            default="twinwright", alias="schema", min_length=1, max_length=63, description="of the database, for this store"
        )
        stalled_writer: Duration = Field(
            default=30 * SECOND,
            ge=100_000,
            description="a process that is not heard of for so long, while others wait for it, is rolled back",
        )

    @classmethod
    def open(cls, settings: Settings, folder: Path, clock: Clock) -> PostgresStore:  # noqa: ARG003 - it keeps nothing in the folder
        """As a platform does: the only one."""
        return cls(settings.dsn, settings.schema_, clock, stalled=settings.stalled_writer)

    @classmethod
    def join(cls, settings: Settings, folder: Path, clock: Clock) -> PostgresStore:  # noqa: ARG003 - it keeps nothing in the folder
        """As a worker does: beside a platform and other workers."""
        return cls(settings.dsn, settings.schema_, clock, shared=True, stalled=settings.stalled_writer)

    def __init__(
        self,
        dsn: str,
        schema: str = "twinwright",
        clock: Clock | None = None,
        *,
        shared: bool = False,
        stalled: int = postgres_connections.STALLED,
    ) -> None:
        self._clock = clock or SystemClock()
        self._writer = threading.RLock()
        self._connections = Connections(dsn, schema)
        self._locks = Locks(schema, stalled, shared=shared)
        self._con = self._connections.connect()
        self._unsettled: PostgresTransaction | None = None  # whose COMMIT was not answered
        self._catalogue, self._catalogue_at = Catalogue(), -1
        try:
            with self._connections.translated():
                self._locks.take(self._con, self._connections.where)
                migrate(self._con, schema, self._locks, self._connections.where)
                newest = self._newest(self._con)
        except BaseException:
            self._con.close()
            raise
        self._log = LogWatch(lambda after: self.commits(SYSTEM, first=after + 1), newest)

    def close(self) -> None:
        self._log.stop()
        with self._writer:
            with contextlib.suppress(psycopg.Error):  # a connection that is lost holds no lock
                self._locks.release(self._con)
            self._con.close()
            self._connections.close()

    # --- writing -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self, principal: Principal, kind: str) -> Iterator[PostgresTransaction]:
        principal.require_write()
        with self._writer:
            with self._connections.translated():
                try:
                    transaction = self._begin(principal, kind)
                    yield transaction
                    transaction.finish()
                except BaseException:
                    with contextlib.suppress(psycopg.Error):
                        self._con.execute("ROLLBACK")
                    raise
                self._commit(transaction)
                if transaction.blocks.older:  # at once: the next writer is about to read blocks
                    postgres_blocks.empty(self._con, transaction.blocks.older)
                for number in transaction.grown:
                    postgres_bulk.tend(self._con, number)
            self._log.made(transaction.done)

    def _begin(self, principal: Principal, kind: str) -> PostgresTransaction:
        """Take the writers' lock, and with it the next number."""
        if self._unsettled:
            self._reconnect()
            if self._was_committed(self._unsettled):
                _log.warning("a commit that was taken for lost was made", commit=self._unsettled.commit)
            self._unsettled = None
        try:
            newest, at = self._locks.begin(self._con)
        except psycopg.OperationalError as error:  # nothing has been done yet: once more on a new connection
            _log.warning("connecting to the database again", error=first_line(error))
            self._reconnect()
            newest, at = self._locks.begin(self._con)
        if newest != self._catalogue_at:
            self._catalogue, self._catalogue_at = catalogue(self._con), newest
        blocks = Blocks(self._con, newest + 1, self._locks)
        return PostgresTransaction(self._con, newest + 1, max(at, self._clock.now()), principal.name, kind, self._catalogue.copy(), blocks)

    def _commit(self, transaction: PostgresTransaction) -> None:
        self._log.making(transaction.commit)
        try:
            self._con.execute("COMMIT")
        except psycopg.OperationalError as error:
            lost = f"the connection to the database was lost in a commit ({first_line(error)})"
            _log.warning(f"{lost}: looking for it", commit=transaction.commit)
            self._log.unmade(transaction.commit)
            self._unsettled = transaction
            try:
                with self._connections.translated():
                    self._reconnect()
                    committed = self._was_committed(transaction)
            except StoreError as away:
                remedy = "Deliver it again: if it was made, that is found out, and it counts once"
                raise StoreError(f"{lost}. Whether it was made is not known: {away.what}", where=away.where, remedy=remedy) from error
            self._unsettled = None
            if not committed:
                raise StoreError(lost, where=self._connections.where, remedy="Nothing was committed: deliver it again") from error
        self._catalogue_at = transaction.commit
        self._catalogue = transaction.catalogue

    def _was_committed(self, transaction: PostgresTransaction) -> bool:
        return self._locks.is_committed(self._con, transaction.commit, transaction.batch)

    def _reconnect(self) -> None:
        """Raises StoreError where the server stays away, or another process has the store by now."""
        self._con.close()
        self._con = self._connections.connect_again()
        self._locks.take_again(self._con, self._connections.where, postgres_connections.PATIENCE)

    def made_here(self, commit: int) -> bool:
        return self._log.is_own(commit)

    def load(self, principal: Principal, source: Snapshot) -> None:
        principal.require_admin()
        with self._writer, self._connections.translated():
            newest, _ = self._locks.begin(self._con)
            try:
                require_empty(newest, catalogue(self._con).tables, self._connections.where)
                postgres_copies.load(self._con, source)
                self._con.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(psycopg.Error):
                    self._con.execute("ROLLBACK")
                raise
            self._catalogue_at = -1
            self._log.pass_over(self._newest(self._con))

    def on_commit(self, listener: CommitListener) -> None:
        self._log.listen(listener)

    def put_record(self, principal: Principal, kind: str, id: str, body: dict[str, Any]) -> int:
        return self.put_records(principal, kind, {id: body})

    def put_records(self, principal: Principal, kind: str, bodies: Mapping[str, dict[str, Any]]) -> int:
        with self.transaction(principal, f"record:{kind}") as transaction:
            transaction.put_records(kind, bodies)
        return transaction.commit

    def expire_journal(self, principal: Principal, contract: str, before: int) -> int:
        old = "SELECT count(*) FROM journal WHERE contract = %s AND made_at < %s"
        expired = int(self._rows(principal, old, contract, before)[0][0])
        if expired:
            with self.transaction(principal, "expire") as transaction:
                transaction.expire_journal(contract, before)
        return expired

    def expire_receipts(self, principal: Principal, before: int, most: int) -> int:
        total, old = self._rows(principal, "SELECT count(*), count(*) FILTER (WHERE made_at < %s) FROM receipts", before)[0]
        expired = max(int(old), int(total) - most)
        if expired:
            with self.transaction(principal, "expire") as transaction:
                transaction.expire_receipts(before, most)
        return expired

    def expire_dead_letters(self, principal: Principal, before: int) -> int:
        principal.require_write()
        if not self._rows(principal, "SELECT count(*) FROM dead_letters WHERE status = 'open' AND made_at < %s", before)[0][0]:
            return 0
        with self.transaction(principal, "expire") as transaction:
            return transaction.expire_dead_letters(before)
