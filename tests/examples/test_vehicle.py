"""The car of the example: its energies balance, its log is near it, its limits are kept and broken where they should be."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import twinwright
from twinwright.simulation.fmi.build import build_fmu
from twinwright.simulation.fmi.simulate import RunRequest, run_fmu

VEHICLE = Path(__file__).resolve().parents[2] / "examples" / "vehicle"


@pytest.fixture(scope="module")
def fmu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_fmu([VEHICLE / "fmu"], tmp_path_factory.mktemp("fmu") / "vehicle.fmu")[0]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vehicle_generate", VEHICLE / "generate.py")
    assert spec and spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def workspace(fmu: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The example as `init` copies it, with its FMU and its log."""
    folder = tmp_path_factory.mktemp("vehicle") / "plant"
    shutil.copytree(VEHICLE, folder, ignore=shutil.ignore_patterns("*.fmu", ".twinwright"))
    shutil.copy(fmu, folder / "models" / "vehicle.fmu")
    with twinwright.open(folder) as platform:
        platform.apply()
        assert platform.ingest([folder / "data" / "synthetic.csv"], contract="drive")["accepted"] == 1801
        yield platform


def values(run: dict[str, Any], name: str) -> np.ndarray:
    return np.array(run["outputs"][name]["values"].to_pylist())


def drive(fmu: Path, folder: Path, rows: list[tuple[float, ...]], **settings: float) -> dict[str, np.ndarray]:
    """Outputs of the FMU by itself. Rows: time in s, target in m/s, slope, charger in W; the air has 30 degC."""
    path = folder / "inputs.csv"
    path.write_text("time,target,slope,charger\n" + "".join(",".join(map(repr, row)) + "\n" for row in rows), "utf-8")
    given = {"outside": "303.15", "temperature": "303.15"} | {name: repr(value) for name, value in settings.items()}
    run = run_fmu(RunRequest(fmu, stop=rows[-1][0], step=1.0, settings=given, inputs=path))["runs"][0]
    assert run["status"] == "ok", run["failure"]
    return {name: np.array(one["values"]) for name, one in run["outputs"].items()}


def trip(fmu: Path, folder: Path, slope: float, top: float) -> dict[str, np.ndarray]:
    """Up to speed in 30 s, on, to a halt in 6 s, and charged."""
    rows = [(0.0, 0.0, slope, 0.0), (30.0, top, slope, 0.0), (200.0, top, slope, 0.0), (206.0, 0.0, slope, 0.0), (240.0, 0.0, 0.0, 0.0)]
    return drive(fmu, folder, [*rows, (241.0, 0.0, 0.0, 80e3), (400.0, 0.0, 0.0, 80e3)])


def check_energies(y: dict[str, np.ndarray]) -> None:
    """What the cells and the charger gave is somewhere, in each second."""
    kinetic = 0.5 * 1800.0 * y["speed"] ** 2
    spent = kinetic + sum(y[f"{name}_energy"] for name in ("road", "brakes", "conversion", "auxiliary", "heat"))
    assert np.abs(y["cells_energy"] + y["charger_energy"] - spent).max() < 1e-4 * spent.max()
    warmth = 330e3 * (y["temperature"] - 303.15)
    assert np.abs(y["heat_energy"] - y["cooled_energy"] - warmth).max() < 1e-6 * y["heat_energy"][-1]
    for name in ("heat", "brakes", "conversion", "auxiliary", "charger"):
        assert np.diff(y[f"{name}_energy"]).min() >= 0.0, name
    # what the cells gave is their open voltage, 96 (3.3 V + 0.8 V soc), over the charge that left them
    soc, first = y["soc"], y["soc"][0]
    assert y["cells_energy"] == pytest.approx(540e3 * 96 * (3.3 * (first - soc) + 0.4 * (first**2 - soc**2)), rel=1e-5, abs=100.0)
    assert y["power"] == pytest.approx(y["voltage"] * y["current"], rel=1e-9)


@pytest.mark.parametrize(("slope", "top"), [(0.0, 14.0), (0.2, 33.0), (-0.07, 25.0)])
def test_no_energy_is_lost_or_made(fmu: Path, tmp_path: Path, slope: float, top: float) -> None:
    """On the level, uphill past what the motor can, downhill with brakes."""
    y = trip(fmu, tmp_path, slope, top)
    check_energies(y)
    assert y["charger_energy"][-1] > 0.0 and y["soc"][-1] > y["soc"][240]
    assert (y["brakes_energy"][-1] > 1e5) == (slope < 0)
    assert (y["speed"][199] < 0.95 * top) == (slope > 0)


BROKEN = {
    "cooled for nothing": ("= (heat - cooled) /", "= heat /"),
    "brakes forgotten": ("rate[BRAKES_E - FIRST_STATE] = brakes", "rate[BRAKES_E - FIRST_STATE] = 0.0"),
    "losses that the charge does not know": ("= -current / r[CAPACITY]", "= -0.99 * current / r[CAPACITY]"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_car_is_found_out(tmp_path: Path, name: str) -> None:
    source = (VEHICLE / "fmu" / "vehicle.c").read_text("utf-8")
    assert source.count(BROKEN[name][0]) == 1
    (tmp_path / "vehicle.c").write_text(source.replace(*BROKEN[name]), "utf-8")
    built, _ = build_fmu([VEHICLE / "fmu" / "modelDescription.xml", tmp_path / "vehicle.c"], tmp_path / "broken.fmu")
    with pytest.raises(AssertionError):
        check_energies(trip(built, tmp_path, -0.07, 25.0))


def test_a_steady_car_uses_what_drag_and_rolling_ask(fmu: Path, tmp_path: Path) -> None:
    y = drive(fmu, tmp_path, [(0.0, 25.0, 0.0, 0.0), (200.0, 25.0, 0.0, 0.0)])
    force = 0.5 * 1.2 * 0.62 * 25.0**2 + 1800.0 * 9.80665 * 0.010  # N
    assert y["speed"][-1] == pytest.approx(25.0, abs=1e-6)
    assert y["power"][-1] == pytest.approx(force * 25.0 / 0.90 + 600.0, rel=1e-6)


def test_a_battery_that_is_asked_too_much_is_a_failed_run(fmu: Path, tmp_path: Path) -> None:
    path = tmp_path / "inputs.csv"
    path.write_text("time,target\n0,0\n10,30\n60,30\n", "utf-8")
    run = run_fmu(RunRequest(fmu, stop=60.0, step=1.0, settings={"resistance": "0.5"}, inputs=path))["runs"][0]
    assert run["status"] == "failed" and "can't give the power" in json.dumps(run), run


def test_the_record_is_what_its_generator_writes_and_within_the_stated_noise(generator: ModuleType) -> None:
    body = (VEHICLE / "data" / "synthetic.csv").read_bytes()
    assert len(body) < 200_000
    rows = generator.rows()
    assert body.decode().splitlines()[1:] == [",".join(map(str, row)) for row in rows]
    exact = generator.battery(generator.speeds(), generator.TRUTH)
    for column, place, name in ((2, 0, "voltage"), (3, 1, "current"), (4, 2, "cell")):
        spread = np.std([row[column] - one[place] for row, one in zip(rows, exact, strict=True)])
        assert spread == pytest.approx(generator.NOISE[name], rel=0.15), name


def test_the_replayed_drive_is_near_what_was_logged_and_keeps_its_limits(workspace: Any, generator: ModuleType) -> None:
    (run,) = workspace.simulate("drive")["runs"]
    assert run["status"] == "ok" and all(one["kept"] for one in run["constraints"])
    observed = np.array([row[1:5] for row in generator.rows()]).T
    for name, logged, bound in zip(("speed", "voltage", "current", "temperature"), observed, (5.0, 3.0, 30.0, 0.3), strict=True):
        assert np.sqrt(np.mean((values(run, name) - logged) ** 2)) < bound, name
    charge = np.array([one[3] for one in generator.battery(generator.speeds(), generator.TRUTH)])
    assert np.abs(values(run, "soc") - charge).max() < 0.01
    assert values(run, "distance")[-1] == pytest.approx(sum(generator.speeds()) / 1000, rel=0.01)
    assert workspace.verify_run(run["id"])["verified"] is True


def test_the_mountain_empties_the_battery_and_warms_no_cell_too_much(workspace: Any) -> None:
    (run,) = workspace.simulate("mountain")["runs"]
    warm, empty = run["constraints"]
    assert warm["kept"] and not empty["kept"]
    soc = values(run, "soc")
    second = int(np.argmax(soc <= 0.1))
    assert empty["first_violated"] == f"2026-07-01T08:{second // 60:02}:{second % 60:02}Z"
    assert empty["worst"] == pytest.approx(0.1 - soc.min())


def test_only_the_slow_charge_keeps_the_cells_below_their_limit(workspace: Any) -> None:
    runs = workspace.simulate("fast-charge")["runs"]
    assert [run["constraints"][0]["kept"] for run in runs] == [True, False, False]
    assert all(run["constraints"][1]["kept"] for run in runs)
    hottest = [values(run, "temperature").max() for run in runs]
    assert hottest == sorted(hottest)
    for run, peak in zip(runs[1:], hottest[1:], strict=True):
        assert run["constraints"][0]["worst"] == pytest.approx(peak - 45.0)
        assert values(run, "soc").max() == pytest.approx(0.8, abs=0.005)
    assert runs[1]["constraints"][0]["first_violated"] > runs[2]["constraints"][0]["first_violated"]
