"""What the migrations of a workspace move, and moving it: twins go to another version of their interface, and no record is touched.

Which twins a share takes is decided by their ids, so a greater share has all that a smaller had; a smaller one sends back what the
migration moved. All of it is part of the apply's one transaction: a platform that is killed has done all of it or nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa

from twinwright import units
from twinwright.governance.principals import Principal
from twinwright.platform.applied import Applied
from twinwright.schema import Ontology
from twinwright.storage.layout import Lifetime, Selection
from twinwright.storage.protocol import VALUE_SCHEMA, Store, Transaction
from twinwright.twins.documents import DECLARED_TIME
from twinwright.twins.evolution import MOVED, Migration
from twinwright.twins.evolution.spec import StepSpec
from twinwright.twins.values import value_row
from twinwright.workspace import Workspace

_COUNTED: Final = 100_000  # readings that are looked through to count those that a step touches; of more, only a bound is told


@dataclass(frozen=True, slots=True)
class Move:
    """What one migration does now: lifetimes that go to the new version, those that go back, and how many stay with the old one."""

    migration: Migration
    there: Sequence[Lifetime]
    back: Sequence[Lifetime]
    left: int

    def told(self) -> str:
        """For the list of changes."""
        parts = [f"{len(self.there)} twins to {self.migration.new}"]
        if self.back:
            parts.append(f"{len(self.back)} back to {self.migration.old}")
        if self.left:
            parts.append(f"{self.left} stay at {self.migration.old} (share {self.migration.spec.share:g})")
        return ", ".join(parts)


def place_of(twin: str) -> float:
    """Where a twin stands in every staging: it is of the new version once the share is greater."""
    return int.from_bytes(hashlib.blake2b(twin.encode(), digest_size=7).digest()) / 2**56


def moves(applied: Applied, workspace: Workspace) -> list[Move]:
    """In the order of versions."""
    migrations = workspace.lineages.in_order()
    alive = [applied.registry.current(twin) for twin in applied.registry.twins] if migrations else []
    now = {life.number: life.interface for life in alive}
    back: dict[str, list[Lifetime]] = {}
    for index in reversed(range(len(migrations))):
        one, reach = migrations[index], _reach(applied, migrations[: index + 1])
        mine = [life for life in alive if now[life.number] == one.new and place_of(life.twin) >= reach.get(life.number, math.inf)]
        back[one.name] = mine
        now |= dict.fromkeys((life.number for life in mine), one.old)
    found = []
    for one in migrations:
        of_old = [life for life in alive if now[life.number] == one.old]
        there = [life for life in of_old if place_of(life.twin) < one.spec.share]
        now |= dict.fromkeys((life.number for life in there), one.new)
        found.append(Move(one, there, back[one.name], len(of_old) - len(there)))
    return found


def _reach(applied: Applied, migrations: Sequence[Migration]) -> dict[int, float]:
    """Of the lifetimes that the last of some migrations moved: the least share of those on their way, as a twin that an earlier one sends
    back can't stay ahead of it."""
    moved = {one.name: applied.moved.get(one.name, frozenset()) for one in migrations}
    line, last = {migrations[-1].old}, migrations[-1]
    reach = dict.fromkeys(moved[last.name], last.spec.share)
    for one in reversed(migrations[:-1]):
        if one.new in line:
            line.add(one.old)
            reach |= {number: min(reach[number], one.spec.share) for number in moved[one.name] & reach.keys()}
    return reach


# --- what is told of it ------------------------------------------------------------------------------------------------


def changes(applied: Applied, workspace: Workspace) -> Iterator[tuple[str, str, str, str]]:
    """(name, what happens, effect, detail) of every migration of which an apply changes something."""
    old = applied.lineages.migrations
    for move in moves(applied, workspace):
        name, spec = move.migration.name, move.migration.spec
        before = old.get(name)
        begun = bool(applied.moved.get(name)) or {move.migration.old, move.migration.new} & applied.lineages.retired
        if before is not None and begun and before.spec.model_dump(exclude={"share"}) != spec.model_dump(exclude={"share"}):
            detail = "its steps change while twins are moved by it: roll it back first (`share: 0`), or write the next migration"
            yield name, "change", "breaking", detail
        elif before is None:
            yield name, "add", "compatible", move.told()
        elif move.there or move.back or before.spec != spec:
            yield name, "change", "compatible", move.told()
    for name in old.keys() - workspace.lineages.migrations.keys():
        if applied.moved.get(name) or {old[name].old, old[name].new} & applied.lineages.retired:
            yield name, "remove", "breaking", "history of the old version is read through it: put it back"
        else:
            yield name, "remove", "compatible", f"no twin is moved by it; what was observed as {old[name].new} is not shown any more"


def described(store: Store, principal: Principal, applied: Applied, workspace: Workspace) -> list[dict[str, Any]]:
    """For `plan`: each migration that moves anything, with what every step touches and what clients will notice."""
    return [
        {
            "name": move.migration.name,
            "from": move.migration.old,
            "to": move.migration.new,
            "share": move.migration.spec.share,
            "twins": len(move.there),
            "back": len(move.back),
            "left": move.left,
            "steps": list(_steps(store, principal, move, workspace.ontology)),
        }
        for move in moves(applied, workspace)
        if move.there or move.back or move.migration.name not in applied.lineages.migrations
    ]


def _steps(store: Store, principal: Principal, move: Move, ontology: Ontology) -> Iterator[dict[str, Any]]:
    touched = [*move.there, *move.back]
    for step in move.migration.spec.steps:
        counted, exact = (0, True) if step.verb == "default" else _observations(store, principal, step.path, touched)
        yield {
            "step": str(step),
            "path": step.path,
            "twins": len(touched),
            "observations": counted,
            "exact": exact,
            "clients": _noticed(step, move.migration, ontology),
        }


def _observations(store: Store, principal: Principal, path: str, lives: Sequence[Lifetime]) -> tuple[int, bool]:
    """(how many records of a path some lifetimes have, whether that is exact: else it is the most there can be)."""
    if not lives:
        return 0, True
    contracts = {table.contract for table in store.reading_tables(principal) if any(column.path == path for column in table.columns)}
    most = sum(sum(store.hours(principal, contract).values()) for contract in contracts)
    if most > _COUNTED:
        return most, False
    return len(store.history(principal, Selection(tuple(life.number for life in lives), (path,)))), True


def _noticed(step: StepSpec, migration: Migration, ontology: Ontology) -> str:
    old, new = migration.old, migration.new
    if step.verb == "unit":
        names = [str(one.to) for one in migration.spec.steps if one.verb in ("rename", "move") and one.path == step.path]
        before, after = ontology.paths(old)[step.path].unit, ontology.paths(new)[names[0] if names else step.path].unit
        affine = units.converter(before, after)
        shift = f" {affine.offset:+g}" if affine.offset else ""
        return f"plain numbers of {new} are those of {old} x {affine.factor:g}{shift}; whoever asks for a unit notices nothing"
    if step.verb in ("rename", "move"):
        return f"clients of {new} find it under '{step.to}', those of {old} as before"
    if step.verb == "default":
        return f"twins that move have it at once; clients of {old} don't see it"
    if step.verb == "drop":
        return f"clients of {new} don't see it; its history stays, for those of {old} too"
    made = ", ".join(step.makes)
    if step.back is not None:
        return f"clients of {new} find {made}, those of {old} what `back` makes of it"
    return f"clients of {new} find {made}; those of {old} find nothing of what is observed as {new}"


# --- doing it ----------------------------------------------------------------------------------------------------------


def write(transaction: Transaction, store: Store, principal: Principal, applied: Applied, workspace: Workspace) -> None:
    """Move what is to be moved, give it the values of new properties, and keep what was moved."""
    final: dict[int, Lifetime] = {}
    rows: list[dict[str, Any]] = []
    found = moves(applied, workspace)
    for move in reversed(found):  # over several versions: the oldest that it is sent to comes last
        final |= {life.number: replace(life, interface=move.migration.old) for life in move.back}
    for move in found:
        final |= {life.number: replace(life, interface=move.migration.new) for life in move.there}
        rows += _defaults(transaction, store, principal, move, workspace)
        _remember(transaction, applied, move)
    known = {number: applied.registry.lifetime(number) for number in final}
    changed = [life for number, life in final.items() if life.interface != known[number].interface]
    at = transaction.at
    transaction.declare_twins(
        [replace(life, changed_at=at if life.changed_at is None else max(at, life.changed_at + 1)) for life in changed]
    )
    if rows:
        transaction.append_values(pa.Table.from_pylist(rows, schema=VALUE_SCHEMA))


def _remember(transaction: Transaction, applied: Applied, move: Move) -> None:
    """Which lifetimes the migration has moved, and what this apply does of it: events are told of that."""
    name, spec = move.migration.name, move.migration.spec
    before = applied.lineages.migrations.get(name)
    if before is not None and before.spec.share == spec.share and not (move.there or move.back):
        return
    there, back = ([life.number for life in lives] for lives in (move.there, move.back))
    moved = sorted((applied.moved.get(name, frozenset()) - set(back)) | set(there))
    did = {"from": spec.from_, "to": spec.to, "there": sorted(there), "back": sorted(back), "left": move.left}
    transaction.put_record(MOVED, name, {"moved": moved, "share": spec.share, **did})


def _defaults(transaction: Transaction, store: Store, principal: Principal, move: Move, workspace: Workspace) -> Iterator[dict[str, Any]]:
    """As if they had been declared with the twin, where nothing was said of the path."""
    defaults = move.migration.defaults
    if not defaults or not move.there:
        return
    numbers = tuple(life.number for life in move.there)
    told = store.latest(principal, Selection(numbers, tuple(defaults)))
    there = set(zip(told["twin"].to_pylist(), told["path"].to_pylist(), strict=True))
    paths = workspace.ontology.paths(move.migration.new)
    for life in move.there:
        declared: Mapping[str, Any] = workspace.graph.twins[life.twin].values if life.twin in workspace.graph.twins else {}
        for path, value in defaults.items():
            if (life.number, path) not in there and path not in declared:
                time = DECLARED_TIME if life.since is None else life.since
                yield value_row(life.number, paths[path], value, time=time, correction=transaction.commit)
