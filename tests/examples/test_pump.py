"""The example of a pump: marks stand where its generator put the faults, a fit finds its parameters, and faults break constraints."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import twinwright
from twinwright.cli.examples import copy_example
from twinwright.platform.opened import Opened

PUMP = Path(__file__).resolve().parents[2] / "examples" / "pump"
FREE = ("h0", "k", "pipe", "seat", "idle", "work", "heating", "lag")


@pytest.fixture(scope="module")
def generator() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        spec = importlib.util.spec_from_file_location("generate_pump", PUMP / "generate.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    folder = tmp_path_factory.mktemp("pump") / "plant"
    copy_example("pump", folder)
    with twinwright.open(folder) as platform:
        platform.apply()
        platform.ingest([str(folder / "data" / "synthetic.csv")], "pump")
        yield platform


def marked(plant: Opened, path: str) -> dict[datetime, str]:
    """The time and mark of each record that is not good."""
    found = plant.history("pump-1", path)
    pairs = zip(found["times"].to_pylist(), found["quality"].to_pylist(), strict=True)
    return {time: mark for time, mark in pairs if mark != "good"}


def test_the_record_is_what_its_generator_writes(generator: ModuleType) -> None:
    lines = (PUMP / "data" / "synthetic.csv").read_text("utf-8").splitlines()
    assert lines == [",".join(generator.COLUMNS), *(",".join(map(str, row)) for row in generator.rows())]


def test_the_record_differs_from_its_model_by_the_stated_noise(generator: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = np.array([row[5:] for row in generator.rows()[: generator.FAULTS]])
    stated = generator.NOISE
    monkeypatch.setattr(generator, "NOISE", dict.fromkeys(stated, 0.0))
    exact = np.array([row[5:] for row in generator.rows()[: generator.FAULTS]])
    assert (noisy - exact).std(axis=0) == pytest.approx(list(stated.values()), rel=0.1)


@pytest.mark.parametrize("speed", [500, 1160, 1450])
@pytest.mark.parametrize("opening", [0.0, 0.3, 1.0])
def test_the_flow_settles_where_the_head_of_the_pump_is_that_of_the_system(generator: ModuleType, speed: int, opening: float) -> None:
    h0, k, static, pipe, seat, _, idle, work, heating, _ = generator.TRUTH
    state, u = [10.0, 40.0], (speed, opening, 20.0)
    for _ in range(1000):
        state = generator.advance(state, u)
    flow, rise, bearing, power = generator.out(0.0, state, u, generator.TRUTH)
    s = speed / 1450
    if opening and h0 * s**2 > static:
        assert h0 * s**2 - k * flow**2 == pytest.approx(static + (pipe + seat / opening**2) * flow**2)
    else:
        assert flow == pytest.approx(0.0, abs=1e-9)
    assert power == pytest.approx(idle * s**3 + work * s**2 * flow)
    assert bearing == pytest.approx(20.0 + heating * (power - rise * flow / 1000), abs=0.01)  # kPa L/s is W


def test_marks_are_where_the_generator_put_the_faults(plant: Opened, generator: ModuleType) -> None:
    def at(sample: int) -> datetime:
        return generator.START + timedelta(seconds=sample * generator.STEP)

    gap = {at(generator.HOLE.stop): "gap"}
    held = range(generator.STUCK.start - 1 + 12, generator.STUCK.stop)  # the last good value is the one held; PT2M are 12 samples
    spike = generator.SPIKE[0]
    assert marked(plant, "record") == gap
    assert marked(plant, "motor/power") == gap
    assert marked(plant, "pressure_rise") == gap
    assert marked(plant, "flow") == {at(sample): "stuck" for sample in held} | gap
    assert marked(plant, "bearing_temperature") == {at(spike): "spike", at(spike + 1): "rate"} | gap


@pytest.fixture(scope="module")
def fitted(plant: Opened, generator: ModuleType) -> dict[str, Any]:
    """Of a fit to the part in which all is well, which is promoted."""
    healthy = (generator.START + timedelta(seconds=generator.FAULTS * generator.STEP)).isoformat()
    found = plant.calibrate("pump", twin="pump-1", end=healthy)
    assert plant.promote("pump", found["id"])["promoted"]
    return found


def test_a_fit_to_the_healthy_part_finds_the_parameters_again(fitted: dict[str, Any], generator: ModuleType) -> None:
    truth = dict(zip(("h0", "k", "static", "pipe", "seat", "inertia", "idle", "work", "heating", "lag"), generator.TRUTH, strict=True))
    for name in FREE:
        one = fitted["parameters"][name]
        half = (one["high"] - one["low"]) / 2  # 95 % intervals: of eight, one may well miss by a little
        assert abs(one["value"] - truth[name]) < 2 * half, name
        assert half < 0.1 * truth[name], name


@pytest.mark.usefixtures("fitted")
def test_the_pump_as_it_was_keeps_its_constraints_and_the_faults_break_them(plant: Opened) -> None:
    [healthy] = plant.simulate("healthy")["runs"]
    [faulty] = plant.simulate("faults")["runs"]
    assert [one["kept"] for one in healthy["constraints"]] == [True, True]
    assert [one["kept"] for one in faulty["constraints"]] == [False, False]
    bearing, flow = (datetime.fromisoformat(one["first_violated"]) for one in faulty["constraints"])
    shut = datetime.fromisoformat("2026-03-02T09:10:00Z")
    assert flow == shut + timedelta(seconds=10)
    assert shut + timedelta(minutes=7) < bearing < shut + timedelta(minutes=9)


@pytest.mark.usefixtures("fitted")
def test_a_stuck_flow_meter_leaves_the_model_that_follows(plant: Opened, generator: ModuleType) -> None:
    plant.shadow_run()
    error = plant.history("pump-1", "flow_error", lane="derived")
    samples = np.array([(time - generator.START).total_seconds() // generator.STEP for time in error["times"].to_pylist()])
    stuck = np.isin(samples, generator.STUCK)
    sizes = np.abs(error["values"].to_numpy()) / generator.NOISE["flow"]
    assert sizes[stuck].max() > 20
    assert np.quantile(sizes[~stuck], 0.95) < 3
