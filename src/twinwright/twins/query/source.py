"""The graph and its current values as the projection takes them: read from the store and the cell cache, in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from twinwright.governance.principals import Principal
from twinwright.storage.graph_rows import properties_text
from twinwright.storage.layout import Lane, Lifetime, Selection
from twinwright.storage.protocol import BAD, REMOVED, Store
from twinwright.storage.united import frame
from twinwright.twins.documents import DECLARED_SOURCE
from twinwright.twins.evolution import UNCHANGED, Evolution
from twinwright.twins.last_good import LastGood
from twinwright.twins.query.catalogue import Catalogue
from twinwright.twins.query.projection import EDGE_SCHEMA, TWIN_SCHEMA, VALUE_FIELDS, EdgeChange, Projection, TwinChange
from twinwright.twins.state import StateCache

_FIELDS = (*VALUE_FIELDS, "time", "source", "kind", "commit")


class GraphSource:
    """Reads for a projection. Nothing is kept here."""

    def __init__(self, store: Store, state: StateCache, evolution: Evolution = UNCHANGED) -> None:
        self._store, self._state, self._evolution = store, state, evolution
        self._last_good = LastGood(evolution.over(store))
        self._fields = (*_FIELDS, "correction", "revision") if evolution.active else _FIELDS

    # --- the graph ---------------------------------------------------------------------------------------------------

    def load_graph(self, principal: Principal, projection: Projection, *, as_of: int | None = None, known_at: int | None = None) -> bool:
        """The twins that are there, or were at an event time as known at a commit, and the relationships between them: whether that is all
        relationships there are."""
        catalogue = projection.catalogue
        every = self._store.lifetimes(principal, as_of=as_of, known_at=known_at)
        lives = [life for life in every if is_there(life, as_of) and life.interface in catalogue.numbers]
        twins = pa.table(
            [
                pa.array([life.number for life in lives], pa.int32()),
                pa.array([life.twin for life in lives], pa.string()),
                pa.array([catalogue.numbers[self._evolution.shown(life.interface)] for life in lives], pa.int32()),
            ],
            schema=TWIN_SCHEMA,
        )
        edges = self._store.relationship_rows(principal, as_of=as_of, known_at=known_at)
        table, names = _edges(edges, twins, catalogue)
        projection.load_graph(twins, table, names)
        return len(table) == len(edges)

    def graph_changes(
        self, principal: Principal, after: int, through: int, catalogue: Catalogue
    ) -> tuple[list[TwinChange], list[EdgeChange]]:
        """What the commits after one, through another, made of twins and relationships."""
        lives = {life.number: life for life in self._store.lifetime_versions(principal, after, through)}  # the newest comes last
        edges = {edge.key: edge for edge in self._store.relationship_versions(principal, after, through)}
        twins = [
            TwinChange(life.number, life.twin, catalogue.numbers.get(self._evolution.shown(life.interface)) if life.alive else None)
            for life in lives.values()
        ]
        kept = [
            EdgeChange(edge.source, edge.id, edge.name, None if edge.removed else edge.target, text, edge.changed_at, edge.commit)
            for edge in edges.values()
            for text in [properties_text(edge.properties)]
        ]
        return twins, kept

    # --- values ------------------------------------------------------------------------------------------------------

    def current(self, principal: Principal, twins: Sequence[int] | None = None) -> pa.Table:
        """The observed values that documents show now, of some lifetimes or all: VALUE_FIELDS."""
        found, tables = [], self._state.tables(twins)
        columns = self._columns(principal)  # after the cells: a contract that an apply adds in between has none of them yet
        for contract, cells in tables:
            source, known = columns[contract]
            added = {"source": pa.repeat(pa.scalar(source, pa.string()), len(cells)), **_described(cells, known)}
            table = pa.table({**{name: cells[name] for name in cells.column_names}, **added})
            found.append(table.select(self._fields))
        lifetimes = None if twins is None else tuple(twins)
        declared = self._store.latest(principal, Selection(lifetimes=lifetimes, source=DECLARED_SOURCE))
        found.append(declared.select(self._fields))
        if self._evolution.active:  # of one source a path may have been stored under several names
            return self._shown(
                principal, _newest(self._evolution.table(pa.concat_tables(found, promote_options="permissive"))), "observed", None
            )
        return self._shown(principal, _winners(found), "observed", None)

    def past(
        self,
        principal: Principal,
        lane: Lane,
        *,
        as_of: int | None = None,
        known_at: int | None = None,
        twins: Sequence[int] | None = None,
        as_then: bool = False,
    ) -> pa.Table:
        """The values of a lane that documents show as of a time, as known at a commit, of some lifetimes or all: VALUE_FIELDS. `as_then`:
        under the paths of the versions that lifetimes were of then, not of those they are of now."""
        lifetimes = None if twins is None else tuple(twins)
        selection = Selection(lifetimes=lifetimes, lane=lane, end=None if as_of is None else as_of + 1, known_at=known_at)
        evolution, last_good = self._evolution, self._last_good
        if as_then and evolution.active:
            lives = self._store.lifetimes(principal, as_of=as_of, known_at=known_at)
            evolution = evolution.seen_as({life.number: life.interface for life in lives})
            last_good = LastGood(evolution.over(self._store))
        latest = evolution.over(self._store).latest(principal, selection)
        return self._shown(principal, _winners([latest.select(_FIELDS)]), lane, known_at, last_good)

    def _shown(
        self, principal: Principal, winners: pa.Table, lane: Lane, known_at: int | None, last_good: LastGood | None = None
    ) -> pa.Table:
        """Nothing for what was removed, the last good value for what is bad."""
        bad = winners.filter(pc.equal(winners["kind"], BAD)).to_pylist()
        good = winners.filter(pc.and_(pc.not_equal(winners["kind"], BAD), pc.not_equal(winners["kind"], REMOVED))).select(VALUE_FIELDS)
        if not bad:
            return good
        behind = (last_good or self._last_good).behind(principal, bad, lane, known_at)
        rows = [{name: cell[name] for name in VALUE_FIELDS} for cell in behind.values()]
        return pa.concat_tables([good, pa.Table.from_pylist(rows, schema=good.schema)])

    def _columns(self, principal: Principal) -> dict[str, tuple[str, dict[tuple[str, int], tuple[str | None, str]]]]:
        found: dict[str, tuple[str, dict[tuple[str, int], tuple[str | None, str]]]] = {}
        for table in self._store.reading_tables(principal):
            of_contract = found.setdefault(table.contract, (table.source, {}))[1]
            of_contract.update({(column.path, table.revision): (column.unit, column.type) for column in table.columns})
        return found

    def touched(self, principal: Principal, after: int, through: int) -> tuple[list[int], set[Lane]]:
        """(the lifetimes of which observed values may have changed, the other lanes in which something did)."""
        rows = self._store.touched(principal, after, through)
        observed = rows.filter(pc.or_kleene(pc.not_equal(rows["table"], 0), pc.equal(rows["lane"], "observed")))
        lanes = {lane for lane in pc.unique(rows["lane"]).to_pylist() if lane is not None} - {"observed"}
        return pc.unique(observed["twin"]).to_pylist(), lanes


def _described(cells: pa.Table, known: Mapping[tuple[str, int], tuple[str | None, str]]) -> dict[str, pa.Array]:
    """Unit and type of each cell, by its path and revision."""
    paths = pc.dictionary_encode(cells["path"].combine_chunks())
    revision = cells["revision"].to_numpy().astype(np.int64)
    codes, inverse = np.unique(paths.indices.to_numpy().astype(np.int64) << 32 | revision, return_inverse=True)
    names = paths.dictionary.to_pylist()
    described = [known[names[code >> 32], code & 0xFFFFFFFF] for code in codes.tolist()]
    taken = pa.array(inverse.astype(np.int32))
    return {name: pa.array([one[which] for one in described], pa.string()).take(taken) for which, name in enumerate(("unit", "type"))}


def is_there(life: Lifetime, as_of: int | None) -> bool:
    """Whether it was alive at an event time; None: now."""
    if as_of is None:
        return life.until is None
    return (life.since is None or life.since <= as_of) and (life.until is None or as_of < life.until)


def _edges(edges: pa.Table, twins: pa.Table, catalogue: Catalogue) -> tuple[pa.Table, list[str]]:
    """Those between twins that are there, in the order of their sources and ids (EDGE_SCHEMA), and what its names stand for."""
    rows, numbers = frame(edges), frame(twins).select("id", "n")
    ends = rows.join(numbers.rename({"id": "source", "n": "s"}), on="source").join(numbers.rename({"id": "target", "n": "t"}), on="target")
    names = sorted({*ends["name"].unique().to_list(), *catalogue.relationship_names})
    index = pl.DataFrame({"name": names, "number": range(len(names))}, schema={"name": pl.String, "number": pl.Int32})
    found = ends.join(index, on="name").sort("s", "id")
    shown = found.select("s", "t", pl.col("number").alias("name"), "id", pl.col("properties").alias("props"), "changed_at", "commit")
    return shown.to_arrow().cast(EDGE_SCHEMA), names


def _winners(tables: Sequence[pa.Table]) -> pa.Table:
    """Of each (twin, path) the row greatest in (time, source)."""
    every = pa.concat_tables([table for table in tables if len(table)] or [tables[0]], promote_options="permissive")
    if sum(bool(len(table)) for table in tables) < 2 and (len(tables) > 1 or len(pc.unique(every["source"])) < 2):
        return every  # one source alone has one cell for each
    return _newest(every)


def _newest(every: pa.Table) -> pa.Table:
    with duckdb.connect(":memory:", config={"enable_external_access": "false"}) as connection:
        connection.register("every", every)
        ranked = "SELECT * FROM every QUALIFY row_number() OVER (PARTITION BY twin, path ORDER BY time DESC, source DESC) = 1"
        return connection.sql(ranked).to_arrow_table()
