"""The kinds of simulation model that are installed, ours and others', found by the entry points `twinwright.models`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from twinwright.plugins import installed
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import SimulationModel

GROUP = "twinwright.models"


@cache
def kinds() -> Mapping[str, type[SimulationModel]]:
    """Each kind's name and class. The first of two with one name wins, in the order of installation."""
    found: dict[str, type[SimulationModel]] = {}
    for point in installed(GROUP):
        found.setdefault(point.name, point.load())
    return MappingProxyType(found)


def load_model(definition: ModelDefinition, folder: Path) -> SimulationModel:
    """The model itself, its artefacts loaded from `folder`. Runs user code: only in a child. Raises ModelError."""
    return kinds()[definition.kind](definition, folder)


def machine_of(definition: ModelDefinition) -> Mapping[str, str]:
    """What of this machine, beside the engines, decides a model's numbers: programs by their digests, for kinds that run some."""
    tell = getattr(kinds().get(definition.kind), "machine", None)
    return tell(definition) if tell else {}


def draws_numbers(definition: ModelDefinition) -> bool:
    """Whether the kind, or the definition, says that a run depends on its seed."""
    capabilities = getattr(kinds().get(definition.kind), "capabilities", None)
    return bool(capabilities and capabilities.seeded) or bool(definition.options.get("seeded"))


def saves_state(definition: ModelDefinition) -> bool | None:
    """Whether a state of the model can be saved and gone on from; None where only the loaded model knows. A kind whose definitions differ
    in that says so in a static method `saves_state(definition)`."""
    kind = kinds().get(definition.kind)
    tell = getattr(kind, "saves_state", None)
    if tell is not None:
        return bool(tell(definition))
    capabilities = getattr(kind, "capabilities", None)
    return None if capabilities is None else bool(capabilities.save_state)


def feedthrough(definition: ModelDefinition) -> Mapping[str, tuple[str, ...]]:
    """The inputs that each output depends on at the same instant; all of them where the kind doesn't know better."""
    tell = getattr(kinds().get(definition.kind), "feedthrough", None)
    every = tuple(one.name for one in definition.inputs)
    found: Mapping[str, tuple[str, ...]] = tell(definition) if tell else {}
    return {one.name: tuple(found.get(one.name, every)) for one in definition.outputs}
