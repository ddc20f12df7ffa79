"""Running the examples of a contract: through its decoder and evaluation as they are, without a store."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twinwright.clock import from_iso, to_iso
from twinwright.storage.layout import MASK_BITS
from twinwright.telemetry.batches import Prepared, decoder_of, prepare
from twinwright.telemetry.contract import Contract
from twinwright.telemetry.example_spec import ExampleSpec, ExpectedReading
from twinwright.telemetry.payloads import Payload
from twinwright.twins.registry import TwinRegistry

_TOLERANCE = 1e-9  # relative: examples are written by hand, in decimals


@dataclass(frozen=True, slots=True)
class Tried:
    """One example and in what it differs from what it says; nothing: it passed."""

    contract: str
    example: str
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        """`contract example passed differences[]`."""
        return {"contract": self.contract, "example": self.example, "passed": self.passed, "differences": list(self.differences)}


def run_examples(contract: Contract, registry: TwinRegistry) -> list[Tried]:
    """Every example of a contract, in order."""
    decoder = decoder_of(contract)
    tried = []
    for number, example in enumerate(contract.spec.examples, 1):
        payload = Payload(_body(example.payload), example.captures)
        prepared = prepare(contract, decoder, [payload], registry, from_iso(example.received))
        tried.append(Tried(contract.name, example.name or str(number), tuple(_differences(example, prepared, registry))))
    return tried


def _body(payload: Any) -> bytes:
    return payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()


def _differences(example: ExampleSpec, prepared: Prepared, registry: TwinRegistry) -> Iterator[str]:
    found = readings_of(prepared, registry)
    if len(found) != len(example.readings):
        yield f"{len(example.readings)} readings expected, {len(found)} made"
    for number, (expected, made) in enumerate(zip(example.readings, found, strict=False), 1):
        yield from (f"reading {number}: {difference}" for difference in _compared(expected, made))
    letters, _ = prepared.dead_letters(lambda *_: "")
    refused = Counter(letter.reason for letter in letters)
    for reason in sorted({*refused, *example.refused}):
        if refused[reason] != example.refused.get(reason, 0):
            why = next((f" ({letter.detail})" for letter in letters if letter.reason == reason), "")
            yield f"{example.refused.get(reason, 0)} refused as {reason} expected, {refused[reason]} were{why}"


def _compared(expected: ExpectedReading, made: Mapping[str, Any]) -> Iterator[str]:
    if expected.twin != made["twin"]:
        yield f"twin '{expected.twin}' expected, '{made['twin']}' made"
    if to_iso(from_iso(expected.time)) != made["time"]:
        yield f"time {expected.time} expected, {made['time']} made"
    for path in sorted({*expected.values, *made["values"]}):
        wanted, value = (values.get(path, "nothing") for values in (expected.values, made["values"]))
        if not _equal(wanted, value):
            yield f"'{path}' {wanted!r} expected, {value!r} made"
    if sorted(expected.bad) != made["bad"]:
        yield f"bad {sorted(expected.bad)} expected, {made['bad']} made"


def _equal(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    if isinstance(wanted, int | float) and isinstance(value, int | float):
        return math.isclose(wanted, value, rel_tol=_TOLERANCE)
    if isinstance(wanted, dict | list) and isinstance(value, str):  # an object is kept as JSON text
        return bool(wanted == json.loads(value))
    return bool(wanted == value)


def readings_of(prepared: Prepared, registry: TwinRegistry) -> Sequence[dict[str, Any]]:
    """`twin time values{} bad[]` of every accepted reading."""
    readings, columns = prepared.readings, prepared.contract.columns
    values = [column.to_pylist() for column in readings.values]
    found = []
    for row in range(len(readings)):
        bad = {column.path for j, column in enumerate(columns) if readings.bad[j // MASK_BITS][row] >> (j % MASK_BITS) & 1}
        said = {column.path: values[j][row] for j, column in enumerate(columns) if values[j][row] is not None and column.path not in bad}
        twin = registry.lifetime(int(readings.twin[row])).twin
        found.append({"twin": twin, "time": to_iso(int(readings.time[row])), "values": said, "bad": sorted(bad)})
    return found
