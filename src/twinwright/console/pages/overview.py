"""Overview: is everything fresh and accounted for, and what is a chosen twin doing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nicegui import ui

from twinwright.clock import SECOND, format_duration, to_iso
from twinwright.console import charts, formats
from twinwright.console.layout import (
    REFRESH_SECONDS,
    Text,
    Visit,
    card,
    element,
    empty,
    frame,
    moment,
    pill,
    segments,
    set_moment,
    table,
    tile,
    told,
)
from twinwright.console.live import Region, keep_fresh
from twinwright.errors import TwinwrightError

POINTS: Final = 300
MAX_CHARTS: Final = 12
MAX_TWINS: Final = 200
NUMERIC: Final = frozenset({"double", "float", "integer", "long", "byte", "short", "unsignedByte", "unsignedShort", "unsignedInteger"})


async def draw(visit: Visit) -> None:
    """The page `/`."""
    with frame(visit, "Overview", "Live. Times are local; hover for UTC."):
        overview = _Overview(visit)
        await keep_fresh(overview.refresh, REFRESH_SECONDS)


class _Overview:
    """What one visitor looks at: the chosen twin and window."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.twin: str | None = None
        self.window = "1 h"
        self._charts: dict[str, Any] = {}
        self._list_moments: list[tuple[str, Text]] = []
        self._head_moments: list[tuple[str, Text]] = []
        self._tiles = Region(_show_tiles, "tw-tiles")
        with element("div", "tw-split"):
            with element("div", "tw-side"):
                with card("Twins"):
                    self._twins = Region(self._show_twins)
                with card("Sources"):
                    self._sources = Region(_show_sources)
            with element("div", "tw-wide"):
                self._head = Region(self._show_head)
                self._paths = Region(self._show_paths)

    async def refresh(self) -> None:
        read, platform = self.visit.read, self.visit.platform
        self._tiles.show(await read(platform.kpi))
        status = await read(platform.status)
        self._sources.show({name: status[name] for name in ("connectors", "contracts")})
        twins = await read(platform.twins)
        if self.twin is None and twins:
            self.twin = max(twins, key=lambda one: one["newest"] or "")["$dtId"]
        newest = {one["$dtId"]: one["newest"] for one in twins}
        self._twins.show((self.twin, [(one["$dtId"], one["$model"]) for one in twins]))
        chosen = next((one for one in twins if one["$dtId"] == self.twin), None)
        self._head.show((chosen and (chosen["$dtId"], chosen["$model"]), self.window))
        for twin, made in self._moments:
            set_moment(made, newest.get(twin))
        if chosen is not None:
            await self._refresh_paths(chosen)

    async def _refresh_paths(self, twin: Mapping[str, Any]) -> None:
        read, platform = self.visit.read, self.visit.platform
        infos = await read(platform.paths, twin["$dtId"])
        document = await read(platform.state, twin["$dtId"])
        span = charts.span(twin["newest"], charts.WINDOWS[self.window])
        histories: dict[str, Any] = {}
        for info in [one for one in infos if one["type"] in NUMERIC][:MAX_CHARTS]:
            every = format_duration(max(SECOND, charts.WINDOWS[self.window] * SECOND // POINTS))
            start, end = to_iso(span[0]), to_iso(span[1])
            try:
                histories[info["path"]] = await read(
                    platform.history, twin["$dtId"], info["path"], start=start, end=end, every=every if info["kind"] else None
                )
            except TwinwrightError:
                continue  # a path that can't be resampled is shown by its value alone
        values = {info["path"]: _at(document, info["path"]) for info in infos}
        self._paths.show((twin["$dtId"], tuple((info["path"], info["unit"]) for info in infos), tuple(histories)))
        for path, (chart, latest) in self._charts.items():
            unit = next((info["unit"] for info in infos if info["path"] == path), None)
            latest.set_text(formats.quantity(values.get(path), unit))
            if chart is not None and path in histories:
                line = charts.Line(formats.title(path), charts.points(histories[path]))
                options = charts.line_chart([line], unit, (span[0] / 1_000, span[1] / 1_000))
                chart.options.clear()
                chart.options.update(options)
                chart.update()

    @property
    def _moments(self) -> list[tuple[str, Text]]:
        """The times on the page that are told anew in their place, for drawing them again would take the focus away."""
        return [*self._list_moments, *self._head_moments]

    def _show_twins(self, shown: tuple[str | None, list[tuple[str, str]]]) -> None:
        chosen, twins = shown
        self._list_moments = []
        if not twins:
            empty("No twins yet", "Declare them in twins.yaml, then apply the workspace.", "twinwright apply")
            return
        with element("div", "tw-list"):
            for twin in twins[:MAX_TWINS]:
                self._show_twin(*twin, twin[0] == chosen)
        if len(twins) > MAX_TWINS:
            Text("p", f"and {formats.number(len(twins) - MAX_TWINS)} more", "tw-note")

    def _show_twin(self, twin: str, interface: str, chosen: bool) -> None:
        async def choose() -> None:
            self.twin = twin
            await self.refresh()

        with element("button", "tw-row", type="button", aria_pressed="true" if chosen else "false").on("click", told(choose)):
            with element("span", "tw-row-main"):
                Text("span", twin, "tw-strong")
                Text("span", formats.interface(interface), "tw-note")
            with element("span", "tw-row-end tw-note"):
                self._list_moments.append((twin, moment(None, ago=True)))

    def _show_head(self, shown: tuple[tuple[str, str] | None, str]) -> None:
        chosen, window = shown
        self._head_moments = []
        if chosen is None:
            return
        twin, interface = chosen
        with element("div", "tw-subhead"):
            with element("div"):
                Text("h2", twin)
                with element("p", "tw-note"):
                    Text("span", f"{formats.interface(interface)}, newest ")
                    self._head_moments.append((twin, moment(None)))
            segments("Window", charts.WINDOWS, window, self._choose_window)

    async def _choose_window(self, name: str) -> None:
        self.window = name
        await self.refresh()

    def _show_paths(self, shown: tuple[str, tuple[tuple[str, str | None], ...], tuple[str, ...]]) -> None:
        _, paths, charted = shown
        self._charts = {}
        if not paths:
            with card():
                empty("Nothing to observe", "The interface of this twin declares no property or telemetry.")
            return
        with element("div", "tw-charts"):
            for path, unit in paths:
                with card(classes="tw-chart-card"):
                    with element("div", "tw-chart-head"):
                        Text("span", formats.title(path), "tw-label")
                        latest = Text("span", "–", "tw-number")
                    chart = _chart(path, unit) if path in charted else None
                self._charts[path] = (chart, latest)


def _chart(path: str, unit: str | None) -> Any:
    options = charts.line_chart([charts.Line(formats.title(path), [])], unit)
    made = ui.echart(options, renderer="svg").classes("tw-chart")
    made.props["aria-label"] = f"{formats.title(path)} in {formats.unit_name(unit)} over time"
    return made


def _at(document: Mapping[str, Any], path: str) -> Any:
    value: Any = document
    for step in path.split("/"):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _show_tiles(kpi: Mapping[str, Any]) -> None:
    counts = kpi["counts"]
    tile("Readings received", formats.number(counts["received"]), "since creation")
    tile("Accepted", formats.number(counts["accepted"]), "in the history")
    tile("Duplicate", formats.number(counts["duplicate"]), "already known")
    tile("Refused", formats.number(counts["dead_lettered"]), "each with its reason")
    for name, one in kpi.items():
        if name == "counts" or one["value"] is None:
            continue
        state = "" if one["met"] is None else "good" if one["met"] else "bad"
        tile(formats.title(name), formats.kpi_value(one), formats.kpi_target(name, one), state)


def _show_sources(status: Mapping[str, Any]) -> None:
    if not status["connectors"] and not status["contracts"]:
        empty("No sources yet", "A contract says how telemetry becomes readings.", "twinwright plan")
        return
    if status["connectors"]:
        with element("div", "tw-list tw-flush"):
            for one in status["connectors"]:
                with element("div", "tw-row"):
                    with element("span", "tw-row-main"):
                        Text("span", one["name"], "tw-strong")
                        Text("span", one["detail"] or "connector", "tw-note")
                    pill("up" if one["up"] else "down", "good" if one["up"] else "bad")
    with table((("Contract", ""), ("Newest reading", "")), "Contracts"):
        for one in status["contracts"]:
            with element("tr"):
                Text("td", one["name"])
                with element("td"):
                    moment(one["watermark"], ago=True)
