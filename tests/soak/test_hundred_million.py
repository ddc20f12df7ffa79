"""With a hundred million readings a restart takes less than five seconds, and one twin's day, once it is sealed, 50 ms."""

import shutil

import numpy as np
import pytest
from benchmarks.ingest_vs_decode import TWINS
from benchmarks.sealed_days import build, read_day, restart
from tests.soak.shorter import amount

from twinwright.governance.principals import SYSTEM
from twinwright.storage.duckdb import DuckDBStore

pytestmark = pytest.mark.soak
READINGS = amount("READINGS", 100_000_000)
DAYS = max(2, READINGS // 1_000_000)


def test_restart_and_one_twins_day(tmp_path):
    path = tmp_path / "store.duckdb"
    build(tmp_path, READINGS, DAYS)
    unsealed = restart(path)
    store = DuckDBStore(path)
    (table,) = store.reading_tables(SYSTEM)
    for one in store.unsealed(SYSTEM, table):
        for _ in store.seal(SYSTEM, table, one.day):
            pass
    store.close()
    sealed = restart(path)
    store = DuckDBStore(path)
    twins = np.random.default_rng(5).integers(1, TWINS + 1, 25).tolist()
    days = [read_day(store, twin, twin % DAYS) for twin in twins]
    store.close()
    shutil.rmtree(tmp_path)
    print(f"{READINGS:,} readings: restart {sum(unsealed):.2f} s, sealed {sum(sealed):.2f} s; a twin's day {np.median(days):.1f} ms")
    assert max(sum(unsealed), sum(sealed)) < 5.0
    assert np.median(days) < 50.0
