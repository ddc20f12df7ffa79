"""The building zone of the example: its parameters found again, its energy balance, and what a night setback saves."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from twinwright import units
from twinwright.calibration.calibrate import calibrate, parameter_set
from twinwright.calibration.dataset import build
from twinwright.calibration.estimate import SearchOptions
from twinwright.clock import HOUR, SECOND, from_iso
from twinwright.documents import Problems, load
from twinwright.governance.principals import LOCAL_ADMIN, Principal
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.findings import check_constraint
from twinwright.simulation.model_document import parse_model
from twinwright.simulation.models.ode import OdeModel
from twinwright.simulation.outcomes import Limits
from twinwright.simulation.protocol import Floats
from twinwright.simulation.scenario import parse_scenario
from twinwright.twins.series import Series

BUILDING = Path(__file__).resolve().parents[2] / "examples" / "building"
RECORD = BUILDING / "data" / "synthetic.csv"
MINUTE, DAY = 60 * SECOND, 24 * HOUR
MONDAY = from_iso("2026-01-12T00:00:00Z")
FIELDS = {
    "temperature": ("air_C", "degC"),
    "outdoor_temperature": ("outdoor_C", "degC"),
    "irradiance": ("sun_W_m2", "W/m**2"),
    "heating_power": ("heat_W", "W"),
    "night": ("night", None),
    "comfort_limit": ("limit_C", "degC"),
}


class Zone:
    """The record of one zone as its history."""

    def __init__(self, name: str) -> None:
        with RECORD.open(newline="") as lines:
            rows = [row for row in csv.DictReader(lines) if row["zone"] == name]
        self.times = MONDAY + 10 * MINUTE * np.arange(len(rows), dtype=np.int64)
        self.columns = {path: np.array([float(row[field]) for row in rows]) for path, (field, _) in FIELDS.items()}

    def series(
        self,
        principal: Principal,
        twin: str,
        path: str,
        *,
        start: int | None = None,
        end: int | None = None,
        unit: str | None = None,
        known_at: int | None = None,
    ) -> Series:
        keep = (self.times >= (start or 0)) & (self.times < (end or np.iinfo(np.int64).max))
        own = FIELDS[path][1]
        values = self.columns[path][keep] if own is None else units.convert(self.columns[path][keep], own, unit or own)
        return Series(self.times[keep], values, np.isfinite(values), unit or own)

    def unit_of(self, twin: str, path: str) -> str | None:
        return FIELDS[path][1]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_building", BUILDING / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def zone() -> ModelDefinition:
    problems = Problems()
    document = load(BUILDING / "models" / "zone.yaml", problems)
    definition = parse_model(document, BUILDING / "models", problems) if document else None
    assert definition is not None, problems.items
    return definition


@pytest.fixture(scope="module")
def model(zone: ModelDefinition) -> OdeModel:
    return OdeModel(zone, BUILDING / "models")


@pytest.fixture(scope="module")
def weekend(zone: ModelDefinition) -> Floats:
    """The inputs of the model from Saturday on, (samples, inputs)."""
    return build(Zone("south"), LOCAL_ADMIN, zone, "south", MONDAY + 5 * DAY, None).inputs


def run(model: OdeModel, inputs: Floats, **parameters: float) -> dict[str, Floats]:
    times = 600.0 * np.arange(len(inputs), dtype=np.float64)
    found = model.advance(model.initial(model.definition.defaults() | parameters, {"air": 20.0}), times, inputs)
    return {port.name: found.outputs[:, index] for index, port in enumerate(model.definition.outputs)}


def test_the_record_is_what_the_generator_writes(generator: ModuleType) -> None:
    assert RECORD.read_text("utf-8").splitlines()[1:] == [",".join(map(str, row)) for row in generator.rows()]
    assert RECORD.stat().st_size < 200_000


def test_five_days_give_the_parameters_again_and_the_weekend_agrees(zone: ModelDefinition, generator: ModuleType) -> None:
    dataset = build(Zone("south"), LOCAL_ADMIN, zone, "south", None, None).split_at(MONDAY + 5 * DAY, MONDAY + 7 * DAY)
    found = calibrate(zone, dataset, zone.defaults(), None, SearchOptions(), Limits())

    stored = parameter_set(zone, found, zone.defaults(), parent=None, only=None, options=SearchOptions())["parameters"]
    truth = dict(zip(("r_in", "r_out", "c_air", "c_wall", "aperture"), generator.TRUTH["south"], strict=True)) | {"wall_0": 17.0}
    assert {name for name, one in stored.items() if one["estimated"]} == set(truth)
    for name, value in truth.items():
        half = (stored[name]["high"] - stored[name]["low"]) / 2  # 95 % intervals: of six, one may well miss by a little
        assert abs(stored[name]["value"] - value) < 2 * half, name
        assert half < 0.1 * value, name
    assert found.holdout is not None
    judged = found.holdout["air"].metrics
    assert judged.rmse < 1.2 * generator.NOISE
    assert judged.skill is not None
    assert judged.skill > 0  # what the gate asks for


def test_heat_is_stored_or_lost(model: OdeModel, weekend: Floats) -> None:
    """Over any run: heating + sun = what air and walls store + what goes outside, in MJ."""
    r_out, c_air, c_wall, aperture = 20.0, 1.0, 5.0, 1.0
    found = run(model, weekend, r_out=r_out, c_air=c_air, c_wall=c_wall, aperture=aperture)
    assert found["energy"][-1] == pytest.approx(weekend[:-1, 2].sum() / 6, rel=1e-9)  # kWh: what was observed, each for ten minutes
    sun = aperture * np.trapezoid(weekend[:, 1], dx=0.6)
    lost = np.trapezoid((found["wall"] - weekend[:, 0]) / r_out, dx=0.6)
    stored = c_air * (found["air"][-1] - found["air"][0]) + c_wall * (found["wall"][-1] - found["wall"][0])
    assert 3.6 * found["energy"][-1] + sun == pytest.approx(stored + lost, rel=1e-3)


def test_a_setback_saves_energy_and_too_deep_a_one_is_told(
    zone: ModelDefinition, model: OdeModel, weekend: Floats, generator: ModuleType
) -> None:
    problems = Problems()
    document = load(BUILDING / "scenarios" / "night-setback.yaml", problems)
    scenario = parse_scenario(document, problems) if document else None
    assert scenario is not None, problems.items
    truth = dict(zip(("r_in", "r_out", "c_air", "c_wall", "aperture"), generator.TRUTH["south"], strict=True))
    grid = MONDAY + 5 * DAY + 10 * MINUTE * np.arange(len(weekend), dtype=np.int64)
    energy, kept = [], []
    for setback in scenario.sweep["setback"]:
        found = run(model, weekend, **truth, thermostat=1.0, setback=setback)
        named = found | {port.name: weekend[:, index] for index, port in enumerate(zone.inputs)}
        report = check_constraint(scenario.constraints[0], zone, named, grid)
        energy.append(found["energy"][-1])
        kept.append(report["kept"])
        if not report["kept"]:
            assert report["first_violated"].endswith("T07:00:00Z")
            assert report["unit"]
    assert energy == sorted(energy, reverse=True)
    assert kept == [True, True, False]
