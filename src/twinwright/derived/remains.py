"""From when on the raw values that a derived value is made of are all there.

Retention lets go of raw values, and what is derived of them stays. Deriving it again from the few that are left, or that came late to
a time that is gone, would put another value in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from twinwright.derived.binding import Binding
from twinwright.derived.definition import Input
from twinwright.derived.intervals import Piece

FLOORS: Mapping[str, type[pl.DataType]] = {"owner": pl.Int32, "floor": pl.Int64}
Gone = Callable[[Mapping[str, int], str, str], int | None]
RolledUp = Callable[[list[int], str, int], set[int]]
"""Those of some members of which roll-ups say that there was something of a path not long before a time."""


@dataclass(frozen=True, slots=True)
class Remains:
    """`before`: of each interface and path the event time before which raw values are gone; `gone` finds it under whatever name."""

    before: Mapping[str, int]
    gone: Gone = lambda before, interface, path: before.get(f"{interface} {path}")

    def floors(self, binding: Binding, spans: pl.DataFrame) -> pl.DataFrame:
        """FLOORS: of each owner the time before which an output can't be told; none where nothing is gone."""
        found = [self._of_members(one, binding, spans) for one in binding.definition.inputs] if self.before else []
        whole = pl.concat([pl.DataFrame(schema={**FLOORS, "member": pl.Int32}), *found]).group_by("owner").agg(pl.max("floor"))
        every = binding.definition.every
        return whole if every is None else whole.with_columns(floor=-((-pl.col("floor")) // every) * every)

    def held_from(self, binding: Binding, piece: Piece, values: Mapping[str, pl.DataFrame], rolled_up: RolledUp) -> pl.DataFrame:
        """FLOORS of inputs that hold until the next: what held before the first of `values`, which are all that can hold in the piece, is
        gone as well where there was something."""
        held = [one for one in binding.definition.inputs if one.every is None] if self.before else []
        found = [pl.DataFrame(schema=FLOORS)]
        for one in held:
            first = values[one.name].group_by("member").agg(pl.min("time").alias("first"))
            begun = self._of_members(one, binding, piece.spans).join(first, on="member", how="left")
            late = begun.with_columns(pl.col("first").fill_null(piece.hi)).filter(
                pl.col("first") > pl.max_horizontal("floor", pl.lit(piece.lo))
            )
            if len(late):
                was = rolled_up(late["member"].unique().sort().to_list(), one.path, int(late["floor"].to_numpy().max()))
                found.append(late.filter(pl.col("member").is_in(list(was))).select("owner", floor="first"))
        return pl.concat(found).group_by("owner").agg(pl.max("floor"))

    def _of_members(self, one: Input, binding: Binding, spans: pl.DataFrame) -> pl.DataFrame:
        """(owner, floor, member) of the members of which something is gone. What is derived is kept for ever."""
        if one.lane != "observed":
            return pl.DataFrame(schema={**FLOORS, "member": pl.Int32})
        members = binding.read_from(one, spans).join(binding.begun, on="member", how="inner")
        known = {interface: self.gone(self.before, interface, one.path) for interface in members["interface"].unique()}
        floors = pl.DataFrame({"interface": list(known), "floor": list(known.values())}, schema={"interface": pl.String, "floor": pl.Int64})
        return members.join(floors.drop_nulls(), on="interface", how="inner").select("owner", "floor", "member")


WHOLE = Remains({})
"""Nothing is gone."""
