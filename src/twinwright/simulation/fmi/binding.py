"""How the ports of a model file are bound to variables of an FMU: names, elements of arrays, units, start values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from twinwright.documents import Document, Problems
from twinwright.errors import Problem, TwinwrightError, UnitError, UsageError
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.fmi.archive import open_archive
from twinwright.simulation.fmi.check import check_fmu
from twinwright.simulation.fmi.description import NUMERIC, Finding, ModelDescription, Unknown, Variable
from twinwright.simulation.fmi.grid import element_of, parse_value
from twinwright.simulation.fmi.library import choose
from twinwright.simulation.fmi.read import read_description
from twinwright.simulation.fmi.unit_table import port_unit, to_variable
from twinwright.simulation.protocol import ModelError
from twinwright.units import Affine

_SECTIONS = ("inputs", "states", "outputs", "parameters")


@dataclass(frozen=True, slots=True)
class Bound:
    """A port and its variable: FMU value = factor * port value + offset."""

    port: str
    variable: str
    element: int
    factor: float
    offset: float

    def to_fmu(self, value: Any) -> Any:
        return Affine(self.factor, self.offset).apply(value)

    def to_port(self, value: Any) -> Any:
        return value if self.factor == 1.0 and self.offset == 0.0 else (value - self.offset) / self.factor


@lru_cache(maxsize=8)
def described(body: bytes, name: str) -> tuple[ModelDescription, tuple[Finding, ...]]:
    """The description of an FMU and what is wrong with it. Raises UsageError."""
    archive = open_archive(body, name)
    description = read_description(archive)
    return description, tuple(check_fmu(archive, description))


def complete(spec: Any, document: Document, artefacts: Mapping[str, bytes], problems: Problems) -> tuple[Any, dict[str, Any]] | None:
    """The spec with units, values and starts of the FMU where it gives none, and the bindings; None where there are problems."""
    before = len(problems)
    try:
        md, findings = described(artefacts[spec.artefact], spec.artefact)
        interface = choose(md, spec.run)
    except (UsageError, ModelError) as error:
        problems.add(document.problem(("artefact",), error.what, error.remedy or "Name an FMU", "bad_fmu"))
        return None
    for one in findings:
        if one.severity == "error":
            problems.add(Problem(one.message, f"{one.remedy} ({one.clause})", spec.artefact, one.line, code="bad_fmu"))
    binder = _Binder(spec, md, document, problems)
    sections = {section: dict(binder.section(section)) for section in _SECTIONS}
    binder.settings()
    if interface.kind == "me" and spec.communication_step:
        message = "`communication_step` is for co-simulation"
        problems.add(document.problem(("communication_step",), message, "Give `solver: {max_step: ...}` instead", "wrong_kind"))
    if len(problems) != before:
        return None
    full = spec.model_copy(update={section: {name: port for name, (port, _) in ports.items()} for section, ports in sections.items()})
    bindings = {section: [as_list(bound) for _, bound in ports.values()] for section, ports in sections.items()}
    return full, {"bindings": bindings, "run": interface.kind}


def as_list(bound: Bound) -> list[Any]:
    """A binding as plain data; `Bound(*data)` is it again."""
    return [bound.port, bound.variable, bound.element, bound.factor, bound.offset]


def dependencies(definition: ModelDefinition) -> dict[str, tuple[str, ...]]:
    """The inputs that outputs depend on at the same instant, by port. An output that the model structure does not speak of is left out."""
    md, _ = described(definition.artefacts[definition.artefact], definition.artefact)
    inputs: dict[str, list[str]] = {}
    for port, variable, *_ in definition.options["bindings"]["inputs"]:
        inputs.setdefault(variable, []).append(port)
    states = {one.name for one in md.states()}
    rows: dict[str, Unknown] = {}
    for row in md.structure["outputs"]:
        output = md.resolve(row)
        if output is not None:
            rows[output.name] = row
    found: dict[str, tuple[str, ...]] = {}
    for port, variable, *_ in definition.options["bindings"]["outputs"]:
        named = rows.get(md.by_name[variable].alias_of or variable)
        if variable in states:
            found[port] = ()
        elif named is not None and named.dependencies is not None:
            known = [md.resolve(Unknown(reference, named.line, None, None)) for reference in named.dependencies]
            found[port] = tuple(name for one in known if one is not None for name in inputs.get(one.name, ()))
    return found


class _Binder:
    def __init__(self, spec: Any, md: ModelDescription, document: Document, problems: Problems) -> None:
        self.spec, self.md, self.document, self.problems = spec, md, document, problems
        self.taken: dict[tuple[str, int], str] = {}

    def problem(self, place: tuple[str | int, ...], error: TwinwrightError, code: str) -> None:
        self.problems.add(self.document.problem(place, error.what, error.remedy or "Correct it", code))

    def section(self, section: str) -> Iterator[tuple[str, tuple[Any, Bound]]]:
        for name, port in getattr(self.spec, section).items():
            place = (section, name, "variable") if port.variable else (section, name)
            try:
                variable, element = element_of(self.md, port.variable or name, {}, name)
            except UsageError as error:
                self.problem(place, error, "unknown_variable")
                continue
            wrong = self.unsuitable(section, variable, element)
            if wrong:
                self.problems.add(self.document.problem(place, f"'{variable.name}' {wrong[0]}", wrong[1], "wrong_variable"))
                continue
            try:
                bound = self.bound(name, port, variable, element)
            except UnitError as error:
                self.problem((section, name, "unit"), error, "unit_dimension")
                continue
            unit = port.unit if port.unit is not None else port_unit(self.md, variable)
            yield name, (port.model_copy(update={"unit": unit, **self.start(section, name, port, variable, bound)}), bound)

    def bound(self, name: str, port: Any, variable: Variable, element: int) -> Bound:
        unit = port.unit
        own = port_unit(self.md, variable)
        if unit is None and own is None:
            return Bound(name, variable.name, element, 1.0, 0.0)
        found = to_variable(self.md, variable, unit if unit is not None else own)
        return Bound(name, variable.name, element, found.factor, found.offset)

    def unsuitable(self, section: str, variable: Variable, element: int) -> tuple[str, str] | None:
        if variable.type not in NUMERIC:
            return f"is of type {variable.type}, and ports carry numbers", "Give it in `settings`"
        if section == "inputs" and variable.causality != "input":
            known = ", ".join(one.name for one in self.md.of_causality("input")) or "none"
            return f"is no input of the FMU: its causality is {variable.causality}", f"Inputs: {known}"
        if section in ("parameters", "states"):
            settable = variable.causality in ("parameter", "structuralParameter") or variable.initial in ("exact", "approx")
            if variable.variability == "constant" or not settable:
                return f"can't be set: its causality is {variable.causality}, its initial {variable.initial}", "Name one that starts exact"
        if section != "outputs":
            first = self.taken.setdefault((variable.name, element), section)
            if first != section:
                return f"is bound in `{first}` already", "Bind it once"
        return None

    def start(self, section: str, name: str, port: Any, variable: Variable, bound: Bound) -> dict[str, Any]:
        """The value of a parameter, or the start of a state, that the FMU gives where the model file does not."""
        given = variable.start or ()
        value = float(given[bound.element if len(given) > 1 else 0]) if given else None
        if section == "parameters" and port.value is None:
            if value is None:
                message = f"'{variable.name}' has no start value in the FMU"
                self.problems.add(self.document.problem((section, name), message, "Add `value: ...`", "no_value"))
            return {"value": bound.to_port(value) if value is not None else 0.0}
        if section == "states" and port.start is None and port.property is None and value is not None:
            return {"start": bound.to_port(value)}
        return {}

    def settings(self) -> None:
        for name, value in self.spec.settings.items():
            place = ("settings", name)
            try:
                variable = settable(self.md, name)
                setting(self.md, variable, value)
            except (UsageError, ModelError) as error:
                self.problem(place, error, "bad_setting")


def settable(md: ModelDescription, name: str) -> Variable:
    """The variable that `settings` names. Raises UsageError."""
    variable = md.by_name.get(name)
    if variable is None:
        variable = element_of(md, name, {}, "settings")[0]
        raise UsageError(f"'{name}' is an element of an array", remedy=f"Give a list for all of '{variable.name}'")
    return variable


def setting(md: ModelDescription, variable: Variable, value: Any) -> list[Any]:
    """A setting as start values, in the FMU's own unit. Raises UsageError."""
    values = value if isinstance(value, list) else [value]
    texts = [str(one).lower() if isinstance(one, bool) else str(one) for one in values]
    return [parse_value(md, variable, text, f"settings.{variable.name}") for text in texts]
