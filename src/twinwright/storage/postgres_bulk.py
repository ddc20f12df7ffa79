"""Large batches in PostgreSQL: tables beside that of the readings, which inherit from it, and are filled without an index.

An index that takes each row by itself costs more than the row: that of (twin, time) twice as much, one of ranges (BRIN) half. So a large
batch goes to a table that has none, in the order of (twin, time); when that table is full, the next one is begun, and the ranges of the
full one are summarised in one pass over it. They find a twin's rows nearly as well as an index of rows would, since those of a batch are
on neighbouring pages. Small batches would scatter a twin's rows over all pages: they go to the table with the index. A read passes over
what is not indexed yet: `FULL` bytes at most. Whoever reads, changes or deletes readings names the table of the readings and means all.

Sealing moves the rows of a day that is over to the table with the index. The server gives back the room that they had, and the table is
filled again. Where there are `MOST` of them and all are full, large batches go to the table with the index as well: slower, but no read
ever has to look into more tables.
"""

from __future__ import annotations

from typing import Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from twinwright.observability.logs import get_logger
from twinwright.storage.postgres_connections import Connection, first_line

LARGE: Final = 20_000  # rows of a batch from which on it goes without the index
FULL: Final = 128 * 1024 * 1024  # bytes of a table
MOST: Final = 64  # tables
_WAIT: Final = "50ms"  # for whoever vacuums or writes: the next commit does it then
# Writers that fill a table together take pages in turns, so a range may be of a few twins far apart: `multi` keeps them apart.
_RANGES: Final = "USING brin (twin int4_minmax_multi_ops, time, commit) WITH (pages_per_range = 8)"
_MOSTLY_ZERO: Final = ("correction", "marks", "bad")
_NUMBER: Final = "split_part(relname, '_', 3)::integer"
_TABLES: Final = "FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = %s::regclass"
_log = get_logger("storage")

MIGRATION: Final = rf"""
DO $$
DECLARE n integer; c name;
BEGIN
    FOR n IN SELECT number FROM reading_tables LOOP
        FOR c IN SELECT attname FROM pg_attribute
                WHERE attrelid = format('readings_%s', n)::regclass AND attname ~ '^({"|".join(_MOSTLY_ZERO)})[0-9]*$' LOOP
            EXECUTE format('ALTER TABLE readings_%s ALTER COLUMN %I SET DEFAULT 0', n, c);
            EXECUTE format('ALTER TABLE sightings_%s ALTER COLUMN %I SET DEFAULT 0', n, c);
        END LOOP;
        EXECUTE format('CREATE TABLE bulk_%s_1 () INHERITS (readings_%s)', n, n);
    END LOOP;
END $$
"""


def create(number: int, part: int = 1) -> str:
    """SQL for one more table of large batches; its columns have defaults where `given` may leave them out."""
    return f"CREATE TABLE bulk_{number}_{part} () INHERITS (readings_{number})"


def given(rows: pa.Table) -> pa.Table:
    """Less the columns that are zero in all rows and have zero as their default: a field costs as much as its value."""
    left_out = [name for name in rows.column_names if name.startswith(_MOSTLY_ZERO) and not pc.any(pc.not_equal(rows[name], 0)).as_py()]
    return rows.drop_columns(left_out)


def table_for(connection: Connection, number: int, rows: int) -> str:
    """Where a batch of so many rows goes."""
    if rows >= LARGE:
        has_room = f"SELECT relname::text {_TABLES} AND pg_relation_size(c.oid) < %s ORDER BY {_NUMBER} LIMIT 1"
        found = connection.execute(has_room.encode(), [f"readings_{number}", FULL]).fetchone()
        if found:
            return str(found[0])
    return f"readings_{number}"


def tend(connection: Connection, number: int) -> None:
    """After a large batch: begin another table where none has room, and summarise what is full. On a connection without a transaction."""
    try:
        if not _due(connection, number):
            return
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{_WAIT}'")
            connection.execute(
                f"LOCK TABLE ONLY readings_{number} IN SHARE UPDATE EXCLUSIVE MODE"
            )  # another writer may be about to do the same
            for statement in _due(connection, number):
                connection.execute(statement.encode())
    except psycopg.Error as error:  # what was committed is durable, and is found all the same: it must not be told as refused
        _log.debug("tables of large batches wait for the next", table=number, error=first_line(error))


def _due(connection: Connection, number: int) -> list[str]:
    state = f"SELECT relname::text, {_NUMBER}, pg_relation_size(c.oid) >= %s, relhasindex {_TABLES} ORDER BY 2"
    tables = connection.execute(state.encode(), [FULL, f"readings_{number}"]).fetchall()
    due = [f"CREATE INDEX {name}_ranges ON {name} {_RANGES}" for name, _, full, indexed in tables if full and not indexed]
    if len(tables) < MOST and all(full for _, _, full, _ in tables):
        due.append(create(number, tables[-1][1] + 1))
    return due
