"""Archives: a copy that is taken while others write is of one commit, and one that is not whole any more is refused."""

import json
import shutil
import threading
from functools import reduce
from operator import add

import pytest
from tests.storage.conformance_case import NOW, Case, append, say, value
from tests.storage.conformance_copies import all_of, furnished
from tests.storage.held import held
from tests.telemetry.plant import Plant, contract

from twinwright.clock import ManualClock
from twinwright.errors import StoreError, UsageError
from twinwright.governance.principals import SYSTEM
from twinwright.storage import archive
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.layout import Counts, Selection
from twinwright.storage.postgres import PostgresStore
from twinwright.telemetry.journal import unpack

ABOUT = {"kind": "backup", "at": "2026-03-01T08:00:00Z"}


@pytest.fixture
def case(tmp_path):
    case = Case(open=lambda clock, number: DuckDBStore(tmp_path / f"store-{number}.duckdb", clock))
    yield case
    case.close()


def written(store, folder, **options):
    with store.snapshot(SYSTEM) as snapshot:
        return archive.write(snapshot, folder, ABOUT, **{"journal": True, **options})


# --- a copy of a running store ------------------------------------------------------------------------------------------


class Disturbed:
    """A snapshot with something committed before each table is read."""

    def __init__(self, snapshot, disturb):
        self._snapshot, self._disturb = snapshot, disturb
        self.commit, self.tables, self.count, self.frames = snapshot.commit, snapshot.tables, snapshot.count, snapshot.frames

    def rows(self, table):
        self._disturb()
        yield from self._snapshot.rows(table)


def test_a_copy_taken_during_ingestion_is_exactly_the_state_at_its_commit(tmp_path):
    plant, stop, sent = Plant(tmp_path / "store.duckdb", [contract(correction={"field": "rev"})]), threading.Event(), [0]

    def send():
        sent[0] += 1
        ts = f"2026-03-01T07:{sent[0] % 60:02d}:00Z"
        broken = [{"id": "nobody", "ts": ts, "p": 1}]
        plant.send(*({"id": "pump-1", "ts": ts, "p": sent[0] % 7, "m": f"m{sent[0]}", "rev": at % 3} for at in range(6)), *broken)

    def feed():
        while not stop.is_set():
            send()

    for _ in range(5):
        send()
    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        with plant.store.snapshot(SYSTEM) as snapshot:
            archive.write(Disturbed(snapshot, send), tmp_path / "copy", ABOUT, journal=True)
    finally:
        stop.set()
        feeder.join(60)
    found = archive.open_archive(tmp_path / "copy")
    at = found.commit
    assert plant.store.last_commit(SYSTEM) >= at + len(found.tables)  # it was written to all the time
    restored = DuckDBStore(tmp_path / "restored.duckdb", ManualClock(NOW))
    try:
        restored.load(SYSTEM, found)
        assert restored.last_commit(SYSTEM) == at
        assert restored.commits(SYSTEM) == plant.store.commits(SYSTEM, last=at)
        assert restored.counts(SYSTEM) == {"pump": reduce(add, (one.counts for one in plant.store.commits(SYSTEM, last=at)), Counts())}
        assert restored.history(SYSTEM, Selection()).equals(plant.store.history(SYSTEM, Selection(known_at=at)))
        assert restored.latest(SYSTEM, Selection()).equals(plant.store.latest(SYSTEM, Selection(known_at=at)))
        mine, theirs = (list(one.journal_entries(SYSTEM, "pump", 1, at)) for one in (restored, plant.store))
        assert mine == theirs
        assert sum(len(unpack(entry.frames)) for entry in mine) == restored.counts(SYSTEM)["pump"].received
        assert len(restored.dead_letters(SYSTEM, limit=10**6)) == restored.counts(SYSTEM)["pump"].dead_lettered
    finally:
        restored.close()
        plant.close()


def test_what_was_copied_goes_on_where_it_was(tmp_path):
    plant = Plant(tmp_path / "store.duckdb", [contract()])
    bodies = [{"id": "pump-1", "ts": f"2026-03-01T07:0{at}:00Z", "p": at} for at in range(5)]
    plant.send(*bodies)
    written(plant.store, tmp_path / "copy")
    plant.close()
    store = DuckDBStore(tmp_path / "again.duckdb", ManualClock(NOW))
    store.load(SYSTEM, archive.open_archive(tmp_path / "copy"))
    store.close()
    again = Plant(tmp_path / "again.duckdb", [contract()])
    receipt = again.send(*bodies, {"id": "pump-1", "ts": "2026-03-01T07:09:00Z", "p": 9})
    assert (receipt.accepted, receipt.duplicate) == (1, 5)
    again.close()


def test_engines_take_each_other_s_copies(case, tmp_path, postgres):
    furnished(case.store)
    wanted = all_of(case.store)
    written(case.store, tmp_path / "one")
    store = PostgresStore(postgres.dsn(), postgres.schema(), ManualClock(NOW))
    store.load(SYSTEM, archive.open_archive(tmp_path / "one"))
    assert all_of(store) == wanted
    written(store, tmp_path / "two")
    store.close()
    back = case.fresh()
    back.load(SYSTEM, archive.open_archive(tmp_path / "two"))
    assert all_of(back) == wanted


def test_what_was_taken_in_is_counted(case, tmp_path):
    furnished(case.store)
    written(case.store, tmp_path / "copy")
    found = archive.open_archive(tmp_path / "copy")
    archive.require_same(found, held(case.store))
    say(case.store, value(1, "p", 1))
    with pytest.raises(StoreError, match="rows instead of"):
        archive.require_same(found, held(case.store))


# --- what is on the disk ------------------------------------------------------------------------------------------------


def test_nothing_is_left_where_a_copy_fails(case, tmp_path):
    furnished(case.store)

    def fails():
        raise OSError(28, "No space left on device")

    with case.store.snapshot(SYSTEM) as snapshot, pytest.raises(StoreError, match="No space left"):
        archive.write(Disturbed(snapshot, fails), tmp_path / "to" / "copy", ABOUT, journal=True)
    assert list((tmp_path / "to").iterdir()) == []


def test_a_copy_does_not_overwrite(case, tmp_path):
    (tmp_path / "copy").mkdir()
    written(case.store, tmp_path / "copy")  # an empty folder is as good as none
    with pytest.raises(UsageError, match="there already"):
        written(case.store, tmp_path / "copy")
    with pytest.raises(UsageError, match="can't be written"):
        written(case.store, tmp_path / "copy" / "manifest.json" / "x")


def changed(path, change):
    path.write_bytes(change(path.read_bytes()))


def manifest(folder, change):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


HARM = {
    "a byte of a table": lambda folder: changed(folder / "tables/readings_1.parquet", lambda data: data[:50] + b"\xff" + data[51:]),
    "a table cut": lambda folder: changed(folder / "tables/commits.parquet", lambda data: data[:-1]),
    "a table gone": lambda folder: (folder / "tables/retractions.parquet").unlink(),
    "a table of another": lambda folder: shutil.copy(folder / "tables/records.parquet", folder / "tables/lifetimes.parquet"),
    "the journal cut": lambda folder: changed(folder / "journal/000001.frames", lambda data: data[:-1]),
    "the journal grown": lambda folder: changed(folder / "journal/000001.frames", lambda data: data + b"x"),
    "the manifest cut": lambda folder: changed(folder / "manifest.json", lambda data: data[:-20]),
    "the manifest gone": lambda folder: (folder / "manifest.json").unlink(),
    "another commit": lambda folder: manifest(folder, lambda one: one.update(commit=1)),
    "a digest": lambda folder: manifest(folder, lambda one: one["files"]["tables/cells.parquet"].update(sha256="0" * 64)),
    "a file left out": lambda folder: manifest(folder, lambda one: one["files"].pop("tables/retractions.parquet")),
    "a way out": lambda folder: manifest(folder, lambda one: one["files"].update({"../../etc/passwd": {}})),
    "a later format": lambda folder: manifest(folder, lambda one: one.update(format=99)),
    "not JSON": lambda folder: changed(folder / "manifest.json", lambda data: b"\x80"),
    "deep JSON": lambda folder: changed(folder / "manifest.json", lambda data: b"[" * 100_000),
    "a list": lambda folder: changed(folder / "manifest.json", lambda data: b"[]"),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_copy_that_is_not_whole_is_refused(case, tmp_path, harm):
    furnished(case.store)
    written(case.store, tmp_path / "copy")
    archive.open_archive(tmp_path / "copy")
    HARM[harm](tmp_path / "copy")
    with pytest.raises(UsageError) as refused:
        archive.open_archive(tmp_path / "copy")
    assert str(tmp_path / "copy") in str(refused.value)


def honest(folder, change):
    """What somebody could do who makes the digests right as well."""
    manifest(folder, change)
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    content.pop("digest")
    path.write_text(json.dumps({**content, "digest": archive._digest_of(content)}))


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "", "a/../../b", "tables\\x"])
def test_no_file_outside_is_read(case, tmp_path, name):
    written(case.store, tmp_path / "copy")
    (tmp_path / "outside").write_text("x")
    honest(tmp_path / "copy", lambda one: one["files"].update({name: {"sha256": "", "bytes": 1}}))
    with pytest.raises(UsageError, match="is not a name inside"):
        archive.open_archive(tmp_path / "copy")


def test_no_link_is_followed(case, tmp_path):
    written(case.store, tmp_path / "copy")
    (tmp_path / "copy" / "tables").rename(tmp_path / "tables")
    (tmp_path / "copy" / "tables").symlink_to(tmp_path / "tables")
    with pytest.raises(UsageError, match="can't be read"):
        archive.open_archive(tmp_path / "copy")


def test_what_only_looks_like_a_table_is_refused(case, tmp_path):
    written(case.store, tmp_path / "copy", others=[("tables/more.parquet", b"not Parquet")])
    with pytest.raises(UsageError, match="can't be read"):
        archive.open_archive(tmp_path / "copy")


def test_frames_in_another_file_are_refused(case, tmp_path):
    furnished(case.store)
    written(case.store, tmp_path / "copy")
    honest(tmp_path / "copy", lambda one: one["files"].pop("journal/000001.frames"))
    store = case.fresh()
    with pytest.raises(UsageError, match="is not one of its files"):
        store.load(SYSTEM, archive.open_archive(tmp_path / "copy"))
    assert store.last_commit(SYSTEM) == 0
    assert append(store, furnished(store), (1, 1, 0, 1.0))
