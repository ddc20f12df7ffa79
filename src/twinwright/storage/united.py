"""What two halves of one history say together, where each was asked by itself: by laws 1 and 2, as the engines' SQL has them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

import polars as pl
import pyarrow as pa

from twinwright.storage.layout import EdgeKey, Lifetime, Relationship, RelationshipPart
from twinwright.storage.protocol import GOOD, RECORD_SCHEMA, REMOVED, TOUCHED_SCHEMA

_KEY: Final = ["twin", "path", "time", "source"]
_VERSION: Final = ["correction", "revision", "kind", "num", "int", "txt"]  # the greatest counts
_CELL: Final = ["twin", "path"]


def history(theirs: pa.Table, own: pa.Table, *, good_only: bool) -> pa.Table:
    """The current record of each key of two tables of RECORD_SCHEMA, in order."""
    found = _current(pl.concat([frame(theirs), frame(own)]))
    return _table(found.filter(pl.col("kind") == GOOD) if good_only else found)


def latest(theirs: pa.Table, own: pa.Table) -> pa.Table:
    """Of each (twin, path) the record greatest in (time, source); each half has its own greatest."""
    return _table(_newest(pl.concat([frame(theirs), frame(own)])))


def latest_good(theirs: pa.Table, before: pa.Table, own: pa.Table) -> pa.Table:
    """The last good record of each (twin, path) since a removal. `theirs` are those of the one half, `before` its whole history where
    `own` says something."""
    said = frame(own)
    mine = said.select(_CELL).unique()
    known = _current(pl.concat([frame(before).join(mine, on=_CELL, how="semi"), said]))
    removed = known.filter(pl.col("kind") == REMOVED).group_by(_CELL).agg(pl.col("time").max().alias("removed"))
    left = known.join(removed, on=_CELL, how="left").filter(
        (pl.col("kind") == GOOD) & (pl.col("removed").is_null() | (pl.col("time") > pl.col("removed")))
    )
    return _table(pl.concat([frame(theirs).join(mine, on=_CELL, how="anti"), _newest(left.drop("removed"))]).sort(_CELL))


def touched(theirs: pa.Table, own: pa.Table) -> pa.Table:
    """TOUCHED_SCHEMA of two ranges of commits."""
    both = pl.concat([frame(theirs), frame(own)])
    key = [name for name in TOUCHED_SCHEMA.names if name != "commit"]
    return both.group_by(key).agg(pl.col("commit").max()).select(TOUCHED_SCHEMA.names).to_arrow().cast(TOUCHED_SCHEMA)


def lifetimes(theirs: Iterable[Lifetime], own: Iterable[Lifetime]) -> list[Lifetime]:
    """The newest version of each, by number."""
    found = {life.number: life for life in theirs}
    for life in own:
        held = found.get(life.number)
        found[life.number] = life if held is None or order(held) < order(life) else held
    return [found[number] for number in sorted(found)]


def edges(theirs: Iterable[Relationship], own: Iterable[Relationship]) -> list[Relationship]:
    """The newest version of each, removed ones included; by (source, id)."""
    found: dict[tuple[str, str], Relationship] = {}
    for edge in (*theirs, *own):
        held = found.get(edge.key)
        if held is None or order(held) < order(edge):
            found[edge.key] = edge
    return [found[key] for key in sorted(found)]


def edge_part(every: Sequence[Relationship], part: RelationshipPart) -> list[Relationship]:
    """A part of some that are in order, all of its source."""
    first = 0 if part.behind is None else bisect_right(every, part.behind, key=lambda edge: edge.key)
    kept = (edge for edge in every[first:] if part.name in (None, edge.name) and _is_of(edge, part.keys))
    return list(islice(kept, part.most))


def _is_of(edge: Relationship, keys: frozenset[EdgeKey] | None) -> bool:
    return keys is None or edge.key in keys


def life_versions(theirs: Iterable[Lifetime], own: Iterable[Lifetime], after: int) -> list[Lifetime]:
    """The versions of commits after one, and of each of these lifetimes the newest before; by (number, commit, changed_at)."""
    every = {(life.number, *order(life)): life for life in (*theirs, *own)}.values()
    fresh = [life for life in every if life.commit > after]
    before = lifetimes((), [life for life in every if life.commit <= after])
    known = {life.number for life in fresh}
    found = [*fresh, *(life for life in before if life.number in known)]
    return sorted(found, key=lambda life: (life.number, life.commit, _time(life)))


def edge_versions(theirs: Iterable[Relationship], own: Iterable[Relationship], after: int) -> list[Relationship]:
    """The same of edges; by (source, id, commit, changed_at)."""
    every = {(edge.source, edge.id, *order(edge)): edge for edge in (*theirs, *own)}.values()
    fresh = [edge for edge in every if edge.commit > after]
    before = edges((), [edge for edge in every if edge.commit <= after])
    known = {edge.key for edge in fresh}
    found = [*fresh, *(edge for edge in before if edge.key in known)]
    return sorted(found, key=lambda edge: (edge.source, edge.id, edge.commit, _time(edge)))


def _time(version: Lifetime | Relationship) -> tuple[bool, int]:
    """A version that always held comes first."""
    return version.changed_at is not None, version.changed_at or 0


def order(version: Lifetime | Relationship) -> tuple[bool, int, int]:
    """By which the newest version of a lifetime or relationship is the greatest."""
    return *_time(version), version.commit


def frame(rows: pa.Table) -> pl.DataFrame:
    """Rows as Polars sees them; nothing is copied."""
    return pl.DataFrame(pl.from_arrow(rows))


def _table(rows: pl.DataFrame) -> pa.Table:
    return rows.select(RECORD_SCHEMA.names).to_arrow().cast(RECORD_SCHEMA)


def _current(rows: pl.DataFrame) -> pl.DataFrame:
    """Law 1: of each key the greatest version; value bytes decide only a true conflict."""
    descending = [False] * len(_KEY) + [True] * len(_VERSION) + [False]
    ordered = rows.sort([*_KEY, *_VERSION, "commit"], descending=descending, nulls_last=True)
    return ordered.unique(_KEY, keep="first", maintain_order=True)


def _newest(rows: pl.DataFrame) -> pl.DataFrame:
    """Law 2: of each (twin, path) the key greatest in (time, source), in its greatest version."""
    by = [*_CELL, "time", "source", *_VERSION, "commit"]
    descending = [False] * len(_CELL) + [True] * (2 + len(_VERSION)) + [False]
    return rows.sort(by, descending=descending, nulls_last=True).unique(_CELL, keep="first", maintain_order=True)
