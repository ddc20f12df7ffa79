"""`models/*.yaml`: what a simulation model declares of itself, checked whole without running any of its code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from twinwright import units
from twinwright.documents import Document, Location, Problems
from twinwright.errors import UnitError
from twinwright.simulation import registry
from twinwright.simulation.declaration import ModelSpec, duration_seconds, is_below
from twinwright.simulation.definition import InputPort, ModelDefinition, OutputPort, Parameter, StateVariable
from twinwright.simulation.protocol import SimulationModel
from twinwright.simulation.user_code import split_reference

Read = Callable[[str], bytes]
MAX_ARTEFACT_BYTES = 64 * 1024 * 1024


def parse_model(document: Document, folder: Path, problems: Problems) -> ModelDefinition | None:
    """The model that a document declares, its artefacts read from `folder`. What is wrong goes into `problems`."""
    return parse_with(document, lambda name: (folder / name).read_bytes(), problems)


def parse_with(document: Document, read: Read, problems: Problems) -> ModelDefinition | None:
    """The same, its artefacts read by `read`, which raises OSError for a file that there is not."""
    before = len(problems)
    model_class = _kind(document, problems)
    if model_class is None:
        return None
    spec = document.parse(model_class.Spec, problems)
    if not isinstance(spec, ModelSpec):
        return None
    artefacts = _read_artefacts(spec, read, document, problems)
    resolved: dict[str, Any] = {}
    complete = getattr(model_class, "complete", None)
    if complete is not None:
        found = complete(spec, document, artefacts, problems) if len(problems) == before else None
        if found is None:
            return None
        spec, resolved = found
    _check_names(spec, document, problems)
    _check_units(spec, document, problems)
    if len(problems) == before:
        model_class.check(spec, document, artefacts, problems)
    return _definition(spec, document.file, artefacts, resolved) if len(problems) == before else None


def _kind(document: Document, problems: Problems) -> type[SimulationModel] | None:
    """The kind of model that a document is of: it decides which fields there are."""
    if not isinstance(document.data, dict):
        document.parse(ModelSpec, problems)
        return None
    kinds = registry.kinds()
    known = f"Installed kinds: {', '.join(sorted(kinds))}"
    kind = document.data.get("kind")
    if kind is None:
        problems.add(document.problem((), "'kind' is missing", f"Add `kind: ...`. {known}", "missing"))
    elif not isinstance(kind, str) or kind not in kinds:
        problems.add(document.problem(("kind",), f"'{kind}' is not a kind of model", known, "unknown_kind"))
    else:
        return kinds[kind]
    return None


def check_model(definition: ModelDefinition, paths: Mapping[str, Any], problems: Problems, document: Document) -> None:
    """Check the ports against the interface's `paths` (path -> something with `.unit`): each property exists, and its
    unit and the port's have one dimension."""
    ports = (("inputs", definition.inputs), ("states", definition.states), ("outputs", definition.outputs))
    for section, declared in ports:
        for port in declared:
            if port.property is None:
                continue
            place = (section, port.name, "property")
            if port.property not in paths:
                known = ", ".join(sorted(paths)[:10]) or "none"
                message = f"{definition.interface or 'the interface'} has no property '{port.property}'"
                problems.add(document.problem(place, message, f"It has: {known}", "unknown_path"))
            elif not units.compatible(port.unit, paths[port.property].unit):
                theirs = paths[port.property].unit or "no unit"
                message = f"'{port.name}' is in {port.unit or 'no unit'}, but property '{port.property}' is in {theirs}"
                problems.add(
                    document.problem((section, port.name, "unit"), message, "Declare a unit of the same dimension", "unit_dimension")
                )


def affine(source: str | None, target: str | None) -> tuple[float, float]:
    """(scale, offset) with target = scale * source + offset. Raises UnitError where the dimensions differ."""
    map_ = units.converter(source, target)
    return map_.factor, map_.offset


def _check_names(spec: ModelSpec, document: Document, problems: Problems) -> None:
    sections: dict[str, Mapping[str, Any]] = {
        "inputs": spec.inputs,
        "states": spec.states,
        "outputs": spec.outputs,
        "parameters": spec.parameters,
    }
    owner: dict[str, str] = {}
    for section, names in sections.items():
        for name in names:
            shown_state = section == "outputs" and owner.get(name) == "states"
            if name in owner and not shown_state:
                message = f"'{name}' is also one of the {owner[name]}"
                problems.add(
                    document.problem((section, name), message, "Give every port, state and parameter its own name", "duplicate_name")
                )
            owner[name] = section
    for name in spec.validity:
        if name not in owner:
            problems.add(
                document.problem(("validity", name), f"'{name}' is nothing declared here", f"Names: {', '.join(owner)}", "unknown_name")
            )
    for name, state in spec.states.items():
        if isinstance(state.start, str) and state.start not in spec.parameters:
            known = ", ".join(spec.parameters) or "none is declared"
            message = f"'{state.start}' is not a parameter"
            problems.add(
                document.problem(("states", name, "start"), message, f"Name a parameter ({known}) or write a number", "unknown_name")
            )
        if state.start is None and state.property is None:
            message = f"state '{name}' starts nowhere"
            problems.add(document.problem(("states", name), message, "Add `start:` (a number or a parameter) or `property:`", "no_start"))
    for name, parameter in spec.parameters.items():
        low, high = parameter.bounds or (None, None)
        if (low is not None and parameter.value < low) or (high is not None and parameter.value > high):
            message = f"the value {parameter.value:g} lies outside the bounds"
            problems.add(document.problem(("parameters", name, "value"), message, "Change the value or the bounds", "out_of_bounds"))


def _check_units(spec: ModelSpec, document: Document, problems: Problems) -> None:
    sections: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("inputs", spec.inputs),
        ("states", spec.states),
        ("outputs", spec.outputs),
        ("parameters", spec.parameters),
    )
    known = True
    for section, ports in sections:
        for name, port in ports.items():
            try:
                units.canonical(port.unit)
            except UnitError as error:
                known = False
                problems.add(document.problem((section, name, "unit"), error.what, error.remedy or "Correct the unit", "unknown_unit"))
    if not known:
        return
    pairs: list[tuple[Location, str | None, str | None, str]] = []
    for name, state in spec.states.items():
        if isinstance(state.start, str) and state.start in spec.parameters:
            pairs.append((("states", name, "start"), spec.parameters[state.start].unit, state.unit, f"parameter '{state.start}'"))
    for name, output in spec.outputs.items():
        shown = output.state or name
        if shown in spec.states:
            pairs.append((("outputs", name, "unit"), spec.states[shown].unit, output.unit, f"state '{shown}'"))
    for place, source, target, what in pairs:
        if not units.compatible(source, target):
            message = f"{what} is in {source or 'no unit'}, '{place[1]}' in {target or 'no unit'}"
            problems.add(document.problem(place, message, "Declare units of one dimension", "unit_dimension"))


def _read_artefacts(spec: ModelSpec, read: Read, document: Document, problems: Problems) -> dict[str, bytes]:
    """Every file that the definition names, and those that these name in turn, by its name in the folder. Nothing outside is read."""
    contents: dict[str, bytes] = {}
    tried: set[str] = set()
    named = list(spec.references().items())
    while named:
        _read_files([one for one in named if one[1] not in tried], read, contents, document, problems)
        tried |= {reference for _, reference in named}
        named = [one for one in spec.further_references(contents) if one[1] not in tried]
    return contents


def _read_files(
    named: Iterable[tuple[Location, str]], read: Read, contents: dict[str, bytes], document: Document, problems: Problems
) -> None:
    for place, reference in named:
        name = PurePosixPath(split_reference(reference)[0]).as_posix()
        if name in contents:
            continue
        if not is_below(name):
            problems.add(
                document.problem(place, f"'{reference}' is no file of the workspace", "Name a file below the folder of this document")
            )
            continue
        try:
            content = read(name)
        except OSError as error:
            problems.add(
                document.problem(place, f"{name} can't be read: {error.strerror}", "Put the file beside this document", "unreadable")
            )
            continue
        if len(content) > MAX_ARTEFACT_BYTES:
            problems.add(document.problem(place, f"{name} has {len(content)} bytes", f"At most {MAX_ARTEFACT_BYTES}", "too_large"))
            continue
        contents[name] = content


def _definition(spec: ModelSpec, file: str, artefacts: dict[str, bytes], resolved: dict[str, Any]) -> ModelDefinition:
    states = []
    for name, state in spec.states.items():
        scale, offset = affine(spec.parameters[state.start].unit, state.unit) if isinstance(state.start, str) else (1.0, 0.0)
        states.append(StateVariable(name, state.start, state.unit, state.property, scale, offset))
    outputs = []
    for name, output in spec.outputs.items():
        shown = output.state or (name if name in spec.states else None)
        scale, offset = affine(spec.states[shown].unit, output.unit) if shown and shown in spec.states else (1.0, 0.0)
        outputs.append(OutputPort(name, output.property, shown, output.unit, output.range, scale, offset))
    own = set(type(spec).model_fields) - set(ModelSpec.model_fields)
    return ModelDefinition(
        name=spec.name,
        version=spec.version,
        kind=spec.kind,
        artefact=spec.artefact,
        interface=spec.interface,
        inputs=tuple(InputPort(name, one.property, one.unit, one.range, one.hold) for name, one in spec.inputs.items()),
        states=tuple(states),
        outputs=tuple(outputs),
        parameters=tuple(Parameter(name, one.value, one.unit, one.bounds, one.per == "run") for name, one in spec.parameters.items()),
        step=duration_seconds(spec.step),
        options=spec.model_dump(mode="json", include=own) | resolved,
        assumptions=tuple(spec.assumptions),
        validity=dict(spec.validity),
        file=file,
        artefacts=artefacts,
    )
