"""FMUs as components: connected without model files, converted, repeated and saved like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.simulation.composites import exact, made, parsed, run

from twinwright.simulation.conformance import Case, ModelConformance

FMUS = """
name: fmus
version: 1
kind: composite
components:
  a: {fmu: lag2.fmu, run: cs, settings: {x: 1}}
  b: {fmu: lag3.fmu, run: me, parameters: {T: 0.5}}
  warm: {model: heater.yaml}
  heat: {model: heater.yaml}
connections:
  - a.y -> warm.t
  - warm.q -> b.u
  - b.y -> heat.t
  - heat.q -> a.u
outputs: {left: {from: a.y}, right: {from: b.y, unit: mK}}
step: PT1S
master: {step: PT0.03125S, iterate: true}
"""
HEATER = """
name: heater
version: 1
kind: linear
inputs: {t: {unit: K}}
states: {unused: {start: 0}}
outputs: {q: {unit: kW}}
A: [[0]]
C: [[0]]
D: [[0.001]]
step: PT1S
"""


def test_fmus_are_connected_without_model_files(fmus: Path, tmp_path: Path) -> None:
    for name in ("lag2", "lag3"):
        (tmp_path / f"{name}.fmu").write_bytes((fmus / f"{name}.fmu").read_bytes())
    files = {"heater.yaml": HEATER}
    wrong, problems = parsed(FMUS.replace("  - a.y -> warm.t", "  - a.y -> b.u"), files, tmp_path)  # K into W
    assert wrong is None
    assert ("unit_dimension", 11) in {(one.code, one.line) for one in problems.items}
    definition = made(FMUS, files, tmp_path)
    assert {"a.T", "a.k", "b.k"} <= set(definition.defaults())
    found = run(definition)
    # The co-simulation part takes one step of Euler's for each communication step.
    assert found.outputs * [1, 0.001] == pytest.approx(exact(np.arange(5.0)), abs=0.02)
    assert found.outputs.tobytes() == run(definition).outputs.tobytes()
    looping, problems = parsed(FMUS.replace("a.y -> warm.t", "heat.q -> warm.t"), files, tmp_path)
    assert looping is None


class TestFmus(ModelConformance):
    @pytest.fixture(autouse=True)
    def _given(self, fmus: Path, tmp_path: Path) -> None:
        for name in ("lag2", "lag3"):
            (tmp_path / f"{name}.fmu").write_bytes((fmus / f"{name}.fmu").read_bytes())
        self.folder = tmp_path

    def case(self) -> Case:
        files = {"heater.yaml": HEATER, "nan.yaml": HEATER.replace("D: [[0.001]]", "D: [[1.0e+300]]")}
        text = FMUS.replace("PT0.03125S, iterate: true", "PT0.5S")
        bad = text.replace("heat: {model: heater.yaml}", "heat: {model: nan.yaml}").replace(
            "warm: {model: heater.yaml}", "warm: {model: nan.yaml}"
        )
        return Case(made(text, files, self.folder), {"nan": made(bad, files, self.folder)}, samples=5)
