"""What is different between the graph of one instant and that of another: twins and relationships, with their properties before and after.

An instant is a pair of an event time and a commit: what was known at the commit of the world at that time. Telemetry is no property and
is not compared. Values are read as the present version of each twin's interface, so what a migration renamed has not changed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from twinwright.governance.principals import Principal
from twinwright.schema import Ontology
from twinwright.storage.layout import EdgeKey, Lifetime, Relationship, RelationshipPart, Selection
from twinwright.storage.protocol import Store
from twinwright.storage.united import order
from twinwright.twins.documents import value_of
from twinwright.twins.evolution import Evolution
from twinwright.twins.graph.json_patch import same
from twinwright.twins.query.source import GraphSource, is_there
from twinwright.twins.registry import TwinRegistry
from twinwright.twins.state import StateCache

What = Literal["added", "removed", "changed"]
Fields = Mapping[str, Any]
_MISSING: Any = object()
_NO_EDGE: Final = Relationship("", "", "", "")
_FEW: Final = 512  # that are looked at together at first: who reads a page is told soon
_MANY: Final = 20_000


@dataclass(frozen=True, slots=True)
class Instant:
    """What was known at a commit of the world at an event time (None: all that was known then)."""

    as_of: int | None
    commit: int


@dataclass(frozen=True, slots=True)
class Difference:
    """`before` and `after` hold what is different; of what was added or removed all of it. A name that one of them lacks was not there."""

    kind: Literal["interface", "twin", "relationship"]
    change: What
    id: str
    source: str = ""  # the twin that a relationship begins at
    of: str = ""  # the interface of a twin, the name of a relationship
    before: Fields = field(default_factory=dict)
    after: Fields = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As plain data: each property with its value `before` and `after`."""
        shown: dict[str, Any] = {"kind": self.kind, "change": self.change, "id": self.id}
        if self.kind == "twin":
            shown["interface"] = self.of
        if self.kind == "relationship":
            shown |= {"source": self.source, "name": self.of}
        names = sorted({*self.before, *self.after})
        sides = (("before", self.before), ("after", self.after))
        shown["properties"] = {name: {side: values[name] for side, values in sides if name in values} for name in names}
        return shown


def compared(
    kind: Literal["interface", "twin", "relationship"], before: Fields | None, after: Fields | None, **named: str
) -> Difference | None:
    """Two versions of one thing (None: it is not there); None where they are the same."""
    if before is None or after is None:
        change: What = "added" if before is None else "removed"
        return Difference(kind, change, before=before or {}, after=after or {}, **named)
    names = [name for name in {*before, *after} if not _same(before.get(name, _MISSING), after.get(name, _MISSING))]
    if not names:
        return None
    sides = [{name: side[name] for name in names if name in side} for side in (before, after)]
    return Difference(kind, "changed", before=sides[0], after=sides[1], **named)


def _same(a: Any, b: Any) -> bool:
    return a is b if a is _MISSING or b is _MISSING else same(a, b)


class GraphDiff:
    """Of one instant to another. Differences come in the order of their keys, from behind one on, and few more are made than are taken."""

    def __init__(
        self,
        store: Store,
        state: StateCache,
        ontology: Ontology,
        registry: TwinRegistry,
        evolution: Evolution,
        principal: Principal,
        first: Instant,
        second: Instant,
    ) -> None:
        self._store, self._ontology, self._registry, self._principal = store, ontology, registry, principal
        self._evolved = evolution.over(store)
        self._source, self._evolving = GraphSource(store, state, evolution), evolution.active
        self._first, self._second = first, second
        self._low, self._high = sorted((first.commit, second.commit))

    # --- relationships -----------------------------------------------------------------------------------------------

    def relationships(self, behind: EdgeKey | None = None) -> Iterator[Difference]:
        """By source and id."""
        window = None if self._first.as_of == self._second.as_of else _window(self._first.as_of, self._second.as_of)
        most, found = 0, True
        while found:
            most = _more(most)
            keys = self._store.changed_relationships(self._principal, self._low, self._high, between=window, behind=behind, most=most)
            part = RelationshipPart(keys=frozenset(keys))
            before, after = (self._edges(at, part) if keys else {} for at in (self._first, self._second))
            for key in keys:
                old, new = before.get(key), after.get(key)
                if old == new:
                    continue
                named = {"id": key[1], "source": key[0], "of": (new or old or _NO_EDGE).name}
                one = compared("relationship", _edge_fields(old), _edge_fields(new), **named)
                if one is not None:
                    yield one
            found = len(keys) == most
            behind = keys[-1] if found else None

    def _edges(self, at: Instant, part: RelationshipPart) -> dict[EdgeKey, Relationship]:
        edges = self._store.relationships(self._principal, part, as_of=at.as_of, known_at=at.commit)
        return {edge.key: edge for edge in edges}

    # --- twins -------------------------------------------------------------------------------------------------------

    def twins(self, candidates: Sequence[str], begin: str = "") -> Iterator[Difference]:
        """By id, of `candidates` from one on; a twin that was deleted and made again is removed and added."""
        at, most = bisect_left(candidates, begin), _more(0)
        while at < len(candidates):
            yield from self._of_twins(candidates[at : at + most])
            at, most = at + most, _more(most)

    def candidates(self) -> list[str]:
        """The twins that may be different, by id."""
        twins = {self._registry.lifetime(number).twin for number in self._touched()}
        if self._first.as_of is None and self._second.as_of is None:
            twins.update(life.twin for life in self._store.lifetime_versions(self._principal, self._low, self._high))
        else:
            sides = [{life.number: life for life in self._lives(at)} for at in (self._first, self._second)]
            twins.update(life.twin for side, other in (sides, sides[::-1]) for life in side.values() if other.get(life.number) != life)
        return sorted(twins)

    def _lives(self, at: Instant) -> Iterator[Lifetime]:
        lives = self._store.lifetimes(self._principal, as_of=at.as_of, known_at=at.commit)
        return (life for life in lives if is_there(life, at.as_of))

    def _of_twins(self, twins: Sequence[str]) -> list[Difference]:
        versions: dict[int, list[Lifetime]] = {}
        for life in self._store.lifetime_versions(self._principal, 0, self._high, twins=twins):
            versions.setdefault(life.number, []).append(life)
        sides = [(at, _there(versions, at)) for at in (self._first, self._second)]
        before, after = (lives for _, lives in sides)
        values = [self._values(at, sorted(lives)) for at, lives in sides]
        found = []
        for number in sorted(before.keys() | after.keys()):
            life = after.get(number) or before[number]
            fields = [self._fields(lives.get(number), held.get(number, {})) for lives, held in zip((before, after), values, strict=True)]
            one = compared("twin", fields[0], fields[1], id=life.twin, of=life.interface)
            if one is not None:
                found.append(one)
        return sorted(found, key=lambda one: (one.id, one.change != "removed"))

    def _touched(self) -> set[int]:
        """Lifetimes of which a property may be another: what the commits between them touched, what the time between them says."""
        found: set[int] = set()
        first, second = self._first, self._second
        if self._low != self._high:
            rows = self._store.touched(self._principal, self._low, self._high)
            observed = rows.filter(pc.or_kleene(pc.not_equal(rows["table"], 0), pc.equal(rows["lane"], "observed")))
            found.update(pc.unique(observed["twin"]).to_pylist())
        if first.as_of != second.as_of:
            start, end = _window(first.as_of, second.as_of)
            selection = Selection(paths=self._paths(), start=start, end=end, known_at=self._high)
            found.update(pc.unique(self._evolved.latest(self._principal, selection)["twin"]).to_pylist())
        return found

    def _paths(self) -> tuple[str, ...]:
        """Of every property there is."""
        interfaces = self._ontology.interfaces
        infos = (info for dtmi in interfaces for info in self._ontology.paths(dtmi).values())
        return tuple(sorted({info.path for info in infos if info.kind == "property"}))

    def _values(self, at: Instant, numbers: Sequence[int]) -> dict[int, dict[str, Mapping[str, Any]]]:
        """What documents show of some lifetimes: cells by path."""
        found: dict[int, dict[str, Mapping[str, Any]]] = {}
        if numbers:
            for cell in _rows(self._source.past(self._principal, "observed", as_of=at.as_of, known_at=at.commit, twins=numbers)):
                found.setdefault(cell["twin"], {})[cell["path"]] = cell
        return found

    def _fields(self, life: Lifetime | None, cells: Mapping[str, Mapping[str, Any]]) -> Fields | None:
        if life is None:
            return None
        now = self._registry.find(life.number) if self._evolving else None  # values are read as of its version
        interface = life.interface if now is None else now.interface
        paths = self._ontology.paths(interface) if interface in self._ontology.interfaces else {}
        shown = {path: value_of(cell, paths[path]) for path, cell in cells.items() if path in paths and paths[path].kind == "property"}
        return {"$model": life.interface, **shown}


def _more(most: int) -> int:
    """How many are looked at together, after so many."""
    return min(4 * most, _MANY) or _FEW


def _there(versions: Mapping[int, Sequence[Lifetime]], at: Instant) -> dict[int, Lifetime]:
    """The lifetimes that there are, each in the version that held."""
    found = {}
    for number, every in versions.items():
        known = (one for one in every if one.commit <= at.commit)
        held = (one for one in known if at.as_of is None or one.changed_at is None or one.changed_at <= at.as_of)
        newest = max(held, key=order, default=None)
        if newest is not None and is_there(newest, at.as_of):
            found[number] = newest
    return found


def _window(one: int | None, other: int | None) -> tuple[int, int | None]:
    """The event times after the earlier, through the later (None: without end)."""
    known = [time for time in (one, other) if time is not None]
    return min(known) + 1, max(known) + 1 if len(known) == 2 else None


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


def _edge_fields(edge: Relationship | None) -> Fields | None:
    return None if edge is None else {"$relationshipName": edge.name, "$targetId": edge.target, **edge.properties}


Counts = dict[str, dict[str, int]]


def none_counted() -> Counts:
    """Of each kind: none."""
    return {f"{kind}s": {"added": 0, "removed": 0, "changed": 0} for kind in ("interface", "twin", "relationship")}
