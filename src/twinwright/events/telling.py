"""What one commit did, as events: twin by twin, and of each from its beginning to its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import chain, islice
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import polars as pl

from twinwright.clock import from_iso
from twinwright.errors import UsageError
from twinwright.events import cloudevents as types
from twinwright.events.cloudevents import Event, Maker
from twinwright.governance.principals import Principal
from twinwright.schema import Ontology
from twinwright.storage.layout import Commit, EdgeKey, Lane, Lifetime, Relationship
from twinwright.storage.protocol import Store
from twinwright.storage.records import Record
from twinwright.twins.changes import Change, ChangeLog
from twinwright.twins.evolution import MOVED
from twinwright.twins.evolution.view import Seen
from twinwright.twins.graph import bodies
from twinwright.twins.graph.twin_writes import TELEMETRY as MESSAGE

LANES: Final[tuple[Lane, ...]] = ("observed", "desired", "derived")  # a run that publishes is told as a run
PIECE: Final = 20_000  # records, about
_VALUES: Final = frozenset({"ingest", "replay", "retry", "derived"})  # these write values alone
_WRITES: Final = frozenset({"graph"})  # of clients: an Update says what they wrote, whatever was said of that time before
_AUDIT: Final = "audit"
_RECORDS: Final[Mapping[str, str]] = {"run": types.RUN_END, "promotion": types.PARAMETERS_PROMOTE, "validation": types.VALIDATION_CREATE}


class _Place(NamedTuple):
    """Where an event stands within its commit: twin by twin, lifetime by lifetime, from its beginning to its end."""

    key: str
    lifetime: int
    phase: int  # 0 begins, 1 values, 2 relationships and messages, 3 ends
    at: int
    number: int


_Placed = tuple[_Place, Event]


def _place(placed: _Placed) -> _Place:
    return placed[0]


class Telling:
    """What one commit did."""

    def __init__(
        self, store: Store, changes: ChangeLog, ontology: Ontology, source: str, principal: Principal, commit: Commit, seen: Seen
    ) -> None:
        self._store, self._changes, self._ontology, self._seen = store, changes, ontology, seen
        self._principal, self._commit, self._after = principal, commit, commit.number - 1
        self._source, self._make = source, Maker(source, commit.number).event
        self._placed: list[_Placed] = []
        self._number = 0
        self._begun: dict[int, Lifetime] = {}
        self._documents: dict[int, dict[str, Any]] = {}  # the first values of lifetimes that begin here, by path
        self._touched: dict[str, list[Lifetime]] = {}  # lifetimes of a twin that changed here, by number

    def pieces(self) -> Iterator[list[Event]]:
        """All of it, in order, of which only a piece is held: what some PIECE records say."""
        if self._commit.kind in _VALUES:
            number = self._commit.number
            for changes in self._changes.pieces(self._principal, number, LANES, PIECE, before=True, seen=self._seen):
                for change in changes:
                    self._change(change)
                yield [event for _, event in self._ordered()]
        else:
            yield from self._by_twin()

    def _ordered(self) -> list[_Placed]:
        """What was put since the last time."""
        placed, self._placed = self._placed, []
        return sorted(placed, key=_place)

    def _by_twin(self) -> Iterator[list[Event]]:
        """Some twins at a time in the order of their ids, after what is of none."""
        number, kinds = self._commit.number, [*_RECORDS, MESSAGE, MOVED, _AUDIT]
        records = list(self._store.record_versions(self._principal, kinds, self._after, number))
        of_twin: dict[str, list[Record]] = {}
        for one in records:
            if one.kind in _RECORDS or one.kind == MESSAGE:
                of_twin.setdefault(str(one.body.get("twin") or ""), []).append(one)
        stages = _in_order([one for one in records if one.kind == MOVED and "there" in one.body])  # others are of before that was kept
        moves = [_Move(one.body["back"], one.id, one.body["to"], one.body["from"], back=True) for one in reversed(stages)]
        moves += [_Move(one.body["there"], one.id, one.body["from"], one.body["to"], back=False) for one in stages]
        counts, touched = Counter({twin: len(mine) for twin, mine in of_twin.items()}), None
        versions: Mapping[str, int] = {}
        if not self._commit.kind.startswith("record:"):
            versions = self._store.changed_twins(self._principal, number)
            touched = self._changes.touched(self._principal, number, LANES)
            counts += Counter(versions) + touched.counts()
        for twins in _together(counts):
            self._begun, self._documents, self._touched = {}, {}, {}
            many = [twin for twin in twins if versions.get(twin, 0) > PIECE]
            if not versions.keys().isdisjoint(twins):
                self._lives(self._store.lifetime_versions(self._principal, self._after, number, twins=twins))
                few = [twin for twin in twins if twin in versions and twin not in many]
                self._edges(self._store.relationship_versions(self._principal, self._after, number, sources=few))
            self._records(one for twin in twins for one in of_twin.get(twin, ()))
            if not twins[0]:
                self._evolved(stages, [one for one in records if one.kind == _AUDIT])
            self._migrated(moves)
            rows = None if touched is None else self._begin(touched.between(twins[0], twins[-1]))
            for lifetime in self._begun.values():
                self._create(lifetime)
            values = () if rows is None else chain.from_iterable(self._values(rows))
            streams = (chain.from_iterable(self._many_edges(twin)) for twin in many)
            told = (event for _, event in merge(self._ordered(), values, *streams, key=_place))
            yield list(islice(told, PIECE))
            while further := list(islice(told, PIECE)):
                yield further

    def _begin(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Take the first values of lifetimes that begin here; the rows that are left."""
        first = pl.col("twin").is_in(list(self._begun)) & (pl.col("table") == 0) & (pl.col("lane") == "observed")
        for changes in self._told(rows.filter(first)):
            for change in changes:
                self._document(change)
        return rows.filter(~first)

    def _values(self, rows: pl.DataFrame) -> Iterator[list[_Placed]]:
        """Events of values, in their order."""
        for changes in self._told(rows):
            for change in changes:
                self._change(change)
            yield self._ordered()

    def _told(self, rows: pl.DataFrame) -> Iterator[Iterator[Change]]:
        before = self._commit.kind not in _WRITES
        return self._changes.told(self._principal, self._commit.number, rows, PIECE, before=before, seen=self._seen)

    def _put(self, event: Event, lifetime: int, phase: int, at: int = 0, *, number: int | None = None) -> None:
        self._number += 1
        self._placed.append((_Place(event.key, lifetime, phase, at, self._number if number is None else number), event))

    # --- twins -------------------------------------------------------------------------------------------------------

    def _lives(self, versions: Iterable[Lifetime]) -> None:
        held: dict[int, Lifetime] = {}
        for life in versions:
            before = held.get(life.number)
            held[life.number] = life
            if life.commit <= self._after:
                continue
            self._touched.setdefault(life.twin, []).append(life)
            if before is None:
                self._begun[life.number] = life
            elif before.interface != life.interface:
                if life.number in self._begun:
                    self._begun[life.number] = life
                else:
                    patch = [{"op": "replace", "path": "/$metadata/$model", "value": life.interface}]
                    self._update(types.TWIN_UPDATE, life.twin, life.number, life.interface, patch, self._commit.at)
            if not life.alive and (before is None or before.alive):
                data = {"$dtId": life.twin, "$metadata": {"$model": life.interface}}
                event = self._make(types.TWIN_DELETE, life.twin, self._commit.at, data, subject=life.twin, discriminator=life.number)
                self._put(event, life.number, 3)

    def _create(self, life: Lifetime) -> None:
        components = self._ontology.component_paths(life.interface) if life.interface in self._ontology.interfaces else ()
        values = bodies.nested(self._documents.get(life.number, {}).items(), components)
        data = {"$dtId": life.twin, **values, "$metadata": {"$model": life.interface}}
        event = self._make(types.TWIN_CREATE, life.twin, self._commit.at, data, subject=life.twin, discriminator=life.number)
        self._put(event, life.number, 0)

    # --- values ------------------------------------------------------------------------------------------------------

    def _document(self, change: Change) -> None:
        document = self._documents.setdefault(change.lifetime, {})
        for path, value in change.values.items():
            if value["quality"] == "good":
                document[path] = value["value"]
            else:
                document.pop(path, None)

    def _change(self, change: Change) -> None:
        interface = self._interface(change)
        at = change.time if change.time > 0 else self._commit.at  # what is declared holds since ever
        parts: dict[str, list[dict[str, Any]]] = {}
        telemetry: list[tuple[str, Any]] = []
        paths = self._ontology.paths(interface) if interface in self._ontology.interfaces else {}
        for path, value in change.values.items():
            if change.before.get(path) == value:
                continue  # it was said again
            info = paths.get(path)
            kind = _kind(change, path, value)
            if kind == types.TWIN_UPDATE and info is not None and info.kind == "telemetry":
                if change.source != "api":  # a message of a client is told whole, as its record
                    telemetry.append((path, value["value"]))
            else:
                parts.setdefault(kind, []).append(_part(kind, path, value, change.before.get(path)))
        for type, part in parts.items():
            self._update(type, change.twin, change.lifetime, interface, part, at, change)
        if telemetry:
            told = self._message(change.twin, None, bodies.nested(telemetry, ()), interface, at, change.source, change.time)
            self._put(told, change.lifetime, 1, change.time)

    def _interface(self, change: Change) -> str:
        lives = [life for life in self._touched.get(change.twin, ()) if life.number == change.lifetime]
        return lives[-1].interface if lives else change.interface

    def _update(
        self, type: str, twin: str, lifetime: int, interface: str, parts: list[dict[str, Any]], at: int, change: Change | None = None
    ) -> None:
        named = "patch" if type in (types.TWIN_UPDATE, types.LANE_UPDATE) else "values"
        data = {"modelId": interface, named: parts}
        lane = change.lane if change is not None and change.lane != "observed" else None
        source = None if change is None else change.source
        apart = lifetime if change is None else (lifetime, change.time)
        event = self._make(type, twin, at, data, subject=twin, lane=lane, datasource=source, discriminator=apart)
        self._put(event, lifetime, 1, at if change is None else change.time)

    def _message(self, twin: str, component: str | None, payload: Any, interface: str, at: int, datasource: str, apart: object) -> Event:
        """Telemetry has its twin in the source, and the component it is of as its subject."""
        source = f"{self._source}/digitaltwins/{quote(twin, safe='')}"
        subject = component.replace("/", ".") if component else None
        return self._make(
            types.TELEMETRY,
            twin,
            at,
            payload,
            subject=subject,
            source=source,
            dataschema=interface,
            datasource=datasource,
            discriminator=apart,
        )

    # --- relationships and records -----------------------------------------------------------------------------------

    def _edges(self, versions: Iterable[Relationship], told: Container[tuple[EdgeKey, int | None]] | None = None) -> None:
        """Of all these versions, or of those that are `told` by key and time alone."""
        by_key: dict[EdgeKey, list[Relationship]] = {}
        for edge in versions:
            by_key.setdefault(edge.key, []).append(edge)
        for key, edges in by_key.items():
            last_removal = max((at for at, edge in enumerate(edges) if edge.removed), default=-1)
            for at, edge in enumerate(edges):
                if edge.commit > self._after and (told is None or (key, edge.changed_at) in told):
                    before = edges[at - 1] if at and not edges[at - 1].removed else None
                    self._edge(edge, before, self._lifetime(edge.source, ended=at <= last_removal))

    def _many_edges(self, twin: str) -> Iterator[list[_Placed]]:
        """The events of a twin that has very many, in their order and a piece at a time."""
        store, principal, number = self._store, self._principal, self._commit.number
        behind = None
        while piece := store.commit_relationships(principal, number, twin, behind, PIECE):
            told = {(edge.key, edge.changed_at) for edge in piece}
            self._edges(store.relationship_versions(principal, self._after, number, keys={key for key, _ in told}), told)
            yield self._ordered()
            behind = piece[-1].changed_at, piece[-1].id

    def _edge(self, edge: Relationship, before: Relationship | None, lifetime: int) -> None:
        subject = f"{edge.source}/relationships/{edge.id}"
        if before is not None and not edge.removed and (before.name, before.target) == (edge.name, edge.target):
            type, data = types.RELATIONSHIP_UPDATE, {"modelId": edge.name, "patch": _patch(before.properties, edge.properties)}
            if not data["patch"]:
                return
        else:
            type = types.RELATIONSHIP_DELETE if edge.removed else types.RELATIONSHIP_CREATE
            own = {"$relationshipId": edge.id, "$sourceId": edge.source, "$relationshipName": edge.name, "$targetId": edge.target}
            data = {**own, **edge.properties}
        event = self._make(type, edge.source, self._commit.at, data, subject=subject, discriminator=edge.changed_at)
        self._put(event, lifetime, 2, edge.changed_at or 0, number=-1)  # before messages of that time; they come by id

    def _lifetime(self, twin: str, *, ended: bool) -> int:
        """Which of the lifetimes that changed here something belongs to: the one that ended, or the newest; 0 where none changed."""
        lives = self._touched.get(twin, ())
        if ended and (gone := [life.number for life in lives if not life.alive]):
            return gone[0]
        return max((life.number for life in lives), default=0)

    # --- versions of interfaces ----------------------------------------------------------------------------------------

    def _evolved(self, stages: Iterable[Record], audited: Iterable[Record]) -> None:
        """What an apply did of migrations; what was retired."""
        for one in stages:
            body = one.body
            counts = {"share": body["share"], "twins": len(body["there"]), "back": len(body["back"]), "left": body["left"]}
            data = {"migration": one.id, "from": body["from"], "to": body["to"], **counts}
            self._put(self._make(types.MIGRATION_STAGE, "", self._commit.at, data, subject=one.id), 0, 2)
        for one in audited:
            if one.id.startswith("retire-"):
                data = {"modelId": one.body["interface"]}
                self._put(self._make(types.INTERFACE_RETIRE, "", self._commit.at, data, subject=one.body["interface"]), 0, 2)

    def _migrated(self, moves: Iterable[_Move]) -> None:
        """The twins that were moved, step by step."""
        twins = {life.number: life.twin for lives in self._touched.values() for life in lives}
        for one in moves:
            data = {"modelId": one.new, "migration": one.migration, "from": one.old, "to": one.new, "rolledBack": one.back}
            for number in twins.keys() & one.numbers:
                twin, apart = twins[number], (number, one.migration)
                event = self._make(types.TWIN_MIGRATE, twin, self._commit.at, data, subject=twin, discriminator=apart)
                self._put(event, number, 1, self._commit.at)

    def _records(self, records: Iterable[Record]) -> None:
        for record in records:
            body = record.body
            if record.kind == MESSAGE:
                twin, sent = str(body["twin"]), _micros(body["time"], self._commit.at)
                event = self._message(twin, body.get("component"), body["payload"], body["interface"], sent, "api", record.id)
                self._put(event, self._lifetime(twin, ended=False), 2, sent)
            elif not body.get("pruned"):  # a run that is let go of was told when it ended
                twin = str(body.get("twin") or "")
                event = self._make(_RECORDS[record.kind], twin, self._commit.at, body, subject=record.id, discriminator=record.id)
                self._put(event, 0, 2)


class _Move:
    """Lifetimes that a migration moved to another version, or sent back."""

    def __init__(self, numbers: Iterable[int], migration: str, old: str, new: str, *, back: bool) -> None:
        self.numbers, self.migration, self.old, self.new, self.back = frozenset(numbers), migration, old, new, back


def _together(counts: Mapping[str, int]) -> Iterator[list[str]]:
    """Twins in the order of their ids, with some PIECE of what is counted; "", which is none, comes first."""
    twins, held = [""], counts.get("", 0)
    for twin in sorted(counts.keys() - {""}):
        if held >= PIECE:
            yield twins
            twins, held = [], 0
        twins.append(twin)
        held += counts[twin]
    yield twins


def _in_order(stages: Sequence[Record]) -> list[Record]:
    """Migrations in the order of versions."""
    before = {one.body["to"]: one.body["from"] for one in stages}

    def depth(one: Record) -> int:
        at, steps = one.body["from"], 0
        while at in before:
            at, steps = before[at], steps + 1
        return steps

    return sorted(stages, key=depth)


def _kind(change: Change, path: str, value: Mapping[str, Any]) -> str:
    if change.lane != "observed":
        return types.LANE_UPDATE
    if value["quality"] == "bad":
        return types.QUALITY
    if path in change.before or (value["quality"] == "removed" and change.source != "api"):
        return types.CORRECTION
    return types.TWIN_UPDATE


def _part(kind: str, path: str, value: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
    """A step of a JSON Patch; or what is said now, and was."""
    if kind in (types.TWIN_UPDATE, types.LANE_UPDATE):
        if value["quality"] != "good":
            return {"op": "remove", "path": f"/{path}"}
        return {"op": "add", "path": f"/{path}", "value": value["value"]}
    return {"path": path, **value, **({"before": dict(before)} if before is not None else {})}


def _patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    gone = [{"op": "remove", "path": f"/{name}"} for name in before if name not in after]
    return gone + [
        {"op": "replace" if name in before else "add", "path": f"/{name}", "value": value}
        for name, value in after.items()
        if name not in before or before[name] != value
    ]


def _micros(text: Any, otherwise: int) -> int:
    try:
        return from_iso(str(text), where="time")
    except UsageError:
        return otherwise
