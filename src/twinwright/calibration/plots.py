"""The figures of a report, as SVG that takes its colours from the page (so one drawing serves light and dark)."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twinwright.calibration.metrics import Array
from twinwright.calibration.residuals import autocorrelation
from twinwright.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_POINTS = 1200
LAGS = 40
_GAP = 8  # usual intervals without an observation after which a line is broken

# Each of these stands for a CSS variable of the page; matplotlib carries them through as they are.
INK, MUTED, GRID, OBSERVED, SIMULATED, BAND, KEPT, ZERO = (f"#00000{digit}" for digit in range(1, 9))
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "rule",
    OBSERVED: "observed",
    SIMULATED: "simulated",
    BAND: "band",
    KEPT: "kept",
    ZERO: "muted",
}
WIDE, NARROW = (10.4, 3.3), (4.3, 3.1)  # inches: a drawing for a desk and one for a telephone


@dataclass(frozen=True, slots=True)
class Track:
    """One output to draw: `times` in microseconds, everything else (n,); `kept_from` where the holdout begins (None: none)."""

    label: str
    unit: str | None
    times: NDArray[np.int64]
    observed: Array
    predicted: Array
    low: Array
    high: Array
    kept_from: int | None


def comparison(track: Track) -> str:
    """Observed and simulated over time with the prediction band; what the fit did not see is shaded."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        shown = _thin(track.observed)
        times = track.times[shown].astype("datetime64[us]")
        _shade(axes, track)
        if np.isfinite(track.low).any():
            axes.fill_between(times, track.low[shown], track.high[shown], color=BAND, linewidth=0, label="95 % prediction band")
        axes.plot(times, track.observed[shown], ".", markersize=2.6, color=OBSERVED, label="observed")
        moments, line = _broken(times, track.predicted[shown])
        axes.plot(moments, line, linewidth=1.3, color=SIMULATED, label="simulated")
        axes.set_ylabel(_axis_label(track.label, track.unit))
        _finish(figure, axes, dates=True, legend=True)

    return _both_sizes(draw, f"{track.label}: observed and simulated over time")


def trajectory(label: str, unit: str | None, times: NDArray[np.int64], values: Array, marks: Sequence[int] = ()) -> str:
    """What one port did over time (microseconds), with a line at each of `marks`."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        shown = _thin(values)
        axes.plot(times[shown].astype("datetime64[us]"), values[shown], linewidth=1.3, color=SIMULATED)
        for mark in marks:
            axes.axvline(_moment(mark), color=OBSERVED, linewidth=1.0, linestyle="--")
        axes.set_ylabel(_axis_label(label, unit))
        _finish(figure, axes, dates=True, legend=False)

    return _both_sizes(draw, f"{label} over time", height=0.75)


def residuals(track: Track) -> str:
    """The error (simulated less observed) over time."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        errors = track.predicted - track.observed
        shown = _thin(errors)
        moments, line = _broken(track.times[shown].astype("datetime64[us]"), errors[shown])
        _shade(axes, track)
        axes.axhline(0, color=ZERO, linewidth=0.8)
        axes.plot(moments, line, linewidth=0.9, color=SIMULATED)
        axes.set_ylabel(_axis_label("error", track.unit))
        _finish(figure, axes, dates=True, legend=False)

    return _both_sizes(draw, f"{track.label}: error over time", height=0.75)


def correlogram(track: Track) -> str:
    """The autocorrelation of the error, with the 95 % limits of white noise (1.96 / sqrt(n))."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        errors = track.predicted - track.observed
        values = autocorrelation(errors[np.isfinite(errors)], LAGS)
        limit = 1.96 / np.sqrt(max(errors.size, 1))
        axes.axhspan(-limit, limit, color=BAND, linewidth=0)
        axes.axhline(0, color=ZERO, linewidth=0.8)
        axes.vlines(np.arange(values.size), 0, values, color=SIMULATED, linewidth=1.6)
        axes.set_ylim(min(-0.25, float(values.min()) - 0.05), 1.05)
        axes.set_xlabel("lag in observations")
        axes.set_ylabel("autocorrelation")
        _finish(figure, axes, dates=False, legend=False)

    return _both_sizes(draw, f"{track.label}: autocorrelation of the error", height=0.75)


def _both_sizes(draw: Callable[[Figure], None], description: str, *, height: float = 1.0) -> str:
    wide = _svg(draw, (WIDE[0], WIDE[1] * height), description, "w")
    narrow = _svg(draw, (NARROW[0], NARROW[1] * height), description, "n")
    return f'<div class="figure"><div class="wide">{wide}</div><div class="narrow">{narrow}</div></div>'


def _svg(draw: Callable[[Figure], None], size: tuple[float, float], description: str, suffix: str) -> str:
    """Draw a figure and make it fit into a page: own ids, the page's colours and type, no fixed size, no metadata."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("report", "a report with figures") from None
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "twinwright", "font.size": 9.5, "axes.linewidth": 0.8}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", text)
    text = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", text)
    prefix = f"{re.sub('[^a-z]+', '-', description.lower())}-{suffix}-"
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = re.sub(r"url\(#", f"url(#{prefix}", text)
    text = re.sub(r'href="#', f'href="#{prefix}', text)
    text = re.sub(r"(font: [\d.]+px) [^;\"]*", r"\1 var(--sans)", text)
    for colour, name in VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(description, quote=True)}"', 1)


def _shade(axes: Axes, track: Track) -> None:
    if track.kept_from is not None and track.times.size:
        begin = max(track.kept_from, int(track.times[0]))
        axes.axvspan(_moment(begin), _moment(int(track.times[-1])), color=KEPT, linewidth=0, label="not seen by the fit")


def _moment(micros: int) -> Any:
    return np.datetime64(micros, "us")


def _finish(figure: Figure, axes: Axes, *, dates: bool, legend: bool) -> None:
    narrow = figure.get_figwidth() < 6
    if dates:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator(minticks=2, maxticks=5 if narrow else 9)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.grid(True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.xaxis.get_offset_text().set_color(MUTED)
    if legend:
        figure.legend(loc="outside upper left", ncols=2 if narrow else 4, frameon=False, labelcolor=INK, fontsize=8.5, markerscale=3)


def _axis_label(label: str, unit: str | None) -> str:
    # matplotlib reads $...$ as mathematics; a unit is only text
    return (f"{label} [{unit}]" if unit else label).replace("$", r"\$")


def _thin(values: Array) -> NDArray[np.int64]:
    """Indices of at most MAX_POINTS values that keep every peak: the least and the greatest of each of equal stretches."""
    if values.size <= MAX_POINTS:
        return np.arange(values.size)
    edges = np.linspace(0, values.size, MAX_POINTS // 2 + 1).astype(np.int64)
    filled = np.nan_to_num(values)
    picks: list[int] = []
    for first, last in pairwise(edges.tolist()):
        stretch = filled[first:last]
        picks += sorted({int(first + stretch.argmin()), int(first + stretch.argmax())})
    return np.array(picks, dtype=np.int64)


def _broken(times: NDArray[Any], values: Array) -> tuple[NDArray[Any], Array]:
    """A line that is broken where nothing was observed for long, so that a gap is seen as one."""
    if times.size < 3:
        return times, values
    intervals = np.diff(times.astype(np.int64))
    breaks = np.flatnonzero(intervals > _GAP * np.median(intervals)) + 1
    return np.insert(times, breaks, times[breaks]), np.insert(values, breaks, np.nan)


def figures(tracks: Sequence[Track]) -> list[tuple[str, str, str]]:
    """(comparison, residuals, correlogram) of each track. Raises MissingExtraError."""
    return [(comparison(track), residuals(track), correlogram(track)) for track in tracks]
