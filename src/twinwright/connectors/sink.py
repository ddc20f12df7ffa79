"""The Sink protocol: where changes of twins go. What it has to do, and nothing that the base can do for it.

A sink is one file with one class and one entry point in the group `twinwright.sinks`. It is built from its section `[sinks.NAME]` of
`twinwright.toml`. The base in `sink_runner.py` reads the commit log, remembers how far each sink has come, and owns the thread, retries
with jitter, supervision and metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from twinwright.documents import Spec
from twinwright.twins.changes import Change


class Sink(Protocol):
    """Takes changes and returns when they are stored. After a failure it is given the same ones again: at least once, in the order of
    commits for each twin. A reader tells a repetition by (twin, lane, time, source, commit)."""

    Settings: ClassVar[type[Spec]]

    def __init__(self, name: str, settings: Any) -> None: ...

    def open(self) -> None:
        """Connect. Raises whatever is wrong; it is tried again."""
        ...

    def write(self, batch: Sequence[Change]) -> None:
        """Store them all, and return when they are. Raises when one of them is not."""
        ...

    def close(self) -> None:
        """Let go; may be called twice."""
        ...
