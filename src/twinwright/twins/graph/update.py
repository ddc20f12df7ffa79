"""One change of many twins: what it means for each, in the unit of its property, and whether anything changes at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twinwright.errors import RelationshipsNotDeletedError, UsageError
from twinwright.schema import Ontology
from twinwright.storage.layout import EdgeKey, Lifetime
from twinwright.twins.evolution import Lineages
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.json_patch import same
from twinwright.twins.graph.measured import converted
from twinwright.twins.graph.relationship_writes import delete_relationship
from twinwright.twins.graph.twin_patch import patch_twin
from twinwright.twins.graph.twin_writes import delete_twin, values


@dataclass(frozen=True, slots=True)
class Change:
    """Values by path, paths that are to have none, further steps as JSON Patch; or that twins are deleted, with their relationships if
    that is said. A number may be given with a unit: `"3 bar"`, or `{"value": 3, "unit": "bar"}`. `interface` is a version: twins of other
    versions of it are changed in its names and units."""

    set: Mapping[str, Any] = field(default_factory=dict)
    remove: Sequence[str] = ()
    patch: Sequence[Any] = ()
    delete: bool = False
    with_relationships: bool = False
    interface: str | None = None

    def seen(self, life: Lifetime, lineages: Lineages) -> Lifetime:
        """A twin as what it is changed."""
        return lineages.seen(life, self.interface) if self.interface and lineages.related(life.interface, self.interface) else life

    def require_sound(self) -> None:
        """Raises UsageError for one that says nothing, or two things at once."""
        if self.delete and (self.set or self.remove or self.patch):
            raise UsageError("twins can't be changed and deleted", where="delete", remedy="Do one of both")
        if not (self.delete or self.set or self.remove or self.patch):
            raise UsageError("it says no change", where="set", remedy="Give values to set, paths to remove, or delete")
        if self.with_relationships and not self.delete:
            raise UsageError("relationships go with twins that are deleted", where="with_relationships", remedy="Give delete as well")
        both = sorted(set(self.set) & set(self.remove))
        if both:
            raise UsageError(f"'{both[0]}' is set and removed", where="set", remedy="Do one of both")
        for path in (*self.set, *self.remove):
            if not path or path.startswith("/"):
                raise UsageError(f"'{path[:60]}' is no path", where="set", remedy="Write it as pressure or motor/speed")


@dataclass(frozen=True, slots=True)
class Done:
    """What a change did to one twin: its properties before and after, and which relationships went."""

    changed: bool
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    relationships: frozenset[EdgeKey] = frozenset()


def change_twin(draft: Draft, id: str, change: Change) -> Done:
    """Raises DigitalTwinNotFoundError, JsonPatchError, InvalidTwinError, RelationshipsNotDeletedError, ModelDecommissionedError: then
    nothing was added to the draft."""
    life = draft.current(id)
    if change.delete:
        return _deleted(draft, life, with_relationships=change.with_relationships)
    seen = change.seen(life, draft.world.evolution.lineages)
    before = _values(draft, seen)
    operations = _operations(draft.world.ontology, seen, before, change)
    if not operations:
        return Done(False)
    done = patch_twin(draft, id, operations, None, interface=seen.interface)
    return Done(True, {"$model": seen.interface, **before}, {"$model": done.life.interface, **_values(draft, done.life)})


def _deleted(draft: Draft, life: Lifetime, *, with_relationships: bool) -> Done:
    edges = list(draft.touches(life.twin))
    if edges and not with_relationships:
        remedy = f"Such as '{edges[0].id}' of '{edges[0].source}': delete them as well (with_relationships)"
        raise RelationshipsNotDeletedError(f"'{life.twin}' has {len(edges)} relationship(s)", remedy=remedy)
    before = _values(draft, life)
    for edge in edges:
        delete_relationship(draft, edge.source, edge.id, None)
    delete_twin(draft, life.twin, None)
    return Done(True, {"$model": life.interface, **before}, {}, frozenset(edge.key for edge in edges))


def _values(draft: Draft, life: Lifetime) -> dict[str, Any]:
    return {path: value for path, value in values(draft, life).items() if value is not None}


def _operations(ontology: Ontology, life: Lifetime, before: Mapping[str, Any], change: Change) -> list[Any]:
    """The JSON Patch of one twin, without what would change nothing."""
    paths, found = ontology.paths(life.interface), []
    for path, given in change.set.items():
        info = paths.get(path)
        value = given if info is None else converted(given, info.schema, info.unit, path)
        if path in before and same(before[path], value):
            continue
        model = path == "$metadata/$model"
        if model and value == life.interface:
            continue
        found.append({"op": "replace" if model else "add", "path": f"/{path}", "value": value})
    # what an interface does not have is the patch's to refuse
    gone = [{"op": "remove", "path": f"/{path}"} for path in change.remove if path in before or path not in paths]
    return [*found, *gone, *change.patch]
