"""The cell cache: of each (source, twin, path) the record greatest in (event time, version), folded in columns.

A fold only ever takes a maximum, so it gives the same cells for any order and split. What can take something *away* (a
retraction) recomputes the cells of its contract from history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.storage.layout import MASK_BITS, ColumnType, ReadingColumn, ReadingTable
from twinwright.storage.protocol import BAD, CELL_SCHEMA, GOOD
from twinwright.twins.cell_kernels import SIGN, fold

NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class CellColumn:
    """Cells of one path, apart from what is folded into: arrays of one length, `texts` too where the type is VARCHAR."""

    path: str
    type: ColumnType
    twins: NDArray[np.int32]
    time: NDArray[np.int64]
    correction: NDArray[np.int64]
    revision: NDArray[np.int32]
    commit: NDArray[np.int64]
    kind: NDArray[np.int8]
    bits: NDArray[np.uint64]
    texts: list[str | None]

    def table(self) -> pa.Table:
        """As CELL_SCHEMA; a bad cell has no value."""
        hidden, count = self.kind == BAD, len(self.twins)
        num, whole, text = pa.nulls(count, pa.float64()), pa.nulls(count, pa.int64()), pa.nulls(count, pa.string())
        if self.type == "DOUBLE":
            num = pa.array(_double(self.bits), mask=hidden)
        elif self.type == "VARCHAR":
            text = pa.array(self.texts, pa.string(), mask=hidden)
        else:
            whole = pa.array((self.bits ^ SIGN).view(np.int64), mask=hidden)
        fixed = [pa.array(one) for one in (self.time, self.correction, self.revision, self.commit, self.kind)]
        path = pa.repeat(pa.scalar(self.path, pa.string()), count)
        return pa.table([pa.array(self.twins), path, *fixed, num, whole, text], schema=CELL_SCHEMA)


def table_of(columns: Sequence[CellColumn]) -> pa.Table:
    """Cells of several paths as CELL_SCHEMA."""
    return pa.concat_tables([column.table() for column in columns]) if columns else CELL_SCHEMA.empty_table()


class SourceCells:
    """The cells of one contract, for all its revisions. `columns` of later revisions are added as they come."""

    _time: NDArray[np.int64]
    _correction: NDArray[np.int64]
    _revision: NDArray[np.int32]
    _commit: NDArray[np.int64]
    _kind: NDArray[np.int8]
    _bits: NDArray[np.uint64]

    def __init__(self) -> None:
        self.paths: dict[str, int] = {}
        self.types: list[ColumnType] = []
        self._slot = np.full(16, -1, np.int32)
        self._twins = np.empty(16, np.int32)
        self._count = 0
        self._texts: list[dict[int, str]] = []
        self._changed = np.zeros(16, np.bool_)  # by slot
        self._grow(16, 0)
        self.watermark = NEVER

    def __len__(self) -> int:
        return self._count

    # --- folding -----------------------------------------------------------------------------------------------------

    def fold(self, table: ReadingTable, rows: pa.Table) -> None:
        """Take in rows of a reading table (all of `table.names`)."""
        if len(rows) == 0:
            return
        present, bad = _masks(table, rows)
        self.fold_columns(
            table.columns,
            table.revision,
            _numpy(rows["commit"], np.int64),
            _numpy(rows["twin"], np.int32),
            _numpy(rows["time"], np.int64),
            _numpy(rows["correction"], np.int64),
            present,
            bad,
            [rows[f"v{j}"].combine_chunks() for j in range(len(table.columns))],
        )

    def fold_columns(
        self,
        columns: Sequence[ReadingColumn],
        revision: int,
        commit: NDArray[np.int64],
        twin: NDArray[np.int32],
        time: NDArray[np.int64],
        correction: NDArray[np.int64],
        present: NDArray[np.int64],
        bad: NDArray[np.int64],
        values: Sequence[pa.Array],
        words: NDArray[np.uint64] | None = None,
    ) -> None:
        """The same for columns that are not in a table yet; all of one length. `words` are their `words_of`, where these are known."""
        index = self._columns(columns)
        slot = self._slots(twin)
        words = words_of(values) if words is None else words
        for j in [j for j in range(len(columns)) if columns[j].type == "VARCHAR"]:
            self._fold_texts(index[j], j, revision, commit, slot, time, correction, present, bad, values[j])
        plain = np.array([index[j] if columns[j].type != "VARCHAR" else -1 for j in range(len(columns))], np.int64)
        doubles = np.array([column.type == "DOUBLE" for column in columns])
        fold(
            self._time,
            self._correction,
            self._revision,
            self._commit,
            self._kind,
            self._bits,
            plain,
            doubles,
            slot,
            time,
            correction,
            np.int32(revision),
            commit,
            present,
            bad,
            words,
        )
        self.watermark = max(self.watermark, int(time.max()))
        self._changed[slot] = True

    def _fold_texts(
        self,
        column: int,
        j: int,
        revision: int,
        commit: Any,
        slot: Any,
        time: Any,
        correction: Any,
        present: Any,
        bad: Any,
        values: pa.Array,
    ) -> None:
        """Text is compared by the interpreter: only the row that may win of each twin is looked at."""
        bit = np.int64(1 << (j % MASK_BITS))
        rows = np.flatnonzero(present[j // MASK_BITS] & bit)
        texts = values.to_pylist()
        kinds = np.where(bad[j // MASK_BITS] & bit, BAD, GOOD)
        best: dict[int, tuple[tuple[int, int, int, int, str], int]] = {}
        for row in rows.tolist():
            rank = (int(time[row]), int(correction[row]), revision, int(kinds[row]), texts[row] or "")
            at = int(slot[row])
            if at not in best or rank > best[at][0]:
                best[at] = (rank, int(commit[row]))
        for at, (rank, number) in best.items():
            held = (
                int(self._time[at, column]),
                int(self._correction[at, column]),
                int(self._revision[at, column]),
                int(self._kind[at, column]),
                self._texts[column].get(at, ""),
            )
            if rank > held:
                self._time[at, column], self._correction[at, column], self._revision[at, column], self._kind[at, column] = rank[:4]
                self._commit[at, column] = number
                self._texts[column][at] = rank[4]

    def _columns(self, columns: Sequence[ReadingColumn]) -> list[int]:
        for column in columns:
            if column.path not in self.paths:
                self.paths[column.path] = len(self.types)
                self.types.append(column.type)
                self._texts.append({})
                if len(self.types) > self._time.shape[1]:
                    self._grow(self._time.shape[0], max(4, 2 * self._time.shape[1], len(columns)))
        return [self.paths[column.path] for column in columns]

    def _slots(self, twin: NDArray[np.int32]) -> NDArray[np.int32]:
        highest = int(twin.max())
        if highest >= len(self._slot):
            grown = np.full(max(highest + 1, 2 * len(self._slot)), -1, np.int32)
            grown[: len(self._slot)] = self._slot
            self._slot = grown
        slot = self._slot[twin]
        if (slot < 0).any():
            fresh = np.unique(twin[slot < 0])
            first, self._count = self._count, self._count + len(fresh)
            self._slot[fresh] = np.arange(first, self._count, dtype=np.int32)
            if self._count > self._time.shape[0]:
                self._grow(max(self._count, 2 * self._time.shape[0]), self._time.shape[1])
                self._twins = np.concatenate([self._twins[:first], np.empty(self._time.shape[0] - first, np.int32)])
                self._changed = np.concatenate([self._changed[:first], np.zeros(self._time.shape[0] - first, np.bool_)])
            self._twins[first : self._count] = fresh
            slot = self._slot[twin]
        return slot

    def _grow(self, twins: int, columns: int) -> None:
        shape = (twins, columns)
        old = getattr(self, "_time", np.empty((0, 0))).shape
        for name, fill, dtype in _ARRAYS:
            grown: NDArray[Any] = np.full(shape, fill, dtype)
            if old[0]:
                grown[: old[0], : old[1]] = getattr(self, name)
            setattr(self, name, grown)

    def become(self, other: SourceCells) -> None:
        """Take the place of `other`, for those who hold on to this one."""
        self.__dict__.update(vars(other))

    # --- reading and keeping -----------------------------------------------------------------------------------------

    def changed(self, after: int, through: int) -> NDArray[np.int32]:
        """The lifetimes, in order, with a cell that is not kept yet and was made by a commit `through` at most; what was made by one
        `after` at most is kept."""
        slots = np.flatnonzero(self._changed)
        made = self._commit[slots]
        return np.sort(self._twins[slots[((made > after) & (made <= through)).any(axis=1)]])

    def settle(self, through: int) -> bool:
        """What was made by a commit `through` at most is kept. Whether that is all."""
        slots = np.flatnonzero(self._changed)
        self._changed[slots] = (self._commit[slots] > through).any(axis=1)
        return not self._changed.any()

    def table(self, twins: Sequence[int] | NDArray[np.int32] | None = None) -> pa.Table:
        """The cells as CELL_SCHEMA, of some lifetimes or all."""
        return table_of(self.copied(twins))

    def copied(self, twins: Sequence[int] | NDArray[np.int32] | None = None) -> list[CellColumn]:
        """The cells of some lifetimes or all as they are now, for `table_of`: later folds don't change them."""
        if twins is None:
            slots: NDArray[np.int64] = np.arange(self._count, dtype=np.int64)
        else:
            known = np.asarray(twins, np.int64)
            slots = self._slot[known[known < len(self._slot)]].astype(np.int64)
            slots = slots[slots >= 0]
        return [self._copied(path, column, slots) for path, column in self.paths.items()]

    def _copied(self, path: str, column: int, slots: NDArray[np.int64]) -> CellColumn:
        slots = slots[self._time[slots, column] != NEVER]
        type_ = self.types[column]
        return CellColumn(
            path=path,
            type=type_,
            twins=self._twins[slots],
            time=self._time[slots, column],
            correction=self._correction[slots, column],
            revision=self._revision[slots, column],
            commit=self._commit[slots, column],
            kind=self._kind[slots, column],
            bits=self._bits[slots, column],
            texts=list(map(self._texts[column].get, slots.tolist())) if type_ == "VARCHAR" else [],
        )

    def of_twin(self, number: int) -> list[dict[str, Any]]:
        """The cells of one lifetime as rows of CELL_SCHEMA, with their `type`: quicker than `table` for few."""
        slot = int(self._slot[number]) if number < len(self._slot) else -1
        if slot < 0:
            return []
        held = self._time[slot]
        return [self._row(number, path, slot, column) for path, column in self.paths.items() if held[column] != NEVER]

    def _row(self, number: int, path: str, slot: int, column: int) -> dict[str, Any]:
        at, type_ = (slot, column), self.types[column]
        good = self._kind[at] != BAD
        bits = self._bits[slot : slot + 1, column]
        return {
            "twin": number, "path": path, "time": int(self._time[at]), "correction": int(self._correction[at]),
            "revision": int(self._revision[at]), "commit": int(self._commit[at]), "kind": int(self._kind[at]), "type": type_,
            "num": float(_double(bits)[0]) if good and type_ == "DOUBLE" else None,
            "int": int((bits ^ SIGN).view(np.int64)[0]) if good and type_ in ("BIGINT", "BOOLEAN") else None,
            "txt": self._texts[column].get(slot) if good and type_ == "VARCHAR" else None,
        }  # fmt: skip

    def load(self, cells: pa.Table, types: dict[str, ColumnType]) -> None:
        """Take in what was materialised: the same fold, one path at a time."""
        for path in cells["path"].unique().to_pylist():
            rows = cells.filter(pa.compute.equal(cells["path"], path))
            type_ = types[path]
            name = {"DOUBLE": "num", "VARCHAR": "txt"}.get(type_, "int")
            kinds = _numpy(rows["kind"], np.int8)
            order = _numpy(rows["revision"], np.int32)
            for revision in np.unique(order):
                chosen = np.flatnonzero(order == revision)
                part = rows.take(pa.array(chosen))
                count = len(part)
                self.fold_columns(
                    [ReadingColumn(path, type_, None)],
                    int(revision),
                    _numpy(part["commit"], np.int64),
                    _numpy(part["twin"], np.int32),
                    _numpy(part["time"], np.int64),
                    _numpy(part["correction"], np.int64),
                    np.ones((1, count), np.int64),
                    (kinds[chosen] == BAD).astype(np.int64)[None, :],
                    [part[name].combine_chunks()],
                )
        self._changed[:] = False


_ARRAYS: tuple[tuple[str, int, type], ...] = (
    ("_time", NEVER, np.int64),
    ("_correction", 0, np.int64),
    ("_revision", 0, np.int32),
    ("_commit", 0, np.int64),
    ("_kind", -1, np.int8),
    ("_bits", 0, np.uint64),
)


def words_of(values: Sequence[pa.Array]) -> NDArray[np.uint64]:
    """The 64 bits of each value, (columns, rows); zero for what is missing, and for texts, which have none."""
    words = np.zeros((len(values), len(values[0]) if values else 0), np.uint64)
    for j, column in enumerate(values):
        if pa.types.is_floating(column.type):
            words[j] = np.asarray(column.fill_null(0.0).to_numpy(zero_copy_only=False), np.float64).view(np.uint64)
        elif pa.types.is_boolean(column.type):
            words[j] = column.fill_null(False).to_numpy(zero_copy_only=False)
        elif pa.types.is_integer(column.type):
            words[j] = np.asarray(column.fill_null(0).to_numpy(zero_copy_only=False), np.int64).view(np.uint64)
    return words


def _double(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    return np.where(bits & SIGN, bits ^ SIGN, ~bits).view(np.float64)


def _numpy(column: pa.ChunkedArray, dtype: Any) -> NDArray[Any]:
    return np.asarray(column.to_numpy(), dtype)


def _masks(table: ReadingTable, rows: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    bad = np.stack([_numpy(rows[f"bad{m}"], np.int64) for m in range(table.masks)])
    present = bad.copy()
    for j in range(len(table.columns)):
        valid = rows[f"v{j}"].combine_chunks().is_valid().to_numpy(zero_copy_only=False)
        present[j // MASK_BITS] |= np.where(valid, np.int64(1 << (j % MASK_BITS)), np.int64(0))
    return present, bad
