"""What an FMU's description breaks of its specification, all of it, each with its clause."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from twinwright.errors import UsageError
from twinwright.simulation.fmi.archive import Archive
from twinwright.simulation.fmi.description import FLOATS, KIND_NAMES, Finding, ModelDescription, Severity, Unknown, Variable
from twinwright.simulation.fmi.platforms import binaries, library_fault, own_binary, own_platform, source_list
from twinwright.simulation.fmi.unit_table import named, spelled

_CLAUSES: dict[str, tuple[str, str]] = {
    "root": ("2.2.1 (fmiModelDescription)", "2.4 (fmiModelDescription)"),
    "units": ("2.2.2 (UnitDefinitions)", "2.4 (UnitDefinitions)"),
    "types": ("2.2.3 (TypeDefinitions)", "2.4 (TypeDefinitions)"),
    "experiment": ("2.2.5 (DefaultExperiment)", "2.4 (DefaultExperiment)"),
    "variables": ("2.2.7 (ModelVariables)", "2.4 (ModelVariables)"),
    "structure": ("2.2.8 (ModelStructure)", "2.4 (ModelStructure)"),
    "names": ("2.2.9 (variable naming conventions)", "2.4 (variable naming conventions)"),
    "zip": ("2.3 (FMU distribution)", "2.5 (FMU distribution)"),
    "identifier": ("2.2.1 and 3.3.1, 4.3.1 (modelIdentifier)", "2.4 (modelIdentifier)"),
    "clocks": ("", "2.4 (Clock)"),
}
_LEGAL = {
    ("structuralParameter", "fixed"): ("exact",), ("structuralParameter", "tunable"): ("exact",),
    ("parameter", "fixed"): ("exact",), ("parameter", "tunable"): ("exact",),
    ("calculatedParameter", "fixed"): ("calculated", "approx"), ("calculatedParameter", "tunable"): ("calculated", "approx"),
    ("input", "discrete"): (None, "exact"), ("input", "continuous"): (None, "exact"),
    ("output", "constant"): ("exact",), ("output", "discrete"): ("calculated", "exact", "approx"),
    ("output", "continuous"): ("calculated", "exact", "approx"),
    ("local", "constant"): ("exact",), ("local", "fixed"): ("calculated", "approx"), ("local", "tunable"): ("calculated", "approx"),
    ("local", "discrete"): ("calculated", "exact", "approx"), ("local", "continuous"): ("calculated", "exact", "approx"),
    ("independent", "continuous"): (None,),
}  # fmt: skip
_PART = r"(?:[A-Za-z_]\w*|'(?:[^'\\]|\\.)+')(?:\[\d+(?:,\d+)*\])?"
_STRUCTURED = re.compile(rf"(?:der\({_PART}(?:\.{_PART})*(?:,\d+)?\)|{_PART}(?:\.{_PART})*)", re.ASCII)
_DISPLAY_TOLERANCE = 1e-9


def check_fmu(archive: Archive, description: ModelDescription) -> list[Finding]:
    """Every finding, errors first, each in the order of the file."""
    checker = _Checker(description)
    for rule in (checker.root, checker.variables, checker.units, checker.structure, checker.arrays):
        rule()
    checker.distribution(archive)
    found = dict.fromkeys([*description.findings, *checker.findings])  # what both kinds of an FMU break is told once
    return sorted(found, key=lambda one: (one.severity != "error", one.line or 0))


class _Checker:
    def __init__(self, description: ModelDescription) -> None:
        self.md = description
        self.findings: list[Finding] = []

    def find(self, severity: Severity, message: str, clause: str, line: int | None, remedy: str) -> None:
        text = _CLAUSES[clause][self.md.major - 2]
        self.findings.append(Finding(severity, message, f"FMI {self.md.version}, {text}", line, remedy))

    def root(self) -> None:
        md = self.md
        if not md.interfaces:
            self.find("error", "no <CoSimulation> or <ModelExchange>: it can't be run as anything", "root", 1, "Export it as one of them")
        alone = any(not one.has("needsExecutionTool") for one in md.interfaces if one.kind != "se")
        for one in md.interfaces:
            if not re.fullmatch(r"[A-Za-z_]\w*", one.identifier, re.ASCII):
                self.find("error", f"modelIdentifier '{one.identifier[:80]}' is no C identifier", "identifier", None, "Rename the model")
            if one.has("needsExecutionTool"):
                tool = md.tool or "the tool that made it"
                severity: Severity = "warning" if alone else "error"
                message = f"it needs {tool} installed and running ({KIND_NAMES[one.kind]})"
                self.find(severity, message, "root", None, "Run it as another kind" if alone else "Export it stand-alone")
        if md.naming not in ("flat", "structured"):
            self.find("warning", f"variableNamingConvention is '{md.naming[:40]}'", "names", None, "Write flat or structured")
        start, stop, step = md.experiment.start or 0.0, md.experiment.stop, md.experiment.step
        if stop is not None and stop <= start:
            self.find("warning", f"the default experiment stops at {stop:g} s and starts at {start:g} s", "experiment", None, "Give --stop")
        if step is not None and step <= 0:
            self.find("warning", f"the default experiment's stepSize is {step:g}", "experiment", None, "Give --step")

    def variables(self) -> None:
        seen: dict[str, Variable] = {}
        references: dict[tuple[int, str], Variable] = {}
        for one in self.md.variables:
            if one.name in seen:
                message = f"variable '{one.name}' is there twice (also line {seen[one.name].line})"
                self.find("error", message, "variables", one.line, "Rename one of them")
            seen[one.name] = one
            for severity, message, remedy in _wrong(one, self.md.major):
                self.find(severity, f"variable '{one.name}' {message}", "variables", one.line, remedy)
            self.name(one)
            if self.md.major == 3 and one.alias_of is None:
                first = references.setdefault((one.reference, ""), one)
                if first is not one:
                    message = f"variables '{first.name}' and '{one.name}' have one value reference {one.reference}"
                    self.find("error", message, "variables", one.line, "Give each its own, or write an <Alias>")
        independent = list(self.md.of_causality("independent"))
        if len(independent) > 1 or (self.md.major == 3 and not independent):
            self.find("warning", f"{len(independent)} independent variables", "variables", None, "There is exactly one (2.0: at most one)")
        clocks = [one for one in self.md.variables if one.type == "Clock" and one.causality == "input"]
        if clocks and self.md.interface("cs") is None and self.md.interface("me") is None:
            self.find("error", "it is for scheduled execution alone, which is not run here", "clocks", None, "Export it for co-simulation")
        elif clocks:
            self.find("warning", f"input clock '{clocks[0].name}' will never tick", "clocks", clocks[0].line, "Set outputs by other means")

    def name(self, one: Variable) -> None:
        if self.md.naming == "structured" and not _STRUCTURED.fullmatch(one.name):
            self.find("warning", f"'{one.name[:80]}' is no structured name", "names", one.line, "Quote it, or declare the names flat")
        elif any(sign in one.name for sign in "\r\n\t") or not one.name:
            self.find("warning", f"the name {one.name[:80]!r} is empty or has a line break or tab", "names", one.line, "Rename it")

    def units(self) -> None:
        for name, one in self.md.units.items():
            if spelled(name) is not None and named(name, one) is None:
                message = f"unit '{name}' is defined with other base units than its name says"
                self.find("warning", message, "units", None, "The base units are what is used")
        for variable in self.md.variables:
            unit = variable.unit
            if unit is not None and unit not in self.md.units and self.md.units:
                self.find("warning", f"unit '{unit}' of '{variable.name}' is not defined", "units", variable.line, "Its name alone is used")
            display, known = variable.display_unit, self.md.units.get(unit or "")
            if display is not None and known is not None and display not in known.displays and display != unit:
                message = f"display unit '{display}' of '{variable.name}' is not one of unit '{unit}'"
                self.find("warning", message, "units", variable.line, "It is not used")

    def structure(self) -> None:
        md = self.md
        for table, rows in md.structure.items():
            for row in rows:
                if md.resolve(row) is None:
                    severity: Severity = "error" if table == "derivatives" else "warning"
                    message = f"the model structure ({table}) speaks of {row.reference}, which is no variable"
                    self.find(severity, message, "structure", row.line, "Export the FMU again")
                if row.kinds is not None and len(row.kinds) != len(row.dependencies or ()):
                    message = f"{len(row.dependencies or ())} dependencies have {len(row.kinds)} kinds ({table})"
                    self.find("warning", message, "structure", row.line, "Give one kind for each dependency")
        for row in md.structure["derivatives"]:
            self.derivative(row)
        listed = {one.name for row in md.structure["outputs"] if (one := md.resolve(row))}
        expected = {one.name for one in md.of_causality("output") if one.alias_of is None and one.type != "Clock"}
        listed -= {one.name for one in md.variables if one.type == "Clock"}
        if listed != expected:
            names = ", ".join(sorted(listed ^ expected)[:5])
            self.find(
                "warning",
                f"the model structure's outputs are not the variables of causality output: {names}",
                "structure",
                None,
                "List each output once",
            )
        self.initial_unknowns()

    def derivative(self, row: Unknown) -> None:
        one = self.md.resolve(row)
        if one is None:
            return
        if one.derivative is None:
            message = f"'{one.name}' is listed as a derivative and names no state by `derivative`"
            self.find("error", message, "structure", row.line, "Add the attribute `derivative`")
        elif self.md.resolve(Unknown(one.derivative, row.line, None, None)) is None:
            self.find(
                "error", f"'{one.name}' is the derivative of {one.derivative}, which is no variable", "variables", one.line, "Correct it"
            )

    def initial_unknowns(self) -> None:
        md = self.md
        expected = {one.name for one in md.of_causality("output") if one.initial in ("approx", "calculated") and not one.clocks}
        expected |= {one.name for one in md.of_causality("calculatedParameter")}
        derivatives = [one for row in md.structure["derivatives"] if (one := md.resolve(row))]
        expected |= {one.name for one in (*derivatives, *md.states()) if one.initial in ("approx", "calculated")}
        left_out = {one.name for one in md.variables if one.alias_of is not None or one.type == "Clock"}
        listed = {one.name for row in md.structure["initial_unknowns"] if (one := md.resolve(row))} - left_out
        expected -= left_out
        if listed != expected:
            names = ", ".join(sorted(listed ^ expected)[:5])
            self.find(
                "warning",
                f"the initial unknowns are not those that are unknown at the start: {names}",
                "structure",
                None,
                "List outputs, states and derivatives that are calculated or approx",
            )

    def arrays(self) -> None:
        for one in self.md.variables:
            for dimension in one.dimensions:
                parameter = self.md.by_reference.get(dimension.reference or 0) if dimension.reference is not None else None
                if dimension.reference is not None and (parameter is None or parameter.causality != "structuralParameter"):
                    message = f"a dimension of '{one.name}' is {dimension.reference}, which is no structural parameter"
                    self.find("error", message, "variables", one.line, "Name one by its value reference")
            size = self.md.size(one)
            if one.dimensions and size > 1_000_000:
                self.find("error", f"'{one.name}' has {size} elements", "variables", one.line, "At most 1000000 are handled")
            elif one.start is not None and one.dimensions and len(one.start) not in (1, size):
                message = f"'{one.name}' has {size} elements and {len(one.start)} start values"
                self.find("error", message, "variables", one.line, "Give one for each, or one for all")

    def distribution(self, archive: Archive) -> None:
        if any("\\" in info.orig_filename for info in archive.files.values()):
            self.find("warning", "a file in it has a backslash in its name", "zip", None, "Zip it with forward slashes")
        for one in self.md.interfaces:
            if one.kind == "se" or one.has("needsExecutionTool"):
                continue
            library = own_binary(archive, one)
            if library is not None:
                self.library(archive, library)
            elif source_list(archive, self.md, one) is None:
                have = ", ".join(sorted(binaries(archive, one.identifier))) or "none"
                message = f"no binary of '{one.identifier}' for {own_platform()} (it has: {have}) and no sources that could be compiled"
                self.find("error", message, "zip", None, "Export it for this platform, or with sources")

    def library(self, archive: Archive, name: str) -> None:
        try:
            fault = library_fault(archive.read(name))
        except UsageError as error:
            self.find("error", error.what, "zip", None, error.remedy or "Export it again")
            return
        if fault is not None:
            self.find("error", f"{name} {fault}", "zip", None, "Export or copy it again")


def _wrong(one: Variable, major: int) -> Iterator[tuple[Severity, str, str]]:
    if one.type not in FLOATS and one.variability == "continuous":
        yield "warning", f"is of type {one.type} and can't be continuous", "Declare it discrete"
    legal = _LEGAL.get((one.causality, one.variability))
    if one.type == "Clock" or (one.causality == "dependent" and major == 3):
        return
    if legal is None:
        yield "warning", f"has causality {one.causality} with variability {one.variability}", "Another combination is needed"
    elif one.initial not in legal:
        yield "warning", f"has initial {one.initial} where causality is {one.causality}", f"One of {', '.join(str(i) for i in legal)}"
    needs_start = one.initial in ("exact", "approx") or one.causality == "input"
    if needs_start and one.start is None:
        yield "warning", "has no start value", "Give one"
    if one.initial == "calculated" and one.start is not None:
        yield "warning", "is calculated and has a start value", "Remove it, or declare it approx"
    if one.causality == "independent" and one.start is not None:
        yield "warning", "is independent and has a start value", "Remove it"
    if one.minimum is not None and one.maximum is not None and one.minimum > one.maximum:
        yield "warning", f"has min {one.minimum:g} above max {one.maximum:g}", "Correct one of them"
    yield from _outside(one)


def _outside(one: Variable) -> Iterator[tuple[Severity, str, str]]:
    for value in one.start or ():
        number: Any = value
        if not isinstance(number, int | float) or isinstance(number, bool):
            continue
        if (one.minimum is not None and number < one.minimum) or (one.maximum is not None and number > one.maximum):
            yield "warning", f"starts at {number:g}, outside its min and max", "Correct the start or the limits"
            return
