"""Scenarios become stored runs that can be verified, compared and explained."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from twinwright.clock import SECOND, from_iso
from twinwright.errors import ForbiddenError, NotFoundError, StoreError, UsageError
from twinwright.governance.principals import Principal
from twinwright.simulation.observed_inputs import Observed
from twinwright.simulation.outcomes import Limits
from twinwright.simulation.resolve import resolve
from twinwright.simulation.runs import reusable

START = from_iso("2026-03-01T08:00:00Z")


def run_one(service, admin, model, scenario, more=""):
    definition = model()
    (run,) = service.simulate(admin, scenario(definition, more), definition)["runs"]
    return run


def test_a_scenario_gives_a_stored_run_with_units_log_and_findings(service, admin, model, scenario, tmp_path, texts):
    run = run_one(service, admin, model, scenario, 'constraints: ["y < 9.5 V", "y > 5500 mV"]')
    assert run["status"] == "ok" and run["failure"] is None
    y = run["outputs"]["y"]
    assert y["unit"] == "V" and len(y["times"]) == len(y["values"]) == 31
    assert (y["times"][0], y["times"][-1]) == ("2026-03-01T08:00:00Z", "2026-03-01T08:02:00Z")
    assert y["values"][0] == 5.0  # the last level observed by the beginning
    kept, violated = run["constraints"]
    assert kept == {"constraint": "y < 9.5 V", "kept": True}
    assert violated["kept"] is False and violated["first_violated"] == "2026-03-01T08:00:00Z" and violated["unit"] == "mV"
    assert violated["worst"] == pytest.approx(5500 - 1000 * min(y["values"]))
    (folder,) = (tmp_path / "runs" / "batches").iterdir()
    assert {one.name for one in folder.iterdir()} == {"runs.parquet", "outputs.parquet", "states.parquet"}
    table = pq.read_table(folder / "outputs.parquet")
    assert table.schema.field("y").metadata == {b"unit": b"V"}
    assert table.column("y").to_pylist() == y["values"]
    (code,) = (tmp_path / "runs" / "models").glob("*/artefact/tanks.py")
    assert code.read_text() == texts.TANKS_PY
    table = pq.read_table(folder / "runs.parquet")
    (common,) = json.loads(table.schema.metadata[b"twinwright.common"])
    own = json.loads(table["record"][0].as_py())
    record = common | own
    assert "versions" not in own and service.show(admin, run["id"]).items() >= record.items()
    assert record["parameters"]["k1"] == {"value": 0.5, "unit": "V**0.5/s"}
    assert record["principal"] == "local-admin" and record["versions"]["numba"] and record["cost"]["cpu_seconds"] > 0
    assert service.list(admin)["runs"][0]["id"] == run["id"]
    assert service.show(admin, run["id"][:6])["outputs"] == run["outputs"]


def test_inputs_are_converted_to_the_units_of_the_model(service, admin, model, scenario, history):
    definition = model()
    (resolved,) = resolve(scenario(definition), definition, Observed(history, admin, "tanks-1"), service.parameters_for, 0)
    times = resolved.asked.times
    assert np.allclose(resolved.inputs[:, 0], 1.0 + 0.3 * np.sin(times / 20))  # history is in millivolts


def test_a_model_rewritten_in_other_units_gives_the_same_answer(service, admin, model, scenario, texts):
    volts = run_one(service, admin, model, scenario)["outputs"]["y"]
    scaled = texts.TANKS.replace("{property: pump_voltage, unit: V, range: [0, 10]", "{property: pump_voltage, unit: mV, range: [0, 10000]")
    scaled = scaled.replace("{property: level, unit: V, range: [0, 10]}", "{property: level, unit: mV, range: [0, 10000]}")
    scaled = scaled.replace("validity: {u: [0, 1.5]}", "")
    code = texts.TANKS_PY.replace("u[0]", "u[0] / 1000").replace("(x[1],)", "(x[1] * 1000,)")
    definition = model(scaled, tanks_py=code)
    (run,) = service.simulate(admin, scenario(definition), definition)["runs"]
    assert run["outputs"]["y"]["unit"] == "mV"
    assert np.allclose(np.array(run["outputs"]["y"]["values"]) / 1000, volts["values"], rtol=1e-12)


def test_verify_repeats_a_run_byte_for_byte_in_another_process(service, admin, model, scenario):
    run = run_one(service, admin, model, scenario)
    assert service.verify(admin, run["id"]) == {"id": run["id"], "digest": run["digest"], "verified": True, "reason": None}


def test_verify_finds_a_changed_artefact_output_or_parameter(service, admin, model, scenario, tmp_path, texts):
    run = run_one(service, admin, model, scenario)
    (folder,) = (tmp_path / "runs" / "batches").iterdir()
    kept = pq.read_table(folder / "runs.parquet")
    changed = kept["record"][0].as_py().replace('"value":0.5', '"value":0.6')
    assert changed != kept["record"][0].as_py()
    pq.write_table(kept.set_column(1, "record", [[changed]]), folder / "runs.parquet")
    assert "what is stored was changed" in service.verify(admin, run["id"])["reason"]
    pq.write_table(kept, folder / "runs.parquet")
    (code,) = (tmp_path / "runs" / "models").glob("*/artefact/tanks.py")
    code.write_text(texts.TANKS_PY + "\n")
    assert service.verify(admin, run["id"])["verified"] is False
    code.write_text(texts.TANKS_PY)
    table = pq.read_table(folder / "outputs.parquet")
    y = table.column("y").to_numpy().copy()
    y[7] = np.nextafter(y[7], 9.0)
    pq.write_table(table.set_column(2, table.schema.field("y"), [y]), folder / "outputs.parquet")
    assert "output 'y' differs first at 2026-03-01T08:00:28Z" in service.verify(admin, run["id"])["reason"]
    (folder / "outputs.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError):
        service.verify(admin, run["id"])


def test_a_failed_run_is_verified_when_it_fails_again_in_the_same_way(service, admin, simple, scenario):
    definition = simple("return (p[0] / (x[0] - 1.0),)")
    (run,) = service.simulate(admin, scenario(definition), definition)["runs"]
    assert run["status"] == "failed" and run["failure"]["kind"] == "nan" and run["outputs"] == {}
    assert service.verify(admin, run["id"])["verified"] is True
    assert reusable(service.show(admin, run["id"]))


def test_the_digest_changes_with_parameter_input_and_seed_and_not_with_limits_or_constraints(service, admin, model, scenario, history):
    definition = model()
    base = scenario(definition)

    def digest(one):
        return resolve(one, definition, Observed(history, admin, one.twin), service.parameters_for, 0)[0].digest

    same = [replace(base, limits=Limits(1.0, 1 << 40)), scenario(definition, 'constraints: ["y < 1 V"]'), replace(base, name="other")]
    other = [
        replace(base, seed=1),
        scenario(definition, "parameters: {k1: 0.51}"),
        scenario(definition, "inputs: {u: {scale: 1.01}}"),
        replace(base, horizon=base.horizon - 4 * SECOND),
    ]
    assert {digest(one) for one in same} == {digest(base)}
    assert len({digest(base), *(digest(one) for one in other)}) == 1 + len(other)
    assert len(digest(base)) == 64


def test_the_digest_changes_with_a_late_correction_of_the_observed_start(service, admin, model, scenario, history):
    definition = model()
    first = resolve(scenario(definition), definition, Observed(history, admin, "tanks-1"), service.parameters_for, 0)[0]
    history.put("tanks-1", "level", [-7.0, -0.5], [3.0, 5.25], "V")
    second = resolve(scenario(definition), definition, Observed(history, admin, "tanks-1"), service.parameters_for, 0)[0]
    assert (first.asked.states, second.asked.states) == ({"x2": 5.0}, {"x2": 5.25})
    assert first.digest != second.digest


def test_a_sweep_runs_every_point_of_its_grid(service, admin, model, scenario):
    definition = model()
    question = scenario(definition, "sweep: {u.scale: [0.8, 1.0, 1.2], k1: [0.4, 0.5]}")
    seen = []
    runs = service.simulate(admin, question, definition, progress=lambda done, total: seen.append((done, total)))["runs"]
    assert [run["sweep"] for run in runs] == [{"u.scale": s, "k1": k} for s in (0.8, 1.0, 1.2) for k in (0.4, 0.5)]
    assert len({run["digest"] for run in runs}) == 6 and seen[-1] == (6, 6)
    last = [run["outputs"]["y"]["values"][-1] for run in runs]
    assert last[0] < last[2] < last[4]  # more flow, higher level
    assert runs[3]["parameters"]["k1"]["value"] == 0.5


def test_inputs_can_be_constant_shifted_or_of_a_file_with_units(service, admin, model, scenario, history, tmp_path):
    definition = model()
    (tmp_path / "u.csv").write_text("time,value\n-4,500\n8,700\n")

    def inputs(more):
        one = scenario(definition, more)
        return resolve(one, definition, Observed(history, admin, "tanks-1"), service.parameters_for, 0)[0].inputs[:, 0]

    replayed = inputs("inputs: {u: replay}")
    assert np.allclose(inputs("inputs: {u: {constant: 1500, unit: mV, add: 100}}"), 1.6)
    assert np.allclose(inputs("inputs: {u: {scale: 2, add: 100, unit: mV}}"), replayed * 2 + 0.1)
    assert np.allclose(inputs("inputs: {u: {series: u.csv, unit: mV}}")[:4], [0.5, 0.5, 0.7, 0.7])
    assert np.allclose(inputs("inputs: {u: {series: u.csv, unit: mV}}\nsweep: {u.add: [1000]}")[:3], [1.5, 1.5, 1.7])


def test_members_of_an_ensemble_do_not_depend_on_its_size(service, admin, model, scenario, records):
    definition = model()
    body = {
        "id": "fit-1",
        "model": "tanks",
        "model_version": "1.0.0",
        "parameters": {
            "k1": {"value": 0.5, "low": 0.4, "high": 0.6, "unit": "V**0.5/s"},
            "k2": {"value": 0.4, "low": 0.38, "high": 0.42, "unit": "V**0.5/s"},
        },
        "order": ["k1", "k2"],
        "covariance": [[0.09, 0.0], [0.0, 0.0001]],
    }
    records.put_record(admin, "parameter-set", "fit-1", body)
    records.put_record(admin, "promotion", "tanks", {"parameter_set": "fit-1"})

    def members(size, seed=7):
        return service.simulate(admin, scenario(definition, f"ensemble: {{size: {size}, seed: {seed}}}"), definition)["runs"]

    few, many, others = members(3), members(12), members(3, seed=8)
    assert [run["digest"] for run in few] == [run["digest"] for run in many[:3]]
    assert len({run["digest"] for run in many + others}) == 15
    k1 = np.array([run["parameters"]["k1"]["value"] for run in many])
    assert k1.std() > 0.05 and k1.min() >= 0.1 and k1.max() <= 1.0
    assert [run["member"] for run in few] == [0, 1, 2]


def test_promoted_parameters_are_used_and_their_absence_is_told(service, admin, model, scenario, records):
    warned = run_one(service, admin, model, scenario)
    assert any("no parameters are promoted for tanks" in one for one in warned["warnings"])
    body = {
        "id": "fit-2",
        "model": "tanks",
        "model_version": "0.9.0",
        "parameters": {"k1": {"value": 0.55, "unit": "V**0.5/s"}, "gone": {"value": 1.0, "unit": None}},
        "covariance": None,
        "order": [],
    }
    records.put_record(admin, "parameter-set", "fit-2", body)
    records.put_record(admin, "promotion", "tanks", {"parameter_set": "fit-2"})
    run = run_one(service, admin, model, scenario)
    assert run["parameters"]["k1"]["value"] == 0.55
    assert any("of version 0.9.0" in one for one in run["warnings"]) and any("'gone'" in one for one in run["warnings"])
    assert service.show(admin, run["id"])["parameter_set"] == "fit-2"
    assert run_one(service, admin, model, scenario, "parameters: fit-2")["digest"] == run["digest"]
    with pytest.raises(NotFoundError):
        run_one(service, admin, model, scenario, "parameters: none-such")
    with pytest.raises(UsageError, match="calibrated distribution"):
        run_one(service, admin, model, scenario, "ensemble: {size: 2}")


def test_parameters_of_another_model_are_refused(service, admin, model, scenario, records):
    body = {"id": "fit-3", "model": "pump", "model_version": "1", "parameters": {}, "covariance": None, "order": []}
    records.put_record(admin, "parameter-set", "fit-3", body)
    with pytest.raises(NotFoundError, match="is of the model 'pump'"):
        run_one(service, admin, model, scenario, "parameters: fit-3")


def test_given_parameters_are_converted(service, admin, model, scenario):
    given = run_one(service, admin, model, scenario, 'parameters: {k1: {value: 30, unit: "V**0.5/min"}, x1_0: {value: 4000, unit: mV}}')
    assert given["parameters"]["k1"]["value"] == pytest.approx(0.5) and given["parameters"]["x1_0"]["value"] == pytest.approx(4.0)


def test_leaving_range_or_validity_is_told_with_when(service, admin, model, scenario):
    run = run_one(service, admin, model, scenario, "inputs: {u: {scale: 1.3}}\nparameters: {k1: 2}")
    told = "\n".join(run["warnings"])
    assert "'u' leaves its validity [0, 1.5] at 2026-03-01T08:00:" in told
    assert "parameter 'k1' = 2 lies outside its bounds [0.1, 1]" in told


def test_gaps_and_ends_of_an_input_are_told(service, admin, model, scenario, history):
    history.put("tanks-1", "pump_voltage", [-2, 0, 2, 80, 82], np.ones(5), "V")
    told = "\n".join(run_one(service, admin, model, scenario)["warnings"])
    assert "input 'u' has a gap of PT1M18S from 2026-03-01T08:00:02Z to 2026-03-01T08:01:20Z" in told
    history.put("tanks-1", "pump_voltage", [-2, 0, 2], np.ones(3), "V")
    told = "\n".join(run_one(service, admin, model, scenario)["warnings"])
    assert "input 'u' ends at 2026-03-01T08:00:02Z: its last value is held for the remaining PT1M58S" in told


def test_bad_values_are_passed_over(service, admin, model, scenario, history):
    history.put("tanks-1", "level", [-7.0, -1.0], [3.0, np.nan], "V")
    assert run_one(service, admin, model, scenario)["outputs"]["y"]["values"][0] == 3.0


@pytest.mark.parametrize(
    ("path", "times", "said"),
    [
        ("pump_voltage", [4.0], "input 'u' has no value at 2026-03-01T08:00:00Z: the first value is of 2026-03-01T08:00:04Z"),
        ("pump_voltage", [], "input 'u' has no value at 2026-03-01T08:00:00Z: there is none"),
        ("level", [4.0], "state 'x2' starts at the observed 'level', and nothing is observed of it by 2026-03-01T08:00:00Z"),
    ],
)
def test_what_is_missing_at_the_beginning_is_named_with_where_and_remedy(service, admin, model, scenario, history, path, times, said):
    history.put("tanks-1", path, times, np.ones(len(times)), "V")
    with pytest.raises(UsageError) as caught:
        run_one(service, admin, model, scenario)
    assert caught.value.what == said
    assert caught.value.where == f"twin tanks-1, path {path}" and "ingest older data" in caught.value.remedy


def test_a_state_without_a_property_to_start_from_says_so(service, admin, model, scenario, history):
    del history.held["tanks-1", "level"]
    with pytest.raises(NotFoundError, match="state 'x2' has nowhere to start"):
        run_one(service, admin, model, scenario)


def test_now_is_the_time_of_the_clock(service, admin, model, scenario):
    definition = model()
    question = replace(scenario(definition), start=None)
    (run,) = service.simulate(admin, question, definition)["runs"]
    assert from_iso(run["outputs"]["y"]["times"][0]) == START + 3600 * SECOND
    assert any("input 'u' ends at" in one for one in run["warnings"])


def test_a_horizon_shorter_than_a_step_is_refused(service, admin, model, scenario):
    definition = model()
    with pytest.raises(UsageError, match="shorter than one step"):
        service.simulate(admin, replace(scenario(definition), horizon=SECOND), definition)


def test_a_failed_run_is_kept_and_the_others_of_a_sweep_finish(service, admin, simple, scenario):
    definition = simple("return (1.0 / (p[0] - 0.2),)")
    runs = service.simulate(admin, scenario(definition, "sweep: {k: [0.1, 0.2, 0.3]}"), definition)["runs"]
    assert [run["status"] for run in runs] == ["ok", "failed", "ok"]
    assert runs[1]["failure"]["kind"] == "nan" and "state 'x' is" in runs[1]["failure"]["message"]
    assert service.show(admin, runs[1]["id"])["outputs"] == {}


def test_what_the_machine_failed_at_is_never_reusable(service, admin, simple, scenario):
    definition = simple("while True:\n    pass\nreturn (0.0,)")
    (run,) = service.simulate(admin, scenario(definition, "limits: {wall: PT1S}"), definition)["runs"]
    assert run["failure"]["kind"] == "timeout"
    assert not reusable(service.show(admin, run["id"]))


def test_compare_names_the_first_differing_input(service, admin, model, scenario):
    a = run_one(service, admin, model, scenario)
    b = run_one(service, admin, model, scenario)
    c = run_one(service, admin, model, scenario, "inputs: {u: {scale: 1.5}}")
    d = run_one(service, admin, model, scenario, "parameters: {k1: 0.6}")
    e = run_one(service, admin, model, scenario, "seed: 4")
    compared = service.compare(admin, a["id"], b["id"])
    assert compared["same"] and compared["first_difference"] is None and compared["largest_distance"] == {"y": 0.0}
    compared = service.compare(admin, a["id"], c["id"])
    assert not compared["same"] and compared["largest_distance"]["y"] > 0.1
    assert compared["first_difference"] == {"what": "input u", "t": 0.0, "a": 1.0, "b": 1.5}
    assert service.compare(admin, a["id"], d["id"])["first_difference"] == {
        "what": "parameter k1",
        "a": service.show(admin, a["id"])["parameters"]["k1"],
        "b": service.show(admin, d["id"])["parameters"]["k1"],
    }
    assert service.compare(admin, a["id"], e["id"])["first_difference"]["what"] == "seed"


def test_a_reader_may_look_and_not_run(service, admin, model, scenario):
    reader = Principal("guest", frozenset({"reader"}))
    run = run_one(service, admin, model, scenario)
    with pytest.raises(ForbiddenError):
        run_one(service, reader, model, scenario)
    assert service.show(reader, run["id"])["id"] == run["id"]


@pytest.mark.parametrize("id", ["", "../../etc", "ffff", "xyz"])
def test_an_unknown_run_is_not_found(service, admin, id):
    with pytest.raises(NotFoundError):
        service.show(admin, id)


def test_a_run_that_can_not_be_kept_leaves_nothing_behind(service, admin, model, scenario, tmp_path):
    (tmp_path / "runs").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="can't be kept"):
        run_one(service, admin, model, scenario)
    assert service.list(admin)["runs"] == []
