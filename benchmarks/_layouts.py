"""How history could be laid out in the store, measured: the figures behind `NOTES.md`. Run: python -m benchmarks._layouts

Each variant takes the same readings (six values, 50,000 a commit, durable each) from Arrow. What is printed is the mean of wall
and of processor time per commit, checkpoints included, and the size of what is on the disk at the end.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

ROWS, TWINS, COMMITS, WARM = 50_000, 1_000, 24, 4
VALUES = [f"v{j}" for j in range(6)]
FIXED = ("c BIGINT", "origin BIGINT", "twin INTEGER", "time BIGINT", "correction BIGINT", "bad BIGINT")
WIDE = ", ".join([*(f"{column} NOT NULL" for column in FIXED), *(f"{value} DOUBLE" for value in VALUES)])
BLOCK_BYTES = 1_700_000  # of the journal, compressed

_ALL = "INSERT INTO readings SELECT * FROM fresh"
_LONG = (f"SELECT c, origin, twin, {j}::SMALLINT, time, correction, 1::TINYINT, v{j} FROM fresh" for j in range(6))
_NEWEST = f"SELECT twin, max(time), {', '.join(f'arg_max({v}, time)' for v in VALUES)} FROM fresh GROUP BY twin"
VARIANTS = {
    "wide": (_ALL,),
    "long": (f"INSERT INTO observations {' UNION ALL '.join(_LONG)}",),
    "duplicates apart": (
        f"{_ALL} WHERE twin % 20 <> 0",
        "INSERT INTO sightings SELECT * FROM fresh WHERE twin % 20 = 0",
    ),
    "duplicates marked": ("INSERT INTO marked SELECT *, twin % 20 = 0 FROM fresh",),
    "journal inside": (_ALL, "INSERT INTO journal SELECT * FROM block"),
    "journal beside": (_ALL,),
    "state upserted": (_ALL, f"INSERT OR REPLACE INTO state {_NEWEST}"),
}


def rows(commit: int) -> pa.Table:
    """One batch of readings, wide."""
    random = np.random.default_rng(commit)
    index = np.arange(ROWS)
    fixed = {"c": np.full(ROWS, commit), "origin": np.full(ROWS, commit), "twin": (index % TWINS).astype(np.int32)}
    times = {"time": 1_772_352_000_000_000 + (commit * ROWS + index) // TWINS * 1_000_000, "correction": np.zeros(ROWS, np.int64)}
    return pa.table({**fixed, **times, "bad": np.zeros(ROWS, np.int64), **{v: np.round(random.uniform(0, 1_000, ROWS), 3) for v in VALUES}})


def beside(folder: Path, frames: bytes) -> None:
    """A block durable in a file of its own."""
    with (folder / "frames").open("ab") as file:
        file.write(frames)
        file.flush()
        os.fdatasync(file.fileno())


def measured(variant: str, threshold: str) -> tuple[float, float, float]:
    """(milliseconds of wall time, of processor time, megabytes on the disk)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        connection = duckdb.connect(str(folder / "bench.duckdb"), config={"checkpoint_threshold": threshold})
        connection.execute(
            f"CREATE TABLE readings ({WIDE}); CREATE TABLE sightings ({WIDE}); CREATE TABLE marked ({WIDE}, again BOOLEAN);"
            "CREATE TABLE observations (c BIGINT, origin BIGINT, twin INTEGER, path SMALLINT, time BIGINT, correction BIGINT, "
            "kind TINYINT, value DOUBLE); CREATE TABLE journal (c BIGINT, frames BLOB);"
            f"CREATE TABLE state (twin INTEGER PRIMARY KEY, time BIGINT, {', '.join(f'{v} DOUBLE' for v in VALUES)})"
        )
        wall = cpu = 0.0
        for commit in range(COMMITS):
            fresh, frames = rows(commit), os.urandom(BLOCK_BYTES)
            block = pa.table({"c": [commit], "frames": pa.array([frames], pa.binary())})
            began, used = time.perf_counter(), time.process_time()
            if variant == "journal beside":
                beside(folder, frames)
            connection.execute("BEGIN")
            connection.register("fresh", fresh)
            connection.register("block", block)
            for statement in VARIANTS[variant]:
                connection.execute(statement)
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
        for variant in VARIANTS:
            wall, cpu, size = measured(variant, threshold)
            print(f"{threshold}  {variant:18s} {wall:7.1f} ms wall {cpu:7.1f} ms cpu {size:7.1f} MB", flush=True)


if __name__ == "__main__":
    main()
