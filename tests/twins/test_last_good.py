"""The last good record is the one that all of history would give, and mostly found without reading all of it."""

import itertools

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinwright.clock import HOUR, ManualClock
from twinwright.governance.principals import SYSTEM
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.layout import Selection
from twinwright.storage.protocol import BAD, GOOD, REMOVED, VALUE_SCHEMA
from twinwright.twins.last_good import LastGood

DAY = 24 * HOUR
NOW = 20_000 * DAY
PATHS, SOURCES = ("p", "q"), ("api", "pump")
AGES = st.sampled_from([0, 1, HOUR - 1, HOUR, HOUR + 1, DAY, DAY + 1, 3 * DAY, 30 * DAY, 30 * DAY + 1, 400 * DAY, NOW])
SAID = st.tuples(st.integers(0, 11), st.sampled_from(PATHS), AGES, st.sampled_from(SOURCES), st.sampled_from([BAD, BAD, GOOD, REMOVED]))


class Watched(DuckDBStore):
    """A store that notes from when on it was asked to read."""

    starts: list[int | None]

    def latest(self, principal, selection):
        self.starts.append(selection.start)
        return super().latest(principal, selection)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = Watched(tmp_path_factory.mktemp("store") / "store.duckdb", ManualClock(NOW))
    made.starts = []
    yield made
    made.close()


numbering = itertools.count(1)


def say(store, *said):
    """Each is (twin, path, age, source, kind)."""
    rows = [
        {"twin": twin, "path": path, "time": NOW - age, "source": source, "correction": 0, "revision": 0, "kind": kind, "type": "DOUBLE"}
        | {"num": float(index) if kind == GOOD else None, "lane": "observed"}
        for index, (twin, path, age, source, kind) in enumerate(said)
    ]
    with store.transaction(SYSTEM, "test") as transaction:
        transaction.append_values(pa.Table.from_pylist(rows, schema=VALUE_SCHEMA))
    store.starts.clear()


def bad_winners(store, twins):
    return [row for row in store.latest(SYSTEM, Selection(lifetimes=twins)).to_pylist() if row["kind"] == BAD]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(SAID, min_size=1, max_size=60))
def test_it_is_what_the_whole_history_gives(store, said):
    base = next(numbering) * 100
    twins = tuple(range(base, base + 12))
    say(store, *((base + twin, *rest) for twin, *rest in said))
    bad = bad_winners(store, twins)
    keys = {(cell["twin"], cell["path"]) for cell in bad}
    whole = store.latest(SYSTEM, Selection(lifetimes=twins, good_only=True)).to_pylist()
    expected = {(row["twin"], row["path"]): row for row in whole if (row["twin"], row["path"]) in keys}
    assert LastGood(store).behind(SYSTEM, bad, "observed", None) == expected


def test_what_lies_near_is_found_without_reading_further(store):
    twin = next(numbering) * 100
    say(store, (twin, "p", 5, "api", GOOD), (twin, "p", 4, "pump", BAD), (twin, "p", 400 * DAY, "pump", GOOD))
    bad = bad_winners(store, (twin,))
    store.starts.clear()
    found = LastGood(store).behind(SYSTEM, bad, "observed", None)
    assert found[twin, "p"]["time"] == NOW - 5
    assert store.starts == [NOW - 4 - HOUR]


def test_many_cells_far_apart_take_few_reads(store):
    twin = next(numbering) * 100
    ages = [(twin + i, i * 2 * HOUR) for i in range(40)]
    say(store, *((one, "p", age, "pump", BAD) for one, age in ages), *((one, "p", age + 1, "pump", GOOD) for one, age in ages))
    bad = bad_winners(store, tuple(one for one, _ in ages))
    store.starts.clear()
    found = LastGood(store).behind(SYSTEM, bad, "observed", None)
    assert {key[0]: row["time"] for key, row in found.items()} == {one: NOW - age - 1 for one, age in ages}
    assert len(store.starts) <= 8
    assert None not in store.starts


def test_nothing_bad_reads_nothing(store):
    store.starts.clear()
    assert LastGood(store).behind(SYSTEM, [], "observed", None) == {}
    assert store.starts == []


@pytest.mark.parametrize("age", [1, HOUR, DAY, 40 * DAY, 5000 * DAY])
def test_before_a_window_the_last_good_record_of_the_source_is_found_however_old(store, age):
    twin = next(numbering) * 100
    say(
        store, (twin, "p", age, "pump", GOOD), (twin, "p", age + 1, "pump", GOOD), (twin, "p", 0, "pump", GOOD), (twin, "p", 1, "api", GOOD)
    )
    found = LastGood(store).before(SYSTEM, Selection((twin, twin + 1), ("p",), source="pump", end=NOW))
    assert found["time"].to_pylist() == [NOW - age]
    assert LastGood(store).before(SYSTEM, Selection((twin,), ("p",), source="pump", end=NOW - age - 1)) is None
