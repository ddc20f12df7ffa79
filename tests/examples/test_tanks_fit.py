"""The model of examples/tanks finds its own parameters again, and stands up to real tanks."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from twinwright import units
from twinwright.calibration.calibrate import Calibration, calibrate, parameter_set
from twinwright.calibration.dataset import build
from twinwright.calibration.estimate import SearchOptions
from twinwright.clock import SECOND, from_iso
from twinwright.documents import Problems, load
from twinwright.governance.principals import LOCAL_ADMIN, Principal
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.model_document import parse_model
from twinwright.simulation.outcomes import Limits
from twinwright.twins.series import Series

REPOSITORY = Path(__file__).resolve().parents[2]
TANKS = REPOSITORY / "examples" / "tanks"
MEASURED = REPOSITORY.parent / "shared" / "data" / "cascaded_tanks" / "estimation.csv"


class Columns:
    """Two columns of a CSV file, sampled every 4 s, as the history of a pair of tanks."""

    def __init__(self, file: Path, pump: str, level: str) -> None:
        with file.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        self.times = from_iso("2026-03-01T08:00:00Z") + 4 * SECOND * np.arange(len(rows), dtype=np.int64)
        self.columns = {path: np.array([float(row[name]) for row in rows]) for path, name in (("pump_voltage", pump), ("level", level))}

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
        values = units.convert(self.columns[path][keep], "V", unit or "V")
        return Series(self.times[keep], values, np.isfinite(values), unit or "V")

    def unit_of(self, twin: str, path: str) -> str | None:
        return "V"


@pytest.fixture
def model() -> ModelDefinition:
    problems = Problems()
    document = load(TANKS / "models" / "tanks.yaml", problems)
    definition = parse_model(document, TANKS / "models", problems) if document else None
    assert definition is not None, problems.items
    return definition


def fit(model: ModelDefinition, data: Columns, holdout: float) -> Calibration:
    dataset = build(data, LOCAL_ADMIN, model, "tanks-1", None, None).split(holdout)
    return calibrate(model, dataset, model.defaults(), None, SearchOptions(), Limits())


def test_a_fit_to_the_synthetic_record_finds_its_parameters_again(model: ModelDefinition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = importlib.util.spec_from_file_location("generate_tanks", TANKS / "generate.py")
    assert spec and spec.loader
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)

    found = fit(model, Columns(TANKS / "data" / "synthetic.csv", "pump_V", "level_V"), holdout=0.3)

    stored = parameter_set(model, found, model.defaults(), parent=None, only=None, options=SearchOptions())["parameters"]
    truth = dict(zip([one.name for one in model.arguments], generator.TRUTH, strict=True)) | {"x1_0": 6.0, "x2_0": 5.2}
    for name, one in stored.items():
        if one["estimated"]:
            half = (one["high"] - one["low"]) / 2  # 95 % intervals: of nine, one may well miss by a little
            assert abs(one["value"] - truth[name]) < 2 * half, name
            assert half < 0.2 * abs(truth[name]), name
    assert found.holdout is not None
    assert found.holdout["y"].metrics.rmse < 1.2 * generator.NOISE


@pytest.mark.skipif(not MEASURED.exists(), reason="../shared/data is not on this machine")
def test_the_model_fits_real_tanks(model: ModelDefinition) -> None:
    found = fit(model, Columns(MEASURED, "u_V", "y_V"), holdout=0.0)
    assert found.train["y"].metrics.rmse <= 0.24  # V; levels range from 2.9 to 10 V
