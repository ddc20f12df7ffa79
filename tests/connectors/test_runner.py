"""Supervision: nothing acknowledged that is not stored, whatever fails; and few words about it."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinwright.connectors.conformance import ListIntake
from twinwright.connectors.runner import USAGE_TRIES, Backoff, SourceRunner
from twinwright.documents import Spec
from twinwright.errors import BusyError, FenceError, StoreError, TooLargeError
from twinwright.observability import logs
from twinwright.observability.metrics import Metrics
from twinwright.telemetry.connector import Bound
from twinwright.telemetry.payloads import Delivery, Payload, Position


class Numbers:
    """Yields one-payload deliveries 0..count-1 from its position; `act(step, number)` may raise anywhere."""

    def __init__(self, count, act=lambda step, number: None):
        self.count, self.act = count, act
        self.at, self.acknowledged, self.opened, self.closed = 0, [], 0, 0

    def open(self, positions):
        self.opened += 1
        self.at = positions("c", "s")
        self.act("open", self.at)

    def poll(self, timeout):
        self.act("poll", self.at)
        if self.at >= self.count:
            time.sleep(0.005)
            return None
        self.at += 1
        return Delivery("c", (Payload(str(self.at - 1).encode()),), (Position("s", self.at - 1, self.at),))

    def committed(self, delivery, receipt):
        self.act("committed", self.at)
        self.acknowledged.append(delivery.payloads[0].body)

    def close(self):
        self.closed += 1
        self.act("close", self.at)


class Failing:
    """Raises each of the errors given for a step and number, once each."""

    def __init__(self, *failures):
        self.failures = list(failures)

    def __call__(self, step, number):
        for index, (at_step, at_number, error) in enumerate(self.failures):
            if (at_step, at_number) == (step, number):
                del self.failures[index]
                raise error


@pytest.fixture
def run(intake):
    started = []

    def start(source, *, until=None, waits=None):
        stopped = threading.Event()

        def wait(seconds):
            if waits is not None:
                waits.append(seconds)
            return stopped.is_set()

        runner = SourceRunner(source, "s1", (Bound("c", "json", Spec()),), intake, intake.positions, Metrics.create(), wait=wait)
        started.append((runner, stopped))
        runner.start()
        if until is not None:
            deadline = time.monotonic() + 60
            while not until(runner) and time.monotonic() < deadline:
                time.sleep(0.002)
            assert until(runner), runner.status()
        return runner

    yield start
    for runner, stopped in started:
        stopped.set()
        assert runner.stop(60)


def names(count):
    return [str(n).encode() for n in range(count)]


def up(runner):
    return runner.status().state == "up"


def test_everything_is_stored_once_in_order_and_then_acknowledged(run, intake):
    source = Numbers(200)
    runner = run(source, until=lambda r: up(r) and len(source.acknowledged) == 200)
    assert intake.bodies == source.acknowledged == names(200)
    assert runner.status().readings == 200
    assert runner._metrics.value("twinwright_connector_up", connector="s1") == 1
    assert runner.stop(60)
    assert (runner.status().state, source.closed) == ("stopped", 1)
    assert runner._metrics.value("twinwright_connector_up", connector="s1") == 0


def test_a_busy_intake_gets_the_same_delivery_again_after_the_wait_it_asked_for(run, intake):
    left, seen, waits = [2], [], []

    def busy(delivery):
        seen.append(delivery)
        if left[0]:
            left[0] -= 1
            raise BusyError("full", retry_after=0.125)

    intake.fail = busy
    source = Numbers(2)
    run(source, until=lambda r: len(source.acknowledged) == 2, waits=waits)
    assert waits == [0.125, 0.125]
    assert seen[0] is seen[1] is seen[2]
    assert source.opened == 1


def test_a_fence_reopens_at_the_position_of_the_store(run, intake, events):
    def overtaken(delivery):
        if delivery.positions[0].start == 3 and not intake.held.get("moved"):
            intake.held["moved"] = True
            intake.held["c", "s"] = 7  # somebody else committed 3 to 6
            raise FenceError("overtaken")

    intake.fail = overtaken
    source = Numbers(10)
    run(source, until=lambda r: len(source.acknowledged) == 6)
    assert intake.bodies == names(10)[:3] + names(10)[7:]
    assert (source.opened, source.closed) == (2, 1)
    assert [event["event"] for event in events()] == ["source_overtaken"]


def test_a_failing_store_gets_everything_later_and_is_told_of_in_two_lines(run, intake, events):
    left = [5]

    def broken(delivery):
        if delivery.positions[0].start == 4 and left[0]:
            left[0] -= 1
            raise StoreError("disk full")

    intake.fail = broken
    source, waits = Numbers(8), []
    runner = run(source, until=lambda r: len(source.acknowledged) == 8 and up(r), waits=waits)
    assert intake.bodies == source.acknowledged == names(8)
    assert [event["event"] for event in events()] == ["source_down", "source_recovered"]
    assert events()[0]["error"] == "disk full"
    assert runner._metrics.value("twinwright_connector_reconnects_total", connector="s1") == 5
    assert len(waits) == 5
    assert waits[4] > waits[0]


@pytest.mark.parametrize("step", ["open", "poll", "committed", "close"])
def test_an_exception_in_any_step_of_a_source_harms_only_that_try(run, intake, events, step):
    failing = Failing((step, 0, ZeroDivisionError("plug-in")), (step, 1, ZeroDivisionError("plug-in")), (step, 2, ValueError("again")))
    source = Numbers(5, failing)
    run(source, until=lambda r: len(intake.bodies) == 5 and up(r))
    assert intake.bodies == names(5)
    assert set(source.acknowledged) <= set(intake.bodies)
    assert len(events()) % 2 == 0


def test_what_nobody_foresaw_is_logged_with_its_traceback(run, intake, events):
    source = Numbers(1, Failing(("poll", 0, ZeroDivisionError("plug-in"))))
    run(source, until=lambda r: len(source.acknowledged) == 1 and up(r))
    assert "ZeroDivisionError: plug-in" in events()[0]["exception"]


def test_a_delivery_refused_as_wrong_usage_holds_the_source_unacknowledged_until_it_is_started_again(run, intake, events):
    wrong = [True]

    def refuse(delivery):
        if delivery.positions[0].start == 2 and wrong[0]:
            raise TooLargeError("17 MiB in one payload")

    intake.fail = refuse
    source = Numbers(5)
    runner = run(source, until=lambda r: r.status().state == "held")
    assert source.acknowledged == intake.bodies == names(2)
    assert runner._metrics.value("twinwright_connector_refused_total", connector="s1") == USAGE_TRIES
    assert "17 MiB" in runner.status().error
    (line,) = [event for event in events() if event["event"] == "source_held"]
    assert line["remedy"]
    assert line["contract"] == "c"
    assert source.closed == 1
    wrong[0] = False
    runner.start()
    assert intake.wait_for(lambda i: len(i.deliveries) == 5)
    assert intake.bodies == names(5)


def test_stopping_waits_for_the_delivery_in_hand_and_acknowledges_it(run, intake):
    entered, release = threading.Event(), threading.Event()

    def slow(delivery):
        entered.set()
        release.wait(60)

    intake.fail = slow
    source = Numbers(100)
    runner = run(source)
    assert entered.wait(60)
    assert runner.stop(0.05) is False
    release.set()
    assert runner.stop(60) is True
    assert intake.bodies == source.acknowledged == names(1)
    assert source.closed == 1


def test_stopping_ends_a_wait_at_once(intake):
    def broken(delivery):
        raise StoreError("down")

    intake.fail = broken
    source = Numbers(1)
    runner = SourceRunner(source, "s1", (), intake, intake.positions, Metrics.create(), backoff=Backoff(first=600))
    runner.start()
    runner.start()
    while runner.status().state != "down":
        time.sleep(0.002)
    begun = time.monotonic()
    assert runner.stop(60)
    assert time.monotonic() - begun < 60
    assert source.acknowledged == []


def test_stopping_what_was_never_started_is_fine(intake):
    assert SourceRunner(Numbers(1), "s1", (), intake, intake.positions, Metrics.create()).stop() is True


def test_every_line_about_one_delivery_has_one_correlation_id(run, intake):
    seen = []
    intake.fail = lambda delivery: seen.append(logs.current_correlation())
    source = Numbers(3)
    run(source, until=lambda r: len(source.acknowledged) == 3)
    assert None not in seen
    assert len(set(seen)) == 3


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_within_its_bounds_and_never_shrinks_with_failures(failures, chance):
    backoff = Backoff(first=0.5, longest=60)
    assert 0.25 <= backoff.delay(failures, chance) <= 60
    assert backoff.delay(failures + 1, chance) >= backoff.delay(failures, chance)


steps = st.sampled_from(["open", "poll", "committed", "close", "submit", "busy", "fence"])


@given(st.lists(st.tuples(steps, st.integers(0, 9)), max_size=12))
def test_whatever_fails_when_all_is_stored_once_and_nothing_is_acknowledged_that_is_not(failures):
    from_intake = {"submit": StoreError("x"), "busy": BusyError("x", retry_after=0.0), "fence": FenceError("x")}
    in_source = Failing(*[(step, n, OSError("x")) for step, n in failures if step not in from_intake])
    in_intake = Failing(*[(step, n, from_intake[step]) for step, n in failures if step in from_intake])
    intake = ListIntake()

    def fail(delivery):
        for step in from_intake:
            in_intake(step, delivery.positions[0].start)

    intake.fail = fail
    source = Numbers(10, in_source)
    acknowledged_early = []
    original = source.committed

    def committed(delivery, receipt):
        if delivery not in intake.deliveries:
            acknowledged_early.append(delivery)
        original(delivery, receipt)

    source.committed = committed
    runner = SourceRunner(source, "s1", (), intake, intake.positions, Metrics.create(), wait=lambda seconds: False)
    runner.start()
    assert intake.wait_for(lambda i: len(i.deliveries) >= 10)
    assert runner.stop(60)
    assert intake.bodies == names(10)
    assert acknowledged_early == []
