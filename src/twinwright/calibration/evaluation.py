"""One trip to the child process and back: a model run over a dataset, its predictions beside the observations, and the errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinwright.calibration.baseline import Baseline, persistence
from twinwright.calibration.dataset import Dataset, Observed, Window
from twinwright.calibration.estimate import FreeParameters, SearchOptions
from twinwright.calibration.metrics import Array, Metrics, combine, measure
from twinwright.calibration.residuals import bootstrap_rmse, diagnose
from twinwright.errors import UsageError
from twinwright.simulation.child import Failure, Limits, run_in_child
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import ModelError

ENTRY = "twinwright.calibration.fit:run"  # by name: this process need not load what the child works with
PREPARE = "twinwright.simulation.worker:prepare"  # a model that was run before is compiled already


@dataclass(frozen=True, slots=True)
class Known:
    """Parameter values that are not estimated here: all of them by name, and the covariance (in `order`) of those that once were.

    `deviation` is the residual deviation of each output in its unit, `quantile` that of the prediction band; None where not known.
    """

    values: Mapping[str, float]
    order: Sequence[str] = ()
    covariance: Sequence[Sequence[float]] = ()
    deviation: Mapping[str, float] | None = None
    quantile: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came back: `found` is the answer of `fit.run`; predictions and half-widths of the band are by output."""

    dataset: Dataset
    found: dict[str, Any]
    predictions: dict[str, Array]
    half_band: dict[str, Array] | None
    seconds: float

    def judge(self, window: Window) -> dict[str, OutputErrors]:
        """The errors of every output that was observed in a window."""
        judged = {}
        for name, observed in self.dataset.observed.items():
            part = observed.within(window)
            if part.stop == part.start:
                continue
            half = self.half_band[name][part] if self.half_band else np.full(part.stop - part.start, np.nan)
            previous = self.dataset.previous.get(name)
            baseline = persistence(observed.times, observed.values, window.start, window.end, previous=previous)
            judged[name] = OutputErrors.of(observed, part, self.predictions[name][part], half, baseline)
        return judged


@dataclass(frozen=True, slots=True)
class OutputErrors:
    """One output over one window, observed and predicted at `times` (microseconds), in `unit`."""

    times: NDArray[np.int64]
    observed: Array
    predicted: Array
    low: Array
    high: Array
    unit: str | None
    baseline: Baseline
    metrics: Metrics
    rmse_interval: tuple[float, float] | None
    diagnostics: dict[str, Any]

    @classmethod
    def of(cls, observed: Observed, part: slice, predicted: Array, half: Array, baseline: Baseline) -> OutputErrors:
        values, low, high = observed.values[part], predicted - half, predicted + half
        metrics = measure(values, predicted, baseline=baseline.values, low=low, high=high)
        errors = (predicted - values)[np.isfinite(predicted)]
        interval, diagnostics = bootstrap_rmse(errors), diagnose(errors)
        return cls(observed.times[part], values, predicted, low, high, observed.unit, baseline, metrics, interval, diagnostics)

    def as_json(self) -> dict[str, Any]:
        """Metrics with the interval of the RMSE (95 %, block bootstrap), the baseline's and the residuals' own."""
        return {
            "unit": self.unit,
            "metrics": self.metrics.as_json() | {"rmse_interval": _listed(self.rmse_interval)},
            "baseline": {"name": self.baseline.name, **measure(self.observed, self.baseline.values).as_json()},
            "residuals": self.diagnostics,
        }


def summary(judged: Mapping[str, OutputErrors]) -> dict[str, Any]:
    """One row of metrics for a window; see `metrics.combine` for several outputs."""
    interval = next(iter(judged.values())).rmse_interval if len(judged) == 1 else None
    return combine({name: one.metrics for name, one in judged.items()}).as_json() | {"rmse_interval": _listed(interval)}


def baseline_summary(judged: Mapping[str, OutputErrors]) -> dict[str, Any]:
    """The baseline's own row, with its name."""
    name = next(iter(judged.values())).baseline.name
    return {"name": name, **combine({key: measure(one.observed, one.baseline.values) for key, one in judged.items()}).as_json()}


def evaluate(
    model: ModelDefinition, dataset: Dataset, known: Known, free: FreeParameters, options: SearchOptions, limits: Limits
) -> Evaluation:
    """Fit `free` (if any) on the training part in a child process, and predict the whole dataset. Raises ModelError."""
    names = list(dataset.observed)
    columns = [port.name for port in model.outputs]
    definition = model.as_data()
    payload = {
        "definition": definition,
        "inputs": dataset.inputs,
        "step": dataset.step,
        "columns": [columns.index(name) for name in names],
        "seconds": [dataset.seconds(name) for name in names],
        "values": [dataset.observed[name].values for name in names],
        "trained": [dataset.observed[name].within(dataset.train).stop for name in names],
        "states": [state.name for state in model.states],
        "parameters": dict(known.values),
        "state_starts": dict(dataset.state_starts),
        "known": {
            "names": list(known.order),
            "values": [known.values[name] for name in known.order],
            "covariance": [list(row) for row in known.covariance],
            "deviation": [known.deviation[name] for name in names] if known.deviation and set(names) <= set(known.deviation) else None,
            "quantile": known.quantile,
        },
        "free": {"names": list(free.names), "start": free.start, "low": free.low, "high": free.high},
        "options": asdict(options),
    }
    outcome = run_in_child(ENTRY, payload, limits=limits, files=model.artefacts, prepare=PREPARE, prepare_payload={"model": definition})
    if isinstance(outcome, Failure):
        raise ModelError(
            outcome.kind,
            f"the model {model.name} failed while it was run on the data of {dataset.twin} ({outcome.kind}): {outcome.message}",
            remedy="Run one scenario of it with `twinwright simulate` to see where, or narrow the bounds of its parameters",
        )
    found = outcome.result
    if not _is_sound(found, [one.times.size for one in dataset.observed.values()], len(free.names)):
        raise ModelError(
            "refused",
            f"what came back from the run of {model.name} on the data of {dataset.twin} is not an answer to what was asked",
            remedy="Its code must leave the process that runs it alone",
        )
    half = dict(zip(names, found["half_band"], strict=True)) if "half_band" in found else None
    return Evaluation(dataset, found, dict(zip(names, found["predictions"], strict=True)), half, outcome.cost.wall_seconds)


def _is_sound(found: Any, sizes: list[int], free: int) -> bool:
    """The child ran code that is not ours: only what has the shape and type that was asked for goes further."""
    if not isinstance(found, dict) or not _all_of(str, found.get("warnings")):
        return False
    deviation = found.get("deviation")
    if deviation is not None and not (_all_of(float, deviation) and len(deviation) == len(sizes)):
        return False
    each = [name for name in ("predictions", "half_band") if name in found or name == "predictions"]
    if not all(isinstance(found.get(name), list) and len(found[name]) == len(sizes) for name in each):
        return False
    shaped: list[tuple[Any, tuple[int, ...]]] = [(one, (size,)) for name in each for one, size in zip(found[name], sizes, strict=True)]
    if free:
        if deviation is None or not _all_of(str, found.get("findings")) or not _all_of(float, [found.get(name) for name in _NUMBERS]):
            return False
        shaped += [(found.get(name), (free,)) for name in ("values", "low", "high", "at_bound")]
        shaped.append((found.get("covariance"), (free, free)))
    if not all(isinstance(one, np.ndarray) and one.shape == shape and one.dtype.kind in "fb" for one, shape in shaped):
        return False
    finite = [*found["predictions"], *([found["values"], found["covariance"]] if free else [])]
    return all(bool(np.isfinite(one).all()) for one in finite)


_NUMBERS = ("quantile", "effective_count", "starts_run", "starts_agreeing", "evaluations", "converged")


def _all_of(kind: type, values: Any) -> bool:
    """A list of text, or of finite numbers."""
    if not isinstance(values, list):
        return False
    if kind is str:
        return all(isinstance(one, str) for one in values)
    return all(isinstance(one, int | float) and bool(np.isfinite(one)) for one in values)


def choose_free(model: ModelDefinition, dataset: Dataset, only: Sequence[str] | None, values: Mapping[str, float]) -> FreeParameters:
    """What to estimate. Without `only`: every parameter with bounds, every one that is `per: run`, and all if that is none.

    `only` may also name a state, whose start is then estimated. Raises UsageError for a name that is neither.
    """
    parameters = {one.name: one for one in model.parameters}
    states = {one.name: one for one in model.states}
    if only is None:
        chosen = [name for name, one in parameters.items() if one.bounds is not None or one.per_run] or list(parameters)
    else:
        unknown = [name for name in only if name not in parameters and name not in states]
        if unknown:
            names = ", ".join([*parameters, *states]) or "it has none"
            raise UsageError(f"the model {model.name} has no parameter {', '.join(unknown)}", where="only", remedy=f"Name some of: {names}")
        chosen = list(dict.fromkeys(only))
    start, low, high = [], [], []
    for name in chosen:
        bounds = parameters[name].bounds if name in parameters else None
        start.append(values[name] if name in parameters else _state_start(name, states[name].start, dataset))
        low.append(-np.inf if bounds is None or bounds[0] is None else bounds[0])
        high.append(np.inf if bounds is None or bounds[1] is None else bounds[1])
    return FreeParameters(tuple(chosen), np.array(start, dtype=np.float64), np.array(low), np.array(high))


NOTHING_FREE = FreeParameters((), np.zeros(0), np.zeros(0), np.zeros(0))


def _state_start(name: str, start: float | str | None, dataset: Dataset) -> float:
    if isinstance(start, str):
        raise UsageError(f"the state '{name}' starts from the parameter '{start}'", where="only", remedy=f"Name {start} instead")
    return dataset.state_starts[name] if start is None else start


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)
