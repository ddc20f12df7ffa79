"""What clients do to twins: put, patch, delete, send telemetry. Each looks first, and adds to the draft once nothing can go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from twinwright.clock import to_iso
from twinwright.errors import (
    ComponentNotFoundError,
    InvalidTwinError,
    ModelDecommissionedError,
    Problem,
    RelationshipsNotDeletedError,
)
from twinwright.storage.layout import Lifetime
from twinwright.storage.protocol import GOOD, REMOVED
from twinwright.twins.documents import Cell, etag, value_of
from twinwright.twins.graph import bodies, other_version
from twinwright.twins.graph.bodies import CODE, Body
from twinwright.twins.graph.conditions import require_match, require_none_match
from twinwright.twins.graph.draft import Draft

TELEMETRY: Final = "telemetry"  # the kind of record that a message is, by its id


@dataclass(frozen=True, slots=True)
class WrittenTwin:
    """A twin as a write left it, seen as the version that its client speaks."""

    life: Lifetime
    cells: Mapping[str, Cell]

    @property
    def etag(self) -> str:
        return etag(self.life, self.cells.values())


def written(draft: Draft, life: Lifetime) -> WrittenTwin:
    """As it is in the draft now."""
    return WrittenTwin(life, dict(draft.cells(life)))


def put_twin(draft: Draft, id: str, document: Any, if_none_match: str | None) -> WrittenTwin:
    """Make a twin, or replace one whole. A `$dtId` in the document means nothing, so that one that was read makes a copy. A document of
    another version of the twin's interface replaces what that version has; of which one the twin is stays with the migration.

    Raises UsageError, PreconditionFailedError, InvalidTwinError, ModelDecommissionedError.
    """
    bodies.check_id(id, "id")
    document = bodies.require_object(document)
    held = draft.alive(id)
    require_none_match(if_none_match, None if held is None else other_version.etags(draft, held))
    interface = interface_named(draft, document)
    lineages = draft.world.evolution.lineages
    spoken = held is not None and lineages.related(held.interface, interface) and interface not in lineages.retired
    if not spoken:
        require_in_use(draft, interface)
    body = bodies.read_twin(document, interface, draft.world.ontology, draft.now)
    _check_times(body, held)
    body.require_valid()
    life = held or draft.begin(id, interface)
    seen = lineages.seen(life, interface) if spoken else life
    before = {} if held is None else values(draft, seen)
    paths = other_version.changed_paths(draft, life, seen, before, body.values, dict.fromkeys([*before, *body.values]), body)
    body.require_valid()
    for path in paths:
        if path not in body.values:
            draft.remove_value(seen, path)
    if seen.interface != interface:
        seen = draft.change_interface(life, interface)
    for path in paths:
        if path in body.values:
            draft.set_value(seen, path, body.values[path], body.times.get(path))
    return written(draft, seen)


def model_of(document: Any) -> Any:
    """What a document says that it is of."""
    metadata = document.get("$metadata") if isinstance(document, Mapping) else None
    return metadata.get("$model") if isinstance(metadata, Mapping) else None


def interface_named(draft: Draft, document: Mapping[str, Any]) -> str:
    """The `$model` of a document. Raises InvalidTwinError."""
    model = model_of(document)
    if not isinstance(model, str) or model not in draft.world.ontology.interfaces:
        known = ", ".join(sorted(draft.world.ontology.interfaces)[:5]) or "there is none yet"
        remedy = f"Name an interface that is there: {known}"
        told = "it does not say which model it is of" if model is None else f"there is no model {str(model)[:80]!r}"
        raise InvalidTwinError([Problem(told, remedy, path='$["$metadata"]["$model"]', code=CODE)])
    return model


def require_in_use(draft: Draft, interface: str) -> None:
    """Raises ModelDecommissionedError."""
    if interface in draft.world.decommissioned:
        newer = [one for one in draft.world.evolution.lineages.served(interface) if one != interface]
        remedy = f"Use the interface that came after it{f': {newer[0]}' if newer else ''}"
        raise ModelDecommissionedError(f"{interface} is decommissioned", remedy=remedy)


def visible(draft: Draft, life: Lifetime) -> dict[str, Cell]:
    """The properties of a twin that have a value, by path."""
    paths = draft.world.ontology.paths(life.interface)
    cells = draft.cells(life).items()
    return {path: cell for path, cell in cells if cell["kind"] != REMOVED and path in paths and paths[path].kind == "property"}


def values(draft: Draft, life: Lifetime) -> dict[str, Any]:
    """What its properties are, by path; None for what is bad."""
    paths = draft.world.ontology.paths(life.interface)
    return {path: value_of(cell, paths[path]) if cell["kind"] == GOOD else None for path, cell in visible(draft, life).items()}


def _check_times(body: Body, life: Lifetime | None) -> None:
    since = None if life is None else life.since
    for path, at in body.times.items():
        if since is not None and at < since:
            body.refuse(("$metadata", path), "its sourceTime lies before the twin was made", f"It was made at {to_iso(since)}")


def delete_twin(draft: Draft, id: str, if_match: str | None) -> None:
    """End its lifetime. Raises DigitalTwinNotFoundError, PreconditionFailedError, RelationshipsNotDeletedError."""
    life = draft.current(id)
    require_match(if_match, other_version.etags(draft, life))
    edge = next(draft.touches(id), None)
    if edge is not None:
        remedy = f"Delete its relationships first, such as '{edge.id}' of '{edge.source}'"
        raise RelationshipsNotDeletedError(f"'{id}' has relationships", remedy=remedy)
    draft.end(life)


def send_telemetry(
    draft: Draft, id: str, payload: Any, *, component: str | None, message_id: str, source_time: int | None, interface: str | None = None
) -> None:
    """Keep a message, whole, for whoever follows the commits; what it says of Telemetry that the interface has is observed as well.
    `interface` is the version of the twin's that the message is of.

    Raises DigitalTwinNotFoundError, NotFoundError, ComponentNotFoundError, InvalidTwinError.
    """
    life, ontology = draft.world.evolution.lineages.seen(draft.current(id), interface), draft.world.ontology
    if component is not None and bodies.component_of(life.interface, component, ontology) is None:
        raise ComponentNotFoundError(f"'{id}' has no component '{component[:80]}'", remedy="See its interface")
    prefix = f"{component}/" if component else ""
    paths, body = ontology.paths(life.interface), Body()
    named: Mapping[str, Any] = payload if isinstance(payload, dict) else {}
    known = {name: paths[prefix + name] for name in named if prefix + name in paths and paths[prefix + name].kind == "telemetry"}
    for name, info in known.items():
        bodies.check(named[name], info.schema, ontology, (name,), body)
    if source_time is not None and source_time > draft.now + bodies.SKEW:
        body.refuse(("Telemetry-Source-Time",), "it is in the future", "Check the clock of the sender")
    body.require_valid()
    at = draft.now if source_time is None else source_time
    message = {"twin": id, "component": component, "time": to_iso(at), "interface": life.interface, "payload": payload}
    draft.put_record(TELEMETRY, message_id, message)
    if life.since is None or at >= life.since:
        for name in known:
            draft.set_value(life, prefix + name, named[name], source_time)
