"""The SimulationModel protocol: what can be run, whatever it is made of. State goes in, state comes out, nothing is kept.

A kind of model is one file in `models/` with one class that meets this protocol, and one entry point in the group
`twinwright.models`. User code is loaded only in a child process (see `child.py`), never where a definition is checked.
Times are seconds since the beginning of the run; sequences are in the order of the definition, numbers in its units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from twinwright.documents import Document, Problems, Spec
from twinwright.errors import UsageError
from twinwright.simulation.definition import ModelDefinition

Floats = NDArray[np.float64]
Trajectory = tuple[Floats, Floats]
"""Outputs (n, n_outputs) and states (n, n_states) at each time."""
FailureKind = Literal["raised", "exited", "crashed", "timeout", "memory", "output", "nan", "refused"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do, declared so that executors and shadow runs need not try."""

    step: float | None = None  # the only communication step it accepts, in seconds; None: any grid
    events: bool = False  # may change its state at instants of its own choosing
    save_state: bool = True  # a State resumes in any process and gives the same trajectory
    derivatives: bool = False  # has `derivatives(state, inputs)`
    thread_safe: bool = False  # several `advance` calls at once do not disturb each other
    deterministic: bool = True  # equal arguments give equal bytes on one platform
    seeded: bool = False  # draws random numbers: another `State.seed` gives another trajectory
    draws: bool = True  # may draw from the generators of the interpreter, of NumPy or of compiled code; these are seeded for each run
    shares_process: bool = False  # runs one after another in one process do not disturb each other, if it is refreshed between them


@dataclass(frozen=True, slots=True)
class State:
    """All that a model remembers at one instant; a plain value that can be stored and resumed in another process."""

    time: float  # seconds since the beginning of the run
    values: Floats  # the declared states, in their units
    parameters: Floats  # the declared parameters less those that are `per: run`
    opaque: bytes = b""  # what a kind keeps beside them, such as a serialised FMU state
    seed: int = 0  # of a model that draws random numbers; set by whoever starts the run


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that a model did at an instant of its own choosing: when (seconds since the beginning), and its declared name."""

    time: float
    name: str


@dataclass(frozen=True, slots=True)
class Advance:
    """What `advance` answers: the state at the last time, outputs (n, n_outputs) and states (n, n_states) at each time, and
    the events in between."""

    state: State
    outputs: Floats
    states: Floats
    events: tuple[Happening, ...] = ()


class ModelError(UsageError):
    """A model that failed while it ran. Inside a child this is raised; outside, a failed run is a value with this `kind`."""

    code = "ModelFailed"

    def __init__(self, kind: FailureKind, what: str, *, remedy: str | None = None) -> None:
        super().__init__(what, remedy=remedy)
        self.kind: FailureKind = kind


@runtime_checkable
class EndsRuns(Protocol):
    """A model that need not prepare for being gone on from where a run ends."""

    def advance_to_end(self, state: State, times: Floats, inputs: Floats) -> Advance:
        """As `SimulationModel.advance`; the state that it answers is never given back."""
        ...


@runtime_checkable
class RunsAgain(Protocol):
    """A model that has a quicker way for runs that follow another in one process, and are repeated alone where they fail."""

    def run_again(self, parameters: Mapping[str, float], states: Mapping[str, float], times: Floats, inputs: Floats) -> Trajectory | None:
        """What `initial` and `advance` give, byte for byte, without events; None where that way is not for this run. Raises ModelError,
        whose message need not say more than that it failed."""
        ...


@runtime_checkable
class Refreshable(Protocol):
    """A model whose `capabilities.shares_process`."""

    def refresh(self) -> bool:
        """Make the process what it was when the model had been loaded; False where that can't be, and the next run needs another."""
        ...


class SimulationModel(Protocol):
    """Something that can be run from a state over a grid of times.

    Where `capabilities.shares_process` it is `Refreshable` as well, and refreshed between runs of one process. It may be
    `EndsRuns`, and where it shares a process but is not `thread_safe` `RunsAgain`.

    Three more static methods are optional. `complete(spec, document, artefacts, problems)`, called before anything is checked, gives
    the spec with what the artefacts say filled in (units, values), and a dict that is added to the definition's options; None
    where it found problems. `warm_up()` loads what is slow and the same for all models, once, in the process that forks.
    `feedthrough(definition)` gives, by output, the inputs that it depends on at the same instant (left out: on all of them).
    """

    Spec: ClassVar[type[Spec]]
    """What its `models/*.yaml` may say: a subclass of `declaration.ModelSpec` with the fields of this kind."""

    capabilities: Capabilities

    warnings: tuple[str, ...]
    """What a reader of the run should know about how the model was loaded (for example: it could not be compiled)."""

    @staticmethod
    def check(spec: Any, document: Document, artefacts: Mapping[str, bytes], problems: Problems) -> None:
        """Add to `problems` what this kind finds wrong with a definition, without running any of it."""
        ...

    def __init__(self, definition: ModelDefinition, folder: Path) -> None:
        """Load the artefacts from `folder`. Runs user code, so only in a child. Raises ModelError."""
        ...

    def initial(self, parameters: Mapping[str, float], states: Mapping[str, float], time: float = 0.0) -> State:
        """The state at the beginning. `parameters` by name (the declared value where one is missing); `states` by name
        overrides where a state starts, for those whose start is observed or estimated. Raises ModelError."""
        ...

    def advance(self, state: State, times: Floats, inputs: Floats) -> Advance:
        """Run over `times` (n, strictly increasing, times[0] == state.time) with `inputs` (n, n_inputs) held or
        interpolated between them as declared. From 0 to 10 equals 0 to 5 then 5 to 10, byte for byte where
        `deterministic`; where a state can't be saved, a state that `advance` gave is refused.
        Raises ModelError of kind `nan`, naming variable and time, when a number is not finite."""
        ...
