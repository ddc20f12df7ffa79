"""What every store has to do when it is copied, and when a copy is taken in. See `conformance.py`."""

import contextlib
import threading
from dataclasses import replace

import pyarrow as pa
import pytest
from tests.storage.conformance_case import NOBODY, NOW, READER, append, letter, rows, say, table, told, value, write
from tests.storage.conformance_log import everything, seen
from tests.storage.held import Held, held

from twinwright.errors import ForbiddenError, RefusedError, TwinwrightError
from twinwright.governance.principals import SYSTEM
from twinwright.storage.copies import JOURNAL, JOURNAL_SCHEMA
from twinwright.storage.layout import Counts, KeptReceipt, Selection
from twinwright.storage.protocol import GOOD


def furnished(store):
    """Something in every table, and a few strange values."""
    made = table(store)
    with write(store, "ingest") as transaction:
        everything(transaction, made)
    with write(store) as transaction:
        transaction.add_dead_letters([letter(payload=b"\0\1\xff", detail="x\0y\1"), letter(reason="bad_time")])
        transaction.close_dead_letters([2], "retried")
        transaction.keep_receipt(KeptReceipt("pump", "k\0", "d", "{}", NOW))
        transaction.append_values(pa.Table.from_pylist([{**value(2, "t", 7), "txt": "\0\1ü", "int": -5}]))
        transaction.put_record("k", "a", {"b": "ü\0", "n": 1.5})
        transaction.put_checkpoints("s\0", pa.Table.from_pylist([{"twin": 1, "time": -5, "body": b"\0\1\xff"}]))
    with write(store) as transaction:
        transaction.journal("valve", "valve", 2, bytes(range(256)), Counts(1, 1))
        transaction.retract("pump", 1, 2, 1)
    append(store, made, (1, -5, 3, -0.0), (2, 2**53 + 1, 0, 1e308))
    return made


def all_of(store):
    with contextlib.suppress(ZeroDivisionError), write(store) as transaction:
        receipt = transaction.kept_receipt("pump", "k\0")
        raise ZeroDivisionError  # a look leaves nothing behind
    return {
        **seen(store),
        "log": store.commits(SYSTEM),
        "receipt": receipt,
        "checkpoints": store.checkpoints(SYSTEM, "s\0").to_pylist(),
        "letters": [store.dead_letters(SYSTEM, status=status) for status in ("open", "retried")],
        "values": store.history(SYSTEM, Selection()).to_pylist(),
        "sightings": [sorted(map(str, store.readings(SYSTEM, one).to_pylist())) for one in store.reading_tables(SYSTEM)],
        "versions": [[record.body for record in store.versions(SYSTEM, "k", "a")]],
        "hours": store.hours(SYSTEM, "pump"),
        "valve": [entry.frames for entry in store.journal_entries(SYSTEM, "valve", 0, 99)],
    }


def check_a_copy_is_the_store_it_was_taken_of(case):
    furnished(case.store)
    copy = held(case.store)
    assert copy.commit == case.store.last_commit(SYSTEM)
    assert {name for name in copy.tables if not copy.count(name)} == {"readings_2", "sightings_2", "rollups"}  # all else is put to the test
    wanted = all_of(case.store)
    case.fresh().load(SYSTEM, copy)
    assert all_of(case.store) == wanted
    case.reopen()
    made = case.store.reading_tables(SYSTEM)[0]
    number = append(case.store, made, (9, 5, 0, 1.0))
    assert number == copy.commit + 1 == case.store.commits(SYSTEM)[-1].number
    assert (9, "p", 5, 1.0) in told(case.store.history)


def check_a_copy_of_a_copy_is_equal(case):
    furnished(case.store)
    first = held(case.store)
    case.fresh().load(SYSTEM, first)
    second = held(case.store)
    assert second.commit == first.commit
    assert second.tables == first.tables
    assert {name: sorted(map(str, one.to_pylist())) for name, one in second.content.items()} == {
        name: sorted(map(str, one.to_pylist())) for name, one in first.content.items()
    }
    assert second.journal == first.journal


def check_a_copy_is_of_one_commit_whatever_is_written_meanwhile(case):
    store = case.store
    made = furnished(store)
    wanted = held(store)
    with store.snapshot(SYSTEM) as snapshot:
        append(store, made, (5, 5, 0, 5.0))
        with write(store) as transaction:
            transaction.retract("pump", 0, 99, 9)
            transaction.adjust_journal(2, Counts(3, 3))
            transaction.close_dead_letters([1], "retried")
            transaction.put_record("k", "a", {"later": True})
        case.clock.advance(10**9)
        assert store.expire_journal(SYSTEM, "pump", case.clock.now()) == 1
        thread = threading.Thread(target=lambda: say(store, value(9, "p", 1, GOOD)))  # a writer does not wait for it
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        copy = Held.of(snapshot)
    assert copy.commit == wanted.commit < store.last_commit(SYSTEM)
    for name in wanted.tables:
        assert sorted(map(str, copy.content[name].to_pylist())) == sorted(map(str, wanted.content[name].to_pylist())), name
    assert copy.journal == wanted.journal


def check_a_store_that_holds_something_takes_no_copy(case):
    furnished(case.store)
    copy = held(case.store)
    before = all_of(case.store)
    with pytest.raises(RefusedError, match="not empty"):
        case.store.load(SYSTEM, copy)
    assert all_of(case.store) == before


def check_a_copy_that_is_not_sound_is_refused_whole(case):
    furnished(case.store)
    copy = held(case.store)
    one = copy.content["reading_tables"].slice(0, 1)

    def tables_saying(columns):
        return one.set_column(one.schema.get_field_index("columns"), "columns", pa.array([columns], pa.string()))

    injected = '[{"path": "p", "type": "DOUBLE); DROP TABLE commits; --", "unit": null}]'
    wrong = {
        "a column more": {"retractions": copy.content["retractions"].append_column("x", pa.array([1, 2]))},
        "a column less": {"commits": copy.content["commits"].drop_columns(["kind"])},
        "a table nobody knows": {"strange": one},
        "a type that is SQL": {"reading_tables": tables_saying(injected)},
        "columns that are none": {"reading_tables": tables_saying("nonsense")},
        "a table twice": {"reading_tables": pa.concat_tables([one, one])},
        "text for numbers": {"lifetimes": copy.content["lifetimes"].set_column(0, "number", pa.array(["x"]))},
        "another's bytes": {JOURNAL: JOURNAL_SCHEMA.empty_table().from_pylist([{**copy.content[JOURNAL].to_pylist()[0], "commit": 99}])},
    }
    store = case.fresh()
    for name, changed in wrong.items():
        with pytest.raises(TwinwrightError):
            store.load(SYSTEM, replace(copy, content={**copy.content, **changed}))
            pytest.fail(name)
        assert store.last_commit(SYSTEM) == 0, name
        assert store.reading_tables(SYSTEM) == [], name
    store.load(SYSTEM, copy)
    assert store.last_commit(SYSTEM) == copy.commit


def check_a_copy_may_come_without_its_journal(case):
    made = furnished(case.store)
    copy = held(case.store)
    without = Held(copy.commit, {name: one for name, one in copy.content.items() if name != JOURNAL}, [])
    store = case.fresh()
    store.load(SYSTEM, without)
    assert list(store.journal_entries(SYSTEM, "pump", 0, 99)) == []
    assert store.unjournalled(SYSTEM, "pump", 1, copy.commit) == 1
    with write(store, "ingest") as transaction:
        transaction.append_readings(made, rows(made, transaction.commit, (1, 9, 0, 9.0)))
        transaction.journal("pump", "pump", 1, b"new", Counts())
    assert [entry.frames for entry in case.reopen().journal_entries(SYSTEM, "pump", 0, 99)] == [b"new"]


def check_copies_take_a_principal(case):
    copy = held(case.store)
    with case.store.snapshot(READER) as snapshot:
        assert snapshot.commit == 0
    with pytest.raises(ForbiddenError), case.store.snapshot(NOBODY):
        pytest.fail("nobody may read")
    with pytest.raises(ForbiddenError):
        case.store.load(READER, copy)


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]
