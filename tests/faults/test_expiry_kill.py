"""Killed while raw values are let go of: each hour is there raw or rolled up, never both and never neither."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from tests.faults.test_sealing_kill import Plant
from tests.warm import begin_script

from twinwright.governance.principals import SYSTEM
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.layout import Selection
from twinwright.twins.rollups import of_rollups, of_values, windows

HERE = Path(__file__).parent
HOUR = 3_600_000_000


def hours(path):
    """(hour, values, their sum) of what is there, raw and rolled up, each hour once; and how many are still raw."""
    store = DuckDBStore(path)
    try:
        rows = store.history(SYSTEM, Selection(paths=("p",)))
        rolled = store.rollups(SYSTEM, range(1, 99), "p", None, None)
        raw = set((rows["time"].to_numpy() // HOUR).tolist())
        assert not raw & set((rolled["time"].to_numpy() // HOUR).tolist())
        values = rows["num"].to_numpy()
        made = [
            (window, count, round(total, 6))
            for parts in (of_values(rows["time"].to_numpy(), values, values == values), of_rollups(rolled, "kPa"))
            for (window, count, _), (_, total, _) in zip(
                windows(parts, HOUR, "count").rows(), windows(parts, HOUR, "sum").rows(), strict=True
            )
        ]
        return sorted(made), len(raw), [commit.number for commit in store.commits(SYSTEM)]
    finally:
        store.close()


def killed(plant, kills):
    rng = random.Random(7)
    wanted, left, _ = hours(plant.path)
    for _ in range(kills):
        with begin_script(HERE / "expirer.py", str(plant.path), *plant.mutant) as process:
            assert process.stdout.readline() == "step\n"
            time.sleep(rng.uniform(0, 0.25))
            os.kill(process.pid, signal.SIGKILL)
            process.stdout.read()
        found, still, commits = hours(plant.path)
        assert found == wanted
        assert still <= left
        assert commits == list(range(1, len(commits) + 1))
        left = still
    return left


def test_kills_while_raw_values_go_lose_nothing_of_them(tmp_path):
    plant = Plant(tmp_path)
    before = hours(plant.path)[1]
    assert killed(plant, 5) < before


def test_roll_ups_in_a_transaction_of_their_own_are_caught(tmp_path):
    with pytest.raises(AssertionError):
        killed(Plant(tmp_path, "roll_up_apart"), 4)
