"""A part of the relationships of a store: their keys first, and what holds of these, so that it costs what it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from twinwright.storage.layout import EdgeKey, Relationship, RelationshipPart

_LEAST: Final = 128
_MANY: Final = 20_000


def some_relationships(
    part: RelationshipPart, keys: Callable[[RelationshipPart], list[EdgeKey]], edges: Callable[[RelationshipPart], list[Relationship]]
) -> list[Relationship]:
    """At most `part.most`. `keys` gives those of a part, in order, of which some may have been removed or be of another name; `edges` what
    there is of some keys."""
    assert part.most is not None
    found: list[Relationship] = []
    looked, behind = max(part.most, _LEAST), part.behind
    while len(found) < part.most:
        some = keys(replace(part, behind=behind, most=looked))
        found += edges(RelationshipPart(name=part.name, keys=frozenset(some))) if some else []
        if len(some) < looked:
            break
        behind, looked = some[-1], min(4 * looked, _MANY)  # few are left of these
    return found[: part.most]
