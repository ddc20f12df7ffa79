"""Designs, distributions, events, faults and fleets become plain runs, the same ones each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinwright.documents import Problems, parse_text
from twinwright.errors import NotFoundError, UsageError
from twinwright.simulation.distributions import Distribution, designed, drawn, uniform
from twinwright.simulation.observed_inputs import Observed
from twinwright.simulation.resolve import resolve
from twinwright.simulation.scenario import parse_scenario

SHAPES = {
    "normal": Distribution("normal", (5.0, 2.0)),
    "lognormal": Distribution("lognormal", (0.5, 0.4)),
    "uniform": uniform(-1.0, 3.0),
    "triangular": Distribution("triangular", (0.0, 1.0, 4.0)),
}
SCIPY = {
    "normal": ("norm", 5, 2),
    "lognormal": ("lognorm", 0.4, 0, np.exp(0.5)),
    "uniform": ("uniform", -1, 4),
    "triangular": ("triang", 0.25, 0, 4),
}


@pytest.fixture
def resolved(service, admin, history):
    """`resolved(scenario, definition)`: the runs that a scenario asks for."""

    def make(scenario, definition):
        return resolve(scenario, definition, Observed(history, admin, scenario.twin), service.parameters_for, 0)

    return make


@pytest.mark.parametrize("name", SHAPES)
def test_a_distribution_is_drawn_by_its_inverse(name):
    from scipy import stats

    kind, *arguments = SCIPY[name]
    reference = getattr(stats, kind)(*arguments)
    shares = np.linspace(0.001, 0.999, 23)
    assert np.allclose([SHAPES[name].at(float(share)) for share in shares], reference.ppf(shares), rtol=1e-9)


@given(st.sampled_from(sorted(SHAPES)), st.floats(0, 1), st.floats(0.1, 0.9), st.floats(0.05, 2.0))
@settings(max_examples=60, deadline=None)
def test_what_is_cut_off_never_leaves_its_bounds_and_rises(name, share, low, width):
    one = replace(SHAPES[name], low=low, high=low + width)
    value = one.at(share)
    assert low <= value <= low + width
    assert one.at(min(share + 0.01, 1.0)) >= value


def test_what_is_drawn_is_of_a_name_and_a_seed_alone():
    both = drawn({"a": SHAPES["normal"], "b": SHAPES["uniform"]}, 7)
    assert drawn({"b": SHAPES["uniform"]}, 7)["b"] == both["b"] and drawn({"a": SHAPES["normal"]}, 8)["a"] != both["a"]
    many = np.array([drawn({"a": SHAPES["normal"]}, seed)["a"] for seed in range(400)])
    assert abs(many.mean() - 5) < 0.4 and abs(many.std() - 2) < 0.3


@pytest.mark.parametrize("design", ["lhs", "sobol"])
def test_a_design_puts_a_point_into_every_stratum(design):
    points = designed(design, 64, {"a": uniform(0, 64), "b": uniform(0, 64)}, 3)
    for name in "ab":
        assert sorted(int(point[name]) for point in points) == list(range(64))
    assert points == designed(design, 64, {"a": uniform(0, 64), "b": uniform(0, 64)}, 3)
    assert points != designed(design, 64, {"a": uniform(0, 64), "b": uniform(0, 64)}, 4)


def test_a_design_covers_ranges_and_distributions_with_units(model, scenario, resolved):
    more = "sweep: {lhs: 16, u.scale: [0.5, 1.5], u.add: {uniform: [0, 100], unit: mV}, k1: {normal: [0.5, 0.3]}}\nseed: 4"
    runs = resolved(scenario(model(), more), model())
    assert len(runs) == 16 and len({run.digest for run in runs}) == 16
    assert all(0.1 <= run.parameters["k1"] <= 1 for run in runs)  # within the model's bounds
    plain = resolved(scenario(model()), model())[0].inputs
    assert all(np.allclose(run.inputs, plain * run.sweep["u.scale"] + run.sweep["u.add"] / 1000) for run in runs)


def test_a_design_that_names_nothing_covers_the_bounds_of_the_parameters(model, scenario, resolved, simple):
    runs = resolved(scenario(model(), "sweep: {sobol: 8}"), model())
    assert {tuple(run.sweep) for run in runs} == {("k1", "k2")}
    told = resolved(scenario(model(), "sweep: {sobol: 9}"), model())[0].asked.warnings
    assert any("power of two, such as 16" in one for one in told)
    definition = simple("return (-p[0] * x[0],)")
    with pytest.raises(UsageError, match="nothing to cover"):
        resolved(scenario(definition, "sweep: {lhs: 4}"), definition)


def test_distributions_on_inputs_and_parameters_are_drawn_for_each_member(model, scenario, resolved):
    more = "inputs: {u: {scale: {normal: [1, 0.1]}}}\nparameters: {k1: {triangular: [0.4, 0.5, 0.6]}, k2: 0.3}\n"
    more += "ensemble: {size: SIZE, seed: 5}"
    few, many = (resolved(scenario(model(), more.replace("SIZE", str(size))), model()) for size in (3, 9))
    assert [run.digest for run in few] == [run.digest for run in many[:3]] and len({run.digest for run in many}) == 9
    assert all(0.4 <= run.parameters["k1"] <= 0.6 and run.parameters["k2"] == 0.3 for run in many)
    factors = np.array([run.inputs[0, 0] for run in many])
    assert 0.03 < factors.std() < 0.3


def test_faults_hold_bias_and_replace_an_input_from_a_time(model, scenario, resolved):
    plain = resolved(scenario(model()), model())[0].inputs[:, 0]

    def inputs(text):
        run = resolved(scenario(model(), f"events: [{text}]"), model())[0]
        return run.inputs[:, 0], [one.sample for one in run.fired]

    stuck, when = inputs("{at: PT20S, input: u, stuck: true}")
    assert when == [5] and (stuck[5:] == plain[5]).all() and (stuck[:5] == plain[:5]).all()
    bias, _ = inputs("{at: 2026-03-01T08:00:18Z, for: PT8S, input: u, add: 500, unit: mV}")
    assert np.allclose(bias - plain, [0.5 if 5 <= index < 7 else 0.0 for index in range(31)])
    closed, _ = inputs("{at: PT0S, input: u, constant: 0}, {at: PT40S, for: PT4S, input: u, constant: 2}")
    assert closed.tolist() == [2.0 if index == 10 else 0.0 for index in range(31)]
    assert inputs("{at: PT1H, input: u, constant: 0}")[1] == []


def test_a_condition_changes_an_input_from_the_sample_after_it_holds(service, admin, model, scenario):
    definition = model()
    base = service.simulate(admin, scenario(definition), definition)["runs"][0]["outputs"]["y"]["values"]
    limit = (min(base) + base[0]) / 2
    events = f"events: [{{when: 'y < {limit} V', input: u, constant: 0}}, {{when: 'u < 0.1 V', for: PT8S, input: u, constant: 3}}]"
    (run,) = service.simulate(admin, scenario(definition, events), definition)["runs"]
    first = int(np.argmax(np.array(base) < limit))
    values = run["outputs"]["y"]["values"]
    assert values[: first + 2] == base[: first + 2] and values != base
    assert [one["when"] for one in run["events"]] == [f"y < {limit} V", "u < 0.1 V"]
    kept = service.runs.load(admin, run["id"])
    assert (
        kept.inputs[first + 1, 0] == 0 and (kept.inputs[first + 2 : first + 4, 0] == 3).all() and (kept.inputs[first + 4 :, 0] == 0).all()
    )
    assert service.verify(admin, run["id"])["verified"]
    assert service.simulate(admin, scenario(definition, events), definition)["runs"][0]["id"] == run["id"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("sweep: {lhs: 4, sobol: 4}", "exclude each other"),
        ("sweep: {lhs: many}", "no number of points"),
        ("sweep: {lhs: 4, k1: [2, 1]}", "not a lowest and a highest"),
        ("sweep: {lhs: 4, k1: {normal: [1, 0]}}", "not greater than zero"),
        ("sweep: {lhs: 4, k1: {uniform: [1, 2], normal: [1, 1]}}", "one of normal"),
        ("sweep: {k1: {normal: [1, 1]}}", "no design draws from it"),
        ("parameters: {k1: {triangular: [3, 2, 1]}}", "do not rise"),
        ("parameters: {k1: {normal: [0, 1], bounds: [90, 99]}}", "nothing of the distribution"),
        ("events: [{input: u, constant: 1}]", "either `at` or `when`"),
        ("events: [{at: PT1S, input: u}]", "changes its input"),
        ("events: [{at: PT1S, input: u, stuck: true, constant: 1}]", "exclude each other"),
        ("events: [{at: soon, input: u, constant: 1}]", "ISO 8601"),
        ("events: [{when: 'y is', input: u, constant: 1}]", "not a condition"),
        ("twin: [a, a]", "named twice"),
        ("twin: {model: x}", "twins of an interface"),
        ("twin: SELECT * FROM relationships", "does not select twins"),
        ("publish: true\nsweep: {k1: [1, 2]}", "which of several runs"),
    ],
)
def test_what_can_not_be_is_refused_with_its_line(texts, more, said):
    problems = Problems()
    base = texts.SCENARIO.replace("twin: tanks-1\n", "") if more.startswith("twin") else texts.SCENARIO
    document = parse_text(base + more, "scenarios/one.yaml", problems)
    assert parse_scenario(document, problems) is None
    assert [one for one in problems.items if said in one.message and one.line], problems.items


@pytest.mark.parametrize(
    ("twin", "interface"),
    [("{interface: 'dtmi:a;1'}", "dtmi:a;1")],
)
def test_a_fleet_is_a_run_for_each_twin(service, admin, model, scenario, history, texts, twin, interface):
    for name in ("pump_voltage", "level"):
        history.held["tanks-2", name] = history.held["tanks-1", name]
    definition = model()
    listed = scenario(definition, base=texts.SCENARIO.replace("tanks-1", "[tanks-1, tanks-2]"))
    runs = service.simulate(admin, listed, definition)["runs"]
    assert [run["twin"] for run in runs] == ["tanks-1", "tanks-2"] and len({run["digest"] for run in runs}) == 1
    asked = scenario(definition, base=texts.SCENARIO.replace("tanks-1", twin))
    with pytest.raises(NotFoundError, match="no twins of dtmi:a;1"):
        service.simulate(admin, asked, definition)
    service.twins_of = {interface: ["tanks-2", "tanks-1"]}.get
    assert [run["twin"] for run in service.simulate(admin, asked, definition)["runs"]] == ["tanks-2", "tanks-1"]


def test_a_fleet_is_what_a_query_selects_when_it_is_asked(service, admin, model, scenario, history, texts):
    for name in ("pump_voltage", "level"):
        history.held["tanks-2", name] = history.held["tanks-1", name]
    definition, text = model(), "SELECT T FROM DIGITALTWINS T WHERE T.site = 'north'"
    asked = scenario(definition, base=texts.SCENARIO.replace("tanks-1", f'"{text}"'))
    with pytest.raises(NotFoundError, match="selects no twins"):
        service.simulate(admin, asked, definition)
    service.twins_selected = lambda principal, query: ["tanks-2", "tanks-1"] if (principal, query) == (admin, text) else []
    assert [run["twin"] for run in service.simulate(admin, asked, definition)["runs"]] == ["tanks-2", "tanks-1"]


def test_a_twin_of_which_nothing_is_observed_is_left_out_of_those_that_are_selected(service, admin, model, scenario, texts):
    definition = model()
    asked = scenario(definition, base=texts.SCENARIO.replace("tanks-1", "{interface: 'dtmi:a;1'}"))
    service.twins_of = {"dtmi:a;1": ["tanks-9", "tanks-1"]}.get
    answer = service.simulate(admin, asked, definition)
    (run,), (told,) = answer["runs"], answer["left_out"]
    assert run["twin"] == "tanks-1" and told.startswith("twin 'tanks-9' is left out: ") and told in run["warnings"]
    service.twins_of = {"dtmi:a;1": ["tanks-9", "tanks-8"]}.get
    with pytest.raises(NotFoundError):
        service.simulate(admin, asked, definition)
    named = scenario(definition, base=texts.SCENARIO.replace("tanks-1", "[tanks-1, tanks-9]"))
    with pytest.raises(NotFoundError):
        service.simulate(admin, named, definition)


def test_what_is_asked_and_does_not_come_to_pass_is_told(service, admin, model, scenario, texts):
    definition = model()
    events = "events: [{at: PT1H, input: u, stuck: true}, {at: PT1M, input: u, add: 0.1}]"
    base = texts.SCENARIO.replace("horizon: PT2M", "horizon: PT2M1S")
    assert base != texts.SCENARIO
    (run,) = service.simulate(admin, scenario(definition, events, base=base), definition)["runs"]
    told = " ".join(run["warnings"])
    assert "the last sample is at 2026-03-01T08:02:00Z, PT1S before the end" in told
    assert "'u stuck' is after the last sample" in told and "add" not in told
    (plain,) = service.simulate(admin, scenario(definition, "events: [{at: PT2M, input: u, stuck: true}]"), definition)["runs"]
    assert not [one for one in plain["warnings"] if "last sample" in one]


def test_an_input_that_nothing_gives_is_told_with_the_way_out(service, admin, model, scenario, history):
    history.held = {key: one for key, one in history.held.items() if key[1] != "pump_voltage"}
    with pytest.raises(NotFoundError, match="input 'u' comes from nowhere") as raised:
        service.simulate(admin, scenario(model()), model())
    assert "inputs: {u: {constant: ...}}" in (raised.value.remedy or "")


def test_gaps_are_bridged_to_the_stated_limit_and_told(service, admin, model, scenario, history):
    history.put("tanks-1", "pump_voltage", [-2, 0, 2, 80, 82, 84, 86, 100, 119], [1, 1, 1, 1, 1, 1, 1, np.nan, 1], "V")
    definition = model()
    with pytest.raises(UsageError, match="has no value for PT1M18S from 2026-03-01T08:00:02Z, and gaps are bridged up to PT1M"):
        service.simulate(admin, scenario(definition, "inputs: {u: {bridge: PT1M}}"), definition)
    (run,) = service.simulate(admin, scenario(definition, "inputs: {u: {bridge: PT2M}}"), definition)["runs"]
    (source,) = service.show(admin, run["id"])["inputs"]
    assert (source["origin"], source["path"], source["bad"], source["newest"]) == ("history", "pump_voltage", 1, "2026-03-01T08:01:59Z")
    assert source["oldest_used"] == 74.0 and source["gaps"][0]["from"] == "2026-03-01T08:00:02Z"
    said = " ".join(service.explain(admin, run["id"])["sentences"])
    assert "none older than PT1M14S when used, 1 bad ones passed over; gaps bridged: 2026-03-01T08:00:02Z" in said
