"""What sealing days is worth: a read of one twin's day, bytes on the disk for each value, and how long a restart takes.

Readings of six values, one a minute of each of 1,000 twins and more, in the order of arrival; then sealed. The rival is the same store
before that, and for the restart a store with a twentieth of the history.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from benchmarks._result import compared
from benchmarks.ingest_vs_decode import FIELDS, TWINS, furnished

from twinwright.clock import SystemClock
from twinwright.governance.principals import LOCAL_ADMIN, SYSTEM
from twinwright.observability.metrics import Metrics
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.layout import Counts, ReadingTable, Selection
from twinwright.storage.sealing import DAY
from twinwright.telemetry.pipeline import Pipeline
from twinwright.twins.state import StateCache

BATCH = 100_000
FIRST = 20_500 * DAY  # in 2026


def rows(table: ReadingTable, commit: int, start: int, every: int, rng: np.random.Generator) -> pa.Table:
    """One batch: all twins take turns, `every` microseconds apart; values with three decimals that wander, as sensors do."""
    count = np.arange(start, start + BATCH)
    fixed: dict[str, Any] = {
        "commit": np.full(BATCH, commit),
        "origin": np.full(BATCH, commit),
        "twin": (count % TWINS + 1).astype(np.int32),
    }
    fixed |= {"time": FIRST + count // TWINS * every + rng.integers(0, 5, BATCH) * 1_000, "correction": np.zeros(BATCH, np.int64)}
    fixed |= {"marks": np.zeros(BATCH, np.int8), "bad0": np.zeros(BATCH, np.int64)}
    values = [np.round(500 + 300 * np.sin(count / 1e6 + j) + rng.normal(0, 5, BATCH), 3) for j in range(len(FIELDS))]
    return pa.table([*fixed.values(), *values], names=table.names)


def build(folder: Path, readings: int, days: int, *, killed: bool = False) -> float:
    """A store with that history, closed, or left as a kill leaves it; seconds."""
    store, state, pipeline = furnished(DuckDBStore(folder / "store.duckdb"))
    (table,), rng, began = store.reading_tables(SYSTEM), np.random.default_rng(3), time.perf_counter()
    every = days * DAY // (readings // TWINS)
    for start in range(0, readings, BATCH):
        with store.transaction(LOCAL_ADMIN, "ingest") as transaction:
            made = rows(table, transaction.commit, start, every, rng)
            transaction.append_readings(table, made)
            transaction.count(Counts(BATCH, BATCH), source=table.source)
        with state.lock:
            state.of("pump").fold(table, made)
            state.folded("pump", BATCH, transaction.commit)
    pipeline.close()
    if not killed:
        state.materialise()
    store.close()
    return time.perf_counter() - began


def restart(path: Path) -> tuple[float, float, float]:
    """Seconds until the store is open, its state is in memory, and the first delivery of its contract can be taken."""
    began = time.perf_counter()
    store = DuckDBStore(path)
    opened = time.perf_counter()
    state = StateCache(store, SYSTEM)
    state.of("pump")
    loaded = time.perf_counter()
    hours = store.hours(SYSTEM, "pump")
    assert hours
    ready = time.perf_counter()
    Pipeline(store, SYSTEM, state, SystemClock(), Metrics.create()).close()
    store.close()
    return opened - began, loaded - opened, ready - loaded


def read_day(store: DuckDBStore, twin: int, day: int, paths: Sequence[str] = FIELDS[:1]) -> float:
    """Milliseconds of one twin's day, of one path where nothing else is said."""
    began = time.perf_counter()
    found = store.history(SYSTEM, Selection((twin,), tuple(paths), start=FIRST + day * DAY, end=FIRST + (day + 1) * DAY))
    assert len(found)
    return (time.perf_counter() - began) * 1e3


def used(path: Path) -> int:
    """Bytes of the file that are in use: what sealing freed is written over before the file grows."""
    store = DuckDBStore(path)
    block, total, free = store._rows(SYSTEM, "SELECT block_size, total_blocks, free_blocks FROM pragma_database_size()")[0]
    store.close()
    return int(block * (total - free))


def measure(quick: bool) -> list[dict[str, Any]]:
    readings, days = (1_000_000, 5) if quick else (20_000_000, 20)
    with tempfile.TemporaryDirectory() as name:
        small, folder = Path(name) / "small", Path(name)
        small.mkdir()
        build(small, readings // 20 // BATCH * BATCH or BATCH, days)
        little = restart(small / "store.duckdb")
        took = build(folder, readings, days)
        path = folder / "store.duckdb"
        plain, before = restart(path), used(path)
        store = DuckDBStore(path)
        twins = np.random.default_rng(5).integers(1, TWINS + 1, 25).tolist()
        unsealed = float(np.median([read_day(store, twin, twin % days) for twin in twins]))
        (table,), began, longest = store.reading_tables(SYSTEM), time.perf_counter(), 0.0
        for one in store.unsealed(SYSTEM, table):
            steps, at = store.seal(SYSTEM, table, one.day), time.perf_counter()
            for _ in steps:
                longest, at = max(longest, time.perf_counter() - at), time.perf_counter()
        sealing = time.perf_counter() - began
        store.close()
        after, again = used(path), restart(path)
        store = DuckDBStore(path)
        sealed = float(np.median([read_day(store, twin, twin % days) for twin in twins]))
        store.close()
    told = f"{readings} readings, {days} days: written {took:.0f} s, sealed {sealing:.0f} s (longest step {longest:.2f} s); restart "
    told += f"(open, state, hours) {plain} unsealed, {again} sealed, {little} with a twentieth"
    print(told, file=sys.stderr)
    values = readings * len(FIELDS)
    return [
        compared("sealed_day_read", sealed, unsealed, "ms", "lower"),
        compared("sealed_bytes", after / values, before / values, "B", "lower"),
        compared("restart", sum(again), sum(little), "s", "lower"),
    ]
