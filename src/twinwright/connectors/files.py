"""Files that appear in folders, by a path template such as `inbox/{twin}/*.csv`.

A file is read once it has stopped changing, known by its content, and resumed where the store's position says; one that is
finished is not read again. Of one that has grown by whole lines since, only these are read: the store knows how much of the path was
read last, and whether the content up to there is what it was. Write files under another name and rename them when they are whole.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from glob import iglob
from pathlib import Path
from typing import ClassVar, Final

from pydantic import Field, field_validator

from twinwright.clock import SECOND
from twinwright.connectors.chunks import CHUNK_BYTES, Chunking, Resume, beginning_stream, end_of, file_stream, read_chunks, resume
from twinwright.documents import Duration, Spec
from twinwright.errors import UsageError
from twinwright.observability.logs import get_logger
from twinwright.telemetry.connector import Bound
from twinwright.telemetry.payloads import Delivery, Payload, Position, Receipt

__all__ = ["Chunking", "FilesBinding", "FilesSettings", "FilesSource", "Resume", "read_chunks", "resume"]

_TOKEN: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}|(\*\*/)|(\*)|(\?)")


class FilesSettings(Spec):
    """`folder`: what relative paths start from. `scan`: how often to look. `settle`: unchanged for so long is whole."""

    folder: str = "."
    scan: Duration = 2 * SECOND
    settle: Duration = 2 * SECOND


class FilesBinding(Spec):
    """`path`: a template with `*`, `?`, `**/` and `{captures}` (part of one name).

    `delimiter`: of CSV, only where it is none of `, ; |` and tab.
    """

    path: str = Field(min_length=1)
    delimiter: str | None = Field(default=None, min_length=1, max_length=1, pattern=r"^[\x00-\x7f]$")
    chunk_bytes: int = Field(default=CHUNK_BYTES, ge=1_024, le=16 * 1024 * 1024)

    @field_validator("path")
    @classmethod
    def _is_template(cls, value: str) -> str:
        plain = _TOKEN.sub("", value)
        if "{" in plain or "}" in plain:
            raise ValueError("a brace that is not a capture: write captures as {name}")
        names = [match[1] for match in _TOKEN.finditer(value) if match[1]]
        if len(set(names)) < len(names):
            raise ValueError("a capture is given twice: give each a name of its own")
        return value


@dataclass(frozen=True, slots=True)
class _Known:
    """A file as the folder shows it: another size or time is another file."""

    contract: str
    path: Path
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class _Reading:
    """A file that is being read: from `begin`, where its content is new, to `end`, with which `mark` is moved."""

    known: _Known
    chunks: Generator[tuple[Payload, Position], None, None]
    begin: int
    end: int
    mark: Position

    def delivery(self, payload: Payload, position: Position) -> Delivery:
        first = replace(position, start=0) if position.start == self.begin else position  # the content's own stream begins here
        return Delivery(self.known.contract, (payload,), (first, self.mark) if position.next >= self.end else (first,))


@dataclass(frozen=True, slots=True)
class _Watch:
    bound: Bound
    options: FilesBinding
    glob: str
    pattern: re.Pattern[str]


class FilesSource:
    """A source of files; see the module. Each delivery is one chunk of one file, with its position."""

    Settings: ClassVar[type[Spec]] = FilesSettings
    Binding: ClassVar[type[Spec]] = FilesBinding

    def __init__(self, name: str, settings: FilesSettings, bound: tuple[Bound, ...]) -> None:
        self._settings = settings
        self._folder = Path(settings.folder)
        self._watches = [_watch(one) for one in bound]
        self._log = get_logger(__name__, connector=name)
        self._contents: dict[_Known, tuple[str, int]] = {}
        self._settled: set[_Known] = set()
        self._waiting: deque[tuple[_Watch, _Known]] = deque()
        self._reading: _Reading | None = None
        self._closed = threading.Event()
        self._next_scan = 0.0
        self._positions: Callable[[str, str], int] | None = None

    def open(self, positions: Callable[[str, str], int]) -> None:
        """Start looking. Raises UsageError if the folder is not there."""
        if not self._folder.is_dir():
            raise UsageError("there is no such folder", where=str(self._folder), remedy="Make it, or correct `folder` of the connector")
        self._reset()
        self._positions = positions
        self._closed.clear()

    def poll(self, timeout: float) -> Delivery | None:
        """The next chunk of what there is, in order of names."""
        deadline = time.monotonic() + timeout
        while True:
            delivery = self._next_chunk()
            if delivery is not None:
                return delivery
            now = time.monotonic()
            if now >= self._next_scan and self._positions is not None:
                self._next_scan = now + self._settings.scan / SECOND
                if self._look():
                    continue
            if now >= deadline or self._closed.wait(max(0.0, min(deadline, self._next_scan) - now)):
                return None

    def committed(self, delivery: Delivery, receipt: Receipt) -> None:
        """Nothing to acknowledge: the position is in the store."""

    def close(self) -> None:
        """Stop looking."""
        self._closed.set()
        self._reset()

    def _reset(self) -> None:
        if self._reading is not None:
            self._reading.chunks.close()
        self._reading = None
        self._positions = None
        self._waiting.clear()
        self._settled.clear()
        self._next_scan = 0.0

    def _look(self) -> bool:
        """Queue the files that are whole and not finished; whether there are any."""
        seen: set[_Known] = set()
        for watch in self._watches:
            for name in sorted(iglob(watch.glob, root_dir=self._folder, recursive=True)):  # noqa: PTH207 - absolute patterns too
                known = self._known(watch, self._folder / name)
                if known is None or not watch.pattern.fullmatch(name):
                    continue
                seen.add(known)
                if known not in self._settled and self._is_whole(known):
                    self._waiting.append((watch, known))
        self._settled &= seen
        self._contents = {known: content for known, content in self._contents.items() if known in seen}
        return bool(self._waiting)

    def _known(self, watch: _Watch, path: Path) -> _Known | None:
        try:
            stat = path.stat()
        except OSError:  # gone since it was listed
            return None
        return _Known(watch.bound.contract, path, stat.st_size, stat.st_mtime_ns) if path.is_file() else None

    def _is_whole(self, known: _Known) -> bool:
        return time.time_ns() - known.modified >= self._settings.settle * 1_000

    def _next_chunk(self) -> Delivery | None:
        while self._reading is not None or self._waiting:
            if self._reading is None:
                self._begin(*self._waiting.popleft())
                continue
            reading = self._reading
            try:
                payload, position = next(reading.chunks)
            except StopIteration:
                self._reading = None
                self._settled.add(reading.known)
                continue
            except UsageError as error:
                self._reading = None
                self._skip(reading.known, error)
                continue
            return reading.delivery(payload, position)
        return None

    def _begin(self, watch: _Watch, known: _Known) -> None:
        if self._positions is None:
            return
        try:
            stream, end = self._content(watch, known)
        except UsageError as error:
            self._skip(known, error)
            return
        start = self._positions(known.contract, stream)
        if start >= end:
            self._settled.add(known)
            return
        path = f"path:{hashlib.sha256(str(known.path).encode('utf-8', 'surrogateescape')).hexdigest()}"
        before = self._positions(known.contract, path)
        grown = start == 0 and 0 < before < end and self._was_read(known, before)
        begin = before if grown else start
        how = Chunking(watch.options.chunk_bytes, watch.options.delimiter, self._captures(watch, known))
        chunks = read_chunks(known.path, watch.bound.format, start=begin, stream=stream, how=how)
        self._reading = _Reading(known, chunks, before if grown else -1, end, Position(path, before, end))

    def _was_read(self, known: _Known, size: int) -> bool:
        """Whether the file begins with a content of so many bytes, of whole lines, that was read to its end."""
        stream = beginning_stream(known.path, size)
        return stream is not None and self._positions is not None and self._positions(known.contract, stream) == size

    def _content(self, watch: _Watch, known: _Known) -> tuple[str, int]:
        if known not in self._contents:
            self._contents[known] = file_stream(known.path), end_of(known.path, watch.bound.format)
        return self._contents[known]

    def _captures(self, watch: _Watch, known: _Known) -> dict[str, str]:
        name = known.path.relative_to(self._folder) if not Path(watch.glob).is_absolute() else known.path
        found = watch.pattern.fullmatch(str(name))
        return found.groupdict() if found is not None else {}

    def _skip(self, known: _Known, error: UsageError) -> None:
        """A file that can't be read must not hold up its neighbours; it is tried again when it changes or on a restart."""
        self._settled.add(known)
        self._log.error("file_unreadable", file=str(known.path), contract=known.contract, error=str(error))


def _watch(bound: Bound) -> _Watch:
    options = bound.options
    if not isinstance(options, FilesBinding):
        raise UsageError(f"the source of contract '{bound.contract}' is not one of files", remedy="Give it a `path`")
    pattern, at = "", 0
    for match in _TOKEN.finditer(options.path):
        pattern += re.escape(options.path[at : match.start()])
        pattern += f"(?P<{match[1]}>[^/]+)" if match[1] else "(?:[^/]+/)*" if match[2] else "[^/]*" if match[3] else "[^/]"
        at = match.end()
    pattern += re.escape(options.path[at:])
    glob = re.sub(r"\{[^}]*\}", "*", options.path)
    return _Watch(bound, options, glob, re.compile(pattern))
