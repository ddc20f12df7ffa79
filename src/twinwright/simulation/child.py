"""Work that is not trusted runs in child processes: contained, limited, and each way to fail told apart from the others."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Mapping
from typing import Any

from twinwright.simulation.feeding import More
from twinwright.simulation.outcomes import Cancel, Cost, Failure, Limits, Outcome, Success
from twinwright.simulation.sandbox import Sandbox

__all__ = ["Cost", "Failure", "Limits", "Outcome", "Sandbox", "Success", "run_in_child", "shared_sandbox"]

_shared: dict[int, Sandbox] = {}
_shared_lock = threading.Lock()


def shared_sandbox() -> Sandbox:
    """The one sandbox of this process; closed at its end."""
    with _shared_lock:
        if os.getpid() not in _shared:
            _shared.clear()  # of the process that this one was forked from: its to close
            _shared[os.getpid()] = Sandbox()
            atexit.register(_shared[os.getpid()].close)
        return _shared[os.getpid()]


def run_in_child(
    entry: str,
    payload: Any,
    *,
    limits: Limits | None = None,
    files: Mapping[str, bytes] | None = None,
    prepare: str = "twinwright.simulation.fork_server:no_preparation",
    prepare_payload: Any = None,
    cancel: Cancel | None = None,
    grace: float = 0.0,
    more: More | None = None,
) -> Outcome:
    """Call `entry` ("module:function" of this installation) as `function(payload, folder)` in a child process.

    `payload` and what comes back are plain data (None, bool, int, float, str, bytes, list, dict with text keys) and NumPy
    arrays. `files` (relative name -> content) are the artefacts, put into `folder`. `prepare`, called once as
    `function(prepare_payload, folder)` in a template process from which runs with the same files and preparation are
    forked, is where slow loading and compiling go. An entry that does several things one after
    another tells each in `parts.bin`, keeps the time of each by an alarm, and is itself given `grace` seconds more than the
    limit; what it asks for meanwhile (`feeding.Fed`) is what `more` gives. Never raises for what the model does: that is a
    Failure. Raises Cancelled once `cancel` is set: the child is killed.
    """
    given: dict[str, Any] = {"limits": limits or Limits(), "files": files or {}, "prepare": prepare, "prepare_payload": prepare_payload}
    return shared_sandbox().run(entry, payload, **given, cancel=cancel, grace=grace, more=more)
