"""A store of records and a history in memory, and models written as a user writes them."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from twinwright import units
from twinwright.clock import SECOND, ManualClock, from_iso
from twinwright.documents import Problems, parse_text
from twinwright.errors import NotFoundError
from twinwright.governance.principals import LOCAL_ADMIN, Principal
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.model_document import parse_model
from twinwright.simulation.scenario import Scenario, check_scenario, parse_scenario
from twinwright.simulation.service import SimulationService
from twinwright.storage.records import Record
from twinwright.twins.series import Series

sys.path.append(str(Path(__file__).parents[2]))  # helpers are imported by their path from the root

START = from_iso("2026-03-01T08:00:00Z")

TANKS_PY = """
import math


def root(level):
    return math.sqrt(max(level, 0.0))


def rhs(t, x, u, p):
    k1, k2 = p
    return (u[0] - k1 * root(x[0]), k1 * root(x[0]) - k2 * root(x[1]))


def out(t, x, u, p):
    return (x[1],)
"""

TANKS = """
name: tanks
version: 1.0.0
kind: ode
artefact: tanks.py:rhs
output: tanks.py:out
interface: dtmi:example:Tanks;1
inputs: {u: {property: pump_voltage, unit: V, range: [0, 10], hold: zero}}
states: {x1: {start: x1_0, unit: V}, x2: {property: level, unit: V}}
outputs: {y: {property: level, unit: V, range: [0, 10]}}
parameters:
  k1: {value: 0.5, unit: "V**0.5/s", bounds: [0.1, 1]}
  k2: {value: 0.4, unit: "V**0.5/s", bounds: [0.1, 1]}
  x1_0: {value: 4, unit: V, bounds: [0, 10], per: run}
step: PT4S
assumptions: ["flow through an orifice follows Torricelli's law"]
validity: {u: [0, 1.5]}
"""

SCENARIO = """
name: more-flow
model: tanks
twin: tanks-1
from: 2026-03-01T08:00:00Z
horizon: PT2M
"""


class MemoryRecords:
    """A RecordStore that is a list."""

    def __init__(self) -> None:
        self.items: list[Record] = []

    def put_record(self, principal: Principal, kind: str, id: str, body: dict[str, Any]) -> int:
        principal.require_write()
        self.items.append(Record(kind, id, body, len(self.items) + 1, 0, principal.name))
        return len(self.items)

    def put_records(self, principal: Principal, kind: str, bodies: Mapping[str, dict[str, Any]]) -> int:
        return max(self.put_record(principal, kind, id, body) for id, body in bodies.items())

    def get_record(self, principal: Principal, kind: str, id: str) -> Record:
        found = {one.id: one for one in self.items if one.kind == kind and one.id.startswith(id)}
        if len(found) != 1:
            raise NotFoundError(f"no single {kind} '{id}'")
        return next(iter(found.values()))

    def records(self, principal: Principal, kind: str) -> list[Record]:
        return list({one.id: one for one in self.items if one.kind == kind}.values())

    def records_of_digest(self, principal: Principal, kind: str, digests: Collection[str]) -> list[Record]:
        return [one for one in self.records(principal, kind) if one.body.get("digest") in digests]

    def versions(self, principal: Principal, kind: str, id: str) -> Iterator[Record]:
        return (one for one in self.items if (one.kind, one.id) == (kind, id))

    def record_versions(self, principal: Principal, kinds: Collection[str], after: int, through: int) -> list[Record]:
        return [one for one in self.items if one.kind in kinds and after < one.commit <= through]

    def last_commit(self, principal: Principal) -> int:
        return len(self.items)


class MemoryHistory:
    """A SeriesReader that is a dictionary."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], Series] = {}

    def put(self, twin: str, path: str, times: Any, values: Any, unit: str | None) -> None:
        """`times` in seconds from START; NaN marks a bad value."""
        numbers = np.asarray(values, np.float64)
        micros = START + np.rint(np.asarray(times, np.float64) * SECOND).astype(np.int64)
        self.held[twin, path] = Series(micros, numbers, np.isfinite(numbers), unit)

    def series(self, principal, twin, path, *, start=None, end=None, unit=None, known_at=None) -> Series:
        if (twin, path) not in self.held:
            raise NotFoundError(f"{twin} has no '{path}'")
        one = self.held[twin, path]
        inside = np.ones(one.times.size, bool)
        inside &= one.times >= start if start is not None else True
        inside &= one.times < end if end is not None else True
        return Series(one.times[inside], units.convert(one.values, one.unit, unit)[inside], one.good[inside], unit)

    def unit_of(self, twin: str, path: str) -> str | None:
        return self.held[twin, path].unit


@pytest.fixture
def history() -> MemoryHistory:
    kept = MemoryHistory()
    times = np.arange(-10, 400, 2.0)
    kept.put("tanks-1", "pump_voltage", times, (1.0 + 0.3 * np.sin(times / 20)) * 1000, "mV")
    kept.put("tanks-1", "level", [-7.0, -1.0, 50.0], [3.0, 5.0, 6.0], "V")
    return kept


@pytest.fixture
def records() -> MemoryRecords:
    return MemoryRecords()


@pytest.fixture
def service(history: MemoryHistory, records: MemoryRecords, tmp_path: Path) -> SimulationService:
    return SimulationService(history, records, tmp_path / "runs", ManualClock(START + 3600 * SECOND))


@pytest.fixture
def model(tmp_path: Path):
    """`model(yaml, **files)` parses a definition; `foo_py="..."` becomes foo.py. Fails the test where there are problems."""

    def make(text: str = TANKS, **files: str) -> ModelDefinition:
        for name, content in (files or {"tanks_py": TANKS_PY}).items():
            (tmp_path / name.replace("_py", ".py")).write_text(content)
        problems = Problems()
        document = parse_text(text, "models/model.yaml", problems)
        definition = parse_model(document, tmp_path, problems) if document else None
        assert definition is not None, problems.items
        return definition

    return make


@pytest.fixture
def simple(model):
    """`simple(body)` is a model with one state whose right-hand side has this body; `**more` replaces lines of its YAML."""

    def make(body: str, head: str = "", **more: str) -> ModelDefinition:
        fields = {
            "name": "simple",
            "version": "1",
            "kind": "ode",
            "artefact": "simple.py:rhs",
            "states": "{x: {start: 1}}",
            "outputs": "{x: {}}",
            "parameters": "{k: {value: 0.1}}",
            "step": "PT1S",
        } | more
        code = head + "\ndef rhs(t, x, u, p):\n" + "".join(f"    {line}\n" for line in body.splitlines())
        return model("\n".join(f"{key}: {value}" for key, value in fields.items()), simple_py=code)

    return make


@pytest.fixture
def scenario(tmp_path: Path):
    """`scenario(definition, more_yaml)` parses and checks a scenario. Fails the test where there are problems."""

    def make(definition: ModelDefinition, more: str = "", base: str = SCENARIO) -> Scenario:
        problems = Problems()
        document = parse_text(base.replace("model: tanks", f"model: {definition.name}") + more, "scenarios/one.yaml", problems)
        parsed = parse_scenario(document, problems, tmp_path) if document else None
        assert parsed is not None, problems.items
        check_scenario(parsed, definition, problems, document)
        assert not problems, problems.items
        return parsed

    return make


@pytest.fixture
def admin() -> Principal:
    return LOCAL_ADMIN


@pytest.fixture
def paths() -> dict[str, Any]:
    return {"pump_voltage": SimpleNamespace(unit="mV"), "level": SimpleNamespace(unit="V"), "weight": SimpleNamespace(unit="kg")}


@pytest.fixture
def texts() -> SimpleNamespace:
    return SimpleNamespace(TANKS=TANKS, TANKS_PY=TANKS_PY, SCENARIO=SCENARIO)
