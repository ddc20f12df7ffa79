"""Twin documents in the shape of Azure Digital Twins: what a reader is shown of a state.

Nothing is shown for `removed`. For `bad` the last good value is, with the quality and time of the bad one in `$metadata`. Values
are in the unit of their property, `$metadata` names it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from twinwright import units
from twinwright.clock import SECOND, to_iso
from twinwright.schema import Enum, PathInfo, Primitive, Schema
from twinwright.storage.layout import Lifetime, Relationship
from twinwright.storage.protocol import BAD, GOOD, REMOVED
from twinwright.twins.graph.conditions import etag_of
from twinwright.twins.values import API_SOURCE

Cell = Mapping[str, Any]  # a row of RECORD_SCHEMA
DECLARED_SOURCE = API_SOURCE
DECLARED_TIME = 0  # a value declared with a twin that has no beginning


@dataclass(frozen=True, slots=True)
class Shape:
    """What a document of an interface has: its paths, and its components, which it has whether they hold a value or not."""

    paths: Mapping[str, PathInfo]
    components: Sequence[str]


def winners(cells: Iterable[Cell]) -> dict[tuple[int, str], Cell]:
    """Law 2 over the sources: per (twin, path) the cell greatest in (event time, source name)."""
    best: dict[tuple[int, str], Cell] = {}
    for cell in cells:
        key = (cell["twin"], cell["path"])
        held = best.get(key)
        if held is None or (cell["time"], cell["source"]) > (held["time"], held["source"]):
            best[key] = cell
    return best


def value_of(cell: Cell, info: PathInfo | None) -> Any:
    """The value of a good cell, in the unit of its property."""
    if cell["type"] == "VARCHAR":
        return cell["txt"] if info is None or not _kept_as_json(info.schema) else _parsed(cell["txt"])
    if cell["type"] == "BOOLEAN":
        return bool(cell["int"])
    value = cell["num"] if cell["type"] == "DOUBLE" else cell["int"]
    if info is None or value is None:
        return value
    affine = units.converter(cell["unit"], info.unit)
    return value if affine.is_identity else affine.apply(float(value))


def _kept_as_json(schema: Schema) -> bool:
    """Whether values of a schema are stored as JSON text: all that fits no column, which is also what 64 signed bits can't hold."""
    return not isinstance(schema, Primitive | Enum) or schema == Primitive("unsignedLong")


def _parsed(text: str) -> Any:
    """The value behind JSON text; the text itself if it is none, so that a reader always sees what is stored."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def document(
    lifetime: Lifetime,
    cells: Sequence[Cell],
    last_good: Mapping[str, Cell],
    shape: Shape,
    times: Mapping[int, int],
    *,
    facts: bool,
    now: int | None = None,
) -> dict[str, Any]:
    """One twin. `cells` are its winners, with the `mark` that their neighbours give them, `last_good` the good cells behind bad ones,
    `times` the time of each commit, `now` what ages are measured from.

    With `facts` everything that the payload alone does not decide is left out, and equal histories give equal bytes.
    """
    metadata: dict[str, Any] = {"$model": lifetime.interface}
    body: dict[str, Any] = {"$dtId": lifetime.twin, "$metadata": metadata}
    for component in () if facts else shape.components:  # an empty one is no fact
        _place(body, metadata, component)
    for cell in sorted(cells, key=lambda one: one["path"]):
        if cell["kind"] == REMOVED or (shape.paths and cell["path"] not in shape.paths):  # of an interface that the twin was of before
            continue
        shown = cell if cell["kind"] == GOOD else last_good.get(cell["path"])
        component, _, name = cell["path"].rpartition("/")
        owner, notes = _place(body, metadata, component)
        info = shape.paths.get(cell["path"])
        notes[name] = _notes(cell, info, times, facts=facts)
        if shown is not None:
            owner[name] = value_of(shown, info)
    if not facts:
        body["$etag"] = etag(lifetime, cells)
        known = [times[one] for one in (lifetime.commit, *(cell["commit"] for cell in cells)) if one in times]
        if known:
            metadata["$lastUpdateTime"] = to_iso(max(known))
        for component in shape.components:
            mine = [times[cell["commit"]] for cell in cells if cell["path"].startswith(f"{component}/") and cell["commit"] in times]
            if mine:
                _place(body, metadata, component)[1]["$lastUpdateTime"] = to_iso(max(mine))
        if now is not None:
            _add_ages(body, metadata, cells, now)
    return body


def _add_ages(body: dict[str, Any], metadata: dict[str, Any], cells: Sequence[Cell], now: int) -> None:
    """How old what is said is, in seconds: no part of the etag, which it would change from read to read."""
    for cell in cells:
        component, _, name = cell["path"].rpartition("/")
        notes = _place(body, metadata, component)[1].get(name) if cell["kind"] != REMOVED else None
        if notes is not None and "sourceTime" in notes:
            notes["ageSeconds"] = (now - cell["time"]) / SECOND


def _place(body: dict[str, Any], metadata: dict[str, Any], component: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Where a value and its notes go: on the twin, or in the component's own object."""
    owner, notes = body, metadata
    for step in component.split("/") if component else ():
        owner = owner.setdefault(step, {"$metadata": {}})
        notes = owner["$metadata"]
    return owner, notes


def _notes(cell: Cell, info: PathInfo | None, times: Mapping[int, int], *, facts: bool) -> dict[str, Any]:
    notes: dict[str, Any] = {}
    if not (cell["source"] == DECLARED_SOURCE and cell["time"] == DECLARED_TIME):
        notes["sourceTime"] = to_iso(cell["time"])
    notes["source"] = cell["source"]
    notes["quality"] = "bad" if cell["kind"] == BAD else "good" if facts else cell.get("mark") or "good"
    if info is not None and info.unit is not None:
        notes["unit"] = info.unit
    if not facts and cell["commit"] in times:
        notes["lastUpdateTime"] = to_iso(times[cell["commit"]])
    return notes


def etag(lifetime: Lifetime, cells: Iterable[Cell]) -> str:
    """Another one for each state of a twin: of its lifetime's version and of every value with its time, source and version."""
    values = sorted([one[name] for name in _TELLING] for one in cells)
    told = [lifetime.number, lifetime.interface, lifetime.changed_at, values]
    return f'W/"{hashlib.blake2b(msgspec.msgpack.encode(told), digest_size=12).hexdigest()}"'


_TELLING = ("path", "time", "source", "correction", "revision", "kind", "num", "int", "txt")


def relationship_document(edge: Relationship) -> dict[str, Any]:
    """A relationship in the data plane's shape."""
    own = {"$relationshipId": edge.id, "$etag": etag_of(edge), "$sourceId": edge.source, "$relationshipName": edge.name}
    return {**own, "$targetId": edge.target, **edge.properties}
