"""What installed packages bring to the places where others may add something: connectors, sinks, stores, kinds of model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points


@cache
def installed(group: str) -> Sequence[EntryPoint]:
    """The entry points of a group, in the order of installation, as they were when this process first asked for them.

    To read them takes 10 ms: every package of the environment is looked at.
    """
    return tuple(entry_points(group=group))
