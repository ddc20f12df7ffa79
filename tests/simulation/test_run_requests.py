"""Requests wait in their turn: by priority, among equals first in, first out, and no more of them than may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulation.conftest import MemoryRecords

from twinwright.errors import NotFoundError, QueueFullError, UsageError
from twinwright.governance.principals import LOCAL_ADMIN, SYSTEM, Principal
from twinwright.simulation import run_requests
from twinwright.simulation.run_requests import PRIORITIES, RequestStore, in_turn, priority_of

STEPS = st.lists(st.one_of(st.integers(-3, 3), st.just("take")), max_size=40)


def served(steps: list[int | str]) -> list[tuple[int, int]]:
    """(priority, order of coming) of each request in the order in which they are taken, where `take` takes one meanwhile."""
    requests = RequestStore(MemoryRecords())
    taken: list[tuple[int, int]] = []

    def take() -> None:
        for body in requests.waiting()[:1]:
            taken.append((body["priority"], body["known_at"]))
            requests.finish(SYSTEM, body, "done", "2026-03-01T08:00:00Z")

    for number, step in enumerate(steps):
        if step == "take":
            take()
        else:
            requests.add(LOCAL_ADMIN, {"priority": step, "known_at": number}, 100)
    for _ in steps:
        take()
    return taken


def check(steps: list[int | str]) -> None:
    """Whoever is taken has the greatest priority of those that wait, and came first of these. Nobody is left out or taken twice."""
    waiting: set[tuple[int, int]] = set()
    order = iter(served(steps))
    for number, step in [*enumerate(steps), *((-1, "take") for _ in steps)]:
        if step != "take":
            waiting.add((int(step), number))
        elif waiting:
            one = next(order)
            assert one == max(waiting, key=lambda each: (each[0], -each[1]))
            waiting.remove(one)
    assert not waiting and next(order, None) is None


@given(STEPS)
def test_requests_are_taken_by_priority_and_in_their_order(steps: list[int | str]) -> None:
    check(steps)


@pytest.mark.parametrize(
    "broken",
    [lambda body: (-body["priority"], -body["known_at"]), lambda body: body["known_at"], lambda body: (body["priority"], body["known_at"])],
    ids=["last in, first out", "no priorities", "the lowest first"],
)
def test_another_order_is_caught(broken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_requests, "in_turn", broken)
    with pytest.raises(AssertionError):
        check([0, 1, 0, 1])


def test_a_full_queue_refuses_and_says_what_to_do() -> None:
    requests = RequestStore(MemoryRecords())
    first = requests.add(LOCAL_ADMIN, {"priority": 0, "known_at": 1}, 1)
    with pytest.raises(QueueFullError, match=r"1 requests for runs wait already, of at most 1.*runs cancel"):
        requests.add(LOCAL_ADMIN, {"priority": 100, "known_at": 2}, 1)
    requests.finish(LOCAL_ADMIN, first, "cancelled", "2026-03-01T08:00:00Z")
    requests.add(LOCAL_ADMIN, {"priority": 0, "known_at": 3}, 1)
    assert [body["known_at"] for body in requests.all(LOCAL_ADMIN)] == [1, 3]
    assert requests.get(LOCAL_ADMIN, first["id"][:6])["status"] == "cancelled"
    with pytest.raises(NotFoundError, match="runs queue"):
        requests.get(LOCAL_ADMIN, "none")


class Counted(MemoryRecords):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    def records(self, principal, kind):
        found = super().records(principal, kind)
        self.read += len(found)
        return found

    def record_versions(self, principal, kinds, after, through):
        found = super().record_versions(principal, kinds, after, through)
        self.read += len(found)
        return found


class ReadsAll(RequestStore):
    """Broken: looks through all that there ever were."""

    def waiting(self):
        self._known, self._through = {}, None
        return super().waiting()


def read_by_a_look(finished: int, kind: type[RequestStore] = RequestStore) -> int:
    """How many records a submit and two looks read, after so many requests have been finished."""
    records = Counted()
    requests = kind(records)
    for number in range(finished):
        requests.finish(SYSTEM, requests.add(LOCAL_ADMIN, {"priority": 0, "known_at": number}, 10), "done", "2026-03-01T08:00:00Z")
    requests.waiting()
    records.read = 0
    taken = requests.add(LOCAL_ADMIN, {"priority": 0, "known_at": finished}, 10)
    assert [body["id"] for body in (*requests.waiting(), *requests.waiting())] == [taken["id"]] * 2
    return records.read


def test_a_look_at_what_waits_costs_the_same_however_many_are_finished() -> None:
    assert read_by_a_look(300) == read_by_a_look(3) <= 2
    assert read_by_a_look(300, ReadsAll) > read_by_a_look(3, ReadsAll)


def test_what_another_has_changed_is_seen() -> None:
    records = MemoryRecords()
    here, there = RequestStore(records), RequestStore(records)
    one, two = (here.add(LOCAL_ADMIN, {"priority": 0, "known_at": number}, 9) for number in (1, 2))
    assert [body["id"] for body in there.waiting()] == [one["id"], two["id"]]
    there.finish(SYSTEM, one, "done", "2026-03-01T08:00:00Z")
    there.began(two, 2)
    assert [(body["id"], body["lives"]) for body in here.waiting()] == [(two["id"], 2)]
    here.waiting()[0]["lives"] = 7
    assert here.waiting()[0]["lives"] == 2


def test_a_reader_submits_nothing() -> None:
    with pytest.raises(Exception, match="may only read"):
        RequestStore(MemoryRecords()).add(Principal("eve", frozenset({"reader"})), {"priority": 0, "known_at": 1}, 1)


@pytest.mark.parametrize(("given", "number"), [*PRIORITIES.items(), ("HIGH", 10), ("7", 7), (-100, -100)])
def test_priorities_are_names_or_numbers(given: str | int, number: int) -> None:
    assert priority_of(given) == number


@pytest.mark.parametrize("given", ["urgent", "", 101, "1.5", True])
def test_what_is_no_priority_is_refused(given: str | int) -> None:
    with pytest.raises(UsageError, match="low, normal, high, or a whole number from -100 to 100"):
        priority_of(given)


def test_the_turn_is_of_the_record_alone() -> None:
    assert sorted([{"priority": 0, "known_at": 2}, {"priority": 5, "known_at": 9}, {"priority": 0, "known_at": 1}], key=in_turn) == [
        {"priority": 5, "known_at": 9},
        {"priority": 0, "known_at": 1},
        {"priority": 0, "known_at": 2},
    ]
