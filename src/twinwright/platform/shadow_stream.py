"""What a shadow says, as it is committed: commit by commit, for whoever watches one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl

from twinwright import units
from twinwright.clock import to_iso
from twinwright.errors import NotFoundError
from twinwright.governance.principals import Principal
from twinwright.platform.session import Session
from twinwright.platform.shadowing import shadow_of
from twinwright.simulation.shadow.consumer import KIND
from twinwright.simulation.shadow.definition import Shadow
from twinwright.storage.layout import Commit, Lane, Lifetime, Selection
from twinwright.storage.protocol import GOOD
from twinwright.storage.united import frame

PAGE_VALUES: Final = 20_000  # of a page; a commit that has more by itself is told without them
PAGE_COMMITS: Final = 2_000  # of the log, whoever made them


def said_since(session: Session, principal: Principal, name: str, after: int | None, twin: str | None) -> dict[str, Any]:
    """What a shadow (of it, what it says of one twin) committed after a commit; None: nothing, but from where to go on.

    `shadow through last` and `said[]{commit at left_out series[]{twin path kind unit times values}}`: `kind` is prediction, forecast or
    residual, a value is null where it says nothing any more. Of a commit with more than PAGE_VALUES `left_out` are not told: they are in
    history.
    Raises NotFoundError.
    """
    principal.require_read()
    shadow, store = shadow_of(session, name), session.store
    lives = {one.number: one for one in store.lifetimes(principal) if twin in (None, one.twin)}
    if not lives and twin is not None:
        raise NotFoundError(f"there is no twin '{twin}'", where="twin", remedy="Leave it out for all that the shadow follows")
    last = store.last_commit(principal)
    if after is None or after >= last:
        return {"shadow": name, "said": [], "through": last if after is None else after, "last": last}
    said: list[dict[str, Any]] = []
    through, count = min(last, after + PAGE_COMMITS), 0
    for commit in store.commits(principal, first=after + 1, last=through, kind=KIND):
        written = _written(commit, name)
        if not written:
            continue
        if said and count + written > PAGE_VALUES:
            through = commit.number - 1
            break
        count += written
        one = _said(session, principal, shadow, commit, lives, written)
        if one["series"] or one["left_out"]:
            said.append(one)
    return {"shadow": name, "said": said, "through": through, "last": last}


def _written(commit: Commit, name: str) -> int:
    """How many values of a shadow a commit has."""
    count, _, of = commit.detail.partition(" of shadow ")
    return int(count) if of == name and count.isdecimal() else 0


def _said(
    session: Session, principal: Principal, shadow: Shadow, commit: Commit, lives: Mapping[int, Lifetime], written: int
) -> dict[str, Any]:
    told: dict[str, Any] = {"commit": commit.number, "at": to_iso(commit.at), "left_out": 0, "series": []}
    if written > PAGE_VALUES:
        return {**told, "left_out": written}
    touched = frame(session.store.touched(principal, commit.number - 1, commit.number))
    touched = touched.filter(pl.col("twin").is_in(list(lives)))
    kinds: tuple[tuple[str, Lane, str], ...] = (
        ("prediction", "simulated", shadow.source),
        ("forecast", "simulated", shadow.forecast_source),
        ("residual", "derived", shadow.source),
    )
    series = [one for kind, lane, source in kinds for one in _series(session, principal, commit.number, touched, lives, kind, lane, source)]
    return {**told, "series": series}


def _series(
    session: Session,
    principal: Principal,
    commit: int,
    touched: pl.DataFrame,
    lives: Mapping[int, Lifetime],
    kind: str,
    lane: Lane,
    source: str,
) -> Iterator[dict[str, Any]]:
    """By twin and path what one source wrote at a commit."""
    mine = touched.filter(pl.col("lane") == lane)
    if mine.is_empty():
        return
    start, end = mine.select(start=pl.min("time"), end=pl.max("time") + 1).row(0)
    twins = tuple(sorted(mine["twin"].unique().to_list()))
    rows = frame(session.store.history(principal, Selection(twins, None, lane, start, end, commit, source=source)))
    rows = rows.filter(pl.col("commit") == commit).sort("twin", "path", "time")
    for (twin, path, unit), part in rows.partition_by("twin", "path", "unit", as_dict=True, maintain_order=True).items():
        life = lives[int(twin)]
        wanted = _unit(session, life, str(path), unit)
        values = part.select(pl.when(pl.col("kind") == GOOD).then(pl.col("num")))["num"]
        converted = units.converter(unit, wanted).apply(values.fill_null(float("nan")).to_numpy())
        yield {
            "twin": life.twin,
            "path": path,
            "kind": kind,
            "unit": wanted,
            "times": [to_iso(one) for one in part["time"]],
            "values": [None if one != one else one for one in converted.tolist()],
        }


def _unit(session: Session, life: Lifetime, path: str, stored: str | None) -> str | None:
    """That of the property, as every read has it."""
    ontology = session.served.applied.ontology
    if life.interface not in ontology.interfaces or path not in (paths := ontology.paths(life.interface)):
        return stored
    return paths[path].unit
