"""FMUs as components: connected without model files, converted, repeated and saved like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.simulation.composites import exact, made, parsed, run
from tests.simulation.fmi.conftest import EXAMPLES

from twinwright.simulation.conformance import Case, ModelConformance
from twinwright.simulation.fmi.build import build_fmu

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


CRASHES, LEAKS = "if (!*state) __builtin_trap();", "*state = 0;"  # what deserialising does before it writes to the state


@pytest.mark.parametrize("habit", [CRASHES, LEAKS])
def test_a_cycle_is_iterated_whatever_deserialising_does_with_the_state_that_it_is_given(fmus: Path, tmp_path: Path, habit: str) -> None:
    """Some write through a null pointer; some make a state each time, of which none may be left behind."""
    plain = (EXAMPLES / "fmi2.c").read_text()
    code = plain.replace("if (!*state) *state = malloc(sizeof(Model));\n  memcpy(*state, bytes", f"{habit}\n  MADE\n  memcpy(*state, bytes")
    living = "static int living; static void *made(size_t n) { if (++living > 4) __builtin_trap(); return malloc(n); }\n"
    code = code.replace("fmi2Status fmi2GetFMUstate", living + "fmi2Status fmi2GetFMUstate").replace(
        "malloc(sizeof(Model))", "made(sizeof(Model))"
    )
    code = code.replace("MADE", "if (!*state) *state = made(sizeof(Model));").replace(
        "free(*state);", "living -= *state != 0, free(*state);"
    )
    (tmp_path / "fmi2.c").write_text(code)
    sources = [EXAMPLES / "lag" / "modelDescription2.xml", EXAMPLES / "lag" / "lag.c", tmp_path / "fmi2.c"]
    build_fmu([*sources, EXAMPLES / "model.h", EXAMPLES / "stepping.h"], tmp_path / "lag2.fmu")
    (tmp_path / "lag3.fmu").write_bytes((fmus / "lag3.fmu").read_bytes())
    found = run(made(FMUS, {"heater.yaml": HEATER}, tmp_path))
    assert found.outputs * [1, 0.001] == pytest.approx(exact(np.arange(5.0)), abs=0.02)
