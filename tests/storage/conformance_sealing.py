"""What every store has to do when days are sealed. See `conformance.py`."""

import pytest
from tests.storage.conformance_case import READER, append, table, told
from tests.storage.conformance_copies import all_of, furnished

from twinwright.clock import HOUR
from twinwright.errors import ForbiddenError
from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Selection
from twinwright.storage.sealing import DAY, Sealed, Unsealed


def days(store, made):
    return [(one.day, one.fresh, one.sealed) for one in store.unsealed(SYSTEM, made)]


def check_sealing_changes_nothing_that_is_read(case):
    store = case.store
    made = furnished(store)
    for at in range(6):
        append(store, made, *((twin, at * HOUR * 9 + twin - DAY, at % 3, twin + at / 7) for twin in (3, 1, 2)))
    append(store, made, (1, 5, 0, 1.0), sightings=True)
    wanted = all_of(store), [told(store.history, known_at=number) for number in range(1, store.last_commit(SYSTEM) + 1)]
    assert [day for day, _, sealed in days(store, made) if not sealed] == [-1, 0, (2**53 + 1) // DAY]
    for one in store.unsealed(SYSTEM, made):
        assert sum(store.seal(SYSTEM, made, one.day, 2)) == one.fresh
        now = all_of(store), [told(store.history, known_at=number) for number in range(1, store.last_commit(SYSTEM) + 1)]
        assert now == wanted
    assert days(store, made) == []
    assert sum(store.seal(SYSTEM, made, -1, 2, days=4)) > 2
    now = all_of(store), [told(store.history, known_at=number) for number in range(1, store.last_commit(SYSTEM) + 1)]
    assert now == wanted
    case.reopen()
    assert days(case.store, made) == []
    assert all_of(case.store) == wanted[0]


def check_a_day_counts_as_sealed_when_all_of_it_is(case):
    store = case.store
    made = table(store)
    append(store, made, *((twin, 5, 0, 1.0) for twin in (4, 3, 2, 1)))
    steps = store.seal(SYSTEM, made, 0, 2)
    assert next(steps) == 2
    assert days(store, made) == [(0, 4, 0)]
    steps.close()
    assert days(case.reopen(), made) == [(0, 4, 0)]
    steps = case.store.seal(SYSTEM, made, 0, 2)
    assert next(steps) == 2
    append(case.store, made, (9, 6, 0, 2.0))  # meanwhile
    assert list(steps) == [2]
    assert days(case.store, made) == [(0, 1, 4)]
    assert len(told(case.store.history)) == 5


def check_late_readings_of_a_sealed_day_are_found_and_sealed_again(case):
    store = case.store
    made = table(store)
    append(store, made, *((twin, 5, 0, 1.0) for twin in (2, 1)))
    list(store.seal(SYSTEM, made, 0))
    append(store, made, (1, 4, 0, 3.0), (1, 5, 1, 4.0))
    assert told(store.history, lifetimes=(1,)) == [(1, "p", 4, 3.0), (1, "p", 5, 4.0)]
    assert days(store, made) == [(0, 2, 2)]
    assert sum(store.seal(SYSTEM, made, 0)) == 4
    assert days(store, made) == []
    with store.transaction(SYSTEM, "replay") as transaction:
        transaction.retract("pump", 3, 3, 2)
    assert told(store.history) == [(1, "p", 5, 1.0), (2, "p", 5, 1.0)]
    assert told(store.latest, known_at=3) == [(1, "p", 5, 4.0), (2, "p", 5, 1.0)]
    assert store.hours(SYSTEM, "pump") == {0: 4}


def check_days_sealed_together_are_one_until_one_of_them_is_sealed_alone(case):
    store = case.store
    made = table(store)
    append(store, made, *((twin, day * DAY + hour * HOUR, 0, 1.0) for day in (0, 1, 3) for hour in (3, 1) for twin in (2, 4 - day)))
    append(store, made, (1, 4 * DAY, 0, 1.0))
    assert [(one.day, one.days) for one in store.unsealed(SYSTEM, made)] == [(0, 1), (1, 1), (3, 1), (4, 1)]
    wanted = store.history(SYSTEM, Selection())
    assert sum(store.seal(SYSTEM, made, 1)) == 4
    assert sum(store.seal(SYSTEM, made, 0, 3, days=4)) == 12
    assert store.sealed(SYSTEM, made) == [Sealed(0, 4, 12, 4)]
    assert days(store, made) == [(4, 1, 0)]
    assert store.history(SYSTEM, Selection()).equals(wanted)
    late = append(store, made, (1, 2 * DAY, 0, 3.0))
    assert case.reopen().unsealed(SYSTEM, made) == [Unsealed(0, 4, 1, 12, late), Unsealed(4, 1, 1, 0, 3)]
    assert sum(case.store.seal(SYSTEM, made, 2)) == 1
    assert case.store.sealed(SYSTEM, made) == [Sealed(2, 1, 1, 1)]
    assert days(case.store, made) == [(0, 4, 0), (1, 4, 0), (3, 4, 0), (4, 1, 0)]


def check_a_busy_twin_s_day_is_cut_by_time(case):
    store = case.store
    made = table(store)
    append(store, made, *((1, at * HOUR, 0, float(at)) for at in range(24)), (2, 5, 0, 1.0))
    wanted = store.history(SYSTEM, Selection())
    steps = list(store.seal(SYSTEM, made, 0, 6))
    assert sum(steps) == 25
    assert max(steps) <= 6
    assert store.history(SYSTEM, Selection()).equals(wanted)


def check_sealing_takes_a_principal(case):
    made = table(case.store)
    append(case.store, made, (1, 5, 0, 1.0))
    assert len(case.store.unsealed(READER, made)) == 1
    with pytest.raises(ForbiddenError):
        list(case.store.seal(READER, made, 0))


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]
