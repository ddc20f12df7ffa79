"""What is known of the clocks, kept between two processes in a small file of the workspace's private folder."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from twinwright.governance.principals import Principal
from twinwright.observability.logs import get_logger
from twinwright.storage.protocol import Store
from twinwright.telemetry.clock_guard import Anchor

_log = get_logger("platform")


class AnchorFile:
    """A file with one `Anchor`. Whatever is wrong with it is logged and costs only what it would have told."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Anchor | None:
        """None where there is none that can be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Anchor)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:  # also what is of another type: ValidationError is one
            _log.warning("what was known of the clock can't be read", file=str(self._path), error=str(error))
            return None

    def write(self, anchor: Anchor) -> None:
        """Replace it in one step."""
        try:
            fresh = self._path.with_suffix(f".{os.getpid()}")
            fresh.write_bytes(msgspec.json.encode(anchor))
            fresh.replace(self._path)
        except OSError as error:
            _log.warning("what is known of the clock can't be kept", file=str(self._path), error=str(error))


def last_commit_seen(store: Store, principal: Principal) -> Anchor | None:
    """Without a file (a store restored from a backup) the commit log still knows a time before which now can't be."""
    last = store.last_commit(principal)
    times = store.commit_times(principal, {last})
    return Anchor("", 0, times[last]) if last in times else None
