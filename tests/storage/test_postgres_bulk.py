"""Large batches in PostgreSQL: where they go, that all reads and changes mean them too, and that a store of before gets their tables."""

import numpy as np
import pyarrow as pa
import pytest

from twinwright.governance.principals import LOCAL_ADMIN
from twinwright.storage import postgres_blocks, postgres_bulk, postgres_lifecycle, postgres_sql
from twinwright.storage.layout import ReadingColumn, Selection
from twinwright.storage.postgres import PostgresStore
from twinwright.storage.sealing import DAY

COLUMNS = tuple(ReadingColumn(f"p{j}", "DOUBLE", None) for j in range(2))
LARGE, TWINS = 400, 20


@pytest.fixture
def store(postgres, monkeypatch):
    monkeypatch.setattr(postgres_bulk, "LARGE", LARGE)
    monkeypatch.setattr(postgres_bulk, "FULL", 65_536)
    store = PostgresStore(postgres.dsn(), postgres.schema())
    yield store
    store.close()


def furnished(store):
    with store.transaction(LOCAL_ADMIN, "apply") as transaction:
        return transaction.create_reading_table("c", "c", 1, COLUMNS)


def append(store, table, rows, start, marks=0):
    """Some readings, one each microsecond from `start` on."""
    i = np.arange(rows)
    with store.transaction(LOCAL_ADMIN, "ingest") as transaction:
        columns = {name: np.zeros(rows, np.int64) for name in table.names}
        columns |= {"commit": columns["commit"] + transaction.commit, "origin": columns["origin"] + transaction.commit}
        columns |= {"twin": (i % TWINS).astype(np.int32), "time": start + i, "marks": np.full(rows, marks, np.int8)}
        columns |= {"v0": (start + i) * 1.0, "v1": i * 0.5}
        transaction.append_readings(table, pa.table(columns))


def sizes(store):
    """Rows of each table of readings, by itself; and which have ranges."""
    here = "schemaname = current_schema()"
    names = f"SELECT tablename::text FROM pg_tables WHERE {here} AND tablename ~ '^(readings|bulk)_1'"
    rows = {name: store._rows(LOCAL_ADMIN, f"SELECT count(*) FROM ONLY {name}")[0][0] for (name,) in store._rows(LOCAL_ADMIN, names)}
    ranges = store._rows(LOCAL_ADMIN, f"SELECT tablename::text FROM pg_indexes WHERE {here} AND indexname ~ '_ranges$'")
    return rows, {name for (name,) in ranges}


def test_large_batches_fill_tables_of_their_own_whose_ranges_are_summarised_when_they_are_full(store):
    table = furnished(store)
    append(store, table, LARGE - 1, 0)
    for batch in range(1, 6):
        append(store, table, LARGE, batch * 1_000, marks=batch % 2)
    rows, ranges = sizes(store)
    assert rows["readings_1"] == LARGE - 1
    assert sum(rows.values()) == 6 * LARGE - 1
    full = sorted(ranges)
    assert full
    assert len(full) == len(rows) - 2  # all but the table with the index, and the one that is being filled
    assert all(rows[name] for name in full)


def test_a_commit_after_which_the_connection_is_lost_is_made_all_the_same(store, postgres, monkeypatch):
    table, heard, commit = furnished(store), [], PostgresStore._commit
    store.on_commit(lambda done: heard.append(done.number))

    def lost_then(self, transaction):
        commit(self, transaction)
        postgres.execute(f"SELECT pg_terminate_backend({self._con.info.backend_pid}, 60000)")

    with monkeypatch.context() as patched:
        patched.setattr(PostgresStore, "_commit", lost_then)
        append(store, table, LARGE, 0)
    append(store, table, LARGE, 1_000)
    assert heard == [2, 3]
    assert sum(sizes(store)[0].values()) == 2 * LARGE


def test_where_no_table_may_be_added_large_batches_go_to_the_one_with_the_index(store, monkeypatch):
    monkeypatch.setattr(postgres_bulk, "MOST", 1)
    table = furnished(store)
    for batch in range(5):
        append(store, table, LARGE, batch * 1_000)
    rows, ranges = sizes(store)
    assert set(rows) == {"readings_1", "bulk_1_1"}
    assert min(rows.values()) >= LARGE
    assert ranges == {"bulk_1_1"}


def test_reads_mean_all_tables(store):
    table = furnished(store)
    for batch, size in enumerate((LARGE, 10, LARGE, LARGE, LARGE)):
        append(store, table, size, batch * 1_000, marks=1)
    of_twin = store.history(LOCAL_ADMIN, Selection(lifetimes=(3,), paths=("p0",)))
    assert of_twin["num"].to_pylist() == sorted(
        batch * 1_000.0 + i for batch in range(5) for i in range(3, 10 if batch == 1 else LARGE, TWINS)
    )
    assert store.readings(LOCAL_ADMIN, table)["marks"].to_pylist() == [1] * (4 * LARGE + 10)
    assert len(store.readings(LOCAL_ADMIN, table, after=2, through=4)) == 10 + LARGE
    assert store.hours(LOCAL_ADMIN, "c") == {0: 4 * LARGE + 10}


def test_sealing_moves_large_batches_to_the_table_with_the_index(store):
    table = furnished(store)
    for batch in range(4):
        append(store, table, LARGE, batch * 1_000)
    append(store, table, LARGE, DAY)
    before = store.readings(LOCAL_ADMIN, table).sort_by([("time", "ascending")])
    assert sum(store.seal(LOCAL_ADMIN, table, 0)) == 4 * LARGE
    rows, _ = sizes(store)
    assert rows["readings_1"] == 4 * LARGE
    assert store.readings(LOCAL_ADMIN, table).sort_by([("time", "ascending")]) == before


def test_a_store_of_before_gets_tables_for_large_batches(postgres, monkeypatch):
    schema, create = postgres.schema(), postgres_sql.create_reading_tables
    with monkeypatch.context() as before:
        first = postgres_sql.MIGRATIONS[: postgres_sql.MIGRATIONS.index(postgres_bulk.MIGRATION)]
        known = (*first[:-1], f"{first[-1]}; {postgres_blocks.MIGRATION}")  # what this version's log says more than that one's
        before.setattr(postgres_lifecycle, "MIGRATIONS", known)
        before.setattr(
            postgres_sql,
            "create_reading_tables",
            lambda table: [statement.replace(" DEFAULT 0", "") for statement in create(table) if "bulk" not in statement],
        )
        before.setattr(postgres_bulk, "given", lambda rows: rows)
        before.setattr(postgres_bulk, "tend", lambda connection, number: None)
        store = PostgresStore(postgres.dsn(), schema)
        table = furnished(store)
        append(store, table, 10, 0)
        store.close()
    postgres.execute(f"ALTER TABLE {schema}.commits DROP COLUMN appended")
    monkeypatch.setattr(postgres_bulk, "LARGE", LARGE)
    store = PostgresStore(postgres.dsn(), schema)
    append(store, table, LARGE, 1_000)
    with store.transaction(LOCAL_ADMIN, "ingest") as transaction:
        seen = store.readings(LOCAL_ADMIN, table).slice(0, 10)
        transaction.append_readings(table, seen, sightings=True)
    rows, _ = sizes(store)
    store.close()
    assert rows == {"readings_1": 10, "bulk_1_1": LARGE}
