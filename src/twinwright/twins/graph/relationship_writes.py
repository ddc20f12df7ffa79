"""What clients do to relationships: put, patch, delete; what the interface of the source says of them is enforced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final

from twinwright.errors import (
    InvalidRelationshipError,
    InvalidTwinError,
    OperationNotAllowedError,
    Problem,
    RelationshipNotFoundError,
    TargetTwinNotFoundError,
    UsageError,
)
from twinwright.schema import Relationship as Declared
from twinwright.storage.layout import Relationship
from twinwright.twins.graph import bodies
from twinwright.twins.graph.bodies import CODE, Body
from twinwright.twins.graph.conditions import etag_of, require_match, require_none_match
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.json_patch import apply_patch, parse_patch
from twinwright.twins.registry import nearest_id

_OWN: Final = ("$relationshipId", "$sourceId", "$targetId", "$relationshipName", "$etag", "$metadata")


def put_relationship(draft: Draft, source: str, id: str, document: Any, if_none_match: str | None) -> Relationship:
    """Make a relationship, or replace one whole.

    Raises UsageError, DigitalTwinNotFoundError, TargetTwinNotFoundError, InvalidRelationshipError, OperationNotAllowedError,
    InvalidTwinError, PreconditionFailedError.
    """
    bodies.check_id(id, "relationshipId")
    document = bodies.require_object(document)
    life = draft.current(source)
    for name, said in (("$relationshipId", id), ("$sourceId", source)):
        if document.get(name, said) != said:
            raise UsageError("it is not the one in the path", where=f"$.{name}", remedy="Leave it out, or make them the same")
    target, name = (_text(document, key) for key in ("$targetId", "$relationshipName"))
    held = draft.edge(source, id)
    require_none_match(if_none_match, None if held is None else [etag_of(held)])
    declared = _declared(draft, life.interface, name)
    _check_target(draft, source, target, declared)
    _check_number(draft, source, id, declared)
    properties = {key: value for key, value in document.items() if key not in _OWN}
    _check_properties(draft, properties, declared, life.interface)
    return draft.put_edge(Relationship(source, id, name, target, properties))


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        problem = Problem(f"`{key}` is missing, or no text", "Give $targetId and $relationshipName", path=f'$["{key}"]', code=CODE)
        raise InvalidTwinError([problem])
    return value


def _declared(draft: Draft, interface: str, name: str) -> Declared:
    known = draft.world.ontology.relationships(interface)
    if name not in known:
        near = get_close_matches(name, known, 1)
        remedy = f"Did you mean '{near[0]}'?" if near else f"It has: {', '.join(sorted(known)) or 'none'}"
        raise InvalidRelationshipError(f"{interface} has no relationship '{name[:80]}'", where='$["$relationshipName"]', remedy=remedy)
    return known[name]


def _check_target(draft: Draft, source: str, target: str, declared: Declared) -> None:
    life = draft.alive(target)
    if life is None:
        raise TargetTwinNotFoundError(f"there is no twin '{target[:128]}' to lead to", where='$["$targetId"]', remedy="Make it first")
    if target == source:
        raise OperationNotAllowedError(f"'{declared.name}' would lead from '{source}' to itself", remedy="Lead it to another twin")
    world = draft.world  # a twin that was moved to another version is of the older one too
    if declared.target is not None and not world.evolution.lineages.is_of(life.interface, declared.target, world.ontology):
        what = f"'{declared.name}' must lead to {declared.target}, and '{target}' is a {life.interface}"
        raise InvalidRelationshipError(what, where='$["$targetId"]', remedy="Lead it to another twin")


def _check_number(draft: Draft, source: str, id: str, declared: Declared) -> None:
    """`maxMultiplicity`. The least number can't be asked for of a twin whose relationships are yet to be made."""
    if declared.max_multiplicity is None:
        return
    others = sum(edge.id != id for edge in draft.outgoing(source, declared.name))
    if others >= declared.max_multiplicity:
        what = f"'{source}' has {others} relationship(s) '{declared.name}' already, and may have {declared.max_multiplicity}"
        raise InvalidRelationshipError(what, remedy="Delete one first")


def _check_properties(draft: Draft, properties: Mapping[str, Any], declared: Declared, interface: str) -> None:
    known, body = {one.name: one for one in declared.properties}, Body()
    for name, value in properties.items():
        if name in known:
            bodies.check(value, known[name].schema, draft.world.ontology, (name,), body)
        elif name.startswith("$"):
            body.refuse((name,), f"'{name[:60]}' means nothing here", "Leave it out")
        else:
            bodies.refuse_unknown(name, f"'{declared.name}' of {interface}", known, (name,), body)
    body.require_valid()


def the_edge(draft: Draft, source: str, id: str) -> Relationship:
    """Raises DigitalTwinNotFoundError, RelationshipNotFoundError."""
    draft.current(source)
    edge = draft.edge(source, id)
    if edge is None:
        raise no_relationship(source, id, (edge.id for edge in draft.outgoing(source)))
    return edge


def no_relationship(source: str, id: str, known: Iterable[str]) -> RelationshipNotFoundError:
    """Naming the nearest there is."""
    near = nearest_id(id, known)
    remedy = f"Did you mean '{near}'?" if near else "List them: GET /digitaltwins/ID/relationships"
    return RelationshipNotFoundError(f"'{source}' has no relationship '{id[:128]}'", remedy=remedy)


def patch_relationship(draft: Draft, source: str, id: str, patch: Any, if_match: str | None) -> Relationship:
    """Its properties. Raises DigitalTwinNotFoundError, RelationshipNotFoundError, PreconditionFailedError, JsonPatchError,
    InvalidTwinError."""
    edge = the_edge(draft, source, id)
    require_match(if_match, [etag_of(edge)])
    operations = parse_patch(patch)
    for operation in operations:
        if any(one[0].startswith("$") for one in (operation.path, operation.source) if one is not None):
            raise operation.refuse("only properties can be changed", "Put the relationship anew")
    properties = _copied(edge.properties)
    apply_patch(properties, operations)
    interface = draft.current(source).interface
    _check_properties(draft, properties, _declared(draft, interface, edge.name), interface)
    return draft.put_edge(replace(edge, properties=properties))


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copied(inner) for name, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def delete_relationship(draft: Draft, source: str, id: str, if_match: str | None) -> None:
    """Raises DigitalTwinNotFoundError, RelationshipNotFoundError, PreconditionFailedError."""
    edge = the_edge(draft, source, id)
    require_match(if_match, [etag_of(edge)])
    draft.put_edge(replace(edge, removed=True))
