"""Libraries that others load because they are installed, and do nothing with for us: a start is spared them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Hidden:
    """Finds none of some libraries for the thread that made it: another may need them at that moment."""

    def __init__(self, libraries: tuple[str, ...]) -> None:
        self._libraries, self._thread = libraries, threading.get_ident()

    def find_spec(self, name: str, *_: object) -> None:
        if name in self._libraries and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@contextmanager
def spared(*libraries: str) -> Iterator[None]:
    """What is imported inside does without these. Who imports them afterwards finds them."""
    hidden = _Hidden(libraries)
    sys.meta_path.insert(0, hidden)
    try:
        yield
    finally:
        sys.meta_path.remove(hidden)


def arrow_alone() -> None:
    """Load pyarrow, which would load pandas with its first array, to know what is of it: longer than most commands take."""
    with spared("pandas"):
        import pyarrow

        pyarrow.scalar(0)
