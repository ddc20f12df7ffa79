"""What every store has to do when raw values are let go of, and with roll-ups. See `conformance.py`."""

import numpy as np
import pyarrow as pa
import pytest
from tests.storage.conformance_case import READER, append, cells, table, told, wide, write

from twinwright.clock import HOUR
from twinwright.errors import ForbiddenError
from twinwright.governance.principals import SYSTEM
from twinwright.storage.expiry import ROLLUP_SCHEMA, Expiry
from twinwright.storage.layout import Selection

NOBODY_S = np.empty(0, np.int32), np.empty(0, np.int64)


def kept(*pairs):
    return np.array([twin for twin, _ in pairs], np.int32), np.array([time for _, time in pairs], np.int64)


def furnished(store):
    """Twins 1 and 2 at hours 0 to 3: a number and a text; twin 1 is sighted twice at hour 0."""
    made = table(store)
    said = [
        {"twin": twin, "time": hour * HOUR, "v0": float(hour), "v1": f"{hour}", "bad0": 4 * (hour == 1)}
        for twin in (1, 2)
        for hour in range(4)
    ]
    with write(store, "ingest") as transaction:
        transaction.append_readings(made, wide(made, transaction.commit, said))
    append(store, made, (1, 0, 0, 0.0), sightings=True)
    with write(store) as transaction:  # what is kept of it beside history has to follow
        transaction.save_cells("pump", transaction.commit, cells((1, 1.0)), replace=True)
    return made


def let_go(store, expiry):
    wanted = store.expirable(SYSTEM, expiry)
    with write(store, "expire") as transaction:
        gone = transaction.let_go(expiry)
    assert gone == wanted
    return gone


def check_whole_readings_go_and_what_is_kept_stays(case):
    store = case.store
    made = furnished(store)
    counts = store.counts(SYSTEM)
    assert let_go(store, Expiry(made, (0, 1, 2), (1,), 0, 3 * HOUR, kept((1, 2 * HOUR), (2, 0)))) == 2
    assert told(store.history, paths=("p",)) == [
        (1, "p", 2 * HOUR, 2.0),
        (1, "p", 3 * HOUR, 3.0),
        *((2, "p", hour * HOUR, float(hour)) for hour in range(4)),
    ]
    assert store.hours(SYSTEM, "pump") == {0: 1, 1: 1, 2: 2, 3: 2}
    with write(store) as transaction:  # its further sightings went with it: a second revision makes them count
        transaction.create_reading_table("pump", "pump", 2, made.columns)
    assert told(store.history, lifetimes=(1,), end=HOUR) == []
    assert store.counts(SYSTEM) == counts
    assert case.reopen().hours(SYSTEM, "pump") == {0: 1, 1: 1, 2: 2, 3: 2}


def check_some_columns_go_and_the_others_stay(case):
    store = case.store
    made = furnished(store)
    assert let_go(store, Expiry(made, (0,), (1, 2), HOUR, 3 * HOUR, NOBODY_S)) == 4
    assert [time for *_, time, _ in told(store.history, lifetimes=(1,), paths=("p",))] == [0, 3 * HOUR]
    assert len(told(store.history, paths=("m",))) == 8
    bad = store.history(SYSTEM, Selection(paths=("on",)))
    assert bad["time"].to_pylist() == [HOUR, HOUR]  # a bad value says something too
    assert let_go(store, Expiry(made, (2,), (1, 2), 0, 9 * HOUR, NOBODY_S)) == 2
    assert len(store.history(SYSTEM, Selection(paths=("on",)))) == 0
    assert sum(store.hours(SYSTEM, "pump").values()) == 8
    assert let_go(store, Expiry(made, (1,), (1, 2), HOUR, 3 * HOUR, NOBODY_S)) == 4
    assert store.hours(SYSTEM, "pump") == {0: 2, 3: 2}  # of which nothing was left, the reading is gone
    assert let_go(store, Expiry(made, (1,), (1, 2), HOUR, 3 * HOUR, NOBODY_S)) == 0


def check_what_goes_goes_with_its_transaction(case):
    store = case.store
    made = furnished(store)
    before = store.history(SYSTEM, Selection())
    with pytest.raises(ZeroDivisionError), write(store) as transaction:
        transaction.let_go(Expiry(made, (0, 1, 2), (1, 2), 0, 9 * HOUR, NOBODY_S))
        transaction.put_rollups(rollups((60, 1, 0, 5)))
        raise ZeroDivisionError
    assert store.history(SYSTEM, Selection()).equals(before)
    assert len(store.rollups(SYSTEM, (1,), "p", None, None)) == 0
    with pytest.raises(ForbiddenError), store.transaction(READER, "expire"):
        pytest.fail("a reader lets nothing go")


def rollups(*given):
    """From (width, twin, time, count)."""
    fixed = {"path": "p", "source": "pump", "bad": 1, "sum": 2.0, "min": 1.0, "max": 1.0, "unit": "kPa"}
    fixed |= {"first": 1.0, "first_at": 3, "last": None, "last_at": 4}
    rows = [{**fixed, "width": width, "twin": twin, "time": time, "count": count} for width, twin, time, count in given]
    return pa.Table.from_pylist(rows, schema=ROLLUP_SCHEMA)


def check_rollups_are_put_read_replaced_and_let_go(case):
    store = case.store
    with write(store) as transaction:
        transaction.put_rollups(rollups((60, 1, 0, 5), (60, 1, 60, 6), (3600, 1, 0, 7), (60, 2, 0, 8), (60, 1, -60, 4)))
        transaction.put_rollups(rollups())
    with write(store) as transaction:
        transaction.put_rollups(rollups((60, 1, 60, 9)))

    def found(*given):
        return [(row["width"], row["twin"], row["time"], row["count"]) for row in store.rollups(SYSTEM, *given).to_pylist()]

    assert found((1,), "p", None, None) == [(60, 1, -60, 4), (60, 1, 0, 5), (60, 1, 60, 9), (3600, 1, 0, 7)]
    assert found((1, 2), "p", 60, None) == [(60, 1, 60, 9), (3600, 1, 0, 7)]
    assert found((1,), "p", None, 0) == [(60, 1, -60, 4)]
    assert found((1,), "q", None, None) == found((3,), "p", None, None) == []
    assert store.rollups(SYSTEM, (2,), "p", None, None).equals(rollups((60, 2, 0, 8)))
    with write(store) as transaction:
        assert transaction.let_go_rollups(60, (1, 3), "p", 60) == 2
    store = case.reopen()
    assert found((1, 2), "p", None, None) == [(60, 1, 60, 9), (60, 2, 0, 8), (3600, 1, 0, 7)]


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]
