"""Which readings were seen: the same answers as an unbounded set would give, whatever is let go of and read again."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from twinwright.clock import HOUR, SECOND
from twinwright.storage.layout import ReadingColumn
from twinwright.telemetry import seen_table
from twinwright.telemetry.duplicates import SeenReadings
from twinwright.telemetry.prints import dated, prints_of
from twinwright.telemetry.seen_table import CLASH, DUPLICATE, NEW, SeenTable

quick = settings(max_examples=200, deadline=None, derandomize=True)
bounded = settings(quick, max_examples=60, report_multiple_bugs=False, phases=(Phase.explicit, Phase.generate))
THEN = ["kept", "kept", "kept", "rolled back", "restart", "heard"]
reading = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3))  # key, hour, content
TINY = [1, 512, 2_048]  # bytes


@pytest.fixture
def small_tables(monkeypatch):
    """A few readings are too many for a table of so few bytes."""
    monkeypatch.setattr(seen_table, "_SMALLEST", 2)


class Disk:
    """What a store would have: all that was ever added, by hour."""

    def __init__(self):
        self.rows, self.whole, self.looked_up = [], 0, 0

    @property
    def hours(self):
        return Counter(row[4] // HOUR for row in self.rows)

    @property
    def newest(self):
        return max((row[4] for row in self.rows), default=None)

    def keep(self, keys, contents, paths, time, verdict):
        rows = zip(keys.tolist(), contents.tolist(), paths.tolist(), [1] * len(keys), time.tolist(), strict=True)
        self.rows += [row for row, said in zip(rows, verdict, strict=True) if said != DUPLICATE]

    def of(self, keys):
        """`load` for a batch of these keys; where single keys are wanted, it has no others."""

        def load(hours, rows):
            wanted = None if rows is None else set(keys[rows].tolist())
            self.whole, self.looked_up = self.whole + (wanted is None), self.looked_up + (wanted is not None)
            found = [row for row in self.rows if (row[4] // HOUR in hours if wanted is None else row[0] in wanted)]
            if found:
                columns = zip(*found, strict=True)
                types = (np.uint64, np.uint64, np.uint64, np.int32, np.int64)
                yield tuple(np.array(column, dtype) for column, dtype in zip(columns, types, strict=True))

        return load


def nothing(hours, rows):
    return iter(())


def arrays(batch):
    """The key of a reading holds its time (in hours), so that two hours never share one."""
    keys = np.array([key * 10_000 + round(60 * hour) + 1_000 for key, hour, _ in batch], np.uint64)
    time = np.array([round(hour * HOUR) for _, hour, _ in batch], np.int64)
    contents = np.array([content << 16 for _, _, content in batch], np.uint64)
    dated(time, contents)
    return keys, contents, np.ones(len(batch), np.uint64), time


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
@pytest.mark.parametrize("max_bytes", TINY)
def test_a_bounded_memory_answers_as_an_unbounded_set_does(latest_only, max_bytes, small_tables):
    check_bounded(latest_only, max_bytes)


def check_bounded(latest_only, max_bytes):
    """In any order, split and repeated in any way, after a restart or heard of by another."""
    steps = st.lists(st.tuples(st.integers(1, 24), st.sampled_from(THEN)), min_size=3, max_size=8)

    @bounded
    @given(steps, st.randoms(use_true_random=False))
    def check(steps, rng):
        disk = Disk()
        seen = SeenReadings({}, latest_only=latest_only, max_bytes=max_bytes)
        plain = {}
        arrived = 1
        for size, then in steps:
            batch = [(rng.randrange(4), rng.randrange(-6, 12) / 6, rng.randrange(3)) for _ in range(size)]
            keys, contents, paths, time = arrays(batch)
            if latest_only:  # in place of its paths, each reading's order of ingestion
                paths = np.arange(arrived, arrived + len(batch), dtype=np.uint64)
                arrived += len(batch)
            trial = {key: list(known) for key, known in plain.items()}
            verdict = np.array(expected_of(trial, keys, contents, latest_only))
            new = np.flatnonzero(verdict != DUPLICATE)
            if then == "heard" and len(new):
                seen.hear((keys[new], contents[new], paths[new], np.ones(len(new), np.int32), time[new]))
            elif then != "heard":
                assert seen.add(keys, contents, paths, time, 1, disk.of(keys)).tolist() == verdict.tolist()
            assert seen.nbytes <= max_bytes
            if then != "rolled back":
                plain = trial
                disk.keep(keys, contents, paths, time, verdict)
            if then in ("rolled back", "restart"):
                seen = SeenReadings(disk.hours, newest=disk.newest, latest_only=latest_only, max_bytes=max_bytes)

    check()


@pytest.mark.parametrize("broken", ["forgotten", "parted_by_less", "nothing_as_new_as_the_newest"])
def test_a_search_that_forgets_part_of_an_hour_is_caught(broken, monkeypatch, small_tables):
    let_go, cut, part = SeenReadings._let_go, SeenReadings._cut_behind, SeenTable.part

    def forgotten(self, start):  # nobody looks for what was let go of
        let_go(self, start)
        self._stored.pop(start)

    def parted_by_less(self, start):  # where the newer part begins is said too early
        parts = part(self, start)
        return parts and (parts[0] - HOUR // 6, parts[1])

    made = {
        "forgotten": (SeenReadings, "_let_go", forgotten),
        "nothing_as_new_as_the_newest": (SeenReadings, "_cut_behind", lambda self, newest: cut(self, newest - 1)),
        "parted_by_less": (SeenTable, "part", parted_by_less),
    }
    monkeypatch.setattr(*made[broken])
    with pytest.raises(AssertionError):
        check_bounded(False, 512)


@pytest.mark.parametrize("max_bytes", TINY)
def test_batches_that_become_visible_together_are_kept_until_then(max_bytes, small_tables):
    @quick
    @given(st.lists(reading, max_size=8), st.lists(st.lists(reading, min_size=1, max_size=8), max_size=6))
    def check(stored, batches):
        disk, plain = Disk(), {}
        if stored:
            keys, contents, paths, time = arrays(stored)
            disk.keep(keys, contents, paths, time, expected_of(plain, keys, contents, False))
        seen = SeenReadings(disk.hours, keep=True, max_bytes=max_bytes)
        for batch in batches:
            keys, contents, paths, time = arrays(batch)
            verdict = seen.add(keys, contents, paths, time, 1, disk.of(keys))
            assert verdict.tolist() == expected_of(plain, keys, contents, False)

    check()


@quick
@given(st.lists(st.tuples(st.integers(1, 2), st.sampled_from([1, 3]), st.lists(reading, min_size=1, max_size=40)), max_size=8))
def test_readings_of_other_paths_or_revisions_clash_only_where_they_overlap(batches):
    """`content` says which paths a reading has, of up to three in a batch; a table widens where they differ."""
    seen, plain = SeenReadings({}), {}
    for revision, kinds, batch in batches:
        keys, contents, _, time = arrays([(key, hour, content % kinds) for key, hour, content in batch])
        paths = np.array([0b001, 0b010, 0b110], np.uint64)[(contents >> 16).astype(np.int64)]
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
    seen = SeenReadings({}, max_bytes=1 << 16)
    highest = 0
    for hour in range(60):
        keys, contents, paths, time = arrays([(key, hour, 0) for key in range(100)])
        verdict = seen.add(keys, contents, paths, time, 1, disk.of(keys))
        assert (verdict == NEW).all()
        disk.keep(keys, contents, paths, time, verdict)
        highest = max(highest, seen.nbytes)
    assert 1 << 15 < highest <= 1 << 16
    assert disk.whole == disk.looked_up == 0
    keys, contents, paths, time = arrays([(key, 0, 0) for key in range(100)])
    assert (seen.add(keys, contents, paths, time, 1, disk.of(keys)) == DUPLICATE).all()
    assert (disk.whole, disk.looked_up) == (1, 0)


def sent_into_one_hour(seconds, count=50_000, batch=2_000):
    """(highest memory, lookups) of an hour of `count` readings, which are at these seconds of it; each batch sends the last again."""
    keys, contents = np.arange(1, count + 1, dtype=np.uint64), np.zeros(count, np.uint64)
    time = np.asarray(seconds * SECOND, np.int64)
    dated(time, contents)
    paths, visible = np.ones(count, np.uint64), 0
    lookups = []

    def load(hours, rows):
        assert hours is None  # never the hour as a whole: it does not fit
        wanted = keys[start : start + batch][rows]
        lookups.append(len(wanted))
        found = (wanted[wanted <= visible] - 1).astype(np.int64)
        yield keys[found], contents[found], paths[found], np.ones(len(found), np.int32), time[found]

    seen, highest = SeenReadings({}, max_bytes=1 << 18), 0
    for start in range(0, count - batch // 2, batch // 2):
        those = slice(start, start + batch)
        verdict = seen.add(keys[those], contents[those], paths[those], time[those], 1, load)
        expected = np.where(keys[those] <= visible, DUPLICATE, NEW)
        assert (verdict == expected).all()
        visible = start + batch
        highest = max(highest, seen.nbytes)
    return highest, sum(lookups)


IN_ORDER = np.linspace(0, 3_599, 50_000)
A_CLOCK_AHEAD = np.where(np.arange(50_000) % 100, IN_ORDER, np.minimum(IN_ORDER + 600, 3_599))
AT_ONE_INSTANT = np.where(IN_ORDER < 600, IN_ORDER, np.where(IN_ORDER < 2_400, 600, IN_ORDER))
IN_NO_ORDER = np.random.default_rng(7).permutation(IN_ORDER)


@pytest.mark.parametrize(
    ("seconds", "most"),
    [(IN_ORDER, 0), (A_CLOCK_AHEAD, 0.02), (AT_ONE_INSTANT, 1.0), (IN_NO_ORDER, 2.0)],
    ids=["order", "clock", "instant", "none"],
)
def test_memory_stays_bounded_whatever_one_hour_receives(seconds, most):
    """And as long as it comes nearly in order of time, hardly anything is looked up."""
    highest, looked_up = sent_into_one_hour(seconds)
    assert 1 << 17 < highest <= 1 << 18
    assert looked_up <= most * len(seconds)


def test_after_a_restart_what_is_newer_than_all_there_is_needs_no_look_at_the_store():
    disk = Disk()
    disk.keep(*arrays([(key, key / 3_600, 0) for key in range(1_800)]), np.full(1_800, NEW))
    seen = SeenReadings(disk.hours, newest=disk.newest, max_bytes=1 << 14)
    newer = arrays([(key, key / 3_600, 0) for key in range(1_800, 1_900)])
    assert (seen.add(*newer, 1, disk.of(newer[0])) == NEW).all()
    assert (disk.whole, disk.looked_up) == (0, 0)
    again = arrays([(key, key / 3_600, 0) for key in range(1_790, 1_900)])
    assert (seen.add(*again, 1, disk.of(again[0]))[:10] == DUPLICATE).all()
    assert (disk.whole, disk.looked_up) == (0, 1)


def test_an_hour_that_another_began_is_known_by_what_is_heard_of_it():
    batch = [(key, hour, 0) for key in range(3_000) for hour in (0, 1)]
    keys, contents, paths, time = arrays(batch)
    disk, seen = Disk(), SeenReadings({})
    for part in (slice(0, 2_000), slice(2_000, None)):
        heard = keys[part], contents[part], paths[part], np.ones(len(keys[part]), np.int32), time[part]
        seen.hear(heard)
        disk.keep(*heard[:3], heard[4], [NEW] * len(heard[0]))
    assert set(seen.add(keys, contents, paths, time, 1, disk.of(keys)).tolist()) == {DUPLICATE}
    assert (disk.whole, disk.looked_up) == (0, 0)


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


def test_keys_of_hours_far_apart_are_looked_up_by_themselves():
    disk = Disk()
    batch = arrays([(key, hour, 0) for hour in (0, 1, 24, 400) for key in range(2_500)])
    disk.keep(*batch, np.full(10_000, NEW))
    seen = SeenReadings(disk.hours)
    late = arrays([(7, hour, 0) for hour in (400, 1, 24, 0)])
    assert (seen.add(*late, 1, disk.of(late[0])) == DUPLICATE).all()
    assert (disk.whole, disk.looked_up) == (0, 3)


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
