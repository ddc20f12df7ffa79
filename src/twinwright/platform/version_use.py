"""Who reads and writes as which version of an interface: counted since the platform began, for `/metrics` and `schema versions`.

What is done without naming a version counts for the one whose names are used; of interfaces that no migration names nothing is counted.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from twinwright.clock import Clock, to_iso
from twinwright.errors import TwinwrightError
from twinwright.observability.metrics import Metrics
from twinwright.twins.evolution import Lineages

Client = Literal["api", "owner"]  # over the network, or who has the workspace: its commands and programs
What = Literal["document", "history", "query", "write"]


@dataclass(slots=True)
class _Use:
    count: int = 0
    errors: int = 0
    last: int = 0


class VersionUse:
    """Counts by (interface, client, what): no more than there are versions that migrations name."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics, self._clock = metrics, clock
        self._lock = threading.Lock()
        self._uses: dict[tuple[str, Client, What], _Use] = {}
        self._measured: Hashable = None

    def is_due(self, state: Hashable) -> bool:
        """Whether what gauges are measured of is other than the last time."""
        with self._lock:
            before, self._measured = self._measured, state
            return before != state

    @contextmanager
    def through(self, lineages: Lineages, interface: str | None, client: Client, what: What) -> Iterator[None]:
        """Count something that is done as a version; what is refused or fails is an error."""
        if interface is None or interface not in lineages.migrated:
            yield
            return
        try:
            yield
        except TwinwrightError:
            self._metrics.version_errors.labels(interface=interface, client=client, what=what).inc()
            self._count((interface, client, what), failed=True)
            raise
        self._metrics.version_uses.labels(interface=interface, client=client, what=what).inc()
        self._count((interface, client, what), failed=False)

    def _count(self, key: tuple[str, Client, What], *, failed: bool) -> None:
        with self._lock:
            use = self._uses.setdefault(key, _Use())
            use.errors += failed
            use.count += not failed
            use.last = self._clock.now()

    def of(self, interface: str) -> dict[str, Any]:
        """`reads{api owner} writes{api owner} errors last_used` of a version."""
        reads: dict[str, int] = {"api": 0, "owner": 0}
        writes: dict[str, int] = {"api": 0, "owner": 0}
        with self._lock:
            mine = [(client, what, use) for (dtmi, client, what), use in self._uses.items() if dtmi == interface]
            for client, what, use in mine:
                counted = writes if what == "write" else reads
                counted[client] += use.count
            last = max((use.last for _, _, use in mine), default=0)
            errors = sum(use.errors for _, _, use in mine)
        return {"reads": reads, "writes": writes, "errors": errors, "last_used": to_iso(last) if last else None}
