"""Kind `function`: a model without memory, `f(t, u, p) -> y`, in Python.

`t` is seconds since the beginning of the run; `u` and `p` are the inputs and parameters in declared order and units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from twinwright.documents import Document, Problems, Spec
from twinwright.simulation.declaration import ModelSpec
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import Advance, Capabilities, Floats, State
from twinwright.simulation.trajectory import check_finite, initial_state, numbers
from twinwright.simulation.user_code import check_function, load_function

ARGUMENTS = ("t", "u", "p")


class FunctionModel:
    """A function of time, inputs and parameters, called at each sample."""

    Spec: ClassVar[type[Spec]] = ModelSpec
    capabilities = Capabilities()
    warnings: tuple[str, ...] = ()

    @staticmethod
    def check(spec: Any, document: Document, artefacts: Mapping[str, bytes], problems: Problems) -> None:
        check_function(spec.artefact, ARGUMENTS, ("artefact",), document, artefacts, problems)
        for name in spec.states:
            problems.add(document.problem(("states", name), "a function has no states", "Remove it, or use kind `ode`", "no_states"))

    def __init__(self, definition: ModelDefinition, folder: Path) -> None:
        self.definition = definition
        self.function = load_function(definition.artefact, folder)

    def initial(self, parameters: Mapping[str, float], states: Mapping[str, float], time: float = 0.0) -> State:
        return initial_state(self.definition, parameters, states, time)

    def advance(self, state: State, times: Floats, inputs: Floats) -> Advance:
        names = [one.name for one in self.definition.outputs]
        outputs = np.empty((len(times), len(names)))
        with np.errstate(all="ignore"):
            for i, t in enumerate(times):
                result = self.function(float(t), inputs[i].copy(), state.parameters.copy())
                outputs[i] = numbers(result, len(names), "outputs")
        check_finite("output", names, times, outputs)
        return Advance(replace(state, time=float(times[-1])), outputs, np.empty((len(times), 0)))
