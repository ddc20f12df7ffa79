"""Which readings were seen: the same answers as an unbounded set would give, whatever is let go of and read again."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinwright.clock import HOUR
from twinwright.storage.layout import ReadingColumn
from twinwright.telemetry.duplicates import CLASH, DUPLICATE, NEW, SeenReadings, prints_of

quick = settings(max_examples=200, deadline=None, derandomize=True)
reading = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3))  # key, hour, content


class Disk:
    """What a store would have: all that was ever added, by hour."""

    def __init__(self):
        self.rows, self.whole, self.looked_up = [], 0, 0

    @property
    def hours(self):
        return Counter(row[4] for row in self.rows)

    def keep(self, keys, contents, paths, time, verdict):
        rows = zip(keys.tolist(), contents.tolist(), paths.tolist(), [1] * len(keys), (time // HOUR).tolist(), strict=True)
        self.rows += [row for row, said in zip(rows, verdict, strict=True) if said != DUPLICATE]

    def of(self, keys):
        """`load` for a batch of these keys; where single keys are wanted, it has no others."""

        def load(hours, rows):
            wanted = None if rows is None else set(keys[rows].tolist())
            self.whole, self.looked_up = self.whole + (wanted is None), self.looked_up + (wanted is not None)
            found = [row for row in self.rows if row[4] in set(hours) and (wanted is None or row[0] in wanted)]
            if found:
                columns = zip(*found, strict=True)
                types = (np.uint64, np.uint64, np.uint64, np.int32, np.int32)
                yield tuple(np.array(column, dtype) for column, dtype in zip(columns, types, strict=True))

        return load


def nothing(hours, rows):
    return iter(())


def arrays(batch):
    """The key of a reading holds its time, so that two hours never share one; no content is 0."""
    keys = np.array([key * 1_000 + hour + 1 for key, hour, _ in batch], np.uint64)
    contents = np.array([content + 1 for _, _, content in batch], np.uint64)
    return keys, contents, np.ones(len(batch), np.uint64), np.array([hour * HOUR for _, hour, _ in batch], np.int64)


def expected_of(plain, keys, contents, latest_only):
    """What an unbounded set says; `plain` takes the readings in."""
    expected = []
    for key, content in zip(keys.tolist(), contents.tolist(), strict=True):
        known = plain.setdefault(key, [])
        duplicate = content == known[-1] if latest_only and known else content in known
        expected.append(DUPLICATE if duplicate else NEW if latest_only or not known else CLASH)
        if not duplicate:
            known.append(content)
    return expected


@pytest.mark.parametrize("latest_only", [False, True])
@pytest.mark.parametrize("max_places", [1, 64, 192, 4_096])
def test_a_bounded_memory_answers_as_an_unbounded_set_does(latest_only, max_places):
    @quick
    @given(st.lists(st.tuples(st.lists(reading, min_size=1, max_size=8), st.booleans()), max_size=8))
    def check(batches):
        disk = Disk()
        seen = SeenReadings({}, latest_only=latest_only, max_places=max_places)
        plain = {}
        arrived = 1
        for batch, rolled_back in batches:
            keys, contents, paths, time = arrays(batch)
            if latest_only:  # in place of its paths, each reading's order of ingestion
                paths = np.arange(arrived, arrived + len(batch), dtype=np.uint64)
                arrived += len(batch)
            verdict = seen.add(keys, contents, paths, time, 1, disk.of(keys))
            trial = {key: list(known) for key, known in plain.items()}
            assert verdict.tolist() == expected_of(trial, keys, contents, latest_only)
            if rolled_back:
                seen = SeenReadings(disk.hours, latest_only=latest_only, max_places=max_places)
            else:
                plain = trial
                disk.keep(keys, contents, paths, time, verdict)

    check()


@pytest.mark.parametrize("max_places", [1, 64, 4_096])
def test_batches_that_become_visible_together_are_kept_until_then(max_places):
    @quick
    @given(st.lists(reading, max_size=8), st.lists(st.lists(reading, min_size=1, max_size=8), max_size=6))
    def check(stored, batches):
        disk, plain = Disk(), {}
        if stored:
            keys, contents, paths, time = arrays(stored)
            disk.keep(keys, contents, paths, time, expected_of(plain, keys, contents, False))
        seen = SeenReadings(disk.hours, keep=True, max_places=max_places)
        for batch in batches:
            keys, contents, paths, time = arrays(batch)
            verdict = seen.add(keys, contents, paths, time, 1, disk.of(keys))
            assert verdict.tolist() == expected_of(plain, keys, contents, False)

    check()


@quick
@given(st.lists(st.tuples(st.integers(1, 2), st.sampled_from([1, 3]), st.lists(reading, min_size=1, max_size=40)), max_size=8))
def test_readings_of_other_paths_or_revisions_clash_only_where_they_overlap(batches):
    """`content` says which paths a reading has, of up to three in a batch; an hour's table widens where they differ."""
    seen, plain = SeenReadings({}), {}
    for revision, kinds, batch in batches:
        keys, contents, _, time = arrays([(key, hour, content % kinds) for key, hour, content in batch])
        paths = np.array([0b001, 0b010, 0b110], np.uint64)[contents.astype(np.int64) - 1]
        expected = []
        for key, content, there in zip(keys.tolist(), contents.tolist(), paths.tolist(), strict=True):
            known = plain.setdefault(key, [])
            duplicate = any(content == other for other, _, _ in known)
            overlaps = any(revision == of and there & has for _, of, has in known)
            expected.append(DUPLICATE if duplicate else CLASH if overlaps else NEW)
            if not duplicate:
                known.append((content, revision, there))
        assert seen.add(keys, contents, paths, time, revision, nothing).tolist() == expected


def test_by_order_of_ingestion_an_older_reading_does_not_become_the_newest():
    seen = SeenReadings({}, latest_only=True)

    def add(content, order):
        key, contents, _, time = arrays([(1, 1, content)])
        return seen.add(key, contents, np.array([order], np.uint64), time, 1, nothing).tolist()

    assert add(2, order=20) == [NEW]
    assert add(1, order=10) == [NEW]  # a letter that is retried: accepted, and not the newest
    assert add(2, order=30) == [DUPLICATE]
    assert add(1, order=40) == [NEW]


def test_memory_stays_bounded_while_hours_come_and_go():
    disk = Disk()
    seen = SeenReadings({}, max_places=4_096)
    highest = 0
    for hour in range(60):
        keys, contents, paths, time = arrays([(key, hour, 0) for key in range(100)])
        verdict = seen.add(keys, contents, paths, time, 1, disk.of(keys))
        assert (verdict == NEW).all()
        disk.keep(keys, contents, paths, time, verdict)
        highest = max(highest, seen.places)
    assert 2_048 < highest <= 4_096
    assert disk.whole == disk.looked_up == 0
    keys, contents, paths, time = arrays([(key, 0, 0) for key in range(100)])
    assert (seen.add(keys, contents, paths, time, 1, disk.of(keys)) == DUPLICATE).all()
    assert (disk.whole, disk.looked_up) == (1, 0)


def test_a_little_that_comes_late_for_a_busy_hour_is_looked_up_and_much_reads_it_whole():
    disk = Disk()
    batch = arrays([(key, 0, 0) for key in range(40_000)])
    disk.keep(*batch, np.full(40_000, NEW))
    seen = SeenReadings(disk.hours)
    looked_up = 0
    for first in range(0, 20_000, 1_000):
        late = arrays([(key, 0, key % 2) for key in range(first, first + 1_000)])
        assert seen.add(*late, 1, disk.of(late[0])).tolist() == [DUPLICATE, CLASH] * 500
        disk.keep(*late, np.tile([DUPLICATE, CLASH], 500))
        looked_up += disk.whole == 0
    assert 8 <= looked_up <= 12  # a quarter of the hour has been asked for
    assert (disk.whole, disk.looked_up) == (1, looked_up)


def test_another_revision_that_says_otherwise_is_no_clash():
    seen = SeenReadings({})
    one = arrays([(1, 1, 1)])
    other = arrays([(1, 1, 2)])
    assert seen.add(*one, 1, nothing).tolist() == [NEW]
    assert seen.add(*other, 2, nothing).tolist() == [NEW]
    assert seen.add(*arrays([(1, 1, 3)]), 2, nothing).tolist() == [CLASH]


COLUMNS = [
    ReadingColumn("p", "DOUBLE", "kPa"),
    ReadingColumn("n", "BIGINT", None),
    ReadingColumn("on", "BOOLEAN", None),
    ReadingColumn("s", "VARCHAR", None),
]
BASE = {"twin": 1, "time": 5, "correction": 0, "present": 15, "bad": 0, "values": (1.0, 1, True, "a")}


def prints(columns=COLUMNS, **changes):
    r = {**BASE, **changes}
    types = {"DOUBLE": pa.float64(), "BIGINT": pa.int64(), "BOOLEAN": pa.bool_(), "VARCHAR": pa.string()}
    values = [pa.array([value], types[column.type]) for column, value in zip(columns, r["values"], strict=True)]
    masks = [np.array([[r[name]]], np.int64) for name in ("present", "bad")]
    twin, time, correction = np.array([r["twin"]], np.int32), np.array([r["time"]], np.int64), np.array([r["correction"]], np.int64)
    made = prints_of(columns, twin, time, correction, *masks, values)
    return int(made.key[0]), int(made.content[0])


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
    assert prints(present=14, values=(None, 1, True, "a")) == prints(present=14, values=(7.0, 1, True, "a"))
    assert prints(bad=1, values=(None, 1, True, "a")) == prints(bad=1, values=(7.0, 1, True, "a"))
    assert prints(present=7, values=(1.0, 1, True, None)) == prints(present=7)


def test_a_reading_has_the_same_prints_in_any_company():
    """Batches in which every value is there are hashed in another way."""
    rows = [BASE, {**BASE, "present": 7}, {**BASE, "bad": 2}, {**BASE, "twin": 3, "values": (-2.5, 4, False, "b")}]
    values = [pa.array(column) for column in zip(*(row["values"] for row in rows), strict=True)]
    masks = [np.array([[row[name] for row in rows]], np.int64) for name in ("present", "bad")]
    twin = np.array([row["twin"] for row in rows], np.int32)
    made = prints_of(COLUMNS, twin, np.full(4, 5), np.zeros(4, np.int64), *masks, values)
    assert list(zip(made.key.tolist(), made.content.tolist(), strict=True)) == [prints(**row) for row in rows]


def test_the_order_of_a_contracts_columns_does_not_matter():
    assert prints(columns=COLUMNS[::-1], values=BASE["values"][::-1]) == prints()
