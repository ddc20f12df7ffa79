"""The consumer of the commit log that keeps derived values in step with history.

It reads what a range of commits touched, derives the windows concerned from history as known at the end of the range, and writes what
differs, with how far each definition has come, in one transaction. What it writes is touched in turn: a value that is derived from
a derived one follows in the next round. Each definition has a place in the log of its own: one that fails waits, the others go on.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import polars as pl
import pyarrow as pa

from twinwright.clock import SECOND, Clock
from twinwright.derived.binding import Binding
from twinwright.derived.derive import Deriver
from twinwright.derived.intervals import Density
from twinwright.derived.reader import frame
from twinwright.derived.remains import Remains
from twinwright.errors import FenceError
from twinwright.governance.principals import Principal
from twinwright.observability.logs import get_logger
from twinwright.observability.metrics import Metrics
from twinwright.storage.layout import Counts
from twinwright.storage.protocol import VALUE_SCHEMA, Store
from twinwright.twins.changes import Lag, range_end
from twinwright.twins.evolution import UNCHANGED, Evolution
from twinwright.twins.expired import gone_before, gone_of

_log = get_logger("derived")
KIND = "derived"  # of the commits that are written, and of the records that say what was derived under which fingerprint
POSITIONS = "derived/*"  # in the table of positions; no contract can have this name
RANGE_READINGS = 200_000  # a range of commits is cut before it has taken in more than this
RANGE_COMMITS = 1_000
WRITE_ROWS = 100_000  # of one transaction: the store has one writer, and ingestion is not to wait for this one
_OWN_WEIGHT = RANGE_READINGS // 10  # how many rows a commit of our own is taken for
_LONGEST_PAUSE = 300 * SECOND
_LINES = 1_000  # of the log that are read together
_UNFINISHED = "more of it follows"
_PLACE = re.compile(r"(?:; |, )(\S+) through (\d+)")


@dataclass(slots=True)
class Progress:
    """How far one definition is. `stored` is the commit that the store knows it has consumed, `position` the one that it really has;
    it is not `current` while all of it has to be derived (again), and withdrawn where `binding` is None."""

    name: str
    binding: Binding | None
    stored: int
    position: int
    current: bool
    error: str = ""
    failures: int = 0
    not_before: int = 0  # on the monotonic clock: when it is tried again


@dataclass(slots=True)
class _Round:
    """What is to be committed together."""

    tables: list[pa.Table] = field(default_factory=list)
    moved: list[tuple[Progress, int]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(len(table) for table in self.tables)


class Interrupted(Exception):  # noqa: N818 - no error: there is something else to do
    """What is being derived is not wanted any more: the definitions changed, or the platform stops."""


class DerivedConsumer:
    """`configure` says what is derived; `catch_up` derives until nothing is left. One thread at a time derives, any may configure."""

    def __init__(self, store: Store, principal: Principal, clock: Clock, metrics: Metrics) -> None:
        self._store, self._principal, self._clock, self._metrics = store, principal, clock, metrics
        self._deriving = threading.Lock()
        self._next: tuple[Sequence[Binding], int] | None = None
        self._progress: dict[str, Progress] = {}
        self._configured = 0
        self._density: Density | None = None
        self._stopping = False
        self._settled = 0  # the commit up to which nothing was left to derive
        self._evolution = UNCHANGED

    def configure(self, bindings: Sequence[Binding], at: int, evolution: Evolution = UNCHANGED) -> None:
        """What is applied as of commit `at`. Does not wait: it is taken up before the next piece is derived."""
        self._evolution = evolution
        self._next = (bindings, at)

    def stop(self) -> None:
        """Leave what is being derived; it is derived at the next start."""
        self._stopping = True

    def catch_up(self) -> None:
        """Derive until nothing is left that does not wait for its next try. Raises StoreError."""
        with self._deriving:
            while not self._stopping:
                self._take_up()
                horizon = self._horizon()
                try:
                    if not self._step():
                        self._settled = horizon
                        return
                except Interrupted:
                    continue

    def reached(self, commit: int) -> bool:
        """Whether what follows from a commit is derived, and what is derived from that, except where it fails."""
        return self._next is None and self._settled >= commit

    @property
    def idle(self) -> bool:
        """Whether there is nothing to derive at all."""
        return self._next is None and not self._progress

    def pause(self) -> int | None:
        """Microseconds until the next try of something that failed; None where nothing did."""
        waiting = [one.not_before for one in list(self._progress.values()) if one.error]
        return max(0, min(waiting) - self._clock.monotonic()) if waiting else None

    def lags(self) -> list[Lag]:
        """Of every definition, by name."""
        last, now = self._store.last_commit(self._principal), self._clock.now()
        found = []
        for name, one in sorted(self._progress.items()):
            if one.binding is None:
                continue
            place = one.position if one.current else 0
            following = self._store.commits(self._principal, first=place + 1, last=place + 1)
            seconds = max(0.0, (now - following[0].at) / SECOND) if following else 0.0
            found.append(Lag(name, place, last - place, seconds, one.error))
        return found

    # --- what is derived -----------------------------------------------------------------------------------------------

    def _take_up(self) -> None:
        if self._next is None:
            return
        (bindings, self._configured), self._next = self._next, None
        known = {record.id: record.body["fingerprint"] for record in self._store.records(self._principal, KIND)}
        wanted: dict[str, Binding | None] = {name: None for name, fingerprint in known.items() if fingerprint}
        wanted |= {one.definition.name: one for one in bindings}
        progress = {}
        for name, binding in wanted.items():
            stored = self._store.position(self._principal, POSITIONS, name)
            before = self._progress.get(name)
            current = binding is not None and known.get(name) == binding.fingerprint
            kept = current and before is not None and before.current
            progress[name] = Progress(name, binding, stored, before.position if kept and before else stored, current)
        self._progress = progress

    def _step(self) -> bool:
        """One round; whether there is another."""
        self._take_up()
        horizon, ahead = self._horizon(), _Round()
        touched: dict[tuple[int, int], pl.DataFrame] = {}
        for one in self._waiting(horizon):
            self._contained([one], partial(self._derive, one, horizon, touched, ahead))
        self._contained([one for one, _ in ahead.moved], partial(self._finish, ahead))
        return self._next is not None or bool(self._waiting(self._horizon()))

    def _waiting(self, horizon: int) -> list[Progress]:
        now = self._clock.monotonic()
        return [one for one in self._progress.values() if (one.position < horizon or not one.current) and one.not_before <= now]

    def _horizon(self) -> int:
        """The last commit that may be consumed: none before an apply is, that we have not heard of yet."""
        last = self._store.last_commit(self._principal)
        applied = self._store.commits(self._principal, first=self._configured + 1, last=last, kind="apply")
        return applied[0].number - 1 if applied else last

    def _contained(self, concerned: Sequence[Progress], do: Callable[[], None]) -> None:
        """What fails, fails alone: it is tried again after a pause."""
        try:
            do()
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is: the log goes on, and so do the other definitions
            for one in concerned:
                self._failed(one, error)

    def _failed(self, one: Progress, error: Exception) -> None:
        one.failures += 1
        one.error = str(error) or repr(error)
        one.not_before = self._clock.monotonic() + min(_LONGEST_PAUSE, SECOND << min(one.failures, 10))
        self._metrics.derived_failures.labels(derived=one.name).inc()
        _log.error("not derived", derived=one.name, error=one.error, failures=one.failures)
        if isinstance(error, FenceError):  # another process derives it too, and is further
            one.stored = one.position = self._store.position(self._principal, POSITIONS, one.name)

    def _derive(self, one: Progress, horizon: int, known: dict[tuple[int, int], pl.DataFrame], ahead: _Round) -> None:
        """One definition: everything, or what a range of commits touched."""
        if not one.current:
            deriver = self._deriver(horizon)
            self._collect(self._everything(one, deriver), ahead)
            ahead.moved.append((one, horizon))
            return
        last = min(horizon, one.position + RANGE_COMMITS)
        through = range_end(self._store, self._principal, one.position, last, RANGE_READINGS, {KIND: _OWN_WEIGHT})
        key = one.position, through
        if key not in known:
            known[key] = frame(self._store.touched(self._principal, *key))
            if self._density is not None:
                self._density.add(known[key]["time"])
        assert one.binding is not None
        deriver = self._deriver(through)
        spans = deriver.touched(one.binding, known[key])
        self._collect(deriver.changes(one.binding, spans), ahead)
        ahead.moved.append((one, through))

    def _everything(self, one: Progress, deriver: Deriver) -> Iterable[pa.Table]:
        if one.binding is None:
            yield from deriver.withdrawn(one.name, None, (), 0)
            return
        definition = one.binding.definition
        yield from deriver.changes(one.binding, deriver.all_of(one.binding))
        yield from deriver.withdrawn(one.name, definition, one.binding.owners.to_list(), definition.spec.revision)

    def _deriver(self, known_at: int) -> Deriver:
        if self._density is None:
            self._density = Density(self._hours())
        evolution = self._evolution
        remains = Remains(gone_before(self._store, self._principal), partial(gone_of, evolution))
        return Deriver(evolution.over(self._store), self._principal, self._density, known_at, evolution.stored_as, remains)

    def _hours(self) -> Mapping[int, int]:
        total: dict[int, int] = {}
        for contract in {table.contract for table in self._store.reading_tables(self._principal)}:
            for hour, count in self._store.hours(self._principal, contract).items():
                total[hour] = total.get(hour, 0) + count
        return total

    # --- what is written -----------------------------------------------------------------------------------------------

    def _collect(self, tables: Iterable[pa.Table], ahead: _Round) -> None:
        for table in tables:
            if self._stopping or self._next is not None:
                raise Interrupted
            ahead.tables.append(table)
            if ahead.rows > WRITE_ROWS:  # too much for one transaction: these are durable first, and found to be current the next time
                self._write(ahead.tables, ())
                ahead.tables.clear()

    def _finish(self, ahead: _Round) -> None:
        """Outputs and positions in one transaction; a position alone only where the way to read again has become long."""
        changed = bool(ahead.rows)
        due = [(one, through) for one, through in ahead.moved if changed or not one.current or through - one.stored >= RANGE_COMMITS]
        if due:
            self._write(ahead.tables, due)
        for one, through in ahead.moved:
            one.position, one.current, one.error, one.failures, one.not_before = through, True, "", 0, 0
        for one, through in due:
            one.stored = through
            if one.binding is None:
                del self._progress[one.name]

    def _write(self, tables: Sequence[pa.Table], moved: Sequence[tuple[Progress, int]]) -> None:
        rows = pa.concat_tables([VALUE_SCHEMA.empty_table(), *tables])
        sized = [rows.slice(at, WRITE_ROWS) for at in range(0, len(rows), WRITE_ROWS)] or [rows]
        for part in sized:
            with self._store.transaction(self._principal, KIND) as transaction:
                transaction.append_values(part)
                if part is sized[-1]:
                    for one, through in moved:
                        transaction.move_positions(POSITIONS, [(one.name, one.stored, through)])
                        if not one.current:
                            transaction.put_record(KIND, one.name, {"fingerprint": one.binding.fingerprint if one.binding else ""})
                transaction.count(Counts(), detail=_detail(len(part), moved if part is sized[-1] else ()))
        for name, count in frame(rows)["source"].value_counts().iter_rows():
            self._metrics.derived_values.labels(derived=name).inc(count)


# --- what the log tells ------------------------------------------------------------------------------------------------


def _detail(rows: int, moved: Sequence[tuple[Progress, int]]) -> str:
    """What a commit says of itself in the log: positions are kept as they are now, and here as of each commit."""
    return f"{rows} derived; " + (", ".join(f"{one.name} through {through}" for one, through in moved) or _UNFINISHED)


def places_at(store: Store, principal: Principal, names: Collection[str], commit: int) -> dict[str, int] | None:
    """How far each definition had come by a commit; 0 of one that had not begun, or not as it is defined now.

    None where the log does not tell, because a version that did not say so in it has derived since. Reads back as far as the definition
    that was last behind: it says how far it is each thousand commits.
    """
    begun = {record.id for record in store.records(principal, KIND) if record.id in names and record.commit <= commit}
    found = {name: 0 for name in names if name not in begun}
    last = commit
    while last > 0 and begun - found.keys():
        first = max(1, last - _LINES + 1)
        for line in reversed(store.commits(principal, first=first, last=last, kind=KIND)):
            places = _PLACE.findall(line.detail)
            if not places and _UNFINISHED not in line.detail:
                return None
            for name, through in places:
                found.setdefault(name, int(through))
        last = first - 1
    return {name: found[name] for name in names} if begun <= found.keys() else None
