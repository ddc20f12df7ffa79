"""Which readings were seen: the same answers as an unbounded set would give, whatever is let go of and read again."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinwright.clock import HOUR
from twinwright.storage.layout import ReadingColumn
from twinwright.telemetry.duplicates import CLASH, DUPLICATE, NEW, Fingerprints, SeenReadings

quick = settings(max_examples=200, deadline=None, derandomize=True)
reading = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3))  # key, hour, content


class Disk:
    """What a store would have: all that was ever added, by hour."""

    def __init__(self):
        self.rows, self.loads = [], 0

    def load(self, hours):
        self.loads += 1
        rows = [row for row in self.rows if row[4] in set(hours)]
        if rows:
            key, content, paths, revision, hour = zip(*rows, strict=True)
            yield (
                np.array(key, np.uint64),
                np.array(content, np.uint64),
                np.array(paths, np.uint64),
                np.array(revision, np.int32),
                np.array(hour, np.int32),
            )


def arrays(batch):
    """The key of a reading holds its time, so that two hours never share one."""
    keys = np.array([key * 1_000 + hour + 1 for key, hour, _ in batch], np.uint64)
    contents = np.array([content for _, _, content in batch], np.uint64)
    return keys, contents, np.ones(len(batch), np.uint64), np.array([hour * HOUR for _, hour, _ in batch], np.int64)


@pytest.mark.parametrize("latest_only", [False, True])
@pytest.mark.parametrize("max_held", [1, 4, 16, 1_000])
def test_a_bounded_memory_answers_as_an_unbounded_set_does(latest_only, max_held):
    @quick
    @given(st.lists(st.tuples(st.lists(reading, min_size=1, max_size=8), st.booleans()), max_size=8))
    def check(batches):
        disk = Disk()
        seen = SeenReadings([], disk.load, latest_only=latest_only, max_held=max_held)
        plain = {}
        arrived = 1
        for batch, rolled_back in batches:
            keys, contents, paths, time = arrays(batch)
            if latest_only:  # in place of its paths, each reading's order of ingestion
                paths = np.arange(arrived, arrived + len(batch), dtype=np.uint64)
                arrived += len(batch)
            verdict = seen.add(keys, contents, paths, time, 1)
            trial = {key: list(known) for key, known in plain.items()}
            expected = []
            for key, content in zip(keys.tolist(), contents.tolist(), strict=True):
                known = trial.setdefault(key, [])
                duplicate = content == known[-1] if latest_only and known else content in known
                expected.append(DUPLICATE if duplicate else NEW if latest_only or not known else CLASH)
                if not duplicate:
                    known.append(content)
            assert verdict.tolist() == expected
            if rolled_back:
                seen.forget()
                seen = SeenReadings({row[4] for row in disk.rows}, disk.load, latest_only=latest_only, max_held=max_held)
            else:
                plain = trial
                rows = zip(keys.tolist(), contents.tolist(), paths.tolist(), [1] * len(batch), (time // HOUR).tolist(), strict=True)
                disk.rows += [row for row, said in zip(rows, expected, strict=True) if said != DUPLICATE]

    check()


def test_by_order_of_ingestion_an_older_reading_does_not_become_the_newest():
    seen = SeenReadings([], lambda hours: iter(()), latest_only=True)

    def add(content, order):
        key, contents, _, time = arrays([(1, 1, content)])
        return seen.add(key, contents, np.array([order], np.uint64), time, 1).tolist()

    assert add(2, order=20) == [NEW]
    assert add(1, order=10) == [NEW]  # a letter that is retried: accepted, and not the newest
    assert add(2, order=30) == [DUPLICATE]
    assert add(1, order=40) == [NEW]


def test_memory_stays_bounded_while_hours_come_and_go():
    disk = Disk()
    seen = SeenReadings([], disk.load, max_held=1_000)
    highest = 0
    for hour in range(60):
        batch = [(key, hour, 0) for key in range(100)]
        keys, contents, paths, time = arrays(batch)
        assert (seen.add(keys, contents, paths, time, 1) == NEW).all()
        disk.rows += zip(keys.tolist(), contents.tolist(), [1] * 100, [1] * 100, [hour] * 100, strict=True)
        highest = max(highest, seen.held)
    assert highest <= 1_000
    assert disk.loads == 0
    keys, contents, paths, time = arrays([(key, 0, 0) for key in range(100)])
    assert (seen.add(keys, contents, paths, time, 1) == DUPLICATE).all()
    assert disk.loads == 1


def test_another_revision_that_says_otherwise_is_no_clash():
    seen = SeenReadings([], lambda hours: iter(()))
    one = arrays([(1, 1, 1)])
    other = arrays([(1, 1, 2)])
    assert seen.add(*one, 1).tolist() == [NEW]
    assert seen.add(*other, 2).tolist() == [NEW]
    assert seen.add(*arrays([(1, 1, 3)]), 2).tolist() == [CLASH]


COLUMNS = [
    ReadingColumn("p", "DOUBLE", "kPa"),
    ReadingColumn("n", "BIGINT", None),
    ReadingColumn("on", "BOOLEAN", None),
    ReadingColumn("s", "VARCHAR", None),
]
BASE = {"twin": 1, "time": 5, "correction": 0, "present": 15, "bad": 0, "values": (1.0, 1, True, "a")}


def prints(columns=COLUMNS, fingerprints=None, **changes):
    r = {**BASE, **changes}
    types = {"DOUBLE": pa.float64(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_(), "VARCHAR": pa.string()}
    values = [pa.array([value], types[column.type]) for column, value in zip(columns, r["values"], strict=True)]
    words = [np.array([[r[name]]], np.int64) for name in ("present", "bad")]
    made = (fingerprints or Fingerprints()).of(
        columns, np.array([r["twin"]], np.int32), np.array([r["time"]], np.int64), np.array([r["correction"]], np.int64), *words, values
    )
    return int(made[0][0]), int(made[1][0])


@pytest.mark.parametrize(
    "change",
    [
        {"twin": 2},
        {"time": 6},
        {"correction": 1},
        {"present": 7},
        {"bad": 1},
        {"values": (2.0, 1, True, "a")},
        {"values": (1.0, 2, True, "a")},
        {"values": (1.0, 1, False, "a")},
        {"values": (1.0, 1, True, "b")},
        {"columns": [ReadingColumn("p", "DOUBLE", "bar"), *COLUMNS[1:]]},
        {"columns": [ReadingColumn("q", "DOUBLE", "kPa"), *COLUMNS[1:]]},
    ],
)
def test_readings_that_differ_in_anything_are_told_apart(change):
    assert prints(**change) != prints()


def test_equal_readings_are_equal_whatever_lies_under_what_is_missing_or_bad():
    assert prints() == prints(fingerprints=Fingerprints())
    assert prints(present=14, values=(None, 1, True, "a")) == prints(present=14, values=(7.0, 1, True, "a"))
    assert prints(bad=1, values=(None, 1, True, "a")) == prints(bad=1, values=(7.0, 1, True, "a"))
    assert prints(present=7, values=(1.0, 1, True, None)) == prints(present=7)


def test_the_order_of_a_contracts_columns_does_not_matter():
    assert prints(columns=COLUMNS[::-1], values=BASE["values"][::-1]) == prints()
