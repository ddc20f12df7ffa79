"""A series that a scenario brings in a file of its own: CSV with a header, a column `time` and a column of values."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twinwright.clock import SECOND, from_iso
from twinwright.documents import MAX_BYTES, Document, Problems
from twinwright.errors import Problem, UsageError
from twinwright.simulation.declaration import is_below
from twinwright.simulation.protocol import Floats


@dataclass(frozen=True, slots=True)
class GivenSeries:
    """`times` in microseconds, strictly increasing: absolute, or since the beginning of the run where `relative`."""

    times: NDArray[np.int64]
    values: Floats
    relative: bool


def read_csv(folder: Path, name: str, place: Sequence[str | int], document: Document, problems: Problems) -> GivenSeries | None:
    """The series in a file of the folder: `time,value` with ISO 8601 times or seconds since the run's beginning."""
    if not is_below(name):
        problems.add(document.problem(place, f"'{name}' is no file of the workspace", "Name a file below the folder of this document"))
        return None
    try:
        body = (folder / name).read_bytes()
        text = body.decode("utf-8-sig") if len(body) <= MAX_BYTES else None
    except OSError as error:
        problems.add(document.problem(place, f"{name} can't be read: {error.strerror}", "Put the file beside this document", "unreadable"))
        return None
    except UnicodeDecodeError:
        problems.add(Problem("not UTF-8", "Save the file as UTF-8", name, code="encoding"))
        return None
    if text is None:
        problems.add(Problem(f"larger than {MAX_BYTES} bytes", "Shorten the series", name, code="too_large"))
        return None
    try:
        return _parse(text, name)
    except UsageError as error:
        line = int(error.where.rsplit(":", 1)[1]) if error.where else None
        problems.add(Problem(error.what, error.remedy or "Correct this line", name, line, code="bad_series"))
        return None


def _parse(text: str, name: str) -> GivenSeries:
    """Raises UsageError whose `where` is file:line."""
    reader = csv.reader(io.StringIO(text))
    times: list[int] = []
    values: list[float] = []
    relative: bool | None = None
    try:
        header = next(reader, [])
        if len(header) != 2 or header[0].strip().lower() != "time":
            raise UsageError("the header is not `time,value`", where=f"{name}:1", remedy="Begin the file with the line `time,value`")
        for row in reader:
            where = f"{name}:{reader.line_num}"
            if not row:
                continue
            if len(row) != 2:
                raise UsageError(f"{len(row)} cells where 2 are expected", where=where, remedy="Write `time,value`")
            time, is_relative = _time(row[0].strip(), where)
            if relative is not None and relative != is_relative:
                raise UsageError("seconds and ISO times are mixed", where=where, remedy="Use one of them throughout")
            if times and time <= times[-1]:
                raise UsageError("times do not increase", where=where, remedy="Sort the lines by time, each once")
            relative = is_relative
            times.append(time)
            values.append(_number(row[1], where))
    except csv.Error as error:
        raise UsageError(f"not CSV: {error}", where=f"{name}:{max(reader.line_num, 1)}", remedy="Correct this line") from None
    if not times:
        raise UsageError("no values", where=f"{name}:1", remedy="Add lines `time,value`")
    return GivenSeries(np.array(times, np.int64), np.array(values, np.float64), bool(relative))


def _time(cell: str, where: str) -> tuple[int, bool]:
    try:
        seconds = float(cell)
    except ValueError:
        return from_iso(cell, where=where), False
    if not abs(seconds) < 1e11:
        raise UsageError(f"'{cell}' is no number of seconds", where=where, remedy="Write seconds since the run begins, or ISO times")
    return round(seconds * SECOND), True


def _number(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"'{cell}' is not a finite number", where=where, remedy="Write a number, or leave the line out")
    return value
