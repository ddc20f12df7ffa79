"""Blocks of the newest commits in PostgreSQL: what is heard by them is what the rows say, and they are bounded and never needed."""

from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from tests.storage.conformance_case import append, table, wide, write

from twinwright.governance.principals import SYSTEM
from twinwright.storage import postgres_blocks, postgres_lifecycle, postgres_reads, postgres_sql
from twinwright.storage.expiry import Expiry
from twinwright.storage.layout import CONFLICT, LATE, ReadingColumn
from twinwright.storage.postgres import PostgresStore

COLUMNS = [
    ReadingColumn("p", "DOUBLE", "kPa"),
    ReadingColumn("m", "VARCHAR", None),
    ReadingColumn("on", "BOOLEAN", None),
    ReadingColumn("n", "BIGINT", None),
]
MANY = [*COLUMNS, *(ReadingColumn(f"q{j}", "DOUBLE", None) for j in range(60))]  # more than one mask has bits for
FULL, MOST = 300_000, 700_000  # of each table, which its last commit may pass; of both
NOBODY_S = np.empty(0, np.int32), np.empty(0, np.int64)


@pytest.fixture
def opened(postgres):
    """Opens stores of one schema beside each other, and closes them in the end."""
    schema, stores = postgres.schema(), []

    def make():
        stores.append(PostgresStore(postgres.dsn(), schema, shared=True))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def heard(store, table, after, through):
    """Rows in an order of their own; and whether it was the blocks that told them."""
    ways, told = [], postgres_blocks.told

    def noted(*given, **named):
        ways.append(told(*given, **named))
        return ways[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(postgres_reads.postgres_blocks, "told", noted)
        found = store.readings(SYSTEM, table, after=after, through=through)
    return in_order(found), ways[-1] is not None


def read(store, table, after, through):
    """What the rows of the table say themselves."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(postgres_reads.postgres_blocks, "told", lambda *given, **named: None)
        return in_order(store.readings(SYSTEM, table, after=after, through=through))


def in_order(rows):
    return rows.schema, sorted(map(repr, rows.to_pylist()))  # its text tells -0.0 from 0.0


def check_what_is_heard(opened):
    """Everything a commit can bring: after each of them, every range that ends there is the same by blocks and by rows."""
    writer, hearer = opened(), opened()
    first, second = table(writer, columns=COLUMNS), None
    by_blocks = set()

    def compare():
        newest = writer.last_commit(SYSTEM)
        for after in {newest - 1, newest - 2, max(newest - 4, 0)}:
            for of in (first, second) if second else (first,):
                rows, by_block = heard(hearer, of, after, newest)
                assert rows == read(hearer, of, after, newest)
                by_blocks.update([(after, newest)] if by_block else [])

    def ingest(of, *said, kind="ingest", sighted=()):
        with write(writer, kind) as transaction:
            transaction.append_readings(of, wide(of, transaction.commit, said))
            if sighted:
                transaction.append_readings(of, wide(of, transaction.commit, sighted), sightings=True)
        compare()

    ingest(first, {"twin": 1, "time": 5, "v0": -0.0, "v1": "a\x00b\x01\U0001f321", "v2": True, "v3": -(1 << 63)})  # 2
    ingest(
        first,
        {"twin": 1, "time": 6, "bad0": 0b0011, "v2": False, "marks": LATE},
        {"twin": 2, "time": -7, "correction": 3, "v0": 1e308, "marks": CONFLICT},
        {"twin": 2, "time": 6, "v1": ""},
        sighted=[{"twin": 1, "time": 5, "v0": -0.0}],
    )  # 3
    writer.put_record(SYSTEM, "k", "a", {})  # 4
    compare()
    second = table(writer, revision=2, columns=MANY)  # 5: from now on sightings matter
    compare()
    ingest(
        second,
        {"twin": 1, "time": 5, "bad1": 0b1000, "v3": 7, "v62": 0.5},
        {"twin": 3, "time": 1 << 50, "correction": -2, "v63": 5e-324},
        sighted=[{"twin": 1, "time": 5, "v3": 7, "bad1": 0b1000}],
    )  # 6
    ingest(first, {"twin": 4, "time": 9, "origin": 3, "v0": 4.0}, {"twin": 4, "time": 8, "v0": 5.0}, kind="retry")  # 7
    assert by_blocks >= {(after, through) for after, through in combinations(range(1, 8), 2) if through - after in (1, 2, 4)}
    with write(writer, "replay") as transaction:  # 8
        transaction.append_readings(second, wide(second, transaction.commit, [{"twin": 1, "time": 6, "origin": 3, "v0": 2.0}]))
        transaction.retract("pump", 3, 7, 2)
    compare()
    ingest(second, {"twin": 5, "time": 1, "v1": "x"}, {"twin": 5, "time": 2, "v1": "y", "v0": 1.0})  # 9
    with write(writer, "expire-history") as transaction:  # 10
        transaction.let_go(Expiry(second, (1,), (5,), 0, 10, NOBODY_S))
    compare()
    ingest(second, {"twin": 5, "time": 3, "v1": "z"})  # 11
    assert {(8, 9), (10, 11)} <= by_blocks
    assert not {(7, 8), (8, 10), (7, 11)} & by_blocks


def test_what_is_heard_by_blocks_is_what_the_rows_say(opened):
    check_what_is_heard(opened)


def _without(*names):
    packed = postgres_blocks._packed
    return lambda rows, commit: packed(rows.drop_columns([name for name in names if name in rows.column_names]), commit)


def _as_if_new(rows, commit, packed=postgres_blocks._packed):
    place = rows.schema.get_field_index("origin")
    return packed(rows.set_column(place, "origin", pa.repeat(pa.scalar(commit, pa.int64()), len(rows))), commit)


def _counting_blocks_alone(connection, table, schema, after, through, *, sightings):
    query = f"SELECT commit, body FROM ({postgres_blocks._RANGE}) AS b WHERE number = {table.number}"
    with connection.cursor(binary=True) as cursor:
        found = cursor.execute(query, {"after": after, "through": through})
        return pa.concat_tables([schema.empty_table(), *(postgres_blocks._unpacked(body, commit, schema) for commit, body in found)])


def _without_sightings(connection, table, schema, after, through, *, sightings, told=postgres_blocks.told):
    return told(connection, table, schema, after, through, sightings=False)


BROKEN = {
    "bad values are forgotten": (postgres_blocks, "_packed", _without("bad0", "bad1")),
    "corrections are forgotten": (postgres_blocks, "_packed", _without("correction")),
    "marks are forgotten": (postgres_blocks, "_packed", _without("marks")),
    "all arrived when they were committed": (postgres_blocks, "_packed", _as_if_new),
    "blocks are not counted": (postgres_blocks, "told", _counting_blocks_alone),
    "sightings are left out": (postgres_blocks, "told", _without_sightings),
    "what is taken away is told": (postgres_blocks.Blocks, "forget", lambda self: None),
}


@pytest.mark.parametrize("name", BROKEN)
def test_blocks_that_tell_something_else_are_caught(opened, monkeypatch, name):
    monkeypatch.setattr(*BROKEN[name])
    with pytest.raises(AssertionError):
        check_what_is_heard(opened)


# --- when, and how many -----------------------------------------------------------------------------------------------


def kept(store):
    """(commit, rows) of the blocks there are; None where nobody has made their tables."""
    if store._rows(SYSTEM, "SELECT to_regclass('blocks_1') IS NULL")[0][0]:
        return None
    return store._rows(SYSTEM, "SELECT commit, rows FROM blocks_0 UNION ALL SELECT commit, rows FROM blocks_1 ORDER BY commit")


def test_nothing_is_written_for_nobody(opened):
    alone = opened()
    made = table(alone)
    append(alone, made, (1, 5, 0, 1.0))
    assert kept(alone) is None
    other = opened()
    append(alone, made, (1, 6, 0, 1.0), (2, 6, 0, 1.0))
    append(other, made, (1, 7, 0, 1.0))
    assert kept(alone) == [(3, 2), (4, 1)]
    other.close()
    append(alone, made, (1, 8, 0, 1.0))
    assert kept(alone) == [(3, 2), (4, 1)]
    assert [heard(alone, made, after, 5)[1] for after in (3, 2, 1)] == [False] * 3
    assert [heard(alone, made, after, 4)[1] for after in (3, 2, 1)] == [True, True, False]
    assert all(heard(alone, made, after, 5)[0] == read(alone, made, after, 5) for after in range(5))


def test_a_process_that_lost_its_connection_is_still_told(opened, postgres):
    writer, hearer = opened(), opened()
    made = table(writer)
    postgres.execute(f"SELECT pg_terminate_backend({hearer._con.info.backend_pid}, 60000)")
    append(writer, made, (1, 5, 0, 1.0))
    assert kept(writer) is None
    append(hearer, made, (1, 6, 0, 1.0))
    append(writer, made, (1, 7, 0, 1.0))
    assert kept(writer) == [(3, 1), (4, 1)]


def filled(store, made, rng):
    """One more commit of about 40 kB that don't compress."""
    with write(store, "ingest") as transaction:
        said = [{"twin": 1, "time": transaction.commit, "v0": number} for number in rng.random(4_000).tolist()]
        transaction.append_readings(made, wide(made, transaction.commit, said))
    return transaction.commit


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(postgres_blocks, "FULL", FULL)


def size(store):
    return sum(store._rows(SYSTEM, "SELECT pg_table_size('blocks_0') + pg_table_size('blocks_1')")[0])


def test_the_older_blocks_go_and_who_comes_too_late_for_them_reads_rows(opened, small):
    writer, hearer, rng = opened(), opened(), np.random.default_rng(7)
    made, most = table(writer), 0
    for _ in range(30):
        newest = filled(writer, made, rng)
        most = max(most, size(writer))
        assert heard(hearer, made, max(newest - 3, 1), newest)[1] is True
    assert most < MOST
    rows, by_block = heard(hearer, made, 1, newest)
    assert not by_block
    assert rows == read(hearer, made, 1, newest)


def test_who_stands_still_while_it_reads_blocks_stops_nobody(opened, small):
    writer, hearer, rng = opened(), opened(), np.random.default_rng(7)
    made = table(writer)
    filled(writer, made, rng)
    reading = hearer._connections.connect()
    reading.execute("BEGIN")
    reading.execute("SELECT count(*) FROM blocks_0 UNION ALL SELECT count(*) FROM blocks_1")
    numbers = [filled(writer, made, rng) for _ in range(20)]
    assert size(writer) < MOST
    assert heard(hearer, made, 1, numbers[-1])[1] is False
    reading.close()
    numbers += [filled(writer, made, rng) for _ in range(2)]
    assert heard(hearer, made, numbers[-2], numbers[-1])[1] is True


def test_a_commit_that_is_larger_than_a_table_may_be_is_not_told(opened, monkeypatch):
    monkeypatch.setattr(postgres_blocks, "FULL", 60_000)
    writer, rng = opened(), np.random.default_rng(7)
    hearer, made = opened(), table(writer)
    with write(writer, "ingest") as transaction:
        for part in range(3):
            said = [{"twin": part, "time": 1, "v0": number} for number in rng.random(4_000).tolist()]
            transaction.append_readings(made, wide(made, transaction.commit, said))
    assert kept(writer) == []
    rows, by_block = heard(hearer, made, 1, 2)
    assert not by_block
    assert rows == read(hearer, made, 1, 2)


def test_blocks_are_not_logged(opened):
    writer, _ = opened(), opened()
    append(writer, table(writer), (1, 5, 0, 1.0))
    assert writer._rows(SYSTEM, "SELECT DISTINCT relpersistence::text FROM pg_class WHERE relname ~ '^blocks_\\d+$'") == [("u",)]


def test_a_copy_has_no_blocks_and_what_was_copied_is_read(opened, postgres):
    writer, _ = opened(), opened()
    made = table(writer)
    append(writer, made, (1, 5, 0, 1.0))
    copy = PostgresStore(postgres.dsn(), postgres.schema())
    with writer.snapshot(SYSTEM) as snapshot:
        assert "appended" not in snapshot.tables["commits"].names
        assert not {"blocks_0", "blocks_1"} & set(snapshot.tables)
        copy.load(SYSTEM, snapshot)
    rows, by_block = heard(copy, made, 1, 2)
    assert not by_block
    assert rows == read(writer, made, 1, 2)
    copy.close()


def test_of_commits_of_before_it_is_not_known_what_they_appended(postgres, monkeypatch):
    schema = postgres.schema()
    with monkeypatch.context() as before:
        first = postgres_sql.MIGRATIONS.index(postgres_blocks.MIGRATION)
        before.setattr(postgres_lifecycle, "MIGRATIONS", postgres_sql.MIGRATIONS[:first])
        PostgresStore(postgres.dsn(), schema).close()
        line = "(1, 0, 'ingest', 'pump', 'me', 0, 0, 0, 0, 0, 0, '', gen_random_uuid())"
        postgres.execute(f"INSERT INTO {schema}.commits VALUES {line}")
    store, other = (PostgresStore(postgres.dsn(), schema, shared=True) for _ in range(2))
    made = table(store)
    append(store, made, (1, 5, 0, 1.0))
    assert [heard(other, made, after, 3)[1] for after in (2, 1, 0)] == [True, True, False]
    store.close()
    other.close()
