"""History of some twins, read in columns, is what the engine's own query says it is, whatever was told."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.storage.conformance_case import say, table, value, wide

from twinwright.governance.principals import SYSTEM
from twinwright.storage import duckdb_history, duckdb_sql
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.layout import ReadingColumn, Selection
from twinwright.storage.protocol import BAD, GOOD, RECORD_SCHEMA, REMOVED

COLUMNS = [ReadingColumn("p", "DOUBLE", "kPa"), ReadingColumn("m", "VARCHAR", None), ReadingColumn("on", "BOOLEAN", None)]
MORE = [ReadingColumn(f"é{j}", "BIGINT", None) for j in range(65)]  # more than one mask's worth

numbers, times = st.integers(1, 3), st.integers(-2, 4)
readings = st.fixed_dictionaries(
    {
        "twin": numbers,
        "time": times,
        "correction": st.integers(0, 1),
        "bad0": st.integers(0, 7),
        "v0": st.none() | st.sampled_from([0.0, -0.0, 1.5]),
        "v1": st.none() | st.sampled_from(["a", "Z", ""]),
        "v2": st.none() | st.booleans(),
    }
)
selections = st.builds(
    Selection,
    lifetimes=st.lists(st.integers(1, 4), unique=True, max_size=3).map(tuple),
    paths=st.none() | st.sampled_from([("p",), ("on", "m"), ("é1", "p"), ("nowhere",)]),
    start=st.none() | times,
    end=st.none() | times,
    known_at=st.none() | st.integers(1, 9),
    good_only=st.booleans(),
    source=st.none() | st.sampled_from(["pump", "api", "other"]),
)
said = st.tuples(st.sampled_from(["first", "next", "seen again"]), st.lists(readings, min_size=1, max_size=6))


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A store for each example."""
    folder, number = tmp_path_factory.mktemp("stores"), iter(range(10**6))
    return lambda: DuckDBStore(folder / f"{next(number)}.duckdb")


def by_the_engine(store, selection):
    query = duckdb_sql.history(selection, store.reading_tables(SYSTEM), store.retractions(SYSTEM))
    return store._arrow(SYSTEM, query).cast(RECORD_SCHEMA)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.lists(said, max_size=4), st.lists(st.tuples(numbers, times, st.sampled_from([BAD, GOOD, REMOVED])), max_size=3), st.data())
def test_history_of_some_twins_is_that_of_the_query(stores, told, single, data):
    store = stores()
    tables = {"first": table(store, columns=COLUMNS)}
    if data.draw(st.booleans()):
        tables["next"] = table(store, revision=2, source="pump", columns=[*COLUMNS, *MORE[:2]])
    for how, rows in told:
        into = tables.get(how, tables["first"])
        with store.transaction(SYSTEM, "ingest") as transaction:
            transaction.append_readings(into, wide(into, transaction.commit, rows), sightings=how == "seen again")
    say(store, *(value(twin, "p", time, kind) for twin, time, kind in single))
    if data.draw(st.booleans()):
        with store.transaction(SYSTEM, "replay") as transaction:
            transaction.retract("pump", 3, 4, 2)
    for selection in data.draw(st.lists(selections, min_size=3, max_size=6)):
        assert store.history(SYSTEM, selection).equals(by_the_engine(store, selection))
    store.close()


def test_a_day_that_was_told_once_takes_a_query_for_each_table(stores, monkeypatch):
    store = stores()
    made = table(store, columns=[*COLUMNS, *MORE])
    with store.transaction(SYSTEM, "ingest") as transaction:
        transaction.append_readings(made, wide(made, transaction.commit, [{"twin": 1, "time": 5, "v0": 1.0, "v67": 7}]))
    selection = Selection((1,), ("p", "é64"))
    wanted = by_the_engine(store, selection)
    asked = duckdb_history.scans(selection, store.reading_tables(SYSTEM), [])
    assert len(asked) == 2
    monkeypatch.setattr(duckdb_sql, "history", None)
    assert store.history(SYSTEM, selection).equals(wanted)
    assert wanted["path"].to_pylist() == ["p", "é64"]
    store.close()


def test_memory_shared_with_the_engine_is_not_needed_after_a_read(stores):
    store = stores()
    made = table(store)
    with store.transaction(SYSTEM, "ingest") as transaction:
        transaction.append_readings(made, wide(made, transaction.commit, [{"twin": 1, "time": at, "v0": float(at)} for at in range(5_000)]))
    found = store.history(SYSTEM, Selection((1,), ("p",)))
    store.close()
    assert np.array_equal(found["num"].to_numpy(), np.arange(5_000.0))
    assert pa.types.is_string(found.schema.field("txt").type)
