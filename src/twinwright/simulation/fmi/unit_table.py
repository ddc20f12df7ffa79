"""The units of an FMU's own table, and ours: what an FMU calls `N.m` or defines by base units is converted like any other."""

from __future__ import annotations

import re
from functools import lru_cache

from twinwright import units
from twinwright.errors import UnitError
from twinwright.simulation.fmi.description import BASE_UNITS, ModelDescription, UnitDefinition, Variable
from twinwright.units import Affine

_FACTOR = re.compile(r"([A-Za-z%°µμΩ_]+)(-?\d+)?")
_MODELICA = {"Ohm": "ohm", "degC": "degC", "l": "l", "rev": "turn"}


@lru_cache(maxsize=4096)
def spelled(name: str) -> str | None:
    """A unit as FMI and Modelica write it (`N.m`, `m/s2`, `kg/(m.s2)`) in our spelling; None for one that is not known.

    Modelica language specification, chapter 19 (unit expressions). Dimensionless is None as well: see `is_plain`.
    """
    for text in (_expression(name), name):
        try:
            return units.canonical(text) if text else None
        except UnitError:
            continue
    return None


def is_plain(name: str | None) -> bool:
    """Whether a unit of an FMU says nothing: none, `1`, `-` or empty."""
    return name is None or name.strip() in ("", "1", "-")


def si_unit(exponents: tuple[int, ...]) -> str | None:
    """The SI unit with these exponents of kg, m, s, A, K, mol, cd, rad."""
    parts = [name if power == 1 else f"{name}**{power}" for name, power in zip(BASE_UNITS, exponents, strict=True) if power]
    return units.canonical("*".join(parts)) if parts else None


def named(name: str, definition: UnitDefinition | None) -> str | None:
    """A unit by its name, in our spelling; None where it is not known, or where the FMU defines it to be something else."""
    own = spelled(name)
    if own is None or definition is None or definition.exponents is None:
        return own
    for power in (definition.exponents[7], 0, -1, 1, -2, 2):  # many tools leave the radian out, or in
        try:
            found = units.converter(own, si_unit((*definition.exponents[:7], power)))
        except UnitError:
            continue
        near = abs(found.factor - definition.factor) <= 1e-6 * abs(found.factor)
        return own if near or definition.factor == 1.0 else None
    return None


def port_unit(description: ModelDescription, variable: Variable) -> str | None:
    """The unit of a variable in our spelling; None where it has none that we know."""
    if is_plain(variable.unit):
        return None
    definition = description.units.get(variable.unit or "")
    name = named(variable.unit or "", definition)
    if name is not None:
        return name
    return si_unit(definition.exponents) if definition and definition.exponents is not None else None


def own_unit(description: ModelDescription, variable: Variable) -> str | None:
    """The unit that the FMU's values of a variable are in: in our spelling where we know it, else as the FMU calls it."""
    name = None if is_plain(variable.unit) else named(variable.unit or "", description.units.get(variable.unit or ""))
    return name or variable.unit


def to_variable(description: ModelDescription, variable: Variable, unit: str | None) -> Affine:
    """The map from values in `unit` to those that the variable has in the FMU. Raises UnitError for another dimension.

    A unit or display unit of the FMU's own table is looked up there first; then any that we know.
    """
    own = variable.unit
    if unit == own or (unit is None and is_plain(own)):
        return Affine(1.0, 0.0)
    definition = description.units.get(own or "")
    if definition is not None and unit is not None and unit in definition.displays:
        factor, offset, inverse = definition.displays[unit]
        if not inverse and factor:
            return Affine(1.0 / factor, 0.0 if variable.relative else -offset / factor)
    if unit is not None and not is_plain(unit):
        unit = spelled(unit) or units.canonical(unit)
    known = named(own or "", definition)
    if known is not None or definition is None or definition.exponents is None:
        if known is None and not is_plain(own):
            raise UnitError(f"'{own}' of '{variable.name}' is not a known unit", remedy=f"Give values in '{own}', without a unit")
        found = units.converter(unit, known)
        return Affine(found.factor, 0.0) if variable.relative else found
    base = units.converter(unit, si_unit(definition.exponents))
    offset = 0.0 if variable.relative else (base.offset - definition.offset) / definition.factor
    return Affine(base.factor / definition.factor, offset)


def _expression(name: str) -> str:
    """`kg/(m.s2)` as `kg/(m*s**2)`."""

    def power(match: re.Match[str]) -> str:
        base = _MODELICA.get(match[1], match[1])
        return f"{base}**{match[2]}" if match[2] else base

    return _FACTOR.sub(power, name.replace(".", "*")) if re.fullmatch(r"[\w%°µμΩ./()\-*]+", name) and "**" not in name else name
