"""Roll-ups add up: windows made of them are those of the values, whatever the order, the split and the unit."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinwright.errors import RefusedError
from twinwright.storage.expiry import ROLLUP_SCHEMA
from twinwright.storage.protocol import BAD, GOOD, RECORD_SCHEMA, REMOVED
from twinwright.twins import rollups

MINUTE, HOUR = 60_000_000, 3_600_000_000
AGGREGATES = ("mean", "min", "max", "sum", "count", "first", "last")
said = st.lists(
    st.tuples(st.integers(-3, 6 * 60), st.sampled_from([BAD, GOOD, GOOD, REMOVED]), st.floats(-1e6, 1e6), st.sampled_from(["a", "b"])),
    max_size=30,
    unique_by=lambda one: (one[0], one[3]),
)


def records(given, type_="DOUBLE"):
    """From (minutes, kind, value, source)."""
    fixed = {
        "twin": 1,
        "path": "p",
        "correction": 0,
        "revision": 1,
        "commit": 1,
        "type": type_,
        "unit": "kPa" if type_ == "DOUBLE" else None,
    }
    rows = [
        {**fixed, "time": at * MINUTE, "kind": kind, "source": source, "num": value if kind == GOOD and type_ == "DOUBLE" else None}
        for at, kind, value, source in given
    ]
    return pa.Table.from_pylist([{**dict.fromkeys(RECORD_SCHEMA.names), **row} for row in rows], schema=RECORD_SCHEMA)


def plain(given, every, agg):
    """By the words: windows of the good values in the order of time, source by source where they speak of one time."""
    found = {}
    for at, kind, value, _ in sorted(given, key=lambda one: (one[0], one[3])):
        if kind != REMOVED:
            found.setdefault(at * MINUTE // every * every, []).extend([value] if kind == GOOD else [])
    of = {
        "mean": lambda v: sum(v) / len(v),
        "min": min,
        "max": max,
        "sum": sum,
        "count": len,
        "first": lambda v: v[0],
        "last": lambda v: v[-1],
    }
    return {window: (of[agg](values) if values or agg in ("count", "sum") else None) for window, values in found.items()}


@settings(max_examples=60, deadline=None)
@given(said, st.sampled_from(AGGREGATES), st.sampled_from([MINUTE, HOUR]), st.integers(0, 6), st.randoms(use_true_random=False))
def test_windows_of_roll_ups_are_those_of_the_values(given_, agg, width, cut, random):
    if agg in ("first", "last"):  # where two speak of one time, either may be first
        given_ = [one for one in given_ if one[3] == "a"]
    shuffled = random.sample(given_, len(given_))
    old = [one for one in shuffled if one[0] < cut * 60]
    rolled = rollups.roll_up(records(old), width, "kPa", "p")
    young = [one for one in shuffled if one[0] >= cut * 60 and one[1] != REMOVED]
    good = np.array([kind == GOOD for _, kind, *_ in young], bool)
    values = np.array([value if kind == GOOD else np.nan for _, kind, value, _ in young], float)
    raw = rollups.of_values(np.array([at * MINUTE for at, *_ in young], np.int64), values, good)
    made = rollups.windows(pl.concat([rollups.of_rollups(rolled, "kPa"), raw]), HOUR, agg)
    wanted = plain(given_, HOUR, agg)
    found = dict(zip(made["window"].to_list(), made["value"].to_list(), strict=True))
    assert {window for window, value in found.items() if value is None} == {window for window, value in wanted.items() if value is None}
    close = pytest.approx({window: value for window, value in wanted.items() if value is not None}, rel=1e-9, abs=1e-6)
    assert {window: value for window, value in found.items() if value is not None} == close


def test_roll_ups_are_read_in_another_unit():
    rolled = rollups.roll_up(records([(0, GOOD, 1.0, "a"), (1, GOOD, 3.0, "a"), (2, BAD, 0.0, "a")]), HOUR, "kPa", "p")
    (row,) = rolled.to_pylist()
    assert (row["count"], row["bad"], row["sum"], row["min"], row["max"], row["first"], row["last"]) == (2, 1, 4.0, 1.0, 3.0, 1.0, 3.0)
    found = rollups.of_rollups(rolled, "Pa").to_dicts()[0]
    assert (found["sum"], found["min"], found["max"], found["first"], found["last"]) == (4000.0, 1000.0, 3000.0, 1000.0, 3000.0)


def test_units_with_a_zero_of_their_own_shift_each_value():
    rows = records([(0, GOOD, 10.0, "a"), (1, GOOD, 20.0, "a")])
    celsius = rows.set_column(rows.schema.get_field_index("unit"), RECORD_SCHEMA.field("unit"), pa.array(["degC"] * 2))
    found = rollups.of_rollups(rollups.roll_up(celsius, HOUR, "degC", "p"), "K").to_dicts()[0]
    assert (found["sum"], found["min"]) == pytest.approx((30 + 2 * 273.15, 283.15))


def test_of_texts_only_counts_are_kept():
    (row,) = rollups.roll_up(records([(0, GOOD, 1.0, "a"), (1, BAD, 1.0, "a")], "VARCHAR"), HOUR, None, "p").to_pylist()
    assert (row["count"], row["bad"], row["min"], row["unit"]) == (1, 1, None, None)


def stored(*given_):
    """From (width, time)."""
    rows = [{**dict.fromkeys(ROLLUP_SCHEMA.names), "width": width, "time": time, "count": 1} for width, time in given_]
    return pa.Table.from_pylist(rows, schema=ROLLUP_SCHEMA)


def test_the_narrowest_roll_ups_cover_what_they_can_and_wider_ones_the_rest():
    both = stored((MINUTE, HOUR), (MINUTE, HOUR + MINUTE), (HOUR, 0), (HOUR, HOUR))
    chosen = rollups.cover(both, None, None, 2 * HOUR, HOUR, "p")
    assert [(row["width"], row["time"]) for row in chosen.to_pylist()] == [(MINUTE, HOUR), (MINUTE, HOUR + MINUTE), (HOUR, 0)]
    with pytest.raises(RefusedError, match="only roll-ups of 3600 s"):
        rollups.cover(both, None, None, 2 * HOUR, MINUTE, "p")
    young = both.filter(pa.compute.field("time") >= HOUR)
    assert rollups.cover(young, HOUR, None, 2 * HOUR, MINUTE, "p").to_pylist() == young.slice(0, 2).to_pylist()
    late = stored((MINUTE, HOUR + 7 * MINUTE), (HOUR, 0), (HOUR, HOUR))  # nothing was said before the seventh minute
    assert [row["time"] for row in rollups.cover(late, None, None, 2 * HOUR, HOUR, "p").to_pylist()] == [HOUR + 7 * MINUTE, 0]
    for cut in ((MINUTE // 2, None), (None, HOUR + 1)):
        with pytest.raises(RefusedError, match="is cut by"):
            rollups.cover(both, *cut, 2 * HOUR, HOUR, "p")
