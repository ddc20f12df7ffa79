"""The Connector protocol: what a source of telemetry has to do, and nothing that the base can do for it.

A connector is one file with one class and one entry point in the group `twinwright.connectors`. It is built from its
section of `twinwright.toml` (checked as `Settings`) and from the `source` of each contract that names it (checked as
`Binding`). The base in `connectors/runner.py` owns the thread, retry with jitter, supervision, metrics and shutdown, and
gives backpressure: it does not `poll` again before the last delivery is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from twinwright.documents import Spec
from twinwright.telemetry.payloads import Delivery, Receipt


@dataclass(frozen=True, slots=True)
class Bound:
    """A contract that takes from this connector: its name, payload format, and `source` options checked as `Binding`."""

    contract: str
    format: str
    options: Spec


class Source(Protocol):
    """A source yields deliveries and is told when each is durable.

    One whose class says `shareable = True` may be read by several processes into one store at once: what it reads from is shared out among
    them, and its deliveries carry positions, so that the store's fence refuses whoever was thought dead and comes back. One whose class
    says `tells_present = True` gives, opened anew beside itself, the present value of all that is bound, and takes nothing away:
    history is compared with that.
    """

    Settings: ClassVar[type[Spec]]
    Binding: ClassVar[type[Spec]]

    def __init__(self, name: str, settings: Any, bound: tuple[Bound, ...]) -> None: ...

    def open(self, positions: Callable[[str, str], int]) -> None:
        """Connect. `positions(contract, stream)` is where the store wants that stream read from (0 if never seen)."""
        ...

    def poll(self, timeout: float) -> Delivery | None:
        """What there is, at most one micro-batch of one contract; None after `timeout` seconds without anything."""
        ...

    def committed(self, delivery: Delivery, receipt: Receipt) -> None:
        """The delivery is durable: acknowledge it. Never called for what was not stored."""
        ...

    def close(self) -> None:
        """Let go of the source; what is not acknowledged will be delivered again."""
        ...


class Intake(Protocol):
    """Where deliveries go: blocks until they are durable. Raises BusyError when full, FenceError when overtaken."""

    def submit(self, delivery: Delivery) -> Receipt: ...


ConnectorRegistry = Mapping[str, type[Source]]
