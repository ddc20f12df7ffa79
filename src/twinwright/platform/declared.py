"""What an apply declared of the graph, which another alone may change: kept in parts by twin; an apply writes those that differ."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from twinwright.errors import NotFoundError
from twinwright.governance.principals import Principal
from twinwright.platform.applied import ID, KIND
from twinwright.storage.layout import EdgeKey, Relationship
from twinwright.storage.protocol import Store
from twinwright.workspace.graph import Graph

PART: Final = "applied-graph"  # the kind of record
_PARTS: Final = 64  # of 20,000 twins with four relationships each one is some 150 kB
Part = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Declared:
    """`twins` are the property values that each declared twin was given, by path; `edges` what each declared relationship is: source, id,
    name, target, properties; `parts` all of it as it is stored."""

    twins: Mapping[str, Mapping[str, Any]]
    edges: Mapping[EdgeKey, Sequence[Any]]
    parts: Mapping[str, Part]

    def changed(self, graph: Graph) -> dict[str, Part]:
        """The parts that differ, once a graph is what is declared."""
        parts = _parts(graph)
        nothing = _part()
        return {id: parts.get(id, nothing) for id in {*parts, *self.parts} if parts.get(id, nothing) != self.parts.get(id)}


def read_declared(store: Store, principal: Principal) -> Declared:
    """What the store holds; of an empty store nothing."""
    try:
        body = store.get_record(principal, KIND, ID).body
    except NotFoundError:
        return Declared({}, {}, {})
    if "declared" in body:
        return _of_before(store, principal, body)
    parts = {one.id: one.body for one in store.records(principal, PART)}
    twins = {twin: values for part in parts.values() for twin, values in part["twins"].items()}
    return Declared(twins, {(one[0], one[1]): one for part in parts.values() for one in part["edges"]}, parts)


def _of_before(store: Store, principal: Principal, body: Mapping[str, Any]) -> Declared:
    """Of a store of before there were parts; and of before others could make twins, when there was no list of them either."""
    listed = body["twins"] if "twins" in body else [life.twin for life in store.lifetimes(principal)]
    edges = body["relationships"] if "relationships" in body else map(_row, store.relationships(principal))
    return Declared({twin: body["declared"].get(twin, {}) for twin in listed}, {(one[0], one[1]): one for one in edges}, {})


def _row(edge: Relationship) -> list[Any]:
    return [edge.source, edge.id, edge.name, edge.target, dict(edge.properties)]


def same_edge(row: Sequence[Any], edge: Relationship) -> bool:
    """Whether a relationship is as it was declared."""
    return (row[2], row[3], row[4]) == (edge.name, edge.target, edge.properties)


def _part() -> Part:
    return {"twins": {}, "edges": []}


def _parts(graph: Graph) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    for twin in graph.twins.values():
        _part_of(parts, twin.id)["twins"][twin.id] = dict(twin.values)
    for edge in graph.relationships:
        _part_of(parts, edge.source)["edges"].append(_row(edge))
    return parts


def _part_of(parts: dict[str, Part], twin: str) -> Part:
    id = f"{zlib.crc32(twin.encode()) % _PARTS:02d}"
    return parts[id] if id in parts else parts.setdefault(id, _part())
