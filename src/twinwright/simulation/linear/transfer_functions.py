"""Transfer functions of a linear model: what its file says of them, their units, and the state space that each becomes.

A coefficient of s^k is in s^k (seconds), in the numerator times the unit of the output over that of the input. Where a denominator has
a dimension, such as the N/m of a spring, its coefficients all have units, and a plain one in the numerator is a number without
dimension. The state space is the controllable canonical form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from twinwright import units
from twinwright.documents import Document, Location, Problems, Spec
from twinwright.errors import ExpressionError, UnitError
from twinwright.expressions import Type, parse
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.linear.entries import Entry, check_entry, declared, entry_unit, given, number
from twinwright.simulation.linear.state_space import System
from twinwright.simulation.protocol import ModelError

Coefficients = Annotated[list[Entry], Field(min_length=1, max_length=64)]


class TransferSpec(Spec):
    """Coefficients by falling powers of s (of z in discrete time): `{num: [K], den: [T, 1]}` is K / (T s + 1)."""

    num: Coefficients = Field(description="of the numerator, highest power first")
    den: Coefficients = Field(description="of the denominator, highest power first; as many or more")


def check_transfer(spec: Any, document: Document, problems: Problems) -> None:
    """Add to `problems` what is wrong with `transfer`: names, degrees, coefficients, and what does not go with it."""
    for letter in ("A", "B", "C", "D"):
        if getattr(spec, letter) is not None:
            problems.add(document.problem((letter,), "matrices and `transfer` exclude each other", "Keep one of them", "both"))
    for name in spec.states:
        problems.add(document.problem(("states", name), "transfer functions have no declared states", "Remove it", "no_states"))
    for output, row in spec.transfer.items():
        if output not in spec.outputs:
            known = ", ".join(spec.outputs)
            problems.add(document.problem(("transfer", output), f"there is no output '{output}'", f"Outputs: {known}", "unknown_name"))
        for name, one in row.items():
            place: Location = ("transfer", output, name)
            if name not in spec.inputs:
                known = ", ".join(spec.inputs) or "none"
                problems.add(document.problem(place, f"there is no input '{name}'", f"Inputs: {known}", "unknown_name"))
            if len(one.num) > len(one.den):
                message = "the numerator is of higher degree than the denominator: no system answers before it is asked"
                problems.add(document.problem(place, message, "Give `den` as many coefficients as `num`, or more", "improper"))
            if one.den[0] == 0:
                problems.add(document.problem((*place, "den", 0), "the highest coefficient is zero", "Leave it out", "improper"))
            if output in spec.outputs and name in spec.inputs:
                ports = spec.outputs[output].unit, spec.inputs[name].unit
                _check_coefficients(one, ports, place, spec, document, problems)


def realised(definition: ModelDefinition, values: Mapping[str, float]) -> System:
    """Controllable canonical forms, one for each pair of output and input, side by side, with parameters of these values. Raises
    ModelError where a coefficient is no number with them, or the highest of a denominator zero."""
    inputs = {port.name: index for index, port in enumerate(definition.inputs)}
    outputs = {port.name: index for index, port in enumerate(definition.outputs)}
    scope = given(definition)
    rate = definition.options["time"] == "continuous"
    pairs = []
    for output, row in definition.options["transfer"].items():
        for name, one in row.items():
            ports = definition.outputs[outputs[output]].unit, definition.inputs[inputs[name]].unit
            common = _common_unit(one["den"], scope, per_second=rate)
            expected = _coefficient_units(one, ports, common, per_second=rate)
            num, den = (
                np.array([number(definition, *each, values, plain=common is None) for each in zip(one[part], expected[part], strict=True)])
                for part in ("num", "den")
            )
            if not den[0]:
                raise ModelError("refused", f"the highest coefficient of {output} over {name} is zero", remedy="Change the parameters")
            padded = np.concatenate([np.zeros(den.size - num.size), num])
            pairs.append((outputs[output], inputs[name], padded / den[0], den / den[0]))
    size = sum(den.size - 1 for *_, den in pairs)
    shapes = ((size, size), (size, len(inputs)), (len(outputs), size), (len(outputs), len(inputs)))
    system = System(*(np.zeros(shape) for shape in shapes))
    at = 0
    for output_index, input_index, num, den in pairs:
        order = den.size - 1
        system.d[output_index, input_index] += num[0]
        if order:
            block = slice(at, at + order)
            system.a[block, block] = np.eye(order, k=1)
            system.a[at + order - 1, block] = -den[:0:-1]
            system.b[at + order - 1, input_index] = 1.0
            system.c[output_index, block] = (num[1:] - num[0] * den[1:])[::-1]
            at += order
    return system


def _check_coefficients(
    one: Any, ports: tuple[str | None, str | None], place: Location, spec: Any, document: Document, problems: Problems
) -> None:
    entries = {"num": one.num, "den": one.den}
    try:
        common = _common_unit(one.den, declared(spec), per_second=spec.time == "continuous")
        expected = _coefficient_units(entries, ports, common, per_second=spec.time == "continuous")
    except (ExpressionError, UnitError):  # an entry that means nothing says so itself
        common, expected = None, {part: [None] * len(coefficients) for part, coefficients in entries.items()}
    for part, coefficients in entries.items():
        for index, (entry, unit) in enumerate(zip(coefficients, expected[part], strict=True)):
            check_entry(entry, unit, (*place, part, index), spec, document, problems, plain=common is None)


def _common_unit(den: list[Entry], scope: Mapping[str, Type], *, per_second: bool) -> str | None:
    """What a denominator is measured in, as its lowest coefficient with a unit says; None where it has no dimension, as T s + 1.

    Raises ExpressionError, UnitError."""
    if any(entry for entry in den if not isinstance(entry, str)):
        return None
    for power, entry in enumerate(reversed(den)):
        unit = parse(entry).check(scope).type.unit if isinstance(entry, str) else None
        if unit is not None:
            common = units.quotient(unit, _seconds(power, per_second=per_second))
            return None if units.compatible(common, None) else common
    return None


def _coefficient_units(
    entries: Mapping[str, list[Entry]], ports: tuple[str | None, str | None], common: str | None, *, per_second: bool
) -> dict[str, list[str | None]]:
    """What the coefficients of `num` and `den` are measured in, for an (output, input) in these units. Raises UnitError."""
    wholes = {"num": units.product(common, entry_unit(*ports, per_second=False)), "den": common}
    return {
        part: [units.product(wholes[part], _seconds(power, per_second=per_second)) for power in reversed(range(len(coefficients)))]
        for part, coefficients in entries.items()
    }


def _seconds(power: int, *, per_second: bool) -> str | None:
    return units.power("s", power) if per_second and power else None
