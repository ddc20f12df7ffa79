"""Models that follow their twins, as the surface shows them, and stretches of history that one follows again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import polars as pl

from twinwright.clock import SECOND, PacedClock, time_of, to_iso
from twinwright.errors import BusyError, NotFoundError, UsageError
from twinwright.governance.principals import Principal
from twinwright.platform import applied as applied_documents
from twinwright.platform.interface import Progress
from twinwright.platform.session import Session
from twinwright.simulation.shadow import switch
from twinwright.simulation.shadow.consumer import KIND, POSITIONS, Bound, parameters_of
from twinwright.simulation.shadow.consumer import Progress as Following
from twinwright.simulation.shadow.definition import Shadow
from twinwright.simulation.shadow.outputs import Said, records_of, spans_of
from twinwright.simulation.shadow.reading import Readings
from twinwright.simulation.shadow.replaying import Heard, Replay, extent
from twinwright.storage.layout import Counts
from twinwright.storage.protocol import GOOD

MAX_TWINS = 10_000
_LONGEST_WAIT, _SHORTEST_WAIT = 1.0, 0.02  # seconds between two looks at the clock
_PATIENCE = 30.0  # seconds for what a shadow that is stopped is at


def shadows_shown(session: Session, principal: Principal) -> list[dict[str, Any]]:
    """How far each shadow has followed: `through` is the event time that all of its twins have reached."""
    known = {one.name: one for one in session.shadows.consumer.status()}
    return [_shown(session, principal, shadow, known.get(name)) for name, shadow in sorted(session.served.applied.shadows.items())]


def shadow_shown(session: Session, principal: Principal, name: str, limit: int) -> dict[str, Any]:
    """One of them, and its twins: those that fail first, then those that are furthest behind."""
    if not 1 <= limit <= MAX_TWINS:
        raise UsageError(f"{limit} is not from 1 to {MAX_TWINS}", where="limit", remedy="Ask for fewer twins")
    shadow = shadow_of(session, name)
    following = {one.name: one for one in session.shadows.consumer.status()}.get(name)
    reached = _reached(session, principal, shadow, following)
    errors = {} if following is None else {twin: one.error for twin, one in following.followers.items() if one.error}
    names = {one.number: one.twin for one in session.store.lifetimes(principal)}
    order = sorted(reached, key=lambda twin: (twin not in errors, reached[twin] if reached[twin] is not None else -1, twin))
    items = [{"twin": names[twin], "through": _iso(reached[twin]), "error": errors.get(twin, "")} for twin in order[:limit]]
    wait = 0 if following is None or not following.error else max(0, following.not_before - session.clock.monotonic())
    return {
        **_shown(session, principal, shadow, following),
        "source": shadow.source,
        "forecast_source": shadow.forecast_source if shadow.horizon else None,
        "outputs": {one.name: one.property for one in shadow.model.outputs if one.property is not None},
        "residuals": dict(shadow.spec.residuals),
        "step_seconds": shadow.step / SECOND,
        "failures": 0 if following is None else following.failures,
        "failing": len(errors),
        "retry_seconds": round(wait / SECOND, 1) if errors or (following is not None and following.error) else None,
        "items": items,
    }


def switched(session: Session, principal: Principal, name: str, *, stop: bool) -> dict[str, Any]:
    """Stop a shadow where it is, or start it there; nothing where it is so already. As one of `shadows_shown`."""
    principal.require_write()
    shadow = shadow_of(session, name)
    with session.changing:
        if stop != (name in switch.stopped(session.store, principal)):
            switch.switch(session.store, principal, name, stop=stop)
    if not session.shadows.consumer.heed(_PATIENCE):
        raise BusyError(f"what is asked of '{name}' is remembered, but it is at a round still")
    following = {one.name: one for one in session.shadows.consumer.status()}.get(name)
    return _shown(session, principal, shadow, following)


def replayed(
    session: Session,
    principal: Principal,
    name: str,
    *,
    twin: str | None,
    start: str | None,
    end: str | None,
    speed: float | None,
    progress: Progress | None,
    keep: Callable[[Shadow, Heard], None] | None = None,
) -> dict[str, Any]:
    """What a shadow says of a stretch of a twin's history, told of it `speed` times as fast as it was (None: as fast as it goes).
    `progress` is told how many seconds of how many there were; what it raises ends the replay."""
    if speed is not None and not (math.isfinite(speed) and 0 < speed <= 1e6):
        raise UsageError(f"{speed:g} is no speed", where="speed", remedy="Give a number above 0, such as 10, or leave it out")
    session.pipeline.settle()  # what was taken before is heard of
    shadow = shadow_of(session, name)
    number, twin = _twin(session, principal, shadow, twin)
    readings = Readings(session.store, principal, session.store.last_commit(principal))
    begin, until = time_of(start, "from"), time_of(end, "to")
    if begin is None or until is None:
        known = extent(shadow, number, readings)
        if known is None:
            remedy = f"It follows {', '.join(path for path, _ in shadow.observed.values())}"
            raise UsageError(f"not all that '{name}' follows of '{twin}' was observed", where="twin", remedy=remedy)
        begin, until = known[0] if begin is None else begin, known[1] if until is None else until
    if begin >= until:
        raise UsageError(f"{to_iso(begin)} is not before {to_iso(until)}", where="from", remedy="Choose a longer window")
    replay = Replay(shadow, number, readings, parameters_of(session.store, principal, shadow), begin, until)
    clock = PacedClock(session.clock, begin if speed is not None else until, 1.0 if speed is None else speed)
    wait = min(max(shadow.step / SECOND / (speed or 1.0), _SHORTEST_WAIT), _LONGEST_WAIT)
    began, heard = session.clock.monotonic(), []
    while True:
        for one in replay.hear(clock):
            heard.append(one)
            if keep is not None:
                keep(shadow, one)
            if progress is not None and speed is None:
                progress(_seconds(one.until - begin), _seconds(until - begin))
        if progress is not None:
            progress(_seconds(min(clock.now(), until) - begin), _seconds(until - begin))
        if replay.finished:
            break
        time.sleep(wait)
    ports = {one.property: one.name for one in shadow.model.outputs if one.property is not None}
    return {
        "shadow": name,
        "model": shadow.model.name,
        "model_version": shadow.model.version,
        "twin": twin,
        "from": to_iso(begin),
        "to": to_iso(until),
        "speed": speed,
        "seconds": round((session.clock.monotonic() - began) / SECOND, 3),
        "outputs": {ports[path]: one for path, one in _series([one.predicted for one in heard]).items()},
        "residuals": _series([one.residual for one in heard]),
        "forecast": {ports[path]: one for path, one in _series([one.forecast for one in heard]).items()},
    }


def keep_in(session: Session, principal: Principal, shadow: Shadow, heard: Heard) -> None:
    """Put what a replay predicts and forecasts on the simulated lane of a fork, under sources of its own."""
    said = {f"replay:{shadow.name}": heard.predicted, shadow.forecast_source.replace("shadow:", "replay:", 1): heard.forecast}
    with session.store.transaction(principal, KIND) as transaction:
        for source, rows in said.items():
            marked = rows.with_columns(correction=pl.lit(transaction.commit, pl.Int64), kind=pl.lit(GOOD, pl.Int8))
            if not rows.is_empty():
                transaction.append_values(records_of(marked, Said("simulated", source, rows, spans_of([]))))
        transaction.count(Counts(), detail=f"replay of shadow {shadow.name}")


def shadow_of(session: Session, name: str) -> Shadow:
    """One that is applied. Raises NotFoundError."""
    shadows = session.served.applied.shadows
    if name not in shadows:
        known = ", ".join(sorted(shadows)) or "none is applied"
        raise NotFoundError(f"there is no shadow '{name}'", where="name", remedy=f"There are: {known}")
    return shadows[name]


def _twin(session: Session, principal: Principal, shadow: Shadow, twin: str | None) -> tuple[int, str]:
    twin = twin or shadow.spec.twin
    if twin is None:
        raise UsageError(f"'{shadow.name}' follows many twins", where="twin", remedy="Say which one: --twin")
    lifetimes = session.store.lifetimes(principal)
    mine = next((one.twins for one in applied_documents.followed(session.served.applied, lifetimes) if one.shadow.name == shadow.name), ())
    for one in lifetimes:
        if one.twin == twin and one.alive and one.number in mine:
            return one.number, twin
    raise NotFoundError(
        f"'{shadow.name}' follows no twin '{twin}'", where="twin", remedy=f"`twinwright shadow show {shadow.name}` lists them"
    )


def _shown(session: Session, principal: Principal, shadow: Shadow, following: Following | None) -> dict[str, Any]:
    last = session.store.last_commit(principal)
    position = session.store.position(principal, POSITIONS, shadow.name) if following is None else following.position
    reached = _reached(session, principal, shadow, following)
    times = [time for time in reached.values() if time is not None]
    return {
        "name": shadow.name,
        "model": shadow.model.name,
        "model_version": shadow.model.version,
        "twins": len(reached),
        "through": to_iso(min(times)) if times else None,
        "commit": position,
        "behind": last - position,
        "state": _state(session, principal, shadow, following),
        "error": following.error if following is not None else "",
    }


def _state(session: Session, principal: Principal, shadow: Shadow, following: Following | None) -> str:
    if following is not None and following.error:
        return "failing"
    stopped = following.stopped if following is not None else shadow.name in switch.stopped(session.store, principal)
    return "stopped" if stopped else "following"


def _reached(session: Session, principal: Principal, shadow: Shadow, following: Following | None) -> dict[int, int | None]:
    """By lifetime the event time that each twin has reached: as who follows remembers, or else as the store has it."""
    bound: Bound | None = None if following is None else following.bound
    if following is not None and bound is not None:
        found = {twin: following.followers.get(twin) for twin in bound.twins}
        return {twin: None if one is None else one.reached(shadow) for twin, one in found.items()}
    kept = session.store.checkpoints(principal, shadow.name).group_by("twin").aggregate([("time", "max")])
    return dict(zip(kept["twin"].to_pylist(), kept["time_max"].to_pylist(), strict=True))


def _series(parts: list[pl.DataFrame]) -> dict[str, dict[str, Any]]:
    """By path times and values; of two of one time the one that was said last."""
    rows = pl.concat(parts) if parts else pl.DataFrame(schema={"path": pl.String, "time": pl.Int64})
    rows = rows.unique(["path", "time"], keep="last", maintain_order=True).sort("path", "time", maintain_order=True)
    found = {}
    for (path,), part in rows.partition_by("path", as_dict=True, maintain_order=True).items():
        found[str(path)] = {"times": [to_iso(one) for one in part["time"]], "values": part["num"].to_list(), "unit": part["unit"][0]}
    return found


def _seconds(micros: int) -> int:
    return max(0, micros) // SECOND


def _iso(micros: int | None) -> str | None:
    return None if micros is None else to_iso(micros)
