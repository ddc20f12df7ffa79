"""What a shadow says is a function of history: whatever the order, lateness, correction or kill. Broken variants are caught."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.simulation.shadow.line import BEGIN, STEP, Line, body

from twinwright.clock import SECOND
from twinwright.governance.principals import SYSTEM
from twinwright.simulation.shadow import follower

MUTANTS = Path(__file__).parent / "mutants"
FORECAST = {"horizon": "PT1M", "every": "PT30S"}
law = settings(
    derandomize=True,
    database=None,
    max_examples=4,
    deadline=None,
    report_multiple_bugs=False,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],  # a machine that is busy is no fault of what is drawn
)
values = st.sampled_from([60.0, 120.0, 90.5])
readings = st.tuples(st.integers(0, 60), values | st.none(), values | st.none(), st.sampled_from(["pump-1", "pump-1", "pump-2"]))
batches = st.lists(readings.filter(lambda one: one[1] is not None or one[2] is not None), min_size=1, max_size=6)
steps = st.lists(
    st.tuples(batches, st.sampled_from(["follow", "follow", "wait", "kill", "begin", "stop", "start"]), st.integers(0, 2)),
    min_size=2,
    max_size=6,
)


@contextmanager
def line(hold: str = "zero", **changes: Any) -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as folder:
        made = Line(Path(folder), hold, **changes)
        try:
            yield made
        finally:
            made.close()


def check_any_order(patched: pytest.MonkeyPatch) -> None:
    """Late, corrected and repeated inputs, followed in small pieces by a consumer that is killed: as if all had been there in time."""
    patched.setattr(follower, "CHUNK", 7)

    @law
    @given(steps, st.sampled_from(["zero", "linear", "next"]))
    def check(given_steps: list[tuple[list[Any], str, int]], hold: str) -> None:
        with line(hold, forecast=FORECAST) as one, line(hold, forecast=FORECAST) as other:
            for batch, then, after in given_steps:
                one.plant.send(*(body(*reading) for reading in batch))
                if then == "kill":
                    one.follow_until_killed(after)
                elif then == "begin":
                    one.begin()
                elif then in ("stop", "start"):
                    one.switch(stop=then == "stop")
                    one.follow()
                elif then == "follow":
                    one.follow()
            one.begin()
            one.switch(stop=False)
            one.follow()
            other.plant.send(*(body(*reading) for batch, _, _ in given_steps for reading in batch))
            other.follow()
            assert one.facts() == other.facts()

    check()


def check_a_late_input(_patched: pytest.MonkeyPatch) -> None:
    """What a late input changes is superseded, because of its commit, from the last state before it on; nothing else is written."""
    with line() as one:
        one.plant.send(*(body(tick, 60.0, 100.0) for tick in range(0, 61, 2)))
        one.follow()
        before, last = one.facts(), one.plant.store.last_commit(SYSTEM)
        one.plant.send(body(40, 120.0))
        late = one.plant.store.last_commit(SYSTEM)
        one.follow()
        rows = [row for lane in ("simulated", "derived") for row in one.plant.history(lane=lane) if row["commit"] > last]
        assert {row["correction"] for row in rows} == {late}
        assert min(row["time"] for row in rows) > BEGIN + 20 * STEP * SECOND
        assert {key for key, said in one.facts().items() if before.get(key) != said} == {
            (row["twin"], row["path"], row["time"], row["source"]) for row in rows
        }
        last = one.plant.store.last_commit(SYSTEM)
        one.plant.send(body(41, 60.0))  # says what holds there already
        one.follow()
        assert not [row for lane in ("simulated", "derived") for row in one.plant.history(lane=lane) if row["commit"] > last]


def check_a_kill(patched: pytest.MonkeyPatch) -> None:
    """Killed in any transaction, it goes on to what one that was never killed says."""
    patched.setattr(follower, "CHUNK", 8)
    told = [body(tick, 60.0 + tick % 3, 100.0) for tick in range(0, 61, 2)]
    with line(forecast=FORECAST) as whole:
        whole.plant.send(*told)
        whole.follow()
        for after in range(3):
            with line(forecast=FORECAST) as one:
                one.plant.send(*told[:20])
                one.follow_until_killed(after)
                one.plant.send(*told[20:])
                one.follow_until_killed(0)
                one.follow()
                assert one.facts() == whole.facts()
                assert {row["time"]: row["body"] for row in one.states()}.items() >= {
                    max((row["time"], row["body"]) for row in whole.states())
                }


def check_a_stop(_patched: pytest.MonkeyPatch) -> None:
    """One that is stopped says nothing, whoever follows; started, what one says that was never stopped, of late inputs as well."""
    told = [body(tick, 60.0 + tick % 3, 100.0) for tick in range(0, 121, 4)]  # at every second step
    late = [body(18, 90.0), body(22, None, 80.0)]
    with line(forecast=FORECAST) as one, line(forecast=FORECAST) as other:
        one.plant.send(*told[:16])
        one.follow()
        one.switch(stop=True)
        there = one.facts()
        for part in (told[16:], late):
            one.plant.send(*part)
            one.follow()
        assert one.facts() == there
        assert one.consumer.lags() == []
        one.begin()  # by whoever comes next
        one.follow()
        assert one.facts() == there
        one.switch(stop=False)
        one.follow()
        other.plant.send(*told, *late)
        other.follow()
        assert one.facts() == other.facts()
        assert one.states()[-1] == other.states()[-1]


CHECKS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "any order": check_any_order,
    "a late input": check_a_late_input,
    "a kill": check_a_kill,
    "a stop": check_a_stop,
}
CAUGHT_BY = {
    "states_outlive_their_inputs": "a late input",
    "everything_written_again": "a late input",
    "position_before_outputs": "a kill",
    "held_values_outlive_a_rewind": "any order",
    "stopped_it_moves_on": "a stop",
    "a_stop_is_forgotten": "a stop",
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_law_holds_for(name, monkeypatch):
    CHECKS[name](monkeypatch)


@pytest.mark.parametrize("mutant", CAUGHT_BY)
def test_a_broken_variant_is_caught(mutant, monkeypatch):
    spec = importlib.util.spec_from_file_location(mutant, MUTANTS / f"{mutant}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.apply(monkeypatch)
    with pytest.raises(AssertionError):
        CHECKS[CAUGHT_BY[mutant]](monkeypatch)
