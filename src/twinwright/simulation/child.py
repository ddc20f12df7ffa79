"""Work that is not trusted runs in child processes: contained, limited, and each way to fail told apart from the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twinwright.simulation.protocol import FailureKind


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a run may use: wall time in seconds, resident memory of its own in bytes, bytes written to one file."""

    wall_seconds: float = 300.0
    memory_bytes: int = 1 << 30
    output_bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run used, and whether it was cut off from the network."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory: int = 0
    network_cut: bool = False


@dataclass(frozen=True, slots=True)
class Success:
    """`result` is what the entry returned: plain data and NumPy arrays. `log` is what was printed."""

    result: Any
    log: str
    cost: Cost


@dataclass(frozen=True, slots=True)
class Failure:
    """`kind` says in which way it failed, `message` why; `log` holds what was printed, and the traceback where there is one."""

    kind: FailureKind
    message: str
    log: str
    cost: Cost


Outcome = Success | Failure


def run_in_child(
    entry: str,
    payload: Any,
    *,
    limits: Limits = Limits(),
    files: Mapping[str, bytes] | None = None,
    prepare: str | None = None,
    prepare_payload: Any = None,
) -> Outcome:
    """Call `entry` ("module:function" of this installation) as `function(payload, folder)` in a child process.

    `payload` and what comes back are plain data (None, bool, int, float, str, bytes, list, dict with text keys) and NumPy
    arrays. `files` (relative name -> content) are the artefacts, put into `folder`. `prepare`, called once as
    `function(prepare_payload, folder)` in a template process from which runs with the same files and preparation are
    forked, is where slow loading and compiling go. Never raises for what the model does: that is a Failure.
    """
    raise NotImplementedError
