"""`fmu model`: a model file drafted from what an FMU says of itself."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from twinwright.errors import UsageError
from twinwright.simulation.fmi.archive import read_archive
from twinwright.simulation.fmi.description import NUMERIC, Kind, ModelDescription, Variable
from twinwright.simulation.fmi.grid import is_linear
from twinwright.simulation.fmi.library import choose
from twinwright.simulation.fmi.read import read_description
from twinwright.simulation.fmi.unit_table import port_unit, to_variable
from twinwright.simulation.protocol import ModelError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null"})  # that YAML takes for something else than text


def draft_model(path: Path, kind: Kind | None = None) -> str:
    """The text of a `models/*.yaml`, to be put beside the FMU. Raises UsageError."""
    md = read_description(read_archive(path))
    try:
        interface = choose(md, kind)
    except ModelError as error:
        raise UsageError(error.what, where=str(path), remedy=error.remedy) from None
    name = re.sub(r"[^A-Za-z0-9._-]", "-", md.name).lstrip("._-")[:128] or "model"
    step, begin = md.experiment.step or 1.0, md.experiment.start
    lines = [
        f"# Drafted from {path.name} ({md.tool or 'unknown tool'}): name the properties of your interface, and remove what you don't need.",
        f"name: {name}",
        "version: 1.0.0",
        "kind: fmu",
        f"artefact: {path.name if re.fullmatch(r'[A-Za-z][A-Za-z0-9_.-]*', path.name) else json.dumps(path.name)}",
        *([f"run: {interface.kind}"] if len(md.interfaces) > 1 else []),
        *([f"start_time: {begin!r}"] if begin and math.isfinite(begin) else []),
        "# interface: dtmi:example:Thing;1",
    ]
    used: set[str] = set()
    for section, causality in (("inputs", "input"), ("outputs", "output"), ("parameters", "parameter")):
        lines += _section(md, section, causality, used)
    if not any(line == "outputs:" for line in lines):
        lines += _section(md, "outputs", "local", used)
    lines.append(f"step: PT{step:.12f}".rstrip("0").rstrip(".") + "S")
    lines.append(f"assumptions: [{json.dumps(md.description or f'as the FMU {md.name} has them')}]")
    return "\n".join(lines) + "\n"


def _section(md: ModelDescription, section: str, causality: str, used: set[str]) -> list[str]:
    rows = []
    for variable in md.of_causality(causality):
        if variable.type not in NUMERIC or variable.alias_of is not None or (section == "parameters" and not _starts(variable)):
            continue
        for element, label in elements(md, variable):
            rows.append(f"  {_row(md, section, variable, element, label, used)}")
    return [f"{section}:", *rows] if rows else []


def _starts(variable: Variable) -> bool:
    """Whether the FMU gives a value that a parameter can have; without one, or beyond all bounds, it is left to the FMU."""
    return variable.start is not None and variable.variability != "constant" and all(math.isfinite(one) for one in variable.start)


def elements(md: ModelDescription, variable: Variable) -> list[tuple[int, str]]:
    """The elements of a variable, from 0, and how each is named: `u`, or `u[1]`, `u[2]` ..."""
    shape = md.shape(variable)
    places: list[tuple[int, ...]] = [()]
    for length in shape:
        places = [(*one, index + 1) for one in places for index in range(min(length, 1000))]
    return [(number, f"{variable.name}[{','.join(map(str, one))}]" if one else variable.name) for number, one in enumerate(places)]


def _row(md: ModelDescription, section: str, variable: Variable, element: int, label: str, used: set[str]) -> str:
    name = port_name(label, used)
    fields: dict[str, Any] = {}
    if name != label:
        fields["variable"] = label
    unit = port_unit(md, variable)
    if unit is not None:
        fields["unit"] = unit
    if section == "parameters":
        start = variable.start or ()
        fields["value"] = _at_port(md, variable, unit, start[element if len(start) > 1 else 0])
    elif section == "inputs" and is_linear(variable):
        fields["hold"] = "linear"
    limits = [one if one is not None and math.isfinite(one) else None for one in (variable.minimum, variable.maximum)]
    if section != "parameters" and limits != [None, None]:
        fields["range"] = [None if one is None else _at_port(md, variable, unit, one) for one in limits]
    about = f"  # {' '.join(variable.description.split())}" if variable.description else ""
    key = json.dumps(name) if name.lower() in _WORDS else name
    return f"{key}: {{{', '.join(f'{key}: {_text(value)}' for key, value in fields.items())}}}{about}"


def _at_port(md: ModelDescription, variable: Variable, unit: str | None, value: Any) -> float:
    """A value of the FMU in the unit of the port, which is SI where the FMU's own is not one of ours."""
    if unit is None:
        return float(value)
    found = to_variable(md, variable, unit)
    return float(value) if found.factor == 1.0 and found.offset == 0.0 else (value - found.offset) / found.factor


def _text(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z][A-Za-z_/]*", value) else value


def port_name(label: str, used: set[str]) -> str:
    """A name for the port: the variable's own where it is one, and never one that is taken."""
    name = label if _NAME.fullmatch(label) else re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9_]", "_", label)).strip("_") or "x"
    name = name if _NAME.fullmatch(name) else f"_{name}"
    base, number = name[:120], 2
    while name in used:
        name, number = f"{base}_{number}", number + 1
    used.add(name)
    return name
