"""What it costs to take a batch in to PostgreSQL and to hear of one that another process took in: the figures behind `NOTES.md`.

Run: python -m benchmarks._postgres_hearing. One process writes batches of 50,000, another hears of each, and both say how much processor
time they and their sessions took. In turns it is told in blocks, comes too late for them and reads the rows, and is not there for the
writer (who then writes no blocks), so that it reads the rows as well. Medians in ms.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import statistics
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.ingest_vs_decode import BATCH, furnished, ingest, payloads
from tests.storage.postgres_server import Server

from twinwright.storage.postgres import PostgresStore
from twinwright.telemetry.payloads import Delivery, Payload

TURNS = ("blocks", "rows", "alone")
ROUNDS = 14


@contextlib.contextmanager
def spent(store: PostgresStore, into: list[tuple[float, float]]) -> Iterator[None]:
    """Milliseconds of processor time: of this process, and of the server for it."""
    before = time.process_time(), _sessions(store)
    yield
    into.append(((time.process_time() - before[0]) * 1e3, (_sessions(store) - before[1]) / 1e6))


def _sessions(store: PostgresStore) -> int:
    """Nanoseconds of the sessions of this process."""
    mine = "SELECT pid FROM pg_stat_activity WHERE application_name = current_setting('application_name')"
    pids = store._connections.read(lambda connection: connection.execute(mine.encode()).fetchall())
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for (pid,) in pids)


def run(dsn: str, number: int, asked: Connection) -> None:
    """Writes (0) or hears (1) in the way that it is told, until it is told None."""
    store = PostgresStore(dsn, shared=True)
    _, state, pipeline = furnished(store)
    rng = random.Random(number)
    took: dict[str, list[tuple[float, float]]] = {turn: [] for turn in TURNS}
    ingest(pipeline, [Delivery("pump", tuple(map(Payload, payloads(number * BATCH, BATCH, rng))))])
    asked.send("ready")
    while task := asked.recv():
        turn, batch = task
        state.catch_up()
        if number == 0:
            made = [Delivery("pump", tuple(map(Payload, payloads(batch * BATCH, BATCH, rng))))]
            with spent(store, took[turn]):
                ingest(pipeline, made)
        elif turn == "alone":
            store._locks.release(store._con)
        asked.send("done")
        if number == 1:
            asked.recv()
            with spent(store, took[turn]):
                state.catch_up()
            store._locks.take(store._con, "")
            asked.send("done")
    asked.send({turn: [statistics.median(half) for half in zip(*values[3:], strict=True)] for turn, values in took.items()})
    pipeline.close()
    store.close()


def main() -> None:
    """Print the table."""
    server, spawning = Server(), multiprocessing.get_context("spawn")
    server.start("max_wal_size=4GB")
    try:
        store, _, pipeline = furnished(PostgresStore(server.dsn()))
        pipeline.close()
        store.close()
        ends, processes = [], []
        for number in range(2):
            here, there = spawning.Pipe()
            processes.append(spawning.Process(target=run, args=(server.dsn(), number, there)))
            processes[-1].start()
            ends.append(here)
        assert [end.recv() for end in ends] == ["ready"] * 2
        writer, hearer = ends
        for batch in range(2, 2 + ROUNDS * len(TURNS)):
            turn = TURNS[batch % len(TURNS)]
            for end in (hearer, writer):
                end.send((turn, batch))
                assert end.recv() == "done"
            if turn == "rows":
                server.execute("TRUNCATE twinwright.blocks_0, twinwright.blocks_1")
            hearer.send("heard")
            assert hearer.recv() == "done"
        for name, end in (("takes in", writer), ("hears", hearer)):
            end.send(None)
            for turn, (own, theirs) in end.recv().items():
                print(f"{name:9s} {turn:7s} process {own:7.1f} ms, its sessions {theirs:7.1f} ms", flush=True)
        for process in processes:
            process.join()
    finally:
        server.remove()


if __name__ == "__main__":
    main()
