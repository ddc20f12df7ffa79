"""The components of a composite, each as the definition of a model: one that has a file, or an FMU as it is."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twinwright.documents import Document, Location, Problems, parse_text
from twinwright.errors import UsageError
from twinwright.simulation.definition import InputPort, ModelDefinition, OutputPort, Parameter
from twinwright.simulation.fmi.binding import described
from twinwright.simulation.fmi.description import NUMERIC, ModelDescription
from twinwright.simulation.fmi.draft import elements, port_name
from twinwright.simulation.fmi.grid import is_linear
from twinwright.simulation.model_document import parse_with
from twinwright.simulation.protocol import ModelError


def ends(text: str) -> tuple[str, str]:
    """`a.y` as component and port; the port is empty where there is no point."""
    component, _, port = text.partition(".")
    return component.strip(), port.strip()


@dataclass(frozen=True, slots=True)
class Part:
    """A component: its definition, and the name of a port for what an FMU calls it (`u[2]`)."""

    definition: ModelDefinition
    labels: Mapping[str, str]

    def input(self, name: str) -> InputPort | None:
        return next((one for one in self.definition.inputs if one.name == self.labels.get(name, name)), None)

    def output(self, name: str) -> OutputPort | None:
        return next((one for one in self.definition.outputs if one.name == self.labels.get(name, name)), None)

    def parameter(self, name: str) -> Parameter | None:
        return self.definition.parameter(self.labels.get(name, name))


def model_part(name: str, file: str, document: Document, artefacts: Mapping[str, bytes], problems: Problems) -> Part | None:
    """A component that has a model file, whose problems are told as one."""
    place: Location = ("components", name, "model")
    own = Path(document.file).name
    if file == own:
        problems.add(document.problem(place, f"'{name}' is this very model", "Name another one", "endless"))
        return None
    inner = Problems()
    inside = parse_text(artefacts[file].decode("utf-8", "replace"), file, inner)
    others = {key: body for key, body in artefacts.items() if key != own}  # so that no model is inside itself
    definition = _parsed(inside, others, inner) if inside else None
    if definition is None:
        first = inner.items[0] if inner else ""
        problems.add(document.problem(place, f"{file} is not in order: {first}", "Mend that file first", "bad_component"))
        return None
    return Part(definition, {})


def fmu_part(name: str, spec: Any, step: str, document: Document, artefacts: Mapping[str, bytes], problems: Problems) -> Part | None:
    """A component that is an FMU without a model file: with the ports that the document uses, and all its numeric parameters."""
    place: Location = ("components", name, "fmu")
    one = spec.components[name]
    try:
        md, _ = described(artefacts[one.fmu], one.fmu)
    except (UsageError, ModelError) as error:
        problems.add(document.problem(place, error.what, error.remedy or "Name an FMU", "bad_fmu"))
        return None
    labels: dict[str, str] = {}
    data: dict[str, Any] = {"name": name, "version": "1", "kind": "fmu", "artefact": one.fmu, "step": step}
    data |= {"settings": dict(one.settings), **({"run": one.run} if one.run else {})}
    used: set[str] = set()
    for section, wanted in _wanted(name, spec, md).items():
        data[section] = {}
        for label in wanted:
            labels[label] = port_name(label, used)
            linear = section == "inputs" and label in md.by_name and is_linear(md.by_name[label])
            data[section][labels[label]] = {"variable": label, **({"hold": "linear"} if linear else {})}
    inner = Problems()
    definition = _parsed(Document(document.file, data, {(): document.line(place) or 1}), artefacts, inner)
    for problem in inner.items:
        path = None if problem.file == document.file else problem.path  # a path into what nobody wrote says nothing
        problems.add(replace(problem, message=f"component '{name}': {problem.message}", path=path))
    return Part(definition, labels) if definition is not None else None


def _wanted(name: str, spec: Any, md: ModelDescription) -> dict[str, list[str]]:
    """What the document uses of the FMU's inputs and outputs, and its parameters; arrays by their elements."""
    own = spec.components[name]
    feeding = [one.to for one in spec.connections] + [text for one in spec.inputs.values() for text in one.targets()]
    inputs = [port for component, port in map(ends, feeding) if component == name] + list(own.inputs)
    shown = [one.from_ for one in (*spec.connections, *spec.outputs.values())]
    outputs = [port for component, port in map(ends, shown) if component == name] or _any_output(md)
    found = [one for one in md.of_causality("parameter") if one.type in NUMERIC and one.start and one.alias_of is None]
    settable = [one for one in found if one.variability in ("fixed", "tunable") and one.name not in own.settings]
    parameters = [label for one in settable for _, label in elements(md, one)]
    return {"inputs": list(dict.fromkeys(inputs)), "outputs": list(dict.fromkeys(outputs)), "parameters": parameters}


def _any_output(md: ModelDescription) -> list[str]:
    """An output for a component whose outputs nobody uses: a definition has one."""
    return [one.name for one in (*md.of_causality("output"), *md.of_causality("local")) if one.type in NUMERIC and not one.dimensions][:1]


def _parsed(document: Document, artefacts: Mapping[str, bytes], problems: Problems) -> ModelDefinition | None:
    def read(name: str) -> bytes:
        if name not in artefacts:
            raise OSError(errno.ENOENT, "No such file")
        return artefacts[name]

    return parse_with(document, read, problems)
