"""History of some twins by one scan of each table that can hold it, whatever the number of paths: law 1 has nothing to decide where each
key was told once, which is seen in columns. Where one was told twice, `duckdb_sql.history` decides.

A query for each path, put in order and compared by the engine, cost eight times as much for six paths of one twin's day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from twinwright.storage import duckdb_sql
from twinwright.storage.layout import MASK_BITS, ReadingTable, Retraction, Selection
from twinwright.storage.protocol import BAD, GOOD, RECORD_SCHEMA
from twinwright.storage.query import Query, sightings_matter


@dataclass(frozen=True, slots=True)
class Scan:
    """What is read of one table: `columns` of a reading table or, without one, single values."""

    query: Query
    table: ReadingTable | None = None
    columns: tuple[int, ...] = ()


def scans(selection: Selection, tables: Sequence[ReadingTable], retractions: Sequence[Retraction]) -> list[Scan]:
    """Of all tables that can hold something of a selection of the lane `observed`."""
    found = [Scan(duckdb_sql.single_values(selection))]
    for table in tables:
        columns = tuple(j for j, column in enumerate(table.columns) if selection.paths is None or column.path in selection.paths)
        if columns and selection.source in (None, table.source):
            matter = sightings_matter(table, tables, retractions)
            found += [
                Scan(_wide(table, columns, prefix, selection, retractions), table, columns)
                for prefix in ("readings", "sightings")[: 1 + matter]
            ]
    return found


def _wide(table: ReadingTable, columns: Sequence[int], prefix: str, selection: Selection, retractions: Sequence[Retraction]) -> Query:
    masks = "".join(f", bad{m}" for m in sorted({j // MASK_BITS for j in columns}))
    values = "".join(f", v{j}" for j in columns)
    query = Query(f"SELECT twin, time, correction, commit{masks}{values} FROM {prefix}_{table.number}")
    duckdb_sql.visible(table, retractions, selection.known_at, query)
    duckdb_sql.narrow(selection, query)
    return query


def told_once(selection: Selection, parts: Sequence[tuple[Scan, pa.Table]]) -> pa.Table | None:
    """RECORD_SCHEMA, ordered by (twin, path, time, source), of the rows that the scans gave; None where a key was told twice."""
    pieces = [piece for scan, rows in parts if len(rows) for piece in (_records(scan, rows) if scan.table else [rows.cast(RECORD_SCHEMA)])]
    records = pa.concat_tables(pieces) if pieces else RECORD_SCHEMA.empty_table()
    key = (_ranks(records["source"]), records["time"].to_numpy(), _ranks(records["path"]), records["twin"].to_numpy())
    order = np.lexsort(key)
    if _any_twice([one[order] for one in key]):
        return None
    ordered = records.take(pa.array(order))
    return ordered.filter(pc.equal(ordered["kind"], GOOD)) if selection.good_only else ordered


def _any_twice(key: Sequence[NDArray[np.int64]]) -> bool:
    """Whether two neighbours, in order, have the same key."""
    return bool(np.logical_and.reduce([one[1:] == one[:-1] for one in key]).any())


def _records(scan: Scan, rows: pa.Table) -> list[pa.Table]:
    """Of each path that is read of a table."""
    return [records for j in scan.columns if scan.table and len(records := _of_path(scan.table, j, rows))]


def _of_path(table: ReadingTable, j: int, rows: pa.Table) -> pa.Table:
    column, value = table.columns[j], rows[f"v{j}"]
    bad = (rows[f"bad{j // MASK_BITS}"].to_numpy() >> (j % MASK_BITS) & 1).astype(bool)
    said = bad | value.is_valid().to_numpy()
    if not said.all():
        rows, bad = rows.filter(pa.array(said)), bad[said]
        value = rows[f"v{j}"]
    count = len(rows)
    same = {"path": column.path, "source": table.source, "revision": table.revision, "type": column.type, "unit": column.unit}
    arrays = {name: pa.repeat(pa.scalar(text, RECORD_SCHEMA.field(name).type), count) for name, text in same.items()}
    arrays |= {name: rows[name] for name in ("twin", "time", "correction", "commit")}
    arrays["kind"] = pa.array(np.where(bad, BAD, GOOD).astype(np.int8))
    held = {"DOUBLE": "num", "BIGINT": "int", "BOOLEAN": "int", "VARCHAR": "txt"}[column.type]
    arrays |= {name: pa.nulls(count, RECORD_SCHEMA.field(name).type) for name in ("num", "int", "txt")}
    arrays[held] = value.cast(RECORD_SCHEMA.field(held).type)
    return pa.table([arrays[name] for name in RECORD_SCHEMA.names], schema=RECORD_SCHEMA)


def _ranks(texts: pa.ChunkedArray) -> NDArray[np.int64]:
    """Numbers in the order of the texts."""
    known = pc.unique(texts).sort()
    ranks: NDArray[np.int64] = pc.index_in(texts, value_set=known).to_numpy().astype(np.int64)
    return ranks
