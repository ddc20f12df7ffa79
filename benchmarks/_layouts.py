"""How history could be laid out in the store, measured: the figures behind `NOTES.md`. Run: python -m benchmarks._layouts

Each variant takes the same readings (six values, 50,000 a commit, durable each) from Arrow. What is printed is the mean of wall
and of processor time per commit, checkpoints included, and the size of what is on the disk at the end.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

ROWS, TWINS, COMMITS, WARM = 50_000, 1_000, 24, 4
VALUES = [f"v{j}" for j in range(6)]
WIDE = 'c BIGINT NOT NULL, origin BIGINT NOT NULL, twin INTEGER NOT NULL, "time" BIGINT NOT NULL, correction BIGINT NOT NULL, bad BIGINT NOT NULL'
FRAMES = os.urandom(1_700_000)  # a compressed block is as random as this

Connection = duckdb.DuckDBPyConnection


def rows(commit: int) -> pa.Table:
    """One batch of readings, wide."""
    random = np.random.default_rng(commit)
    index = np.arange(ROWS)
    fixed = {"c": np.full(ROWS, commit), "origin": np.full(ROWS, commit), "twin": (index % TWINS).astype(np.int32)}
    times = {"time": 1_772_352_000_000_000 + (commit * ROWS + index) // TWINS * 1_000_000, "correction": np.zeros(ROWS, np.int64)}
    return pa.table({**fixed, **times, "bad": np.zeros(ROWS, np.int64), **{v: np.round(random.uniform(0, 1_000, ROWS), 3) for v in VALUES}})


def wide(connection: Connection, commit: int, folder: Path) -> None:
    connection.execute("INSERT INTO readings SELECT * FROM fresh")


def long(connection: Connection, commit: int, folder: Path) -> None:
    parts = [f"SELECT c, origin, twin, {j}::SMALLINT, time, correction, 1::TINYINT, v{j} FROM fresh" for j in range(6)]
    connection.execute(f"INSERT INTO observations {' UNION ALL '.join(parts)}")


def sightings(connection: Connection, commit: int, folder: Path) -> None:
    connection.execute("INSERT INTO readings SELECT * FROM fresh WHERE twin % 20 <> 0")
    connection.execute("INSERT INTO sightings SELECT * FROM fresh WHERE twin % 20 = 0")


def flagged(connection: Connection, commit: int, folder: Path) -> None:
    connection.execute("INSERT INTO flagged SELECT *, twin % 20 = 0 FROM fresh")


def journal_inside(connection: Connection, commit: int, folder: Path) -> None:
    wide(connection, commit, folder)
    connection.execute("INSERT INTO journal VALUES (?, ?)", [commit, FRAMES])


def journal_beside(connection: Connection, commit: int, folder: Path) -> None:
    with (folder / "frames").open("ab") as file:
        file.write(FRAMES)
        file.flush()
        os.fdatasync(file.fileno())
    wide(connection, commit, folder)


def upserted(connection: Connection, commit: int, folder: Path) -> None:
    wide(connection, commit, folder)
    newest = f"SELECT twin, max(time), {', '.join(f'arg_max({v}, time)' for v in VALUES)} FROM fresh GROUP BY twin"
    connection.execute(f"INSERT OR REPLACE INTO state {newest}")


def measured(act: Callable[[Connection, int, Path], None], threshold: str) -> tuple[float, float, float]:
    """(milliseconds of wall time, of processor time, megabytes on the disk)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        connection = duckdb.connect(str(folder / "bench.duckdb"), config={"checkpoint_threshold": threshold})
        values = ", ".join(f"{v} DOUBLE" for v in VALUES)
        for table, more in (("readings", ""), ("sightings", ""), ("flagged", ", again BOOLEAN")):
            connection.execute(f"CREATE TABLE {table} ({WIDE}, {values}{more})")
        connection.execute(
            "CREATE TABLE observations (c BIGINT, origin BIGINT, twin INTEGER, path SMALLINT, time BIGINT, correction BIGINT, "
            "kind TINYINT, value DOUBLE); CREATE TABLE journal (c BIGINT, frames BLOB); "
            f"CREATE TABLE state (twin INTEGER PRIMARY KEY, time BIGINT, {values})"
        )
        wall = cpu = 0.0
        for commit in range(COMMITS):
            fresh = rows(commit)
            began, used = time.perf_counter(), time.process_time()
            connection.execute("BEGIN")
            connection.register("fresh", fresh)
            act(connection, commit, folder)
            connection.unregister("fresh")
            connection.execute("COMMIT")
            if commit >= WARM:
                wall += time.perf_counter() - began
                cpu += time.process_time() - used
        connection.execute("CHECKPOINT")
        connection.close()
        size = sum(path.stat().st_size for path in folder.iterdir())
    return wall / (COMMITS - WARM) * 1e3, cpu / (COMMITS - WARM) * 1e3, size / 1e6


def main() -> None:
    """Print the table."""
    for threshold in ("16MB", "64MB"):
        for act in (wide, long, sightings, flagged, journal_inside, journal_beside, upserted):
            wall, cpu, size = measured(act, threshold)
            print(f"{threshold}  {act.__name__:16s} {wall:7.1f} ms wall {cpu:7.1f} ms cpu {size:7.1f} MB", flush=True)


if __name__ == "__main__":
    main()
