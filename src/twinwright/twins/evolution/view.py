"""Records as a version of the interface has them: the one function that every read of observations goes through.

A record keeps its unit, so a changed unit is the reader's own conversion; a renamed path takes another name; what an expression says is
computed. Event time, source, correction and commit stay what they are, so the greatest version still counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, cast

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from twinwright import units
from twinwright.governance.principals import Principal
from twinwright.storage.duckdb_totals import totals_of
from twinwright.storage.layout import Selection
from twinwright.storage.protocol import BAD, GOOD, RECORD_SCHEMA, Store
from twinwright.storage.totals import What
from twinwright.storage.united import frame
from twinwright.twins.evolution.lineage import NO_LINEAGES, Lineages, Route
from twinwright.twins.evolution.migration import KINDS, Way
from twinwright.twins.quality import Criteria
from twinwright.twins.registry import TwinRegistry

Seen = Mapping[int, str]  # as which version lifetimes are read, where it is not their own
_KEY: Final = ["twin", "path", "time", "source"]
_VERSION: Final = ["correction", "revision", "kind"]
_WHOLE: Final = 1e-9  # how far, relatively, a computed whole number may be from one


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
        """Cells as rows of RECORD_SCHEMA, translated."""
        found = list(cells)
        if not self.active or not any(self._interface(number) for number in {cell["twin"] for cell in found}):
            return found
        translated: list[Mapping[str, Any]] = self.table(pa.Table.from_pylist(found, schema=RECORD_SCHEMA)).to_pylist()
        return translated

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
            parts += [_along(part.drop("_version"), target, route) for target, route in becomes.items()]
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


def _along(rows: pl.DataFrame, path: str, route: Route) -> pl.DataFrame:
    """Records of one path as those of another."""
    for way in route:
        if way.by is not None:
            rows = _computed(rows, way)
    return rows.with_columns(pl.lit(path).alias("path"))


def _computed(rows: pl.DataFrame, way: Way) -> pl.DataFrame:
    """Values by the expression of a way; one that can't be computed is bad. What was bad or removed stays it."""
    assert way.by is not None
    kind = way.by.kinds[way.path]
    made = way.by.columns({way.path: _operand(rows, kind, _unit_of_operand(way))}, len(rows))
    told: dict[str, Any] = {"num": pl.lit(None, pl.Float64), "int": pl.lit(None, pl.Int64), "txt": pl.lit(None, pl.String)}
    if KINDS[way.held] == "number":
        made = pl.select(pl.when(made.is_finite()).then(made)).to_series()
    if way.held == "BIGINT":
        near = made.round()
        made = pl.select(pl.when((made - near).abs() <= _WHOLE * near.abs().clip(1.0)).then(near)).to_series().cast(pl.Int64, strict=False)
    good = (rows["kind"] == GOOD) & made.is_not_null()
    failed = (rows["kind"] == GOOD) & made.is_null()
    column = {"DOUBLE": "num", "VARCHAR": "txt"}.get(way.held, "int")
    dtype = {"num": pl.Float64, "int": pl.Int64, "txt": pl.String}[column]
    kept = pl.select(pl.when(good).then(made.cast(dtype))).to_series()
    kinds = pl.select(pl.when(failed).then(pl.lit(BAD, pl.Int8)).otherwise(rows["kind"])).to_series()
    told |= {column: kept, "type": pl.lit(way.held), "unit": pl.lit(way.by.type.unit, pl.String), "kind": kinds.cast(pl.Int8)}
    return rows.with_columns(**told)


def _unit_of_operand(way: Way) -> str | None:
    """The unit in which the expression has its one name."""
    assert way.by is not None
    waiting = [way.by.root]
    while waiting:
        part = waiting.pop()
        if part.op == "name":
            return part.type.unit
        waiting += part.args
    return None


def _operand(rows: pl.DataFrame, kind: str, unit: str | None) -> pl.Series:
    """The values of records as an expression takes them: missing where they are not good."""
    if kind == "text":
        return rows["txt"]
    if kind == "boolean":
        return rows["int"].cast(pl.Boolean)
    values = rows.select(pl.coalesce("num", pl.col("int").cast(pl.Float64))).to_series()
    for given in rows["unit"].unique().to_list():
        affine = units.converter(given, unit)
        if not affine.is_identity:
            mine = rows["unit"].eq_missing(pl.Series([given], dtype=pl.String))
            values = pl.select(pl.when(mine).then(values * affine.factor + affine.offset).otherwise(values)).to_series()
    return values


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
