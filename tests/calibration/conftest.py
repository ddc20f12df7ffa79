from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from twinwright import units
from twinwright.calibration.service import CalibrationService
from twinwright.clock import SECOND, ManualClock, from_iso
from twinwright.documents import Problems, load
from twinwright.errors import NotFoundError
from twinwright.governance.principals import LOCAL_ADMIN, Principal
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.model_document import parse_model
from twinwright.storage.records import Record
from twinwright.twins.series import Series

HERE = Path(__file__).parent
START = from_iso("2026-03-01T08:00:00Z")


@dataclass
class MemoryReader:
    """A series reader over arrays: what the platform's own gives, without a store."""

    held: dict[tuple[str, str], Series] = field(default_factory=dict)

    def put(self, twin: str, path: str, times: np.ndarray, values: np.ndarray, unit: str | None = None) -> None:
        values = np.asarray(values, dtype=np.float64)
        self.held[twin, path] = Series(np.asarray(times, dtype=np.int64), values, np.isfinite(values), unit)

    def series(self, principal, twin, path, *, start=None, end=None, unit=None, known_at=None) -> Series:
        if (twin, path) not in self.held:
            raise NotFoundError(f"no path '{path}' on twin '{twin}'")
        one = self.held[twin, path]
        keep = np.ones(one.times.size, dtype=bool)
        keep &= one.times >= start if start is not None else True
        keep &= one.times < end if end is not None else True
        values = one.values if unit is None else units.convert(one.values, one.unit, unit)
        return Series(one.times[keep], values[keep], one.good[keep], unit or one.unit)

    def unit_of(self, twin: str, path: str) -> str | None:
        return self.held[twin, path].unit


@dataclass
class MemoryRecords:
    """An append-only record store in a list."""

    log: list[Record] = field(default_factory=list)

    def put_record(self, principal: Principal, kind: str, id: str, body: dict) -> int:
        principal.require_write()
        self.log.append(Record(kind, id, body, len(self.log) + 1, 0, principal.name))
        return len(self.log)

    def records(self, principal: Principal, kind: str) -> list[Record]:
        newest = {one.id: one for one in self.log if one.kind == kind}
        return sorted(newest.values(), key=lambda one: one.commit)

    def get_record(self, principal: Principal, kind: str, id: str) -> Record:
        found = [one for one in self.records(principal, kind) if one.id.startswith(id)]
        if len(found) != 1:
            raise NotFoundError(f"{len(found)} records of kind {kind} begin with '{id}'")
        return found[0]

    def versions(self, principal: Principal, kind: str, id: str) -> Iterator[Record]:
        return (one for one in self.log if one.kind == kind and one.id == id)


def definition(name: str) -> ModelDefinition:
    """A model of this folder, checked as a workspace checks it."""
    problems = Problems()
    document = load(HERE / name / f"{name}.yaml", problems)
    model = parse_model(document, HERE / name, problems) if document else None
    assert model is not None, [str(one) for one in problems.items]
    return model


@pytest.fixture
def reader() -> MemoryReader:
    return MemoryReader()


@pytest.fixture
def records() -> MemoryRecords:
    return MemoryRecords()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START + 10_000 * SECOND)


@pytest.fixture
def service(reader, records, clock, tmp_path) -> CalibrationService:
    return CalibrationService(reader, records, clock, tmp_path / "reports", definition)


@pytest.fixture
def admin() -> Principal:
    return LOCAL_ADMIN


def lag_response(drive: np.ndarray, step: float, tau: float, gain: float, start: float) -> np.ndarray:
    """The exact answer of a first-order lag to an input held over each step."""
    decay, level, levels = np.exp(-step / tau), start, []
    for value in drive:
        levels.append(level)
        level = decay * level + (1 - decay) * gain * value
    return np.array(levels)


def coloured_noise(generator: np.random.Generator, count: int, deviation: float, correlation: float) -> np.ndarray:
    """A stationary AR(1) series."""
    noise = np.empty(count)
    noise[0] = generator.normal()
    for i in range(1, count):
        noise[i] = correlation * noise[i - 1] + np.sqrt(1 - correlation**2) * generator.normal()
    return deviation * noise


@pytest.fixture
def observe_lag(reader) -> Callable[..., None]:
    """Fill the reader with a lag that really has tau 60 s and gain 1.5, seen with noise every 5 s."""

    def fill(count: int = 400, *, noise: float = 0.1, correlation: float = 0.0, seed: int = 1, twin: str = "lag-1") -> None:
        generator = np.random.default_rng(seed)
        drive = generator.integers(0, 5, size=count // 12 + 1).repeat(12)[:count].astype(float)
        times = START + 5 * SECOND * np.arange(count)
        reader.put(twin, "drive", times, drive)
        reader.put(twin, "level", times, lag_response(drive, 5.0, 60.0, 1.5, 2.0) + coloured_noise(generator, count, noise, correlation))

    return fill


@pytest.fixture
def model_definition() -> Callable[[str], ModelDefinition]:
    return definition


@pytest.fixture(name="lag_response")
def lag_response_fixture() -> Callable[..., np.ndarray]:
    return lag_response
