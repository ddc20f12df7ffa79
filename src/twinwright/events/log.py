"""The commit log as events: what each commit did, in an order in which each twin's story makes sense.

Events are a function of the commit, read apart from its neighbours. Whoever reads again, alone or after a crash, is told the same ones
with the same ids.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from types import MappingProxyType
from typing import Final

from twinwright.events.cloudevents import Event
from twinwright.events.telling import LANES, Telling
from twinwright.governance.principals import Principal
from twinwright.schema import Ontology
from twinwright.storage.layout import Commit, Lane
from twinwright.storage.protocol import Store
from twinwright.twins.changes import ChangeLog, range_end
from twinwright.twins.evolution import MOVED
from twinwright.twins.evolution.view import Seen

RANGE_READINGS: Final = 2_000
RANGE_COMMITS: Final = 100
_WEIGHTS: Final = {"graph": RANGE_READINGS // 20, "derived": RANGE_READINGS // 4, "shadow": RANGE_READINGS // 4}
_KEPT: Final = 64  # commits whose events are remembered for others that follow
_KEPT_EVENTS: Final = 20_000
_SILENT: Final = frozenset(
    {"sink", "materialise", "expire", "expire-history", "clock", "webhook", "simulated", "shadow-switch"}
)  # nothing is told of them
_NOBODY: Final[Seen] = MappingProxyType({})


class EventLog:
    """Reads the log under one set of applied interfaces and twins."""

    def __init__(self, store: Store, changes: ChangeLog, ontology: Ontology, source: str, served: int) -> None:
        """`source` is a URI reference that names the platform, `served` the commit up to which it knows what is applied."""
        self._store, self._changes, self._ontology, self._source, self._served = store, changes, ontology, source, served
        self._kept: OrderedDict[int, list[Event]] = OrderedDict()
        self._moves: list[int] | None = None  # the commits that moved twins to other versions
        self._seen: dict[int, Seen] = {}  # by one of those: the interfaces that they were of until then
        self._lock = threading.Lock()

    def through(self, principal: Principal, after: int) -> int:
        """The end of the range of commits to be read next after one."""
        end = range_end(self._store, principal, after, after + RANGE_COMMITS, RANGE_READINGS, _WEIGHTS)
        later = (one.number for one in self._store.commits(principal, first=max(after, self._served) + 1, last=end) if one.kind == "apply")
        return min([end, *(number - 1 for number in later)])  # what an apply brings is told by who knows of it

    def between(self, principal: Principal, after: int, through: int, lanes: Collection[Lane] = LANES) -> Iterator[Event]:
        """What the commits after one, through another, did: by commit, and of each twin in the order in which it happened."""
        for commit in self._store.commits(principal, first=after + 1, last=through):
            for event in self._of(principal, commit):
                if event.body.get("lane", "observed") in lanes:
                    yield event

    def _of(self, principal: Principal, commit: Commit) -> Iterable[Event]:
        """Those of a commit; of one that has very many only a piece is held."""
        if commit.kind in _SILENT:
            return ()
        with self._lock:
            held = self._kept.get(commit.number)
        if held is not None:
            return held
        seen = self._as_then(principal, commit.number)
        pieces = Telling(self._store, self._changes, self._ontology, self._source, principal, commit, seen).pieces()
        first, second = next(pieces, []), next(pieces, None)
        if second is not None:
            return chain(first, second, chain.from_iterable(pieces))
        with self._lock:
            self._kept[commit.number] = first
            while len(self._kept) > 1 and (len(self._kept) > _KEPT or sum(map(len, self._kept.values())) > _KEPT_EVENTS):
                self._kept.popitem(last=False)
        return first

    def _as_then(self, principal: Principal, number: int) -> Seen:
        """The interfaces of lifetimes that were moved by a later commit: events of what came before are in the names of then, whenever
        they are read."""
        with self._lock:
            if self._moves is None:
                self._moves = sorted({one.commit for one in self._store.record_versions(principal, [MOVED], 0, self._served)})
            later = self._moves[bisect_right(self._moves, number) :]
            if not later:
                return _NOBODY
            if later[0] not in self._seen:
                versions = self._store.lifetime_versions(principal, later[0] - 1, self._served)
                self._seen[later[0]] = {life.number: life.interface for life in versions if life.commit < later[0]}
            return self._seen[later[0]]
