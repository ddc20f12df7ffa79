"""The digests of runs: over all that decides a run's numbers. What runs have in common is encoded and hashed once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.digest import canonical_bytes, engine_versions, head_of_mapping, platform_tag
from twinwright.simulation.protocol import Floats
from twinwright.simulation.registry import machine_of

_BEFORE = ("artefact", "engines", "inputs", "machine")  # in the order of their names, which is that of the encoding
_AFTER = ("parameters", "platform", "seed", "states", "times")


class RunDigests:
    """The digests of runs of one model. An array is known again as the object that it is: nobody changes those of a run."""

    def __init__(self, definition: ModelDefinition) -> None:
        self._fixed = {
            "artefact": canonical_bytes(definition.artefact_digest),
            "machine": canonical_bytes(machine_of(definition)),
            "engines": canonical_bytes(engine_versions()),
            "platform": canonical_bytes(platform_tag()),
        }
        self._keys = {name: canonical_bytes(name) for name in (*_BEFORE, *_AFTER)}
        self._arrays: dict[str, tuple[Any, bytes]] = {}
        self._begun: tuple[Any, int, Any] = (None, 0, None)  # of which inputs, how long the whole, and its hash before the parameters

    def of(self, parameters: Mapping[str, float], states: Mapping[str, float], times: Floats, inputs: Floats, seed: int) -> str:
        """The digest of one run, in hexadecimal."""
        parts = {
            **self._fixed,
            "parameters": canonical_bytes({name: float(value) for name, value in parameters.items()}),
            "states": canonical_bytes({name: float(value) for name, value in states.items()}),
            "times": self._array("times", times),
            "inputs": self._array("inputs", inputs),
            "seed": canonical_bytes(seed),
        }
        length = sum(len(self._keys[name]) + len(part) for name, part in parts.items())
        if self._begun[0] is not inputs or self._begun[1] != length:
            begun = hashlib.sha256(head_of_mapping(length))
            for name in _BEFORE:
                begun.update(self._keys[name] + parts[name])
            self._begun = inputs, length, begun
        whole = self._begun[2].copy()
        for name in _AFTER:
            whole.update(self._keys[name] + parts[name])
        return str(whole.hexdigest())

    def _array(self, name: str, values: Floats) -> bytes:
        known, body = self._arrays.get(name, (None, b""))
        if known is not values:
            body = canonical_bytes(values)
            self._arrays[name] = values, body
        return body


def run_digest(
    definition: ModelDefinition,
    parameters: Mapping[str, float],
    states: Mapping[str, float],
    times: Floats,
    inputs: Floats,
    seed: int,
) -> str:
    """Covers artefact (with ports, solver and step), parameters, initial states, grid, input bytes, seed, engines, platform.

    Not limits, constraints, names, the calendar time, the executor, or who asked.
    """
    return RunDigests(definition).of(parameters, states, times, inputs, seed)
