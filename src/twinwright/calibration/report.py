"""Reports: one HTML file each, with nothing fetched from anywhere, for people who decide whether to trust a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from twinwright.calibration.calibrate import Calibration
from twinwright.calibration.page import facts, listed, number, page, quantity, share, table
from twinwright.calibration.plots import Track, figures
from twinwright.calibration.validate import Validation

_METRICS = (
    ("rmse", "RMSE", True),
    ("mae", "Mean absolute error", True),
    ("bias", "Bias (simulated less observed)", True),
    ("nrmse", "RMSE over the observed range", False),
    ("mape", "Mean absolute percentage error [%]", False),
    ("r2", "R²", False),
    ("fit", "Fit [%]", False),
    ("skill", "Skill over the baseline", False),
    ("coverage", "Share inside the prediction band", False),
)


def calibration_report(body: Mapping[str, Any], calibration: Calibration) -> str:
    """The report of a parameter set. Raises MissingExtraError."""
    dataset = calibration.evaluation.dataset
    parts = [calibration.train] + ([calibration.holdout] if calibration.holdout else [])
    tracks = [
        Track(
            label=name,
            unit=observed.unit,
            times=np.concatenate([part[name].times for part in parts if name in part]),
            observed=np.concatenate([part[name].observed for part in parts if name in part]),
            predicted=np.concatenate([part[name].predicted for part in parts if name in part]),
            low=np.concatenate([part[name].low for part in parts if name in part]),
            high=np.concatenate([part[name].high for part in parts if name in part]),
            kept_from=dataset.judged.start if dataset.judged else None,
        )
        for name, observed in dataset.observed.items()
    ]
    outputs = body["outputs"]["holdout"] or body["outputs"]["train"]
    columns = {"Training": body["outputs"]["train"], **({"Holdout": body["outputs"]["holdout"]} if body["holdout"] else {})}
    verdict, good = _verdict(outputs, "data the fit did not see" if body["holdout"] else None)
    return page(
        title=f"Calibration of {body['model']} on {body['twin']}",
        verdict=verdict,
        good=good,
        tiles=_tiles(outputs),
        sections=[
            *_figure_sections(tracks),
            ("Parameters", _parameter_table(body)),
            ("Errors", _metrics_table(columns, outputs)),
            ("Warnings", listed(body["warnings"], "Nothing to warn of.")),
            ("Assumptions of the model", listed(body["assumptions"], "The model declares none.")),
            ("Where it comes from", facts(_set_facts(body))),
        ],
    )


def validation_report(body: Mapping[str, Any], validation: Validation, parameter_set: Mapping[str, Any] | None) -> str:
    """The report of a validation. Raises MissingExtraError."""
    tracks = [
        Track(
            name, one.unit, one.times, one.observed, one.predicted, one.low, one.high, validation.window.start if body["unseen"] else None
        )
        for name, one in validation.judged.items()
    ]
    verdict, good = _verdict(body["outputs"], "this window" if body["unseen"] else None)
    parameters = [("Parameters", _parameter_table(parameter_set))] if parameter_set else []
    return page(
        title=f"Validation of {body['model']} on {body['twin']}",
        verdict=verdict,
        good=good,
        tiles=_tiles(body["outputs"]),
        sections=[
            *_figure_sections(tracks),
            ("Errors", _metrics_table({"Window": body["outputs"]}, body["outputs"])),
            *parameters,
            ("Warnings", listed(body["warnings"], "Nothing to warn of.")),
            ("Assumptions of the model", listed(body["assumptions"], "The model declares none.")),
            ("Where it comes from", facts(_validation_facts(body))),
        ],
    )


def _verdict(outputs: Mapping[str, Any], where: str | None) -> tuple[str, bool]:
    """The headline in plain words, and whether it is good news: only errors on unseen data can be."""
    name, worst = min(outputs.items(), key=lambda item: -np.inf if item[1]["metrics"]["skill"] is None else item[1]["metrics"]["skill"])
    metrics, unit = worst["metrics"], worst["unit"]
    typical = f"its typical error in {name} is {quantity(metrics['rmse'], unit)}"
    if where is None:
        return f"Not validated: {typical}, but on data that the fit saw.", False
    against = f"against {quantity(worst['baseline']['rmse'], unit)} for holding the last value (skill {number(metrics['skill'])})"
    if metrics["skill"] is None:
        return f"On {where} {typical}; the baseline has no error to compare with.", False
    if metrics["skill"] <= 0:
        return f"No better than a naive guess: on {where} {typical}, {against}.", False
    return f"Better than a naive guess on {where}: {typical}, {against}.", True


def _tiles(outputs: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    tiles = []
    for name, one in outputs.items():
        metrics = one["metrics"]
        interval = metrics["rmse_interval"]
        between = f"95 %: {number(interval[0])} to {number(interval[1])}" if interval else "too few for an interval"
        tiles += [
            (f"RMSE of {name}", quantity(metrics["rmse"], one["unit"]), between),
            (f"Skill of {name}", number(metrics["skill"]), "0: as the baseline, 1: perfect"),
            (f"Fit of {name}", f"{number(metrics['fit'])} %", "100 % is perfect"),
            (f"Inside the band, {name}", share(metrics["coverage"]), "95 % is intended"),
        ]
    return tiles


def _figure_sections(tracks: Sequence[Track]) -> list[tuple[str, str]]:
    sections = []
    for track, (over_time, errors, correlation) in zip(tracks, figures(tracks), strict=True):
        sections += [
            (f"{track.label}: observed and simulated", over_time),
            (f"{track.label}: error over time", errors),
            (f"{track.label}: autocorrelation of the error", correlation + _CORRELOGRAM_NOTE),
        ]
    return sections


_CORRELOGRAM_NOTE = (
    '<p class="note">Bars outside the shaded limits mean that errors hang together: the model leaves something out. '
    "Intervals and the effective number of errors allow for it.</p>"
)


def _parameter_table(body: Mapping[str, Any]) -> str:
    rows = []
    starts = {f"{name} at the start": {**one, "estimated": True} for name, one in body["initial_states"].items()}
    for name, one in {**body["parameters"], **starts}.items():
        between = f"{number(one['low'])} to {number(one['high'])}" if one["low"] is not None else "none"
        how = "at its bound" if one.get("at_bound") else "estimated" if one["estimated"] else "fixed"
        rows.append([name, number(one["value"]), between, one["unit"] or "", how])
    return table(["Parameter", "Value", "95 % interval", "Unit", ""], rows, numeric={1, 2})


def _metrics_table(columns: Mapping[str, Mapping[str, Any]], judged: Mapping[str, Any]) -> str:
    tables = []
    for name, last in judged.items():
        shown = {title: column[name] for title, column in columns.items() if name in column}
        rows = [
            [f"{label} [{last['unit']}]" if with_unit and last["unit"] else label]
            + [number(one["metrics"][key]) for one in shown.values()]
            + [number(last["baseline"][key])]
            for key, label, with_unit in _METRICS
        ]
        rows.append(["Observations"] + [str(one["metrics"]["count"]) for one in shown.values()] + [str(last["baseline"]["count"])])
        errors = table([name, *shown, "Baseline"], rows, numeric=set(range(1, len(shown) + 2)))
        floor, out = last["metrics"]["mape_floor"], last["metrics"]["mape_left_out"]
        note = f"Baseline: {last['baseline']['name']}. "
        note += f"The percentage error leaves out {out} observations nearer to zero than {number(floor)}."
        residual = last["residuals"]
        if residual["autocorrelation"] is not None:
            note += (
                f" Errors: autocorrelation {number(residual['autocorrelation'])} from one to the next, "
                f"{number(residual['effective_count'])} independent ones of {last['metrics']['count']}, "
                f"Ljung-Box p {number(residual['ljung_box_p'])}."
            )
        tables.append(errors + f'<p class="note">{escape(note)}</p>')
    return "".join(tables)


def _set_facts(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    holdout = body["holdout"]
    optimiser = body["optimiser"]
    return [
        ("Parameter set", body["id"]),
        ("Model", f"{body['model']} {body['model_version']}, artefact {body['artefact_digest'][:16]}"),
        ("Training window", f"{body['training']['from']} to {body['training']['to']}"),
        ("Holdout", f"{holdout['from']} to {holdout['to']}, looked at {_times(body['looks'])}" if holdout else "none"),
        ("Data", f"SHA-256 {body['data_digest'][:16]}"),
        ("Started from", body["parent"] or "the declared values"),
        (
            "Optimiser",
            f"{optimiser['method']}; {optimiser['starts']} starts, {optimiser['starts_agreeing']} of them at this minimum, "
            f"{optimiser['evaluations']} runs of the model in {number(optimiser['seconds'])} s, seed {body['seed']}",
        ),
        ("Versions", ", ".join(f"{name} {number}" for name, number in body["versions"].items())),
        ("Made", f"{body['created']} by {body['by']}"),
    ]


def _validation_facts(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    warm_up = body["warm_up"]
    return [
        ("Validation", body["id"]),
        ("Model", f"{body['model']} {body['model_version']}, artefact {body['artefact_digest'][:16]}"),
        ("Parameters", body["parameter_set"] or "the declared values"),
        ("Window", f"{body['window']['from']} to {body['window']['to']}, looked at {_times(body['looks'])}"),
        ("Warm-up", f"{warm_up['from']} to {warm_up['to']}, to estimate how the run begins" if warm_up else "none"),
        ("Data", f"SHA-256 {body['data_digest'][:16]}"),
        ("Made", f"{body['created']} by {body['by']}"),
    ]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
