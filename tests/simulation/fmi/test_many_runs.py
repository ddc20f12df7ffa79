"""Runs of one FMU that share processes: each is what it is alone, and what fails fails alone."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import msgspec
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.simulation.children import templates

from twinwright.simulation import executor, sandbox
from twinwright.simulation.child import Failure, Limits, Success, shared_sandbox
from twinwright.simulation.executor import Work, run_all, run_one
from twinwright.simulation.fmi.session import Unit
from twinwright.simulation.registry import load_model
from twinwright.simulation.sandbox import _ENVIRONMENT

COUNT, HEAP, FILES, OPEN_FILES, LOG_SIZE, SPY = range(1, 7)
CRASH, HANG, LEAK, NAN, EXIT, ERROR, FATAL = range(1, 8)
KINDS = {CRASH: "crashed", HANG: "timeout", LEAK: "memory", NAN: "nan", EXIT: "exited", ERROR: "raised", FATAL: "raised"}
TIMES = np.arange(0.0, 2.5, 0.5)


def works(definition, parameters, limits=None):
    """A run for each value of the model's only parameter."""
    (name,) = [one.name for one in definition.parameters]
    payload = {"model": definition.as_data(), "states": {}, "times": TIMES, "inputs": np.zeros((TIMES.size, len(definition.inputs)))}
    limits = limits or Limits(60.0, 256 << 20)
    return [Work(definition, {**payload, "parameters": {name: float(one)}, "seed": 1}, limits) for one in parameters]


def told(outcome):
    """What of an outcome has to be equal wherever it was run."""
    if isinstance(outcome, Failure):
        return outcome.kind, outcome.message if outcome.kind not in ("memory", "timeout") else ""
    return outcome.result["outputs"].tobytes(), outcome.result["states"].tobytes(), outcome.log


@pytest.fixture
def children(monkeypatch):
    """How many runs each child had."""
    sizes: list[int] = []
    plain = executor.run_in_child

    def counted(entry, payload, **rest):
        outcome = plain(entry, payload, **rest)
        sizes.append(max(len(outcome.parts), 1))
        return outcome

    monkeypatch.setattr(executor, "run_in_child", counted)
    monkeypatch.setattr(executor, "_BATCH_SECONDS", 1e6)  # batches grow however slow the machine is
    return sizes


def shared(definition, parameters, limits=None):
    jobs = works(definition, parameters, limits)
    found = dict(run_all(jobs, workers=1))
    return [found[index] for index in range(len(jobs))]


@pytest.mark.parametrize(("name", "fields"), [
    ("lag2", {"parameters": "{T: {}}", "inputs": "{u: {}}", "states": "{x: {start: 5}}"}),
    ("ball3", {"parameters": "{e: {}}", "outputs": "{h: {}, v: {}}", "run": "me"}),
])  # fmt: skip
def test_runs_that_share_a_process_equal_runs_alone(fmu_model, children, name, fields):
    definition = fmu_model(name, **fields)
    values = np.linspace(0.2, 0.9, 40)
    together = shared(definition, values)
    assert max(children) > 1
    for index in (0, 17, 39):
        assert told(together[index]) == told(run_one(works(definition, [values[index]])[0]))
    assert len({told(one) for one in together}) == 40


@pytest.fixture
def left(monkeypatch):
    """Which runs were taken up while their child went on; each child is handed four at a time."""
    indices, plain = [], executor._Way
    monkeypatch.setattr(executor, "_FED_RUNS", 4)

    def spied(take, room):
        return plain(lambda some: (indices.extend(index for index, _ in some), take(some)), room)

    monkeypatch.setattr(executor, "_Way", spied)
    return indices


def each_is_its_own(definition):
    """The slower it is, the more is left of where it began."""
    found = list(run_all(works(definition, np.linspace(0.5, 3.0, 60)), workers=1))
    assert sorted(index for index, _ in found) == list(range(60))
    assert (np.diff([one.result["outputs"][-1, 0] for _, one in sorted(found, key=lambda one: one[0])]) > 0).all()
    assert all(one.cost.peak_memory >= 0 for _, one in found) and max(one.cost.peak_memory for _, one in found) > 0


def test_what_ended_well_is_taken_up_once_while_its_child_goes_on(fmu_model, left):
    each_is_its_own(fmu_model("lag2", parameters="{T: {}}", inputs="{u: {}}", states="{x: {start: 5}}"))
    assert left and len(left) == len(set(left))


def test_answers_that_are_read_again_from_the_first_are_caught(fmu_model, left, monkeypatch):
    """The broken variant."""
    plain = sandbox._Parts.read
    monkeypatch.setattr(sandbox._Parts, "read", lambda self: setattr(self, "_at", 0) or plain(self))
    with pytest.raises(AssertionError):
        each_is_its_own(fmu_model("lag2", parameters="{T: {}}", inputs="{u: {}}", states="{x: {start: 5}}"))


@pytest.mark.parametrize("way", [COUNT, HEAP, FILES, OPEN_FILES, LOG_SIZE, SPY])
def test_what_a_run_leaves_behind_reaches_no_other(fmu_model, children, way):
    definition = fmu_model("keeps2", parameters="{way: {}}")
    alone = run_one(works(definition, [way])[0])
    assert isinstance(alone, Success)
    assert {told(one) for one in shared(definition, [way] * 20)} == {told(alone)}
    assert (max(children) > 1) == (way in (COUNT, HEAP, LOG_SIZE, SPY))
    if way == SPY:
        ours = sum(len(name) + len(value) + 2 for name, value in _ENVIRONMENT.items())
        environment, interfaces = divmod(alone.result["outputs"][0, 0], 1000)
        assert environment == ours, "an environment that is not ours"
        assert interfaces == 3 or not alone.cost.network_cut, "an interface beside the loopback, which is down"


def test_without_the_trial_what_can_not_be_seen_would_reach_the_next(fmu_model, monkeypatch):
    """The broken variant of the trial."""
    monkeypatch.setattr(executor, "_equal", lambda one, alone: True)
    monkeypatch.setattr(executor, "_BATCH_SECONDS", 1e6)
    definition = fmu_model("keeps2", parameters="{way: {}}")
    assert len({told(one) for one in shared(definition, [LOG_SIZE] * 20)}) > 1


@pytest.mark.parametrize("name", ["draws2", "builds2", "threads2", "once"])
def test_what_may_keep_more_than_static_data_has_a_process_for_each_run(fmu_model, fmus, changed, children, name):
    once = {
        "modelDescription.xml": lambda xml: xml.replace(b"<CoSimulation ", b'<CoSimulation canBeInstantiatedOnlyOncePerProcess="true" ')
    }
    folder = changed(fmus / "keeps2.fmu", once, "once.fmu").parent if name == "once" else fmus
    definition = fmu_model(name, folder, parameters="{way: {}}")
    assert len({told(one) for one in shared(definition, [COUNT] * 6)}) == 1
    assert set(children) == {1}


def test_static_data_is_put_back_and_without_it_the_next_run_is_another(fmu_model, tmp_path, monkeypatch):
    definition = fmu_model("keeps2", parameters="{way: {}}")
    (tmp_path / definition.artefact).write_bytes(definition.artefacts[definition.artefact])
    model = load_model(definition, tmp_path)

    def value():
        state = model.initial({"way": COUNT}, {})
        return model.advance(state, TIMES, np.zeros((TIMES.size, 0))).outputs[0, 0]

    assert model.capabilities.shares_process
    assert value() == 42 and model.refresh() and value() == 42 and model.refresh()
    monkeypatch.setattr(type(model.unit._as_loaded), "put_back", lambda self: None)
    assert value() == 42 and model.refresh() and value() == 43


def test_after_a_fatal_error_the_process_is_used_up(fmu_model, tmp_path):
    definition = fmu_model("bad2", parameters="{fault: {}}")
    unit = Unit(definition.artefacts["bad2.fmu"], "bad2.fmu", tmp_path / "bad")
    from twinwright.simulation.fmi.layout import Settings

    unit.instance(Settings()).dead = True
    assert unit.refreshable and not unit.refresh()


def test_two_components_of_one_fmu_share_a_process(fmus, tmp_path, children):
    from tests.simulation.kinds import made

    lag = "name: lag\nversion: 1\nkind: fmu\nartefact: keeps2.fmu\noutputs: {y: {}}\nparameters: {way: {value: 1}}\nstep: PT0.5S\n"
    text = "name: pair\nversion: 1\nkind: composite\ncomponents: {a: {model: keeps.yaml}, b: {model: keeps.yaml}}\n"
    text += "parameters: {way: {to: [a.way, b.way]}}\noutputs: {one: {from: a.y}, two: {from: b.y}}\nstep: PT0.5S\n"
    definition = made(text, keeps_yaml=lag, **{"keeps2_fmu": (fmus / "keeps2.fmu").read_bytes()})
    together = shared(definition, [COUNT] * 20)
    assert {told(one) for one in together} == {told(run_one(works(definition, [COUNT])[0]))}
    assert together[0].result["outputs"][0].tolist() == [42, 43]
    assert max(children) > 1


def test_neighbours_that_were_taken_up_before_a_failure_stay_as_they_were(fmu_model, left):
    definition, faults = fmu_model("bad2", parameters="{fault: {}}"), [*[0] * 30, NAN, 0, 0, CRASH, *[0] * 10]
    for fault, outcome in zip(faults, shared(definition, faults), strict=True):
        assert isinstance(outcome, Success) == (fault == 0)
        assert not fault or outcome.kind == KINDS[fault]
    assert left and all(not faults[index] for index in left)


@given(faults=st.lists(st.sampled_from([0, 0, 0, 0, CRASH, NAN, EXIT, ERROR, FATAL]), min_size=2, max_size=12))
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_run_ends_as_it_does_alone_whoever_its_neighbours_are(fmu_model, faults):
    definition = fmu_model("bad2", parameters="{fault: {}}")
    for fault, outcome in zip(faults, shared(definition, faults), strict=True):
        assert isinstance(outcome, Success) == (fault == 0)
        assert not fault or (outcome.kind == KINDS[fault] and outcome.message), (fault, outcome)
        assert fault or outcome.result["outputs"][:, 0].tobytes() == TIMES.tobytes()


def runs_with_failures(definition, count, seed):
    """A twentieth of the runs crash, hang, blow memory or exit; the others have to end well, and nothing may be left."""
    generator = np.random.default_rng(seed)
    faults = np.zeros(count, int)
    failing = generator.choice(count, max(4, count // 20), replace=False)
    faults[failing] = [(CRASH, HANG, LEAK, EXIT)[index % 4] for index in range(failing.size)]
    jobs = works(definition, faults, Limits(wall_seconds=1.0, memory_bytes=64 << 20))
    jobs = [
        msgspec.structs.replace(one, limits=replace(one.limits, wall_seconds=1.0 if fault == HANG else 60.0))
        for one, fault in zip(jobs, faults, strict=True)
    ]
    outcomes = dict(run_all(jobs, workers=2))
    assert sorted(outcomes) == list(range(count))
    failed = {index: one.kind for index, one in outcomes.items() if isinstance(one, Failure)}
    assert failed == {int(index): KINDS[faults[index]] for index in failing}
    expected = TIMES.tobytes()
    assert all(one.result["outputs"][:, 0].tobytes() == expected for one in outcomes.values() if isinstance(one, Success))
    root = shared_sandbox()._root
    assert list(root.directory.glob("*/run-*")) == []
    for template in templates(shared_sandbox()):
        with contextlib.suppress(psutil.NoSuchProcess):
            assert template.children() == [], "a run is left"


def test_a_share_of_failures_harms_no_other_run_and_leaves_nothing(fmu_model):
    runs_with_failures(fmu_model("bad2", parameters="{fault: {}}"), 80, 1)


@pytest.mark.soak
def test_five_hundred_runs_of_which_a_twentieth_fails(fmu_model):
    runs_with_failures(fmu_model("bad2", parameters="{fault: {}}"), 500, 2)


def test_a_run_that_shared_a_process_is_verified_alone(fmu_model, service, scenario, admin, children):
    definition = fmu_model("lag2", parameters="{T: {}}", states="{x: {start: 5}}")
    values = [round(0.5 + 0.1 * index, 1) for index in range(20)]
    runs = service.simulate(admin, scenario(definition, f"sweep: {{T: {values}}}\n"), definition)["runs"]
    assert max(children) > 1 and len({one["digest"] for one in runs}) == 20
    for one in (runs[0], runs[10], runs[19]):
        assert service.verify(admin, one["id"]) == {"id": one["id"], "digest": one["digest"], "verified": True, "reason": None}
