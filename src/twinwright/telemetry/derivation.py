"""How the value of an observation follows from fields: compiled once, from what the contract says and what the property is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from twinwright import units
from twinwright.errors import UnitError
from twinwright.expressions import Checked
from twinwright.schema import Array, Enum, Map, Object, Primitive, Schema, SchemaReference
from twinwright.storage.layout import ReadingColumn
from twinwright.telemetry.conventions import ConventionSpec, MessageUnitSpec
from twinwright.units import Affine


@dataclass(frozen=True, slots=True)
class Turn:
    """One of three components that are made of three fields together: the fields times their `factors` go through `conversion`, of columns
    (3, rows), and `made` takes what comes out along `axis` to the column's unit. NaN is no value."""

    fields: tuple[str, ...]
    factors: tuple[float, ...]
    conversion: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    axis: int
    made: Affine


@dataclass(frozen=True, slots=True)
class Derivation:
    """What is done with a field on its way to the value; or `compute`, which takes several fields and is in the column's unit.

    First `factor` and `offset`, then the conversion from the unit in `unit_field`; an object is checked against its `schema`. `called`
    says what a good value is.
    """

    compute: Checked | None = None
    turn: Turn | None = None  # in place of all that follows
    source: str | None = None  # a field in place of the observation's own
    factor: float = 1.0
    offset: float = 0.0
    unit_field: str | None = None
    unit_names: Mapping[str, Affine] = field(default_factory=dict)
    schema: Schema | None = None
    called: str = ""


PLAIN = Derivation()  # the field is the value


def derivation_of(
    observation: ConventionSpec, unit: str | MessageUnitSpec | None, column: ReadingColumn, schema: Schema
) -> Derivation | None:
    """What is done with the field of an observation that is not computed; None for nothing. Raises UnitError for a wrong name of a unit."""
    sign = -1.0 if observation.sign else 1.0
    factor = sign * (1.0 if observation.scale is None else observation.scale)
    offset = sign * (observation.offset or 0.0)
    by_message = unit if isinstance(unit, MessageUnitSpec) else None
    structured = schema if is_structured(schema) else None
    if not (observation.is_linear or by_message or structured):
        return None
    return Derivation(
        factor=factor,
        offset=offset + 0.0,
        unit_field=by_message.field if by_message else None,
        unit_names=unit_names(column.unit, by_message.names) if by_message else {},
        schema=structured,
        called=_called(by_message, structured),
    )


def _called(by_message: MessageUnitSpec | None, structured: Schema | None) -> str:
    if by_message is not None:
        return f"a number in a unit that '{by_message.field}' names"
    return f"what its schema says ({type(structured).__name__})" if structured is not None else ""


def is_structured(schema: Schema) -> bool:
    """Whether a value of this schema is an object or an array, kept as JSON text."""
    return not isinstance(schema, Primitive | Enum)


def is_storable(schema: Schema) -> bool:
    """Whether a value of an object, array or map can be checked by its schema alone: not where it contains itself."""
    if isinstance(schema, Object):
        return all(is_storable(one.schema) for one in schema.fields)
    if isinstance(schema, Array | Map):
        return is_storable(schema.element_schema if isinstance(schema, Array) else schema.value_schema)
    return not isinstance(schema, SchemaReference)


def unit_names(unit: str | None, names: Mapping[str, str]) -> dict[str, Affine]:
    """How each unit that a message may name converts to `unit`. `names` are the contract's own. Raises UnitError."""
    known = {name: affine for name, spelling in _vocabulary().items() if (affine := _conversion(spelling, unit)) is not None}
    return known | {name: units.converter(spelling, unit) for name, spelling in names.items()}


def _conversion(spelling: str | None, unit: str | None) -> Affine | None:
    try:
        return units.converter(spelling, unit)
    except UnitError:
        return None


@cache
def _vocabulary() -> dict[str, str | None]:
    """A closed one: what a message calls a unit is looked up and never parsed."""
    names: dict[str, str | None] = dict(units.DTDL_UNITS) | dict(units.OTHER_NAMES)
    spellings = {units.canonical(spelling) for spelling in names.values() if spelling is not None}
    for spelling in sorted(one for one in spellings if one is not None):
        names[spelling] = spelling
        names.setdefault(units.symbol(spelling), spelling)
    return names
