"""The kind `fmu` holds to what every kind has to, for co-simulation and model exchange, of FMI 2.0 and 3.0."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from twinwright.documents import Problems, parse_text
from twinwright.simulation.child import Limits
from twinwright.simulation.conformance import Case, ModelConformance
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.model_document import parse_model

LAG = """
name: lag
version: 1.0.0
kind: fmu
artefact: lag{version}.fmu
run: {run}
inputs: {{u: {{unit: {power}, hold: linear}}}}
states: {{x: {{unit: K, start: 1}}}}
outputs: {{y: {{unit: {rise}}}}}
parameters: {{T: {{unit: {time}, value: {lag}}}, k: {{}}}}
step: PT0.25S
"""
BAD = """
name: bad
version: 1.0.0
kind: fmu
artefact: bad2.fmu
outputs: {{y: {{}}}}
settings: {{fault: {fault}}}
step: PT0.5S
"""


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("run", ["cs", "me"])
class TestFmu(ModelConformance):
    @pytest.fixture(autouse=True)
    def _given(self, fmus: Path, tmp_path: Path, version: int, run: str) -> None:
        for path in fmus.glob("*.fmu"):
            shutil.copy(path, tmp_path)
        self.folder, self.version, self.run = tmp_path, version, run

    def parsed(self, text: str) -> ModelDefinition:
        problems = Problems()
        document = parse_text(text, "models/one.yaml", problems)
        definition = parse_model(document, self.folder, problems) if document else None
        assert definition is not None, problems.items
        return definition

    def lag(self, **units: object) -> ModelDefinition:
        return self.parsed(LAG.format(version=self.version, run=self.run, **units))

    def case(self) -> Case:
        faults = {"crashed": 1, "timeout": 2, "memory": 3, "nan": 4, "exited": 5, "raised": 6}
        faults = faults if (self.version, self.run) == (2, "cs") else {"nan": 4}  # what fails is always of FMI 2.0: once is enough
        return Case(
            self.lag(power="W", rise="K", time="s", lag=2),
            failing={kind: self.parsed(BAD.format(fault=fault)) for kind, fault in faults.items()},
            rescaled=self.lag(power="kW", rise="mK", time="ms", lag=2000),
            limits=Limits(wall_seconds=1.5, memory_bytes=128 << 20),
        )
