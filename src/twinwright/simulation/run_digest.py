"""The digests of runs: over all that decides a run's numbers. What runs have in common is encoded and hashed once."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.digest import canonical_bytes, engine_versions, head_of_mapping, platform_tag
from twinwright.simulation.protocol import Floats
from twinwright.simulation.registry import machine_of

_DOUBLE = struct.Struct(">d")
_ALL = ("artefact", "engines", "inputs", "machine", "parameters", "platform", "seed", "states", "times")  # in the order of the encoding


class RunDigests:
    """The digests of runs of one model. An array, or the states, is known again as the object that it is: nobody changes those of a run."""

    def __init__(self, definition: ModelDefinition) -> None:
        self._keys = {name: canonical_bytes(name) for name in _ALL}
        self._artefact, self._machine, self._engines, self._platform = (
            self._keys[name] + canonical_bytes(value)
            for name, value in (
                ("artefact", definition.artefact_digest),
                ("machine", machine_of(definition)),
                ("engines", engine_versions()),
                ("platform", platform_tag()),
            )
        )
        self._fixed = sum(len(one) for one in (self._artefact, self._machine, self._engines, self._platform))
        self._known: dict[str, tuple[Any, bytes]] = {}
        self._begun: tuple[Any, int, Any] = (None, 0, None)  # of which inputs, how long the whole, and its hash before the parameters
        self._ended: tuple[Any, Any, int, bytes] = (None, None, 0, b"")  # of which states, times and seed, and the bytes behind
        self._lay_out({})

    def of(self, parameters: Mapping[str, float], states: Mapping[str, float], times: Floats, inputs: Floats, seed: int) -> str:
        """The digest of one run, in hexadecimal."""
        if len(parameters) != len(self._names) or not all(map(parameters.__contains__, self._names)):
            self._lay_out(parameters)
        own = self._own
        for name, at in self._values:
            _DOUBLE.pack_into(own, at, parameters[name])
        after = self._after(states, times, seed)
        if self._begun[0] is not inputs or self._begun[1] != len(own) + len(after):
            before = self._common("inputs", inputs)
            length = self._fixed - len(self._platform) + len(before) + len(own) + len(after)
            parts = (head_of_mapping(length), self._artefact, self._engines, before, self._machine)
            self._begun = inputs, len(own) + len(after), hashlib.sha256(b"".join(parts))
        whole = self._begun[2].copy()
        whole.update(own)
        whole.update(after)
        return str(whole.hexdigest())

    def _lay_out(self, parameters: Mapping[str, float]) -> None:
        """Encode the names of parameters, which most runs have in common, and leave room for their numbers."""
        self._names, body = tuple(sorted(parameters)), b""
        self._values: list[tuple[str, int]] = []  # where each number belongs
        head = len(self._keys["parameters"]) + len(head_of_mapping(0))
        for name in self._names:
            body += canonical_bytes(name) + b"f"
            self._values.append((name, head + len(body)))
            body += bytes(_DOUBLE.size)
        self._own = bytearray(self._keys["parameters"] + head_of_mapping(len(body)) + body)

    def _after(self, states: Mapping[str, float], times: Floats, seed: int) -> bytes:
        """What comes after the parameters, which the points of a sweep have in common."""
        if self._ended[0] is not states or self._ended[1] is not times or self._ended[2] != seed:
            parts = self._platform, self._keys["seed"], canonical_bytes(seed), self._common("states", states), self._common("times", times)
            self._ended = states, times, seed, b"".join(parts)
        return self._ended[3]

    def _common(self, name: str, value: Any) -> bytes:
        """What most runs have in common, under its name."""
        known, body = self._known.get(name, (None, b""))
        if known is not value:
            plain = value if name != "states" else {state: float(start) for state, start in value.items()}
            body = self._keys[name] + canonical_bytes(plain)
            self._known[name] = value, body
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
