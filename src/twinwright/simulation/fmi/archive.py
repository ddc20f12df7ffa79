"""The ZIP file that an FMU is: looked into and unpacked with limits, so that a hostile one harms nobody."""

from __future__ import annotations

import io
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from twinwright.errors import TooLargeError, UsageError

DESCRIPTION = "modelDescription.xml"
MAX_ENTRIES = 50_000
MAX_UNPACKED = 2 << 30
MAX_RATIO = 200  # beyond the first megabytes: deflate reaches 1000 on zeros, real files 20
_FREE = 64 << 20  # bytes that may be unpacked whatever the ratio
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Archive:
    """An FMU's files by name, checked to be harmless to unpack."""

    name: str
    body: bytes
    files: dict[str, zipfile.ZipInfo]

    def read(self, name: str, limit: int = MAX_UNPACKED) -> bytes:
        """One file. Raises UsageError for one that is damaged, TooLargeError past `limit`."""
        with zipfile.ZipFile(io.BytesIO(self.body)) as opened:
            return b"".join(_chunks(self.name, opened, self.files[name], limit))

    def under(self, folder: str) -> list[str]:
        """The names of the files below a folder."""
        return [name for name in self.files if name.startswith(f"{folder}/")]

    def unpack(self, target: Path) -> None:
        """All files below `target`, which is made. Raises UsageError, TooLargeError; OSError where the disk does."""
        target.mkdir(parents=True, exist_ok=True)
        left = MAX_UNPACKED
        with zipfile.ZipFile(io.BytesIO(self.body)) as opened:
            for name, info in self.files.items():
                path = target / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    for chunk in _chunks(self.name, opened, info, left):
                        file.write(chunk)
                        left -= len(chunk)
                if (info.external_attr >> 16) & 0o111:
                    path.chmod(0o755)


def open_archive(body: bytes, name: str) -> Archive:
    """The archive of an FMU given as bytes; `name` is how messages call it.

    Raises UsageError for what is no ZIP file, or has names that lead out of it, links, or encrypted files; TooLargeError for
    more files or bytes than are unpacked here.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as opened:
            infos = opened.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, UnicodeDecodeError, IndexError) as error:
        raise UsageError(f"not a ZIP file, which an FMU is: {error}", where=name, remedy="Name an .fmu file") from None
    if len(infos) > MAX_ENTRIES:
        raise TooLargeError(f"{len(infos)} files in it", where=name, remedy=f"At most {MAX_ENTRIES} are unpacked")
    files: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        path = _safe(info, name)
        if path is not None:
            if path in files:
                raise UsageError(f"'{path}' is in it twice", where=name, remedy="Export the FMU again")
            files[path] = info
    _check_sizes(files, len(body), name)
    return Archive(name, body, files)


def read_archive(path: Path) -> Archive:
    """The archive of an FMU on disk. Raises as `open_archive` does."""
    try:
        if path.stat().st_size > MAX_UNPACKED:
            raise TooLargeError(f"{path.stat().st_size} bytes", where=str(path), remedy=f"At most {MAX_UNPACKED} are read")
        body = path.read_bytes()
    except OSError as error:
        raise UsageError(f"can't be read: {error.strerror}", where=str(path), remedy="Name an .fmu file") from None
    return open_archive(body, str(path))


def _safe(info: zipfile.ZipInfo, name: str) -> str | None:
    """Where an entry goes, relative to the target; None for a folder."""
    text = info.filename.replace("\\", "/")
    path = PurePosixPath(text)
    if text.startswith("/") or ".." in path.parts or "\0" in text or re.match(r"^[A-Za-z]:", text):
        raise UsageError(
            f"'{info.filename[:80]}' in it leads out of the folder it is unpacked to", where=name, remedy="Don't trust this file"
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise UsageError(f"'{info.filename[:80]}' in it is a link", where=name, remedy="Export the FMU again without links")
    if info.flag_bits & 1:
        raise UsageError(f"'{info.filename[:80]}' in it is encrypted", where=name, remedy="Export the FMU again without a password")
    return None if text.endswith("/") or not path.parts else path.as_posix()


def _check_sizes(files: dict[str, zipfile.ZipInfo], compressed: int, name: str) -> None:
    total = sum(info.file_size for info in files.values())
    if total > MAX_UNPACKED or (total > _FREE and total > MAX_RATIO * compressed):
        raise TooLargeError(
            f"it would unpack to {total} bytes from {compressed}",
            where=name,
            remedy=f"At most {MAX_UNPACKED} bytes, and {MAX_RATIO} times its own size, are unpacked",
        )


def _chunks(name: str, opened: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> list[bytes]:
    """An entry in pieces, counted as they come: what its header says of its size is not believed."""
    found, size = [], 0
    try:
        with opened.open(info) as file:
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                if size > min(limit, info.file_size):
                    raise TooLargeError(f"'{info.filename[:80]}' in it unpacks to more than {min(limit, info.file_size)} bytes", where=name)
                found.append(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise UsageError(f"'{info.filename[:80]}' in it is damaged: {error}", where=name, remedy="Copy or export it again") from None
    return found
