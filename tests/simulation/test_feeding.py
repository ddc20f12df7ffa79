"""A child that is at work is handed more before it has none, and what either side says is taken as that of a stranger."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from twinwright.simulation import executor
from twinwright.simulation.child import Limits, Success, run_in_child
from twinwright.simulation.executor import BatchSizes, Work, run_all
from twinwright.simulation.feeding import Fed, Feeder, SoFar


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def pair():
    """`pair(more)` are both sides, in this process."""
    opened = []

    def make(more):
        feeder = Feeder(more)
        fed = Fed(os.dup(feeder.theirs.fileno()))
        feeder.theirs.close()
        opened.append((feeder, fed))
        return feeder, fed

    yield make
    for feeder, fed in opened:
        with feeder:
            fed.close()


def nothing():
    return SoFar((), False)


def test_what_is_asked_for_ahead_is_there_when_it_is_taken(pair):
    asked = []
    left = [{"members": [1, 2]}, {"arrays": [np.arange(1e5)]}]
    feeder, fed = pair(lambda pace, _: asked.append(pace) or (left.pop(0) if left else None))
    fed.ask(0.02)
    fed.ask(0.03)  # asked already
    assert feeder.answer(nothing)
    descriptors = open_files()
    assert fed.take(0.04) == {"members": [1, 2]}
    assert open_files() == descriptors, "a descriptor is left open where a run would find it"
    fed.ask(0.01)
    assert feeder.answer(nothing)
    assert fed.take(0.01)["arrays"][0].tolist() == np.arange(1e5).tolist()
    fed.ask(0.01)
    assert not feeder.answer(nothing)
    feeder.close()
    assert fed.take(0.01) is None, "what was said before it was hung up on is lost"
    assert asked == [0.02, 0.01, 0.01]


@pytest.mark.parametrize("said", [b"", b"more, please", b"x" * 64])
def test_what_is_no_question_is_not_answered(said):
    with Feeder(lambda *_: pytest.fail("it was asked")) as feeder:
        if said:
            feeder.theirs.send(said)
        else:
            feeder.theirs.close()
        assert not feeder.answer(nothing)


def test_a_pace_that_is_none_is_taken_as_unknown_and_who_does_not_take_what_it_asks_for_is_let_be(pair):
    asked = []
    feeder, fed = pair(lambda pace, _: asked.append(pace) or {"members": []})
    for pace in (float("nan"), float("inf"), -1.0):
        fed.ask(pace)
        assert feeder.answer(nothing) and fed.take(0.0) == {"members": []}
    assert asked == [0.0, 0.0, 0.0]
    there, answered = open_files(), 0
    while True:
        fed.asked = False
        fed.ask(1.0)
        if not feeder.answer(nothing):
            break
        answered += 1
    assert 0 < answered < 10_000
    assert open_files() == there, "what was handed on is held here, too"


def test_who_is_hung_up_on_has_no_more(pair):
    feeder, fed = pair(lambda *_: None)
    feeder.close()
    assert fed.take(1.0) is None


def works(definition, count):
    """Runs with times and inputs that some of them share."""
    grids = [(np.arange(0.0, 3.0 + more), np.zeros((3 + more, 0))) for more in range(3)]
    payload = {"model": definition.as_data(), "states": {}, "seed": 1}
    return [
        Work(definition, {**payload, "parameters": {"k": float(index)}, "times": times, "inputs": inputs}, Limits(60.0, 256 << 20))
        for index, (times, inputs) in ((index, grids[index % 3]) for index in range(count))
    ]


def test_a_child_goes_on_with_what_it_is_handed_and_each_run_is_its_own(simple, monkeypatch):
    definition = simple("return (p[0],)")
    sizes = []

    def counted(entry, payload, **rest):
        outcome = run_in_child(entry, payload, **rest)
        sizes.append((len(payload["members"]), len(outcome.parts)))
        return outcome

    monkeypatch.setattr(executor, "run_in_child", counted)
    found = dict(run_all(works(definition, 90), workers=2))
    assert sorted(found) == list(range(90))
    for index, outcome in found.items():
        assert isinstance(outcome, Success)
        assert outcome.result["outputs"].shape == (3 + index % 3, 1)
        assert outcome.result["outputs"][-1, 0] == pytest.approx(1.0 + index * (2 + index % 3))
    assert any(done > given for given, done in sizes), sizes


def test_what_ended_well_leaves_while_the_child_goes_on_and_what_failed_waits_for_its_end(simple):
    jobs, left, room = works(simple("return (p[0],)"), 6), [], [True]
    given = executor._Given(jobs, BatchSizes(0, 2), executor._Way(left.extend, room.pop))
    given.add(range(6))
    tables = {"outputs": np.zeros((3, 1)), "states": np.zeros((3, 1)), "events": [], "warnings": [], "peak_memory": 4096.0}
    told = tables, {"failure": "crashed", "message": "so it says"}, "no answer", {**tables, "outputs": np.zeros((9, 1))}, tables
    given.asked(0.001, lambda: SoFar(told, True))  # the fourth has not the shape of its model's outputs, nor has the fifth
    assert [index for index, _ in left] == [0] and given.count == 5
    assert left[0][1].cost.peak_memory == 4096 and left[0][1].cost.network_cut
    assert [(index, one.kind) for index, one in given.answered] == [(1, "crashed"), (2, "refused"), (3, "refused"), (4, "refused")]
    room.append(False)
    given.asked(0.001, lambda: pytest.fail("nobody has room for it"))
    given.answer((tables, tables, tables), False)  # more than it was asked for
    assert given.count == 6 and [index for index, _ in given.answered] == [1, 2, 3, 4, 5]


def test_nothing_is_handed_on_once_it_is_not_wanted(simple):
    jobs = works(simple("return (p[0],)"), 20)
    sizes = BatchSizes(20, 2)
    given = executor._Given(jobs, sizes)
    first = given.add(sizes.take())
    more = given.more(0.001)
    assert len(first["arrays"]) == 6 and more["arrays"] == [], "what the child has is not told again"
    assert given.indices == list(range(len(first["members"]) + len(more["members"])))
    sizes.end()
    assert given.more(0.001) is None
    sizes = BatchSizes(20, 2)
    sizes.batching = False
    assert executor._Given(jobs, sizes).more(0.001) is None and len(sizes.waiting) == 20
