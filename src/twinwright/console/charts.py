"""Chart options for ECharts. Colours are those of the style sheet, so that charts follow light and dark with everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from twinwright.clock import SECOND, SystemClock, from_iso
from twinwright.console.formats import milliseconds, unit_name

WINDOWS: Final = {"15 min": 900, "1 h": 3_600, "6 h": 21_600, "24 h": 86_400}
"""What a visitor can choose to look at, in seconds."""
_SEPARATOR: Final = "\u001f"  # between a line's name and its unit, for the tooltip
_FONT: Final = {"color": "var(--muted)", "fontSize": 11, "fontFamily": "inherit"}
_TIMES: Final = {  # of the browser's zone, each at the beginning of its period
    "year": "{yyyy}",
    "month": "{MMM} {yyyy}",
    "day": "{d} {MMM}",
    "hour": "{HH}:{mm}",
    "minute": "{HH}:{mm}",
    "second": "{HH}:{mm}:{ss}",
    "millisecond": "{HH}:{mm}:{ss}.{SSS}",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line: points of (milliseconds, value); None breaks it. `role` decides how it looks."""

    name: str
    points: Sequence[tuple[float, Any]]
    role: Literal["single", "observed", "simulated", "forecast"] = "single"


def span(newest: str | None, seconds: int) -> tuple[int, int]:
    """The window to look at (microseconds): up to now, or up to the newest observation where that is long ago."""
    now = SystemClock().now() // SECOND * SECOND
    last = now if newest is None else from_iso(newest)
    end = now if now - last < seconds * SECOND else last + SECOND
    return end - seconds * SECOND, end


def thinned(some: Sequence[tuple[float, Any]], most: int) -> list[tuple[float, Any]]:
    """Every so-manieth point, so that there are no more than `most`; the last is among them."""
    every = max(1, -(-len(some) // most))
    return list(some[::-1][::every][::-1])


def points(series: Mapping[str, Any]) -> list[tuple[float, Any]]:
    """`times` and `values` of a history or an output as points."""
    return [(milliseconds(time), value) for time, value in zip(series["times"], series["values"], strict=True)]


def line_chart(lines: Sequence[Line], unit: str | None, span: tuple[float, float] | None = None) -> dict[str, Any]:
    """Lines over time that share one unit; `span` (milliseconds) fixes the time axis."""
    axis = unit_name(unit)
    return {
        "animation": False,
        "grid": {"left": 4, "right": 14, "top": 30, "bottom": 4, "containLabel": True},
        "xAxis": {
            "type": "time",
            "min": span[0] if span else None,
            "max": span[1] if span else None,
            "splitNumber": 4,
            "axisLine": {"lineStyle": {"color": "var(--rule)"}},
            "axisTick": {"show": False},
            "axisLabel": {**_FONT, "hideOverlap": True, "formatter": _TIMES},
        },
        "yAxis": {
            "type": "value",
            "scale": True,
            "splitNumber": 3,
            "name": axis,
            "nameGap": 12,
            "nameTextStyle": {**_FONT, "align": "left", "padding": [0, 0, 0, -6]},
            "axisLabel": _FONT,
            "splitLine": {"lineStyle": {"color": "var(--grid)"}},
        },
        "tooltip": {
            "trigger": "axis",
            ":formatter": "(items) => window.twinwright.tooltip(items)",
            "backgroundColor": "var(--card)",
            "borderColor": "var(--rule)",
            "textStyle": {"color": "var(--ink)", "fontSize": 12, "fontFamily": "inherit"},
            "axisPointer": {"lineStyle": {"color": "var(--muted)", "type": "solid", "width": 1}},
            "confine": True,
        },
        "series": [_series(line, axis) for line in lines],
    }


def _series(line: Line, axis: str) -> dict[str, Any]:
    colour = "var(--observed)" if line.role == "observed" else "var(--accent)"
    few = len(line.points) < 3
    return {
        "name": f"{line.name}{_SEPARATOR}{axis}",
        "type": "line",
        "data": [list(point) for point in line.points],
        "showSymbol": few,
        "symbolSize": 5,
        "silent": True,
        "emphasis": {"disabled": True},  # it would lighten a colour that only the style sheet knows, and the line be gone
        "sampling": "lttb",
        "lineStyle": {
            "color": colour,
            "width": 1.5 if line.role == "observed" else 1.8,
            "type": [5, 4] if line.role == "forecast" else "solid",
        },
        "itemStyle": {"color": colour},
        "areaStyle": {"color": colour, "opacity": 0.07, "origin": "start"} if line.role == "single" else None,
        "z": 2 if line.role == "observed" else 3,
    }
