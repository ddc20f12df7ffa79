"""What every store has to answer about history. See `conformance.py`."""

import math
import threading

import numpy as np
import pyarrow as pa
from tests.storage.conformance_case import COLUMNS, NOW, append, rows, say, table, told, value, wide, write

from twinwright.governance.principals import SYSTEM
from twinwright.storage.duckdb_totals import totals_of
from twinwright.storage.layout import Counts, ReadingColumn, Retraction, Selection
from twinwright.storage.protocol import BAD, GOOD, RECORD_SCHEMA, REMOVED, TOUCHED_SCHEMA
from twinwright.storage.totals import TOTAL_SCHEMA

HOUR = 3_600_000_000


def check_selections_narrow_what_is_read(case):
    store = case.store
    made = table(store)
    first = append(store, made, (1, 10, 0, 1.0), (2, 20, 0, 2.0))
    append(store, made, (1, 10, 1, 0.5), (3, 30, 0, 3.0))
    say(store, value(1, "q", 15), value(1, "p", 40, lane="desired", num=9.0))
    assert told(store.history) == [(1, "p", 10, 0.5), (1, "q", 15, 1.0), (2, "p", 20, 2.0), (3, "p", 30, 3.0)]
    assert told(store.history, lifetimes=(1,)) == [(1, "p", 10, 0.5), (1, "q", 15, 1.0)]
    assert told(store.history, lifetimes=(2, 3, 4)) == [(2, "p", 20, 2.0), (3, "p", 30, 3.0)]
    assert told(store.history, lifetimes=()) == told(store.history, paths=()) == []
    assert told(store.history, paths=("q",)) == [(1, "q", 15, 1.0)]
    assert told(store.history, start=15, end=30) == [(1, "q", 15, 1.0), (2, "p", 20, 2.0)]
    assert told(store.history, known_at=first) == [(1, "p", 10, 1.0), (2, "p", 20, 2.0)]
    assert told(store.history, known_at=0) == []
    assert told(store.history, source="pump", end=15) == [(1, "p", 10, 0.5)]
    assert told(store.history, source="api") == [(1, "q", 15, 1.0)]
    assert told(store.history, lane="desired") == [(1, "p", 40, 9.0)]
    assert told(store.history, lane="simulated") == []
    assert told(store.latest, lifetimes=(1,), end=15) == [(1, "p", 10, 0.5)]
    assert told(store.latest, known_at=first) == [(1, "p", 10, 1.0), (2, "p", 20, 2.0)]
    assert store.history(SYSTEM, Selection()).schema == store.latest(SYSTEM, Selection()).schema == RECORD_SCHEMA
    assert store.history(SYSTEM, Selection(paths=())).schema == RECORD_SCHEMA


def check_the_greatest_source_wins_between_equal_times(case):
    store = case.store
    append(store, table(store, "B"), (1, 10, 0, 1.0))
    append(store, table(store, "a"), (1, 10, 9, 2.0))  # by bytes, not as a language sorts
    append(store, table(store, "_"), (1, 10, 9, 3.0))
    assert told(store.latest) == [(1, "p", 10, 2.0)]
    assert [row["source"] for row in store.history(SYSTEM, Selection()).to_pylist()] == ["B", "_", "a"]


def check_totals_of_a_window_are_those_of_its_history(case):
    """By lifetime and unit, of the greatest source of each time, good numbers alone."""
    store = case.store
    whole = [ReadingColumn("p", "BIGINT", "bar"), ReadingColumn("t", "VARCHAR", None)]
    first, second = table(store, "a"), table(store, "b", columns=whole)
    early = append(store, first, (1, 10, 0, 1.0), (1, 20, 0, 2.0), (2, 10, 0, 5.0), (3, 10, 0, -1.0), (4, 10, 0, 4.0))
    append(store, second, (1, 20, 0, 7), (1, 30, 0, 8), (2, 40, 0, 9))
    append(store, first, (1, 10, 3, 0.25), (2, 5, 0, -0.0))
    say(store, value(1, "p", 30, source="c", kind=BAD), value(2, "p", 40, source="A", num=3.0), value(4, "p", 10, source="z", kind=REMOVED))
    say(store, {**value(3, "p", 20, num=None), "type": "VARCHAR", "txt": "x"}, value(2, "p", 50, lane="desired", num=9.0))
    for named in (
        {},
        {"known_at": early},
        {"start": 10, "end": 40},
        {"lifetimes": (1, 3)},
        {"source": "a"},
        {"lane": "desired"},
        {"end": 1},
    ):
        selection = Selection(paths=("p",), **named)
        for what in ("sum", "min", "max", "first", "last"):
            found = store.window_totals(SYSTEM, selection, what)
            assert found.schema == TOTAL_SCHEMA
            assert by_twin(found) == by_twin(totals_of(store.history(SYSTEM, selection), what)), (named, what)
    rows = by_twin(store.window_totals(SYSTEM, Selection(paths=("p",)), "last"))
    assert rows == [
        (1, "bar", 1, 7.0, 20),
        (1, "kPa", 1, 0.25, 10),
        (2, "bar", 1, 9.0, 40),
        (2, "kPa", 2, 5.0, 10),
        (3, "kPa", 1, -1.0, 10),
    ]


def by_twin(rows):
    return sorted((tuple(row.values()) for row in rows.to_pylist()), key=str)


def check_the_last_good_value_is_looked_for_behind_bad_ones_but_not_behind_a_removal(case):
    store = case.store
    say(store, value(1, "p", 10), value(1, "p", 20, BAD), value(2, "p", 10), value(2, "p", 20, REMOVED), value(2, "p", 30, BAD))
    assert [row["kind"] for row in store.latest(SYSTEM, Selection()).to_pylist()] == [BAD, BAD]
    assert told(store.latest, good_only=True) == [(1, "p", 10, 1.0)]
    assert told(store.history, good_only=True) == [(1, "p", 10, 1.0), (2, "p", 10, 1.0)]


def check_conflicts_are_settled_by_kind_and_then_by_value(case):
    store = case.store
    bad_last = [value(1, "p", 10, num=-2.0), value(1, "p", 10, num=-1.0), value(1, "p", 10, BAD)]
    say(store, *bad_last, value(2, "p", 10), value(2, "p", 10, REMOVED))
    texts = ({**value(3, "t", 10, num=None), "type": "VARCHAR", "txt": text} for text in ("Z", "a", "B"))
    say(store, *texts)
    found = [(row["kind"], row["num"], row["txt"]) for row in store.history(SYSTEM, Selection()).to_pylist()]
    assert found == [(GOOD, -1.0, None), (REMOVED, None, None), (GOOD, None, "a")]


def check_corrections_and_then_revisions_decide(case):
    store = case.store
    old, new = table(store), table(store, revision=2)
    append(store, new, (1, 10, 0, 1.0))
    append(store, old, (1, 10, 1, 2.0))
    append(store, old, (2, 10, 0, 9.0))
    append(store, new, (2, 10, 0, 3.0))
    assert told(store.history) == [(1, "p", 10, 2.0), (2, "p", 10, 3.0)]
    assert [(row["correction"], row["revision"]) for row in store.latest(SYSTEM, Selection()).to_pylist()] == [(1, 1), (0, 2)]


def check_every_type_of_value_comes_back_as_it_was(case):
    """Each type, its extremes, nulls, bad ones, and more columns than one mask holds."""
    store = case.store
    columns = [ReadingColumn("x", "DOUBLE", "m"), ReadingColumn("n", "BIGINT", None), ReadingColumn("b", "BOOLEAN", None)]
    columns += [ReadingColumn("t", "VARCHAR", None), *(ReadingColumn(f"c{j}", "DOUBLE", None) for j in range(62))]
    made = table(store, columns=columns)
    doubles = [0.1, -0.0, 5e-324, 1.7976931348623157e308, -1e-300, None]
    wholes = [2**63 - 1, -(2**63), 0, 1 << 53, -1, None]
    texts = ["", "é😀", "a" * 70_000, "\x00\x01\x010", "a\nb", None]
    said = [
        {"twin": at, "time": (-1) ** at * at * 10**15, "v0": x, "v1": n, "v2": b, "v3": t, "v65": float(at)}
        for at, (x, n, b, t) in enumerate(zip(doubles, wholes, [True, False, True, None, False, None], texts, strict=True))
    ]
    said.append({"twin": 2**31 - 1, "time": -(2**62), "correction": 2**62, "bad0": 1, "bad1": 1 << 5})
    with write(store) as transaction:
        given = wide(made, transaction.commit, said)
        transaction.append_readings(made, given.slice(0, 3))
        transaction.append_readings(made, given.slice(3))
    found = store.readings(SYSTEM, made)
    assert found.schema.names == made.names
    assert [repr(row) for row in found.sort_by("twin").to_pylist()] == [repr(row) for row in given.to_pylist()]
    assert math.copysign(1.0, found.sort_by("twin")["v0"][1].as_py()) == -1.0
    of_all, of_some = store.history(SYSTEM, Selection()), store.history(SYSTEM, Selection(lifetimes=(*range(6), 2**31 - 1)))
    assert of_some.equals(of_all)
    history = {(row["twin"], row["path"]): row for row in of_all.to_pylist()}
    assert [history[at, "n"]["int"] for at in range(5)] == wholes[:5]
    assert [history[at, "b"]["int"] for at in (0, 1, 2, 4)] == [1, 0, 1, 0]
    assert [history[at, "t"]["txt"] for at in range(5)] == texts[:5]
    assert {history[at, "c61"]["num"] for at in range(6)} == {float(at) for at in range(6)}
    assert {row["type"] for row in history.values()} == {"DOUBLE", "BIGINT", "BOOLEAN", "VARCHAR"}
    bad = [row for row in history.values() if row["kind"] == BAD]
    assert sorted((row["twin"], row["path"], row["time"], row["correction"]) for row in bad) == [
        (2**31 - 1, "c61", -(2**62), 2**62),
        (2**31 - 1, "x", -(2**62), 2**62),
    ]
    assert (5, "x") not in history


def check_many_rows_come_back_in_the_order_of_their_keys(case):
    store, count = case.store, 30_000
    made = table(store)
    with write(store) as transaction:
        index = pa.array(range(count), pa.int64())
        zero, twin = pa.array([0] * count, pa.int64()), pa.array([at % 7 for at in range(count)], pa.int32())
        commit = pa.array([transaction.commit] * count, pa.int64())
        texts = pa.array([None if at % 3 else f"m{at}" for at in range(count)])
        fixed = [commit, commit, twin, index, zero, zero.cast(pa.int8()), zero]
        transaction.append_readings(made, pa.table([*fixed, index.cast(pa.float64()), texts, pa.nulls(count, pa.bool_())], made.names))
    found = store.history(SYSTEM, Selection(paths=("m",)))
    assert found["txt"].to_pylist() == [f"m{at}" for twin in range(7) for at in range(twin, count, 7) if not at % 3]
    assert sorted(store.readings(SYSTEM, made)["v0"].to_pylist()) == [float(at) for at in range(count)]


def check_readings_of_a_range_of_commits_are_what_these_appended(case):
    store = case.store
    made, other = table(store), table(store, "valve")
    for number in range(3):
        append(store, made, (1, number, 0, float(number)), (2, number, 0, float(number)))  # 3, 6 and 9
        append(store, other, (1, number, 0, float(number)))
        store.put_record(SYSTEM, "k", "a", {})
    for after, through, times in ((0, 11, [0, 1, 2]), (2, 3, [0]), (3, 5, []), (3, 6, [1]), (5, 9, [1, 2]), (9, 11, []), (11, 11, [])):
        found = store.readings(SYSTEM, made, after=after, through=through)
        assert found.schema == store.readings(SYSTEM, made).schema
        assert sorted(found["time"].to_pylist()) == sorted(2 * times)
        assert all(after < commit <= through for commit in found["commit"].to_pylist())


def check_a_retraction_hides_by_range_and_revision_from_its_commit_on(case):
    store = case.store
    old = table(store)
    commits = [append(store, old, (1, at, 0, float(at))) for at in (1, 2, 3)]
    append(store, old, (1, 2, 0, 2.0), sightings=True)
    new = table(store, revision=2)
    with write(store, "replay") as transaction:
        transaction.retract("pump", commits[0], commits[1], 2)
        again = rows(new, transaction.commit, (1, 11, 0, 11.0), (1, 1, 0, 5.0), origin=commits[0])
        transaction.append_readings(new, again)
    assert told(store.history) == [(1, "p", 1, 5.0), *((1, "p", at, float(at)) for at in (2, 3, 11))]  # 2 was seen outside the range too
    assert told(store.history, known_at=transaction.commit - 1) == [(1, "p", at, float(at)) for at in (1, 2, 3)]
    assert store.retractions(SYSTEM) == [Retraction(transaction.commit, "pump", commits[0], commits[1], 2)]
    assert store.hidden_by(SYSTEM, store.retractions(SYSTEM)[0]) == (1, 1)
    assert len(store.readings(SYSTEM, old)) == 2
    assert len(store.readings(SYSTEM, old, without=Retraction(99, "pump", 0, 99, 2))) == 0
    assert len(store.readings(SYSTEM, old, without=Retraction(99, "pump", 0, 99, 1))) == 2
    assert len(store.readings(SYSTEM, old, without=Retraction(99, "valve", 0, 99, 2))) == 2
    for without, left in ((Retraction(99, "pump", 0, 99, 2), [11.0]), (Retraction(99, "pump", 0, 99, 3), [])):
        assert store.latest(SYSTEM, Selection(), without=without)["num"].to_pylist() == left
    assert store.latest(SYSTEM, Selection(), without=Retraction(99, "pump", commits[2], commits[2], 2))["num"].to_pylist() == [11.0]
    assert store.readings(SYSTEM, new, after=transaction.commit).num_rows == 0
    assert store.readings(SYSTEM, new, after=transaction.commit - 1).num_rows == 2
    before = store.readings(SYSTEM, old, known_at=transaction.commit - 1)["time"].to_pylist()
    assert sorted(before) == [1, 2, 2, 3]  # what it hides counted then
    assert len(store.readings(SYSTEM, old, known_at=commits[0])) == 1
    assert store.readings(SYSTEM, new, known_at=transaction.commit - 1).num_rows == 0
    append(store, old, (1, 4, 0, 4.0), origin=commits[0])  # later than the retraction: it counts
    assert (1, "p", 4, 4.0) in told(store.history)


def check_hours_are_found_and_read_by_themselves(case):
    store = case.store
    made = table(store)
    append(store, made, (1, 0, 0, 0.0), (1, HOUR, 0, 1.0), (1, 2 * HOUR - 1, 0, 1.0), (1, 5 * HOUR, 0, 5.0))
    append(store, made, (1, -1, 0, -1.0), (1, -HOUR - 1, 0, -2.0))
    append(store, table(store, revision=2), (1, 7 * HOUR, 0, 7.0))
    assert store.hours(SYSTEM, "pump") == {-2: 1, -1: 1, 0: 1, 1: 2, 5: 1, 7: 1}
    assert store.hours(SYSTEM, "other") == {}
    for hours in ([], [-1], [-2, -1], [0, 1], [0, 5], [-1, 5, 1]):
        found = store.readings(SYSTEM, made, hours=hours)
        assert sorted({int(time) // HOUR for time in found["time"].to_pylist()}) == sorted(hours)
    at = (np.array([1, 2, 1], np.int32), np.array([2 * HOUR - 1, 0, 5 * HOUR]))
    assert sorted(store.readings(SYSTEM, made, at=at)["time"].to_pylist()) == [2 * HOUR - 1, 5 * HOUR]
    assert store.readings(SYSTEM, made, hours=[0, 1], at=at)["time"].to_pylist() == [2 * HOUR - 1]
    assert len(store.readings(SYSTEM, made, at=(at[0][:0], at[1][:0]))) == 0


def check_the_newest_event_time_of_each_commit_is_read_from_one_on(case):
    store = case.store
    pump, valve = table(store), table(store, "valve")
    append(store, pump, (1, HOUR, 0, 1.0), (1, 2 * HOUR, 0, 1.0))
    case.clock.advance(7)
    second = append(store, pump, (1, -HOUR, 0, 1.0), (2, -2 * HOUR, 0, 1.0))
    append(store, valve, (1, 5 * HOUR, 0, 1.0))
    with write(store, "replay") as transaction:  # was received long ago
        transaction.append_readings(pump, rows(pump, transaction.commit, (1, 9 * HOUR, 0, 1.0), origin=2))
    assert store.newest_by_commit(SYSTEM, "pump", 1) == [(NOW, 2 * HOUR), (NOW + 7, -HOUR)]
    assert case.reopen().newest_by_commit(SYSTEM, "pump", second) == [(NOW + 7, -HOUR)]
    assert case.store.newest_by_commit(SYSTEM, "nobody", 1) == []


def check_what_a_range_of_commits_touched_is_told(case):
    store = case.store
    made = table(store)
    first = append(store, made, (1, 10, 0, 1.0), (2, 20, 0, 2.0))
    second = append(store, made, (1, 10, 1, 3.0), (1, 10, 2, 4.0))
    said = say(store, value(3, "q", 30, lane="derived"), value(3, "q", 40))
    with write(store, "replay") as transaction:
        transaction.retract("pump", first, first, made.revision + 1)
        transaction.put_record("k", "a", {})
    hidden = transaction.commit

    def touched(after, through):
        found = store.touched(SYSTEM, after, through)
        assert found.schema == TOUCHED_SCHEMA
        return sorted((row["table"], row["lane"], row["path"] or "", row["twin"], row["time"], row["commit"]) for row in found.to_pylist())

    one, other = (made.number, "observed", "", 1, 10), (made.number, "observed", "", 2, 20)
    assert touched(0, first) == [(*one, first), (*other, first)]
    assert touched(first, second) == [(*one, second)]
    assert touched(second, said) == [(0, "derived", "q", 3, 30, said), (0, "observed", "q", 3, 40, said)]
    assert touched(said, hidden) == [(*one, hidden), (*other, hidden)]
    assert touched(0, second) == [(*one, second), (*other, first)]
    assert touched(hidden, hidden + 5) == []


def check_readers_see_a_whole_commit_or_nothing_of_it(case):
    store = case.store
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
    thread.join(60)
    assert all(length % 10 == 1 for length in lengths)


def check_readers_see_what_a_replay_hides_and_writes_at_one_moment(case):
    store = case.store
    tables = [table(store, revision=revision) for revision in range(1, 8)]
    first = append(store, tables[0], *((1, n, 0, 0.0) for n in range(10)))
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            found = told(store.history)
            seen.add((len(found), len({num for *_, num in found})))

    thread = threading.Thread(target=read)
    thread.start()
    for revision, made in enumerate(tables[1:], 2):
        with write(store, "replay") as transaction:
            transaction.retract("pump", first, first, revision)
            again = ((1, 100 * revision + n, 0, float(revision)) for n in range(10))
            transaction.append_readings(made, rows(made, transaction.commit, *again, origin=first))
    stop.set()
    thread.join(60)
    assert seen == {(10, 1)}


def check_counts_and_reads_agree_after_a_reopening(case):
    made = table(case.store, columns=COLUMNS[:1])
    for at in range(3):
        with write(case.store, "ingest") as transaction:
            transaction.append_readings(made, rows(made, transaction.commit, (1, at, 0, float(at))))
            transaction.count(Counts(1, 1), source="pump")
    before = told(case.store.history), case.store.counts(SYSTEM), case.store.hours(SYSTEM, "pump")
    store = case.reopen()
    assert (told(store.history), store.counts(SYSTEM), store.hours(SYSTEM, "pump")) == before


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]
