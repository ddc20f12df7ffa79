"""When an FMU is sampled, and what its inputs are then: the grid of a run by itself, and a table of inputs put onto it."""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twinwright.errors import TooLargeError, UsageError
from twinwright.simulation.fmi.abi import TYPES
from twinwright.simulation.fmi.description import FLOATS, INTEGERS, Experiment, ModelDescription, Variable
from twinwright.simulation.protocol import Floats

MAX_SAMPLES = 20_000_000
MAX_DEFAULT_SAMPLES = 100_000
MAX_CSV_BYTES = 512 << 20
_CLOSE = 1e-9  # of a step: two times as near as this are one


@dataclass(frozen=True, slots=True)
class Grid:
    """`samples` are recorded, from start to stop; `points` are where the FMU is stopped, samples and jumps of inputs.

    A time at which inputs jump is twice in `points` (before, after); `recorded` are the indices of the samples in it.
    """

    samples: Floats
    points: Floats
    recorded: Any


def choose_grid(
    experiment: Experiment,
    start: float | None,
    stop: float | None,
    step: float | None,
    *,
    variable: bool,
    warnings: list[str],
    internal: float | None = None,
) -> Floats:
    """The samples from start to stop, both included. What is not given comes from the default experiment, or is sensible.

    Where the step does not divide the time, the last one is shorter, if the FMU takes steps of any length (`variable`);
    else all are. Where it takes only multiples of its `internal` step (s), so is a step that nobody gave. Raises UsageError, TooLargeError.
    """
    begin = start if start is not None else _finite(experiment.start) or 0.0
    end = stop if stop is not None else _finite(experiment.stop)
    if end is None or (stop is None and end <= begin):
        end = begin + 1.0
        warnings.append(f"no stop time is given, and the FMU has no default: it is run to {end:g} s")
    span = end - begin
    if not (math.isfinite(begin) and math.isfinite(end) and span > 0):
        raise UsageError(f"from {begin:g} s to {end:g} s is no time to simulate", remedy="Give a --stop after --start")
    if step is not None and not (math.isfinite(step) and step > 0):
        raise UsageError(f"a step of {step:g} s", remedy="Give --step in seconds, longer than 0")
    if step is None:
        step = _default_step(experiment, span, warnings)
        step = internal * max(1, round(step / internal)) if internal and not experiment.step and not variable else step
    count = span / step
    if count > MAX_SAMPLES:
        raise TooLargeError(f"{count:.3g} samples", remedy=f"At most {MAX_SAMPLES}: give a longer --step")
    whole = round(count)
    if abs(count - whole) <= _CLOSE * max(count, 1.0) and whole >= 1:
        return np.append(begin + np.arange(whole) * step, end)
    whole = math.floor(count)
    if variable or whole == 0:
        return np.append(begin + np.arange(whole + 1) * step, end)
    warnings.append(f"the FMU takes only equal steps: {step:g} s is shortened to {span / (whole + 1):.9g} s, which divides the time")
    return np.append(begin + np.arange(whole + 1) * (span / (whole + 1)), end)


def _finite(seconds: float | None) -> float | None:
    """A time of a default experiment; some write INF for one without end."""
    return seconds if seconds is not None and math.isfinite(seconds) else None


def _default_step(experiment: Experiment, span: float, warnings: list[str]) -> float:
    step = _finite(experiment.step)
    if step is not None and step > 0:
        chosen = step
        while span / chosen > MAX_DEFAULT_SAMPLES:
            chosen *= 2
        if chosen != step:
            warnings.append(f"the default step of {step:g} s would give {span / step:.3g} samples: every {chosen:g} s is recorded")
        return chosen
    rough = span / 1000
    power = 10.0 ** math.floor(math.log10(rough))
    return float(next(power * one for one in (1, 2, 5, 10) if power * one >= rough * (1 - _CLOSE)))


def communication_steps(experiment: Experiment, step: float | None, samples: Floats) -> int:
    """How many steps of co-simulation lie between two samples: more than one where the default ones were too many to record each."""
    if step is not None or experiment.step is None or not 0 < experiment.step < math.inf:
        return 1
    return max(1, round(float(samples[1] - samples[0]) / experiment.step))


@dataclass(frozen=True, slots=True)
class InputTable:
    """Inputs over time: `columns` in the FMU's own units; texts are lists of str. A time twice is a jump."""

    times: Floats
    variables: tuple[tuple[Variable, int], ...]  # with the element of an array
    columns: tuple[Any, ...]

    def jumps(self) -> Floats:
        """The times at which an input jumps: those that are there twice, and those at which a discrete one changes."""
        found = [self.times[1:][np.diff(self.times) == 0]]
        for (variable, _), column in zip(self.variables, self.columns, strict=True):
            if not is_linear(variable):
                changed = np.array([a != b for a, b in itertools.pairwise(column)], bool)
                found.append(self.times[1:][changed])
        return np.unique(np.concatenate(found))


def is_linear(variable: Variable) -> bool:
    """Whether an input is interpolated between its given values, or held."""
    return variable.type in FLOATS and variable.variability == "continuous"


def read_inputs(path: Path, description: ModelDescription, sizes: dict[int, int]) -> InputTable:
    """A CSV file: the first column is the time in seconds, the others are named for inputs (`u`, `u[2]`, `m[1,2]`).

    Raises UsageError with the line, for columns that are no inputs, and values that are none of their type.
    """
    try:
        if path.stat().st_size > MAX_CSV_BYTES:
            raise TooLargeError(f"{path.stat().st_size} bytes", where=str(path), remedy=f"At most {MAX_CSV_BYTES} are read")
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise UsageError(f"can't be read: {error.strerror}", where=str(path), remedy="Name a CSV file of inputs") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"can't be read as CSV: {error}", where=str(path), remedy="Save it as CSV in UTF-8") from None
    if len(rows) < 2:
        raise UsageError("has no values", where=str(path), remedy="Write a header `time,u,...` and a line for each time")
    if len(rows[0]) == 1 and ";" in rows[0][0]:
        raise UsageError("has semicolons between its cells", where=str(path), remedy="Separate cells by commas; decimals have a point")
    variables = [element_of(description, name.strip().strip('"'), sizes, str(path), ("input", "parameter")) for name in rows[0][1:]]
    fixed = next((one.name for one, _ in variables if one.causality == "parameter" and one.variability != "tunable"), None)
    if fixed is not None:
        remedy = f"Give it by --set {fixed}=...; only tunable parameters change"
        raise UsageError(f"'{fixed[:80]}' is a parameter that keeps its value during a run", where=str(path), remedy=remedy)
    count = Counter((one.name, element) for one, element in variables)
    twice = next((name for name, (one, at) in zip(rows[0][1:], variables, strict=True) if count[one.name, at] > 1), None)
    if twice is not None:
        raise UsageError(f"'{twice[:80]}' has two columns", where=str(path), remedy="Remove one of them")
    times: list[float] = []
    columns: list[list[Any]] = [[] for _ in variables]
    for number, row in enumerate(rows[1:], 2):
        if not row or not any(cell.strip() for cell in row):
            continue
        where = f"{path}:{number}"
        if len(row) != len(variables) + 1:
            raise UsageError(f"{len(row)} cells where the header has {len(variables) + 1}", where=where, remedy="Correct the line")
        times.append(float(_number(row[0], where)))
        if len(times) > 1 and times[-1] < times[-2]:
            raise UsageError(f"time {times[-1]:g} comes after {times[-2]:g}", where=where, remedy="Sort the lines by time")
        for column, (variable, _), cell in zip(columns, variables, row[1:], strict=True):
            column.append(parse_value(description, variable, cell.strip(), where))
    kept = tuple(
        one if variable.type in ("String", "Binary") else np.array(one, np.float64)
        for one, (variable, _) in zip(columns, variables, strict=True)
    )
    return InputTable(np.array(times), tuple(variables), kept)


def put_on_grid(samples: Floats, table: InputTable | None, *, exchange: bool, variable: bool) -> tuple[Grid, list[Any]]:
    """The points at which the FMU is stopped, and each column's values there.

    For model exchange the integrator stops at every given time of an input; for co-simulation at jumps alone, and only
    where it takes steps of any length.
    """
    if table is None:
        return Grid(samples, samples, np.arange(samples.size)), []
    near = _CLOSE * float(np.diff(samples).min())
    times = _snap(table.times, samples, near)
    jumps = _snap(table.jumps(), samples, near)
    stops = times if exchange else jumps if variable else np.empty(0)
    inside = stops[(stops > samples[0]) & (stops < samples[-1])]
    once = np.union1d(samples, inside)
    twice = np.isin(once, jumps[jumps > samples[0]]) & exchange
    points = np.repeat(once, 1 + twice)
    after = np.append(np.diff(points) > 0, True)
    recorded = np.searchsorted(points, samples, side="right") - 1
    given = InputTable(times, table.variables, table.columns)
    values = [_sampled(given, index, points, after) for index in range(len(table.columns))]
    return Grid(samples, points, recorded), values


def _snap(times: Floats, samples: Floats, near: float) -> Floats:
    """Times that are as good as a sample's become it."""
    index = np.clip(np.searchsorted(samples, times), 1, samples.size - 1)
    left, right = samples[index - 1], samples[index]
    nearest = np.where(times - left < right - times, left, right)
    return np.where(np.abs(times - nearest) <= near, nearest, times)


def _sampled(table: InputTable, index: int, points: Floats, after: Any) -> Any:
    """One column at each point; before the first and after the last given time its value is held."""
    times, column, (variable, _) = table.times, table.columns[index], table.variables[index]
    right = np.where(after, np.searchsorted(times, points, "right"), np.searchsorted(times, points, "left"))
    if not is_linear(variable):
        held = np.maximum(right - 1, 0)
        return [column[int(one)] for one in held] if isinstance(column, list) else column[held]
    low, high = np.clip(right - 1, 0, times.size - 1), np.clip(right, 0, times.size - 1)
    span = times[high] - times[low]
    fraction = np.where(span > 0, (points - times[low]) / np.where(span > 0, span, 1.0), 0.0)
    inside = (right > 0) & (right < times.size)
    return column[low] + np.where(inside, np.clip(fraction, 0.0, 1.0), 0.0) * (column[high] - column[low])


# --- names and values -------------------------------------------------------------------------------------------------


def element_of(
    description: ModelDescription, name: str, sizes: dict[int, int], where: str, causalities: Sequence[str] = ()
) -> tuple[Variable, int]:
    """The variable, and the element from 0, that a name means: `y`, `y[2]`, `m[1,2]`. Raises UsageError."""
    variable, element = description.by_name.get(name), 0
    if variable is None and name.endswith("]"):
        base, _, inside = name[:-1].rpartition("[")
        variable = description.by_name.get(base)
        numbers = [int(one) for one in inside.split(",") if one.strip().isdecimal()]
        shape = description.shape(variable, sizes) if variable else ()
        if variable is None or len(numbers) != len(shape) or not all(1 <= a <= b for a, b in zip(numbers, shape, strict=True)):
            variable = None
        else:
            element = int(np.ravel_multi_index([one - 1 for one in numbers], shape)) if shape else 0
    elif variable is not None and description.size(variable, sizes) != 1:
        lengths = ",".join(str(one) for one in description.shape(variable, sizes))
        raise UsageError(f"'{name}' is an array of {lengths}", where=where, remedy=f"Name its elements: {name}[1], ...")
    if variable is None or (causalities and variable.causality not in causalities):
        from difflib import get_close_matches

        known = [one.name for one in description.variables if not causalities or one.causality in causalities]
        near = ", ".join(get_close_matches(name, known, 3)) or ", ".join(known[:10]) or "none"
        kind = causalities[0] if causalities else "variable"
        raise UsageError(f"the FMU has no {kind} '{name[:80]}'", where=where, remedy=f"It has: {near}")
    return variable, element


def parse_value(description: ModelDescription, variable: Variable, text: str, where: str) -> Any:
    """A value as people write it, in the variable's own unit: numbers, true, the name of an enumeration's item, text, hex."""
    if variable.type == "String":
        return text
    if variable.type == "Binary":
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise UsageError(f"'{text[:40]}' is not hexadecimal", where=where, remedy="Write bytes as 00ff...") from None
    if text.lower() in ("true", "false"):
        return float(text.lower() == "true")
    items = description.enumerations.get(variable.declared_type or "", {})
    if variable.type == "Enumeration" and text in items:
        return float(items[text])
    if variable.type in INTEGERS and re.fullmatch(r"[-+]?\d{1,20}", text):  # of 64 bits some have no double
        _check_range(variable, int(text), where)
        return int(text)
    value = _number(text, where, f" (one of {', '.join(items)})" if items else "")
    if variable.type not in FLOATS and value != round(value):
        raise UsageError(f"'{variable.name}' is of type {variable.type} and can't be {text}", where=where, remedy="Write a whole number")
    if variable.type in INTEGERS:
        _check_range(variable, int(value), where)
    return value


def _check_range(variable: Variable, value: int, where: str) -> None:
    limits = np.iinfo(TYPES[variable.type][1])
    if not limits.min <= value <= limits.max:
        remedy = f"Write a number from {limits.min} to {limits.max}"
        raise UsageError(f"'{variable.name}' is of type {variable.type} and can't be {value}", where=where, remedy=remedy)


def _number(text: str, where: str, more: str = "") -> float:
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"'{text[:40]}' is not a number{more}", where=where, remedy="Write it with a decimal point") from None
    if not math.isfinite(value):
        raise UsageError(f"'{text[:40]}' is not finite", where=where, remedy="Write a number")
    return value
