"""What is read of a store in one DuckDB file: every thread by a connection of its own, on its own snapshot."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.governance.principals import Principal
from twinwright.storage import duckdb_history, duckdb_hours, duckdb_log, duckdb_smaller, duckdb_sql
from twinwright.storage.duckdb_errors import translated
from twinwright.storage.duckdb_transaction import Catalogue
from twinwright.storage.graph_reads import GraphReads
from twinwright.storage.journal_files import JournalFiles, Place
from twinwright.storage.layout import (
    Commit,
    Counts,
    DeadLetter,
    JournalEntry,
    JournalSize,
    LetterGroup,
    ReadingTable,
    Retraction,
    Selection,
)
from twinwright.storage.protocol import CELL_SCHEMA, CHECKPOINT_SCHEMA, RECORD_SCHEMA, RELATIONSHIP_SCHEMA, TOUCHED_SCHEMA
from twinwright.storage.query import Query
from twinwright.storage.records import Record
from twinwright.storage.rows import COUNTS, LETTER, RECORD, letter, record, the_letter, the_record
from twinwright.storage.totals import TOTAL_SCHEMA, What


@contextlib.contextmanager
def _moment(cursor: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Several queries of what was there when the first of them began."""
    cursor.begin()
    try:
        yield cursor
    finally:
        cursor.rollback()


class DuckDBReads(GraphReads):
    """The reading half of a store; the other half (`DuckDBStore`) opens the file and writes."""

    _path: Path
    _con: duckdb.DuckDBPyConnection
    _catalogue: Catalogue
    _swap: threading.Lock  # what it guards: rows and what the catalogue says of them become visible together
    _local: threading.local
    _files: JournalFiles
    _last: int
    _graph = duckdb_sql.GRAPH

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

    def _found(self, principal: Principal, query: Query) -> list[tuple[Any, ...]]:
        return self._rows(principal, query.text, query.values)

    def _arrow(self, principal: Principal, query: Query) -> pa.Table:
        with translated(self._path):
            return self._cursor(principal).sql(query.text, params=query.values).to_arrow_table()

    def _consistent(self, principal: Principal, query: Callable[[Catalogue], Query]) -> pa.Table:
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

    def unused(self, principal: Principal) -> int:
        with translated(self._path):
            room = duckdb_smaller.room(self._cursor(principal))
        return room.free if room.due else 0

    def torn_logs(self, principal: Principal) -> list[str]:
        principal.require_read()
        return duckdb_log.torn(self._path)

    def last_commit(self, principal: Principal) -> int:
        principal.require_read()
        return self._last

    def commit_at(self, principal: Principal, at: int) -> int:
        return int(self._rows(principal, "SELECT coalesce(max(number), 0) FROM commits WHERE made_at <= ?", [at])[0][0])

    def commits(self, principal: Principal, *, first: int = 1, last: int | None = None, kind: str | None = None) -> list[Commit]:
        rows = self._rows(
            principal,
            f"SELECT number, made_at, kind, source, principal, detail, {COUNTS} FROM commits "
            "WHERE number >= ? AND (? IS NULL OR number <= ?) AND (? IS NULL OR kind = ?) ORDER BY number",
            [first, last, last, kind, kind],
        )
        return [Commit(n, at, k, source, who, Counts(*counts), detail) for n, at, k, source, who, detail, *counts in rows]

    def commit_times(self, principal: Principal, numbers: Collection[int]) -> dict[int, int]:
        sql = "SELECT number, made_at FROM commits WHERE number IN (SELECT unnest(?::BIGINT[]))"
        return dict(self._rows(principal, sql, [list(numbers)]))

    def counts(self, principal: Principal) -> dict[str, Counts]:
        sums = ", ".join(f"sum({name})::BIGINT" for name in COUNTS.split(", "))
        rows = self._rows(principal, f"SELECT source, {sums} FROM commits WHERE source <> '' GROUP BY source ORDER BY source")
        return {source: Counts(*values) for source, *values in rows}

    def reading_tables(self, principal: Principal) -> list[ReadingTable]:
        principal.require_read()
        return list(self._catalogue.tables)

    def retractions(self, principal: Principal) -> list[Retraction]:
        principal.require_read()
        return list(self._catalogue.retractions)

    def relationship_rows(self, principal: Principal, *, as_of: int | None = None, known_at: int | None = None) -> pa.Table:
        return self._arrow(principal, self._graph.relationship_rows(as_of, known_at)).cast(RELATIONSHIP_SCHEMA)

    def history(self, principal: Principal, selection: Selection) -> pa.Table:
        if selection.lane == "observed" and selection.lifetimes is not None:
            found = self._told_once(principal, selection)
            if found is not None:
                return found
        return self._consistent(principal, lambda known: duckdb_sql.history(selection, known.tables, known.retractions)).cast(RECORD_SCHEMA)

    def _told_once(self, principal: Principal, selection: Selection) -> pa.Table | None:
        """History where law 1 has nothing to decide; else None."""
        while True:
            with self._swap:
                known = self._catalogue
            scans = duckdb_history.scans(selection, known.tables, known.retractions)
            with translated(self._path), _moment(self._cursor(principal)) as cursor:
                parts = [(scan, cursor.sql(scan.query.text, params=scan.query.values).to_arrow_table()) for scan in scans]
            with self._swap:
                if self._catalogue.retractions == known.retractions:
                    return duckdb_history.told_once(selection, parts)

    def window_totals(self, principal: Principal, selection: Selection, what: What) -> pa.Table:
        found = self._consistent(principal, lambda known: duckdb_sql.window_totals(selection, known.tables, known.retractions, what))
        return found.cast(TOTAL_SCHEMA)

    def latest(self, principal: Principal, selection: Selection, *, without: Retraction | None = None) -> pa.Table:
        also = [without] if without else []
        return self._consistent(principal, lambda known: duckdb_sql.latest(selection, known.tables, [*known.retractions, *also])).cast(
            RECORD_SCHEMA
        )

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
        also = [without] if without else []

        def rows() -> pa.Table:
            return self._consistent(
                principal,
                lambda known: duckdb_sql.readings(table, known.tables, [*known.retractions, *also], hours, at, (after, through), known_at),
            )

        if at is None:
            return rows()
        cursor = self._cursor(principal)
        cursor.register(duckdb_sql.WANTED, pa.table({"twin": at[0], "time": at[1]}))  # a list bound as a value costs five times as much
        try:
            return rows()
        finally:
            cursor.unregister(duckdb_sql.WANTED)

    def touched(self, principal: Principal, after: int, through: int) -> pa.Table:
        return self._consistent(principal, lambda known: duckdb_sql.touched(after, through, known.tables, known.retractions)).cast(
            TOUCHED_SCHEMA
        )

    def hidden_by(self, principal: Principal, retraction: Retraction) -> tuple[int, int]:
        query = duckdb_sql.hidden_by(retraction, self._catalogue.tables, self._catalogue.retractions)
        superseded, retracted = self._rows(principal, query.text, query.values)[0]
        return int(superseded), int(retracted)

    def hours(self, principal: Principal, contract: str) -> dict[int, int]:
        return duckdb_hours.read(lambda query, values: self._rows(principal, query, values), self._catalogue.tables, contract)

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
            rows = self._rows(
                principal,
                f'SELECT j.commit, source, revision, made_at, segment, "offset", length, {COUNTS} '
                "FROM journal j JOIN journal_counts c ON j.commit = c.commit WHERE j.commit = ?",
                [number],
            )
            for commit, source, revision, at, segment, offset, length, *counts in rows:
                frames = self._files.read(Place(segment, offset, length))
                yield JournalEntry(commit, contract, source, revision, at, frames, Counts(*counts))

    def journal_sizes(self, principal: Principal, contract: str, first: int, last: int) -> list[JournalSize]:
        rows = self._rows(
            principal,
            f"SELECT j.commit, length, {COUNTS} FROM journal j JOIN journal_counts c ON j.commit = c.commit "
            "WHERE contract = ? AND j.commit BETWEEN ? AND ? ORDER BY j.commit",
            [contract, first, last],
        )
        return [JournalSize(commit, length, Counts(*counts)) for commit, length, *counts in rows]

    def unjournalled(self, principal: Principal, contract: str, first: int, last: int) -> int:
        sources = {table.source for table in self._catalogue.tables if table.contract == contract}
        rows = self._rows(
            principal,
            "SELECT count(*) FROM commits WHERE kind = 'ingest' AND number BETWEEN ? AND ? AND source IN (SELECT unnest(?::VARCHAR[])) "
            "AND number NOT IN (SELECT commit FROM journal WHERE contract = ?)",
            [first, last, sorted(sources), contract],
        )
        return int(rows[0][0])

    def dead_letters(
        self, principal: Principal, *, contract: str | None = None, reason: str | None = None, status: str = "open", limit: int = 1000
    ) -> list[DeadLetter]:
        rows = self._rows(
            principal,
            f"SELECT {LETTER} FROM dead_letters WHERE status = ? AND (? IS NULL OR contract = ?) AND (? IS NULL OR reason = ?) "
            "ORDER BY id LIMIT ?",
            [status, contract, contract, reason, reason, limit],
        )
        return [letter(row) for row in rows]

    def dead_letter(self, principal: Principal, id: int) -> DeadLetter:
        rows = self._rows(principal, f"SELECT {LETTER} FROM dead_letters WHERE id = ?", [id])
        return the_letter(rows, id)

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

    def checkpoints(self, principal: Principal, consumer: str) -> pa.Table:
        query = Query("SELECT twin, time, body FROM checkpoints WHERE consumer = ? ORDER BY twin, time", [consumer])
        return self._arrow(principal, query).cast(CHECKPOINT_SCHEMA)

    def cells(self, principal: Principal, contract: str) -> tuple[int, pa.Table]:
        through = self._rows(principal, "SELECT through FROM cells_through WHERE contract = ?", [contract])
        columns = ", ".join(CELL_SCHEMA.names)
        query = Query(f"SELECT {columns} FROM cells WHERE contract = ?", [contract])
        return (int(through[0][0]) if through else 0), self._arrow(principal, query).cast(CELL_SCHEMA)

    # --- records -----------------------------------------------------------------------------------------------------

    def get_record(self, principal: Principal, kind: str, id: str) -> Record:
        rows = self._rows(
            principal,
            f"SELECT {RECORD} FROM records WHERE kind = ? AND (id = ? OR starts_with(id, ?)) "
            "QUALIFY row_number() OVER (PARTITION BY id ORDER BY commit DESC) = 1 ORDER BY id LIMIT 5",
            [kind, id, id],
        )
        return the_record(rows, kind, id)

    def records(self, principal: Principal, kind: str) -> list[Record]:
        rows = self._rows(
            principal,
            f"SELECT {RECORD} FROM records WHERE kind = ? "
            "QUALIFY row_number() OVER (PARTITION BY id ORDER BY commit DESC) = 1 ORDER BY commit",
            [kind],
        )
        return [record(row) for row in rows]

    def records_of_digest(self, principal: Principal, kind: str, digests: Collection[str]) -> list[Record]:
        heads = list({int(one[:16], 16) for one in digests})
        asked = "SELECT id, commit FROM record_digests WHERE kind = ? AND head IN (SELECT unnest(?::UBIGINT[]))"
        places = self._rows(principal, asked, [kind, heads])
        if not places:
            return []
        commits, ids = [commit for _, commit in places], list({id for id, _ in places})
        rows = self._rows(
            principal,
            f"SELECT {RECORD} FROM records WHERE kind = ? AND commit BETWEEN ? AND ? AND id IN (SELECT unnest(?::VARCHAR[])) "
            "QUALIFY row_number() OVER (PARTITION BY id ORDER BY commit DESC) = 1 ORDER BY commit",
            [kind, min(commits), max(commits), ids],
        )
        return [one for one in map(record, rows) if one.body.get("digest") in digests]

    def versions(self, principal: Principal, kind: str, id: str) -> Iterator[Record]:
        rows = self._rows(
            principal,
            f"SELECT {RECORD} FROM records WHERE kind = ? AND id = ? ORDER BY commit",
            [kind, id],
        )
        return iter([record(row) for row in rows])

    def record_versions(self, principal: Principal, kinds: Collection[str], after: int, through: int) -> list[Record]:
        sql = f"SELECT {RECORD} FROM records WHERE commit > ? AND commit <= ? AND kind IN (SELECT unnest(?::VARCHAR[]))"
        return [record(row) for row in self._rows(principal, f"{sql} ORDER BY commit, kind, id", [after, through, list(kinds)])]
