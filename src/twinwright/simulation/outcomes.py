"""How work in a child process may end, what it may use, and what it did use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

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
    parts: tuple[Any, ...] = ()  # what the entry had told before its end


@dataclass(frozen=True, slots=True)
class Failure:
    """`kind` says in which way it failed, `message` why; `log` holds what was printed, and the traceback where there is one."""

    kind: FailureKind
    message: str
    log: str
    cost: Cost
    parts: tuple[Any, ...] = ()


Outcome = Success | Failure
