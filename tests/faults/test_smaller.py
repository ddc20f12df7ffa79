"""A file that gives back its free blocks: whenever it is stopped, or the power fails, the old one or the new one is there whole."""

import random
import resource
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from tests.faults.expirer import NOTHING
from tests.faults.lossy_disk import RENAME, UNLINK, LossyDisk, records
from tests.faults.test_sealing_kill import DAYS, TWINS, Plant, told

from twinwright.errors import StoreError
from twinwright.governance.principals import SYSTEM
from twinwright.storage import duckdb_smaller
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.expiry import Expiry
from twinwright.storage.sealing import DAY

HERE = Path(__file__).parent


def emptied(folder):
    """A store most of whose file nothing uses."""
    plant = Plant(folder)
    plant.append(200_000)
    store = DuckDBStore(plant.path)
    with store.transaction(SYSTEM, "expire-history") as transaction:
        transaction.let_go(Expiry(plant.table, (0, 1, 2), tuple(range(1, TWINS + 1)), 0, DAYS * DAY, NOTHING))
    store.close()
    plant.append(300)
    return plant.path


def room(path):
    store = DuckDBStore(path)
    try:
        return duckdb_smaller.room(store._con)
    finally:
        store.close()


def fail_everywhere(library, folder, deaf="", mutant=""):
    """Look at what is there when the process is killed or the power fails where names change, and at some other instants. Which sizes the
    store's file had."""
    (folder / "disk").mkdir()
    path, rng = emptied(folder / "disk"), random.Random(4)
    wanted, sizes = told(path), set()
    disk = LossyDisk(library, folder / "disk", folder / "log")
    line = [sys.executable, str(HERE / "reopener.py"), str(path), *([str(HERE / "mutants" / f"{mutant}.py")] if mutant else [])]
    subprocess.run(line, env=disk.environment(deaf), check=True)
    kinds = [kind for kind, *_ in records(folder / "log")]
    told_apart = {at + more for at, kind in enumerate(kinds) if kind in (RENAME, UNLINK) for more in (0, 1)}
    for cut in sorted(told_apart | set(rng.sample(range(len(kinds)), 8)) | {len(kinds)}):
        for number, lost in enumerate((None, rng)):  # killed there, and the power failed
            there = folder / f"cut-{cut}-{number}"
            disk.write(disk.after(lost, cut), there)
            sizes.add((there / path.name).stat().st_size)
            same = told(there / path.name) == wanted
            assert same, (cut, number)
            assert not list(there.glob(".*"))
    return sizes


def test_whenever_it_ends_the_old_file_or_the_new_one_is_there(library, tmp_path):
    sizes = fail_everywhere(library, tmp_path)
    assert len(sizes) == 2


def test_a_copy_that_is_not_synced_is_caught(library, tmp_path):
    with pytest.raises((AssertionError, StoreError)):
        fail_everywhere(library, tmp_path, deaf=".smaller")


def test_a_store_that_deletes_its_file_first_is_caught(library, tmp_path):
    with pytest.raises((AssertionError, StoreError, FileNotFoundError)):
        fail_everywhere(library, tmp_path, mutant="delete_before_rename")


def test_opening_gives_back_what_is_free_and_says_so(tmp_path, monkeypatch, caplog):
    path = emptied(tmp_path)
    wanted, before = told(path), room(path)
    assert before.free * 2 > before.total
    assert room(path) == before  # too small to be worth it
    monkeypatch.setattr(duckdb_smaller, "LEAST_BYTES", 0)
    with caplog.at_level("INFO", "twinwright"):
        after = room(path)
    assert after.free == 0
    assert after.total <= before.total - before.free
    assert "given_back" in caplog.text
    assert told(path) == wanted
    store = DuckDBStore(path)  # constraints came along
    with pytest.raises(duckdb.ConstraintException):
        store._con.execute("INSERT INTO meta VALUES ('format', '0')")
    store.close()


def test_on_a_full_disk_the_old_file_stays_and_is_opened(tmp_path, monkeypatch, caplog):
    path = emptied(tmp_path)
    wanted, before = told(path), path.read_bytes()
    monkeypatch.setattr(duckdb_smaller, "LEAST_BYTES", 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        DuckDBStore(path).close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert "was not made smaller" in caplog.text
    assert not list(tmp_path.glob(".*"))
    assert told(path) == wanted


def test_a_file_that_another_store_has_open_is_left_alone(tmp_path, monkeypatch):
    path = emptied(tmp_path)
    store = DuckDBStore(path)
    monkeypatch.setattr(duckdb_smaller, "LEAST_BYTES", 0)
    before = path.stat()
    duckdb_smaller.give_back(path)
    assert path.stat().st_ino == before.st_ino
    store.close()


def test_a_log_that_has_come_in_between_is_not_lost(tmp_path):
    path = emptied(tmp_path)
    script = "import os, sys; from pathlib import Path; from twinwright.governance.principals import SYSTEM; "
    script += "from twinwright.storage.duckdb import DuckDBStore; store = DuckDBStore(Path(sys.argv[1])); "
    script += "store.put_record(SYSTEM, 'note', 'a', {'x': 1}); os._exit(0)"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert path.with_name(path.name + ".wal").exists()
    before = path.stat()
    duckdb_smaller.give_back(path)
    assert path.stat().st_ino == before.st_ino
    store = DuckDBStore(path)
    assert store.get_record(SYSTEM, "note", "a").body == {"x": 1}
    store.close()
