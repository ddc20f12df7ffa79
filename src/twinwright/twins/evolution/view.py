"""Records as a version of the interface has them: the one function that every read of observations goes through.

A record keeps its unit, so a changed unit is the reader's own conversion; a renamed path takes another name; what an expression says is
computed. Event time, source, correction and commit stay what they are, so the greatest version still counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, cast

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from twinwright.governance.principals import Principal
from twinwright.storage.duckdb_totals import totals_of
from twinwright.storage.layout import Selection
from twinwright.storage.protocol import GOOD, RECORD_SCHEMA, Store
from twinwright.storage.totals import What
from twinwright.storage.united import frame
from twinwright.twins.evolution.lineage import NO_LINEAGES, Lineages
from twinwright.twins.evolution.ways import Route, along
from twinwright.twins.quality import Criteria
from twinwright.twins.registry import TwinRegistry

Seen = Mapping[int, str]  # as which version lifetimes are read, where it is not their own
_KEY: Final = ["twin", "path", "time", "source"]
_VERSION: Final = ["correction", "revision", "kind"]
_key: Final = itemgetter(*_KEY)
_order: Final = itemgetter(*_KEY, *_VERSION)


class Evolution:
    """What is known of versions for one set of applied migrations and twins. `seen` says as which version some lifetimes are read, and
    `version` as which one all those of other versions of it are."""

    def __init__(
        self,
        lineages: Lineages = NO_LINEAGES,
        registry: TwinRegistry | None = None,
        seen: Seen = MappingProxyType({}),
        version: str | None = None,
    ) -> None:
        self.lineages, self._registry, self._seen, self.version = lineages, registry, seen, version

    @property
    def active(self) -> bool:
        return self.lineages.active and self._registry is not None

    def seen_as(self, seen: Seen) -> Evolution:
        """The same, with some lifetimes read as other versions."""
        return Evolution(self.lineages, self._registry, seen, self.version) if seen else self

    def as_version(self, dtmi: str) -> Evolution:
        """The same, with all lifetimes of other versions of an interface read as of that one."""
        return Evolution(self.lineages, self._registry, self._seen, dtmi)

    def shown(self, interface: str) -> str:
        """As which version twins of an interface are read."""
        return self.version if self.version is not None and self.lineages.related(interface, self.version) else interface

    def over(self, store: Store) -> Store:
        """A store of which observations are read through this."""
        return cast(Store, EvolvedStore(store, self)) if self.active else store

    def stored_as(self, path: str) -> set[str]:
        """Every path under which what some version calls so may be stored."""
        found = {path}
        for one in self.lineages.migrations.values():
            for dtmi in (one.old, one.new):
                found.update(self.lineages.routes(dtmi, path))
        return found

    def criteria(self, given: Mapping[tuple[str, str], Criteria]) -> Mapping[tuple[str, str], Criteria]:
        """What is held against sources by path, also by the names that the paths have in other versions; what is computed is not judged."""
        found = dict(given)
        for source, stored in given:
            for one in self.lineages.migrations.values():
                for dtmi in (one.old, one.new):
                    becomes = self.lineages.becomes(dtmi, stored).items()
                    renamed = {(source, path): given[source, stored] for path, route in becomes if all(way.by is None for way in route)}
                    found = {**renamed, **found}
        return found

    def _interface(self, number: int) -> str | None:
        """As which version a lifetime is read; None where no migration is about it, or it is not known."""
        assert self._registry is not None
        found = self._seen.get(number)
        life = self._registry.find(number) if found is None else None
        found = life.interface if life is not None else found
        return self.shown(found) if found is not None and len(self.lineages.versions(found)) > 1 else None

    # --- reading -------------------------------------------------------------------------------------------------------

    def history(self, store: Store, principal: Principal, selection: Selection) -> pa.Table:
        """As `Store.history`, of the paths of the versions that lifetimes are read as."""
        every = replace(self._stored(selection), good_only=False)  # under another name there may be a greater version, which is bad
        rows = self.table(store.history(principal, every), selection.paths)
        return rows.filter(pc.equal(rows["kind"], GOOD)) if selection.good_only else rows

    def latest(self, store: Store, principal: Principal, selection: Selection) -> pa.Table:
        """As `Store.latest`."""
        found = store.latest(principal, self._stored(selection))
        rows = self.table(found, selection.paths)
        if rows is found and not (selection.good_only and len(rows)):
            return rows
        if selection.good_only and (pc.any(pc.not_equal(rows["kind"], GOOD)).as_py() or self._meet(store, principal, selection)):
            rows = self.history(store, principal, selection)  # computed it is bad, or may be said to be under another name
        newest = frame(rows).sort("time", "source", *_VERSION).unique(["twin", "path"], keep="last").sort("twin", "path")
        return newest.to_arrow().cast(RECORD_SCHEMA)

    def _meet(self, store: Store, principal: Principal, selection: Selection) -> bool:
        """Whether records under several names, bad ones too, are of one path: of one key the version under the other may be the greater."""
        every = store.latest(principal, replace(self._stored(selection), good_only=False))
        met: set[tuple[str, str]] = set()
        for dtmi in self.lineages.migrated:
            for stored in pc.unique(every["path"]).to_pylist():
                mine = {(dtmi, path) for path in self.lineages.becomes(dtmi, stored)}
                if met & mine:
                    return True
                met |= mine
        return False

    def _stored(self, selection: Selection) -> Selection:
        """The paths to read for those that are wanted."""
        if selection.paths is None:
            return selection
        return replace(selection, paths=tuple(sorted(set().union(*(self.stored_as(path) for path in selection.paths)))))

    def cells(self, cells: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """What `table` makes of records, of single ones: rows of RECORD_SCHEMA."""
        found = list(cells)
        versions = {number: self._interface(number) for number in {cell["twin"] for cell in found}} if self.active else {}
        if not any(versions.values()):
            return found
        parts: dict[tuple[str | None, str], list[Mapping[str, Any]]] = {}
        for cell in found:
            parts.setdefault((versions[cell["twin"]], cell["path"]), []).append(cell)
        told: list[Mapping[str, Any]] = []
        for (version, stored), part in parts.items():
            if version is None:
                told += part
                continue
            for path in self.lineages.becomes(version, stored):
                told += self.lineages.single(version, stored, path).along(part, path)
        told.sort(key=_order)
        return list({_key(cell): cell for cell in told}.values())

    # --- translating ---------------------------------------------------------------------------------------------------

    def table(self, rows: pa.Table, wanted: Sequence[str] | None = None) -> pa.Table:
        """Records (the columns of RECORD_SCHEMA, `commit` or others beside) as the versions have them: all paths of these, or those wanted.
        What no path of a version comes from is left out."""
        if not self.active or len(rows) == 0:
            return rows
        versions = {number: self._interface(number) for number in pc.unique(rows["twin"]).to_pylist()}
        paths = pc.unique(rows["path"]).to_pylist()
        asked = {dtmi: {path: self._targets(dtmi, path, wanted) for path in paths} for dtmi in {*versions.values()} if dtmi is not None}
        plain = {path: {path: ()} for path in paths if wanted is None or path in wanted}
        if all(plain.get(path, {}) == becomes for one in asked.values() for path, becomes in one.items()) and len(plain) == len(paths):
            return rows
        versioned = frame(rows).with_columns(pl.col("twin").replace_strict(versions, return_dtype=pl.String).alias("_version"))
        parts = []
        for (version, path), part in versioned.partition_by("_version", "path", as_dict=True, maintain_order=True).items():
            becomes = plain.get(str(path), {}) if version is None else asked[str(version)][str(path)]
            parts += [along(part.drop("_version"), target, route) for target, route in becomes.items()]
        if not parts:
            return rows.slice(0, 0)
        merged = pl.concat(parts).sort(*_KEY, *_VERSION).unique(_KEY, keep="last", maintain_order=True)
        return merged.to_arrow().cast(rows.schema)

    def _targets(self, dtmi: str, stored: str, wanted: Sequence[str] | None) -> Mapping[str, Route]:
        if wanted is None:
            return self.lineages.becomes(dtmi, stored)
        found: dict[str, Route] = {}
        for path in wanted:
            version = self.lineages.speaker(dtmi, path)
            routes = self.lineages.routes(version, path) if version is not None else {}
            if stored in routes:
                found[path] = routes[stored]
        return found


class EvolvedStore:
    """A store of which observations are read through what was migrated. All else is the store's own; nothing is kept here."""

    def __init__(self, store: Store, evolution: Evolution) -> None:
        self._store, self.evolution = store, evolution

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def history(self, principal: Principal, selection: Selection) -> pa.Table:
        """See `Store.history`."""
        if not self.evolution.active:
            return self._store.history(principal, selection)
        return self.evolution.history(self._store, principal, selection)

    def window_totals(self, principal: Principal, selection: Selection, what: What) -> pa.Table:
        """See `Store.window_totals`."""
        if not self.evolution.active:
            return self._store.window_totals(principal, selection, what)
        return totals_of(self.history(principal, selection), what)

    def latest(self, principal: Principal, selection: Selection) -> pa.Table:
        """See `Store.latest`."""
        if not self.evolution.active:
            return self._store.latest(principal, selection)
        return self.evolution.latest(self._store, principal, selection)


UNCHANGED: Final = Evolution()
