"""Derived values are a function of history: whatever the order, lateness, correction, replay or kill. Broken variants are caught."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.derived.documents import DOCUMENTS
from tests.derived.line import Line
from tests.laws.reference import GOOD, Reading, Said
from tests.laws.world import BEGIN, HOUR, batches, world
from tests.mutating import variant

from twinwright.derived import consumer, evaluate
from twinwright.governance.principals import SYSTEM

MUTANTS = Path(__file__).parent / "mutants"
law = settings(
    derandomize=True, database=None, max_examples=6, deadline=None, report_multiple_bugs=False, phases=(Phase.explicit, Phase.generate)
)
steps = st.lists(
    st.tuples(batches, st.sampled_from(["derive", "derive", "wait", "kill", "restart"]), st.integers(0, 3)), min_size=2, max_size=5
)


def check_any_order(patched: pytest.MonkeyPatch) -> None:
    """Deliveries in any order, late and corrected, and a replay; the consumer is killed and started anew, and writes in small parts."""
    patched.setattr(consumer, "WRITE_ROWS", 3)

    @law
    @given(steps, st.data())
    def check(given_steps: list[tuple[list[Reading], str, int]], data: Any) -> None:
        with world() as plant:
            line = Line(plant.plant)
            for batch, then, after in given_steps:
                plant.deliver(batch)
                if then == "kill":
                    line.derive_until_killed(after)
                elif then == "restart":
                    plant.plant.restart(materialise=True)
                    line.begin()
                elif then == "derive":
                    line.derive()
                    line.compare()
            line.derive()
            line.compare()
            plant.raise_revision(data.draw(st.sampled_from([2, 3])))
            line.configure()
            first = data.draw(st.integers(0, len(plant.arrived) - 1))
            for source in "ab":
                plant.replay(source, first, data.draw(st.integers(first, len(plant.arrived) - 1)))
            line.derive()
            line.compare()
            line.compare_the_past()

    check()


def check_only_what_is_touched(patched: pytest.MonkeyPatch) -> None:
    """A late reading derives its window again and nothing else; one that changes nothing writes nothing."""
    with world() as plant:
        line = Line(plant.plant, (DOCUMENTS[0],))
        plant.deliver([_pressure(twin, tick, 1.0) for tick in range(24) for twin in "xy"])
        line.derive()
        assert len(line.facts()) == 24
        outputs = _counted(patched)
        last = plant.plant.store.last_commit(SYSTEM)
        plant.deliver([_pressure("x", 10, 3.0, source="b")])
        line.derive()
        assert [(row["twin"], row["time"], row["num"]) for row in line.rows_of(last + 1)] == [(1, BEGIN + 5 * HOUR, 5 / 3)]
        assert [row["correction"] for row in line.rows_of(last + 1)] == [last + 1]
        assert outputs == [1]
        last = plant.plant.store.last_commit(SYSTEM)
        plant.deliver([_pressure("x", 14, 1.0, source="b")])
        line.derive()
        assert line.rows_of(last + 1) == []
        assert outputs == [1, 1]
        line.compare_the_past()


def check_a_kill(_patched: pytest.MonkeyPatch) -> None:
    """Killed in any transaction, what is derived is whole after the next start."""
    for after in range(4):
        with world() as plant:
            line = Line(plant.plant)
            line.derive()
            plant.deliver([_pressure("x", 0, 1.0), _flow("x", 0, 1.0), _pressure("y", 3, 2.0)])
            line.derive_until_killed(after)
            line.derive()
            line.compare()
            line.compare_the_past()


def check_a_held_value_reaches_to_the_next(_patched: pytest.MonkeyPatch) -> None:
    """A late value without a window changes what is derived until the next value, and not after it."""
    with world() as plant:
        line = Line(plant.plant, (DOCUMENTS[1],))
        plant.deliver([_pressure("x", tick, 1.0) for tick in range(10)] + [_flow("x", 0, 1.0), _flow("x", 8, 2.0)])
        line.derive()
        last = plant.plant.store.last_commit(SYSTEM)
        plant.deliver([_flow("x", 4, 4.0)])
        line.derive()
        assert [(row["time"] - BEGIN) / (HOUR // 2) for row in line.rows_of(last + 1)] == [4, 5, 6, 7]
        assert {row["num"] for row in line.rows_of(last + 1)} == {0.25}


def _pressure(twin: str, tick: int, value: float, source: str = "a") -> Reading:
    return Reading(source, twin, BEGIN + tick * HOUR // 2, (("pressure", Said(GOOD, value, "kPa")),), 0)


def _flow(twin: str, tick: int, value: float) -> Reading:
    return Reading("b", twin, BEGIN + tick * HOUR // 2, (("flow", Said(GOOD, value, "l/min")),), 0)


def _counted(patched: pytest.MonkeyPatch) -> list[int]:
    """How many outputs each evaluation from now on has."""
    counted: list[int] = []
    whole = evaluate.outputs

    def outputs(binding: Any, times: Any, operands: Any) -> Any:
        counted.append(len(times))
        return whole(binding, times, operands)

    patched.setattr(evaluate, "outputs", outputs)
    return counted


CHECKS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "any order": check_any_order,
    "a kill": check_a_kill,
    "only what is touched": check_only_what_is_touched,
    "held to the next": check_a_held_value_reaches_to_the_next,
}
CAUGHT_BY = {
    "newest_windows_only": "any order",
    "position_before_outputs": "a kill",
    "replays_touch_nothing": "any order",
    "everything_derived_again": "only what is touched",
    "held_for_an_instant": "held to the next",
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_law_holds_for(name, monkeypatch):
    CHECKS[name](monkeypatch)


@pytest.mark.parametrize("name", CAUGHT_BY)
def test_the_broken_variant_is_caught(name, monkeypatch):
    variant(MUTANTS / f"{name}.py").apply(monkeypatch)
    with pytest.raises(AssertionError):
        CHECKS[CAUGHT_BY[name]](monkeypatch)


def test_every_variant_has_a_check_that_catches_it():
    assert {path.stem for path in MUTANTS.glob("*.py")} == set(CAUGHT_BY)
