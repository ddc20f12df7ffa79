"""What runs in the child process: the model's code, called in a loop by the search. Everything in and out is plain data and arrays.

The whole search is in one child, so that a compiled model is called thousands of times without crossing a process boundary. Starts are
not spread over several children: compiling costs each of them more than a search of some thousand compiled runs takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twinwright.calibration.estimate import FreeParameters, Optimum, SearchOptions, search
from twinwright.calibration.metrics import Array
from twinwright.calibration.uncertainty import LEVEL, Uncertainty, assess
from twinwright.simulation import worker
from twinwright.simulation.protocol import ModelError, SimulationModel


class Problem:
    """A model with its data: what it predicts at the observations for given values of the free parameters.

    Names of free values are parameters or, where the start of a state is estimated, states.
    """

    def __init__(self, model: SimulationModel, payload: Mapping[str, Any]) -> None:
        self.model = model
        self.parameters: dict[str, float] = payload["parameters"]
        self.state_starts: dict[str, float] = payload["state_starts"]
        self.states = frozenset(payload["states"])
        self.inputs = np.asarray(payload["inputs"], dtype=np.float64)
        self.grid: Array = np.arange(self.inputs.shape[0], dtype=np.float64) * float(payload["step"])
        self.columns: list[int] = payload["columns"]
        self.seconds = [np.asarray(one, dtype=np.float64) for one in payload["seconds"]]
        self.values = [np.asarray(one, dtype=np.float64) for one in payload["values"]]
        self.trained: list[int] = payload["trained"]  # how many observations of each output, from the first, are for training
        self.scales = [_scale(values[:count]) for values, count in zip(self.values, self.trained, strict=True)]

    def predict(self, free: Mapping[str, float], until: float) -> list[Array]:
        """The outputs at their observation times up to `until` (seconds). Raises ModelError."""
        parameters = self.parameters | {name: value for name, value in free.items() if name not in self.states}
        starts = self.state_starts | {name: value for name, value in free.items() if name in self.states}
        count = min(int(np.searchsorted(self.grid, until)) + 1, self.grid.size)
        outputs = self.model.advance(self.model.initial(parameters, starts), self.grid[:count], self.inputs[:count]).outputs
        return [
            np.interp(seconds[seconds <= until], self.grid[:count], outputs[:, column])
            for seconds, column in zip(self.seconds, self.columns, strict=True)
        ]

    def train_until(self) -> float:
        """The last time that training looks at."""
        return max((float(s[count - 1]) for s, count in zip(self.seconds, self.trained, strict=True) if count), default=0.0)

    def residuals(self, free: Mapping[str, float], until: float) -> Array:
        """Predicted less observed over the training part, each output in its own spread; NaN throughout where the model diverges."""
        try:
            predictions = self.predict(free, until)
        except ModelError as error:
            if error.kind != "nan":
                raise
            return np.full(sum(self.trained), np.nan)
        parts = zip(predictions, self.values, self.trained, self.scales, strict=True)
        return np.concatenate([(p[:count] - y[:count]) / scale for p, y, count, scale in parts])

    def predict_all(self, free: Mapping[str, float]) -> Array:
        """Every output over everything observed, one after the other."""
        return np.concatenate(self.predict(free, float(self.grid[-1])))


def _scale(values: Array) -> float:
    spread = float(np.std(values)) if values.size else 0.0
    return spread if spread > 0 else 1.0


def run(payload: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Fit the free parameters (if any) on the training part and predict everything, with the prediction band. Raises ModelError."""
    model = worker.model(payload["definition"], folder)
    problem = Problem(model, payload)
    result: dict[str, Any] = {"warnings": list(model.warnings)}
    known = payload["known"]
    names, values, covariance = list(known["names"]), list(known["values"]), np.asarray(known["covariance"], dtype=np.float64)
    covariance = covariance.reshape(len(names), len(names))
    deviation = known["deviation"]
    if payload["free"]["names"]:
        free = _free(payload["free"])
        optimum = _search(problem, free, SearchOptions(**payload["options"]))
        uncertainty = assess(optimum, free, [count for count in problem.trained if count])
        result |= _findings(optimum, uncertainty)
        names, values = [*names, *free.names], [*values, *optimum.values.tolist()]
        covariance = _block_diagonal(covariance, uncertainty.covariance)
        deviation = deviation or _in_units(uncertainty.deviation, problem)
    at = dict(zip(names, values, strict=True))
    predicted = problem.predict_all(at)
    sizes = np.cumsum([seconds.size for seconds in problem.seconds])[:-1]
    result["predictions"] = np.split(predicted, sizes)
    result["deviation"] = deviation
    if deviation is not None:
        spread = np.split(_parameter_variance(problem, at, predicted, covariance), sizes)
        quantile = float(known["quantile"] or result["quantile"])
        result["half_band"] = [quantile * np.sqrt(variance + noise**2) for variance, noise in zip(spread, deviation, strict=True)]
        result["band_level"] = LEVEL
    return result


def _free(data: Mapping[str, Any]) -> FreeParameters:
    low, high = (np.asarray(data[side], dtype=np.float64) for side in ("low", "high"))
    return FreeParameters(tuple(data["names"]), np.asarray(data["start"], dtype=np.float64), low, high)


def _search(problem: Problem, free: FreeParameters, options: SearchOptions) -> Optimum:
    until = problem.train_until()

    def residuals(values: Array) -> Array:
        return problem.residuals(dict(zip(free.names, values.tolist(), strict=True)), until)

    return search(residuals, free, options)


def _findings(optimum: Optimum, uncertainty: Uncertainty) -> dict[str, Any]:
    return {
        "values": optimum.values,
        "low": uncertainty.low,
        "high": uncertainty.high,
        "covariance": uncertainty.covariance,
        "quantile": uncertainty.quantile,
        "effective_count": uncertainty.effective_count,
        "at_bound": optimum.at_bound,
        "converged": optimum.converged,
        "starts_run": optimum.starts_run,
        "starts_agreeing": optimum.starts_agreeing,
        "evaluations": optimum.evaluations,
        "findings": list(uncertainty.warnings),
    }


def _in_units(deviation: Array, problem: Problem) -> list[float]:
    """The residual deviation of each output in its unit; an output without training data takes its own spread."""
    found = iter(deviation.tolist())
    return [next(found) * scale if count else scale for count, scale in zip(problem.trained, problem.scales, strict=True)]


def _block_diagonal(first: Array, second: Array) -> Array:
    size = first.shape[0] + second.shape[0]
    joined = np.zeros((size, size))
    joined[: first.shape[0], : first.shape[0]] = first
    joined[first.shape[0] :, first.shape[0] :] = second
    return joined


def _parameter_variance(problem: Problem, at: dict[str, float], predicted: Array, covariance: Array) -> Array:
    """What the uncertainty of the parameters adds to each prediction.

    The model is run one standard deviation to either side along each principal direction of the covariance, and the squared
    half-differences are summed: exact for a linear model, and unlike a derivative not thrown by a switch inside the model. (Sigma
    points: Julier & Uhlmann, "Unscented filtering and nonlinear estimation", Proc. IEEE 92 (2004).)
    """
    total = np.zeros_like(predicted)
    if not at:
        return total
    spread = np.sqrt(np.diag(covariance).clip(min=0))
    scale = np.where(spread > 0, spread, 1.0)
    lengths, directions = np.linalg.eigh(covariance / np.outer(scale, scale))
    for length, direction in zip(lengths, directions.T, strict=True):
        if length > 1e-12:
            total += _half_difference(problem, at, predicted, np.sqrt(length) * direction * spread) ** 2
    return total


def _half_difference(problem: Problem, at: dict[str, float], predicted: Array, shift: Array) -> Array:
    """Half of what lies between the predictions on both sides; the whole of one side where the model diverges on the other."""
    sides = []
    for sign in (1.0, -1.0):
        moved = {name: value + sign * by for (name, value), by in zip(at.items(), shift.tolist(), strict=True)}
        try:
            sides.append(problem.predict_all(moved))
        except ModelError as error:
            if error.kind != "nan":
                raise
    if not sides:
        return np.full_like(predicted, np.nan)
    return (sides[0] - sides[1]) / 2 if len(sides) == 2 else sides[0] - predicted
