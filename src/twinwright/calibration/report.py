"""Reports: one HTML file each, with nothing fetched from anywhere, for people who decide whether to trust a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from twinwright.calibration.calibrate import Calibration
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
    return _page(
        title=f"Calibration of {body['model']} on {body['twin']}",
        verdict=verdict,
        good=good,
        tiles=_tiles(outputs),
        sections=[
            *_figure_sections(tracks),
            ("Parameters", _parameter_table(body)),
            ("Errors", _metrics_table(columns, outputs)),
            ("Warnings", _list(body["warnings"], "Nothing to warn of.")),
            ("Assumptions of the model", _list(body["assumptions"], "The model declares none.")),
            ("Where it comes from", _provenance(_set_facts(body))),
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
    return _page(
        title=f"Validation of {body['model']} on {body['twin']}",
        verdict=verdict,
        good=good,
        tiles=_tiles(body["outputs"]),
        sections=[
            *_figure_sections(tracks),
            ("Errors", _metrics_table({"Window": body["outputs"]}, body["outputs"])),
            *parameters,
            ("Warnings", _list(body["warnings"], "Nothing to warn of.")),
            ("Assumptions of the model", _list(body["assumptions"], "The model declares none.")),
            ("Where it comes from", _provenance(_validation_facts(body))),
        ],
    )


def _verdict(outputs: Mapping[str, Any], where: str | None) -> tuple[str, bool]:
    """The headline in plain words, and whether it is good news: only errors on unseen data can be."""
    name, worst = min(outputs.items(), key=lambda item: -np.inf if item[1]["metrics"]["skill"] is None else item[1]["metrics"]["skill"])
    metrics, unit = worst["metrics"], worst["unit"]
    typical = f"its typical error in {name} is {_quantity(metrics['rmse'], unit)}"
    if where is None:
        return f"Not validated: {typical}, but on data that the fit saw.", False
    against = f"against {_quantity(worst['baseline']['rmse'], unit)} for holding the last value (skill {_number(metrics['skill'])})"
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
        between = f"95 %: {_number(interval[0])} to {_number(interval[1])}" if interval else "too few for an interval"
        tiles += [
            (f"RMSE of {name}", _quantity(metrics["rmse"], one["unit"]), between),
            (f"Skill of {name}", _number(metrics["skill"]), "0: as the baseline, 1: perfect"),
            (f"Fit of {name}", f"{_number(metrics['fit'])} %", "100 % is perfect"),
            (f"Inside the band, {name}", _share(metrics["coverage"]), "95 % is intended"),
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
        between = f"{_number(one['low'])} to {_number(one['high'])}" if one["low"] is not None else "none"
        how = "at its bound" if one.get("at_bound") else "estimated" if one["estimated"] else "fixed"
        rows.append([name, _number(one["value"]), between, one["unit"] or "", how])
    return _table(["Parameter", "Value", "95 % interval", "Unit", ""], rows, numeric={1, 2})


def _metrics_table(columns: Mapping[str, Mapping[str, Any]], judged: Mapping[str, Any]) -> str:
    tables = []
    for name, last in judged.items():
        shown = {title: column[name] for title, column in columns.items() if name in column}
        rows = [
            [f"{label} [{last['unit']}]" if with_unit and last["unit"] else label]
            + [_number(one["metrics"][key]) for one in shown.values()]
            + [_number(last["baseline"][key])]
            for key, label, with_unit in _METRICS
        ]
        rows.append(["Observations"] + [str(one["metrics"]["count"]) for one in shown.values()] + [str(last["baseline"]["count"])])
        table = _table([name, *shown, "Baseline"], rows, numeric=set(range(1, len(shown) + 2)))
        floor, out = last["metrics"]["mape_floor"], last["metrics"]["mape_left_out"]
        note = f"Baseline: {last['baseline']['name']}. "
        note += f"The percentage error leaves out {out} observations nearer to zero than {_number(floor)}."
        residual = last["residuals"]
        if residual["autocorrelation"] is not None:
            note += (
                f" Errors: autocorrelation {_number(residual['autocorrelation'])} from one to the next, "
                f"{_number(residual['effective_count'])} independent ones of {last['metrics']['count']}, "
                f"Ljung-Box p {_number(residual['ljung_box_p'])}."
            )
        tables.append(table + f'<p class="note">{escape(note)}</p>')
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
            f"{optimiser['evaluations']} runs of the model in {_number(optimiser['seconds'])} s, seed {body['seed']}",
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


def _page(*, title: str, verdict: str, good: bool, tiles: Sequence[tuple[str, str, str]], sections: Sequence[tuple[str, str]]) -> str:
    style = files("twinwright.calibration").joinpath("report.css").read_text(encoding="utf-8")
    cards = "".join(
        f'<div class="tile"><div class="what">{escape(what)}</div><div class="number">{escape(number)}</div>'
        f'<div class="note">{escape(note)}</div></div>'
        for what, number, note in tiles
    )
    body = "".join(f"<section><h2>{escape(heading)}</h2>{content}</section>" for heading, content in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title><style>{style}</style></head><body><main>'
        f'<header><h1>{escape(title)}</h1><p class="verdict {"good" if good else "bad"}">{escape(verdict)}</p></header>'
        f'<div class="tiles">{cards}</div>{body}</main></body></html>\n'
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: set[int]) -> str:
    def cell(tag: str, column: int, text: str) -> str:
        kind = ' class="n"' if column in numeric else ""
        return f"<{tag}{kind}>{escape(text)}</{tag}>"

    header = "".join(cell("th", column, text) for column, text in enumerate(head))
    lines = "".join("<tr>" + "".join(cell("td", column, text) for column, text in enumerate(row)) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{header}</tr></thead><tbody>{lines}</tbody></table></div>'


def _provenance(facts: Sequence[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts) + "</dl>"


def _list(items: Sequence[str], empty: str) -> str:
    if not items:
        return f'<p class="note">{escape(empty)}</p>'
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def _quantity(value: float | None, unit: str | None) -> str:
    return f"{_number(value)} {unit}" if unit and value is not None else _number(value)


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.0f} %"


def _number(value: float | None) -> str:
    """Four significant figures; a dash where there is no number."""
    return "–" if value is None else f"{value:.4g}"
