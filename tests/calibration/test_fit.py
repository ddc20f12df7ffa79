"""The child's side of a fit, called here directly: the models of this folder are trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twinwright.calibration.fit import run

FOLDER = Path(__file__).parent / "lag"
STEP = 5.0


@pytest.fixture
def payload(model_definition, lag_response):
    def make(count: int = 200, trained: int = 150, free=("tau", "gain", "level_0"), noise: float = 0.1, **known):
        model = model_definition("lag")
        drive = np.repeat(np.random.default_rng(0).integers(0, 5, size=count // 10 + 1), 10)[:count].astype(float)
        values = lag_response(drive, STEP, 60.0, 1.5, 2.0) + noise * np.random.default_rng(1).normal(size=count)
        bounds = {one.name: one.bounds for one in model.parameters} | {"level": (-10, 10)}
        start = model.defaults() | {"level": 1.0}
        return {
            "definition": model.as_data(),
            "inputs": drive[:, None],
            "step": STEP,
            "columns": [0],
            "seconds": [STEP * np.arange(count)],
            "values": [values],
            "trained": [trained],
            "states": ["level"],
            "parameters": model.defaults(),
            "state_starts": {},
            "known": {"names": [], "values": [], "covariance": [], "deviation": None, "quantile": None} | known,
            "free": {
                "names": list(free),
                "start": np.array([start[name] for name in free]),
                "low": np.array([bounds[name][0] for name in free], dtype=float),
                "high": np.array([bounds[name][1] for name in free], dtype=float),
            },
            "options": {"starts": 4, "seed": 0, "max_evaluations": 200},
        }

    return make


def test_the_lag_is_found_and_what_it_did_not_see_is_predicted_within_the_band(payload):
    data = payload()
    found = run(data, FOLDER)
    assert (found["low"] <= [60, 1.5, 2]).all()
    assert (found["high"] >= [60, 1.5, 2]).all()
    assert found["deviation"][0] == pytest.approx(0.1, rel=0.2)
    inside = np.abs(found["predictions"][0] - data["values"][0]) <= found["half_band"][0]
    assert inside[150:].mean() > 0.85


def test_training_never_sees_what_is_kept_back(payload):
    clean, spoiled = payload(), payload()
    spoiled["values"][0][150:] = 1e6
    assert run(clean, FOLDER)["values"].tobytes() == run(spoiled, FOLDER)["values"].tobytes()


def test_a_states_start_can_be_estimated_by_its_name(payload):
    found = run(payload(free=("tau", "gain", "level")), FOLDER)
    assert found["values"][2] == pytest.approx(2.0, abs=0.2)


def test_observations_between_the_steps_are_compared_where_they_were(payload):
    data = payload(noise=0.0)
    data["seconds"] = [data["seconds"][0] + 2.5]
    times, values = STEP * np.arange(200), data["values"][0]
    data["values"] = [np.interp(times + 2.5, times, values)[:-1]]
    data["seconds"] = [data["seconds"][0][:-1]]
    assert run(data, FOLDER)["values"] == pytest.approx([60, 1.5, 2], rel=2e-3)


def test_without_free_parameters_the_model_is_only_run(payload):
    data = payload(free=())
    data["parameters"] = {"tau": 60.0, "gain": 1.5, "level_0": 2.0}
    found = run(data, FOLDER)
    assert "values" not in found
    assert "half_band" not in found, "no band without knowledge of the noise"
    assert np.std(found["predictions"][0] - data["values"][0]) == pytest.approx(0.1, rel=0.2)


def test_what_is_known_of_the_parameters_widens_the_band(payload):
    known = {"names": ["gain"], "values": [1.5], "deviation": [0.1], "quantile": 2.0}
    data = payload(free=(), **known, covariance=[[0.0]])
    data["parameters"] = {"tau": 60.0, "gain": 1.5, "level_0": 2.0}
    sure = run(data, FOLDER)["half_band"][0]
    data["known"]["covariance"] = [[0.01]]
    unsure = run(data, FOLDER)["half_band"][0]
    assert sure == pytest.approx(0.2)
    assert unsure[0] == pytest.approx(0.2), "the gain does not act at the start"
    level = run(data, FOLDER)["predictions"][0]
    gained = run(data | {"parameters": data["parameters"] | {"gain": 1.6}, "known": data["known"] | {"values": [1.6]}}, FOLDER)
    assert unsure == pytest.approx(2 * np.sqrt(0.1**2 + (gained["predictions"][0] - level) ** 2), rel=1e-6)


def test_a_model_that_diverges_for_some_values_is_still_fitted(payload, tmp_path):
    (tmp_path / "lag.py").write_text(
        "def rhs(t, x, u, p):\n    return [(p[1] * u[0] - x[0]) / p[0] if p[0] < 500 else 1e300 * x[0] * 1e300]\n"
    )
    assert run(payload(), tmp_path)["values"][0] == pytest.approx(60, rel=0.1)
