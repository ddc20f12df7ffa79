"""Up to when raw history is gone, and which reads can't be answered from what is left: those are refused, never approximated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from twinwright.clock import to_iso
from twinwright.errors import NotFoundError, RefusedError
from twinwright.governance.principals import Principal
from twinwright.storage.layout import Selection
from twinwright.storage.protocol import Store
from twinwright.twins.documents import Cell
from twinwright.twins.evolution import UNCHANGED, Evolution
from twinwright.twins.registry import TwinRegistry

KIND: Final = "expired"  # of the record of each source


def gone_before(store: Store, principal: Principal) -> dict[str, int]:
    """Of every interface and path of which raw values are gone the time before which they are, the latest of all sources."""
    found: dict[str, int] = {}
    for record in store.records(principal, KIND):
        for key, before in record.body["before"].items():
            found[key] = max(before, found.get(key, before))
    return found


def gone_of(evolution: Evolution, before: Mapping[str, int], interface: str, path: str) -> int | None:
    """The same of one interface and path, under whatever version and name it was let go of."""
    names = sorted(evolution.stored_as(path))
    keys = [f"{version} {name}" for version in evolution.lineages.versions(interface) for name in names]
    return max((before[key] for key in keys if key in before), default=None)


class Expired:
    """Reads the records that are written with each expiry: `INTERFACE PATH` -> the event time before which raw values are gone."""

    def __init__(self, store: Store, registry: TwinRegistry, evolution: Evolution = UNCHANGED) -> None:
        self._store, self._registry, self._evolution = store, registry, evolution

    def of_source(self, principal: Principal, source: str) -> dict[str, int]:
        """What is gone of one source, by interface and path."""
        try:
            return dict(self._store.get_record(principal, KIND, source).body["before"])
        except NotFoundError:
            return {}

    def before(self, principal: Principal, twin: str, path: str) -> int | None:
        """Of one path of a twin, whatever the source; None: nothing is gone."""
        return max(self.by_source(principal, twin, path).values(), default=None)

    def by_source(self, principal: Principal, twin: str, path: str) -> dict[str, int]:
        """Of one path of a twin, for each source of which something is gone."""
        found: dict[str, int] = {}
        for record in self._store.records(principal, KIND):
            gone = [gone_of(self._evolution, record.body["before"], life.interface, path) for life in self._registry.lifetimes_of(twin)]
            if latest := [at for at in gone if at is not None]:
                found[record.id] = max(latest)
        return found

    def require_series(self, before: int | None, start: int | None, path: str) -> None:
        """Raises RefusedError for a window that reaches to before what is left."""
        if before is not None and start is not None and start < before:
            raise RefusedError(
                f"raw history before {to_iso(before)} is gone", where=path, remedy=f"Begin at {to_iso(before)}, or use windows (--every)"
            )

    def require_known(self, before: int | None, start: int | None, path: str) -> None:
        """Raises RefusedError where what was known once is asked of a time that is gone."""
        if before is not None and (start is None or start < before):
            remedy = f"Begin at {to_iso(before)}, or ask without known-at"
            raise RefusedError(f"what was known of the time before {to_iso(before)} is gone", where=path, remedy=remedy)

    def require_cells(self, principal: Principal, selection: Selection, found: Mapping[tuple[int, str], Cell]) -> None:
        """Raises RefusedError where a cell of the past (as of a time, or as known at a commit) may have been one that is gone.

        A value at or after what is gone is what it was. One before can only be told where it is the newest of all, which is kept.
        """
        before = gone_before(self._store, principal)
        if not before:
            return
        newest = self._store.latest(principal, Selection(selection.lifetimes, selection.paths, selection.lane))
        for row in _old(newest.to_pylist()):
            life = self._registry.lifetime(row["twin"])
            gone = gone_of(self._evolution, before, life.interface, row["path"])
            cell = found.get((row["twin"], row["path"]))
            if gone is None or (cell is not None and (cell["time"] >= gone or cell["time"] == row["time"])):
                continue
            what = f"'{row['path']}' of '{life.twin}' can't be told: raw history before {to_iso(gone)} is gone"
            raise RefusedError(what, where=life.twin, remedy="Ask for a later time, or for windows of its history (--every)")


def _old(rows: Iterable[Cell]) -> Iterable[Cell]:
    return [row for row in rows if row["source"] != "api"]
