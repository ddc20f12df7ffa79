"""What comes before the first transaction on PostgreSQL: whose the store is, whether the server can be trusted, and migrations."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from psycopg import errors, sql

from twinwright.errors import StoreError, StoreInUseError
from twinwright.observability.logs import get_logger
from twinwright.storage.postgres_connections import Connection
from twinwright.storage.postgres_sql import MIGRATIONS

_OWNER, _WRITER, _BESIDE = 0x7477_0001, 0x7477_0002, 0x7477_0003  # of the two-part keys of advisory locks; the other part is the schema
_OLDEST = 150_000  # PostgreSQL 15
_log = get_logger("storage")


class Locks:
    """The locks of a store: its platform's, held by a session, which workers don't take; its writer's, held by a transaction; and one that
    the sessions of all who have it open share, so that each can see whether there are others."""

    def __init__(self, schema: str, stalled: int, *, shared: bool) -> None:
        self._schema = schema
        self._stalled = stalled
        self._shared = shared

    def take(self, connection: Connection, where: str) -> None:
        """The platform's lock, until the session ends. Raises StoreInUseError where another process has it."""
        if not self._shared and not _one(connection, "SELECT pg_try_advisory_lock(%s, hashtext(%s))", _OWNER, self._schema):
            remedy = "Stop it, or speak to it through its socket or its API"
            raise StoreInUseError("the store is open in another process", where=where, remedy=remedy)
        connection.execute("SELECT pg_advisory_lock_shared(%s, hashtext(%s))", [_BESIDE, self._schema])

    def take_again(self, connection: Connection, where: str, patience: float) -> None:
        """The same on a new connection, while the server may still have to notice that the old one is gone."""
        deadline = time.monotonic() + patience
        while True:
            try:
                return self.take(connection, where)
            except StoreError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def release(self, connection: Connection) -> None:
        """Let the next one in now: the server hears of a closed connection a little later."""
        connection.execute("SELECT pg_advisory_unlock_all()")

    def begin(self, connection: Connection) -> tuple[int, int]:
        """Begin a transaction as the only writer. The number and the time of the newest commit (0 and 0: none)."""
        while True:
            connection.execute("BEGIN")
            connection.execute("SELECT set_config('lock_timeout', %s, true)", [str(self._stalled // 1_000)])
            try:
                self.wait(connection)
            except errors.LockNotAvailable:
                connection.execute("ROLLBACK")
                self._end_stalled(connection)
            else:
                break
        connection.execute("SET LOCAL lock_timeout = 0")
        newest = connection.execute("SELECT number, made_at FROM commits ORDER BY number DESC LIMIT 1").fetchone()
        return (int(newest[0]), int(newest[1])) if newest else (0, 0)

    def wait(self, connection: Connection) -> None:
        """The writer's lock, until the transaction ends."""
        connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_WRITER, self._schema])

    def others(self, connection: Connection) -> bool:
        """Whether other processes have the store open now. One that opens it later hears of what comes after."""
        sharing = (
            "SELECT count(*) > 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = %s "
            "AND objid = (hashtext(%s)::bigint & 4294967295)::oid AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return bool(_one(connection, sharing, _BESIDE, self._schema))

    def _end_stalled(self, connection: Connection) -> None:
        """End a writer whose process stands still: none of its sessions, one of which watches the log, has asked for anything."""
        stalled = (
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity a USING (pid) WHERE locktype = 'advisory' AND granted "
            "AND classid = %s AND objid = (hashtext(%s)::bigint & 4294967295)::oid AND objsubid = 2 AND wait_event = 'ClientRead' "
            "AND NOT EXISTS (SELECT 1 FROM pg_stat_activity b WHERE b.application_name = a.application_name "
            "AND b.state_change > clock_timestamp() - %s * interval '1 microsecond')"
        )
        if connection.execute(stalled.encode(), [_WRITER, self._schema, self._stalled]).fetchall():
            _log.warning("another writer stood still: its transaction was ended")

    def is_committed(self, connection: Connection, number: int, batch: UUID) -> bool:
        """Whether a transaction whose COMMIT was not answered is in the log: certain, since it held the lock until it ended."""
        self.begin(connection)
        found = _one(connection, "SELECT count(*) FROM commits WHERE number = %s AND batch = %s", number, batch)
        connection.execute("COMMIT")
        return bool(found)


def migrate(connection: Connection, schema: str, locks: Locks, where: str) -> None:
    """Make the schema and bring its tables to this version, in one transaction. Raises StoreError."""
    _check_server(connection, where)
    connection.execute("BEGIN")
    locks.wait(connection)
    if _one(connection, "SELECT to_regnamespace(quote_ident(%s)) IS NULL", schema):
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    found = int(_one(connection, "SELECT coalesce(max(version), 0) FROM migrations"))
    if found > len(MIGRATIONS):
        raise StoreError(
            f"the store has format {found}, this version reads {len(MIGRATIONS)}",
            where=where,
            remedy="Open it with the version of Twinwright that wrote it",
        )
    for version, statements in enumerate(MIGRATIONS[found:], found + 1):
        connection.execute(statements.encode())
        connection.execute("INSERT INTO migrations (version) VALUES (%s)", [version])
    connection.execute("COMMIT")


def _check_server(connection: Connection, where: str) -> None:
    if connection.info.server_version < _OLDEST:
        raise StoreError(
            f"the server is PostgreSQL {connection.info.server_version // 10_000}", where=where, remedy="15 or newer is needed"
        )
    for setting, wanted, remedy in (
        ("fsync", "on", "Set fsync = on: what is acknowledged has to outlive a power failure"),
        ("server_encoding", "UTF8", "Make the database with: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"),
    ):
        found = _one(connection, "SELECT current_setting(%s)", setting)
        if found != wanted:
            raise StoreError(f"the server's {setting} is {found}", where=where, remedy=remedy)


def _one(connection: Connection, query: str, *values: Any) -> Any:
    """The one value that a query answers."""
    row = connection.execute(query.encode(), values).fetchone()
    return row[0] if row else None
