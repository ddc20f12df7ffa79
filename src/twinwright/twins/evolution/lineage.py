"""Versions of an interface in their order, and by which ways what is stored under any of them is read as any other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from twinwright.errors import NotFoundError
from twinwright.schema import Ontology, PathInfo
from twinwright.storage.layout import Lifetime
from twinwright.twins.evolution.migration import Migration, Way
from twinwright.twins.evolution.ways import Route, SingleCells


class Lineages:
    """What the applied migrations say together. Immutable; `retired` versions are read through, and served no more."""

    def __init__(self, migrations: Mapping[str, Migration], ontology: Ontology, retired: Iterable[str] = ()) -> None:
        self.migrations = MappingProxyType(dict(migrations))
        self.retired = frozenset(retired)
        self._ontology = ontology
        self._from = {one.old: one for one in migrations.values()}
        self._to = {one.new: one for one in migrations.values()}
        self._versions: dict[str, tuple[str, ...]] = {}
        self._routes: dict[tuple[str, str], Mapping[str, Route]] = {}
        self._becomes: dict[tuple[str, str], Mapping[str, Route]] = {}
        self._met: dict[tuple[str, str], frozenset[str]] = {}
        self._single: dict[tuple[str, str, str], SingleCells] = {}

    @property
    def active(self) -> bool:
        """Whether there is any."""
        return bool(self.migrations)

    @property
    def migrated(self) -> frozenset[str]:
        """Every interface that a migration names."""
        return frozenset(dtmi for one in self.migrations.values() for dtmi in (one.old, one.new))

    def versions(self, dtmi: str) -> tuple[str, ...]:
        """All versions of an interface, the oldest first; it alone where no migration names it."""
        if dtmi not in self._versions:
            first = dtmi
            while first in self._to:
                first = self._to[first].old
            chain = [first]
            while chain[-1] in self._from:
                chain.append(self._from[chain[-1]].new)
            self._versions |= dict.fromkeys(chain, tuple(chain))
        return self._versions[dtmi]

    def served(self, dtmi: str) -> list[str]:
        """Those that clients and contracts may speak, the newest first."""
        return [one for one in reversed(self.versions(dtmi)) if one not in self.retired]

    def related(self, one: str, other: str) -> bool:
        """Whether one is a version of the other, or the same."""
        return one == other or (self.active and other in self.versions(one))

    def seen(self, life: Lifetime, interface: str | None) -> Lifetime:
        """A lifetime as a twin of another version of its interface (None: of its own). Raises NotFoundError for one that is none, or is
        retired."""
        if interface is None or interface == life.interface:
            return life
        if not self.related(life.interface, interface) or interface in self.retired:
            gone = interface in self.retired
            what = f"{interface} is retired" if gone else f"'{life.twin}' is a {life.interface}, of which {interface} is no version"
            raise NotFoundError(what, where="interface", remedy=f"Ask for one of: {', '.join(self.served(life.interface))}")
        return replace(life, interface=interface)

    def is_of(self, dtmi: str, base: str, ontology: Ontology) -> bool:
        """Whether a twin of an interface is one of `base`, or of what extends it, in any version that is served."""
        if not self.active:
            return ontology.is_subtype(dtmi, base)
        return any(ontology.is_subtype(one, base) for one in {dtmi, *self.served(dtmi)})

    def in_order(self) -> list[Migration]:
        """Each after the one that leads to where it begins."""
        return sorted(self.migrations.values(), key=lambda one: (self.versions(one.old), self.versions(one.old).index(one.old)))

    def paths(self, dtmi: str) -> dict[str, PathInfo]:
        """What may be observed of a twin of an interface: the paths of every version that is served, its own first."""
        found = dict(self._ontology.paths(dtmi))
        for version in self.served(dtmi) if self.active else ():
            for path, info in self._ontology.paths(version).items():
                found.setdefault(path, info)
        return found

    def speaker(self, dtmi: str, path: str) -> str | None:
        """The version that has a path: the interface itself, else of those that are served the nearest; None: none has it."""
        if dtmi not in self._ontology.interfaces or path in self._ontology.paths(dtmi):
            return dtmi
        versions = self.versions(dtmi)
        at = versions.index(dtmi)
        near = sorted(self.served(dtmi), key=lambda one: abs(versions.index(one) - at))
        return next((one for one in near if path in self._ontology.paths(one)), None)

    def names(self, dtmi: str, stored: str) -> list[tuple[str, str]]:
        """(version, path) of everything that is the quantity of a stored path, newest version first; what is computed of it is not."""
        versions = reversed(self.versions(dtmi))
        found = [(one, path, route) for one in versions if self._has(one) for path, route in self.becomes(one, stored).items()]
        return [(one, path) for one, path, route in found if all(way.by is None for way in route)]

    def one_way(self, older: str, newer: str, path: str) -> Migration | None:
        """Of those on the way from a version to a newer one, the first that leaves a path of the older out, or from which no way leads
        back to it; None where there is no such, or the other version is not newer."""
        versions = self.versions(older)
        for dtmi in versions[versions.index(older) + 1 : versions.index(newer) + 1]:
            if not self.becomes(dtmi, path).keys() & self.routes(older, path).keys():
                return self._to[dtmi]
        return None

    def _has(self, dtmi: str) -> bool:
        return dtmi in self._ontology.interfaces

    # --- ways ----------------------------------------------------------------------------------------------------------

    def routes(self, dtmi: str, path: str) -> Mapping[str, Route]:
        """From each path under which it may be stored, the way to a path as a version of the interface has it."""
        key = (dtmi, path)
        if key not in self._routes:
            found: dict[str, Route] = {path: ()}
            for stored, route in {**self._older(dtmi, path), **self._newer(dtmi, path)}.items():
                found.setdefault(stored, route)
            self._routes[key] = MappingProxyType(found)
        return self._routes[key]

    def becomes(self, dtmi: str, stored: str) -> Mapping[str, Route]:
        """What a stored path is to a reader of a version of the interface: none of its paths, one, or several."""
        key = (dtmi, stored)
        if key not in self._becomes:
            mine = self._ontology.paths(dtmi)
            found = {path: self.routes(dtmi, path)[stored] for path in mine if stored in self.routes(dtmi, path)}
            self._becomes[key] = MappingProxyType(found)
        return self._becomes[key]

    def single(self, dtmi: str, stored: str, path: str) -> SingleCells:
        """What takes single cells of a stored path to one that it becomes."""
        key = (dtmi, stored, path)
        if key not in self._single:
            self._single[key] = SingleCells(self.becomes(dtmi, stored)[path])
        return self._single[key]

    def met(self, dtmi: str, stored: str) -> frozenset[str]:
        """Every path under which what is stored tells, to a reader of some version of the interface, what is stored under one as well."""
        key = (dtmi, stored)
        if key not in self._met:
            versions = [one for one in self.versions(dtmi) if self._has(one)]
            shown = [(one, path) for one in versions for path in self.becomes(one, stored)]
            self._met[key] = frozenset({stored}.union(*(self.routes(one, path) for one, path in shown)))
        return self._met[key]

    def _older(self, dtmi: str, path: str) -> dict[str, Route]:
        before = self._to.get(dtmi)
        way = before.forward.get(path) if before is not None else None
        if before is None or way is None:
            return {}
        return _with(way, path, self._older(before.old, way.path))

    def _newer(self, dtmi: str, path: str) -> dict[str, Route]:
        after = self._from.get(dtmi)
        way = after.backward.get(path) if after is not None else None
        if after is None or way is None:
            return {}
        return _with(way, path, self._newer(after.new, way.path))


def _with(way: Way, path: str, beyond: Mapping[str, Route]) -> dict[str, Route]:
    """The ways to where a way begins, and on along it; one that only carries a name on is none."""
    on: Route = () if way.by is None and way.path == path else (way,)
    return {stored: (*route, *on) for stored, route in {way.path: (), **beyond}.items()}


NO_LINEAGES: Final = Lineages({}, Ontology({}, {}))
