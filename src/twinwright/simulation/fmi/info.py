"""`fmu info`: an FMU described and checked; and its outputs as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twinwright.errors import UsageError
from twinwright.simulation.fmi.archive import read_archive
from twinwright.simulation.fmi.check import check_fmu
from twinwright.simulation.fmi.description import ModelDescription, Variable
from twinwright.simulation.fmi.platforms import platforms
from twinwright.simulation.fmi.read import read_description


def describe(path: Path) -> dict[str, Any]:
    """All that an FMU says of itself, and all that is wrong with it. Raises UsageError for what is no FMU of FMI 2 or 3."""
    archive = read_archive(path)
    md = read_description(archive)
    findings = check_fmu(archive, md)
    return {
        "name": md.name,
        "description": md.description,
        "fmi_version": md.version,
        "kinds": [one.kind for one in md.interfaces],
        "identifiers": {one.kind: one.identifier for one in md.interfaces},
        "token": md.token,
        "platforms": platforms(archive),
        "sources": sorted(name.removeprefix("sources/") for name in archive.under("sources")),
        "tool": md.tool,
        "author": md.author,
        "generated": md.generated,
        "default_experiment": {
            "start": md.experiment.start,
            "stop": md.experiment.stop,
            "step": md.experiment.step,
            "tolerance": md.experiment.tolerance,
        },
        "capabilities": {one.kind: dict(one.flags) for one in md.interfaces},
        "variables": [_variable(md, one) for one in md.variables],
        "units": {name: list(unit.displays) for name, unit in md.units.items()},
        "enumerations": {name: dict(items) for name, items in md.enumerations.items()},
        "states": [one.name for one in md.states()],
        "event_indicators": md.indicators,
        "log_categories": list(md.log_categories),
        "problems": [one.as_json() for one in findings],
        "valid": not any(one.severity == "error" for one in findings),
    }


def _variable(md: ModelDescription, one: Variable) -> dict[str, Any]:
    start: Any = None
    if one.start is not None:
        values = [value.hex() if isinstance(value, bytes) else value for value in one.start]
        start = values if one.dimensions else values[0] if values else None
    return {
        "name": one.name,
        "type": one.type,
        "causality": one.causality,
        "variability": one.variability,
        "initial": one.initial,
        "start": start,
        "unit": one.unit,
        "display_unit": one.display_unit,
        "min": one.minimum,
        "max": one.maximum,
        "nominal": one.nominal,
        "description": one.description,
        "dimensions": list(md.shape(one)),
        "reference": one.reference,
        "alias_of": one.alias_of,
        "declared_type": one.declared_type,
    }


def write_csv(path: Path, outputs: Mapping[str, Mapping[str, Any]]) -> None:
    """Time and a column for each output, or each element of an array (`y[1]`, `m[1,2]`). Raises UsageError."""
    columns: dict[str, list[Any]] = {}
    times: list[float] = []
    for name, given in outputs.items():
        times = given["times"]
        places = list(_elements(given["values"][0], ())) if given["values"] else [()]
        for place in places:
            label = f"{name}[{','.join(str(one + 1) for one in place)}]" if place else name
            columns[label] = [_cell(value, place) for value in given["values"]]
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["time", *columns])
            writer.writerows(zip([repr(one) for one in times], *columns.values(), strict=True))
    except OSError as error:
        raise UsageError(f"can't be written: {error.strerror}", where=str(path), remedy="Name another file with --out") from None


def _elements(value: Any, place: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    if not isinstance(value, list):
        yield place
        return
    for index, one in enumerate(value):
        yield from _elements(one, (*place, index))


def _cell(value: Any, place: tuple[int, ...]) -> str:
    for index in place:
        value = value[index]
    return repr(value) if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
