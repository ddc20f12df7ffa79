"""The engine's log, torn: what was acknowledged is there, the rest is cut off, kept and told, and what no tear has done is refused."""

import os
import random
import re
import resource
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from tests.faults.lossy_disk import PAGE, RENAME, LossyDisk, records
from tests.mutating import variant
from tests.telemetry.plant import Plant, contract

from twinwright.errors import StoreError, StoreInUseError
from twinwright.governance.principals import SYSTEM
from twinwright.storage import duckdb_log
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.durable_names import sync

HERE = Path(__file__).parent
COMMITS, READINGS = 5, 150  # the last one, of so many readings, takes several pages


@dataclass(frozen=True)
class Written:
    """A store while it was open: its file and its journal, how long its log was after each commit, and what the store told then."""

    file: bytes
    log: bytes
    frames: bytes
    ends: list[int]
    told: list[tuple]

    @property
    def synced(self):
        """Bytes of the log: the last commit's sync had not returned when the power failed."""
        return self.ends[-2]


def told(store):
    """How many commits, what was received and became of it, and how many readings there are."""
    counts, commits = store.counts(SYSTEM)["pump"], store.commits(SYSTEM)
    assert [commit.number for commit in commits] == list(range(1, len(commits) + 1))
    assert counts.conserved
    (table,) = store.reading_tables(SYSTEM)
    assert len(store.readings(SYSTEM, table)) == counts.accepted
    entries = list(store.journal_entries(SYSTEM, "pump", 1, store.last_commit(SYSTEM)))
    assert sum(entry.counts.received for entry in entries) == counts.received
    return store.last_commit(SYSTEM), counts.received, counts.accepted, counts.duplicate, counts.dead_lettered


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("torn") / "store.duckdb"
    plant = Plant(path, [contract()])
    plant.send({"id": "pump-1", "ts": "2026-03-01T06:00:00Z", "p": 1})
    plant.restart()  # all that is there so far is in the file
    file, ends, said = path.read_bytes(), [0], [told(plant.store)]
    log = path.with_name("store.duckdb.wal")
    for commit in range(COMMITS):
        count = READINGS if commit == COMMITS - 1 else 6
        rows = [{"id": "pump-1", "ts": f"2026-03-01T07:{commit:02}:{at / 10:06.3f}Z", "p": at, "m": f"mode {at}"} for at in range(count)]
        plant.send(*rows, rows[0], b"broken")
        ends.append(log.stat().st_size)
        said.append(told(plant.store))
    assert path.read_bytes() == file
    answer = Written(file, log.read_bytes(), path.with_suffix(".journal").joinpath("000001.frames").read_bytes(), ends, said)
    plant.close()
    assert answer.ends[-1] == len(answer.log) > answer.synced + 3 * PAGE
    return answer


def after(written, folder, log):
    """The path of the store with such a log."""
    (folder / "store.journal").mkdir(parents=True)
    (folder / "store.journal" / "000001.frames").write_bytes(written.frames)
    (folder / "store.duckdb").write_bytes(written.file)
    (folder / "store.duckdb.wal").write_bytes(log)
    return folder / "store.duckdb"


def check(written, folder, log):
    """Open a store with such a log. Whether the log was cut: what is kept then is the log as it was."""
    store = DuckDBStore(after(written, folder, log))
    try:
        found, names = told(store), store.torn_logs(SYSTEM)
    finally:
        store.close()
    assert found in written.told[-2:], "every acknowledged commit is there, and the last one is there whole or not at all"
    assert [(folder / name).read_bytes() for name in names] in ([], [log])
    assert not list(folder.glob(".*"))
    return bool(names)


def changed(log, at, data):
    return log[:at] + data + log[at + len(data) :]


def pages(written):
    """Of the last commit, with the bytes of each of them that were not synced."""
    ends = [*range((written.synced // PAGE + 1) * PAGE, len(written.log), PAGE), len(written.log)]
    return list(zip([written.synced, *ends], ends, strict=False))


def tears(written):
    """Logs as a power failure leaves them in the last commit's sync, and whether they had to be cut by us (None: that depends)."""
    log, synced, rng = written.log, written.synced, random.Random(1)
    for start, end in pages(written)[1:-1]:
        yield changed(log, start, bytes(end - start)), True  # a page was lost, and later ones were not
    flipped = synced + 100
    yield changed(log, flipped, bytes([log[flipped] ^ 1])), True
    yield log[: synced + PAGE], False
    yield log[:-1], False
    yield log[:synced] + bytes(len(log) - synced), None
    yield log[:synced] + rng.randbytes(2 * len(log)), None
    for _ in range(10):
        torn, length = bytearray(log), rng.randint(synced, len(log))
        for start, end in pages(written):
            if rng.random() < 0.4:
                torn[start:end] = bytes(end - start)
        yield bytes(torn[:length]), None


def check_tears(written, folder):
    for number, (log, expected) in enumerate(tears(written)):
        cut = check(written, folder / str(number), log)
        assert expected is None or cut == expected, number


def test_whatever_is_torn_of_what_was_not_synced_the_rest_is_there(written, tmp_path, caplog):
    check_tears(written, tmp_path)
    assert "left_out" in caplog.text


def test_the_first_commit_of_a_log_is_torn_too(written, tmp_path):
    log = changed(written.log[: written.ends[1]], 0, bytes(512))  # with its header: the engine says nothing of that
    path = after(written, tmp_path / "store", log)
    store = DuckDBStore(path)
    assert told(store) == written.told[0]
    assert [(path.parent / name).read_bytes() for name in store.torn_logs(SYSTEM)] == [log]
    store.close()


def damages(written):
    """Logs of which something was on the disk, whole, and is not any more."""
    log, (first, second, *_) = written.log, written.ends[1:]
    header = duckdb_log._HEADER.match(log).end()
    yield changed(log, 0, bytes(512))
    yield changed(log, 5, b"\x01")  # another version of logs
    yield changed(log, first + 200, bytes([log[first + 200] ^ 1]))
    yield changed(log, first, struct.pack("<Q", 2**40))  # longer than the file: the engine leaves all of it out
    yield changed(log, header, bytes(64))
    for part in (0, 8, 16):  # length, checksum and body of a commit mark
        yield changed(log, second - 21 + part, bytes([log[second - 21 + part] ^ 1]))


def check_damages(written, folder):
    for number, log in enumerate(damages(written)):
        path = after(written, folder / str(number), log)
        with pytest.raises(StoreError, match="damaged") as refused:
            DuckDBStore(path).close()
        assert "runbook" in refused.value.remedy
        assert path.with_name("store.duckdb.wal").read_bytes() == log, number
        assert duckdb_log.torn(path) == []


def test_a_log_that_is_damaged_is_refused_and_left_as_it_is(written, tmp_path):
    check_damages(written, tmp_path)


def test_an_operator_who_goes_on_without_what_is_behind_the_damage_has_the_rest(written, tmp_path):
    log, first = written.log, written.ends[1]
    path = after(written, tmp_path / "store", changed(log, first + 200, bytes([log[first + 200] ^ 1])))
    with pytest.raises(StoreError, match="damaged") as refused:
        DuckDBStore(path)
    assert f"whole up to byte {first}" in refused.value.remedy
    path.with_name("store.duckdb.wal").write_bytes(log[:first])
    store = DuckDBStore(path)
    assert told(store) == written.told[1]
    store.close()


def test_a_store_of_the_folder_that_one_is_in_has_its_log_cut_too(written, tmp_path, monkeypatch):
    start, end = pages(written)[1]
    monkeypatch.chdir(tmp_path)
    path = after(written, Path("store"), changed(written.log, start, bytes(end - start)))  # as commands name it
    store = DuckDBStore(path)
    assert (told(store), len(store.torn_logs(SYSTEM))) == (written.told[-2], 1)
    store.close()


def test_on_a_disk_without_room_nothing_is_cut(written, tmp_path):
    start, end = pages(written)[1]
    log = changed(written.log, start, bytes(end - start))
    path = after(written, tmp_path / "store", log)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(log) // 2, hard))
    try:
        with pytest.raises(StoreError, match="synced or kept") as refused:
            DuckDBStore(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "room" in refused.value.remedy
    assert path.with_name("store.duckdb.wal").read_bytes() == log


def test_a_log_in_a_form_that_only_the_engine_knows_is_left_to_it(written, tmp_path, monkeypatch):
    monkeypatch.setattr(duckdb_log, "_HEADER", re.compile(b"never"))
    store = DuckDBStore(after(written, tmp_path / "store", written.log))
    assert told(store) == written.told[-1]
    store.close()


def test_what_a_killed_process_had_not_synced_is_on_the_disk_before_anything_is_behind_it(written, tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(duckdb_log, "sync", lambda path: (synced.append(path), sync(path)))
    path = after(written, tmp_path / "store", written.log)
    store = DuckDBStore(path)
    assert synced == [path.with_name("store.duckdb.wal")]
    assert told(store) == written.told[-1]
    store.close()


def test_a_log_is_cut_by_nobody_while_another_process_has_the_store_open(written, tmp_path):
    path = after(written, tmp_path / "store", written.log)
    code = "import duckdb, sys; connection = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "1\n"
        with pytest.raises(StoreInUseError), duckdb_log._locked(path):
            pass
        other.communicate("\n")
    with duckdb_log._locked(path):
        pass


def test_a_log_that_was_mended_meanwhile_is_not_cut(written, tmp_path):
    start, end = pages(written)[1]
    path = after(written, tmp_path / "store", changed(written.log, start, bytes(end - start)))

    def connect():
        try:
            return duckdb.connect(str(path))
        finally:
            path.with_name("store.duckdb.wal").write_bytes(written.log)

    with pytest.raises(StoreInUseError, match="another process"):
        duckdb_log.opened(path, connect)
    assert path.with_name("store.duckdb.wal").read_bytes() == written.log


def fail_while_cutting(written, library, folder, mutant=""):
    """Look at what is there when the process is killed, or the power fails again, while a log is cut."""
    start, end = pages(written)[1]
    torn = changed(written.log, start, bytes(end - start))
    path, rng = after(written, folder / "disk", torn), random.Random(2)
    log, disk = path.with_name("store.duckdb.wal"), LossyDisk(library, path.parent, folder / "log")
    at = log.stat().st_mtime_ns
    line = [sys.executable, str(HERE / "reopener.py"), str(path), *([str(HERE / "mutants" / f"{mutant}.py")] if mutant else [])]
    subprocess.run(line, env=disk.environment(), check=True)
    renamed = [number for number, (kind, *_) in enumerate(records(folder / "log")) if kind == RENAME]
    assert len(renamed) == 2
    for cut in sorted({0, *(at + more for at in renamed for more in (0, 1))}):
        for number, lost in enumerate((None, rng)):
            there = folder / f"cut-{cut}-{number}"
            disk.write(disk.after(lost, cut), there)
            if (there / log.name).exists():
                os.utime(there / log.name, ns=(at, at))  # no failure changes that
            store = DuckDBStore(there / path.name)
            assert told(store) == written.told[-2], (cut, number)
            assert [(there / name).read_bytes() for name in store.torn_logs(SYSTEM)] == [torn], (cut, number)
            store.close()


def test_killed_while_it_is_cut_it_is_cut_again(written, library, tmp_path):
    fail_while_cutting(written, library, tmp_path)


CAUGHT_BY = {"cut_a_commit_early": check_tears, "cut_and_keep_nothing": check_tears, "cut_whatever_is_behind": check_damages}


@pytest.mark.parametrize("name", CAUGHT_BY)
def test_a_broken_variant_is_caught(written, tmp_path, monkeypatch, name):
    variant(HERE / "mutants" / f"{name}.py").apply(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        CAUGHT_BY[name](written, tmp_path)


def test_a_log_that_is_moved_away_before_it_is_cut_is_caught(written, library, tmp_path):
    with pytest.raises(AssertionError):
        fail_while_cutting(written, library, tmp_path, "cut_what_was_moved_away")
