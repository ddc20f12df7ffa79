"""What is cheap is always new; what is dear is not worked out for everyone who asks."""

from __future__ import annotations

import pytest

from twinwright.clock import SECOND, ManualClock
from twinwright.operations import sparing
from twinwright.operations.sparing import AT_REST, Sparing


class Work:
    def __init__(self, clock: ManualClock, seconds: int) -> None:
        self.clock, self.seconds, self.done = clock, seconds, 0

    def __call__(self) -> int:
        self.clock.advance(self.seconds * SECOND)
        self.done += 1
        return self.done


def test_a_cheap_answer_is_new_after_every_commit_and_after_a_minute() -> None:
    clock = ManualClock()
    work, kept = Work(clock, 0), Sparing[int](clock)
    assert [kept.answer("a", commit, work) for commit in (1, 1, 2, 2)] == [1, 1, 2, 2]
    clock.advance(AT_REST)
    assert kept.answer("a", 2, work) == 3
    assert kept.answer("b", 2, work) == 4


def test_a_dear_answer_takes_a_twentieth_of_the_time_at_most() -> None:
    clock = ManualClock()
    work, kept = Work(clock, 3), Sparing[int](clock)
    for commit in range(600):
        kept.answer("a", commit, work)
        clock.advance(SECOND)
    assert work.done * 3 <= clock.monotonic() / SECOND / 20 + 3


def test_no_more_answers_are_kept_than_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparing, "MAX_KEPT", 2)
    kept = Sparing[int](ManualClock())
    work = Work(ManualClock(), 0)
    for key in ("a", "b", "c", "b", "a"):
        kept.answer(key, 1, work)
    assert work.done == 4
