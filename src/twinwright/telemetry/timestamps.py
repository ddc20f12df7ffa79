"""ISO 8601 timestamps in columns: a compiled reader for the usual form, the standard library for the rest.

Both accept the same language (RFC 3339 with an optional zone, `T` or a space), so that what a column holds never depends on
its neighbours.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.clock import EPOCH, from_datetime
from twinwright.compiled import compiled
from twinwright.telemetry.words import load

_DAY = 86_400_000_000
_FIRST_MINUTE = 719_528 * 24 * 60  # from the year 0 to 1970
_AWARE, _NAIVE, _OTHER = 0, 1, 2
_DIRECTIVE = re.compile(r"\.%f|%[^A-Za-z%+]*[A-Za-z%+]")
_UNREADABLE = {
    "%f": "%f is read after a point only: %S.%f",
    "%Z": "%Z is a name of a zone that says no offset: write the zone as `zone`, or read an offset with %z",
    "%s": "%s has a name of its own: epoch_s",
}
_PROBE = datetime(2024, 11, 23, 17, 48, 56, 789_012)


def parse_iso(texts: pa.Array, zone: str | None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds UTC and whether each could be read. Naive times need `zone`; the first of two equal local times is meant."""
    texts = texts.cast(pa.large_string()) if texts.type != pa.large_string() else texts
    count = len(texts)
    micros = np.zeros(count, np.int64)
    status = np.full(count, _OTHER, np.uint8)
    _, offsets, data = texts.buffers()
    if data is not None:
        starts = np.frombuffer(offsets, np.int64, count + 1, texts.offset * 8)
        _read(np.frombuffer(data, np.uint8), starts, micros, status)
    missing = np.asarray(texts.is_null().to_numpy(zero_copy_only=False)) if texts.null_count else None
    known = status != _OTHER
    for index in np.flatnonzero(~known):
        if missing is None or not missing[index]:
            _read_slowly(texts[int(index)].as_py(), int(index), micros, status)
    good = status == _AWARE
    naive = status == _NAIVE
    if missing is not None:
        good &= ~missing
        naive &= ~missing
    if zone is not None and naive.any():
        _localise(micros, naive, good, zone)
    return micros, good


def parse_pattern(texts: pl.Series, pattern: str, zone: str | None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The same for a strptime pattern. A pattern with an offset (`%z`) carries its own zone.

    The fraction of `%S.%f` may have any number of digits, or be left out with its point; below a microsecond it is cut off.
    """
    parsed = texts.str.to_datetime(_compiled(pattern), time_unit="us", strict=False, exact=True)
    good = parsed.is_not_null().to_numpy().copy()
    micros = parsed.to_physical().fill_null(0).to_numpy().astype(np.int64)
    if parsed.dtype != pl.Datetime("us"):  # it has a zone: the offset was in the text
        return micros, good
    naive = good.copy()
    good[:] = False
    if zone is not None:
        _localise(micros, naive, good, zone)
    return micros, good


def pattern_problem(pattern: str) -> str | None:
    """Why no time can be read with a strptime pattern; None where a time that was written with it is read again."""
    for directive in _DIRECTIVE.findall(pattern):
        if directive in _UNREADABLE:
            return _UNREADABLE[directive]
    for zone in (None, "UTC"):
        probe = pl.Series([_PROBE], dtype=pl.Datetime("us")).dt.replace_time_zone(zone)
        try:
            text = probe.dt.strftime(_compiled(pattern))
            micros, good = parse_pattern(text, pattern, "UTC")
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            continue  # an offset can't be written without a zone, and nothing with what is no directive
        if good[0] and abs(int(micros[0]) - from_datetime(_PROBE.replace(tzinfo=UTC))) < _DAY:
            return None
    return "no whole date can be read with it"


def knows_zone(zone: str) -> bool:
    """Whether local times of an IANA zone can be converted in columns: their reader has a database of its own."""
    try:
        pl.Series([_PROBE], dtype=pl.Datetime("us")).dt.replace_time_zone(zone)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return False
    return True


def _compiled(pattern: str) -> str:
    """A strptime pattern in the language of chrono, in which `%f` counts nanoseconds and `%.f` is the fraction with its point."""
    return _DIRECTIVE.sub(lambda found: "%.f" if found[0] == ".%f" else found[0], pattern)


def _localise(micros: NDArray[np.int64], naive: NDArray[np.bool_], good: NDArray[np.bool_], zone: str) -> None:
    if zone == "UTC":
        good |= naive
        return
    local = pl.Series(micros[naive]).cast(pl.Datetime("us"))
    aware = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    micros[naive] = aware.to_physical().fill_null(0).to_numpy()
    good[naive] = aware.is_not_null().to_numpy()


def _read_slowly(text: str, index: int, micros: NDArray[np.int64], status: NDArray[np.uint8]) -> None:
    if len(text) > 40 or len(text) < 10 or not text.isascii():
        return
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return
    if moment.tzinfo is None:
        micros[index] = from_datetime(moment.replace(tzinfo=EPOCH.tzinfo))
        status[index] = _NAIVE
        return
    try:
        micros[index] = from_datetime(moment)
        status[index] = _AWARE
    except OverflowError:  # an offset that leads out of the calendar
        return


@compiled
def _digits(data: Any, at: int, count: int) -> int:
    value = 0
    for i in range(count):
        digit = int(data[at + i]) - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@compiled
def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of the proleptic Gregorian calendar (H. Hinnant, days_from_civil)."""
    y = year - 1 if month <= 2 else year
    era = y // 400
    yoe = y - era * 400
    doy = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    doe = yoe * 365 + yoe // 4 - yoe // 100 + doy
    return era * 146097 + doe - 719468


@compiled
def _month_length(year: int, month: int) -> int:
    if month == 2:
        return 29 if (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)) else 28
    return 30 if month in (4, 6, 9, 11) else 31


@compiled
def _minute(data: Any, at: int) -> Any:
    """The minute that YYYY-MM-DD(T| )hh:mm is, counted from the year 0; -1 where it is none."""
    if data[at + 4] != 45 or data[at + 7] != 45 or (data[at + 10] != 84 and data[at + 10] != 32) or data[at + 13] != 58:
        return -1
    year, month, day = _digits(data, at, 4), _digits(data, at + 5, 2), _digits(data, at + 8, 2)
    hour, minute = _digits(data, at + 11, 2), _digits(data, at + 14, 2)
    if year < 1 or month < 1 or month > 12 or day < 1 or hour < 0 or hour > 23 or minute < 0 or minute > 59:
        return -1
    if day > _month_length(year, month):
        return -1
    return (_days(year, month, day) * 24 + hour) * 60 + minute + _FIRST_MINUTE


@compiled
def _read(data: Any, starts: Any, micros: Any, status: Any) -> None:
    """YYYY-MM-DD(T| )hh:mm:ss[.f{1,6}][Z|±hh:mm]; anything else keeps the status `other`. Mostly its minute is the last row's."""
    date, rest = np.uint64(0), np.uint64(0)
    of_minute = -1
    for row in range(len(micros)):
        at = starts[row]
        end = starts[row + 1]
        if end - at < 19 or data[at + 16] != 58:
            continue
        if of_minute < 0 or load(data, at) != date or load(data, at + 8) != rest:
            minute = _minute(data, at)
            if minute < 0:
                continue
            date, rest, of_minute = load(data, at), load(data, at + 8), minute
        second = _digits(data, at + 17, 2)
        if second < 0 or second > 59:
            continue
        value = (of_minute - _FIRST_MINUTE) * 60_000_000 + second * 1_000_000
        at += 19
        if at < end and data[at] == 46:
            at += 1
            scale = 100_000
            digits = 0
            while at < end and 48 <= data[at] <= 57 and digits < 6:
                value += (int(data[at]) - 48) * scale
                scale //= 10
                digits += 1
                at += 1
            if digits != 3 and digits != 6:
                continue
        if at == end:
            micros[row] = value
            status[row] = 1
        elif end - at == 1 and data[at] == 90:
            micros[row] = value
            status[row] = 0
        elif end - at == 6 and (data[at] == 43 or data[at] == 45) and data[at + 3] == 58:
            hours, minutes = _digits(data, at + 1, 2), _digits(data, at + 4, 2)
            if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
                continue
            offset = (hours * 60 + minutes) * 60_000_000
            micros[row] = value - offset if data[at] == 43 else value + offset
            status[row] = 0
