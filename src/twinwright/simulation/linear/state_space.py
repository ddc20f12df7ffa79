"""A state space of numbers, and the matrices of a model file that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from twinwright.documents import Document, Problems
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.linear.entries import Entry, check_entry, entry_unit, evaluated
from twinwright.simulation.protocol import Floats

Matrix = Annotated[list[list[Entry]], Field(max_length=1000)]


@dataclass(frozen=True, slots=True)
class System:
    """Numbers in place of entries. Continuous rates per second, or one step of a discrete system."""

    a: Floats  # (n, n)
    b: Floats  # (n, m)
    c: Floats  # (p, n)
    d: Floats  # (p, m)


def check_matrices(spec: Any, document: Document, problems: Problems) -> None:
    """Add to `problems` what is wrong with `A` to `D`: their shapes, their entries, and states that are missing."""
    if spec.A is None:
        problems.add(document.problem((), "a linear model has `A` or `transfer`", "Add `A:` (states by states)", "missing"))
    if not spec.states:
        problems.add(document.problem((), "a state space has states, this one has none", "Add `states:`, or use `transfer`", "no_states"))
    if spec.C is None:
        for name, port in spec.outputs.items():
            if (port.state or name) not in spec.states:
                message = f"output '{name}' shows no state"
                problems.add(document.problem(("outputs", name), message, "Add `C:`, or name a state", "unknown_state"))
    for letter, (rows, columns) in _shapes(spec).items():
        matrix = getattr(spec, letter)
        if matrix is None:
            continue
        if len(matrix) != len(rows) or any(len(row) != len(columns) for row in matrix):
            message = f"{letter} is not {len(rows)} by {len(columns)}"
            problems.add(document.problem((letter,), message, f"Give {len(rows)} rows of {len(columns)} entries", "bad_shape"))
            continue
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                unit = entry_unit(rows[row].unit, columns[column].unit, per_second=letter in "AB" and spec.time == "continuous")
                check_entry(matrix[i][j], unit, (letter, i, j), spec, document, problems)


def state_space(definition: ModelDefinition, values: Mapping[str, float]) -> System:
    """`A` to `D` with parameters of these values. Raises ModelError where an entry is no number with them."""
    rate = definition.options["time"] == "continuous"
    shapes: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
        "A": (definition.states, definition.states),
        "B": (definition.states, definition.inputs),
        "C": (definition.outputs, definition.states),
        "D": (definition.outputs, definition.inputs),
    }
    found: dict[str, Floats] = {}
    for letter, (rows, columns) in shapes.items():
        entries = definition.options[letter]
        matrix = np.zeros((len(rows), len(columns)))
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                entry = entries[i][j] if entries else 0.0
                if isinstance(entry, str):
                    unit = entry_unit(row.unit, column.unit, per_second=rate and letter in "AB")
                    entry = evaluated(definition, entry, values, unit)
                matrix[i, j] = entry
        found[letter] = matrix
    if not definition.options["C"]:
        order = [one.name for one in definition.states]
        for i, port in enumerate(definition.outputs):
            found["C"][i, order.index(port.state or port.name)] = port.scale
    return System(found["A"], found["B"], found["C"], found["D"])


def _shapes(spec: Any) -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    return {
        "A": (spec.states, spec.states),
        "B": (spec.states, spec.inputs),
        "C": (spec.outputs, spec.states),
        "D": (spec.outputs, spec.inputs),
    }
