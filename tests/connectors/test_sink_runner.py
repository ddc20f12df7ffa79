"""A sink is told of every change, in order, at least once, over failures, kills and restarts; and harms nobody when it is gone."""

import json
import threading
import time

import pytest
from tests.telemetry.plant import NOW, Plant, contract
from tests.twins.test_changes import OBSERVATIONS, ONTOLOGY

from twinwright.clock import SECOND, SystemClock, to_iso
from twinwright.connectors.runner import Backoff
from twinwright.connectors.sink_runner import POSITIONS, SinkRunner
from twinwright.governance.principals import SYSTEM
from twinwright.twins.changes import ChangeLog


class ListSink:
    """A sink that is a list; `broken` says what `write` raises, until it is None again."""

    def __init__(self):
        self.taken, self.opened, self.closed, self.broken, self.changed = [], 0, 0, None, threading.Condition()

    def open(self):
        self.opened += 1

    def write(self, batch):
        if self.broken is not None:
            raise self.broken
        with self.changed:
            self.taken += batch
            self.changed.notify_all()

    def close(self):
        self.closed += 1

    def wait_for(self, count, timeout=30.0):
        with self.changed:
            return self.changed.wait_for(lambda: len(self.taken) >= count, timeout)

    @property
    def starts(self):
        return [change.values["starts"]["value"] for change in self.taken]


@pytest.fixture
def plant(tmp_path):
    one = Plant(tmp_path / "store.duckdb", [contract(observations=OBSERVATIONS)])
    yield one
    one.close()


def running(plant, sink, start="earliest", name="out"):
    log = ChangeLog(plant.store, ONTOLOGY, plant.pipeline.registry)
    quick = Backoff(first=0.02, longest=0.05)
    runner = SinkRunner(sink, name, plant.store, lambda: log, ["observed"], start, plant.metrics, SystemClock(), quick)
    plant.store.on_commit(runner.wake)
    runner.start()
    return runner


def send(plant, first, count=3):
    plant.send(*({"id": "pump-1", "ts": to_iso(NOW - (100 - n) * SECOND), "n": n} for n in range(first, first + count)))


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_new_sink_begins_where_it_is_told_and_follows(plant):
    send(plant, 0)
    all_of_it, new_only = ListSink(), ListSink()
    runners = [running(plant, all_of_it, "earliest", "all"), running(plant, new_only, "latest", "new")]
    until(lambda: plant.store.position(SYSTEM, POSITIONS, "new"))
    send(plant, 3)
    assert all_of_it.wait_for(6)
    assert new_only.wait_for(3)
    assert all(runner.stop() for runner in runners)
    assert all_of_it.starts == [0, 1, 2, 3, 4, 5]
    assert new_only.starts == [3, 4, 5]


def test_its_place_outlives_it_and_its_own_commits_are_not_followed_by_others(plant):
    send(plant, 0)
    first = ListSink()
    runner = running(plant, first)
    assert first.wait_for(3)
    assert runner.stop()
    held = plant.store.position(SYSTEM, POSITIONS, "out")
    assert held == plant.store.last_commit(SYSTEM) - 1
    again = ListSink()
    runner = running(plant, again)
    until(lambda: runner.lag().commits == 0)
    before = plant.store.last_commit(SYSTEM)
    send(plant, 3)
    assert again.wait_for(3)
    assert runner.stop()
    assert again.starts == [3, 4, 5]
    assert plant.store.last_commit(SYSTEM) == before + 2  # what was sent, and the place


def test_what_was_not_stored_comes_again_in_order_and_is_told_once(plant, events):
    sink = ListSink()
    sink.broken = OSError("the other side is gone")
    runner = running(plant, sink)
    send(plant, 0)
    until(lambda: sink.opened > 3)
    assert "gone" in runner.lag().error
    assert runner.lag().commits > 0
    send(plant, 3)  # ingestion goes on
    sink.broken = None
    assert sink.wait_for(6)
    until(lambda: not runner.lag().error)
    assert runner.stop()
    assert sink.starts == [0, 1, 2, 3, 4, 5]
    assert sink.closed >= sink.opened
    said = [event["event"] for event in events() if event.get("sink") == "out"]
    assert said == ["sink_down", "sink_recovered"]
    assert plant.metrics.value("twinwright_sink_changes_total", sink="out") == 6
    assert plant.metrics.value("twinwright_sink_failures_total", sink="out") > 2


def test_a_process_that_was_killed_before_it_remembered_its_place_tells_again(plant):
    sink = ListSink()
    runner = running(plant, sink)
    runner._remember = lambda: None  # as if it were killed within the second
    send(plant, 0)
    assert sink.wait_for(3)
    assert runner.stop()
    again = ListSink()
    runner = running(plant, again)
    assert again.wait_for(3)
    assert runner.stop()
    assert again.starts == [0, 1, 2]


def test_a_sink_can_be_stopped_while_it_waits_for_its_next_try(plant):
    sink = ListSink()
    sink.broken = OSError("no")
    runner = running(plant, sink)
    send(plant, 0)
    until(lambda: sink.opened > 1)
    assert runner.stop(10)
    assert json.dumps(runner.lag().error) == '"no"'
