"""One transaction of the DuckDB engine: writes go through it, and nothing else writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from twinwright.storage import duckdb_expiry, duckdb_hours, duckdb_sql
from twinwright.storage.expiry import Expiry
from twinwright.storage.graph_rows import lifetimes_table, relationships_table, stored_relationships
from twinwright.storage.journal_files import JournalFiles
from twinwright.storage.layout import Counts, DeadLetter, KeptReceipt, Lifetime, Move, ReadingColumn, ReadingTable, Relationship, Retraction
from twinwright.storage.log_line import LogLine, moved_positions, require_revision
from twinwright.storage.protocol import CELL_SCHEMA, CHECKPOINT_SCHEMA, VALUE_SCHEMA
from twinwright.storage.record_text import digest_head, record_texts
from twinwright.storage.rows import counts_row, letters_table

_MANY = 256  # records that are put as columns


@dataclass(slots=True)
class Catalogue:
    """What the store knows of itself; small, and copied for each transaction."""

    tables: list[ReadingTable] = field(default_factory=list)
    retractions: list[Retraction] = field(default_factory=list)
    next_dead_letter: int = 1

    def copy(self) -> Catalogue:
        return Catalogue(list(self.tables), list(self.retractions), self.next_dead_letter)


class DuckDBTransaction(LogLine):
    """Built by the store under its writer lock; `catalogue` is a private copy that replaces the store's at commit."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        files: JournalFiles,
        commit: int,
        at: int,
        principal: str,
        kind: str,
        catalogue: Catalogue,
    ) -> None:
        super().__init__(commit, at, principal, kind)
        self._con = connection
        self._files = files
        self.catalogue = catalogue

    def append_readings(self, table: ReadingTable, rows: pa.Table, *, sightings: bool = False) -> None:
        self._insert(f"{'sightings' if sightings else 'readings'}_{table.number}", rows)

    def append_values(self, rows: pa.Table) -> None:
        rows = rows.select(VALUE_SCHEMA.names).cast(VALUE_SCHEMA)
        self._insert("observed_values", rows.add_column(0, "commit", pa.array([self.commit] * len(rows), pa.int64())))

    def journal(self, contract: str, source: str, revision: int, frames: bytes, counts: Counts) -> None:
        place = self._files.append(frames)
        values = [self.commit, contract, source, revision, self.at, place.segment, place.offset, place.length]
        self._con.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        self._con.execute("INSERT INTO journal_counts VALUES (?, ?, ?, ?, ?, ?, ?)", [self.commit, *counts_row(counts)])

    def expire_journal(self, contract: str, before: int) -> None:
        """Forget entries made before a time; their frames are the store's to delete once this is durable."""
        old = "SELECT commit FROM journal WHERE contract = ? AND made_at < ?"
        self._con.execute(f"DELETE FROM journal_counts WHERE commit IN ({old})", [contract, before])
        self._con.execute("DELETE FROM journal WHERE contract = ? AND made_at < ?", [contract, before])
        self._detail.append(f"journal of {contract}")

    def adjust_journal(self, commit: int, change: Counts) -> None:
        self._con.execute(
            "UPDATE journal_counts SET received = received + ?, accepted = accepted + ?, duplicate = duplicate + ?, "
            "dead_lettered = dead_lettered + ?, late = late + ?, conflict = conflict + ? WHERE commit = ?",
            [*counts_row(change), commit],
        )

    def move_positions(self, contract: str, moves: Sequence[Move]) -> None:
        if not moves:
            return
        held = "SELECT stream, next FROM positions WHERE contract = ? AND stream IN (SELECT unnest(?::VARCHAR[]))"
        stored = dict(self._con.execute(held, [contract, [stream for stream, _, _ in moves]]).fetchall())
        now = moved_positions(contract, moves, stored)
        replace = "INSERT OR REPLACE INTO positions SELECT ?, unnest(?::VARCHAR[]), unnest(?::BIGINT[])"
        self._con.execute(replace, [contract, list(now), list(now.values())])

    def require_revision(self, contract: str, revision: int) -> None:
        require_revision(contract, revision, self.catalogue.tables)

    def kept_receipt(self, contract: str, key: str) -> KeptReceipt | None:
        sql = "SELECT contract, key, digest, receipt, made_at FROM receipts WHERE contract = ? AND key = ?"
        found = self._con.execute(sql, [contract, key]).fetchall()
        return KeptReceipt(*found[0]) if found else None

    def keep_receipt(self, receipt: KeptReceipt) -> None:
        values = [receipt.contract, receipt.key, receipt.digest, receipt.receipt, receipt.at]
        self._con.execute("INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?, ?)", values)

    def expire_receipts(self, before: int, most: int) -> None:
        """Those older than a time, and all but the newest; see `Store.expire_receipts`."""
        newest = "SELECT contract, key FROM receipts WHERE made_at >= ? ORDER BY made_at DESC, contract, key LIMIT ?"
        self._con.execute(f"DELETE FROM receipts WHERE (contract, key) NOT IN ({newest})", [before, most])
        self._detail.append("receipts")

    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        if not letters:
            return
        first = self.catalogue.next_dead_letter
        self.catalogue.next_dead_letter += len(letters)
        self._insert("dead_letters", letters_table(letters, first, self.commit, self.at))

    def close_dead_letters(self, ids: Sequence[int], status: str) -> None:
        self._con.execute(
            "UPDATE dead_letters SET status = ?, closed = ? WHERE status = 'open' AND id IN (SELECT unnest(?::BIGINT[]))",
            [status, self.commit, list(ids)],
        )

    def close_dead_letters_of(self, contract: str, first: int, last: int, status: str) -> None:
        self._con.execute(
            "UPDATE dead_letters SET status = ?, closed = ? WHERE status = 'open' AND contract = ? AND origin BETWEEN ? AND ?",
            [status, self.commit, contract, first, last],
        )

    def expire_dead_letters(self, before: int) -> int:
        """Those that are open and older lose their payload; how many."""
        rows = self._con.execute(
            "UPDATE dead_letters SET status = 'expired', closed = ?, payload = ''::BLOB WHERE status = 'open' AND made_at < ?",
            [self.commit, before],
        ).fetchall()
        self._detail.append(f"{rows[0][0]} dead letters")
        return int(rows[0][0])

    def retract(self, contract: str, first: int, last: int, below: int) -> None:
        retraction = Retraction(self.commit, contract, first, last, below)
        self.catalogue.retractions.append(retraction)
        self._con.execute("INSERT INTO retractions VALUES (?, ?, ?, ?, ?)", [self.commit, contract, first, last, below])

    def put_record(self, kind: str, id: str, body: Mapping[str, Any]) -> None:
        self.put_records(kind, {id: body})

    def put_records(self, kind: str, bodies: Mapping[str, Mapping[str, Any]]) -> None:
        texts = record_texts(bodies.values())
        heads = {id: head for id, body in bodies.items() if (head := digest_head(body)) is not None}
        if len(bodies) >= _MANY:
            self._put_many(kind, list(bodies), texts, heads)
            return
        insert = "INSERT INTO records SELECT ?, unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), ?, ?, ?"
        self._con.execute(insert, [kind, list(bodies), texts, self.commit, self.at, self._principal])
        if heads:
            insert = "INSERT INTO record_digests SELECT ?, unnest(?::UBIGINT[]), unnest(?::VARCHAR[]), ?"
            self._con.execute(insert, [kind, list(heads.values()), list(heads), self.commit])

    def _put_many(self, kind: str, ids: list[str], texts: list[str], heads: Mapping[str, int]) -> None:
        """As columns, which takes a third less for a thousand, and twice as long for one."""
        kinds, commits = pa.repeat(kind, len(ids)), pa.repeat(pa.scalar(self.commit, pa.int64()), len(ids))
        made = pa.repeat(pa.scalar(self.at, pa.int64()), len(ids)), pa.repeat(self._principal, len(ids))
        columns = kinds, pa.array(ids, pa.string()), pa.array(texts, pa.string()), commits, *made
        self._insert("records", pa.table(columns, ["kind", "id", "body", "commit", "made_at", "principal"]))
        if heads:
            found = pa.array(list(heads.values()), pa.uint64()), pa.array(list(heads), pa.string())
            digests = kinds[: len(heads)], *found, commits[: len(heads)]
            self._insert("record_digests", pa.table(digests, ["kind", "head", "id", "commit"]))

    def create_reading_table(self, contract: str, source: str, revision: int, columns: Sequence[ReadingColumn]) -> ReadingTable:
        number = 1 + max((table.number for table in self.catalogue.tables), default=0)
        table = ReadingTable(number, contract, source, revision, tuple(columns))
        for statement in duckdb_sql.create_reading_tables(table):
            self._con.execute(statement)
        text = json.dumps([asdict(column) for column in columns])
        self._con.execute("INSERT INTO reading_tables VALUES (?, ?, ?, ?, ?)", [number, contract, source, revision, text])
        self.catalogue.tables.append(table)
        return table

    def declare_twins(self, lifetimes: Sequence[Lifetime]) -> None:
        if lifetimes:
            self._insert("lifetimes", lifetimes_table(lifetimes, self.commit))

    def declare_relationships(self, relationships: Sequence[Relationship]) -> None:
        if relationships:
            self._insert("relationships", relationships_table(relationships, self.commit))

    def append_relationships(self, rows: pa.Table) -> None:
        self._insert("relationships", stored_relationships(rows, self.commit))

    def save_cells(self, contract: str, through: int, rows: pa.Table, *, replace: bool) -> None:
        rows = rows.select(CELL_SCHEMA.names).cast(CELL_SCHEMA)
        self._con.register("fresh_cells", rows)
        try:
            if replace:
                self._con.execute("DELETE FROM cells WHERE contract = ?", [contract])
            else:
                self._con.execute("DELETE FROM cells WHERE contract = ? AND twin IN (SELECT DISTINCT twin FROM fresh_cells)", [contract])
            self._con.execute("INSERT INTO cells SELECT ?, * FROM fresh_cells", [contract])
            self._con.execute("INSERT OR REPLACE INTO cells_through VALUES (?, ?)", [contract, through])
            duckdb_hours.keep(self._con, self.catalogue.tables, contract, through)
        finally:
            self._con.unregister("fresh_cells")

    def let_go(self, expiry: Expiry) -> int:
        gone = duckdb_expiry.let_go(self._con, expiry)
        duckdb_hours.count_again(self._con, self.catalogue.tables, expiry)
        return gone

    def put_rollups(self, rows: pa.Table) -> None:
        duckdb_expiry.put_rollups(self._con, self.commit, rows)

    def let_go_rollups(self, width: int, twins: Sequence[int], path: str, before: int) -> int:
        return duckdb_expiry.let_go_rollups(self._con, width, twins, path, before)

    def put_checkpoints(self, consumer: str, rows: pa.Table) -> None:
        rows = rows.select(CHECKPOINT_SCHEMA.names).cast(CHECKPOINT_SCHEMA)
        self.drop_checkpoints(consumer, rows["twin"].to_pylist(), rows["time"].to_pylist())
        self._insert("checkpoints", rows.add_column(0, "consumer", pa.array([consumer] * len(rows), pa.string())))

    def drop_checkpoints(self, consumer: str, twins: Sequence[int], times: Sequence[int]) -> None:
        # There is no index: one would still know rows that this transaction has deleted, and refuse them.
        pairs = "(SELECT unnest(?::INTEGER[]), unnest(?::BIGINT[]))"
        self._con.execute(f"DELETE FROM checkpoints WHERE consumer = ? AND (twin, time) IN {pairs}", [consumer, list(twins), list(times)])

    def finish(self) -> None:
        """The last act: this commit's line of the log."""
        self._con.execute("INSERT INTO commits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self.line)

    def _insert(self, name: str, rows: pa.Table) -> None:
        """`name` is one of ours, never from outside."""
        self._con.register("fresh_rows", rows)
        try:
            self._con.execute(f"INSERT INTO {name} SELECT * FROM fresh_rows")
        finally:
            self._con.unregister("fresh_rows")
