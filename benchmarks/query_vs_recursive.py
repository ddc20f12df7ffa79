"""Queries over a large graph: a million twins, four million relationships.

The projection is loaded from synthetic columns, as it would be from a store. Rivals: of a query by property and of an aggregate ours over
a hundredth of the graph (growth); of three hops from an anchor recursive SQL on the same tables in plain DuckDB.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
from benchmarks._result import compared

from twinwright import schema
from twinwright.governance.principals import LOCAL_ADMIN
from twinwright.twins.query import QueryService
from twinwright.twins.query.catalogue import Catalogue
from twinwright.twins.query.projection import EDGE_SCHEMA, TWIN_SCHEMA, Projection

MODEL = "dtmi:bench:Pump;1"
PATHS = ("pressure", "flow", "power", "speed")
RECURSIVE = (
    "WITH RECURSIVE walk AS (SELECT t AS n, 1 AS hop FROM edges WHERE s = ? UNION ALL "
    "SELECT e.t, hop + 1 FROM walk JOIN edges e ON e.s = walk.n WHERE hop < 3) SELECT n FROM walk WHERE hop = 3"
)


class Graph:
    """A projection of so many twins, four relationships of each; and the queries over it."""

    def __init__(self, twins: int) -> None:
        contents: list[dict[str, Any]] = [{"@type": "Property", "name": name, "schema": "double"} for name in PATHS]
        contents.append({"@type": "Relationship", "name": "feeds"})
        ontology = schema.load([{"@context": "dtmi:dtdl:context;3", "@id": MODEL, "@type": "Interface", "contents": contents}])
        self.catalogue = Catalogue(ontology)
        self.projection = Projection(self.catalogue)
        rng = np.random.default_rng(1)
        numbers, count = np.arange(1, twins + 1, dtype=np.int32), 4 * twins
        zeros, ids = np.zeros(twins, np.int32), pa.array(np.char.add("pump-", numbers.astype(str)))
        ends = [pa.array(rng.integers(1, twins + 1, count).astype(np.int32)) for _ in range(2)]
        names = pa.array(np.zeros(count, np.int32))
        called, empty = pa.array(np.char.add("r", np.arange(count).astype(str))), pa.repeat(pa.scalar("{}"), count)
        self.projection.load_graph(
            pa.table([pa.array(numbers), ids, pa.array(zeros)], schema=TWIN_SCHEMA),
            pa.table([*ends, names, called, empty, pa.nulls(count, pa.int64()), pa.repeat(1, count)], schema=EDGE_SCHEMA),
            ["feeds"],
        )
        nothing = {"int": pa.nulls(twins, pa.int64()), "txt": pa.nulls(twins, pa.string()), "unit": pa.nulls(twins, pa.string())}
        every = [
            {"twin": pa.array(numbers), "path": pa.repeat(pa.scalar(path), twins), "type": pa.repeat(pa.scalar("DOUBLE"), twins)}
            | {"num": pa.array(rng.uniform(0, 100, twins)), **nothing}
            for path in PATHS
        ]
        self.projection.put("observed", pa.concat_tables([pa.table(one) for one in every]), None)
        self.queries = QueryService(None, self, lambda *_: {})

    @property
    def shape(self) -> Any:
        return self.projection.shape

    @contextmanager
    def read(self, *_: Any) -> Iterator[Any]:
        reader = self.projection.reader()
        try:
            yield self.projection, self.shape, reader
        finally:
            reader.close()

    def ask(self, text: str) -> list[dict[str, Any]]:
        return self.queries.query(LOCAL_ADMIN, text, now=0, commit_of=int, most=1_000).value

    def recursive(self, twin: int) -> list[Any]:
        reader = self.projection.reader()
        try:
            return reader.execute(RECURSIVE, [twin]).fetchall()
        finally:
            reader.close()


def milliseconds(one: Callable[[int], Any], times: int = 15) -> float:
    """The median."""
    spent = []
    for index in range(times):
        begin = time.perf_counter()
        one(index)
        spent.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(spent)


def measure(quick: bool) -> list[dict[str, Any]]:
    large = Graph(50_000 if quick else 1_000_000)
    small = Graph(1_000 if quick else 10_000)
    by_property = "SELECT T.$dtId, T.flow FROM DIGITALTWINS T WHERE T.pressure > 99.5 AND T.power < 3"
    hops = (
        "SELECT D.$dtId FROM DIGITALTWINS A JOIN B RELATED A.feeds JOIN C RELATED B.feeds JOIN D RELATED C.feeds WHERE A.$dtId = 'pump-{}'"
    )
    aggregate = "SELECT COUNT() AS n, AVG(T.pressure) AS mean FROM DIGITALTWINS T JOIN U RELATED T.feeds WHERE U.flow > 50"
    found = []
    for name, text in (("property query", by_property), ("aggregate over every relationship", aggregate)):
        ours, rival = (milliseconds(lambda _, graph=graph, text=text: graph.ask(text)) for graph in (large, small))
        found.append(compared(f"{name}, next to a small graph", ours, rival, "ms", "lower"))
    ours = milliseconds(lambda index: large.ask(hops.format(100 + index)))
    rival = milliseconds(lambda index: large.recursive(100 + index))
    return [*found, compared("three hops from an anchor, next to recursive SQL", ours, rival, "ms", "lower")]
