"""The conformance suite passes a sound source and catches each broken one."""

import threading
import time

import pytest

from twinwright.connectors.conformance import CHECKS, Case, SourceConformance
from twinwright.documents import Spec
from twinwright.telemetry.payloads import Delivery, Payload, Position


class World:
    """A log that outlives the sources that read it."""

    def __init__(self):
        self.log, self.acknowledged, self.lock = [], 0, threading.Lock()

    def feed(self, count):
        with self.lock:
            fresh = [f"<{len(self.log) + index}>".encode() for index in range(count)]
            self.log += fresh
            return fresh


class Sound:
    Settings = Binding = Spec
    size = 4

    def __init__(self, world):
        self.world, self.at, self.opened = world, 0, False

    def open(self, positions):
        self.at, self.opened = positions("c", "log"), True

    def poll(self, timeout):
        deadline = time.monotonic() + timeout
        while len(self.world.log) <= self.at:
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.005)
        taken = self.world.log[self.at : self.at + self.size]
        start, self.at = self.at, self.at + len(taken)
        return Delivery("c", tuple(Payload(body) for body in taken), (Position("log", start, self.at, len(taken)),))

    def committed(self, delivery, receipt):
        self.world.acknowledged = delivery.positions[0].next

    def close(self):
        self.opened = False


class AcknowledgesWhenPolled(Sound):
    def open(self, positions):
        self.at = self.world.acknowledged

    def poll(self, timeout):
        delivery = super().poll(timeout)
        self.world.acknowledged = self.at
        return delivery


class IgnoresPositions(Sound):
    def open(self, positions):
        self.at = 0

    def poll(self, timeout):
        delivery = super().poll(timeout)
        return delivery and Delivery(delivery.contract, delivery.payloads)  # and so the store can't fence it


class KeepsItsPlaceWhenReopened(Sound):
    def open(self, positions):
        self.at = max(self.at, positions("c", "log"))


class ClosesOnce(Sound):
    def close(self):
        if not self.opened:
            raise RuntimeError("not open")
        super().close()


class WaitsTooLong(Sound):
    def poll(self, timeout):
        return super().poll(timeout + 1.0)


class SpinsWithoutWaiting(Sound):
    def poll(self, timeout):
        return super().poll(0.0)


class RepeatsTheLast(Sound):
    def committed(self, delivery, receipt):
        if delivery.positions[0].start == 0 and not getattr(self, "repeated", False):
            self.repeated, self.at = True, 0
            self.size = 20

    def poll(self, timeout):
        delivery = super().poll(timeout)
        return delivery and Delivery("c", delivery.payloads)


class DropsTheOddOne(Sound):
    def poll(self, timeout):
        delivery = super().poll(timeout)
        if delivery is None or len(delivery.payloads) < 4:
            return delivery
        return Delivery("c", delivery.payloads[:-1], delivery.positions)


class NamesAnotherContract(Sound):
    def poll(self, timeout):
        delivery = super().poll(timeout)
        return delivery and Delivery("other", delivery.payloads)


class DeliversNothing(Sound):
    def poll(self, timeout):
        delivery = super().poll(timeout)
        return delivery and Delivery("c", (*delivery.payloads, Payload(b"")), delivery.positions)


class PositionsWithHoles(Sound):
    def poll(self, timeout):
        delivery = super().poll(timeout)
        if delivery is None:
            return None
        (at,) = delivery.positions
        return Delivery("c", delivery.payloads, (Position("log", at.start + 1, at.next + 1, at.payloads),))


def case_of(kind, patience=0.8):
    world = World()
    return Case(make=lambda: kind(world), feed=world.feed, positioned=True, patience=patience)


class TestSound(SourceConformance):
    @pytest.fixture
    def case(self):
        return case_of(Sound, patience=60.0)


BROKEN = Sound.__subclasses__()


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_broken_source_is_caught(kind):
    assert any(fails(check, kind) for check in CHECKS)


def fails(check, kind):
    try:
        check(case_of(kind))
    except Exception:  # noqa: BLE001 - caught is caught
        return True
    return False


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_each_check_catches_something(check):
    assert any(fails(check, kind) for kind in BROKEN)
