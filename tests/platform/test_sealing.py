"""When a running platform seals a day, when several together, and when it takes them apart again; and it stops when it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.plant import workspace

from twinwright.clock import HOUR, SECOND, ManualClock, from_iso, to_iso
from twinwright.governance.principals import SYSTEM
from twinwright.platform.local import LocalPlatform
from twinwright.platform.retention import expire_history
from twinwright.platform.sealing import QUIET, seal, split
from twinwright.platform.session import Session
from twinwright.storage.sealing import DAY, Sealed, together
from twinwright.telemetry.payloads import Payload

MINUTE = 60 * SECOND


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(from_iso("2026-03-01T23:30:00Z"))


@pytest.fixture
def platform(tmp_path: Path, clock: ManualClock) -> Iterator[LocalPlatform]:
    made = LocalPlatform(Session(workspace(tmp_path), clock))
    made.apply()
    yield made
    made.close()


def push(platform: LocalPlatform, *times: str) -> None:
    platform.push(
        "pump",
        [Payload(json.dumps({"id": "pump-1", "ts": f"2026-03-01T{time}:00Z", "p": 1 + at}).encode()) for at, time in enumerate(times)],
    )


def waiting(platform: LocalPlatform) -> list[tuple[int, int]]:
    tables = platform.session.store.reading_tables(SYSTEM)
    return [(one.fresh, one.sealed) for table in tables for one in platform.session.store.unsealed(SYSTEM, table)]


def test_a_day_is_sealed_when_it_is_over_and_quiet(platform: LocalPlatform, clock: ManualClock) -> None:
    never = threading.Event()
    times = [f"{hour:02d}:{minute:02d}" for hour in range(20) for minute in range(0, 60, 15)]
    push(platform, *times)
    before = platform.state(facts=True), platform.history("pump-1", "pressure")
    clock.advance(35 * MINUTE)
    assert seal(platform.session, never) == 0  # over, but not by the contract's lateness
    clock.advance(6 * MINUTE)
    push(platform, "22:10")
    assert seal(platform.session, never) == 0  # something came just now
    clock.advance(QUIET)
    assert seal(platform.session, never) == 81
    assert waiting(platform) == []
    push(platform, "22:11")
    clock.advance(QUIET)
    assert seal(platform.session, never) == 0  # too little for all of the day to be written again
    push(platform, *(f"22:{minute}" for minute in range(20, 30)))
    clock.advance(QUIET)
    assert waiting(platform) == [(11, 81)]
    assert seal(platform.session, never) == 92
    assert b"sealed_readings_total 173.0" in platform.metrics()
    after = platform.history("pump-1", "pressure")
    assert after["values"][:80] == before[1]["values"]
    assert platform.reconcile()["inconsistent"] == 0


def test_it_stops_when_it_is_told_to(platform: LocalPlatform, clock: ManualClock) -> None:
    stop = threading.Event()
    stop.set()
    push(platform, "01:00", "02:00")
    clock.advance(24 * 60 * MINUTE)
    seal(platform.session, stop)
    assert waiting(platform) == [(2, 0)]
    stop.clear()
    assert seal(platform.session, stop) == 2


def kept(platform: LocalPlatform) -> list[Sealed]:
    store = platform.session.store
    return [one for table in store.reading_tables(SYSTEM) for one in store.sealed(SYSTEM, table)]


def daily(platform: LocalPlatform, clock: ManualClock, first: int, count: int) -> None:
    """Two readings on each of some days (since the epoch)."""
    clock.advance((first + count) * DAY - clock.now())
    times = [to_iso(day * DAY + hour * HOUR) for day in range(first, first + count) for hour in (3, 9)]
    platform.push("pump", [Payload(json.dumps({"id": "pump-1", "ts": time, "p": 1 + at}).encode()) for at, time in enumerate(times)])


def test_days_of_few_readings_are_sealed_once_more_together(platform: LocalPlatform, clock: ManualClock) -> None:
    never, first = threading.Event(), 20_544  # a multiple of 32, in 2026
    daily(platform, clock, first, 31)
    wanted = platform.history("pump-1", "pressure")
    clock.advance(QUIET)
    assert seal(platform.session, never) == 62
    assert {one.days for one in kept(platform)} == {1}  # the block's last day is not over
    clock.advance(DAY)
    assert seal(platform.session, never) == 62
    assert kept(platform) == [Sealed(first, 32, 62, 1)]
    assert seal(platform.session, never) == 0
    assert platform.history("pump-1", "pressure") == wanted
    assert platform.reconcile()["inconsistent"] == 0


def test_days_are_alone_again_before_raw_values_of_the_first_go(platform: LocalPlatform, clock: ManualClock) -> None:
    never, first = threading.Event(), 20_544
    daily(platform, clock, first, 64)
    clock.advance(DAY)
    assert seal(platform.session, never) == 2 * 128
    assert [(one.day, one.days) for one in kept(platform)] == [(first, 32), (first + 32, 32)]
    toml = platform.session.workspace.folder / "twinwright.toml"
    toml.write_text(toml.read_text() + '[retention.history]\n"*" = {raw = "P60D"}\n')
    platform.apply()
    assert split(platform.session, never) == 64  # the day 65 began: five days are to go, all of the first block
    assert {one.days for one in kept(platform)} == {1, 32}
    assert expire_history(platform.session, never) == 10
    assert seal(platform.session, never) == 0  # they stay alone
    assert len(platform.history("pump-1", "pressure")["times"]) == 118


@pytest.mark.parametrize(
    ("readings", "days", "spans"),
    [
        ([(day, 1, 86_400, 1) for day in range(32)], 32, []),  # a day's run is long enough
        ([(day, 1, 5_000, 1) for day in range(3)], 32, [(0, 2)]),  # of two buddies one is not there
        ([(day, 1, 288 * 9, 9) for day in range(34)], 32, [(0, 32), (32, 32)]),
        ([(day, 1, 288 * 9, 9) for day in range(34)], 1, []),
        ([(0, 4, 400, 1), (4, 2, 200, 1), (6, 1, 100, 1)], 8, [(0, 8)]),
        ([(-2, 1, 1, 1), (-1, 1, 1, 1), (0, 1, 1, 1)], 2, [(-2, 2)]),
        ([(0, 1, 100, 0), (1, 1, 100, 0)], 32, []),  # sealed before twins were counted
    ],
)
def test_how_many_days_go_together(readings: list[tuple[int, int, int, int]], days: int, spans: list[tuple[int, int]]) -> None:
    assert list(together([Sealed(*one) for one in readings], days)) == spans
