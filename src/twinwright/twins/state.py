"""State as a function of history, cached: the cells of every source, materialised at a cadence and loaded at a restart.

Where other processes write to the store too, what is cached is right through the commit that was heard of last. `catch_up` hears of more:
before a read, and under the writers' lock before anything is decided by what is remembered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from twinwright.clock import HOUR
from twinwright.errors import StoreError
from twinwright.governance.principals import Principal
from twinwright.observability.logs import get_logger
from twinwright.storage.layout import Commit, ReadingTable, Retraction, Selection
from twinwright.storage.protocol import CELL_SCHEMA, Store
from twinwright.twins.api_cells import ApiCells, Cell
from twinwright.twins.cells import NEVER, SourceCells, table_of

_log = get_logger("twins")
ColumnsOf: TypeAlias = dict[str, tuple[str, dict[tuple[str, int], tuple[str | None, str]]]]
MATERIALISE_EVERY = 2_500_000  # readings folded since the last time; a restart folds twice as many at most
HEAR_READINGS = 500_000  # of other processes are in memory at a time
_TAKES_IN = ("ingest", "retry")  # kinds of commits that add readings of one contract
_TAKES_AWAY = ("replay", "expire")  # what kinds of commits that take readings away begin with
_EVER = 1 << 62  # a commit number that is past all others
SERVED = ("apply", "graph")  # that change which contracts and twins there are


@dataclass(frozen=True, slots=True)
class Remaining:
    """The `cells` of a contract as of a commit at least, without what a replay is about to retract."""

    through: int
    cells: SourceCells


class StateCache:
    """One `SourceCells` per contract. Folding and reading take the same lock; both are short."""

    def __init__(self, store: Store, principal: Principal) -> None:
        self._store = store
        self._principal = principal
        self._cells: dict[str, SourceCells] = {}
        self._changed: set[str] = set()
        self._anew: set[str] = set()  # what is materialised of these is out of date in every twin
        self._since = 0
        self._heard = store.last_commit(principal)
        self._kept: dict[str, int] = {}  # through which commit each contract's cells are materialised
        self._last_time = self._heard  # the newest commit when the cadence was last reached
        self.applied = 0  # the newest commit that was heard of by which another process applied something
        self._tellers: list[tuple[Callable[[ReadingTable, pa.Table], None], Callable[[str], None]]] = []
        self._columns: tuple[int, ColumnsOf] = (-1, {})
        self.lock = threading.RLock()
        self.api = ApiCells(store, principal)

    # --- what other processes did --------------------------------------------------------------------------------------

    def tell(self, added: Callable[[ReadingTable, pa.Table], None], replayed: Callable[[str], None]) -> None:
        """Who else remembers readings: it is told what others added, and of which contract something was taken away."""
        self._tellers.append((added, replayed))

    def catch_up(self, through: int | None = None) -> None:
        """Hear of all that was committed through a commit, or until now. Where nobody else writes, that is known already."""
        if not self._store.many_writers:
            return
        with self.lock:
            through = self._store.last_commit(self._principal) if through is None else through
            while self._heard < through:
                self._heard = self._hear(self._heard, through)

    def _hear(self, after: int, through: int) -> int:
        """A range of the log, which ends before it has too many readings; where it ends."""
        commits: list[Commit] = []
        readings = 0
        for commit in self._store.commits(self._principal, first=after + 1, last=through):
            size = commit.counts.accepted + commit.counts.duplicate if commit.kind in _TAKES_IN else 0
            if commits and readings + size > HEAR_READINGS:
                break
            commits.append(commit)
            readings += size
        if not commits:
            return through
        served = [one.number for one in commits if one.kind in SERVED and not self._store.made_here(one.number)]
        self.applied = max([self.applied, *served])
        last = commits[-1].number
        for contract, _ in self._concerned(commits, "replay"):
            self._taken_away(contract)
        for contract, tables in self._concerned(commits, *_TAKES_IN):
            self._added(contract, tables, after, last)
        return last

    def _concerned(self, commits: Iterable[Commit], *kinds: str) -> Iterator[tuple[str, list[ReadingTable]]]:
        """Contracts whose cells are held and which some of the commits are of, with their tables."""
        sources = {commit.source for commit in commits if commit.kind in kinds}
        if not sources or not self._cells:
            return
        tables = self._store.reading_tables(self._principal)
        for contract in dict.fromkeys(table.contract for table in tables if table.source in sources):
            if contract in self._cells:
                yield contract, [table for table in tables if table.contract == contract]

    def _taken_away(self, contract: str) -> None:
        for _, replayed in self._tellers:
            replayed(contract)
        self._cells[contract].become(self._from_history(contract))
        self._changed.add(contract)
        self._anew.add(contract)

    def _added(self, contract: str, tables: Sequence[ReadingTable], after: int, through: int) -> None:
        for table in tables:
            rows = self._store.readings(self._principal, table, after=after, through=through)
            if len(rows):
                self._cells[contract].fold(table, rows)
                self._changed.add(contract)
                for added, _ in self._tellers:
                    added(table, rows)

    def _made(self, commit: int) -> None:
        """A commit of our own, of which nothing is to be heard: what came before it was heard of under the writers' lock."""
        if self._heard == commit - 1:
            self._heard = commit

    # --- our own -------------------------------------------------------------------------------------------------------

    def of(self, contract: str) -> SourceCells:
        """The cells of a contract, loaded when first asked for: what was materialised, then the tail of the log."""
        with self.lock:
            if contract not in self._cells:
                self._cells[contract] = self._load(contract)
            return self._cells[contract]

    def folded(self, contract: str, readings: int, commit: int) -> None:
        """Note that a contract's cells are ahead of what is materialised, by our own commit; past the cadence, materialise.

        A cell that has changed since the last time is found in the tail that a restart folds, and is left for the next: where each of
        many twins reports again before that, nothing has to be written.
        """
        self._made(commit)
        self._changed.add(contract)
        self._since += readings
        if self._since >= MATERIALISE_EVERY:
            try:
                self.materialise(self._last_time)
            except StoreError as error:  # what was folded is durable all the same: try again a cadence later
                self._since = 0
                _log.warning("state was not materialised", contract=contract, error=str(error))
            self._last_time = commit

    def materialise(self, through: int | None = None) -> None:
        """Write the cells that changed through a commit (default: all) to the store, so that a restart folds only what came after."""
        with self.lock:
            for contract in sorted(self._changed):
                cells, kept = self._cells[contract], self._kept.get(contract, 0)
                if through is not None and through <= kept and contract not in self._anew:
                    continue
                with self._store.transaction(self._principal, "materialise") as transaction:
                    self.catch_up(transaction.commit - 1)
                    anew = contract in self._anew
                    last = transaction.commit if through is None or anew else through
                    rows = cells.table(None if anew else cells.changed(kept, last))
                    transaction.save_cells(contract, last, rows, replace=anew)
                self._made(transaction.commit)
                self._kept[contract] = last
                self._anew.discard(contract)
                if cells.settle(last):
                    self._changed.discard(contract)
            self._since = 0

    def remaining(self, contract: str, first: int, last: int, below: int) -> Remaining:
        """What state is without what arrived at commits `first` to `last` under a revision below `below`: the long part of a replay's
        recomputing, for which nobody waits. What the replay says instead is to be folded into it."""
        through = self._store.last_commit(self._principal)
        return Remaining(through, self._from_history(contract, without=Retraction(_EVER, contract, first, last, below)))

    def newest_before(self, contract: str, commit: int, most: int) -> int:
        """The newest event time of a contract's readings that arrived before a commit, none of which is past `most`: its watermark then.

        Backwards from there, in twice as many hours each time, so that neither what arrived since nor all history is read.
        """
        if commit <= 1:
            return NEVER
        tables = self._tables_of(contract)
        hours = sorted((hour for hour in self._store.hours(self._principal, contract) if hour * HOUR <= most), reverse=True)
        without = Retraction(_EVER, contract, commit, _EVER, _EVER)
        first, size = 0, 1
        while first < len(hours):
            part = hours[first : first + size]
            selection = Selection(source=tables[0].source, start=part[-1] * HOUR, end=(part[0] + 1) * HOUR)
            found = self._store.latest(self._principal, selection, without=without)
            if len(found):
                return int(pc.max(found["time"]).as_py())
            first, size = first + size, 2 * size
        return NEVER

    def recompute(self, contract: str, commit: int | None = None, remaining: Remaining | None = None) -> None:
        """Something was taken away, by a commit of our own: make the cells of a contract anew from history, and materialise them.

        With what remained, that needs only what was taken in since; unless something else was taken away meanwhile.
        """
        with self.lock:
            self._made(commit or 0)
            cells = self._settled(contract, remaining, commit) if remaining and commit else None
            cells = self._from_history(contract) if cells is None else cells
            if contract in self._cells:
                self._cells[contract].become(cells)  # whoever folds into them goes on doing so
            else:
                self._cells[contract] = cells
            self._changed.add(contract)
            self._anew.add(contract)  # until they are saved, no part of them may be
            try:
                self.materialise()
            except StoreError as error:  # what took something away is durable: the next materialisation saves all of them
                _log.warning("state was not materialised", contract=contract, error=str(error))

    def reconcile(self, contract: str) -> tuple[int, int]:
        """(cells checked, cells that were not what history says). Those are repaired."""
        with self.lock:
            order = [("twin", "ascending"), ("path", "ascending")]
            cells = self.of(contract)
            self.catch_up()
            held = cells.table().sort_by(order).to_pylist()
            known_at = self._heard if self._store.many_writers else None  # others may have committed since
            true = self._from_history(contract, known_at).table().sort_by(order).to_pylist()
            facts = [{(row["twin"], row["path"]): _fact(row) for row in rows} for rows in (held, true)]
            keys = facts[0].keys() | facts[1].keys()
            wrong = sum(facts[0].get(key) != facts[1].get(key) for key in keys)
            if wrong:
                _log.warning("state differs from history: repairing", contract=contract, cells=wrong)
                self.recompute(contract)
            return len(keys), wrong

    def tables(self, twins: Sequence[int] | None = None) -> list[tuple[str, pa.Table]]:
        """(contract, CELL_SCHEMA) of every contract that has readings."""
        with self.lock:
            self.catch_up()
            contracts = {table.contract for table in self._store.reading_tables(self._principal)}
            copied = [(contract, self.of(contract).copied(twins)) for contract in sorted(contracts)]
        return [(contract, table_of(columns)) for contract, columns in copied]  # the longer part: nobody waits for it

    def of_twin(self, number: int) -> list[Cell]:
        """The cell of each source and path of one lifetime, `api` among them, as rows of RECORD_SCHEMA."""
        with self.lock:
            found: list[Cell] = list(self.api.of_twin(number).values())
            for contract, (source, columns) in self.columns().items():
                rows = self.of(contract).of_twin(number)
                found += [{**row, "source": source, "unit": columns[row["path"], row["revision"]][0]} for row in rows]
            return found

    def columns(self) -> ColumnsOf:
        """Of each contract that has readings: its source, and unit and type of each (path, revision)."""
        tables = self._store.reading_tables(self._principal)
        known, found = self._columns
        if known != len(tables):  # there is never one less, and none changes
            found = {}
            for table in tables:
                of_contract = found.setdefault(table.contract, (table.source, {}))[1]
                of_contract.update({(column.path, table.revision): (column.unit, column.type) for column in table.columns})
            self._columns = len(tables), found
        return found

    def _tables_of(self, contract: str) -> list[ReadingTable]:
        return [table for table in self._store.reading_tables(self._principal) if table.contract == contract]

    def _load(self, contract: str) -> SourceCells:
        through, saved = self._store.cells(self._principal, contract)
        self._kept[contract] = through
        if any(r.commit > through and r.contract == contract for r in self._store.retractions(self._principal)):
            self._changed.add(contract)  # stopped between a replay and its materialisation
            self._anew.add(contract)
            return self._from_history(contract)
        cells = SourceCells()
        tables = self._tables_of(contract)
        cells.load(saved, {column.path: column.type for table in tables for column in table.columns})
        for table in tables:
            tail = self._store.readings(self._principal, table, after=through)
            cells.fold(table, tail)
            if len(tail):
                self._changed.add(contract)
                _log.debug("folded the tail", contract=contract, readings=len(tail), after=through)
        return cells

    def watermark(self, contract: str) -> int | None:
        """The newest event time of a contract's readings; None where it has none."""
        with self.lock:
            self.catch_up()
            cells = self.of(contract)
            return cells.watermark if len(cells) else None

    def _settled(self, contract: str, remaining: Remaining, commit: int) -> SourceCells | None:
        """With what was committed between the two; None where that took anything away."""
        since = self._store.commits(self._principal, first=remaining.through + 1, last=commit - 1)
        if any(one.kind.startswith(_TAKES_AWAY) for one in since):
            return None
        for table in self._tables_of(contract) if since else ():
            rows = self._store.readings(self._principal, table, after=remaining.through, through=commit - 1)
            remaining.cells.fold(table, rows)
        return remaining.cells

    def _from_history(self, contract: str, known_at: int | None = None, without: Retraction | None = None) -> SourceCells:
        tables = self._tables_of(contract)
        cells = SourceCells()
        if tables:
            latest = self._store.latest(self._principal, Selection(source=tables[0].source, known_at=known_at), without=without)
            cells.load(latest.select(CELL_SCHEMA.names), {column.path: column.type for table in tables for column in table.columns})
        return cells


def _fact(row: dict[str, object]) -> tuple[object, ...]:
    """A cell less its bookkeeping: equal histories make equal facts."""
    return tuple(row[name] for name in ("time", "correction", "revision", "kind", "num", "int", "txt"))
