"""Reading payloads again: replay of the journal under the applied contract, and retry of dead letters.

A replay makes one commit: a retraction by range, and what the applied revision yields. Counts move with it, so that received =
accepted + duplicate + dead-lettered holds before, in and after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from twinwright.clock import Clock
from twinwright.errors import RefusedError
from twinwright.governance.principals import Principal
from twinwright.storage.layout import Counts, DeadLetter, JournalEntry, Retraction
from twinwright.storage.protocol import Store, Transaction
from twinwright.telemetry import journal
from twinwright.telemetry.batches import decoder_of, prepare
from twinwright.telemetry.duplicates import MAX_HELD
from twinwright.telemetry.intake import ContractIntake, Written
from twinwright.telemetry.payloads import Payload, Receipt
from twinwright.telemetry.pipeline import Pipeline, letters_by_reason
from twinwright.twins.state import StateCache


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did: `superseded` readings say something else now, `retracted` ones nothing."""

    receipt: Receipt
    superseded: int
    retracted: int


class Reprocessing:
    """Replay and retry for one platform."""

    def __init__(self, store: Store, state: StateCache, pipeline: Pipeline, clock: Clock) -> None:
        self._store, self._state, self._pipeline, self._clock = store, state, pipeline, clock

    def replay(self, principal: Principal, contract: str, *, start: int | None, end: int | None) -> Replayed:
        """Reprocess what `contract` received at `start` <= receive time < `end` (microseconds)."""
        first = 1 if start is None else self._store.commit_at(principal, start - 1) + 1
        last = self._store.last_commit(principal) if end is None else self._store.commit_at(principal, end - 1)
        applied = self._pipeline.contract(contract)
        missing = self._store.unjournalled(principal, contract, first, last)
        if missing:  # to retract what can't be read again would be to lose it
            raise RefusedError(
                f"{missing} commits of the window are not in the journal (any more)",
                where=contract,
                remedy=f"Replay a window that begins later; the contract keeps payloads for {applied.spec.journal}",
            )
        self._check_size(principal, applied.source, first, last)
        with self._state.lock:
            with self._store.transaction(principal, "replay") as transaction:
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
            self._state.recompute(contract)
        superseded, retracted = self._store.hidden_by(principal, retraction)
        return Replayed(receipt, superseded, retracted)

    def _check_size(self, principal: Principal, source: str, first: int, last: int) -> None:
        """A replay finds its own duplicates in memory: its window is bounded by what that holds."""
        commits = self._store.commits(principal, first=first, last=last, kind="ingest")
        readings = sum(commit.counts.received for commit in commits if commit.source == source)
        if readings > MAX_HELD:
            raise RefusedError(
                f"{readings} readings in the window", where=source, remedy=f"Replay it in parts of at most {MAX_HELD} readings"
            )

    def _intake_without(self, principal: Principal, retraction: Retraction) -> ContractIntake:
        """An intake that sees the readings as they will be when the retraction is known."""
        contract = self._pipeline.contract(retraction.contract)
        table = next(t for t in self._store.reading_tables(principal) if contract.matches(t))
        return ContractIntake(self._store, principal, contract, table, self._state.of(contract.name), without=retraction)

    def _again(self, transaction: Transaction, intake: ContractIntake, entry: JournalEntry) -> tuple[Receipt, Counts]:
        contract = intake.contract
        prepared = prepare(contract, decoder_of(contract), journal.unpack(entry.frames), self._pipeline.registry, entry.at)
        letters, _ = prepared.dead_letters(f"replayed from commit {entry.commit}")
        transaction.add_dead_letters([replace(letter, origin=entry.commit) for letter in letters])
        written = intake.write(transaction, prepared.readings, origin=entry.commit)
        counts = written.counts(len(letters))
        transaction.adjust_journal(entry.commit, counts - entry.counts)
        by_reason = letters_by_reason([letter.reason for letter in letters])
        receipt = Receipt(counts.received, counts.accepted, counts.duplicate, counts.late, counts.conflict, by_reason)
        return receipt, counts - entry.counts

    def retry(self, principal: Principal, letters: Sequence[DeadLetter]) -> tuple[Receipt, int]:
        """Read dead letters again, each by itself; those refused again stay open and are counted in the second result."""
        total, still = Receipt(), 0
        for name in sorted({letter.contract for letter in letters}):
            receipt, refused = self._retry(principal, name, [letter for letter in letters if letter.contract == name])
            total, still = total + receipt, still + refused
        return total, still

    def _retry(self, principal: Principal, name: str, letters: Sequence[DeadLetter]) -> tuple[Receipt, int]:
        contract = self._pipeline.contract(name)
        still = 0
        receipt = Receipt()
        with self._state.lock:
            # someone else may have retried some by now
            letters = [letter for letter in letters if self._store.dead_letter(principal, letter.id).status == "open"]
            try:
                with self._store.transaction(principal, "retry") as transaction:
                    transaction.require_revision(name, contract.revision)
                    intake = self._pipeline.intake(name)
                    change, done = Counts(), []
                    for letter in letters:
                        retried = self._one(transaction, intake, letter)
                        if retried is None:
                            still += 1
                            continue
                        counts, written, again = retried
                        done.append(written)
                        receipt = receipt + Receipt(
                            counts.received, counts.accepted, counts.duplicate, counts.late, counts.conflict, again, transaction.commit
                        )
                        moved = counts - Counts(1, 0, 0, 1)
                        change = change + moved
                        transaction.adjust_journal(letter.origin, moved)
                    transaction.count(change, source=contract.source, detail=f"{len(done)} of {len(letters)} dead letters")
            except BaseException:
                self._pipeline.forget(name)
                raise
            for written in done:
                intake.fold(transaction.commit, written)
                self._state.folded(name, len(written.readings))
        return receipt, still

    def _one(self, transaction: Transaction, intake: ContractIntake, letter: DeadLetter) -> tuple[Counts, Written, dict[str, int]] | None:
        """Closes a letter of which anything is accepted now; what is still refused of it becomes a letter of its own."""
        payload = Payload(letter.payload, letter.captures)
        prepared = prepare(intake.contract, decoder_of(intake.contract), [payload], self._pipeline.registry, self._clock.now())
        refused, _ = prepared.dead_letters(letter.position)
        if len(prepared.readings) == 0:
            return None
        written = intake.write(transaction, prepared.readings, origin=letter.origin)
        transaction.close_dead_letters([letter.id], "retried")
        transaction.add_dead_letters([replace(one, origin=letter.origin) for one in refused])
        return written.counts(len(refused)), written, letters_by_reason([one.reason for one in refused])
