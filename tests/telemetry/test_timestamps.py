"""Event times: the compiled reader and the standard library speak the same language; zones, gaps, folds, patterns."""

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twinwright.clock import EPOCH, from_datetime, to_iso
from twinwright.telemetry.timestamps import knows_zone, parse_iso, parse_pattern, pattern_problem

quick = settings(max_examples=400, deadline=None, derandomize=True)
moments = st.datetimes(timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-11))]))
pieces = st.lists(
    st.sampled_from(
        ["2026", "-", "03", "29", "T", " ", "02", ":", "30", "00", ".", "123", "456", "Z", "+", "24", "60", "W10", "1", "z", ","]
    ),
    max_size=14,
).map("".join)


@st.composite
def written(draw):
    """A time in one of the usual forms, perhaps with a character changed."""
    text = draw(moments).isoformat(
        sep=draw(st.sampled_from("T ")), timespec=draw(st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]))
    )
    text = text.replace("+00:00", "Z") if draw(st.booleans()) else text
    if draw(st.booleans()):
        at = draw(st.integers(0, len(text) - 1))
        text = text[:at] + draw(st.sampled_from("0123456789:-+TZ. tz/é")) + text[at + draw(st.integers(0, 1)) :]
    return text


def one(text, zone=None):
    micros, good = parse_iso(pa.array([text], pa.string()), zone)
    return int(micros[0]) if good[0] else None


def plain(text):
    """What the standard library says: microseconds, or None for what is no time or carries no zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else (moment - EPOCH) // timedelta(microseconds=1)


@quick
@given(st.lists(written() | pieces, min_size=1, max_size=5))
@example(["0001-01-01T00:00:00+23:59"])
@example(["9999-12-31T23:59:59.999999-23:59"])
@example(["2026-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2000-02-29T00:00:00Z"])
@example(["2026-03-01T23:59:60Z", "2026-03-01T24:00:00Z", "2026-00-01T00:00:00Z", "2026-03-01T00:00:00.1Z"])
@example(["2026-03-01T00:00:00.123456789Z", "2026-03-01T00:00:00+24:00", "2026-03-01T00:00:00+05:30:15"])
def test_a_time_is_what_the_standard_library_says_or_refused(texts):
    micros, good = parse_iso(pa.array(texts, pa.string()), None)
    for text, value, is_good in zip(texts, micros, good, strict=True):
        if is_good:
            assert int(value) == plain(text)
        assert one(text) == (int(value) if is_good else None)  # whatever stands beside it


@quick
@given(st.datetimes(timezones=st.just(UTC)))
def test_every_time_that_the_platform_writes_is_read_back(moment):
    micros = from_datetime(moment)
    assert one(to_iso(micros)) == micros
    assert one(moment.isoformat()) == micros


@pytest.mark.parametrize("text", ["2026-03-01T08:00:00", "2026-03-01 08:00:00.250", "2026-03-01", "20260301T080000"])
def test_a_naive_time_needs_a_zone(text):
    assert one(text) is None
    assert one(text, "UTC") == plain(datetime.fromisoformat(text).replace(tzinfo=UTC).isoformat())


def test_a_zone_moves_naive_times_only():
    assert one("2026-03-01T08:00:00", "Europe/Berlin") == one("2026-03-01T07:00:00Z")
    assert one("2026-03-01T08:00:00Z", "Europe/Berlin") == one("2026-03-01T08:00:00Z")
    assert one("2026-07-01T08:00:00", "Europe/Berlin") == one("2026-07-01T06:00:00Z")


def test_a_local_time_that_a_clock_skips_is_no_time():
    assert one("2026-03-29T02:30:00", "Europe/Berlin") is None
    assert one("2026-03-29T03:00:00", "Europe/Berlin") == one("2026-03-29T01:00:00Z")


def test_of_a_local_time_that_comes_twice_the_first_is_meant():
    assert one("2026-10-25T02:30:00", "Europe/Berlin") == one("2026-10-25T00:30:00Z")


def test_missing_times_are_not_good_and_do_not_disturb_others():
    texts = pa.array([None, "2026-03-01T08:00:00Z", None, "2026-03-01T08:00:00", ""], pa.string())
    micros, good = parse_iso(texts, "UTC")
    assert good.tolist() == [False, True, False, True, False]
    assert micros[1] == micros[3]
    assert parse_iso(pa.array([None, None], pa.string()), "UTC")[1].tolist() == [False, False]
    assert parse_iso(pa.array([], pa.string()), None)[1].tolist() == []


def test_a_slice_of_a_column_is_read_from_its_own_beginning():
    texts = pa.array(["junk", "2026-03-01T08:00:00Z", "2026-03-01T09:00:00Z"], pa.large_string())
    assert parse_iso(texts.slice(1), None)[0].tolist() == [one("2026-03-01T08:00:00Z"), one("2026-03-01T09:00:00Z")]


def test_patterns_read_what_they_say_and_nothing_else():
    texts = pl.Series(["01.03.2026 08:00", "31.02.2026 08:00", "01.03.2026 08:00 ", None, "x"])
    micros, good = parse_pattern(texts, "%d.%m.%Y %H:%M", "Europe/Berlin")
    assert good.tolist() == [True, False, False, False, False]
    assert micros[0] == one("2026-03-01T07:00:00Z")
    assert not parse_pattern(texts, "%d.%m.%Y %H:%M", None)[1].any()
    assert parse_pattern(texts, "%d.%m.%Y %H:%M", "UTC")[1].tolist() == good.tolist()


def test_a_pattern_with_an_offset_needs_no_zone():
    micros, good = parse_pattern(pl.Series(["2026-03-01 08:00 +0100"]), "%Y-%m-%d %H:%M %z", None)
    assert good.tolist() == [True]
    assert micros[0] == one("2026-03-01T07:00:00Z")


def test_patterns_skip_the_hour_that_a_clock_skips():
    micros, good = parse_pattern(pl.Series(["2026-03-29 02:30", "2026-10-25 02:30"]), "%Y-%m-%d %H:%M", "Europe/Berlin")
    assert good.tolist() == [False, True]
    assert micros[1] == one("2026-10-25T00:30:00Z")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%Y-%m-%d %H:%M:%S.%f", "2026-03-01 08:00:00.5"),
        ("%Y-%m-%d %H:%M:%S.%f", "2026-03-01 08:00:00.05"),
        ("%Y-%m-%d %H:%M:%S.%f", "2026-03-01 08:00:00.000001"),
        ("%Y-%m-%dT%H:%M:%S.%fZ", "2026-03-01T08:00:00.123Z"),
        ("%d.%m.%Y %H:%M", "01.03.2026 08:00"),
        ("%y%m%d%H%M%S", "260301080059"),
        ("%I:%M %p on %b %d, %Y", "08:15 PM on Mar 01, 2026"),
        ("%Y %j %H:%M", "2026 060 23:59"),
        ("%%f %Y-%m-%d", "%f 2026-03-01"),
    ],
)
def test_a_pattern_means_what_the_standard_library_says(pattern, text):
    micros, good = parse_pattern(pl.Series([text]), pattern, "UTC")
    assert good.tolist() == [True]
    assert micros[0] == from_datetime(datetime.strptime(text, pattern).replace(tzinfo=UTC))
    assert pattern_problem(pattern) is None


@quick
@given(st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31)), st.sampled_from(["%d/%m/%Y %H.%M.%S.%f", "%y-%m-%d %I:%M:%S.%f %p"]))
def test_every_fraction_of_a_second_is_read_with_a_pattern(moment, pattern):
    micros, good = parse_pattern(pl.Series([moment.strftime(pattern)]), pattern, "UTC")
    assert good.tolist() == [True]
    assert micros[0] == from_datetime(moment.replace(tzinfo=UTC))


@pytest.mark.parametrize("pattern", ["%Y-%m-%d %H:%M %z", "%Y-%m-%dT%H:%M:%S%:z", "%+"])
def test_an_offset_in_a_pattern_is_seen_however_it_is_written(pattern):
    text = pl.Series([datetime(2026, 3, 1, 8)], dtype=pl.Datetime("us")).dt.replace_time_zone("Asia/Tokyo").dt.strftime(pattern)
    micros, good = parse_pattern(text, pattern, "Europe/Berlin")
    assert (good.tolist(), micros.tolist()) == ([True], [one("2026-03-01T08:00:00+09:00")])
    assert pattern_problem(pattern) is None


@pytest.mark.parametrize(
    "pattern", ["%Q", "%", "%%%", "%-", "%3", "%E", "%H:%M", "%Y-%m", "%Y-%m-%d %Z", "%s", "%S,%f %F", "%F %R:%S%f", "%.%f %F"]
)
def test_a_pattern_that_reads_no_date_is_known_before_any_reading_comes(pattern):
    assert pattern_problem(pattern)


def test_zones_of_the_standard_library_alone_are_not_known():
    assert knows_zone("Europe/Berlin")
    assert not knows_zone("localtime")
    assert not knows_zone("posix/Europe/Berlin")
