"""Models and reports: what was learned from data, how sure it is, and how well it does on data that it did not see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twinwright.console import formats
from twinwright.console.layout import REFRESH_SECONDS, Text, Visit, card, element, empty, frame, moment, pill, table
from twinwright.console.live import Region, keep_fresh

REFRESHES = 5 * REFRESH_SECONDS


async def draw(visit: Visit) -> None:
    """The page `/models`."""
    with frame(visit, "Models & reports", "Parameter sets with their intervals, and errors on data that the fit did not see."):
        sets, validations, declared = Region(_show_sets), Region(_show_validations), Region(_show_models)

        async def refresh() -> None:
            sets.show(list(reversed(await visit.read(visit.platform.parameter_sets))))
            validations.show(list(reversed(await visit.read(visit.platform.validations))))
            declared.show(await visit.read(visit.platform.models))

        await keep_fresh(refresh, REFRESHES)


def _show_sets(sets: list[dict[str, Any]]) -> None:
    if not sets:
        with card("Parameter sets"):
            empty(
                "Nothing calibrated yet", "A calibration fits a model to history and keeps what it learned.", "twinwright calibrate MODEL"
            )
        return
    for one in sets:
        with card(classes="tw-set"):
            _show_set(one)


def _show_set(one: Mapping[str, Any]) -> None:
    with element("div", "tw-letter-head"):
        with element("div"):
            Text("h2", f"{one['model']} on {one['twin']}")
            with element("p", "tw-note"):
                Text("span", f"Set {one['id'][:12]}, calibrated ")
                moment(one.get("created"))
        _report_link(one["id"])
    with element("div", "tw-columns"):
        with element("div"):
            _show_parameters(one["parameters"])
        with element("div"):
            windows = {"Training": one["metrics"]["train"], "Holdout": one["metrics"]["holdout"], "Baseline": one["metrics"]["baseline"]}
            _show_metrics(windows, _unit(one["outputs"]["train"]))
    for warning in one["warnings"]:
        with element("p", "tw-warning"):
            pill("warning", "warn")
            Text("span", str(warning))


def _show_parameters(parameters: Mapping[str, Mapping[str, Any]]) -> None:
    with table((("Parameter", ""), ("Value", "n"), ("95 % interval", "n"), ("Unit", "")), "Parameters"):
        for name, one in parameters.items():
            with element("tr"):
                with element("td"):
                    Text("span", name)
                    if one.get("at_bound"):
                        pill("at bound", "warn")
                Text("td", formats.number(one["value"]), "n tw-strong" if one["estimated"] else "n")
                known = one["low"] is not None and one["high"] is not None
                Text(
                    "td",
                    f"{formats.number(one['low'])} … {formats.number(one['high'])}" if known else "fixed",
                    "n" if known else "n tw-note",
                )
                Text("td", formats.unit_name(one["unit"]), "tw-note")


def _unit(outputs: Mapping[str, Any]) -> str:
    """The unit of errors where there is one output; errors of several are not combined where they have units."""
    return formats.unit_name(next(iter(outputs.values()))["unit"]) if len(outputs) == 1 else "of several outputs"


def _show_metrics(windows: Mapping[str, Mapping[str, Any] | None], unit: str) -> None:
    shown = {name: one for name, one in windows.items() if one is not None}
    with table((("Error", ""), *((name, "n") for name in shown)), "Errors"):
        own = [(metric, f"{label}, {unit}") for metric, label in (("rmse", "RMSE"), ("mae", "MAE"), ("bias", "Bias"))]
        for metric, label in (*own, ("r2", "R²"), ("fit", "Fit, %"), ("skill", "Skill")):
            with element("tr"):
                Text("td", label)
                for one in shown.values():
                    Text("td", formats.number(one.get(metric), 3), "n")


def _show_validations(validations: list[dict[str, Any]]) -> None:
    with card("Validations"):
        if not validations:
            empty("Nothing validated yet", "A validation quotes the errors of a model on a window of history.", "twinwright validate MODEL")
            return
        with table((("Model", ""), ("Twin", ""), ("Window", ""), ("RMSE", "n"), ("Skill", "n"), ("Data", ""), ("", "")), "Validations"):
            for one in validations:
                with element("tr"):
                    Text("td", one["model"], "tw-strong")
                    Text("td", one["twin"])
                    with element("td"):
                        moment(one["window"]["from"])
                        Text("span", " to ")
                        moment(one["window"]["to"])
                    Text("td", f"{formats.number(one['metrics'].get('rmse'), 3)}\u00a0{_unit(one['outputs'])}", "n")
                    Text("td", formats.number(one["metrics"].get("skill"), 3), "n")
                    with element("td"):
                        pill("unseen", "good") if one["unseen"] else pill("seen by the fit", "warn")
                    with element("td"):
                        _report_link(one["id"])


def _show_models(models: list[dict[str, Any]]) -> None:
    with card("Models"):
        if not models:
            empty("No models yet", "A model file in models/ describes something that can be run.")
            return
        with table((("Model", ""), ("Kind", ""), ("Inputs", ""), ("Outputs", "")), "Models"):
            for one in models:
                with element("tr"):
                    with element("td"):
                        Text("span", one["name"], "tw-strong")
                        Text("span", f" {one['version']}", "tw-note")
                    Text("td", one["kind"])
                    Text("td", ", ".join(one["inputs"]) or "none")
                    Text("td", ", ".join(one["outputs"]) or "none")


def _report_link(id: str) -> None:
    link = Text("a", "Report", "tw-button")
    link.props["href"] = f"/v1/reports/{id}"
    link.props["target"] = "_blank"
    link.props["rel"] = "noopener"
    link.props["aria-label"] = f"Report {id[:12]}"
