"""Calibrate, validate and promote, as a caller sees them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twinwright.calibration.gate import Policy
from twinwright.calibration.validate import known_of
from twinwright.clock import SECOND, from_iso
from twinwright.errors import ForbiddenError, NotFoundError, StoreError, UsageError
from twinwright.governance.principals import LOCAL_ADMIN, Principal
from twinwright.simulation.child import Limits
from twinwright.simulation.protocol import ModelError
from twinwright.storage.duckdb import DuckDBStore

START = from_iso("2026-03-01T08:00:00Z")
READER = Principal("guest", frozenset({"reader"}))
WRITER = Principal("operator", frozenset({"writer"}))


def later(seconds: float) -> int:
    return START + round(seconds * SECOND)


@pytest.fixture
def fit(service, observe_lag, clock):
    """Calibrate the lag on the first 1000 of 2000 s, or elsewhere."""
    observe_lag()

    def make(start=0, end=1000, **options):
        clock.advance(SECOND)
        return service.calibrate(LOCAL_ADMIN, "lag", twin="lag-1", start=later(start), end=later(end), **{"starts": 3, **options})

    return make


def promote(service, body, **options):
    return service.promote(LOCAL_ADMIN, "lag", body["id"], **options)


def test_the_parameters_of_a_lag_are_recovered_within_their_intervals(fit):
    found = fit()
    for name, truth in {"tau": 60.0, "gain": 1.5, "level_0": 2.0}.items():
        one = found["parameters"][name]
        assert one["low"] < truth < one["high"], name
        assert one["value"] == pytest.approx(truth, rel=0.1)
    assert found["parameters"]["tau"]["unit"] == "s"
    assert found["metrics"]["holdout"]["rmse"] == pytest.approx(0.1, rel=0.3)
    assert found["metrics"]["holdout"]["skill"] > 0.8
    assert found["metrics"]["holdout"]["coverage"] > 0.8
    assert found["metrics"]["baseline"]["name"].startswith("persistence: the last value observed before")
    low, high = found["metrics"]["holdout"]["rmse_interval"]
    assert low < found["metrics"]["holdout"]["rmse"] < high


def test_a_parameter_set_tells_where_it_comes_from(fit, service, records, model_definition):
    found = fit(only=["tau", "gain"])
    stored = records.get_record(LOCAL_ADMIN, "parameter-set", found["id"][:10]).body
    assert json.loads(json.dumps(stored, allow_nan=False)) == stored
    assert stored["order"] == ["tau", "gain"]
    assert np.array(stored["covariance"]).shape == (2, 2)
    assert (stored["only"], stored["fixed"]) == (["tau", "gain"], ["level_0"])
    assert (
        stored["parameters"]["level_0"] | {"value": 0.0, "low": None, "high": None, "estimated": False} == stored["parameters"]["level_0"]
    )
    assert stored["artefact_digest"] == model_definition("lag").artefact_digest
    assert stored["training"] == {"from": "2026-03-01T08:00:00Z", "to": stored["holdout"]["from"]}
    assert (stored["parent"], stored["looks"], stored["by"], stored["seed"]) == (None, 1, "local-admin", 0)
    assert set(stored["versions"]) >= {"twinwright", "numpy", "scipy", "numba", "python"}


def test_the_same_fit_gives_the_same_values(fit):
    assert fit(seed=4)["parameters"] == fit(seed=4)["parameters"]


def test_a_fit_from_another_set_has_it_as_parent(fit, service, records):
    first = fit(end=600)
    second = fit(parameters=first["id"][:12], only=["tau"])
    assert second["parent"] == first["id"]
    assert second["parameters"]["gain"]["value"] == first["parameters"]["gain"]["value"]
    lineage = service.sets.lineage(LOCAL_ADMIN, records.get_record(LOCAL_ADMIN, "parameter-set", second["id"]).body)
    assert [one["id"] for one in lineage] == [second["id"], first["id"]]


def test_each_look_at_a_holdout_is_counted(fit):
    assert [fit()["looks"], fit(seed=1)["looks"], fit(start=1000, end=2000)["looks"]] == [1, 2, 1]


def test_a_state_may_be_named_to_estimate_where_it_starts(fit, service, model_definition):
    lag = model_definition("lag")
    observed = replace(lag, states=(replace(lag.states[0], start=None, property="level"),))
    by_state = replace(service, model=lambda name: observed)
    found = by_state.calibrate(LOCAL_ADMIN, "lag", twin="lag-1", end=later(1000), only=["tau", "gain", "level"])
    assert found["initial_states"]["level"]["value"] == pytest.approx(2.0, abs=0.2)
    assert found["order"] == ["tau", "gain"], "the order of the covariance, from which parameters are drawn"
    assert np.array(found["covariance"]).shape == (2, 2)
    with pytest.raises(UsageError, match="starts from the parameter 'level_0'"):
        fit(only=["level"])


def test_a_good_first_fit_is_promoted_and_used_by_validate(fit, service):
    found = fit()
    assert promote(service, found)["promoted"]
    assert service.sets.promoted(LOCAL_ADMIN, "lag")["id"] == found["id"]
    validation = service.validate(LOCAL_ADMIN, "lag", twin="lag-1", start=later(1000), end=later(2000))
    assert validation["parameter_set"] == found["id"]
    assert validation["unseen"]
    assert validation["metrics"]["skill"] > 0.8
    assert validation["metrics"]["coverage"] > 0.85
    assert validation["baseline"]["rmse"] > validation["metrics"]["rmse"]
    assert validation["outputs"]["level"]["residuals"]["autocorrelation"] < 0.5
    assert validation["warm_up"]["to"] == "2026-03-01T08:16:40Z"


def test_without_a_holdout_it_is_marked_and_never_promoted(fit, service):
    found = fit(holdout=0)
    assert (found["metrics"]["holdout"], found["holdout"], found["looks"]) == (None, None, 0)
    assert any("no holdout was kept" in warning for warning in found["warnings"])
    service.validate(LOCAL_ADMIN, "lag", twin="lag-1", start=later(1000), end=later(2000), parameters=found["id"])
    assert promote(service, found) == {
        "promoted": False,
        "reason": "no holdout was kept (--holdout 0): its errors are known only on the data it was fitted to",
        "parameter_set": found["id"],
    }


def test_a_second_fit_judged_by_the_same_holdout_needs_newer_data(fit, service):
    fit()
    second = fit(seed=1)
    refused = promote(service, second)
    assert not refused["promoted"]
    assert "had been looked at before" in refused["reason"]
    service.validate(LOCAL_ADMIN, "lag", twin="lag-1", start=later(1000), end=later(1500), parameters=second["id"])
    assert promote(service, second)["promoted"]


def test_newer_data_that_were_looked_at_are_spent_too(fit, service):
    fit()
    service.validate(LOCAL_ADMIN, "lag", twin="lag-1", start=later(1000), end=later(2000), parameters="declared")
    second = fit(seed=1)
    service.validate(LOCAL_ADMIN, "lag", twin="lag-1", start=later(1200), end=later(1800), parameters=second["id"])
    assert not promote(service, second)["promoted"]


def test_a_holdout_that_an_ancestor_was_fitted_to_does_not_count(fit, service):
    parent = fit(start=500, end=2000)
    child = fit(start=0, end=1500, parameters=parent["id"])
    assert child["looks"] == 1, "its holdout from 1050 to 1500 s was not looked at, but the parent was trained on it"
    assert not promote(service, child)["promoted"]


def test_a_set_without_skill_is_not_promoted(fit, service, reader):
    drive = reader.held["lag-1", "drive"]
    reader.put("lag-1", "drive", drive.times, drive.values[::-1])  # what drives it has nothing to do with what was observed
    refused = promote(service, fit())
    assert not refused["promoted"]
    assert "does not beat the baseline" in refused["reason"]


def test_a_better_set_replaces_the_promoted_one_and_the_old_promotion_stays_readable(fit, service, records, reader):
    level = reader.held["lag-1", "level"]
    reader.put("lag-1", "level", level.times, np.where(level.times < later(700), 1.1 * level.values, level.values))
    poor = fit()
    assert promote(service, poor)["promoted"]
    better = fit(start=1000, end=2000)
    verdict = promote(service, better)
    assert verdict["promoted"]
    assert verdict["reason"].endswith("no worse there than the promoted set")
    assert [one.body["parameter_set"] for one in records.versions(LOCAL_ADMIN, "promotion", "lag")] == [poor["id"], better["id"]]


def test_a_set_worse_than_the_promoted_one_on_the_same_window_is_refused(fit, service, reader):
    good = fit()
    assert promote(service, good)["promoted"]
    spoiled = reader.held["lag-1", "level"]
    trained = (spoiled.times >= later(1000)) & (spoiled.times < later(1700))
    reader.put("lag-1", "level", spoiled.times, np.where(trained, 1.2 * spoiled.values, spoiled.values))
    challenger = fit(start=1000, end=2000)
    verdict = promote(service, challenger)
    assert not verdict["promoted"]
    assert f"worse than the promoted set {good['id'][:12]}" in verdict["reason"]


def test_a_changed_artefact_shuts_the_gate(fit, service, model_definition):
    found = fit()
    changed = replace(model_definition("lag"), artefacts={"lag.py": b"def rhs(t, x, u, p):\n    return [0.0]\n"})
    verdict = replace(service, model=lambda name: changed).promote(LOCAL_ADMIN, "lag", found["id"])
    assert "artefact has changed" in verdict["reason"]


def test_a_promoted_set_of_another_artefact_does_not_stand_in_the_way(fit, service, model_definition):
    assert promote(service, fit())["promoted"]
    lag = model_definition("lag")
    source = lag.artefacts["lag.py"] + b"\n# the same, said again\n"
    changed = replace(service, model=lambda name: replace(lag, artefacts={"lag.py": source}))
    newer = changed.calibrate(LOCAL_ADMIN, "lag", twin="lag-1", start=later(1000), end=later(2000))
    verdict = changed.promote(LOCAL_ADMIN, "lag", newer["id"])
    assert verdict["promoted"]
    assert "of another artefact" in verdict["reason"]


def test_a_parameter_at_its_bound_passes_only_by_policy(fit, service, model_definition):
    lag = model_definition("lag")
    tight = replace(lag, parameters=tuple(replace(one, bounds=(2.0, 50.0)) if one.name == "tau" else one for one in lag.parameters))
    bounded = replace(service, model=lambda name: tight)
    found = bounded.calibrate(LOCAL_ADMIN, "lag", twin="lag-1", end=later(1000))
    assert found["parameters"]["tau"]["at_bound"]
    assert any("tau ended at its upper bound 50" in warning for warning in found["warnings"])
    assert "tau ended at a bound" in bounded.promote(LOCAL_ADMIN, "lag", found["id"])["reason"]
    assert bounded.promote(LOCAL_ADMIN, "lag", found["id"], policy=Policy(allow_at_bound=True))["promoted"]


def test_validation_on_trained_data_says_that_it_is_none(fit, service):
    found = fit()
    validation = service.validate(LOCAL_ADMIN, "lag", twin="lag-1", start=later(100), end=later(600), parameters=found["id"])
    assert not validation["unseen"]
    assert any("data that the fit saw" in warning for warning in validation["warnings"])


def test_a_validation_without_a_past_warms_up_within_its_window(fit, service):
    found = fit()
    validation = service.validate(LOCAL_ADMIN, "lag", twin="lag-1", parameters=found["id"])
    assert any("the first 20% of the window" in warning for warning in validation["warnings"])
    assert validation["warm_up"]["to"] == validation["window"]["from"]


def test_the_declared_values_can_be_judged_before_any_fit(service, observe_lag):
    observe_lag()
    validation = service.validate(LOCAL_ADMIN, "lag", twin="lag-1", start=later(1000), end=later(2000))
    assert validation["parameter_set"] is None
    assert validation["metrics"]["rmse"] > 0.5
    assert validation["metrics"]["coverage"] is not None


def test_a_model_whose_states_start_observed_needs_no_warm_up(service, observe_lag, model_definition):
    observe_lag()
    lag = model_definition("lag")
    observed = replace(
        lag, states=(replace(lag.states[0], start=None, property="level"),), parameters=tuple(p for p in lag.parameters if not p.per_run)
    )
    validation = replace(service, model=lambda name: observed).validate(LOCAL_ADMIN, "lag", twin="lag-1", start=later(1000))
    assert validation["warm_up"] is None
    assert validation["window"]["from"] == "2026-03-01T08:16:40Z"
    assert validation["baseline"]["name"].startswith("persistence: the last value observed before")


@pytest.fixture
def two_sensors(service, observe_lag, reader, model_definition):
    """The same state seen by two sensors, the second with three times the noise and only now and then."""
    observe_lag()
    level = reader.held["lag-1", "level"]
    noise = 0.3 * np.random.default_rng(8).normal(size=level.times[::4].size)
    reader.put("lag-1", "coarse", level.times[::4], level.values[::4] + noise)
    lag = model_definition("lag")
    both = replace(lag, outputs=(lag.outputs[0], replace(lag.outputs[0], name="coarse", property="coarse", state="level")))
    return replace(service, model=lambda name: both)


def test_each_output_has_its_own_errors_and_noise(two_sensors):
    found = two_sensors.calibrate(LOCAL_ADMIN, "lag", twin="lag-1", end=later(1500))
    assert found["parameters"]["tau"]["low"] < 60 < found["parameters"]["tau"]["high"]
    assert found["deviation"]["coarse"] > 2 * found["deviation"]["level"]
    assert found["metrics"]["holdout"]["rmse"] is None, "two outputs have no common unit"
    assert found["metrics"]["holdout"]["skill"] > 0.7
    assert found["outputs"]["holdout"]["coarse"]["metrics"]["count"] < found["outputs"]["holdout"]["level"]["metrics"]["count"]
    verdict = two_sensors.promote(LOCAL_ADMIN, "lag", found["id"])
    assert verdict["promoted"]
    assert "level 0." in verdict["reason"]
    assert "coarse 0." in verdict["reason"]


def test_an_output_that_was_observed_only_later_is_judged_and_not_trained_on(two_sensors, reader):
    coarse = reader.held["lag-1", "coarse"]
    reader.put("lag-1", "coarse", coarse.times[80:], coarse.values[80:])
    found = two_sensors.calibrate(LOCAL_ADMIN, "lag", twin="lag-1")
    assert set(found["outputs"]["train"]) == {"level"}
    assert set(found["outputs"]["holdout"]) == {"level", "coarse"}
    assert found["outputs"]["holdout"]["coarse"]["baseline"]["name"].startswith("persistence: the first value observed in the window")
    assert found["report"]


def test_a_model_that_raises_is_told_by_its_kind(fit, service, model_definition):
    broken = replace(model_definition("lag"), artefacts={"lag.py": b"def rhs(t, x, u, p):\n    raise ValueError('broken')\n"})
    with pytest.raises(ModelError, match=r"lag failed .*\(raised\).*twinwright simulate") as error:
        replace(service, model=lambda name: broken).calibrate(LOCAL_ADMIN, "lag", twin="lag-1")
    assert error.value.kind == "raised"


@pytest.mark.parametrize(
    "answer",
    [
        "7",
        "{'predictions': 'nonsense', 'warnings': []}",
        "{'predictions': [], 'warnings': []}",
        "{'predictions': [p['values'][0]], 'warnings': [1]}",
        "{'predictions': [p['values'][0]], 'warnings': []}",
        "{'predictions': [p['values'][0]], 'warnings': [], 'deviation': 'wide'}",
        "{'predictions': [p['values'][0]], 'warnings': [], 'deviation': ['wide']}",
        "{'predictions': [p['values'][0]], 'warnings': [], 'deviation': [0.1], 'findings': [], 'quantile': '2'}",
        "{'predictions': [p['values'][0] * float('nan')], 'warnings': []}",
    ],
)
def test_a_model_that_answers_for_the_platform_is_refused(service, observe_lag, model_definition, answer):
    observe_lag(count=100)
    forged = b"import twinwright.calibration.fit as fit\nfit.run = lambda p, folder: %s\n" % answer.encode()
    source = forged + b"def rhs(t, x, u, p):\n    return [0.0]\n"
    hostile = replace(service, model=lambda name: replace(model_definition("lag"), artefacts={"lag.py": source}))
    with pytest.raises(ModelError, match="not an answer to what was asked") as error:
        hostile.calibrate(LOCAL_ADMIN, "lag", twin="lag-1")
    assert error.value.kind == "refused"


def test_a_set_of_another_artefact_gives_start_values_in_the_units_of_now(fit, service, model_definition):
    found = fit()
    lag = model_definition("lag")
    minutes = replace(lag, parameters=tuple(replace(one, unit="min", value=1.0) if one.name == "tau" else one for one in lag.parameters))
    known = known_of(minutes, found)
    assert known.values["tau"] == pytest.approx(found["parameters"]["tau"]["value"] / 60)
    assert (known.order, known.deviation) == ((), None)
    assert known_of(lag, found).order == ["tau", "gain"], "where a run begins is not of the model"


def test_a_fit_that_takes_too_long_is_ended(fit, service, model_definition):
    slow = b"import time\ndef rhs(t, x, u, p):\n    time.sleep(1)\n    return [0.0]\n"
    hanging = replace(
        service, model=lambda name: replace(model_definition("lag"), artefacts={"lag.py": slow}), limits=Limits(wall_seconds=5)
    )
    with pytest.raises(ModelError) as error:
        hanging.calibrate(LOCAL_ADMIN, "lag", twin="lag-1")
    assert error.value.kind == "timeout"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": ["tua"]}, r"only: the model lag has no parameter tua\. Name some of: tau, gain, level_0"),
        ({"holdout": 1.0}, r"a holdout of 1\. Give a share"),
        ({"holdout": -0.1}, "a holdout of -0.1"),
        ({"starts": 0}, "0 starts"),
        ({"end": 40}, "At least 9 are needed"),
    ],
)
def test_wrong_input_is_told_with_its_remedy(fit, options, message):
    with pytest.raises(UsageError, match=message):
        fit(**options)


def test_an_unknown_parameter_set_names_those_there_are(fit, service):
    with pytest.raises(NotFoundError, match="Make one with `twinwright calibrate lag`"):
        service.validate(LOCAL_ADMIN, "lag", twin="lag-1", parameters="beef")
    found = fit()
    with pytest.raises(NotFoundError, match=found["id"][:12]):
        promote(service, {"id": "zz"})


def test_a_set_of_another_model_is_refused(fit, service, model_definition):
    found = fit()
    with pytest.raises(NotFoundError, match="belongs to the model lag"):
        service.promote(LOCAL_ADMIN, "tanks", found["id"])


def test_a_set_that_was_changed_in_the_store_is_noticed(fit, service, records):
    found = fit()
    body = records.get_record(LOCAL_ADMIN, "parameter-set", found["id"]).body
    body["parameters"]["tau"]["value"] = 1.0
    with pytest.raises(StoreError, match="not what its id says"):
        promote(service, found)


def test_authority(fit, service):
    found = fit()
    with pytest.raises(ForbiddenError):
        service.calibrate(READER, "lag", twin="lag-1")
    with pytest.raises(ForbiddenError):
        service.validate(READER, "lag", twin="lag-1")
    with pytest.raises(ForbiddenError):
        service.promote(WRITER, "lag", found["id"])


def test_a_model_without_parameters_has_nothing_to_calibrate(service, observe_lag, model_definition):
    observe_lag()
    lag = model_definition("lag")
    bare = replace(lag, parameters=(), states=(replace(lag.states[0], start=0.0),))
    with pytest.raises(UsageError, match="no parameters to estimate"):
        replace(service, model=lambda name: bare).calibrate(LOCAL_ADMIN, "lag", twin="lag-1")


def test_reports_are_written_where_they_are_asked_for(fit, service):
    found = fit()
    assert Path(found["report"]) == service.reports / f"{found['id']}.html"
    assert Path(found["report"]).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_set_survives_the_store_on_disc(service, observe_lag, clock, tmp_path):
    observe_lag()
    store = DuckDBStore(tmp_path / "store.duckdb", clock)
    found = replace(service, records=store).calibrate(LOCAL_ADMIN, "lag", twin="lag-1", end=later(1000), starts=2)
    store.close()
    again = DuckDBStore(tmp_path / "store.duckdb", clock)
    try:
        reopened = replace(service, records=again)
        assert reopened.promote(LOCAL_ADMIN, "lag", found["id"][:8])["promoted"]
        promoted = reopened.sets.promoted(LOCAL_ADMIN, "lag")
        assert promoted["parameters"] == found["parameters"]
        assert [look.first for look in reopened.sets.looks_of(LOCAL_ADMIN, promoted)] == [True]
    finally:
        again.close()
