"""Shadows: models that follow their twins, how far they are, what they say beside what was observed, and by how much they are wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nicegui import ui

from twinwright.clock import to_iso
from twinwright.console import charts, formats
from twinwright.console.layout import (
    REFRESH_SECONDS,
    Text,
    Visit,
    button,
    card,
    element,
    empty,
    frame,
    moment,
    pill,
    segments,
    set_moment,
    tile,
    told,
)
from twinwright.console.live import Region, keep_fresh
from twinwright.errors import TwinwrightError

TWINS: Final = 50
POINTS: Final = 1_000  # of a line
_AHEAD: Final = 10  # a forecast takes no more than this part of the window
_STATES: Final = {"following": "good", "failing": "bad", "stopped": "warn"}
Series = list[tuple[float, Any]]


async def draw(visit: Visit) -> None:
    """The page `/shadows`."""
    with frame(
        visit, "Shadows", "Models that follow their twins: what should be observed now, by how much it is not, and what comes next."
    ):
        page = _Shadows(visit)
        await keep_fresh(page.refresh, REFRESH_SECONDS)


class _Shadows:
    """What one visitor looks at: the chosen shadow, twin and window."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.name: str | None = None
        self.twin: str | None = None
        self.window = "1 h"
        self._charts: dict[str, Any] = {}
        self._through: Text | None = None
        with element("div", "tw-split"):
            with element("div", "tw-side"):
                with card("All shadows"):
                    self._list = Region(self._show_list)
                self._twins = Region(self._show_twins)
            with element("div", "tw-wide"):
                self._head = Region(self._show_head)
                self._tiles = Region(_show_tiles, "tw-tiles")
                self._trouble = Region(_show_trouble)
                self._outputs = Region(self._show_outputs)

    async def refresh(self) -> None:
        read, platform = self.visit.read, self.visit.platform
        shadows = await read(platform.shadows)
        if self.name not in {one["name"] for one in shadows}:
            self.name = shadows[0]["name"] if shadows else None
        self._list.show((self.name, [(one["name"], one["model"], one["state"]) for one in shadows]))
        if self.name is None:
            self._outputs.show(None)
            return
        shadow = await read(platform.shadow, self.name, limit=TWINS)
        twins = sorted(one["twin"] for one in shadow["items"])
        if self.twin not in twins:
            reached = [one["twin"] for one in shadow["items"] if one["through"] is not None]
            self.twin = min(reached, default=twins[0] if twins else None)
        self._twins.show((self.twin, [(one, _error(shadow, one)) for one in twins], shadow["twins"]))
        self._head.show((shadow["name"], shadow["model"], shadow["model_version"], shadow["state"], self.window))
        if self._through is not None:
            set_moment(self._through, shadow["through"])
        self._trouble.show((shadow["error"], shadow["retry_seconds"] is not None))
        series = {} if self.twin is None else await self._series(shadow, self.twin)
        self._tiles.show(_numbers(shadow, next(((wrong, unit) for _, wrong, unit in series.values() if wrong is not None), None)))
        self._outputs.show((shadow["name"], self.twin, tuple((path, unit, wrong is not None) for path, (_, wrong, unit) in series.items())))
        self._draw(series)

    async def _series(self, shadow: Mapping[str, Any], twin: str) -> dict[str, Any]:
        """By path of an output its lines, the residual if it has one, and its unit."""
        through = next((one["through"] for one in shadow["items"] if one["twin"] == twin), None)
        if through is None:
            return {}
        seconds = charts.WINDOWS[self.window]
        since = formats.milliseconds(through) - seconds * 1_000
        found = {}
        for name, path in shadow["outputs"].items():
            end = formats.milliseconds(through) + seconds * 1_000 // _AHEAD
            said = await self._history(twin, path, since, end, "simulated")
            seen = await self._history(twin, path, since, end, "observed")
            predicted, ahead = _of(said, shadow["source"]), _of(said, shadow["forecast_source"])
            newest = predicted[-1][0] if predicted else since
            lines = [
                charts.Line("Observed", charts.thinned(charts.points(seen) if seen else [], POINTS), "observed"),
                charts.Line("Predicted", charts.thinned(predicted, POINTS), "simulated"),
                charts.Line("Forecast", charts.thinned([one for one in ahead if one[0] >= newest], POINTS), "forecast"),
            ]
            wrong = None
            if name in shadow["residuals"]:
                apart = await self._history(twin, shadow["residuals"][name], since, end, "derived")
                wrong = charts.Line("Observed less predicted", charts.thinned(_of(apart, shadow["source"]), POINTS), "simulated")
            found[path] = ([one for one in lines if one.points], wrong, said["unit"] if said else None)
        return found

    async def _history(self, twin: str, path: str, since: float, end: float, lane: str) -> dict[str, Any] | None:
        start, until = (to_iso(round(one * 1_000)) for one in (since, end))
        try:
            return await self.visit.read(self.visit.platform.history, twin, path, start=start, end=until, lane=lane)
        except TwinwrightError:
            return None  # what there is of it is told by the other lines

    def _draw(self, series: Mapping[str, Any]) -> None:
        for path, (lines, wrong, unit) in series.items():
            chart, beside, latest = self._charts.get(path, (None, None, None))
            if chart is None:
                continue
            times = [point[0] for line in lines for point in line.points]
            span = (min(times), max(times)) if times else None
            _update(chart, charts.line_chart(lines, unit, span))
            if beside is not None and wrong is not None:
                _update(beside, charts.line_chart([wrong], unit, span))
                latest.set_text(formats.quantity(wrong.points[-1][1] if wrong.points else None, unit))

    def _show_list(self, shown: tuple[str | None, Sequence[tuple[str, str, str]]]) -> None:
        chosen, shadows = shown
        if not shadows:
            empty("No shadows yet", "A file in shadows/ has a model follow its twin for ever.", "twinwright apply")
            return
        with element("div", "tw-list"):
            for name, model, state in shadows:

                async def choose(name: str = name) -> None:
                    self.name, self.twin = name, None
                    await self.refresh()

                with element("button", "tw-row", type="button", aria_pressed="true" if name == chosen else "false").on(
                    "click", told(choose)
                ):
                    with element("span", "tw-row-main"):
                        Text("span", name, "tw-strong")
                        Text("span", model, "tw-note")
                    pill(state, _STATES[state])

    def _show_twins(self, shown: tuple[str | None, Sequence[tuple[str, str]], int]) -> None:
        chosen, twins, total = shown
        if total < 2:
            return
        with card("Twins"):
            with element("div", "tw-list"):
                for twin, error in twins:

                    async def choose(twin: str = twin) -> None:
                        self.twin = twin
                        await self.refresh()

                    pressed = "true" if twin == chosen else "false"
                    with element("button", "tw-row", type="button", aria_pressed=pressed).on("click", told(choose)):
                        with element("span", "tw-row-main"):
                            Text("span", twin, "tw-strong")
                            if error:
                                Text("span", error, "tw-note")
                        if error:
                            pill("failing", "bad")
            if total > len(twins):
                Text("p", f"The first {len(twins)} of {formats.number(total)}: those that fail, then those furthest behind.", "tw-note")

    def _show_head(self, shown: tuple[str, str, str, str, str]) -> None:
        name, model, version, state, window = shown

        async def switch() -> None:
            act = self.visit.platform.shadow_start if state == "stopped" else self.visit.platform.shadow_stop
            done = await self.visit.serving.graph.run(act, name)
            ui.notify(f"{name} is {done['state']}", type="positive", position="bottom")
            await self.refresh()

        with element("div", "tw-subhead"):
            with element("div"):
                Text("h2", name)
                with element("p", "tw-note"):
                    Text("span", f"{model} {version}, followed through ")
                    self._through = moment(None)
            with element("div", "tw-actions"):
                segments("Window", charts.WINDOWS, window, self._choose_window)
                stopped = state == "stopped"
                button(
                    "Start" if stopped else "Stop",
                    switch,
                    "" if stopped else "danger",
                    aria_label=f"{'Start' if stopped else 'Stop'} {name}",
                )

    async def _choose_window(self, name: str) -> None:
        self.window = name
        await self.refresh()

    def _show_outputs(self, shown: tuple[str, str | None, tuple[tuple[str, str | None, bool], ...]] | None) -> None:
        self._charts = {}
        if shown is None:
            with card():
                empty("Nothing to show", "What a shadow predicts appears here beside what is observed.")
            return
        name, twin, outputs = shown
        if not outputs:
            with card():
                empty("Nothing said yet", f"{name} begins where every input of {twin or 'a twin'} is observed.")
            return
        for path, unit, wrong in outputs:
            with card(classes="tw-chart-card"):
                with element("div", "tw-chart-head"):
                    Text("span", f"{twin}, {formats.title(path).lower()}", "tw-label")
                    with element("span", "tw-legend"):
                        Text("span", "observed", "observed")
                        Text("span", "predicted")
                        Text("span", "forecast", "forecast")
                chart = _chart(f"{formats.title(path)}, observed and predicted", unit, "tall")
            beside = latest = None
            if wrong:
                with card(classes="tw-chart-card"):
                    with element("div", "tw-chart-head"):
                        Text("span", "Residual: observed less predicted", "tw-label")
                        latest = Text("span", "–", "tw-number")
                    beside = _chart(f"Residual of {formats.title(path).lower()}", unit, "")
            self._charts[path] = (chart, beside, latest)


def _chart(label: str, unit: str | None, classes: str) -> Any:
    made = ui.echart(charts.line_chart([charts.Line(label, [])], unit), renderer="svg").classes(f"tw-chart {classes}")
    made.props["aria-label"] = f"{label} in {formats.unit_name(unit)} over time"
    return made


def _update(chart: Any, options: dict[str, Any]) -> None:
    chart.options.clear()
    chart.options.update(options)
    chart.update()


def _of(series: Mapping[str, Any] | None, source: str | None) -> Series:
    """The points of a history that one source said."""
    if series is None or source is None:
        return []
    return [point for point, said in zip(charts.points(series), series["source"], strict=True) if said == source]


def _error(shadow: Mapping[str, Any], twin: str) -> str:
    return next((str(one["error"]) for one in shadow["items"] if one["twin"] == twin), "")


def _numbers(shadow: Mapping[str, Any], residual: tuple[charts.Line, str | None] | None) -> dict[str, Any]:
    values = [] if residual is None else [one for _, one in residual[0].points if one is not None]
    rms = math.sqrt(sum(one * one for one in values) / len(values)) if values else None
    shown = None if residual is None or rms is None else formats.quantity(rms, residual[1], 3)
    return {name: shadow[name] for name in ("state", "behind", "twins", "failing", "step_seconds")} | {"residual": shown}


def _show_tiles(shown: Mapping[str, Any]) -> None:
    notes = {"following": "as readings come in", "failing": "tried again by itself", "stopped": "until it is started"}
    tile("State", formats.title(shown["state"]), notes[shown["state"]])
    tile("Behind", formats.number(shown["behind"]), "commits of the log")
    tile("Twins", formats.number(shown["twins"]), f"{formats.number(shown['failing'])} failing" if shown["failing"] else "none failing")
    tile("Step", formats.duration(shown["step_seconds"]), "between two predictions")
    if shown["residual"] is not None:
        tile("Residual", shown["residual"], "root mean square in the window")


def _show_trouble(shown: tuple[str, bool]) -> None:
    error, again = shown
    if error:
        with card("It does not follow", "tried again by itself" if again else "", "tw-failure"):
            Text("p", error)
