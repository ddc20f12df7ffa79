"""Where the journal's frames lie: append-only files beside the store's own.

An entry counts when the transaction that names it (segment, offset, length) is committed, and its bytes are durable before that.
What lies behind the last entry that counts when the files are opened was left by a crash, and is written over. Frames inside the database
file would be written three times (log, checkpoint, and again as the last row group grows), which doubled the cost of a commit.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from twinwright.errors import StoreError
from twinwright.storage.durable_names import sync

SEGMENT_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where one entry's frames are: `length` bytes at `offset` of file number `segment`."""

    segment: int
    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length


class JournalFiles:
    """The segments in `folder`. Appending is for the one writer; reading is for anyone at any time."""

    def __init__(self, folder: Path, last: Place | None, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        """`last` is the newest entry that counts; whatever lies behind it is no longer wanted."""
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._segment, self._end = (last.segment, last.end) if last else (1, 0)
        self._file: int | None = None
        for path in folder.glob("*.frames") if folder.is_dir() else ():
            if int(path.stem) > self._segment:
                path.unlink()

    def append(self, frames: bytes, *, flush: bool = True) -> Place:
        """Write and flush to the disk (or leave that to `flush`). A place is never given twice, so what a roll-back leaves is a gap.
        Raises StoreError."""
        try:
            return self._append(frames, flush)
        except OSError as error:
            remedy = "Nothing was taken. Make room on the disk: what was not acknowledged is delivered again"
            raise StoreError(f"the journal can't be written: {error.strerror}", where=str(self._folder), remedy=remedy) from error

    def drop_before(self, oldest: int | None) -> None:
        """Delete the segments older than `oldest`, the first that an entry still names (None: all but the one being written)."""
        for path in self._folder.glob("*.frames") if self._folder.is_dir() else ():
            if int(path.stem) < (self._segment if oldest is None else min(oldest, self._segment)):
                path.unlink()

    def flush(self) -> None:
        """What was appended is on the disk."""
        if self._file is not None:
            os.fdatasync(self._file)

    def pinned(self) -> Pinned:
        """The files that there are now, to be read from even when they are dropped meanwhile."""
        return Pinned(self._folder)

    def _append(self, frames: bytes, flush: bool) -> Place:
        if self._end and self._end + len(frames) > self._segment_bytes:
            self.flush()
            self.close()
            self._segment, self._end = self._segment + 1, 0
        file = self._open()
        place = Place(self._segment, self._end, len(frames))
        while self._end < place.end:
            self._end += os.pwrite(file, memoryview(frames)[self._end - place.offset :], self._end)
        if flush:
            os.fdatasync(file)
        return place

    def read(self, place: Place) -> bytes:
        """Raises StoreError where the file is gone or too short."""
        path = self._path(place.segment)
        try:
            with path.open("rb") as file:
                file.seek(place.offset)
                frames = file.read(place.length)
        except OSError as error:
            raise StoreError(f"the journal can't be read: {error.strerror}", where=str(path), remedy="Restore it from a backup") from error
        if len(frames) != place.length:
            raise StoreError("the journal ends too early", where=str(path), remedy="Restore it from a backup")
        return frames

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:06d}.frames"

    def _open(self) -> int:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path(self._segment), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            for folder in (self._folder, self._folder.parent):  # the names of a new file and folder have to last too
                sync(folder)
        return self._file


class Pinned:
    """The segments of a folder, open; to be closed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = {int(path.stem): path.open("rb") for path in folder.glob("*.frames")} if folder.is_dir() else {}

    def read(self, place: Place) -> bytes:
        """Raises StoreError where the file was gone already, or is too short."""
        file = self._files.get(place.segment)
        frames = b"" if file is None else os.pread(file.fileno(), place.length, place.offset)
        if len(frames) != place.length:
            raise StoreError("the journal ends too early", where=str(self._folder), remedy="Restore it from a backup")
        return frames

    def close(self) -> None:
        for file in self._files.values():
            file.close()
