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
from twinwright.storage.protocol import REMOVED
from twinwright.twins.documents import Cell, etag
from twinwright.twins.graph import bodies
from twinwright.twins.graph.bodies import CODE, Body
from twinwright.twins.graph.conditions import require_match, require_none_match
from twinwright.twins.graph.draft import Draft

TELEMETRY: Final = "telemetry"  # the kind of record that a message is, by its id


@dataclass(frozen=True, slots=True)
class WrittenTwin:
    """A twin as a write left it."""

    life: Lifetime
    cells: Mapping[str, Cell]

    @property
    def etag(self) -> str:
        return etag(self.life, self.cells.values())


def written(draft: Draft, life: Lifetime) -> WrittenTwin:
    """As it is in the draft now."""
    return WrittenTwin(life, dict(draft.cells(life.number)))


def put_twin(draft: Draft, id: str, document: Any, if_none_match: str | None) -> WrittenTwin:
    """Make a twin, or replace one whole. A `$dtId` in the document means nothing, so that one that was read makes a copy.

    Raises UsageError, PreconditionFailedError, InvalidTwinError, ModelDecommissionedError.
    """
    bodies.check_id(id, "id")
    document = bodies.require_object(document)
    held = draft.alive(id)
    require_none_match(if_none_match, None if held is None else written(draft, held).etag)
    interface = interface_named(draft, document)
    if held is None or held.interface != interface:
        require_in_use(draft, interface)
    body = bodies.read_twin(document, interface, draft.world.ontology, draft.now)
    _check_times(body, held)
    body.require_valid()
    life = held or draft.begin(id, interface)
    for path in list(visible(draft, life)):
        if path not in body.values:
            draft.remove_value(life, path)
    if life.interface != interface:
        life = draft.change_interface(life, interface)
    for path, value in body.values.items():
        draft.set_value(life, path, value, body.times.get(path))
    return written(draft, life)


def interface_named(draft: Draft, document: Mapping[str, Any]) -> str:
    """The `$model` of a document. Raises InvalidTwinError."""
    metadata = document.get("$metadata")
    model = metadata.get("$model") if isinstance(metadata, dict) else None
    if not isinstance(model, str) or model not in draft.world.ontology.interfaces:
        known = ", ".join(sorted(draft.world.ontology.interfaces)[:5]) or "there is none yet"
        remedy = f"Name an interface that is there: {known}"
        raise InvalidTwinError([Problem(f"there is no model {str(model)[:80]!r}", remedy, path='$["$metadata"]["$model"]', code=CODE)])
    return model


def require_in_use(draft: Draft, interface: str) -> None:
    """Raises ModelDecommissionedError."""
    if interface in draft.world.decommissioned:
        raise ModelDecommissionedError(f"{interface} is decommissioned", remedy="Use the interface that came after it")


def visible(draft: Draft, life: Lifetime) -> dict[str, Cell]:
    """The properties of a twin that have a value, by path."""
    paths = draft.world.ontology.paths(life.interface)
    cells = draft.cells(life.number).items()
    return {path: cell for path, cell in cells if cell["kind"] != REMOVED and path in paths and paths[path].kind == "property"}


def _check_times(body: Body, life: Lifetime | None) -> None:
    since = None if life is None else life.since
    for path, at in body.times.items():
        if since is not None and at < since:
            body.refuse(("$metadata", path), "its sourceTime lies before the twin was made", f"It was made at {to_iso(since)}")


def delete_twin(draft: Draft, id: str, if_match: str | None) -> None:
    """End its lifetime. Raises DigitalTwinNotFoundError, PreconditionFailedError, RelationshipsNotDeletedError."""
    life = draft.current(id)
    require_match(if_match, written(draft, life).etag)
    edge = next(draft.touches(id), None)
    if edge is not None:
        remedy = f"Delete its relationships first, such as '{edge.id}' of '{edge.source}'"
        raise RelationshipsNotDeletedError(f"'{id}' has relationships", remedy=remedy)
    draft.end(life)


def send_telemetry(draft: Draft, id: str, payload: Any, *, component: str | None, message_id: str, source_time: int | None) -> None:
    """Keep a message, whole, for whoever follows the commits; what it says of Telemetry that the interface has is observed as well.

    Raises DigitalTwinNotFoundError, ComponentNotFoundError, InvalidTwinError.
    """
    life = draft.current(id)
    ontology = draft.world.ontology
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
