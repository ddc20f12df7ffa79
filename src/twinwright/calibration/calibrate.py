"""Calibration: from a model and a window of history to the body of a parameter set."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from twinwright.calibration.dataset import Dataset
from twinwright.calibration.estimate import FreeParameters, SearchOptions
from twinwright.calibration.evaluation import Evaluation, Known, OutputErrors, baseline_summary, choose_free, evaluate, summary
from twinwright.errors import UsageError
from twinwright.simulation.child import Limits
from twinwright.simulation.definition import ModelDefinition

METHOD = "bounded nonlinear least squares (trust region reflective), intervals robust to autocorrelated errors"
_LIBRARIES = ("twinwright", "numpy", "scipy", "numba")


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fit with its errors on the training part and, where one was kept, on the holdout."""

    evaluation: Evaluation
    free: FreeParameters
    train: dict[str, OutputErrors]
    holdout: dict[str, OutputErrors] | None


def calibrate(
    model: ModelDefinition,
    dataset: Dataset,
    start_values: Mapping[str, float],
    only: Sequence[str] | None,
    options: SearchOptions,
    limits: Limits,
) -> Calibration:
    """Estimate parameters on the training part of a dataset and judge them on the rest. Raises UsageError, ModelError."""
    free = choose_free(model, dataset, only, start_values)
    if not free.names:
        raise UsageError(f"the model {model.name} has no parameters to estimate", remedy="Declare some, with bounds, in the model file")
    dataset.require(len(free.names))
    evaluation = evaluate(model, dataset, Known(start_values), free, options, limits)
    judged = evaluation.judge(dataset.judged) if dataset.judged else None
    return Calibration(evaluation, free, evaluation.judge(dataset.train), judged)


def parameter_set(
    model: ModelDefinition,
    calibration: Calibration,
    start_values: Mapping[str, float],
    *,
    parent: str | None,
    only: Sequence[str] | None,
    options: SearchOptions,
) -> dict[str, Any]:
    """The body of a parameter set: everything that was learned and where it came from, less who, when and how often it was looked at."""
    evaluation, found = calibration.evaluation, calibration.evaluation.found
    dataset = evaluation.dataset
    judged = calibration.holdout or calibration.train
    estimates = _estimates(calibration)
    places = [place for place, name in enumerate(calibration.free.names) if model.parameter(name)]
    state_units = {state.name: state.unit for state in model.states}
    return {
        "model": model.name,
        "model_version": model.version,
        "artefact_digest": model.artefact_digest,
        "twin": dataset.twin,
        "training": dataset.train.as_json(),
        "holdout": dataset.judged.as_json() if dataset.judged else None,
        "data_digest": dataset.digest,
        "parent": parent,
        "only": None if only is None else list(only),
        "fixed": [one.name for one in model.parameters if one.name not in estimates],
        "parameters": {
            one.name: {
                **(estimates.get(one.name) or {"value": float(start_values[one.name]), "low": None, "high": None, "at_bound": False}),
                "unit": one.unit,
                "estimated": one.name in estimates,
                "per": "run" if one.per_run else None,
            }
            for one in model.parameters
        },
        "initial_states": {name: {**estimates[name], "unit": unit} for name, unit in state_units.items() if name in estimates},
        "order": [calibration.free.names[place] for place in places],
        "covariance": np.asarray(found["covariance"])[np.ix_(places, places)].tolist(),
        "deviation": dict(zip(dataset.observed, map(float, found["deviation"]), strict=True)),
        "quantile": float(found["quantile"]),
        "metrics": {
            "train": summary(calibration.train),
            "holdout": summary(calibration.holdout) if calibration.holdout else None,
            "baseline": baseline_summary(judged),
        },
        "outputs": {
            "train": {name: one.as_json() for name, one in calibration.train.items()},
            "holdout": {name: one.as_json() for name, one in calibration.holdout.items()} if calibration.holdout else None,
        },
        "warnings": _warnings(calibration),
        "assumptions": list(model.assumptions),
        "optimiser": {
            "method": METHOD,
            "starts": int(found["starts_run"]),
            "starts_agreeing": int(found["starts_agreeing"]),
            "evaluations": int(found["evaluations"]),
            "converged": bool(found["converged"]),
            "effective_count": float(found["effective_count"]),
            "seconds": evaluation.seconds,
        },
        "seed": options.seed,
        "versions": {name: version(name) for name in _LIBRARIES} | {"python": platform.python_version(), "platform": platform.platform()},
    }


def _estimates(calibration: Calibration) -> dict[str, dict[str, Any]]:
    found = calibration.evaluation.found
    columns = zip(calibration.free.names, found["values"], found["low"], found["high"], found["at_bound"], strict=True)
    return {
        name: {"value": float(value), "low": _number(low), "high": _number(high), "at_bound": bool(stuck)}
        for name, value, low, high, stuck in columns
    }


def _warnings(calibration: Calibration) -> list[str]:
    evaluation = calibration.evaluation
    warnings = [*evaluation.found["findings"], *evaluation.found["warnings"], *evaluation.dataset.notes]
    if calibration.holdout is None:
        warnings.append("no holdout was kept: the errors are those of the data it was fitted to, and it can't be promoted")
    else:
        warnings += [
            f"{name} does not beat the baseline on the holdout (skill {one.metrics.skill:.3f}; {one.baseline.name})"
            for name, one in calibration.holdout.items()
            if one.metrics.skill is not None and one.metrics.skill <= 0
        ]
    for name, one in calibration.train.items():
        correlation = one.diagnostics["autocorrelation"]
        if correlation is not None and correlation > 0.5:
            warnings.append(
                f"the errors of {name} are autocorrelated ({correlation:.2f} from one to the next): the model leaves out something; "
                f"the intervals allow for it ({one.diagnostics['effective_count']:.0f} independent errors of {one.metrics.count})"
            )
    return warnings


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
