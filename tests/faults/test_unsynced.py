"""A power failure, not only a kill: what was not synced is lost as well, or some of it, and still nothing that was acknowledged is."""

import random
import shutil
import signal
from collections import Counter
from dataclasses import replace

import pytest
from tests.faults.lossy_disk import LossyDisk
from tests.faults.test_kill import ENDLESS, Feeding, check

from twinwright.errors import StoreError

# The engine writes a block of 256 KiB over one that is in use, with the same content and more in it. A disk that tears this one write, in
# the one moment of a checkpoint, leaves a file that can't be opened: what is not promised of it is not asked of it.
WHOLE = "store.duckdb"


def test_what_was_written_down_gives_the_files_again(library, tmp_path):
    (tmp_path / "disk").mkdir()
    feeding, disk = Feeding(tmp_path / "disk"), LossyDisk(library, tmp_path / "disk", tmp_path / "log")
    feeding.environment = disk.environment()
    assert feeding.run(20) == 0
    there = {str(path): path.read_bytes() for path in feeding.folder.rglob("*") if path.is_file() and path.name != "known"}
    again = {path: content for path, content in disk.after(None).items() if isinstance(content, bytes)}
    assert again == there


def fail_often(library, folder, rng, lives, cuts, deaf="", mutant="", losses=0):
    """Lives that end by a power failure; of each, failures at `cuts` other instants are looked at too. How much was lost in all.

    An instant just after a sync loses nothing: more than `lives` are lived until there were so many `losses`, four times as many at most.
    """
    (folder / "disk").mkdir()
    feeding, disk = Feeding(folder / "disk", mutant), LossyDisk(library, folder / "disk", folder / "log", whole=WHOLE)
    feeding.environment = {**disk.environment(deaf), "FEEDER_LOG_BYTES": "300KB"}
    for life in range(4 * lives):
        if life >= lives and disk.lost >= losses:
            break
        before = Counter(feeding.acknowledged)
        since = "ready" if life % 6 == 5 else "ack"
        assert feeding.run(ENDLESS, kill_after=rng.uniform(0.2, 1.0), window=1 + life % 6, pause=0.002, since=since) == -signal.SIGKILL
        for cut in rng.sample(range(disk.records), min(cuts, disk.records)):
            said = [int(line.split()[1]) for line in disk.said(cut).decode().splitlines() if line.startswith("ack ")]
            earlier = folder / f"earlier-{life}-{cut}"  # of its own: an engine knows a file that it had open by its path
            disk.write(disk.after(rng, cut), earlier)
            check(replace(feeding, folder=earlier, acknowledged=before + Counter(said)))
        disk.fail(rng)
        check(replace(feeding, folder=shutil.copytree(feeding.folder, folder / f"copy-{life}")))
    return disk.lost


def test_power_failures_at_random_instants_lose_nothing_and_double_nothing(library, tmp_path):
    assert fail_often(library, tmp_path, random.Random(3), 2, 4, losses=3) >= 3


@pytest.mark.parametrize("deaf", ["store.duckdb.wal", "store.journal", "store.duckdb"])
def test_a_sync_that_does_nothing_is_caught(library, tmp_path, deaf):
    with pytest.raises((AssertionError, StoreError)):
        fail_often(library, tmp_path, random.Random(5), 3, 6, deaf)


def test_a_name_that_is_not_synced_is_caught(library, tmp_path):
    with pytest.raises((AssertionError, StoreError)):
        fail_often(library, tmp_path, random.Random(5), 3, 6, mutant="forget_the_name")
