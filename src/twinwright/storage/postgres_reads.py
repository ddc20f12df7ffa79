"""What is read of a store in PostgreSQL: each answer from one snapshot, whoever writes meanwhile."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.governance.principals import Principal
from twinwright.storage import postgres_blocks, postgres_sql
from twinwright.storage.graph_reads import GraphReads
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
from twinwright.storage.postgres_connections import Connection, Connections
from twinwright.storage.postgres_rows import NEWEST_RECORD, OF_EACH, catalogue, copied, fetch, retractions, tables
from twinwright.storage.postgres_transaction import Catalogue, reading_schema
from twinwright.storage.protocol import CELL_SCHEMA, CHECKPOINT_SCHEMA, RECORD_SCHEMA, RELATIONSHIP_SCHEMA, TOUCHED_SCHEMA
from twinwright.storage.query import Query, sightings_matter
from twinwright.storage.records import Record
from twinwright.storage.rows import COUNTS, LETTER, RECORD, letter, record, the_letter, the_record
from twinwright.storage.totals import TOTAL_SCHEMA, What


class PostgresReads(GraphReads):
    """The reading half of a store; the other half (`PostgresStore`) makes the connections."""

    _connections: Connections
    _graph = postgres_sql.GRAPH

    def _rows(self, principal: Principal, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        principal.require_read()
        return self._connections.read(lambda connection: fetch(connection, sql, *values))

    def _found(self, principal: Principal, query: Query) -> list[tuple[Any, ...]]:
        query = postgres_sql.spelled(query)
        return self._rows(principal, query.text, *query.values)

    def _arrow(self, principal: Principal, schema: pa.Schema, query: Callable[[Catalogue], Query], *, few: bool = False) -> pa.Table:
        """Rows, and the tables and retractions that they are read by, of one moment; `few` as those of some twins are."""

        def read(connection: Connection) -> pa.Table:
            if few:  # of a table that the server has not looked through yet it believes that its ranges tell nothing
                connection.execute("SET LOCAL enable_seqscan = off")
            return copied(connection, query(catalogue(connection)), schema)

        principal.require_read()
        return self._connections.read(read)

    def _records(
        self,
        principal: Principal,
        selection: Selection,
        query: Callable[[Selection, Sequence[ReadingTable], Sequence[Retraction]], Query],
    ) -> pa.Table:
        few = postgres_sql.is_few(selection)
        return self._arrow(principal, RECORD_SCHEMA, lambda known: query(selection, known.tables, known.retractions), few=few)

    @staticmethod
    def _newest(connection: Connection) -> int:
        return int(fetch(connection, "SELECT coalesce(max(number), 0) FROM commits")[0][0])

    def size(self, principal: Principal) -> int:
        mine = "SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace(current_schema())"
        return int(self._rows(principal, f"SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM ({mine}) AS mine")[0][0])

    def unused(self, principal: Principal) -> int:
        principal.require_read()
        return 0  # no opening gives any back: autovacuum makes room for what comes next

    def torn_logs(self, principal: Principal) -> list[str]:
        principal.require_read()
        return []  # the server looks after its own

    def last_commit(self, principal: Principal) -> int:
        principal.require_read()
        return self._connections.read(self._newest)

    def commit_at(self, principal: Principal, at: int) -> int:
        return int(self._rows(principal, "SELECT coalesce(max(number), 0) FROM commits WHERE made_at <= %s", at)[0][0])

    def commits(self, principal: Principal, *, first: int = 1, last: int | None = None, kind: str | None = None) -> list[Commit]:
        rows = self._rows(
            principal,
            f"SELECT number, made_at, kind, source, principal, detail, {COUNTS} FROM commits WHERE number >= %s "
            "AND (%s::bigint IS NULL OR number <= %s) AND (%s::text IS NULL OR kind = %s) ORDER BY number",
            *(first, last, last, kind, kind),
        )
        return [Commit(n, at, k, source, who, Counts(*counts), detail) for n, at, k, source, who, detail, *counts in rows]

    def commit_times(self, principal: Principal, numbers: Collection[int]) -> dict[int, int]:
        return dict(self._rows(principal, "SELECT number, made_at FROM commits WHERE number = ANY(%s::bigint[])", list(numbers)))

    def counts(self, principal: Principal) -> dict[str, Counts]:
        sums = ", ".join(f"sum({name})::bigint" for name in COUNTS.split(", "))
        rows = self._rows(principal, f"SELECT source, {sums} FROM commits WHERE source <> '' GROUP BY source ORDER BY source")
        return {source: Counts(*values) for source, *values in rows}

    def reading_tables(self, principal: Principal) -> list[ReadingTable]:
        principal.require_read()
        return self._connections.read(tables)

    def retractions(self, principal: Principal) -> list[Retraction]:
        principal.require_read()
        return self._connections.read(retractions)

    def relationship_rows(self, principal: Principal, *, as_of: int | None = None, known_at: int | None = None) -> pa.Table:
        query = postgres_sql.spelled(self._graph.relationship_rows(as_of, known_at))
        return self._arrow(principal, RELATIONSHIP_SCHEMA, lambda _: query)

    def history(self, principal: Principal, selection: Selection) -> pa.Table:
        return self._records(principal, selection, postgres_sql.history)

    def window_totals(self, principal: Principal, selection: Selection, what: What) -> pa.Table:
        def asked(known: Catalogue) -> Query:
            return postgres_sql.window_totals(selection, known.tables, known.retractions, what)

        return self._arrow(principal, TOTAL_SCHEMA, asked)

    def latest(self, principal: Principal, selection: Selection, *, without: Retraction | None = None) -> pa.Table:
        also = [without] if without else []
        return self._records(
            principal, selection, lambda chosen, tables, retractions: postgres_sql.latest(chosen, tables, [*retractions, *also])
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
        also, schema = [without] if without else [], reading_schema(table)

        def read(connection: Connection) -> pa.Table:
            known = catalogue(connection)
            if after is not None and through is not None and all(one is None for one in (hours, at, without, known_at)):
                sightings = sightings_matter(table, known.tables, known.retractions)
                rows = postgres_blocks.told(connection, table, schema, after, through, sightings=sightings)
                if rows is not None:
                    return rows
            query = postgres_sql.readings(table, known.tables, [*known.retractions, *also], hours, at, (after, through), known_at)
            return copied(connection, query, schema)

        principal.require_read()
        return self._connections.read(read)

    def touched(self, principal: Principal, after: int, through: int) -> pa.Table:
        return self._arrow(principal, TOUCHED_SCHEMA, lambda known: postgres_sql.touched(after, through, known.tables, known.retractions))

    def hidden_by(self, principal: Principal, retraction: Retraction) -> tuple[int, int]:
        def count(connection: Connection) -> tuple[int, int]:
            known = catalogue(connection)
            query = postgres_sql.hidden_by(retraction, known.tables, known.retractions)
            superseded, retracted = fetch(connection, query.text, *query.values)[0]
            return int(superseded), int(retracted)

        principal.require_read()
        return self._connections.read(count)

    def hours(self, principal: Principal, contract: str) -> dict[int, int]:
        return dict(self._rows(principal, "SELECT hour, readings FROM reading_hours WHERE contract = %s ORDER BY hour", contract))

    def newest_by_commit(self, principal: Principal, contract: str, first: int) -> list[tuple[int, int]]:
        def newest(connection: Connection) -> list[tuple[int, int]]:
            query = "SELECT made_at, max(time) FROM readings_{} JOIN commits ON number = commit WHERE commit >= %s AND kind = 'ingest' "
            query += "GROUP BY number, made_at ORDER BY number"
            mine = [table.number for table in tables(connection) if table.contract == contract]
            return [row for number in mine for row in fetch(connection, query.format(number), first)]

        principal.require_read()
        return self._connections.read(newest)

    def position(self, principal: Principal, contract: str, stream: str) -> int:
        rows = self._rows(principal, "SELECT next FROM positions WHERE contract = %s AND stream = %s", contract, stream)
        return int(rows[0][0]) if rows else 0

    def journal_entries(self, principal: Principal, contract: str, first: int, last: int) -> Iterator[JournalEntry]:
        where = "contract = %s AND commit BETWEEN %s AND %s"
        numbers = self._rows(principal, f"SELECT commit FROM journal WHERE {where} ORDER BY commit", contract, first, last)

        def entry(connection: Connection, number: int) -> list[JournalEntry]:
            of = "WHERE contract = %s AND commit = %s"
            rows = fetch(connection, f"SELECT source, revision, made_at, day, {COUNTS} FROM journal {of}", contract, number)
            return [
                JournalEntry(number, contract, source, revision, at, bytes(frames), Counts(*counts))
                for source, revision, at, day, *counts in rows
                for (frames,) in fetch(connection, f"SELECT frames FROM journal_{int(day)} {of}", contract, number)
            ]

        for (number,) in numbers:  # one at a time: a window may be larger than memory
            yield from self._connections.read(functools.partial(entry, number=number))

    def journal_sizes(self, principal: Principal, contract: str, first: int, last: int) -> list[JournalSize]:
        where = "WHERE contract = %s AND commit BETWEEN %s AND %s"
        rows = self._rows(principal, f"SELECT commit, day, {COUNTS} FROM journal {where} ORDER BY commit", contract, first, last)
        bytes_of: dict[int, int] = {}
        for day in {int(row[1]) for row in rows}:
            sizes = self._rows(principal, f"SELECT commit, octet_length(frames) FROM journal_{day} {where}", contract, first, last)
            bytes_of.update((commit, size) for commit, size in sizes)
        return [JournalSize(commit, bytes_of.get(commit, 0), Counts(*counts)) for commit, _, *counts in rows]

    def unjournalled(self, principal: Principal, contract: str, first: int, last: int) -> int:
        rows = self._rows(
            principal,
            "SELECT count(*) FROM commits c WHERE kind = 'ingest' AND number BETWEEN %s AND %s "
            "AND source IN (SELECT source FROM reading_tables WHERE contract = %s) "
            "AND NOT EXISTS (SELECT 1 FROM journal j WHERE j.contract = %s AND j.commit = c.number)",
            *(first, last, contract, contract),
        )
        return int(rows[0][0])

    def dead_letters(
        self, principal: Principal, *, contract: str | None = None, reason: str | None = None, status: str = "open", limit: int = 1000
    ) -> list[DeadLetter]:
        rows = self._rows(
            principal,
            f"SELECT {LETTER} FROM dead_letters WHERE status = %s AND (%s::text IS NULL OR contract = %s) "
            "AND (%s::text IS NULL OR reason = %s) ORDER BY id LIMIT %s",
            *(status, contract, contract, reason, reason, limit),
        )
        return [letter(row) for row in rows]

    def dead_letter(self, principal: Principal, id: int) -> DeadLetter:
        rows = self._rows(principal, f"SELECT {LETTER} FROM dead_letters WHERE id = %s", id)
        return the_letter(rows, id)

    def dead_letter_counts(self, principal: Principal, *, contract: str | None = None) -> dict[str, int]:
        rows = self._rows(
            principal,
            "SELECT reason, count(*) FROM dead_letters WHERE status = 'open' AND (%s::text IS NULL OR contract = %s) "
            "GROUP BY reason ORDER BY reason",
            *(contract, contract),
        )
        return {reason: int(count) for reason, count in rows}

    def dead_letter_groups(self, principal: Principal, *, contract: str | None = None, status: str = "open") -> list[LetterGroup]:
        rows = self._rows(
            principal,
            "SELECT contract, source, reason, count(*), min(made_at), max(made_at) FROM dead_letters "
            "WHERE status = %s AND (%s::text IS NULL OR contract = %s) GROUP BY contract, source, reason ORDER BY 4 DESC, 1, 2, 3",
            *(status, contract, contract),
        )
        return [LetterGroup(*row) for row in rows]

    def checkpoints(self, principal: Principal, consumer: str) -> pa.Table:
        query = Query("SELECT twin, time, body FROM checkpoints WHERE consumer = %s ORDER BY twin, time", [consumer])
        return self._arrow(principal, CHECKPOINT_SCHEMA, lambda _: query)

    def cells(self, principal: Principal, contract: str) -> tuple[int, pa.Table]:
        def both(connection: Connection) -> tuple[int, pa.Table]:
            through = fetch(connection, "SELECT through FROM cells_through WHERE contract = %s", contract)
            query = Query(f"SELECT {postgres_sql.CELL_COLUMNS} FROM cells WHERE contract = %s", [contract])
            return (int(through[0][0]) if through else 0), copied(connection, query, CELL_SCHEMA)

        principal.require_read()
        return self._connections.read(both)

    # --- records -----------------------------------------------------------------------------------------------------

    def get_record(self, principal: Principal, kind: str, id: str) -> Record:
        rows = self._rows(
            principal, f"{NEWEST_RECORD} WHERE kind = %s AND (id = %s OR starts_with(id, %s)) {OF_EACH} LIMIT 5", kind, id, id
        )
        return the_record(rows, kind, id)

    def records(self, principal: Principal, kind: str) -> list[Record]:
        rows = self._rows(principal, f"SELECT * FROM ({NEWEST_RECORD} WHERE kind = %s {OF_EACH}) AS newest ORDER BY commit", kind)
        return [record(row) for row in rows]

    def records_of_digest(self, principal: Principal, kind: str, digests: Collection[str]) -> list[Record]:
        newest = f"{NEWEST_RECORD} WHERE kind = %s AND {postgres_sql.RECORD_DIGEST} = ANY(%s::text[]) {OF_EACH}"
        rows = self._rows(principal, f"SELECT * FROM ({newest}) AS newest ORDER BY commit", kind, list(digests))
        return [record(row) for row in rows]

    def versions(self, principal: Principal, kind: str, id: str) -> Iterator[Record]:
        rows = self._rows(principal, f"SELECT {RECORD} FROM records WHERE kind = %s AND id = %s ORDER BY commit", kind, id)
        return iter([record(row) for row in rows])

    def record_versions(self, principal: Principal, kinds: Collection[str], after: int, through: int) -> list[Record]:
        sql = f"SELECT {RECORD} FROM records WHERE commit > %s AND commit <= %s AND kind = ANY(%s::text[])"
        return [record(row) for row in self._rows(principal, f"{sql} ORDER BY commit, kind, id", after, through, list(kinds))]
