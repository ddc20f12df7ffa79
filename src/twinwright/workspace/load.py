"""Loading a workspace folder: each part is parsed, then checked against the parts it speaks of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from twinwright import schema, units
from twinwright.connectors.registry import find_connector, find_sink, load_connectors, load_sinks
from twinwright.connectors.sink import Sink
from twinwright.derived.definition import Definition, Plant
from twinwright.derived.folder import compile_folder
from twinwright.documents import Document, Problems, Spec, load, parse_text
from twinwright.errors import Problem, SchemaError, TwinwrightError, WorkspaceError
from twinwright.schema import Ontology, PathInfo
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.model_document import check_model, parse_model
from twinwright.simulation.scenario import Scenario, check_scenario, parse_scenario
from twinwright.simulation.shadow.definition import Shadow, compile_shadows
from twinwright.telemetry.admitted import admitted
from twinwright.telemetry.connector import Bound, Source
from twinwright.telemetry.contract import Contract, compile_contract
from twinwright.telemetry.contract_spec import ContractSpec, parse_contract
from twinwright.telemetry.held import column_type
from twinwright.telemetry.matching import ALONE, groups_of
from twinwright.twins.evolution import NO_LINEAGES, Lineages, compile_migrations
from twinwright.workspace.graph import Graph, parse_graph
from twinwright.workspace.retention import check_rules
from twinwright.workspace.settings import ConnectorSettings, PluginSettings, Settings, engine_of, load_settings


@dataclass(frozen=True)
class Workspace:
    """A folder that is in order. `texts` are the applied documents by file name, as they were read."""

    folder: Path
    settings: Settings
    ontology: Ontology
    graph: Graph
    contracts: Mapping[str, Contract]
    models: Mapping[str, ModelDefinition]
    scenarios: Mapping[str, Scenario]
    schema_texts: Mapping[str, str] = field(default_factory=dict)
    contract_texts: Mapping[str, str] = field(default_factory=dict)
    derived: Mapping[str, Definition] = field(default_factory=dict)
    derived_texts: Mapping[str, str] = field(default_factory=dict)
    lineages: Lineages = NO_LINEAGES
    migration_texts: Mapping[str, str] = field(default_factory=dict)
    shadows: Mapping[str, Shadow] = field(default_factory=dict)
    shadow_texts: Mapping[str, str] = field(default_factory=dict)
    amiss: Sequence[Problem] = ()  # what is wrong with scenarios that were left out

    @cached_property
    def digest(self) -> str:
        """Of everything that an apply puts into the store beside the models, of which each has its own."""
        parts = [
            *sorted(self.schema_texts.items()),
            *sorted(self.contract_texts.items()),
            *sorted(self.derived_texts.items()),
            *sorted(self.migration_texts.items()),
            *sorted(self.shadow_texts.items()),
            ("twins", repr(self.graph)),
            *(("retention", repr(rule)) for rule in sorted(self.settings.retention.history.items())),
        ]
        return hashlib.sha256(repr(parts).encode()).hexdigest()


PARTS = ("twinwright.toml", "schema", "twins.yaml", "contracts", "derived", "migrations", "models", "scenarios", "shadows", ".twinwright")


def is_workspace(folder: Path) -> bool:
    """Whether there is any part of a workspace in a folder; every one is optional, but not all of them."""
    return any((folder / part).exists() for part in PARTS)


def load_workspace(folder: Path) -> Workspace:
    """Raises WorkspaceError with every problem of the folder."""
    found = read_workspace(folder)
    if found.amiss:
        raise WorkspaceError(found.amiss)
    return found


def read_workspace(folder: Path) -> Workspace:
    """A folder whose scenarios need not be in order: those that are not are left out, and told in `amiss`. Raises WorkspaceError with every
    problem of the folder where there is another."""
    problems = Problems()
    if not folder.is_dir():
        raise WorkspaceError([Problem("there is no such folder", "Make one with: twinwright init DIR", str(folder), code="missing")])
    settings, toml = load_settings(folder, problems)
    before = len(problems)
    schema_texts = _texts(folder, "schema", (".json",), problems)
    ontology = _ontology(schema_texts, problems) if len(problems) == before else None
    graph = _graph(folder, ontology, problems)
    migration_texts = _texts(folder, "migrations", (".yaml", ".yml"), problems)
    migrations = {} if ontology is None else compile_migrations(migration_texts, ontology, problems)
    lineages = Lineages(migrations, ontology) if ontology is not None else NO_LINEAGES
    declared = [twin.interface for twin in graph.twins.values()] if graph else []
    paths = None if ontology is None else paths_of_twins(ontology, declared, lineages)
    contract_texts = _texts(folder, "contracts", (".yaml", ".yml"), problems)
    contracts = compile_contracts(contract_texts, paths, problems)
    if ontology is not None and graph:
        used = {twin.interface for twin in graph.twins.values()}
        _check_interfaces(contracts, contract_texts, {dtmi: ontology.paths(dtmi) for dtmi in sorted(used)}, problems)
    _check_store(settings, toml, problems)
    if ontology is not None:
        check_rules(settings.retention.history, ontology, toml, problems)
    derived_texts = _texts(folder, "derived", (".yaml", ".yml"), problems)
    derived = (
        compile_folder(derived_texts, _plant(ontology, graph, lineages), problems) if ontology is not None and graph is not None else {}
    )
    _check_connectors(settings, toml, contracts, contract_texts, problems)
    sinks = load_sinks()
    _check_plugins("sink", settings.sinks, lambda type: find_sink(type, sinks), toml, problems)
    models = _models(folder, ontology, problems)
    scenarios, amiss = _scenarios(folder, models, graph)
    shadow_texts = _texts(folder, "shadows", (".yaml", ".yml"), problems)
    shadows: dict[str, Shadow] = {}
    if ontology is not None and graph is not None:
        twins = {twin.id: twin.interface for twin in graph.twins.values()}
        shadows = compile_shadows(shadow_texts, models, ontology, twins, problems, lineages.migrated)
    if problems or ontology is None or graph is None:
        raise WorkspaceError([*problems.items, *amiss])
    texts = (schema_texts, contract_texts, derived, derived_texts, lineages, migration_texts, shadows, shadow_texts)
    return Workspace(folder, settings, ontology, graph, contracts, models, scenarios, *texts, amiss=tuple(amiss))


def _plant(ontology: Ontology, graph: Graph, lineages: Lineages) -> Plant:
    return Plant(ontology, {twin.id: twin.interface for twin in graph.twins.values()}, graph.relationships, lineages)


def paths_of_twins(ontology: Ontology, interfaces: Sequence[str], lineages: Lineages = NO_LINEAGES) -> dict[str, PathInfo]:
    """Every path that some twin has (without twins: that some interface has), in whatever version; what the newest says of it counts."""
    paths: dict[str, PathInfo] = {}
    used = sorted(set(interfaces)) or sorted(ontology.interfaces)
    versions = [version for dtmi in used for version in lineages.served(dtmi)] if lineages.active else used
    for dtmi in dict.fromkeys(versions):
        for path, info in ontology.paths(dtmi).items():
            paths.setdefault(path, info)
    return paths


def compile_contracts(texts: Mapping[str, str], paths: Mapping[str, PathInfo] | None, problems: Problems) -> dict[str, Contract]:
    """Contracts by name, from their documents by file name. Without `paths` they are only read, not checked against twins."""
    read: dict[str, tuple[ContractSpec, Document]] = {}
    sources: dict[str, str] = {}
    for file, text in texts.items():
        document = parse_text(text, file, problems)
        spec = parse_contract(document, problems) if document else None
        if document is None or spec is None:
            continue
        _check_names(document, spec, read, sources, problems)
        read[spec.name] = (spec, document)
    groups = groups_of(read, problems)
    contracts: dict[str, Contract] = {}
    for name, (spec, document) in read.items():
        contract = None if paths is None else compile_contract(spec, paths, document, problems, groups.get(name, ALONE))
        if contract is not None:
            contracts[name] = contract
    return contracts


def _check_interfaces(
    contracts: Mapping[str, Contract], texts: Mapping[str, str], interfaces: Mapping[str, Mapping[str, PathInfo]], problems: Problems
) -> None:
    """Every interface that a contract's twins may have means the same by its paths: one type, one dimension."""
    for contract in contracts.values():
        for dtmi, paths in interfaces.items():
            if not all(column.path in paths for column in contract.columns):
                continue
            for index, column in enumerate(contract.columns):
                info = paths[column.path]
                alike = column_type(info.schema) == column.type and admitted(info.schema) == contract.admitted[index]
                if alike and units.compatible(column.unit, info.unit):
                    continue
                message = f"'{column.path}' of {dtmi} is another quantity ({info.unit or 'dimensionless'}, {column_type(info.schema)})"
                remedy = "Give the interfaces that this contract feeds one unit dimension, type and set of values for the path"
                document = _document_of(contract.name, texts)
                problems.add(document.problem(("observations", index), message, remedy, "other_quantity"))


def _check_names(
    document: Document, spec: ContractSpec, contracts: Mapping[str, object], sources: dict[str, str], problems: Problems
) -> None:
    if spec.name in contracts:
        problems.add(document.problem(("name",), f"there is another contract '{spec.name}'", "Rename one", "duplicate_contract"))
    holder = sources.setdefault(spec.source_name, spec.name)
    if holder != spec.name:
        message = f"the source '{spec.source_name}' belongs to the contract '{holder}'"
        problems.add(
            document.problem(("source",), message, "Two contracts never share a key: give it its own `source.name`", "shared_source")
        )
    if spec.source_name == "api":
        problems.add(document.problem(("name",), "the source 'api' is that of API writes", "Choose another name", "reserved"))


def _texts(folder: Path, part: str, suffixes: tuple[str, ...], problems: Problems) -> dict[str, str]:
    texts: dict[str, str] = {}
    for path in sorted((folder / part).rglob("*")) if (folder / part).is_dir() else []:
        if path.suffix not in suffixes or not path.is_file():
            continue
        name = str(path.relative_to(folder))
        try:
            texts[name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problems.add(Problem(f"can't be read: {error}", "Save it as UTF-8 and make it readable", name, code="unreadable"))
    return texts


def _ontology(texts: Mapping[str, str], problems: Problems) -> Ontology | None:
    """None for a schema with problems: what is checked against it would have a problem of its own at every name."""
    try:
        return schema.load(list(texts.items()))
    except SchemaError as error:
        for problem in error.problems:
            problems.add(problem)
        return None


def _graph(folder: Path, ontology: Ontology | None, problems: Problems) -> Graph | None:
    """None where it can't be read, or not be checked."""
    path = folder / "twins.yaml"
    if not path.exists():
        return Graph()
    document = load(path, problems, name=path.name)
    if document is None or ontology is None:
        return None
    return parse_graph(document, ontology, problems)


def _models(folder: Path, ontology: Ontology | None, problems: Problems) -> dict[str, ModelDefinition]:
    models: dict[str, ModelDefinition] = {}
    for path in sorted((folder / "models").glob("*.y*ml")):
        document = load(path, problems, name=str(path.relative_to(folder)))
        definition = parse_model(document, path.parent, problems) if document else None
        if document is None or definition is None:
            continue
        if definition.name in models:
            problems.add(document.problem(("name",), f"there is another model '{definition.name}'", "Rename one", "duplicate_model"))
        if ontology is None or definition.interface is None:
            pass
        elif definition.interface not in ontology.interfaces:
            message = f"there is no interface {definition.interface}"
            problems.add(document.problem(("interface",), message, "Name one of schema/*.json", "unknown_interface"))
        else:
            check_model(definition, ontology.paths(definition.interface), problems, document)
        models[definition.name] = definition
    return models


def _scenarios(folder: Path, models: Mapping[str, ModelDefinition], graph: Graph | None) -> tuple[dict[str, Scenario], list[Problem]]:
    """Those that are in order, by name, and what is wrong with the others: a question that can't be asked stands in the way of no other."""
    scenarios: dict[str, Scenario] = {}
    named: dict[str, str] = {}
    amiss: list[Problem] = []
    for path in sorted((folder / "scenarios").glob("*.y*ml")):
        problems = Problems()
        document = load(path, problems, name=str(path.relative_to(folder)))
        scenario = parse_scenario(document, problems, path.parent) if document else None
        if document is not None and scenario is not None:
            if scenario.name in named:
                message = f"there is another scenario '{scenario.name}', in {named[scenario.name]}"
                problems.add(document.problem(("name",), message, "Rename one", "duplicate_scenario"))
                scenarios.pop(scenario.name, None)
            named.setdefault(scenario.name, document.file)
            check_scenario_in(scenario, models, None if graph is None else graph.twins, document, problems)
            if not problems:
                scenarios[scenario.name] = scenario
        amiss += problems.items
    return scenarios, amiss


def check_scenario_in(
    scenario: Scenario, models: Mapping[str, ModelDefinition], twins: Mapping[str, object] | None, document: Document, problems: Problems
) -> None:
    """A scenario against the models and twins there are (None: that is not known)."""
    definition = models.get(scenario.model)
    if definition is None:
        known = ", ".join(sorted(models)) or "none is in order"
        problems.add(document.problem(("model",), f"there is no model '{scenario.model}'", f"There are: {known}", "unknown_model"))
    else:
        check_scenario(scenario, definition, problems, document)
    named = () if scenario.of_interface or scenario.of_query else scenario.twins or (scenario.twin,)
    for twin in named:
        if twins is not None and twin not in twins:
            problems.add(document.problem(("twin",), f"there is no twin '{twin}'", "Declare it in twins.yaml", "unknown_twin"))


def _check_store(settings: Settings, toml: Document, problems: Problems) -> None:
    """The engine exists, and knows its options."""
    kind = engine_of(settings.store, toml, problems)
    if kind is not None:
        _parse_part(toml, ("store",), settings.store.options, kind.Settings, problems)


def _check_connectors(
    settings: Settings, toml: Document, contracts: Mapping[str, Contract], texts: Mapping[str, str], problems: Problems
) -> None:
    """Every connector has a type that exists and options it knows; every contract that names one binds to it."""
    kinds = load_connectors()
    _check_plugins("connector", settings.connectors, lambda type: find_connector(type, kinds), toml, problems)
    for contract in contracts.values():
        named = contract.spec.source.connector
        if named is None:
            continue
        document = _document_of(contract.name, texts)
        if named not in settings.connectors:
            known = ", ".join(sorted(settings.connectors)) or "none"
            remedy = f"Add [connectors.{named}] to twinwright.toml; there are: {known}"
            problems.add(document.problem(("source", "connector"), f"there is no connector '{named}'", remedy, "unknown_connector"))
        elif settings.connectors[named].type in kinds:
            kind = kinds[settings.connectors[named].type]
            _parse_part(document, ("source",), contract.spec.source.model_extra or {}, kind.Binding, problems)


def _check_plugins(
    what: str,
    given: Mapping[str, PluginSettings],
    find: Callable[[str], type[Source] | type[Sink]],
    toml: Document,
    problems: Problems,
) -> None:
    """Every one of a table of the settings has a type that exists and options it knows."""
    for name, one in given.items():
        place = (f"{what}s", name)
        try:
            kind = find(one.type)
        except TwinwrightError as error:
            problems.add(toml.problem((*place, "type"), error.what, error.remedy or "", f"unknown_{what}"))
            continue
        _parse_part(toml, place, one.options, kind.Settings, problems)


def _document_of(contract: str, texts: Mapping[str, str]) -> Document:
    for file, text in texts.items():
        document = parse_text(text, file, Problems())
        if document is not None and isinstance(document.data, dict) and document.data.get("name") == contract:
            return document
    return Document("contracts", {}, {})


def _parse_part(document: Document, place: tuple[str, ...], options: Mapping[str, object], spec: type[Spec], problems: Problems) -> None:
    lines = {location[len(place) :]: line for location, line in document.lines.items() if location[: len(place)] == place}
    Document(document.file, dict(options), lines or {(): document.line(place) or 1}, place).parse(spec, problems)


def bindings(connector: ConnectorSettings, name: str, contracts: Mapping[str, Contract]) -> tuple[Bound, ...]:
    """The contracts that take from a connector, as its class wants them."""
    kind = find_connector(connector.type, load_connectors())
    return tuple(
        Bound(contract.name, contract.spec.format, kind.Binding.model_validate(contract.spec.source.model_extra or {}))
        for contract in contracts.values()
        if contract.spec.source.connector == name
    )
