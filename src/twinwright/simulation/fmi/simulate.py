"""`fmu run`: an FMU by itself, from start to stop in a child process, its outputs recorded under their own names."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from twinwright.errors import UnitError, UsageError
from twinwright.simulation.child import Failure, Limits, Sandbox, Success
from twinwright.simulation.digest import digest, engine_versions, platform_tag
from twinwright.simulation.fmi.archive import Archive, read_archive
from twinwright.simulation.fmi.description import NUMERIC, Kind, ModelDescription, Variable
from twinwright.simulation.fmi.grid import choose_grid, communication_steps, element_of, is_linear, parse_value, put_on_grid, read_inputs
from twinwright.simulation.fmi.library import choose
from twinwright.simulation.fmi.read import read_description
from twinwright.simulation.fmi.unit_table import own_unit, to_variable
from twinwright.simulation.protocol import ModelError
from twinwright.simulation.trajectory import check_finite

_NAME = "model.fmu"
_AS_NUMBERS = NUMERIC - {"Int64", "UInt64"}  # recorded by the loop, as doubles, which have all values of these
_WARM_UP = "twinwright.simulation.fmi.native:loops"
_ENTRY, _PREPARE = "twinwright.simulation.fmi.simulate:run_child", "twinwright.simulation.fmi.simulate:prepare_child"
_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s+(\S.*?)\s*")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to run, as the command line gives it. Times in seconds; `settings` maps names to values with or without unit."""

    path: Path
    start: float | None = None
    stop: float | None = None
    step: float | None = None
    kind: Kind | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    inputs: Path | None = None
    method: str | None = None  # of model exchange; None: dopri5, and BDF where that finds the model stiff
    tolerance: float | None = None
    logging: bool = False
    record: Sequence[str] = ()  # variables of whatever causality, beside the outputs
    limits: Limits = field(default_factory=Limits)


def run_fmu(request: RunRequest) -> dict[str, Any]:
    """Run an FMU: `runs[]` with one run as `simulate` gives it, its times in seconds of the model, and its log.

    Raises UsageError for what is wrong with the FMU or the request. What goes wrong while it runs is a failed run.
    """
    archive = read_archive(request.path)
    description = read_description(archive)
    try:
        interface = choose(description, request.kind)
    except ModelError as error:
        raise UsageError(error.what, where=str(request.path), remedy=error.remedy) from None
    warnings: list[str] = []
    starts, sizes = _starts(description, request.settings)
    exchange = interface.kind == "me"
    variable = exchange or interface.has("canHandleVariableCommunicationStepSize")
    internal = interface.flags.get("fixedInternalStepSize")
    samples = choose_grid(
        description.experiment,
        request.start,
        request.stop,
        request.step,
        variable=variable,
        warnings=warnings,
        internal=float(internal) if isinstance(internal, int | float) and internal > 0 else None,
    )
    table = read_inputs(request.inputs, description, sizes) if request.inputs else None
    grid, values = put_on_grid(samples, table, exchange=exchange, variable=variable)
    columns = list(table.variables) if table else []
    numeric = [index for index, (one, _) in enumerate(columns) if one.type in NUMERIC]
    matrix = np.column_stack([values[index] for index in numeric]) if numeric else np.zeros((grid.points.size, 0))
    texts = [index for index in range(len(columns)) if index not in numeric]
    outputs = _recorded(description, request.record)
    warnings += description.still_clocks
    if not outputs:
        warnings.append("the FMU has no variable of causality output: nothing is recorded. Name what to record with --record")
    payload = {
        "kind": interface.kind,
        "starts": {name: list(one) for name, one in starts.items()},
        "points": grid.points,
        "recorded": grid.recorded,
        "inputs": [[columns[index][0].name, columns[index][1]] for index in numeric],
        "values": np.ascontiguousarray(matrix),
        "texts": {columns[index][0].name: list(values[index]) for index in texts},
        "outputs": outputs,
        "method": request.method,
        "tolerance": request.tolerance,
        "max_step": float(np.diff(samples).max()),
        "equal_step": float(samples[-1] - samples[0]) / (samples.size - 1),
        "substeps": communication_steps(description.experiment, request.step, samples),
        "logging": request.logging,
    }
    return {"runs": [_run(request, archive, description, sizes, payload, warnings)]}


def _recorded(description: ModelDescription, more: Sequence[str]) -> list[str]:
    """The names of the outputs, and of what is recorded beside them. Raises UsageError."""
    for name in more:
        variable = description.by_name.get(name) or element_of(description, name, {}, "--record")[0]
        if variable.name != name or variable.type == "Clock":
            raise UsageError(f"'{name}' is no variable with values", where="--record", remedy=f"Name all of '{variable.name}'")
    outputs = (one.name for one in description.of_causality("output") if one.type != "Clock")
    return list(dict.fromkeys([*outputs, *more]))


def _run(
    request: RunRequest,
    archive: Archive,
    description: ModelDescription,
    sizes: dict[int, int],
    payload: dict[str, Any],
    warnings: list[str],
) -> dict[str, Any]:
    content = hashlib.sha256(archive.body).hexdigest()
    identity = {**{name: one for name, one in payload.items() if name != "logging"}, "fmu": content}
    key = digest({**identity, "engines": engine_versions(), "platform": platform_tag()})
    began = time.perf_counter()
    files, kind = {_NAME: archive.body}, {"kind": payload["kind"]}
    with closing(Sandbox(_WARM_UP)) as sandbox:  # not the one of other models, which loads a compiler first
        outcome = sandbox.run(_ENTRY, payload, limits=request.limits, files=files, prepare=_PREPARE, prepare_payload=kind)
    seconds = time.perf_counter() - began
    answer: dict[str, Any] = {"id": key[:16], "status": "ok", "failure": None, "digest": key, "seconds": seconds, "warnings": warnings}
    if isinstance(outcome, Failure):
        answer |= {"status": "failed", "failure": {"kind": outcome.kind, "message": outcome.message}, "outputs": {}}
        return {**answer, "log": outcome.log}
    answer["outputs"] = _outputs(description, sizes, outcome, payload)
    answer["warnings"] = [*warnings, *(str(one) for one in outcome.result["warnings"])]
    return {**answer, "log": outcome.log}


def _outputs(description: ModelDescription, sizes: dict[int, int], outcome: Success, payload: dict[str, Any]) -> dict[str, Any]:
    """Each output by its name: a value for each sample, nested lists for an array."""
    numbers, texts = outcome.result["numbers"], outcome.result["texts"]
    times = payload["points"][payload["recorded"]][: outcome.result["rows"]].tolist()
    found, at = {}, 0
    for name in payload["outputs"]:
        variable = description.by_name[name]
        shape = description.shape(variable, sizes)
        count = int(np.prod(shape)) if shape else 1
        if variable.type in _AS_NUMBERS:
            block = numbers[:, at : at + count]
            at += count
            if variable.type not in ("Float64", "Float32"):
                block = block.astype(bool) if variable.type == "Boolean" else np.rint(block).astype(np.int64)
            values = block.reshape((len(times), *shape)).tolist()
        else:
            values = [np.array(row, object).reshape(shape).tolist() for row in texts[name]]
        found[name] = {"times": times, "values": values, "unit": own_unit(description, variable)}
    return found


def _starts(description: ModelDescription, settings: Mapping[str, str]) -> tuple[dict[str, Sequence[Any]], dict[int, int]]:
    """Start values by variable in the FMU's own units, and the sizes that structural parameters give."""
    starts: dict[str, list[Any]] = {}
    sizes: dict[int, int] = {}
    whole = {name: one for name in settings if (one := description.by_name.get(name))}
    for name, variable in sorted(whole.items(), key=lambda item: item[1].causality != "structuralParameter"):
        cells = settings[name].split() if variable.dimensions and variable.type in NUMERIC else [settings[name]]
        starts[name] = [parse_setting(description, variable, one, f"--set {name}") for one in cells]
        if variable.causality == "structuralParameter":
            sizes[variable.reference] = int(starts[name][0])
    for name in [one for one in settings if one not in whole]:
        variable, element = element_of(description, name, sizes, "--set")
        filled = starts.setdefault(variable.name, _filled(description, variable, sizes))
        filled[element] = parse_setting(description, variable, settings[name], f"--set {name}")
    for one in (description.by_name[name] for name in starts):
        if not one.settable:
            what, remedy = one.unsettable
            raise UsageError(what, where="--set", remedy=remedy)
    return dict(starts), sizes


def _filled(description: ModelDescription, variable: Variable, sizes: dict[int, int]) -> list[Any]:
    start = list(variable.start or (0,))
    size = description.size(variable, sizes)
    return start * size if len(start) == 1 else (start + [0] * size)[:size]


def parse_setting(description: ModelDescription, variable: Variable, text: str, where: str) -> Any:
    """A start value as it is written, `1`, `1 kW`, `true`, in the variable's own unit. Raises UsageError, UnitError."""
    match = _QUANTITY.fullmatch(text) if variable.type in ("Float64", "Float32") else None
    if match is None:
        return parse_value(description, variable, text.strip() if variable.type != "String" else text, where)
    try:
        return to_variable(description, variable, match[2]).apply(float(match[1]))
    except UnitError as error:
        raise UnitError(error.what, where=where, remedy=error.remedy or f"'{variable.name}' is in {variable.unit or 'no unit'}") from None


# --- in the child -----------------------------------------------------------------------------------------------------

_units: dict[str, Any] = {}


def prepare_child(payload: dict[str, Any], folder: Path) -> None:
    """Unpack and load the FMU. Raises ModelError."""
    from twinwright.simulation.fmi.session import Unit

    if str(folder) not in _units:
        _units[str(folder)] = Unit((folder / _NAME).read_bytes(), _NAME, folder / "unpacked", payload["kind"])


def run_child(payload: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One run: `numbers` (samples, columns), `texts` by variable, `rows`, `warnings`. Raises ModelError."""
    from twinwright.simulation.fmi.session import StiffError

    prepare_child(payload, folder)
    unit = _units[str(folder)]
    if payload["method"] is not None:
        return _Run(unit, payload).answer()
    explicit = _Run(unit, payload | {"method": "dopri5"})
    try:
        return explicit.answer()
    except StiffError:
        explicit.session.instance.free()
    answer = _Run(unit, payload | {"method": "BDF"}).answer()
    return {**answer, "warnings": ["the model is stiff: it was integrated by BDF, not by dopri5. --method says which", *answer["warnings"]]}


class _Run:
    def __init__(self, unit: Any, payload: dict[str, Any]) -> None:
        from twinwright.simulation.fmi.layout import Column, Settings
        from twinwright.simulation.fmi.session import Session

        md: ModelDescription = unit.description
        self.unit, self.payload = unit, payload
        given = {md.by_name[name]: values for name, values in payload["starts"].items()}
        structural = {one.reference: int(values[0]) for one, values in given.items() if one.causality == "structuralParameter"}
        inputs = [
            Column(md.by_name[name], element, "linear" if is_linear(md.by_name[name]) else "zero") for name, element in payload["inputs"]
        ]
        chosen = [md.by_name[name] for name in payload["outputs"]]
        outputs = [Column(one, element) for one in chosen if one.type in _AS_NUMBERS for element in range(md.size(one, structural))]
        self.texts = [one for one in chosen if one.type not in _AS_NUMBERS]
        points = payload["points"]
        clocks = any(one.type == "Clock" for one in md.variables)
        settings = Settings(
            method=payload["method"],
            max_step=payload["max_step"],
            substeps=payload["substeps"],
            tolerance=payload["tolerance"],
            logging=payload["logging"],
            event_mode=clocks and unit.interface.has("hasEventMode"),
            stop=float(points[-1]),
            step=payload["equal_step"] / payload["substeps"],
        )
        self.session = Session(unit, inputs, outputs, settings)

    def answer(self) -> dict[str, Any]:
        from twinwright.simulation.fmi.session import TerminatedError

        payload, session = self.payload, self.session
        points, values, recorded = payload["points"], payload["values"], payload["recorded"]
        texts = {name: [bytes(one) if isinstance(one, bytes) else one for one in column] for name, column in payload["texts"].items()}
        starts = {**payload["starts"], **{name: [column[0]] for name, column in texts.items()}}
        session.start(float(points[0]), starts, values[0].copy(), values[min(1, points.size - 1)].copy())
        numbers = np.zeros((points.size, len(session.outputs)))
        numbers[0] = session.now(float(points[0]))
        warnings = [self.unit.loops.warning] if self.unit.loops.warning else []
        rows = points.size
        said: dict[str, list[Any]] = {one.name: [self.text(one)] for one in self.texts}
        try:
            if texts or self.texts:
                told = dict.fromkeys(texts, 0)
                for i in range(points.size - 1):
                    at = i + 1 if points[i + 1] == points[i] else i  # of two points at one time the later has what there is after a jump
                    others = {name: [column[at]] for name, column in texts.items() if column[at] != column[told[name]]}
                    if others:
                        session.change(float(points[i]), others)
                        told |= dict.fromkeys(others, at)
                    session.advance(points[i : i + 2].copy(), values[i : i + 2].copy(), numbers[i : i + 2])
                    rows = i + 2
                    for one in self.texts:
                        said[one.name].append(self.text(one))
            else:
                session.advance(points, values, numbers)
            rows = points.size
        except TerminatedError as ended:
            rows = ended.rows if not (texts or self.texts) else rows
            warnings.append(ended.what)
        names = [one.variable.name for one in session.outputs]
        check_finite("output", names, points[:rows], numbers[:rows])
        kept = recorded[recorded < rows]
        session.close()
        return {
            "numbers": numbers[kept],
            "texts": {name: [column[index] for index in kept] for name, column in said.items()},
            "rows": int(kept.size),
            "warnings": warnings,
        }

    def text(self, variable: Variable) -> list[Any]:
        return [one.hex() if isinstance(one, bytes) else one for one in self.session.get_values(variable)]
