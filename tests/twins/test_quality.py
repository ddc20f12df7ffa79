"""Marks against plain loops that follow the definitions, and the shapes that the filters are for."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinwright.twins import quality
from twinwright.twins.quality import BAD, GAP, RATE, SPIKE, STUCK, Criteria, Spike, counted, gravest, judge, spikes

plain = settings(derandomize=True, database=None, deadline=None, max_examples=200)
records = st.lists(st.tuples(st.integers(1, 50), st.sampled_from([0.0, 1.0, 1.5, 2.0, 90.0]), st.booleans()), max_size=30)
criteria = st.builds(
    Criteria,
    rate=st.none() | st.tuples(st.floats(0.1, 50), st.integers(1, 20)),
    stuck=st.none() | st.integers(1, 200),
    spike=st.none() | st.builds(Spike, st.sampled_from([3, 5, 7]), st.sampled_from([0.5, 3.0]), st.sampled_from([0.0, 0.6])),
    gap=st.none() | st.integers(1, 60),
    sequence=st.none() | st.sampled_from([0, 3, 91]),
)


def series(steps):
    times = np.cumsum([step for step, _, _ in steps], dtype=np.int64)
    return times, np.array([value for _, value, _ in steps], float), np.array([good for _, _, good in steps], bool)


def by_the_definitions(times, values, good, criteria):
    """One record at a time, as the docstring has it."""
    marks = []
    kept = [at for at in range(len(times)) if good[at]]
    for at in range(len(times)):
        bits = 0 if good[at] else BAD
        if criteria.gap is not None and at and times[at] - times[at - 1] > criteria.gap:
            bits |= GAP
        if good[at]:
            place = kept.index(at)
            before = kept[place - 1] if place else None
            if criteria.rate and before is not None:
                change = abs(values[at] - values[before]) / (times[at] - times[before]) * criteria.rate[1]
                bits |= RATE * (change > criteria.rate[0])
            if criteria.stuck is not None:
                begun = place
                while begun and values[kept[begun - 1]] == values[at]:
                    begun -= 1
                bits |= STUCK * (times[at] - times[kept[begun]] >= criteria.stuck)
            if criteria.sequence is not None and before is not None:
                follows = {int(values[before]), int(values[before]) + 1}  # the same again is no gap
                if criteria.sequence:
                    follows = {number % criteria.sequence for number in follows}
                number = int(values[at]) % criteria.sequence if criteria.sequence else int(values[at])
                bits |= GAP * (number not in follows)
            if criteria.spike is not None:
                reach = criteria.spike.reach
                window = [values[one] for one in kept[max(0, place - reach) : place + reach + 1]]
                middle = statistics.median(window)
                scale = 1.4826 * statistics.median(abs(value - middle) for value in window)
                bits |= SPIKE * (abs(values[at] - middle) > max(criteria.spike.threshold * scale, criteria.spike.least))
        marks.append(bits)
    return marks


@plain
@given(records, criteria)
def test_marks_are_what_the_definitions_say(steps, against):
    times, values, good = series(steps)
    assert judge(times, values, good, against).tolist() == by_the_definitions(times, values, good, against)


@plain
@given(records, criteria, st.integers(0, 30), st.integers(0, 30))
def test_enough_neighbours_around_a_window_give_the_marks_of_the_whole(steps, against, first, last):
    times, values, good = series(steps)
    whole = judge(times, values, good, against)
    first, last = min(first, len(times)), min(max(first, last), len(times))
    begin, end = first, last
    held = times[min(first, len(times) - 1)] - (against.stuck or 0) if len(times) else 0
    while begin and not (
        begin < first
        and good[begin:first].sum() >= against.good_before
        and (against.stuck is None or any(good[begin:first] & (times[begin:first] <= held)))
    ):
        begin -= 1
    while end < len(times) and good[last:end].sum() < against.good_after:
        end += 1
    part = judge(times[begin:end], values[begin:end], good[begin:end], against)
    assert part[first - begin : last - begin].tolist() == whole[first:last].tolist()


def test_a_spike_is_found_in_noise_and_a_step_is_none():
    rng = np.random.default_rng(1)
    values = 20 + rng.normal(0, 0.1, 500)
    values[100], values[300] = 25.0, 15.0
    values[400:] += 10.0  # a step of the process
    found = np.flatnonzero(spikes(values, Spike(11, 5.0)))
    assert {100, 300} <= set(found.tolist())
    assert not set(range(399, 402)) & set(found.tolist())


def test_where_all_is_equal_only_what_is_beyond_the_resolution_is_a_spike():
    values = np.array([5.0, 5.0, 5.0, 5.1, 5.0, 5.0, 90.0, 5.0, 5.0, 5.0])
    assert np.flatnonzero(spikes(values, Spike(7, 3.0))).tolist() == [3, 6]
    assert np.flatnonzero(spikes(values, Spike(7, 3.0, least=0.2))).tolist() == [6]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 6, 7, 8])
def test_short_series_are_judged_by_what_there_is(count):
    values = np.arange(count, dtype=float)
    assert not spikes(values, Spike(7, 3.0)).any()
    assert len(judge(np.arange(count), values, np.ones(count, bool), Criteria(rate=(9.0, 1), stuck=1, gap=5))) == count


def test_long_series_are_judged_in_parts_that_make_no_difference(monkeypatch):
    values = np.random.default_rng(2).normal(size=1_000)
    whole = spikes(values, Spike(9, 2.0))
    monkeypatch.setattr(quality, "_CHUNK", 7)
    assert spikes(values, Spike(9, 2.0)).tolist() == whole.tolist()


def test_whole_numbers_beyond_a_floats_precision_are_told_apart():
    large = np.array([2**60, 2**60 + 1, 2**60 + 1], np.int64)
    found = judge(np.array([0, 10, 20]), large.astype(float), np.ones(3, bool), Criteria(stuck=10), large)
    assert found.tolist() == [0, 0, STUCK]


def test_a_record_shows_its_gravest_mark_and_counts_under_each():
    bits = np.array([0, GAP | RATE, SPIKE | STUCK, BAD | GAP, RATE], np.uint8)
    assert gravest(bits) == ["good", "rate", "spike", "bad", "rate"]
    assert counted(bits) == {"gap": 2, "stuck": 1, "rate": 2, "spike": 1, "bad": 1}
