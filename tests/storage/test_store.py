"""The DuckDB store: one transaction at a time, whole or not at all; one gap-free log; every read as it was asked for."""

import json
import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pytest
from tests.telemetry.plant import NOW, contract

from twinwright.clock import ManualClock
from twinwright.errors import FenceError, ForbiddenError, NotFoundError, StoreError
from twinwright.governance.principals import SYSTEM, Principal
from twinwright.storage.duckdb import DuckDBStore
from twinwright.storage.duckdb_sql import FORMAT_VERSION
from twinwright.storage.layout import Counts, DeadLetter, Lifetime, ReadingColumn, Relationship, Retraction, Selection
from twinwright.storage.protocol import BAD, CELL_SCHEMA, GOOD, REMOVED, VALUE_SCHEMA

READER = Principal("reader", frozenset({"reader"}))
NOBODY = Principal("nobody", frozenset())
COLUMNS = [ReadingColumn("p", "DOUBLE", "kPa"), ReadingColumn("m", "VARCHAR", None), ReadingColumn("on", "BOOLEAN", None)]


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def store(tmp_path, clock):
    made = DuckDBStore(tmp_path / "store.duckdb", clock)
    yield made
    made.close()


def write(store, kind="test"):
    return store.transaction(SYSTEM, kind)


def table(store, name="pump", revision=1, columns=COLUMNS, source=None):
    with write(store) as transaction:
        return transaction.create_reading_table(name, source or name, revision, columns)


def rows(table, commit, *readings, origin=None):
    """Each reading is (twin, time, correction, value of the first column)."""
    made = {name: [] for name in table.names}
    for twin, time, correction, value in readings:
        given = {
            "commit": commit,
            "origin": origin or commit,
            "twin": twin,
            "time": time,
            "correction": correction,
            "marks": 0,
            "v0": value,
        }
        for name in table.names:
            made[name].append(given.get(name, 0 if name.startswith("bad") else None))
    types = {"twin": pa.int32(), "marks": pa.int8(), "v0": pa.float64(), "v1": pa.string(), "v2": pa.bool_()}
    return pa.table({name: pa.array(values, types.get(name, pa.int64())) for name, values in made.items()})


def append(store, table, *readings, origin=None, sightings=False):
    with write(store, "ingest") as transaction:
        transaction.append_readings(table, rows(table, transaction.commit, *readings, origin=origin), sightings=sightings)
    return transaction.commit


def value(twin, path, time, kind=GOOD, num=1.0, lane="observed", source="api", correction=0):
    given = {"twin": twin, "path": path, "time": time, "source": source, "correction": correction, "revision": 0, "kind": kind}
    given |= {"type": "DOUBLE", "num": num if kind == GOOD else None, "int": None, "txt": None, "unit": "kPa", "lane": lane}
    return {name: given[name] for name in VALUE_SCHEMA.names}


def say(store, *values):
    with write(store) as transaction:
        transaction.append_values(pa.Table.from_pylist(list(values), schema=VALUE_SCHEMA))
    return transaction.commit


def told(read, **selection):
    return [(row["twin"], row["path"], row["time"], row["num"]) for row in read(SYSTEM, Selection(**selection)).to_pylist()]


# --- the log ----------------------------------------------------------------------------------------------------------


def test_the_log_has_no_gaps_and_its_time_never_runs_back(store, clock):
    clock.step(5_000_000)
    store.put_record(SYSTEM, "k", "a", {})
    clock.step(-60_000_000)
    store.put_record(SYSTEM, "k", "b", {})
    with pytest.raises(ZeroDivisionError), write(store):
        raise ZeroDivisionError
    store.put_record(SYSTEM, "k", "c", {})
    log = store.commits(SYSTEM)
    assert [commit.number for commit in log] == [1, 2, 3]
    assert [commit.at for commit in log] == [NOW + 5_000_000] * 3
    assert [store.commit_at(SYSTEM, at) for at in (NOW, NOW + 4_999_999, NOW + 5_000_000, NOW + 10**9)] == [0, 0, 3, 3]
    assert [commit.number for commit in store.commits(SYSTEM, first=2, last=2)] == [2]
    assert [commit.kind for commit in store.commits(SYSTEM, kind="record:k")] == ["record:k"] * 3
    assert store.commits(SYSTEM, kind="other") == []


def test_the_log_goes_on_after_a_restart_and_never_back_in_time(tmp_path, clock):
    path = tmp_path / "store.duckdb"
    first = DuckDBStore(path, clock)
    first.put_record(SYSTEM, "k", "a", {})
    first.close()
    second = DuckDBStore(path, ManualClock(0))
    assert second.last_commit(SYSTEM) == 1
    second.put_record(SYSTEM, "k", "b", {})
    assert [(commit.number, commit.at) for commit in second.commits(SYSTEM)] == [(1, NOW), (2, NOW)]
    second.close()


def test_listeners_hear_of_each_commit_after_it_and_of_no_other(store):
    heard = []
    store.on_commit(lambda commit: heard.append((commit.number, commit.kind, commit.counts, store.last_commit(SYSTEM))))
    with write(store, "ingest") as transaction:
        transaction.count(Counts(1, 1), source="pump", detail="one")
        transaction.count(Counts(1, 0, 1), detail="two")
    with pytest.raises(ZeroDivisionError), write(store):
        raise ZeroDivisionError
    assert heard == [(1, "ingest", Counts(2, 1, 1), 1)]
    assert [(commit.source, commit.detail) for commit in store.commits(SYSTEM)] == [("", "one; two")] or store.commits(SYSTEM)[
        0
    ].source == "pump"


def test_a_listener_that_fails_does_not_undo_or_hide_the_commit(store):
    heard = []
    store.on_commit(lambda commit: 1 / 0)
    store.on_commit(lambda commit: heard.append(commit.number))
    assert store.put_record(SYSTEM, "k", "a", {}) == 1
    assert heard == [1]


# --- one transaction --------------------------------------------------------------------------------------------------


def everything(transaction, table):
    transaction.append_readings(table, rows(table, transaction.commit, (1, 5, 0, 1.0)))
    transaction.append_readings(table, rows(table, transaction.commit, (1, 5, 0, 1.0)), sightings=True)
    transaction.append_values(pa.Table.from_pylist([value(1, "q", 5)], schema=VALUE_SCHEMA))
    transaction.journal("pump", "pump", 1, b"frames", Counts(1, 1))
    transaction.move_position("pump", "file", 0, 9)
    transaction.add_dead_letters([DeadLetter("pump", "pump", 1, "malformed", "no", b"x")])
    transaction.count(Counts(2, 1, 0, 1), source="pump")
    transaction.retract("other", 1, 2, 3)
    transaction.put_record("k", "a", {"b": 1})
    transaction.create_reading_table("more", "more", 1, COLUMNS)
    transaction.declare_twins([Lifetime(1, "x", "dtmi:a;1", None, 7)])
    transaction.declare_relationships([Relationship("x", "r", "feeds", "y", {"n": 1})])
    transaction.save_cells("pump", transaction.commit, CELL_SCHEMA.empty_table(), replace=True)


def seen(store):
    return {
        "history": told(store.history),
        "position": store.position(SYSTEM, "pump", "file"),
        "journal": [(entry.frames, entry.counts) for entry in store.journal_entries(SYSTEM, "pump", 0, 99)],
        "letters": [(letter.id, letter.payload) for letter in store.dead_letters(SYSTEM)],
        "counts": store.counts(SYSTEM),
        "retractions": store.retractions(SYSTEM),
        "records": [record.body for record in store.records(SYSTEM, "k")],
        "tables": [(one.number, one.contract) for one in store.reading_tables(SYSTEM)],
        "lifetimes": store.lifetimes(SYSTEM),
        "relationships": store.relationships(SYSTEM),
        "cells": store.cells(SYSTEM, "pump")[0],
        "commits": store.last_commit(SYSTEM),
    }


def test_a_roll_back_leaves_nothing_of_anything(store):
    made = table(store)
    before = seen(store)
    with pytest.raises(KeyboardInterrupt), write(store) as transaction:
        everything(transaction, made)
        raise KeyboardInterrupt
    assert seen(store) == before
    with write(store) as transaction:
        everything(transaction, made)
    assert seen(store) == {
        "history": [(1, "p", 5, 1.0), (1, "q", 5, 1.0)],
        "position": 9,
        "journal": [(b"frames", Counts(1, 1))],
        "letters": [(1, b"x")],
        "counts": {"pump": Counts(2, 1, 0, 1)},
        "retractions": [Retraction(2, "other", 1, 2, 3)],
        "records": [{"b": 1}],
        "tables": [(1, "pump"), (2, "more")],
        "lifetimes": [Lifetime(1, "x", "dtmi:a;1", None, 7)],
        "relationships": [Relationship("x", "r", "feeds", "y", {"n": 1})],
        "cells": 2,
        "commits": 2,
    }


def test_what_was_committed_is_there_after_a_restart(tmp_path, store):
    made = table(store)
    with write(store) as transaction:
        everything(transaction, made)
    before = seen(store)
    store.close()
    again = DuckDBStore(tmp_path / "store.duckdb")
    assert seen(again) == before
    assert again.reading_tables(SYSTEM)[0] == made
    again.close()


def test_counts_that_are_not_conserved_are_refused(store):
    for counts in (Counts(1), Counts(1, 1, 1), Counts(0, 0, 0, 1)):
        with pytest.raises(StoreError, match="not conserved"), write(store) as transaction:
            transaction.count(counts, source="pump")
    assert store.counts(SYSTEM) == {}
    assert Counts(2, 1, 1) - Counts(1, 1) == Counts(1, 0, 1)


def test_a_position_is_fenced(store):
    for start, after in ((0, 10), (10, 25)):
        with write(store) as transaction:
            transaction.move_position("pump", "file", start, after)
    for start in (0, 10, 26):
        with pytest.raises(FenceError, match=f"position {start} of file is not where the store is \\(25\\)"), write(store) as transaction:
            transaction.move_position("pump", "file", start, 99)
    assert store.position(SYSTEM, "pump", "file") == 25
    assert store.position(SYSTEM, "pump", "other") == store.position(SYSTEM, "valve", "file") == 0


def test_a_revision_is_fenced(store):
    table(store, revision=3)
    with write(store) as transaction:
        transaction.require_revision("pump", 3)
        transaction.create_reading_table("pump", "pump", 4, COLUMNS)
        transaction.require_revision("pump", 4)
    for contract_name, revision in (("pump", 3), ("pump", 5), ("unknown", 1)):
        with pytest.raises(FenceError, match="decoded under revision"), write(store) as transaction:
            transaction.require_revision(contract_name, revision)


def test_every_call_takes_a_principal_with_a_role(store):
    with pytest.raises(ForbiddenError), store.transaction(READER, "x"):
        pytest.fail("a reader may not write")
    with pytest.raises(ForbiddenError):
        store.put_record(READER, "k", "a", {})
    reads = [
        lambda who: store.last_commit(who),
        lambda who: store.commit_at(who, 1),
        lambda who: store.commits(who),
        lambda who: store.counts(who),
        lambda who: store.reading_tables(who),
        lambda who: store.retractions(who),
        lambda who: store.lifetimes(who),
        lambda who: store.relationships(who),
        lambda who: store.history(who, Selection()),
        lambda who: store.latest(who, Selection()),
        lambda who: store.position(who, "a", "b"),
        lambda who: list(store.journal_entries(who, "a", 0, 1)),
        lambda who: store.dead_letters(who),
        lambda who: store.dead_letter_counts(who),
        lambda who: store.cells(who, "a"),
        lambda who: store.records(who, "a"),
        lambda who: list(store.versions(who, "a", "b")),
    ]
    for read in reads:
        read(READER)
        with pytest.raises(ForbiddenError, match="no role"):
            read(NOBODY)


# --- reads ------------------------------------------------------------------------------------------------------------


def test_selections_narrow_what_is_read(store):
    made = table(store)
    first = append(store, made, (1, 10, 0, 1.0), (2, 20, 0, 2.0))
    append(store, made, (1, 10, 1, 0.5), (3, 30, 0, 3.0))
    say(store, value(1, "q", 15), value(1, "p", 40, lane="desired", num=9.0))
    assert told(store.history) == [(1, "p", 10, 0.5), (1, "q", 15, 1.0), (2, "p", 20, 2.0), (3, "p", 30, 3.0)]
    assert told(store.history, lifetimes=(1,)) == [(1, "p", 10, 0.5), (1, "q", 15, 1.0)]
    assert told(store.history, lifetimes=(2, 3, 4)) == [(2, "p", 20, 2.0), (3, "p", 30, 3.0)]
    assert told(store.history, lifetimes=()) == []
    assert told(store.history, paths=("q",)) == [(1, "q", 15, 1.0)]
    assert told(store.history, start=15, end=30) == [(1, "q", 15, 1.0), (2, "p", 20, 2.0)]
    assert told(store.history, known_at=first) == [(1, "p", 10, 1.0), (2, "p", 20, 2.0)]
    assert told(store.history, source="pump", end=15) == [(1, "p", 10, 0.5)]
    assert told(store.history, source="api") == [(1, "q", 15, 1.0)]
    assert told(store.history, lane="desired") == [(1, "p", 40, 9.0)]
    assert told(store.history, lane="simulated") == []
    assert told(store.latest, lifetimes=(1,), end=15) == [(1, "p", 10, 0.5)]


def test_the_times_of_some_commits_are_read_without_the_rest_of_the_log(store, clock):
    made = {}
    for _ in range(40):
        clock.advance(7)
        made[say(store, value(1, "p", 10))] = clock.now()
    wanted = sorted(made)[::3]
    assert store.commit_times(SYSTEM, {*wanted, 10**6}) == {number: made[number] for number in wanted}
    assert store.commit_times(SYSTEM, ()) == {}
    with pytest.raises(ForbiddenError):
        store.commit_times(NOBODY, {1})


def test_the_greatest_source_wins_between_equal_times(store):
    append(store, table(store, "b"), (1, 10, 0, 1.0))
    append(store, table(store, "a"), (1, 10, 9, 2.0))
    assert told(store.latest) == [(1, "p", 10, 1.0)]
    assert len(told(store.history)) == 2


def test_the_last_good_value_is_looked_for_behind_bad_ones_but_not_behind_a_removal(store):
    say(store, value(1, "p", 10), value(1, "p", 20, BAD), value(2, "p", 10), value(2, "p", 20, REMOVED), value(2, "p", 30, BAD))
    assert [row["kind"] for row in store.latest(SYSTEM, Selection()).to_pylist()] == [BAD, BAD]
    assert told(store.latest, good_only=True) == [(1, "p", 10, 1.0)]
    assert told(store.history, good_only=True) == [(1, "p", 10, 1.0), (2, "p", 10, 1.0)]


def test_conflicts_are_settled_by_kind_and_then_by_value(store):
    say(
        store,
        value(1, "p", 10, num=-2.0),
        value(1, "p", 10, num=-1.0),
        value(1, "p", 10, BAD),
        value(2, "p", 10),
        value(2, "p", 10, REMOVED),
    )
    assert [(row["kind"], row["num"]) for row in store.history(SYSTEM, Selection()).to_pylist()] == [(GOOD, -1.0), (REMOVED, None)]


def test_a_retraction_hides_by_range_and_revision_from_its_commit_on(store):
    old = table(store)
    commits = [append(store, old, (1, at, 0, float(at))) for at in (1, 2, 3)]
    append(store, old, (1, 2, 0, 2.0), sightings=True)
    new = table(store, revision=2)
    with write(store, "replay") as transaction:
        transaction.retract("pump", commits[0], commits[1], 2)
        transaction.append_readings(new, rows(new, transaction.commit, (1, 11, 0, 11.0), origin=commits[0]))
    assert told(store.history) == [(1, "p", at, float(at)) for at in (2, 3, 11)]  # 2 was seen outside the range too
    assert told(store.history, known_at=transaction.commit - 1) == [(1, "p", at, float(at)) for at in (1, 2, 3)]
    assert store.hidden_by(SYSTEM, store.retractions(SYSTEM)[0])[1] >= 1
    assert len(store.readings(SYSTEM, old)) == 2
    assert len(store.readings(SYSTEM, old, without=Retraction(9, "pump", 0, 99, 2))) == 0
    assert store.readings(SYSTEM, new, after=transaction.commit).num_rows == 0


def test_hours_are_found_and_read_by_themselves(store):
    made = table(store)
    hour = 3_600_000_000
    append(store, made, (1, 0, 0, 0.0), (1, hour, 0, 1.0), (1, 5 * hour, 0, 5.0))
    append(store, made, (1, -1, 0, -1.0), (1, 7, 0, 7.0))
    assert store.hours(SYSTEM, "pump") == {-1: 1, 0: 2, 1: 1, 5: 1}
    assert store.hours(SYSTEM, "other") == {}
    for hours in ([], [-1], [0, 1], [0, 5], [-1, 5, 1]):
        found = store.readings(SYSTEM, made, hours=hours)
        assert sorted({int(time) // hour for time in found["time"].to_pylist()}) == sorted(hours)
    at = (np.array([1, 2, 1], np.int32), np.array([7, 0, 5 * hour]))
    assert sorted(store.readings(SYSTEM, made, hours=[0, 5], at=at)["time"].to_pylist()) == [7, 5 * hour]
    assert store.readings(SYSTEM, made, hours=[0], at=at)["time"].to_pylist() == [7]


def test_readers_see_a_whole_commit_or_nothing_of_it(store):
    made = table(store)
    append(store, made, (1, 0, 0, 0.0))
    lengths, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            lengths.add(len(told(store.history)))

    thread = threading.Thread(target=read)
    thread.start()
    for at in range(1, 20):
        append(store, made, *((1, 100 * at + n, 0, 0.0) for n in range(10)))
    stop.set()
    thread.join(30)
    assert all(length % 10 == 1 for length in lengths)


# --- dead letters, journal, records -----------------------------------------------------------------------------------


def letter(reason="malformed", contract="pump", origin=0):
    return DeadLetter(contract, "bus", 3, reason, "why", b"\x00raw\xff", {"topic": "a/b"}, "file@7", origin=origin)


def test_dead_letters_are_listed_filtered_and_closed(store):
    with write(store) as transaction:
        transaction.add_dead_letters([])
        transaction.add_dead_letters([letter(), letter("bad_time"), letter("bad_time", "valve", origin=42)])
    first = store.dead_letter(SYSTEM, 1)
    assert (first.payload, dict(first.captures), first.position, first.origin, first.status) == (
        b"\x00raw\xff",
        {"topic": "a/b"},
        "file@7",
        1,
        "open",
    )
    assert (first.reason, first.revision, first.at) == ("malformed", 3, NOW)
    assert [one.id for one in store.dead_letters(SYSTEM)] == [1, 2, 3]
    assert [one.id for one in store.dead_letters(SYSTEM, contract="pump", reason="bad_time")] == [2]
    assert [one.id for one in store.dead_letters(SYSTEM, limit=2)] == [1, 2]
    assert store.dead_letter_counts(SYSTEM) == {"bad_time": 2, "malformed": 1}
    assert store.dead_letter_counts(SYSTEM, contract="valve") == {"bad_time": 1}
    with write(store) as transaction:
        transaction.close_dead_letters([1, 99], "retried")
        transaction.close_dead_letters_of("valve", 40, 42, "replayed")
        transaction.close_dead_letters_of("pump", 2, 50, "replayed")
    assert [(one.id, one.status) for one in store.dead_letters(SYSTEM, status="retried")] == [(1, "retried")]
    assert [one.id for one in store.dead_letters(SYSTEM, status="replayed")] == [3]
    assert [one.id for one in store.dead_letters(SYSTEM)] == [2]
    with write(store) as transaction:
        transaction.add_dead_letters([letter()])
    assert store.dead_letters(SYSTEM)[-1].id == 4
    with pytest.raises(NotFoundError, match="no dead letter 77"):
        store.dead_letter(SYSTEM, 77)


def test_the_journal_is_read_by_range_and_its_counts_move(store):
    for number in range(3):
        with write(store) as transaction:
            transaction.journal("pump", "bus", 2, b"frame %d" % number, Counts(2, 1, 0, 1))
    with write(store) as transaction:
        transaction.journal("valve", "bus", 2, b"other", Counts())
        transaction.adjust_journal(2, Counts(0, 1, 0, -1))
    entries = list(store.journal_entries(SYSTEM, "pump", 2, 9))
    assert [(entry.commit, entry.frames, entry.counts) for entry in entries] == [
        (2, b"frame 1", Counts(2, 2)),
        (3, b"frame 2", Counts(2, 1, 0, 1)),
    ]
    assert (entries[0].contract, entries[0].source, entries[0].revision, entries[0].at) == ("pump", "bus", 2, NOW)


def test_records_have_versions_and_are_found_by_a_beginning_of_their_id(store):
    for id, body in (("abc1", {"n": 1}), ("abd2", {"n": 2}), ("abc1", {"n": 3}), ("ab", {"n": 4})):
        store.put_record(SYSTEM, "run", id, body)
    assert store.get_record(SYSTEM, "run", "abc").body == {"n": 3}
    assert store.get_record(SYSTEM, "run", "ab").body == {"n": 4}
    assert [record.body["n"] for record in store.versions(SYSTEM, "run", "abc1")] == [1, 3]
    assert [record.id for record in store.records(SYSTEM, "run")] == ["abd2", "abc1", "ab"]
    record = store.get_record(SYSTEM, "run", "abd2")
    assert (record.kind, record.commit, record.at, record.principal) == ("run", 2, NOW, "system")
    for id, message in (("a", "several of kind run"), ("x", "no run 'x'"), ("", "no run ''"), ("abc%", "no run")):
        with pytest.raises(NotFoundError, match=message):
            store.get_record(SYSTEM, "run", id)
    with pytest.raises(NotFoundError):
        store.get_record(SYSTEM, "other", "ab")


# --- cells ------------------------------------------------------------------------------------------------------------


def test_cells_are_replaced_by_twin_or_whole(store):
    def cell(twin, num):
        given = {"twin": twin, "path": "p", "time": 1, "correction": 0, "revision": 1, "commit": 1, "kind": GOOD, "num": num}
        return {name: given.get(name) for name in CELL_SCHEMA.names}

    def save(through, *cells, replace=False, contract="pump"):
        with write(store) as transaction:
            transaction.save_cells(contract, through, pa.Table.from_pylist(list(cells), schema=CELL_SCHEMA), replace=replace)

    save(1, cell(1, 1.0), cell(2, 2.0))
    save(1, cell(1, 7.0), contract="valve")
    save(2, cell(2, 9.0))
    through, cells = store.cells(SYSTEM, "pump")
    assert (through, sorted(zip(cells["twin"].to_pylist(), cells["num"].to_pylist(), strict=True))) == (2, [(1, 1.0), (2, 9.0)])
    save(3, cell(3, 3.0), replace=True)
    assert store.cells(SYSTEM, "pump")[1]["twin"].to_pylist() == [3]
    assert store.cells(SYSTEM, "valve")[1]["num"].to_pylist() == [7.0]
    assert store.cells(SYSTEM, "none")[0] == 0


# --- hostile text -----------------------------------------------------------------------------------------------------

EVIL = [
    "'; DROP TABLE commits; --",
    '"; DROP TABLE commits; --',
    "x' OR '1'='1",
    "$1",
    "?",
    "{0}",
    "%s",
    "\\'; SELECT 1; --",
    "a\nb",
    "é\u202e😀",
    "' || (SELECT value FROM meta) || '",
    "); DELETE FROM commits; --",
]


@pytest.mark.parametrize("evil", EVIL)
def test_no_text_is_ever_taken_for_sql(store, evil):
    with write(store, evil) as transaction:
        made = transaction.create_reading_table(evil, evil, 1, [ReadingColumn(evil, "DOUBLE", evil)])
        transaction.declare_twins([Lifetime(1, evil, evil)])
        transaction.declare_relationships([Relationship(evil, evil, evil, evil, {evil: evil})])
        transaction.append_readings(made, rows(made, transaction.commit, (1, 5, 0, 1.0)))
        transaction.append_values(
            pa.Table.from_pylist([{**value(1, evil, 6, source=evil), "unit": evil, "txt": evil}], schema=VALUE_SCHEMA)
        )
        transaction.move_position(evil, evil, 0, 3)
        transaction.journal(evil, evil, 1, evil.encode(), Counts())
        transaction.add_dead_letters([DeadLetter(evil, evil, 1, evil, evil, evil.encode(), {evil: evil}, evil)])
        transaction.count(Counts(), source=evil, detail=evil)
        transaction.put_record(evil, evil, {evil: evil})
        transaction.save_cells(evil, 1, CELL_SCHEMA.empty_table(), replace=False)
        transaction.retract("other", 0, 0, 0)
    history = store.history(SYSTEM, Selection(paths=(evil,), source=evil)).to_pylist()
    assert [(row["path"], row["source"], row["unit"], row["time"]) for row in history] == [(evil, evil, evil, 5), (evil, evil, evil, 6)]
    assert told(store.latest, paths=(evil,), lane="observed") == [(1, evil, 6, 1.0)]
    assert told(store.history, lane=evil) == []
    assert store.lifetimes(SYSTEM) == [Lifetime(1, evil, evil)]
    assert store.relationships(SYSTEM)[0].properties == {evil: evil}
    assert store.position(SYSTEM, evil, evil) == 3
    assert [entry.frames for entry in store.journal_entries(SYSTEM, evil, 0, 9)] == [evil.encode()]
    assert store.dead_letters(SYSTEM, contract=evil, reason=evil)[0].captures == {evil: evil}
    assert store.dead_letters(SYSTEM, status=evil) == []
    assert store.dead_letter_counts(SYSTEM, contract=evil) == {evil: 1}
    assert store.get_record(SYSTEM, evil, evil).body == {evil: evil}
    assert [record.id for record in store.versions(SYSTEM, evil, evil)] == [evil]
    assert store.commits(SYSTEM, kind=evil)[0].detail == evil
    assert list(store.counts(SYSTEM)) == [evil]
    assert store.hours(SYSTEM, evil) == {0: 1}
    assert store.cells(SYSTEM, evil)[0] == 1
    with write(store) as transaction:
        transaction.close_dead_letters_of(evil, 0, 9, evil)
        transaction.require_revision(evil, 1)
    assert len(store.dead_letters(SYSTEM, status=evil)) == 1


def test_evil_names_come_through_ingestion(make_plant):
    evil = "pump'; DROP TABLE commits; --"
    plant = make_plant(contract(), twins=[evil])
    assert plant.send({"id": evil, "ts": "2026-03-01T07:00:00Z", "m": evil}, {"id": evil + "x", "ts": evil}).accepted == 1
    assert plant.history()[0]["txt"] == evil
    assert plant.cells()[0]["txt"] == evil


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_store_of_another_process_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "store.duckdb"
    code = "from sys import argv; from pathlib import Path; from twinwright.storage.duckdb import DuckDBStore as Store; "
    code += "store = Store(Path(argv[1])); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "1\n"
        with pytest.raises(StoreError, match="open in another process") as refused:
            DuckDBStore(path)
        assert "socket" in refused.value.remedy
        other.communicate("\n")
    DuckDBStore(path).close()


@pytest.mark.parametrize("found", [str(FORMAT_VERSION + 1), "99"])
def test_a_store_of_a_newer_format_is_refused_and_left_alone(tmp_path, found):
    import duckdb

    path = tmp_path / "store.duckdb"
    DuckDBStore(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'format'", [found])
    with pytest.raises(StoreError, match=f"format {found}, this version reads {FORMAT_VERSION}") as refused:
        DuckDBStore(path)
    assert "version of Twinwright" in refused.value.remedy


@pytest.mark.parametrize("content", [b"hello " * 4_000, b"x"])
def test_a_file_that_is_no_store_is_refused(tmp_path, content):
    path = tmp_path / "store.duckdb"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="store") as refused:
        DuckDBStore(path)
    assert "another process" not in str(refused.value)
    assert path.read_bytes() == content


def test_a_damaged_store_is_not_mistaken_for_a_locked_one(tmp_path):
    path = tmp_path / "store.duckdb"
    DuckDBStore(path).close()
    body = bytearray(path.read_bytes())
    for at in range(4_096 * 2, len(body), 5):
        body[at] ^= 0x55
    path.write_bytes(body)
    with pytest.raises(StoreError) as refused:
        DuckDBStore(path)
    assert "another process" not in str(refused.value)


def test_sql_has_no_way_out_of_the_store(store):
    for sql in (
        "SELECT * FROM read_text('/etc/hostname')",
        "COPY (SELECT 1) TO '/tmp/out'",
        "ATTACH '/tmp/x.db'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ):
        with pytest.raises(StoreError):
            store._rows(SYSTEM, sql)


def test_record_bodies_come_back_as_they_were(store):
    body = {"text": "é\u0000\n", "list": [1, 2.5, None, True], "deep": {"a": {"b": []}}}
    store.put_record(SYSTEM, "k", "a", body)
    assert store.get_record(SYSTEM, "k", "a").body == json.loads(json.dumps(body))
