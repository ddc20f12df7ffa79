"""One transaction of the PostgreSQL engine: writes go through it, and nothing else writes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from twinwright.clock import HOUR
from twinwright.errors import StoreError
from twinwright.storage import postgres_bulk, postgres_expiry, postgres_sql
from twinwright.storage.expiry import Expiry
from twinwright.storage.graph_rows import lifetimes_table, relationships_table, stored_relationships
from twinwright.storage.layout import (
    ColumnType,
    Counts,
    DeadLetter,
    KeptReceipt,
    Lifetime,
    Move,
    ReadingColumn,
    ReadingTable,
    Relationship,
    Retraction,
)
from twinwright.storage.log_line import LogLine, moved_positions, require_revision
from twinwright.storage.postgres_blocks import Blocks
from twinwright.storage.postgres_connections import Connection
from twinwright.storage.postgres_copy import pieces
from twinwright.storage.protocol import CELL_SCHEMA, CHECKPOINT_SCHEMA, VALUE_SCHEMA
from twinwright.storage.record_text import record_texts
from twinwright.storage.rows import counts_row, letters_table

DAY = 24 * HOUR
_FEW = 1_000  # rows
_ARROW: dict[ColumnType, pa.DataType] = {
    "DOUBLE": pa.float64(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "VARCHAR": pa.string(),
}


@dataclass(slots=True)
class Catalogue:
    """What the store knows of itself at one commit; small."""

    tables: list[ReadingTable] = field(default_factory=list)
    retractions: list[Retraction] = field(default_factory=list)

    def copy(self) -> Catalogue:
        return Catalogue(list(self.tables), list(self.retractions))


def reading_schema(table: ReadingTable) -> pa.Schema:
    """The Arrow types of a reading table's rows."""
    types: dict[str, pa.DataType] = {"twin": pa.int32(), "marks": pa.int8()}
    types |= {f"v{j}": _ARROW[column.type] for j, column in enumerate(table.columns)}
    return pa.schema([(name, types.get(name, pa.int64())) for name in table.names])


class PostgresTransaction(LogLine):
    """Built by the store when it holds the writers' lock; `catalogue` is a copy that replaces the store's."""

    def __init__(
        self, connection: Connection, commit: int, at: int, principal: str, kind: str, catalogue: Catalogue, blocks: Blocks
    ) -> None:
        super().__init__(commit, at, principal, kind)
        self._con = connection
        self.blocks = blocks
        self.catalogue = catalogue
        self.batch = uuid.uuid4()  # by which the commit is known again, should the connection be lost while it is made
        self.grown: set[int] = set()  # reading tables that a large batch was appended to

    def append_readings(self, table: ReadingTable, rows: pa.Table, *, sightings: bool = False) -> None:
        rows = postgres_bulk.given(rows.select(table.names).cast(reading_schema(table)))
        self.blocks.add(table, rows, sightings=sightings)
        by_twin = np.lexsort((rows["time"].to_numpy(), rows["twin"].to_numpy()))  # neighbours in the index: a third off the whole COPY
        name = f"sightings_{table.number}" if sightings else postgres_bulk.table_for(self._con, table.number, len(rows))
        if not sightings and len(rows) >= postgres_bulk.LARGE:
            self.grown.add(table.number)
        rows = rows.take(by_twin)
        self._copy(f"{name} ({', '.join(rows.column_names)})", rows)
        if not sightings and len(rows):
            hours, counts = np.unique(rows["time"].to_numpy() // HOUR, return_counts=True)
            self._con.execute(
                "INSERT INTO reading_hours SELECT %s, unnest(%s::bigint[]), unnest(%s::bigint[]) "
                "ON CONFLICT (contract, hour) DO UPDATE SET readings = reading_hours.readings + excluded.readings",
                [table.contract, hours.tolist(), counts.tolist()],
            )

    def append_values(self, rows: pa.Table) -> None:
        rows = rows.select(VALUE_SCHEMA.names).cast(VALUE_SCHEMA)
        self._copy("observed_values", rows.add_column(0, "commit", pa.array([self.commit] * len(rows), pa.int64())))

    def journal(self, contract: str, source: str, revision: int, frames: bytes, counts: Counts) -> None:
        day = self.at // DAY
        found = self._con.execute("SELECT to_regclass(%s)", [f"journal_{day}"]).fetchone()
        if not found or found[0] is None:
            self._con.execute(postgres_sql.create_journal_day(day))
        self._con.execute(f"INSERT INTO journal_{day} VALUES (%s, %s, %b)", [contract, self.commit, frames])
        self._con.execute(
            "INSERT INTO journal VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [self.commit, contract, source, revision, self.at, day, *counts_row(counts)],
        )

    def expire_journal(self, contract: str, before: int) -> None:
        """Forget entries made before a time. A day that no entry names any more is dropped whole, which gives its space back."""
        days = self._con.execute(
            "WITH gone AS (DELETE FROM journal WHERE contract = %s AND made_at < %s RETURNING day) SELECT DISTINCT day FROM gone",
            [contract, before],
        ).fetchall()
        for (day,) in days:
            named = self._con.execute("SELECT 1 FROM journal WHERE day = %s LIMIT 1", [day]).fetchone()
            if named is None:
                self._con.execute(f"DROP TABLE journal_{int(day)}")
            else:
                kept = "SELECT commit FROM journal WHERE contract = %s"
                self._con.execute(f"DELETE FROM journal_{int(day)} WHERE contract = %s AND commit NOT IN ({kept})", [contract, contract])
        self._detail.append(f"journal of {contract}")

    def adjust_journal(self, commit: int, change: Counts) -> None:
        self._con.execute(
            "UPDATE journal SET received = received + %s, accepted = accepted + %s, duplicate = duplicate + %s, "
            "dead_lettered = dead_lettered + %s, late = late + %s, conflict = conflict + %s WHERE commit = %s",
            [*counts_row(change), commit],
        )

    def move_positions(self, contract: str, moves: Sequence[Move]) -> None:
        if not moves:
            return
        held = "SELECT stream, next FROM positions WHERE contract = %s AND stream = ANY(%s::text[])"
        stored: dict[str, int] = dict(self._con.execute(held, [contract, [stream for stream, _, _ in moves]]).fetchall())
        now = moved_positions(contract, moves, stored)
        self._con.execute(
            "INSERT INTO positions SELECT %s, * FROM unnest(%s::text[], %s::bigint[]) "
            "ON CONFLICT (contract, stream) DO UPDATE SET next = excluded.next",
            [contract, list(now), list(now.values())],
        )

    def require_revision(self, contract: str, revision: int) -> None:
        require_revision(contract, revision, self.catalogue.tables)

    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        if not letters:
            return
        newest = self._con.execute("SELECT coalesce(max(id), 0) FROM dead_letters").fetchone()
        first = 1 + (newest[0] if newest else 0)
        self._copy("dead_letters", letters_table(letters, first, self.commit, self.at))

    def close_dead_letters(self, ids: Sequence[int], status: str) -> None:
        self._con.execute(
            "UPDATE dead_letters SET status = %s, closed = %s WHERE status = 'open' AND id = ANY(%s::bigint[])",
            [status, self.commit, list(ids)],
        )

    def close_dead_letters_of(self, contract: str, first: int, last: int, status: str) -> None:
        self._con.execute(
            "UPDATE dead_letters SET status = %s, closed = %s WHERE status = 'open' AND contract = %s AND origin BETWEEN %s AND %s",
            [status, self.commit, contract, first, last],
        )

    def expire_dead_letters(self, before: int) -> int:
        """Those that are open and older lose their payload; how many."""
        expired = self._con.execute(
            "UPDATE dead_letters SET status = 'expired', closed = %s, payload = '' WHERE status = 'open' AND made_at < %s",
            [self.commit, before],
        ).rowcount
        self._detail.append(f"{expired} dead letters")
        return expired

    def retract(self, contract: str, first: int, last: int, below: int) -> None:
        self.catalogue.retractions.append(Retraction(self.commit, contract, first, last, below))
        self._con.execute("INSERT INTO retractions VALUES (%s, %s, %s, %s, %s)", [self.commit, contract, first, last, below])
        self.blocks.forget()

    def kept_receipt(self, contract: str, key: str) -> KeptReceipt | None:
        query = "SELECT contract, key, digest, receipt, made_at FROM receipts WHERE contract = %s AND key = %s"
        found = self._con.execute(query, [contract, key]).fetchone()
        return KeptReceipt(*found) if found else None

    def keep_receipt(self, receipt: KeptReceipt) -> None:
        self._con.execute(
            "INSERT INTO receipts VALUES (%s, %s, %s, %s, %s) ON CONFLICT (contract, key) "
            "DO UPDATE SET digest = excluded.digest, receipt = excluded.receipt, made_at = excluded.made_at",
            [receipt.contract, receipt.key, receipt.digest, receipt.receipt, receipt.at],
        )

    def expire_receipts(self, before: int, most: int) -> None:
        """Those older than a time, and all but the newest; see `Store.expire_receipts`."""
        newest = "SELECT contract, key FROM receipts WHERE made_at >= %s ORDER BY made_at DESC, contract, key LIMIT %s"
        self._con.execute(f"DELETE FROM receipts WHERE (contract, key) NOT IN ({newest})", [before, most])
        self._detail.append("receipts")

    def put_record(self, kind: str, id: str, body: Mapping[str, Any]) -> None:
        self.put_records(kind, {id: body})

    def put_records(self, kind: str, bodies: Mapping[str, Mapping[str, Any]]) -> None:
        texts = record_texts(bodies.values())
        insert = "INSERT INTO records SELECT %s, unnest(%s::text[]), unnest(%s::text[]), %s, %s, %s"
        self._con.execute(insert, [kind, list(bodies), texts, self.commit, self.at, self._principal])

    def create_reading_table(self, contract: str, source: str, revision: int, columns: Sequence[ReadingColumn]) -> ReadingTable:
        number = 1 + max((table.number for table in self.catalogue.tables), default=0)
        table = ReadingTable(number, contract, source, revision, tuple(columns))
        text = json.dumps([asdict(column) for column in columns])
        self._con.execute("INSERT INTO reading_tables VALUES (%s, %s, %s, %s, %s)", [number, contract, source, revision, text])
        for statement in postgres_sql.create_reading_tables(table):
            self._con.execute(statement)
        self.catalogue.tables.append(table)
        return table

    def declare_twins(self, lifetimes: Sequence[Lifetime]) -> None:
        self._insert("lifetimes", lifetimes_table(lifetimes, self.commit))

    def declare_relationships(self, relationships: Sequence[Relationship]) -> None:
        self._insert("relationships", relationships_table(relationships, self.commit))

    def append_relationships(self, rows: pa.Table) -> None:
        self._copy("relationships", stored_relationships(rows, self.commit))

    def save_cells(self, contract: str, through: int, rows: pa.Table, *, replace: bool) -> None:
        rows = rows.select(CELL_SCHEMA.names).cast(CELL_SCHEMA)
        if replace:
            self._con.execute("DELETE FROM cells WHERE contract = %s", [contract])
        else:
            twins = rows["twin"].unique().to_pylist()
            self._con.execute("DELETE FROM cells WHERE contract = %s AND twin = ANY(%s::integer[])", [contract, twins])
        self._copy("cells", rows.add_column(0, "contract", pa.array([contract] * len(rows), pa.string())))
        self._con.execute(
            "INSERT INTO cells_through VALUES (%s, %s) ON CONFLICT (contract) DO UPDATE SET through = excluded.through", [contract, through]
        )

    def let_go(self, expiry: Expiry) -> int:
        self.blocks.forget()
        return postgres_expiry.let_go(self._con, expiry, self.catalogue.tables)

    def put_rollups(self, rows: pa.Table) -> None:
        postgres_expiry.put_rollups(self._con, self.commit, rows)

    def let_go_rollups(self, width: int, twins: Sequence[int], path: str, before: int) -> int:
        return postgres_expiry.let_go_rollups(self._con, width, twins, path, before)

    def put_checkpoints(self, consumer: str, rows: pa.Table) -> None:
        rows = rows.select(CHECKPOINT_SCHEMA.names).cast(CHECKPOINT_SCHEMA)
        self.drop_checkpoints(consumer, rows["twin"].to_pylist(), rows["time"].to_pylist())
        self._copy("checkpoints", rows.add_column(0, "consumer", pa.array([consumer] * len(rows), pa.string())))

    def drop_checkpoints(self, consumer: str, twins: Sequence[int], times: Sequence[int]) -> None:
        pairs = "(SELECT * FROM unnest(%s::integer[], %s::bigint[]))"
        self._con.execute(f"DELETE FROM checkpoints WHERE consumer = %s AND (twin, time) IN {pairs}", [consumer, list(twins), list(times)])

    def finish(self) -> None:
        """The last act: this commit's line of the log. Raises StoreError where the commit would not be durable (law 4)."""
        values = [*self.line, self.batch, self.blocks.appended]
        marks = ", ".join(["%s"] * len(values))
        durable = self._con.execute(f"INSERT INTO commits VALUES ({marks}) RETURNING current_setting('synchronous_commit')", values)
        setting = durable.fetchone()
        if setting is None or setting[0] not in ("on", "remote_apply", "remote_write", "local"):
            remedy = "Nothing was written. Find out what sets synchronous_commit to off, and take it away"
            raise StoreError("the commit would be acknowledged before it is on the disk", where="synchronous_commit", remedy=remedy)

    def _copy(self, name: str, rows: pa.Table) -> None:
        """`name` is one of ours, never from outside; `rows` have its columns in order, or those named with it."""
        if not len(rows):
            return
        with self._con.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN (FORMAT BINARY)".encode()) as copy:
            for piece in pieces(rows):
                copy.write(piece.data)

    def _insert(self, name: str, rows: pa.Table) -> None:
        """The same; few rows go without what COPY has to have compiled."""
        if len(rows) > _FEW:
            self._copy(name, rows)
        elif len(rows):
            marks = ", ".join(["%s"] * rows.num_columns)
            with self._con.cursor() as cursor:
                cursor.executemany(f"INSERT INTO {name} VALUES ({marks})", list(zip(*rows.to_pydict().values(), strict=True)))
