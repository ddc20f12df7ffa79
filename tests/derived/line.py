"""A plant whose derived values are kept in step by a consumer that can be stopped short at any transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from tests.derived.documents import DOCUMENTS, PLANT, Facts, by_the_book, compiled
from tests.telemetry.plant import Plant

from twinwright.clock import SECOND
from twinwright.derived.binding import bind
from twinwright.derived.consumer import DerivedConsumer
from twinwright.governance.principals import SYSTEM
from twinwright.observability.metrics import Metrics


class Killed(BaseException):
    """Nothing catches this: as if the process were gone."""


class Line:
    """A consumer on a plant; `derive` as a platform does after commits."""

    def __init__(self, plant: Plant, documents: tuple[Mapping[str, Any], ...] = DOCUMENTS) -> None:
        self.plant, self.documents = plant, documents
        self.beliefs: list[tuple[int, Facts]] = []
        self.begin()

    def begin(self) -> None:
        """A consumer that knows nothing but what the store does."""
        self.metrics = Metrics.create()
        self.consumer = DerivedConsumer(self.plant.store, SYSTEM, self.plant.clock, self.metrics)
        self.configure()

    def configure(self) -> None:
        definitions, problems = compiled(*self.documents)
        assert not problems, problems.items
        lifetimes = self.plant.store.lifetimes(SYSTEM)
        bindings = [bind(one, PLANT, lifetimes) for one in definitions.values()]
        self.consumer.configure(bindings, self.plant.store.last_commit(SYSTEM))

    def derive(self) -> None:
        self.consumer.catch_up()
        failed = [lag.error for lag in self.consumer.lags() if lag.error]
        assert not failed, failed
        self.beliefs.append((self.plant.store.last_commit(SYSTEM), self.facts()))

    def derive_until_killed(self, after: int) -> None:
        """The process ends in the middle of some transaction; the next one begins with what is durable."""
        with _killed_in(self.plant, after), contextlib.suppress(Killed):
            self.consumer.catch_up()
        self.plant.restart()
        self.begin()

    def fail_later(self) -> None:
        self.plant.clock.advance(1_000 * SECOND)

    def facts(self, known_at: int | None = None) -> Facts:
        """What is derived, `removed` left out."""
        rows = self.plant.history(lane="derived", known_at=known_at)
        return {(row["twin"], row["path"], row["time"]): _said(row) for row in rows if row["kind"] != 2}

    def compare(self) -> None:
        """What is derived is what a loop over all of history derives."""
        ours, book = self.facts(), by_the_book(self.plant.history())
        differing = {key: (ours.get(key), book.get(key)) for key in ours | book if ours.get(key) != book.get(key)}
        assert not differing, differing

    def compare_the_past(self) -> None:
        for commit, facts in self.beliefs:
            assert self.facts(commit) == facts

    def rows_of(self, first: int) -> list[dict[str, Any]]:
        """The derived records that commits from `first` on wrote."""
        return [row for row in self.plant.history(lane="derived") if row["commit"] >= first]


def _said(row: dict[str, Any]) -> tuple[int, Any]:
    return row["kind"], row["int"] if row["type"] in ("BIGINT", "BOOLEAN") else row["num"] if row["type"] == "DOUBLE" else row["txt"]


@contextlib.contextmanager
def _killed_in(plant: Plant, after: int) -> Iterator[None]:
    """The transaction that follows `after` others does not come to its end."""
    whole, left = plant.store.transaction, [after]

    @contextlib.contextmanager
    def transaction(*arguments: Any) -> Iterator[Any]:
        with whole(*arguments) as one:
            yield one
            left[0] -= 1
            if left[0] < 0:
                raise Killed

    plant.store.transaction = transaction
    try:
        yield
    finally:
        plant.store.transaction = whole
