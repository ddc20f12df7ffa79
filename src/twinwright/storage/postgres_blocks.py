"""Rows of the newest commits once more, as blocks of Arrow, for the other processes that write: each has to hear of them.

PostgreSQL sends a row in a message of its own, and to take it from there costs ten times what is done with it. So where another process
has the store open, which is asked under the writers' lock, a transaction writes what it appends as compressed blocks beside the rows. They
are a cache and nothing more: their tables are not logged, so that a crash of the server empties them, and the older of two is emptied while
the other fills. Whoever hears counts: each line of the log says how many rows its commit appended, and only where the blocks of a range of
commits have as many are they taken for all; else the rows are read. What takes readings away, or changes them, drops all blocks there are.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from twinwright.observability.logs import get_logger
from twinwright.storage.layout import ReadingTable
from twinwright.storage.postgres_connections import Connection, first_line

FULL: Final = 32 * 1024 * 1024  # bytes of a table, which a commit may pass; one of as many is not told
_WAIT: Final = "20ms"  # for those who read blocks; others that are about to wait behind
_TABLES: Final = ("blocks_0", "blocks_1")
_RANGE: Final = " UNION ALL ".join(
    f"SELECT commit, number, sightings, rows, body FROM {name} WHERE commit > %(after)s AND commit <= %(through)s" for name in _TABLES
)
_ARE_THERE: Final = f"to_regclass('{_TABLES[-1]}') IS NOT NULL"
_APPENDED: Final = (
    "SELECT CASE WHEN count(*) = count(appended) THEN coalesce(sum(appended), 0) END, "
    f"{_ARE_THERE} FROM commits WHERE number > %(after)s AND number <= %(through)s"
)
_STATE: Final = " UNION ALL ".join(
    f"SELECT '{name}', pg_table_size('{name}'::regclass), (SELECT max(commit) FROM {name}) AS newest" for name in _TABLES
)
_log = get_logger("storage")

MIGRATION: Final = "ALTER TABLE commits ADD COLUMN appended bigint"  # null: not known
# VACUUM has nothing to do where rows are only added, and would be in the way of emptying the table.
_NO_VACUUM: Final = "autovacuum_vacuum_insert_threshold = -1, toast.autovacuum_vacuum_insert_threshold = -1"
_CREATE: Final = "".join(
    f"CREATE UNLOGGED TABLE {name} (commit bigint NOT NULL, number integer NOT NULL, sightings boolean NOT NULL, rows bigint NOT NULL, "
    f"body bytea NOT NULL) WITH ({_NO_VACUUM});"
    f"ALTER TABLE {name} ALTER COLUMN body SET STORAGE EXTERNAL;"
    f"CREATE INDEX ON {name} (commit);"
    for name in _TABLES
)


class Beside(Protocol):
    """Who knows whether other processes have the store open."""

    def others(self, connection: Connection) -> bool: ...


class Blocks:
    """Those of one transaction. `appended`: how many rows it appended, told or not; `older`: the table to be emptied afterwards, if any."""

    def __init__(self, connection: Connection, commit: int, beside: Beside) -> None:
        self._con, self._commit, self._beside = connection, commit, beside
        self._into: str | None = None
        self._undecided = True
        self._size = self._bytes = 0
        self._behind: str | None = None
        self.appended = 0

    @property
    def older(self) -> str | None:
        return self._behind if self._size + self._bytes > FULL * 3 // 4 else None  # early: it may be that it is being read

    def add(self, table: ReadingTable, rows: pa.Table, *, sightings: bool) -> None:
        """Rows of this commit; columns that are zero in all of them may be left out."""
        self.appended += len(rows)
        if not len(rows):
            return
        if self._undecided:
            self._decide()
        if self._into is None:
            return
        body = _packed(rows, self._commit)
        self._bytes += body.size
        if self._bytes < FULL:
            values = [self._commit, table.number, sightings, len(rows), memoryview(body)]
            self._con.execute(f"INSERT INTO {self._into} VALUES (%s, %s, %s, %s, %b)".encode(), values)
        else:
            self._con.execute(f"DELETE FROM {self._into} WHERE commit = %s".encode(), [self._commit])
            self._into = None

    def forget(self) -> None:
        """This transaction takes rows away or changes them: no block tells them any more, and it tells nothing itself."""
        for name in _TABLES if self._are_there() else ():
            self._con.execute(f"DELETE FROM {name}".encode())
        self._into, self._undecided = None, False

    def _decide(self) -> None:
        """Where others have the store open: into which table. The newest blocks are in that which is being filled."""
        self._undecided = False
        if not self._beside.others(self._con):
            return
        if not self._are_there():
            self._con.execute(_CREATE.encode())
        state = self._con.execute(f"{_STATE} ORDER BY newest DESC NULLS LAST".encode()).fetchall()
        self._into, self._size = next(((name, size) for name, size, _ in state if size < FULL), (None, FULL))
        (name, size, newest) = state[1]
        self._behind = name if name != self._into and (newest is not None or size >= FULL) else None

    def _are_there(self) -> bool:
        """The first who writes beside another makes the tables."""
        return self._con.execute(f"SELECT {_ARE_THERE}".encode()).fetchone() == (True,)


def told(connection: Connection, table: ReadingTable, schema: pa.Schema, after: int, through: int, *, sightings: bool) -> pa.Table | None:
    """The rows of a table that the commits after one, through another, appended; None where not all of them are told in blocks."""
    bounds = {"after": after, "through": through}
    appended, are_there = connection.execute(_APPENDED.encode(), bounds).fetchone() or (None, False)
    if not appended:
        return None if appended is None else schema.empty_table()
    if not are_there:
        return None
    blocks = connection.execute(f"SELECT coalesce(sum(rows), 0) FROM ({_RANGE}) AS blocks".encode(), bounds).fetchone()
    if blocks != (appended,):
        return None
    query = f"SELECT commit, body FROM ({_RANGE}) AS b WHERE number = %(number)s AND (%(sightings)s OR NOT sightings) ORDER BY commit"
    with connection.cursor(binary=True) as cursor:  # as text each byte would be two characters
        found = cursor.execute(query.encode(), {**bounds, "number": table.number, "sightings": sightings})
        return pa.concat_tables([schema.empty_table(), *(_unpacked(body, commit, schema) for commit, body in found)])


def empty(connection: Connection, name: str) -> None:
    """Forget the older blocks, unless they are the newer ones by now or are being read. On a connection without a transaction.

    In one statement: a process that stands still in between would keep the lock, for which all wait that hear.
    """
    (other,) = (one for one in _TABLES if one != name)
    older = f"(SELECT coalesce(max(commit), 0) FROM {name}) <= (SELECT coalesce(max(commit), 0) FROM {other})"
    locked = f"SET LOCAL lock_timeout = '{_WAIT}'; LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE"
    try:
        connection.execute(f"DO $$ BEGIN {locked}; IF {older} THEN TRUNCATE {name}; END IF; END $$".encode())
    except psycopg.Error as error:  # what was committed is durable, and is heard of all the same: it must not be told as refused
        _log.debug("older blocks wait for the next commit", error=first_line(error))


def _packed(rows: pa.Table, commit: int) -> pa.Buffer:
    """As a stream of Arrow's IPC form; without the commit, and without the origin where that is the same."""
    alike = [name for name in ("commit", "origin") if not pc.any(pc.not_equal(rows[name], commit)).as_py()]
    rows, out = rows.drop_columns(alike), pa.BufferOutputStream()
    with pa.ipc.new_stream(out, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as stream:
        stream.write_table(rows)
    return out.getvalue()


def _unpacked(body: bytes, commit: int, schema: pa.Schema) -> pa.Table:
    rows = pa.ipc.open_stream(pa.py_buffer(body)).read_all()

    def column(field: pa.Field) -> pa.ChunkedArray | pa.Array:
        if field.name in rows.column_names:
            return rows[field.name]
        return pa.array(np.full(len(rows), commit if field.name in ("commit", "origin") else 0), field.type)

    return pa.table([column(field) for field in schema], schema=schema)
