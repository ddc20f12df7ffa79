"""modelDescription.xml of FMI 2.0 and 3.0 into a ModelDescription. What can't be understood is found, not raised."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from twinwright.errors import Problem, UsageError
from twinwright.simulation.fmi.archive import DESCRIPTION, Archive
from twinwright.simulation.fmi.description import (
    BASE_UNITS,
    FLOATS,
    INTEGERS,
    Dimension,
    Experiment,
    Finding,
    Interface,
    Kind,
    ModelDescription,
    UnitDefinition,
    Unknown,
    Variable,
)
from twinwright.simulation.fmi.xml_tree import MAX_BYTES, Node, XmlError, parse_xml

MAX_VALUES = 10_000_000  # start values of all variables together
_KINDS: Mapping[str, Kind] = {"ModelExchange": "me", "CoSimulation": "cs", "ScheduledExecution": "se"}
_TYPES_2 = {"Real": "Float64", "Integer": "Int32", "Boolean": "Boolean", "String": "String", "Enumeration": "Enumeration"}
_TYPES_3 = FLOATS | INTEGERS | {"Boolean", "String", "Binary", "Enumeration", "Clock"}
_TABLES_2 = {"Outputs": "outputs", "Derivatives": "derivatives", "InitialUnknowns": "initial_unknowns"}
_TABLES_3 = {
    "Output": "outputs",
    "ContinuousStateDerivative": "derivatives",
    "ClockedState": "clocked_states",
    "InitialUnknown": "initial_unknowns",
    "EventIndicator": "event_indicators",
}
_CAUSALITIES = ("parameter", "calculatedParameter", "input", "output", "local", "independent", "structuralParameter", "dependent")
_VARIABILITIES = ("constant", "fixed", "tunable", "discrete", "continuous")
_INITIALS = ("exact", "approx", "calculated")
_BOOLEANS: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}
_NUMBERS = frozenset({"maxOutputDerivativeOrder", "recommendedIntermediateInputSmoothness", "fixedInternalStepSize"})


def read_description(archive: Archive) -> ModelDescription:
    """The description of an FMU. Raises UsageError where there is none, XmlError where it is no XML, and for FMI 1.0."""
    if DESCRIPTION not in archive.files:
        inside = next((name for name in archive.files if name.endswith("/" + DESCRIPTION)), None)
        remedy = f"It has {inside}: zip the files themselves, not their folder" if inside else "Name an FMU"
        raise UsageError(f"no {DESCRIPTION} in it, so it is no FMU", where=archive.name, remedy=remedy)
    return parse_description(archive.read(DESCRIPTION, MAX_BYTES), f"{archive.name}:{DESCRIPTION}")


def parse_description(body: bytes, file: str) -> ModelDescription:
    """The description in the text of a modelDescription.xml. Raises as `read_description` does."""
    root = parse_xml(body, file)
    if root.tag != "fmiModelDescription":
        raise XmlError(Problem(f"the root is <{root.tag}>, not <fmiModelDescription>", "Name an FMU", file, root.line))
    version = root.attributes.get("fmiVersion", "")
    if version.startswith("1."):
        tool = root.attributes.get("generationTool")
        again = f"Export it again from {tool} as FMI 2.0 or 3.0" if tool else "Export it again as FMI 2.0 or 3.0"
        raise UsageError(
            f"it is an FMU of FMI {version}, whose interface is not run here",
            where=file,
            remedy=f"{again}; without the tool, a wrapper such as fmusdk or FMI Kit's importer can carry it into a 2.0 FMU",
        )
    if not version.startswith(("2.", "3.")):
        raise UsageError(f"fmiVersion is '{version[:20]}'", where=f"{file}:{root.line}", remedy="FMI 2.0 and 3.0 are read")
    return _Reader(root, int(version[0])).read()


@dataclass(slots=True)
class _Type:
    """A type definition: what it gives to the variables that name it."""

    attributes: dict[str, str]
    items: dict[str, int] = field(default_factory=dict)


class _Reader:
    def __init__(self, root: Node, major: int) -> None:
        self.root, self.major = root, major
        self.findings: list[Finding] = []
        self.types: dict[str, _Type] = {}
        self.values = 0

    def read(self) -> ModelDescription:
        root = self.root
        self.read_types()
        variables = self.variables()
        experiment = root.child("DefaultExperiment")
        given = experiment.attributes if experiment else {}
        seconds = (self.number(given, name, experiment or root) for name in ("startTime", "stopTime", "tolerance", "stepSize"))
        token = "guid" if self.major == 2 else "instantiationToken"
        indicators = self.integer(root.attributes, "numberOfEventIndicators", root) or 0
        structure = self.structure()
        return ModelDescription(
            version="2.0" if self.major == 2 else "3.0",
            name=self.required(root, "modelName"),
            token=self.required(root, token),
            description=root.attributes.get("description"),
            tool=root.attributes.get("generationTool"),
            author=root.attributes.get("author"),
            generated=root.attributes.get("generationDateAndTime"),
            naming=root.attributes.get("variableNamingConvention", "flat"),
            interfaces=self.interfaces(),
            variables=tuple(variables),
            units=self.units(),
            enumerations={name: one.items for name, one in self.types.items() if one.items},
            experiment=Experiment(*seconds),
            structure=structure,
            indicators=indicators if self.major == 2 else len(structure["event_indicators"]),
            findings=tuple(self.findings),
            log_categories=tuple(node.attributes.get("name", "") for node in root.under("LogCategories")),
        )

    # --- attributes ---

    def find(self, message: str, node: Node, section: str, remedy: str = "Export the FMU again with a tool that follows FMI") -> None:
        self.findings.append(Finding("error", message, f"FMI {self.major}.0, {section}", node.line, remedy))

    def required(self, node: Node, name: str) -> str:
        value = node.attributes.get(name)
        if value is None:
            self.find(f"<{node.tag}> has no '{name}'", node, "2.2" if self.major == 2 else "2.4")
        return value or ""

    def number(self, attributes: Mapping[str, str], name: str, node: Node) -> float | None:
        text = attributes.get(name)
        if text is None:
            return None
        found = _float(text)
        if found is None:
            self.find(f"'{name}' of <{node.tag}> is '{text[:40]}', not a number", node, "XML Schema double")
        return found

    def integer(self, attributes: Mapping[str, str], name: str, node: Node) -> int | None:
        text = attributes.get(name)
        if text is None:
            return None
        try:
            found = int(text) if len(text) < 24 else -1
        except ValueError:
            found = -1
        if not 0 <= found < 1 << 64:
            self.find(f"'{name}' of <{node.tag}> is '{text[:40]}', not a whole number from 0", node, "XML Schema unsigned integer")
            return None
        return found

    def exponent(self, node: Node, unit: str) -> int:
        found = self.number(node.attributes, unit, node) or 0.0
        if not abs(found) < 100 or found != round(found):
            self.find(f"'{unit}' of <{node.tag}> is {found:g}, not a whole number", node, "UnitDefinitions")
            return 0
        return int(found)

    def choice(self, attributes: Mapping[str, str], name: str, allowed: tuple[str, ...], node: Node) -> str | None:
        text = attributes.get(name)
        if text is not None and text not in allowed:
            self.find(f"'{name}' is '{text[:40]}'", node, "ModelVariables", f"One of {', '.join(allowed)}")
            return None
        return text

    # --- parts of the description ---

    def interfaces(self) -> tuple[Interface, ...]:
        found = []
        for node in self.root.children:
            kind = _KINDS.get(node.tag)
            if kind is not None:
                flags = {name: _flag(name, text) for name, text in node.attributes.items() if name != "modelIdentifier"}
                sources = tuple(file.attributes.get("name", "") for file in node.under("SourceFiles"))
                found.append(Interface(kind, self.required(node, "modelIdentifier"), flags, sources))
        return tuple(found)

    def units(self) -> dict[str, UnitDefinition]:
        found = {}
        for node in self.root.under("UnitDefinitions"):
            base, displays = node.child("BaseUnit"), {}
            for one in node.named("DisplayUnit"):
                factor, offset = self.number(one.attributes, "factor", one), self.number(one.attributes, "offset", one)
                inverse = one.attributes.get("inverse") in ("true", "1")
                displays[one.attributes.get("name", "")] = (1.0 if factor is None else factor, offset or 0.0, inverse)
            name = self.required(node, "name")
            if base is None:
                found[name] = UnitDefinition(name, None, 1.0, 0.0, displays)
                continue
            exponents = tuple(self.exponent(base, unit) for unit in BASE_UNITS)
            factor, offset = self.number(base.attributes, "factor", base), self.number(base.attributes, "offset", base)
            found[name] = UnitDefinition(name, exponents, 1.0 if factor is None else factor, offset or 0.0, displays)
        return found

    def read_types(self) -> None:
        for node in self.root.under("TypeDefinitions"):
            inner = node
            if self.major == 2:
                inner = next((one for one in node.children if one.tag in _TYPES_2), node)
            one = _Type(dict(inner.attributes))
            for item in inner.named("Item"):
                value = item.attributes.get("value", "")
                one.items[item.attributes.get("name", "")] = int(value) if value.removeprefix("-").isdecimal() and len(value) < 20 else 0
            self.types[node.attributes.get("name", "")] = one

    def structure(self) -> dict[str, tuple[Unknown, ...]]:
        tables: dict[str, list[Unknown]] = {name: [] for name in _TABLES_3.values()}
        for node in self.root.under("ModelStructure"):
            if self.major == 2:
                rows = [(_TABLES_2.get(node.tag), one, "index") for one in node.children]
            else:
                rows = [(_TABLES_3.get(node.tag), node, "valueReference")]
            for table, row, attribute in rows:
                reference = self.integer(row.attributes, attribute, row)
                if table is None or reference is None:
                    continue
                needs, kinds = row.attributes.get("dependencies"), row.attributes.get("dependenciesKind")
                numbers = None if needs is None else tuple(int(one) for one in needs.split() if one.isdecimal() and len(one) < 20)
                tables[table].append(Unknown(reference, row.line, numbers, None if kinds is None else tuple(kinds.split())))
        return {name: tuple(rows) for name, rows in tables.items()}

    # --- variables ---

    def variables(self) -> list[Variable]:
        found: list[Variable] = []
        for node in self.root.under("ModelVariables"):
            inner = node
            if self.major == 2:
                inner = next((one for one in node.children if one.tag in _TYPES_2), node)
            kind = _TYPES_2.get(inner.tag) if self.major == 2 else (node.tag if node.tag in _TYPES_3 else None)
            if kind is None:
                known = ", ".join(_TYPES_2 if self.major == 2 else sorted(_TYPES_3))
                self.find(
                    f"<{node.tag}> '{node.attributes.get('name', '')}' is of no type of FMI", node, "ModelVariables", f"One of {known}"
                )
                continue
            found += self.variable(node, inner, kind)
        return found

    def variable(self, node: Node, inner: Node, kind: str) -> list[Variable]:
        declared = inner.attributes.get("declaredType")
        if declared is not None and declared not in self.types:
            self.find(f"declaredType '{declared[:80]}' is not defined", node, "TypeDefinitions")
        typed = self.types.get(declared or "", _Type({}))
        own = {**node.attributes, **inner.attributes}
        merged = {**typed.attributes, **own}
        causality = self.choice(own, "causality", _CAUSALITIES, node) or "local"
        variability = self.choice(own, "variability", _VARIABILITIES, node) or _variability(causality, kind, self.major)
        initial = self.choice(own, "initial", _INITIALS, node) or _initial(causality, variability, self.major)
        reference = self.integer(own, "valueReference", node)
        if reference is None or reference >= 1 << 32:
            self.find(f"variable '{own.get('name', '')[:80]}' has no value reference of 32 bits", node, "ModelVariables")
            reference = 0
        main = Variable(
            name=self.required(node, "name"),
            reference=reference,
            type=kind,
            causality=causality,
            variability=variability,
            initial=initial,
            start=self.start(node, inner, kind),
            line=node.line,
            unit=merged.get("unit"),
            display_unit=merged.get("displayUnit"),
            relative=merged.get("relativeQuantity") in ("true", "1"),
            description=own.get("description"),
            minimum=self.number(merged, "min", node) if kind not in ("String", "Binary", "Clock") else None,
            maximum=self.number(merged, "max", node) if kind not in ("String", "Binary", "Clock") else None,
            nominal=self.number(merged, "nominal", node) if kind in FLOATS else None,
            quantity=merged.get("quantity"),
            declared_type=declared,
            derivative=self.integer(own, "derivative", node) if kind in FLOATS else None,
            dimensions=tuple(self.dimension(one) for one in node.named("Dimension")) if self.major == 3 else (),
            clocks=tuple(int(one) for one in own.get("clocks", "").split() if one.isdecimal() and len(one) < 20),
            reinit=own.get("reinit") in ("true", "1"),
            set_once=own.get("canHandleMultipleSetPerTimeInstant") in ("false", "0"),
        )
        return [main, *(self.alias(main, one) for one in node.named("Alias"))]

    def alias(self, main: Variable, node: Node) -> Variable:
        from dataclasses import replace

        unit = node.attributes.get("displayUnit", main.display_unit)
        name, about = self.required(node, "name"), node.attributes.get("description", main.description)
        return replace(main, name=name, description=about, display_unit=unit, line=node.line, alias_of=main.name)

    def dimension(self, node: Node) -> Dimension:
        size, reference = self.integer(node.attributes, "start", node), self.integer(node.attributes, "valueReference", node)
        if (size is None) == (reference is None):
            self.find("a <Dimension> has either `start` or `valueReference`", node, "2.4 (Dimension)")
        return Dimension(size if reference is None else None, reference)

    def start(self, node: Node, inner: Node, kind: str) -> tuple[Any, ...] | None:
        """The start values as Python's: float, int, bool, str or bytes."""
        if kind in ("String", "Binary") and self.major == 3:
            texts = [one.attributes.get("value", "") for one in node.named("Start")]
            if not texts:
                return None
        elif "start" not in inner.attributes:
            return None
        else:
            text = inner.attributes["start"]
            texts = [text] if self.major == 2 or kind in ("String", "Binary") else text.split()
        self.values += len(texts)
        if self.values > MAX_VALUES:
            raise UsageError(f"more than {MAX_VALUES} start values", where=f"line {node.line}", remedy="Export smaller arrays")
        found = [_value(text, kind) for text in texts]
        if None in found:
            self.find(
                f"start '{texts[found.index(None)][:40]}' of '{node.attributes.get('name', '')[:80]}' is no {kind}", node, "ModelVariables"
            )
            return None
        return tuple(found)


def _float(text: str) -> float | None:
    """As XML Schema writes a double: INF, -INF and NaN too."""
    try:
        return float(text.strip()) if len(text) < 400 and "_" not in text else None
    except ValueError:
        return None


def _flag(name: str, text: str) -> bool | int | float | str:
    """All flags but a few are booleans, which XML Schema also writes as 1 and 0."""
    truth = _BOOLEANS.get(text.strip())
    if truth is not None and (name not in _NUMBERS or text.strip().isalpha()):
        return truth
    if text.isdecimal() and len(text) < 10:
        return int(text)
    number = _float(text)
    return text if number is None or not math.isfinite(number) else number


def _value(text: str, kind: str) -> Any:
    """A start value, or None where the text is none of this type."""
    if kind == "String":
        return text
    if kind == "Boolean":
        return _BOOLEANS.get(text.strip())
    if kind in FLOATS:
        return _float(text)
    try:
        return bytes.fromhex(text) if kind == "Binary" else int(text) if len(text) < 24 else None
    except ValueError:
        return None


def _variability(causality: str, kind: str, major: int) -> str:
    """The default: of 3.0 it depends on causality, and 2.0 says continuous, which only a Real can be."""
    if causality in ("parameter", "calculatedParameter", "structuralParameter") and major == 3:
        return "fixed"
    return "continuous" if kind in FLOATS else "discrete"


def _initial(causality: str, variability: str, major: int) -> str | None:
    """The default of `initial` (2.0: table in 2.2.7; 3.0: table of 2.4, initial)."""
    if causality in ("parameter", "structuralParameter") or variability == "constant":
        return "exact"
    if causality == "input":
        return "exact" if major == 3 else None
    return None if causality == "independent" else "calculated"
