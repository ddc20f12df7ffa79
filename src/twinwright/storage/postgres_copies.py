"""Copies of a store in PostgreSQL: taken from one repeatable read, and taken in by one transaction with binary COPY."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

from twinwright.clock import HOUR
from twinwright.governance.principals import Principal
from twinwright.storage import postgres_sql
from twinwright.storage.copies import (
    JOURNAL,
    JOURNAL_SCHEMA,
    Frames,
    Snapshot,
    cast,
    checked_reading_tables,
    paired,
    read_all,
    require_columns,
    require_known,
)
from twinwright.storage.postgres_connections import Connection
from twinwright.storage.postgres_copy import pieces, unpacked_tables
from twinwright.storage.postgres_reads import PostgresReads
from twinwright.storage.postgres_rows import fetch

_DAY: Final = 24 * HOUR
_OWN: Final = re.compile(
    r"migrations|reading_hours|sealed|blocks_\d+|bulk_\d+_\d+|journal(_\d+)?"
)  # the journal is copied as JOURNAL_SCHEMA, with its frames
_NAMES: Final = {"whole": "int"}  # `int` is a word of SQL
_FILLED: Final = {"batch", "appended"}  # what a copy does not have: it is of this store's commits alone
_TYPES: Final = {
    **{"bigint": pa.int64(), "integer": pa.int32(), "smallint": pa.int8(), "double precision": pa.float64()},
    **{"boolean": pa.bool_(), "text": pa.string(), "bytea": pa.binary()},
}


class PostgresSnapshot:
    """What one connection sees in a transaction of isolation level repeatable read."""

    def __init__(self, connection: Connection) -> None:
        self._con = connection
        self.commit = int(fetch(connection, "SELECT coalesce(max(number), 0) FROM commits")[0][0])
        self._columns = {name: columns for name, columns in _columns(connection).items() if not _OWN.fullmatch(name)}
        schemas = {
            name: pa.schema([(_NAMES.get(column, column), type_) for column, type_ in columns]) for name, columns in self._columns.items()
        }
        self.tables: Mapping[str, pa.Schema] = {**schemas, JOURNAL: JOURNAL_SCHEMA}

    def rows(self, table: str) -> Iterator[pa.RecordBatch]:
        """See `Snapshot.rows`; `table` is one of `tables`."""
        columns = JOURNAL_SCHEMA.names if table == JOURNAL else [column for column, _ in self._columns[table]]
        query = f"SELECT {', '.join(columns)} FROM {table}" + (" ORDER BY commit, contract" if table == JOURNAL else "")
        with self._con.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)".encode()) as copy:
            for piece in unpacked_tables(copy, self.tables[table]):
                yield from piece.to_batches()

    def count(self, table: str) -> int:
        """See `Snapshot.count`."""
        return int(fetch(self._con, f"SELECT count(*) FROM {table}")[0][0])

    def frames(self) -> Iterator[Frames]:
        """See `Snapshot.frames`."""
        for commit, contract, day in fetch(self._con, "SELECT commit, contract, day FROM journal ORDER BY commit, contract"):
            found = fetch(self._con, f"SELECT frames FROM journal_{int(day)} WHERE contract = %s AND commit = %s", contract, commit)
            yield Frames(commit, contract, bytes(found[0][0]))


class PostgresCopies(PostgresReads):
    """`snapshot`, and the tables of `load`."""

    @contextlib.contextmanager
    def snapshot(self, principal: Principal) -> Iterator[PostgresSnapshot]:
        """See `Store.snapshot`."""
        principal.require_read()
        with self._connections.translated(), contextlib.closing(self._connections.connect()) as connection:
            connection.execute("SET idle_in_transaction_session_timeout = 0")  # whoever copies may be slow
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield PostgresSnapshot(connection)
            connection.execute("COMMIT")


def load(connection: Connection, source: Snapshot) -> None:
    """In an open transaction on an empty store. Raises StoreError."""
    tables = checked_reading_tables(source)
    for table in tables:
        for statement in postgres_sql.create_reading_tables(table):
            connection.execute(statement)
    mine = {name: columns for name, columns in _columns(connection).items() if not _OWN.fullmatch(name)}
    require_known(source.tables, mine)
    for name, schema in source.tables.items():
        if name != JOURNAL:
            require_columns(name, schema.names, [_NAMES.get(column, column) for column, _ in mine[name]])
            _copy_in(connection, name, mine[name], source.rows(name))
    if JOURNAL in source.tables:
        _load_journal(connection, source)
    for table in tables:
        hours = f"SELECT %s, {postgres_sql.HOUR_OF_TIME} AS hour, count(*) FROM readings_{table.number} GROUP BY hour"
        connection.execute(
            f"INSERT INTO reading_hours {hours} "
            "ON CONFLICT (contract, hour) DO UPDATE SET readings = reading_hours.readings + excluded.readings",
            [table.contract],
        )


def _columns(connection: Connection) -> dict[str, list[tuple[str, pa.DataType]]]:
    """Of every table the columns that are copied, in order."""
    found: dict[str, list[tuple[str, pa.DataType]]] = {}
    query = "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns "
    for table, column, type_ in fetch(connection, query + "WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position"):
        columns = found.setdefault(table, [])
        if column not in _FILLED and not _OWN.fullmatch(table):
            columns.append((column, _TYPES[type_]))
    return found


def _copy_in(connection: Connection, name: str, columns: list[tuple[str, pa.DataType]], batches: Iterator[pa.RecordBatch]) -> None:
    schema = pa.schema([(_NAMES.get(column, column), type_) for column, type_ in columns])
    extra = ", batch" if name == "commits" else ""
    statement = f"COPY {name} ({', '.join(column for column, _ in columns)}{extra}) FROM STDIN (FORMAT BINARY)".encode()
    for batch in batches:
        if not len(batch):
            continue
        rows = cast(name, pa.Table.from_batches([batch]), schema)
        if extra:
            rows = rows.append_column("batch", pa.array([uuid.uuid4().bytes for _ in range(len(rows))], pa.binary()))
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for piece in pieces(rows):
                copy.write(piece.data)


def _load_journal(connection: Connection, source: Snapshot) -> None:
    require_columns(JOURNAL, source.tables[JOURNAL].names, JOURNAL_SCHEMA.names)
    names = JOURNAL_SCHEMA.names
    marks = ", ".join(["%s"] * (len(names) + 1))
    made: set[int] = set()
    for row, frames in paired(cast(JOURNAL, read_all(source, JOURNAL), JOURNAL_SCHEMA), source.frames()):
        day = row["made_at"] // _DAY
        if day not in made:
            connection.execute(postgres_sql.create_journal_day(day))
            made.add(day)
        connection.execute(f"INSERT INTO journal_{day} VALUES (%s, %s, %b)", [frames.contract, frames.commit, frames.data])
        values: list[Any] = [*(row[name] for name in names), day]
        connection.execute(f"INSERT INTO journal ({', '.join(names)}, day) VALUES ({marks})", values)
