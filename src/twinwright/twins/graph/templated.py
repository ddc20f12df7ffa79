"""What a filled-in document of a template does to a draft: a twin or relationship is made, or is given what the document says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from twinwright.errors import InvalidTwinError, Problem
from twinwright.schema import Object, Ontology, Primitive, Schema
from twinwright.storage.layout import Relationship
from twinwright.twins.graph import bodies
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.json_patch import same
from twinwright.twins.graph.measured import converted, is_quantity
from twinwright.twins.graph.relationship_writes import put_relationship
from twinwright.twins.graph.templates import Kind, text_of
from twinwright.twins.graph.twin_writes import interface_named, put_twin
from twinwright.twins.graph.update import Change, change_twin

What = Literal["created", "changed", "unchanged"]


@dataclass(frozen=True, slots=True)
class Put:
    """What became of one document: its fields before (None: there was nothing) and after."""

    what: What
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]


def put(draft: Draft, kind: Kind, document: Mapping[str, Any]) -> Put:
    """Raises what a put and a patch of it raise: then nothing was added to the draft."""
    return _twin(draft, document) if kind == "twin" else _relationship(draft, document)


def _twin(draft: Draft, document: Mapping[str, Any]) -> Put:
    id = document["$dtId"]
    bodies.check_id(id, "$dtId")
    interface = interface_named(draft, document)
    ontology, life = draft.world.ontology, draft.alive(id)
    values = dict(_values(ontology, interface, document))
    lineages = draft.world.evolution.lineages
    if life is not None and not lineages.related(life.interface, interface):
        remedy = "Give it another id, or move the twin there with an update of $metadata/$model"
        raise InvalidTwinError([Problem(f"there is a twin '{id}' already, of {life.interface}", remedy, path="$.$metadata.$model")])
    if life is not None:
        done = change_twin(draft, id, Change(set=values, interface=lineages.seen(life, interface).interface)) if values else None
        if done is None or not done.changed:
            return Put("unchanged", {}, {})
        return Put("changed", done.before, done.after)
    put_twin(draft, id, {"$metadata": {"$model": interface}, **_nested(ontology, interface, values)}, None)
    return Put("created", None, {"$model": interface, **values})


def _values(ontology: Ontology, interface: str, document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """By path, each as its property takes it."""
    paths, components = ontology.paths(interface), frozenset(ontology.component_paths(interface))
    for component in ontology.component_paths(interface):  # each after what holds it
        *parents, name = component.split("/")
        owner: Any = document
        for parent in parents:
            owner = owner.get(parent, {})
        if not isinstance(owner.get(name, {}), dict):
            raise InvalidTwinError([Problem("a component is an object", "Write its properties in {}", path=f"$.{component}")])
    for path, value in bodies.flat(document, components):
        if not path.rpartition("/")[2].startswith("$"):
            info = paths.get(path)
            yield path, value if info is None else _fitting(value, info.schema, info.unit, path, ontology)


def _fitting(value: Any, schema: Schema | None, unit: str | None, path: str, ontology: Ontology) -> Any:
    schema = schema and ontology.plain(schema)
    if isinstance(schema, Object) and isinstance(value, Mapping):
        fields = {one.name: one for one in schema.fields}
        return {n: _fitting(v, fields[n].schema, fields[n].unit, f"{path}/{n}", ontology) if n in fields else v for n, v in value.items()}
    if is_quantity(value) and unit is None:
        value = text_of(value)  # what has no unit takes any
    if isinstance(schema, Primitive) and schema.name == "string" and isinstance(value, int | float):
        return text_of(value)  # a column of numbers for what is text here
    return converted(value, schema, unit, path)


def _nested(ontology: Ontology, interface: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a new twin, with every component that it has."""
    document: dict[str, Any] = {}
    for path in (*ontology.component_paths(interface), *values):
        *parents, name = path.split("/")
        owner = document
        for parent in parents:
            owner = owner[parent]
        owner[name] = values.get(path, {"$metadata": {}})
    return document


def _relationship(draft: Draft, document: Mapping[str, Any]) -> Put:
    source, id = document["$sourceId"], document["$relationshipId"]
    given = {name: value for name, value in document.items() if not name.startswith("$")}
    held = draft.edge(source, id)
    ontology = draft.world.ontology
    declared = ontology.relationships(draft.current(source).interface).get(document["$relationshipName"])
    known = {} if declared is None else {one.name: one for one in declared.properties}
    fitted = {name: _fitting(v, known[name].schema, known[name].unit, name, ontology) if name in known else v for name, v in given.items()}
    kept: Mapping[str, Any] = {}
    if held is not None and (held.name, held.target) == (document["$relationshipName"], document["$targetId"]):
        kept = held.properties
        if same(dict(kept), {**kept, **fitted}):
            return Put("unchanged", {}, {})
    own = {name: document[name] for name in ("$relationshipId", "$sourceId", "$targetId", "$relationshipName")}
    made = put_relationship(draft, source, id, {**own, **kept, **fitted}, None)
    return Put("created" if held is None else "changed", None if held is None else _fields(held), _fields(made))


def _fields(edge: Relationship) -> dict[str, Any]:
    return {"$relationshipName": edge.name, "$targetId": edge.target, **edge.properties}
