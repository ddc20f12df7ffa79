"""The state that one contract's ingestion keeps in memory: which readings were seen, and the cells they make.

Both are caches of what the store has. Whatever goes wrong, they can be thrown away and read again. Where several processes write, they are
right through the commit that was heard of last: a transaction's first act under the writers' lock is to hear of the others' (`StateCache`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.governance.principals import Principal
from twinwright.storage.layout import CONFLICT, LATE, MASK_BITS, Counts, ReadingTable, Retraction
from twinwright.storage.protocol import Store, Transaction
from twinwright.telemetry.batches import Prepared, rows_of
from twinwright.telemetry.contract import Contract
from twinwright.telemetry.duplicates import SeenReadings
from twinwright.telemetry.evaluate import Readings
from twinwright.telemetry.prints import PathBits, Prints, prints_of
from twinwright.telemetry.seen_table import CLASH, DUPLICATE, Rows
from twinwright.twins.cells import NEVER, SourceCells

_ORDER_BITS = 24  # rows per commit that `correction: ingest` can tell apart
RETRIED = 1 << (_ORDER_BITS - 1)  # in the order within an origin, what was refused at first comes after what was not


@dataclass(frozen=True, slots=True)
class Written:
    """What became of each accepted row of a batch: `duplicate`, `late` and `conflict` are masks over `readings`; `words` of `Prints`."""

    readings: Readings
    words: NDArray[np.uint64]
    duplicate: NDArray[np.bool_]
    late: NDArray[np.bool_]
    conflict: NDArray[np.bool_]

    def counts(self, refused: int) -> Counts:
        duplicate = int(self.duplicate.sum())
        accepted = len(self.duplicate) - duplicate
        return Counts(accepted + duplicate + refused, accepted, duplicate, refused, int(self.late.sum()), int(self.conflict.sum()))


class ContractIntake:
    """Writes prepared batches of one contract; used under the writer's lock only, and of no use after a failed transaction.

    `without` is a retraction that the store will know when the transaction at hand commits (a replay's own), `watermark` what is late
    is behind where that is not what the cells know (a replay's: what had come before its window).
    """

    def __init__(
        self,
        store: Store,
        principal: Principal,
        contract: Contract,
        table: ReadingTable,
        cells: SourceCells,
        *,
        without: Retraction | None = None,
        watermark: int | None = None,
    ) -> None:
        self._without = without
        self._watermark = watermark
        self.contract = contract
        self.table = table
        self.cells = cells
        self._store = store
        self._principal = principal
        self._by_order = contract.spec.correction == "ingest"
        self._bits = PathBits()
        newest = cells.watermark if without is None else None
        stored = store.hours(principal, contract.name)
        self._seen = SeenReadings(stored, newest=newest, latest_only=self._by_order, keep=without is not None)

    def write(
        self,
        transaction: Transaction,
        readings: Readings,
        origins: NDArray[np.int64] | int | None = None,
        places: NDArray[np.int64] | None = None,
        prints: Prints | None = None,
    ) -> Written:
        """Settle duplicates and append.

        `origins` are the commits at which the payloads arrived (default: this one), `places` the order of rows within their origin,
        `prints` those of the readings, where they were taken before.
        """
        prints = prints or prints_of_readings(self.contract, readings)
        if len(readings) == 0:
            none = np.zeros(0, np.bool_)
            return Written(readings, prints.words, none, none, none)
        origins = np.full(len(readings), transaction.commit if origins is None else origins, np.int64)
        paths = self._bits.of(self.contract.columns, readings.present)
        if self._by_order:
            order = (origins << _ORDER_BITS) + (np.arange(len(readings), dtype=np.int64) if places is None else places)
            readings = replace(readings, correction=order)
            paths = order.view(np.uint64)
        verdict = self._seen.add(prints.key, prints.content, paths, readings.time, self.contract.revision, partial(self._load, readings))
        duplicate = verdict == DUPLICATE
        late = ~duplicate & self._late(readings.time)
        if self._watermark is not None:
            self._watermark = max(self._watermark, int(readings.time.max()))
        conflict = verdict == CLASH
        marks = late * np.int8(LATE) + conflict * np.int8(CONFLICT)
        rows = rows_of(self.table, readings, transaction.commit, origins, marks)
        if duplicate.any():
            transaction.append_readings(self.table, rows.filter(pa.array(duplicate)), sightings=True)
            transaction.append_readings(self.table, rows.filter(pa.array(~duplicate)))
        else:
            transaction.append_readings(self.table, rows)
        return Written(readings, prints.words, duplicate, late, conflict)

    def fold(self, commit: int, written: Written) -> None:
        """After the commit: take the readings into the cells; or before it, where nobody sees these yet. A duplicate may carry a higher
        revision; by order of ingestion it is no version of its own."""
        r, words = written.readings, written.words
        if self._by_order:
            new = np.flatnonzero(~written.duplicate)
            r, words = r.take(new), words[:, new]
        if len(r):
            commits = np.full(len(r), commit, np.int64)
            columns, revision = self.contract.columns, self.contract.revision
            self.cells.fold_columns(columns, revision, commits, r.twin, r.time, r.correction, r.present, r.bad, r.values, words)

    def _late(self, time: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Further behind the watermark, the newest event time seen until then, than the lateness."""
        before = self.cells.watermark if self._watermark is None else self._watermark
        if int(time.min()) >= max(before, int(time.max())) - self.contract.lateness:
            return np.zeros(len(time), np.bool_)
        watermark = np.maximum.accumulate(np.concatenate([[before], time[:-1]]))
        seen = watermark > NEVER
        return np.asarray(seen & (time < np.where(seen, watermark, 0) - self.contract.lateness), np.bool_)

    def hear(self, table: ReadingTable, rows: pa.Table) -> None:
        """Rows that another process has committed to one of the contract's tables."""
        self._seen.hear(self._prints(table, rows))

    def _load(self, batch: Readings, hours: Sequence[int] | None, rows_of_batch: NDArray[np.int64] | None) -> Iterator[Rows]:
        at = None if rows_of_batch is None else (batch.twin[rows_of_batch], batch.time[rows_of_batch])
        for table in self._store.reading_tables(self._principal):
            if table.contract != self.contract.name:
                continue
            rows = self._store.readings(self._principal, table, hours=hours, at=at, without=self._without)
            if len(rows):
                yield self._prints(table, rows)

    def _prints(self, table: ReadingTable, rows: pa.Table) -> Rows:
        """Rows of the store by fingerprint."""
        time = rows["time"].to_numpy()
        correction = np.zeros(len(rows), np.int64) if self._by_order else rows["correction"].to_numpy()
        bad = np.stack([rows[f"bad{m}"].to_numpy() for m in range(table.masks)])
        values = [rows[f"v{j}"].combine_chunks() for j in range(len(table.columns))]
        present = bad.copy()
        for j, value in enumerate(values):
            there = value.is_valid().to_numpy(zero_copy_only=False)
            present[j // MASK_BITS] |= np.where(there, np.int64(1 << (j % MASK_BITS)), np.int64(0))
        prints = prints_of(table.columns, rows["twin"].to_numpy(), time, correction, present, bad, values)
        paths = rows["correction"].to_numpy().view(np.uint64) if self._by_order else self._bits.of(table.columns, present)
        return prints.key, prints.content, paths, np.full(len(rows), table.revision, np.int32), time


def prints_of_readings(contract: Contract, r: Readings) -> Prints:
    """The prints of readings that a contract made. By order of ingestion the correction, which is not known yet, tells none apart."""
    correction = np.zeros_like(r.correction) if contract.spec.correction == "ingest" else r.correction
    return prints_of(contract.columns, r.twin, r.time, correction, r.present, r.bad, r.values, r.words)


def counts_by_delivery(
    prepared: Prepared, written: Written, letters: Sequence[int], delivery_of: NDArray[np.int64], size: int
) -> list[Counts]:
    """The counts of each of `size` deliveries. `letters` are the payloads its dead letters came from, `delivery_of` maps payloads."""
    owner = delivery_of[prepared.payload_of(written.readings.row)]

    def total(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(owner[mask], minlength=size)

    accepted, duplicate, late, conflict = (total(mask) for mask in (~written.duplicate, written.duplicate, written.late, written.conflict))
    dead = np.bincount(delivery_of[np.array(letters, np.int64)], minlength=size)
    received = accepted + duplicate + dead
    return [Counts(*(int(x) for x in row)) for row in zip(received, accepted, duplicate, dead, late, conflict, strict=True)]
