"""Kind `agents`: an agent-based model in Mesa, a subclass of `mesa.Model` that is stepped once for each sample.

The class is called with the parameters by name and `seed`, which it hands on: `super().__init__(seed=seed)`. Before each step every
input is set on the model as an attribute of its name; an output is the attribute, property or method of its name. The first sample is
of the model as it was made. Agents are Python objects, which can't be saved: a run goes from its beginning to its end in one piece.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from twinwright.documents import Document, Problems, Spec
from twinwright.errors import MissingExtraError, Problem
from twinwright.simulation.declaration import ModelSpec
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import Advance, Capabilities, Floats, ModelError, State
from twinwright.simulation.trajectory import check_finite, in_one_piece, initial_state
from twinwright.simulation.user_code import check_class, load_function, split_reference

_LARGEST_SEED = 2**32


class AgentsModel:
    """A Mesa model, stepped along the grid."""

    Spec: ClassVar[type[Spec]] = ModelSpec
    capabilities = Capabilities(save_state=False, seeded=True)
    warnings: tuple[str, ...] = ()

    @staticmethod
    def check(spec: Any, document: Document, artefacts: Mapping[str, bytes], problems: Problems) -> None:
        for name in spec.states:
            message = "the state of an agent model is in its agents"
            problems.add(document.problem(("states", name), message, "Remove it; give what it starts from as a parameter", "no_states"))
        node = check_class(spec.artefact, ("artefact",), document, artefacts, problems)
        if node is not None:
            _check_arguments(node, [name for name, one in spec.parameters.items() if one.per is None], spec.artefact, problems)

    def __init__(self, definition: ModelDefinition, folder: Path) -> None:
        try:
            import mesa
        except ImportError:
            raise MissingExtraError("agents", f"the model {definition.name}") from None
        self.definition = definition
        self.capabilities = replace(AgentsModel.capabilities, step=definition.step)
        self.make = load_function(definition.artefact, folder)
        if not (isinstance(self.make, type) and issubclass(self.make, mesa.Model)):
            raise ModelError("refused", f"{definition.artefact} is not a subclass of mesa.Model", remedy="Write `class ...(mesa.Model):`")

    def initial(self, parameters: Mapping[str, float], states: Mapping[str, float], time: float = 0.0) -> State:
        return initial_state(self.definition, parameters, states, time)

    def advance(self, state: State, times: Floats, inputs: Floats) -> Advance:
        after = in_one_piece(state, times, "the agents of a model")
        if not np.allclose(np.diff(times), self.definition.step, rtol=1e-6, atol=0.0):
            raise ModelError("refused", f"an agent model steps by {self.definition.step:g} s alone", remedy="Use the model's step")
        given = {one.name: float(value) for one, value in zip(self.definition.arguments, state.parameters, strict=True)}
        model = self.make(**given, seed=state.seed % _LARGEST_SEED)
        names = [one.name for one in self.definition.outputs]
        outputs = np.empty((len(times), len(names)))
        for i in range(len(times)):
            if i:
                self._set(model, inputs[i - 1])
                model.step()
            outputs[i] = [_shown(model, name) for name in names]
        check_finite("output", names, times, outputs)
        return Advance(after, outputs, np.empty((len(times), 0)))

    def _set(self, model: Any, values: Floats) -> None:
        for port, value in zip(self.definition.inputs, values, strict=True):
            setattr(model, port.name, float(value))


def _shown(model: Any, name: str) -> float:
    if not hasattr(model, name):
        remedy = f"Give {type(model).__name__} an attribute, property or method of this name"
        raise ModelError("raised", f"the model shows no '{name}'", remedy=remedy)
    value = getattr(model, name)
    return float(value() if callable(value) else value)


def _check_arguments(node: ast.ClassDef, parameters: list[str], reference: str, problems: Problems) -> None:
    """A class that takes other parameters than are declared is found before it is run."""
    makers = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
    if not makers or makers[0].args.kwarg is not None:
        return
    arguments = makers[0].args
    named = [one.arg for one in (*arguments.args[1:], *arguments.kwonlyargs)]
    missing = [name for name in (*parameters, "seed") if name not in named]
    if missing:
        line, file = makers[0].lineno, split_reference(reference)[0]
        remedy = f"Define it as `def __init__(self, {', '.join((*parameters, 'seed'))}):`"
        problems.add(Problem(f"'{node.name}' takes no '{missing[0]}'", remedy, file, line, code="bad_signature"))
