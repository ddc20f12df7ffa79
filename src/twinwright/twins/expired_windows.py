"""Windows over a time of which raw values are gone: of roll-ups, under whatever name a version had for the path, and of the values left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from twinwright.clock import to_iso
from twinwright.errors import RefusedError
from twinwright.governance.principals import Principal
from twinwright.storage.protocol import Store
from twinwright.twins import rollups
from twinwright.twins.evolution import UNCHANGED, Evolution
from twinwright.twins.evolution.ways import Route
from twinwright.twins.series import numbers

_NEVER: Final = -(2**62)


class ExpiredWindows:
    """`store` is as it is, not read through migrations: a roll-up is kept under the path that its values came under."""

    def __init__(self, store: Store, evolution: Evolution = UNCHANGED) -> None:
        self._store, self._evolution = store, evolution

    def of(
        self,
        principal: Principal,
        lifetimes: Sequence[int],
        version: str,
        path: str,
        span: tuple[int | None, int | None],
        every: int,
        agg: str,
        unit: str | None,
        gone: Mapping[str, int],
        rows: pa.Table,
    ) -> tuple[pl.DataFrame, bool]:
        """(`window value bad`, whether roll-ups are in it) of a path as a version has it. `gone` says of each source before when its raw
        values are, `rows` are the raw ones of the span. Raises RefusedError where roll-ups can't tell."""
        parts = [
            rollups.of_rollups(rollups.cover(one, *span, gone.get(source, max(gone.values())), every, path), unit)
            for source, one in self._kept(principal, lifetimes, version, path, span)
        ]
        before = pa.array([gone.get(source, _NEVER) for source in rows["source"].to_pylist()], pa.int64())
        rows = rows.filter(pc.greater_equal(rows["time"], before))  # what was kept for the present is in a roll-up too
        values, good = numbers(rows, unit, path)
        left = rollups.of_values(np.asarray(rows["time"].to_numpy(), np.int64), values, good)
        return rollups.windows(pl.concat([*parts, left]), every, agg), any(len(one) for one in parts)

    def _kept(
        self, principal: Principal, lifetimes: Sequence[int], version: str, path: str, span: tuple[int | None, int | None]
    ) -> Iterator[tuple[str, pa.Table]]:
        """(source, the roll-ups of one of the names under which it said the path)."""
        routes: Mapping[str, Route] = self._evolution.lineages.routes(version, path) if self._evolution.active else {path: ()}
        for stored, route in routes.items():
            found = self._store.rollups(principal, lifetimes, stored, *span)
            if len(found) and any(way.by is not None for way in route):
                what = f"until {to_iso(pc.max(found['time']).as_py())} only roll-ups of '{stored}' are kept, of whose values it is computed"
                raise RefusedError(what, where=path, remedy=f"Ask for '{stored}', under which they came, or begin later")
            for source in sorted(pc.unique(found["source"]).to_pylist()):
                yield source, found.filter(pc.equal(found["source"], source))
