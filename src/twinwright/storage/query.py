"""What the SQL of every engine has in common: how a query grows, and when further sightings have to be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twinwright.storage.layout import ReadingTable, Retraction


@dataclass(slots=True)
class Query:
    """SQL text and the values bound to it, grown together."""

    text: str = ""
    values: list[Any] = field(default_factory=list)

    def add(self, text: str, *values: Any) -> Query:
        self.text += text
        self.values += values
        return self


def sightings_matter(table: ReadingTable, tables: Sequence[ReadingTable], retractions: Sequence[Retraction]) -> bool:
    """A further sighting changes what is current only where something can be retracted or a higher revision said the same."""
    revisions = sum(other.contract == table.contract for other in tables)
    return revisions > 1 or any(r.contract == table.contract for r in retractions)
