"""What a simulation model is once its document is read: ports, states, parameters and artefacts, and the digests of them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import msgspec

from twinwright.simulation.declaration import Hold, Range


@dataclass(frozen=True, slots=True)
class InputPort:
    name: str
    property: str | None
    unit: str | None
    range: Range | None
    hold: Hold


@dataclass(frozen=True, slots=True)
class StateVariable:
    """`start` is a number in `unit`, a parameter's name, or None: from the observed `property`. From a parameter, the
    value is `scale * parameter + offset`."""

    name: str
    start: float | str | None
    unit: str | None
    property: str | None
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class OutputPort:
    """`state` names the state that is shown where the model has no output function, as `scale * state + offset`."""

    name: str
    property: str | None
    state: str | None
    unit: str | None
    range: Range | None
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Parameter:
    """`value` and `bounds` in `unit`. `per_run`: how a run begins (an initial state), not an argument of the model."""

    name: str
    value: float
    unit: str | None
    bounds: Range | None
    per_run: bool


@dataclass(frozen=True, slots=True)
class ModelDefinition:
    """A model as declared, with the bytes of its artefacts. A plain value: `as_data` goes to a child or into a record."""

    name: str
    version: str
    kind: str
    artefact: str
    interface: str | None
    inputs: tuple[InputPort, ...]
    states: tuple[StateVariable, ...]
    outputs: tuple[OutputPort, ...]
    parameters: tuple[Parameter, ...]
    step: float  # seconds between samples
    options: dict[str, Any]  # what the kind declares beyond this
    assumptions: tuple[str, ...]
    validity: dict[str, Range]
    file: str
    artefacts: dict[str, bytes] = field(default_factory=dict, repr=False)  # relative name -> content

    @property
    def arguments(self) -> tuple[Parameter, ...]:
        """The parameters that the model's functions get as `p`, in order."""
        return tuple(one for one in self.parameters if not one.per_run)

    def parameter(self, name: str) -> Parameter | None:
        return next((one for one in self.parameters if one.name == name), None)

    def defaults(self) -> dict[str, float]:
        """The declared parameter values, each in its unit."""
        return {one.name: one.value for one in self.parameters}

    def as_data(self) -> dict[str, Any]:
        """Plain data without the artefacts' bytes, which travel as files."""
        data: dict[str, Any] = msgspec.to_builtins(replace(self, artefacts={}))
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> ModelDefinition:
        return msgspec.convert(dict(data), cls)

    def with_artefacts(self, artefacts: dict[str, bytes]) -> ModelDefinition:
        """The same definition with the bytes of its artefacts."""
        return replace(self, artefacts=artefacts)

    def as_record(self) -> dict[str, Any]:
        """JSON with everything in it, from which `from_record` makes the definition again."""
        return {"definition": self.as_data(), "artefacts": {name: base64.b64encode(one).decode() for name, one in self.artefacts.items()}}

    @classmethod
    def from_record(cls, body: Mapping[str, Any]) -> ModelDefinition:
        return cls.from_data(body["definition"]).with_artefacts({name: base64.b64decode(one) for name, one in body["artefacts"].items()})

    @property
    def content_digest(self) -> str:
        """SHA-256 over all that is declared and the bytes of the artefacts: two definitions of one digest are the same."""
        files = {name: file_digest(content) for name, content in self.artefacts.items()}
        return hashlib.sha256(msgspec.msgpack.encode([self.as_data(), files], order="deterministic")).hexdigest()

    @property
    def artefact_digest(self) -> str:
        """SHA-256 over all that decides what the model computes: artefact bytes, ports, states, order, options and step.

        Not in it: names of the model, values and bounds of parameters (a run has its own), ranges, validity, assumptions.
        """
        decides = {
            "kind": self.kind,
            "artefact": self.artefact,
            "inputs": [[one.name, one.unit, one.hold] for one in self.inputs],
            "states": [[one.name, one.unit, one.start, one.scale, one.offset] for one in self.states],
            "outputs": [[one.name, one.unit, one.state, one.scale, one.offset] for one in self.outputs],
            "parameters": [[one.name, one.unit, one.per_run] for one in self.parameters],
            "step": self.step,
            "options": self.options,
            "files": {name: file_digest(content) for name, content in self.artefacts.items()},
        }
        return hashlib.sha256(msgspec.msgpack.encode(decides, order="deterministic")).hexdigest()


@lru_cache(maxsize=32)
def file_digest(content: bytes) -> str:
    """SHA-256 of an artefact. It is asked for at every run, and an FMU may have many megabytes."""
    return hashlib.sha256(content).hexdigest()
