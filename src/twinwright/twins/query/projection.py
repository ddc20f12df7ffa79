"""The graph in columns: twins with the current value of each path, and relationships, in a DuckDB in memory.

`twins` has a row per lifetime that is alive, in the order of their numbers, and a column for each (lane, path, stored type) that any of
them has a value in, in the unit of its property. `edges` has a row per relationship, in the order of their sources. What can be
computed anew is not durable: it is made when first asked for, and updated row by row. Where a row lies is by chance, then: a page of an
answer ends at the lifetime of a twin and the key `k` of a relationship, which are the same whenever it is made.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright import units
from twinwright.storage.layout import ColumnType, Lane
from twinwright.twins.query.adjacency import Adjacency, Ints, changed
from twinwright.twins.query.catalogue import Catalogue

MEMORY = "4GB"
ColumnKey = tuple[Lane, str, ColumnType]
TWIN_SCHEMA = pa.schema([("n", pa.int32()), ("id", pa.string()), ("m", pa.int32())])
EDGE_SCHEMA = pa.schema(
    [
        ("s", pa.int32()),
        ("t", pa.int32()),
        ("name", pa.int32()),
        ("id", pa.string()),
        ("props", pa.string()),
        ("changed_at", pa.int64()),
        ("commit", pa.int64()),
    ]
)
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
# What tells a relationship from all others, in 63 bits of what it begins at and its id: as narrow as a number of a row, and by it rows are
# told apart where the twins at both ends are the same. One process says it like any other that has this version of the engine.
_KEY = "(hash(s, id) >> 1)::BIGINT"
_BY_NUMBER = "CREATE INDEX by_number ON twins (n)"  # few twins are found without looking at all, as those that a walk ends at
_LISTED = 500  # keys that are written into a statement
VALUE_FIELDS = ("twin", "path", "type", "num", "int", "txt", "unit")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a query can be planned against: columns by key, relationship names by number; and how to walk, as the twins are then."""

    columns: Mapping[ColumnKey, str]
    names: Mapping[str, int]
    twins: int
    adjacency: Adjacency


@dataclass(frozen=True, slots=True)
class TwinChange:
    """A lifetime that came, or is of another interface (`model`: its number); None: it went."""

    number: int
    id: str
    model: int | None


@dataclass(frozen=True, slots=True)
class EdgeChange:
    """A relationship that came, or is another, by the ids of its ends and with its properties as JSON; `target` None: it went.
    `changed_at` and `commit` are those of its version."""

    source: str
    id: str
    name: str
    target: str | None
    properties: str
    changed_at: int | None
    commit: int


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
        return Shape(dict(self._columns), dict(self._names), self._twins, self.adjacency)

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

    def interfaces_of(self, ids: Sequence[str]) -> dict[str, str]:
        """What twins are of."""
        if not ids:
            return {}
        reader = self.reader()
        try:
            reader.register("given_wanted", pa.table({"id": pa.array(ids, pa.string())}))
            found = reader.execute("SELECT t.id, t.m FROM given_wanted w JOIN twins t ON t.id = w.id").fetchall()
        finally:
            reader.close()
        return {id: self.catalogue.models[model] for id, model in found}

    # --- the graph ---------------------------------------------------------------------------------------------------

    def load_graph(self, twins: pa.Table, edges: pa.Table, names: Sequence[str]) -> None:
        """Take twins (TWIN_SCHEMA) and edges (EDGE_SCHEMA, `name` an index into `names`) in the place of what there is; without values.
        Edges whose ends are not both there are left out."""
        twins = twins.take(pa.array(np.argsort(twins["n"].to_numpy(), kind="stable")))
        edges = _sorted_edges(edges, twins["n"].to_numpy())
        models = {"m": pa.array(range(len(self.catalogue.models)), pa.int32()), "id": pa.array(self.catalogue.models, pa.string())}
        called = {"name": pa.array(range(len(names)), pa.int32()), "id": pa.array(names, pa.string())}
        with self._lock:
            edges = self._keyed(edges)
            self._take({"twins": twins, "edges": edges, "models": pa.table(models), "edge_names": pa.table(called)})
            self._columns, self._names = {}, {name: index for index, name in enumerate(names)}
            self._twins, self.adjacency, self._next = len(twins), Adjacency(*_walked(edges)), len(edges)

    def _keyed(self, edges: pa.Table) -> pa.Table:
        """With what tells each of them from all others."""
        with _registered(self._con, unkeyed=edges):
            return edges.append_column("k", self._con.sql(f"SELECT {_KEY} AS k FROM given_unkeyed").to_arrow_table()["k"])

    def _take(self, given: Mapping[str, pa.Table]) -> None:
        """Tables in the place of those of their names."""
        with _registered(self._con, **given):
            self._con.execute("BEGIN")
            for name in given:
                self._con.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM given_{name}")
            self._con.execute(_BY_NUMBER)
            self._con.execute("CREATE OR REPLACE TABLE ids (id VARCHAR PRIMARY KEY, n INTEGER)")
            self._con.execute("INSERT INTO ids SELECT id, n FROM given_twins")
            self._con.execute("COMMIT")

    def change(self, twins: Sequence[TwinChange], edges: Sequence[EdgeChange]) -> bool:
        """Let twins and relationships come, change and go; False, with nothing changed, where the graph is better read anew: so much is
        different, or a relationship has no twin at an end."""
        with self._lock:
            known = self._there([one.number for one in twins])
            rows = [{"n": one.number, "id": one.id, "m": one.model} for one in twins if one.model is not None]
            come = pa.Table.from_pylist([row for row in rows if row["n"] not in known], TWIN_SCHEMA)
            other = pa.Table.from_pylist([row for row in rows if row["n"] in known], TWIN_SCHEMA)
            went = pa.table({"n": pa.array([one.number for one in twins if one.model is None], pa.int32())})
            with _registered(self._con, come=come, other=other, went=went):
                return self._changed(edges, come, other, went)

    def _changed(self, edges: Sequence[EdgeChange], come: pa.Table, other: pa.Table, went: pa.Table) -> bool:
        """In one transaction: twins that `come`, those that are of an `other` interface, those that `went`."""
        held = self._numbers_of({one.source for one in edges})  # as they were: a twin may have gone, or be another now
        self._con.execute("BEGIN")
        if other.num_rows:
            self._con.execute("UPDATE twins SET m = g.m FROM given_other g WHERE twins.n = g.n")
        if went.num_rows:
            self._con.execute("DELETE FROM twins WHERE n IN (SELECT n FROM given_went)")
        if come.num_rows:
            self._con.execute("INSERT INTO twins (n, id, m) SELECT * FROM given_come")
            # a twin that went keeps its id there, and its number leads nowhere: indexes are bad at taking a key out and in again
            self._con.execute("UPDATE ids SET n = g.n FROM given_come g WHERE ids.id = g.id")
            self._con.execute("INSERT INTO ids SELECT g.id, g.n FROM given_come g WHERE g.id NOT IN (SELECT id FROM ids)")
        adjacency = self._change_edges(edges, held)
        if adjacency is None or len(adjacency.edges(np.asarray(went["n"].to_numpy(), np.int32), "any", None)[0]):
            self._con.execute("ROLLBACK")
            return False
        self._con.execute("COMMIT")
        self.adjacency = adjacency
        self._twins = self._con.execute("SELECT count(*) FROM twins").fetchall()[0][0]
        return True

    def _change_edges(self, changes: Sequence[EdgeChange], held: Mapping[str, int]) -> Adjacency | None:
        """Those of the same source (`held`: its number before) and id go, those that have a target come."""
        numbers = self._numbers_of({end for one in changes for end in (one.source, one.target) if end is not None})
        if any(one.target is not None and not {one.source, one.target} <= numbers.keys() for one in changes):
            return None
        keys = [{"s": held[one.source], "id": one.id} for one in changes if one.source in held]
        listed = f" WHERE x.s IN ({', '.join(str(key['s']) for key in keys)})" if 0 < len(keys) <= _LISTED else ""
        with _registered(self._con, keys=pa.Table.from_pylist(keys, pa.schema([("s", pa.int32()), ("id", pa.string())]))):
            sql = f"SELECT e FROM edges x JOIN given_keys k ON x.s = k.s AND x.id = k.id{listed}"
            found = self._con.execute(sql).fetchall() if keys else []
        gone = np.array([row[0] for row in found], np.int64) - 1
        for name in sorted({one.name for one in changes} - self._names.keys()):
            self._names[name] = len(self._names)
            self._con.execute("INSERT INTO edge_names VALUES (?, ?)", [self._names[name], name])
        rows = [
            {"s": numbers[one.source], "t": numbers[one.target], "name": self._names[one.name], "id": one.id, "props": one.properties}
            | {"changed_at": one.changed_at, "commit": one.commit}
            for one in changes
            if one.target is not None
        ]
        table = self._keyed(pa.Table.from_pylist(rows, EDGE_SCHEMA))
        fresh = np.arange(self._next, self._next + len(rows), dtype=np.int64)
        self._next += len(rows)
        taken = table.add_column(0, "e", pa.array(fresh + 1))
        with _registered(self._con, taken=taken, gone=pa.table({"e": pa.array(gone + 1)})):
            if len(gone):
                self._con.execute("DELETE FROM edges WHERE e IN (SELECT e FROM given_gone)")
            if rows:
                self._con.execute("INSERT INTO edges SELECT * FROM given_taken")
        return changed(self.adjacency, gone, fresh, *_walked(table))

    def _numbers_of(self, ids: Collection[str]) -> dict[str, int]:
        """Of the twins that are there, by id."""
        if len(ids) <= _LISTED:  # by the index, where a join would look at all of them
            placed = ", ".join("?" * len(ids))
            found = self._con.execute(f"SELECT id, n FROM ids WHERE id IN ({placed})", list(ids)).fetchall() if ids else []
        else:
            with _registered(self._con, wanted=pa.table({"id": pa.array(sorted(ids), pa.string())})):
                found = self._con.execute("SELECT i.id, i.n FROM given_wanted w JOIN ids i ON i.id = w.id").fetchall()
        there = self._there([n for _, n in found])
        return {id: n for id, n in found if n in there}

    def _there(self, numbers: Sequence[int]) -> set[int]:
        """Which of some lifetimes are there."""
        if len(numbers) <= _LISTED:
            listed = ", ".join(map(str, numbers)) or "NULL"
            return {row[0] for row in self._con.execute(f"SELECT n FROM twins WHERE n IN ({listed})").fetchall()}
        with _registered(self._con, asked=pa.table({"n": pa.array(numbers, pa.int32())})):
            return {row[0] for row in self._con.execute("SELECT t.n FROM twins t JOIN given_asked a ON a.n = t.n").fetchall()}

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
        self._con.execute(_BY_NUMBER)

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


def _sorted_edges(edges: pa.Table, twins: Any) -> pa.Table:
    """In the order of their sources, with their numbers `e` from 1 on."""
    s, t = edges["s"].to_numpy(), edges["t"].to_numpy()
    there = np.isin(s, twins) & np.isin(t, twins)
    order = np.flatnonzero(there)
    order = order[np.argsort(s[order], kind="stable")]
    edges = edges.take(pa.array(order))
    return edges.add_column(0, "e", pa.array(np.arange(1, len(edges) + 1, dtype=np.int64)))


def _walked(edges: pa.Table) -> tuple[Ints, Ints, Ints, NDArray[np.int64]]:
    """As `Adjacency` takes them."""
    s, t, name = (np.asarray(edges[column].to_numpy(), np.int32) for column in ("s", "t", "name"))
    return s, t, name, np.asarray(edges["k"].to_numpy(), np.int64)


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
