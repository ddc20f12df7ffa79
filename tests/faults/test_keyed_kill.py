"""Killed between commit and answer: what is sent again under its key is answered as before, and counts once."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from tests.faults.feeder import BROKEN, DISTINCT, REPEATED
from tests.telemetry.plant import Plant, contract
from tests.warm import begin_script

from twinwright.governance.principals import SYSTEM

HERE = Path(__file__).parent
EACH = DISTINCT + REPEATED + BROKEN
COUNT = 40


def life(store, receipts, *, kill_after=None, mutant=""):
    """One life of the feeder, ended by SIGKILL `kill_after` seconds after its first receipt; whether it came to its end by itself.

    Every receipt that was ever given must be given again alike.
    """
    broken = [str(HERE / "mutants" / f"{mutant}.py")] if mutant else []
    with begin_script(HERE / "keyed_feeder.py", str(store), str(COUNT), "0.002", *broken) as process:
        lines = [process.stdout.readline(), process.stdout.readline()]
        assert lines[1], "the feeder ended by itself"
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.read().splitlines()
    for line in lines:
        kind, *rest = line.strip().split(" ", 2)
        if kind == "receipt":
            assert receipts.setdefault(rest[0], rest[1]) == rest[1]
    return "end" in lines


def check(store):
    """Every delivery that is there is there once: no repetition but those within a delivery."""
    plant = Plant(store, [contract()])
    try:
        counts = plant.store.counts(SYSTEM).get("pump")
        deliveries = counts.received // EACH if counts else 0
        if counts:
            assert counts.conserved
            assert counts.received == deliveries * EACH
            assert (counts.accepted, counts.duplicate) == (deliveries * DISTINCT, deliveries * REPEATED)
            assert len(plant.store.dead_letters(SYSTEM, limit=10**6)) == counts.dead_lettered == deliveries * BROKEN
        return deliveries
    finally:
        plant.close()


def test_a_delivery_under_its_key_counts_once_over_any_kills(tmp_path):
    receipts, rng = {}, random.Random(3)
    for _ in range(3):
        life(tmp_path / "store.duckdb", receipts, kill_after=rng.uniform(0, 0.2))
        check(tmp_path / "store.duckdb")
    assert life(tmp_path / "store.duckdb", receipts)
    assert check(tmp_path / "store.duckdb") == COUNT == len(receipts)


def test_a_platform_that_remembers_keys_elsewhere_is_caught(tmp_path):
    with pytest.raises(AssertionError):
        for _ in range(2):
            life(tmp_path / "store.duckdb", {}, kill_after=0.05, mutant="forget_the_key")
            check(tmp_path / "store.duckdb")
