"""A shadow is checked whole when it is loaded: names, units, whether its model can be gone on from."""

import pytest
from tests.simulation.shadow.line import INTERFACE, compiled, model

from twinwright.documents import Problems, parse_text
from twinwright.simulation.model_document import parse_model

WRONG = {
    "unknown_model": {"model": "nothing"},
    "unknown_twin": {"twin": "pump-9", "interface": None},
    "unknown_interface": {"interface": "dtmi:example:No;1"},
    "unknown_input": {"inputs": {"v": {"constant": 1}}},
    "unit_dimension": {"parameters": {"tau": {"value": 3, "unit": "kPa"}}},
    "nothing_observed": {"inputs": {"u": {"constant": 1, "unit": "l/min"}}},
    "unknown_parameter": {"parameters": {"mass": 3.0}},
    "unknown_output": {"residuals": {"y": "error"}},
    "unknown_path": {"residuals": {"x": "nowhere"}},
    "bad_horizon": {"forecast": {"horizon": "PT15S"}},
}


@pytest.mark.parametrize("code", WRONG)
def test_what_is_wrong_is_told_with_its_line_and_a_remedy(tmp_path, code):
    _, problems = compiled(model(tmp_path), **WRONG[code])
    assert [one.code for one in problems.items] == [code]
    assert problems.items[0].file == "shadows/live.yaml"
    assert problems.items[0].line
    assert problems.items[0].remedy


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"twin": "pump-1"}, "either `twin` or `interface`"),
        ({"forecast": {"horizon": "PT10S", "every": "PT1M"}}, "longer than `horizon`"),
        ({"replay": True, "forecast": {"horizon": "PT10S"}}, "no state from which to look ahead"),
        ({"from": "yesterday"}, "not an ISO 8601 time"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, changes, said):
    _, problems = compiled(model(tmp_path), **changes)
    assert said in str(problems.items[0])


@pytest.mark.parametrize("follows", [{}, {"twin": "pump-1", "interface": None}])
def test_an_interface_with_a_migration_is_not_followed(tmp_path, follows):
    _, problems = compiled(model(tmp_path), migrated=frozenset({INTERFACE}), **follows)
    assert [one.code for one in problems.items] == ["migrated"]


def test_a_model_without_states_to_save_is_refused_unless_it_is_replayed(tmp_path):
    (tmp_path / "queue.py").write_text("class Queue:\n    def __init__(self, p, rng): ...\n    def observe(self): ...\n")
    text = f"""name: lag
version: 1.0.0
kind: agents
artefact: queue.py:Queue
interface: {INTERFACE}
inputs: {{u: {{property: flow, unit: l/s}}}}
outputs: {{x: {{property: pressure, unit: kPa}}}}
step: PT10S
"""
    (tmp_path / "queue.py").write_text(
        "import mesa\n\n\nclass Queue(mesa.Model):\n    def __init__(self, seed=None):\n        super().__init__(seed=seed)\n\n"
        "    def step(self):\n        pass\n\n    def observe(self):\n        return {'x': 1.0}\n"
    )
    problems = Problems()
    made = parse_model(parse_text(text, "models/lag.yaml", problems), tmp_path, problems)
    assert made is not None, problems.items
    _, problems = compiled(made)
    assert [one.code for one in problems.items] == ["no_state"]
    shadows, problems = compiled(made, replay=True)
    assert not problems
    assert shadows["live"].spec.replay


def test_states_are_kept_densely_for_twice_the_lateness_and_then_thinned(tmp_path):
    shadow = compiled(model(tmp_path), lateness="PT10M")[0]["live"]
    head = 10_000
    kept = [step for step in range(head + 1) if shadow.kept(step, head)]
    dense = 2 * shadow.lateness // shadow.step
    assert {step for step in range(head - dense + 1, head + 1) if step % shadow.spacing == 0} <= set(kept)
    assert len(kept) < 120
    assert {step for step in range(head + 2) if shadow.kept(step, head + 1)} - {head + 1} <= set(kept)  # what was let go of is not missed
