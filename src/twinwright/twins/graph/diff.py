"""What is different between the graph of one instant and that of another: twins and relationships, with their properties before and after.

An instant is a pair of an event time and a commit: what was known at the commit of the world at that time. Telemetry is no property and
is not compared. Values are read as the present version of each twin's interface, so what a migration renamed has not changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from twinwright.governance.principals import Principal
from twinwright.schema import Ontology
from twinwright.storage.layout import Lifetime, Relationship, Selection
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
_Version = TypeVar("_Version", Lifetime, Relationship)


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
    """Reads for a comparison; nothing is kept here."""

    def __init__(
        self, store: Store, state: StateCache, ontology: Ontology, registry: TwinRegistry, evolution: Evolution, principal: Principal
    ) -> None:
        self._store, self._ontology, self._registry, self._principal = store, ontology, registry, principal
        self._evolved = evolution.over(store)
        self._source, self._evolving = GraphSource(store, state, evolution), evolution.active

    # --- relationships -----------------------------------------------------------------------------------------------

    def relationships(self, first: Instant, second: Instant) -> list[Difference]:
        """By source and id."""
        if first.as_of is None and second.as_of is None:
            before, after = self._changed_edges(first.commit, second.commit)
        else:
            before, after = self._edges(first), self._edges(second)
        found = []
        for key in sorted({*before, *after}):
            old, new = before.get(key), after.get(key)
            if old == new:
                continue
            name = before[key].name if new is None else new.name
            one = compared("relationship", _edge_fields(old), _edge_fields(new), id=key[1], source=key[0], of=name)
            if one is not None:
                found.append(one)
        return found

    def _edges(self, at: Instant) -> dict[tuple[str, str], Relationship]:
        edges = self._store.relationships(self._principal, as_of=at.as_of, known_at=at.commit)
        return {(edge.source, edge.id): edge for edge in edges}

    def _changed_edges(self, first: int, second: int) -> tuple[dict[tuple[str, str], Relationship], ...]:
        """Those that commits between two are about, as they were at each."""
        low, high = sorted((first, second))
        versions: dict[tuple[str, str], list[Relationship]] = {}
        for edge in self._store.relationship_versions(self._principal, low, high):
            versions.setdefault((edge.source, edge.id), []).append(edge)
        sides = [{key: _newest(every, commit) for key, every in versions.items()} for commit in (first, second)]
        return tuple({key: edge for key, edge in side.items() if edge is not None and not edge.removed} for side in sides)

    # --- twins -------------------------------------------------------------------------------------------------------

    def twins(self, first: Instant, second: Instant) -> list[Difference]:
        """By id; a twin that was deleted and made again is removed and added."""
        touched = self._touched(first, second)
        if first.as_of is None and second.as_of is None:
            before, after = self._changed_lives(first.commit, second.commit, touched)
        else:
            before, after = self._lives(first), self._lives(second)
        come_or_gone = before.keys() ^ after.keys()
        moved = {number for number in before.keys() & after.keys() if before[number].interface != after[number].interface}
        numbers = sorted((touched & (before.keys() | after.keys())) | come_or_gone | moved)
        values = [self._values(at, [number for number in numbers if number in lives]) for at, lives in ((first, before), (second, after))]
        found = []
        for number in numbers:
            life = after.get(number) or before[number]
            sides = [self._fields(lives.get(number), held.get(number, {})) for lives, held in zip((before, after), values, strict=True)]
            one = compared("twin", sides[0], sides[1], id=life.twin, of=life.interface)
            if one is not None:
                found.append(one)
        return sorted(found, key=lambda one: (one.id, one.change != "removed"))

    def _lives(self, at: Instant) -> dict[int, Lifetime]:
        lives = self._store.lifetimes(self._principal, as_of=at.as_of, known_at=at.commit)
        return {life.number: life for life in lives if is_there(life, at.as_of)}

    def _changed_lives(self, first: int, second: int, touched: Collection[int]) -> tuple[dict[int, Lifetime], ...]:
        """Those that commits between two are about, and others that were touched, as they were at each and where they had not ended."""
        versions: dict[int, list[Lifetime]] = {}
        for life in self._store.lifetime_versions(self._principal, min(first, second), self._store.last_commit(self._principal)):
            versions.setdefault(life.number, []).append(life)
        versions |= {number: [self._registry.lifetime(number)] for number in touched if number not in versions}  # they are as they were
        sides = [{number: _newest(every, commit) for number, every in versions.items()} for commit in (first, second)]
        return tuple({number: life for number, life in side.items() if life is not None and life.alive} for side in sides)

    def _touched(self, first: Instant, second: Instant) -> set[int]:
        """Lifetimes of which a property may be another: what the commits between them touched, what the time between them says."""
        found: set[int] = set()
        low, high = sorted((first.commit, second.commit))
        if low != high:
            rows = self._store.touched(self._principal, low, high)
            observed = rows.filter(pc.or_kleene(pc.not_equal(rows["table"], 0), pc.equal(rows["lane"], "observed")))
            found.update(pc.unique(observed["twin"]).to_pylist())
        if first.as_of != second.as_of:
            start, end = _window(first.as_of, second.as_of)
            selection = Selection(paths=self._paths(), start=start, end=end, known_at=high)
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


def _newest(versions: Iterable[_Version], commit: int) -> _Version | None:
    """As it was known at a commit; None: not yet."""
    known = (one for one in versions if one.commit <= commit)
    return max(known, key=order, default=None)


def _window(one: int | None, other: int | None) -> tuple[int, int | None]:
    """The event times after the earlier, through the later (None: without end)."""
    known = [time for time in (one, other) if time is not None]
    return min(known) + 1, max(known) + 1 if len(known) == 2 else None


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


def _edge_fields(edge: Relationship | None) -> Fields | None:
    return None if edge is None else {"$relationshipName": edge.name, "$targetId": edge.target, **edge.properties}


def counted(found: Iterable[Difference]) -> dict[str, dict[str, int]]:
    """How many of each kind were added, removed and changed."""
    counts = {f"{kind}s": {"added": 0, "removed": 0, "changed": 0} for kind in ("interface", "twin", "relationship")}
    for one in found:
        counts[f"{one.kind}s"][one.change] += 1
    return counts
