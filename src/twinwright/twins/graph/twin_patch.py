"""A JSON Patch on a twin: values of properties, whole components, the interface (`/$metadata/$model`) and `sourceTime`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from twinwright.errors import InvalidTwinError, JsonPatchError, Problem
from twinwright.schema import Ontology
from twinwright.storage.layout import Lifetime
from twinwright.twins.graph import bodies, other_version
from twinwright.twins.graph.bodies import CODE, Body
from twinwright.twins.graph.conditions import require_match
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.json_patch import Operation, apply_patch, parse_patch
from twinwright.twins.graph.twin_writes import WrittenTwin, require_in_use, values, written


@dataclass(slots=True)
class _Plan:
    """What a patch means: the interface after it, the steps on values, and whose values they touch."""

    interface: str
    steps: list[Operation] = field(default_factory=list)
    touched: dict[str, None] = field(default_factory=dict)  # paths, in order
    whole: dict[str, None] = field(default_factory=dict)  # components
    body: Body = field(default_factory=Body)


def patch_twin(
    draft: Draft, id: str, patch: Any, if_match: str | None, component: str | None = None, interface: str | None = None
) -> WrittenTwin:
    """`interface` is the version of the twin's whose names and units the patch has: its own, unless given.

    Raises DigitalTwinNotFoundError, NotFoundError, PreconditionFailedError, JsonPatchError, InvalidTwinError, ModelDecommissionedError.
    """
    held = draft.current(id)
    life = draft.world.evolution.lineages.seen(held, interface)
    require_match(if_match, other_version.etags(draft, held))
    operations = parse_patch(patch)
    if component is not None:
        operations = [_within(component, life, operation, draft.world.ontology) for operation in operations]
    plan = _plan(life, operations, draft)
    _require_spoken(plan, life, draft)
    ontology = draft.world.ontology
    before = values(draft, life)
    document = bodies.nested(before.items(), ontology.component_paths(life.interface))
    apply_patch(document, plan.steps)
    after = _flat(document, plan, ontology)
    _check(plan, before, after, life, ontology)
    return _write(draft, held, life, plan, before, after)


def _within(component: str, life: Lifetime, operation: Operation, ontology: Ontology) -> Operation:
    """An operation on a component as one on the twin."""
    names = tuple(component.split("/"))
    source = None if operation.source is None else (*names, *operation.source)
    inner = replace(operation, path=(*names, *operation.path), source=source)
    if bodies.component_of(life.interface, component, ontology) is None:
        raise inner.refuse("could not resolve the path", f"{life.interface} has no component '{component[:80]}'")
    return inner


# --- what it means ----------------------------------------------------------------------------------------------------


def _plan(life: Lifetime, operations: Sequence[Operation], draft: Draft) -> _Plan:
    plan = _Plan(life.interface)
    for operation in operations:
        if operation.path == ("$metadata", "$model"):
            plan.interface = _new_interface(operation, draft)
    components = frozenset(draft.world.ontology.component_paths(plan.interface)) | frozenset(
        draft.world.ontology.component_paths(life.interface)
    )
    for operation in operations:
        if operation.path == ("$metadata", "$model"):
            continue
        if "$metadata" in operation.path:
            _source_time(operation, plan, draft.now)
        elif any(token.startswith("$") for token in operation.path[:1]):
            raise operation.refuse("it can't be changed", "Leave it out")
        elif operation.source is not None and ("$metadata" in operation.source or operation.source[0].startswith("$")):
            raise operation.refuse("only values can be moved and copied", "Name a property in `from`")
        else:
            _value_step(operation, plan, components, draft)
    return plan


def _require_spoken(plan: _Plan, life: Lifetime, draft: Draft) -> None:
    """Refuse a name that only another version has: its client has not said which one it speaks."""
    lineages, ontology = draft.world.evolution.lineages, draft.world.ontology
    if not lineages.active:
        return
    known = ontology.paths(life.interface).keys() | ontology.paths(plan.interface).keys()
    for path in plan.touched:
        speaker = None if path in known else lineages.speaker(life.interface, path)
        if speaker is not None:
            what = f"{life.interface}, which '{life.twin}' is of, has no property '{path[:80]}'"
            plan.body.refuse(tuple(path.split("/")), what, f"{speaker} has it: name that version as `interface`")
    plan.body.require_valid()


def _new_interface(operation: Operation, draft: Draft) -> str:
    if operation.op not in ("add", "replace") or not isinstance(operation.value, str):
        raise operation.refuse("an interface can only be replaced by another", "Give the DTMI of an interface as `value`")
    if operation.value not in draft.world.ontology.interfaces:
        problem = Problem(f"there is no model {operation.value[:80]!r}", "Add it first", path=f"$[{operation.index}].value", code=CODE)
        raise InvalidTwinError([problem])
    require_in_use(draft, operation.value)
    return operation.value


def _source_time(operation: Operation, plan: _Plan, now: int) -> None:
    """`.../$metadata/name/sourceTime`, or `.../$metadata/name` with it."""
    at = operation.path.index("$metadata")
    rest, value = operation.path[at + 1 :], operation.value
    if len(rest) == 1 and isinstance(value, dict) and value.keys() <= {"sourceTime", "lastUpdateTime"}:
        rest, value = (rest[0], "sourceTime"), value.get("sourceTime")
    if len(rest) != 2 or rest[1] != "sourceTime" or operation.op not in ("add", "replace"):
        raise operation.refuse("of metadata only `sourceTime` can be set", "Write /$metadata/NAME/sourceTime")
    path = "/".join((*operation.path[:at], rest[0]))
    bodies.read_time(value, (operation.index, "value"), path, now, plan.body)
    plan.touched[path] = None


def _value_step(operation: Operation, plan: _Plan, components: frozenset[str], draft: Draft) -> None:
    path = "/".join(operation.path)
    if operation.op in ("add", "replace") and path in components:
        ontology = draft.world.ontology
        interface = bodies.component_of(plan.interface, path, ontology)
        if interface is not None:
            bodies.read_component(operation.value, interface, ontology, (operation.index, "value"), path, draft.now, plan.body)
        operation = replace(operation, value=_without_metadata(operation.value))
    if operation.op != "test":
        _touch(operation.path, plan, components)
    if operation.op == "move" and operation.source is not None:
        _touch(operation.source, plan, components)
    plan.steps.append(operation)


def _touch(tokens: tuple[str, ...], plan: _Plan, components: frozenset[str]) -> None:
    """Note whose value changes: that of a property, or all of a component."""
    depth = 0
    while depth < len(tokens) and "/".join(tokens[: depth + 1]) in components:
        depth += 1
    if depth < len(tokens):
        plan.touched["/".join(tokens[: depth + 1])] = None
    else:
        plan.whole["/".join(tokens)] = None


def _without_metadata(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _without_metadata(inner) for name, inner in value.items() if name != "$metadata"}


# --- whether it can be --------------------------------------------------------------------------------------------------


def _flat(document: dict[str, Any], plan: _Plan, ontology: Ontology) -> dict[str, Any]:
    components = ontology.component_paths(plan.interface)
    for path in components:
        owner: Any = document
        for name in path.split("/"):
            owner = owner.get(name) if isinstance(owner, dict) else None
        if not isinstance(owner, dict):
            reason = f"the component '{path}' is missing"
            plan.body.refuse((path,), reason, 'Add it: {"$metadata": {}}; a component of the interface can\'t be removed')
    plan.body.require_valid()
    return dict(bodies.flat(document, frozenset(components)))


def _check(plan: _Plan, before: dict[str, Any], after: dict[str, Any], life: Lifetime, ontology: Ontology) -> None:
    """Touched values conform; where the interface changes, all of them do."""
    paths, changed = ontology.paths(plan.interface), plan.interface != life.interface
    for component in plan.whole:
        plan.touched |= dict.fromkeys(path for path in (*before, *after) if path.startswith(component + "/"))
    for path in after if changed else plan.touched:
        if path not in after:
            continue
        info = paths.get(path)
        if info is None or info.kind != "property":
            names = {one.path: one for one in paths.values() if one.kind == "property"}
            _refuse_unknown(path, plan, names)
        elif changed or path in plan.touched:
            bodies.check(after[path], info.schema, ontology, tuple(path.split("/")), plan.body)
    for path, at in plan.body.times.items():
        if path not in after:
            raise JsonPatchError(f"'{path}' has no value whose time could be set", remedy="Set its value in the same patch")
        if life.since is not None and at < life.since:
            plan.body.refuse(("$metadata", path), "its sourceTime lies before the twin was made", "Give a later one")
    plan.body.require_valid()


def _refuse_unknown(path: str, plan: _Plan, names: dict[str, Any]) -> None:
    from difflib import get_close_matches

    near = get_close_matches(path, list(names), 1)
    remedy = f"Did you mean '{near[0]}'?" if near else "Leave it out, or remove it in the same patch"
    plan.body.refuse(tuple(path.split("/")), f"{plan.interface} has no property '{path[:80]}'", remedy)


def _write(draft: Draft, held: Lifetime, seen: Lifetime, plan: _Plan, before: dict[str, Any], after: dict[str, Any]) -> WrittenTwin:
    """`seen` is the twin as its client sees it, which has the values `before`."""
    moves = plan.interface != seen.interface
    touched = plan.touched if moves else other_version.changed_paths(draft, held, seen, before, after, plan.touched, plan.body)
    plan.body.require_valid()
    for path in before if moves else touched:
        if path in before and path not in after:
            draft.remove_value(seen, path)
    if moves:
        seen = held if plan.interface == held.interface else draft.change_interface(held, plan.interface)
    for path in touched:
        if path in after:
            draft.set_value(seen, path, after[path], plan.body.times.get(path))
    return written(draft, seen)
