"""An entry of a linear model: a number, or an expression over the parameters with their units, in the unit that its place has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from twinwright import units
from twinwright.documents import Document, Location, Problems
from twinwright.errors import ExpressionError, UnitError
from twinwright.expressions import Type, parse
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import ModelError

Entry = float | str


def declared(spec: Any) -> dict[str, Type]:
    """What the names in an entry stand for, of a model file."""
    return _scope({name: one.unit for name, one in spec.parameters.items() if one.per is None})


def given(definition: ModelDefinition) -> dict[str, Type]:
    """The same of a definition."""
    return _scope({one.name: one.unit for one in definition.arguments})


def _scope(parameters: Mapping[str, str | None]) -> dict[str, Type]:
    return {name: Type("number", units.canonical(unit)) for name, unit in parameters.items()}


def entry_unit(row: str | None, column: str | None, *, per_second: bool) -> str | None:
    """What an entry of a matrix is measured in; temperatures are differences here."""
    row, column = ("K" if units.is_offset(unit) else unit for unit in (row, column))
    ratio = units.quotient(row, column)
    return units.quotient(ratio, "s") if per_second else ratio


def check_entry(
    entry: Entry, unit: str | None, place: Location, spec: Any, document: Document, problems: Problems, *, plain: bool = True
) -> None:
    """Add to `problems` unless an entry is a number in the unit of its place; `plain`: what has no unit is in that already."""
    try:
        if not isinstance(entry, str):
            if not plain and entry:
                units.convert(entry, None, unit)
            return
        checked = parse(entry).check(declared(spec))
        if checked.type.kind != "number":
            problems.add(document.problem(place, f"'{entry}' is not a number", "Write a number or a formula of parameters", "bad_entry"))
        elif checked.type.unit is not None or not plain:
            checked.converted(unit)
    except (ExpressionError, UnitError) as error:
        told = f"'{entry}' is no entry in {unit or 'plain numbers'}: {error.what}"
        problems.add(document.problem(place, told, error.remedy or "Name parameters of this model", "bad_entry"))


def number(definition: ModelDefinition, entry: Entry, unit: str | None, values: Mapping[str, float], *, plain: bool) -> float:
    """An entry in the unit that its place has, as `evaluated`, be it a number or an expression. Raises ModelError."""
    if isinstance(entry, str):
        return evaluated(definition, entry, values, unit, plain=plain)
    return float(entry) if plain or not entry else float(units.convert(entry, None, unit))


def evaluated(definition: ModelDefinition, entry: str, values: Mapping[str, float], unit: str | None, *, plain: bool = True) -> float:
    """An expression in the unit that its place has; `plain`: what has none is in it already. Raises ModelError where it is no number
    with parameters of these values."""
    checked = parse(entry).check(given(definition))
    if checked.type.unit is not None or not plain:
        checked = checked.converted(unit)
    value = checked.value(values)
    if not isinstance(value, float) or not np.isfinite(value):
        raise ModelError("nan", f"the entry '{entry}' is {value} with these parameters", remedy="Look for a division by zero")
    return value
