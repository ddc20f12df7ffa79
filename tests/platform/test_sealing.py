"""When a running platform seals a day: when it is over, quiet, and there is enough of it; and it stops when it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.plant import workspace

from twinwright.clock import SECOND, ManualClock, from_iso
from twinwright.governance.principals import SYSTEM
from twinwright.platform.local import LocalPlatform
from twinwright.platform.sealing import QUIET, seal
from twinwright.platform.session import Session
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
