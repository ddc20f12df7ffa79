"""What one commit is to write of the graph, over what is committed. Operations look at it, and add to it once nothing can go wrong.

An operation that comes later in the same commit sees what the earlier ones left; each has event times of its own, so that none hides
another: the time of a write is now, or just after the newest event time of what it changes (law 6).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twinwright.errors import DigitalTwinNotFoundError
from twinwright.schema import Ontology
from twinwright.storage.layout import EdgeKey, Lifetime, Relationship
from twinwright.storage.protocol import RECORD_SCHEMA, VALUE_SCHEMA, Transaction
from twinwright.twins.documents import Cell
from twinwright.twins.evolution import UNCHANGED, Evolution
from twinwright.twins.graph.blocks import TwinBlock
from twinwright.twins.graph.current import Edges
from twinwright.twins.graph.draft_cells import LifeCells
from twinwright.twins.graph.edge_columns import EdgeColumns, Hashes
from twinwright.twins.registry import TwinRegistry
from twinwright.twins.state import StateCache
from twinwright.twins.values import Row, removed_row, value_row


@dataclass(frozen=True, slots=True)
class World:
    """What is committed: interfaces (`decommissioned` take no new twins), twins, edges and values."""

    ontology: Ontology
    decommissioned: frozenset[str]
    registry: TwinRegistry
    edges: Edges
    state: StateCache
    evolution: Evolution = UNCHANGED


@dataclass(slots=True)
class Draft:
    """`now` in microseconds and `commit` are those of the transaction."""

    world: World
    now: int
    commit: int
    lives: list[Lifetime] = field(default_factory=list)
    edges: list[Relationship] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    records: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    _lives: dict[str, Lifetime] = field(default_factory=dict)
    _edges: dict[EdgeKey, Relationship] = field(default_factory=dict)
    _by_source: dict[str, dict[str, Relationship]] = field(default_factory=dict)
    _cells: dict[int, LifeCells] = field(default_factory=dict)
    _added: int = 0
    _blocks: list[tuple[int, TwinBlock]] = field(default_factory=list)  # with the number of its first lifetime
    _edge_rows: list[pa.Table] = field(default_factory=list)
    _edge_columns: EdgeColumns = field(default_factory=EdgeColumns)  # the same

    # --- looking -----------------------------------------------------------------------------------------------------

    def alive(self, twin: str) -> Lifetime | None:
        life = self._lives.get(twin)
        return self.world.registry.alive(twin) if life is None else life if life.alive else None

    def never_was(self, twin: str) -> bool:
        """Whether there is no incarnation of it, not one that has ended either."""
        return twin not in self._lives and twin not in self.world.registry

    def current(self, twin: str) -> Lifetime:
        """The lifetime of a twin that is there. Raises DigitalTwinNotFoundError."""
        life = self._lives.get(twin)
        if life is None:
            return self.world.registry.current(twin)
        if not life.alive:
            raise DigitalTwinNotFoundError(f"there is no twin '{twin}' any more", remedy="It was deleted just now")
        return life

    def interfaces(self) -> dict[str, str]:
        """What living twins are of, each with one of them."""
        living = (self.alive(twin) for twin in chain(self.world.registry.twins, self._lives))
        return {life.interface: life.twin for life in living if life is not None}

    def edge(self, source: str, id: str) -> Relationship | None:
        edge = self._edges.get((source, id))
        if edge is None:
            return self._edge_columns.get((source, id)) or self.world.edges.get(source, id)
        return None if edge.removed else edge

    def outgoing(self, twin: str, name: str | None = None) -> Iterator[Relationship]:
        """Those that begin at a twin, of one name or any."""
        own = self._by_source.get(twin, {})
        for edge in chain(self.world.edges.outgoing(twin, name=name), self._edge_columns.outgoing(twin, name=name)):
            if edge.id not in own:
                yield edge
        yield from (edge for edge in own.values() if not edge.removed and name in (None, edge.name))

    def touches(self, twin: str) -> Iterator[Relationship]:
        """Relationships that begin at a twin or lead to it."""
        yield from self.outgoing(twin)
        for edge in chain(self.world.edges.incoming(twin), self._edge_columns.incoming(twin)):
            if edge.key not in self._edges:
                yield edge
        yield from (edge for edge in self._edges.values() if edge.target == twin and not edge.removed)

    def fresh(self, sources: Sequence[str], keys: Hashes) -> list[bool]:
        """Whether there is nothing and never was under each key (source, id) of a relationship, by its hash; it may say no in vain."""
        here = self._edge_columns.known(keys).tolist()
        world = self.world.edges.fresh(sources, keys)
        return [ok and not known and source not in self._by_source for source, known, ok in zip(sources, here, world, strict=True)]

    def named(self, sources: Hashes, name: str) -> NDArray[np.int64]:
        """How many relationships of a name begin at each twin that none of a draft's single ones and of late changes does, by its hash;
        it may say too many."""
        return self._edge_columns.named(sources, name) + self.world.edges.named(sources, name)

    def cells(self, life: Lifetime) -> Mapping[str, Cell]:
        """The winner of each path of a lifetime (law 2), as the interface has them that it is given with: its own, or another version."""
        return self._cells_of(life.number).winners(life.interface)

    def told(self, life: Lifetime, row: Row) -> Sequence[Cell]:
        """What a row, were it added, would be to readers of the interface that a lifetime is given with."""
        return self._cells_of(life.number).told(life.interface, {**row, "commit": self.commit})

    def _cells_of(self, number: int) -> LifeCells:
        held = self._cells.get(number)
        if held is None:
            held = self._cells[number] = LifeCells(number, self._known_of(number), self.world.evolution)
        return held

    def _known_of(self, number: int) -> Sequence[Cell]:
        """What is known of a lifetime before the single values of this draft, as it is stored."""
        if self._blocks and number >= self._blocks[0][0]:
            first, block = self._blocks[bisect_right(self._blocks, number, key=lambda placed: placed[0]) - 1]
            if number - first < len(block.ids):
                rows = block.cells(number - first, number, self.world.ontology, self.now, self.commit)
                return [{**row, "commit": self.commit} for row in rows]
        return self.world.state.of_twin(number) if number <= self.world.registry.highest else ()

    # --- adding ------------------------------------------------------------------------------------------------------

    def begin(self, twin: str, interface: str) -> Lifetime:
        """A new incarnation; the first of a twin has no beginning, a later one begins after the end of the one before."""
        before = self._lives.get(twin) or next(reversed(self._known(twin)), None)
        since = None if before is None or before.until is None else max(self.now, before.until)
        self._added += 1
        life = Lifetime(self.world.registry.highest + self._added, twin, interface, since, changed_at=since, commit=self.commit)
        self._put_life(life)
        return life

    def _known(self, twin: str) -> Sequence[Lifetime]:
        return self.world.registry.lifetimes_of(twin) if twin in self.world.registry else ()

    def end(self, life: Lifetime) -> None:
        """After all that is known of it."""
        at = max(self._after(life.changed_at), self._cells_of(life.number).last + 1)
        self._put_life(replace(life, until=at, changed_at=at, commit=self.commit))

    def begin_block(self, block: TwinBlock) -> None:
        """Twins that never were, each with its values."""
        first = self.world.registry.highest + self._added + 1
        self._added += len(block.ids)
        lives = [Lifetime(number, id, block.interface, commit=self.commit) for number, id in enumerate(block.ids, first)]
        self.lives += lives
        self._lives.update(zip(block.ids, lives, strict=True))
        self._blocks.append((first, block))

    def change_interface(self, life: Lifetime, interface: str) -> Lifetime:
        changed = replace(life, interface=interface, changed_at=self._after(life.changed_at), commit=self.commit)
        self._put_life(changed)
        return changed

    def _put_life(self, life: Lifetime) -> None:
        self.lives.append(life)
        self._lives[life.twin] = life

    def put_edge(self, edge: Relationship) -> Relationship:
        """The next version of an edge."""
        key = edge.key
        before = self._edges[key].changed_at if key in self._edges else self.world.edges.changed_at(key)
        dated = replace(edge, changed_at=self._after(before), commit=self.commit)
        self.edges.append(dated)
        self._edges[key] = self._by_source.setdefault(edge.source, {})[edge.id] = dated
        return dated

    def put_edge_rows(self, rows: pa.Table) -> None:
        """Relationships that are `fresh`, in columns (RELATIONSHIP_SCHEMA)."""
        for name, value in (("changed_at", self.now), ("commit", self.commit)):
            rows = rows.set_column(rows.schema.get_field_index(name), name, pa.repeat(pa.scalar(value, pa.int64()), len(rows)))
        self._edge_rows.append(rows)
        self._edge_columns.add(rows)

    def set_value(self, life: Lifetime, path: str, value: Any, at: int | None = None) -> None:
        """`at` the event time that the client gave, if it did. The path and its unit are those of the interface that the lifetime is given
        with, which may be another version of its own."""
        self._put_row(self.row(life, path, value, self._time(life, path) if at is None else at))

    def row(self, life: Lifetime, path: str, value: Any, at: int) -> Row:
        """A value as it is stored."""
        return value_row(life.number, self.world.ontology.paths(life.interface)[path], value, time=at, correction=self.commit)

    def remove_value(self, life: Lifetime, path: str) -> None:
        """There is none from now on. `path` may be one that the interface has no longer."""
        paths = self.world.ontology.paths(life.interface)
        time = self._time(life, path)
        if path in paths:
            self._put_row(removed_row(life.number, paths[path], time=time, correction=self.commit))

    def _put_row(self, row: Row) -> None:
        self.rows.append(row)
        self._cells_of(row["twin"]).put({**row, "commit": self.commit})

    def _time(self, life: Lifetime, path: str) -> int:
        newest = self._cells_of(life.number).newest(life.interface, path)
        least = self.now if life.since is None else max(self.now, life.since)
        return least if newest is None else max(least, newest + 1)

    def _after(self, moment: int | None) -> int:
        return self.now if moment is None else max(self.now, moment + 1)

    def put_record(self, kind: str, id: str, body: dict[str, Any]) -> None:
        self.records.append((kind, id, body))

    # --- writing -----------------------------------------------------------------------------------------------------

    @property
    def empty(self) -> bool:
        return not (self.structural or self.rows or self.records)

    @property
    def structural(self) -> bool:
        """Whether it changes which twins and relationships there are."""
        return bool(self.lives or self.edges or self._edge_rows)

    def write(self, transaction: Transaction) -> None:
        """All of it."""
        transaction.declare_twins(self.lives)
        if self._edge_rows:
            transaction.append_relationships(pa.concat_tables(self._edge_rows))
        transaction.declare_relationships(self.edges)
        if self._blocks:
            transaction.append_values(self._block_rows())
        if self.rows:
            columns = {name: [row[name] for row in self.rows] for name in VALUE_SCHEMA.names}
            transaction.append_values(pa.table(columns, schema=VALUE_SCHEMA))
        for kind, id, body in self.records:
            transaction.put_record(kind, id, body)

    def _block_rows(self) -> pa.Table:
        parts = [block.rows(first, self.world.ontology, self.now, self.commit) for first, block in self._blocks]
        return pa.concat_tables(parts)

    def publish(self, paths_of: Callable[[str], Mapping[str, object]]) -> None:
        """It is committed: let everybody see it. Call with the state's lock held."""
        for life in self.lives:
            self.world.registry.take(life, paths_of(life.interface))
        if self._edge_rows:
            self.world.edges.take_rows(pa.concat_tables(self._edge_rows))
        if self.edges:
            self.world.edges.take(self.edges)
        if self._blocks:
            rows = self._block_rows().drop_columns("lane")
            commit = pa.repeat(pa.scalar(self.commit, pa.int64()), len(rows))
            self.world.state.api.put_rows(rows.append_column("commit", commit).select(RECORD_SCHEMA.names))
        self.world.state.api.put({**row, "commit": self.commit} for row in self.rows)
