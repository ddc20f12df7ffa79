"""The typed tree: what checking makes of an expression, and what is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinwright.expressions.syntax import Kind


@dataclass(frozen=True, slots=True)
class Type:
    """What a value is; `unit` is of numbers (None: dimensionless)."""

    kind: Kind
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Typed:
    """A part of a checked expression; `value` is that of a literal, the name of a name, the signs of a comparison, or a conversion."""

    op: str
    type: Type
    args: tuple[Typed, ...] = ()
    value: Any = None

    @property
    def kinds(self) -> dict[str, Kind]:
        """What each name in it is."""
        found = {self.value: self.type.kind} if self.op == "name" else {}
        for part in self.args:
            found |= part.kinds
        return found
