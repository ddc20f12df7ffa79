"""The pipeline: deliveries in, one durable transaction per micro-batch, receipts out.

Three threads, so that decoding the next micro-batch overlaps committing the last: `prepare` touches no state, `commit` is the only
one that does, and what was decoded is compressed for the journal beside both. Deliveries that wait together for the same contract
share a transaction and each gets its own receipt. Queues are bounded: when they are full, `submit` says so.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from twinwright.clock import SECOND, Clock
from twinwright.errors import BusyError, FenceError, NotFoundError, PlatformError
from twinwright.governance.principals import Principal
from twinwright.observability.logs import get_logger
from twinwright.observability.metrics import Metrics
from twinwright.storage.layout import Counts, ReadingTable
from twinwright.storage.protocol import Store, Transaction
from twinwright.telemetry import idempotency, journal
from twinwright.telemetry.batches import Prepared, decoder_of, prepare
from twinwright.telemetry.clock_guard import ClockGuard, newest_event_time
from twinwright.telemetry.contract import Contract
from twinwright.telemetry.decode import Decoder
from twinwright.telemetry.intake import ContractIntake, Written, counts_by_delivery, prints_of_readings
from twinwright.telemetry.packed import joined, size_of
from twinwright.telemetry.payloads import Delivery, Receipt
from twinwright.telemetry.places import Places
from twinwright.telemetry.prints import Prints
from twinwright.twins.registry import TwinRegistry
from twinwright.twins.state import StateCache

_log = get_logger("telemetry")
QUEUE_BYTES = 128 * 1024 * 1024
QUEUE_DELIVERIES = 20_000
BATCH_BYTES = 24 * 1024 * 1024  # a backlog's batches then have more rows than a row group of the engine, and are written once
_TURN = 0.0005  # seconds that a thread may keep the interpreter from others that wait for it


@dataclass(frozen=True, slots=True)
class _Waiting:
    delivery: Delivery
    future: Future[Receipt]
    size: int
    since: float


@dataclass(frozen=True, slots=True)
class _Ready:
    contract: Contract
    waiting: tuple[_Waiting, ...]
    prepared: Prepared
    prints: Prints  # of its readings
    frames: Future[bytes]  # for the journal, being compressed
    registry: TwinRegistry
    taken: int  # how many changes of its lifetimes were known when this was prepared


@dataclass(frozen=True, slots=True)
class _Mark:
    """Comes through behind what was submitted before it."""

    passed: threading.Event


@dataclass(frozen=True, slots=True)
class _Setup:
    """What is applied now; replaced whole when that changes."""

    contracts: Mapping[str, Contract]
    decoders: Mapping[str, Decoder]
    tables: Mapping[str, ReadingTable]
    registry: TwinRegistry
    at: int


class OutdatedError(FenceError):
    """Another process has applied something since: what was prepared under the old contracts and twins is prepared again."""


class Pipeline:
    """Built on a store and its state cache; `configure` says which contracts are applied. `renew` is called in the thread that commits when
    another process has applied something else."""

    def __init__(
        self, store: Store, principal: Principal, state: StateCache, clock: Clock, metrics: Metrics, guard: ClockGuard | None = None
    ) -> None:
        self._store, self._principal, self._state, self._metrics = store, principal, state, metrics
        self.guard = guard or ClockGuard(clock, metrics)
        self._setup = _Setup({}, {}, {}, TwinRegistry([], {}), 0)
        self._intakes: dict[str, ContractIntake] = {}
        self.renew: Callable[[], object] | None = None
        state.tell(self._remember, self.forget)
        self._in: queue.SimpleQueue[_Waiting | _Mark | None] = queue.SimpleQueue()
        self._out: queue.Queue[_Ready | _Mark | None] = queue.Queue(maxsize=1)
        self._pending_lock = threading.Lock()
        self._pending_bytes = self._pending = 0
        self._closed = False
        # What takes payloads in is seldom done with the interpreter, and those threads need it often and briefly: between two steps that
        # are compiled. Waiting 5 ms each time halves what is taken in.
        sys.setswitchinterval(min(sys.getswitchinterval(), _TURN))
        self._packing = ThreadPoolExecutor(1, "twinwright-pack")
        self._threads = [
            threading.Thread(target=run, name=f"twinwright-{run.__name__.strip('_')}") for run in (self._prepare, self._commit)
        ]
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def configure(self, contracts: Mapping[str, Contract], registry: TwinRegistry, at: int | None = None) -> None:
        """Take what is applied, by a commit `at` (default: the newest), as the truth from the next micro-batch on; one that was prepared
        under another revision is fenced off."""
        at = self._store.last_commit(self._principal) if at is None else at
        tables = {table.contract: table for table in self._store.reading_tables(self._principal)}  # the newest revision comes last
        self.guard.configure([contract.skew for contract in contracts.values()])
        with self._state.lock:
            self._intakes.clear()
            self._setup = _Setup(contracts, {name: decoder_of(contract) for name, contract in contracts.items()}, tables, registry, at)

    @property
    def contracts(self) -> Mapping[str, Contract]:
        return self._setup.contracts

    @property
    def registry(self) -> TwinRegistry:
        return self._setup.registry

    def contract(self, name: str) -> Contract:
        """Raises NotFoundError for a contract that is not applied."""
        return _of(self._setup.contracts, name)

    def intake(self, name: str) -> ContractIntake:
        """The state of one contract; call with the state's lock held."""
        if name not in self._intakes:
            contract, table = self.contract(name), self._setup.tables[name]
            self._intakes[name] = ContractIntake(self._store, self._principal, contract, table, self._state.of(name))
        return self._intakes[name]

    def forget(self, name: str) -> None:
        """The set of readings of a contract changed by other means than its intake (a replay)."""
        with self._state.lock:
            self._intakes.pop(name, None)

    def _remember(self, table: ReadingTable, rows: pa.Table) -> None:
        """Another process has committed rows: those who remember them are told."""
        if table.contract in self._intakes:
            self._intakes[table.contract].hear(table, rows)

    def hear(self, transaction: Transaction) -> None:
        """Hear of all that comes before a transaction, under the writers' lock: only then may what is remembered decide anything.
        Raises OutdatedError where what is applied is not what we were told."""
        self._state.catch_up(transaction.commit - 1)
        if self._state.applied > self._setup.at:
            raise OutdatedError("another process has applied the workspace", remedy="Prepare it again")

    # --- in ----------------------------------------------------------------------------------------------------------

    def submit(self, delivery: Delivery) -> Receipt:
        """Blocks until the delivery is durable. Raises BusyError when full, ClockSuspectError while ingestion is paused, FenceError
        when a position is not current."""
        return self.submit_soon(delivery).result()

    def submit_soon(self, delivery: Delivery) -> Future[Receipt]:
        """The same without waiting; deliveries are committed in the order of submission."""
        setup = self._setup
        contract = _of(setup.contracts, delivery.contract)
        self.guard.admit(contract.source, lambda: newest_event_time(contract, setup.decoders[contract.name], delivery, setup.registry))
        size = size_of(delivery.payloads)
        with self._pending_lock:
            if self._closed:
                raise PlatformError("the platform is stopping", remedy="Deliver again when it is back")
            full = self._pending_bytes + size > QUEUE_BYTES or self._pending >= QUEUE_DELIVERIES
            if full and self._pending:
                raise BusyError("the ingestion queue is full")
            self._pending_bytes += size
            self._pending += 1
            waiting = _Waiting(delivery, Future(), size, time.perf_counter())
            waiting.future.set_running_or_notify_cancel()  # what is submitted can't be taken back
            self._in.put(waiting)  # under the lock: nothing comes after what `close` puts
        self._metrics.queue_depth.set(self._pending)
        return waiting.future

    def settle(self) -> None:
        """Until what was submitted before is committed or refused, so that its event times are known (law 6)."""
        mark = _Mark(threading.Event())
        with self._pending_lock:
            if not self._pending or self._closed:
                return
            self._in.put(mark)
        mark.passed.wait()

    def close(self) -> None:
        """Commit what was submitted, then stop."""
        with self._pending_lock:
            if self._closed:
                return
            self._closed = True
        self._in.put(None)
        for thread in self._threads:
            thread.join()
        self._packing.shutdown()

    # --- the threads ---------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        stopping = False
        while not stopping:
            first = self._in.get()
            if first is None:
                break
            if isinstance(first, _Mark):
                self._out.put(first)
                continue
            group = [first]
            mark: _Mark | None = None
            size = first.size
            while size < BATCH_BYTES and not stopping and mark is None:
                try:
                    following = self._in.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stopping = True
                elif isinstance(following, _Mark):
                    mark = following
                else:
                    group.append(following)
                    size += following.size
            for name in dict.fromkeys(waiting.delivery.contract for waiting in group):
                self._ready([waiting for waiting in group if waiting.delivery.contract == name])
            if mark is not None:
                self._out.put(mark)
        self._out.put(None)

    def _ready(self, group: Sequence[_Waiting]) -> None:
        try:
            self._out.put(self._prepared(group))
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to these deliveries, not to the thread
            self._fail(group, error)

    def _prepared(self, group: Sequence[_Waiting]) -> _Ready:
        setup = self._setup
        taken = len(setup.registry.taken)
        contract = _of(setup.contracts, group[0].delivery.contract)
        payloads = joined([waiting.delivery.payloads for waiting in group], sum(waiting.size for waiting in group))
        largest = max(waiting.size for waiting in group)
        prepared = prepare(contract, setup.decoders[contract.name], payloads, setup.registry, self.guard.now(), largest=largest)
        frames = self._packing.submit(journal.pack, payloads, prepared.decoded.joined)
        prints = prints_of_readings(contract, prepared.readings)
        return _Ready(contract, tuple(group), prepared, prints, frames, setup.registry, taken)

    def _current(self, ready: _Ready) -> _Ready:
        """Prepared again, where a lifetime that its readings fell in has ended or changed since; call with the state's lock held."""
        taken = ready.registry.taken[ready.taken :]
        outlived = bool(taken) and bool(np.isin(ready.prepared.readings.twin, taken).any())
        return self._prepared(ready.waiting) if outlived else ready

    def _commit(self) -> None:
        while (ready := self._out.get()) is not None:
            if isinstance(ready, _Mark):
                ready.passed.set()
                continue
            try:
                receipts = self._write(ready)
            except Exception as error:  # noqa: BLE001 - rolled back whole: now each delivery by itself
                self._one_by_one(ready, error)
            else:
                self._answer(ready.waiting, receipts)

    def _one_by_one(self, ready: _Ready, error: Exception) -> None:
        """A delivery that can't be committed (fenced off, say) does not take its neighbours along."""
        if isinstance(error, OutdatedError) and self.renew is not None:
            self.renew()
        if len(ready.waiting) == 1 and self._setup.contracts.get(ready.contract.name) is ready.contract:
            self._fail(ready.waiting, error)
            return
        for waiting in ready.waiting:
            try:
                receipts = self._write(self._prepared([waiting]))
            except Exception as own:  # noqa: BLE001 - it is this delivery's answer
                self._fail([waiting], own)
            else:
                self._answer([waiting], receipts)

    def _write(self, ready: _Ready) -> list[Receipt]:
        self.guard.now()  # it stamps the commit, and may have been stepped since the batch was prepared
        started = time.perf_counter()
        contract = ready.contract
        deliveries, receipts = [waiting.delivery for waiting in ready.waiting], None
        positions = [position for delivery in deliveries for position in delivery.positions]
        with self._state.lock:
            self.intake(contract.name)
            self._state.catch_up()  # what is left to hear of while the others wait for us is little then
            ready = self._current(ready)
            prepared = ready.prepared
            letters, owners = prepared.dead_letters(Places(deliveries).of)
            touched = False
            if self._store.many_writers:
                ready.frames.result()  # what the others would wait for
            try:
                with self._store.transaction(self._principal, "ingest") as transaction:
                    self.hear(transaction)
                    intake = self.intake(contract.name)
                    transaction.require_revision(contract.name, contract.revision)
                    transaction.move_positions(contract.name, [(one.stream, one.start, one.next) for one in positions])
                    idempotency.claim(transaction, contract.name, deliveries)
                    touched = True
                    written = intake.write(transaction, prepared.readings, prints=ready.prints)
                    transaction.add_dead_letters(letters)
                    counts = written.counts(len(letters))
                    if contract.journal is not None:
                        transaction.journal(contract.name, contract.source, contract.revision, ready.frames.result(), counts)
                    transaction.count(counts, source=contract.source)
                    if any(delivery.key for delivery in deliveries):
                        receipts = self._receipts(ready, written, owners, [letter.reason for letter in letters], transaction.commit)
                        idempotency.keep(transaction, contract.name, deliveries, receipts)
            except BaseException:
                if touched:  # a fence leaves what is known of seen readings as it was
                    self._intakes.pop(contract.name, None)
                raise
            intake.fold(transaction.commit, written)
            self._state.folded(contract.name, len(prepared.readings), transaction.commit)
        if len(prepared.readings):
            lag = (transaction.at - int(prepared.readings.time.max())) / SECOND
            self._metrics.lag_seconds.labels(contract=contract.name).set(lag)
        self._observe(contract, counts, letters_by_reason([letter.reason for letter in letters]), time.perf_counter() - started)
        return receipts or self._receipts(ready, written, owners, [letter.reason for letter in letters], transaction.commit)

    def _receipts(self, ready: _Ready, written: Written, owners: Sequence[int], reasons: Sequence[str], token: int) -> list[Receipt]:
        delivery_of = np.repeat(np.arange(len(ready.waiting)), [len(waiting.delivery.payloads) for waiting in ready.waiting])
        totals = counts_by_delivery(ready.prepared, written, owners, delivery_of, len(ready.waiting))
        dead: list[dict[str, int]] = [{} for _ in ready.waiting]
        for owner, reason in zip(owners, reasons, strict=True):
            counter = dead[delivery_of[owner]]
            counter[reason] = counter.get(reason, 0) + 1
        now = time.perf_counter()
        return [
            Receipt(c.received, c.accepted, c.duplicate, c.late, c.conflict, by_reason, token, now - waiting.since)
            for c, by_reason, waiting in zip(totals, dead, ready.waiting, strict=True)
        ]

    # --- out ---------------------------------------------------------------------------------------------------------

    def _answer(self, group: Sequence[_Waiting], receipts: Sequence[Receipt]) -> None:
        self._release(group)
        for waiting, receipt in zip(group, receipts, strict=True):
            waiting.future.set_result(receipt)

    def _fail(self, group: Sequence[_Waiting], error: Exception) -> None:
        if isinstance(error, idempotency.AnsweredError):
            self._answer(group, [error.receipt] * len(group))
            return
        self._release(group)
        _log.warning("a delivery was not taken", contract=group[0].delivery.contract, deliveries=len(group), error=str(error))
        for waiting in group:
            waiting.future.set_exception(error)

    def _release(self, group: Sequence[_Waiting]) -> None:
        with self._pending_lock:
            self._pending_bytes -= sum(waiting.size for waiting in group)
            self._pending -= len(group)
        self._metrics.queue_depth.set(self._pending)

    def _observe(self, contract: Contract, counts: Counts, by_reason: Mapping[str, int], seconds: float) -> None:
        metrics, name = self._metrics, contract.name
        metrics.readings_received.labels(contract=name).inc(counts.received)
        metrics.readings_accepted.labels(contract=name).inc(counts.accepted)
        metrics.readings_duplicate.labels(contract=name).inc(counts.duplicate)
        metrics.readings_late.labels(contract=name).inc(counts.late)
        metrics.readings_conflict.labels(contract=name).inc(counts.conflict)
        for reason, count in by_reason.items():
            metrics.readings_dead_lettered.labels(contract=name, reason=reason).inc(count)
        metrics.commit_seconds.observe(seconds)
        metrics.ingest_batch_seconds.labels(contract=name).observe(seconds)


def letters_by_reason(reasons: Sequence[str]) -> dict[str, int]:
    """How many of each."""
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}


def _of(contracts: Mapping[str, Contract], name: str) -> Contract:
    try:
        return contracts[name]
    except KeyError:
        names = ", ".join(sorted(contracts)) or "none"
        remedy = f"Applied are: {names}. Run `twinwright apply` after adding one"
        raise NotFoundError(f"there is no contract '{name}'", remedy=remedy) from None
