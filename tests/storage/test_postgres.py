"""The PostgreSQL store: all that every store does, and what is its own: durability, lost connections, several processes, migrations."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.storage.conformance import CHECKS, StoreConformance
from tests.storage.conformance_case import NOW, Case, append, rows, say, table, told, value, write
from tests.storage.cut import Line

from twinwright.clock import ManualClock
from twinwright.errors import StoreError, UsageError
from twinwright.governance.principals import SYSTEM
from twinwright.storage import postgres_connections, postgres_copy, postgres_lifecycle, postgres_sql, postgres_transaction
from twinwright.storage.layout import Counts, Selection
from twinwright.storage.postgres import PostgresStore


class TestPostgres(StoreConformance):
    @pytest.fixture
    def case(self, postgres):
        schema = postgres.schema()
        case = Case(open=lambda clock, number: PostgresStore(postgres.dsn(), f"{schema}_{number}", clock))
        yield case
        case.close()


def test_ranges_of_commits_are_read_alike_where_another_process_is_told_of_them(postgres, schema):
    """The one read of the suite that has another way then."""
    beside = PostgresStore(postgres.dsn(), schema, shared=True)
    case = Case(open=lambda clock, number: PostgresStore(postgres.dsn(), schema, clock))
    CHECKS["readings_of_a_range_of_commits_are_what_these_appended"](case)
    assert beside._rows(SYSTEM, "SELECT count(*) FROM blocks_0") == [(6,)]
    case.close()
    beside.close()


@pytest.fixture
def schema(postgres):
    return postgres.schema()


@pytest.fixture
def opened(postgres, schema):
    """Opens stores of one schema, and closes them in the end."""
    stores = []

    def make(dsn=None, **options):
        stores.append(PostgresStore(dsn or postgres.dsn(), schema, ManualClock(NOW), **options))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def line(postgres):
    line = Line(postgres.folder)
    yield line
    line.close()


# --- durability -------------------------------------------------------------------------------------------------------


def test_a_commit_is_durable_whatever_the_server_is_set_to(postgres, opened):
    postgres.execute("ALTER ROLE twinwright SET synchronous_commit = off")
    try:
        store = opened()
        with write(store) as transaction:
            assert transaction._con.execute("SHOW synchronous_commit").fetchone() == ("on",)
    finally:
        postgres.execute("ALTER ROLE twinwright RESET synchronous_commit")


def test_a_commit_that_is_not_on_the_disk_is_not_acknowledged(opened):
    store = opened()
    with pytest.raises(StoreError, match="before it is on the disk") as refused, write(store) as transaction:
        transaction._con.execute("SET synchronous_commit = off")  # as a pooler or a plug-in might
        transaction.put_record("k", "a", {})
    assert "synchronous_commit" in refused.value.remedy
    assert store.last_commit(SYSTEM) == 0
    assert store.put_record(SYSTEM, "k", "a", {}) == 1


def test_a_server_that_does_not_sync_is_refused(postgres, opened):
    opened().close()
    postgres.stop()
    postgres.start("fsync=off")
    try:
        with pytest.raises(StoreError, match="fsync is off") as refused:
            opened()
        assert "power failure" in refused.value.remedy
    finally:
        postgres.stop()
        postgres.start()
    opened()


def test_a_database_of_another_encoding_is_refused(postgres):
    postgres.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    with pytest.raises(StoreError, match="server_encoding is LATIN1"):
        PostgresStore(postgres.dsn("latin"))


def test_the_server_compiles_no_read(opened):
    assert opened()._rows(SYSTEM, "SHOW jit") == [("off",)]


# --- a server that goes away ------------------------------------------------------------------------------------------


def test_a_server_that_crashed_and_is_back_is_used_again_and_has_all_that_was_acknowledged(postgres, opened, monkeypatch):
    monkeypatch.setattr(postgres_connections, "PATIENCE", 0.1)
    store = opened()
    made = table(store)
    append(store, made, (1, 5, 0, 1.0))
    assert told(store.history) == [(1, "p", 5, 1.0)]  # its connection is idle now, and will be dead
    postgres.stop("immediate")
    for use in (lambda: store.put_record(SYSTEM, "k", "a", {}), lambda: store.history(SYSTEM, Selection())):
        with pytest.raises(StoreError, match="can't be used"):
            use()
    postgres.start()
    assert told(store.history) == [(1, "p", 5, 1.0)]
    postgres.stop("immediate")
    postgres.start()
    assert append(store, made, (1, 6, 0, 2.0)) == 3
    assert told(store.history) == [(1, "p", 5, 1.0), (1, "p", 6, 2.0)]
    assert [commit.number for commit in store.commits(SYSTEM)] == [1, 2, 3]


def test_a_transaction_whose_connection_is_killed_leaves_nothing(postgres, opened):
    store = opened()
    made = table(store)
    with pytest.raises(StoreError), write(store) as transaction:
        transaction.append_readings(made, rows(made, transaction.commit, (1, 5, 0, 1.0)))
        pid = transaction._con.info.backend_pid
        postgres.execute(f"SELECT pg_terminate_backend({pid})")
        transaction.put_record("k", "a", {})
    assert told(store.history) == []
    assert store.put_record(SYSTEM, "k", "a", {}) == 2


def test_a_commit_of_which_the_answer_was_lost_is_found_and_counts_once(opened, line):
    store, heard = opened(line.dsn), []
    store.on_commit(lambda commit: heard.append(commit.number))
    line.cut = "after"
    assert store.put_record(SYSTEM, "k", "a", {}) == 1
    assert store.put_record(SYSTEM, "k", "b", {}) == 2
    assert [commit.number for commit in store.commits(SYSTEM)] == heard == [1, 2]


def test_a_commit_that_never_arrived_is_told_and_leaves_nothing(opened, line):
    store = opened(line.dsn)
    line.cut = "before"
    with pytest.raises(StoreError, match="connection to the database was lost") as lost:
        store.put_record(SYSTEM, "k", "a", {})
    assert "deliver it again" in lost.value.remedy
    assert store.put_record(SYSTEM, "k", "a", {}) == 1


def test_a_commit_that_turns_out_to_be_made_later_is_told_as_one_of_another(opened, line, monkeypatch):
    monkeypatch.setattr(postgres_connections, "PATIENCE", 0.1)
    store, heard = opened(line.dsn), []
    store.on_commit(lambda commit: heard.append(commit.number))
    line.cut, line.down = "after", True
    with pytest.raises(StoreError):
        store.put_record(SYSTEM, "k", "a", {})
    line.down = False
    assert store.put_record(SYSTEM, "k", "b", {}) == 2
    soon(lambda: sorted(heard) == [1, 2])
    assert not store.made_here(1)  # so whoever remembers anything hears of it
    assert store.made_here(2)


def test_a_commit_that_turns_out_to_be_lost_later_stops_nothing(opened, line, monkeypatch):
    monkeypatch.setattr(postgres_connections, "PATIENCE", 0.1)
    store = opened(line.dsn)
    line.cut, line.down = "before", True
    with pytest.raises(StoreError):
        store.put_record(SYSTEM, "k", "a", {})
    line.down = False
    assert store.put_record(SYSTEM, "k", "b", {}) == 1


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dsn", ["postgresql://me:hunter2@127.0.0.1:1/x", "host=127.0.0.1 port=1 user=me password=hunter2"])
def test_no_error_shows_a_password(dsn):
    with pytest.raises(StoreError, match="can't be used") as refused:
        PostgresStore(dsn)
    assert "hunter2" not in f"{refused.value!r} {refused.value} {refused.value.__cause__}"
    assert "127.0.0.1" in str(refused.value)


@pytest.mark.parametrize("dsn", ["hunter2", "postgresql://me:hunter2@[x", "password=hunter2 nonsense"])
def test_an_address_that_can_not_be_read_is_not_repeated(dsn):
    with pytest.raises(UsageError) as refused:
        PostgresStore(dsn)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


# --- several processes ------------------------------------------------------------------------------------------------


def soon(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_platform_has_a_store_and_workers_write_beside_it(opened):
    first = opened()
    with pytest.raises(StoreError, match="open in another process"):
        opened()
    workers = [opened(shared=True), opened(shared=True)]
    assert [store.put_record(SYSTEM, "k", "a", {}) for store in (first, *workers)] == [1, 2, 3]
    first.close()
    assert opened().last_commit(SYSTEM) == 3


def test_listeners_are_told_once_of_every_commit_whoever_made_it(opened):
    one, other, heard = opened(), opened(shared=True), []
    one.on_commit(lambda commit: heard.append((commit.number, commit.kind)))
    for store in (one, other, other, one):
        store.put_record(SYSTEM, "k", "a", {})
    soon(lambda: len(heard) >= 4)
    assert sorted(heard) == [(number, "record:k") for number in range(1, 5)]
    assert [one.made_here(number) for number in range(1, 5)] == [True, False, False, True]


def test_a_store_that_is_closed_is_free_at_once(opened):
    for _ in range(20):
        opened().close()


def test_who_lost_the_store_to_another_platform_waits_for_it_and_then_goes_on(postgres, opened, monkeypatch):
    monkeypatch.setattr(postgres_connections, "PATIENCE", 0.1)
    alone = opened()
    alone.put_record(SYSTEM, "k", "a", {})
    postgres.execute(f"SELECT pg_terminate_backend({alone._con.info.backend_pid})")
    other = postgres.soon(opened)
    with pytest.raises(StoreError, match="open in another process"):
        alone.put_record(SYSTEM, "k", "b", {})
    other.put_record(SYSTEM, "k", "c", {})
    other.close()
    alone.put_record(SYSTEM, "k", "d", {})
    assert [record.id for record in alone.records(SYSTEM, "k")] == ["a", "c", "d"]


def test_a_writer_that_stands_still_is_rolled_back_and_the_next_has_its_turn(opened):
    stalled, other = opened(shared=True), opened(shared=True, stalled=300_000)
    with pytest.raises(StoreError), write(stalled) as transaction:
        transaction.put_record("k", "a", {})
        assert other.put_record(SYSTEM, "k", "b", {}) == 1  # it waits for as long as that takes
        transaction.put_record("k", "c", {})
    assert stalled.put_record(SYSTEM, "k", "d", {}) == 2


def test_a_writer_that_takes_its_time_is_waited_for(opened):
    slow, other, turns = opened(shared=True), opened(shared=True, stalled=1_000_000), []
    slow.on_commit(lambda commit: None)  # it watches the log, as every platform does
    with write(slow) as transaction:
        waiting = threading.Thread(target=lambda: turns.append(other.put_record(SYSTEM, "k", "b", {})))
        waiting.start()
        time.sleep(2.5)
        transaction.put_record("k", "a", {})
    waiting.join()
    assert turns == [2]


def test_a_writer_that_stands_still_within_a_copy_is_rolled_back_too(opened, monkeypatch):
    stalled, other = opened(shared=True), opened(shared=True, stalled=500_000)
    made, turns = table(other), []

    def slow(rows):
        for number, piece in enumerate(postgres_copy.pieces(rows)):
            if number == 1:
                turns.append(other.put_record(SYSTEM, "k", "b", {}))  # waits for the lock, while the server waits for the rest
            yield piece

    monkeypatch.setattr(postgres_transaction, "pieces", slow)
    with pytest.raises(StoreError), write(stalled) as transaction:
        transaction.append_readings(made, rows(made, transaction.commit, (1, 5, 0, 1.0)))
    assert turns == [2]
    assert stalled.last_commit(SYSTEM) == 2


def test_several_writers_share_one_gap_free_log_and_no_turn_counts_twice(postgres, schema, opened):
    turns = 40
    PostgresStore(postgres.dsn(), schema).close()
    command = [sys.executable, str(Path(__file__).parent / "many_writers.py"), postgres.dsn(), schema, str(turns)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    moved = [int(worker.communicate(timeout=200)[0]) for worker in workers]
    store = opened()
    assert sum(moved) == turns
    assert [commit.number for commit in store.commits(SYSTEM)] == list(range(1, turns + 1))
    assert store.counts(SYSTEM) == {"pump": Counts(turns, turns)}
    assert [int(entry.frames) for entry in store.journal_entries(SYSTEM, "pump", 1, turns)] == list(range(turns))


def test_writers_that_share_see_what_the_others_made(opened):
    one, other = opened(shared=True), opened(shared=True)
    made = table(one)
    with write(other) as transaction:
        transaction.require_revision("pump", 1)
        transaction.append_readings(made, rows(made, transaction.commit, (1, 5, 0, 1.0)))
    assert told(one.history) == [(1, "p", 5, 1.0)]
    assert table(one, revision=2).number == 2


# --- format and space -------------------------------------------------------------------------------------------------


def test_migrations_are_applied_once_and_each_in_order(postgres, schema, opened, monkeypatch):
    opened().close()
    more = (*postgres_sql.MIGRATIONS, "ALTER TABLE commits ADD COLUMN note text", "CREATE INDEX ON commits (note)")
    monkeypatch.setattr(postgres_lifecycle, "MIGRATIONS", more)
    opened().close()
    opened().close()
    versions = postgres.execute(f"SELECT version FROM {schema}.migrations ORDER BY version")
    assert versions == [(number,) for number in range(1, len(more) + 1)]


def test_a_migration_that_fails_leaves_the_store_as_it_was(postgres, schema, opened, monkeypatch):
    opened().close()
    known = len(postgres_sql.MIGRATIONS)
    broken = (*postgres_sql.MIGRATIONS, "ALTER TABLE commits ADD COLUMN note text", "SELECT 1/0")
    with monkeypatch.context() as patched:
        patched.setattr(postgres_lifecycle, "MIGRATIONS", broken)
        with pytest.raises(StoreError, match="division by zero"):
            opened()
    assert postgres.execute(f"SELECT max(version) FROM {schema}.migrations") == [(known,)]
    assert opened().put_record(SYSTEM, "k", "a", {}) == 1


def test_a_store_of_a_newer_format_is_refused_and_left_alone(postgres, schema, opened):
    opened().close()
    known = len(postgres_sql.MIGRATIONS)
    postgres.execute(f"INSERT INTO {schema}.migrations VALUES ({known + 1})")
    with pytest.raises(StoreError, match=f"format {known + 1}, this version reads {known}") as refused:
        opened()
    assert "version of Twinwright" in refused.value.remedy


def test_an_expired_journal_gives_its_space_back(opened):
    store = opened()
    empty = store.size(SYSTEM)
    for _ in range(2):
        with write(store) as transaction:
            transaction.journal("pump", "pump", 1, bytes(range(256)) * 20_000, Counts())
        store._clock.advance(86_400_000_000)
    assert store.size(SYSTEM) - empty > 10_000_000
    assert store.expire_journal(SYSTEM, "pump", store._clock.now()) == 2
    assert store.size(SYSTEM) - empty < 1_000_000


def test_a_schema_may_have_an_odd_name(postgres):
    name = postgres.schema() + ' "odd"; é'
    store = PostgresStore(postgres.dsn(), name, ManualClock(NOW))
    say(store, value(1, "p", 10))
    assert told(store.history) == [(1, "p", 10, 1.0)]
    store.close()
