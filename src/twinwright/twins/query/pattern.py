"""The graph part of a query: FROM, JOIN and MATCH as relations of SQL, and what walking from its anchors leaves of them.

An anchor is an alias that the query fixes to a few twins by `$dtId`. From there the relationships are walked in memory, and SQL is given
what was met; without an anchor it joins all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pyarrow as pa

from twinwright.errors import TooLargeError
from twinwright.twins.query.adjacency import Adjacency, Direction, Ints
from twinwright.twins.query.catalogue import nearest
from twinwright.twins.query.scope import Edge, Scope, Twins
from twinwright.twins.query.tree import Hop, Join, Query

MOST_MET = 200_000  # relationships met on a walk from an anchor; beyond it, SQL joins
MOST_LISTED = 1_000  # twins that are listed in SQL, and found by their index


@dataclass(slots=True)
class Link:
    """A step of the pattern from the twins `a` to the twins `b`: one relationship (`edge`), or a path of several (`edge` None)."""

    a: Twins
    b: Twins
    sql: str
    direction: Direction
    names: frozenset[int] | None
    edge: Edge | None
    fewest: int = 1
    most: int = 1
    at: int = 0
    met: pa.Table | None = None


@dataclass(slots=True)
class Pattern:
    """`few` are the twins an alias can be, by its name in SQL, where a walk or an anchor has told."""

    query: Query
    scope: Scope
    links: list[Link] = field(default_factory=list)
    alone: Edge | None = None  # FROM RELATIONSHIPS
    few: dict[str, Ints] = field(default_factory=dict)

    def tables(self) -> dict[str, pa.Table]:
        """What SQL is to know as `given_NAME`."""
        return {f"met_{link.sql}": link.met for link in self.links if link.met is not None}


def pattern_of(query: Query, scope: Scope) -> Pattern:
    """Enter the aliases of a query into its scope. Raises QueryError for relationships that are not there."""
    pattern = Pattern(query, scope)
    if query.kind == "relationships":
        if query.joins or query.nodes:
            query.fail(query.joins[0].at if query.joins else query.nodes[0][1], "relationships are not joined", "Write FROM DIGITALTWINS")
        pattern.alone = scope.add_edge(query.alias or "RELATIONSHIPS", scope.catalogue.relationship_names, 0)
        return pattern
    if query.nodes:
        for alias, at in query.nodes:
            scope.add_twins(alias, at)
        if query.alias is not None and query.alias not in scope.twins:
            query.fail(
                query.nodes[0][1],
                f"the pattern does not begin at '{query.alias}'",
                f"Write ({query.alias}) in it, or FROM DIGITALTWINS alone",
            )
    else:
        scope.add_twins(query.alias or "DIGITALTWINS", 0)
    for join in query.joins:
        pattern.links.append(_joined(join, query, scope))
    for hop in query.hops:
        pattern.links.append(_hopped(hop, scope, len(pattern.links)))
    return pattern


def _joined(join: Join, query: Query, scope: Scope) -> Link:
    source = scope.twins.get(join.source)
    if source is None:
        query.fail(join.source_at, f"there are no twins '{join.source}' to begin at", nearest(join.source, scope.twins))
    declared = _declared(scope, source, join.name, join.name_at)
    target = scope.add_twins(join.target, join.at, declared)
    edge = scope.add_edge(join.relationship, [join.name], join.at)
    return Link(source, target, edge.sql, "out", _numbers(scope, (join.name,)), edge, at=join.at)


def _declared(scope: Scope, source: Twins | None, name: str, at: int) -> frozenset[int] | None:
    """The interfaces that a relationship leads to. Raises QueryError where twins have none of that name."""
    catalogue = scope.catalogue
    models = frozenset(scope.models_of(source)) if source is not None else None
    declared = catalogue.relationship(name, models)
    if not declared:
        known = [one for one in catalogue.relationship_names if models is None or catalogue.relationship(one, models)]
        scope.query.fail(at, f"there is no relationship '{name}' here", nearest(name, known))
    return catalogue.targets(declared)


def _numbers(scope: Scope, names: tuple[str, ...]) -> frozenset[int] | None:
    """As they are numbered in the graph; one that no twin has yet is none of them."""
    return frozenset(scope.shape.names[name] for name in names if name in scope.shape.names) if names else None


def _hopped(hop: Hop, scope: Scope, number: int) -> Link:
    for name, at in hop.names:
        _declared(scope, None, name, at)
    names = tuple(name for name, _ in hop.names)
    a, b = scope.twins[hop.source], scope.twins[hop.target]
    edge = None
    if (hop.fewest, hop.most) == (1, 1):
        edge = scope.add_edge(hop.relationship, list(names) or scope.catalogue.relationship_names, hop.at)
    sql = edge.sql if edge is not None else f"v{number}"
    return Link(a, b, sql, hop.direction, _numbers(scope, names), edge, hop.fewest, hop.most, hop.at)


# --- walking ---------------------------------------------------------------------------------------------------------

_REVERSED: dict[Direction, Direction] = {"out": "in", "in": "out", "any": "any"}


def walk_from_anchors(
    pattern: Pattern, adjacency: Adjacency, candidates: Callable[[Twins], Ints | None], every: Callable[[], Ints]
) -> None:
    """Walk along the links from what is known, and fill in `met` and `few`. `candidates` are the twins that fulfil what the query
    says of one alias alone (None: it says nothing), `every` all there are."""
    waiting = list(pattern.links)
    while waiting:
        link = min(waiting, key=lambda one: min(_known(pattern, one.a), _known(pattern, one.b)))
        known = min(_known(pattern, link.a), _known(pattern, link.b))
        if known == _NOT_KNOWN:
            link = next((one for one in waiting if one.edge is None), waiting[0])
            if link.edge is not None:
                return  # what is left are single relationships, far from any anchor: SQL joins them
            begin = candidates(link.a)
            ending = candidates(link.b) if begin is None else None
            if begin is None and ending is not None:
                pattern.few[link.b.sql] = ending
            else:
                pattern.few[link.a.sql] = every() if begin is None else begin
        waiting.remove(link)
        _walk(pattern, link, adjacency)


_NOT_KNOWN = 1 << 40


def _known(pattern: Pattern, twins: Twins) -> int:
    return len(pattern.few[twins.sql]) if twins.sql in pattern.few else _NOT_KNOWN


def _walk(pattern: Pattern, link: Link, adjacency: Adjacency) -> None:
    backwards = _known(pattern, link.b) < _known(pattern, link.a)
    begin, end = (link.b, link.a) if backwards else (link.a, link.b)
    direction = _REVERSED[link.direction] if backwards else link.direction
    starts = pattern.few[begin.sql]
    edges = None
    if link.edge is not None:
        which, edges, ends = adjacency.edges(starts, direction, link.names)
        begins = starts[which]
        if len(edges) > MOST_MET:
            return
    else:
        try:
            begins, ends = adjacency.pairs(starts, direction, link.names, link.fewest, link.most)
        except TooLargeError as error:
            pattern.query.fail(link.at, error.what, error.remedy or "Begin at fewer twins")
    if end.sql in pattern.few:
        kept = np.isin(ends, pattern.few[end.sql])
        begins, ends = begins[kept], ends[kept]
        edges = None if edges is None else edges[kept]
    a, b = (ends, begins) if backwards else (begins, ends)
    columns = {"a": pa.array(a, pa.int32()), "b": pa.array(b, pa.int32())}
    if edges is not None:
        columns |= {"e": pa.array(edges + 1, pa.int64()), "k": pa.array(adjacency.keys_of(edges), pa.int64())}
    link.met = pa.table(columns)
    pattern.few[end.sql] = np.unique(ends).astype(np.int32)


# --- SQL -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Relations:
    """`sources` for FROM, `conditions` for WHERE, and the SQL of each alias's key: the number of its twin or relationship. `order` is
    that of rows, and the same whenever and by whom the graph is read: twins by their lifetimes, relationships by what tells them apart."""

    sources: list[str]
    conditions: list[str]
    keys: dict[str, str]
    order: list[str]


def relations_of(pattern: Pattern, used: set[str]) -> Relations:
    """`used` are the names in SQL of which columns are read; of other twins the number is enough."""
    sources, conditions, keys = [], [], {}
    if pattern.alone is not None:
        alone = pattern.alone.sql
        return Relations([f"edges AS {alone}"], [], {pattern.alone.alias: f"{alone}.e"}, [f"{alone}.s", f"{alone}.id"])
    ends: dict[str, list[str]] = {twins.sql: [] for twins in pattern.scope.twins.values()}
    for link in pattern.links:
        sources.append(_link_source(link, link.edge is not None and link.edge.sql in used))
        ends[link.a.sql].append(f"{link.sql}.a")
        ends[link.b.sql].append(f"{link.sql}.b")
        if link.edge is not None:
            keys[link.edge.alias] = f"{link.sql}.e"
    for twins in pattern.scope.twins.values():
        places = ends[twins.sql]
        if twins.sql in used or not places:
            sources.append(f"twins AS {twins.sql}")
            places.insert(0, f"{twins.sql}.n")
        keys[twins.alias] = places[0]
        conditions += [f"{places[0]} = {other}" for other in places[1:]]
        few = pattern.few.get(twins.sql)
        walked = all(link.met is not None for link in pattern.links if twins in (link.a, link.b))  # then it has no others
        if few is not None and len(few) <= MOST_LISTED and (places[0] == f"{twins.sql}.n" or not walked):
            conditions.append(f"{places[0]} IN ({', '.join(map(str, few.tolist())) or 'NULL'})")
    hops = [link for link in pattern.links[len(pattern.query.joins) :] if link.edge is not None]
    conditions += [f"{one.sql}.e <> {other.sql}.e" for one, other in combinations(hops, 2)]  # a pattern takes each once
    order = [keys[one] for one in pattern.scope.twins] + [f"{link.sql}.k" for link in pattern.links if link.edge is not None]
    return Relations(sources, conditions, keys, order)


def _link_source(link: Link, whole: bool) -> str:
    rest = ", x.s, x.t, x.name, x.id, x.props, x.changed_at, x.commit" if whole else ""
    if link.edge is None:
        return f"given_met_{link.sql} AS {link.sql}"
    if link.met is not None:
        joined = f"SELECT g.e, g.k, g.a, g.b{rest} FROM given_met_{link.sql} g" + (" JOIN edges x ON x.e = g.e" if whole else "")
        return f"({joined}) AS {link.sql}"
    named = f" WHERE x.name IN ({', '.join(map(str, sorted(link.names))) or 'NULL'})" if link.names is not None else ""
    out = f"SELECT x.e, x.k, x.s AS a, x.t AS b{rest} FROM edges x{named}"
    back = f"SELECT x.e, x.k, x.t AS a, x.s AS b{rest} FROM edges x{named}"
    if link.direction == "any":
        other = f"{back}{' AND' if named else ' WHERE'} x.s <> x.t"
        return f"({out} UNION ALL {other}) AS {link.sql}"
    return f"({out if link.direction == 'out' else back}) AS {link.sql}"
