"""Composite models for tests: two tanks that a pipe joins, as components of one system whose solution is known."""

from __future__ import annotations

import tempfile
from pathlib import Path
from textwrap import dedent

import numpy as np

from twinwright.documents import Problems, parse_text
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.model_document import parse_model
from twinwright.simulation.protocol import Advance
from twinwright.simulation.registry import load_model

# dx/dt = (u - x) / T: what the other does to each is an input of it.
LAG = """
name: lag
version: 1
kind: linear
inputs: {u: {unit: m, hold: linear}}
states: {x: {start: x0, unit: m}}
outputs: {x: {unit: m}}
parameters: {T: {value: 2, unit: s, bounds: [0.1, 100]}, x0: {value: 1, unit: m, per: run}}
A: [["-1/T"]]
B: [["1/T"]]
step: PT1S
assumptions: [it forgets as fast as it learns]
"""
FEET = (
    LAG.replace("name: lag", "name: feet")
    .replace("unit: m,", "unit: ft,")
    .replace("unit: m}", "unit: ft}")
    .replace("value: 1,", "value: 0,")
)
FEET = FEET.replace("value: 2,", "value: 0.5,")
PAIR = """
name: pair
version: 1
kind: composite
components: {a: {model: lag.yaml}, b: {model: feet.yaml}}
connections: [a.x -> b.u, b.x -> a.u]
outputs: {left: {from: a.x}, right: {from: b.x, unit: m}}
step: PT1S
master: {step: PT0.125S}
"""
FORCED = """
name: forced
version: 1
kind: composite
components: {a: {model: lag.yaml}, sum: {model: sum.yaml}, b: {model: feet.yaml, parameters: {T: 0.25}}}
connections: [a.x -> sum.one, sum.y -> b.u, b.x -> a.u]
inputs: {push: {to: sum.two}}
outputs: {left: {from: a.x}, right: {from: b.x, unit: m}, both: {from: sum.y}}
step: PT1S
master: {step: PT0.25S, iterate: true}
"""
SUM = """
name: sum
version: 1
kind: function
artefact: sum.py:add
inputs: {one: {unit: m}, two: {unit: m, range: [-1, 1], hold: linear}}
outputs: {y: {unit: m}}
parameters: {gain: {value: 0.5}}
step: PT1S
"""
FILES = {"lag.yaml": LAG, "feet.yaml": FEET, "sum.yaml": SUM, "sum.py": "def add(t, u, p):\n    return (p[0] * u[0] + u[1],)\n"}


def parsed(text: str, files: dict[str, str] | None = None, folder: Path | None = None) -> tuple[ModelDefinition | None, Problems]:
    """A definition and its problems, with the usual components beside it, or in a folder that has some."""
    with tempfile.TemporaryDirectory() as name:
        place = folder or Path(name)
        for file, content in {**FILES, **(files or {})}.items():
            (place / file).write_text(dedent(content))
        problems = Problems()
        document = parse_text(dedent(text), "models/whole.yaml", problems)
        return (parse_model(document, place, problems) if document else None), problems


def made(text: str, files: dict[str, str] | None = None, folder: Path | None = None) -> ModelDefinition:
    definition, problems = parsed(text, files, folder)
    assert definition is not None, problems.items
    return definition


def exact(times: np.ndarray, first: float = 2.0, second: float = 0.5) -> np.ndarray:
    """Both states of PAIR, by the exponential of the matrix of the whole: dx/dt = (y - x) / first, dy/dt = (x - y) / second."""
    rate = 1 / first + 1 / second
    mean = (first + 0 * second) / (first + second)  # what both come to: first*x + second*y does not change
    gap = np.exp(-rate * times)
    return np.column_stack([mean + second / (first + second) * gap, mean - first / (first + second) * gap])


def run(definition: ModelDefinition, until: float = 4.0, **initial: dict[str, float]) -> Advance:
    with tempfile.TemporaryDirectory() as name:
        for file, content in definition.artefacts.items():
            (Path(name) / file).write_bytes(content)
        model = load_model(definition, Path(name))
        times = np.arange(0.0, until + 1e-9, definition.step)
        state = model.initial(initial.get("parameters", {}), initial.get("states", {}))
        return model.advance(state, times, np.zeros((times.size, len(definition.inputs))))
