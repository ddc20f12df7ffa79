"""Two runs side by side: whether a repetition gave the same bytes, and what is the first thing in which two runs differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinwright.clock import to_iso
from twinwright.simulation.outcomes import Failure, Outcome
from twinwright.simulation.protocol import Floats
from twinwright.simulation.run_files import StoredRun, grid_of

_EACH = {"versions": "version of", "states": "state", "parameters": "parameter"}  # of which one is named


def same_outcome(stored: StoredRun, outcome: Outcome) -> dict[str, Any]:
    """Whether a repetition gave the bytes that are stored: `verified`, and where it did not, `reason`."""
    failed = stored.record["failure"]
    if isinstance(outcome, Failure):
        same = failed is not None and (failed["kind"], failed["message"]) == (outcome.kind, outcome.message)
        return {"verified": same, "reason": None if same else f"the repetition failed ({outcome.kind}): {outcome.message}"}
    if stored.outputs is None:
        return {"verified": False, "reason": f"the run had failed ({failed['kind']}), its repetition did not"}
    again: Floats = outcome.result["outputs"]
    if again.tobytes() == stored.outputs.tobytes():
        return {"verified": True, "reason": None}
    row, column = _first_place(again, stored.outputs)
    name, time = stored.definition.outputs[column].name, to_iso(int(grid_of(stored)[row]))
    return {
        "verified": False,
        "reason": f"output '{name}' differs first at {time}: {again[row, column]!r} != {stored.outputs[row, column]!r}",
    }


def difference(one: StoredRun, other: StoredRun) -> dict[str, Any] | None:
    """The first of what decides a run in which two runs differ, in the order from code to numbers."""
    for name in ("artefact_digest", "versions", "platform", "seed", "states", "parameters"):
        a, b = one.record[name], other.record[name]
        if a == b:
            continue
        if name not in _EACH:
            return {"what": name, "a": a, "b": b}
        key = next(key for key in {**a, **b} if a.get(key) != b.get(key))
        return {"what": f"{_EACH[name]} {key}", "a": a.get(key), "b": b.get(key)}
    if one.times.tobytes() != other.times.tobytes():
        return {"what": "times", "a": one.times.size, "b": other.times.size}
    if one.inputs.tobytes() != other.inputs.tobytes():
        row, column = _first_place(one.inputs, other.inputs)
        name = one.definition.inputs[column].name
        at = float(one.times[row])
        return {"what": f"input {name}", "t": at, "a": float(one.inputs[row, column]), "b": float(other.inputs[row, column])}
    return _first_step(one, other)


def _first_step(one: StoredRun, other: StoredRun) -> dict[str, Any] | None:
    """Where outputs part although nothing that decides them differs: an engine that does not repeat, or a stored file that was changed."""
    if one.outputs is None or other.outputs is None or one.outputs.tobytes() == other.outputs.tobytes():
        return None
    row, column = _first_place(one.outputs, other.outputs)
    name, at = one.definition.outputs[column].name, float(one.times[row])
    return {"what": f"output {name}", "t": at, "a": float(one.outputs[row, column]), "b": float(other.outputs[row, column])}


def _first_place(one: Floats, other: Floats) -> tuple[int, int]:
    """The row and column of the first number whose bytes differ: those of 0 and -0 do, and those of two NaN may not."""
    row, column = np.argwhere(one.view(np.int64) != other.view(np.int64))[0]
    return int(row), int(column)
