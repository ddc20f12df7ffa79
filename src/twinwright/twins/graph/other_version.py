"""What clients write who speak another version of an interface than a twin is of.

It is kept as they gave it, under their names and in their units, and every reader is told of it through the function through which all else
of another version is read. So a write sees the twin as its client does; all that has to be looked at here is whether the twin's own version
can tell of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from twinwright import units
from twinwright.schema import PathInfo, check_value
from twinwright.storage.layout import Lifetime
from twinwright.storage.protocol import GOOD
from twinwright.twins.documents import Cell, etag, value_of
from twinwright.twins.evolution import Migration
from twinwright.twins.graph.bodies import Body
from twinwright.twins.graph.draft import Draft
from twinwright.twins.graph.json_patch import same


def etags(draft: Draft, life: Lifetime) -> Iterator[str]:
    """Of a twin as it is, by every version as which it is served: a client has the one of its own."""
    lineages = draft.world.evolution.lineages
    for interface in dict.fromkeys((life.interface, *(lineages.served(life.interface) if lineages.active else ()))):
        seen = lineages.seen(life, interface)
        yield etag(seen, draft.cells(seen).values())


def changed_paths(
    draft: Draft, life: Lifetime, seen: Lifetime, before: Mapping[str, Any], after: Mapping[str, Any], paths: Iterable[str], body: Body
) -> list[str]:
    """Which of some paths are to be written of a twin that its client has `seen` as of another version, given their values before and
    after. What the twin's own version can't tell is left alone where it stays as it is, and else refused in `body`."""
    if seen.interface == life.interface:
        return list(paths)
    lineages, found = draft.world.evolution.lineages, []
    for path in paths:
        migration = lineages.one_way(seen.interface, life.interface, path)
        if migration is None:
            if path in after:
                _require_told(draft, life, seen, path, after[path], body)
            found.append(path)
        elif path in body.times or (path in before) != (path in after) or not same(before.get(path), after.get(path)):
            body.refuse(_place(path), *_no_way_back(draft, life, seen, path, migration))
    return found


def _place(path: str) -> tuple[str, ...]:
    return tuple(path.split("/"))


def _no_way_back(draft: Draft, life: Lifetime, seen: Lifetime, path: str, migration: Migration) -> tuple[str, str]:
    """What is wrong with writing a path, and what to do."""
    names = draft.world.evolution.lineages.becomes(migration.old, path)
    step = next(one for one in migration.spec.steps if one.verb in ("drop", "retype", "split") and one.path in names)
    what = f"'{path}' can't be changed by a client of {seen.interface}: '{life.twin}' is of {life.interface}, and "
    told = f"`{step}` of the migration '{migration.name}'"
    if step.verb == "drop":
        return f"{what}{told} leaves it out", f"Leave it as it is shown: {migration.new} does without it"
    new = ", ".join(step.makes)
    return f"{what}{told} leads to no way back", f"Leave it as it is shown, write {new} as {migration.new}, or give that step a `back`"


def _require_told(draft: Draft, life: Lifetime, seen: Lifetime, path: str, value: Any, body: Body) -> None:
    """Refuse a value of which the twin's own version would tell none, or none that it can have."""
    paths = draft.world.ontology.paths(life.interface)
    for cell in draft.told(life, draft.row(seen, path, value, draft.now)):
        info = paths[cell["path"]]
        given = json.dumps(value)[:80]
        what = f"{given} makes no '{info.path}' of {life.interface}, which '{life.twin}' is of"
        if cell["kind"] != GOOD:
            body.refuse(_place(path), what, f"Give a value that the migration to {life.interface} can follow")
            continue
        problem = next(_problems(cell, info, draft), None)
        if problem is not None:
            body.refuse(_place(path), f"{what}: {problem}", f"Give a value that {life.interface} can have")


def _problems(cell: Cell, info: PathInfo, draft: Draft) -> Iterator[str]:
    if units.converter(cell["unit"], info.unit).is_identity:  # a whole number in another unit is shown as it comes out
        yield from (one.message for one in check_value(value_of(cell, info), info.schema, draft.world.ontology.schemas))
