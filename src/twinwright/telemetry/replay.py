"""Reading payloads again: replay of the journal under the applied contract, and retry of dead letters.

A replay makes one commit: a retraction by range, and what the applied revision yields. Counts move with it, so that received =
accepted + duplicate + dead-lettered holds before, in and after it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from twinwright.clock import HOUR
from twinwright.errors import RefusedError, UsageError
from twinwright.governance.principals import Principal
from twinwright.storage.layout import Counts, DeadLetter, Retraction, Selection
from twinwright.storage.protocol import Store, Transaction
from twinwright.telemetry.batches import Prepared, decoder_of, prepare
from twinwright.telemetry.contract import Contract
from twinwright.telemetry.evaluate import Readings
from twinwright.telemetry.intake import RETRIED, ContractIntake, counts_by_delivery
from twinwright.telemetry.payloads import Payload, Receipt
from twinwright.telemetry.pipeline import Pipeline, letters_by_reason
from twinwright.telemetry.reread import Gone, Pace, Reach, Reader, Reread, Spool, nothing_gone
from twinwright.twins.state import Remaining, StateCache

MAX_READINGS = 4_000_000  # of a window: a replay finds its own duplicates in memory
_LETTERS_A_TIME = 5_000
_SAMPLE = 50_000  # readings, about, by which it is said what a replay costs


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did: `superseded` readings say something else now, `retracted` ones nothing."""

    receipt: Receipt
    superseded: int
    retracted: int


class _DryRunError(Exception):
    """Leaves a transaction that was only tried, so that it is rolled back."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a replay would take: the `readings` to read again from so many bytes of journal, the bytes that they are before the engine
    compresses them, and how long that takes by what a sample took. While it commits, for `pause` of the seconds, ingestion waits."""

    contract: str
    revision: int
    readings: int
    journal_bytes: int
    bytes: int
    seconds: float
    pause: float


@dataclass(frozen=True, slots=True)
class _Window:
    """What was received at commits `first` to `last`, what reads it again, and the newest event time that had been received before."""

    first: int
    last: int
    reader: Reader
    watermark: int

    @property
    def contract(self) -> Contract:
        return self.reader.contract

    @property
    def below(self) -> int:
        """Of these revisions what was received is retracted."""
        return self.contract.revision + 1


class Reprocessing:
    """Replay and retry for one platform."""

    def __init__(self, store: Store, state: StateCache, pipeline: Pipeline) -> None:
        self._store, self._state, self._pipeline = store, state, pipeline
        self._stopping = threading.Event()

    def stop(self) -> None:
        """What is being read again is left; what is being committed is committed."""
        self._stopping.set()

    def cost(
        self,
        principal: Principal,
        contract: str,
        *,
        start: int | None = None,
        end: int | None = None,
        rate: float | None = None,
        gone: Gone = nothing_gone,
    ) -> Cost:
        """What `replay` would take. A part of the window is replayed, and rolled back. Raises as `replay`."""
        principal.require_write()
        pace = Pace(rate, self._stopping)  # of the replay: the sample is read as fast as it goes
        window = self._window(principal, contract, start, end)
        sizes = self._store.journal_sizes(principal, contract, window.first, window.last)
        readings = sum(one.counts.received for one in sizes)
        commits = [one.commit for one in sizes if one.counts.received][:: max(readings // _SAMPLE, 1)]
        reach = Reach(gone)
        first = list(self._reread(principal, window, commits[:1], reach))  # for nothing: what is done for the first time takes longer
        began = time.perf_counter()
        sample = list(self._reread(principal, window, commits, reach))
        read = time.perf_counter() - began
        reach.require_none(contract)
        written = self._tried(principal, window, first, sample)
        share = readings / max(sum(one.received for one in sample), 1)
        pause = share * written
        seconds = pause + self._recomputing(principal, window.contract) + pace.seconds(readings, share * read)
        size = int(share * sum(_bytes(one.readings) for one in sample))
        return Cost(contract, window.contract.revision, readings, sum(one.bytes for one in sizes), size, seconds, pause)

    def _reread(self, principal: Principal, window: _Window, commits: Sequence[int], reach: Reach) -> Iterator[Reread]:
        for commit in commits:
            for entry in self._store.journal_entries(principal, window.contract.name, commit, commit):
                one = window.reader.read(entry)
                reach.look(entry, one.readings)
                yield one

    def _tried(self, principal: Principal, window: _Window, first: Sequence[Reread], sample: Sequence[Reread]) -> float:
        """Seconds that writing takes, less those of the first; it is rolled back."""
        began = ended = 0.0

        def parts() -> Iterator[Reread]:
            nonlocal began, ended
            yield from first
            began = time.perf_counter()
            yield from sample
            ended = time.perf_counter()

        with contextlib.suppress(_DryRunError):
            self._write(principal, window, parts(), None)
        return ended - began

    def _recomputing(self, principal: Principal, contract: Contract) -> float:
        """Seconds that computing the state from all history takes, by those that a part of it takes."""
        hours = sorted(self._store.hours(principal, contract.name).items())
        counts = np.cumsum([count for _, count in hours])
        last = min(int(np.searchsorted(counts, _SAMPLE)), len(hours) - 1)
        if last < 0:
            return 0.0
        part = Selection(source=contract.source, start=hours[0][0] * HOUR, end=(hours[last][0] + 1) * HOUR)
        began = time.perf_counter()
        self._store.latest(principal, part)
        return (time.perf_counter() - began) * float(counts[-1] / counts[last])

    @contextlib.contextmanager
    def reading(
        self,
        principal: Principal,
        contract: str,
        *,
        start: int | None,
        end: int | None,
        rate: float | None = None,
        gone: Gone = nothing_gone,
    ) -> Iterator[Callable[[], Replayed]]:
        """Read again what `contract` received at `start` <= receive time < `end` (microseconds), at no more than `rate` readings a second.
        What this yields makes it visible; without that nothing changes.

        Ingestion goes on while it reads and looks what is left of the state, and waits while it writes. Raises UsageError where nothing was
        received, RefusedError for too much, for what the journal does not hold and for what is `gone` from history (see `Reach`),
        FenceError where another revision was applied meanwhile.
        """
        principal.require_write()
        pace = Pace(rate, self._stopping)
        window, reach = self._window(principal, contract, start, end), Reach(gone)

        def commit() -> Replayed:
            remaining = self._state.remaining(contract, window.first, window.last, window.below)
            return self._write(principal, window, spool, remaining)

        with Spool.opened() as spool:
            for entry in self._store.journal_entries(principal, contract, window.first, window.last):
                one = window.reader.read(entry)
                reach.look(entry, one.readings)
                spool.add(one)
                pace.after(one.received)
            reach.require_none(contract)
            yield commit

    def replay(self, principal: Principal, contract: str, *, start: int | None, end: int | None, rate: float | None = None) -> Replayed:
        """Reprocess what one contract received: see `reading`."""
        with self.reading(principal, contract, start=start, end=end, rate=rate) as commit:
            return commit()

    def _window(self, principal: Principal, contract: str, start: int | None, end: int | None) -> _Window:
        first = 1 if start is None else self._store.commit_at(principal, start - 1) + 1
        last = self._store.last_commit(principal) if end is None else self._store.commit_at(principal, end - 1)
        applied = self._pipeline.contract(contract)
        if first > last:
            raise UsageError(
                "nothing was received in this window", where=contract, remedy="Correct --from and --to: they are receive times"
            )
        self._check_size(principal, applied.source, first, last)
        self._require_journal(principal, applied, first, last)
        began = self._store.commit_times(principal, {first})[first]
        watermark = self._state.newest_before(contract, first, began + applied.skew)
        return _Window(first, last, Reader(applied, self._pipeline.registry), watermark)

    def _write(self, principal: Principal, window: _Window, spool: Iterable[Reread], remaining: Remaining | None) -> Replayed:
        """All of it, state included. With nothing that remained it is a dry run."""
        contract, first, last = window.contract.name, window.first, window.last
        with self._state.lock:
            with self._store.transaction(principal, "replay") as transaction:
                self._pipeline.hear(transaction)
                self._require_journal(principal, window.contract, first, last)  # in the transaction: nothing expires meanwhile
                transaction.require_revision(contract, window.contract.revision)
                retraction = Retraction(transaction.commit, contract, first, last, window.below)
                intake = self._intake_without(principal, retraction, window.watermark, remaining)
                transaction.retract(contract, first, last, retraction.below)
                transaction.close_dead_letters_of(contract, first, last, "replayed")
                before = {one.commit: one.counts for one in self._store.journal_sizes(principal, contract, first, last)}
                receipt, change = Receipt(token=transaction.commit), Counts()
                for one in self._current(principal, window, spool):
                    part, moved = self._again(transaction, intake, one, before[one.commit], remaining)
                    receipt, change = receipt + part, change + moved
                if remaining is None:
                    raise _DryRunError
                detail = f"origins {first} to {last} under revision {window.contract.revision}"
                transaction.count(change, source=window.contract.source, detail=detail)
            self._pipeline.forget(contract)
            self._state.recompute(contract, transaction.commit, remaining)
        superseded, retracted = self._store.hidden_by(principal, retraction)
        return Replayed(receipt, superseded, retracted)

    def _current(self, principal: Principal, window: _Window, spool: Iterable[Reread]) -> Iterator[Reread]:
        """What was read, read again where twins have changed since; call with the state's lock held."""
        registry = self._pipeline.registry
        anew = Reader(window.contract, registry)
        for one in spool:
            if window.reader.outdated(one, registry):
                entries = self._store.journal_entries(principal, window.contract.name, one.commit, one.commit)
                yield from (anew.read(entry) for entry in entries)
            else:
                yield one

    def _require_journal(self, principal: Principal, contract: Contract, first: int, last: int) -> None:
        missing = self._store.unjournalled(principal, contract.name, first, last)
        if missing:  # to retract what can't be read again would be to lose it
            raise RefusedError(
                f"{missing} commits of the window are not in the journal (any more)",
                where=contract.name,
                remedy=f"Replay a window that begins later; the contract keeps payloads for {contract.spec.journal}",
            )

    def _check_size(self, principal: Principal, source: str, first: int, last: int) -> None:
        commits = self._store.commits(principal, first=first, last=last, kind="ingest")
        readings = sum(commit.counts.received for commit in commits if commit.source == source)
        if readings > MAX_READINGS:
            raise RefusedError(
                f"{readings} readings in the window", where=source, remedy=f"Replay it in parts of at most {MAX_READINGS} readings"
            )

    def _intake_without(self, principal: Principal, retraction: Retraction, watermark: int, remaining: Remaining | None) -> ContractIntake:
        """An intake that sees the readings as they will be when the retraction is known, and folds into what remains."""
        contract = self._pipeline.contract(retraction.contract)
        table = next(t for t in self._store.reading_tables(principal) if contract.matches(t))
        cells = self._state.of(contract.name) if remaining is None else remaining.cells
        return ContractIntake(self._store, principal, contract, table, cells, without=retraction, watermark=watermark)

    def _again(
        self, transaction: Transaction, intake: ContractIntake, one: Reread, before: Counts, remaining: Remaining | None
    ) -> tuple[Receipt, Counts]:
        transaction.add_dead_letters(one.letters)
        written = intake.write(transaction, one.readings, origins=one.commit)
        if remaining is not None:
            intake.fold(transaction.commit, written)
        counts = written.counts(len(one.letters))
        transaction.adjust_journal(one.commit, counts - before)
        by_reason = letters_by_reason([letter.reason for letter in one.letters])
        receipt = Receipt(counts.received, counts.accepted, counts.duplicate, counts.late, counts.conflict, by_reason)
        return receipt, counts - before

    def retry(self, principal: Principal, letters: Sequence[DeadLetter], *, dry_run: bool = False) -> tuple[Receipt, int]:
        """Read dead letters again, each by itself; those of which nothing is accepted are counted in the second result, and stay open:
        where they are refused for another reason now, as letters that say so.

        A dry run does all of it up to the commit, and rolls back. It takes them in parts, as a retry does, so that of two letters in
        different parts which say the same it counts both as accepted.
        """
        total, still = Receipt(), 0
        for name in sorted({letter.contract for letter in letters}):
            mine = list({letter.id: letter for letter in letters if letter.contract == name}.values())
            if name not in self._pipeline.contracts:  # its contract was removed: nothing reads them now
                still += len(mine)
                continue
            for at in range(0, len(mine), _LETTERS_A_TIME):
                receipt, refused = self._retry(principal, name, mine[at : at + _LETTERS_A_TIME], dry_run=dry_run)
                total, still = total + receipt, still + refused
        return total, still

    def _retry(self, principal: Principal, name: str, letters: Sequence[DeadLetter], *, dry_run: bool) -> tuple[Receipt, int]:
        """One transaction. A letter of which anything is accepted now, or that is refused otherwise, is closed; what is still refused of it
        becomes a new one: the list would go on naming what was mended."""
        contract, now = self._pipeline.contract(name), self._pipeline.guard.now()
        payloads = [Payload(letter.payload, letter.captures) for letter in letters]
        prepared = prepare(contract, decoder_of(contract), payloads, self._pipeline.registry, now)
        with self._state.lock:
            opened = {letter.id for letter in letters if self._store.dead_letter(principal, letter.id).status == "open"}
            owner = prepared.payload_of(prepared.readings.row)
            alive = np.array([letter.id in opened for letter in letters], np.bool_)
            prepared = replace(prepared, readings=prepared.readings.take(np.flatnonzero(alive[owner])))  # others were retried meanwhile
            taken = set(prepared.payload_of(prepared.readings.row).tolist())
            refused, owners = prepared.dead_letters(lambda at, _: letters[at].position)
            otherwise = {at for one, at in zip(refused, owners, strict=True) if alive[at] and _why(one) != _why(letters[at])}
            closed = sorted(taken | otherwise)
            again = [(replace(one, origin=letters[at].origin), at) for one, at in zip(refused, owners, strict=True) if at in set(closed)]
            receipt = self._move(principal, prepared, letters, closed, again, dry_run=dry_run)
        return receipt, len(opened) - len(taken)

    def _move(
        self,
        principal: Principal,
        prepared: Prepared,
        letters: Sequence[DeadLetter],
        closed: Sequence[int],
        again: Sequence[tuple[DeadLetter, int]],
        *,
        dry_run: bool,
    ) -> Receipt:
        contract = prepared.contract
        owner = prepared.payload_of(prepared.readings.row)
        origins = np.array([letter.origin for letter in letters], np.int64)[owner]
        places = RETRIED + np.array([letter.id % RETRIED for letter in letters], np.int64)[owner]
        try:
            with self._store.transaction(principal, "retry") as transaction:
                self._pipeline.hear(transaction)
                transaction.require_revision(contract.name, contract.revision)
                intake = self._pipeline.intake(contract.name)
                written = intake.write(transaction, prepared.readings, origins, places)
                transaction.close_dead_letters([letters[at].id for at in closed], "retried")
                transaction.add_dead_letters([letter for letter, _ in again])
                counts = counts_by_delivery(prepared, written, [at for _, at in again], np.arange(len(letters)), len(letters))
                moved = {at: counts[at] - Counts(1, 0, 0, 1) for at in closed}
                for at, change in moved.items():
                    transaction.adjust_journal(letters[at].origin, change)
                detail = f"{len(closed)} of {len(letters)} dead letters"
                transaction.count(sum(moved.values(), Counts()), source=contract.source, detail=detail)
                if dry_run:
                    raise _DryRunError
        except BaseException as error:
            self._pipeline.forget(contract.name)
            if not isinstance(error, _DryRunError):
                raise
        else:
            intake.fold(transaction.commit, written)
            self._state.folded(contract.name, len(written.readings), transaction.commit)
        taken = set(owner.tolist())
        c = sum((counts[at] for at in closed if at in taken), Counts())
        by_reason = letters_by_reason([letter.reason for letter, at in again if at in taken])
        token = self._store.last_commit(principal) if dry_run else transaction.commit
        return Receipt(c.received, c.accepted, c.duplicate, c.late, c.conflict, by_reason, token)


def _why(letter: DeadLetter) -> tuple[str, str]:
    return letter.reason, letter.detail


def _bytes(readings: Readings) -> int:
    """Of their columns in a table of readings."""
    others = 4 * readings.time.nbytes + readings.twin.nbytes + len(readings)  # commit, origin, time, correction; twin; marks
    return int(others + readings.bad.nbytes + sum(values.nbytes for values in readings.values))
