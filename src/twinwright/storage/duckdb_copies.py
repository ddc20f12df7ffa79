"""Copies of a store in one DuckDB file: taken from a reader's snapshot, so that ingestion goes on, and taken in by one transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from twinwright.governance.principals import Principal
from twinwright.storage import duckdb_sql
from twinwright.storage.copies import (
    BATCH_ROWS,
    JOURNAL,
    JOURNAL_SCHEMA,
    Frames,
    Snapshot,
    cast,
    checked_reading_tables,
    paired,
    read_all,
    require_columns,
    require_empty,
    require_known,
)
from twinwright.storage.duckdb_errors import translated
from twinwright.storage.duckdb_reads import DuckDBReads
from twinwright.storage.journal_files import JournalFiles, Pinned, Place
from twinwright.storage.rows import COUNTS

_OWN: Final = frozenset(
    {"meta", "sealed", "kept_hours", "kept_hours_through", "journal", "journal_counts", "record_digests"}
)  # the journal is copied as JOURNAL_SCHEMA, with its frames
_LOADED_AT_ONCE: Final = 500  # entries of the journal in one insert


class DuckDBSnapshot:
    """What a cursor in an open transaction sees, and the journal's files that were there when it began."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, files: Pinned, path: Path) -> None:
        self._cursor, self._files, self._path = cursor, files, path
        self.commit = int(_fetch(cursor, "SELECT coalesce(max(number), 0) FROM commits")[0][0])
        names = [name for (name,) in _fetch(cursor, "SELECT table_name FROM duckdb_tables() ORDER BY table_name") if name not in _OWN]
        schemas = {name: cursor.sql(f"SELECT * FROM {name} LIMIT 0").to_arrow_table().schema for name in names}
        self.tables: Mapping[str, pa.Schema] = {**schemas, JOURNAL: JOURNAL_SCHEMA}

    def rows(self, table: str) -> Iterator[pa.RecordBatch]:
        """See `Snapshot.rows`; `table` is one of `tables`."""
        query = f"SELECT * FROM {table}"
        if table == JOURNAL:
            query = f"SELECT j.commit, contract, source, revision, made_at, {COUNTS} FROM journal j JOIN journal_counts c "
            query += "ON j.commit = c.commit ORDER BY j.commit, contract"
        with translated(self._path):
            schema = self.tables[table]
            for batch in self._cursor.sql(query).to_arrow_reader(BATCH_ROWS):
                yield batch.cast(schema)

    def count(self, table: str) -> int:
        """See `Snapshot.count`."""
        with translated(self._path):
            return int(_fetch(self._cursor, f"SELECT count(*) FROM {table}")[0][0])

    def frames(self) -> Iterator[Frames]:
        """See `Snapshot.frames`."""
        with translated(self._path):
            places = _fetch(self._cursor, 'SELECT commit, contract, segment, "offset", length FROM journal ORDER BY commit, contract')
        for commit, contract, *place in places:
            yield Frames(commit, contract, self._files.read(Place(*place)))


class DuckDBCopies(DuckDBReads):
    """`snapshot` and `load` of a store in one file."""

    @contextlib.contextmanager
    def snapshot(self, principal: Principal) -> Iterator[DuckDBSnapshot]:
        """See `Store.snapshot`."""
        principal.require_read()
        with translated(self._path), contextlib.ExitStack() as stack:
            cursor = stack.enter_context(contextlib.closing(self._con.cursor()))
            with self._swap:  # no commit between what is seen of the tables and of the journal's files
                cursor.execute("BEGIN")
                cursor.execute("SELECT count(*) FROM commits").fetchall()  # from here on it sees nothing new
                files = stack.enter_context(contextlib.closing(self._files.pinned()))
            stack.callback(cursor.rollback)
            yield DuckDBSnapshot(cursor, files, self._path)

    def _load(self, source: Snapshot) -> None:
        """In an open transaction that is the caller's to end. Raises StoreError, RefusedError."""
        require_empty(self._last, self._catalogue.tables, str(self._path))
        for table in checked_reading_tables(source):
            for statement in duckdb_sql.create_reading_tables(table):
                self._con.execute(statement)
        mine = {name for (name,) in _fetch(self._con, "SELECT table_name FROM duckdb_tables()")} - _OWN
        require_known(source.tables, mine)
        for name, schema in source.tables.items():
            if name != JOURNAL:
                require_columns(name, schema.names, [field[0] for field in _fetch(self._con, f"DESCRIBE {name}")])
                reader = pa.RecordBatchReader.from_batches(schema, source.rows(name))
                _insert(self._con, name, reader)
        self._con.execute(f"INSERT INTO record_digests {duckdb_sql.RECORD_DIGESTS}")
        if JOURNAL in source.tables:
            _load_journal(self._con, self._files, source)


def _load_journal(con: duckdb.DuckDBPyConnection, files: JournalFiles, source: Snapshot) -> None:
    require_columns(JOURNAL, source.tables[JOURNAL].names, JOURNAL_SCHEMA.names)
    journal = cast(JOURNAL, read_all(source, JOURNAL), JOURNAL_SCHEMA)
    entries = []
    for row, frames in paired(journal, source.frames()):
        place = files.append(frames.data, flush=False)
        entries.append({**row, "segment": place.segment, "offset": place.offset, "length": place.length})
    files.flush()
    counts = ["commit", *COUNTS.split(", ")]
    _insert(con, "journal_counts", journal.select(counts))
    places = ["commit", "contract", "source", "revision", "made_at", "segment", "offset", "length"]
    types = {**{field.name: field.type for field in JOURNAL_SCHEMA}, "segment": pa.int32()}
    schema = pa.schema([(name, types.get(name, pa.int64())) for name in places])
    for at in range(0, len(entries), _LOADED_AT_ONCE):
        part = [{name: entry[name] for name in places} for entry in entries[at : at + _LOADED_AT_ONCE]]
        _insert(con, "journal", pa.Table.from_pylist(part, schema=schema))


def _insert(con: duckdb.DuckDBPyConnection, name: str, rows: Any) -> None:
    con.register("copied_rows", rows)
    try:
        con.execute(f"INSERT INTO {name} BY NAME SELECT * FROM copied_rows")
    finally:
        con.unregister("copied_rows")


def _fetch(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return con.execute(query).fetchall()
