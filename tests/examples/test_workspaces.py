"""The workspaces under examples/ are right as they stand."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest

from twinwright import schema
from twinwright.connectors.host import HostSampler
from twinwright.documents import Problems, load
from twinwright.simulation.fmi.build import build_fmu
from twinwright.simulation.model_document import parse_model
from twinwright.telemetry.contract_spec import ContractSpec

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def module_at(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", list(sys.path))
    return module_at(EXAMPLES / "tanks" / "generate.py")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/schema/*.json")), ids=lambda path: path.stem)
def test_interfaces_are_valid(path: Path) -> None:
    assert schema.load([json.loads(path.read_text("utf-8"))])


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/contracts/*.yaml")), ids=lambda path: path.stem)
def test_contracts_are_valid(path: Path) -> None:
    problems = Problems()
    document = load(path, problems)
    assert document is not None
    assert document.parse(ContractSpec, problems) is not None, problems.items
    assert not problems.items


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/models/*.yaml")), ids=lambda path: path.stem)
def test_models_are_valid(path: Path, tmp_path: Path) -> None:
    folder, sources = path.parent, path.parents[1] / "fmu"
    if sources.is_dir():  # compiled by who uses it, as its page says
        folder = tmp_path
        build_fmu([sources], folder / f"{path.stem}.fmu")
    problems = Problems()
    document = load(path, problems)
    assert document is not None
    assert parse_model(document, folder, problems) is not None, problems.items


def test_the_synthetic_record_is_what_its_generator_writes(generator: ModuleType) -> None:
    lines = (EXAMPLES / "tanks" / "data" / "synthetic.csv").read_text("utf-8").splitlines()
    assert lines[0] == "ts,pump_V,level_V"
    assert lines[1:] == [",".join(map(str, row)) for row in generator.rows()]


def test_the_record_differs_from_its_model_by_the_stated_noise(generator: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = [level for _, _, level in generator.rows()]
    monkeypatch.setattr(generator, "NOISE", 0.0)
    exact = [level for _, _, level in generator.rows()]
    spread = math.sqrt(sum((a - b) ** 2 for a, b in zip(noisy, exact, strict=True)) / len(exact))
    assert spread == pytest.approx(0.05, rel=0.1)  # 1024 samples: the standard error of the spread is 2.2 %


@pytest.mark.parametrize("pump", [0.0, 0.5, 2.0, 12.0])
def test_tanks_settle_where_inflow_is_outflow_and_never_above_their_rims(generator: ModuleType, pump: float) -> None:
    levels = [4.0, 5.0]
    for _ in range(5000):
        levels = generator.advance(levels, pump)
    k1, k2, k3, k4, dead, laminar, weir, spill = generator.TRUTH
    inflow = k4 * max(pump - dead, 0.0)
    upper, lower = (max(level, 0.0) for level in levels)  # V; a step may end just below the bottom
    outlet, over = math.sqrt(upper) + laminar * upper, weir * max(upper - 10.0, 0.0)
    assert inflow == pytest.approx(k1 * outlet + over, abs=1e-4)
    assert lower == pytest.approx(min(((k2 * outlet + spill * over) / k3) ** 2, 10.0), abs=0.2)  # V; a step may end above the rim
    assert upper < 10.0 + inflow / weir


def test_the_contract_of_the_host_takes_all_that_its_connector_says() -> None:
    """Both ways, so that neither side is renamed alone."""
    problems = Problems()
    document = load(EXAMPLES / "host" / "contracts" / "host.yaml", problems)
    assert document is not None
    contract = document.parse(ContractSpec, problems)
    assert contract is not None
    taken = {contract.time.field, *(observation.field for observation in contract.observations)}
    assert taken == set(HostSampler().sample())


def test_the_load_approaches_the_active_tasks_with_its_time_constant() -> None:
    load = module_at(EXAMPLES / "host" / "models" / "load.py")
    value, step = 0.0, 0.01
    for _ in range(6000):  # one time constant of 60 s
        value += step * load.rhs(0.0, [value], [2.0], [60.0])[0]
    assert value == pytest.approx(2.0 * (1.0 - math.exp(-1.0)), rel=1e-3)
