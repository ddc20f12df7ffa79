"""The graphs that queries run over: the present one, kept in step with the commit log, and a few of the past."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import duckdb
import numpy as np

from twinwright.governance.principals import SYSTEM, Principal
from twinwright.storage.layout import Lane
from twinwright.storage.protocol import Store
from twinwright.twins.api_cells import WRITES, is_quiet
from twinwright.twins.evolution import UNCHANGED, Evolution
from twinwright.twins.query.adjacency import Adjacency
from twinwright.twins.query.catalogue import Catalogue
from twinwright.twins.query.projection import Projection, Shape
from twinwright.twins.query.source import GraphSource
from twinwright.twins.state import StateCache

_MOST_PAST: Final = 4
_ALL: Final = 0.3  # past this share of twins touched, all values are read anew
_NONE: Final = np.zeros(0, np.int32)
_EMPTY: Final = Shape({}, {}, 0, Adjacency(_NONE, _NONE, _NONE, np.zeros(0, np.int64)))


@dataclass(slots=True)
class _Past:
    """A graph as of an event time or as known at a commit, with some lanes; right through a commit."""

    graph: Projection
    lanes: set[Lane] = field(default_factory=set)
    commit: int = 0


class Graphs:
    """For one set of applied interfaces. Reading the present first takes in what was committed since the last time."""

    def __init__(self, store: Store, state: StateCache, catalogue: Catalogue, evolution: Evolution = UNCHANGED) -> None:
        self.catalogue = catalogue
        self._store, self._source = store, GraphSource(store, state, evolution)
        self._present: Projection | None = None
        self._lanes: set[Lane] = set()
        self._commit = -1
        self._whole = True  # no relationship lacks a twin at an end
        self._past: OrderedDict[tuple[int | None, int | None], _Past] = OrderedDict()
        self._lock = threading.RLock()

    @property
    def shape(self) -> Shape:
        """Of the present as it was when last read."""
        return self._present.shape if self._present is not None else _EMPTY

    def close(self) -> None:
        """Give the memory back."""
        with self._lock:
            for projection in [self._present, *(one.graph for one in self._past.values())]:
                if projection is not None:
                    projection.close()
            self._present, self._commit = None, -1
            self._past.clear()

    @contextmanager
    def read(
        self, principal: Principal, lanes: Collection[Lane], as_of: int | None, known_at: int | None
    ) -> Iterator[tuple[Projection, Shape, duckdb.DuckDBPyConnection]]:
        """The graph of now, or of then, with some lanes, and a reader whose view of it does not change."""
        with self._lock:
            graph = self._now(lanes) if as_of is None and known_at is None else self._then(principal, lanes, as_of, known_at)
            shape, reader = graph.shape, graph.reader()
        try:
            yield graph, shape, reader
        finally:
            reader.close()

    # --- now ---------------------------------------------------------------------------------------------------------

    def _now(self, lanes: Collection[Lane]) -> Projection:
        last = self._store.last_commit(SYSTEM)
        kinds = self._kinds(last) if self._present is not None and last > self._commit else set()
        if self._present is None or not kinds <= {WRITES} or (kinds and not self._whole):
            self._load()
        elif last > self._commit:
            come = self._change(last) if kinds else set()
            if come is None:
                self._load()
            else:
                self._follow(last, come)
        self._commit = max(last, self._commit)
        graph = self._present
        assert graph is not None
        for lane in set(lanes) - self._lanes:
            graph.put(lane, self._source.current(SYSTEM) if lane == "observed" else self._source.past(SYSTEM, lane), None)
            self._lanes.add(lane)
        return graph

    def _kinds(self, last: int) -> set[str]:
        """Of the commits since that may have changed twins and relationships: what one of WRITES changed is taken in, after any other the
        graph is read anew."""
        kinds = {commit.kind for commit in self._store.commits(SYSTEM, first=self._commit + 1, last=last)}
        return {kind for kind in kinds if not is_quiet(kind)}

    def _load(self) -> None:
        graph = Projection(self.catalogue) if self._present is None else self._present
        self._whole = self._source.load_graph(SYSTEM, graph)
        self._present, self._lanes = graph, set()

    def _change(self, last: int) -> set[int] | None:
        """Take in the twins and relationships that changed since: the lifetimes whose values are to be read; None: read all anew."""
        graph = self._present
        assert graph is not None
        twins, edges = self._source.graph_changes(SYSTEM, self._commit, last, self.catalogue)
        if (twins or edges) and not graph.change(twins, edges):
            return None
        come = {one.number for one in twins if one.model is not None}
        if come:
            self._lanes &= {"observed"}  # the others are read when they are asked for
        return come

    def _follow(self, last: int, come: set[int]) -> None:
        """Take in the values that changed since."""
        graph = self._present
        assert graph is not None
        touched, lanes = self._source.touched(SYSTEM, self._commit, last)
        twins = sorted({*touched, *come})
        self._lanes -= lanes  # read anew when they are asked for
        if twins and "observed" in self._lanes:
            few = len(twins) <= _ALL * graph.shape.twins
            graph.put("observed", self._source.current(SYSTEM, twins if few else None), twins if few else None)

    # --- then --------------------------------------------------------------------------------------------------------

    def _then(self, principal: Principal, lanes: Collection[Lane], as_of: int | None, known_at: int | None) -> Projection:
        key, last = (as_of, known_at), self._store.last_commit(SYSTEM)
        held = self._past.get(key)
        if held is None or (known_at is None and not self._is_as_it_was(as_of, held.commit, last)):
            held = self._past[key] = _Past(Projection(self.catalogue))
            self._source.load_graph(principal, held.graph, as_of=as_of, known_at=known_at)
            while len(self._past) > _MOST_PAST:
                self._past.popitem(last=False)  # readers that are at it keep it until they are done
        held.commit = last
        self._past.move_to_end(key)
        for lane in set(lanes) - held.lanes:
            held.graph.put(lane, self._source.past(principal, lane, as_of=as_of, known_at=known_at, as_then=True), None)
            held.lanes.add(lane)
        return held.graph

    def _is_as_it_was(self, as_of: int | None, after: int, last: int) -> bool:
        """Whether the commits after one, through another, say nothing of an event time: most telemetry is of later ones."""
        if after == last or as_of is None:
            return after == last
        kinds = {commit.kind for commit in self._store.commits(SYSTEM, first=after + 1, last=last) if not is_quiet(commit.kind)}
        if not kinds <= {WRITES}:
            return False
        times = self._store.touched(SYSTEM, after, last)["time"].to_numpy()
        if len(times) and int(times.min()) <= as_of:
            return False
        lives = self._store.lifetime_versions(SYSTEM, after, last) if kinds else []
        edges = self._store.relationship_versions(SYSTEM, after, last) if kinds else []
        changed = [life.changed_at for life in lives if life.commit > after] + [edge.changed_at for edge in edges if edge.commit > after]
        return all(at is not None and at > as_of for at in changed)
