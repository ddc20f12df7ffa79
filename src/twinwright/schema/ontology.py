"""An ontology: the interfaces of a set of documents, checked and resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from twinwright.errors import NotFoundError, Problem, SchemaError, UsageError
from twinwright.schema import layers
from twinwright.schema.build import Builder
from twinwright.schema.context import Options
from twinwright.schema.described import Element, describe
from twinwright.schema.elements import Component, Interface, PathInfo, Property, Relationship, Schema, SchemaReference, Telemetry
from twinwright.schema.parser import Parser
from twinwright.schema.report import Report
from twinwright.schema.resolve import Model
from twinwright.schema.sources import read, top_level
from twinwright.schema.values import check_value

Resolver: TypeAlias = Callable[[list[str]], Any]
_MAX_ROUNDS = 64


class Ontology:
    """Interfaces by DTMI, and what follows from them. Immutable."""

    def __init__(self, interfaces: Mapping[str, Interface], schemas: Mapping[str, Schema], model: Model | None = None) -> None:
        self.interfaces: Mapping[str, Interface] = MappingProxyType(dict(interfaces))
        self.schemas: Mapping[str, Schema] = MappingProxyType(dict(schemas))
        self._model = model
        self._elements: Mapping[str, Element] | None = None
        self._paths: dict[str, Mapping[str, PathInfo]] = {}
        self._component_paths: dict[str, tuple[str, ...]] = {}
        self._ancestors: dict[str, frozenset[str]] = {}

    def interface(self, dtmi: str) -> Interface:
        """The interface of this identifier. Raises NotFoundError, with the nearest there is."""
        try:
            return self.interfaces[dtmi]
        except KeyError:
            near = get_close_matches(dtmi, self.interfaces, 1)
            remedy = f"Did you mean '{near[0]}'?" if near else f"{len(self.interfaces)} interfaces are known"
            raise NotFoundError(f"there is no interface '{dtmi}'", remedy=remedy) from None

    @property
    def elements(self) -> Mapping[str, Element]:
        """Everything that the documents hold, by identifier: also what has none of its own, and the standard schemas referred to."""
        if self._elements is None:
            self._elements = describe(self._model) if self._model is not None else MappingProxyType({})
        return self._elements

    def check_instance(self, id: str, value: Any) -> list[Problem]:
        """What keeps a JSON value from being an instance of an element: a schema, or what has one (Property, Field ...).

        Raises NotFoundError where there is no such element, and UsageError where it is of a class that has no values.
        """
        element = self.elements.get(id)
        if element is None or self._model is None:
            near = get_close_matches(id, self.elements, 1)
            raise NotFoundError(f"there is no element '{id[:200]}'", remedy=f"Did you mean '{near[0]}'?" if near else None)
        schema = Builder(self._model).schema_of(id)
        if schema is None:
            raise UsageError(f"'{id}' is a {element.type}, which has no values", remedy="Name a schema, or what has one")
        return check_value(value, schema, self.schemas)

    def paths(self, dtmi: str) -> Mapping[str, PathInfo]:
        """Every Property and Telemetry of an interface, inherited ones included, those of components as `component/name`."""
        if dtmi not in self._paths:
            self._paths[dtmi] = MappingProxyType({info.path: info for info in self._walk(self.interface(dtmi), "")})
        return self._paths[dtmi]

    def plain(self, schema: Schema) -> Schema:
        """A schema itself where it is referred to by its DTMI."""
        return self.schemas[schema.id] if isinstance(schema, SchemaReference) else schema

    def relationships(self, dtmi: str) -> Mapping[str, Relationship]:
        """The relationships of an interface by name, inherited ones included."""
        return {name: item for name, item in self.interface(dtmi).contents.items() if isinstance(item, Relationship)}

    def components(self, dtmi: str) -> Mapping[str, Component]:
        """The components of an interface by name, inherited ones included."""
        return {name: item for name, item in self.interface(dtmi).contents.items() if isinstance(item, Component)}

    def component_paths(self, dtmi: str) -> tuple[str, ...]:
        """Every component of an interface, those within components as `outer/inner`, each after what holds it."""
        if dtmi not in self._component_paths:
            found: list[str] = []
            for name, component in self.components(dtmi).items():
                found += [name, *(f"{name}/{inner}" for inner in self.component_paths(component.schema))]
            self._component_paths[dtmi] = tuple(found)
        return self._component_paths[dtmi]

    def is_subtype(self, dtmi: str, base: str) -> bool:
        """Whether an interface is `base` or extends it, at however many removes."""
        return dtmi == base or base in self._all_bases(dtmi)

    def _all_bases(self, dtmi: str) -> frozenset[str]:
        if dtmi not in self._ancestors:
            bases = self.interface(dtmi).extends
            self._ancestors[dtmi] = frozenset(bases).union(*(self._all_bases(base) for base in bases))
        return self._ancestors[dtmi]

    def _walk(self, interface: Interface, prefix: str) -> Iterator[PathInfo]:
        for name, item in interface.contents.items():
            if isinstance(item, Property):
                yield PathInfo(prefix + name, "property", item.schema, item.unit, item.semantic_type, item.writable)
            elif isinstance(item, Telemetry):
                yield PathInfo(prefix + name, "telemetry", item.schema, item.unit, item.semantic_type, False)
            elif isinstance(item, Component):
                yield from self._walk(self.interface(item.schema), f"{prefix}{name}/")


def load(
    documents: Any,
    resolver: Resolver | None = None,
    allow_undefined_extensions: bool | None = None,
    max_version: int = 4,
    acceptable_limits: Iterable[str] | None = None,
) -> Ontology:
    """The ontology of DTDL documents: JSON text, parsed data, `(name, text or data)` pairs, or an iterable of these.

    `resolver` is given the DTMIs that are referred to and defined nowhere, and returns documents (None or an empty list:
    it has none). `allow_undefined_extensions` None allows unknown extension contexts in DTDL 2 and refuses them later.
    `acceptable_limits` names the limit extensions that are admitted (None: all that are known).
    Raises SchemaError with every problem.
    """
    report = Report()
    limits = None if acceptable_limits is None else frozenset(acceptable_limits)
    parser, model = Parser(Options(allow_undefined_extensions, max_version, limits), report), Model(report)
    _take(documents, parser, model, report)
    _resolve(resolver, parser, model, report)
    model.check()
    layers.check(parser.nodes, report)
    if report.problems:
        raise SchemaError(report.problems)
    builder = Builder(model)
    return Ontology(builder.interfaces(), builder.shared_schemas(), model)


def files_of(path: Path) -> list[Path]:
    """The file itself, or the JSON files of a folder and of those inside it, in order."""
    return sorted(file for file in path.rglob("*") if file.suffix.lower() == ".json" and file.is_file()) if path.is_dir() else [path]


def validate_files(paths: list[Path] | list[str]) -> dict[str, Any]:
    """Check files of DTDL, and those of folders, together: `{"valid": bool, "errors": [{file, line, path, code, message, remedy}]}`."""
    documents: list[tuple[str, bytes]] = []
    files = {named: files_of(Path(named)) for named in paths}
    remedy = "Name files, or a folder with .json files"
    empty = (str(named) for named, found in files.items() if not found)
    problems = [Problem("there is no DTDL in this folder", remedy, name, code="unreadable") for name in empty]
    for path in (file for found in files.values() for file in found):
        try:
            documents.append((str(path), path.read_bytes()))
        except OSError as error:
            remedy = "Check that it exists and may be read"
            problems.append(Problem(f"can't be read: {error.strerror}", remedy, str(path), code="unreadable"))
    try:
        load(documents)
    except SchemaError as error:
        problems.extend(error.problems)
    return {"valid": not problems, "errors": [problem.as_json() for problem in problems]}


def _take(documents: Any, parser: Parser, model: Model, report: Report) -> None:
    done = len(parser.nodes)
    for source in read(documents, report):
        for location, data in top_level(source, report):
            parser.top_level(data, source, location)
    for node in parser.nodes[done:]:
        if not node.layer:
            model.add(node)


def _resolve(resolver: Resolver | None, parser: Parser, model: Model, report: Report) -> None:
    """Ask for what is missing until nothing is, or the resolver has nothing new."""
    asked: set[str] = set()
    for _ in range(_MAX_ROUNDS if resolver is not None else 0):
        wanted = sorted(model.unresolved() - asked)
        if not wanted or resolver is None:
            return
        asked.update(wanted)
        documents = resolver(wanted)
        if documents is not None:
            _take(list(documents.values()) if _is_by_dtmi(documents) else documents, parser, model, report)


def _is_by_dtmi(documents: Any) -> bool:
    return isinstance(documents, Mapping) and not any(str(key).startswith("@") for key in documents)
