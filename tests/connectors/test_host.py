"""Samples of a machine: the numbers of /proc, means over the interval, a grid that does not drift."""

import dataclasses
import itertools
import json
import os
import time
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from twinwright.clock import SECOND, ManualClock, from_iso, to_iso
from twinwright.connectors.conformance import Case, SourceConformance
from twinwright.connectors.host import Counters, HostBinding, HostSampler, HostSettings, HostSource, ThisMachine, host_id, next_tick
from twinwright.telemetry.connector import Bound

STAT = "cpu  1 2 3 4\nctxt 99\nprocs_running {}\nprocs_blocked {}\nsoftirq 1\n"


class FakeMachine:
    """A machine whose numbers a test sets."""

    def __init__(self, tasks=((1, 0),), proc=True):
        self.tasks, self.has_proc, self.reads = itertools.cycle(tasks), proc, 0
        self.now = Counters(10.0, 100.0, 7, 8, 42.5, 1_000, 2_000, 3_000, 4_000)

    def proc(self, name):
        if not self.has_proc:
            return None
        if name == "loadavg":
            return "0.50 0.25 0.10 3/88 8080\n"
        self.reads += 1
        return STAT.format(*next(self.tasks))

    def counters(self):
        return self.now

    def work(self, **more):
        self.now = dataclasses.replace(self.now, **{name: getattr(self.now, name) + value for name, value in more.items()})


class Stop:
    """An event that lets a manual clock pass instead of waiting; `late` is how much longer each wait takes."""

    def __init__(self, clock, late=0, until=None):
        self.clock, self.late, self.until = clock, late, until

    def is_set(self):
        return self.until is not None and self.clock.now() >= self.until

    def wait(self, seconds):
        self.clock.advance(round(seconds * SECOND) + self.late)
        return False


def test_rates_and_percentages_are_over_the_time_since_the_last_sample():
    clock, machine = ManualClock(1_000 * SECOND), FakeMachine()
    sampler = HostSampler(machine, clock)
    clock.advance(4 * SECOND)
    machine.work(
        cpu_busy_seconds=3.0, cpu_seconds=8.0, disk_read_bytes=400, disk_write_bytes=800, network_received_bytes=1_200, network_sent_bytes=2
    )
    document = sampler.sample()
    assert document["ts"] == to_iso(1_004 * SECOND)
    assert document["cpu_percent"] == 37.5
    assert (document["disk_read_bytes_per_s"], document["disk_write_bytes_per_s"]) == (100, 200)
    assert (document["network_received_bytes_per_s"], document["network_sent_bytes_per_s"]) == (300, 0.5)
    assert (document["load_1"], document["load_5"], document["load_15"]) == (0.5, 0.25, 0.1)
    assert (document["memory_used_bytes"], document["memory_available_bytes"], document["disk_used_percent"]) == (7, 8, 42.5)


def test_a_counter_that_begins_anew_has_no_negative_rate():
    clock, machine = ManualClock(), FakeMachine()
    sampler = HostSampler(machine, clock)
    clock.advance(SECOND)
    machine.work(network_sent_bytes=-4_000, cpu_busy_seconds=-5.0)
    document = sampler.sample()
    assert document["network_sent_bytes_per_s"] == 0
    assert document["cpu_percent"] == 0


def test_runnable_is_the_mean_over_the_interval_without_the_reader_and_blocked_counts_to_active():
    clock, machine = ManualClock(), FakeMachine(tasks=[(1, 0), (3, 1), (5, 2), (0, 1)])
    sampler = HostSampler(machine, clock)
    for _ in range(3):
        sampler.observe()
    document = sampler.sample()
    assert (document["runnable"], document["blocked"], document["active"]) == (1.5, 1.0, 2.5)
    assert sampler.sample()["runnable"] == 0  # the mean begins anew


def test_without_proc_its_fields_are_left_out():
    document = HostSampler(FakeMachine(proc=False), ManualClock()).sample()
    assert not {"runnable", "blocked", "active", "load_1"} & set(document)
    assert document["memory_used_bytes"] == 7


@pytest.mark.parametrize("late", [0, 1_000, 70_000])
def test_samples_stand_on_multiples_of_the_interval_however_late_each_wait_is(late):
    clock, machine = ManualClock(17 * SECOND + 123), FakeMachine()
    sampler = HostSampler(machine, clock)
    documents = list(itertools.islice(sampler.every(5.0, Stop(clock, late)), 100))
    assert [from_iso(d["ts"]) for d in documents] == [20 * SECOND + n * 5 * SECOND for n in range(100)]
    assert 10 <= machine.reads / 100 <= 21


def test_a_missed_time_is_left_out_and_not_made_up():
    clock = ManualClock(20 * SECOND)
    samples = HostSampler(FakeMachine(), clock).every(5.0, Stop(clock))
    first = next(samples)
    clock.advance(23 * SECOND)
    assert [from_iso(d["ts"]) // SECOND for d in (first, next(samples), next(samples))] == [25, 50, 55]


def test_a_clock_that_is_stepped_does_not_stop_the_samples():
    clock = ManualClock(1_000 * SECOND)
    samples = HostSampler(FakeMachine(), clock).every(5.0, Stop(clock))
    assert from_iso(next(samples)["ts"]) == 1_005 * SECOND
    clock.step(-500 * SECOND)
    assert from_iso(next(samples)["ts"]) == 510 * SECOND
    clock.step(3_000 * SECOND)
    assert from_iso(next(samples)["ts"]) == 3_515 * SECOND


def test_samples_end_when_told():
    clock = ManualClock(0)
    assert len(list(HostSampler(FakeMachine(), clock).every(1.0, Stop(clock, until=10 * SECOND)))) in (9, 10)


@given(st.integers(0, 2**52), st.integers(100_000, 10**9))
def test_the_next_tick_is_the_first_multiple_after_now(now, interval):
    tick = next_tick(now, interval)
    assert tick % interval == 0
    assert now < tick <= now + interval


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs /proc")
def test_this_machine_shows_a_busy_process_in_its_numbers():
    sampler = HostSampler()
    quiet_until = time.monotonic() + 0.5
    busy = os.fork()
    if busy == 0:
        while time.monotonic() < quiet_until + 120:
            pass
        os._exit(0)
    try:
        for _ in range(20):
            time.sleep(0.025)
            sampler.observe()
        document = sampler.sample()
    finally:
        os.kill(busy, 9)
        os.waitpid(busy, 0)
    assert document["runnable"] >= 0.5
    assert document["cpu_percent"] > 5
    assert document["active"] >= document["runnable"]
    assert document["load_1"] >= 0
    assert document["memory_available_bytes"] > 0
    assert 0 <= document["disk_used_percent"] <= 100


def test_a_machine_without_that_file_gives_none():
    assert ThisMachine().proc("no-such-file") is None


def test_the_name_of_the_host_can_be_a_twin():
    assert host_id()
    assert set(host_id()) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class Fed:
    """A sampler whose samples a test feeds."""

    def __init__(self, documents):
        self.documents = documents

    def every(self, seconds, stop, *, observations):
        while not stop.is_set():
            if self.documents:
                yield self.documents.popleft()
            else:
                stop.wait(0.01)


class TestHost(SourceConformance):
    @pytest.fixture
    def case(self):
        documents, fed = deque(), itertools.count()

        def feed(count):
            marks = [f"<{next(fed)}>" for _ in range(count)]
            documents.extend({"mark": mark} for mark in marks)
            return [mark.encode() for mark in marks]

        def make():
            return HostSource("host", HostSettings(), (Bound("c", "json", HostBinding()),), sampler=lambda: Fed(documents))

        return Case(make=make, feed=feed, survives=False)  # the past of a machine can't be read again


def source(*contracts, **settings):
    return HostSource(
        "host", HostSettings(interval="PT0.1S", **settings), tuple(Bound(c, "json", HostBinding()) for c in contracts or ("c",))
    )


def times(deliveries):
    return [json.loads(payload.body)["ts"] for delivery in deliveries for payload in delivery.payloads]


def gather(one, intake, count, commit=True):
    deliveries = []
    while sum(len(d.payloads) for d in deliveries) < count:
        delivery = one.poll(60)
        assert delivery is not None
        deliveries.append(delivery)
        if commit:
            one.committed(delivery, intake.submit(delivery))
    return deliveries


def test_every_sample_comes_once_in_order_with_the_twin_it_is_of(intake):
    one = source(twin="rack-1")
    one.open(intake.positions)
    deliveries = gather(one, intake, 5)
    one.close()
    payloads = [payload for delivery in deliveries for payload in delivery.payloads]
    assert all(payload.captures == {"twin": "rack-1"} and json.loads(payload.body)["twin"] == "rack-1" for payload in payloads)
    seen = times(deliveries)
    instants = [from_iso(ts) for ts in seen]
    assert instants == sorted(set(instants))
    assert all(instant % 100_000 == 0 for instant in instants)


def test_what_is_not_committed_comes_again_after_a_reopening(intake):
    one = source()
    one.open(intake.positions)
    lost = times(gather(one, intake, 3, commit=False))
    one.close()
    one.open(intake.positions)
    again = times(gather(one, intake, 3))
    assert again[: len(lost)] == lost
    one.close()


def test_two_contracts_get_the_same_samples(intake):
    one = source("a", "b")
    one.open(intake.positions)
    deliveries = gather(one, intake, 8)
    one.close()
    a, b = (times(d for d in deliveries if d.contract == name) for name in "ab")
    assert a[:3] == b[:3]


def test_the_backlog_is_bounded_and_keeps_the_newest(intake):
    one = source(buffer=3)
    one.open(intake.positions)
    deadline = time.monotonic() + 60
    while one._number < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    numbers = [number for number, _ in one._backlogs["c"].samples]
    delivery = one.poll(0)
    assert len(delivery.payloads) == 3
    assert len(numbers) == 3 and numbers[0] > 1
    one.close()


def test_poll_respects_its_timeout_and_close_is_idempotent(intake):
    one = HostSource("host", HostSettings(interval="PT60S"), (Bound("c", "json", HostBinding()),))
    one.close()
    one.open(intake.positions)
    begun = time.monotonic()
    assert one.poll(0.0) is None
    assert one.poll(0.2) is None
    assert 0.2 <= time.monotonic() - begun < 30
    one.close()
    one.close()
    assert time.monotonic() - begun < 50, "and not at the end of the interval"


def test_a_sampler_that_fails_is_told_to_the_runner(intake):
    class Broken(FakeMachine):
        def proc(self, name):
            raise PermissionError("no")

    one = HostSource("host", HostSettings(interval="PT0.1S"), (Bound("c", "json", HostBinding()),), sampler=lambda: HostSampler(Broken()))
    one.open(intake.positions)
    with pytest.raises(PermissionError):
        one.poll(60)
    one.close()


@pytest.mark.parametrize("settings", [{"interval": "PT0.01S"}, {"twin": "a b"}, {"observations": 0}, {"buffer": 0}])
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValidationError):
        HostSettings(**settings)
