"""State as a function of history, cached: the cells of every source, materialised at a cadence and loaded at a restart."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pyarrow as pa

from twinwright.errors import StoreError
from twinwright.governance.principals import Principal
from twinwright.observability.logs import get_logger
from twinwright.storage.layout import ReadingTable, Selection
from twinwright.storage.protocol import CELL_SCHEMA, Store
from twinwright.twins.cells import SourceCells, table_of

_log = get_logger("twins")
MATERIALISE_EVERY = 5_000_000  # readings folded since the last time


class StateCache:
    """One `SourceCells` per contract. Folding and reading take the same lock; both are short."""

    def __init__(self, store: Store, principal: Principal) -> None:
        self._store = store
        self._principal = principal
        self._cells: dict[str, SourceCells] = {}
        self._changed: set[str] = set()
        self._anew: set[str] = set()  # what is materialised of these is out of date in every twin
        self._since = 0
        self.lock = threading.RLock()

    def of(self, contract: str) -> SourceCells:
        """The cells of a contract, loaded when first asked for: what was materialised, then the tail of the log."""
        with self.lock:
            if contract not in self._cells:
                self._cells[contract] = self._load(contract)
            return self._cells[contract]

    def folded(self, contract: str, readings: int) -> None:
        """Note that a contract's cells are ahead of what is materialised; past the cadence, materialise."""
        self._changed.add(contract)
        self._since += readings
        if self._since >= MATERIALISE_EVERY:
            try:
                self.materialise()
            except StoreError as error:  # what was folded is durable all the same: try again a cadence later
                self._since = 0
                _log.warning("state was not materialised", contract=contract, error=str(error))

    def materialise(self) -> None:
        """Write the changed cells to the store, so that a restart folds only what came after."""
        with self.lock:
            for contract in sorted(self._changed):
                cells = self._cells[contract]
                anew = contract in self._anew
                rows = cells.table(None if anew else sorted(cells.dirty))
                with self._store.transaction(self._principal, "materialise") as transaction:
                    transaction.save_cells(contract, transaction.commit, rows, replace=anew)
                cells.dirty.clear()
                self._anew.discard(contract)
            self._changed.clear()
            self._since = 0

    def recompute(self, contract: str) -> None:
        """Something was taken away: make the cells of a contract anew from history, and materialise them."""
        with self.lock:
            cells = self._from_history(contract)
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
            held = self.of(contract).table().sort_by(order).to_pylist()
            true = self._from_history(contract).table().sort_by(order).to_pylist()
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
            contracts = {table.contract for table in self._store.reading_tables(self._principal)}
            copied = [(contract, self.of(contract).copied(twins)) for contract in sorted(contracts)]
        return [(contract, table_of(columns)) for contract, columns in copied]  # the longer part: nobody waits for it

    def _tables_of(self, contract: str) -> list[ReadingTable]:
        return [table for table in self._store.reading_tables(self._principal) if table.contract == contract]

    def _load(self, contract: str) -> SourceCells:
        through, saved = self._store.cells(self._principal, contract)
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

    def _from_history(self, contract: str) -> SourceCells:
        tables = self._tables_of(contract)
        cells = SourceCells()
        if tables:
            latest = self._store.latest(self._principal, Selection(source=tables[0].source))
            cells.load(latest.select(CELL_SCHEMA.names), {column.path: column.type for table in tables for column in table.columns})
        return cells


def _fact(row: dict[str, object]) -> tuple[object, ...]:
    """A cell less its bookkeeping: equal histories make equal facts."""
    return tuple(row[name] for name in ("time", "correction", "revision", "kind", "num", "int", "txt"))
