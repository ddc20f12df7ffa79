"""Runs: what was simulated, with what outcome, and what was observed beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nicegui import ui

from twinwright.clock import SECOND, from_iso, to_iso
from twinwright.console import charts, formats
from twinwright.console.layout import REFRESH_SECONDS, Text, Visit, button, card, element, empty, frame, moment, pill, table
from twinwright.console.live import Region, keep_fresh
from twinwright.errors import TwinwrightError

SHOWN: Final = 100


async def draw(visit: Visit) -> None:
    """The page `/runs`."""
    with frame(visit, "Runs", "Answers of simulation models, each with all that it takes to repeat it byte for byte."):
        page = _Runs(visit)
        await keep_fresh(page.refresh, REFRESH_SECONDS)


class _Runs:
    """What one visitor looks at: the chosen run, read once, for runs don't change."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.chosen: str | None = None
        self._loaded: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
        with element("div", "tw-split tw-even"):
            with element("div", "tw-side"), card("All runs"):
                self._table = Region(self._show_table)
            with element("div", "tw-wide"):
                self._detail = Region(self._show_detail)

    async def refresh(self) -> None:
        runs = list(reversed(await self.visit.read(self.visit.platform.runs)))
        if self.chosen is None and runs:
            self.chosen = runs[0]["id"]
        self._table.show((self.chosen, runs[:SHOWN], len(runs)))
        if self.chosen is not None and (self._loaded is None or self._loaded[0]["id"] != self.chosen):
            run = await self.visit.read(self.visit.platform.run, self.chosen)
            self._loaded = (run, await self._observed(run))
            self._detail.show(self._loaded)
        elif self.chosen is None:
            self._detail.show(None)

    async def _observed(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """By output: the history of the property that it stands for, over the time of the run."""
        found: dict[str, Any] = {}
        for port in run["definition"]["outputs"]:
            output = run["outputs"].get(port["name"])
            if port["property"] is None or not output:
                continue
            end = to_iso(from_iso(output["times"][-1]) + SECOND)
            read = self.visit.platform.history
            try:
                history = await self.visit.read(read, run["twin"], port["property"], start=output["times"][0], end=end, unit=port["unit"])
            except TwinwrightError:
                continue  # the twin or its property is gone since: the run stands by itself
            if history["times"]:
                found[port["name"]] = history
        return found

    def _show_table(self, shown: tuple[str | None, list[dict[str, Any]], int]) -> None:
        chosen, runs, total = shown
        if not runs:
            empty("No runs yet", "A scenario asks a model a question; its answer is kept here.", "twinwright simulate SCENARIO")
            return
        with element("div", "tw-list"):
            for run in runs:
                self._show_row(run, run["id"] == chosen)
        if total > len(runs):
            Text("p", f"The newest {len(runs)} of {formats.number(total)}.", "tw-note")

    def _show_row(self, run: Mapping[str, Any], chosen: bool) -> None:
        async def choose() -> None:
            self.chosen = run["id"]
            await self.refresh()

        with element("button", "tw-row", type="button", aria_pressed="true" if chosen else "false").on("click", choose):
            with element("span", "tw-row-main"):
                Text("span", run["scenario"], "tw-strong")
                with element("span", "tw-note"):
                    Text("span", f"{run['model']}, {run['twin']}{_swept(run['sweep'])}, ")
                    moment(run["started"])
            _outcome(run)

    def _show_detail(self, shown: tuple[Mapping[str, Any], Mapping[str, Any]] | None) -> None:
        if shown is None:
            with card():
                empty("Nothing to show", "Runs appear here with their outputs beside what was observed.")
            return
        run, observed = shown

        async def verify() -> None:
            answer = await self.visit.serving.runs.run(self.visit.platform.verify_run, run["id"])
            text = "Repeated: the same bytes" if answer["verified"] else f"Not verified: {answer['reason']}"
            ui.notify(text, type="positive" if answer["verified"] else "negative", position="bottom", multi_line=True)

        with element("div", "tw-subhead"):
            with element("div"):
                Text("h2", f"{run['scenario']}{_swept(run['sweep'])}")
                Text(
                    "p", f"{run['model']} {run['model_version']} on {run['twin']}, {formats.duration(run['seconds'])} to compute", "tw-note"
                )
            button("Verify", verify, aria_label="Repeat this run and compare bytes")
        if run["failure"]:
            with card(f"Failed: {run['failure']['kind']}", classes="tw-failure"):
                Text("p", run["failure"]["message"])
        properties = {port["name"]: port["property"] for port in run["definition"]["outputs"]}
        for name, output in run["outputs"].items():
            _show_output(properties.get(name) or name, output, observed.get(name))
        _show_findings(run)
        _show_provenance(run)


def _outcome(run: Mapping[str, Any]) -> None:
    if run["status"] == "ok":
        pill("ok", "good")
    else:
        pill(run["failure"]["kind"] if run["failure"] else run["status"], "bad")


def _swept(sweep: Mapping[str, Any]) -> str:
    return "".join(f", {name} = {formats.number(value)}" for name, value in sweep.items())


def _show_output(name: str, output: Mapping[str, Any], observed: Mapping[str, Any] | None) -> None:
    lines = [charts.Line("Simulated", charts.points(output), "simulated")]
    if observed:
        lines.insert(0, charts.Line("Observed", charts.points(observed), "observed"))
    with card(classes="tw-chart-card"):
        with element("div", "tw-chart-head"):
            Text("span", formats.title(name), "tw-label")
            with element("span", "tw-legend"):
                if observed:
                    Text("span", "observed", "observed")
                Text("span", "simulated", "simulated")
        made = ui.echart(charts.line_chart(lines, output["unit"]), renderer="svg").classes("tw-chart tall")
        made.props["aria-label"] = f"{formats.title(name)} in {formats.unit_name(output['unit'])} over time"


def _show_findings(run: Mapping[str, Any]) -> None:
    if not run["constraints"] and not run["warnings"]:
        return
    with card("Findings"), element("ul", "tw-findings"):
        for one in run["constraints"]:
            with element("li"):
                pill("kept" if one["kept"] else "violated", "good" if one["kept"] else "bad")
                with element("span"):
                    Text("span", one["constraint"])
                    if not one["kept"]:
                        Text("span", f", by up to {formats.quantity(one['worst'], one['unit'])}, first at ", "tw-note")
                        moment(one["first_violated"])
        for warning in run["warnings"]:
            with element("li"):
                pill("warning", "warn")
                Text("span", str(warning))


def _show_provenance(run: Mapping[str, Any]) -> None:
    with card("Provenance"):
        with table((("Parameter", ""), ("Value", "n"), ("Unit", "")), "Parameters"):
            for name, one in run["parameters"].items():
                with element("tr"):
                    Text("td", name)
                    Text("td", formats.number(one["value"]), "n")
                    Text("td", formats.unit_name(one["unit"]))
        facts = {
            "Parameter set": run["parameter_set"] or "as declared or given",
            "Seed": str(run["seed"]),
            "Platform": run["platform"],
            "Digest": run["digest"],
        }
        with element("dl", "tw-facts"):
            Text("dt", "From")
            with element("dd"):
                moment(run["from"])
            for name, value in facts.items():
                Text("dt", name)
                Text("dd", str(value), "tw-mono" if name == "Digest" else "")
        for one in run["assumptions"]:
            Text("p", f"Assumes: {one}", "tw-note")
