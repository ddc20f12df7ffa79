"""The newest value that `api` gave each path of each twin: what is declared and what clients write, in memory.

Most twins are as they were when the store was opened: those lie in columns, sorted by lifetime; the few that changed since lie beside
them. Whoever uses this holds the lock of the state cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.governance.principals import Principal
from twinwright.storage.layout import Commit, Selection
from twinwright.storage.protocol import Store
from twinwright.storage.united import frame
from twinwright.twins.values import API_SOURCE

Cell = Mapping[str, Any]  # a row of RECORD_SCHEMA
WRITES = "graph"  # the kind of commit whose values are put here by who wrote them
# Commits of these kinds change no twin, no relationship and no value of `api`; nor do those of single records.
_TELEMETRY = ("ingest", "replay", "retry", "derived", "shadow", "simulated")
QUIET: Final = frozenset({*_TELEMETRY, "materialise", "expire", "expire-history", "clock", "sink", "webhook", "shadow-switch"})
_MOST_CHUNKS = 64  # of the columns
_MOST_CHANGED = 200_000  # twins beside the columns; then the columns are read anew


def is_quiet(kind: str) -> bool:
    """Whether commits of a kind leave the graph and what clients wrote as they are."""
    return kind in QUIET or kind.startswith("record:")


class ApiCells:
    """Loaded from the store when first asked, and again after a commit that may have written such values unheard."""

    def __init__(self, store: Store, principal: Principal) -> None:
        self._store, self._principal = store, principal
        self._twins: NDArray[np.int32] | None = None
        self._base = pl.DataFrame()  # of RECORD_SCHEMA; a few rows of it become Python in a tenth of the time that an Arrow table takes
        self._changed: dict[int, dict[str, Cell]] = {}
        store.on_commit(self._heard)

    def _heard(self, commit: Commit) -> None:
        if commit.kind != WRITES and not is_quiet(commit.kind):
            self.forget()

    def forget(self) -> None:
        """The store was written by others."""
        self._twins = None

    def of_twin(self, number: int) -> Mapping[str, Cell]:
        """By path. Not to be changed."""
        base = self._loaded()
        changed = self._changed.get(number)
        return self._of_base(base, number) if changed is None else changed

    def put(self, cells: Iterable[Cell]) -> None:
        """Take in what was committed."""
        base = self._loaded()
        for cell in cells:
            number, path = cell["twin"], cell["path"]
            if number not in self._changed:
                self._changed[number] = dict(self._of_base(base, number))
            held = self._changed[number].get(path)
            if held is None or (cell["time"], cell["correction"]) > (held["time"], held["correction"]):
                self._changed[number][path] = cell
        if len(self._changed) > _MOST_CHANGED:
            self._twins = None

    def put_rows(self, rows: pa.Table) -> None:
        """The same of lifetimes whose numbers are greater than all before, sorted by them: RECORD_SCHEMA."""
        if self._twins is not None:  # else they are read with the others
            self._base = self._base.vstack(frame(rows))
            self._twins = np.concatenate([self._twins, rows["twin"].to_numpy()])
            if self._base.n_chunks() > _MOST_CHUNKS:
                self._base = self._base.rechunk()

    def _loaded(self) -> NDArray[np.int32]:
        if self._twins is None:
            rows = self._store.latest(self._principal, Selection(source=API_SOURCE)).sort_by("twin").combine_chunks()
            self._base, self._changed = frame(rows), {}
            self._twins = np.asarray(rows["twin"].to_numpy(), np.int32)
        return self._twins

    def _of_base(self, twins: NDArray[np.int32], number: int) -> dict[str, Cell]:
        wanted = np.int32(number)  # a Python int would have the whole column copied to its type
        first, last = int(twins.searchsorted(wanted)), int(twins.searchsorted(wanted, "right"))
        return {cell["path"]: cell for cell in self._base.slice(first, last - first).to_dicts()} if last > first else {}
