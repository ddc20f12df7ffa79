"""Law 11 over what is kept: a path that was renamed and changed its unit is the same physical quantity through each version when raw values
are gone, before or after twins were moved; and what is read as good is what the greatest version says, whatever name it said it under."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.acceptance.running import write
from tests.mutating import variant

from twinwright.clock import HOUR, SECOND, ManualClock, from_iso, to_iso
from twinwright.governance.principals import SYSTEM
from twinwright.platform.local import LocalPlatform
from twinwright.platform.retention import expire_history
from twinwright.platform.session import Session
from twinwright.storage.layout import Selection
from twinwright.telemetry.payloads import Payload

MUTANTS = Path(__file__).parent / "mutants"
DAY, DAYS = 24 * HOUR, 5
BEGIN = from_iso("2026-03-01T00:00:00Z")
OLD, NEW = "dtmi:test:Tank;1", "dtmi:test:Tank;2"
STEPS = "steps:\n  - {rename: pressure, to: force}\n  - {unit: pressure, to: bar}\n"
AGGREGATES = {
    "mean": lambda v: sum(v) / len(v),
    "min": min,
    "max": max,
    "sum": sum,
    "count": len,
    "first": lambda v: v[0],
    "last": lambda v: v[-1],
}

# A day: whether the twin is moved (there or back) at its beginning, whether raw values are let go of at its end, and what comes in it:
# (minute, under which version's contract, kPa or None for what is bad).
said = st.tuples(st.integers(0, 24 * 60 - 1), st.booleans(), st.one_of(st.none(), st.integers(1, 1000).map(float)))
days = st.lists(
    st.tuples(st.sampled_from([None, 0, 1]), st.booleans(), st.lists(said, max_size=6, unique_by=lambda one: one[0])),
    min_size=DAYS, max_size=DAYS,
)  # fmt: skip


def interface(dtmi: str, name: str, unit: str) -> str:
    content = {"@type": ["Property", "Pressure"], "name": name, "schema": "double", "unit": unit}
    return json.dumps({"@context": "dtmi:dtdl:context;2", "@type": "Interface", "@id": dtmi, "contents": [content]})


def contract(name: str, path: str, unit: str, revision: str = "") -> str:
    top = 1000 if unit == "kPa" else 10
    head = f"name: {name}\n{revision}twin: tank\ntime: {{field: t, format: epoch_us}}\ncorrection: {{field: rev}}\nobservations:\n"
    return head + f"  - {{path: {path}, field: p, unit: {unit}, range: [0, {top}]}}\n"


@contextmanager
def tank() -> Iterator[tuple[Path, ManualClock, LocalPlatform]]:
    with tempfile.TemporaryDirectory() as name:
        folder, clock = Path(name), ManualClock(BEGIN)
        toml = '[retention.history]\n"*" = {raw = "P2D", hours = "P100D"}\n'
        files = {"twinwright.toml": toml, "schema/1.json": interface(OLD, "pressure", "kilopascal")}
        twins = f"twins:\n  - {{$dtId: tank, $metadata: {{$model: '{OLD}'}}}}\n"
        write(folder, {**files, "twins.yaml": twins, "contracts/old.yaml": contract("old", "pressure", "kPa")})
        platform = LocalPlatform(Session(folder, clock))
        try:
            platform.apply()
            yield folder, clock, platform
        finally:
            platform.close()


def migrate(folder: Path, platform: LocalPlatform, share: int) -> None:
    write(
        folder,
        {
            "schema/2.json": interface(NEW, "force", "bar"),
            "migrations/2.yaml": f"name: tank-2\nfrom: {OLD}\nto: {NEW}\nshare: {share}\n{STEPS}",
        },
    )
    write(folder, {"contracts/new.yaml": contract("new", "force", "bar")})
    platform.apply()


def push(platform: LocalPlatform, time: int, version: int, kilopascals: float | None, rev: int = 0, name: str = "") -> None:
    value = 99_999.0 if kilopascals is None else kilopascals / (100 if version else 1)
    body = json.dumps({"t": time, "p": value, "rev": rev}).encode()
    assert platform.push(name or ("new" if version else "old"), [Payload(body)]).accepted == 1


def check(story: list[tuple[int | None, bool, list[tuple[int, bool, float | None]]]]) -> None:
    """Windows of hours and days through both versions are those of the plain numbers."""
    held: list[tuple[int, float | None]] = []
    with tank() as (folder, clock, platform):
        begun = False
        for day, (share, expires, rows) in enumerate(story):
            clock.advance(BEGIN + (day + 1) * DAY - SECOND - clock.now())
            if share is not None:
                migrate(folder, platform, share)
                begun = True
            for minute, newer, value in sorted(rows):
                time = BEGIN + day * DAY + minute * 60 * SECOND
                push(platform, time, int(newer and begun), value)
                held.append((time, value))
            if expires:
                expire_history(platform.session, threading.Event())
        migrate(folder, platform, 1 if not begun else 0)
        clock.advance(DAY)
        expire_history(platform.session, threading.Event())
        limit = to_iso((clock.now() - 2 * DAY) // DAY * DAY)
        for dtmi, path, scale in ((OLD, "pressure", 1.0), (NEW, "force", 0.01)):
            for every, width in (("PT1H", HOUR), ("P1D", DAY)):
                for agg, of in AGGREGATES.items():
                    found = platform.history("tank", path, every=every, agg=agg, interface=dtmi)
                    assert dict(zip(found["times"], found["values"], strict=True)) == pytest.approx(plain(held, width, agg, of, scale))
            found = platform.history("tank", path, interface=dtmi)
            left = [value for time, value in zip(found["times"], found["values"], strict=True) if time >= limit]
            wanted = [value and value * scale for time, value in sorted(held) if to_iso(time) >= limit]
            assert left == pytest.approx(wanted)


def plain(held: list[tuple[int, float | None]], width: int, agg: str, of: Any, scale: float) -> dict[str, float | None]:
    groups: dict[int, list[float]] = {}
    for time, value in sorted(held):
        groups.setdefault(time // width * width, []).extend([] if value is None else [value])
    scaled = {at: [value if agg == "count" else value * scale for value in values] for at, values in groups.items()}
    return {to_iso(at): of(values) if values or agg == "count" else (0.0 if agg == "sum" else None) for at, values in scaled.items()}


@settings(max_examples=4, deadline=None)
@given(days)
@example(
    [
        (0, True, []),
        (None, False, [(1241, True, 369.0)]),
        (None, True, [(65, True, None)]),
        (None, True, [(76, False, None)]),
        (None, True, [(0, True, None)]),
    ]
)
def test_windows_are_the_same_quantity_when_raw_values_are_gone(story: Any) -> None:
    check(story)


KNOWN = [
    (None, True, [(60, False, 100.0), (70, False, None)]),
    (1, True, [(60, True, 300.0), (61, False, 200.0)]),
    *[(None, True, [(5, True, 500.0)])] * 3,
]


def test_it_is_noticed_when_roll_ups_are_read_under_one_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    check(KNOWN)
    _mutate("kept_rollups_under_one_name", monkeypatch)
    with pytest.raises(AssertionError):
        check(KNOWN)


# Readings of one source at few times, under either name of the path, with a correction: the greatest of a time counts.
values = st.one_of(st.none(), st.integers(1, 9).map(float))
versions = st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 3), values), min_size=1, max_size=8)


def check_good(records: list[tuple[int, bool, int, float | None]]) -> None:
    """The last good value, and all good ones, of a source that changed over to the new name; through both versions."""
    with tank() as (folder, clock, platform):
        clock.advance(DAY)
        kept: dict[int, tuple[tuple[int, int], float | None]] = {}
        for newer in (False, True):
            if newer:
                migrate(folder, platform, 1)
                write(folder, {"contracts/new.yaml": None, "contracts/old.yaml": contract("old", "force", "bar", "revision: 2\n")})
                platform.apply()
            told: set[tuple[int, int]] = set()
            for time, _, rev, value in [one for one in records if one[1] is newer]:
                if (time, rev) not in told:
                    told.add((time, rev))
                    push(platform, BEGIN + time * SECOND, int(newer), value, rev, "old")
                    kept[time] = max(kept.get(time, ((-1, 0), None)), ((rev, int(newer)), value), key=lambda one: one[0])
        good = [(BEGIN + time * SECOND, value) for time, (_, value) in sorted(kept.items()) if value is not None]
        session = platform.session
        for dtmi, path, scale in ((OLD, "pressure", 1.0), (NEW, "force", 0.01)):
            store = session.served.applied.evolution.as_version(dtmi).over(session.store)
            every = store.history(SYSTEM, Selection((1,), (path,), good_only=True))
            assert every["time"].to_pylist() == [time for time, _ in good]
            newest = store.latest(SYSTEM, Selection((1,), (path,), good_only=True))
            assert newest["time"].to_pylist() == [time for time, _ in good[-1:]]
            shown = platform.state("tank", interface=dtmi).get(path)
            assert shown == (pytest.approx(good[-1][1] * scale) if good else None)


@settings(max_examples=6, deadline=None)
@given(versions)
def test_what_is_good_is_what_the_greatest_version_says_under_whatever_name(records: Any) -> None:
    check_good(records)


TAKEN_BACK = [(0, False, 0, 5.0), (1, False, 0, 6.0), (1, True, 1, None)]


def test_it_is_noticed_when_what_is_good_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    check_good(TAKEN_BACK)
    _mutate("kept_good_by_name", monkeypatch)
    with pytest.raises(AssertionError):
        check_good(TAKEN_BACK)


def _mutate(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variant(MUTANTS / f"{name}.py").apply(monkeypatch)
