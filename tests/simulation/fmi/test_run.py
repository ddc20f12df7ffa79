"""FMUs by themselves: analytic solutions, FMPy's results, grids, inputs, types, and every way to fail."""

from __future__ import annotations

import math

import numpy as np
import pytest

from twinwright.errors import UnitError, UsageError
from twinwright.simulation.child import Limits


def fmpy_result(path, **options):
    import fmpy

    return fmpy.simulate_fmu(str(path), fmi_call_logger=None, **options)


def write_inputs(path, header, rows):
    path.write_text("\n".join([header, *(",".join(str(cell) for cell in row) for row in rows)]))
    return path


def test_a_run_begins_at_the_start_and_ends_at_the_stop(run):
    for stop, step in ((1.0, 0.1), (1.0, 0.3), (0.25, 1.0)):
        times = run("lag2", start=0.125, stop=stop, step=step)["outputs"]["y"]["times"]
        assert times[0] == 0.125 and times[-1] == stop
        assert np.diff(times).max() <= step + 1e-12


def test_without_arguments_the_default_experiment_is_run(run):
    answer = run("ball3")
    assert list(answer["outputs"]) == ["h", "v", "bounces"]
    times = answer["outputs"]["h"]["times"]
    assert (times[0], times[-1], len(times)) == (0.0, 3.0, 301)
    assert answer["outputs"]["h"]["unit"] == "m" and answer["outputs"]["v"]["unit"] == "m/s"


def test_an_fmu_that_takes_equal_steps_only_gets_them(run, fmus, changed):
    fixed = changed(
        fmus / "lag2.fmu", {"modelDescription.xml": lambda xml: xml.replace(b'canHandleVariableCommunicationStepSize="true"', b"")}
    )
    answer = run(fixed, stop=1.0, step=0.3)
    times = answer["outputs"]["y"]["times"]
    assert np.diff(times) == pytest.approx([0.25] * 4) and times[-1] == 1.0
    assert "0.25 s, which divides the time" in answer["warnings"][0]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("rk4", 4)])
def test_a_fixed_step_converges_with_the_order_of_its_method(run, version, method, order):
    steps = [0.25, 0.125, 0.0625]
    settings = {"u": "1", "T": "1"}
    errors = []
    for step in steps:
        answer = run(f"lag{version}", kind="me", method=method, stop=2.0, step=step, settings=settings)
        errors.append(abs(answer["outputs"]["y"]["values"][-1] - (1 - math.exp(-2.0))))
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("method", ["dopri5", "Radau", "BDF", "LSODA"])
def test_an_adaptive_method_keeps_to_its_tolerance(run, method):
    answer = run("lag3", kind="me", method=method, tolerance=1e-9, stop=4.0, step=1.0, settings={"u": "1", "T": "0.5"})
    exact = [1 - math.exp(-2 * t) for t in answer["outputs"]["y"]["times"]]
    assert answer["outputs"]["y"]["values"] == pytest.approx(exact, abs=2e-8)


@pytest.mark.parametrize("version", [2, 3])
def test_the_ball_bounces_when_it_should(run, version):
    """h = 1 - g t^2 / 2 until sqrt(2 / g), then up with 0.7 of the speed."""
    answer = run(f"ball{version}", kind="me", stop=1.0, step=0.05)
    first = math.sqrt(2 / 9.81)
    for t, h, v in zip(*(answer["outputs"][name][key] for name, key in (("h", "times"), ("h", "values"), ("v", "values"))), strict=True):
        if t < first:
            assert (h, v) == pytest.approx((1 - 9.81 * t * t / 2, -9.81 * t), abs=1e-7)
        else:
            up = 0.7 * 9.81 * first
            assert (h, v) == pytest.approx((up * (t - first) - 9.81 * (t - first) ** 2 / 2, up - 9.81 * (t - first)), abs=1e-7)


@pytest.mark.parametrize("name", ["lag2", "lag3", "ball2", "ball3"])
def test_co_simulation_equals_fmpy(run, fmus, tmp_path, name):
    times = np.linspace(0, 3, 61)
    table = write_inputs(tmp_path / "in.csv", "time,u", np.column_stack([times, np.sin(times)])) if name.startswith("lag") else None
    signal = np.array(list(zip(times, np.sin(times), strict=True)), [("time", float), ("u", float)]) if table else None
    ours = run(name, stop=3.0, step=0.02, inputs=table)
    theirs = fmpy_result(fmus / f"{name}.fmu", stop_time=3.0, output_interval=0.02, step_size=0.02, input=signal, fmi_type="CoSimulation")
    for output, given in ours["outputs"].items():
        assert given["times"] == pytest.approx(theirs["time"], abs=1e-12)
        assert given["values"] == pytest.approx(theirs[output], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["lag2", "lag3"])
def test_model_exchange_by_euler_equals_fmpy(run, fmus, tmp_path, name):
    times = np.linspace(0, 3, 31)
    table = write_inputs(tmp_path / "in.csv", "time,u", np.column_stack([times, np.cos(times)]))
    signal = np.array(list(zip(times, np.cos(times), strict=True)), [("time", float), ("u", float)])
    ours = run(name, kind="me", method="euler", stop=3.0, step=0.02, inputs=table)
    theirs = fmpy_result(fmus / f"{name}.fmu", stop_time=3.0, output_interval=0.02, step_size=0.02, input=signal,
                         fmi_type="ModelExchange", solver="Euler")  # fmt: skip
    assert ours["outputs"]["y"]["values"] == pytest.approx(theirs["y"], rel=1e-9, abs=1e-9)


def test_a_jump_of_an_input_is_met_exactly(run, tmp_path):
    table = write_inputs(tmp_path / "in.csv", "time,u", [(0, 0), (1.05, 0), (1.05, 1), (5, 1)])
    for version in (2, 3):
        answer = run(f"lag{version}", kind="me", tolerance=1e-10, stop=3.0, step=0.1, inputs=table, settings={"T": "1"})["outputs"]["y"]
        exact = [1 - math.exp(-max(0.0, t - 1.05)) for t in answer["times"]]
        assert answer["values"] == pytest.approx(exact, abs=1e-8)
        assert len(answer["times"]) == 31
    stepwise = run("lag2", stop=3.0, step=0.1, inputs=table)["outputs"]["y"]["values"]
    assert stepwise[10] == 0.0 and stepwise[11] == pytest.approx(0.05 / 2)


@pytest.mark.parametrize("kind", ["cs", "me"])
@pytest.mark.parametrize("version", [2, 3])
def test_values_of_every_type_go_in_and_out(run, tmp_path, version, kind):
    header = "time,real_in,int_in,bool_in,mode_in,text_in" + (",bytes_in" if version == 3 else "")
    rows = [(0, 0.5, -3, "false", "off", "a"), (2, 0.5, 7, "true", "cooling", "b c")]
    table = write_inputs(
        tmp_path / "in.csv", header, [(*row, code) if version == 3 else row for row, code in zip(rows, ("00ff", "a1b2c3"), strict=True)]
    )
    answer = run(f"signals{version}", kind=kind, step=1.0, inputs=table)
    outputs = {name: given["values"] for name, given in answer["outputs"].items()}
    assert outputs["real_out"] == [0.5] * 5
    late = 1 if kind == "cs" else 0  # co-simulation shows what was given to the step that ends there
    assert outputs["int_out"] == ([-3, -3, -3, 7, 7] if late else [-3, -3, 7, 7, 7])
    assert outputs["bool_out"] == [one == 7 for one in outputs["int_out"]]
    assert outputs["mode_out"] == [3 if one == 7 else 1 for one in outputs["int_out"]]
    assert outputs["ticks"] == [0, 1, 2, 3, 4]
    assert outputs["text_out"][0] == "a, 0 ticks" and outputs["text_out"][-1] == "b c, 4 ticks"
    if version == 3:
        assert outputs["bytes_out"][0] == "ff00" and outputs["bytes_out"][-1] == "c3b2a1"


@pytest.mark.parametrize("kind", ["cs", "me"])
def test_arrays_have_the_size_that_a_structural_parameter_gives(run, tmp_path, kind):
    answer = run("arrays3", kind=kind, stop=1.0, step=0.5)["outputs"]
    assert [len(row) for row in answer["level"]["values"]] == [3, 3, 3]
    assert answer["grid"]["values"][-1] == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    table = write_inputs(tmp_path / "in.csv", "time,inflow[2]", [(0, 1)])
    settings = {"n": "2", "drain": "0", "level[1]": "5"}
    wide = run("arrays3", kind=kind, stop=1.0, step=0.5, settings=settings, inputs=table)["outputs"]
    assert wide["level"]["values"] == [pytest.approx([5.0, 1.0]), pytest.approx([5.0, 1.5]), pytest.approx([5.0, 2.0])]
    assert wide["total"]["values"][-1] == pytest.approx(7.0)


def test_start_values_are_given_in_units_of_the_fmu_or_of_ours(run):
    plain = run("lag3", settings={"T": "6", "u": "2000"})["outputs"]
    assert run("lag3", settings={"T": "0.1 min", "u": "2 kW"})["outputs"] == plain
    assert run("lag3", settings={"T": "6000 ms", "u": "2e6 mW"})["outputs"]["y"]["values"] == pytest.approx(plain["y"]["values"])
    warm = run("lag3", settings={"x": "20 degC"})["outputs"]["y"]["values"]
    assert warm[0] == pytest.approx(293.15)
    with pytest.raises(UnitError, match=r"--set T.*kg"):
        run("lag3", settings={"T": "6 kg"})


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"settings": {"tau": "1"}}, "no variable 'tau'"),
        ({"settings": {"T": "warm"}}, "'warm' is not a number"),
        ({"stop": -1.0}, "no time to simulate"),
        ({"step": 0.0}, "a step of 0 s"),
        ({"stop": 1e9, "step": 1e-3}, "samples"),
        ({"kind": "se"}, "can't be run as se"),
    ],
)
def test_a_wrong_request_is_told_before_anything_runs(run, request_, message):
    with pytest.raises(UsageError, match=message):
        run("lag2", **request_)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,u\n0,1\n1,x", r":3.*'x' is not a number"),
        ("time,u\n0,1\n1", r":3.*1 cells where the header has 2"),
        ("time,u\n1,1\n0,1", r":3.*time 0 comes after 1"),
        ("time,y\n0,1", "no input 'y'"),
        ("time,u", "has no values"),
        ("time;u\n0;1\n", "has semicolons between its cells"),
        ("time,u,u\n0,1,2\n", "'u' has two columns"),
        ("time,u\n0,nan", "not finite"),
    ],
)
def test_a_wrong_input_file_is_told_with_its_line(run, tmp_path, text, message):
    (tmp_path / "in.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        run("lag2", inputs=tmp_path / "in.csv")


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        (1, "crashed", "SIGSEGV"),
        (2, "timeout", "still running"),
        (3, "memory", ""),
        (4, "nan", "'y' is nan at t = 1 s"),
        (5, "exited", "exit code 3"),
        (6, "raised", "fmi2DoStep answered Error at t = 0.9"),
        (7, "raised", "fmi2DoStep answered Fatal"),
        (8, "raised", "can't do this step"),
    ],
)
def test_each_failure_is_told_by_its_kind(run, fault, kind, message):
    limits = Limits(wall_seconds=1.0 if kind == "timeout" else 60.0, memory_bytes=64 << 20)
    answer = run("bad2", settings={"fault": str(fault)}, limits=limits)
    assert (answer["status"], answer["failure"]["kind"]) == ("failed", kind)
    assert message in answer["failure"]["message"]


def test_what_an_fmu_prints_is_in_the_log_of_the_run_and_it_sees_no_environment(run):
    assert "step 2" in run("bad2", settings={"fault": "9"})["log"]
    assert "home: unknown" in run("bad2", settings={"fault": "10"})["log"]


def test_a_missing_function_and_a_lying_description_are_told(run):
    missing = run("missing2")["failure"]
    assert missing["kind"] == "refused" and "lacks fmi2Instantiate" in missing["message"]
    lying = run("lying2")["failure"]
    assert lying["kind"] == "raised" and "no variable 7" in lying["message"]


def test_equal_runs_have_equal_digests_and_bytes(run):
    first, again, other = run("ball2"), run("ball2"), run("ball2", settings={"e": "0.5"})
    assert first["digest"] == again["digest"] != other["digest"]
    assert first["outputs"] == again["outputs"] != other["outputs"]


def test_what_runs_in_the_child_runs_here_the_same(run, fmus, tmp_path, monkeypatch):
    """Without a process between: what the child computes is what the answer says."""
    from twinwright.simulation.child import Cost, Success
    from twinwright.simulation.fmi import simulate

    table = write_inputs(tmp_path / "in.csv", "time,int_in,text_in", [(0, 1, "a"), (2, 2, "b")])
    apart = [run("signals2", inputs=table), run("ball3", kind="me"), run("arrays3", settings={"n": "2"})]

    def here(sandbox, entry, payload, *, files, prepare_payload, **_):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return Success(simulate.run_child(payload, folder), "", Cost())

    monkeypatch.setattr(simulate.Sandbox, "run", here)
    again = [run("signals2", inputs=table), run("ball3", kind="me"), run("arrays3", settings={"n": "2"})]
    assert [(one["outputs"], one["digest"]) for one in apart] == [(one["outputs"], one["digest"]) for one in again]


def test_an_fmu_without_outputs_says_so_and_records_what_is_named(run, fmus, changed):
    """Many tools export a model's variables as local ones alone."""
    path = changed(fmus / "lag2.fmu", {"modelDescription.xml": lambda xml: xml.replace(b'causality="output"', b'causality="local"')})
    done = run(path, stop=1.0, step=0.5)
    assert done["status"] == "ok" and done["outputs"] == {}
    assert "has no variable of causality output" in done["warnings"][0] and "--record" in done["warnings"][0]
    done = run(path, stop=1.0, step=0.5, settings={"x": "8"}, record=["x", "T"])
    assert done["warnings"] == [] and list(done["outputs"]) == ["x", "T"]
    assert done["outputs"]["x"] == {"times": [0.0, 0.5, 1.0], "values": [8.0, 6.0, 4.5], "unit": "K"}
    with pytest.raises(UsageError, match="no variable 'w'"):
        run(path, record=["w"])


def test_a_stiff_model_is_integrated_by_bdf_unless_a_method_is_given(run):
    """T = 1 ns over a second: an explicit method would take 300 million steps."""
    given = {"kind": "me", "settings": {"T": "1e-9", "u": "1 kW"}, "stop": 1.0, "step": 0.5}
    done = run("lag2", **given)
    assert done["status"] == "ok" and "integrated by BDF" in done["warnings"][0]
    assert done["outputs"]["y"]["values"] == pytest.approx([0.0, 1000.0, 1000.0], rel=1e-5)
    failed = run("lag2", method="dopri5", **given)
    assert failed["status"] == "failed" and "the model is stiff" in failed["failure"]["message"]


def test_samples_that_are_thinned_leave_the_steps_as_they_are(run, fmus, changed):
    """By the default step there would be 200,000 samples. The example steps by Euler, so its result tells how long its steps were."""
    path = changed(
        fmus / "lag2.fmu",
        {"modelDescription.xml": lambda xml: xml.replace(b'stopTime="10" stepSize="0.01"', b'stopTime="1" stepSize="5e-6"')},
    )
    done = run(path, settings={"u": "1"}, kind="cs")
    assert "every 1e-05 s is recorded" in done["warnings"][0] and len(done["outputs"]["y"]["times"]) == 100_001
    assert done["outputs"]["y"]["values"][-1] == pytest.approx(1.0 - (1.0 - 5e-6 / 2.0) ** 200_000, rel=1e-11)


@pytest.mark.parametrize(("name", "version"), [("y", 2), ("der(x)", 3)])
def test_what_cannot_be_set_is_a_mistake_of_who_asks(run, name, version):
    with pytest.raises(UsageError, match=r"can't be set: its causality is"):
        run(f"lag{version}", settings={name: "1"})
