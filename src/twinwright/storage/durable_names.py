"""Names that last: a file that was synced can still be gone after a power failure, where the folder that names it was not."""

from __future__ import annotations

import os
from pathlib import Path

from twinwright.errors import StoreError


def sync(path: Path) -> None:
    """The bytes of a file, or the names in a folder, as they are now, are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DurableName:
    """Keeps the name of a file durable that somebody else (a database) deletes and makes again as he likes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: int | None = None  # the file whose name is on the disk; while it is held nobody else gets its inode
        self._inode: int | None = 0

    def settle(self) -> None:
        """Sync the folder, unless the file of this name (or that there is none) is as it was last time. Raises StoreError."""
        try:
            inode = self._path.stat().st_ino if self._path.exists() else None
            if inode == self._inode:
                return
            self.close()
            if inode is not None:
                self._held = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            sync(self._path.parent)
            self._inode = inode
        except OSError as error:
            self.close()
            remedy = "What was written may be lost: check the disk"
            raise StoreError(f"the folder can't be synced: {error.strerror}", where=str(self._path.parent), remedy=remedy) from error

    def close(self) -> None:
        if self._held is not None:
            os.close(self._held)
        self._held, self._inode = None, 0
