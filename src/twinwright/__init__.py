"""Twinwright: digital twins you can trust. `open` a workspace and every command is a method of what comes back.

`twinwright.schema`, `twinwright.sdk` and `twinwright.errors` are there once they are named.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinwright.platform.opened import Opened

try:
    __version__ = version("twinwright")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"

__all__ = ["__version__", "open"]


def __getattr__(name: str) -> Any:
    """The public parts, each loaded when it is first named: a command that needs none of them starts the sooner."""
    if name in ("errors", "schema", "sdk"):
        return import_module(f"twinwright.{name}")
    raise AttributeError(f"module 'twinwright' has no attribute {name!r}")


def open(workspace: str | Path = ".") -> Opened:
    """The platform of a workspace: in this process, or the running one through its socket, with the same answers. Series are Arrow.

    Raises NotFoundError for a folder that is not there, StoreError when the store can't be opened. Close it when done.
    """
    from twinwright.platform.opened import Opened
    from twinwright.platform.remote import connect

    return Opened.over(connect(Path(workspace)))
