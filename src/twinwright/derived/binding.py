"""Which lifetimes a derived value is of, and from which lifetimes each of its inputs comes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from twinwright.derived.definition import Definition, Input, Plant
from twinwright.storage.layout import Lifetime

PAIRS: Mapping[str, type[pl.DataType]] = {"owner": pl.Int32, "member": pl.Int32}


@dataclass(frozen=True, slots=True)
class Binding:
    """A definition over the twins there are. `members` has (owner, member) by input: the lifetimes that are written and read. `begun` has
    (member, interface): as what each of them began.

    `fingerprint` changes with all that changes what is derived from a history that stays: then it is derived again, all of it.
    """

    definition: Definition
    owners: pl.Series
    members: Mapping[str, pl.DataFrame]
    begun: pl.DataFrame
    fingerprint: str

    def read_from(self, one: Input, owners: pl.DataFrame) -> pl.DataFrame:
        """(owner, member) of an input for some owners."""
        return self.members[one.name].join(owners.select("owner").unique(), on="owner", how="semi")


def bind(definition: Definition, plant: Plant, lifetimes: Sequence[Lifetime]) -> Binding:
    """A definition over the lifetimes of a plant."""
    spec = definition.spec
    numbers: dict[str, list[int]] = {}
    for life in lifetimes:
        numbers.setdefault(life.twin, []).append(life.number)
    owners = plant.owners(spec)
    mine = [number for twin in owners for number in numbers.get(twin, [])]
    fingerprint = hashlib.sha256(spec.model_dump_json().encode())
    fingerprint.update(repr([(one.unit, one.kind) for one in definition.inputs] + [definition.unit, definition.type]).encode())
    fingerprint.update(repr(sorted({plant.interface_of(twin, spec) for twin in owners})).encode())
    members: dict[str, pl.DataFrame] = {}
    for one in definition.inputs:
        if one.relationship is None:
            members[one.name] = _pairs(mine, mine)
            continue
        among = set(owners)
        edges = sorted({edge for edge in plant.edges(one.relationship, one.direction) if edge[0] in among})
        fingerprint.update(repr(edges).encode())
        lives = [(a, b) for owner, member in edges for a in numbers.get(owner, []) for b in numbers.get(member, [])]
        members[one.name] = _pairs([a for a, _ in lives], [b for _, b in lives])
    begun = {life.number: life.interface for life in reversed(lifetimes)}
    of_members = pl.DataFrame(
        {"member": list(begun), "interface": list(begun.values())}, schema={"member": pl.Int32, "interface": pl.String}
    )
    return Binding(definition, pl.Series("owner", mine, pl.Int32), members, of_members, fingerprint.hexdigest())


def _pairs(owners: Sequence[int], members: Sequence[int]) -> pl.DataFrame:
    return pl.DataFrame({"owner": owners, "member": members}, schema=PAIRS)
