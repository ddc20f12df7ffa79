"""What a derived value reads of a store, known at one commit: records of a span, what held before it, what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from twinwright.clock import HOUR
from twinwright.derived.intervals import EVER
from twinwright.governance.principals import Principal
from twinwright.storage.layout import Lane, Selection
from twinwright.storage.protocol import RECORD_SCHEMA, Store

WIDTHS = (HOUR, 24 * HOUR, 30 * 24 * HOUR)  # microseconds; a neighbour mostly lies near, and history is long

_EMPTY = RECORD_SCHEMA.empty_table()


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads of one lane. Every frame has the columns of RECORD_SCHEMA, ordered by (twin, path, time, source)."""

    store: Store
    principal: Principal
    lane: Lane
    known_at: int

    def records(self, twins: Sequence[int], paths: Sequence[str], start: int | None, end: int | None) -> pl.DataFrame:
        """The current records in start <= time < end."""
        if not twins or not paths:
            return frame(_EMPTY)
        selection = Selection(tuple(twins), tuple(paths), self.lane, start, end, self.known_at)
        return frame(self.store.history(self.principal, selection))

    def before(self, twins: Sequence[int], paths: Sequence[str], end: int | None) -> pl.DataFrame:
        """Of each (twin, path) the last record before `end`, looked for in growing windows."""
        found = [frame(_EMPTY)]
        wanted = pl.DataFrame({"twin": twins}, schema={"twin": pl.Int32}).join(
            pl.DataFrame({"path": paths}, schema={"path": pl.String}), how="cross"
        )
        for width in (*WIDTHS, None):
            if end is None or wanted.is_empty():
                break
            left = tuple(wanted["twin"].unique().sort()), tuple(wanted["path"].unique().sort())
            start = None if width is None else end - width
            rows = frame(self.store.latest(self.principal, Selection(*left, self.lane, start, end, self.known_at)))
            found.append(rows.join(wanted, on=["twin", "path"], how="semi"))
            wanted = wanted.join(rows, on=["twin", "path"], how="anti")
        return pl.concat(found)

    def following(self, times: pl.DataFrame, path: str) -> pl.DataFrame:
        """For rows with (member, time), `hi`: the time of the next record of that path, EVER where there is none."""
        done = []
        left = times.select("member", "time").unique()
        for width in (*WIDTHS, None):
            if left.is_empty():
                break
            start, end = int(left["time"].to_numpy().min()) + 1, None if width is None else int(left["time"].to_numpy().max()) + width
            rows = self.records(left["member"].unique().sort().to_list(), (path,), start, end)
            later = rows.select(pl.col("twin").alias("member"), "time", pl.col("time").alias("hi")).sort("time")
            matched = left.sort("time").join_asof(
                later, on="time", by="member", strategy="forward", allow_exact_matches=False, check_sortedness=False
            )
            done.append(
                matched.filter(pl.col("hi").is_not_null()) if width is not None else matched.with_columns(pl.col("hi").fill_null(EVER))
            )
            left = matched.filter(pl.col("hi").is_null()).select("member", "time")
        return pl.concat(done) if done else times.select("member", "time", pl.lit(EVER).alias("hi"))


def frame(rows: pa.Table) -> pl.DataFrame:
    """Arrow as Polars sees it."""
    made = pl.from_arrow(rows)
    assert isinstance(made, pl.DataFrame)
    return made.rechunk()
