"""Killed while days are sealed, alone and together: each piece is in the old order or in the new, and what is read is the same."""

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.storage.conformance_case import COLUMNS
from tests.warm import begin_script

from twinwright.governance.principals import SYSTEM
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.layout import Selection
from twinwright.storage.sealing import DAY

HERE = Path(__file__).parent
TWINS, EACH, DAYS = 50, 40, 3


def rows(table, commit, rng, count=TWINS * EACH):
    """Readings of all twins and days in the order of arrival."""
    zero = np.zeros(count, np.int64)
    whole = {"commit": zero + commit, "origin": zero + commit, "twin": rng.integers(1, TWINS + 1, count, np.int32)}
    whole |= {
        "time": rng.integers(0, DAYS * DAY, count),
        "correction": rng.integers(0, 2, count),
        "marks": zero.astype(np.int8),
        "bad0": zero,
    }
    values = [rng.normal(size=count), pa.array(["a"] * count), pa.array([True, None] * (count // 2))]
    return pa.table([*whole.values(), *values], names=table.names)


def told(path):
    store = DuckDBStore(path)
    try:
        (table,) = store.reading_tables(SYSTEM)
        known = store.last_commit(SYSTEM) // 2
        return (
            store.history(SYSTEM, Selection()).to_pylist(),
            store.history(SYSTEM, Selection(known_at=known)).to_pylist(),
            sum(store.hours(SYSTEM, "pump").values()),
            store.commits(SYSTEM),
            [store.readings(SYSTEM, table, after=known).num_rows],
        )
    finally:
        store.close()


class Plant:
    def __init__(self, folder, mutant=""):
        self.path = folder / "store.duckdb"
        self.rng = np.random.default_rng(4)
        self.mutant = [str(HERE / "mutants" / f"{mutant}.py")] if mutant else []
        store = DuckDBStore(self.path)
        with store.transaction(SYSTEM, "apply") as transaction:
            self.table = transaction.create_reading_table("pump", "pump", 1, COLUMNS)
        store.close()
        for _ in range(5):
            self.append(TWINS * EACH)

    def append(self, count):
        store = DuckDBStore(self.path)
        with store.transaction(SYSTEM, "ingest") as transaction:
            transaction.append_readings(self.table, rows(self.table, transaction.commit, self.rng, count))
        store.close()

    def seal(self, how, kill_after=None):
        with begin_script(HERE / "sealer.py", str(self.path), how, *self.mutant) as process:
            assert process.stdout.readline() == "step\n"
            if kill_after is not None:
                time.sleep(kill_after)
                os.kill(process.pid, signal.SIGKILL)
            process.stdout.read()
        return process.wait()


def killed(plant, kills):
    rng = random.Random(3)
    for kill in range(kills):
        wanted = told(plant.path)
        assert plant.seal("often", rng.uniform(0, 0.15)) == -signal.SIGKILL
        same = told(plant.path) == wanted  # apart from the assert, which would explain a difference of thousands of rows for minutes
        assert same
        if kill % 2:
            plant.append(100)  # late for a day that may be sealed by now


def test_kills_while_sealing_change_nothing_that_is_read(tmp_path):
    plant = Plant(tmp_path)
    killed(plant, 6)
    wanted = told(plant.path)
    assert plant.seal("once") == 0
    same = told(plant.path) == wanted
    assert same
    store = DuckDBStore(plant.path)
    assert store.unsealed(SYSTEM, plant.table) == []
    assert [(one.day, one.days) for one in store.sealed(SYSTEM, plant.table)] == [(0, 4)]
    there = store._con.execute("SELECT twin, CASE WHEN twin % 2 = 0 THEN -time ELSE time END FROM readings_1").fetchall()
    in_order = there == sorted(there)  # in the file, too
    assert in_order
    store.close()


def test_a_store_that_seals_in_two_transactions_is_caught(tmp_path):
    with pytest.raises(AssertionError):
        killed(Plant(tmp_path, "seal_in_two"), 4)
