"""Laws 1 to 5 where two processes take in to one store: whatever the interleaving, facts, cells and counts are those of one clean run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.reference import Reading
from tests.laws.test_history_and_state import MUTANTS, law
from tests.laws.world import TWINS, World, _contract, batches, payload
from tests.mutating import variant
from tests.telemetry.plant import Plant

from twinwright.clock import SECOND
from twinwright.governance.principals import SYSTEM
from twinwright.storage.postgres import PostgresStore
from twinwright.telemetry.payloads import Delivery


class Writers(World):
    """Two plants over one store, each with a memory of its own; `plant` is the one that is asked."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.plants = [self.plant, Plant(folder / "beside", [_contract("a"), _contract("b")], TWINS)]

    def by(self, who: int, batch: Sequence[Reading], meanwhile: Sequence[Reading]) -> None:
        """One delivers; and the other all of `meanwhile`, when the first has done all that it does before it has the writers' lock."""
        if meanwhile:
            store = self.plants[who].store
            begin, store.transaction = store.transaction, None

            def transaction(principal, kind):
                store.transaction = begin
                self._deliver(1 - who, meanwhile)
                return begin(principal, kind)

            store.transaction = transaction
        self._deliver(who, batch)

    def _deliver(self, who: int, batch: Sequence[Reading]) -> None:
        for source in dict.fromkeys(reading.source for reading in batch):
            part = [reading for reading in batch if reading.source == source]
            for plant in self.plants:
                plant.clock.advance(SECOND)
            receipt = self.plants[who].pipeline.submit(Delivery(source, tuple(payload(reading) for reading in part)))
            number = self.model.ingest(self._seen(reading) for reading in part)
            self.commits.append((number, receipt.token))
            self.arrived.append((source, self.plants[who].clock.now(), number, part))
            self.receipt += receipt

    def raise_revisions(self, revision: int) -> None:
        for plant in reversed(self.plants):
            self.plant = plant
            self.raise_revision(revision)

    def compare(self) -> None:
        for plant in self.plants:
            self.plant = plant
            super().compare()
            for source in "ab":
                assert self.plant.state.reconcile(source)[1] == 0
        self.compare_counts()
        numbers = [commit.number for commit in self.plant.store.commits(SYSTEM)]
        assert numbers == list(range(1, len(numbers) + 1))

    def close(self) -> None:
        for plant in self.plants:
            plant.close()


def checked(postgres, monkeypatch):
    """A maker of such worlds, each over a schema of its own."""

    @contextmanager
    def make() -> Iterator[Writers]:
        schema, folder = postgres.schema(), Path(tempfile.mkdtemp(prefix="law-"))

        def open_store(path, clock):
            return PostgresStore(postgres.dsn(), schema, clock, shared=path.name == "beside")

        monkeypatch.setattr(Plant, "open_store", staticmethod(open_store))
        both = Writers(folder)
        try:
            yield both
        finally:
            both.close()
            shutil.rmtree(folder)

    return make


turns = st.lists(st.tuples(st.integers(0, 1), batches, st.one_of(st.just([]), batches)), min_size=1, max_size=4)


def check_ingestion(make) -> None:
    @settings(law, max_examples=10)
    @given(turns, st.sampled_from(["nothing", "materialise", "materialise and restart"]), batches)
    def check(taken, after, last):
        with make() as both:
            for who, batch, meanwhile in taken:
                both.by(who, batch, meanwhile)
            for plant in both.plants:
                both.plant = plant
                both.do(after)
            both.by(1, last, last)
            both.compare()

    check()


def check_replay(make) -> None:
    """What one takes away, the other no longer remembers: neither as state nor as a reading that was seen."""

    @settings(law, max_examples=6)
    @given(batches, batches, batches)
    def check(first, second, later):
        with make() as both:
            both.by(0, first, [])
            both.by(1, second, [])
            both.raise_revisions(2)
            both.plant = both.plants[0]
            for source in "ab":
                both.replay(source, 0, len(both.arrived) - 1)
            both.by(1, [*later, *first], [])
            both.by(0, later, [])
            both.compare()

    check()


CHECKS = {"ingestion": check_ingestion, "replay": check_replay}
CAUGHT_BY = {
    "writers_are_told_less": "ingestion",
    "writers_deaf": "ingestion",
    "writers_hear_before_the_lock": "ingestion",
    "writers_hear_of_hours_they_hold": "ingestion",
    "writers_keep_their_cells": "ingestion",
    "writers_keep_what_was_taken_away": "replay",
    "writers_take_their_commit_for_all": "ingestion",
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_laws_hold_for_two_writers_in(name, postgres, monkeypatch):
    CHECKS[name](checked(postgres, monkeypatch))


@pytest.mark.parametrize("name", CAUGHT_BY)
def test_the_broken_writer_is_caught(name, postgres, monkeypatch):
    variant(MUTANTS / f"{name}.py").apply(monkeypatch)
    with pytest.raises(AssertionError):
        CHECKS[CAUGHT_BY[name]](checked(postgres, monkeypatch))


def test_every_broken_writer_has_a_check_that_catches_it():
    assert {path.stem for path in MUTANTS.glob("writers_*.py")} == set(CAUGHT_BY)
