"""What a fork says otherwise than the commit that it forks, or than the workspace now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from twinwright.clock import to_iso
from twinwright.errors import UsageError
from twinwright.governance.principals import Principal
from twinwright.platform.forks import Fork
from twinwright.platform.session import Session
from twinwright.storage.layout import LANES, Lane, Lifetime, Relationship, Selection
from twinwright.storage.protocol import BAD, REMOVED
from twinwright.twins.documents import Cell, value_of

AGAINST: Final = ("base", "live")
_SHOWN: Final = ("value", "quality", "time", "source")


@dataclass(frozen=True, slots=True)
class _Side:
    """A session as known at one of its commits."""

    session: Session
    commit: int

    def lives(self, principal: Principal) -> dict[str, Lifetime]:
        """The twins that are there."""
        return {life.twin: life for life in self.session.store.lifetimes(principal, known_at=self.commit) if life.alive}

    def edges(self, principal: Principal) -> dict[tuple[str, str], Relationship]:
        found = self.session.store.relationships(principal, known_at=self.commit)
        return {edge.key: edge for edge in found}

    def values(self, principal: Principal, lives: Iterable[Lifetime], lane: Lane) -> dict[tuple[str, str], dict[str, Any]]:
        """By twin and path, what is current; nothing of what is removed."""
        by_number = {life.number: life for life in lives}
        selection = Selection(lifetimes=tuple(sorted(by_number)), lane=lane, known_at=self.commit)
        cells = self.session.served.reads.cells(principal, selection) if by_number else {}
        return {
            (by_number[number].twin, path): self._shown(by_number[number], cell)
            for (number, path), cell in cells.items()
            if cell["kind"] != REMOVED
        }

    def _shown(self, life: Lifetime, cell: Cell) -> dict[str, Any]:
        info = self.session.served.reads.shape(life.interface).paths.get(cell["path"])
        bad = cell["kind"] == BAD
        value = None if bad else value_of(cell, info)
        return dict(zip(_SHOWN, (value, "bad" if bad else "good", to_iso(cell["time"]), cell["source"]), strict=True))

    def touched(self, principal: Principal, after: int) -> tuple[set[str], bool]:
        """The twins of which the commits after one said something, and whether they did of relationships."""
        store = self.session.store
        numbers = set(store.touched(principal, after, self.commit)["twin"].unique().to_pylist())
        versions = store.lifetime_versions(principal, after, self.commit)
        names = {life.number: life.twin for life in store.lifetimes(principal, known_at=self.commit)} if numbers else {}
        twins = {names[number] for number in numbers if number in names} | {life.twin for life in versions}
        return twins, bool(store.relationship_versions(principal, after, self.commit))


def differences(fork: Fork, opened: Session, live: Session, principal: Principal, against: str, limit: int) -> dict[str, Any]:
    """`fork base commit against counts{twins relationships values} twins[] relationships[] values[] readings{}`; each list has at most
    `limit`. Raises UsageError."""
    if against not in AGAINST:
        raise UsageError(f"there is nothing called '{against}' to compare with", where="against", remedy="Use base or live")
    ours = _Side(opened, opened.store.last_commit(principal))
    twins, of_edges = ours.touched(principal, fork.commit)
    other = _Side(opened, fork.commit)
    if against == "live":
        other = _Side(live, live.store.last_commit(principal))
        more, also = other.touched(principal, fork.commit)
        twins, of_edges = twins | more, of_edges or also
    theirs, mine = other.lives(principal), ours.lives(principal)
    found = {
        "twins": list(_twins(theirs, mine, twins)),
        "relationships": list(_edges(other.edges(principal), ours.edges(principal))) if of_edges else [],
        "values": [one for lane in LANES for one in _values(principal, (other, theirs), (ours, mine), twins, lane)],
    }
    read = opened.store.counts(principal).values()
    return {
        "fork": fork.name,
        "base": fork.commit,
        "commit": ours.commit,
        "against": against,
        "counts": {name: len(items) for name, items in found.items()},
        "readings": {name: sum(getattr(one, name) for one in read) for name in ("received", "accepted", "duplicate", "dead_lettered")},
        **{name: items[:limit] for name, items in found.items()},
    }


def _twins(theirs: Mapping[str, Lifetime], mine: Mapping[str, Lifetime], touched: Collection[str]) -> Iterable[dict[str, Any]]:
    for twin in sorted(touched):
        before, after = theirs.get(twin), mine.get(twin)
        change = _change(before and before.interface, after and after.interface)
        if change:
            yield {"twin": twin, "change": change, "interface": (after or before or theirs[twin]).interface}


def _edges(theirs: Mapping[tuple[str, str], Relationship], mine: Mapping[tuple[str, str], Relationship]) -> Iterable[dict[str, Any]]:
    for source, id in sorted(theirs.keys() | mine.keys()):
        before, after = theirs.get((source, id)), mine.get((source, id))
        change = _change(_said(before), _said(after))
        if change:
            yield {"twin": source, "relationship": id, "change": change}


def _values(
    principal: Principal,
    other: tuple[_Side, Mapping[str, Lifetime]],
    ours: tuple[_Side, Mapping[str, Lifetime]],
    touched: Collection[str],
    lane: Lane,
) -> Iterable[dict[str, Any]]:
    theirs, mine = (side.values(principal, [lives[twin] for twin in touched if twin in lives], lane) for side, lives in (other, ours))
    for twin, path in sorted(theirs.keys() | mine.keys()):
        before, after = theirs.get((twin, path)), mine.get((twin, path))
        if before != after:
            yield {"twin": twin, "path": path, "lane": lane, "before": before, "fork": after}


def _said(edge: Relationship | None) -> object:
    return None if edge is None else (edge.name, edge.target, dict(edge.properties))


def _change(before: object, after: object) -> str | None:
    if before == after:
        return None
    return "added" if before is None else "removed" if after is None else "changed"
