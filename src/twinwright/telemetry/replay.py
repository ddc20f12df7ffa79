"""Reading payloads again: replay of the journal under the applied contract, and retry of dead letters.

A replay makes one commit: a retraction by range, and what the applied revision yields. Counts move with it, so that received =
accepted + duplicate + dead-lettered holds before, in and after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from twinwright.errors import RefusedError, UsageError
from twinwright.governance.principals import Principal
from twinwright.storage.layout import Counts, DeadLetter, JournalEntry, Retraction
from twinwright.storage.protocol import Store, Transaction
from twinwright.telemetry import journal
from twinwright.telemetry.batches import Prepared, decoder_of, prepare
from twinwright.telemetry.contract import Contract
from twinwright.telemetry.intake import RETRIED, ContractIntake, counts_by_delivery
from twinwright.telemetry.payloads import Payload, Receipt
from twinwright.telemetry.pipeline import Pipeline, letters_by_reason
from twinwright.twins.state import StateCache

MAX_READINGS = 4_000_000  # of a window: a replay finds its own duplicates in memory
_LETTERS_A_TIME = 5_000


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did: `superseded` readings say something else now, `retracted` ones nothing."""

    receipt: Receipt
    superseded: int
    retracted: int


class _DryRunError(Exception):
    """Leaves a transaction that was only tried, so that it is rolled back."""


class Reprocessing:
    """Replay and retry for one platform."""

    def __init__(self, store: Store, state: StateCache, pipeline: Pipeline) -> None:
        self._store, self._state, self._pipeline = store, state, pipeline

    def replay(self, principal: Principal, contract: str, *, start: int | None, end: int | None) -> Replayed:
        """Reprocess what `contract` received at `start` <= receive time < `end` (microseconds)."""
        first = 1 if start is None else self._store.commit_at(principal, start - 1) + 1
        last = self._store.last_commit(principal) if end is None else self._store.commit_at(principal, end - 1)
        applied = self._pipeline.contract(contract)
        if first > last:
            raise UsageError(
                "nothing was received in this window", where=contract, remedy="Correct --from and --to: they are receive times"
            )
        self._check_size(principal, applied.source, first, last)
        with self._state.lock:
            with self._store.transaction(principal, "replay") as transaction:
                self._pipeline.hear(transaction)
                self._require_journal(principal, applied, first, last)  # in the transaction: nothing expires meanwhile
                retraction = Retraction(transaction.commit, contract, first, last, applied.revision + 1)
                intake = self._intake_without(principal, retraction)
                transaction.require_revision(contract, applied.revision)
                transaction.retract(contract, first, last, retraction.below)
                transaction.close_dead_letters_of(contract, first, last, "replayed")
                receipt, change = Receipt(token=transaction.commit), Counts()
                for entry in self._store.journal_entries(principal, contract, first, last):
                    part, moved = self._again(transaction, intake, entry)
                    receipt, change = receipt + part, change + moved
                detail = f"origins {first} to {last} under revision {applied.revision}"
                transaction.count(change, source=applied.source, detail=detail)
            self._pipeline.forget(contract)
            self._state.recompute(contract, transaction.commit)
        superseded, retracted = self._store.hidden_by(principal, retraction)
        return Replayed(receipt, superseded, retracted)

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

    def _intake_without(self, principal: Principal, retraction: Retraction) -> ContractIntake:
        """An intake that sees the readings as they will be when the retraction is known."""
        contract = self._pipeline.contract(retraction.contract)
        table = next(t for t in self._store.reading_tables(principal) if contract.matches(t))
        return ContractIntake(self._store, principal, contract, table, self._state.of(contract.name), without=retraction)

    def _again(self, transaction: Transaction, intake: ContractIntake, entry: JournalEntry) -> tuple[Receipt, Counts]:
        contract = intake.contract
        prepared = prepare(contract, decoder_of(contract), journal.unpack(entry.frames), self._pipeline.registry, entry.at)
        letters, _ = prepared.dead_letters(lambda payload: f"replayed from commit {entry.commit} payload {payload}")
        transaction.add_dead_letters([replace(letter, origin=entry.commit) for letter in letters])
        written = intake.write(transaction, prepared.readings, origins=entry.commit)
        counts = written.counts(len(letters))
        transaction.adjust_journal(entry.commit, counts - entry.counts)
        by_reason = letters_by_reason([letter.reason for letter in letters])
        receipt = Receipt(counts.received, counts.accepted, counts.duplicate, counts.late, counts.conflict, by_reason)
        return receipt, counts - entry.counts

    def retry(self, principal: Principal, letters: Sequence[DeadLetter], *, dry_run: bool = False) -> tuple[Receipt, int]:
        """Read dead letters again, each by itself; those refused again stay open and are counted in the second result.

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
        """One transaction. A letter of which anything is accepted now is closed; what is still refused of it becomes a new one."""
        contract, now = self._pipeline.contract(name), self._pipeline.guard.now()
        payloads = [Payload(letter.payload, letter.captures) for letter in letters]
        prepared = prepare(contract, decoder_of(contract), payloads, self._pipeline.registry, now)
        with self._state.lock:
            opened = {letter.id for letter in letters if self._store.dead_letter(principal, letter.id).status == "open"}
            owner = prepared.payload_of(prepared.readings.row)
            alive = np.array([letter.id in opened for letter in letters], np.bool_)
            prepared = replace(prepared, readings=prepared.readings.take(np.flatnonzero(alive[owner])))  # others were retried meanwhile
            closed = sorted(set(prepared.payload_of(prepared.readings.row).tolist()))
            refused, owners = prepared.dead_letters(lambda at: letters[at].position)
            again = [(replace(one, origin=letters[at].origin), at) for one, at in zip(refused, owners, strict=True) if at in set(closed)]
            receipt = self._move(principal, prepared, letters, closed, again, dry_run=dry_run)
        return receipt, len(opened) - len(closed)

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
        c = sum((counts[at] for at in closed), Counts())
        by_reason = letters_by_reason([letter.reason for letter, _ in again])
        token = self._store.last_commit(principal) if dry_run else transaction.commit
        return Receipt(c.received, c.accepted, c.duplicate, c.late, c.conflict, by_reason, token)
