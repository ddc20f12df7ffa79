"""A disk of a few megabytes that can be full: a file system in memory, so that a write past its end fails as on any."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path


class SmallDisk:
    """Mounted at `folder`, which belongs to `owner`. Raises PermissionError, with the reason, where this process may not mount."""

    def __init__(self, megabytes: int, owner: str | None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="disk-", dir="/tmp"))
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "twinwright-test", str(self.folder)]
        done = subprocess.run(mount, capture_output=True, text=True)
        if done.returncode:
            self.folder.rmdir()
            raise PermissionError(f"no file system can be mounted on this machine: {done.stderr.strip()}")
        if owner:
            shutil.chown(self.folder, owner)

    def fill(self) -> None:
        """Take all the room that is left."""
        with (self.folder / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(bytes(4096))

    def free(self) -> None:
        (self.folder / "ballast").unlink()

    def remove(self) -> None:
        subprocess.run(["umount", str(self.folder)], check=True)
        self.folder.rmdir()
