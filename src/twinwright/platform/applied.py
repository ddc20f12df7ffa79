"""What has been applied to a store.

The store is the truth: a running platform works with what was applied, not with what lies in the folder. So code (models) enters
by an apply alone; scenarios, which hold none, are read where they lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twinwright import schema
from twinwright.derived.binding import Binding, bind
from twinwright.derived.definition import Definition, Plant
from twinwright.derived.folder import compile_folder
from twinwright.documents import Problems
from twinwright.errors import NotFoundError, WorkspaceError
from twinwright.governance.principals import Principal
from twinwright.observability.logs import get_logger
from twinwright.schema import Ontology
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.shadow.consumer import Bound
from twinwright.simulation.shadow.definition import Shadow, compile_shadows
from twinwright.storage.layout import Lifetime, Relationship
from twinwright.storage.protocol import Store
from twinwright.storage.records import Record
from twinwright.telemetry.contract import Contract
from twinwright.twins.evolution import MOVED, Evolution, Lineages, compile_migrations
from twinwright.twins.registry import TwinRegistry
from twinwright.workspace.load import compile_contracts, paths_of_twins
from twinwright.workspace.retention import HistoryRetention, rules_from

KIND, ID = "applied", "workspace"
INTERFACE = "interface"  # the kind of record that holds one that a client added, or says that one is decommissioned, by its DTMI
MODEL = "model"  # the kind of record that holds one, by the digest of its content


_log = get_logger("apply")


@dataclass(frozen=True, slots=True)
class Applied:
    """The interfaces, twins, contracts and derived values that are applied or that clients added, ready to use; which models; and the
    commit and time of the last apply. Which interfaces an apply put there is also by itself: another changes nothing else."""

    digest: str
    schema_texts: Mapping[str, str]
    contract_texts: Mapping[str, str]
    folder_interfaces: frozenset[str]
    added: Mapping[str, Record]  # interfaces of clients, and notes on others, by DTMI
    ontology: Ontology
    registry: TwinRegistry
    contracts: Mapping[str, Contract]
    models: Mapping[str, str]  # name -> the digest of its content, under which `read_model` finds it
    derived: Mapping[str, Definition]
    bindings: Sequence[Binding]
    commit: int
    at: int
    shadow_texts: Mapping[str, str]
    shadows: Mapping[str, Shadow]
    retention: Mapping[str, HistoryRetention]  # by `*`, interface, path or both
    lineages: Lineages
    moved: Mapping[str, frozenset[int]]  # by migration, the lifetimes that it moved
    migration_texts: Mapping[str, str]

    @property
    def evolution(self) -> Evolution:
        """How records are read as the versions that twins are of."""
        return Evolution(self.lineages, self.registry)

    def by_beginning(self, lives: Iterable[Lifetime]) -> dict[str, list[int]]:
        """The numbers of lifetimes by the interface that each was of before any migration moved it."""
        newest_first = self.lineages.in_order()[::-1]
        found: dict[str, list[int]] = {}
        for life in lives:
            interface = life.interface
            for one in newest_first:
                if one.new == interface and life.number in self.moved.get(one.name, ()):
                    interface = one.old
            found.setdefault(interface, []).append(life.number)
        return found

    @property
    def decommissioned(self) -> frozenset[str]:
        """The interfaces that take no new twins."""
        return frozenset(dtmi for dtmi, record in self.added.items() if record.body["decommissioned"])

    def twins_of(self, interface: str) -> list[str]:
        """The twins there are of an interface, or of one that extends it; in order of their ids."""
        if interface not in self.ontology.interfaces:
            return []
        lives = [self.registry.current(name) for name in sorted(self.registry.twins)]
        return [life.twin for life in lives if life.alive and self.lineages.is_of(life.interface, interface, self.ontology)]


def read_applied(store: Store, principal: Principal) -> Applied:
    """What the store holds; of an empty store nothing."""
    try:
        record = store.get_record(principal, KIND, ID)
        body, commit, at = record.body, record.commit, record.at
    except NotFoundError:
        body, commit, at = {"digest": "", "schema": {}, "contracts": {}, "models": {}}, 0, 0
    added = {one.id: one for one in store.records(principal, INTERFACE) if not one.body["removed"]}
    ontology = folder = schema.load(list(body["schema"].items()))
    if any(one.body["model"] is not None for one in added.values()):
        ontology = schema.load(documents_of(body["schema"], added))
    lifetimes = store.lifetimes(principal)
    edges = store.relationships(principal) if body.get("derived") else ()
    interfaces = {life.interface for life in lifetimes} & set(ontology.interfaces)
    problems = Problems()
    retired = {dtmi for dtmi, record in added.items() if record.body.get("retired")}
    lineages = Lineages(compile_migrations(body.get("migrations", {}), ontology, problems), ontology, retired)
    spoken = {dtmi: lineages.paths(dtmi) for dtmi in _with_versions(interfaces, lineages)}
    registry = TwinRegistry(lifetimes, spoken)
    contracts = compile_contracts(body["contracts"], paths_of_twins(ontology, sorted(interfaces), lineages), problems)
    plant = _plant(ontology, lifetimes, edges, lineages)
    derived = compile_folder(body.get("derived", {}), plant, problems)
    shadows = _shadows(store, principal, body, ontology, lifetimes)
    if problems:  # it was checked when it was applied: another version of Twinwright judges otherwise
        raise WorkspaceError(problems.items)
    return Applied(
        digest=body["digest"],
        schema_texts=body["schema"],
        contract_texts=body["contracts"],
        folder_interfaces=frozenset(folder.interfaces),
        added=added,
        ontology=ontology,
        registry=registry,
        contracts=contracts,
        models=body.get("models", {}),  # a store of before models were applied has none
        derived=derived,
        bindings=[bind(one, plant, lifetimes) for one in derived.values()],
        commit=commit,
        at=at,
        shadow_texts=body.get("shadows", {}),
        shadows=shadows,
        retention=rules_from(body.get("retention", {})),
        lineages=lineages,
        moved={one.id: frozenset(one.body["moved"]) for one in store.records(principal, MOVED)},
        migration_texts=body.get("migrations", {}),
    )


def _with_versions(interfaces: Iterable[str], lineages: Lineages) -> set[str]:
    """Interfaces and the other versions of them, of which there may be twins any time."""
    return {version for dtmi in interfaces for version in (lineages.versions(dtmi) if lineages.active else (dtmi,))}


def _shadows(
    store: Store, principal: Principal, body: Mapping[str, Any], ontology: Ontology, lifetimes: Sequence[Lifetime]
) -> dict[str, Shadow]:
    """The applied shadows. One whose twin was deleted since, or is of another interface now, follows nothing, which is no fault of what was
    applied, and must not keep anything else from being served."""
    texts = body.get("shadows", {})
    if not texts:
        return {}
    models = {name: read_model(store, principal, digest) for name, digest in body["models"].items()}
    twins = {life.twin: life.interface for life in lifetimes}
    found: dict[str, Shadow] = {}
    for file, text in texts.items():
        problems = Problems()
        found |= compile_shadows({file: text}, models, ontology, twins, problems)
        for problem in problems.items:
            _log.error("a shadow follows nothing", error=str(problem))
    return found


def followed(applied: Applied, lifetimes: Sequence[Lifetime]) -> list[Bound]:
    """The shadows over the twins that are alive."""
    bounds = []
    for shadow in applied.shadows.values():
        spec = shadow.spec
        mine = [
            life
            for life in lifetimes
            if life.alive
            and life.interface in applied.ontology.interfaces
            and (life.twin == spec.twin if spec.interface is None else applied.ontology.is_subtype(life.interface, spec.interface))
        ]
        interfaces = {version for life in mine for version in applied.lineages.versions(life.interface)}
        bounds.append(Bound(shadow, tuple(sorted(life.number for life in mine)), tuple(sorted(interfaces))))
    return bounds


def documents_of(texts: Mapping[str, str], added: Mapping[str, Record]) -> list[tuple[str, Any]]:
    """The DTDL of a folder and of clients, named."""
    return [*texts.items(), *((dtmi, one.body["model"]) for dtmi, one in added.items() if one.body["model"] is not None)]


def bindings_of(store: Store, principal: Principal, applied: Applied) -> list[Binding]:
    """The derived values over the twins and relationships there are now."""
    lifetimes = store.lifetimes(principal)
    plant = _plant(applied.ontology, lifetimes, store.relationships(principal), applied.lineages)
    return [bind(one, plant, lifetimes) for one in applied.derived.values()]


def _plant(ontology: Ontology, lifetimes: Sequence[Lifetime], edges: Sequence[Relationship], lineages: Lineages) -> Plant:
    return Plant(ontology, {life.twin: life.interface for life in lifetimes if life.alive}, edges, lineages)


def read_model(store: Store, principal: Principal, digest: str) -> ModelDefinition:
    """An applied model with its code. Raises NotFoundError."""
    return ModelDefinition.from_record(store.get_record(principal, MODEL, digest).body)
