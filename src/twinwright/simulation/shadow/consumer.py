"""The consumer of the commit log that makes models follow their twins.

It reads what a range of commits touched, forgets the states that saw other inputs, runs the model from the last one that is left, outside
of any transaction, and writes what it said, its states and how far the log is consumed in one transaction. Each shadow has a place in
the log of its own: one that fails waits, the others go on, and so do the other twins of the same shadow.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from twinwright.clock import SECOND, Clock
from twinwright.errors import FenceError, TwinwrightError
from twinwright.governance.principals import Principal
from twinwright.observability.logs import get_logger
from twinwright.simulation.parameters import in_own_units, stored_parameters
from twinwright.simulation.scenario import Quantity
from twinwright.simulation.shadow import running, switch
from twinwright.simulation.shadow.definition import Shadow
from twinwright.simulation.shadow.follower import Follower
from twinwright.simulation.shadow.outputs import withdrawn
from twinwright.simulation.shadow.planning import plan
from twinwright.simulation.shadow.reading import NOTHING, Readings
from twinwright.storage.layout import Counts
from twinwright.storage.protocol import CHECKPOINT_SCHEMA, VALUE_SCHEMA, Store
from twinwright.storage.united import frame
from twinwright.twins.cells import NEVER
from twinwright.twins.changes import Lag, range_end
from twinwright.twins.expired import gone_before

_log = get_logger("shadow")
KIND = "shadow"  # of the commits that are written, and of the records that say what was followed under which fingerprint
POSITIONS = "shadow/*"  # in the table of positions; no contract can have this name
RANGE_READINGS = 200_000
RANGE_COMMITS = 1_000
_LONGEST_PAUSE = 300 * SECOND
_LOOK = 0.05  # seconds between two looks at whether a switch is known


@dataclass(frozen=True, slots=True)
class Bound:
    """A shadow over the lifetimes there are, which are of these interfaces, or of other versions of them."""

    shadow: Shadow
    twins: tuple[int, ...]
    interfaces: tuple[str, ...] = ()


@dataclass(slots=True)
class Progress:
    """How far one shadow is; `bound` is None for one that is no more. `stored` is the commit that the store knows it has consumed,
    `position` the one that it really has. It is not `current` while it has to begin anew."""

    name: str
    bound: Bound | None
    fingerprint: str
    parameters: dict[str, float]
    stored: int
    position: int
    current: bool
    followers: dict[int, Follower] = field(default_factory=dict)
    gone: set[tuple[int, int]] = field(default_factory=set)  # states that are in the store and are to be forgotten
    error: str = ""
    failures: int = 0
    not_before: int = 0
    unfit: str = ""  # why it can't be followed at all
    stopped: bool = False  # it stays where it is until it is started
    stale: bool = False  # what is remembered may be ahead of the store

    @property
    def failing(self) -> list[Follower]:
        return [one for one in self.followers.values() if one.error]


def parameters_of(store: Store, principal: Principal, shadow: Shadow) -> dict[str, float]:
    """The parameters with which a shadow runs now, in the model's units. Raises NotFoundError, UsageError."""
    values = shadow.model.defaults()
    said = shadow.spec.parameters
    if isinstance(said, str):
        found = stored_parameters(store)(principal, shadow.model.name, said)
        return values if found is None else values | in_own_units(shadow.model, found.values)
    given = {name: Quantity(one) if isinstance(one, float) else Quantity(one.value, one.unit) for name, one in said.items()}
    return values | in_own_units(shadow.model, given)


class ShadowConsumer:
    """`configure` says what follows what; `catch_up` runs until nothing is left. One thread at a time runs, any may configure."""

    def __init__(self, store: Store, principal: Principal, clock: Clock) -> None:
        self._store, self._principal, self._clock = store, principal, clock
        self._running = threading.Lock()
        self._next: tuple[Sequence[Bound], int] | None = None
        self._heeding: list[threading.Event] = []  # who waits until a switch is known here
        self._bounds: Sequence[Bound] = ()
        self._configured = 0
        self._progress: dict[str, Progress] = {}
        self._stopping = False

    def configure(self, bounds: Sequence[Bound], at: int) -> None:
        """What is applied as of commit `at`. Does not wait."""
        self._next = (bounds, at)

    def heed(self, patience: float) -> bool:
        """Know what is stopped and what is started; whether that was before so many seconds were over. A round that is run is ended first:
        then one that is stopped writes no more."""
        known, deadline = threading.Event(), time.monotonic() + patience
        self._heeding.append(known)
        while not known.is_set() and time.monotonic() < deadline:
            if self._running.acquire(timeout=_LOOK):
                try:
                    self._take_up()
                finally:
                    self._running.release()
        return known.is_set()

    def stop(self) -> None:
        """Leave what is being run; it is run at the next start."""
        self._stopping = True

    def catch_up(self) -> None:
        """Run until nothing is left that does not wait for its next try. Raises StoreError."""
        with self._running:
            self._take_up()
            more = True
            while more and not self._stopping:
                rounds = [self._turn(name) for name in list(self._progress)]  # each has its turn
                more = any(rounds)
                if more and self._next is not None:
                    self._take_up()

    def _turn(self, name: str) -> bool:
        """One round of one shadow; whether there may be another. What was switched meanwhile is heeded before."""
        if self._heeding:
            self._take_up()
        one = self._progress.get(name)
        return one is not None and self._contained(one)

    def pause(self) -> int | None:
        """Microseconds until the next try of something that failed; None where nothing did."""
        waiting = [one.not_before for one in list(self._progress.values()) if one.error]
        return max(0, min(waiting) - self._clock.monotonic()) if waiting else None

    def status(self) -> list[Progress]:
        """Of every shadow, by name."""
        return [one for _, one in sorted(self._progress.items()) if one.bound is not None]

    def lags(self) -> list[Lag]:
        """Of every shadow, by name."""
        last, now, found = self._store.last_commit(self._principal), self._clock.now(), []
        for one in self.status():
            if one.stopped:  # it is not behind: it was told not to follow
                continue
            place = one.position if one.current else 0
            following = self._store.commits(self._principal, first=place + 1, last=place + 1)
            found.append(Lag(one.name, place, last - place, max(0.0, (now - following[0].at) / SECOND) if following else 0.0, one.error))
        return found

    # --- what is followed ----------------------------------------------------------------------------------------------

    def _take_up(self) -> None:
        """What is configured, with the parameters that are promoted now."""
        if self._next is not None:
            (self._bounds, self._configured), self._next = self._next, None
        heeding = list(self._heeding)
        stopped = switch.stopped(self._store, self._principal)
        known = {record.id: record.body["fingerprint"] for record in self._store.records(self._principal, KIND)}
        progress: dict[str, Progress] = {}
        for bound in self._bounds:
            name, before = bound.shadow.name, self._progress.get(bound.shadow.name)
            try:
                parameters = parameters_of(self._store, self._principal, bound.shadow)
            except TwinwrightError as error:  # its parameters are not there, or not of this model: the others go on
                held = self._store.position(self._principal, POSITIONS, name)
                progress[name] = Progress(name, bound, "", {}, held, held, current=False, unfit=str(error))
                if before is not None:
                    progress[name].failures, progress[name].not_before, progress[name].error = (
                        before.failures,
                        before.not_before,
                        before.error,
                    )
                continue
            fingerprint = bound.shadow.fingerprint(parameters)
            if before is not None and before.bound == bound and before.fingerprint == fingerprint:
                progress[name] = before
                continue
            stored = self._store.position(self._principal, POSITIONS, name)
            one = Progress(name, bound, fingerprint, parameters, stored, stored, known.get(name) == fingerprint)
            self._load(one, bound)
            progress[name] = one
        for name, fingerprint in known.items():
            if fingerprint and name not in progress:
                stored = self._store.position(self._principal, POSITIONS, name)
                progress[name] = Progress(name, None, "", {}, stored, stored, current=False)
                self._load(progress[name], None)
        for name, one in progress.items():
            one.stopped = name in stopped
            if one.stopped:
                one.error, one.failures, one.not_before = "", 0, 0
        self._progress = progress
        for event in heeding:
            self._heeding.remove(event)
            event.set()

    def _load(self, one: Progress, bound: Bound | None) -> None:
        """The states that whoever followed before has left."""
        kept: dict[int, dict[int, bytes]] = {}
        for row in self._store.checkpoints(self._principal, one.name).to_pylist():
            kept.setdefault(row["twin"], {})[row["time"]] = row["body"]
        for twin in bound.twins if bound is not None else ():
            one.followers[twin] = Follower(twin, cause=one.position if one.current else self._horizon())
            if one.current and bound is not None:
                one.followers[twin].load(bound.shadow, kept.pop(twin, {}))
        one.gone = {(twin, time) for twin, times in kept.items() for time in times}

    def _horizon(self) -> int:
        """The last commit that may be consumed: none before an apply is, that we have not heard of yet."""
        last = self._store.last_commit(self._principal)
        applied = self._store.commits(self._principal, first=self._configured + 1, last=last, kind="apply")
        return applied[0].number - 1 if applied else last

    # --- one round -----------------------------------------------------------------------------------------------------

    def _contained(self, one: Progress) -> bool:
        """One round of one shadow; whether there may be another. What fails, fails alone: it is tried again after a pause."""
        if one.not_before > self._clock.monotonic() or (one.stopped and one.bound is not None):
            return False
        if one.unfit:
            self._failed(one, one.unfit)
            self._next = self._next or (self._bounds, self._configured)  # its parameters may be there by then
            return False
        try:
            if one.stale and one.bound is not None:  # begin with what is durable
                self._load(one, one.bound)
                one.position, one.stale = one.stored, False
            more = self._round(one)
        except Exception as error:  # noqa: BLE001 - whatever it is: the log goes on, and so do the other shadows
            self._failed(one, str(error) or repr(error))
            if isinstance(error, FenceError):  # another process follows too, and is further
                self._progress.pop(one.name, None)
                self._next = self._next or (self._bounds, self._configured)
            one.stale = True
            return False
        failing = one.failing
        if failing:
            self._failed(one, f"{len(failing)} of {len(one.followers)} twins: {failing[0].error}")
            return False
        one.error, one.failures, one.not_before = "", 0, 0
        return more

    def _failed(self, one: Progress, error: str) -> None:
        one.failures += 1
        one.error = error
        one.not_before = self._clock.monotonic() + min(_LONGEST_PAUSE, SECOND << min(one.failures, 10))
        _log.error("a shadow does not follow", shadow=one.name, error=error, failures=one.failures)

    def _round(self, one: Progress) -> bool:
        horizon = self._horizon()
        if one.bound is None:
            self._write(one, withdrawn(Readings(self._store, self._principal, horizon), one.name), horizon)
            del self._progress[one.name]
            return False
        shadow = one.bound.shadow
        through, late = horizon, pl.DataFrame()
        if one.current and one.position < horizon:
            last = min(horizon, one.position + RANGE_COMMITS)
            through = range_end(self._store, self._principal, one.position, last, RANGE_READINGS)
            late = self._hear(one, shadow, through)
        readings = Readings(self._store, self._principal, through)
        waiting = [follower for follower in one.followers.values() if follower.dirty]
        said = running.run(shadow, one.parameters, readings, plan(shadow, waiting, readings), late, one.followers)
        changed = one.position < through or not one.current
        kept = any(follower.added or follower.dropped for follower in one.followers.values())
        if said or kept or one.gone or not one.current or through - one.stored >= RANGE_COMMITS:
            self._write(one, said, through)
            if self._store.last_commit(self._principal) == through + 1:
                through += 1  # its own, and nothing that it follows is in there
        one.position = through
        return changed or any(follower.dirty and not follower.error for follower in one.followers.values())

    def _hear(self, one: Progress, shadow: Shadow, through: int) -> pl.DataFrame:
        """Forget what a range of commits makes invalid. Gives (twin, time, commit) of observed outputs that it touched. What comes late to
        a time whose raw values are gone is not heard: what was told of it would be told again without them."""
        touched = frame(self._store.touched(self._principal, one.position, through))
        mine = touched.filter((pl.col("lane") == "observed") & pl.col("twin").is_in(list(one.followers)))
        if mine.is_empty():
            return mine
        tables = {table.number: {column.path for column in table.columns} for table in self._store.reading_tables(self._principal)}
        gone, interfaces = gone_before(self._store, self._principal), () if one.bound is None else one.bound.interfaces

        def of(path: str) -> pl.DataFrame:
            numbers = [number for number, paths in tables.items() if path in paths]
            before = max((gone.get(f"{interface} {path}", NEVER) for interface in interfaces), default=NEVER)
            return mine.filter(((pl.col("path") == path) | pl.col("table").is_in(numbers)) & (pl.col("time") >= before))

        readings = Readings(self._store, self._principal, through)
        for port in shadow.model.inputs:
            if port.name in shadow.observed:
                path, unit = shadow.observed[port.name]
                heard = list(of(path).group_by("twin").agg(pl.min("time"), pl.max("commit")).iter_rows())
                # a value that is interpolated reaches back to the one before it
                reaching = readings.before({twin: since for twin, since, _ in heard}, {path: unit}) if port.hold != "zero" else {}
                for twin, since, commit in heard:
                    times, _ = reaching.get((twin, path), NOTHING)
                    at = int(times[-1]) + (port.hold == "linear") if times.size else since
                    one.followers[twin].hear(path, since)
                    self._invalidate(shadow, one.followers[twin], at, commit)
        for state in shadow.model.states:
            if state.start is None:
                for twin, since, commit in (
                    of(state.property or state.name).group_by("twin").agg(pl.min("time"), pl.max("commit")).iter_rows()
                ):
                    follower = one.followers[twin]
                    if follower.start is None or since <= follower.start:
                        self._invalidate(shadow, follower, since, commit)
        outputs = {port.name: port.property for port in shadow.model.outputs}
        parts = [of(str(outputs[name])) for name in shadow.spec.residuals]
        return pl.concat(parts).select("twin", "time", "commit").unique() if parts else pl.DataFrame()

    @staticmethod
    def _invalidate(shadow: Shadow, follower: Follower, since: int, commit: int) -> None:
        follower.invalidate(shadow, since)
        follower.cause = max(follower.cause, commit)

    # --- what is written -----------------------------------------------------------------------------------------------

    def _write(self, one: Progress, said: Sequence[pa.Table], through: int) -> None:
        """Outputs, states and the commit that is consumed, in one transaction."""
        followers = one.followers.values()
        kept = [{"twin": each.twin, "time": time, "body": body} for each in followers for time, body in each.added.items()]
        gone = [*one.gone, *((each.twin, time) for each in followers for time in each.dropped)]
        rows = pa.concat_tables([VALUE_SCHEMA.empty_table(), *said])
        with self._store.transaction(self._principal, KIND) as transaction:
            transaction.append_values(rows)
            transaction.drop_checkpoints(one.name, [twin for twin, _ in gone], [time for _, time in gone])
            transaction.put_checkpoints(one.name, pa.Table.from_pylist(kept, schema=CHECKPOINT_SCHEMA))
            transaction.move_positions(POSITIONS, [(one.name, one.stored, through)])
            if not one.current:
                transaction.put_record(KIND, one.name, {"fingerprint": one.fingerprint})
            if one.stopped:  # it is no more: another of its name is to follow
                switch.put(transaction, one.name, stop=False)
            transaction.count(Counts(), detail=f"{len(rows)} of shadow {one.name}")
        one.stored, one.current, one.gone = through, True, set()
        for each in followers:
            each.written()
