"""What applying a workspace would change in a store, and carrying it out. What would break clients or orphan history is refused with the
reason; what changes the meaning of an interface goes by a migration to its next version.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from twinwright import schema
from twinwright.derived.definition import Plant
from twinwright.derived.folder import compile_folder
from twinwright.documents import Problems
from twinwright.errors import RefusedError
from twinwright.governance.principals import Principal
from twinwright.platform import migrating
from twinwright.platform.applied import ID, KIND, MODEL, Applied
from twinwright.platform.declared import PART, Declared, read_declared, same_edge
from twinwright.schema import PathInfo
from twinwright.storage.layout import EdgeKey, Lifetime, ReadingTable
from twinwright.storage.protocol import Store, Transaction
from twinwright.telemetry.contract import Contract
from twinwright.twins.documents import DECLARED_TIME
from twinwright.twins.evolution import Lineages
from twinwright.twins.values import value_rows
from twinwright.workspace import Workspace
from twinwright.workspace.load import compile_contracts, paths_of_twins
from twinwright.workspace.retention import HistoryRetention


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between folder and store. `effect` is additive, compatible or breaking."""

    kind: str
    id: str
    change: str
    effect: str
    detail: str = ""


def plan(store: Store, principal: Principal, applied: Applied, workspace: Workspace) -> dict[str, Any]:
    """`changes[] migrations[] breaking cost`."""
    return _planned(store, principal, applied, workspace, read_declared(store, principal))


def _planned(store: Store, principal: Principal, applied: Applied, workspace: Workspace, declared: Declared) -> dict[str, Any]:
    changes = list(_changes(store, principal, applied, workspace, declared))
    migrations = migrating.described(store, principal, applied, workspace)
    rows = sum(change.kind in ("twin", "relationship", "value") for change in changes)
    rows += sum(one["twins"] + one["back"] for one in migrations)
    return {
        "changes": [{name: getattr(change, name) for name in Change.__slots__} for change in changes],
        "migrations": migrations,
        "breaking": any(change.effect == "breaking" for change in changes),
        "cost": {"rows": rows, "seconds": round(0.05 + rows * 2e-6, 3), "bytes": rows * 64},
    }


def apply(store: Store, principal: Principal, applied: Applied, workspace: Workspace) -> dict[str, Any]:
    """Carry the plan out in one audited transaction. Raises RefusedError naming every breaking change."""
    principal.require_admin()
    declared = read_declared(store, principal)
    planned = _planned(store, principal, applied, workspace, declared)
    breaking = [change for change in planned["changes"] if change["effect"] == "breaking"]
    if breaking:
        reasons = "; ".join(f"{change['kind']} {change['id']}: {change['detail']}" for change in breaking)
        remedy = "Keep what is applied and add the new beside it, under a new version (with a migration), name or revision"
        raise RefusedError(f"{len(breaking)} breaking change(s): {reasons}", where=str(workspace.folder), remedy=remedy)
    if planned["changes"] or applied.digest != workspace.digest:
        with store.transaction(principal, "apply") as transaction:
            _write(transaction, store, principal, applied, workspace, declared)
            transaction.put_record("audit", f"apply-{transaction.commit}", {"by": principal.name, "changes": planned["changes"]})
    return {**planned, "token": store.last_commit(principal)}


# --- what changes ----------------------------------------------------------------------------------------------------


def _changes(store: Store, principal: Principal, applied: Applied, workspace: Workspace, declared: Declared) -> Iterator[Change]:
    yield from _interface_changes(applied, workspace)
    yield from _twin_changes(applied, workspace, declared)
    yield from _relationship_changes(_edges_there(store, principal), declared, workspace)
    yield from _contract_changes(store.reading_tables(principal), applied, workspace)
    yield from _model_changes(applied, workspace)
    yield from _derived_changes(applied, workspace)
    yield from _shadow_changes(applied, workspace)
    yield from _retention_changes(applied, workspace)
    for name, change, effect, detail in migrating.changes(applied, workspace):
        yield Change("migration", name, change, effect, detail)
    yield from _retired_changes(applied, workspace)


def _retired_changes(applied: Applied, workspace: Workspace) -> Iterator[Change]:
    """What speaks of a version that is retired."""
    if not applied.lineages.retired:
        return
    lineages = Lineages(workspace.lineages.migrations, workspace.ontology, applied.lineages.retired)
    problems = Problems()
    declared = [twin.interface for twin in workspace.graph.twins.values()]
    compile_contracts(workspace.contract_texts, paths_of_twins(workspace.ontology, declared, lineages), problems)
    plant = Plant(
        workspace.ontology, {one.id: one.interface for one in workspace.graph.twins.values()}, workspace.graph.relationships, lineages
    )
    compile_folder(workspace.derived_texts, plant, problems)
    for problem in problems.items:
        yield Change("retired", str(problem.file), "change", "breaking", str(problem))
    for twin in workspace.graph.twins.values():
        if twin.interface in lineages.retired:
            yield Change("retired", twin.id, "change", "breaking", f"it is declared as {twin.interface}, which is retired")


def _interface_changes(applied: Applied, workspace: Workspace) -> Iterator[Change]:
    old, new = applied.folder_interfaces, workspace.ontology.interfaces
    for dtmi in sorted(set(new) - set(old)):
        if dtmi in applied.ontology.interfaces:
            detail = "a client added it: delete it there first, or leave it out of the folder"
            yield Change("interface", dtmi, "add", "breaking", detail)
        else:
            yield Change("interface", dtmi, "add", "additive")
    for dtmi in sorted(set(old) - set(new)):
        detail = "it is applied but no longer in the folder, and history may be read through it: put it back"
        yield Change("interface", dtmi, "remove", "breaking", detail)
    kept = set(old) & set(new)
    for change in schema.diff(applied.ontology, workspace.ontology):
        if change.interface in kept:
            where = f"{change.interface}" + (f" {change.content}" if change.content else "")
            yield Change("interface", where, "change", change.effect, f"{change.what}: {change.reason}")


def _twin_changes(applied: Applied, workspace: Workspace, declared: Declared) -> Iterator[Change]:
    for id, twin in workspace.graph.twins.items():
        life = applied.registry.alive(id)
        if life is None:
            yield Change("twin", id, "add", "additive", twin.interface)
            continue
        if id not in declared.twins:
            yield Change("twin", id, "declare", "additive", "a client made it; the folder declares it from now on")
        if not workspace.lineages.related(life.interface, twin.interface):
            yield Change("twin", id, "change", "breaking", f"its interface changes from {life.interface} to {twin.interface}")
        if len(applied.registry.lifetimes_of(id)) == 1 and life.since != twin.since:
            yield Change("twin", id, "change", "breaking", "the beginning of its lifetime changes: history may fall outside")
        for path in _changed(declared.twins.get(id, {}), twin.values):
            yield Change("value", f"{id} {path}", "change", "additive")
    for id in sorted(declared.twins):
        if id not in workspace.graph.twins and applied.registry.alive(id):
            yield Change("twin", id, "remove", "breaking", "it is applied but no longer in the folder: its history would have no owner")


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return sorted(path for path, value in after.items() if path not in before or before[path] != value)


def _edges_there(store: Store, principal: Principal) -> set[EdgeKey]:
    rows = store.relationship_rows(principal)
    return set(zip(rows["source"].to_pylist(), rows["id"].to_pylist(), strict=True))


def _relationship_changes(there: Collection[EdgeKey], declared: Declared, workspace: Workspace) -> Iterator[Change]:
    old = declared.edges
    new = {edge.key: edge for edge in workspace.graph.relationships}
    for key, edge in new.items():
        if key not in there:
            yield Change("relationship", f"{edge.source} {edge.name} {edge.target}", "add", "additive")
        elif key not in old:
            detail = "a client made it; the folder declares it from now on"
            yield Change("relationship", f"{edge.source} {edge.id}", "declare", "additive", detail)
        elif not same_edge(old[key], edge):
            yield Change("relationship", f"{edge.source} {edge.id}", "change", "breaking", "changing a relationship is not available yet")
    for key in old:
        if key not in new and key in there:
            yield Change("relationship", f"{key[0]} {key[1]}", "remove", "breaking", "removing a relationship is not available yet")


def _contract_changes(tables: Sequence[ReadingTable], applied: Applied, workspace: Workspace) -> Iterator[Change]:
    for name, contract in workspace.contracts.items():
        old = applied.contracts.get(name)
        clash = _clash(contract, tables)
        if clash:
            yield Change("contract", name, "change" if old else "add", "breaking", clash)
        elif old is None:
            yield Change("contract", name, "add", "additive", f"revision {contract.revision}")
        elif contract.revision > old.revision:
            detail = f"revision {old.revision} to {contract.revision}; `twinwright replay` reads the journal again under it"
            yield Change("contract", name, "change", "additive", detail)
        elif contract.revision < old.revision:
            detail = f"revision {contract.revision} is older than the applied {old.revision}: raise it"
            yield Change("contract", name, "change", "breaking", detail)
        elif not contract.means_as(old):
            detail = f"{_what_changed(contract, old)} but is still revision {old.revision}: raise `revision` to {old.revision + 1}"
            yield Change("contract", name, "change", "breaking", detail)
    for name in applied.contracts:
        if name not in workspace.contracts:
            yield Change("contract", name, "remove", "compatible", "nothing more is taken in under it; its history stays")


def _what_changed(contract: Contract, old: Contract) -> str:
    if contract.spec != old.spec:
        return "it changed"
    if contract.matching != old.matching:
        return "what other contracts on its source leave to it changed,"
    return "what it may write changed with the interface,"


def _model_changes(applied: Applied, workspace: Workspace) -> Iterator[Change]:
    for name, model in workspace.models.items():
        if name not in applied.models:
            yield Change("model", name, "add", "additive", f"version {model.version}, {model.kind}")
        elif applied.models[name] != model.content_digest:
            yield Change("model", name, "change", "compatible", f"version {model.version}; runs that were made keep the code they ran")
    for name in applied.models:
        if name not in workspace.models:
            yield Change("model", name, "remove", "compatible", "it can't be run any more; its runs and parameter sets stay")


def _derived_changes(applied: Applied, workspace: Workspace) -> Iterator[Change]:
    """What is derived follows from history: it is derived again, all of it, and none of it is lost by a change."""
    for name, definition in workspace.derived.items():
        spec, old = definition.spec, applied.derived.get(name)
        if old is None:
            yield Change("derived", name, "add", "additive", f"revision {spec.revision}; derived from all of history")
        elif spec == old.spec:
            continue
        elif spec.revision > old.spec.revision:
            detail = f"revision {old.spec.revision} to {spec.revision}; derived again from all of history"
            yield Change("derived", name, "change", "additive", detail)
        else:
            detail = f"it changed but is not newer than revision {old.spec.revision}: raise `revision` to {old.spec.revision + 1}"
            yield Change("derived", name, "change", "breaking", detail)
    for name in applied.derived:
        if name not in workspace.derived:
            yield Change("derived", name, "remove", "compatible", "what it derived is removed; reads known at an earlier commit show it")


def _shadow_changes(applied: Applied, workspace: Workspace) -> Iterator[Change]:
    """What a shadow says follows from history: one that is changed follows it again, and none of history is lost."""
    for name, shadow in workspace.shadows.items():
        old = applied.shadows.get(name)
        if old is None:
            yield Change("shadow", name, "add", "additive", f"model {shadow.spec.model}; follows from the beginning of history")
        elif old.spec != shadow.spec:
            yield Change("shadow", name, "change", "compatible", "it follows again; reads known at an earlier commit show what it said")
    for name in applied.shadows:
        if name not in workspace.shadows:
            yield Change("shadow", name, "remove", "compatible", "what it said is removed; reads known at an earlier commit show it")


def _retention_changes(applied: Applied, workspace: Workspace) -> Iterator[Change]:
    old, new = applied.retention, workspace.settings.retention.history
    for key, rule in new.items():
        if key not in old:
            yield Change("retention", key, "add", "compatible", _kept(rule))
        elif old[key] != rule:
            yield Change("retention", key, "change", "compatible", f"{_kept(old[key])} becomes {_kept(rule)}")
    for key, rule in old.items():
        if key not in new:
            yield Change("retention", key, "remove", "compatible", f"{_kept(rule)} no more; what is gone stays gone")


def _kept(rule: HistoryRetention) -> str:
    return ", ".join(f"{name} {text}" for name, text in rule.model_dump(exclude_none=True).items())


def _clash(contract: Contract, tables: Sequence[ReadingTable]) -> str:
    """Why the history that is stored, also under contracts that are applied no more, forbids this one; empty if it does not."""
    mine = [table for table in tables if table.contract == contract.name]
    other = next((table.contract for table in tables if table.source == contract.source and table.contract != contract.name), None)
    if other is not None:
        return f"the source '{contract.source}' is that of the contract '{other}': two contracts never share a key"
    if any(table.source != contract.source for table in mine):
        return f"its source changes from '{mine[-1].source}' to '{contract.source}': write a new contract beside it"
    newest = max(mine, key=lambda table: table.revision, default=None)
    if newest is None or contract.revision > newest.revision or contract.matches(newest):
        types = {column.path: column.type for table in mine for column in table.columns}
        odd = [column.path for column in contract.columns if types.get(column.path, column.type) != column.type]
        return f"the type of {', '.join(odd)} changes: observe it under a new path" if odd else ""
    return f"revision {newest.revision} is stored with other columns: raise `revision` to {newest.revision + 1}"


# --- carrying it out -------------------------------------------------------------------------------------------------


def _write(
    transaction: Transaction, store: Store, principal: Principal, applied: Applied, workspace: Workspace, declared: Declared
) -> None:
    tables = {(table.contract, table.revision) for table in store.reading_tables(principal)}
    for contract in workspace.contracts.values():
        if (contract.name, contract.revision) not in tables:
            transaction.create_reading_table(contract.name, contract.source, contract.revision, contract.columns)
    _write_graph(transaction, store, principal, applied, workspace, declared)
    for model in workspace.models.values():
        if model.content_digest not in applied.models.values():
            transaction.put_record(MODEL, model.content_digest, model.as_record())
    body = {
        "digest": workspace.digest,
        "schema": dict(workspace.schema_texts),
        "contracts": dict(workspace.contract_texts),
        "derived": dict(workspace.derived_texts),
        "migrations": dict(workspace.migration_texts),
        "shadows": dict(workspace.shadow_texts),
        "models": {name: model.content_digest for name, model in workspace.models.items()},
        "retention": {key: rule.model_dump(exclude_none=True) for key, rule in workspace.settings.retention.history.items()},
    }
    transaction.put_record(KIND, ID, body)
    migrating.write(transaction, store, principal, applied, workspace)


def _write_graph(
    transaction: Transaction, store: Store, principal: Principal, applied: Applied, workspace: Workspace, declared: Declared
) -> None:
    numbers: dict[str, Lifetime] = {}
    for offset, twin in enumerate(t for t in workspace.graph.twins.values() if not applied.registry.alive(t.id)):
        since, changed = twin.since, None
        if twin.id in applied.registry:  # it was deleted: it begins again
            since = changed = max(transaction.at, applied.registry.newest(twin.id).until or 0)
        numbers[twin.id] = Lifetime(applied.registry.highest + 1 + offset, twin.id, twin.interface, since, changed_at=changed)
    transaction.declare_twins(list(numbers.values()))
    there = _edges_there(store, principal)
    fresh = [edge for edge in workspace.graph.relationships if edge.key not in there]
    again = [replace(edge, changed_at=transaction.at) for edge in fresh if edge.key in declared.edges]  # it was, and is gone
    transaction.declare_relationships([*again, *(edge for edge in fresh if edge.key not in declared.edges)])
    values = value_rows(_values(numbers, applied, workspace, declared), transaction.commit)
    if len(values):
        transaction.append_values(values)
    parts = declared.changed(workspace.graph)
    if parts:
        transaction.put_records(PART, parts)


def _values(
    numbers: Mapping[str, Lifetime], applied: Applied, workspace: Workspace, declared: Declared
) -> Iterator[tuple[int, PathInfo, int, Any]]:
    """A declared value holds from the beginning of the lifetime; a later declaration corrects it."""
    for twin in workspace.graph.twins.values():
        changed = _changed({} if twin.id in numbers else declared.twins.get(twin.id, {}), twin.values)
        if changed:
            life = numbers.get(twin.id) or applied.registry.current(twin.id)
            paths, time = workspace.ontology.paths(twin.interface), DECLARED_TIME if life.since is None else life.since
            for path in changed:
                yield life.number, paths[path], time, twin.values[path]
