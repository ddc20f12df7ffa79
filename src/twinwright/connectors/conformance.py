"""What every source has to do, as checks that a connector's test only names; and an intake that is a list.

    class TestMine(SourceConformance):
        @pytest.fixture
        def case(self, tmp_path):
            return Case(make=..., feed=...)

It is part of the package, because third parties' connectors have to do the same. Each check is a plain function of a `Case`, which raises
AssertionError, so that broken sources can be run against it and are caught.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from twinwright.errors import FenceError
from twinwright.telemetry.connector import Source
from twinwright.telemetry.payloads import Delivery, Receipt


@dataclass
class ListIntake:
    """Stores deliveries in a list, and fences positions as the store does; `fail` may raise before anything is stored."""

    deliveries: list[Delivery] = field(default_factory=list)
    held: dict[tuple[str, str], int] = field(default_factory=dict)
    fail: Callable[[Delivery], object] | None = None

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self._tokens = itertools.count(1)

    def positions(self, contract: str, stream: str) -> int:
        """Where the store is, as `open` is told."""
        return self.held.get((contract, stream), 0)

    def submit(self, delivery: Delivery) -> Receipt:
        """Store it. Raises FenceError where a position is not where the last one ended."""
        if self.fail is not None:
            self.fail(delivery)
        with self.changed:
            for at in delivery.positions:
                key = (delivery.contract, at.stream)
                if self.held.get(key, 0) != at.start:
                    raise FenceError(f"{key} is at {self.held.get(key, 0)}, not {at.start}")
            self.held.update({(delivery.contract, at.stream): at.next for at in delivery.positions})
            self.deliveries.append(delivery)
            self.changed.notify_all()
        count = len(delivery.payloads)
        return Receipt(received=count, accepted=count, token=next(self._tokens))

    @property
    def bodies(self) -> list[bytes]:
        """All payloads that were stored."""
        return [payload.body for delivery in list(self.deliveries) for payload in delivery.payloads]

    def wait_for(self, condition: Callable[[ListIntake], object], timeout: float = 60.0) -> bool:
        """Until the condition holds of it, at most so many seconds; whether it does."""
        with self.changed:
            return bool(self.changed.wait_for(lambda: condition(self), timeout))


@dataclass
class Case:
    """A source under test and the world it reads.

    `make()` gives a new instance on the same outside state, as a restarted process has it. `feed(n)` makes n more readings
    available and returns what identifies each in a payload. `positioned`: its deliveries carry positions.
    `survives`: what was not acknowledged outlives the instance.
    """

    make: Callable[[], Source]
    feed: Callable[[int], list[bytes]]
    contracts: frozenset[str] = frozenset({"c"})
    positioned: bool = False
    survives: bool = True
    patience: float = 60.0
    intake: ListIntake = field(default_factory=ListIntake)


def take(case: Case, source: Source, wanted: Sequence[bytes] = (), *, commit: bool = True, quiet: float = 0.3) -> list[Delivery]:
    """Poll until all of `wanted` has come (then a little longer, for what should not come) or patience ends."""
    deliveries: list[Delivery] = []
    missing = set(wanted)
    deadline = time.monotonic() + case.patience
    while missing and time.monotonic() < deadline:
        delivery = source.poll(0.1)
        if delivery is None:
            continue
        deliveries.append(delivery)
        missing -= {mark for mark in missing for payload in delivery.payloads if mark in payload.body}
        if commit:
            source.committed(delivery, case.intake.submit(delivery))
    while not missing and (delivery := source.poll(quiet)) is not None and len(deliveries) < 10_000:
        deliveries.append(delivery)
        if commit:
            source.committed(delivery, case.intake.submit(delivery))
    return deliveries


def marks_in(deliveries: Sequence[Delivery], marks: Sequence[bytes]) -> list[bytes]:
    """Each mark as often as it came."""
    text = b"\n".join(payload.body for delivery in deliveries for payload in delivery.payloads)
    return [mark for mark in marks for _ in range(text.count(mark))]


def check_all_that_is_fed_comes_once_when_it_is_committed(case: Case) -> None:
    source = case.make()
    source.open(case.intake.positions)
    try:
        marks = case.feed(20)
        assert sorted(marks_in(take(case, source, marks), marks)) == sorted(marks)
        more = case.feed(5)
        assert sorted(marks_in(take(case, source, more), marks + more)) == sorted(more)
    finally:
        source.close()


def check_what_is_not_committed_comes_again_after_a_restart(case: Case) -> None:
    if not case.survives:
        return
    source = case.make()
    source.open(case.intake.positions)
    marks = case.feed(10)
    assert set(marks_in(take(case, source, marks, commit=False), marks)) == set(marks)
    source.close()
    again = case.make()
    again.open(case.intake.positions)
    try:
        assert set(marks_in(take(case, again, marks), marks)) == set(marks)
    finally:
        again.close()


def check_what_is_not_committed_comes_again_after_a_reopening(case: Case) -> None:
    source = case.make()
    source.open(case.intake.positions)
    marks = case.feed(10)
    assert set(marks_in(take(case, source, marks, commit=False), marks)) == set(marks)
    source.close()
    source.open(case.intake.positions)
    try:
        assert set(marks_in(take(case, source, marks), marks)) == set(marks)
    finally:
        source.close()


def check_what_is_committed_does_not_come_again_after_a_restart(case: Case) -> None:
    source = case.make()
    source.open(case.intake.positions)
    marks = case.feed(10)
    take(case, source, marks)
    source.close()
    again = case.make()
    again.open(case.intake.positions)
    try:
        fresh = case.feed(3)
        assert marks_in(take(case, again, fresh), marks + fresh) == fresh
    finally:
        again.close()


def check_positions_chain_and_resume(case: Case) -> None:
    if not case.positioned:
        return
    source = case.make()
    source.open(case.intake.positions)
    marks = case.feed(10)
    first: Delivery | None = None
    deadline = time.monotonic() + case.patience
    while first is None and time.monotonic() < deadline:
        first = source.poll(0.1)
    assert first is not None
    assert first.positions
    source.committed(first, case.intake.submit(first))
    source.close()
    again = case.make()
    again.open(case.intake.positions)
    try:
        rest = [mark for mark in marks if not any(mark in payload.body for payload in first.payloads)]
        deliveries = take(case, again, rest)  # the intake raises FenceError where a position does not chain
        assert all(delivery.positions for delivery in deliveries)
        assert sorted(marks_in(deliveries, marks)) == sorted(rest)
    finally:
        again.close()


def check_close_is_idempotent(case: Case) -> None:
    source = case.make()
    source.close()
    source.open(case.intake.positions)
    source.close()
    source.close()


def check_poll_respects_its_timeout(case: Case) -> None:
    source = case.make()
    source.open(case.intake.positions)
    try:
        for timeout in (0.0, 0.3):
            took: list[float] = []
            while not took or (took[-1] >= timeout + 0.5 and len(took) < 5):  # a busy machine may be late now and then
                begun = time.monotonic()
                assert source.poll(timeout) is None
                took.append(time.monotonic() - begun)
                assert took[-1] >= timeout * 0.9
            assert min(took) < timeout + 0.5
    finally:
        source.close()


def check_deliveries_are_of_a_bound_contract_and_not_empty(case: Case) -> None:
    source = case.make()
    source.open(case.intake.positions)
    try:
        for delivery in take(case, source, case.feed(10)):
            assert delivery.contract in case.contracts
            assert delivery.payloads
            assert all(isinstance(payload.body, bytes) and payload.body for payload in delivery.payloads)
    finally:
        source.close()


CHECKS: Sequence[Callable[[Case], None]] = [check for name, check in sorted(globals().items()) if name.startswith("check_")]


class SourceConformance:
    """Inherit it and give a fixture `case`; pytest runs every check with it."""

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """One test for each check."""
        if "check" in metafunc.fixturenames:
            metafunc.parametrize("check", CHECKS, ids=[check.__name__.removeprefix("check_") for check in CHECKS])

    def test_conforms(self, case: Case, check: Callable[[Case], None]) -> None:
        check(case)
