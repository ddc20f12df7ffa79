"""Outputs of a run drawn in the terminal, as dots of Braille characters: two by four in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

WIDTH, HEIGHT = 64, 7  # characters
MAX_PLOTS = 6
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row from the top, then column


def plotted(outputs: Mapping[str, Any]) -> str:
    """The outputs, each as a small plot with its range and times; the first few where there are many."""
    drawn = [
        _one(name, one["unit"], one["times"], one["values"]) for name, one in list(outputs.items())[:MAX_PLOTS] if len(one["values"]) > 1
    ]
    left = len(outputs) - MAX_PLOTS
    return "\n".join([*drawn, *([f"({left} more outputs)"] if left > 0 else [])])


def _one(name: str, unit: str | None, times: Sequence[str], values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return f"{name}: no value"
    low, high = min(known), max(known)
    labels = [f"{high:.4g}", *[""] * (HEIGHT - 2), f"{low:.4g}"]
    margin = max(len(label) for label in labels)
    lines = [f"{label:>{margin}} \u2524{row}" for label, row in zip(labels, lines_of(values, low, high), strict=True)]
    heading = f"{name} [{unit}]" if unit else name
    first, last = times[0], times[-1]
    return "\n".join([f"{'':>{margin}}  {heading}", *lines, f"{'':>{margin}}  {first}{last:>{max(WIDTH - len(first), len(last) + 1)}}"])


def lines_of(values: Sequence[float | None], low: float, high: float) -> list[str]:
    """HEIGHT lines of WIDTH characters: every value has its dot, and a column of dots is filled from its least to its greatest."""
    columns, rows = 2 * WIDTH, 4 * HEIGHT
    span = high - low
    reached: list[tuple[int, int] | None] = [None] * columns

    def put(column: int, row: int) -> None:
        before = reached[column]
        reached[column] = (row, row) if before is None else (min(before[0], row), max(before[1], row))

    def row_of(value: float) -> int:
        return round((1.0 - (value - low) / span) * (rows - 1)) if span else rows // 2

    last = len(values) - 1
    points = [(round(index / last * (columns - 1)), row_of(value)) if value is not None else None for index, value in enumerate(values)]
    for one in points:
        if one is not None:
            put(*one)
    for left, right in pairwise(points):
        if left is None or right is None:
            continue
        before = left[1]
        for column in range(left[0], right[0] + 1):
            share = (column - left[0]) / (right[0] - left[0]) if right[0] > left[0] else 1.0
            row = round(left[1] + share * (right[1] - left[1]))
            put(column, before)  # so that a steep line has no holes
            put(column, row)
            before = row
    canvas = [[0] * WIDTH for _ in range(HEIGHT)]
    for column, extent in enumerate(reached):
        if extent is not None:
            for row in range(extent[0], extent[1] + 1):
                canvas[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
    return ["".join(chr(0x2800 + dots) if dots else " " for dots in line).rstrip() for line in canvas]
