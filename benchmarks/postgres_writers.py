"""One, two and three processes that ingest into one store on PostgreSQL at once, against one bare binary COPY of as many rows.

Each is a worker's pipeline with journal, duplicate search and indexes; they share out the batches, and what counts is when the last of
them is durable. The rival is that of `postgres_vs_copy`. Writers overlap in everything but their transactions, which wait for each other:
on two cores, which one writer and its session keep busy, the total can't grow; see the notes. Interleaved.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import statistics
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

import psycopg
from benchmarks._result import compared, left_out
from benchmarks.ingest_vs_decode import BATCH, FIELDS, furnished, ingest, payloads, rows_of_batch
from benchmarks.postgres_vs_copy import FIXED, copy_bare
from tests.storage.postgres_server import Server, programs

from twinwright.storage.postgres import PostgresStore
from twinwright.storage.postgres_copy import packed
from twinwright.telemetry.payloads import Delivery, Payload

WRITERS = (1, 2, 3)
ROUND = 12  # batches, whoever writes them


def write(dsn: str, number: int, asked: Connection) -> None:
    """One writer: makes the batches that it is asked for and ingests them when it is told to, and says so of both; until it is asked for
    none. It hears of a round in which it had no part before its own begins, as one that goes on writing would have."""
    store, state, pipeline = furnished(PostgresStore(dsn, shared=True))
    rng = random.Random(number)
    while batches := asked.recv():
        made = [Delivery("pump", tuple(map(Payload, payloads(batch * BATCH, BATCH, rng)))) for batch in batches]
        state.catch_up()
        asked.send("made")
        asked.recv()
        ingest(pipeline, made)
        asked.send("durable")
    pipeline.close()
    store.close()


def together(writers: list[Connection], first: int) -> float:
    """Seconds until all of a round is durable, shared out among some writers."""
    for at, writer in enumerate(writers):
        writer.send(range(first + at, first + ROUND, len(writers)))
    for step in ("made", "durable"):
        began = time.perf_counter()
        if step == "durable":
            for writer in writers:
                writer.send("go")
        assert all(writer.recv() == step for writer in writers)
    return time.perf_counter() - began


def measure(quick: bool) -> list[dict[str, Any]]:
    """Payloads per second of each number of writers: the median of interleaved rounds."""
    names = [f"postgres_writers_{count}_vs_copy" for count in WRITERS]
    if programs() is None:
        return [left_out(name, "payloads/s", "PostgreSQL is not installed") for name in names]
    server, spawning = Server(), multiprocessing.get_context("spawn")
    server.start("max_wal_size=4GB")
    ours: dict[int, list[float]] = {count: [] for count in WRITERS}
    rival: list[float] = []
    processes = []
    try:
        store, _state, pipeline = furnished(PostgresStore(server.dsn()))
        pipeline.close()
        store.close()
        writers: list[Connection] = []
        for number in range(max(WRITERS)):
            here, there = spawning.Pipe()
            processes.append(spawning.Process(target=write, args=(server.dsn(), number, there)))
            processes[-1].start()
            writers.append(here)
        rng, first = random.Random(7), 0
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            columns = [*(f"{column} NOT NULL" for column in FIXED), *(f"v{j} double precision" for j in range(len(FIELDS)))]
            connection.execute(f"CREATE TABLE bare ({', '.join(columns)})".encode())
            for _ in range(3 if quick else 9):
                for count in WRITERS:
                    ours[count].append(together(writers[:count], first))
                    first += ROUND
                rival.append(sum(copy_bare(connection, packed(rows_of_batch(part, rng)).data) for part in range(first - ROUND, first)))
        for writer in writers:
            writer.send(())
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.kill()
        server.remove()
    copied = ROUND * BATCH / statistics.median(rival[1:])
    rates = [ROUND * BATCH / statistics.median(ours[count][1:]) for count in WRITERS]
    return [compared(name, rate, copied, "payloads/s") for name, rate in zip(names, rates, strict=True)]


if __name__ == "__main__":
    for result in measure("--quick" in sys.argv):
        print(json.dumps(result))
