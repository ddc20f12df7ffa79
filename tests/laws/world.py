"""The same readings for the product and for the model of the laws, and every answer of the two side by side."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from tests.laws.reference import BAD, GOOD, Cells, Facts, Reading, Said, model
from tests.telemetry.plant import NOW, Plant, contract

from twinwright.clock import HOUR, SECOND, to_iso
from twinwright.governance.principals import SYSTEM
from twinwright.telemetry.contract import Contract
from twinwright.telemetry.payloads import Delivery, Payload, Receipt

TWINS = ("x", "y")
UNITS = {"pressure": "kPa", "flow": "l/min"}
FIELDS = {"pressure": "p", "flow": "q"}
BEGIN = NOW - 12 * HOUR
ZONES = {1: "UTC", 2: "Etc/GMT+1", 3: "Etc/GMT-2"}  # the same local time is an hour later, and two hours earlier, in UTC
SHIFTS = {1: 0, 2: HOUR, 3: -2 * HOUR}
AFTER = ("nothing", "materialise", "restart", "materialise and restart", "recompute")


def _contract(source: str, revision: int = 1) -> Contract:
    observations = [{"path": path, "field": FIELDS[path], "unit": unit} for path, unit in UNITS.items()]
    time = {"field": "ts", "zone": ZONES[revision]}
    return contract(source, revision=revision, correction={"field": "rev"}, time=time, observations=observations)


def _said(path: str) -> st.SearchStrategy[Said]:
    good = st.integers(0, 3).map(lambda n: Said(GOOD, float(n), UNITS[path]))
    return st.one_of(good, good, st.just(Said(BAD, None, UNITS[path])))


readings = st.builds(
    lambda source, twin, tick, said, correction: Reading(
        source, twin, BEGIN + tick * HOUR // 2, tuple(sorted((path, one) for path, one in said.items() if one)), correction
    ),
    st.sampled_from("ab"),
    st.sampled_from(TWINS),
    st.integers(0, 4),
    st.one_of(
        st.fixed_dictionaries({"pressure": _said("pressure")}, optional={"flow": _said("flow")}),
        st.fixed_dictionaries({"flow": _said("flow")}),
    ),
    st.integers(0, 2),
)
batches = st.lists(readings, min_size=1, max_size=6)
deliveries = st.lists(st.tuples(batches, st.sampled_from(AFTER)), min_size=1, max_size=4)


def payload(reading: Reading) -> Payload:
    """The reading as its source would send it: `bad` is text where a number belongs."""
    fields: dict[str, Any] = {FIELDS[path]: "broken" if said.kind == BAD else said.value for path, said in reading.values}
    naive = to_iso(reading.time).removesuffix("Z")
    return Payload(json.dumps({"id": reading.twin, "ts": naive, "rev": reading.correction, **fields}).encode())


class World:
    """A plant with the sources `a` and `b`, and the model."""

    def __init__(self, folder: Path) -> None:
        self.plant = Plant(folder / "store.duckdb", [_contract("a"), _contract("b")], TWINS)
        self.model = model()
        self.revision = 1
        self.commits: list[tuple[int, int]] = [(0, 1)]  # (the model's, the product's), after each step; the first is `apply`
        self.receipt = Receipt()
        self.arrived: list[tuple[str, int, int, list[Reading]]] = []  # source, receive time, the model's commit, readings as sent

    def deliver(self, batch: Sequence[Reading]) -> None:
        """Each source's part of the batch is one delivery."""
        for source in dict.fromkeys(reading.source for reading in batch):
            part = [reading for reading in batch if reading.source == source]
            self.plant.clock.advance(SECOND)
            receipt = self.plant.pipeline.submit(Delivery(source, tuple(payload(reading) for reading in part)))
            number = self.model.ingest(self._seen(reading) for reading in part)
            self.commits.append((number, receipt.token))
            self.arrived.append((source, self.plant.clock.now(), number, part))
            self.receipt += receipt

    def _seen(self, reading: Reading) -> Reading:
        return reading._replace(time=reading.time + SHIFTS[self.revision], revision=self.revision)

    def do(self, after: str) -> None:
        if after == "recompute":
            for source in "ab":
                self.plant.state.recompute(source)
        elif after == "materialise":
            self.plant.state.materialise()
        elif "restart" in after:
            self.plant.restart(materialise="materialise" in after)

    def raise_revision(self, revision: int) -> None:
        self.revision = revision
        self.plant.raise_revision(_contract("a", revision), _contract("b", revision))

    def replay(self, source: str, first: int, last: int) -> None:
        """Replay what `source` sent in the steps first..last (places in `arrived`) under the applied revision."""
        window = [step for step in self.arrived[first : last + 1] if step[0] == source]
        if not window:
            return
        self.plant.clock.advance(SECOND)
        done = self.plant.reprocessing.replay(SYSTEM, source, start=window[0][1], end=window[-1][1] + 1)
        again = [self._seen(reading) for _, _, _, part in window for reading in part]
        number = self.model.replay(source, window[0][2], window[-1][2], self.revision, again)
        self.commits.append((number, done.receipt.token))

    # --- what the product answers --------------------------------------------------------------------------------------

    def facts(self, known_at: int | None = None) -> Facts:
        """Of all twins at once; what is said of one of them, now this and now that, by itself is the same."""
        rows = self.plant.history(known_at=known_at)
        twin = (len(rows) - 1) % len(TWINS) + 1
        assert self.plant.history(lifetimes=(twin,), known_at=known_at) == [row for row in rows if row["twin"] == twin]
        return sorted(
            (TWINS[row["twin"] - 1], row["path"], row["time"], row["source"], row["correction"], row["revision"], _said_of(row))
            for row in rows
        )

    def latest(self, as_of: int | None = None, known_at: int | None = None) -> Cells:
        rows = self.plant.latest(end=None if as_of is None else as_of + 1, known_at=known_at)
        return {(TWINS[row["twin"] - 1], row["path"]): (row["time"], row["source"], _said_of(row)) for row in rows}

    def cached(self) -> Cells:
        cells: Cells = {}
        for row in self.plant.cells():
            key = (TWINS[row["twin"] - 1], row["path"])
            mine = (row["time"], row["contract"], _said_of({**row, "unit": UNITS[row["path"]]}))
            if key not in cells or mine[:2] > cells[key][:2]:
                cells[key] = mine
        return cells

    # --- side by side --------------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """History, state and cache now; and history and state as of every moment, known at every commit."""
        assert self.facts() == self.model.facts()
        assert self.latest() == self.model.cells()
        assert self.cached() == self.model.cells()

    def compare_the_past(self) -> None:
        for models, ours in self.commits:
            assert self.facts(ours) == self.model.facts(models)
            for as_of in (None, BEGIN, BEGIN + HOUR):
                assert self.latest(as_of, ours) == self.model.cells(as_of, models)

    def compare_counts(self) -> None:
        receipt = self.receipt
        assert (receipt.accepted, receipt.duplicate) == (self.model.accepted, self.model.duplicate)
        assert receipt.received == receipt.accepted + receipt.duplicate + sum(receipt.dead_lettered.values())
        totals = self.plant.store.counts(SYSTEM).values()
        assert sum(one.accepted for one in totals) == receipt.accepted
        assert sum(one.duplicate for one in totals) == receipt.duplicate
        assert all(one.conserved for one in totals)


def _said_of(row: dict[str, Any]) -> Said:
    return Said(GOOD if row["kind"] == 1 else BAD, row["num"], row["unit"])


@contextlib.contextmanager
def world() -> Iterator[World]:
    """A fresh world, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="law-"))
    made = World(folder)
    try:
        yield made
    finally:
        made.plant.close()
        shutil.rmtree(folder)
