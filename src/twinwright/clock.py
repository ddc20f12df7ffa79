"""The clock seam: all times are integer microseconds since 1970-01-01T00:00:00Z, and come from here or from data."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from twinwright.errors import UsageError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEGIN = EPOCH.replace(tzinfo=None)
SECOND = 1_000_000
HOUR = 3_600 * SECOND
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_DURATION = re.compile(
    r"^P(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?$"
)
_DURATION_UNITS = (604_800, 86_400, 3_600, 60, 1)


class Clock(Protocol):
    """What time it is, twice: of the world (may be stepped) and monotonic (may not). Both in microseconds.

    Monotonic times of two processes can be compared where `boot` is the same, and not empty.
    """

    def now(self) -> int: ...

    def monotonic(self) -> int: ...

    def boot(self) -> str: ...


class SystemClock:
    """The machine's clocks. Where there is a monotonic one that goes on while the machine sleeps, it is that one: waking is no step."""

    _MONOTONIC = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def now(self) -> int:
        return time.time_ns() // 1_000

    def monotonic(self) -> int:
        return time.clock_gettime_ns(self._MONOTONIC) // 1_000

    def boot(self) -> str:
        """Which run of the machine this is; empty where it does not say."""
        try:
            return _BOOT_ID.read_text(encoding="ascii").strip()
        except OSError:
            return ""


class ManualClock:
    """A clock that a test or a replay moves by hand."""

    def __init__(self, now: int = 0) -> None:
        self._now = now
        self._monotonic = 0
        self._boot = "0"

    def now(self) -> int:
        return self._now

    def monotonic(self) -> int:
        return self._monotonic

    def boot(self) -> str:
        return self._boot

    def advance(self, microseconds: int) -> None:
        """Let time pass, for both clocks."""
        self._now += microseconds
        self._monotonic += microseconds

    def step(self, microseconds: int) -> None:
        """Step the clock of the world only, as an operator or NTP may."""
        self._now += microseconds

    def reboot(self) -> None:
        """Start the monotonic clock afresh, as the machine does."""
        self._monotonic, self._boot = 0, str(int(self._boot) + 1)


class PacedClock:
    """A clock whose world begins at a time of its own and passes `speed` times as fast as another's: what replays history at a pace."""

    def __init__(self, clock: Clock, begin: int, speed: float) -> None:
        self._clock, self._begin, self._speed = clock, begin, speed
        self._began = clock.monotonic()

    def now(self) -> int:
        return self._begin + round((self._clock.monotonic() - self._began) * self._speed)

    def monotonic(self) -> int:
        return self._clock.monotonic()

    def boot(self) -> str:
        return self._clock.boot()


def to_iso(micros: int) -> str:
    """ISO 8601 in UTC with `Z`; microseconds only where there are any."""
    moment = _BEGIN + timedelta(microseconds=int(micros))
    return moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds") + "Z"


def from_iso(text: str, *, where: str | None = None) -> int:
    """Microseconds of an ISO 8601 time with an offset or `Z`. Raises UsageError for naive or unreadable times."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"'{text}' is not an ISO 8601 time", where=where, remedy="Write it as 2026-03-01T08:00:00Z") from None
    if moment.tzinfo is None:
        raise UsageError(f"'{text}' has no zone", where=where, remedy="Append Z, or an offset such as +01:00")
    return from_datetime(moment)


def time_of(text: str | None, where: str) -> int | None:
    """`from_iso` of a time that may be left out."""
    return None if text is None else from_iso(text, where=where)


def span_of(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """`time_of` of where a span begins (included) and ends (not included). Raises UsageError where it would end before it begins."""
    first, last = time_of(start, "from"), time_of(end, "to")
    if first is not None and last is not None and last < first:
        raise UsageError(f"{start} is after {end}", where="from", remedy="Give the earlier time as `from` and the later one as `to`")
    return first, last


def from_datetime(moment: datetime) -> int:
    """Exact microseconds of an aware datetime."""
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


def parse_duration(text: str, *, where: str | None = None) -> int:
    """Microseconds of an ISO 8601 duration of weeks, days, hours, minutes and seconds (`PT10M`). Raises UsageError."""
    match = _DURATION.match(text)
    if not match or not any(match.groups()):
        raise UsageError(f"'{text}' is not an ISO 8601 duration", where=where, remedy="Write it as PT30S, PT10M, PT1H or P30D")
    return round(sum(float(part) * unit * SECOND for part, unit in zip(match.groups(), _DURATION_UNITS, strict=True) if part))


def format_duration(micros: int) -> str:
    """The ISO 8601 duration of a number of microseconds, in its shortest usual form."""
    seconds, rest = divmod(int(micros), SECOND)
    days, seconds = divmod(seconds, 86_400)
    hours, seconds = divmod(seconds, 3_600)
    minutes, seconds = divmod(seconds, 60)
    second_text = f"{seconds + rest / SECOND:.6f}".rstrip("0").rstrip(".") if rest else str(seconds)
    clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "") + (f"{second_text}S" if seconds or rest else "")
    date = f"{days}D" if days else ""
    return f"P{date}{'T' + clock if clock else ''}" if date or clock else "PT0S"
