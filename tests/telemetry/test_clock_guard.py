"""While the clock is suspect nothing is taken or acknowledged; afterwards all of it is, and nothing was refused for our clock's sake."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.telemetry.plant import NOW, contract

from twinwright.clock import HOUR, SECOND, ManualClock, SystemClock, to_iso
from twinwright.connectors.runner import SourceRunner
from twinwright.errors import BusyError, ClockSuspectError
from twinwright.governance.principals import SYSTEM
from twinwright.observability.metrics import Metrics
from twinwright.telemetry import pipeline
from twinwright.telemetry.clock_guard import PAUSE, Anchor, ClockGuard
from twinwright.telemetry.payloads import Delivery, Payload

MINUTE = 60 * SECOND
STEPS = pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["ahead", "back"])


def at(time, twin="pump-1", p=1.0):
    return json.dumps({"id": twin, "ts": to_iso(time), "p": p}).encode()


def guard(clock, anchor=None):
    return ClockGuard(clock, Metrics.create(), anchor)


def suspect(guarding):
    return guarding.status().suspect


@STEPS
def test_a_step_pauses_unacknowledged_and_all_of_it_is_taken_afterwards(plant, step):
    true = ManualClock(NOW)  # the sources' own, which nobody steps
    plant.send(at(true.now()))
    plant.clock.step(step)
    for _ in range(3):
        for clock in (true, plant.clock):
            clock.advance(MINUTE)
        with pytest.raises(ClockSuspectError, match="ahead of" if step > 0 else "behind") as paused:
            plant.send(at(true.now()))
        assert paused.value.retry_after > 0
    assert plant.store.last_commit(SYSTEM) == 2
    assert plant.metrics.value("twinwright_clock_suspect") == 1
    plant.clock.step(-step)
    receipt = plant.send(*(at(NOW + minute * MINUTE) for minute in range(1, 4)))
    assert (receipt.accepted, dict(receipt.dead_lettered)) == (3, {})
    assert plant.store.counts(SYSTEM)["pump"].dead_lettered == 0
    assert plant.metrics.value("twinwright_clock_suspect") == 0
    assert plant.metrics.value("twinwright_clock_steps_total") == 1


@STEPS
def test_a_clock_that_was_wrong_and_is_set_right_is_trusted_by_the_sources_word(plant, step):
    plant.clock.step(step)  # to the time that the sources have
    assert plant.send(at(plant.clock.now() - SECOND)).accepted == 1
    assert plant.metrics.value("twinwright_clock_steps_total") == 1


def test_the_median_of_the_sources_decides(make_plant):
    plant = make_plant(contract("a"), contract("b"), contract("c"), contract("files"))
    plant.clock.step(HOUR)
    now = plant.clock.now()
    with pytest.raises(ClockSuspectError):
        plant.send(at(now - HOUR), to="a")  # says that it is an hour earlier
    with pytest.raises(ClockSuspectError):
        plant.send(at(now - 8_760 * HOUR), to="files")  # last year's: says nothing of the clock
    with pytest.raises(ClockSuspectError):
        plant.send(at(now), to="b")  # one against one
    with pytest.raises(ClockSuspectError):
        plant.send(b"junk", to="c")
    assert plant.send(at(now), to="c").accepted == 1  # two against one
    assert plant.send(at(now - HOUR), to="a").accepted == 1


def test_after_ten_minutes_it_goes_on(plant):
    plant.clock.step(-HOUR)
    with pytest.raises(ClockSuspectError):
        plant.send(at(NOW))
    plant.clock.advance(PAUSE - 1)
    with pytest.raises(ClockSuspectError):
        plant.send(at(NOW - 2 * HOUR))
    plant.clock.advance(1)
    assert plant.send(at(NOW - 2 * HOUR)).accepted == 1


def test_another_step_starts_the_ten_minutes_anew_and_forgets_what_was_said():
    clock = ManualClock(NOW)
    guarding = guard(clock)
    clock.step(HOUR)
    assert suspect(guarding)
    with pytest.raises(ClockSuspectError):
        guarding.admit("a", lambda: clock.now() - HOUR)
    clock.advance(9 * MINUTE)
    clock.step(HOUR)
    assert guarding.status().left == PAUSE
    guarding.admit("b", clock.now)  # one vote, and it agrees
    assert not suspect(guarding)


def test_an_operator_may_say_so(plant):
    plant.clock.step(-HOUR)
    with pytest.raises(ClockSuspectError):
        plant.send(at(NOW))
    plant.pipeline.guard.trust()
    assert plant.send(at(NOW - 2 * HOUR)).accepted == 1


def test_what_waits_to_be_prepared_at_the_step_is_given_back_whole(plant, monkeypatch):
    held, go = threading.Event(), threading.Event()
    prepared = plant.pipeline._prepared

    def stepped_first(group):
        held.set()
        assert go.wait(30)
        return prepared(group)

    monkeypatch.setattr(plant.pipeline, "_prepared", stepped_first)
    futures = [plant.pipeline.submit_soon(Delivery("pump", (Payload(at(NOW + n)),))) for n in range(3)]
    assert held.wait(30)
    plant.clock.step(-HOUR)
    go.set()
    for future in futures:
        with pytest.raises(ClockSuspectError):
            future.result(30)
    assert plant.store.counts(SYSTEM) == {}
    plant.clock.step(HOUR)
    assert plant.send(*(at(NOW + n) for n in range(3))).accepted == 3


def test_a_step_between_preparing_and_committing_stamps_no_commit(plant):
    with plant.state.lock:
        prepared = plant.pipeline._prepared([pipeline._Waiting(Delivery("pump", (Payload(at(NOW)),)), Future(), 0, 0.0)])
        plant.clock.step(HOUR)
        with pytest.raises(ClockSuspectError):
            plant.pipeline._write(prepared)
    assert plant.store.last_commit(SYSTEM) == 1


def test_dead_letters_are_not_retried_by_a_suspect_clock(plant):
    plant.send(at(NOW + 2 * HOUR))
    plant.clock.step(3 * HOUR)
    letters = plant.store.dead_letters(SYSTEM)
    with pytest.raises(ClockSuspectError):
        plant.reprocessing.retry(SYSTEM, letters)
    assert [letter.status for letter in plant.store.dead_letters(SYSTEM)] == ["open"]


def test_a_connector_is_neither_polled_nor_acknowledged_meanwhile(plant):
    class Source:
        def __init__(self):
            self.polled, self.acknowledged, self.enough = 0, [], threading.Event()

        def open(self, positions):
            pass

        def poll(self, timeout):
            self.polled += 1
            return Delivery("pump", (Payload(at(NOW + self.polled)),))

        def committed(self, delivery, receipt):
            self.acknowledged.append(receipt)
            if len(self.acknowledged) == 3:
                self.enough.set()

        def close(self):
            pass

    source, waits = Source(), []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            assert (source.polled, source.acknowledged) == (1, [])
            plant.clock.step(HOUR)  # back to where it was
        return len(source.acknowledged) >= 3

    runner = SourceRunner(source, "fake", (), plant.pipeline, lambda *_: 0, plant.metrics, plant.clock, wait=wait)
    plant.clock.step(-HOUR)
    runner.start()
    assert source.enough.wait(60)
    assert runner.stop()
    assert waits == [5.0] * 3
    assert all(receipt.accepted == 1 for receipt in source.acknowledged)


def test_a_slew_and_a_step_below_the_skew_are_followed_and_many_of_them_are_not():
    clock = ManualClock(NOW)
    guarding = guard(clock)
    for _ in range(1_000):  # half a part in a thousand, 50 minutes in all
        clock.advance(100 * MINUTE)
        clock.step(3 * SECOND)
        assert guarding.now() == clock.now()
    clock.step(29 * SECOND)
    assert not suspect(guarding)
    clock.step(2 * SECOND)
    assert suspect(guarding)


def test_the_smallest_skew_of_the_contracts_counts(make_plant):
    plant = make_plant(contract("a", skew="PT5S"), contract("b", skew="PT1H"))
    plant.clock.step(6 * SECOND)
    with pytest.raises(BusyError):
        plant.send(at(NOW - MINUTE), to="b")
    assert ManualClock().boot() == "0"
    alone = guard(ManualClock())
    alone.configure([0])
    assert alone.status().skew == SECOND


# --- while nobody looked -----------------------------------------------------------------------------------------------


@STEPS
def test_a_step_while_the_process_slept_or_was_stopped_is_seen(step):
    clock = ManualClock(NOW)
    guarding = guard(clock)
    clock.advance(8 * HOUR)
    clock.step(step)
    clock.advance(8 * HOUR)
    with pytest.raises(ClockSuspectError):
        guarding.now()


@STEPS
def test_a_step_between_two_processes_is_seen_and_the_pause_goes_on_in_the_next(step):
    clock = ManualClock(NOW)
    anchor = guard(clock).anchor()
    clock.advance(HOUR)
    clock.step(step)
    second = guard(clock, anchor)
    assert suspect(second)
    clock.advance(PAUSE // 2)
    third = guard(clock, second.anchor())
    assert third.status().left == PAUSE - PAUSE // 2
    clock.advance(PAUSE)
    assert not suspect(guard(clock, third.anchor()))
    assert not suspect(guard(clock, guard(clock, third.anchor()).anchor()))


def test_what_an_operator_said_holds_in_the_next_process():
    clock = ManualClock(NOW)
    anchor = guard(clock).anchor()
    clock.step(-HOUR)
    second = guard(clock, anchor)
    second.trust()
    assert not suspect(guard(clock, second.anchor()))
    clock.reboot()
    assert not suspect(guard(clock, second.anchor()))


def test_after_a_reboot_only_a_clock_that_went_back_is_suspect():
    clock = ManualClock(NOW)
    anchor = guard(clock).anchor()
    clock.advance(HOUR)
    clock.reboot()
    assert not suspect(guard(clock, anchor))
    clock.step(-2 * HOUR)
    assert guard(clock, anchor).status().step == -HOUR
    assert suspect(guard(clock, Anchor("", 0, NOW)))  # of which nothing but a commit's time is known


@settings(derandomize=True, database=None, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["advance", "step", "restart", "look"]), st.integers(-2 * HOUR, 2 * HOUR)), max_size=12))
def test_no_time_is_given_that_is_further_off_than_the_skew_until_the_pause_is_over(moves):
    clock, wrong = ManualClock(NOW), 0
    guarding = guard(clock)
    for move, size in moves:
        if move == "advance":
            clock.advance(abs(size) % (PAUSE // 12))
        elif move == "step":
            clock.step(size)
            wrong += size
        elif move == "restart":
            guarding = guard(clock, guarding.anchor())
        try:
            guarding.now()
        except ClockSuspectError:
            assert abs(wrong) > 29 * SECOND
        else:
            assert abs(wrong) <= 31 * SECOND


def test_the_machines_clocks_move_on_together():
    clock = SystemClock()
    guarding = guard(clock)
    assert abs(guarding.now() - clock.now()) < HOUR
    assert clock.boot() == SystemClock().boot()
