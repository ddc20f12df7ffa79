"""A model given as a Python right-hand side, against the same integration written out by hand in numba.

Two tanks (Torricelli), classical Runge-Kutta, an input held between samples, states and output recorded at every sample.
The rival has the model and the method written into one scalar loop. Both are compiled before the clock starts; rounds are
interleaved, and each side counts its median.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numba
import numpy as np
from benchmarks._result import compared

from twinwright.documents import Problems, parse_text
from twinwright.simulation.model_document import parse_model
from twinwright.simulation.protocol import Floats, SimulationModel
from twinwright.simulation.registry import load_model

CODE = """
import math


def rhs(t, x, u, p):
    k1, k2, k3, k4 = p
    upper, lower = math.sqrt(max(x[0], 0.0)), math.sqrt(max(x[1], 0.0))
    return (-k1 * upper + k4 * u[0], k2 * upper - k3 * lower)


def out(t, x, u, p):
    return (x[1],)
"""

MODEL = """
name: tanks
version: 1.0.0
kind: ode
artefact: tanks.py:rhs
output: tanks.py:out
inputs: {u: {unit: V}}
states: {x1: {start: 4, unit: V}, x2: {start: 3, unit: V}}
outputs: {y: {unit: V}}
parameters: {k1: {value: 0.05}, k2: {value: 0.06}, k3: {value: 0.04}, k4: {value: 0.05}}
step: PT4S
"""


@numba.njit(error_model="numpy")
def by_hand(times: Floats, inputs: Floats, p: Floats, states: Floats, outputs: Floats) -> None:
    """The same loop, written for this model alone."""
    a, b, c, d = p[0], p[1], p[2], p[3]
    x1, x2 = states[0, 0], states[0, 1]
    outputs[0, 0] = x2
    for i in range(times.size - 1):
        h = times[i + 1] - times[i]
        u = inputs[i, 0]
        r1, r2 = math.sqrt(max(x1, 0.0)), math.sqrt(max(x2, 0.0))
        k11, k12 = -a * r1 + d * u, b * r1 - c * r2
        r1, r2 = math.sqrt(max(x1 + 0.5 * h * k11, 0.0)), math.sqrt(max(x2 + 0.5 * h * k12, 0.0))
        k21, k22 = -a * r1 + d * u, b * r1 - c * r2
        r1, r2 = math.sqrt(max(x1 + 0.5 * h * k21, 0.0)), math.sqrt(max(x2 + 0.5 * h * k22, 0.0))
        k31, k32 = -a * r1 + d * u, b * r1 - c * r2
        r1, r2 = math.sqrt(max(x1 + h * k31, 0.0)), math.sqrt(max(x2 + h * k32, 0.0))
        k41, k42 = -a * r1 + d * u, b * r1 - c * r2
        x1 += h / 6.0 * (k11 + 2.0 * k21 + 2.0 * k31 + k41)
        x2 += h / 6.0 * (k12 + 2.0 * k22 + 2.0 * k32 + k42)
        states[i + 1, 0] = x1
        states[i + 1, 1] = x2
        outputs[i + 1, 0] = x2


def model() -> SimulationModel:
    """The model as a user would have it, loaded and compiled."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tanks.py").write_text(CODE)
        problems = Problems()
        document = parse_text(MODEL, "tanks.yaml", problems)
        definition = parse_model(document, folder, problems) if document else None
        if definition is None:
            raise SystemExit(str(problems.items))
        return load_model(definition, folder)


def measure(quick: bool) -> dict[str, Any]:
    """Nanoseconds per step of ours and of the rival; their ratio (lower is better)."""
    steps, rounds = (200_000, 9) if quick else (2_000_000, 15)
    ours = model()
    parameters = np.array([0.05, 0.06, 0.04, 0.05])
    times = np.arange(steps + 1) * 4.0
    inputs = 3.0 + np.sin(times / 500.0)[:, None]
    state = ours.initial({}, {})
    spent: dict[str, list[float]] = {"ours": [], "rival": []}
    by_hand(times[:3], inputs[:3], parameters, np.empty((3, 2)), np.empty((3, 1)))
    for _ in range(rounds):
        began = time.perf_counter()
        result = ours.advance(state, times, inputs)
        spent["ours"].append(time.perf_counter() - began)
        began = time.perf_counter()
        states, outputs = np.empty((steps + 1, 2)), np.empty((steps + 1, 1))
        states[0] = state.values
        by_hand(times, inputs, parameters, states, outputs)
        spent["rival"].append(time.perf_counter() - began)
        if not np.allclose(result.outputs, outputs, rtol=1e-12, atol=0.0):
            raise SystemExit("the two do not compute the same")
    per_step = {side: statistics.median(seconds) / steps * 1e9 for side, seconds in spent.items()}
    return compared("ode_vs_numba", per_step["ours"], per_step["rival"], "ns/step", "lower")


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv)))
