"""Ingest to durable on PostgreSQL, with journal, duplicate search and indexes, against a bare binary COPY of the same rows.

The rival is given the rows in COPY's own form already, writes them into a table without any index, and commits each batch durably. Both
speak to one server of the benchmark's own, as PostgreSQL comes but for `max_wal_size`; interleaved. Without PostgreSQL it is left out.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from typing import Any

import psycopg
from benchmarks._result import compared, left_out
from benchmarks.ingest_vs_decode import BATCH, FIELDS, furnished, ingest, payloads, rows_of_batch
from tests.storage.postgres_server import Server, programs

from twinwright.storage.postgres import PostgresStore
from twinwright.storage.postgres_copy import packed
from twinwright.telemetry.payloads import Delivery, Payload

ROUND = 4  # batches of a round
FIXED = ("commit bigint", "origin bigint", "twin integer", "time bigint", "correction bigint", "marks smallint", "bad0 bigint")


def copy_bare(connection: psycopg.Connection[Any], data: memoryview, table: str = "bare") -> float:
    """Seconds that a COPY of prepared bytes and its commit take."""
    began = time.perf_counter()
    with connection.transaction(), connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)".encode()) as copy:
        copy.write(data)
    return time.perf_counter() - began


def measure(quick: bool) -> dict[str, Any]:
    """Readings per second of each side: the faster quartile of interleaved rounds."""
    if programs() is None:
        return left_out("postgres_vs_copy", "readings/s", "PostgreSQL is not installed")
    server, rng = Server(), random.Random(7)
    server.start("max_wal_size=4GB")
    ours, rival = [], []
    try:
        store, _state, pipeline = furnished(PostgresStore(server.dsn()))
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            columns = [*(f"{column} NOT NULL" for column in FIXED), *(f"v{j} double precision" for j in range(len(FIELDS)))]
            connection.execute(f"CREATE TABLE bare ({', '.join(columns)})".encode())
            for index in range(3 if quick else 12):
                parts = range(index * ROUND, (index + 1) * ROUND)
                made = [Delivery("pump", tuple(map(Payload, payloads(part * BATCH, BATCH, rng)))) for part in parts]
                ours.append(ingest(pipeline, made))
                rival.append(sum(copy_bare(connection, packed(rows_of_batch(part, rng)).data) for part in parts))
        pipeline.close()
        store.close()
    finally:
        server.remove()
    rates = [ROUND * BATCH / statistics.quantiles(seconds[1:], n=4, method="inclusive")[0] for seconds in (ours, rival)]
    return compared("postgres_vs_copy", *rates, "readings/s")


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv)))
