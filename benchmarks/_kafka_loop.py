"""The loop that one would write instead: confluent-kafka and psycopg, with as much of the same guarantees as such a loop can have.

A transaction for each batch of records, durable before the next. Records are decoded by msgspec into typed structs; what can't be decoded,
is of an unknown twin or lies ahead of the clock goes to a table of dead letters with its payload, reason and offset; a value out of range
is kept as missing and marked. Rows go by binary COPY to a temporary table and from there, by INSERT ... ON CONFLICT DO NOTHING, to one with
a key of (twin, time): what was there already is counted as duplicate, so a repeat counts once. The payloads are kept, compressed, one row a
batch; offsets are moved on only from where they were; received, accepted, duplicate and refused are counted in the same transaction. Units
are a table of columns.

What it leaves out: history as a set (a changed value for the same time is dropped, not kept beside), corrections, state, known-at,
receipts, several contracts, payloads that are refused one by one when a batch fails for a reason nobody thought of.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pyarrow as pa
from benchmarks.ingest_vs_decode import FIELDS, TWINS, UNITS
from confluent_kafka import Consumer, Message

RECORDS = 50_000  # of a transaction at most: with 10,000 it is slower
BACKOFF_MS = 20  # as ours: by default a client that was full for a moment fetches nothing for a second
LOW, HIGH = -10.0, 10_000.0
SKEW = timedelta(seconds=30)
_numbers = itertools.count()


class Timed(msgspec.Struct):
    """A payload of six values, its time read."""

    ts: datetime
    id: str
    pressure: float
    flow: float
    speed: float
    current: float
    voltage: float
    temperature: float


@dataclass(slots=True)
class Batch:
    """What records became: rows, and refused ones with reason and place."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    letters: list[tuple[Any, ...]] = field(default_factory=list)


class Loop:
    """Takes a topic to tables of its own, in a database."""

    def __init__(self, servers: str, topic: str, connection: psycopg.Connection[Any]) -> None:
        self._name = f"loop{next(_numbers)}"
        self._connection = connection
        self._decode = msgspec.json.Decoder(Timed).decode
        self._pack = pa.Codec("zstd", compression_level=1).compress
        self._twins = {f"pump-{number}": number for number in range(TWINS)}
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": self._name,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "fetch.queue.backoff.ms": BACKOFF_MS,
            }
        )
        self._consumer.subscribe([topic])
        for statement in self._tables():
            connection.execute(statement.encode())

    def run(self, count: int) -> float:
        """Seconds from the first of so many records on, the last of them durable."""
        done, started = 0, 0.0
        while done < count:
            messages = self._consumer.consume(RECORDS, 0.1)
            started = started or (time.perf_counter() if messages else 0.0)
            if messages:
                self._write(messages)
            done += len(messages)
        seconds = time.perf_counter() - started
        self._consumer.close()
        return seconds

    def _tables(self) -> Iterator[str]:
        name = self._name
        columns = ", ".join(f"{one} double precision" for one in FIELDS)
        key = "twin integer NOT NULL, ts timestamptz NOT NULL, bad integer NOT NULL"
        yield f"CREATE TABLE {name} ({key}, {columns}, PRIMARY KEY (twin, ts))"
        yield f"CREATE TEMPORARY TABLE {name}_fresh (LIKE {name}) ON COMMIT DELETE ROWS"
        yield f"CREATE TABLE {name}_units AS SELECT * FROM unnest(ARRAY{list(FIELDS)}, ARRAY{list(UNITS)}) AS units (path, unit)"
        yield f"CREATE TABLE {name}_letters (reason text NOT NULL, part integer NOT NULL, at bigint NOT NULL, payload bytea NOT NULL)"
        yield f"CREATE TABLE {name}_offsets (part integer PRIMARY KEY, next bigint NOT NULL)"
        batch = "batch bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
        yield f"CREATE TABLE {name}_journal ({batch}, made_at timestamptz NOT NULL, frames bytea NOT NULL)"
        yield f"ALTER TABLE {name}_journal ALTER COLUMN frames SET STORAGE EXTERNAL"
        yield f"CREATE TABLE {name}_counts (received bigint, accepted bigint, duplicate bigint, refused bigint)"

    def _read(self, messages: Sequence[Message]) -> Batch:
        batch, latest, twins, decode = Batch(), datetime.now(UTC) + SKEW, self._twins, self._decode
        for message in messages:
            body = message.value()
            try:
                one = decode(body)
            except msgspec.MsgspecError:
                batch.letters.append(("malformed", message.partition(), message.offset(), body))
                continue
            twin = twins.get(one.id)
            if twin is None or one.ts > latest:
                reason = "unknown_twin" if twin is None else "future_time"
                batch.letters.append((reason, message.partition(), message.offset(), body))
                continue
            values = (one.pressure, one.flow, one.speed, one.current, one.voltage, one.temperature)
            bad = 0
            if min(values) < LOW or max(values) > HIGH:
                bad = sum(1 << j for j, value in enumerate(values) if not LOW <= value <= HIGH)
                values = tuple(value if LOW <= value <= HIGH else None for value in values)
            batch.rows.append((twin, one.ts, bad, *values))
        return batch

    def _write(self, messages: Sequence[Message]) -> None:
        name, batch = self._name, self._read(messages)
        frames = self._pack(b"\n".join([message.value() for message in messages]), asbytes=True)
        ends: dict[int, tuple[int, int]] = {}
        for message in messages:
            first, _ = ends.get(message.partition(), (message.offset(), 0))
            ends[message.partition()] = first, message.offset() + 1
        with self._connection.transaction(), self._connection.cursor() as cursor:
            with cursor.copy(f"COPY {name}_fresh FROM STDIN (FORMAT BINARY)".encode()) as copy:
                copy.set_types(["int4", "timestamptz", "int4", *["float8"] * len(FIELDS)])
                for row in batch.rows:
                    copy.write_row(row)
            accepted = cursor.execute(f"INSERT INTO {name} SELECT * FROM {name}_fresh ON CONFLICT DO NOTHING".encode()).rowcount
            if batch.letters:
                cursor.executemany(f"INSERT INTO {name}_letters VALUES (%s, %s, %s, %s)".encode(), batch.letters)
            cursor.execute(f"INSERT INTO {name}_journal (made_at, frames) VALUES (now(), %b)".encode(), [frames])
            for part, (first, following) in ends.items():
                self._move(cursor, part, first, following)
            counts = [len(messages), accepted, len(batch.rows) - accepted, len(batch.letters)]
            cursor.execute(f"INSERT INTO {name}_counts VALUES (%s, %s, %s, %s)".encode(), counts)

    def _move(self, cursor: psycopg.Cursor[Any], part: int, first: int, following: int) -> None:
        """Raises RuntimeError where another has read on."""
        insert = f"INSERT INTO {self._name}_offsets VALUES (%s, %s) ON CONFLICT (part) DO UPDATE SET next = excluded.next "
        moved = cursor.execute(f"{insert} WHERE {self._name}_offsets.next = %s".encode(), [part, following, first]).rowcount
        if not moved:
            raise RuntimeError(f"partition {part} is not at {first}")


def loop(servers: str, topic: str, count: int, dsn: str) -> float:
    """Seconds that the loop takes for so many records."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return Loop(servers, topic, connection).run(count)
