"""Models made of connected components: right to the order of the master's algorithm, whatever the cut, the units and the order."""

from __future__ import annotations

from itertools import pairwise
from textwrap import dedent

import jsonschema
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulation.composites import FEET, FORCED, LAG, PAIR, exact, made, parsed, run

from twinwright.simulation.composition.coupling import algebraic_loops, blocks, strongly_connected
from twinwright.simulation.composition.spec import CompositeSpec
from twinwright.simulation.conformance import Case, ModelConformance
from twinwright.simulation.models.composite import CompositeModel
from twinwright.simulation.protocol import ModelError
from twinwright.simulation.registry import feedthrough
from twinwright.units import Affine

QUEUE = """
name: queue
version: 1
kind: events
artefact: queue.py:build
inputs: {u: {unit: m}}
outputs: {n: {unit: m}}
step: PT1S
"""
QUEUE_PY = """
def build(env, u, p, rng):
    return lambda: (u[0] + rng.random(),)
"""


class TestComposite(ModelConformance):
    def case(self) -> Case:
        diverging = FORCED.replace("iterate: true", "iterate: true, max_iterations: 5").replace(
            "{model: sum.yaml}", "{model: sum.yaml, parameters: {gain: 1.0e+9}}"
        )
        nan = FORCED.replace("{model: sum.yaml}", "{model: sum.yaml, parameters: {gain: 1.0e+308}}")
        failing = {"raised": made(diverging), "nan": made(nan.replace("iterate: true", "iterate: false"))}
        inches = FORCED.replace("{to: sum.two}", "{to: sum.two, unit: in, range: [-40, 40], hold: linear}").replace(
            "{from: a.x}", "{from: a.x, unit: mm}"
        )
        return Case(made(FORCED), failing, parameters={"a.T": 3.0}, states={"b.x": 0.5}, rescaled=made(inches), tolerance=1e-7)


def error(algorithm: str, step: float, *, iterate: bool) -> float:
    master = f"{{algorithm: {algorithm}, step: PT{step}S, iterate: {str(iterate).lower()}}}"
    found = run(made(PAIR.replace("{step: PT0.125S}", master)))
    return float(np.abs(found.outputs - exact(np.arange(5.0))).max())


@pytest.mark.parametrize(
    ("algorithm", "iterate", "order"), [("jacobi", False, 1), ("gauss-seidel", False, 1), ("jacobi", True, 2), ("gauss-seidel", True, 2)]
)
def test_two_coupled_lags_come_to_the_exact_solution_with_the_order_of_the_master(algorithm: str, iterate: bool, order: int) -> None:
    errors = [error(algorithm, step, iterate=iterate) for step in (0.125, 0.0625, 0.03125)]
    found = [np.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert found == pytest.approx([order, order], abs=0.15), errors


# --- broken variants, which the tests above have to notice ------------------------------------------------------------


class Forgetful(CompositeModel):
    """Goes on from a saved state without what the components had put out."""

    def _parted(self, state):
        states, outputs = super()._parted(state)
        return states, {name: np.zeros_like(one) for name, one in outputs.items()}


class Careless(CompositeModel):
    """Takes a connected value as it is, whatever its unit."""

    def _feeds(self):
        return {name: [(source, what, Affine(1.0, 0.0)) for source, what, _ in one] for name, one in super()._feeds().items()}


@pytest.mark.parametrize(
    ("broken", "notices"),
    [(Forgetful, "test_in_one_piece_equals_in_two_through_a_saved_state"), (Careless, "test_the_answer_is_the_same_in_other_units")],
)
def test_the_suite_notices_a_broken_composite(broken: type[CompositeModel], notices: str) -> None:
    class Suite(TestComposite):
        def load(self, definition, folder):
            return broken(definition, folder)

    with pytest.raises(AssertionError):
        getattr(Suite(), notices)()


def test_the_order_tells_whether_steps_were_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = CompositeModel._pass
    monkeypatch.setattr(CompositeModel, "_pass", lambda *arguments: (whole(*arguments)[0], None))
    coarse, fine = (error("gauss-seidel", step, iterate=True) for step in (0.0625, 0.03125))
    assert np.log2(coarse / fine) < 1.2


def test_the_json_schema_takes_what_is_taken() -> None:
    schema = jsonschema.Draft202012Validator(CompositeSpec.model_json_schema(by_alias=True))
    for text in (PAIR, FORCED):
        assert schema.is_valid(yaml.safe_load(text.replace("version: 1", "version: '1'")))
    assert not schema.is_valid(yaml.safe_load(PAIR.replace("a.x -> b.u", "a.x to b.u")))
    assert not schema.is_valid(yaml.safe_load(PAIR.replace("components:", "parts:")))


def test_what_is_in_no_cycle_is_exact_at_any_step() -> None:
    chain = PAIR.replace("[a.x -> b.u, b.x -> a.u]", "[a.x -> b.u]").replace("{model: lag.yaml}", "{model: lag.yaml, inputs: {u: 0}}")
    found = run(made(chain.replace("PT0.125S", "PT0.015625S")))
    times = np.arange(5.0)
    assert found.outputs[:, 0] == pytest.approx(np.exp(-times / 2), rel=1e-12)
    assert found.outputs[:, 1] == pytest.approx((np.exp(-times / 2) - np.exp(-times / 0.5)) / (1 - 0.5 / 2), abs=1e-4)


def test_an_algebraic_loop_is_solved_or_refused_with_the_line() -> None:
    ring = """
    name: ring
    version: 1
    kind: composite
    components: {s: {model: sum.yaml}, r: {model: sum.yaml, inputs: {two: 0.25}}}
    connections:
      - s.y -> r.one
      - r.y -> s.one
    inputs: {push: {to: s.two}}
    outputs: {y: {from: s.y}}
    step: PT1S
    """
    ring = dedent(ring)
    definition, problems = parsed(ring)
    assert definition is None
    (problem,) = problems.items
    assert (problem.code, problem.file) == ("algebraic_loop", "models/whole.yaml")
    assert problem.line in (7, 8)
    assert "s.y -> r.y -> s.y" in problem.message
    solved = run(made(ring + "master: {iterate: true}\n"))
    assert solved.outputs[:, 0] == pytest.approx(0.5 * 0.25 / 0.75, rel=1e-8)  # y = (y/2 + 1/4) / 2
    said = ring.replace("{model: sum.yaml}", "{model: sum.yaml, feedthrough: {y: [two]}}")
    assert run(made(said)).outputs.shape == (5, 1)


def test_units_are_converted_on_connections_and_wrong_ones_refused_with_the_line() -> None:
    grams = LAG.replace("unit: m,", "unit: g,").replace("unit: m}", "unit: g}")
    definition, problems = parsed(PAIR.replace("model: feet.yaml", "model: grams.yaml"), {"grams.yaml": grams})
    assert definition is None
    assert {(one.code, one.line) for one in problems.items} >= {("unit_dimension", 6)}
    assert any("'a.x' is in m, 'b.u' in g" in one.message for one in problems.items)
    metres = made(PAIR.replace("model: feet.yaml", "model: metres.yaml"), {"metres.yaml": FEET.replace("ft", "m")})
    assert run(made(PAIR)).outputs == pytest.approx(run(metres).outputs, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("[a.x -> b.u, b.x -> a.u]", "[a.x -> b.u]"), "unconnected"),
        (("b.x -> a.u]", "b.x -> a.u, b.x -> a.u]"), "fed_twice"),
        (("b.x -> a.u]", "b.x -> a.v]"), "unknown_name"),
        (("b.x -> a.u]", "c.x -> a.u]"), "unknown_name"),
        (("b.x -> a.u]", "b.x a.u]"), "value_error"),
        (("lag.yaml", "whole.yaml"), "endless"),
        (("lag.yaml", "none.yaml"), "unreadable"),
        (("{model: lag.yaml}", "{}"), "bad_component"),
        (("step: PT1S", "step: PT1S\nparameters: {a.k: {value: 1}}"), "unknown_name"),
        (("step: PT1S", "step: PT1S\nparameters: {T: {to: [a.T, a.T]}}"), "fed_twice"),
        (("step: PT1S", "step: PT1S\nstates: {x: {start: 1}}"), "not_declared"),
    ],
)
def test_what_is_wrong_with_a_composite_is_told(change: tuple[str, str], code: str) -> None:
    definition, problems = parsed(PAIR.replace(*change), {"whole.yaml": PAIR})
    assert definition is None
    assert code in {one.code for one in problems.items}, problems.items
    assert all(one.line and one.remedy for one in problems.items if one.code == code)


def test_parameters_and_states_of_components_pass_through() -> None:
    definition = made(PAIR)
    assert definition.defaults() == {"a.T": 2.0, "a.x0": 1.0, "b.T": 0.5, "b.x0": 0.0}
    assert [(one.name, one.start, one.unit) for one in definition.states] == [("a.x", "a.x0", "m"), ("b.x", "b.x0", "ft")]
    assert definition.assumptions[0] == "a: it forgets as fast as it learns"
    master = "{step: PT0.03125S, iterate: true}"
    fine = made(PAIR.replace("{step: PT0.125S}", master))
    swapped = run(fine, parameters={"a.T": 0.5, "b.T": 2.0})
    assert swapped.outputs == pytest.approx(exact(np.arange(5.0), 0.5, 2.0), abs=1e-3)
    one = made(PAIR.replace("{step: PT0.125S}", f"{master}\nparameters: {{T: {{value: 1000, unit: ms, to: [a.T, b.T]}}}}"))
    assert set(one.defaults()) == {"T", "a.x0", "b.x0"}
    assert run(one).outputs == pytest.approx(exact(np.arange(5.0), 1.0, 1.0), abs=1e-3)


def test_a_composite_is_a_component() -> None:
    inner = FORCED.replace("name: forced", "name: inner")
    outer = """
    name: outer
    version: 1
    kind: composite
    components: {c: {model: inner.yaml}}
    inputs: {push: {to: c.push}}
    outputs: {left: {from: c.left}}
    step: PT1S
    """
    definition = made(outer, {"inner.yaml": inner})
    assert "c.a.T" in definition.defaults()
    assert feedthrough(definition) == {"left": ()}
    assert run(definition, parameters={"c.a.T": 3.0}).outputs[:, 0] == pytest.approx(
        run(made(FORCED), parameters={"a.T": 3.0}).outputs[:, 0], rel=1e-12
    )


def test_what_can_not_be_stopped_runs_outside_of_cycles_and_is_refused_inside() -> None:
    files = {"queue.yaml": QUEUE, "queue.py": QUEUE_PY}
    chain = PAIR.replace("[a.x -> b.u, b.x -> a.u]", "[q.n -> b.u, b.x -> a.u]").replace(
        "{a:", "{q: {model: queue.yaml, inputs: {u: 1}}, a:"
    )
    definition = made(chain, files)
    assert definition.options["seeded"]
    assert run(definition).outputs.tobytes() == run(definition).outputs.tobytes()
    ring = PAIR.replace("[a.x -> b.u, b.x -> a.u]", "[q.n -> b.u, b.x -> a.u, a.x -> q.u]").replace("{a:", "{q: {model: queue.yaml}, a:")
    with pytest.raises(ModelError, match="can't save its state") as caught:
        run(made(ring, files))
    assert caught.value.kind == "refused"


def test_a_component_of_a_fixed_step_sets_the_step_of_the_master() -> None:
    discrete = LAG.replace("kind: linear", "kind: linear\ntime: discrete").replace('[["-1/T"]]', "[[0.5]]").replace('[["1/T"]]', "[[0.5]]")
    text = PAIR.replace("lag.yaml", "discrete.yaml")
    with pytest.raises(ModelError, match=r"steps by 1 s alone, and the master by 0\.125 s"):
        run(made(text, {"discrete.yaml": discrete}))
    assert run(made(text.replace("PT0.125S", "PT1S"), {"discrete.yaml": discrete})).outputs.shape == (5, 2)


def test_a_failure_says_which_component_failed() -> None:
    with pytest.raises(ModelError, match="component 'sum'"):
        run(made(FORCED, {"sum.py": "def add(t, u, p):\n    return (u[0] / u[1],)\n"}))


# --- the order --------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 6).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))))))
def test_every_group_comes_after_what_leads_to_it_and_is_a_cycle(graph: tuple[int, set[tuple[int, int]]]) -> None:
    size, edges = graph
    after = {node: [target for source, target in sorted(edges) if source == node] for node in range(size)}
    groups = strongly_connected(range(size), after)
    place = {node: index for index, group in enumerate(groups) for node in group}
    assert sorted(place) == list(range(size))
    assert all(place[source] <= place[target] for source, target in edges)
    reach = (
        np.linalg.matrix_power(
            np.eye(size) + np.array([[float(target in after[node]) for target in range(size)] for node in range(size)]), size
        )
        > 0
    )
    assert all((place[a] == place[b]) == bool(reach[a, b] and reach[b, a]) for a in range(size) for b in range(size))


def test_components_that_answer_at_once_come_after_what_feeds_them() -> None:
    wires = [(("b", "y"), ("a", "u")), (("a", "y"), ("b", "u")), (("a", "y"), ("c", "u"))]
    direct = {"b": {"y": ["u"]}, "a": {"y": []}, "c": {"y": ["u"]}}
    found = blocks(("b", "a", "c"), wires, direct)
    assert [(one.members, one.cyclic, one.algebraic) for one in found] == [(("a", "b"), True, False), (("c",), False, False)]
    assert algebraic_loops(wires, direct) == ()
    assert algebraic_loops(wires, {**direct, "a": {"y": ["u"]}}) == ((("b", "y"), ("a", "y")),)
