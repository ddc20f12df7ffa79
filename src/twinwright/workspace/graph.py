"""`twins.yaml`: the twins and relationships that the workspace declares, checked against their interfaces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from twinwright.clock import from_iso
from twinwright.documents import Document, Location, Problems
from twinwright.errors import UsageError
from twinwright.schema import Component, Ontology, Property, check_value
from twinwright.storage.layout import Relationship

_ID = re.compile(r"^[^\x00-\x1f\x7f]{1,128}$")
_RELATIONSHIP_KEYS = {"$sourceId", "$targetId", "$relationshipId", "$relationshipName"}


@dataclass(frozen=True, slots=True)
class DeclaredTwin:
    """A twin as the workspace declares it. `values` are its properties by path; `since` (microseconds) begins its lifetime."""

    id: str
    interface: str
    since: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Graph:
    """Declared twins by id, and relationships."""

    twins: Mapping[str, DeclaredTwin] = field(default_factory=dict)
    relationships: tuple[Relationship, ...] = ()


def parse_graph(document: Document, ontology: Ontology, problems: Problems) -> Graph:
    """Everything that can be read; what can't be goes into `problems`."""
    data = document.data
    if not isinstance(data, dict) or not set(data) <= {"twins", "relationships"}:
        problems.add(document.problem((), "a mapping with `twins` and `relationships` is expected", "Write `twins:` and a list below it"))
        return Graph()
    twins: dict[str, DeclaredTwin] = {}
    for index, entry in enumerate(_list(document, "twins", problems)):
        twin = _twin(document, ("twins", index), entry, ontology, problems)
        if twin is not None and twin.id in twins:
            problems.add(
                document.problem(("twins", index, "$dtId"), f"the twin '{twin.id}' is declared twice", "Remove one", "duplicate_twin")
            )
        elif twin is not None:
            twins[twin.id] = twin
    edges: dict[tuple[str, str], Relationship] = {}
    for index, entry in enumerate(_list(document, "relationships", problems)):
        place: Location = ("relationships", index)
        edge = _relationship(document, place, entry, twins, ontology, problems)
        if edge is not None and edge.key in edges:
            message = f"the relationship '{edge.id}' of '{edge.source}' is declared twice"
            problems.add(document.problem(place, message, "Give each its own $relationshipId", "duplicate_relationship"))
        elif edge is not None:
            edges[edge.key] = edge
    return Graph(twins, tuple(edges.values()))


def _list(document: Document, name: str, problems: Problems) -> list[Any]:
    value = document.data.get(name) or []
    if not isinstance(value, list):
        problems.add(document.problem((name,), f"`{name}` is not a list", "Write one `- ` entry for each"))
        return []
    return value


def _twin(document: Document, place: Location, entry: Any, ontology: Ontology, problems: Problems) -> DeclaredTwin | None:
    if not isinstance(entry, dict):
        problems.add(document.problem(place, "a twin is a mapping", "Write `$dtId`, `$metadata: {$model: ...}` and its properties"))
        return None
    id = entry.get("$dtId")
    if not isinstance(id, str) or not _ID.match(id):
        problems.add(
            document.problem((*place, "$dtId"), "`$dtId` is missing or not a text of 1 to 128 characters", "Give the twin an id", "bad_id")
        )
        return None
    metadata = entry.get("$metadata")
    model = metadata.get("$model") if isinstance(metadata, dict) else None
    if not isinstance(model, str) or model not in ontology.interfaces:
        known = ", ".join(sorted(ontology.interfaces)[:5]) or "none is loaded"
        message = f"'{id}' has no interface that is known: {model!r}"
        problems.add(
            document.problem((*place, "$metadata"), message, f"Set `$metadata: {{$model: ...}}` to one of: {known}", "unknown_model")
        )
        return None
    since = None
    if "$since" in entry:
        try:
            since = from_iso(str(entry["$since"]))
        except UsageError as error:
            problems.add(document.problem((*place, "$since"), error.what, error.remedy or "", "bad_time"))
    values = _values(document, place, id, model, entry, ontology, problems)
    return DeclaredTwin(id, model, since, values)


def _values(
    document: Document,
    place: Location,
    id: str,
    model: str,
    entry: Mapping[str, Any],
    ontology: Ontology,
    problems: Problems,
    prefix: str = "",
) -> dict[str, Any]:
    contents = ontology.interface(model).contents
    values: dict[str, Any] = {}
    for name, value in entry.items():
        if name.startswith("$"):
            continue
        content = contents.get(name)
        here = (*place, name)
        if isinstance(content, Component) and isinstance(value, dict):
            values |= _values(document, here, id, content.schema, value, ontology, problems, f"{prefix}{name}/")
        elif isinstance(content, Property):
            wrong = check_value(value, content.schema, ontology.schemas)
            for problem in wrong:
                problems.add(document.problem(here, f"'{prefix}{name}' of '{id}': {problem.message}", problem.remedy, "bad_value"))
            if not wrong:
                values[prefix + name] = value
        else:
            from difflib import get_close_matches

            near = get_close_matches(name, [n for n, c in contents.items() if isinstance(c, Property | Component)], 1)
            remedy = f"Did you mean '{near[0]}'?" if near else "Remove it, or declare it in the interface"
            problems.add(document.problem(here, f"{model} has no property '{prefix}{name}'", remedy, "unknown_property"))
    return values


def _relationship(
    document: Document, place: Location, entry: Any, twins: Mapping[str, DeclaredTwin], ontology: Ontology, problems: Problems
) -> Relationship | None:
    if not isinstance(entry, dict) or not set(entry) >= {"$sourceId", "$targetId", "$relationshipName"}:
        remedy = "Write `$sourceId`, `$targetId` and `$relationshipName`"
        problems.add(document.problem(place, "a relationship lacks one of its ends or its name", remedy, "bad_relationship"))
        return None
    source, target, name = (str(entry[key]) for key in ("$sourceId", "$targetId", "$relationshipName"))
    for key, id in (("$sourceId", source), ("$targetId", target)):
        if id not in twins:
            problems.add(document.problem((*place, key), f"there is no twin '{id}'", "Declare it under `twins`", "unknown_twin"))
    if source not in twins or target not in twins:
        return None
    declared = ontology.relationships(twins[source].interface)
    if name not in declared:
        known = ", ".join(sorted(declared)) or "none"
        message = f"{twins[source].interface} has no relationship '{name}'"
        problems.add(document.problem((*place, "$relationshipName"), message, f"It has: {known}", "unknown_relationship"))
        return None
    wanted = declared[name].target
    if wanted is not None and not ontology.is_subtype(twins[target].interface, wanted):
        message = f"'{name}' must lead to {wanted}, and '{target}' is a {twins[target].interface}"
        problems.add(document.problem((*place, "$targetId"), message, "Correct the target or its model", "wrong_target"))
        return None
    id = str(entry.get("$relationshipId") or f"{source}-{name}-{target}")
    properties = {key: value for key, value in entry.items() if key not in _RELATIONSHIP_KEYS and not key.startswith("$")}
    return Relationship(source, id, name, target, properties)
