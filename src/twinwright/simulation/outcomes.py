"""How work in a child process may end, what it may use, and what it did use.

There is an outcome and a cost for each of many runs: nothing that they hold leads back to them, so the garbage collector is not shown them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from twinwright.simulation.protocol import FailureKind


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a run may use: wall time in seconds, resident memory of its own in bytes, bytes written to one file."""

    wall_seconds: float = 300.0
    memory_bytes: int = 1 << 30
    output_bytes: int = 256 << 20


class Cancel(Protocol):
    """Says whether something is not wanted any more; a `threading.Event` does."""

    def is_set(self) -> bool: ...


class Cancelled(Exception):  # noqa: N818 -- no error: it was asked for
    """The rest was not run, because that was asked for."""


class Cost(msgspec.Struct, frozen=True, gc=False):
    """What a run used, and whether it was cut off from the network."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory: int = 0
    network_cut: bool = False


class Success(msgspec.Struct, frozen=True, eq=False, gc=False):
    """`result` is what the entry returned: plain data and NumPy arrays. `log` is what was printed."""

    result: Any
    log: str
    cost: Cost
    parts: tuple[Any, ...] = ()  # what the entry had told before its end


class Failure(msgspec.Struct, frozen=True, eq=False, gc=False):
    """`kind` says in which way it failed, `message` why; `log` holds what was printed, and the traceback where there is one."""

    kind: FailureKind
    message: str
    log: str
    cost: Cost
    parts: tuple[Any, ...] = ()


Outcome = Success | Failure
