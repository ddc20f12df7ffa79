"""What a finished run says about itself: constraints kept or violated, and where it left what the model is valid for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from twinwright.clock import to_iso
from twinwright.expressions import Expression, Type
from twinwright.simulation.declaration import Range
from twinwright.simulation.definition import InputPort, ModelDefinition, OutputPort
from twinwright.simulation.protocol import Floats
from twinwright.simulation.scenario import Constraint, scope_of

Columns = Mapping[str, Floats]


def columns(definition: ModelDefinition, inputs: Floats, outputs: Floats, states: Floats) -> dict[str, Floats]:
    """Every trajectory of a run by name."""
    named = {port.name: inputs[:, index] for index, port in enumerate(definition.inputs)}
    named |= {state.name: states[:, index] for index, state in enumerate(definition.states)}
    return named | {port.name: outputs[:, index] for index, port in enumerate(definition.outputs)}


def check_constraint(constraint: Constraint, definition: ModelDefinition, named: Columns, grid: NDArray[np.int64]) -> dict[str, Any]:
    """Whether a constraint is kept at every sample; else when it is first violated, and for a limit by how much at worst, in its unit."""
    scope = scope_of(definition)
    expression = constraint.expression
    values = {name: pl.Series(np.asarray(named[name], np.float64)) for name in expression.names}
    kept = expression.check(scope).columns(values, grid.size).fill_null(False).to_numpy()
    report: dict[str, Any] = {"constraint": constraint.text, "kept": bool(kept.all())}
    if not kept.all():
        report |= {"first_violated": to_iso(int(grid[int(np.argmin(kept))])), "samples_violated": int((~kept).sum())}
        limit = _excess(expression, scope, values, grid.size)
        if limit is not None:
            excess, unit = limit
            worst = int(np.argmax(np.where(kept | np.isnan(excess), -np.inf, excess)))
            report |= {"worst": float(excess[worst]), "worst_at": to_iso(int(grid[worst])), "unit": unit}
    return report


def _excess(
    expression: Expression, scope: Mapping[str, Type], values: Mapping[str, pl.Series], count: int
) -> tuple[Floats, str | None] | None:
    """By how much a value lies beyond its limit, in the unit of the limit; None for what is not one value compared with one limit."""
    sign = expression.root.value if expression.root.op == "compare" else None
    if sign not in ("<", "<=", ">", ">="):
        return None
    left, right = (Expression(expression.text, part).check(scope) for part in expression.root.args)
    unit = right.type.unit if right.type.unit is not None else left.type.unit
    value, limit = (part.converted(unit).columns(values, count).to_numpy() for part in (left, right))
    return (value - limit if sign.startswith("<") else limit - value), unit


def extrapolations(definition: ModelDefinition, parameters: Mapping[str, float], named: Columns, grid: NDArray[np.int64]) -> list[str]:
    """A warning for each port that leaves its range or the model's validity, and each parameter outside it, with when."""
    warnings = []
    for name, (low, high), what in _ranges(definition):
        if name in named:
            outside = _outside(named[name], low, high)
            if outside.any():
                when = to_iso(int(grid[int(np.argmax(outside))]))
                span = _told(low, high)
                warnings.append(f"'{name}' leaves its {what} {span} at {when} ({int(outside.sum())} of {outside.size} samples)")
        elif name in parameters and _outside(np.array([parameters[name]]), low, high).any():
            warnings.append(f"parameter '{name}' = {parameters[name]:g} lies outside its {what} {_told(low, high)}")
    return warnings


def limited(definition: ModelDefinition) -> bool:
    """Whether there is anything that a run could leave."""
    return next(_ranges(definition), None) is not None


def _ranges(definition: ModelDefinition) -> Iterator[tuple[str, Range, str]]:
    ports: tuple[InputPort | OutputPort, ...] = (*definition.inputs, *definition.outputs)
    for port in ports:
        if port.range is not None:
            yield port.name, port.range, "range"
    for parameter in definition.parameters:
        if parameter.bounds is not None:
            yield parameter.name, parameter.bounds, "bounds"
    for name, valid in definition.validity.items():
        yield name, valid, "validity"


def _outside(values: Floats, low: float | None, high: float | None) -> NDArray[np.bool_]:
    below = values < low if low is not None else np.zeros(values.shape, np.bool_)
    above = values > high if high is not None else np.zeros(values.shape, np.bool_)
    return np.asarray(below | above, np.bool_)


def _told(low: float | None, high: float | None) -> str:
    return f"[{'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'}]"
