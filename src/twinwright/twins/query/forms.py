"""A part of a query as SQL: one text for each kind of value that it may be, and the units that its numbers have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from twinwright import units
from twinwright.twins.query.catalogue import Kind


class Parameters:
    """Values on their way to SQL: bound by name, never part of its text. Equal ones have one name, so that what is grouped by is found
    again in what is selected."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._names: dict[tuple[type, Any], str] = {}

    def bind(self, value: Any) -> str:
        """The placeholder of a value."""
        name = self._names.setdefault((type(value), value), f"p{len(self.values)}")
        self.values[name] = value
        return f"${name}"


@dataclass(frozen=True, slots=True)
class Forms:
    """`sql` by kind. `units`: of numbers, by the interfaces that have them (None: all); empty for plain numbers, which fit any unit.

    `model` is the SQL of the interface's number (of a relationship: of its declaration), where units depend on it. `literal` is the value
    of what is written down.
    """

    sql: Mapping[Kind, str]
    units: tuple[tuple[str | None, frozenset[int] | None], ...] = ()
    model: str = ""
    literal: Any = None
    is_literal: bool = False
    always: str = ""  # the condition under which it is there at all, of what has no value of its own: components, documents
    aggregated: bool = False
    names: tuple[str, ...] = field(default=())  # the relations of SQL that it reads

    @property
    def unit(self) -> str | None:
        """The first unit: what numbers are given in where nothing else is asked for."""
        return self.units[0][0] if self.units else None

    def number(self, unit: str | None) -> str:
        """The SQL of its numbers in a unit. Raises UnitError."""
        sql = self.sql["number"]
        if not self.units:
            return sql
        if len(self.units) == 1:
            return units.converter(self.units[0][0], unit).sql(sql)
        cases = []
        for own, models in self.units:
            listed = ", ".join(str(number) for number in sorted(models or ()))
            cases.append(f"WHEN {self.model} IN ({listed}) THEN {units.converter(own, unit).sql(f'({sql})::DOUBLE')}")
        return f"(CASE {' '.join(cases)} END)"


def literal(value: Any, unit: str | None, parameters: Parameters) -> Forms:
    """What is written down. Raises UnitError."""
    if value is None:
        return Forms({}, literal=None, is_literal=True)
    kind: Kind = "boolean" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"
    measured = ((units.canonical(unit), None),) if unit is not None else ()
    return Forms({kind: parameters.bind(value)}, measured, literal=value, is_literal=True)
