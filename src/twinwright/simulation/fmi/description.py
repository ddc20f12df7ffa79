"""What an FMU says of itself, in one form for FMI 2.0 and 3.0. Types are those of 3.0: Real is Float64, Integer is Int32."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

Kind = Literal["cs", "me", "se"]
Severity = Literal["error", "warning"]
KIND_NAMES: Mapping[str, str] = {"cs": "co-simulation", "me": "model exchange", "se": "scheduled execution"}
FLOATS = frozenset({"Float64", "Float32"})
INTEGERS = frozenset({"Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64"})
NUMERIC = FLOATS | INTEGERS | {"Boolean", "Enumeration"}
BASE_UNITS = ("kg", "m", "s", "A", "K", "mol", "cd", "rad")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about an FMU that is not as its specification says: an `error` keeps it from being run, a `warning` does not."""

    severity: Severity
    message: str
    clause: str
    line: int | None
    remedy: str

    def as_json(self) -> dict[str, Any]:
        return {
            "severity": self.severity,
            "message": self.message,
            "clause": self.clause,
            "line": self.line,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class UnitDefinition:
    """A unit of the FMU's own table. base value (SI) = factor * value + offset; `exponents` is None where no base unit is given.

    `displays` maps a display unit to (factor, offset, inverse): display = factor * value + offset, or factor / value.
    """

    name: str
    exponents: tuple[int, ...] | None
    factor: float
    offset: float
    displays: Mapping[str, tuple[float, float, bool]]


@dataclass(frozen=True, slots=True)
class Dimension:
    """A fixed `size`, or the value of the structural parameter with this value reference."""

    size: int | None
    reference: int | None


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable; an array where it has dimensions. `start` has a value for each element, or one for all, or is None."""

    name: str
    reference: int
    type: str
    causality: str
    variability: str
    initial: str | None
    start: tuple[Any, ...] | None
    line: int
    unit: str | None = None
    display_unit: str | None = None
    relative: bool = False
    description: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    nominal: float | None = None
    quantity: str | None = None
    declared_type: str | None = None
    derivative: int | None = None  # of the variable at this index (2.0, from 1) or with this value reference (3.0)
    dimensions: tuple[Dimension, ...] = ()
    clocks: tuple[int, ...] = ()
    reinit: bool = False
    alias_of: str | None = None
    set_once: bool = False  # canHandleMultipleSetPerTimeInstant="false"

    @property
    def settable(self) -> bool:
        """Whether it may be given a start value."""
        given = self.causality in ("input", "parameter", "structuralParameter") or self.initial in ("exact", "approx")
        return given and self.variability != "constant" and self.type != "Clock"

    @property
    def unsettable(self) -> tuple[str, str]:
        """What to say of one that may not, and the remedy."""
        what = f"'{self.name}' can't be set: its causality is {self.causality}, its initial {self.initial}"
        return what, "Set a parameter, an input, or a variable that starts exact or approx"


@dataclass(frozen=True, slots=True)
class Interface:
    """One of the kinds that an FMU can be run as, with its capability flags by their names in the description."""

    kind: Kind
    identifier: str
    flags: Mapping[str, bool | int | float | str]
    sources: tuple[str, ...] = ()

    def has(self, flag: str) -> bool:
        return self.flags.get(flag) is True


@dataclass(frozen=True, slots=True)
class Unknown:
    """A row of the model structure: a variable by index (2.0) or value reference (3.0)."""

    reference: int
    line: int
    dependencies: tuple[int, ...] | None
    kinds: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Experiment:
    """The default experiment, in seconds where given."""

    start: float | None = None
    stop: float | None = None
    tolerance: float | None = None
    step: float | None = None


@dataclass(frozen=True)
class ModelDescription:
    """modelDescription.xml, with what was found wrong while it was read."""

    version: Literal["2.0", "3.0"]
    name: str
    token: str
    description: str | None
    tool: str | None
    author: str | None
    generated: str | None
    naming: str
    interfaces: tuple[Interface, ...]
    variables: tuple[Variable, ...]
    units: Mapping[str, UnitDefinition]
    enumerations: Mapping[str, Mapping[str, int]]
    experiment: Experiment
    structure: Mapping[str, tuple[Unknown, ...]]
    indicators: int
    findings: tuple[Finding, ...] = field(default=(), compare=False)
    log_categories: tuple[str, ...] = ()

    @property
    def major(self) -> int:
        return int(self.version[0])

    @cached_property
    def by_name(self) -> dict[str, Variable]:
        return {one.name: one for one in reversed(self.variables)}

    @cached_property
    def by_reference(self) -> dict[int, Variable]:
        """FMI 3.0: the variable (no alias) with a value reference."""
        return {one.reference: one for one in reversed(self.variables) if one.alias_of is None}

    @property
    def still_clocks(self) -> list[str]:
        """What to warn of: input clocks are ticked by who runs an FMU, and none is here."""
        clocks = (one for one in self.of_causality("input") if one.type == "Clock")
        return [f"input clock '{one.name}' does not tick: what depends on it keeps its start" for one in clocks]

    def interface(self, kind: Kind) -> Interface | None:
        return next((one for one in self.interfaces if one.kind == kind), None)

    def resolve(self, unknown: Unknown) -> Variable | None:
        """The variable that a row of the model structure speaks of."""
        if self.major == 2:
            return self.variables[unknown.reference - 1] if 0 < unknown.reference <= len(self.variables) else None
        return self.by_reference.get(unknown.reference)

    def states(self) -> list[Variable]:
        """The continuous states, in the order of their derivatives in the model structure."""
        found = []
        for row in self.structure["derivatives"]:
            derivative = self.resolve(row)
            if derivative is not None and derivative.derivative is not None:
                state = self.resolve(Unknown(derivative.derivative, row.line, None, None))
                if state is not None:
                    found.append(state)
        return found

    def size(self, variable: Variable, values: Mapping[int, int] | None = None) -> int:
        """The number of elements of a variable; `values` are those of structural parameters, by value reference."""
        return math.prod(self.shape(variable, values))

    def shape(self, variable: Variable, values: Mapping[int, int] | None = None) -> tuple[int, ...]:
        """The length in each dimension; () for a scalar."""
        lengths = []
        for one in variable.dimensions:
            if one.size is not None:
                lengths.append(one.size)
                continue
            reference = one.reference or 0
            given = (values or {}).get(reference)
            parameter = self.by_reference.get(reference)
            lengths.append(given if given is not None else int((parameter.start or (0,))[0]) if parameter else 0)
        return tuple(lengths)

    def of_causality(self, *causalities: str) -> Iterator[Variable]:
        return (one for one in self.variables if one.causality in causalities)
