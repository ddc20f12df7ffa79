"""Kind `events`: a discrete-event model in SimPy, `build(env, u, p, rng) -> observe`.

`build` makes the processes over the environment `env`, whose time is seconds since the beginning of the run. `u` holds the inputs of
the present sample, in declared order: it is one array, changed in place when the next sample begins, so processes look at `u[0]` when
they need it. `p` holds the parameters, `rng` is a NumPy generator seeded by the run: whatever is drawn from it repeats. `observe()`
gives the outputs, in declared order, and is asked at each sample; a sample shows what happened before it.

Processes are suspended Python generators, which can't be saved: such a run goes from its beginning to its end in one piece.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from twinwright.documents import Document, Problems, Spec
from twinwright.errors import MissingExtraError
from twinwright.simulation.declaration import ModelSpec
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import Advance, Capabilities, Floats, ModelError, State
from twinwright.simulation.trajectory import check_finite, in_one_piece, initial_state, numbers
from twinwright.simulation.user_code import check_function, load_function

ARGUMENTS = ("env", "u", "p", "rng")


class EventsModel:
    """A SimPy environment that a user's function fills, sampled along the grid."""

    Spec: ClassVar[type[Spec]] = ModelSpec
    capabilities = Capabilities(events=True, save_state=False, seeded=True)
    warnings: tuple[str, ...] = ()

    @staticmethod
    def check(spec: Any, document: Document, artefacts: Mapping[str, bytes], problems: Problems) -> None:
        check_function(spec.artefact, ARGUMENTS, ("artefact",), document, artefacts, problems)
        for name in spec.states:
            message = "the state of an event model is in its processes"
            problems.add(document.problem(("states", name), message, "Remove it; give what it starts from as a parameter", "no_states"))

    def __init__(self, definition: ModelDefinition, folder: Path) -> None:
        try:
            import simpy
        except ImportError:
            raise MissingExtraError("events", f"the model {definition.name}") from None
        self.environment: Any = simpy.Environment
        self.definition = definition
        self.build = load_function(definition.artefact, folder)

    def initial(self, parameters: Mapping[str, float], states: Mapping[str, float], time: float = 0.0) -> State:
        return initial_state(self.definition, parameters, states, time)

    def advance(self, state: State, times: Floats, inputs: Floats) -> Advance:
        after = in_one_piece(state, times, "the processes of an event model")
        names = [one.name for one in self.definition.outputs]
        environment = self.environment(initial_time=float(times[0]))
        present = inputs[0].copy()
        generator = np.random.Generator(np.random.Philox(state.seed))
        observe = self.build(environment, present, state.parameters.copy(), generator)
        if not callable(observe):
            remedy = "Return a function without arguments that gives the outputs"
            raise ModelError("raised", f"{self.definition.artefact} returned no function to observe with", remedy=remedy)
        outputs = np.empty((len(times), len(names)))
        for i, time in enumerate(times):
            if i:
                environment.run(until=float(time))
                present[:] = inputs[i]
            outputs[i] = numbers(observe(), len(names), "outputs")
        check_finite("output", names, times, outputs)
        return Advance(after, outputs, np.empty((len(times), 0)))
