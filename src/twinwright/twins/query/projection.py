"""The graph in columns: twins with the current value of each path, and relationships, in a DuckDB in memory.

`twins` has a row per lifetime that is alive, in the order of their numbers, and a column for each (lane, path, stored type) that any of
them has a value in, in the unit of its property. `edges` has a row per relationship, in the order of their sources. What can be
computed anew is not durable: it is made when first asked for, and updated row by row.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from twinwright import units
from twinwright.storage.layout import ColumnType, Lane
from twinwright.twins.query.adjacency import Adjacency
from twinwright.twins.query.catalogue import Catalogue

MEMORY = "4GB"
ColumnKey = tuple[Lane, str, ColumnType]
TWIN_SCHEMA = pa.schema([("n", pa.int32()), ("id", pa.string()), ("m", pa.int32())])
EDGE_SCHEMA = pa.schema([("s", pa.int32()), ("t", pa.int32()), ("name", pa.int32()), ("id", pa.string()), ("props", pa.string())])
_MAPPING = pa.schema(
    [
        ("m", pa.int32()),
        ("path", pa.string()),
        ("type", pa.string()),
        ("unit", pa.string()),
        ("k", pa.int32()),
        ("factor", pa.float64()),
        ("shift", pa.float64()),
    ]
)
VALUE_FIELDS = ("twin", "path", "type", "num", "int", "txt", "unit")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a query can be planned against: columns by key, and relationship names by number."""

    columns: Mapping[ColumnKey, str]
    names: Mapping[str, int]
    twins: int


class Projection:
    """One writer at a time; readers use connections of their own (`reader`), which see the state of when they began."""

    def __init__(self, catalogue: Catalogue, *, memory: str = MEMORY) -> None:
        config: dict[str, Any] = {
            "enable_external_access": "false",
            "allow_community_extensions": "false",
            "memory_limit": memory,
            "temp_directory": "",
        }
        self.catalogue = catalogue
        self._con = duckdb.connect(":memory:", config=config)
        self._con.execute("SET lock_configuration = true")
        self._columns: dict[ColumnKey, str] = {}
        self._names: dict[str, int] = {}
        self._twins = 0
        self._lock = threading.Lock()
        self.load_graph(TWIN_SCHEMA.empty_table(), EDGE_SCHEMA.empty_table(), [])

    def close(self) -> None:
        self._con.close()

    @property
    def shape(self) -> Shape:
        return Shape(dict(self._columns), dict(self._names), self._twins)

    def reader(self) -> duckdb.DuckDBPyConnection:
        """A connection whose transaction has begun: it sees what is there now. Close it."""
        reader = self._con.cursor()
        reader.execute("BEGIN")
        reader.execute("SELECT n FROM twins LIMIT 0").fetchall()
        return reader

    def ids(self, numbers: Sequence[int]) -> dict[int, str]:
        """The ids of twins by number."""
        reader = self.reader()
        try:
            reader.register("given_wanted", pa.table({"n": pa.array(numbers, pa.int32())}))
            return dict(reader.execute("SELECT t.n, t.id FROM twins t JOIN given_wanted w ON w.n = t.n").fetchall())
        finally:
            reader.close()

    # --- the graph ---------------------------------------------------------------------------------------------------

    def load_graph(self, twins: pa.Table, edges: pa.Table, names: Sequence[str]) -> None:
        """Take twins (TWIN_SCHEMA) and edges (EDGE_SCHEMA, `name` an index into `names`) in the place of what there is; without values.
        Edges whose ends are not both there are left out."""
        twins = twins.take(pa.array(np.argsort(twins["n"].to_numpy(), kind="stable")))
        edges, adjacency = _sorted_edges(edges, twins["n"].to_numpy())
        models = {"m": pa.array(range(len(self.catalogue.models)), pa.int32()), "id": pa.array(self.catalogue.models, pa.string())}
        called = {"name": pa.array(range(len(names)), pa.int32()), "id": pa.array(names, pa.string())}
        given = {"twins": twins, "edges": edges, "models": pa.table(models), "edge_names": pa.table(called)}
        with self._lock, _registered(self._con, **given):
            self._con.execute("BEGIN")
            for name in given:
                self._con.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM given_{name}")
            self._con.execute("CREATE OR REPLACE TABLE ids (id VARCHAR PRIMARY KEY, n INTEGER)")
            self._con.execute("INSERT INTO ids SELECT id, n FROM given_twins")
            self._con.execute("COMMIT")
            self._columns, self._names = {}, {name: index for index, name in enumerate(names)}
            self._twins, self.adjacency = len(twins), adjacency

    # --- values ------------------------------------------------------------------------------------------------------

    def put(self, lane: Lane, values: pa.Table, twins: Sequence[int] | None) -> None:
        """The values of a lane (VALUE_FIELDS) of some twins, or all, in the place of those they had."""
        with self._lock, _registered(self._con, values=values.select(VALUE_FIELDS)):
            mapping = self._mapping(lane)
            mine = {key: name for key, name in self._columns.items() if key[0] == lane}
            if not mine:
                return
            with _registered(self._con, mapping=mapping):
                self._con.execute("BEGIN")
                self._con.execute(f"CREATE OR REPLACE TEMP TABLE fresh AS {_pivot(mine)}")
                if twins is None:
                    self._replace(mine)
                else:
                    self._update(mine, twins)
                self._con.execute("DROP TABLE fresh")
                self._con.execute("COMMIT")

    def _mapping(self, lane: Lane) -> pa.Table:
        """Which column each (interface, path, type, unit) goes to, and how it is converted; adds the columns that are missing."""
        sql = "SELECT DISTINCT m, path, type, unit FROM given_values v JOIN twins t ON t.n = v.twin"
        rows = []
        for model, path, type_, unit in sorted(self._con.execute(sql).fetchall(), key=str):
            info = self.catalogue.ontology.paths(self.catalogue.models[model]).get(path)
            if info is None:
                continue
            numeric = type_ in ("DOUBLE", "BIGINT")
            affine = units.converter(unit, info.unit) if numeric else units.converter(None, None)
            stored: ColumnType = type_ if affine.is_identity else "DOUBLE"
            name = self._columns.get((lane, path, stored))
            if name is None:
                name = f"c{len(self._columns)}"
                self._con.execute(f"ALTER TABLE twins ADD COLUMN {name} {stored}")
                self._columns[lane, path, stored] = name
            rows.append((model, path, type_, unit, int(name[1:]), affine.factor, affine.offset))
        return pa.Table.from_pylist([dict(zip(_MAPPING.names, row, strict=True)) for row in rows], schema=_MAPPING)

    def _replace(self, mine: Mapping[ColumnKey, str]) -> None:
        others = "".join(f", t.{name}" for name in self._columns.values() if name not in mine.values())
        fresh = "".join(f", f.{name}" for name in mine.values())
        self._con.execute(
            f"CREATE OR REPLACE TABLE twins AS SELECT t.n, t.id, t.m{others}{fresh}"
            " FROM twins t LEFT JOIN fresh f ON f.n = t.n ORDER BY t.n"
        )

    def _update(self, mine: Mapping[ColumnKey, str], twins: Sequence[int]) -> None:
        changes = ", ".join(f"{name} = f.{name}" for name in mine.values())
        fresh = ", ".join(f"x.{name}" for name in mine.values())
        with _registered(self._con, touched=pa.table({"n": pa.array(twins, pa.int32())})):
            self._con.execute(
                f"UPDATE twins SET {changes} FROM (SELECT g.n, {fresh} FROM given_touched g LEFT JOIN fresh x ON x.n = g.n) f"
                " WHERE twins.n = f.n"
            )


def _pivot(mine: Mapping[ColumnKey, str]) -> str:
    """A row per twin with a column per path."""
    number = "(coalesce(v.num, v.int::DOUBLE) * p.factor + p.shift)"
    values: dict[ColumnType, str] = {"DOUBLE": number, "BIGINT": "v.int", "BOOLEAN": "(v.int <> 0)", "VARCHAR": "v.txt"}
    columns = ", ".join(f"max({values[key[2]]}) FILTER (p.k = {int(name[1:])}) AS {name}" for key, name in mine.items())
    return (
        f"SELECT v.twin AS n, {columns} FROM given_values v JOIN twins t ON t.n = v.twin"
        " JOIN given_mapping p ON p.m = t.m AND p.path = v.path AND p.type = v.type AND p.unit IS NOT DISTINCT FROM v.unit GROUP BY v.twin"
    )


def _sorted_edges(edges: pa.Table, twins: Any) -> tuple[pa.Table, Adjacency]:
    """In the order of their sources, with their numbers `e` from 1 on."""
    s, t = edges["s"].to_numpy(), edges["t"].to_numpy()
    there = np.isin(s, twins) & np.isin(t, twins)
    order = np.flatnonzero(there)
    order = order[np.argsort(s[order], kind="stable")]
    edges = edges.take(pa.array(order))
    adjacency = Adjacency(*(np.asarray(edges[name].to_numpy(), np.int32) for name in ("s", "t", "name")))
    return edges.add_column(0, "e", pa.array(np.arange(1, len(edges) + 1, dtype=np.int64))), adjacency


@contextlib.contextmanager
def _registered(connection: duckdb.DuckDBPyConnection, **tables: pa.Table) -> Iterator[None]:
    """Tables that SQL can name as `given_NAME` meanwhile."""
    for name, table in tables.items():
        connection.register(f"given_{name}", table)
    try:
        yield
    except BaseException:
        with contextlib.suppress(duckdb.Error):  # none was begun
            connection.execute("ROLLBACK")
        raise
    finally:
        for name in tables:
            connection.unregister(f"given_{name}")
