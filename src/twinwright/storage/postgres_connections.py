"""Connections to a PostgreSQL server as the store needs them, and what psycopg raises in the words of the platform."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo, errors
from psycopg.types.string import StrDumper, TextLoader

from twinwright.clock import SECOND
from twinwright.errors import PlatformError, StoreError, UsageError
from twinwright.storage.postgres_copy import escaped, unescaped

READERS = 16  # connections that read at one time; who comes later waits
_CONNECT_SECONDS = 10
PATIENCE = 10.0  # seconds for a server that is starting again
STALLED = 30 * SECOND  # a process that is not heard of for so long has its transaction ended by those who wait for the writers' lock
Connection = psycopg.Connection[tuple[Any, ...]]
T = TypeVar("T")


class _Dumper(StrDumper):
    """Text with what PostgreSQL can't hold escaped."""

    def dump(self, obj: str) -> bytes | bytearray | memoryview | None:
        return super().dump(escaped(obj))


class _Loader(TextLoader):
    def load(self, data: bytes | bytearray | memoryview) -> str:
        return unescaped(str(super().load(data)))


class Connections:
    """Makes connections to one schema of one database, and lends those that read. `dsn` is libpq's: a URL or `key=value`."""

    def __init__(self, dsn: str, schema: str) -> None:
        """Raises UsageError for an address that can't be read; it is not repeated, for it may hold a password."""
        try:
            parts = conninfo.conninfo_to_dict(dsn)
        except psycopg.Error:
            raise UsageError(
                "the address of the database can't be read", where="store.dsn", remedy="Write it as postgresql://user@host/database"
            ) from None
        self._dsn, self._schema = dsn, schema
        self._name = f"twinwright {uuid.uuid4().hex[:12]}"  # what the sessions of one process have in common: see `Locks`
        self.where = f"postgresql {parts.get('host') or parts.get('hostaddr') or 'local'}/{parts.get('dbname') or ''} ({schema})"
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue()
        self._turns = threading.BoundedSemaphore(READERS)

    def connect(self) -> Connection:
        """A new connection: durable at each commit, whatever the server's default. Raises StoreError."""
        with self.translated():
            connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                client_encoding="UTF8",
                application_name=self._name,
                connect_timeout=_CONNECT_SECONDS,
                prepare_threshold=None,  # statements are made anew for each read; and poolers lose prepared ones
            )
            connection.adapters.register_dumper(str, _Dumper)
            connection.adapters.register_loader("text", _Loader)
            # Compiling (jit) takes the server ten times what a read of some twins does, and saves nothing measurable of one of all.
            connection.execute(
                "SELECT set_config('search_path', quote_ident(%s), false), set_config('synchronous_commit', 'on', false), "
                "set_config('standard_conforming_strings', 'on', false), set_config('client_min_messages', 'warning', false), "
                "set_config('jit', 'off', false)",
                [self._schema],
            )
        return connection

    def connect_again(self) -> Connection:
        """The same for a server that was there before: wait a little for it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.connect()
            except StoreError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` reads in one snapshot. It is done once more where the connection had been lost. Raises StoreError."""
        with self._turns:
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                return self._read(self.connect(), work)
            try:
                return self._read(connection, work)
            except StoreError:
                if not connection.closed:
                    raise
        self._forget_idle()
        with self._turns:
            return self._read(self.connect_again(), work)

    def _read(self, connection: Connection, work: Callable[[Connection], T]) -> T:
        try:
            with self.translated():
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                found = work(connection)
                connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(psycopg.Error):
                connection.execute("ROLLBACK")
            if not connection.closed and connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.close()
            if not connection.closed:
                self._idle.put(connection)
            raise
        self._idle.put(connection)
        return found

    def _forget_idle(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def close(self) -> None:
        """Close what is lent to nobody."""
        self._forget_idle()

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """The one place where psycopg's exceptions become ours: StoreError."""
        try:
            yield
        except PlatformError:
            raise
        except errors.DiskFull as error:
            remedy = "Nothing of it was written. Make room on the server's disk: what is delivered again then is taken"
            raise StoreError(f"the database's disk is full: {first_line(error)}", where=self.where, remedy=remedy) from error
        except psycopg.OperationalError as error:
            remedy = "Nothing was written that was not acknowledged. Check the server, its disk and its log"
            raise StoreError(f"the database can't be used: {first_line(error)}", where=self.where, remedy=remedy) from error
        except psycopg.Error as error:
            remedy = "Nothing was written; see the log"
            raise StoreError(f"the store failed: {first_line(error)}", where=self.where, remedy=remedy) from error


def first_line(error: psycopg.Error) -> str:
    """What the server or the driver says; what follows are hints and where in a statement."""
    return next(iter(str(error).splitlines()), "no message")
