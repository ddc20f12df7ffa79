"""Validation: a parameter set (or the declared values) on a window, with every error beside the baseline's.

How a run begins (parameters that are `per: run`) belongs to the run and not to the model, so it is estimated anew from a *warm-up*: data
before the window, or, where there are none, the first part of it, which is then left out of the errors. A state that starts where it
was observed needs no warm-up: the run begins with the window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinwright.calibration.dataset import MIN_TRAIN, MIN_TRAIN_PER_PARAMETER, Dataset, Window, build
from twinwright.calibration.estimate import SearchOptions
from twinwright.calibration.evaluation import (
    NOTHING_FREE,
    Evaluation,
    Known,
    OutputErrors,
    baseline_summary,
    choose_free,
    evaluate,
    summary,
)
from twinwright.clock import SECOND
from twinwright.errors import UsageError
from twinwright.governance.principals import Principal
from twinwright.simulation.child import Limits
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.parameters import in_own_units
from twinwright.simulation.scenario import Quantity
from twinwright.twins.series import SeriesReader

WARM_UP_STEPS = 100  # at least this long before the window, where there are data
WARM_UP_SHARE = 0.5  # of the window's length, before it
WARM_UP_WITHIN = 0.2  # of the window itself, where there are no data before it


@dataclass(frozen=True, slots=True)
class Validation:
    """The errors of a model by output over `window`; `warm_up` is the window from which the run's beginning was estimated."""

    evaluation: Evaluation
    window: Window
    warm_up: Window | None
    judged: dict[str, OutputErrors]
    warnings: tuple[str, ...]


def known_of(model: ModelDefinition, parameter_set: Mapping[str, Any] | None) -> Known:
    """The values of a parameter set with what is known of their uncertainty, or the declared ones. Raises UnitError.

    What was learned of another artefact gives only start values: its parameters and errors may mean something else here.
    """
    if parameter_set is None:
        return Known(model.defaults())
    stored = {name: one for name, one in parameter_set["parameters"].items() if model.parameter(name)}
    values = model.defaults() | in_own_units(model, {name: Quantity(one["value"], one["unit"]) for name, one in stored.items()})
    if parameter_set["artefact_digest"] != model.artefact_digest:
        return Known(values)
    lasting = [(place, name) for place, name in enumerate(parameter_set["order"]) if _lasts(model, name)]
    places = [place for place, _ in lasting]
    covariance = np.asarray(parameter_set["covariance"], dtype=np.float64)[np.ix_(places, places)] if places else np.zeros((0, 0))
    return Known(values, [name for _, name in lasting], covariance.tolist(), parameter_set["deviation"], parameter_set["quantile"])


def _lasts(model: ModelDefinition, name: str) -> bool:
    parameter = model.parameter(name)
    return parameter is not None and not parameter.per_run


def validate(
    reader: SeriesReader,
    principal: Principal,
    model: ModelDefinition,
    twin: str,
    start: int | None,
    end: int | None,
    known: Known,
    options: SearchOptions,
    limits: Limits,
) -> Validation:
    """Run a model over a window and measure its errors there. Raises UsageError, NotFoundError, ModelError."""
    begins = [one.name for one in model.parameters if one.per_run]
    dataset, warnings = _dataset(reader, principal, model, twin, start, end, begins)
    free = choose_free(model, dataset, begins, known.values) if begins else NOTHING_FREE
    evaluation = evaluate(model, dataset, known, free, options, limits)
    window = dataset.judged or dataset.train
    judged = evaluation.judge(window)
    notes = (*warnings, *evaluation.found["warnings"], *dataset.notes)
    return Validation(evaluation, window, dataset.train if begins else None, judged, notes)


def _dataset(
    reader: SeriesReader,
    principal: Principal,
    model: ModelDefinition,
    twin: str,
    start: int | None,
    end: int | None,
    begins: Sequence[str],
) -> tuple[Dataset, list[str]]:
    if not begins:
        dataset = build(reader, principal, model, twin, start, end)
        last = dataset.train.end
        ready = dataset.split_at(dataset.origin, last)
        ready.require(0)
        return ready, []
    needed = max(MIN_TRAIN, MIN_TRAIN_PER_PARAMETER * len(begins))
    if start is not None:
        dataset = build(reader, principal, model, twin, start, end, look_back=_look_back(model, start, end))
        if dataset.train.end > start and dataset.count(Window(dataset.origin, start)) >= needed:
            ready = dataset.split_at(start, dataset.train.end)
            ready.require(len(begins))
            return ready, []
    dataset = build(reader, principal, model, twin, start, end)
    ready = dataset.split(1 - WARM_UP_WITHIN)
    ready.require(len(begins))
    warning = (
        f"too little was observed before the window to estimate how the run begins ({', '.join(begins)}): "
        f"the first {WARM_UP_WITHIN:.0%} of the window was used for that and is left out of the errors"
    )
    return ready, [warning]


def _look_back(model: ModelDefinition, start: int, end: int | None) -> int:
    if end is not None and end <= start:
        raise UsageError("the window ends before it begins", remedy="Give --from before --to")
    length = 0 if end is None else end - start
    return max(round(WARM_UP_STEPS * model.step * SECOND), round(WARM_UP_SHARE * length))


def validation_body(
    model: ModelDefinition, validation: Validation, parameter_set: Mapping[str, Any] | None, unseen: bool
) -> dict[str, Any]:
    """What a validation stores, less who, when and how often the window was looked at."""
    warnings = list(validation.warnings)
    if not unseen:
        warnings.append("the window overlaps data that the fit saw: these errors are no evidence of how the model does on new data")
    return {
        "model": model.name,
        "model_version": model.version,
        "artefact_digest": model.artefact_digest,
        "twin": validation.evaluation.dataset.twin,
        "parameter_set": None if parameter_set is None else parameter_set["id"],
        "window": validation.window.as_json(),
        "warm_up": validation.warm_up.as_json() if validation.warm_up else None,
        "data_digest": validation.evaluation.dataset.digest,
        "unseen": unseen,
        "metrics": summary(validation.judged),
        "baseline": baseline_summary(validation.judged),
        "outputs": {name: one.as_json() for name, one in validation.judged.items()},
        "warnings": warnings,
        "assumptions": list(model.assumptions),
        "seconds": validation.evaluation.seconds,
    }
