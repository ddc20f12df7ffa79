"""What every store has to do with its log and with one transaction. See `conformance.py`."""

import threading
from typing import Any

import pytest
from tests.storage.conformance_case import COLUMNS, NOBODY, NOW, READER, append, cells, letter, rows, say, table, told, value, values, write

from twinwright.errors import FenceError, ForbiddenError, NotFoundError, StoreError
from twinwright.governance.principals import SYSTEM
from twinwright.storage.layout import Counts, DeadLetter, Lifetime, Relationship, Retraction, Selection

# --- the log ----------------------------------------------------------------------------------------------------------


def check_the_log_has_no_gaps_and_its_time_never_runs_back(case):
    store, clock = case.store, case.clock
    clock.step(5_000_000)
    store.put_record(SYSTEM, "k", "a", {})
    clock.step(-60_000_000)
    assert store.put_record(SYSTEM, "k", "b", {}) == 2
    with pytest.raises(ZeroDivisionError), write(store):
        raise ZeroDivisionError
    store.put_record(SYSTEM, "k", "c", {})
    log = store.commits(SYSTEM)
    assert [commit.number for commit in log] == [1, 2, 3]
    assert [commit.at for commit in log] == [NOW + 5_000_000] * 3
    assert {commit.principal for commit in log} == {"system"}
    assert [store.commit_at(SYSTEM, at) for at in (NOW, NOW + 4_999_999, NOW + 5_000_000, NOW + 10**9)] == [0, 0, 3, 3]
    assert [commit.number for commit in store.commits(SYSTEM, first=2, last=2)] == [2]
    assert [commit.kind for commit in store.commits(SYSTEM, kind="record:k")] == ["record:k"] * 3
    assert store.commits(SYSTEM, kind="other") == []


def check_the_log_goes_on_after_a_restart_and_never_back_in_time(case):
    case.store.put_record(SYSTEM, "k", "a", {})
    case.clock.step(-NOW)
    store = case.reopen()
    assert store.last_commit(SYSTEM) == 1
    store.put_record(SYSTEM, "k", "b", {})
    assert [(commit.number, commit.at) for commit in store.commits(SYSTEM)] == [(1, NOW), (2, NOW)]


def check_listeners_hear_of_each_commit_after_it_and_of_no_other(case):
    store, heard = case.store, []
    store.on_commit(lambda commit: heard.append((commit.number, commit.kind, commit.counts, store.last_commit(SYSTEM))))
    with write(store, "ingest") as transaction:
        transaction.count(Counts(1, 1), source="pump", detail="one")
        transaction.count(Counts(1, 0, 1), source="pump", detail="two")
        assert heard == []
    with pytest.raises(ZeroDivisionError), write(store):
        raise ZeroDivisionError
    assert heard == [(1, "ingest", Counts(2, 1, 1), 1)]
    assert [(commit.source, commit.detail, commit.counts) for commit in store.commits(SYSTEM)] == [("pump", "one; two", Counts(2, 1, 1))]


def check_a_listener_that_fails_does_not_undo_or_hide_the_commit(case):
    heard = []
    case.store.on_commit(lambda commit: 1 / 0)
    case.store.on_commit(lambda commit: heard.append(commit.number))
    assert case.store.put_record(SYSTEM, "k", "a", {}) == 1
    assert heard == [1]
    assert case.store.last_commit(SYSTEM) == 1


def check_the_times_of_some_commits_are_read_without_the_rest_of_the_log(case):
    made = {}
    for _ in range(20):
        case.clock.advance(7)
        made[say(case.store, value(1, "p", 10))] = case.clock.now()
    wanted = sorted(made)[::3]
    assert case.store.commit_times(SYSTEM, {*wanted, 10**6}) == {number: made[number] for number in wanted}
    assert case.store.commit_times(SYSTEM, ()) == {}


def check_writers_in_threads_get_the_numbers_one_after_the_other(case):
    store, given, errors = case.store, [], []

    def work(name):
        try:
            given.extend(store.put_record(SYSTEM, "k", f"{name}{at}", {}) for at in range(5))
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert sorted(given) == [commit.number for commit in store.commits(SYSTEM)] == list(range(1, 21))
    assert {record.commit for record in store.records(SYSTEM, "k")} == set(given)


# --- one transaction --------------------------------------------------------------------------------------------------


def everything(transaction, table):
    transaction.append_readings(table, rows(table, transaction.commit, (1, 5, 0, 1.0)))
    transaction.append_readings(table, rows(table, transaction.commit, (1, 5, 0, 1.0)), sightings=True)
    transaction.append_values(values(value(1, "q", 5)))
    transaction.journal("pump", "pump", 1, b"frames", Counts(1, 1))
    transaction.move_positions("pump", [("file", 0, 9)])
    transaction.add_dead_letters([DeadLetter("pump", "pump", 1, "malformed", "no", b"x")])
    transaction.count(Counts(2, 1, 0, 1), source="pump")
    transaction.retract("other", 1, 2, 3)
    transaction.put_record("k", "a", {"b": 1})
    transaction.create_reading_table("more", "more", 1, COLUMNS)
    transaction.declare_twins([Lifetime(1, "x", "dtmi:a;1", None, 7)])
    transaction.declare_relationships([Relationship("x", "r", "feeds", "y", {"n": 1})])
    transaction.save_cells("pump", transaction.commit, cells((1, 1.0)), replace=True)


def seen(store) -> dict[str, Any]:
    return {
        "history": told(store.history),
        "position": store.position(SYSTEM, "pump", "file"),
        "journal": [(entry.frames, entry.counts) for entry in store.journal_entries(SYSTEM, "pump", 0, 99)],
        "letters": [(letter.id, letter.payload) for letter in store.dead_letters(SYSTEM)],
        "counts": store.counts(SYSTEM),
        "retractions": store.retractions(SYSTEM),
        "records": [record.body for record in store.records(SYSTEM, "k")],
        "tables": [(one.number, one.contract, one.source, one.revision, one.columns) for one in store.reading_tables(SYSTEM)],
        "lifetimes": store.lifetimes(SYSTEM),
        "relationships": store.relationships(SYSTEM),
        "cells": (store.cells(SYSTEM, "pump")[0], store.cells(SYSTEM, "pump")[1].to_pylist()),
        "commits": store.last_commit(SYSTEM),
    }


def check_a_roll_back_leaves_nothing_of_anything(case):
    store = case.store
    made = table(store)
    before = seen(store)
    for error in (KeyboardInterrupt, ZeroDivisionError):
        with pytest.raises(error), write(store) as transaction:
            everything(transaction, made)
            raise error
        assert seen(store) == before
    with write(store) as transaction:
        everything(transaction, made)
    columns = tuple(COLUMNS)
    assert seen(store) == {
        "history": [(1, "p", 5, 1.0), (1, "q", 5, 1.0)],
        "position": 9,
        "journal": [(b"frames", Counts(1, 1))],
        "letters": [(1, b"x")],
        "counts": {"pump": Counts(2, 1, 0, 1)},
        "retractions": [Retraction(2, "other", 1, 2, 3)],
        "records": [{"b": 1}],
        "tables": [(1, "pump", "pump", 1, columns), (2, "more", "more", 1, columns)],
        "lifetimes": [Lifetime(1, "x", "dtmi:a;1", None, 7)],
        "relationships": [Relationship("x", "r", "feeds", "y", {"n": 1})],
        "cells": (2, cells((1, 1.0)).to_pylist()),
        "commits": 2,
    }


def check_what_was_committed_is_there_after_a_restart(case):
    made = table(case.store)
    with write(case.store) as transaction:
        everything(transaction, made)
    before = seen(case.store)
    store = case.reopen()
    assert seen(store) == before
    assert store.reading_tables(SYSTEM)[0] == made
    append(store, made, (2, 6, 0, 2.0))
    assert told(store.history, lifetimes=(2,)) == [(2, "p", 6, 2.0)]


def check_nothing_of_a_transaction_is_seen_before_its_commit(case):
    store = case.store
    made = table(store)
    before = seen(store)
    during: list[object] = []

    def look():
        during.append(seen(store))

    with write(store) as transaction:
        everything(transaction, made)
        thread = threading.Thread(target=look)
        thread.start()
        thread.join(60)
    assert during == [before]
    assert seen(store) != before


def check_counts_that_are_not_conserved_are_refused(case):
    store = case.store
    for counts in (Counts(1), Counts(1, 1, 1), Counts(0, 0, 0, 1)):
        with pytest.raises(StoreError, match="not conserved"), write(store) as transaction:
            transaction.count(counts, source="pump")
    assert store.counts(SYSTEM) == {}
    for source, counts in (("pump", Counts(5, 2, 1, 2, 1, 1)), ("valve", Counts(1, 1)), ("pump", Counts(0, 1, 0, -1))):
        with write(store, "ingest") as transaction:
            transaction.count(counts, source=source)
    assert store.counts(SYSTEM) == {"pump": Counts(5, 3, 1, 1, 1, 1), "valve": Counts(1, 1)}


def check_a_position_is_fenced(case):
    store = case.store
    for start, after in ((0, 10), (10, 25)):
        with write(store) as transaction:
            transaction.move_positions("pump", [("file", start, after)])
    for start in (0, 10, 26):
        with pytest.raises(FenceError, match=f"position {start} of file is not where the store is \\(25\\)"), write(store) as transaction:
            transaction.move_positions("pump", [("file", start, 99)])
    assert store.position(SYSTEM, "pump", "file") == 25
    assert store.position(SYSTEM, "pump", "other") == store.position(SYSTEM, "valve", "file") == 0
    with write(store) as transaction:
        transaction.move_positions("pump", [("file", 25, 2**62)])
        transaction.move_positions("pump", [("file", 2**62, 3)])
    assert store.position(SYSTEM, "pump", "file") == 3


def check_positions_of_many_streams_move_together_or_not_at_all(case):
    store = case.store
    with write(store) as transaction:
        transaction.move_positions("pump", [("a", 0, 4), ("b", 0, 5), ("a", 4, 6)])
        transaction.move_positions("pump", [])
    for wrong in ([("c", 0, 1), ("a", 4, 9)], [("b", 5, 7), ("b", 5, 8)]):
        with pytest.raises(FenceError), write(store) as transaction:
            transaction.move_positions("pump", wrong)
    assert [store.position(SYSTEM, "pump", stream) for stream in "abc"] == [6, 5, 0]


def check_a_revision_is_fenced(case):
    store = case.store
    table(store, revision=3)
    with write(store) as transaction:
        transaction.require_revision("pump", 3)
        transaction.create_reading_table("pump", "pump", 4, COLUMNS)
        transaction.require_revision("pump", 4)
    for contract_name, revision in (("pump", 3), ("pump", 5), ("unknown", 1)):
        with pytest.raises(FenceError, match="decoded under revision"), write(store) as transaction:
            transaction.require_revision(contract_name, revision)


def check_every_call_takes_a_principal_with_a_role(case):
    store = case.store
    made = table(store)
    with pytest.raises(ForbiddenError), store.transaction(READER, "x"):
        pytest.fail("a reader may not write")
    with pytest.raises(ForbiddenError):
        store.put_record(READER, "k", "a", {})
    store.put_record(SYSTEM, "k", "a", {})
    with write(store) as transaction:
        transaction.add_dead_letters([letter()])
    reads = [
        lambda who: store.last_commit(who),
        lambda who: store.commit_at(who, 1),
        lambda who: store.commits(who),
        lambda who: store.commit_times(who, {1}),
        lambda who: store.counts(who),
        lambda who: store.reading_tables(who),
        lambda who: store.retractions(who),
        lambda who: store.lifetimes(who),
        lambda who: store.relationships(who),
        lambda who: store.changed_twins(who, 1),
        lambda who: store.lifetime_versions(who, 0, 9),
        lambda who: store.relationship_versions(who, 0, 9),
        lambda who: store.record_versions(who, ["a"], 0, 9),
        lambda who: store.history(who, Selection()),
        lambda who: store.latest(who, Selection()),
        lambda who: store.readings(who, made),
        lambda who: store.hidden_by(who, Retraction(1, "pump", 1, 2, 3)),
        lambda who: store.touched(who, 0, 9),
        lambda who: store.hours(who, "pump"),
        lambda who: store.position(who, "a", "b"),
        lambda who: list(store.journal_entries(who, "a", 0, 1)),
        lambda who: store.journal_sizes(who, "a", 0, 1),
        lambda who: store.unjournalled(who, "a", 0, 1),
        lambda who: store.dead_letters(who),
        lambda who: store.dead_letter(who, 1),
        lambda who: store.dead_letter_counts(who),
        lambda who: store.cells(who, "a"),
        lambda who: store.checkpoints(who, "a"),
        lambda who: store.get_record(who, "k", "a"),
        lambda who: store.records(who, "a"),
        lambda who: list(store.versions(who, "a", "b")),
    ]
    for read in reads:
        read(READER)
        with pytest.raises(ForbiddenError, match="no role"):
            read(NOBODY)


def check_a_transaction_that_the_engine_refuses_leaves_the_store_usable(case):
    store = case.store
    made = table(store)
    with pytest.raises(StoreError), write(store) as transaction:
        transaction.append_readings(made, rows(made, transaction.commit, (1, 5, 0, 1.0)))
        transaction.create_reading_table("pump", "pump", 1, COLUMNS)  # there is one
    assert told(store.history) == []
    assert append(store, made, (1, 5, 0, 1.0)) == 2
    assert told(store.history) == [(1, "p", 5, 1.0)]
    with pytest.raises(NotFoundError):
        store.dead_letter(SYSTEM, 1)


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]
