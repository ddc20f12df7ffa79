"""Everything that a store holds, at one commit, as tables that no engine owns: what backups, exports and moves between engines are made of.

A table is called and has columns as in the DuckDB engine; what an engine keeps for its own use alone (its format, counts by hour, which
days are sealed, where the journal's bytes lie) is not part of it. Which tables there are is asked of the store and not written down here,
so that a table which is added later is copied too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, get_args

import pyarrow as pa

from twinwright.errors import RefusedError, StoreError
from twinwright.storage.layout import ColumnType, ReadingTable
from twinwright.storage.rows import reading_tables

JOURNAL: Final = "journal"
READING_TABLES: Final = "reading_tables"
BATCH_ROWS: Final = 250_000
JOURNAL_SCHEMA: Final = pa.schema(
    [
        ("commit", pa.int64()),
        ("contract", pa.string()),
        ("source", pa.string()),
        ("revision", pa.int32()),
        ("made_at", pa.int64()),
        *((name, pa.int64()) for name in ("received", "accepted", "duplicate", "dead_lettered", "late", "conflict")),
    ]
)
_REMEDY = "Read it with the version of Twinwright that wrote it"


@dataclass(frozen=True, slots=True)
class Frames:
    """The journal's bytes of one delivery."""

    commit: int
    contract: str
    data: bytes


class Snapshot(Protocol):
    """A store as it was at `commit`, whatever is written meanwhile."""

    @property
    def commit(self) -> int: ...

    @property
    def tables(self) -> Mapping[str, pa.Schema]:
        """The columns of each table; `JOURNAL` may be missing, with its frames."""
        ...

    def rows(self, table: str) -> Iterator[pa.RecordBatch]:
        """All rows of one table. One table at a time: finish it before the next is begun."""
        ...

    def count(self, table: str) -> int:
        """How many rows a table has."""
        ...

    def frames(self) -> Iterator[Frames]:
        """Of every row of `JOURNAL` its bytes, in the same order."""
        ...


def require_empty(last_commit: int, tables: Sequence[ReadingTable], where: str) -> None:
    """Raises RefusedError where a store holds something: a copy is never mixed with it."""
    if last_commit or tables:
        remedy = "Use a workspace whose store is empty; to go back to a backup, move .twinwright (or the schema) away first"
        raise RefusedError(f"the store is not empty: it has {last_commit} commits", where=where, remedy=remedy)


def read_all(snapshot: Snapshot, table: str) -> pa.Table:
    """A small table as a whole."""
    return pa.Table.from_batches(list(snapshot.rows(table)), schema=snapshot.tables[table])


def checked_reading_tables(snapshot: Snapshot) -> list[ReadingTable]:
    """The reading tables that a copy names, fit to be created. Raises StoreError for what no store would have written."""
    if READING_TABLES not in snapshot.tables:
        raise _odd(READING_TABLES, "it is missing")
    rows = read_all(snapshot, READING_TABLES).select(["number", "contract", "source", "revision", "columns"])
    try:
        made = reading_tables(zip(*rows.to_pydict().values(), strict=True))
    except (TypeError, ValueError) as error:
        raise _odd(READING_TABLES, f"its columns can't be read: {error}") from None
    for table in made:
        plain = all(isinstance(one.path, str) and isinstance(one.unit, str | None) for one in table.columns)
        if table.number < 1 or not plain or any(one.type not in get_args(ColumnType) for one in table.columns):
            raise _odd(READING_TABLES, f"table {table.number} is not one")
    if len({table.number for table in made}) < len(made):
        raise _odd(READING_TABLES, "a number is there twice")
    return made


def require_columns(table: str, found: Collection[str], wanted: Collection[str]) -> None:
    """Raises StoreError unless a table of a copy has just the columns that this version keeps."""
    if set(found) != set(wanted):
        missing, unknown = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
        raise _odd(table, f"it lacks {missing} and has {unknown} beside what is known")


def cast(table: str, rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of a schema, in its types. Raises StoreError for values that are of others."""
    try:
        return rows.select(schema.names).cast(schema)
    except pa.ArrowException as error:
        raise _odd(table, str(error).splitlines()[0]) from None


def require_known(found: Iterable[str], known: Collection[str]) -> None:
    """Raises StoreError for a table that this version does not keep: what it holds would be lost."""
    unknown = sorted(set(found) - set(known) - {JOURNAL})
    if unknown:
        raise _odd(unknown[0], "there is no such table")


def paired(journal: pa.Table, frames: Iterator[Frames]) -> Iterator[tuple[dict[str, Any], Frames]]:
    """Each row of the journal with its bytes. Raises StoreError where they are not of one delivery."""
    for row in journal.to_pylist():
        one = next(frames, None)
        if one is None or (one.commit, one.contract) != (row["commit"], row["contract"]):
            raise _odd(JOURNAL, f"its bytes are not those of commit {row['commit']}")
        yield row, one


def _odd(table: str, what: str) -> StoreError:
    return StoreError(f"the copy can't be taken in: {what}", where=table, remedy=_REMEDY)
