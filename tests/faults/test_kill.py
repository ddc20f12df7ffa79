"""Killed at any instant: nothing acknowledged is lost, nothing counts twice, and what was received is what became of it."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.faults.feeder import BROKEN, DISTINCT, REPEATED, STREAM, bodies
from tests.telemetry.plant import Plant, contract
from tests.warm import begin_script

from twinwright.governance.principals import SYSTEM
from twinwright.telemetry.journal import unpack

HERE = Path(__file__).parent
EACH = DISTINCT + REPEATED + BROKEN
ENDLESS = 100_000  # deliveries: no machine is done with them before it is killed


@dataclass
class Feeding:
    """A store, and what was ever acknowledged to those who fed it."""

    folder: Path
    mutant: str = ""
    acknowledged: Counter = field(default_factory=Counter)
    submitted: int = 0  # deliveries, by the number of the last
    ended: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)  # beside this process's own

    @property
    def path(self):
        return self.folder / "store.duckdb"

    def run(self, count, *, kill_after=None, window=4, pause=0.0, since="ack"):
        """One life of the feeder, ended by SIGKILL `kill_after` seconds after its first line that says `since`, or by itself."""
        known = self.folder / "known"
        known.write_text(" ".join(map(str, self.acknowledged)))
        mutant = [str(HERE / "mutants" / f"{self.mutant}.py")] if self.mutant else []
        arguments = [str(self.path), str(known), str(count), str(window), str(pause), *mutant]
        with begin_script(HERE / "feeder.py", *arguments, environment={**os.environ, **self.environment}) as process:
            lines = []
            while not lines or not lines[-1].startswith((since, "end")):
                lines.append(process.stdout.readline())
                assert lines[-1], "the feeder ended by itself"
            if kill_after is not None:
                time.sleep(kill_after)
                os.kill(process.pid, signal.SIGKILL)
            lines += process.stdout.read().splitlines()
        self.acknowledged.update(int(line.split()[1]) for line in lines if line.startswith("ack "))
        self.submitted = max([self.submitted, *(int(line.split()[1]) + 1 for line in lines if line.startswith("submit "))])
        self.ended = "end" in lines
        return process.wait()


def check(feeding):
    """The store against what was acknowledged."""
    plant = Plant(feeding.path, [contract()])
    try:
        counts = plant.store.counts(SYSTEM).get("pump")
        rows = [row for row in plant.history() if row["path"] == "pressure"]
        there = {(row["twin"], row["num"]) for row in rows}
        entries = list(plant.store.journal_entries(SYSTEM, "pump", 1, plant.store.last_commit(SYSTEM)))
        taken = Counter(int(one.body.split()[1]) for entry in entries for one in unpack(entry.frames) if one.body.endswith(b" 0"))
        position = plant.store.position(SYSTEM, "pump", STREAM)
        streamed = [number for number in feeding.acknowledged if number % 2 == 0]
        assert position >= max((number // 2 + 1 for number in streamed), default=0)  # nothing acknowledged is lost,
        for number in feeding.acknowledged:
            assert all((1 + number % 2, number + at / 100) in there for at in range(DISTINCT)), number
        whole = Counter(int(value) for _, value in there)
        assert set(whole.values()) <= {DISTINCT}  # nothing is half there,
        assert [number for number in sorted(whole) if number % 2 == 0] == list(range(0, 2 * position, 2))
        assert taken.keys() == whole.keys()
        assert all(times == 1 for number, times in taken.items() if number % 2 == 0)  # the stream is read once,
        assert counts is None or counts.received % EACH == 0
        assert (counts.received if counts else 0) == sum(entry.counts.received for entry in entries)
        if counts:
            deliveries = counts.received // EACH
            pushed_again = deliveries - len(whole)  # committed, killed before the acknowledgement, and pushed again
            assert counts.conserved
            assert counts.accepted == len(there) == len(rows)  # nothing counts twice,
            assert counts.duplicate == deliveries * REPEATED + pushed_again * DISTINCT
            assert counts.dead_lettered == deliveries * BROKEN == len(plant.store.dead_letters(SYSTEM, limit=10**6))
            assert pushed_again == taken.total() - len(taken)
        latest = {(row["twin"], row["path"]): row["txt"] or row["num"] for row in plant.latest()}
        assert {(row["twin"], row["path"]): row["txt"] or row["num"] for row in plant.cells()} == latest  # and state follows history
        commits = [commit.number for commit in plant.store.commits(SYSTEM)]
        assert commits == list(range(1, len(commits) + 1))
        return position
    finally:
        plant.close()


def test_kills_at_random_instants_lose_nothing_and_double_nothing(tmp_path):
    feeding, rng = Feeding(tmp_path), random.Random(11)
    for kill in range(10):
        since = "ready" if kill % 6 == 5 else "ack"
        assert feeding.run(ENDLESS, kill_after=rng.uniform(0, 0.12), window=1 + kill % 6, pause=0.002, since=since) == -signal.SIGKILL
        if kill % 3 == 2:
            check(feeding)
    total = feeding.submitted + 20 - feeding.submitted % 2
    assert feeding.run(total) == 0
    assert feeding.ended
    assert set(feeding.acknowledged) >= {number for number in range(total) if number % 2}
    assert check(feeding) == total // 2
    assert len(bodies(0)) == EACH


@pytest.mark.parametrize("mutant", ["acknowledge_early", "forget_the_fence"])
def test_a_platform_that_breaks_its_word_is_caught(tmp_path, mutant):
    feeding, rng = Feeding(tmp_path, mutant), random.Random(5)
    with pytest.raises(AssertionError):
        for _ in range(4):
            assert feeding.run(ENDLESS, kill_after=rng.uniform(0, 0.1), window=2, pause=0.002) == -signal.SIGKILL
            check(feeding)
